//! Checks of the alert rules that need no run.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use oc_domain::conditions::Reason;
use promql_parser::label::Matcher;
use promql_parser::parser::token::T_EQL_REGEX;
use serde_json::Value;

use super::{promtool, queries};

/// Reasons for which a person must act and that no alert names, and why.
const NO_ALERT: [(Reason, &str); 2] = [
    (Reason::LeadNotActive, "the customer has not chosen the operator yet, which may take weeks and is nobody's fault"),
    (Reason::PlanReady, "somebody asked for a plan and not for more"),
];

/// Reasons whose alert queries something other than the count of objects. `ClusterRefused` has both: only a policy for leads has it in `Ready`.
const OTHERWISE: [(Reason, &str); 3] = [
    (Reason::DeletionRateExceeded, "OperatorConnectDeletionsHeld"),
    (Reason::AbsenceUnconfirmed, "OperatorConnectAbsencesHeld"),
    (Reason::ClusterRefused, "OperatorConnectLeadsNotDiscovered"),
];

pub fn promtool_is_content() -> Result<()> {
    let file = queries::file(queries::ALERTS);
    let said = promtool::run(&["check", "rules", "--lint=all", "--lint-fatal", file.to_str().context("a path")?], "")?;
    let count = queries::alerts()?.len();
    ensure!(said.contains(&format!("{count} rules found")), "{said}");
    Ok(())
}

pub fn each_alert_fires_when_it_should_and_only_then() -> Result<()> {
    promtool::run(&["test", "rules", "rules_test.yaml"], "")?;
    // An alert that no scenario expects was never seen to fire.
    let tests = queries::text("tests/observability/rules_test.yaml")?;
    for alert in queries::alerts()? {
        let name = alert["alert"].as_str().context("a name")?;
        ensure!(tests.contains(&format!("alertname=\"{name}\"")), "{name} fires in no scenario of rules_test.yaml");
    }
    Ok(())
}

/// Each has a severity, texts and a page; and no two alerts have the same name.
pub fn each_alert_says_what_a_person_needs() -> Result<()> {
    let mut names = BTreeSet::new();
    for alert in queries::alerts()? {
        let name = alert["alert"].as_str().context("a name")?.to_owned();
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity:?}");
        let words = |annotation: &str| alert["annotations"][annotation].as_str().unwrap_or_default().to_owned();
        ensure!(words("runbook_url") == format!("RUNBOOKS/{name}.md"), "{name}: {}", words("runbook_url"));
        ensure!(words("summary").len() > 20 && words("summary").len() <= 120 && words("summary").ends_with('.'), "{name}: {}", words("summary"));
        ensure!(words("description").len() > 60 && words("description").ends_with('.'), "{name}: {}", words("description"));
        ensure!(name.starts_with("OperatorConnect"), "{name}: all of ours begin alike");
        ensure!(names.insert(name.clone()), "{name} is there twice");
    }
    Ok(())
}

/// The parts of a label's matchers in an expression, as text: `reason=~"A|B"` has two.
fn matched(expression: &str, label: &str) -> Vec<String> {
    let after = expression.split(label).skip(1).filter_map(|rest| rest.strip_prefix("=~\"").or_else(|| rest.strip_prefix("=\"")));
    after.filter_map(|rest| rest.split('"').next()).flat_map(|values| values.split('|')).map(str::to_owned).collect()
}

/// An object that waits for a person is not forgotten: a new reason in the code needs an alert, or a reason why not.
pub fn each_reason_that_stalls_has_an_alert() -> Result<()> {
    let alerts = queries::alerts()?;
    let asked: Vec<String> = alerts.iter().filter_map(|alert| alert["expr"].as_str()).flat_map(|expression| matched(expression, "reason")).collect();
    let shown: BTreeSet<String> = {
        let panels = queries::of_dashboard(&queries::dashboard()?)?;
        panels.iter().flat_map(|query| matched(&query.expression, "reason")).collect()
    };
    for reason in Reason::ALL {
        let text = reason.to_string();
        let named = asked.iter().any(|part| Matcher::new_matcher(T_EQL_REGEX, "reason".into(), part.clone()).is_ok_and(|one| one.is_match(&text)));
        let otherwise = OTHERWISE.iter().find(|(other, _)| *other == reason).map(|(_, alert)| *alert);
        let excused = NO_ALERT.iter().any(|(other, _)| *other == reason);
        ensure!(!(named && excused), "{reason} has an alert, and a word why it has none");
        if reason.stalls() {
            ensure!(named || excused || otherwise.is_some(), "a person must act upon {reason}, and no alert says so");
            ensure!(excused || shown.contains(&text), "a person must act upon {reason}, and the dashboard does not count it");
        }
        if let Some(other) = otherwise {
            ensure!(alerts.iter().any(|alert| alert["alert"] == other), "{other} is not there");
        }
    }
    Ok(())
}

/// Prometheus' own parser checks each query. As rules, because promtool takes many of those at once.
pub fn each_query_for_people_parses() -> Result<()> {
    let queries = [queries::of_dashboard(&queries::dashboard()?)?, queries::of_documents()?].concat();
    let rules: Vec<Value> =
        queries.iter().enumerate().map(|(at, query)| serde_json::json!({"record": format!("a:query:{at}"), "expr": query.expression})).collect();
    let file = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]});
    let said = promtool::run(&["check", "rules", "--lint-fatal"], &file.to_string())?;
    ensure!(said.contains(&format!("{} rules found", queries.len())), "{said}");
    Ok(())
}

//! The queries of the alerts and of the dashboard, and the labels that the text around them names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The file of the alerts.
pub const ALERTS: &str = "charts/oc-essentials-operator/files/alerts.yaml";
/// The file of the dashboard.
pub const DASHBOARD: &str = "charts/oc-essentials-operator/files/dashboard.json";

/// The path of a file of the project.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the project.
pub fn text(name: &str) -> Result<String> {
    std::fs::read_to_string(file(name)).with_context(|| format!("{name} can't be read"))
}

/// One query.
#[derive(Clone, Debug)]
pub struct Query {
    /// Where it comes from.
    pub place: String,
    /// The expression, without variables.
    pub expression: String,
    /// The labels that the result must have, because something beside the query names them.
    pub named: Vec<String>,
}

/// The alerts, each as written in the file.
pub fn alerts() -> Result<Vec<Value>> {
    let file: Value = serde_saphyr::from_str(&text(ALERTS)?)?;
    let groups = file["groups"].as_array().context("groups")?;
    Ok(groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten().cloned()).collect())
}

/// The names after each occurrence of the mark.
fn names_after(text: &str, mark: &str) -> Vec<String> {
    let name = |rest: &str| rest.trim_start().chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect::<String>();
    text.split(mark).skip(1).map(name).collect()
}

/// The queries of the alerts.
pub fn of_alerts() -> Result<Vec<Query>> {
    let query = |alert: &Value| {
        let place = format!("alert {}", alert["alert"].as_str().context("a name")?);
        let expression = alert["expr"].as_str().context("expr")?.to_owned();
        let words = alert["annotations"].as_object().into_iter().flat_map(|annotations| annotations.values()).filter_map(Value::as_str);
        // A label behind `with` may be missing: the text has an `else` for it.
        let named = words.flat_map(|words| names_after(&words.replace("with $labels.", "with "), "$labels.")).collect();
        Ok(Query { place, expression, named })
    };
    alerts()?.iter().map(query).collect()
}

/// The queries that people read: those of the runbooks and of the monitoring page. A blank line separates two.
pub fn of_documents() -> Result<Vec<Query>> {
    let mut files = vec!["docs/monitoring.md".to_owned()];
    for alert in alerts()? {
        files.push(format!("docs/runbooks/{}.md", alert["alert"].as_str().context("a name")?));
    }
    let mut all = Vec::new();
    for name in files {
        for block in text(&name)?.split("```promql\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            for part in block.split("\n\n") {
                let lines: Vec<&str> = part.lines().filter(|line| !line.starts_with('#')).collect();
                all.push(Query { place: name.clone(), expression: lines.join("\n"), named: Vec::new() });
            }
        }
    }
    Ok(all)
}

/// The parsed dashboard.
pub fn dashboard() -> Result<Value> {
    serde_json::from_str(&text(DASHBOARD)?).context("the dashboard is no JSON")
}

/// Every panel, including those in a folded row.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().into_iter().flatten();
    all.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten())).collect()
}

/// The names of the dashboard's own variables.
pub fn variables(dashboard: &Value) -> Vec<&str> {
    dashboard["templating"]["list"].as_array().into_iter().flatten().filter_map(|variable| variable["name"].as_str()).collect()
}

/// Replaces each variable of the dashboard. An unknown variable stays, and is not valid PromQL.
fn without_variables(expression: &str, dashboard: &Value) -> String {
    let mut plain = expression.replace("$__rate_interval", "5m").replace("$__range", "1h");
    for name in variables(dashboard) {
        plain = plain.replace(&format!("\"${name}\""), "\".*\"");
    }
    plain
}

/// The queries of the dashboard: those of its panels and its variables.
pub fn of_dashboard(dashboard: &Value) -> Result<Vec<Query>> {
    let mut all = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("panel {:?}, query {}", panel["title"].as_str().context("a title")?, target["refId"].as_str().context("refId")?);
            let expression = target["expr"].as_str().context("expr")?;
            let plain = without_variables(expression, dashboard);
            ensure!(!plain.contains('$'), "{place}: a variable that is unknown, or not in quotation marks: {expression}");
            all.push(Query { place, expression: plain, named: names_after(target["legendFormat"].as_str().unwrap_or_default(), "{{") });
        }
    }
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten().filter(|variable| variable["type"] == "query") {
        let place = format!("variable {:?}", variable["name"].as_str().context("a name")?);
        let query = variable["query"]["query"].as_str().context("query.query")?;
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).with_context(|| format!("{place}: not label_values(…)"))?;
        let (selector, label) = inside.rsplit_once(',').with_context(|| format!("{place}: no label"))?;
        all.push(Query { place, expression: without_variables(selector, dashboard), named: vec![label.trim().to_owned()] });
    }
    Ok(all)
}

//! A run with every state in it: every query is checked against what the operator exposes then.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use oc_domain::conditions::Reason;
use serde_json::{Value, json};

use super::exposition::{self, Page};
use super::labels::{self, Known, OF_THE_SCRAPE};
use super::stage::{Scene, measured};
use super::{promtool, queries, values};

async fn scrape(scene: &Scene) -> Result<String> {
    let answer = reqwest::Client::builder().no_proxy().build()?.get(&scene.metrics).send().await.context("the operator does not answer at /metrics")?;
    let content = answer.headers().get("content-type").map(|value| value.to_str().map(str::to_owned)).transpose()?;
    ensure!(content.as_deref().is_some_and(|content| content.starts_with("application/openmetrics-text")), "{content:?}");
    Ok(answer.error_for_status()?.text().await?)
}

/// Customers, some of whom have their service.
async fn good_days(scene: &Scene) -> Result<()> {
    scene.consented(&[1, 2, 3, 4]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(9), "shortName": "Older", "licenseType": 5})).await?;
    scene.connect(json!({"deletions": {"perHour": 0}})).await?;
    scene.lead("has", 1, json!({})).await?;
    scene.service("has", 1, json!({})).await?;
    scene.service("goes", 2, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<Lead>("has", "True", "Succeeded").await?;
    for name in ["has", "goes"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    Ok(())
}

/// Something that waits for each party that may have to act, and finally a platform that fails.
async fn bad_days(scene: &Scene) -> Result<()> {
    // A person, for the held deletion; the owner of the object; whoever runs the platform's jobs; the platform's task.
    scene.delete::<OcEssentialService>("goes").await?;
    scene.ready::<OcEssentialService>("goes", "False", "DeletionRateExceeded").await?;
    scene.service("nobody", 99, json!({})).await?;
    scene.ready::<OcEssentialService>("nobody", "False", "LeadNotFound").await?;
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.service("waits", 3, json!({})).await?;
    scene.ready::<OcEssentialService>("waits", "False", "AwaitingLeadsJob").await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 600_000})).await?;
    scene.service("slow", 4, json!({})).await?;
    scene.ready::<OcEssentialService>("slow", "False", "Converting").await?;
    // The cluster's administrator: another connection, whose Secret is missing.
    let entra = json!({"tenantId": "33333333-3333-4333-8333-333333333333", "clientId": "44444444-4444-4444-8444-444444444444", "scope": "api://simulator/.default",
        "tokenUrl": scene.simulator.token_url(), "clientSecretRef": {"namespace": scene.namespace, "name": "missing", "key": "key"}});
    // At another place: a new connection to a place enqueues every object of that place.
    let spec = json!({"url": format!("{}/other", scene.simulator.base_url()), "authentication": {"entra": entra}});
    let refused = format!("{}-refused", scene.platform);
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": refused}, "spec": spec})).await?;
    scene.ready::<LivePlatform>(&refused, "False", "AuthenticationFailed").await?;
    scene.fault(json!({"kind": "serverError", "forever": true})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "False", "PlatformUnavailable").await?;
    Ok(())
}

/// The samples that the alerts use, as a scenario for promtool: as if the state lasted for more than a day.
fn scenario(page: &Page, firing: &[&str]) -> Value {
    let asked: String = queries::text(queries::ALERTS).unwrap_or_default();
    let series = |(name, labels, value): &(String, BTreeMap<String, String>, f64)| {
        let mut all = labels.clone();
        all.extend([("job", "o"), ("instance", "a"), ("namespace", "n")].map(|(label, value)| (label.to_owned(), value.to_owned())));
        let all: Vec<String> = all.into_iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        json!({"series": format!("{name}{{{}}}", all.join(",")), "values": format!("{value}x340")})
    };
    let input: Vec<Value> = page.samples.iter().filter(|(name, _, _)| asked.contains(name.as_str())).map(series).collect();
    let expected: Vec<Value> = firing.iter().map(|alert| json!({"labels": format!("{{alertname={alert:?}}}"), "value": 1})).collect();
    let test = json!({"expr": "max by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": "28h", "exp_samples": expected});
    json!({"rule_files": [queries::file(queries::ALERTS)], "evaluation_interval": "5m", "tests": [{"interval": "5m", "input_series": input, "promql_expr_test": [test]}]})
}

/// Whether exactly these alerts would fire if the state lasted.
fn alerts_are(page: &Page, name: &str, firing: &[&str]) -> Result<()> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    std::fs::write(&file, serde_json::to_string(&scenario(page, firing))?)?;
    promtool::run(&["test", "rules", file.to_str().context("a path")?], "").map(drop).with_context(|| format!("alerts of the {name}"))
}

/// What the code can expose, and what was seen.
fn known(pages: &[&Page]) -> Known {
    let mut known = Known { values: values::all(), ..Known::default() };
    for page in pages {
        for (name, labels) in page.labels() {
            known.samples.entry(name).or_default().extend(labels);
        }
        known.counters.extend(page.counters());
        for (name, labels, _) in &page.samples {
            if let Some(bound) = labels.get("le") {
                known.values.entry(format!("{name} le")).or_default().push(bound.clone());
            }
        }
    }
    known
}

fn every_query_is_answered(known: &Known) -> Result<usize> {
    let all = [queries::of_alerts()?, queries::of_dashboard(&queries::dashboard()?)?, queries::of_documents()?].concat();
    let mut wrong = Vec::new();
    for query in &all {
        let (labels, said) = labels::infer(&query.expression, known);
        wrong.extend(said.into_iter().map(|said| format!("{}: {said}", query.place)));
        let labels = labels.unwrap_or_default();
        for named in query.named.iter().filter(|named| !labels.contains(*named)) {
            wrong.push(format!("{}: the words name the label {named}, which the result does not have", query.place));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(all.len())
}

/// What was seen must match what the code defines, since a value missing from the list would make a correct query look wrong. And no label may have a name that
/// Prometheus adds.
fn every_value_is_known(known: &Known, page: &Page) -> Result<()> {
    let silent: Vec<&String> = page.types.keys().filter(|family| page.help.get(*family).is_none_or(String::is_empty)).collect();
    ensure!(silent.is_empty(), "nothing is said of {silent:?}");
    for (name, labels, _) in &page.samples {
        for (label, value) in labels {
            let values = known.values_of(name, label);
            ensure!(
                values.is_none_or(|values| values.contains(value)),
                "{name}: the label {label} has the value {value:?}, which tests/observability/values.rs lacks"
            );
        }
        ensure!(labels.keys().all(|label| !OF_THE_SCRAPE.contains(&label.as_str())), "{name} has a label that Prometheus would rename: {labels:?}");
    }
    Ok(())
}

/// The few values on which alerts depend, in the bad days.
fn it_is_told(scene: &Scene, page: &Page) -> Result<()> {
    let platform = ("platform", scene.platform.as_str());
    let reason = Reason::AuthenticationFailed.to_string();
    for (name, labels, least) in [
        ("operatorconnect_leader", vec![], 1.0),
        ("operatorconnect_platform_circuit_open", vec![platform], 1.0),
        ("operatorconnect_platform_circuit_opened_total", vec![platform, ("reason", "PlatformUnavailable")], 1.0),
        ("operatorconnect_objects", vec![("kind", "LivePlatform"), ("reason", reason.as_str())], 1.0),
        ("operatorconnect_objects", vec![("kind", "OcEssentialService"), ("ready", "True"), ("reason", "Succeeded")], 1.0),
        ("operatorconnect_deletions_held", vec![platform], 1.0),
        ("operatorconnect_sync_jobs_due", vec![platform], 1.0),
        ("operatorconnect_open_tasks", vec![("kind", "OcEssentialService")], 1.0),
        ("operatorconnect_oldest_task_seconds", vec![("kind", "OcEssentialService")], 0.1),
        ("operatorconnect_oldest_intent_seconds", vec![("kind", "OcEssentialService")], 0.1),
        ("operatorconnect_time_to_ready_seconds_count", vec![("kind", "OcEssentialService")], 2.0),
        ("operatorconnect_inventory_entries", vec![platform, ("list", "services")], 3.0),
        ("operatorconnect_platform_calls_total", vec![platform, ("outcome", "5xx")], 3.0),
    ] {
        let found = page.sum(name, &labels);
        ensure!(found >= least, "{name}{labels:?} is {found}, and at least {least} is right");
    }
    Ok(())
}

/// In good days no alert would fire, in bad days those that should; every query finds its metrics and labels; and promtool has no complaint about the metrics.
pub async fn what_is_asked_for_is_told(scene: Scene) -> Result<()> {
    good_days(&scene).await?;
    let good = scrape(&scene).await?;
    bad_days(&scene).await?;
    let bad = scrape(&scene).await?;
    let (good, worse) = (exposition::read(&good)?, exposition::read(&bad)?);
    it_is_told(&scene, &worse)?;
    let known = known(&[&good, &worse]);
    every_value_is_known(&known, &worse)?;
    let asked = every_query_is_answered(&known)?;
    alerts_are(&good, "good-days", &[])?;
    let firing = [
        "OperatorConnectCredentialRefused",
        "OperatorConnectDeletionsHeld",
        "OperatorConnectNeedsPerson",
        "OperatorConnectPlatformUnavailable",
        "OperatorConnectSyncJobDue",
    ];
    alerts_are(&worse, "bad-days", &firing)?;
    promtool::run(&["check", "metrics"], &exposition::as_plain_text(&bad)?)?;
    measured(&format!("{asked} queries were held to {} series of {} families", worse.samples.len(), worse.types.len()));
    Ok(())
}

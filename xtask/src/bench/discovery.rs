//! Measures what the discovery of leads costs.

use std::time::Duration;

use anyhow::{Result, ensure};
use control_plane::audit;
use kube::Api;
use kube::api::ListParams;
use oc_api::Lead;
use serde_json::json;
use tokio::time::Instant;

use super::{Content, Ground, NAMESPACE, calls, fast, ground, per_object, policy, usage, writes};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// How long a task takes on the simulated platform, in milliseconds.
const TASK: u64 = 500;

/// Has the operator discover this many leads, prints time, writes, calls and memory, and lets a policy go on
/// with them.
///
/// # Errors
/// When something can't be started, or the leads do not become Ready, and as [`policy::run`].
pub async fn run(count: u32, programs: &build::Programs) -> Result<()> {
    step(&format!(
        "Discovering {count} leads; the operator creates at most 20 objects a second"
    ));
    let mut platform = fast("10m");
    platform["leadDiscovery"] = json!({ "namespace": NAMESPACE });
    // The shortest: a create whose request a kill kept from leaving is made when it is over.
    platform["createGrace"] = json!("1m");
    let ground = ground("bench", programs, &Content::of_leads(count, TASK), platform).await?;
    let mark = audit::end(&ground.audit_log()?)?;
    calls(ground.port, true).await?;
    let begun = Instant::now();
    let mut operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    // The first list waits for the connection, and no object exists yet.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = usage::of(operator.id())?;
    all_discovered(&ground, count).await?;
    let took = begun.elapsed();
    operator.check()?;
    let used = usage::of(operator.id())?;
    result(&format!("\n| {count} leads | |\n|---|---|"));
    result(&format!(
        "| all discovered and Ready after | {:.1} s |",
        took.as_secs_f64()
    ));
    let cpu = (used.cpu - before.cpu).as_secs_f64() * 1000.0 / f64::from(count);
    result(&format!("| CPU per lead | {cpu:.2} ms |"));
    result(&format!(
        "| own memory | {:.1} MiB at the end, {:.1} MiB at the start: {:.2} KiB a lead |",
        used.own,
        before.own,
        (used.own - before.own) * 1024.0 / f64::from(count)
    ));
    result(&format!(
        "| resident memory | {:.1} MiB at the end, {:.1} MiB peak |",
        used.resident, used.peak
    ));
    tokio::time::sleep(Duration::from_secs(5)).await;
    for ((verb, resource), times) in audit::count(&writes(&ground, mark)?, "oc-essentials-operator") {
        per_object(&format!("API server: {verb} {resource}"), times as u64, count);
    }
    for (endpoint, times) in calls(ground.port, true).await? {
        result(&format!("| platform: {endpoint} | {times} |"));
    }
    policy::run(&ground, TASK, programs, operator).await
}

/// Waits until this many leads are Ready, and reports how far it is.
async fn all_discovered(ground: &Ground, count: u32) -> Result<()> {
    let api = Api::<Lead>::namespaced(ground.client.clone(), NAMESPACE);
    let until = Instant::now() + Duration::from_secs(120) + Duration::from_millis(200) * count;
    let mut told = Instant::now();
    loop {
        let leads = api.list(&ListParams::default().match_any()).await?.items;
        let ready = leads.iter().filter(|lead| is_ready(lead)).count();
        if ready == count as usize {
            return Ok(());
        }
        ensure!(Instant::now() < until, "only {ready} of {count} leads are Ready");
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            note(&format!("{ready} of {count} leads are Ready"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn is_ready(lead: &Lead) -> bool {
    let conditions = lead.status.as_ref().map(|status| status.conditions.as_slice());
    conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

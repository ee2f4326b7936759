//! Plays an outage of the platform in real time: what it costs, and how everything recovers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use control_plane::audit;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::{self, Ground};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// The outage to measure.
#[derive(Args)]
pub struct Settings {
    /// How many services are Ready before the outage
    #[arg(long, default_value_t = 1000)]
    services: u32,
    /// How many more to apply during the outage
    #[arg(long, default_value_t = 40)]
    late: u32,
    /// How many minutes the platform answers every call with a 503
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

/// Runs the measurement.
///
/// # Errors
/// When something can't be built or started, or a service is not Ready when it should be.
pub fn run(settings: &Settings) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(live_through(settings))
}

async fn live_through(settings: &Settings) -> Result<bool> {
    let (settled, all) = (settings.services, settings.services + settings.late);
    step("Building the operator and the simulated platform");
    let programs = build::programs(false)?;
    // With the default interval of a LivePlatform.
    let platform = json!({ "observeInterval": null });
    let content = bench::Content::of_leads(all, 2000);
    let ground = bench::ground("outage", &programs, &content, platform).await?;
    let mut operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    step(&format!("Creating {settled} services, at 10 calls a second"));
    bench::apply(&ground.client, 0..settled).await?;
    bench::all_ready(&ground.client, settled, Duration::from_secs(1800)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;

    step(&format!(
        "Answering every call with a 503 for {} minutes, and applying {} more services",
        settings.minutes, settings.late
    ));
    let before = versions(&ground).await?;
    simulate(&ground, "DELETE", "calls", Value::Null).await?;
    simulate(
        &ground,
        "POST",
        "faults",
        json!({"kind": "serverError", "forever": true}),
    )
    .await?;
    bench::apply(&ground.client, settled..all).await?;
    let log = ground.cluster.audit_log().context("an audit log")?;
    let mut writes = Vec::new();
    let mut mark = audit::end(&log)?;
    for minute in 1..=settings.minutes {
        tokio::time::sleep(Duration::from_secs(60)).await;
        operator.check()?;
        writes.extend(
            audit::since(&log, mark)?
                .into_iter()
                .filter(|request| request.user.ends_with("oc-essentials-operator") && request.writes()),
        );
        mark = audit::end(&log)?;
        if minute % 10 == 0 {
            note(&format!(
                "minute {minute}: {} calls, {} writes",
                total(&ground).await?,
                writes.len()
            ));
        }
    }
    result(&format!(
        "\n| {} minutes of outage, {settled} services Ready and {} new ones | |\n|---|---|",
        settings.minutes, settings.late
    ));
    result(&format!("| calls to the platform | {} |", total(&ground).await?));
    for ((verb, resource), times) in audit::count(&writes, "oc-essentials-operator") {
        result(&format!("| API server: {verb} {resource} | {times} |"));
    }
    simulate(&ground, "DELETE", "calls", Value::Null).await?;
    simulate(&ground, "DELETE", "faults", Value::Null).await?;
    recovered(&ground, &before, all).await
}

async fn recovered(ground: &Ground, before: &BTreeMap<String, String>, all: u32) -> Result<bool> {
    step("Ending the outage");
    let begun = Instant::now();
    bench::all_ready(&ground.client, all, Duration::from_secs(1800)).await?;
    result(&format!(
        "| all Ready after the end of the outage | {:.0} s |",
        begun.elapsed().as_secs_f64()
    ));
    for (endpoint, times) in by_endpoint(ground).await? {
        result(&format!("| platform, until then: {endpoint} | {times} |"));
    }
    let after = versions(ground).await?;
    let written = before
        .iter()
        .filter(|(name, version)| after.get(*name) != Some(version))
        .count();
    result(&format!(
        "| services Ready before the outage that were written during or after it | {written} |"
    ));
    let twice = simulate(ground, "GET", "calls", Value::Null).await?;
    result(&format!(
        "| tenants with two services | {} |",
        twice["tenantsWithTwoServices"]
    ));
    Ok(written == 0 && twice["tenantsWithTwoServices"] == json!([]))
}

async fn versions(ground: &Ground) -> Result<BTreeMap<String, String>> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), bench::NAMESPACE);
    let objects = api.list(&ListParams::default()).await?;
    Ok(objects
        .into_iter()
        .map(|object| (object.name_any(), object.resource_version().unwrap_or_default()))
        .collect())
}

async fn total(ground: &Ground) -> Result<u64> {
    simulate(ground, "GET", "calls", Value::Null).await?["total"]
        .as_u64()
        .context("the simulator returns no total of calls")
}

async fn by_endpoint(ground: &Ground) -> Result<BTreeMap<String, u64>> {
    let calls = simulate(ground, "GET", "calls", Value::Null).await?;
    Ok(serde_json::from_value(calls["byEndpoint"].clone())?)
}

async fn simulate(ground: &Ground, method: &str, path: &str, body: Value) -> Result<Value> {
    let mut request = trial::http()?.request(
        method.parse()?,
        format!("http://127.0.0.1:{}/simulator/{path}", ground.port),
    );
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{method} /simulator/{path}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

//! How much memory an answer can cost.

use anyhow::{Context, Result, ensure};
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, measured, message, ready_is};

/// How far the peak memory may rise, in KiB: the limit of a list (32 MiB) plus a margin.
const MOST: u64 = 40 << 10;

/// The peak resident memory of a process, in KiB.
fn peak(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
    line.split_whitespace().nth(1).context("a number")?.parse().context("a number")
}

async fn ask<K: Own>(scene: &Scene, name: &str, mark: &str) -> Result<()> {
    scene.annotate::<K>(name, "operatorconnect.dev/reconcile-requested-at", mark).await
}

pub async fn a_huge_answer_costs_little(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.simulate("POST", "lc-customers", json!({"id": 4711, "name": "A customer"})).await?;
    scene.connect(json!({})).await?;
    scene.service("before", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready::<OcEssentialService>("before", "True", "Succeeded").await?;
    let before = peak(scene.operator)?;
    for endpoint in ["token", "leads.list", "services.list"] {
        scene.fault(json!({"kind": "hugeBody", "endpoint": endpoint, "times": 3})).await?;
        if endpoint == "token" {
            scene.credential_of("another").await?;
            scene.credential().await?;
        }
        ask::<LivePlatform>(&scene, &scene.platform, endpoint).await?;
        let platform: LivePlatform = scene.until(&scene.platform, |platform: &LivePlatform| !ready_is(platform, "True", "Succeeded")).await?;
        ensure!(message(&platform).contains("exceeds the limit of"), "{endpoint}: {}", message(&platform));
        scene.simulate("DELETE", "faults", Value::Null).await?;
        ask::<LivePlatform>(&scene, &scene.platform, &format!("{endpoint} is over")).await?;
        scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    }
    // Huge answers to a create, a task, an LC customer and a deletion, all at once. An object that loses the answer to its create has no task to read, so the
    // task belongs to the other one. And the task is read before the service appears.
    scene.simulate("PATCH", "settings", json!({"taskDuration": 5000})).await?;
    for (endpoint, tenant) in [("services.create", 2), ("tasks.get", 3), ("services.delete", 1)] {
        scene.fault(json!({"kind": "hugeBody", "endpoint": endpoint, "tenantId": scene.tenant(tenant)})).await?;
    }
    scene.fault(json!({"kind": "hugeBody", "endpoint": "lcCustomers.get", "times": 2})).await?;
    scene.service("tenant", 2, json!({})).await?;
    scene.service("customer", 3, json!({"lcCustomerId": 4711})).await?;
    scene.delete::<OcEssentialService>("before").await?;
    scene.gone::<OcEssentialService>("before").await?;
    for name in ["tenant", "customer"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    let faults = scene.simulate("GET", "faults", Value::Null).await?;
    ensure!(faults == json!([]), "each fault has happened: {faults}");
    let after = peak(scene.operator)?;
    measured(&format!("at most {before} KiB resident before answers of 100 MiB, {after} KiB after them"));
    ensure!(after - before < MOST, "{} KiB more", after - before);
    Ok(())
}

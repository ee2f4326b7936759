//! A platform that is down or throttles, with many objects on it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, measured, message};

const SETTLED: u32 = 100;
const UNSETTLED: u32 = 20;

/// Waiting objects are served before anything is read again for the others.
async fn recovered(scene: &Scene, calls: u64, back: u64, late: usize) -> Result<()> {
    let log = scene.log().await?;
    let first = log.iter().find(|(_, status, at)| *at >= back && *status == 200).context("a call that went well")?.2;
    let spent = scene.platform_time().await? - first;
    let since: Vec<&str> = log.iter().filter(|(_, _, at)| *at >= first).map(|(endpoint, _, _)| endpoint.as_str()).collect();
    let lists = since.iter().filter(|endpoint| endpoint.ends_with(".list")).count();
    measured(&format!(
        "{calls} calls while down; probe {} ms after it was back, all Ready {spent} ms later with {} calls, {lists} of them lists",
        first - back,
        since.len()
    ));
    let last_start = since.iter().rposition(|endpoint| *endpoint == "services.create").context("the late ones are asked for")?;
    let starts = since[..=last_start].iter().filter(|endpoint| **endpoint == "services.create").count();
    ensure!(starts == late, "each that came late is asked for once: {starts}");
    // The operator calls only lists, creates and tasks.
    ensure!(since.iter().all(|endpoint| matches!(*endpoint, "services.list" | "leads.list" | "services.create" | "tasks.get")), "{since:?}");
    ensure!(lists <= 40, "{lists} lists for 20 objects");
    Ok(())
}

pub async fn settled_objects_are_left_alone_while_the_platform_is_down(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=SETTLED + UNSETTLED).collect();
    let leads: Vec<Value> = all.iter().map(|tenant| json!({"tenantId": scene.tenant(*tenant), "companyName": format!("Company {tenant}")})).collect();
    scene.simulate("POST", "leads", json!(leads)).await?;
    scene.connect(json!({})).await?;
    let (settled, unsettled) = all.split_at(SETTLED as usize);
    for tenant in settled {
        scene.service(&format!("settled-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in settled {
        scene.ready::<OcEssentialService>(&format!("settled-{tenant}"), "True", "Succeeded").await?;
    }
    // Half of the others have a task in progress when the outage begins, half arrive during it.
    scene.simulate("PATCH", "settings", json!({"taskDuration": 4000})).await?;
    let (midway, late) = unsettled.split_at(UNSETTLED as usize / 2);
    for tenant in midway {
        scene.service(&format!("midway-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in midway {
        scene.ready::<OcEssentialService>(&format!("midway-{tenant}"), "False", "Converting").await?;
    }
    let before: Vec<_> = scene.versions::<OcEssentialService>().await?.into_iter().filter(|(name, _)| name.starts_with("settled")).collect();
    ensure!(before.len() == SETTLED as usize);
    scene.fault(json!({"kind": "serverError", "forever": true})).await?;
    let calls = scene.all_calls().await?;
    for tenant in late {
        scene.service(&format!("late-{tenant}"), *tenant, json!({})).await?;
    }
    let platform: LivePlatform = scene.ready(&scene.platform, "False", "PlatformUnavailable").await?;
    ensure!(message(&platform).contains("503"), "{}", message(&platform));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let calls = scene.all_calls().await? - calls;
    ensure!(calls < 30, "{calls} calls to a platform that is down");
    for tenant in late {
        let service: OcEssentialService = scene.ready(&format!("late-{tenant}"), "False", "PlatformUnavailable").await?;
        ensure!(message(&service).contains("503"), "{}", message(&service));
    }
    scene.simulate("DELETE", "faults", Value::Null).await?;
    let back = scene.platform_time().await?;
    for tenant in unsettled {
        let name = if midway.contains(tenant) { format!("midway-{tenant}") } else { format!("late-{tenant}") };
        scene.ready::<OcEssentialService>(&name, "True", "Succeeded").await?;
    }
    recovered(&scene, calls, back, late.len()).await?;
    let after: Vec<_> = scene.versions::<OcEssentialService>().await?.into_iter().filter(|(name, _)| name.starts_with("settled")).collect();
    ensure!(before == after, "nothing is written about settled objects, neither while it is down nor when it is back");
    let there = scene.simulate("GET", "services", Value::Null).await?;
    let made = there["creationsByTenant"].as_object().context("the simulator counts creations")?;
    ensure!(made.len() == all.len() && made.values().all(|creations| *creations == 1), "each tenant's service is made once: {made:?}");
    Ok(())
}

pub async fn all_kinds_wait_together_when_the_platform_throttles(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=6).collect();
    scene.consented(&all).await?;
    scene.connect(json!({"observeInterval": "5s"})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.fault(json!({"kind": "tooManyRequests", "retryAfter": 6, "times": 1, "endpoint": "leads.list"})).await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "one").await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "False", "Throttled").await?;
    ensure!(message(&platform).contains("429"), "{}", message(&platform));
    for tenant in &all {
        scene.lead(&format!("customer-{tenant}"), *tenant, json!({})).await?;
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in &all {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
        scene.ready::<Lead>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    let log = scene.log().await?;
    let at = log.iter().position(|(_, status, _)| *status == 429).context("it throttled")?;
    let throttled = log[at].2;
    // A call in flight at that moment may still be answered.
    let pressed: Vec<_> = log[at + 1..].iter().filter(|(_, _, when)| (throttled + 300..throttled + 5900).contains(when)).collect();
    ensure!(pressed.is_empty(), "calls in the 6 s for which it asked to be left alone: {pressed:?}");
    let next = log[at + 1..].iter().find(|(_, _, when)| *when >= throttled + 5900).context("a call after that")?.2;
    measured(&format!("the first call {} ms after a 429 that asked for 6000", next - throttled));
    Ok(())
}

/// An address behind which a firewall drops packets: all passes over the platform's objects wait. They must neither wait for one another nor delay the use of
/// the corrected address.
pub async fn a_platform_that_hangs_is_left_as_soon_as_its_url_is_corrected(scene: Scene) -> Result<()> {
    const OBJECTS: u32 = 40;
    let all: Vec<u32> = (1..=OBJECTS).collect();
    scene.consented(&all).await?;
    // It accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/tenantui", silent.local_addr()?);
    scene.connect(json!({"url": url})).await?;
    for tenant in &all {
        scene.lead(&format!("lead-{tenant}"), *tenant, json!({})).await?;
    }
    // Until the operator calls.
    let (_held, _) = tokio::time::timeout(Duration::from_secs(20), silent.accept()).await.context("the operator asks the platform")??;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let corrected = tokio::time::Instant::now();
    scene.change::<LivePlatform>(&scene.platform, json!({"url": scene.simulator.base_url()})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for tenant in &all {
        scene.ready::<Lead>(&format!("lead-{tenant}"), "True", "Succeeded").await?;
    }
    let took = corrected.elapsed();
    measured(&format!("{OBJECTS} leads Ready {took:?} after the url of a platform that hangs was corrected"));
    ensure!(took < Duration::from_secs(15), "the answer of the old address was waited for: {took:?}");
    Ok(())
}

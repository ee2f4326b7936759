//! Channels of leads: one that is missing, and many changes at once.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use oc_api::{CircuitState, Lead, LivePlatform};
use serde_json::json;

use super::simulated::until;
use super::stage::{Own, Scene, measured, message, ready_is};

/// More leads than get their channel at once, and services beside them.
const LEADS: u32 = 110;
const SERVICES: u32 = 10;

async fn leads_in_channel(scene: &Scene, tenants: impl Iterator<Item = u32>, channel: u32) -> Result<()> {
    let made = stream::iter(tenants).map(|tenant| async move { scene.lead(&format!("lead-{tenant}"), tenant, json!({"channelId": channel})).await });
    made.buffer_unordered(16).try_collect::<Vec<()>>().await.map(drop)
}

/// The leads that are as wanted.
async fn leads(scene: &Scene, wanted: impl Fn(&Lead) -> bool) -> Result<usize> {
    Ok(Lead::api(scene).list(&Default::default()).await?.iter().filter(|lead| wanted(lead)).count())
}

async fn until_assigned(scene: &Scene, least: u64) -> Result<()> {
    until(60, || async { Ok((scene.calls("channels.assign").await? >= least).then_some(())) }).await
}

/// A mass assignment keeps to the platform's 300 a minute, says so on each lead that waits, and holds up nothing else: neither while it waits nor when the
/// platform throttles it.
pub async fn many_channel_changes_hold_up_nothing(scene: Scene) -> Result<()> {
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    scene.consented(&(1..=LEADS).collect::<Vec<_>>()).await?;
    scene.connect(json!({})).await?;
    leads_in_channel(&scene, 1..=LEADS, 1574).await?;
    until_assigned(&scene, 40).await?;
    let in_line = |lead: &Lead| ready_is(lead, "False", "Progressing") && message(lead).contains("waits for its turn: the platform allows 300 a minute");
    until(10, || async { Ok((leads(&scene, in_line).await? >= 20).then_some(())) }).await?;
    // Services are made as if nobody waited.
    let more: Vec<u32> = (LEADS + 1..=LEADS + SERVICES).collect();
    scene.services(&more[..5], json!({})).await?;
    let assigned = scene.calls("channels.assign").await?;
    ensure!(assigned < u64::from(LEADS), "all had been assigned: this has shown nothing");
    measured(&format!("5 services Ready while {} of {LEADS} leads waited for their channel", u64::from(LEADS) - assigned));
    // Somebody else has used up what the platform allows.
    scene.fault(json!({"kind": "tooManyRequests", "endpoint": "channels.assign", "times": 1, "retryAfter": 4})).await?;
    until(30, || async { Ok((leads(&scene, |lead| ready_is(lead, "False", "Throttled")).await? > 0).then_some(())) }).await?;
    scene.services(&more[5..], json!({})).await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "True", "Succeeded").await?;
    let circuit = platform.status.and_then(|status| status.circuit).context("a circuit")?;
    ensure!(circuit.state == CircuitState::Closed, "{circuit:?}");
    until(60, || async { Ok((leads(&scene, |lead| ready_is(lead, "True", "Succeeded")).await? == LEADS as usize).then_some(())) }).await?;
    ensure!(leads(&scene, |lead| lead.status.as_ref().is_some_and(|status| status.channel_id == Some(1574))).await? == LEADS as usize);
    let (assigned, read) = (scene.calls("channels.assign").await?, scene.calls("channels.get").await?);
    ensure!(assigned == u64::from(LEADS) + 1, "each was assigned once, and one was throttled: {assigned}");
    ensure!(read < 20, "{read} reads of one channel");
    Ok(())
}

/// A channel that does not exist is reported before anything is requested; a platform that does not show its channels is simply asked.
pub async fn a_channel_that_does_not_exist_is_reported_first(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    leads_in_channel(&scene, 1..=1, 3700).await?;
    let lead: Lead = scene.ready("lead-1", "False", "InvalidSpec").await?;
    ensure!(message(&lead).starts_with("The platform has no channel 3700. Correct spec.channelId"), "{}", message(&lead));
    ensure!(scene.changes().await? == 0, "nothing was requested");
    scene.simulate("POST", "channels", json!({"id": 3700, "name": "New"})).await?;
    scene.annotate::<Lead>("lead-1", "operatorconnect.dev/reconcile-requested-at", "made").await?;
    scene.ready::<Lead>("lead-1", "True", "Succeeded").await?;
    // An application that may not read the topology.
    scene.fault(json!({"kind": "answer", "status": 403, "message": "", "endpoint": "channels.get", "forever": true})).await?;
    leads_in_channel(&scene, 2..=2, 3701).await?;
    let lead: Lead = scene.ready("lead-2", "False", "PlatformRefused").await?;
    ensure!(message(&lead).contains("3701"), "the platform's own words: {}", message(&lead));
    let platform: LivePlatform = scene.ready(&scene.platform, "True", "Succeeded").await?;
    ensure!(platform.status.and_then(|status| status.circuit).is_some_and(|circuit| circuit.state == CircuitState::Closed));
    Ok(())
}

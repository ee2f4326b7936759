//! A failing credential, and how soon the operator notices the correction.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use control_plane::audit;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, measured, message, ready_is};

pub async fn a_refused_token_costs_a_probe_and_a_changed_secret_helps_at_once(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=30).collect();
    scene.consented(&all).await?;
    scene.credential_of("a-wrong-secret").await?;
    scene.platform_object(json!({})).await?;
    for tenant in &all {
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in &all {
        let service: OcEssentialService = scene.ready(&format!("customer-{tenant}"), "False", "AuthenticationFailed").await?;
        ensure!(message(&service).contains("AADSTS7000215"), "the directory's own words: {}", message(&service));
    }
    scene.ready::<LivePlatform>(&scene.platform, "False", "AuthenticationFailed").await?;
    let (before, versions) = (scene.calls("token").await?, scene.versions::<OcEssentialService>().await?);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let probes = scene.calls("token").await?;
    ensure!(probes - before <= 3, "{} calls for a token in 8 s of 30 waiting services", probes - before);
    ensure!(scene.all_calls().await? == probes, "without a token the platform itself is not called");
    ensure!(scene.versions::<OcEssentialService>().await? == versions, "the same trouble is not told twice");
    // The right secret.
    let written = scene.platform_time().await?;
    scene.credential().await?;
    for tenant in &all {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    let granted = scene.log().await?.into_iter().find(|(endpoint, status, _)| endpoint == "token" && *status == 200).context("a token was given")?.2;
    measured(&format!("{probes} token calls while refused; {} ms from the Secret's write to the first token", granted.saturating_sub(written)));
    // It takes well under a second on an idle machine, but seven other cases run beside this one.
    ensure!(granted - written < 8000, "{} ms from the Secret's write to the first token", granted - written);
    ensure!(scene.calls("services.create").await? == 30);
    Ok(())
}

pub async fn a_directory_that_was_put_in_order_is_noticed_when_asked(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.fault(json!({"kind": "tokenRefused", "message": "AADSTS700016: unknown", "forever": true})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "False", "AuthenticationFailed").await?;
    // Long enough that the next scheduled probe is far away.
    for _ in 0..150 {
        if scene.calls("token").await? >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ensure!(scene.calls("token").await? == 3, "three probes: {:?}", scene.log().await?);
    scene.simulate("DELETE", "faults", Value::Null).await?;
    let asked = scene.platform_time().await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "mended").await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    let granted = scene.log().await?.into_iter().find(|(endpoint, status, _)| endpoint == "token" && *status == 200).context("a token was given")?.2;
    // The next scheduled probe would come after 16 s. Seven other cases run beside this one.
    ensure!(granted.saturating_sub(asked) < 8000, "{} ms from asking to the token", granted.saturating_sub(asked));
    Ok(())
}

pub async fn a_list_that_is_forbidden_closes_the_gate(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=10).collect();
    scene.consented(&all).await?;
    for endpoint in ["services.list", "leads.list"] {
        scene.fault(json!({"kind": "serverError", "status": 403, "message": "no role", "endpoint": endpoint, "forever": true})).await?;
    }
    scene.connect(json!({})).await?;
    for tenant in &all {
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in &all {
        let service: OcEssentialService = scene.ready(&format!("customer-{tenant}"), "False", "AuthenticationFailed").await?;
        ensure!(message(&service).contains("role"), "{}", message(&service));
    }
    let before = scene.all_calls().await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let calls = scene.all_calls().await? - before;
    ensure!(calls <= 4, "{calls} calls in 6 s of a platform that forbids them");
    scene.simulate("DELETE", "faults", Value::Null).await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "mended").await?;
    for tenant in &all {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    Ok(())
}

pub async fn the_secret_is_read_when_it_is_due(scene: Scene) -> Result<()> {
    // Without the audit log nothing can be counted: the cluster was not started here.
    let Some(log) = scene.audit.clone() else { return Ok(()) };
    let all: Vec<u32> = (1..=10).collect();
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.consented(&all).await?;
    scene.connect(json!({"observeInterval": "10m"})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    let since = audit::end(&log)?;
    // Each enqueues the platform object when it begins to wait for the leads job.
    for tenant in &all {
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "False", "AwaitingLeadsJob").await?;
    }
    let reads = || -> Result<usize> {
        let requests = audit::since(&log, since)?;
        let ours = requests.iter().filter(|request| request.user.ends_with("oc-essentials-operator"));
        Ok(ours.filter(|request| request.resource == "secrets" && request.namespace == scene.namespace).count())
    };
    ensure!(reads()? == 0, "the Secret was read {} times for nothing", reads()?);
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "look").await?;
    let looked = |platform: &LivePlatform| platform.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("look"));
    scene.until(&scene.platform, looked).await?;
    // The log line is written while the answer is still in transit.
    for _ in 0..20 {
        if reads()? > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(reads()? == 1, "who asks for a look has it read: {}", reads()?);
    let platform: LivePlatform = scene.until(&scene.platform, |_| true).await?;
    ensure!(ready_is(&platform, "True", "Succeeded"));
    Ok(())
}

//! The platform object: its references, its rules, its status.

use anyhow::{Context, Result, ensure};
use oc_api::{CircuitState, Lead, LivePlatform, OcEssentialService};
use serde_json::json;

use super::stage::{Scene, message};

pub async fn a_missing_secret_is_told_and_its_coming_noticed(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.platform_object(json!({})).await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "False", "AuthenticationFailed").await?;
    ensure!(message(&platform).contains("credential") && message(&platform).contains(&scene.namespace), "{}", message(&platform));
    scene.lead("contoso", 1, json!({})).await?;
    scene.ready::<Lead>("contoso", "False", "AuthenticationFailed").await?;
    scene.credential().await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    Ok(())
}

pub async fn a_namespace_that_is_not_allowed_is_told(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"telephony": "yes"}}}})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.until("contoso", |service: &OcEssentialService| message(service).contains("allowedNamespaces")).await?;
    ensure!(super::stage::ready_is(&service, "False", "NamespaceNotAllowed"));
    ensure!(scene.changes().await? == 0);
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace, "labels": {"telephony": "yes"}}})).await?;
    // Nobody requests a reconcile: the operator checks again within a minute.
    tokio::time::sleep(std::time::Duration::from_secs(40)).await;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    Ok(())
}

pub async fn objects_wait_for_a_platform_that_comes_later(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "PlatformNotFound").await?;
    let stalled = service.status.is_some_and(|status| status.conditions.iter().any(|condition| condition.type_ == "Stalled"));
    ensure!(!stalled, "what is applied together arrives in any order: a young object is not stalled");
    scene.connect(json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    Ok(())
}

pub async fn counts_and_circuit_are_shown(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(3), "status": "Suspended"})).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(4), "status": "Removed"})).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "One"})).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "Two", "licenseType": 5})).await?;
    scene.connect(json!({})).await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "True", "Succeeded").await?;
    let status = platform.status.context("a status")?;
    let (leads, services) = (status.leads.context("leads")?, status.services.context("services")?);
    ensure!((leads.total, leads.active, leads.suspended, leads.removed) == (4, 2, 1, 1), "{leads:?}");
    ensure!((services.total, services.oc_essential, services.other) == (2, 1, 1), "{services:?}");
    ensure!(status.circuit.is_some_and(|circuit| circuit.state == CircuitState::Closed));
    // Down: the circuit opens, and what was known stays.
    scene.simulate("POST", "faults", json!({"kind": "serverError", "forever": true})).await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "False", "PlatformUnavailable").await?;
    ensure!(platform.status.and_then(|status| status.leads).is_some_and(|leads| leads.total == 4), "what was known stays");
    let open = |platform: &LivePlatform| {
        platform.status.as_ref().and_then(|status| status.circuit.as_ref()).is_some_and(|circuit| circuit.state == CircuitState::Open)
    };
    scene.until(&scene.platform, open).await?;
    scene.simulate("DELETE", "faults", json!(null)).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    Ok(())
}

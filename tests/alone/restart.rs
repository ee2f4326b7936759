//! What is only in memory, and its loss.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::json;

use super::stage::{Scene, Stage, message, ready_is};

/// The Secret is deleted, the operator restarts, the namespace is deleted: nobody knows the credential any more.
pub async fn without_a_connection_that_was_ever_good(scene: Scene, stage: Arc<Stage>) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.service("paid", 1, json!({})).await?;
    scene.service("trial", 2, json!({"deletionPolicy": "Delete"})).await?;
    for name in ["paid", "trial"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace).delete("credential", &DeleteParams::default()).await?;
    stage.restart_operator()?;
    Api::<Namespace>::all(scene.client.clone()).delete(&scene.namespace, &DeleteParams::default()).await?;
    scene.gone::<OcEssentialService>("paid").await?;
    // It names the way out.
    let told = |service: &OcEssentialService| {
        ready_is(service, "False", "AuthenticationFailed") && ["does not exist", "Retain"].iter().all(|words| message(service).contains(words))
    };
    scene.until("trial", told).await?;
    ensure!(scene.calls("services.delete").await? == 0);
    // No Secret can be created in a namespace that is being deleted: use one elsewhere, or Retain.
    scene.change::<OcEssentialService>("trial", json!({"deletionPolicy": "Retain"})).await?;
    scene.gone::<OcEssentialService>("trial").await?;
    ensure!(scene.calls("services.delete").await? == 0, "kept");
    Ok(())
}

/// A new process finds everything as it was: it writes no object and records no event.
pub async fn nothing_is_told_again(scene: Scene, stage: Arc<Stage>) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(2), "companyName": "Waits", "status": "Suspended"})).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    scene.service("waits", 2, json!({})).await?;
    scene.service("planned", 3, json!({"mode": "Plan"})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("waits", "False", "LeadNotActive").await?;
    scene.until::<Lead>("contoso", |lead| lead.status.as_ref().is_some_and(|status| status.license_type.as_deref() == Some("OC Essential"))).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let told = async || {
        let mut names = Vec::new();
        for namespace in [scene.namespace.as_str(), "default"] {
            let events = Api::<Event>::namespaced(scene.client.clone(), namespace).list(&Default::default()).await?;
            // The platforms of other cases fail, and events about them say so.
            let ours = |event: &&Event| {
                let about = event.regarding.clone().unwrap_or_default();
                about.kind.as_deref() != Some("LivePlatform") || about.name.as_deref() == Some(scene.platform.as_str())
            };
            names.extend(events.iter().filter(ours).map(ResourceExt::name_any));
        }
        anyhow::Ok(names)
    };
    let (before, versions, lists) = (told().await?, scene.versions::<OcEssentialService>().await?, scene.calls("services.list").await?);
    // Licensed, LeadActive, LeadNotActive and PlatformConnected, or more if the service was slow.
    ensure!(before.len() >= 4, "the first process told something: {before:?}");
    stage.restart_operator()?;
    scene.annotate::<OcEssentialService>("contoso", "operatorconnect.dev/reconcile-requested-at", "after").await?;
    let handled = |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("after"));
    scene.until("contoso", handled).await?;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    ensure!(scene.calls("services.list").await? > lists, "the new process has looked");
    let after = told().await?;
    ensure!(after == before, "told again: {:?}", after.iter().filter(|name| !before.contains(name)).collect::<Vec<_>>());
    let mut now = scene.versions::<OcEssentialService>().await?;
    now.retain(|name, version| versions.get(name) != Some(version));
    ensure!(now.keys().all(|name| name == "contoso"), "written by a restart: {now:?}");
    Ok(())
}

/// A crash in the middle of many creates: the next process creates what is missing, and nothing twice.
pub async fn discovery_goes_on_where_it_was(scene: Scene, stage: Arc<Stage>) -> Result<()> {
    const MANY: u32 = 60;
    let leads: Vec<_> = (1..=MANY).map(|number| json!({"tenantId": scene.tenant(number), "companyName": "Same Name"})).collect();
    scene.simulate("POST", "leads", json!(leads)).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    let leads = Api::<Lead>::namespaced(scene.client.clone(), &scene.namespace);
    let mut before = 0;
    for _ in 0..200 {
        before = leads.list(&Default::default()).await?.items.len();
        if before >= 10 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stage.restart_operator()?;
    ensure!((10..MANY as usize).contains(&before), "{before} objects before the crash");
    let all = |platform: &LivePlatform| {
        let told = platform.status.as_ref().and_then(|status| status.lead_discovery.as_ref());
        told.is_some_and(|told| [told.matched, told.present, told.made, told.failed] == [MANY, MANY, MANY, 0])
    };
    scene.until(&scene.platform, all).await?;
    let leads = leads.list(&Default::default()).await?.items;
    let tenants: std::collections::BTreeSet<_> = leads.iter().map(|lead| &lead.spec.ms_tenant_id).collect();
    ensure!(leads.len() == MANY as usize && tenants.len() == leads.len(), "{} objects for {} tenants", leads.len(), tenants.len());
    Ok(())
}

//! A namespace that is deleted with everything in it, and a platform object that is gone.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::DeleteParams;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, measured, message, ready_is};

/// The short names of the services on the platform.
async fn left(scene: &Scene) -> Result<Vec<String>> {
    let all = scene.simulate("GET", "services", Value::Null).await?;
    let all = all["services"].as_array().cloned().unwrap_or_default();
    Ok(all.iter().filter(|service| service["deletedAt"].is_null()).filter_map(|service| service["shortName"].as_str().map(str::to_owned)).collect())
}

pub async fn a_deleted_namespace_goes_though_its_secret_goes_first(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.service("paid", 1, json!({})).await?;
    scene.service("trial", 2, json!({"deletionPolicy": "Delete"})).await?;
    scene.lead("direct", 3, json!({"consentless": {"companyName": "Direct Ltd"}, "deletionPolicy": "Delete"})).await?;
    for name in ["paid", "trial"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    scene.ready::<Lead>("direct", "True", "Succeeded").await?;
    // The Secret goes first, as in a deleted namespace: its objects have a finalizer, the Secret has none. The platform object notices.
    Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace).delete("credential", &DeleteParams::default()).await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "gone").await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "False", "AuthenticationFailed").await?;
    ensure!(message(&platform).contains("does not exist"), "{}", message(&platform));
    // An object that is not being deleted may not use the last working connection.
    scene.service("new", 4, json!({})).await?;
    scene.ready::<OcEssentialService>("new", "False", "AuthenticationFailed").await?;
    let begun = scene.platform_time().await?;
    Api::<Namespace>::all(scene.client.clone()).delete(&scene.namespace, &DeleteParams::default()).await?;
    for name in ["paid", "trial", "new"] {
        scene.gone::<OcEssentialService>(name).await?;
    }
    scene.gone::<Lead>("direct").await?;
    measured(&format!("what was in the namespace was gone {} ms after its deletion", scene.platform_time().await? - begun));
    ensure!(left(&scene).await? == ["paid"], "{:?}", left(&scene).await?);
    ensure!(scene.calls("services.delete").await? == 1 && scene.calls("leads.delete").await? == 1);
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    for _ in 0..300 {
        if namespaces.get_opt(&scene.namespace).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the namespace is still there: {:?}", namespaces.get_opt(&scene.namespace).await?.and_then(|namespace| namespace.status))
}

pub async fn a_platform_object_that_is_gone_holds_only_what_must_be_deleted(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.service("paid", 1, json!({})).await?;
    scene.service("trial", 2, json!({"deletionPolicy": "Delete"})).await?;
    for name in ["paid", "trial"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    scene.delete::<LivePlatform>(&scene.platform).await?;
    scene.gone::<LivePlatform>(&scene.platform).await?;
    for name in ["paid", "trial"] {
        scene.delete::<OcEssentialService>(name).await?;
    }
    scene.gone::<OcEssentialService>("paid").await?;
    // It names both ways out.
    let told = |service: &OcEssentialService| {
        ready_is(service, "False", "PlatformNotFound") && ["Create it", "Retain"].iter().all(|way| message(service).contains(way))
    };
    scene.until("trial", told).await?;
    // The platform object comes back without its Secret, so no connection ever worked. It still says what to do.
    Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace).delete("credential", &DeleteParams::default()).await?;
    scene.platform_object(json!({})).await?;
    let told = |service: &OcEssentialService| {
        ready_is(service, "False", "AuthenticationFailed") && ["Create it", "Retain"].iter().all(|way| message(service).contains(way))
    };
    scene.until("trial", told).await?;
    ensure!(left(&scene).await?.len() == 2 && scene.calls("services.delete").await? == 0);
    scene.credential().await?;
    scene.gone::<OcEssentialService>("trial").await?;
    ensure!(left(&scene).await? == ["paid"]);
    // The other way out.
    scene.service("paid", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready::<OcEssentialService>("paid", "True", "Succeeded").await?;
    scene.delete::<LivePlatform>(&scene.platform).await?;
    scene.gone::<LivePlatform>(&scene.platform).await?;
    scene.delete::<OcEssentialService>("paid").await?;
    scene.ready::<OcEssentialService>("paid", "False", "PlatformNotFound").await?;
    scene.change::<OcEssentialService>("paid", json!({"deletionPolicy": "Retain"})).await?;
    scene.gone::<OcEssentialService>("paid").await?;
    ensure!(left(&scene).await? == ["paid"], "kept");
    ensure!(OcEssentialService::api(&scene).list(&Default::default()).await?.items.is_empty());
    Ok(())
}

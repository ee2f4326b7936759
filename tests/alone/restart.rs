//! What is only in memory, and its loss.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::DeleteParams;
use oc_essentials_operator::api::OcEssentialService;
use serde_json::json;

use super::stage::{Scene, Stage, message, ready_is};

/// The Secret goes, the operator restarts, the namespace is deleted: nobody knows the credential any more.
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
    // It says the way out.
    let told = |service: &OcEssentialService| {
        ready_is(service, "False", "AuthenticationFailed") && ["is not there", "Retain"].iter().all(|words| message(service).contains(words))
    };
    scene.until("trial", told).await?;
    ensure!(scene.calls("services.delete").await? == 0);
    // In a namespace that is being deleted no Secret can be made: one elsewhere does, or Retain.
    scene.change::<OcEssentialService>("trial", json!({"deletionPolicy": "Retain"})).await?;
    scene.gone::<OcEssentialService>("trial").await?;
    ensure!(scene.calls("services.delete").await? == 0, "kept");
    Ok(())
}

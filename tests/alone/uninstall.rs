//! What happens to paid services when the operator, or its kinds, are removed: nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use oc_api::{Lead, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, Stage};

async fn services(scene: &Scene) -> Result<usize> {
    let all = scene.simulate("GET", "services", Value::Null).await?;
    Ok(all["services"].as_array().into_iter().flatten().filter(|service| service["deletedAt"].is_null()).count())
}

/// In this order: the operator is restarted (as an upgrade does), then the kinds are deleted while it runs, with objects that retain what they have.
pub async fn without_its_kinds_nothing_is_deleted(scene: Scene, stage: Arc<Stage>) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.lead("one", 1, json!({})).await?;
    for (name, tenant) in [("one", 1), ("two", 2)] {
        scene.service(name, tenant, json!({})).await?;
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    scene.ready::<Lead>("one", "True", "Succeeded").await?;
    let changes = scene.changes().await?;
    stage.restart_operator()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(services(&scene).await? == 2 && scene.changes().await? == changes, "a restart changes nothing");
    let kinds = Api::<CustomResourceDefinition>::all(scene.client.clone());
    // The running operator removes the objects' finalizers, so nothing hangs.
    // The platforms last, as docs/removal.md says.
    let mut names: Vec<String> = oc_api::crds::generate().into_iter().filter_map(|crd| crd.metadata.name).collect();
    names.reverse();
    for name in &names {
        kinds.delete(name, &DeleteParams::default()).await?;
    }
    'kinds: for name in &names {
        for _ in 0..300 {
            if kinds.get_opt(name).await?.is_none() {
                continue 'kinds;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{name} is still there after 30 s");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(services(&scene).await? == 2, "paid services are left alone");
    ensure!(scene.changes().await? == changes, "nothing was asked of the platform");
    stage.restore_kinds().await
}

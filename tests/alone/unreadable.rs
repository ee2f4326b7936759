//! Objects of a newer definition, as found after a rollback.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::{Value, json};

use super::stage::{Scene, Stage};

/// Installs a definition with one mode more than the operator knows.
async fn newer_definition(scene: &Scene) -> Result<()> {
    let kinds = Api::<CustomResourceDefinition>::all(scene.client.clone());
    let name = "ocessentialservices.operatorconnect.dev";
    let mut definition = serde_json::to_value(kinds.get(name).await?)?;
    let modes = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["mode"]["enum"];
    let modes = modes.as_array_mut().ok_or_else(|| anyhow::anyhow!("spec.mode has no words"))?;
    modes.push(json!("Strict"));
    let patch = json!({"spec": {"versions": definition["spec"]["versions"]}});
    kinds.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

struct Raw(Api<DynamicObject>);

impl Raw {
    /// Waits until the condition Ready has this reason, and returns the object.
    async fn says(&self, name: &str, reason: &str) -> Result<Value> {
        for _ in 0..300 {
            let object = serde_json::to_value(self.0.get(name).await?)?;
            let ready = object["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == "Ready");
            if ready.is_some_and(|ready| ready["reason"] == reason) {
                return Ok(object);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::bail!("{name} does not say {reason}: {:?}", self.0.get(name).await?)
    }
}

/// The object reports the problem, keeps what it has, and affects no other object, not even at the next start.
pub async fn an_object_of_a_newer_definition_costs_nobody_else_anything(scene: Scene, stage: Arc<Stage>) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.connect(json!({})).await?;
    scene.service("paid", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("paid", "True", "Succeeded").await?;
    newer_definition(&scene).await?;
    let raw = Raw(Api::namespaced_with(scene.client.clone(), &scene.namespace, &ApiResource::erase::<OcEssentialService>(&())));
    let mode = async |mode: &str| raw.0.patch("paid", &PatchParams::default(), &Patch::Merge(json!({"spec": {"mode": mode}}))).await;
    // The definition accepts the new value after a moment.
    while mode("Strict").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let told = raw.says("paid", "InvalidSpec").await?.to_string();
    ensure!(told.contains("can't read spec.mode: unknown variant `Strict`") && told.contains("umpCustomerGuid"), "{told}");
    scene.service("while-it-runs", 2, json!({})).await?;
    scene.ready::<OcEssentialService>("while-it-runs", "True", "Succeeded").await?;
    stage.restart_operator()?;
    scene.service("after-a-start", 3, json!({})).await?;
    scene.ready::<OcEssentialService>("after-a-start", "True", "Succeeded").await?;
    // Another object for the same tenant gets nothing.
    scene.service("second", 1, json!({"adoption": "Always"})).await?;
    scene.ready::<OcEssentialService>("second", "False", "Conflict").await?;
    scene.delete::<OcEssentialService>("second").await?;
    scene.gone::<OcEssentialService>("second").await?;
    // Its finalizer is not removed blindly; the object goes when it can be read.
    raw.0.delete("paid", &DeleteParams::default()).await?;
    for _ in 0..100 {
        if raw.0.get("paid").await?.data["status"].to_string().contains("its finalizer stays") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let going = raw.0.get("paid").await?;
    ensure!(going.data["status"].to_string().contains("Until then its finalizer stays") && going.finalizers().len() == 1, "{going:?}");
    mode("Apply").await?;
    scene.gone::<OcEssentialService>("paid").await?;
    ensure!(scene.calls("services.create").await? == 3 && scene.calls("services.delete").await? == 0);
    Ok(())
}

//! Others who write the same objects: a restore, `kubectl replace`, a policy engine.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const OPERATION: &str = "operatorconnect.dev/operation";

/// A platform that accepts a second create, so that a second request is noticed.
async fn begin(scene: &Scene, tenants: &[u32], settings: Value) -> Result<()> {
    scene.consented(tenants).await?;
    scene.simulate("PATCH", "settings", json!({"secondCreate": "allowed"})).await?;
    let mut settings = settings;
    settings["syncJobs"] = scene.http_jobs()["syncJobs"].take();
    scene.connect(settings).await
}

/// The manifest that a person has, without what the operator wrote.
async fn manifest(scene: &Scene, name: &str) -> Result<OcEssentialService> {
    let mut object = OcEssentialService::api(scene).get(name).await?;
    let kept = object.metadata.clone();
    object.metadata = Default::default();
    (object.metadata.name, object.metadata.namespace) = (kept.name, kept.namespace);
    object.status = None;
    Ok(object)
}

/// `kubectl replace`, whatever the object has become.
async fn replace(scene: &Scene, object: &OcEssentialService) -> Result<()> {
    let api = OcEssentialService::api(scene);
    for _ in 0..20 {
        let mut object = object.clone();
        object.metadata.resource_version = api.get(&object.name_any()).await?.resource_version();
        match api.replace(&object.name_any(), &PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => return other.map(drop).context("replaced"),
        }
    }
    anyhow::bail!("the object is never left alone")
}

/// A restore tool writes a whole status with its own update.
async fn restore_status(scene: &Scene, name: &str, status: Value) -> Result<()> {
    let api = OcEssentialService::api(scene);
    for _ in 0..20 {
        let mut object = serde_json::to_value(api.get(name).await?)?;
        object["status"] = status.clone();
        let object = serde_json::from_value(object)?;
        match api.replace_status(name, &PostParams { field_manager: Some("velero-server".into()), ..PostParams::default() }, &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => return other.map(drop).context("restored"),
        }
    }
    anyhow::bail!("the object is never left alone")
}

async fn one_service(scene: &Scene) -> Result<()> {
    let creates = scene.calls("services.create").await?;
    ensure!(creates == 1, "asked for {creates} times");
    Ok(())
}

pub async fn a_replace_while_the_request_is_under_way_makes_no_second_service(scene: Scene) -> Result<()> {
    begin(&scene, &[1], json!({})).await?;
    scene.fault(json!({"kind": "delay", "endpoint": "services.create", "delay": 2000, "executed": true})).await?;
    scene.service("contoso", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.until("contoso", |service: &OcEssentialService| service.annotations().contains_key(OPERATION)).await?;
    replace(&scene, &manifest(&scene, "contoso").await?).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    one_service(&scene).await?;
    // What was removed is back, and the object goes with its service.
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1, "nothing that is paid for is left behind");
    Ok(())
}

pub async fn a_tool_that_puts_its_manifest_again_and_again_makes_no_second_service(scene: Scene) -> Result<()> {
    begin(&scene, &[1, 2, 3, 4], json!({})).await?;
    scene.simulate("PATCH", "settings", json!({"latency": 150})).await?;
    let names = ["one", "two", "three", "four"];
    for (tenant, name) in (1u32..).zip(names) {
        scene.service(name, tenant, json!({})).await?;
    }
    for _ in 0..12 {
        for name in names {
            replace(&scene, &manifest(&scene, name).await?).await?;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    for name in names {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    let creates = scene.calls("services.create").await?;
    ensure!(creates == 4, "four services were asked for {creates} times");
    Ok(())
}

/// Another manager restores an old status and owns its fields from then on.
pub async fn a_restored_status_ends_no_create_and_nothing_of_it_stays(scene: Scene) -> Result<()> {
    begin(&scene, &[1], json!({})).await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 3000})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let running: OcEssentialService = scene.ready("contoso", "False", "Converting").await?;
    let intent: Value = serde_json::from_str(running.annotations().get(OPERATION).context("an intent")?)?;
    // The outcome of another operation beside the id of this one, and outdated conditions; one is of a type that is not the operator's.
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "x", "lastTransitionTime": "2025-01-01T00:00:00Z", "observedGeneration": 1});
    let restored = json!({
        "observedGeneration": 1, "licenseType": "OC Pro",
        "operation": {"kind": "Create", "id": intent["id"], "outcome": "Failed", "startedTime": intent["start"], "completedTime": "2025-01-01T00:00:00Z"},
        "conditions": [
            condition("Ready", "False", "LeadNotActive"), condition("Stalled", "True", "LeadNotActive"), condition("example.com/Backed", "True", "Succeeded"),
        ],
    });
    restore_status(&scene, "contoso", restored).await?;
    let ready: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    one_service(&scene).await?;
    let status = ready.status.context("a status")?;
    let kinds: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    ensure!(!kinds.contains(&"Stalled") && !kinds.contains(&"Reconciling"), "what is over is taken away: {kinds:?}");
    ensure!(kinds.contains(&"example.com/Backed"), "what is somebody else's is kept: {kinds:?}");
    ensure!(status.license_type.as_deref() == Some("OC Essential"));
    // After that, nothing is written any more.
    let versions = scene.versions::<OcEssentialService>().await?;
    scene.annotate::<OcEssentialService>("contoso", "example.com/note", "look").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let own = OcEssentialService::api(&scene).get("contoso").await?;
    ensure!(own.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("velero-server")), "the tool has written");
    ensure!(versions.len() == 1 && scene.calls("services.create").await? == 1);
    Ok(())
}

/// The three ways to restore a namespace, each onto an object whose create runs and onto one that is being deleted.
pub async fn a_namespace_is_restored_in_the_middle_of_creates_and_deletions(scene: Scene) -> Result<()> {
    begin(&scene, &[1, 2, 3, 4, 5, 6], json!({})).await?;
    let ways = ["replaced", "applied", "bare"];
    // The objects about to be deleted, as they were when the backup was made.
    let mut backups = Vec::new();
    for (tenant, way) in (4u32..).zip(ways) {
        let name = format!("going-{way}");
        scene.service(&name, tenant, json!({"deletionPolicy": "Delete"})).await?;
        backups.push(scene.ready::<OcEssentialService>(&name, "True", "Succeeded").await?);
    }
    scene.simulate("PATCH", "settings", json!({"taskDuration": 4000, "deletionDelay": 2000})).await?;
    for (tenant, way) in (1u32..).zip(ways) {
        scene.service(&format!("coming-{way}"), tenant, json!({})).await?;
        scene.ready::<OcEssentialService>(&format!("coming-{way}"), "False", "Converting").await?;
    }
    for way in ways {
        scene.delete::<OcEssentialService>(&format!("going-{way}")).await?;
    }
    for (way, backup) in ways.into_iter().zip(&backups) {
        restore(&scene, way, &format!("coming-{way}"), None).await?;
        restore(&scene, way, &format!("going-{way}"), Some(backup)).await?;
    }
    for way in ways {
        let coming: OcEssentialService = scene.ready(&format!("coming-{way}"), "True", "Succeeded").await?;
        ensure!(coming.status.is_some_and(|status| status.ump_customer_guid.is_some()));
        scene.gone::<OcEssentialService>(&format!("going-{way}")).await?;
    }
    let (creates, left) = (scene.calls("services.create").await?, scene.simulate("GET", "services", Value::Null).await?);
    ensure!(creates == 6, "six services were asked for {creates} times");
    let left = left["services"].as_array().context("services")?.len();
    ensure!(left == 3, "three services are there, not {left}");
    Ok(())
}

/// Restores an object as it was in the backup, or as it is now: with status by a replace, by server-side apply of another manager, or without its status.
async fn restore(scene: &Scene, way: &str, name: &str, backup: Option<&OcEssentialService>) -> Result<()> {
    let api = OcEssentialService::api(scene);
    let Some(now) = api.get_opt(name).await? else { return Ok(()) };
    let mut object = backup.cloned().unwrap_or_else(|| now.clone());
    match way {
        "replaced" => {
            let status = serde_json::to_value(&object)?["status"].take();
            // A deleted object can no longer be replaced once it is terminating, but its status can be restored.
            if now.metadata.deletion_timestamp.is_none() {
                replace(scene, &manifest(scene, name).await?).await?;
            }
            if api.get_opt(name).await?.is_some() {
                restore_status(scene, name, status).await?;
            }
        }
        "applied" => {
            object.metadata.managed_fields = None;
            object.metadata.resource_version = None;
            let params = PatchParams::apply("restore-tool").force();
            let mut applied = serde_json::to_value(&object)?;
            applied["apiVersion"] = json!("operatorconnect.dev/v1alpha1");
            applied["kind"] = json!("OcEssentialService");
            applied["metadata"] = json!({"name": name, "namespace": scene.namespace, "annotations": object.annotations()});
            let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
            if let Err(error) = api.patch_status(name, &params, &Patch::Apply(applied)).await
                && !gone(&error)
            {
                return Err(error.into());
            }
        }
        _ => {
            let nothing = json!({"status": null});
            match api.patch_status(name, &PatchParams::default(), &Patch::Merge(nothing)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => drop(other?),
            }
        }
    }
    Ok(())
}

/// A mutating policy that keeps only known annotations.
pub async fn a_policy_that_strips_the_record_stops_the_request_and_is_told(scene: Scene) -> Result<()> {
    begin(&scene, &[1], json!({})).await?;
    let (name, namespace) = (scene.namespace.clone(), scene.namespace.clone());
    let rules = json!({
        "resourceRules": [{"apiGroups": ["operatorconnect.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["ocessentialservices"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    });
    let expression = "has(object.metadata.annotations) && 'operatorconnect.dev/operation' in object.metadata.annotations ? [JSONPatch{op: 'remove', path: '/metadata/annotations/operatorconnect.dev~1operation'}] : []";
    scene
        .apply(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": rules,
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
            },
        }))
        .await?;
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {"policyName": name}});
    scene.apply(binding.clone()).await?;
    // A policy takes effect a moment after it was created.
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.service("contoso", 1, json!({})).await?;
    let told = |service: &OcEssentialService| ready_is(service, "False", "ProgressingWithRetry") && message(service).contains("drops the annotation");
    scene.until::<OcEssentialService>("contoso", told).await?;
    ensure!(scene.calls("services.create").await? == 0, "nothing is asked for while its record is taken away");
    let binding = serde_json::from_value::<kube::core::DynamicObject>(binding)?;
    let resource = kube::core::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding"),
        "mutatingadmissionpolicybindings",
    );
    Api::<kube::core::DynamicObject>::all_with(scene.client.clone(), &resource).delete(&binding.name_any(), &DeleteParams::default()).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    one_service(&scene).await
}

/// A policy that refuses finalizers: the API server rejects each intent.
pub async fn a_refused_write_is_told_and_tried_ever_more_rarely(scene: Scene) -> Result<()> {
    begin(&scene, &[1], json!({})).await?;
    let name = scene.namespace.clone();
    scene
        .apply(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [{"apiGroups": ["operatorconnect.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["ocessentialservices"]}],
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                },
                "validations": [{"expression": "!has(object.metadata.finalizers)", "message": "finalizers are not allowed here"}],
            },
        }))
        .await?;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    scene.apply(binding).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.service("contoso", 1, json!({})).await?;
    let told =
        |service: &OcEssentialService| ready_is(service, "False", "ProgressingWithRetry") && message(service).contains("finalizers are not allowed here");
    scene.until::<OcEssentialService>("contoso", told).await?;
    let passes = scene.passes("contoso", "could not write the object; retrying")?.len();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let more = scene.passes("contoso", "could not write the object; retrying")?.len() - passes;
    ensure!(more <= 4, "{more} tries in ten seconds");
    ensure!(scene.calls("services.create").await? == 0);
    Api::<ValidatingAdmissionPolicyBinding>::all(scene.client.clone()).delete(&name, &DeleteParams::default()).await?;
    Api::<ValidatingAdmissionPolicy>::all(scene.client.clone()).delete(&name, &DeleteParams::default()).await?;
    scene.annotate::<OcEssentialService>("contoso", "operatorconnect.dev/reconcile-requested-at", "now").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    one_service(&scene).await
}

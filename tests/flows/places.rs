//! What is unique is unique at a platform's place, whichever names point there. Only an object that could request something holds it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const ALLOWED: &str = "operatorconnect.example.com/customers";

fn second(scene: &Scene) -> String {
    format!("{}-b", scene.platform)
}

/// A second platform object for the case's platform, with its url spelt differently.
async fn another_name(scene: &Scene, change: Value) -> Result<String> {
    let name = second(scene);
    let mut spec = scene.platform_spec(&scene.simulator);
    let url = spec["url"].as_str().context("a url")?.replace("/tenantui", "/x/../tenantui/").replace("http:", "HTTP:");
    spec["url"] = url.into();
    for (key, value) in change.as_object().into_iter().flatten() {
        spec[key.as_str()] = value.clone();
    }
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": name}, "spec": spec})).await?;
    scene.ready::<LivePlatform>(&name, "True", "Succeeded").await?;
    Ok(name)
}

/// Deletes the platform object that a case has created beside its own.
async fn away(scene: &Scene) -> Result<()> {
    Api::<LivePlatform>::all(scene.client.clone()).delete(&second(scene), &DeleteParams::default()).await?;
    Ok(())
}

fn selector() -> Value {
    json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {ALLOWED: "true"}}}})
}

/// The case's namespace may use the platform; the other one, whose name is returned, may not.
async fn namespaces(scene: &Scene) -> Result<String> {
    let evil = format!("{}-evil", scene.namespace);
    let namespace = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    scene.apply(namespace(&scene.namespace, json!({ALLOWED: "true"}))).await?;
    scene.apply(namespace(&evil, json!({}))).await?;
    Ok(evil)
}

/// Two `LivePlatform` objects for one platform share it: one service for a tenant, and one short name.
pub async fn two_platform_objects_of_one_place_share_tenants_and_names(scene: Scene) -> Result<()> {
    scene.simulate("PATCH", "settings", json!({"secondCreate": "allowed"})).await?;
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    let other = another_name(&scene, json!({})).await?;
    scene.service("first", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("first", "True", "Succeeded").await?;
    scene.service("same-tenant", 1, json!({"platform": other})).await?;
    scene.service("same-name", 2, json!({"platform": other, "shortName": "FIRST"})).await?;
    for (name, what) in [("same-tenant", "tenant"), ("same-name", "short name")] {
        let service: OcEssentialService = scene.ready(name, "False", "Conflict").await?;
        ensure!(message(&service).contains(&format!("{}/first (same {what})", scene.namespace)), "{}", message(&service));
    }
    ensure!(scene.calls("services.create").await? == 1, "one service for a tenant");
    // Nothing is lost: when the first is released, the second has its turn.
    scene.delete::<OcEssentialService>("first").await?;
    scene.gone::<OcEssentialService>("first").await?;
    scene.until("same-tenant", |service: &OcEssentialService| !ready_is(service, "False", "Conflict") || !message(service).contains("/first ")).await?;
    ensure!(scene.calls("services.create").await? == 1, "the service is there already");
    away(&scene).await
}

/// An object on one platform object never deletes the service of an object on another one of the same place.
pub async fn a_service_of_another_platform_objects_object_is_not_deleted(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    let other = another_name(&scene, json!({})).await?;
    scene.service("one", 1, json!({"deletionPolicy": "Delete"})).await?;
    let one: OcEssentialService = scene.ready("one", "True", "Succeeded").await?;
    let guid = one.status.as_ref().and_then(|status| status.ump_customer_guid.clone()).context("a guid")?;
    // The state that two operators leave, or two platform objects before they were known to share a place: both objects have the service.
    scene.service("two", 1, json!({"platform": other, "suspend": true, "shortName": "one", "fullName": "one Ltd"})).await?;
    scene.ready::<OcEssentialService>("two", "False", "Suspended").await?;
    let status = json!({"status": {"umpCustomerGuid": guid, "platform": other, "msTenantId": scene.tenant(1), "licenseType": "OC Essential"}});
    OcEssentialService::api(&scene).patch_status("two", &PatchParams::default(), &Patch::Merge(status)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.delete::<OcEssentialService>("one").await?;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(scene.calls("services.delete").await? == 0, "the service that the other object has is deleted");
    }
    scene.change::<OcEssentialService>("one", json!({"deletionPolicy": "Retain"})).await?;
    scene.gone::<OcEssentialService>("one").await?;
    away(&scene).await
}

/// `spec.deletions.perHour` is one limit for a place, and the lowest of all applies.
pub async fn deletions_are_counted_for_a_place(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.connect(json!({"deletions": {"perHour": 5}})).await?;
    let other = another_name(&scene, json!({"deletions": {"perHour": 1}})).await?;
    for (name, tenant, platform) in [("one", 1, &scene.platform), ("two", 2, &other), ("three", 3, &scene.platform)] {
        scene.service(name, tenant, json!({"platform": platform, "deletionPolicy": "Delete"})).await?;
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    scene.delete::<OcEssentialService>("one").await?;
    scene.gone::<OcEssentialService>("one").await?;
    for name in ["two", "three"] {
        scene.delete::<OcEssentialService>(name).await?;
    }
    for name in ["two", "three"] {
        scene.ready::<OcEssentialService>(name, "False", "DeletionRateExceeded").await?;
    }
    ensure!(scene.calls("services.delete").await? == 1, "one in an hour, whatever object it is asked by");
    for (platform, name) in [(&scene.platform, "three"), (&other, "two")] {
        scene.annotate::<LivePlatform>(platform, "operatorconnect.dev/approve-deletions", "meant").await?;
        scene.gone::<OcEssentialService>(name).await?;
    }
    away(&scene).await
}

/// An older object that could never request anything holds neither a tenant nor a short name.
pub async fn what_could_not_ask_holds_nothing(scene: Scene) -> Result<()> {
    let evil = namespaces(&scene).await?;
    scene.consented(&[1, 2, 3, 4, 5]).await?;
    scene.connect(selector()).await?;
    let squat = |name: &str, tenant: u32, change: Value| {
        let mut spec = json!({"platform": scene.platform, "msTenantId": scene.tenant(tenant), "shortName": name.replace('-', "_"), "fullName": "Squat Ltd"});
        for (key, value) in change.as_object().into_iter().flatten() {
            spec[key.as_str()] = value.clone();
        }
        json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": evil}, "spec": spec})
    };
    scene.apply(squat("by-tenant", 1, json!({}))).await?;
    scene.apply(squat("by-name", 99, json!({"shortName": "VICTIM_2"}))).await?;
    let lead = json!({"platform": scene.platform, "msTenantId": scene.tenant(1)});
    let lead = json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": {"name": "squat", "namespace": evil}, "spec": lead});
    scene.apply(lead).await?;
    // In an allowed namespace: objects whose spec keeps them from requesting anything.
    scene.service("suspended", 3, json!({"suspend": true})).await?;
    scene.service("observes", 4, json!({"mode": "Observe"})).await?;
    scene.service("plans", 5, json!({"mode": "Plan"})).await?;
    scene.ready::<OcEssentialService>("plans", "False", "PlanReady").await?;
    // Age counts in whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for tenant in 1..=5 {
        scene.service(&format!("victim-{tenant}"), tenant, json!({})).await?;
    }
    scene.lead("victim", 1, json!({})).await?;
    for tenant in 1..=5 {
        scene.ready::<OcEssentialService>(&format!("victim-{tenant}"), "True", "Succeeded").await?;
    }
    scene.ready::<Lead>("victim", "True", "Succeeded").await?;
    // What an object has is protected, even if its namespace may no longer use the platform.
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": evil, "labels": {ALLOWED: "true"}}})).await?;
    let squatter = Api::<OcEssentialService>::namespaced(scene.client.clone(), &evil);
    for _ in 0..300 {
        if squatter.get("by-tenant").await.is_ok_and(|service| ready_is(&service, "False", "Conflict")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    ensure!(ready_is(&squatter.get("by-tenant").await?, "False", "Conflict"), "the one that has the service keeps it");
    ensure!(scene.calls("services.create").await? == 5);
    Ok(())
}

/// Discovery creates an object for a lead whose only object is in a namespace that may not use the platform. Two platforms that discover into one namespace
/// both get their objects.
pub async fn discovery_is_kept_by_nobody_from_its_objects(scene: Scene) -> Result<()> {
    let evil = namespaces(&scene).await?;
    scene.consented(&[1, 2]).await?;
    let squat = json!({"platform": scene.platform, "msTenantId": scene.tenant(1)});
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": {"name": "squat", "namespace": evil}, "spec": squat})).await?;
    // A lead of another platform already has the name.
    let name = scene.found("company-2", 2);
    scene.lead(&name, 2, json!({"platform": "another"})).await?;
    let mut spec = selector();
    spec["leadDiscovery"] = json!({"namespace": scene.namespace});
    scene.connect(spec).await?;
    scene.ready::<Lead>(&scene.found("company-1", 1), "True", "Succeeded").await?;
    scene.ready::<Lead>(&format!("company-2-{}", scene.tenant(2)), "True", "Succeeded").await?;
    let left: Lead = scene.until(&name, |_| true).await?;
    ensure!(left.spec.platform == "another", "what a person has made is left alone");
    Ok(())
}

/// A changed client secret that the directory does not know yet leaves every object Ready: the previous one still works.
pub async fn a_rotated_secret_that_is_not_known_yet_costs_nothing(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=5).collect();
    scene.consented(&all).await?;
    scene.connect(json!({})).await?;
    for tenant in &all[..4] {
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
    }
    for tenant in &all[..4] {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    scene.credential_of("a-secret-that-is-not-known-yet").await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "rotated").await?;
    let told = |platform: &LivePlatform| ready_is(platform, "False", "ProgressingWithRetry") && message(platform).contains("AADSTS7000215");
    scene.until(&scene.platform, told).await?;
    // The objects go on, and new ones are created.
    scene.service("customer-5", 5, json!({})).await?;
    scene.ready::<OcEssentialService>("customer-5", "True", "Succeeded").await?;
    for _ in 0..30 {
        for tenant in &all {
            let service: OcEssentialService = scene.until(&format!("customer-{tenant}"), |_| true).await?;
            ensure!(ready_is(&service, "True", "Succeeded"), "customer-{tenant}: {:?}", service.told());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Once the status reports the new secret as accepted, the previous one may be removed.
    scene.credential().await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 5);
    Ok(())
}

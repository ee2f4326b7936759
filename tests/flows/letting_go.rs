//! What prevents a service from being deleted with its object, and what does not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

/// Gives a tenant telephone numbers.
async fn numbers(scene: &Scene, tenant: u32, count: u32) -> Result<()> {
    scene.simulate("POST", "numbers", json!({"tenantId": scene.tenant(tenant), "count": count})).await?;
    Ok(())
}

pub async fn a_tenant_with_telephone_numbers_keeps_its_service(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.connect(json!({})).await?;
    for tenant in 1..=3 {
        let guard = if tenant == 3 { json!({"deletionGuard": "None"}) } else { json!({}) };
        let name = format!("customer-{tenant}");
        scene.service(&name, tenant, json!({"deletionPolicy": "Delete"})).await?;
        scene.change::<OcEssentialService>(&name, guard).await?;
        scene.ready::<OcEssentialService>(&name, "True", "Succeeded").await?;
        numbers(&scene, tenant, 2 + tenant).await?;
    }
    for tenant in 1..=2 {
        let name = format!("customer-{tenant}");
        scene.delete::<OcEssentialService>(&name).await?;
        let blocked: OcEssentialService = scene.ready(&name, "False", "DeletionBlocked").await?;
        let told = message(&blocked);
        ensure!(told.contains(&format!("{} telephone numbers", 2 + tenant)) && told.contains("deletionGuard") && told.contains("Retain"), "{told}");
        let stalled = blocked.status.is_some_and(|status| status.conditions.iter().any(|condition| condition.type_ == "Stalled"));
        ensure!(stalled, "a person must act");
    }
    ensure!(scene.calls("services.delete").await? == 0, "left alone");
    // The operator accepts `deletionGuard: None`, before the deletion and while it waits.
    scene.delete::<OcEssentialService>("customer-3").await?;
    scene.gone::<OcEssentialService>("customer-3").await?;
    scene.change::<OcEssentialService>("customer-2", json!({"deletionGuard": "None"})).await?;
    scene.gone::<OcEssentialService>("customer-2").await?;
    ensure!(scene.calls("services.delete").await? == 2);
    // A reconcile request changes nothing while the numbers exist; once they are released, the object goes.
    scene.annotate::<OcEssentialService>("customer-1", RECONCILE, "early").await?;
    let handled = |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("early"));
    scene.until("customer-1", handled).await?;
    scene.ready::<OcEssentialService>("customer-1", "False", "DeletionBlocked").await?;
    scene.simulate("DELETE", &format!("numbers/{}", scene.tenant(1)), Value::Null).await?;
    scene.annotate::<OcEssentialService>("customer-1", RECONCILE, "released").await?;
    scene.gone::<OcEssentialService>("customer-1").await?;
    ensure!(scene.calls("services.delete").await? == 3);
    Ok(())
}

/// The task has reported the guid, and no list shows the service: it is deleted by that guid, and the object goes when the platform knows no such service.
pub async fn a_service_that_no_list_shows_is_deleted_by_what_its_task_has_told(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("PATCH", "settings", json!({"serviceVisibilityDelay": 3_600_000})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({"deletionPolicy": "Delete"})).await?;
    let task_ended = |service: &OcEssentialService| {
        let operation = service.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.task_ended_time.is_some())
    };
    let service: OcEssentialService = scene.until("contoso", task_ended).await?;
    let status = service.status.unwrap_or_default();
    ensure!(status.ump_customer_guid.is_some() && status.license_type.is_none(), "{status:?}");
    scene.delete::<OcEssentialService>("contoso").await?;
    for _ in 0..120 {
        if scene.calls("services.delete").await? == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ensure!(scene.calls("services.delete").await? == 2, "asked for, and once more: that it is not found is the proof");
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.create").await? == 1);
    Ok(())
}

/// Whatever the reason for the missing numbers: a platform in deployment, a gateway without a route, a release without the call.
pub async fn a_platform_that_does_not_tell_the_numbers_deletes_nothing(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    for tenant in 1..=2 {
        let name = format!("customer-{tenant}");
        scene.service(&name, tenant, json!({"deletionPolicy": "Delete"})).await?;
        scene.ready::<OcEssentialService>(&name, "True", "Succeeded").await?;
        numbers(&scene, tenant, 250).await?;
    }
    for status in [404, 405, 410, 501] {
        scene.fault(json!({"kind": "serverError", "status": status, "endpoint": "numbers.list", "forever": true})).await?;
        if status == 404 {
            scene.delete::<OcEssentialService>("customer-1").await?;
            scene.delete::<OcEssentialService>("customer-2").await?;
        }
        for name in ["customer-1", "customer-2"] {
            let asked = status.to_string();
            scene.annotate::<OcEssentialService>(name, RECONCILE, &asked).await?;
            let handled =
                |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_ref() == Some(&asked));
            let blocked = scene.until(name, handled).await?;
            let told = message(&blocked);
            ensure!(ready_is(&blocked, "False", "DeletionBlocked"), "{status}: {told}");
            ensure!(told.contains("does not say") && told.contains("spec.deletionGuard to None"), "{status}: {told}");
        }
        scene.simulate("DELETE", "faults", Value::Null).await?;
    }
    ensure!(scene.calls("services.delete").await? == 0, "250 people's numbers were in use");
    // Once reported again, the numbers count. And `deletionGuard: None` is accepted although they are not reported.
    scene.annotate::<OcEssentialService>("customer-1", RECONCILE, "again").await?;
    scene.until("customer-1", |service: &OcEssentialService| message(service).contains("250 telephone numbers")).await?;
    let known = |platform: &LivePlatform| platform.status.as_ref().is_some_and(|status| status.capabilities.iter().any(|call| call.name == "Numbers"));
    scene.until(&scene.platform, known).await?;
    scene.fault(json!({"kind": "serverError", "status": 404, "endpoint": "numbers.list", "forever": true})).await?;
    scene.change::<OcEssentialService>("customer-2", json!({"deletionGuard": "None"})).await?;
    scene.gone::<OcEssentialService>("customer-2").await?;
    ensure!(scene.calls("services.delete").await? == 1);
    Ok(())
}

pub async fn deleting_needs_no_lead_object_and_no_valid_spec(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    let by_lead = json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}, "shortName": "Contoso-NL", "deletionPolicy": "Delete"});
    scene.service("contoso", 1, by_lead).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    // First its lead object goes, then comes a rule that its short name breaks. The rule is for creates only, and the service is still observed.
    scene.delete::<Lead>("contoso").await?;
    scene.gone::<Lead>("contoso").await?;
    scene.change::<LivePlatform>(&scene.platform, json!({"shortNameRule": "Alphanumeric"})).await?;
    scene.annotate::<OcEssentialService>("contoso", "operatorconnect.dev/reconcile-requested-at", "after the rule").await?;
    let handled =
        |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("after the rule"));
    let service = scene.until("contoso", handled).await?;
    ensure!(ready_is(&service, "True", "Succeeded"), "{}", message(&service));
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1);
    ensure!(!scene.simulate("GET", "services", Value::Null).await?["services"].to_string().contains(guid.as_str()), "it is gone from the platform");
    Ok(())
}

/// When the operator requested changes of an object, in milliseconds, and whether they were sent. Taken from its own log, so that the speed of the machine does
/// not matter.
fn asked(scene: &Scene, name: &str) -> Result<Vec<(i64, bool)>> {
    let entry = |line: &Value| -> Result<(i64, bool)> {
        let at: jiff::Timestamp = line["timestamp"].as_str().context("a time")?.parse()?;
        Ok((at.as_millisecond(), !line["answer"].as_str().context("an answer")?.starts_with("NotSent")))
    };
    scene.passes(name, "requested a change")?.iter().map(entry).collect()
}

/// When the operator reconciled an object and reported that its spec cannot be followed, in milliseconds.
fn tried(scene: &Scene, name: &str) -> Result<Vec<i64>> {
    let passes = scene.passes(name, "reconciled")?;
    let invalid = passes.iter().filter(|line| line["reason"] == "InvalidSpec");
    invalid.map(|line| Ok(line["timestamp"].as_str().context("a time")?.parse::<jiff::Timestamp>()?.as_millisecond())).collect()
}

pub async fn a_changed_spec_is_tried_at_once_however_long_the_next_try_was_away(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(scene.http_jobs()).await?;
    let settings = json!({"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com", "variablesFrom": {"secretRef": {"name": "pbx"}}});
    scene.service("northwind", 1, json!({"advancedSettings": settings})).await?;
    scene.ready::<OcEssentialService>("northwind", "False", "InvalidSpec").await?;
    // Retried after 1, 2, 4 and 8 s; the next retry would be 16 s later.
    let mut tries = Vec::new();
    for _ in 0..120 {
        tries = tried(&scene, "northwind")?;
        if tries.len() >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    ensure!(tries.len() >= 5 && asked(&scene, "northwind")?.is_empty(), "five tries, and nothing was asked for: {tries:?}");
    // The object has no intent: the request was never complete, and a restart has nothing to look for.
    let waiting = OcEssentialService::api(&scene).get("northwind").await?;
    ensure!(!waiting.annotations().contains_key("operatorconnect.dev/operation"), "{:?}", waiting.annotations());
    scene
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pbx", "namespace": scene.namespace}, "stringData": {"CustomVar.Pbx": "x"}}))
        .await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ensure!(scene.calls("services.create").await? == 0, "its time has not come");
    scene.change::<OcEssentialService>("northwind", json!({"fullName": "Northwind, corrected"})).await?;
    scene.ready::<OcEssentialService>("northwind", "True", "Succeeded").await?;
    let (sent, _) = asked(&scene, "northwind")?.into_iter().find(|(_, sent)| *sent).context("the create was asked for")?;
    let after = sent - tried(&scene, "northwind")?.last().context("a try")?;
    ensure!(after < 15_000, "the changed spec waited for the next try of the old one: {after} ms after the last");
    Ok(())
}

//! Modes that change nothing, and a lost status.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::PostParams;
use oc_api::{OcEssentialService, OcEssentialServiceStatus};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message};

/// The plan lists its steps item by item: action, field, from, to.
async fn plans(scene: &Scene) -> Result<()> {
    let planned: OcEssentialService = scene.ready("new-1", "False", "PlanReady").await?;
    let plan: Vec<_> = planned.status.context("a status")?.plan.into_iter().map(|item| (item.action, item.field, item.from, item.to)).collect();
    let create = |field: &str, to: &str| ("Create".to_owned(), Some(field.to_owned()), None, Some(to.to_owned()));
    let wanted = [
        create("msTenantId", &scene.tenant(1)),
        create("shortName", "new_1"),
        create("fullName", "new-1 Ltd"),
        create("channelId", "7"),
        create("advancedSettings", "SIP connection by IP group"),
    ];
    ensure!(plan == wanted, "{plan:?}");
    let planned: OcEssentialService = scene.ready("there-3", "False", "PlanReady").await?;
    let plan = planned.status.context("a status")?.plan;
    ensure!(plan.len() == 1 && plan[0].action == "Adopt" && plan[0].field.as_deref() == Some("umpCustomerGuid") && plan[0].from.is_none(), "{plan:?}");
    let guid = plan[0].to.clone().context("the guid")?;
    ensure!(scene.simulate("GET", "services", Value::Null).await?.to_string().contains(&guid), "the guid of the service that is there");
    Ok(())
}

pub async fn observe_and_plan_change_nothing_in_a_whole_life(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3, 4]).await?;
    for tenant in [3, 4] {
        scene
            .simulate(
                "POST",
                "services",
                json!({"tenantId": scene.tenant(tenant), "shortName": format!("there_{tenant}"), "fullName": format!("there-{tenant} Ltd")}),
            )
            .await?;
    }
    // Any change is refused, and counted.
    for endpoint in
        ["leads.create", "leads.delete", "leads.convert", "services.create", "services.delete", "services.upgrade", "channels.assign", "channels.remove"]
    {
        scene.fault(json!({"kind": "serverError", "status": 500, "endpoint": endpoint, "forever": true})).await?;
    }
    scene.connect(json!({})).await?;
    let settings = json!({"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com"});
    scene.service("new-1", 1, json!({"mode": "Plan", "deletionPolicy": "Delete", "channelId": 7, "advancedSettings": settings})).await?;
    scene.service("new-2", 2, json!({"mode": "Observe", "deletionPolicy": "Delete"})).await?;
    scene.service("there-3", 3, json!({"mode": "Plan", "deletionPolicy": "Delete"})).await?;
    scene.service("there-4", 4, json!({"mode": "Observe", "deletionPolicy": "Delete"})).await?;
    plans(&scene).await?;
    for name in ["new-2", "there-4"] {
        let observed: OcEssentialService = scene.ready(name, "False", "Observing").await?;
        ensure!(message(&observed).contains("Observe"), "{}", message(&observed));
    }
    // Reconciled again, changed in its spec, and deleted.
    for name in ["new-1", "new-2", "there-3", "there-4"] {
        scene.annotate::<OcEssentialService>(name, "operatorconnect.dev/reconcile-requested-at", "again").await?;
        scene.change::<OcEssentialService>(name, json!({"fullName": "Another name"})).await?;
        let handled = |service: &OcEssentialService| {
            let status = service.status.clone().unwrap_or_default();
            status.last_handled_reconcile_at.as_deref() == Some("again") && status.observed_generation == service.metadata.generation
        };
        let service: OcEssentialService = scene.until(name, handled).await?;
        ensure!(service.finalizers().is_empty(), "{name}: what changes nothing takes no hold");
    }
    let planned: OcEssentialService = scene.until("new-1", |_| true).await?;
    ensure!(planned.status.context("a status")?.plan.iter().any(|item| item.to.as_deref() == Some("Another name")), "the plan follows the spec");
    for name in ["new-1", "new-2", "there-3", "there-4"] {
        scene.delete::<OcEssentialService>(name).await?;
        scene.gone::<OcEssentialService>(name).await?;
    }
    ensure!(scene.changes().await? == 0, "nothing was asked for");
    let left = scene.simulate("GET", "services", Value::Null).await?;
    ensure!(left["services"].as_array().is_some_and(|left| left.iter().filter(|service| service["deletedAt"].is_null()).count() == 2), "{left}");
    Ok(())
}

/// The effect of a restore that drops status, or of `kubectl replace --subresource=status`.
async fn wipe(scene: &Scene, name: &str) -> Result<()> {
    let api = OcEssentialService::api(scene);
    for _ in 0..20 {
        let mut object = api.get(name).await?;
        object.status = Some(OcEssentialServiceStatus::default());
        match api.replace_status(name, &PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
    anyhow::bail!("{name} is changed all the time")
}

/// The part of a status that must come back. The times of jobs and of the operation are lost, and are not invented.
fn essence(service: &OcEssentialService) -> Value {
    let status = service.status.clone().unwrap_or_default();
    let conditions: Vec<_> = status.conditions.iter().map(|condition| (&condition.type_, &condition.status, &condition.reason)).collect();
    json!([
        status.license_type,
        status.ump_customer_guid,
        status.ms_tenant_id,
        status.platform,
        status.short_name,
        status.full_name,
        status.observed_generation,
        conditions
    ])
}

pub async fn a_wiped_status_comes_back_by_reading_alone(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "adopted", "fullName": "adopted Ltd"})).await?;
    scene.connect(json!({})).await?;
    for (name, tenant) in [("made", 1), ("adopted", 2)] {
        scene.service(name, tenant, json!({})).await?;
        let before: OcEssentialService = scene.ready(name, "True", "Succeeded").await?;
        let changes = scene.changes().await?;
        wipe(&scene, name).await?;
        // This enqueues nothing: the operator does not watch its own status for changes. The next observation, or a reconcile request, finds it.
        scene.annotate::<OcEssentialService>(name, "operatorconnect.dev/reconcile-requested-at", "restored").await?;
        let after: OcEssentialService = scene.ready(name, "True", "Succeeded").await?;
        ensure!(essence(&before) == essence(&after), "{name}: {} became {}", essence(&before), essence(&after));
        ensure!(scene.changes().await? == changes, "{name}: a status is not worth a change");
    }
    // In the middle of a task.
    scene.simulate("PATCH", "settings", json!({"taskDuration": 6000})).await?;
    scene.service("midway", 3, json!({})).await?;
    scene
        .until("midway", |service: &OcEssentialService| {
            service.status.as_ref().and_then(|status| status.operation.as_ref()).is_some_and(|operation| operation.task_id.is_some())
        })
        .await?;
    let changes = scene.changes().await?;
    wipe(&scene, "midway").await?;
    scene.annotate::<OcEssentialService>("midway", "operatorconnect.dev/reconcile-requested-at", "restored").await?;
    // The process remembers its own requests, whatever happened to the status, and follows its task.
    let service: OcEssentialService = scene.ready("midway", "False", "Converting").await?;
    ensure!(service.status.and_then(|status| status.operation).is_some_and(|operation| operation.task_id.is_some()), "the task is in status again");
    scene.ready::<OcEssentialService>("midway", "True", "Succeeded").await?;
    ensure!(scene.changes().await? == changes && scene.calls("services.create").await? == 2, "found, not asked for again");
    Ok(())
}

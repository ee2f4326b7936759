//! Ready and Synced mean what they say: what can be changed on the platform, what can only be reported, and what is refused.

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Patch, PatchParams};
use oc_api::{LivePlatform, OcEssentialService, SyncState};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

fn synced(service: &OcEssentialService) -> Option<(&str, &str)> {
    let conditions = service.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Synced").map(|condition| (condition.status.as_str(), condition.reason.as_str()))
}

/// A spec change that the API server must refuse, with these words.
async fn refused(scene: &Scene, name: &str, spec: Value, words: &[&str]) -> Result<()> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let Err(kube::Error::Api(status)) = OcEssentialService::api(scene).patch(name, &PatchParams::default(), &patch).await else {
        bail!("{name}: {spec} is taken");
    };
    ensure!(words.iter().all(|word| status.message.contains(word)), "{spec}: {}", status.message);
    Ok(())
}

async fn look(scene: &Scene, name: &str, token: &str) -> Result<OcEssentialService> {
    scene.annotate::<OcEssentialService>(name, "operatorconnect.dev/reconcile-requested-at", token).await?;
    let handled = |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(token));
    scene.until(name, handled).await
}

/// The platform has no call to change these fields. They are free before anything is requested, and only reported for a service that was taken over.
pub async fn what_no_call_can_change_stays_as_it_was_asked_for(scene: Scene) -> Result<()> {
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    scene.simulate("POST", "lc-customers", json!({"id": 4711, "name": "North customer", "channelId": 1574})).await?;
    scene.consented(&[1]).await?;
    scene.connect(scene.http_jobs()).await?;
    let settings = json!({"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com"});
    scene.service("northwind", 1, json!({"suspend": true, "channelId": 1575, "lcCustomerId": 4712, "advancedSettings": settings})).await?;
    scene.change::<OcEssentialService>("northwind", json!({"channelId": 1574, "lcCustomerId": 4711, "suspend": false})).await?;
    let service: OcEssentialService = scene.ready("northwind", "True", "Succeeded").await?;
    ensure!(synced(&service) == Some(("True", "Succeeded")), "{}", message(&service));
    for (change, field) in [
        (json!({"advancedSettings": {"proxySet": "Other"}}), "spec.advancedSettings"),
        (json!({"advancedSettings": null}), "spec.advancedSettings"),
        (json!({"channelId": 1575}), "spec.channelId"),
        (json!({"lcCustomerId": 4712}), "spec.lcCustomerId"),
        (json!({"shortName": "Other"}), "spec.shortName"),
    ] {
        refused(&scene, "northwind", change, &[field, "immutable"]).await?;
    }
    // Fields about this object and not about the service stay free, and so do those that can be made to match the platform.
    scene.change::<OcEssentialService>("northwind", json!({"deletionPolicy": "Delete", "recreate": true, "fullName": "Northwind"})).await?;
    let service = scene.until("northwind", |service: &OcEssentialService| synced(service) == Some(("False", "Conflict"))).await?;
    ensure!(ready_is(&service, "True", "Succeeded") && message(&service).contains("spec.fullName"), "{}", message(&service));
    // Someone renames it on the platform: that is reported, and the spec may follow.
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.simulate("PATCH", &format!("services/{guid}"), json!({"shortName": "Renamed", "fullName": "Northwind"})).await?;
    let told = |service: &OcEssentialService| message(service).contains("spec.shortName") && !message(service).contains("spec.fullName");
    scene.until("northwind", told).await?;
    scene.change::<OcEssentialService>("northwind", json!({"shortName": "Renamed", "channelId": null})).await?;
    scene.until("northwind", |service: &OcEssentialService| synced(service) == Some(("True", "Succeeded"))).await?;
    ensure!(scene.changes().await? == 1, "the create, and nothing else");
    Ok(())
}

pub async fn what_was_taken_over_is_compared_as_far_as_it_shows(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "contoso", "fullName": "contoso Ltd"})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({"advancedSettings": {"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com"}})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(synced(&service) == Some(("False", "Conflict")) && message(&service).contains("spec.advancedSettings"), "{}", message(&service));
    ensure!(service.status.and_then(|status| status.sync).is_some_and(|sync| sync.jobs.len() == 1), "no trunks job for what nobody asked for");
    scene.change::<OcEssentialService>("contoso", json!({"advancedSettings": null})).await?;
    scene.until("contoso", |service: &OcEssentialService| synced(service) == Some(("True", "Succeeded"))).await?;
    ensure!(scene.changes().await? == 0);
    Ok(())
}

/// `CompletedSuccess` with a message of level Error beside it.
pub async fn errors_of_a_task_that_succeeded_are_told(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.fault(json!({"kind": "completedWithError", "message": "IAM step failed"})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(message(&service).contains("IAM step failed"), "{}", message(&service));
    let again = look(&scene, "contoso", "again").await?;
    ensure!(message(&again).contains("IAM step failed"), "it stays told: {}", message(&again));
    Ok(())
}

/// A rule for creating does not apply to what exists or is being created.
pub async fn a_rule_for_short_names_is_for_creates_alone(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.connect(json!({})).await?;
    scene.service("settled", 1, json!({"shortName": "Con-toso"})).await?;
    scene.ready::<OcEssentialService>("settled", "True", "Succeeded").await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 4000})).await?;
    scene.service("running", 2, json!({"shortName": "Fabri-kam"})).await?;
    let asked = |service: &OcEssentialService| {
        service.status.as_ref().and_then(|status| status.operation.as_ref()).is_some_and(|operation| operation.task_id.is_some())
    };
    scene.until("running", asked).await?;
    scene.change::<LivePlatform>(&scene.platform, json!({"shortNameRule": "Alphanumeric"})).await?;
    scene.service("fresh", 3, json!({"shortName": "North-wind"})).await?;
    let fresh: OcEssentialService = scene.ready("fresh", "False", "InvalidSpec").await?;
    ensure!(message(&fresh).contains("spec.shortName") && message(&fresh).contains("Alphanumeric"), "{}", message(&fresh));
    let settled = look(&scene, "settled", "again").await?;
    ensure!(ready_is(&settled, "True", "Succeeded"), "{}", message(&settled));
    scene.ready::<OcEssentialService>("running", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 2, "nothing is asked for the third");
    // Its removal on the platform is noticed as before.
    let guid = settled.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
    let gone: OcEssentialService = scene.ready("settled", "False", "DeletedExternally").await?;
    let sync = gone.status.and_then(|status| status.sync).context("sync")?;
    ensure!(
        sync.state == SyncState::NotDue && sync.jobs.iter().all(|job| job.state == SyncState::NotDue),
        "nothing is synchronized beside what is gone: {sync:?}"
    );
    Ok(())
}

/// A tenant that came from Direct Routing has both for a while. The operator never ends a service that customers use, and the platform decides whether both can
/// exist.
pub async fn a_direct_routing_service_is_neither_ours_nor_in_the_way(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    let route = |tenant: String, name: &str| json!({"tenantId": tenant, "shortName": name, "fullName": name, "licenseType": 2});
    for (tenant, name) in [(1, "RoutedOne"), (2, "RoutedTwo")] {
        scene.simulate("POST", "services", route(scene.tenant(tenant), name)).await?;
    }
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({"deletionPolicy": "Delete"})).await?;
    let waits: OcEssentialService = scene.ready("contoso", "False", "AlreadyLicensed").await?;
    ensure!(message(&waits).contains("spec.besideDirectRouting") && !message(&waits).contains("emove"), "{}", message(&waits));
    ensure!(scene.changes().await? == 0, "nothing is asked for unasked");
    scene.change::<OcEssentialService>("contoso", json!({"besideDirectRouting": true})).await?;
    let both: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(synced(&both) == Some(("True", "Succeeded")) && message(&both).contains("Direct Routing service"), "{}", message(&both));
    // A service that came later blocks nothing.
    scene.service("fabrikam", 2, json!({"besideDirectRouting": true})).await?;
    scene.ready::<OcEssentialService>("fabrikam", "True", "Succeeded").await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    let left = scene.simulate("GET", "services", Value::Null).await?.to_string();
    ensure!(left.contains("RoutedOne") && left.contains("RoutedTwo") && !left.contains("contoso Ltd"), "{left}");
    // A platform that accepts no second service says so, and the object reports it.
    scene.simulate("PATCH", "settings", json!({"besideDirectRouting": "request"})).await?;
    scene.service("contoso", 1, json!({"besideDirectRouting": true})).await?;
    scene.ready::<OcEssentialService>("contoso", "False", "PlatformRefused").await?;
    Ok(())
}

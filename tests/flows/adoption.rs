//! Services that exist already, and objects that compete for the same one.

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, message, ready_is};

pub async fn a_matching_service_is_taken_over(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "contoso", "fullName": "contoso Ltd"})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    let annotations = service.metadata.annotations.unwrap_or_default();
    ensure!(annotations.get("operatorconnect.dev/ump-customer-guid") == Some(&guid.to_string()), "the external id survives a restore: {annotations:?}");
    ensure!(scene.changes().await? == 0, "taken over without a change");
    Ok(())
}

pub async fn another_service_is_a_conflict_until_adoption_is_always(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "ByHand", "fullName": "Made by hand"})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "Conflict").await?;
    ensure!(message(&service).contains("ByHand") && message(&service).contains("adoption"), "{}", message(&service));
    // Deleting an object that never had the service leaves the service alone, whatever its policy.
    scene.service("stranger", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready::<OcEssentialService>("stranger", "False", "Conflict").await?;
    scene.delete::<OcEssentialService>("stranger").await?;
    scene.gone::<OcEssentialService>("stranger").await?;
    scene.change::<OcEssentialService>("contoso", json!({"adoption": "Always"})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(service.status.and_then(|status| status.short_name).as_deref() == Some("ByHand"), "status has the platform's own name");
    ensure!(scene.changes().await? == 0);
    Ok(())
}

pub async fn the_older_of_two_objects_keeps_the_tenant(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("older", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("older", "True", "Succeeded").await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    scene.service("younger", 1, json!({"deletionPolicy": "Delete"})).await?;
    let younger: OcEssentialService = scene.ready("younger", "False", "Conflict").await?;
    ensure!(message(&younger).contains("older"), "{}", message(&younger));
    scene.delete::<OcEssentialService>("younger").await?;
    scene.gone::<OcEssentialService>("younger").await?;
    scene.ready::<OcEssentialService>("older", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 1 && scene.changes().await? == 1);
    Ok(())
}

/// By age alone, the older object would request a second service beside the running create, which no list shows yet.
pub async fn an_older_object_that_learns_of_its_tenant_late_makes_no_second_service(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 4000})).await?;
    scene.service("older", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "late"}})).await?;
    scene.until("older", |older: &OcEssentialService| ready_is(older, "False", "LeadNotFound")).await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    scene.service("younger", 1, json!({})).await?;
    let asked =
        |object: &OcEssentialService| object.status.as_ref().and_then(|status| status.operation.as_ref()).is_some_and(|operation| operation.task_id.is_some());
    scene.until("younger", asked).await?;
    scene.lead("late", 1, json!({})).await?;
    let older: OcEssentialService = scene.ready("older", "False", "Conflict").await?;
    ensure!(message(&older).contains("/younger (same tenant)"), "{}", message(&older));
    let younger: OcEssentialService = scene.ready("younger", "True", "Succeeded").await?;
    // Nor does it get the service through an annotation that anyone who may edit the object can write.
    let guid = younger.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.annotate::<OcEssentialService>("older", "operatorconnect.dev/ump-customer-guid", &guid).await?;
    for name in ["older", "younger", "older"] {
        let again = scene.platform_time().await?.to_string();
        scene.annotate::<OcEssentialService>(name, "operatorconnect.dev/reconcile-requested-at", &again).await?;
        let handled =
            |object: &OcEssentialService| object.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(again.as_str()));
        scene.until(name, handled).await?;
    }
    let older: OcEssentialService = scene.ready("older", "False", "Conflict").await?;
    ensure!(older.status.is_some_and(|status| status.ump_customer_guid.is_none()), "what stands in status is believed");
    scene.ready::<OcEssentialService>("younger", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 1 && scene.changes().await? == 1);
    Ok(())
}

/// What was requested stays with its tenant, whichever lead has the name now.
pub async fn a_lead_made_anew_for_another_tenant_moves_nothing(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene
        .service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}, "recreate": true, "deletionPolicy": "Delete"}))
        .await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    scene.delete::<Lead>("contoso").await?;
    scene.gone::<Lead>("contoso").await?;
    scene.lead("contoso", 2, json!({})).await?;
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    scene.annotate::<OcEssentialService>("contoso", "operatorconnect.dev/reconcile-requested-at", "now").await?;
    let handled = |object: &OcEssentialService| object.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("now"));
    let service: OcEssentialService = scene.until("contoso", handled).await?;
    let tenant = service.status.and_then(|status| status.ms_tenant_id);
    ensure!(tenant.as_deref() == Some(scene.tenant(1).as_str()) && scene.changes().await? == 1, "{tenant:?}");
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1 && scene.changes().await? == 2, "the first tenant's service is deleted, and nothing else");
    Ok(())
}

/// The state of an object whose process has died between the intent and the status.
async fn asked(scene: &Scene, name: &str, intent: Value, spec: Value) -> Result<()> {
    let mut manifest = json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService",
        "metadata": {
            "name": name, "namespace": scene.namespace, "finalizers": ["operatorconnect.dev/external"],
            "annotations": {"operatorconnect.dev/operation": intent.to_string()},
        },
        "spec": {"shortName": name, "fullName": "somebody else's name", "adoption": "Never"},
    });
    for (field, value) in spec.as_object().context("fields")? {
        manifest["spec"][field] = value.clone();
    }
    scene.apply(manifest).await
}

/// The operator looks for a create at the tenant and place for which it was requested, whichever lead and platform the object has now.
pub async fn a_create_is_looked_for_where_it_was_asked(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    // The lead was recreated for another tenant, and then the create whose answer was lost turns out to have succeeded.
    scene.lead("contoso", 2, json!({})).await?;
    let lead: Lead = scene.until("contoso", |lead: &Lead| lead.metadata.creation_timestamp.is_some()).await?;
    let intent =
        |tenant: u32| json!({"kind": "Create", "id": format!("lost-{tenant}"), "start": lead.metadata.creation_timestamp, "tenant": scene.tenant(tenant)});
    asked(&scene, "contoso", intent(1), json!({"leadRef": {"name": "contoso"}, "deletionPolicy": "Delete"})).await?;
    scene.ready::<OcEssentialService>("contoso", "False", "Verifying").await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "contoso", "fullName": "contoso Ltd"})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(service.status.and_then(|status| status.ms_tenant_id) == Some(scene.tenant(1).into()), "it stands for the tenant for which it has asked");
    scene.delete::<Lead>("contoso").await?;
    scene.gone::<Lead>("contoso").await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1 && scene.changes().await? == 1, "what it made is deleted, and nothing else is asked for");
    // Requested from a platform at another place: nothing is requested here, and nothing is concluded.
    let mut elsewhere = intent(2);
    (elsewhere["platform"], elsewhere["start"]) = ("https://old.example.com:443/tenantui".into(), "2025-01-02T03:04:05Z".into());
    asked(&scene, "fabrikam", elsewhere, json!({"platform": scene.platform, "msTenantId": scene.tenant(2)})).await?;
    let service: OcEssentialService = scene.ready("fabrikam", "False", "Conflict").await?;
    ensure!(message(&service).contains("https://old.example.com:443/tenantui") && message(&service).contains("spec.url"), "{}", message(&service));
    scene.delete::<OcEssentialService>("fabrikam").await?;
    scene.gone::<OcEssentialService>("fabrikam").await?;
    ensure!(scene.changes().await? == 1, "nothing was asked of this platform");
    Ok(())
}

/// The watches are not ordered: a service can arrive before the lead that names its platform. What is then only assumed is not recorded.
pub async fn a_service_that_comes_before_its_lead_waits_for_its_platform(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    let platform: LivePlatform = scene.ready(&scene.platform, "True", "Succeeded").await?;
    let intent =
        |tenant: u32| json!({"kind": "Create", "id": format!("lost-{tenant}"), "start": platform.metadata.creation_timestamp, "tenant": scene.tenant(tenant)});
    asked(&scene, "contoso", intent(1), json!({"leadRef": {"name": "contoso"}})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "LeadNotFound").await?;
    let status = service.status.context("a status")?;
    ensure!(status.platform.is_none() && status.ms_tenant_id == Some(scene.tenant(1).into()), "{:?}, {:?}", status.platform, status.ms_tenant_id);
    // A lead of another tenant under that name: the create is looked for at its own.
    scene.lead("contoso", 2, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "Verifying").await?;
    let status = service.status.context("a status")?;
    ensure!(
        status.platform == Some(scene.platform.clone().into()) && status.ms_tenant_id == Some(scene.tenant(1).into()),
        "{:?}, {:?}",
        status.platform,
        status.ms_tenant_id
    );
    // An intent that names its place tells the platform without the lead.
    let url = platform.spec.url.trim_end_matches('/').to_owned();
    let mut here = intent(2);
    here["platform"] = url.clone().into();
    asked(&scene, "fabrikam", here, json!({"leadRef": {"name": "fabrikam"}})).await?;
    let service: OcEssentialService = scene.until("fabrikam", |service: &OcEssentialService| ready_is(service, "False", "Verifying")).await?;
    ensure!(service.status.and_then(|status| status.platform) == Some(scene.platform.clone().into()), "its platform is the one at {url}");
    ensure!(scene.changes().await? == 0, "nothing was asked of this platform");
    Ok(())
}

pub async fn the_younger_takes_over_when_the_older_goes(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({"observeInterval": "1h"})).await?;
    let same = json!({"shortName": "Contoso", "fullName": "Contoso Ltd"});
    scene.service("older", 1, same.clone()).await?;
    let older: OcEssentialService = scene.ready("older", "True", "Succeeded").await?;
    let guid = older.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    scene.service("same-tenant", 1, same).await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // The same short name for another tenant, in different case.
    scene.service("same-name", 2, json!({"shortName": "CONTOSO"})).await?;
    for (name, what) in [("same-tenant", "same short name"), ("same-name", "same short name")] {
        let younger: OcEssentialService = scene.ready(name, "False", "Conflict").await?;
        let told = message(&younger);
        ensure!(told.contains(&format!("{}/older", scene.namespace)) && told.contains(what), "it names the older one: {told}");
        ensure!(younger.metadata.finalizers.is_none(), "it holds nothing");
    }
    // The older one is deleted and leaves the service; the younger one with the same names takes it over.
    scene.delete::<OcEssentialService>("older").await?;
    scene.gone::<OcEssentialService>("older").await?;
    let younger: OcEssentialService = scene.ready("same-tenant", "True", "Succeeded").await?;
    ensure!(younger.status.and_then(|status| status.ump_customer_guid) == Some(guid), "the very service");
    // The third still waits, now for the second, which is older than it.
    let third: OcEssentialService = scene.until("same-name", |third| message(third).contains("/same-tenant")).await?;
    ensure!(ready_is(&third, "False", "Conflict"), "{:?}", message(&third));
    ensure!(scene.calls("services.create").await? == 1 && scene.changes().await? == 1, "one create, nothing else");
    Ok(())
}

pub async fn a_short_name_that_is_taken_is_refused_before_anything_is_asked(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    let other = scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "Litware"})).await?;
    scene.connect(json!({})).await?;
    scene.service("adatum", 1, json!({"shortName": "LITWARE"})).await?;
    let service: OcEssentialService = scene.ready("adatum", "False", "ShortNameTaken").await?;
    let guid = find_guid(&other).context("the service's guid")?;
    let told = message(&service);
    ensure!(told.contains("LITWARE") && told.contains(&guid) && !told.contains(&scene.tenant(2)), "another customer's tenant is nobody's business: {told}");
    ensure!(scene.changes().await? == 0);
    // When the other service goes, the name is free, and the operator notices.
    scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
    scene.ready::<OcEssentialService>("adatum", "True", "Succeeded").await?;
    Ok(())
}

/// The guid in an answer of the simulator, in any spelling.
pub fn find_guid(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(all) => all.iter().find_map(find_guid),
        Value::Object(fields) => {
            fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("umpCustomerGuid")).and_then(|(_, guid)| guid.as_str().map(str::to_owned))
        }
        _ => None,
    }
}

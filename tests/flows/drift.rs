//! What others change on the platform.

use anyhow::{Context, Result, ensure};
use oc_api::OcEssentialService;
use serde_json::{Value, json};

use super::stage::{Scene, message, ready_is};

/// A condition of a service: value and reason.
fn condition<'a>(service: &'a OcEssentialService, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = service.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| (condition.status.as_str(), condition.reason.as_str()))
}

pub async fn what_others_change_is_shown_and_not_fought(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.simulate("PATCH", &format!("services/{guid}"), json!({"fullName": "Renamed by hand"})).await?;
    let shown = |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.full_name.as_deref() == Some("Renamed by hand"));
    let service: OcEssentialService = scene.until("contoso", shown).await?;
    ensure!(ready_is(&service, "True", "Succeeded") && message(&service).contains("full name"), "{}", message(&service));
    // Upgrades: OC Essential Plus, then OC Pro.
    for (license, label) in [(4, "OC Essential Plus"), (5, "OC Pro")] {
        scene.simulate("PATCH", &format!("services/{guid}"), json!({"licenseType": license})).await?;
        let shown = |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.license_type.as_deref() == Some(label));
        let service: OcEssentialService = scene.until("contoso", shown).await?;
        ensure!(ready_is(&service, "True", "Succeeded") && message(&service).contains(label), "{}", message(&service));
    }
    ensure!(scene.changes().await? == 1, "the create, and nothing against what others did");
    Ok(())
}

pub async fn a_lead_that_is_lost_after_licensing_is_shown(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    for status in ["Suspended", "Removed"] {
        scene.simulate("PATCH", &format!("leads/{}", scene.tenant(1)), json!({"status": status})).await?;
        let told = |service: &OcEssentialService| {
            let conditions = service.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == "LeadEligible" && condition.message.contains(status))
        };
        let service: OcEssentialService = scene.until("contoso", told).await?;
        ensure!(condition(&service, "LeadEligible") == Some(("False", "LeadNotActive")), "{status}");
        ensure!(ready_is(&service, "True", "Succeeded"), "{status}: the service stays Ready");
        ensure!(service.status.and_then(|status| status.license_type).as_deref() == Some("OC Essential"));
    }
    scene.simulate("PATCH", &format!("leads/{}", scene.tenant(1)), json!({"status": "Active"})).await?;
    scene.until("contoso", |service: &OcEssentialService| condition(service, "LeadEligible") == Some(("True", "Succeeded"))).await?;
    ensure!(scene.simulate("GET", "services", Value::Null).await?.to_string().contains(&scene.tenant(1)));
    ensure!(scene.changes().await? == 1, "the create, and nothing else");
    Ok(())
}

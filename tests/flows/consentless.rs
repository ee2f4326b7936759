//! Leads that are created without the customer's consent.

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, message};

const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

fn named(company: &str) -> Value {
    json!({"consentless": {"companyName": company}})
}

/// The platform refuses a company name, or a tenant, that a lead has already: the condition names the field of the spec, with the platform's words.
pub async fn what_is_taken_is_named(scene: Scene) -> Result<()> {
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(9), "companyName": "Taken Ltd"})).await?;
    // Microsoft has this lead, and the platform does not list it yet.
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(2), "companyName": "Unseen Ltd", "local": false})).await?;
    scene.connect(json!({})).await?;
    scene.lead("name", 1, named("Taken Ltd")).await?;
    scene.lead("both", 2, named("Taken Ltd")).await?;
    let name: Lead = scene.ready("name", "False", "InvalidSpec").await?;
    ensure!(message(&name).contains("CompanyName: Company name is already used for an UMP lead."), "{}", message(&name));
    ensure!(message(&name).ends_with("Set spec.consentless.companyName to a name that no other lead has."), "{}", message(&name));
    let both: Lead = scene.ready("both", "False", "PlatformRefused").await?;
    for words in [
        "TenantId: This MsTenant already exists as an UMP lead!",
        "CompanyName: Company name is already used",
        "for spec.msTenantId that its list does not show",
    ] {
        ensure!(message(&both).contains(words), "{words}: {}", message(&both));
    }
    // Another name, and a list that shows the lead.
    scene.change::<Lead>("name", named("Free Ltd")).await?;
    scene.ready::<Lead>("name", "True", "Succeeded").await?;
    scene.simulate("POST", "jobs/leads/run", Value::Null).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "listed").await?;
    let both: Lead = scene.ready("both", "True", "Succeeded").await?;
    let company = both.status.and_then(|status| status.company_name);
    ensure!(company.as_deref() == Some("Unseen Ltd"), "{company:?}");
    ensure!(scene.calls("leads.create").await? == 3, "one more, with the other name");
    Ok(())
}

/// A mistyped tenant is told before the platform is asked. Without an answer of the directory nothing is requested either.
pub async fn a_tenant_that_does_not_exist_is_told_first(scene: Scene) -> Result<()> {
    let lookup = json!({"tenantLookup": {"url": scene.simulator.url()}});
    scene.simulate("PATCH", "settings", json!({"missingTenants": [scene.tenant(1)]})).await?;
    scene.connect(lookup.clone()).await?;
    scene.lead("mistyped", 1, named("Mistyped Ltd")).await?;
    let lead: Lead = scene.ready("mistyped", "False", "InvalidSpec").await?;
    ensure!(message(&lead).starts_with(&format!("Microsoft's directory has no tenant {}", scene.tenant(1))), "{}", message(&lead));
    scene.lead("real", 2, named("Real Ltd")).await?;
    scene.ready::<Lead>("real", "True", "Succeeded").await?;
    ensure!((scene.calls("leads.create").await?, scene.calls("openIdConfiguration").await?) == (1, 2), "one lookup for each, one request");
    // A network that lets nobody out.
    scene.fault(json!({"kind": "dropBeforeExecution", "endpoint": "openIdConfiguration", "forever": true})).await?;
    scene.lead("later", 3, named("Later Ltd")).await?;
    let later: Lead = scene.ready("later", "False", "ProgressingWithRetry").await?;
    ensure!(message(&later).contains("Let the operator reach spec.tenantLookup.url"), "{}", message(&later));
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    ensure!(scene.calls("leads.create").await? == 1);
    scene.platform_object(json!({})).await?;
    scene.ready::<Lead>("later", "True", "Succeeded").await?;
    Ok(())
}

/// The customer consents after the lead was made without him: one object, the consented lead counts, nothing is made again.
pub async fn a_customer_who_consents_later_keeps_the_object(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({"consentless": {"companyName": "Contoso, by hand"}, "deletionPolicy": "Delete"})).await?;
    let lead: Lead = scene.ready("contoso", "True", "Succeeded").await?;
    let origin = |lead: &Lead| lead.status.as_ref().and_then(|status| status.origin.clone());
    ensure!(origin(&lead).as_deref() == Some("Consentless"), "{:?}", lead.status);
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "companyName": "Contoso"})).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "consented").await?;
    let lead: Lead = scene.until("contoso", |lead: &Lead| origin(lead).as_deref() == Some("Consented")).await?;
    let status = lead.status.context("a status")?;
    ensure!(status.company_name.as_deref() == Some("Contoso") && status.other_leads.len() == 1, "{status:?}");
    ensure!(scene.changes().await? == 1, "only the create of the lead");
    // It becomes a service for the consented lead.
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    ensure!(scene.changes().await? == 2, "one create of a service");
    Ok(())
}

//! Lead objects.

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{WatchEvent, WatchParams};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::simulated::until;
use super::stage::{Own, Scene, message, ready_is};

pub async fn a_lead_shows_what_the_platform_has(scene: Scene) -> Result<()> {
    let lead = json!({"tenantId": scene.tenant(1), "companyName": "Contoso Ltd", "countries": ["NL", "DE"], "companySize": "L250_U999"});
    scene.simulate("POST", "leads", lead).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    let lead: Lead = scene.ready("contoso", "True", "Succeeded").await?;
    let status = lead.status.context("a status")?;
    ensure!(status.company_name.as_deref() == Some("Contoso Ltd") && status.company_size.as_deref() == Some("L250_U999"), "{status:?}");
    ensure!(status.countries == ["NL", "DE"] && status.microsoft_status.as_deref() == Some("Active"), "{status:?}");
    ensure!(status.origin.as_deref() == Some("Consented") && status.license_type.as_deref() == Some("None"), "{status:?}");
    ensure!(lead.metadata.finalizers.is_none(), "a lead that is only looked at needs no finalizer");
    // This one has nothing on the platform.
    scene.lead("nobody", 2, json!({})).await?;
    let nobody: Lead = scene.ready("nobody", "False", "LeadNotFound").await?;
    ensure!(message(&nobody).contains(&scene.tenant(2)), "{}", message(&nobody));
    scene.consented(&[2]).await?;
    scene.ready::<Lead>("nobody", "True", "Succeeded").await?;
    Ok(())
}

pub async fn a_suspended_lead_waits_for_the_customer(scene: Scene) -> Result<()> {
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "status": "Suspended"})).await?;
    scene.connect(json!({})).await?;
    scene.lead("tailspin", 1, json!({})).await?;
    scene.service("tailspin", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "tailspin"}})).await?;
    let service: OcEssentialService = scene.ready("tailspin", "False", "LeadNotActive").await?;
    ensure!(message(&service).contains("Suspended"), "{}", message(&service));
    let stalled =
        |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.conditions.iter().any(|condition| condition.type_ == "Stalled"));
    ensure!(stalled(&service), "a person must act");
    scene.ready::<Lead>("tailspin", "False", "LeadNotActive").await?;
    ensure!(scene.changes().await? == 0);
    scene.simulate("PATCH", &format!("leads/{}", scene.tenant(1)), json!({"status": "Active"})).await?;
    scene.ready::<OcEssentialService>("tailspin", "True", "Succeeded").await?;
    scene.ready::<Lead>("tailspin", "True", "Succeeded").await?;
    Ok(())
}

pub async fn a_consentless_lead_is_made_and_removed(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    scene.lead("direct", 1, json!({"consentless": {"companyName": "Direct Ltd"}, "deletionPolicy": "Delete"})).await?;
    let lead: Lead = scene.ready("direct", "True", "Succeeded").await?;
    let status = lead.status.context("a status")?;
    ensure!(status.origin.as_deref() == Some("Consentless") && status.company_name.as_deref() == Some("Direct Ltd"), "{status:?}");
    ensure!(scene.calls("leads.create").await? == 1);
    scene.delete::<Lead>("direct").await?;
    scene.gone::<Lead>("direct").await?;
    ensure!(scene.calls("leads.delete").await? == 1);
    ensure!(!scene.simulate("GET", "state", Value::Null).await?.to_string().contains(&scene.tenant(1)), "the lead is gone from the platform");
    Ok(())
}

/// The origin that a lead shows, and each other lead of the tenant: its origin and Microsoft's status of it.
fn origins(lead: &Lead) -> (Option<&str>, Vec<(&str, &str)>) {
    let Some(status) = &lead.status else { return (None, vec![]) };
    let others = status.other_leads.iter().map(|other| (other.origin.as_deref().unwrap_or_default(), other.microsoft_status.as_deref().unwrap_or_default()));
    (status.origin.as_deref(), others.collect())
}

/// Has the operator read the lists of the platform now.
async fn look(scene: &Scene, why: &str) -> Result<()> {
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", why).await
}

/// Microsoft changes the status of one of the two leads of tenant 1.
async fn microsoft(scene: &Scene, status: &str, consented: bool) -> Result<()> {
    scene.simulate("PATCH", &format!("leads/{}", scene.tenant(1)), json!({"status": status, "consented": consented})).await?;
    look(scene, &format!("{status} {consented}")).await
}

/// A tenant that was entered by hand consents later, and then withdraws that: nobody gets a service behind the customer's back.
pub async fn of_two_leads_the_consented_one_counts(scene: Scene) -> Result<()> {
    let of = |consented: bool, person: &str| json!({"tenantId": scene.tenant(1), "companyName": format!("Contoso {consented}"), "consented": consented, "contact": {"fullName": person}});
    scene.simulate("POST", "leads", of(false, "Ada Lovelace")).await?;
    scene.connect(json!({"contactDetails": "Include"})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    let lead: Lead = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(origins(&lead) == (Some("Consentless"), vec![]), "{:?}", lead.status);
    let direct = lead.status.and_then(|status| status.lead_id).context("an id")?;
    // The customer consents.
    scene.simulate("POST", "leads", of(true, "Grace Hopper")).await?;
    look(&scene, "consented").await?;
    let two = |lead: &Lead| origins(lead) == (Some("Consented"), vec![("Consentless", "Active")]);
    let lead: Lead = scene.until("contoso", two).await?;
    ensure!(ready_is(&lead, "True", "Succeeded"), "{}", message(&lead));
    let status = lead.status.context("a status")?;
    ensure!(status.company_name.as_deref() == Some("Contoso true") && status.lead_id.as_ref() != Some(&direct), "{status:?}");
    ensure!(status.other_leads[0].lead_id == direct, "{status:?}");
    let shown = serde_json::to_string(&status)?;
    ensure!(shown.contains("Grace Hopper") && !shown.contains("Ada Lovelace"), "only the person of the lead that counts: {shown}");
    // Nothing is written while nothing changes, however often the list is read.
    let (versions, lists) = (scene.versions::<Lead>().await?, scene.calls("leads.list").await?);
    until(30, || async { Ok((scene.calls("leads.list").await? >= lists + 2).then_some(())) }).await?;
    ensure!(scene.versions::<Lead>().await? == versions, "a status was written that says the same");
    // The customer withdraws the consent. The lead that was entered by hand is still Active.
    microsoft(&scene, "Removed", true).await?;
    let lead: Lead = scene.ready("contoso", "False", "LeadNotActive").await?;
    ensure!(two(&lead) && message(&lead).contains("status of the lead is Removed"), "{}", message(&lead));
    ensure!(message(&lead).contains("also has an Active consentless lead. It is not used"), "{}", message(&lead));
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "LeadNotActive").await?;
    ensure!(message(&service).contains("also has an Active consentless lead. It is not used"), "{}", message(&service));
    microsoft(&scene, "Suspended", false).await?;
    let lead: Lead = scene.until("contoso", |lead: &Lead| origins(lead) == (Some("Consented"), vec![("Consentless", "Suspended")])).await?;
    ensure!(!message(&lead).contains("consentless"), "{}", message(&lead));
    ensure!(scene.changes().await? == 0, "nothing is requested behind the customer's back");
    // The customer consents again.
    microsoft(&scene, "Active", true).await?;
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    ensure!(scene.changes().await? == 1, "one create");
    Ok(())
}

/// `LeadEligible` of a lead: value, reason and message.
fn eligible(lead: &Lead) -> (&str, &str, &str) {
    let conditions = lead.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition.type_ == "LeadEligible");
    found.map(|condition| (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str())).unwrap_or_default()
}

/// How often an object was written since a version of it.
async fn writes(scene: &Scene, name: &str, since: &Lead) -> Result<usize> {
    let watched = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(1);
    let events = Lead::api(scene).watch(&watched, &since.resource_version().context("a version")?).await?;
    let events: Vec<_> = events.collect().await;
    Ok(events.iter().filter(|event| matches!(event, Ok(WatchEvent::Modified(_)))).count())
}

pub async fn a_lead_says_whether_it_can_become_a_service(scene: Scene) -> Result<()> {
    scene.consented(&[1, 3]).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(2), "status": "Suspended"})).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(3), "shortName": "ByHand", "fullName": "Made by hand"})).await?;
    scene.connect(json!({})).await?;
    for (name, tenant) in [("free", 1), ("suspended", 2), ("by-hand", 3), ("nobody", 4)] {
        scene.lead(name, tenant, json!({})).await?;
    }
    let is = |truth: &'static str, reason: &'static str| move |lead: &Lead| (eligible(lead).0, eligible(lead).1) == (truth, reason);
    let free: Lead = scene.until("free", is("True", "Succeeded")).await?;
    ensure!(ready_is(&free, "True", "Succeeded") && eligible(&free).2 == "The lead is Active and has no license.", "{:?}", eligible(&free));
    let suspended: Lead = scene.until("suspended", is("False", "LeadNotActive")).await?;
    ensure!(ready_is(&suspended, "False", "LeadNotActive") && eligible(&suspended).2.contains("is Suspended"), "{:?}", eligible(&suspended));
    scene.until("nobody", is("False", "LeadNotFound")).await?;
    // A service that nobody has imported: the message has what the object needs.
    let by_hand: Lead = scene.until("by-hand", is("False", "AlreadyLicensed")).await?;
    let told = eligible(&by_hand).2;
    ensure!(ready_is(&by_hand, "True", "Succeeded") && by_hand.status.as_ref().is_some_and(|status| status.service_ref.is_none()), "{told}");
    ensure!(told.contains(r#"(spec.leadRef) with the names of the service: spec.shortName "ByHand", spec.fullName "Made by hand"."#), "{told}");
    let names = json!({"msTenantId": null, "platform": null, "leadRef": {"name": "by-hand"}, "shortName": "ByHand", "fullName": "Made by hand"});
    scene.service("imported", 3, names).await?;
    scene.ready::<OcEssentialService>("imported", "True", "Succeeded").await?;
    let by_hand: Lead = scene.until("by-hand", |lead: &Lead| eligible(lead).2.contains("status.serviceRef")).await?;
    ensure!(by_hand.status.as_ref().and_then(|status| status.service_ref.as_ref()).is_some_and(|object| object.name == "imported"), "{:?}", by_hand.status);
    ensure!(scene.changes().await? == 0, "imported without a change");
    // The customer resolves it: one write says all of that.
    scene.simulate("PATCH", &format!("leads/{}", scene.tenant(2)), json!({"status": "Active"})).await?;
    let active: Lead = scene.until("suspended", is("True", "Succeeded")).await?;
    ensure!(ready_is(&active, "True", "Succeeded"), "{}", message(&active));
    ensure!(writes(&scene, "suspended", &suspended).await? == 1, "more than one write for one change");
    // It becomes a service.
    scene.service("free", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "free"}})).await?;
    scene.ready::<OcEssentialService>("free", "True", "Succeeded").await?;
    let free: Lead = scene.until("free", is("False", "AlreadyLicensed")).await?;
    ensure!(ready_is(&free, "True", "Succeeded") && eligible(&free).2.contains("status.serviceRef"), "{:?}", eligible(&free));
    Ok(())
}

pub async fn a_channel_is_assigned_and_unassigned(scene: Scene) -> Result<()> {
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.lead("wingtip", 1, json!({"channelId": 1574})).await?;
    let assigned = |channel: Option<i64>| move |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.channel_id == channel);
    scene.until("wingtip", assigned(Some(1574))).await?;
    scene.ready::<Lead>("wingtip", "True", "Succeeded").await?;
    ensure!(scene.calls("channels.assign").await? == 1, "assigned once");
    scene.change::<Lead>("wingtip", json!({"channelId": null})).await?;
    scene.until("wingtip", assigned(None)).await?;
    ensure!(scene.calls("channels.remove").await? == 1, "unassigned once");
    // Put back before the next list: the last one may still show it.
    scene.change::<Lead>("wingtip", json!({"channelId": 1574})).await?;
    scene.until("wingtip", assigned(Some(1574))).await?;
    scene.ready::<Lead>("wingtip", "True", "Succeeded").await?;
    ensure!(scene.calls("channels.assign").await? == 2, "assigned again");
    let leads = scene.simulate("GET", "leads", Value::Null).await?;
    let there = leads.as_array().into_iter().flatten().find(|lead| lead["tenantId"] == scene.tenant(1));
    ensure!(there.is_some_and(|lead| lead["ovocChannelId"] == 1574), "{there:?}");
    Ok(())
}

pub async fn leads_are_discovered_by_the_rules(scene: Scene) -> Result<()> {
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    let leads = json!([
        {"tenantId": scene.tenant(1), "companyName": "Wanted", "countries": ["NL"]},
        {"tenantId": scene.tenant(2), "companyName": "Elsewhere", "countries": ["FR"]},
        {"tenantId": scene.tenant(3), "companyName": "Removed", "countries": ["NL"], "status": "Removed"},
        {"tenantId": scene.tenant(4), "companyName": "Direct", "countries": ["NL"], "consented": false},
        {"tenantId": scene.tenant(5), "companyName": "Suspended", "countries": ["NL"], "status": "Suspended", "channelId": 1574},
        {"tenantId": scene.tenant(6), "companyName": "Competitor", "countries": ["NL"]},
        {"tenantId": scene.tenant(7), "companyName": "No Channel", "countries": ["NL"], "status": "Suspended"},
    ]);
    scene.simulate("POST", "leads", leads).await?;
    let found = async || -> Result<Vec<String>> {
        let mut all: Vec<_> = <Lead as Own>::api(&scene).list(&Default::default()).await?.into_iter().map(|lead| lead.name_any()).collect();
        all.sort();
        Ok(all)
    };
    let mut rules = json!({
        "namespace": scene.namespace, "countries": ["NL", "DE"], "microsoftStatuses": ["Active"], "excludeTenants": [scene.tenant(6)],
        "labels": {"found": "yes"},
    });
    scene.connect(json!({"leadDiscovery": rules})).await?;
    let lead: Lead = scene.ready(&scene.found("wanted", 1), "True", "Succeeded").await?;
    let label = |name: &str| lead.labels().get(name).cloned();
    ensure!(label("found").as_deref() == Some("yes") && label("operatorconnect.dev/discovered").as_deref() == Some("true"), "{:?}", lead.labels());
    ensure!(label("operatorconnect.dev/platform").as_ref() == Some(&scene.platform), "{:?}", lead.labels());
    ensure!(found().await? == [scene.found("wanted", 1)], "only the one that the rules want: {:?}", found().await?);
    ensure!(scene.changes().await? == 0);
    // Other rules add objects, and take none away.
    rules["channels"] = json!([1574]);
    rules["microsoftStatuses"] = json!(["Suspended"]);
    scene.platform_object(json!({"leadDiscovery": rules})).await?;
    scene.until(&scene.found("suspended", 5), |_: &Lead| true).await?;
    ensure!(found().await? == [scene.found("suspended", 5), scene.found("wanted", 1)], "{:?}", found().await?);
    Ok(())
}

/// A name is chosen once: neither another name of the company nor a second company of that name changes what exists.
pub async fn a_discovered_lead_keeps_its_name(scene: Scene) -> Result<()> {
    let leads = json!([
        {"tenantId": scene.tenant(1), "companyName": "Müller & Söhne GmbH"},
        {"tenantId": scene.tenant(2), "companyName": "Muller Sohne GmbH"},
        {"tenantId": scene.tenant(3), "companyName": "!!!"},
        {"tenantId": scene.tenant(4), "companyName": "By Hand"},
    ]);
    scene.simulate("POST", "leads", leads).await?;
    scene.lead("elsewhere", 4, json!({})).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    let first = scene.found("muller-sohne-gmbh", 1);
    let second = format!("muller-sohne-gmbh-{}", scene.tenant(2));
    let names = ["elsewhere".to_owned(), first.clone(), second, format!("lead-{}", scene.tenant(3))];
    for (name, tenant) in names.iter().zip([4, 1, 2, 3]) {
        let lead: Lead = scene.ready(name, "True", "Succeeded").await?;
        ensure!(lead.spec.ms_tenant_id == scene.tenant(tenant), "{name} is for {}", lead.spec.ms_tenant_id);
    }
    scene.simulate("PATCH", &format!("leads/{}", scene.tenant(1)), json!({"companyName": "Schmidt"})).await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "renamed").await?;
    scene.until(&first, |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.company_name.as_deref() == Some("Schmidt"))).await?;
    let all = <Lead as Own>::api(&scene).list(&Default::default()).await?.items;
    ensure!(all.len() == names.len(), "{:?}", all.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    // Whoever deletes it gets it back, under the name that the company has now.
    scene.delete::<Lead>(&first).await?;
    scene.until(&scene.found("schmidt", 1), |_: &Lead| true).await?;
    Ok(())
}

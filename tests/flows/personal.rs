//! The contacts of leads: searched for by value in everything that the operator writes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, Resource, ResourceExt};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::stage::{Own, Scene, message};

/// Each lead by its state, with the number of its tenant.
const LEADS: [(&str, u32); 9] =
    [("active", 1), ("suspended", 2), ("removed", 3), ("not-active", 4), ("licensed", 5), ("as-list", 6), ("held", 7), ("no-channel", 8), ("consentless", 9)];

/// A person, whose values nobody else has.
fn person(scene: &Scene, number: u32) -> [String; 3] {
    let case = &scene.namespace;
    [
        format!("Ada Lovelace-{number}-{case}"),
        format!("ada-{number}@{case}.example"),
        format!("+3120{number:03}{:04}", u32::from(case.bytes().map(u16::from).sum::<u16>())),
    ]
}

fn contact(scene: &Scene, number: u32) -> Value {
    let [name, email, phone] = person(scene, number);
    json!({"fullName": name, "email": email, "phoneNumber": phone})
}

/// The values of all these people that a text has.
fn found(scene: &Scene, text: &str) -> Vec<String> {
    let all = (1..=12).flat_map(|number| person(scene, number));
    all.filter(|value| text.contains(value.as_str())).collect()
}

async fn texts<K>(api: Api<K>, kind: &str, all: &mut BTreeMap<String, String>) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    for object in api.list(&Default::default()).await? {
        all.insert(format!("{kind} {}", object.name_any()), serde_json::to_string(&object)?);
    }
    Ok(())
}

/// Everything that the operator has written, by where it is: objects of every kind, events, its log and its metrics.
async fn written(scene: &Scene) -> Result<BTreeMap<String, String>> {
    let (mut all, client) = (BTreeMap::new(), || scene.client.clone());
    texts(Lead::api(scene), "Lead", &mut all).await?;
    texts(OcEssentialService::api(scene), "OcEssentialService", &mut all).await?;
    texts(LivePlatform::api(scene), "LivePlatform", &mut all).await?;
    for namespace in [scene.namespace.as_str(), "default", "oc-essentials-system"] {
        texts(Api::<Event>::namespaced(client(), namespace), &format!("event in {namespace}"), &mut all).await?;
        texts(Api::<Lease>::namespaced(client(), namespace), &format!("lease in {namespace}"), &mut all).await?;
        texts(Api::<ConfigMap>::namespaced(client(), namespace), &format!("config map in {namespace}"), &mut all).await?;
    }
    all.insert("the log".into(), scene.said()?);
    let metrics = reqwest::Client::builder().no_proxy().build()?.get(&scene.metrics).send().await?.error_for_status()?.text().await?;
    all.insert("the metrics".into(), metrics);
    Ok(all)
}

/// Puts a lead into each state, with an object for it; one is discovered, and one tenant has two leads.
async fn every_state(scene: &Scene) -> Result<()> {
    let statuses = [("suspended", "Suspended"), ("removed", "Removed"), ("not-active", "NotActive")];
    for (name, number) in LEADS {
        let status = statuses.iter().find(|(state, _)| *state == name).map_or("Active", |(_, status)| status);
        let lead = json!({"tenantId": scene.tenant(number), "companyName": format!("Customer {number}"), "status": status, "contact": contact(scene, number),
            "contactsAsList": name == "as-list", "consented": name != "consentless"});
        scene.simulate("POST", "leads", lead).await?;
    }
    let second = json!({"tenantId": scene.tenant(1), "companyName": "Customer 1, by hand", "consented": false, "contact": contact(scene, 10)});
    scene.simulate("POST", "leads", second).await?;
    let discovered = json!({"tenantId": scene.tenant(11), "companyName": "Found", "countries": ["BE"], "contact": contact(scene, 11)});
    scene.simulate("POST", "leads", discovered).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace, "countries": ["BE"]}})).await?;
    for (name, number) in LEADS {
        let spec = match name {
            "no-channel" => json!({"channelId": 3700}),
            "held" => json!({"suspend": true}),
            "consentless" => json!({"consentless": {"companyName": "Customer 9"}, "deletionPolicy": "Delete"}),
            _ => json!({}),
        };
        scene.lead(name, number, spec).await?;
    }
    scene.service("licensed", 5, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "licensed"}})).await?;
    scene.service("suspended", 2, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "suspended"}})).await?;
    let states = [
        ("active", "True", "Succeeded"),
        ("suspended", "False", "LeadNotActive"),
        ("removed", "False", "LeadNotActive"),
        ("not-active", "False", "LeadNotActive"),
        ("licensed", "True", "Succeeded"),
        ("as-list", "True", "Succeeded"),
        ("held", "False", "Suspended"),
        ("no-channel", "False", "InvalidSpec"),
        ("consentless", "True", "Succeeded"),
    ];
    for (name, truth, reason) in states {
        scene.ready::<Lead>(name, truth, reason).await?;
    }
    scene.ready::<Lead>(&scene.found("found", 11), "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("licensed", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("suspended", "False", "LeadNotActive").await?;
    Ok(())
}

/// Has the operator look at every lead again, and waits until it has.
async fn look(scene: &Scene, why: &str) -> Result<()> {
    const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";
    for lead in Lead::api(scene).list(&Default::default()).await? {
        scene.annotate::<Lead>(&lead.name_any(), RECONCILE, why).await?;
    }
    for lead in Lead::api(scene).list(&Default::default()).await? {
        let handled = |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(why));
        scene.until::<Lead>(&lead.name_any(), handled).await?;
    }
    Ok(())
}

pub async fn personal_data_stays_out_unless_asked_for(scene: Scene) -> Result<()> {
    every_state(&scene).await?;
    for (place, text) in written(&scene).await? {
        ensure!(found(&scene, &text).is_empty(), "{place} has {:?}", found(&scene, &text));
    }
    // With Include, each contact is in the status of its own lead and nowhere else.
    let rules = json!({"namespace": scene.namespace, "countries": ["BE"]});
    scene.platform_object(json!({"leadDiscovery": rules, "contactDetails": "Include"})).await?;
    let shown = [("active", 1), ("suspended", 2), ("removed", 3), ("licensed", 5), ("as-list", 6), ("consentless", 9)];
    for (name, number) in shown {
        let lead: Lead = scene.until(name, |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.contact.is_some())).await?;
        let [full_name, email, phone] = person(&scene, number).map(Some);
        let contact = lead.status.as_ref().and_then(|status| status.contact.clone()).context("a contact")?;
        ensure!((contact.full_name, contact.email, contact.phone_number) == (full_name, email, phone), "{name}: {}", message(&lead));
    }
    look(&scene, "included").await?;
    for (place, text) in written(&scene).await? {
        let mut text = text;
        if place.starts_with("Lead ") {
            let mut object: Value = serde_json::from_str(&text)?;
            if let Some(status) = object["status"].as_object_mut() {
                status.remove("contact");
            }
            text = object.to_string();
        }
        ensure!(found(&scene, &text).is_empty(), "{place} has {:?}", found(&scene, &text));
    }
    // And back.
    scene.platform_object(json!({"leadDiscovery": rules, "contactDetails": "Omit"})).await?;
    for lead in Lead::api(&scene).list(&Default::default()).await? {
        scene.until::<Lead>(&lead.name_any(), |lead: &Lead| lead.status.as_ref().is_none_or(|status| status.contact.is_none())).await?;
    }
    look(&scene, "omitted").await?;
    for (place, text) in written(&scene).await? {
        ensure!(found(&scene, &text).is_empty(), "{place} has {:?}", found(&scene, &text));
    }
    Ok(())
}

pub async fn contacts_leave_every_lead(scene: Scene) -> Result<()> {
    let contact = json!({"fullName": "Ada Lovelace", "email": "ada@example.com", "phoneNumber": "+31201234567"});
    for tenant in 1..=2 {
        scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(tenant), "companyName": format!("Customer {tenant}"), "contact": contact})).await?;
    }
    scene.connect(json!({"contactDetails": "Include"})).await?;
    let leads = ["looked-at", "suspended"];
    for (name, tenant) in leads.into_iter().zip(1..) {
        scene.lead(name, tenant, json!({})).await?;
    }
    let has = |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.contact.is_some());
    for name in leads {
        scene.until::<Lead>(name, has).await?;
    }
    scene.change::<Lead>("suspended", json!({"suspend": true})).await?;
    scene.ready::<Lead>("suspended", "False", "Suspended").await?;
    scene.platform_object(json!({"contactDetails": "Omit"})).await?;
    for name in leads {
        let lead: Lead = scene.until(name, |lead: &Lead| !has(lead)).await?;
        ensure!(lead.status.and_then(|status| status.company_name).is_some(), "{name}: the rest stays");
    }
    // The platform fails: a lead that is Ready stays as it is, except for its contact.
    scene.platform_object(json!({"contactDetails": "Include"})).await?;
    scene.until::<Lead>("looked-at", has).await?;
    scene.fault(json!({"kind": "serverError", "forever": true})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "False", "PlatformUnavailable").await?;
    scene.platform_object(json!({"contactDetails": "Omit"})).await?;
    scene.until::<Lead>("looked-at", |lead: &Lead| !has(lead)).await?;
    scene.simulate("DELETE", "faults", Value::Null).await?;
    // A namespace that may no longer use the platform, and a platform that is gone.
    for reason in ["NamespaceNotAllowed", "PlatformNotFound"] {
        scene.platform_object(json!({"contactDetails": "Include", "allowedNamespaces": {"from": "All"}})).await?;
        scene.until::<Lead>("looked-at", has).await?;
        if reason == "PlatformNotFound" {
            scene.delete::<LivePlatform>(&scene.platform).await?;
        } else {
            scene.platform_object(json!({"contactDetails": "Omit", "allowedNamespaces": {"from": "None"}})).await?;
        }
        scene.ready::<Lead>("looked-at", "False", reason).await?;
        scene.until::<Lead>("looked-at", |lead: &Lead| !has(lead)).await?;
    }
    Ok(())
}

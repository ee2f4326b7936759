//! What events and the audit log report about a customer's history.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, ResourceExt};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, SECRET, Scene, ready_is};

const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

/// The events about an object, in the order of their times.
async fn events<K: Own>(scene: &Scene, name: &str) -> Result<Vec<Event>> {
    let namespace = if K::kind(&()) == "LivePlatform" { "default" } else { scene.namespace.as_str() };
    let mut all = Api::<Event>::namespaced(scene.client.clone(), namespace).list(&Default::default()).await?.items;
    let about =
        |event: &Event| event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(name) && object.kind.as_deref() == Some(&*K::kind(&())));
    all.retain(about);
    let version = |event: &Event| event.resource_version().and_then(|version| version.parse::<u64>().ok());
    all.sort_by_key(|event| (event.event_time.as_ref().map(|time| time.0), version(event)));
    Ok(all)
}

fn reasons(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(|event| event.reason.as_deref()).collect()
}

/// Waits until the events about an object are exactly these.
async fn told<K: Own>(scene: &Scene, name: &str, expected: &[&str]) -> Result<Vec<Event>> {
    let mut found = Vec::new();
    for _ in 0..100 {
        found = events::<K>(scene, name).await?;
        if reasons(&found) == expected {
            return Ok(found);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("{} {name}: {expected:?} expected, told was {:?}", K::kind(&()), found.iter().map(|event| (&event.reason, &event.note)).collect::<Vec<_>>())
}

pub async fn a_customer_has_a_history(scene: Scene) -> Result<()> {
    let contact = json!({"fullName": "Ada Lovelace", "email": "ada@example.com"});
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "companyName": "Contoso Ltd", "contact": contact})).await?;
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}, "deletionPolicy": "Delete"})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "AwaitingLeadsJob").await?;
    told::<OcEssentialService>(&scene, "contoso", &["ConversionRequested", "Licensed", "AwaitingLeadsJob"]).await?;
    scene.simulate("POST", "jobs/leads/run", Value::Null).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    let way = ["ConversionRequested", "Licensed", "AwaitingLeadsJob", "Synced", "DeletionRequested", "Deleted"];
    let history = told::<OcEssentialService>(&scene, "contoso", &way).await?;
    for event in &history {
        let about = event.regarding.as_ref().context("what it is about")?;
        ensure!(about.uid == service.metadata.uid && about.namespace.as_deref() == Some(&*scene.namespace), "{about:?}");
        ensure!(event.type_.as_deref() == Some("Normal") && event.note.as_ref().is_some_and(|note| !note.is_empty()), "{event:?}");
        ensure!(event.reporting_controller.as_deref() == Some("operatorconnect.dev/oc-essentials-operator") && event.reporting_instance.is_some());
        let text = serde_json::to_string(event)?;
        ensure!(["Ada Lovelace", "ada@example.com", SECRET].iter().all(|secret| !text.contains(secret)), "it tells too much: {text}");
    }
    told::<Lead>(&scene, "contoso", &["LeadActive"]).await?;
    told::<LivePlatform>(&scene, &scene.platform, &["PlatformConnected"]).await?;
    Ok(())
}

pub async fn what_stays_so_is_told_once(scene: Scene) -> Result<()> {
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "companyName": "Waits", "status": "Suspended"})).await?;
    scene.consented(&[2]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "taken_over", "fullName": "taken-over Ltd"})).await?;
    scene.connect(json!({})).await?;
    scene.lead("waits", 1, json!({})).await?;
    scene.service("waits", 1, json!({})).await?;
    scene.service("taken-over", 2, json!({})).await?;
    scene.service("planned", 3, json!({"mode": "Plan"})).await?;
    scene.ready::<OcEssentialService>("taken-over", "True", "Succeeded").await?;
    for round in ["first", "second", "third"] {
        for name in ["waits", "taken-over"] {
            scene.annotate::<OcEssentialService>(name, RECONCILE, round).await?;
            let handled =
                |service: &OcEssentialService| service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(round));
            scene.until(name, handled).await?;
        }
    }
    scene.ready::<OcEssentialService>("waits", "False", "LeadNotActive").await?;
    let warned = told::<OcEssentialService>(&scene, "waits", &["LeadNotActive"]).await?;
    ensure!(warned.iter().all(|event| event.type_.as_deref() == Some("Warning")));
    told::<Lead>(&scene, "waits", &["LeadNotActive"]).await?;
    told::<OcEssentialService>(&scene, "taken-over", &["Adopted", "Synced"]).await?;
    // The platform fails and comes back: only its own object reports that.
    scene.fault(json!({"kind": "tokenRefused", "message": "AADSTS7000222: expired", "forever": true})).await?;
    scene.fault(json!({"kind": "unauthorized", "forever": true})).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "now").await?;
    scene.ready::<LivePlatform>(&scene.platform, "False", "AuthenticationFailed").await?;
    for name in ["taken-over", "waits"] {
        scene.annotate::<OcEssentialService>(name, RECONCILE, "away").await?;
        scene.until::<OcEssentialService>(name, |service| ready_is(service, "False", "AuthenticationFailed")).await?;
    }
    scene.simulate("DELETE", "faults", Value::Null).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "again").await?;
    scene.ready::<OcEssentialService>("taken-over", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("waits", "False", "LeadNotActive").await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    told::<LivePlatform>(&scene, &scene.platform, &["PlatformConnected", "AuthenticationFailed", "PlatformRecovered"]).await?;
    told::<OcEssentialService>(&scene, "taken-over", &["Adopted", "Synced"]).await?;
    scene.delete::<OcEssentialService>("taken-over").await?;
    scene.gone::<OcEssentialService>("taken-over").await?;
    told::<OcEssentialService>(&scene, "taken-over", &["Adopted", "Synced", "Retained"]).await?;
    // Last, so that an event about the end of the outage would be there by now.
    told::<OcEssentialService>(&scene, "waits", &["LeadNotActive"]).await?;
    Ok(())
}

/// The audit lines of this case's platform.
fn audit(scene: &Scene) -> Result<Vec<Value>> {
    let all = scene.said()?;
    let lines = all.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter(|line| line["target"] == "audit" && line["platform"] == scene.platform.as_str()).collect())
}

/// Every kind of change, with every kind of answer except the one that a platform does not give. Returns the service that is deleted at the end, as it was.
async fn changes_of_all_sorts(scene: &Scene) -> Result<OcEssentialService> {
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    let contact = json!({"fullName": "Ada Lovelace", "email": "ada@example.com"});
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "companyName": "Contoso Ltd", "contact": contact})).await?;
    scene.consented(&[2, 3]).await?;
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.connect(scene.http_jobs()).await?;
    scene.lead("contoso", 1, json!({"channelId": 1574})).await?;
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    scene.lead("direct", 4, json!({"consentless": {"companyName": "Direct Ltd"}, "deletionPolicy": "Delete"})).await?;
    scene.ready::<Lead>("direct", "True", "Succeeded").await?;
    scene.fault(json!({"kind": "dropAfterExecution", "endpoint": "services.create", "times": 1})).await?;
    scene.service("lost", 2, json!({})).await?;
    scene.ready::<OcEssentialService>("lost", "True", "Succeeded").await?;
    scene.fault(json!({"kind": "serverError", "status": 400, "message": "not today", "endpoint": "services.create", "times": 1})).await?;
    scene.service("refused", 3, json!({})).await?;
    scene.ready::<OcEssentialService>("refused", "False", "PlatformRefused").await?;
    scene.service("contoso", 1, json!({"deletionPolicy": "Delete"})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.delete::<Lead>("direct").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    scene.gone::<Lead>("direct").await?;
    Ok(service)
}

pub async fn each_change_has_its_audit_line(scene: Scene) -> Result<()> {
    let service = changes_of_all_sorts(&scene).await?;
    let lines = audit(&scene)?;
    // Jobs are calls of the installation, which the simulator does not count as changes.
    let answered: Vec<&Value> =
        lines.iter().filter(|line| line["answer"] != "asking" && line["answer"] != "not executed" && line["change"] != "run job").collect();
    ensure!(answered.len() as u64 == scene.changes().await?, "{} lines for {} changes: {answered:#?}", answered.len(), scene.changes().await?);
    let mut requests: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for line in &lines {
        requests.entry(line["request"].to_string()).or_default().push(line["answer"] == "asking");
    }
    ensure!(requests.values().all(|pair| *pair == [true, false]), "each is asked and answered, in this order: {requests:?}");
    let one = |change: &str, name: &str| {
        let mut of = answered.iter().filter(|line| line["change"] == change && line["name"] == name);
        let only = of.next().with_context(|| format!("a line for {change} of {name}"))?;
        ensure!(of.next().is_none(), "two lines for {change} of {name}");
        Ok::<_, anyhow::Error>((*only).clone())
    };
    let delete = one("delete service", "contoso")?;
    let status = service.status.context("a status")?;
    ensure!(
        delete["kind"] == "OcEssentialService" && delete["namespace"] == scene.namespace.as_str() && delete["uid"] == json!(service.metadata.uid),
        "{delete}"
    );
    ensure!(delete["policy"] == "Delete" && delete["answer"] == "accepted" && delete["guid"] == json!(status.ump_customer_guid), "{delete}");
    ensure!(delete["operation"].is_string() && delete["generation"].as_i64() > service.metadata.generation && delete["short_name"] == "contoso", "{delete}");
    let create = one("create service", "contoso")?;
    ensure!(
        create["tenant"] == scene.tenant(1).as_str() && create["answer"] == "accepted" && create["task"].is_string() && create["policy"].is_null(),
        "{create}"
    );
    ensure!(create["task"] == json!(status.operation.and_then(|operation| operation.task_id)), "{create}");
    let refused = one("create service", "refused")?;
    ensure!(
        refused["answer"] == "refused" && refused["reason"] == "PlatformRefused" && refused["said"].as_str().is_some_and(|said| said.contains("400")),
        "{refused}"
    );
    ensure!(one("create service", "lost")?["answer"] == "lost");
    ensure!(one("assign channel", "contoso")?["channel"] == "1574" && one("create lead", "direct")?["answer"] == "accepted");
    ensure!(one("delete lead", "direct")?["policy"] == "Delete");
    ensure!(lines.iter().any(|line| line["change"] == "run job" && line["job"] == "peering.sync-leads-job" && line["answer"] == "accepted"), "{lines:#?}");
    let text = serde_json::to_string(&lines)?;
    ensure!(["Ada Lovelace", "ada@example.com", SECRET, "Contoso Ltd", "contoso Ltd"].iter().all(|secret| !text.contains(secret)), "it tells too much");
    Ok(())
}

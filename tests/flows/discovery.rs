//! What keeps discovery from creating an object, as the platform object says it. One that fails never stops the others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Patch, PostParams};
use kube::{Api, ResourceExt};
use oc_api::Condition;
use oc_api::{Lead, LeadDiscoveryStatus, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, message, ready_is};

const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

/// The condition that tells of discovery, and the counts beside it.
fn discovery(platform: &LivePlatform) -> Option<(&Condition, &LeadDiscoveryStatus)> {
    let status = platform.status.as_ref()?;
    let condition = status.conditions.iter().find(|condition| condition.type_ == "LeadsDiscovered")?;
    Some((condition, status.lead_discovery.as_ref()?))
}

/// Waits until the condition has this reason, and its message these words; returns the counts of matched, present, made and failed leads.
async fn until_told(scene: &Scene, reason: &str, words: &[&str]) -> Result<(LivePlatform, [u32; 4])> {
    let told = |platform: &LivePlatform| {
        discovery(platform).is_some_and(|(condition, _)| {
            let truth = if reason == "Succeeded" { "True" } else { "False" };
            condition.status == truth && condition.reason == reason && words.iter().all(|words| condition.message.contains(words))
        })
    };
    let platform: LivePlatform = scene.until(&scene.platform, told).await?;
    let (condition, counts) = discovery(&platform).context("a condition")?;
    let shown = counts.message.as_ref();
    ensure!(shown.is_some() == (counts.failed > 0) && shown.is_none_or(|shown| condition.message.starts_with(shown)), "{counts:?}: {condition:?}");
    let counts = [counts.matched, counts.present, counts.made, counts.failed];
    Ok((platform, counts))
}

fn object(name: &str, kind: &str, version: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    for (key, value) in rest.as_object().into_iter().flatten() {
        object[key.as_str()] = value.clone();
    }
    object
}

fn leads_in(scene: &Scene, namespace: &str) -> Api<Lead> {
    Api::namespaced(scene.client.clone(), namespace)
}

/// The namespace does not exist. When it is created, all objects are.
pub async fn discovery_says_that_its_namespace_is_missing(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=12).collect();
    scene.consented(&all).await?;
    let missing = format!("{}-later", scene.namespace);
    scene.connect(json!({"leadDiscovery": {"namespace": missing}})).await?;
    let first = format!("For tenant {}: namespaces \"{missing}\" not found. Create the namespace", scene.tenant(1));
    let (platform, counts) = until_told(&scene, "InvalidSpec", &["12 leads have no Lead object", &first]).await?;
    ensure!(counts == [12, 0, 0, 12], "{counts:?}");
    scene.until(&scene.platform, |platform: &LivePlatform| ready_is(platform, "False", "InvalidSpec")).await?;
    ensure!(message(&platform).contains("spec.leadDiscovery"), "{}", message(&platform));
    scene.apply(object(&missing, "Namespace", "v1", json!({}))).await?;
    let (_, counts) = until_told(&scene, "Succeeded", &[]).await?;
    ensure!(counts == [12, 12, 12, 0], "{counts:?}");
    ensure!(leads_in(&scene, &missing).list(&Default::default()).await?.items.len() == all.len());
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    Ok(())
}

/// An admission policy that refuses one tenant affects only that tenant. It is not asked again at each observation.
pub async fn discovery_says_that_a_policy_refuses_a_lead(scene: Scene) -> Result<()> {
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    until_told(&scene, "Succeeded", &[]).await?;
    let policy = format!("refuse-{}", scene.namespace);
    let rule = json!({"spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{"apiGroups": ["operatorconnect.dev"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["leads"]}]},
        "validations": [{"expression": format!("object.spec.msTenantId != '{}'", scene.tenant(20)), "message": "this tenant is not for this cluster"}],
    }});
    scene.apply(object(&policy, "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1", rule)).await?;
    let binding = json!({"spec": {"policyName": policy, "validationActions": ["Deny"]}});
    scene.apply(object(&policy, "ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1", binding)).await?;
    // The API server takes a moment to enforce it.
    let refused = json!({"metadata": {"name": "trial"}, "spec": {"platform": scene.platform, "msTenantId": scene.tenant(20)}});
    let trial: Lead = serde_json::from_value(object("trial", "Lead", "operatorconnect.dev/v1alpha1", refused))?;
    let leads = leads_in(&scene, &scene.namespace);
    for _ in 0..100 {
        if leads.create(&PostParams { dry_run: true, ..PostParams::default() }, &trial).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene.consented(&[20, 21]).await?;
    let first = format!("1 lead has no Lead object in the namespace {}. For tenant {}: ", scene.namespace, scene.tenant(20));
    let (platform, counts) = until_told(&scene, "ClusterRefused", &[&first, "this tenant is not for this cluster"]).await?;
    ensure!(counts == [2, 1, 1, 1], "{counts:?}");
    ensure!(ready_is(&platform, "True", "Succeeded"), "the rest of the platform goes on: {}", message(&platform));
    ensure!(leads.get_opt(&scene.found("company-21", 21)).await?.is_some(), "the other one has no object");
    // Nothing changes, so nothing is written.
    let written = platform.resource_version();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let later: LivePlatform = scene.until(&scene.platform, |_| true).await?;
    ensure!(later.resource_version() == written, "{:?}\n{:?}", platform.status, later.status);
    // A tenant that is left out is no longer missed.
    scene.platform_object(json!({"leadDiscovery": {"namespace": scene.namespace, "excludeTenants": [scene.tenant(20)]}})).await?;
    let (_, counts) = until_told(&scene, "Succeeded", &[]).await?;
    ensure!(counts == [1, 1, 1, 0], "{counts:?}");
    Ok(())
}

/// A quota that allows only some of the objects: those are created, the rest is reported in the API server's words and created when there is room.
pub async fn discovery_says_that_a_quota_is_used_up(scene: Scene) -> Result<()> {
    const ROOM: usize = 4;
    let all: Vec<u32> = (1..=12).collect();
    scene.consented(&all).await?;
    let full = format!("{}-full", scene.namespace);
    scene.apply(object(&full, "Namespace", "v1", json!({}))).await?;
    let quotas = Api::<ResourceQuota>::namespaced(scene.client.clone(), &full);
    let hard = |count: usize| json!({"count/leads.operatorconnect.dev": count.to_string()});
    scene.apply(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": full}, "spec": {"hard": hard(ROOM)}})).await?;
    // What the controller manager would fill in; the API server counts from there.
    let counted = json!({"status": {"hard": hard(ROOM), "used": hard(0)}});
    quotas.patch_status("few", &Default::default(), &Patch::Merge(counted)).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": full}})).await?;
    let (platform, counts) = until_told(&scene, "ClusterRefused", &["8 leads have no Lead object", "exceeded quota: few", "Raise the quota"]).await?;
    ensure!(counts == [12, 4, 4, 8], "{counts:?}");
    ensure!(ready_is(&platform, "True", "Succeeded"), "the rest of the platform goes on: {}", message(&platform));
    let leads = leads_in(&scene, &full);
    ensure!(leads.list(&Default::default()).await?.items.len() == ROOM);
    let raised = json!({"spec": {"hard": hard(all.len())}});
    quotas.patch("few", &Default::default(), &Patch::Merge(raised)).await?;
    let raised = json!({"status": {"hard": hard(all.len())}});
    quotas.patch_status("few", &Default::default(), &Patch::Merge(raised)).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "raised").await?;
    let (_, counts) = until_told(&scene, "Succeeded", &[]).await?;
    ensure!(counts == [12, 12, 12, 0], "{counts:?}");
    ensure!(leads.list(&Default::default()).await?.items.len() == all.len(), "there is room for all now");
    Ok(())
}

/// Something else has every name that an object could get. The other lead gets its object, and one that a person has created counts as present.
pub async fn discovery_says_that_a_name_is_taken(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    let whole = scene.tenant(1);
    for name in [scene.found("company-1", 1), format!("company-1-{whole}"), format!("lead-{whole}-{}", scene.platform)] {
        scene.lead(&name, 1, json!({"platform": "another"})).await?;
    }
    scene.lead("by-hand", 3, json!({})).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    let first = format!("1 lead has no Lead object in the namespace {}. For tenant {whole}: every name", scene.namespace);
    let (platform, counts) = until_told(&scene, "Conflict", &[&first, "spec.leadDiscovery.excludeTenants"]).await?;
    ensure!(counts == [3, 2, 1, 1], "{counts:?}");
    ensure!(ready_is(&platform, "True", "Succeeded"), "{}", message(&platform));
    scene.ready::<Lead>(&scene.found("company-2", 2), "True", "Succeeded").await?;
    // One of the names becomes free.
    scene.delete::<Lead>(&scene.found("company-1", 1)).await?;
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, "free").await?;
    let (_, counts) = until_told(&scene, "Succeeded", &[]).await?;
    ensure!(counts == [3, 3, 2, 0], "{counts:?}");
    // Without discovery there is nothing to tell.
    scene.change::<LivePlatform>(&scene.platform, json!({"leadDiscovery": null})).await?;
    scene.until(&scene.platform, |platform: &LivePlatform| discovery(platform).is_none()).await?;
    Ok(())
}

/// Many leads at once: their objects are created at a steady rate, and neither the platform object nor anybody's service waits for them.
pub async fn discovery_is_steady_and_nothing_waits_for_it(scene: Scene) -> Result<()> {
    const MANY: u32 = 150;
    let leads: Vec<Value> = (1..=MANY).map(|number| json!({"tenantId": scene.tenant(number), "companyName": format!("Company {number}")})).collect();
    scene.simulate("POST", "leads", json!(leads)).await?;
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    scene.service("customer", 1, json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    let service: OcEssentialService = scene.ready("customer", "True", "Succeeded").await?;
    let ready = service.status.context("a status")?.conditions.into_iter().find(|condition| condition.type_ == "Ready").context("Ready")?;
    let (_, counts) = until_told(&scene, "Succeeded", &[]).await?;
    ensure!(counts == [MANY, MANY, MANY, 0], "{counts:?}");
    let mut seconds = std::collections::BTreeMap::<_, u32>::new();
    for lead in leads_in(&scene, &scene.namespace).list(&Default::default()).await? {
        *seconds.entry(lead.creation_timestamp().context("a time")?.0).or_default() += 1;
    }
    ensure!(seconds.values().sum::<u32>() == MANY, "{seconds:?}");
    // One more than in a second of any other length: turns are 50 ms apart, and requests do not all take equally long.
    ensure!(seconds.values().all(|created| *created <= 22), "more than 20 a second: {seconds:?}");
    let last = seconds.keys().next_back().context("a lead")?;
    ensure!(ready.last_transition_time.0 < *last, "the service was Ready at {:?}, after the last lead: {seconds:?}", ready.last_transition_time);
    Ok(())
}

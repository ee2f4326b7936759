//! Least privilege: each right that the chart grants is used, and the operator needs no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use control_plane::{ControlPlane, Grant, Options, RELEASE, SYSTEM, allowed, audit};
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::config::Kubeconfig;
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::ground;
use super::stage::{Own, Scene, told};

/// Rights that the scenario does not use, as group, verb and resource, each with the reason why it is granted anyway. A right that turns out to be used does
/// not belong here.
const UNUSED: &[(&str, &str, &str, &str)] = &[];

/// A right: the group of an API, a verb, and a resource.
type Right<'a> = (&'a str, &'a str, &'a str);

/// What must never be possible: verb, group, resource, and a namespace or none.
const NEVER: [(&str, &str, &str, Option<&str>); 18] = [
    ("list", "", "secrets", None),
    ("watch", "", "secrets", None),
    ("list", "", "secrets", Some(SYSTEM)),
    ("create", "", "secrets", Some(SYSTEM)),
    ("update", "", "secrets", Some(SYSTEM)),
    ("list", "", "configmaps", None),
    ("list", "", "namespaces", None),
    ("get", "", "nodes", None),
    ("create", "", "pods", Some(SYSTEM)),
    ("create", "", "serviceaccounts/token", Some(SYSTEM)),
    ("impersonate", "", "users", None),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles", None),
    // A platform's spec decides where tokens are sent, and a policy's spec what is paid for: people write them.
    ("patch", "operatorconnect.dev", "liveplatforms", None),
    ("patch", "operatorconnect.dev", "leadpolicies", None),
    ("create", "operatorconnect.dev", "leadpolicies", None),
    ("update", "operatorconnect.dev", "ocessentialservices", None),
    ("delete", "operatorconnect.dev", "ocessentialservices", None),
    ("delete", "operatorconnect.dev", "leads", None),
];

pub async fn each_is_used_and_none_is_missing() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let mut values = control_plane::reads_anywhere();
    values["leaderElection"] = json!(BTreeMap::from(ground::ELECTION));
    let release = cluster.install(&values).await?;
    let Some(log) = cluster.audit_log() else {
        told("not measured: the control plane has no audit log, so that nobody can say which rights were used; this case has judged nothing");
        return Ok(());
    };
    let begin = audit::end(&log)?;
    let scene = ground::scene(&cluster, "rights").await?;
    let mut first = ground::operator(&release, &scene, "first")?;
    ground::leads(&scene.client, &mut first, "first").await?;
    // It waits, and takes over at the end.
    let mut second = ground::operator(&release, &scene, "second")?;
    whole_lives(&scene, cluster.kubeconfig(), (&log, &release.user())).await?;
    first.check()?;
    ground::end(first).await?;
    ground::leads(&scene.client, &mut second, "second").await?;
    ground::end(second).await?;
    scene.rules_are_kept().await?;

    let (user, grants) = (release.user(), release.grants().await?);
    judge(&log, begin, &user, &grants)?;
    for (verb, group, resource, namespace) in NEVER {
        let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(resource, subresource)| (resource, Some(subresource.to_owned())));
        let attributes = ResourceAttributes {
            verb: Some(verb.into()),
            group: Some(group.into()),
            resource: Some(resource.into()),
            subresource,
            namespace: namespace.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        ensure!(!allowed(&scene.client, &user, attributes).await?, "{user} may {verb} {resource} in {namespace:?}");
    }
    Ok(())
}

/// Everything that the operator does, from the first list to the last deletion.
async fn whole_lives(scene: &Scene, kubeconfig: &Path, (log, user): (&Path, &str)) -> Result<()> {
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace, "labels": {"customers": "yes"}}})).await?;
    scene.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": scene.namespace}, "data": {"ca.crt": authority(kubeconfig)?}})).await?;
    scene
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pbx", "namespace": scene.namespace}, "stringData": {"CustomVar.Pin": "1"}}))
        .await?;
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(9), "companyName": "Found", "countries": ["NL"]})).await?;
    scene.consented(&[1, 2]).await?;
    let mut spec = scene.http_jobs();
    spec["caBundleRef"] = json!({"namespace": scene.namespace, "name": "ca", "key": "ca.crt"});
    spec["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"customers": "yes"}}});
    spec["leadDiscovery"] = json!({"namespace": scene.namespace, "countries": ["NL"]});
    scene.connect(spec).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<Lead>(&scene.found("found", 9), "True", "Succeeded").await?;
    scene.lead("wingtip", 1, json!({"channelId": 1574})).await?;
    scene
        .service("wingtip", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "wingtip"}, "channelId": 1574, "deletionPolicy": "Delete"}))
        .await?;
    scene.ready::<OcEssentialService>("wingtip", "True", "Succeeded").await?;
    let slow = scene.calls("services.create").await?;
    delay(scene, "services.create").await?;
    let settings = json!({"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com", "variablesFrom": {"secretRef": {"name": "pbx"}}});
    scene.service("northwind", 2, json!({"advancedSettings": settings})).await?;
    somebody_writes_meanwhile::<OcEssentialService>(scene, "northwind", "services.create", slow).await?;
    let slow = scene.calls("leads.create").await?;
    delay(scene, "leads.create").await?;
    scene.lead("direct", 3, json!({"consentless": {"companyName": "Direct Ltd"}, "deletionPolicy": "Delete"})).await?;
    somebody_writes_meanwhile::<Lead>(scene, "direct", "leads.create", slow).await?;
    let slow = scene.calls("services.list").await?;
    delay(scene, "services.list").await?;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "now").await?;
    somebody_writes_meanwhile::<LivePlatform>(scene, &scene.platform, "services.list", slow).await?;
    for name in ["wingtip", "northwind"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    scene.ready::<Lead>("direct", "True", "Succeeded").await?;
    by_policy(scene, log, user).await?;
    for name in ["wingtip", "northwind"] {
        scene.delete::<OcEssentialService>(name).await?;
        scene.gone::<OcEssentialService>(name).await?;
    }
    for name in ["wingtip", "direct"] {
        scene.delete::<Lead>(name).await?;
        scene.gone::<Lead>(name).await?;
    }
    Ok(())
}

/// A policy creates a service for a lead, first as a plan. While it reports, somebody writes the policy, so that the operator has to read it again.
async fn by_policy(scene: &Scene, log: &Path, user: &str) -> Result<()> {
    let found = scene.found("found", 9);
    let metadata = json!({"name": "all", "namespace": scene.namespace});
    let condition = json!([{"name": "found", "expression": format!("lead.metadata.name == '{found}'")}]);
    let spec = json!({"platform": scene.platform, "matchConditions": condition, "template": {}});
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy", "metadata": metadata, "spec": spec})).await?;
    scene.ready::<OcEssentialService>(&found, "False", "PlanReady").await?;
    scene.change::<LeadPolicy>("all", json!({"template": {"spec": {"mode": "Apply"}}})).await?;
    scene.ready::<OcEssentialService>(&found, "True", "Succeeded").await?;
    let read = |request: &audit::Request| request.user == user && request.resource == "leadpolicies" && request.verb == "get";
    for attempt in 0..200 {
        scene.annotate::<LeadPolicy>("all", "operatorconnect.dev/reconcile-requested-at", &attempt.to_string()).await?;
        if attempt % 10 == 9 && audit::since(log, 0)?.iter().any(read) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(37)).await;
    }
    scene.delete::<LeadPolicy>("all").await?;
    scene.delete::<OcEssentialService>(&found).await?;
    scene.gone::<OcEssentialService>(&found).await
}

async fn delay(scene: &Scene, endpoint: &str) -> Result<()> {
    scene.fault(json!({"kind": "delay", "endpoint": endpoint, "delay": 3000, "executed": true})).await
}

/// While the platform is slow to answer, someone writes the object, so that the operator has to read it again before it can write what it has learnt.
async fn somebody_writes_meanwhile<K: Own>(scene: &Scene, name: &str, endpoint: &str, before: u64) -> Result<()> {
    ground::until("the slow call has come", async || Ok(scene.calls(endpoint).await? > before)).await?;
    scene.annotate::<K>(name, "example.com/meanwhile", "yes").await
}

/// Some authority's certificate: the API server's, which the simulated platform does not use.
fn authority(kubeconfig: &Path) -> Result<String> {
    let clusters = Kubeconfig::read_from(kubeconfig)?.clusters;
    let cluster = clusters.into_iter().find_map(|cluster| cluster.cluster).context("a cluster")?;
    match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => Ok(String::from_utf8(serde_json::from_value::<ByteString>(Value::String(data))?.0)?),
        (None, Some(file)) => Ok(std::fs::read_to_string(file)?),
        (None, None) => anyhow::bail!("the kubeconfig has no authority"),
    }
}

/// The right that a request needs.
fn right(request: &audit::Request) -> Right<'_> {
    (&request.group, &request.verb, &request.resource)
}

/// Everything that a rule grants: each verb on each resource of each group.
fn given(grant: &Grant) -> Vec<Right<'_>> {
    let (groups, resources) = (grant.rule.api_groups.iter().flatten(), grant.rule.resources.iter().flatten());
    let named = groups.flat_map(|group| resources.clone().map(move |resource| (group, resource)));
    named.flat_map(|(group, resource)| grant.rule.verbs.iter().map(move |verb| (group.as_str(), verb.as_str(), resource.as_str()))).collect()
}

fn judge(log: &Path, begin: u64, user: &str, grants: &[Grant]) -> Result<()> {
    let requests: Vec<audit::Request> = audit::since(log, begin)?.into_iter().filter(|request| request.user == user).collect();
    ensure!(requests.len() > 50, "only {} requests were recorded", requests.len());
    let refused: Vec<_> = requests.iter().filter(|request| request.code == 403).collect();
    ensure!(refused.is_empty(), "a right is missing: {refused:?}");
    // What each service account may do by a role of Kubernetes itself names no resource, or reviews its own rights. A failed request still counts as asked, but
    // does not prove that its right is needed.
    let used: BTreeSet<Right<'_>> = requests.iter().filter(|request| !request.resource.is_empty() && request.used_its_right()).map(right).collect();
    let asked: BTreeSet<Right<'_>> = requests.iter().filter(|request| !request.resource.is_empty()).map(right).collect();
    let granted: BTreeSet<Right<'_>> = grants.iter().flat_map(given).collect();
    ensure!(granted.iter().all(|(group, verb, resource)| ![group, verb, resource].contains(&&"*")), "a role says all: {granted:?}");
    let by_others: Vec<_> = asked.difference(&granted).collect();
    ensure!(by_others.is_empty(), "asked for, and not given by the chart: {by_others:?}");
    let unused: Vec<_> = granted.difference(&used).copied().collect();
    let answered: Vec<_> = UNUSED.iter().map(|(group, verb, resource, _)| (*group, *verb, *resource)).collect();
    ensure!(unused == answered, "not used: {unused:?}; that is answered for: {answered:?}; used: {used:?}");
    let secrets: BTreeSet<&str> = granted.iter().filter(|(group, _, resource)| group.is_empty() && *resource == "secrets").map(|(_, verb, _)| *verb).collect();
    ensure!(secrets == BTreeSet::from(["get"]), "of Secrets: {secrets:?}");
    // Only its own lease.
    let of_leases = |request: &&audit::Request| request.resource == "leases" && request.verb != "create";
    let other = requests.iter().filter(of_leases).find(|request| request.name != RELEASE || request.namespace != SYSTEM);
    ensure!(other.is_none(), "another lease: {other:?}");
    Ok(())
}

//! A release that serves only some namespaces.

use anyhow::{Result, ensure};
use control_plane::{ControlPlane, Options, audit};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use live_platform_simulator::Simulator;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, ready_is};
use super::{ground, simulated};

pub async fn with_roles_in_one_namespace_the_others_are_left_alone() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let scene = ground::scene(&cluster, "scope").await?;
    let release = cluster.install(&json!({"watchNamespaces": [scene.namespace], "rbac": {"secrets": {"anywhere": true}}})).await?;
    // No right to namespaced objects is granted cluster-wide.
    for grant in release.grants().await?.iter().filter(|grant| grant.namespace.is_none()) {
        // Except what releases the objects of a namespace that is being deleted: nothing there is listed or watched.
        let lets_go = grant.rule.verbs.iter().all(|verb| ["get", "patch"].contains(&verb.as_str()));
        for resource in grant.rule.resources.iter().flatten() {
            let ours = ["leads", "leads/status", "ocessentialservices", "ocessentialservices/status"].contains(&resource.as_str());
            ensure!(resource.starts_with("liveplatforms") || resource == "namespaces" || (ours && lets_go), "everywhere: {resource} by {}", grant.role);
        }
    }
    let begin = cluster.audit_log().map(|log| audit::end(&log)).transpose()?;
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})).await?;
    let others = Others::make(&scene).await?;
    let mut operator = ground::operator(&release, &scene, "operator")?;
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    let spec = json!({"platform": scene.platform, "msTenantId": scene.tenant(2), "shortName": "Elsewhere", "fullName": "Elsewhere Ltd"});
    let metadata = json!({"name": "elsewhere", "namespace": "elsewhere"});
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": metadata, "spec": spec})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    // It existed as long as the other object, which has lived its whole life.
    let elsewhere = Api::<OcEssentialService>::namespaced(scene.client.clone(), "elsewhere").list(&ListParams::default()).await?;
    ensure!(elsewhere.items.iter().all(|object| object.metadata.finalizers.is_none() && untouched(object)), "{elsewhere:?}");
    ensure!(scene.calls("services.create").await? == 1, "for the other one nothing was asked");
    others.are_left_alone_until_they_fit(&scene).await?;
    operator.check()?;
    ground::end(operator).await?;
    if let (Some(log), Some(begin)) = (cluster.audit_log(), begin) {
        let refused: Vec<_> = audit::since(&log, begin)?.into_iter().filter(|request| request.user == release.user() && request.code == 403).collect();
        ensure!(refused.is_empty(), "a right is missing: {refused:?}");
    }
    scene.rules_are_kept().await
}

const GOES: &str = "goes";

/// Of two namespaces, one cannot be listed at first, gets its rights, and is deleted with everything in it. The other one is served all the time, and nothing
/// hangs.
pub async fn a_namespace_that_goes_stops_nobody_and_lets_its_objects_go() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let scene = ground::scene(&cluster, "goes").await?;
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GOES}})).await?;
    let values = json!({"watchNamespaces": [scene.namespace, GOES], "rbac": {"secrets": {"anywhere": true}}});
    let mut release = cluster.install(&values).await?;
    scene.consented(&[1, 2, 3, 4]).await?;
    scene.connect(json!({})).await?;
    let bindings = Api::<RoleBinding>::namespaced(scene.client.clone(), GOES);
    for binding in bindings.list(&ListParams::default()).await?.items {
        bindings.delete(&binding.name_any(), &DeleteParams::default()).await?;
    }
    let there = |name: &str, number: u32, policy: &str| {
        let spec =
            json!({"platform": scene.platform, "msTenantId": scene.tenant(number), "shortName": name, "fullName": "A customer", "deletionPolicy": policy});
        json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": GOES}, "spec": spec})
    };
    scene.apply(there("kept", 2, "Retain")).await?;
    scene.apply(there("deleted", 3, "Delete")).await?;
    // It cannot be listed: the other one is served.
    let mut operator = ground::operator(&release, &scene, "operator")?;
    scene.service("contoso", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    ensure!(operator.said()?.contains("can't watch this namespace"), "it is told");
    // Its rights come back: it is served without a restart.
    release.upgrade(&values).await?;
    let services = Api::<OcEssentialService>::namespaced(scene.client.clone(), GOES);
    ground::until("the objects of a namespace that can be listed again", async || {
        Ok(services.list(&ListParams::default()).await?.items.iter().filter(|object| ready_is(*object, "True", "Succeeded")).count() == 2)
    })
    .await?;
    // It is deleted, its Role with it.
    Api::<Namespace>::all(scene.client.clone()).delete(GOES, &DeleteParams::default()).await?;
    ground::until("a namespace that is deleted is gone", async || Ok(Api::<Namespace>::all(scene.client.clone()).get_opt(GOES).await?.is_none())).await?;
    ensure!(scene.calls("services.delete").await? == 1, "what was to be deleted on the platform is, and nothing else");
    scene.service("later", 4, json!({})).await?;
    scene.ready::<OcEssentialService>("later", "True", "Succeeded").await?;
    operator.check()?;
    ground::end(operator).await?;
    // And an operator that starts while the namespace is gone does not need it.
    let mut again = ground::operator(&release, &scene, "again")?;
    ground::leads(&scene.client, &mut again, "again").await?;
    scene.delete::<OcEssentialService>("later").await?;
    scene.gone::<OcEssentialService>("later").await?;
    ground::end(again).await?;
    scene.rules_are_kept().await
}

/// A platform for namespaces with a label that this release's namespace lacks.
struct Others {
    simulator: Simulator,
}

const OTHERS: &str = "of-other-namespaces";

impl Others {
    async fn make(scene: &Scene) -> Result<Self> {
        let simulator = Simulator::start(live_platform_simulator::Options::default()).await;
        let mut spec = scene.platform_spec(&simulator);
        spec["allowedNamespaces"] = json!({"from": "Selector", "selector": {"matchLabels": {"team": "other"}}});
        scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": OTHERS}, "spec": spec})).await?;
        Ok(Self { simulator })
    }

    /// Another release may serve it: no connection, and nothing in its status.
    async fn are_left_alone_until_they_fit(&self, scene: &Scene) -> Result<()> {
        let platform = Api::<LivePlatform>::all(scene.client.clone()).get(OTHERS).await?;
        ensure!(platform.status.as_ref().is_none_or(|status| status.observed_generation.is_none()), "{:?}", platform.status);
        let calls = simulated::call(&reqwest::Client::builder().no_proxy().build()?, &self.simulator, "GET", "calls", Value::Null).await?;
        ensure!(calls["byEndpoint"] == json!({}), "{calls}");
        let label = json!({"metadata": {"labels": {"team": "other"}}});
        Api::<Namespace>::all(scene.client.clone()).patch(&scene.namespace, &PatchParams::default(), &Patch::Merge(label)).await?;
        // The operator checks again every 20 s.
        ground::until("a namespace that fits", async || {
            let platform = Api::<LivePlatform>::all(scene.client.clone()).get(OTHERS).await?;
            Ok(ready_is(&platform, "True", "Succeeded"))
        })
        .await
    }
}

/// The API server's own defaults say that nothing was observed.
fn untouched(object: &OcEssentialService) -> bool {
    object.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
}

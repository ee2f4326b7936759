//! A release that looks after some namespaces only.

use anyhow::{Result, ensure};
use control_plane::{ControlPlane, Options, audit};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use live_platform_simulator::Simulator;
use oc_essentials_operator::api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Scene, ready_is};
use super::{ground, simulated};

pub async fn with_roles_in_one_namespace_the_others_are_left_alone() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let scene = ground::scene(&cluster, "scope").await?;
    let release = cluster.install(&json!({"watchNamespaces": [scene.namespace], "rbac": {"secrets": {"anywhere": true}}})).await?;
    // Of what lies in a namespace nothing is given cluster-wide.
    for grant in release.grants().await?.iter().filter(|grant| grant.namespace.is_none()) {
        for resource in grant.rule.resources.iter().flatten() {
            ensure!(resource.starts_with("liveplatforms") || resource == "namespaces", "everywhere: {resource} by {}", grant.role);
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
    // It was there for as long as the other, which has had its whole life.
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

/// A platform that only namespaces with a label may use, which this release's has not.
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

    /// Another release may be at work on it: no connection, and not a word in its status.
    async fn are_left_alone_until_they_fit(&self, scene: &Scene) -> Result<()> {
        let platform = Api::<LivePlatform>::all(scene.client.clone()).get(OTHERS).await?;
        ensure!(platform.status.as_ref().is_none_or(|status| status.observed_generation.is_none()), "{:?}", platform.status);
        let calls = simulated::call(&reqwest::Client::builder().no_proxy().build()?, &self.simulator, "GET", "calls", Value::Null).await?;
        ensure!(calls["byEndpoint"] == json!({}), "{calls}");
        let label = json!({"metadata": {"labels": {"team": "other"}}});
        Api::<Namespace>::all(scene.client.clone()).patch(&scene.namespace, &PatchParams::default(), &Patch::Merge(label)).await?;
        // It looks again each 20 s.
        ground::until("a namespace that fits", async || {
            let platform = Api::<LivePlatform>::all(scene.client.clone()).get(OTHERS).await?;
            Ok(ready_is(&platform, "True", "Succeeded"))
        })
        .await
    }
}

/// What the API server itself fills in says that nothing was observed.
fn untouched(object: &OcEssentialService) -> bool {
    object.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
}

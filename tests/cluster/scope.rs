//! A release that looks after some namespaces only.

use anyhow::{Result, ensure};
use control_plane::{ControlPlane, Options, audit};
use kube::Api;
use kube::api::ListParams;
use oc_essentials_operator::api::{LivePlatform, OcEssentialService};
use serde_json::json;

use super::ground;

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
    operator.check()?;
    ground::end(operator).await?;
    if let (Some(log), Some(begin)) = (cluster.audit_log(), begin) {
        let refused: Vec<_> = audit::since(&log, begin)?.into_iter().filter(|request| request.user == release.user() && request.code == 403).collect();
        ensure!(refused.is_empty(), "a right is missing: {refused:?}");
    }
    scene.rules_are_kept().await
}

/// What the API server itself fills in says that nothing was observed.
fn untouched(object: &OcEssentialService) -> bool {
    object.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
}

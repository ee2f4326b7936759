//! Removing the chart and its objects.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use control_plane::{ControlPlane, Options, RELEASE, SYSTEM};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::ground;
use super::stage::{Own, Scene};

/// The number of services on the platform.
async fn services(scene: &Scene) -> Result<usize> {
    let all = scene.simulate("GET", "services", Value::Null).await?;
    Ok(all["services"].as_array().into_iter().flatten().filter(|service| service["deletedAt"].is_null()).count())
}

async fn count<K: Own>(scene: &Scene) -> Result<usize> {
    Ok(K::api(scene).list(&ListParams::default()).await?.items.len())
}

pub async fn leaves_what_is_paid_for_and_takes_away_the_rest_when_told() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let mut values = control_plane::reads_anywhere();
    values["leaderElection"] = json!(BTreeMap::from(ground::ELECTION));
    let release = cluster.install(&values).await?;
    let scene = ground::scene(&cluster, "removal").await?;
    let operator = ground::operator(&release, &scene, "first")?;
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.lead("one", 1, json!({})).await?;
    for (name, tenant) in [("one", 1), ("two", 2)] {
        scene.service(name, tenant, json!({})).await?;
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    let changes = scene.changes().await?;

    // By mistake: nothing is lost, and an install brings it back.
    ground::end(operator).await?;
    release.uninstall().await?;
    let client = &scene.client;
    ensure!(Api::<Deployment>::namespaced(client.clone(), SYSTEM).get_opt(RELEASE).await?.is_none(), "the Deployment is still there");
    ensure!(Api::<ServiceAccount>::namespaced(client.clone(), SYSTEM).get_opt(RELEASE).await?.is_none(), "the service account is still there");
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    ensure!(Api::<ClusterRole>::all(client.clone()).list(&ours).await?.items.is_empty(), "a cluster role is still there");
    ensure!(count::<OcEssentialService>(&scene).await? == 2 && count::<Lead>(&scene).await? == 1, "the objects stay");
    ensure!(Api::<LivePlatform>::all(client.clone()).get_opt(&scene.platform).await?.is_some() && services(&scene).await? == 2);
    let release = cluster.install(&values).await?;
    let mut operator = ground::operator(&release, &scene, "second")?;
    ground::leads(client, &mut operator, "second").await?;

    // On purpose, in the order of the chart's README.
    for name in ["one", "two"] {
        scene.delete::<OcEssentialService>(name).await?;
    }
    scene.delete::<Lead>("one").await?;
    for name in ["one", "two"] {
        scene.gone::<OcEssentialService>(name).await?;
    }
    scene.gone::<Lead>("one").await?;
    Api::<LivePlatform>::all(client.clone()).delete(&scene.platform, &DeleteParams::default()).await?;
    scene.gone::<LivePlatform>(&scene.platform).await?;
    operator.check()?;
    ground::end(operator).await?;
    release.uninstall().await?;
    let kinds = Api::<CustomResourceDefinition>::all(client.clone());
    let names: Vec<String> = oc_api::crds::generate().into_iter().filter_map(|crd| crd.metadata.name).collect();
    for kind in &names {
        kinds.delete(kind, &DeleteParams::default()).await?;
    }
    for kind in &names {
        ground::until("a definition that was deleted is gone", async || Ok(kinds.get_opt(kind).await?.is_none())).await?;
    }
    ensure!(services(&scene).await? == 2, "what is paid for stays, by the policy Retain");
    ensure!(scene.changes().await? == changes, "nothing was asked of the platform");
    Ok(())
}

//! A release is replaced while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use control_plane::{ControlPlane, Helm, Options, RELEASE, Release, audit};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::ground;
use super::stage::{Scene, measured};

const SERVICES: u32 = 12;
const KIND: &str = "ocessentialservices.operatorconnect.dev";

/// An earlier version of the chart: the printed table of a service has one column less.
fn earlier(folder: &Path) -> Result<PathBuf> {
    let to = folder.join("earlier");
    copy(&control_plane::chart(), &to)?;
    let file = to.join("files/crds/operatorconnect.dev_ocessentialservices.yaml");
    let mut kind: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file)?)?;
    kind["spec"]["versions"][0]["additionalPrinterColumns"].as_array_mut().and_then(Vec::pop).context("a column")?;
    std::fs::write(&file, serde_saphyr::to_string(&kind)?)?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy(&entry, &to)?;
        } else {
            std::fs::copy(&entry, &to)?;
        }
    }
    Ok(())
}

async fn columns(scene: &Scene) -> Result<usize> {
    let kind = Api::<CustomResourceDefinition>::all(scene.client.clone()).get(KIND).await?;
    Ok(kind.spec.versions.first().and_then(|version| version.additional_printer_columns.as_ref()).map_or(0, Vec::len))
}

async fn level(scene: &Scene) -> Result<Option<String>> {
    let deployment = Api::<Deployment>::namespaced(scene.client.clone(), control_plane::SYSTEM).get(RELEASE).await?;
    let pod = deployment.spec.and_then(|spec| spec.template.spec).context("a pod")?;
    let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
    Ok(variables.filter(|variable| variable.name == "OPERATORCONNECT_LOG_LEVEL").find_map(|variable| variable.value))
}

type Versions = Vec<BTreeMap<String, String>>;

async fn versions(scene: &Scene) -> Result<Versions> {
    Ok(vec![scene.versions::<LivePlatform>().await?, scene.versions::<Lead>().await?, scene.versions::<OcEssentialService>().await?])
}

async fn settled(scene: &Scene) -> Result<Versions> {
    scene.consented(&(1..=SERVICES).collect::<Vec<_>>()).await?;
    scene.connect(scene.http_jobs()).await?;
    for tenant in 1..=SERVICES {
        let name = format!("customer-{tenant}");
        scene.lead(&name, tenant, json!({})).await?;
        scene.service(&name, tenant, json!({"msTenantId": null, "platform": null, "leadRef": {"name": name}})).await?;
    }
    for tenant in 1..=SERVICES {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
        scene.ready::<Lead>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    // Two observations without a write.
    for _ in 0..10 {
        let before = versions(scene).await?;
        tokio::time::sleep(Duration::from_secs(11)).await;
        if versions(scene).await? == before {
            return Ok(before);
        }
    }
    anyhow::bail!("the objects do not come to rest")
}

pub async fn of_a_running_release_writes_nothing_and_asks_the_platform_nothing() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let mut values = control_plane::reads_anywhere();
    values["leaderElection"] = json!(BTreeMap::from(ground::ELECTION));
    let mut release = cluster.install_chart(Helm::Three, &earlier(cluster.folder())?, &values).await?;
    let scene = ground::scene(&cluster, "upgrade").await?;
    let mut old = ground::operator(&release, &scene, "old")?;
    ground::leads(&scene.client, &mut old, "old").await?;
    let before = settled(&scene).await?;
    let (had, services) = (columns(&scene).await?, scene.simulate("GET", "services", Value::Null).await?);
    let mark = cluster.audit_log().map(|log| audit::end(&log)).transpose()?;
    scene.simulate("DELETE", "calls", Value::Null).await?;

    values["log"] = json!({"level": "debug"});
    release.upgrade(&values).await?;
    ensure!(columns(&scene).await? == had + 1, "the definitions are those of the new chart");
    // A new pod is up before the old one goes.
    let mut new = ground::operator(&release, &scene, "new")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    old.check()?;
    ground::end(old).await?;
    ground::leads(&scene.client, &mut new, "new").await?;
    let lists = scene.calls("leads.list").await?;
    ground::until("the new one has looked at the platform twice", async || Ok(scene.calls("leads.list").await? >= lists + 2)).await?;
    new.check()?;

    ground::until("the kinds are served again", async || Ok(versions(&scene).await.is_ok())).await?;
    ensure!(versions(&scene).await? == before, "an object was written");
    let calls = scene.simulate("GET", "calls", Value::Null).await?;
    let asked: Vec<&String> = calls["byEndpoint"].as_object().context("calls")?.keys().collect();
    ensure!(asked.iter().all(|endpoint| ["token", "leads.list", "services.list"].contains(&endpoint.as_str())), "asked of the platform: {calls}");
    ensure!(scene.changes().await? == 0, "{calls}");
    measured(&format!("asked of the platform by an upgrade with {SERVICES} services: {}", calls["byEndpoint"]));
    if let (Some(log), Some(mark)) = (cluster.audit_log(), mark) {
        let written = |request: &audit::Request| request.user == release.user() && request.writes() && request.resource != "leases";
        let writes: Vec<_> = audit::since(&log, mark)?.into_iter().filter(written).collect();
        ensure!(writes.is_empty(), "written: {writes:?}");
    }
    goes_back(&mut release, &scene, &before).await?;
    ensure!(scene.simulate("GET", "services", Value::Null).await? == services, "the services are as they were");
    ground::end(new).await?;
    scene.rules_are_kept().await
}

/// Rolls the release back.
async fn goes_back(release: &mut Release, scene: &Scene, before: &Versions) -> Result<()> {
    ensure!(level(scene).await?.as_deref() == Some("debug"));
    release.rollback(1).await?;
    ensure!(level(scene).await?.as_deref() == Some("info"), "helm rollback brings back the values of before");
    // After a definition has changed, the API server asks clients to wait for a moment.
    ground::until("the kinds are served again", async || Ok(versions(scene).await.is_ok())).await?;
    ensure!(versions(scene).await? == *before, "an object was written");
    Ok(())
}

//! From nothing to a service that is Ready, following the chart's notes.

use anyhow::{Context, Result, ensure};
use control_plane::{ControlPlane, Helm, Options, RELEASE, SYSTEM, allowed};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::json;

use super::ground;
use super::stage::SECRET;

pub async fn helm_3_installs_and_a_service_becomes_ready() -> Result<()> {
    installs(Helm::Three).await
}

pub async fn helm_4_installs_and_a_service_becomes_ready() -> Result<()> {
    installs(Helm::Four).await
}

/// With the chart's default values.
async fn installs(helm: Helm) -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let release = cluster.install_chart(helm, &control_plane::chart(), &json!({})).await?;
    ensure!(release.said().contains("STATUS: deployed") && release.said().contains("kubectl"), "the notes say the next step: {}", release.said());
    let scene = ground::scene(&cluster, helm.tool()).await?;
    scene.consented(&[1]).await?;

    let name = format!("{RELEASE}-0");
    let pod = ground::pod(&release, &name)?;
    let (probes, metrics) = (pod.probes().clone(), pod.port("metrics").context("a port for metrics")?);
    let mut operator = pod.start(scene.log_file())?;
    ground::leads(&scene.client, &mut operator, &name).await?;
    ground::asks_for_no_huge_pages(&operator)?;
    ensure!(probes.keys().eq(&["liveness", "readiness", "startup"]), "a kubelet has to know: {probes:?}");
    for (probe, address) in probes {
        ground::until(&format!("the {probe} probe finds it well"), async || Ok(get(&address).await?.is_some())).await?;
    }
    let served = get(&format!("http://127.0.0.1:{metrics}/metrics")).await?.context("metrics")?;
    ensure!(served.contains("operatorconnect_build_info"), "{served}");

    // The credential lies beside the operator: the one place that it may read by default.
    let secret = json!({"metadata": {"name": "live-platform-credential", "namespace": SYSTEM}, "stringData": {"clientSecret": SECRET}});
    scene.apply(merged(json!({"apiVersion": "v1", "kind": "Secret"}), secret)).await?;
    let reference = json!({"namespace": SYSTEM, "name": "live-platform-credential", "key": "clientSecret"});
    scene.platform_object(json!({"authentication": {"entra": {"clientSecretRef": reference}}})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;

    let secret_in = |namespace: &str| ResourceAttributes {
        resource: Some("secrets".into()),
        verb: Some("get".into()),
        namespace: Some(namespace.into()),
        name: Some("any".into()),
        ..ResourceAttributes::default()
    };
    ensure!(allowed(&scene.client, &release.user(), secret_in(SYSTEM)).await?, "without this right it could not have been Ready");
    ensure!(!allowed(&scene.client, &release.user(), secret_in("kube-system")).await?, "nobody has said that it may read there");
    scene.rules_are_kept().await?;
    operator.check()?;
    ground::end(operator).await
}

/// The body served there; `None` when nobody listens yet or the answer is an error.
async fn get(address: &str) -> Result<Option<String>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let Ok(answer) = http.get(address).send().await else { return Ok(None) };
    Ok(if answer.status().is_success() { Some(answer.text().await?) } else { None })
}

fn merged(mut into: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    if let (Some(into), serde_json::Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
    into
}

//! A cluster, a simulated platform and the operator, for the demo and the measurements.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use control_plane::{ControlPlane, Release, Running, manifests};
use serde_json::{Map, Value, json};

/// Returns the connection of the examples as a manifest: to the simulator at this port, with these fields of
/// its spec, and without discovery. `null` removes a field.
///
/// # Errors
/// When the example is no manifest.
pub fn platform(port: u16, spec: Value) -> Result<String> {
    let text = include_str!("../../examples/10-platform.yaml")
        .replace("127.0.0.1:8090", &format!("127.0.0.1:{port}"));
    let mut object = manifests::parse(&text)?.pop().context("the example is empty")?;
    let fields = object.data["spec"]
        .as_object_mut()
        .context("the example has no spec")?;
    fields.remove("leadDiscovery");
    fields.extend(serde_json::from_value::<Map<String, Value>>(spec)?);
    fields.retain(|_, value| !value.is_null());
    Ok(serde_json::to_string(&object)?)
}

/// Installs the chart.
///
/// # Errors
/// When Helm or the API server refuses it.
pub async fn install(cluster: &ControlPlane) -> Result<Release> {
    // The credential of the examples is in its own namespace, as a customer's would be.
    let mut values = control_plane::reads_anywhere();
    values["log"] = json!({"format": "text"});
    cluster.install(&values).await
}

/// Starts the simulator and waits until it answers.
///
/// # Errors
/// When it does not answer.
pub async fn simulator(program: &Path, port: u16, seed: Option<&Path>, log: &Path) -> Result<Running> {
    let mut command = Command::new(program);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed);
    }
    let mut started = Running::start(&mut command, log).context("can't start the simulator")?;
    let url = format!("http://127.0.0.1:{port}/simulator/healthz");
    let http = http()?;
    for _ in 0..100 {
        started.check().context("can't start the simulator")?;
        if http
            .get(&url)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return Ok(started);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the simulator does not answer at {url}")
}

/// Starts the operator as the one pod of the release. It holds no lease: the successor of a killed one would
/// have to wait for it.
///
/// # Errors
/// When it can't be started.
pub fn operator(program: &Path, release: &Release, level: &str, log: &Path) -> Result<Running> {
    let mut pod = release.pod(program, "operator-0")?;
    pod.command
        .env("OPERATORCONNECT_LOG_LEVEL", level)
        .env("OPERATORCONNECT_LEADER_ELECT", "false");
    pod.start(log).context("can't start the operator")
}

/// Returns a client for the simulator's own calls.
///
/// # Errors
/// When it can't be made.
pub fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .no_proxy()
        .build()?)
}

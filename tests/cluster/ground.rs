//! What the cases start with.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::{ControlPlane, Pod, RELEASE, Release, Running, SYSTEM};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use super::stage::{Scene, told};

/// A short lease, so that no case waits long for one.
pub const ELECTION: [(&str, u64); 3] = [("leaseDuration", 8), ("renewDeadline", 6), ("retryPeriod", 1)];

/// A namespace, and a simulated platform that no object refers to yet.
pub async fn scene(cluster: &ControlPlane, case: &str) -> Result<Scene> {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{case}-{}.log", std::process::id()));
    File::create(&log)?;
    Scene::set(cluster.client(), 0, log).await
}

/// A pod of the release, not started yet.
pub fn pod(release: &Release, name: &str) -> Result<Pod> {
    let (program, which) = match control_plane::operator_of_image()? {
        Some(program) => (program, "of the built image"),
        None => (PathBuf::from(env!("CARGO_BIN_EXE_oc-essentials-operator")), "built with the tests, not that of an image"),
    };
    told(&format!("{name} is the operator {which}: {}", program.display()));
    release.pod(&program, name)
}

/// Starts a pod of the release.
pub fn operator(release: &Release, scene: &Scene, name: &str) -> Result<Running> {
    pod(release, name)?.start(scene.log_file())
}

/// The allocator of the image's operator must not ask for huge pages: with them it took half as much memory again. Other builds have another allocator.
pub fn asks_for_no_huge_pages(running: &Running) -> Result<()> {
    if control_plane::operator_of_image()?.is_none() {
        return Ok(());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id()))?;
    let line = status.lines().find(|line| line.starts_with("THP_enabled:")).context("THP_enabled")?;
    ensure!(line.ends_with('0'), "{line}: MI_DEFAULT_ALLOW_THP in image/build.sh did not reach the allocator");
    Ok(())
}

/// Waits until a pod holds the release's lease.
pub async fn leads(client: &Client, running: &mut Running, pod: &str) -> Result<()> {
    let leases = Api::<Lease>::namespaced(client.clone(), SYSTEM);
    for _ in 0..600 {
        running.check()?;
        let holder = leases.get_opt(RELEASE).await?.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity).unwrap_or_default();
        // The name is followed by what distinguishes one life of a pod from the next.
        if holder.split('_').next() == Some(pod) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{pod} does not lead after a minute")
}

/// Asks it to end, as a kubelet does, and waits until it has.
pub async fn end(mut running: Running) -> Result<()> {
    running.signal("TERM")?;
    for _ in 0..600 {
        if let Some(status) = running.ended()? {
            ensure!(status.success(), "the operator ended with {status}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the operator has not ended a minute after SIGTERM")
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..300 {
        if so().await.with_context(|| what.to_owned())? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("{what}: not so after a minute")
}

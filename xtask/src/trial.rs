//! A cluster, a simulated platform and the operator, as the demo and the measurements need them.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use control_plane::{ControlPlane, manifests};
use kube::Client;

use crate::build;

/// The namespace of the operator's service account.
pub const SYSTEM: &str = "oc-essentials-system";

/// A program that ends when this is dropped.
pub struct Program {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Program {
    /// Starts a program; what it says goes into a file.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log).with_context(|| format!("{} can't be written", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn().with_context(|| format!("{name} can't be started"))?;
        Ok(Self { child, name, log: log.to_owned() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }

    /// Fails when it has ended by itself.
    ///
    /// # Errors
    /// Then, with the end of what it said.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            bail!("{} ended ({status}): {}", self.name, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now; the wanted one if it is.
pub fn free_port(wanted: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0))).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

/// Installs the CRDs, from `crds/`.
///
/// # Errors
/// When the API server refuses one.
pub async fn install_crds(client: &Client) -> Result<()> {
    for kind in ["liveplatforms", "leads", "ocessentialservices"] {
        let text = std::fs::read_to_string(build::root().join(format!("crds/operatorconnect.dev_{kind}.yaml"))).context("crds/ can't be read")?;
        manifests::apply_all(client, &text).await?;
        manifests::established(client, &format!("{kind}.operatorconnect.dev")).await?;
    }
    Ok(())
}

/// A kubeconfig with the rights that the chart gives the operator, and no others.
///
/// # Errors
/// When the account can't be made.
pub async fn operator_rights(cluster: &ControlPlane) -> Result<PathBuf> {
    let rules = control_plane::rules_from_chart(&build::root().join("charts/oc-essentials-operator"))?;
    cluster.service_account_kubeconfig(SYSTEM, "oc-essentials-operator", &rules).await
}

/// Starts the simulator, and waits until it answers.
///
/// # Errors
/// When it does not.
pub async fn simulator(program: &Path, port: u16, seed: Option<&Path>, log: &Path) -> Result<Program> {
    let mut command = Command::new(program);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed);
    }
    let mut started = Program::start("the simulator", &mut command, log)?;
    let url = format!("http://127.0.0.1:{port}/simulator/healthz");
    let http = http()?;
    for _ in 0..100 {
        started.check()?;
        if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(started);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the simulator does not answer at {url}")
}

/// Starts the operator.
///
/// # Errors
/// When it can't be started.
pub fn operator(program: &Path, kubeconfig: &Path, level: &str, log: &Path) -> Result<Program> {
    let mut command = Command::new(program);
    command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--log-format", "text", "--log-level", level]);
    Program::start("the operator", &mut command, log)
}

/// A client for the simulator's own calls.
///
/// # Errors
/// When it can't be made.
pub fn http() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?)
}

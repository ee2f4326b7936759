//! The operator as a process that can be killed and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use control_plane::{Release, Running};

/// One operator; its lives follow each other, and all of them write to one log.
pub struct Operator {
    release: Release,
    kubeconfig: PathBuf,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

impl Operator {
    /// An operator that is not started yet: a pod of the release that reaches the API server with another kubeconfig, through a proxy.
    pub fn new(release: Release, kubeconfig: PathBuf, name: &str) -> Result<Self> {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kills-{name}-{}.log", std::process::id()));
        File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        Ok(Self { release, kubeconfig, log, running: Mutex::new(None) })
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the operator. It holds no lease: its next life would have to wait for this one's.
    pub fn start(&self) -> Result<()> {
        let mut running = self.running();
        ensure!(running.is_none(), "an operator runs already");
        let mut pod = self.release.pod(env!("CARGO_BIN_EXE_oc-essentials-operator").as_ref(), "operator-0")?;
        pod.command.args(["--log-level", "debug,hyper_util=info,tower=info,rustls=info,kube=info"]).arg("--kubeconfig").arg(&self.kubeconfig);
        pod.command.env("OPERATORCONNECT_LEADER_ELECT", "false");
        *running = Some(pod.start(&self.log)?);
        Ok(())
    }

    /// Kills the operator with SIGKILL and waits until the process is gone. Returns whether one was still running.
    pub fn kill(&self) -> bool {
        self.running().take().is_some_and(|mut running| running.kill())
    }

    /// Fails when the operator has ended unexpectedly.
    pub fn check(&self) -> Result<()> {
        if let Some(running) = self.running().as_mut() {
            running.check().context("the operator")?;
        }
        Ok(())
    }

    /// The log of all its lives.
    pub fn said(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("{} can't be read", self.log.display()))
    }

    /// Ends the operator and deletes its log: all was well.
    pub fn forget(&self) {
        self.kill();
        let _gone = std::fs::remove_file(&self.log);
    }

    /// The path of the log.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

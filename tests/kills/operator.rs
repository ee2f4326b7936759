//! The operator as a process that can be killed and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};

/// One operator; its lives follow each other, and all of them write to one log.
pub struct Operator {
    kubeconfig: PathBuf,
    log: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Operator {
    /// Not started yet.
    pub fn new(kubeconfig: PathBuf, name: &str) -> Result<Self> {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kills-{name}-{}.log", std::process::id()));
        File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        Ok(Self { kubeconfig, log, running: Mutex::new(None) })
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it.
    pub fn start(&self) -> Result<()> {
        let mut running = self.running();
        ensure!(running.is_none(), "an operator runs already");
        let said = File::options().append(true).open(&self.log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_oc-essentials-operator"));
        command.arg("run").arg("--kubeconfig").arg(&self.kubeconfig).args(["--log-level", "debug,hyper_util=info,tower=info,rustls=info,kube=info"]);
        *running = Some(command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).spawn().context("the operator can't be started")?);
        Ok(())
    }

    /// SIGKILL, and waits until the process is gone. Whether there was one that had not ended by itself.
    pub fn kill(&self) -> bool {
        let Some(mut child) = self.running().take() else { return false };
        let by_us = matches!(child.try_wait(), Ok(None)) && child.kill().is_ok();
        let _gone = child.wait();
        by_us
    }

    /// Fails when it has ended by itself.
    pub fn check(&self) -> Result<()> {
        if let Some(child) = self.running().as_mut() {
            let ended = child.try_wait()?;
            ensure!(ended.is_none(), "the operator ended by itself ({ended:?}); see {}", self.log.display());
        }
        Ok(())
    }

    /// What it said, in all its lives.
    pub fn said(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("{} can't be read", self.log.display()))
    }

    /// Ends it, and keeps nothing of what it said: all was well.
    pub fn forget(&self) {
        self.kill();
        let _gone = std::fs::remove_file(&self.log);
    }

    /// Where it says that.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

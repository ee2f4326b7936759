//! A program that runs beside a control plane: the operator, or a simulated platform.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program and appends its output to a file.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("can't write {}", log.display()))?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn();
        let child = child.with_context(|| format!("can't start {}", Path::new(&program).display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns all output in the file, including that of earlier programs.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn said(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("can't read {}", self.log.display()))
    }

    /// Returns how it ended, if it did.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Errors
    /// When it can't be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status()?;
        anyhow::ensure!(done.success(), "can't send SIG{name}");
        Ok(())
    }

    /// Kills it, as a crash would, and waits until it is gone. Returns whether it was still running.
    pub fn kill(&mut self) -> bool {
        let by_us = matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok();
        let _gone = self.child.wait();
        by_us
    }

    /// Fails when the program has ended on its own.
    ///
    /// # Errors
    /// When it has ended; the text holds the end of its output.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            let said = self.said().unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            bail!(
                "it exited unexpectedly ({status}; {}): {}",
                self.log.display(),
                last.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

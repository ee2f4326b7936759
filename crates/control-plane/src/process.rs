//! The processes of a control plane, and the start of our own program.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a start may take on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// Child processes that end when this is dropped, the last one first.
#[derive(Default)]
pub struct Processes(Vec<Child>);

impl Processes {
    pub fn add(&mut self, child: Child) -> &mut Child {
        self.0.push(child);
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    pub fn ids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    /// Fails when a process has ended.
    pub fn check(&mut self) -> Result<()> {
        for child in &mut self.0 {
            if let Some(status) = child.try_wait()? {
                bail!("a process of the control plane exited ({status})");
            }
        }
        Ok(())
    }

    /// Closes their stdin and gives them a moment to end.
    pub async fn stop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            for _ in 0..100 {
                // The programs of envtest ignore stdin: those are killed.
                if !matches!(child.try_wait(), Ok(None)) || ignores_stdin(child) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn ignores_stdin(child: &Child) -> bool {
    child.stdout.is_none()
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            drop(child.stdin.take());
            // It may be gone already. Its data have no value, so it can be killed at once.
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// Starts our program in a folder and waits until it reports that it is ready.
pub async fn serve(program: &Path, folder: &Path) -> Result<(Processes, PathBuf)> {
    let errors = folder.join("stderr.log");
    let mut processes = Processes::default();
    let child = Command::new(program)
        .args(["serve", "--until-stdin-closes", "--dir"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors)?)
        .spawn()
        .with_context(|| format!("can't start {}", program.display()))?;
    let stdout = processes.add(child).stdout.take().context("it has no stdout")?;

    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        // An end of the stream means that it failed; its errors say why.
        let read = BufReader::new(stdout).read_line(&mut line);
        read.map(|_| line)
    });
    let said = tokio::time::timeout(READY, line).await;
    // On a timeout the process is killed here, which ends the reading thread.
    let line = match said {
        Ok(line) => line??,
        Err(_) => bail!(
            "the API server was not ready after {} s: {}",
            READY.as_secs(),
            last_words(folder)
        ),
    };
    match line.trim_end().strip_prefix("READY ") {
        Some(kubeconfig) => Ok((processes, PathBuf::from(kubeconfig))),
        None => bail!("the API server did not start: {}", last_words(folder)),
    }
}

/// Returns the end of the logs, for an error.
pub fn last_words(folder: &Path) -> String {
    let mut text = String::new();
    for name in ["stderr.log", "control-plane.log"] {
        let said = fs::read_to_string(folder.join(name)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().rev().take(8).collect();
        for line in lines.iter().rev() {
            text.push('\n');
            text.push_str(line);
        }
    }
    text
}

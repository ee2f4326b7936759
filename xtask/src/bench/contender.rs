//! The program that is measured: the operator, or the one of `--against` in its place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use control_plane::Running;

use super::Ground;
use crate::trial;

/// What makes the services.
pub enum Contender<'a> {
    /// The operator.
    Ours(&'a Path),
    /// A shell command.
    Other(&'a str),
}

impl Contender<'_> {
    /// Its name in the results.
    pub fn name(&self) -> &str {
        match self {
            Self::Ours(_) => "the operator",
            Self::Other(command) => command,
        }
    }

    /// The folder for what it leaves behind, so that the logs of both can be read afterwards.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Ours(_) => "bench",
            Self::Other(_) => "bench-against",
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(&self, ground: &Ground) -> Result<Running> {
        match self {
            Self::Ours(program) => trial::operator(program, &ground.release, "info", &ground.log),
            Self::Other(command) => {
                let url = format!("http://127.0.0.1:{}/tenantui", ground.port);
                Running::start(
                    &mut shell(command, ground.release.kubeconfig(), &url),
                    &ground.log,
                )
                .with_context(|| format!("can't start {command}"))
            }
        }
    }
}

/// A command with the environment that `--against` documents. With `exec` it has the process id of the shell,
/// by which it is measured and killed.
fn shell(command: &str, kubeconfig: &Path, url: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {command}")])
        .env("KUBECONFIG", kubeconfig)
        .env("PLATFORM_URL", url);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &str) -> (u32, String) {
        let mut shell = shell(command, Path::new("/rights"), "http://127.0.0.1:1/tenantui");
        let child = shell.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let id = child.id();
        let output = child.wait_with_output().unwrap();
        (id, String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    #[test]
    fn another_program_gets_its_environment_and_is_the_measured_process() {
        let (id, text) = said("sh -c 'echo $KUBECONFIG $PLATFORM_URL $$'");
        assert_eq!(text, format!("/rights http://127.0.0.1:1/tenantui {id}"));
    }
}

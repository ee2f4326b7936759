//! The program that is measured: the operator, or the one of `--against` in its place.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use control_plane::Running;

use super::Ground;
use crate::progress::note;
use crate::{build, trial};

/// The word for the operator of `bench/controller-runtime`.
const PEER: &str = "controller-runtime";

/// What makes the services.
pub enum Contender {
    /// The operator.
    Ours(PathBuf),
    /// The one of `bench/controller-runtime`.
    Peer(PathBuf),
    /// A shell command.
    Other(String),
}

impl Contender {
    /// What `--against` names. The operator of this repository is built if necessary.
    ///
    /// # Errors
    /// When it can't be built.
    pub fn against(value: &str) -> Result<Self> {
        if value != PEER {
            return Ok(Self::Other(value.to_owned()));
        }
        // Its own name for the program: `target/tools` also has those of `tests/tools`.
        let name = "controller-runtime-operator";
        let otherwise = "Without it, leave out --against: the operator is measured alone.";
        let module = "bench/controller-runtime";
        control_plane::go_program(&build::root(), module, name, otherwise, note).map(Self::Peer)
    }

    /// Its name in the results.
    pub fn name(&self) -> &str {
        match self {
            Self::Ours(_) => "the operator",
            Self::Peer(_) => PEER,
            Self::Other(command) => command,
        }
    }

    /// The folder for what it leaves behind, so that the logs of both can be read afterwards.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Ours(_) => "bench",
            Self::Peer(_) | Self::Other(_) => "bench-against",
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(&self, ground: &Ground) -> Result<Running> {
        let mut command = match self {
            Self::Ours(program) => return trial::operator(program, &ground.release, "info", &ground.log),
            Self::Peer(program) => Command::new(program),
            Self::Other(command) => shell(command),
        };
        let url = format!("http://127.0.0.1:{}/tenantui", ground.port);
        surround(&mut command, ground.release.kubeconfig(), &url);
        Running::start(&mut command, &ground.log).with_context(|| format!("can't start {}", self.name()))
    }
}

/// A shell that runs a command. With `exec` the command has the process id of the shell, by which it is
/// measured and killed.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {command}")]);
    shell
}

/// Gives a command the environment that `--against` documents.
fn surround(command: &mut Command, kubeconfig: &Path, url: &str) {
    command.env("KUBECONFIG", kubeconfig).env("PLATFORM_URL", url);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(command: &str) -> (u32, String) {
        let mut shell = shell(command);
        surround(&mut shell, Path::new("/rights"), "http://127.0.0.1:1/tenantui");
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

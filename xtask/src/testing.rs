//! Runs all tests with one command.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{build, evidence, kustomize, progress};

/// What to test.
#[derive(Args)]
pub struct Settings {
    /// Run only the tests that need no API server: laws, tables and wire fixtures (seconds)
    #[arg(long)]
    quick: bool,
    /// Arguments for cargo test, such as the name of a test
    #[arg(trailing_var_arg = true)]
    rest: Vec<String>,
}

/// Runs the tests. Each test that needs an API server starts its own. The server's program and Helm are built
/// here, once, so that their progress is visible.
///
/// # Errors
/// When something can't be built or run.
pub fn run(settings: &Settings) -> Result<bool> {
    let everything = settings.rest.is_empty() && !settings.quick;
    if !settings.quick {
        progress::step("Building the API server for the tests, and Helm (once, which takes minutes)");
        control_plane::prepare(&control_plane::Options {
            progress: progress::note,
            ..control_plane::Options::default()
        })?;
    }
    if everything {
        for tool in ["kustomize", "promtool"] {
            control_plane::tool(&build::root(), tool, progress::note)?;
        }
        forget_objects()?;
    }
    progress::step("Running the tests");
    let mut command = build::cargo();
    command.arg("test");
    if settings.quick {
        command.args([
            "-p",
            "oc-domain",
            "-p",
            "live-platform",
            "-p",
            "live-platform-simulator",
            "-p",
            "oc-simulation",
        ]);
        command.args(["-p", "oc-essentials-operator", "--lib"]);
    } else {
        command.arg("--workspace");
    }
    command.args(&settings.rest);
    let passed = command.status().context("can't run cargo")?.success();
    if !passed || !everything {
        return Ok(passed);
    }
    progress::step("Running the health checks of Argo CD and kstatus on the objects that the flows left");
    let passed = gitops()?;
    progress::step("Comparing the base for Kustomize with the chart");
    kustomize::run(true)?;
    progress::result(&evidence::table());
    Ok(passed)
}

/// Returns the folder of objects, one for each state that the flows have seen.
fn objects() -> PathBuf {
    build::target().join("evidence/objects")
}

/// Removes the objects of an earlier run, which are no evidence for this one.
fn forget_objects() -> Result<()> {
    match std::fs::remove_dir_all(objects()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("can't remove the objects of the last run")
        }
        _ => Ok(()),
    }
}

/// Runs the tests of `tests/gitops`. They are written in Go, like the tools they run.
fn gitops() -> Result<bool> {
    let mut command = Command::new("go");
    // Without a package's name, go shows what the tests print.
    command
        .args(["test", "-count=1"])
        .current_dir(build::root().join("tests/gitops"));
    command
        .env("OPERATORCONNECT_OBJECTS", objects())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOFLAGS", "");
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no `go` in PATH: tests/gitops needs Go 1.26 or later (https://go.dev/dl)")
        }
        Err(error) => Err(error).context("can't run go"),
    }
}

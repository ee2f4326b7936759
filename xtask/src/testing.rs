//! All tests, in one command.

use anyhow::{Context, Result};
use clap::Args;

use crate::{build, evidence, progress};

/// What is tested.
#[derive(Args)]
pub struct Settings {
    /// Only tests that need no API server: laws, tables and wire fixtures (seconds)
    #[arg(long)]
    quick: bool,
    /// Passed on to cargo test, such as the name of a test
    #[arg(trailing_var_arg = true)]
    rest: Vec<String>,
}

/// Runs them. Each test that needs an API server starts its own; the server's program is built here, once, so that its progress is seen.
///
/// # Errors
/// When something can't be built or run.
pub fn run(settings: &Settings) -> Result<bool> {
    if !settings.quick {
        progress::step("The API server for the tests (built once; minutes the first time)");
        control_plane::prepare(&control_plane::Options { progress: progress::note, ..control_plane::Options::default() })?;
    }
    progress::step("Tests");
    let mut command = build::cargo();
    command.arg("test");
    if settings.quick {
        command.args(["-p", "oc-domain", "-p", "live-platform", "-p", "live-platform-simulator", "-p", "oc-simulation"]);
        command.args(["-p", "oc-essentials-operator", "--lib"]);
    } else {
        command.arg("--workspace");
    }
    command.args(&settings.rest);
    let passed = command.status().context("cargo can't be run")?.success();
    if passed && settings.rest.is_empty() && !settings.quick {
        progress::result(&evidence::table());
    }
    Ok(passed)
}

//! Builds the programs of the workspace, with cargo's own progress.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Returns the root of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Returns the folder that cargo builds into.
pub fn target() -> PathBuf {
    // xtask itself is in <target>/<profile>/.
    let exe = std::env::current_exe().ok();
    let folder = exe.as_deref().and_then(Path::parent).and_then(Path::parent);
    folder.map_or_else(|| root().join("target"), Path::to_owned)
}

/// Returns the cargo that runs this program.
pub fn cargo() -> Command {
    #[allow(clippy::disallowed_methods, reason = "cargo says by this which cargo it is")]
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The programs that the demo and the measurements run.
pub struct Programs {
    /// `oc-essentials-operator`
    pub operator: PathBuf,
    /// `live-platform-simulator`
    pub simulator: PathBuf,
}

/// Builds both programs.
///
/// # Errors
/// When cargo fails.
pub fn programs(release: bool) -> Result<Programs> {
    let mut command = cargo();
    command.args([
        "build",
        "--quiet",
        "-p",
        "oc-essentials-operator",
        "-p",
        "live-platform-simulator",
        "--bins",
    ]);
    if release {
        command.arg("--release");
    }
    if !command.status().context("can't run cargo")?.success() {
        bail!("cargo build failed; its messages are above");
    }
    let folder = target().join(if release { "release" } else { "debug" });
    Ok(Programs {
        operator: folder.join("oc-essentials-operator"),
        simulator: folder.join("live-platform-simulator"),
    })
}

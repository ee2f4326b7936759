//! Runs the program as a cluster would: with its image as a read-only root, as its user, and nothing else
//! around it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::progress::{fail, note};

/// The script for a mount namespace of its own, so that nothing stays behind.
const WITHIN: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec chroot --userspec=65532:65532 \"$0\" \"$@\"";

/// Runs the commands that need no cluster, and checks their output.
///
/// # Errors
/// When it can't be run.
pub fn all(root: &Path, program: &str) -> Result<bool> {
    let mut good = true;
    for (argument, wished) in [
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--help", "Usage:"),
        ("crds", "kind: CustomResourceDefinition"),
    ] {
        let said = one(root, program, argument)?;
        if said.contains(wished) {
            note(&format!(
                "{program} {argument}: {}",
                said.lines().next().unwrap_or_default()
            ));
        } else {
            fail(&format!(
                "{program} {argument} does not print `{wished}`; it prints: {said}"
            ));
            good = false;
        }
    }
    Ok(good)
}

fn one(root: &Path, program: &str, argument: &str) -> Result<String> {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", WITHIN])
        .arg(root)
        .arg(format!("/{program}"))
        .arg(argument)
        .env_clear()
        .stdin(Stdio::null());
    let output = command
        .output()
        .context("--run requires the program unshare (Debian: util-linux)")?;
    let wrong = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {argument} does not run from the image, or --run was not called as root: {} {}",
        output.status,
        wrong.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

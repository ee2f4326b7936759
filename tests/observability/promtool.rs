//! Prometheus' own tool: it has the last word on rules, queries and metrics.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::queries::file;

/// Built once: minutes the first time.
fn program() -> Result<&'static PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| control_plane::tool(&file("."), "promtool", control_plane::Options::default().progress).map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("promtool can't be built: {error}"))
}

/// Runs promtool with this input; returns all its output.
pub fn run(arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(program()?);
    command.args(arguments).current_dir(file("tests/observability")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("an input")?.write_all(input.as_bytes())?;
    let done = child.wait_with_output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if !done.status.success() {
        bail!("promtool {}: {}\n{said}", arguments.join(" "), done.status);
    }
    Ok(said)
}

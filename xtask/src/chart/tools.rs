//! The programs that check the chart: each a Go module of its own in `tests/tools`, with one `tool` line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress;

/// Where they are.
pub struct Tools {
    pub helm: PathBuf,
    pub helm_docs: PathBuf,
    pub helm_unittest: PathBuf,
    pub kube_score: PathBuf,
    pub kubeconform: PathBuf,
}

impl Tools {
    /// Builds those that are not there in their present version.
    pub fn build(root: &Path) -> Result<Self> {
        Ok(Self {
            helm: tool(root, "helm")?,
            helm_docs: tool(root, "helm-docs")?,
            helm_unittest: tool(root, "helm-unittest")?,
            kube_score: tool(root, "kube-score")?,
            kubeconform: tool(root, "kubeconform")?,
        })
    }
}

/// Builds one into `target/tools/<name>`. Go itself knows when there is nothing to do.
fn tool(root: &Path, name: &str) -> Result<PathBuf> {
    let module = root.join("tests/tools").join(name);
    let manifest = module.join("go.mod");
    let text = fs::read_to_string(&manifest).with_context(|| format!("{} can't be read", manifest.display()))?;
    let package = text.lines().find_map(|line| line.strip_prefix("tool ")).with_context(|| format!("{} has no line `tool <package>`", manifest.display()))?;
    let program = root.join("target/tools").join(name);
    progress::step(&format!("{name} (built once, which takes minutes)"));
    let status = Command::new("go")
        .args(["build", "-C"])
        .arg(&module)
        .arg("-o")
        .arg(&program)
        .arg(package)
        .status()
        .context("go can't be run; install Go, https://go.dev/dl, and try again")?;
    if !status.success() {
        bail!("{name} could not be built; go's messages are above");
    }
    Ok(program)
}

//! The programs that check the chart. Each is a Go module of its own in `tests/tools`, with one `tool` line.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::progress;

/// The paths of the built programs.
pub struct Tools {
    pub helm: PathBuf,
    pub helm_docs: PathBuf,
    pub helm_unittest: PathBuf,
    pub kube_score: PathBuf,
    pub kubeconform: PathBuf,
}

impl Tools {
    /// Builds the programs that are missing in their present version.
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

fn tool(root: &Path, name: &str) -> Result<PathBuf> {
    control_plane::tool(root, name, progress::note)
}

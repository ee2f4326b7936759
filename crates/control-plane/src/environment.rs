//! What the environment says, and the clock: the one place of this crate that asks for either.
#![allow(
    clippy::disallowed_methods,
    reason = "the product's bans; here is where the test tool reads what it is told, and how long it has waited"
)]

use std::env;
use std::path::PathBuf;
use std::time::Instant;

/// Where the API server comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A cluster that exists, by its kubeconfig.
    Existing(PathBuf),
    /// A folder with `etcd` and `kube-apiserver`.
    Assets(PathBuf),
    /// The Go module of this project.
    Build,
}

/// A path that is set. An empty variable counts as not set.
fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Reads it.
pub fn source() -> Source {
    match (
        path("OPERATORCONNECT_TEST_KUBECONFIG"),
        path("KUBEBUILDER_ASSETS"),
    ) {
        (Some(kubeconfig), _) => Source::Existing(kubeconfig),
        (None, Some(assets)) => Source::Assets(assets),
        (None, None) => Source::Build,
    }
}

/// The folder with what the built image holds.
pub fn image_root() -> Option<PathBuf> {
    path("OPERATORCONNECT_IMAGE_ROOT")
}

/// The present, to measure from.
pub fn now() -> Instant {
    Instant::now()
}

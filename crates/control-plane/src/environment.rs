//! Reads the environment and the clock. Nothing else in this crate does.
#![allow(
    clippy::disallowed_methods,
    reason = "the product's bans; here is where the test tool reads what it is told, and how long it has waited"
)]

use std::env;
use std::path::PathBuf;
use std::time::Instant;

/// The source of the API server.
#[derive(Clone, Debug)]
pub enum Source {
    /// An existing cluster, by its kubeconfig.
    Existing(PathBuf),
    /// A folder with `etcd` and `kube-apiserver`.
    Assets(PathBuf),
    /// The Go module of this project, to be built.
    Build,
}

/// Returns a path from a variable. An empty variable counts as not set.
fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Reads the source of the API server.
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

/// Returns the folder with the content of the built image.
pub fn image_root() -> Option<PathBuf> {
    path("OPERATORCONNECT_IMAGE_ROOT")
}

/// Returns the present time, to measure from.
pub fn now() -> Instant {
    Instant::now()
}

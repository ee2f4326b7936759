//! What the environment says, and the clock: the one place of this crate that asks for either.
#![allow(clippy::disallowed_methods, reason = "the product's bans; here is where the test tool reads what it is told, and how long it has waited")]

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

/// Reads it. An empty variable counts as not set.
pub fn source() -> Source {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (path("OPERATORCONNECT_TEST_KUBECONFIG"), path("KUBEBUILDER_ASSETS")) {
        (Some(kubeconfig), _) => Source::Existing(kubeconfig),
        (None, Some(assets)) => Source::Assets(assets),
        (None, None) => Source::Build,
    }
}

/// The present, to measure from.
pub fn now() -> Instant {
    Instant::now()
}

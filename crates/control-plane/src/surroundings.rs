//! Which API server the surroundings name. The one place of this crate that reads the environment.

use std::path::PathBuf;

/// What is given.
pub enum Given {
    /// A cluster that exists.
    Cluster(PathBuf),
    /// A folder with `etcd` and `kube-apiserver`.
    Assets(PathBuf),
    /// Nothing: one is built.
    Nothing,
}

/// What is given.
#[allow(clippy::disallowed_methods, reason = "the envtest convention is a variable of the environment")]
pub fn given() -> Given {
    let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(kubeconfig) = path("OPERATORCONNECT_TEST_KUBECONFIG") {
        return Given::Cluster(kubeconfig);
    }
    path("KUBEBUILDER_ASSETS").map_or(Given::Nothing, Given::Assets)
}

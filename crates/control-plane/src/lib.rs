//! A real Kubernetes API server for the tests and the demo: builds it, starts it, ends it, and installs the
//! chart in it.
//!
//! [`ControlPlane::start`] uses one of three sources, the first that the environment names:
//!
//! | Set | Then |
//! |---|---|
//! | `OPERATORCONNECT_TEST_KUBECONFIG` | that cluster is used as it is, as its user; what a test makes there stays there, and there is no audit log |
//! | `KUBEBUILDER_ASSETS` | `etcd` and `kube-apiserver` of that folder are started (the convention of envtest). Unless `kube-controller-manager` is there too, a deleted namespace stays `Terminating`, nothing is garbage collected, and aggregated roles stay empty. If this process is killed by SIGKILL they go on running |
//! | neither | `tests/control-plane`, a Go module with all of them in one program, is built into `target/control-plane/` (minutes, once) and started; it ends with this process however that ends |
//!
//! Each start is a new cluster with an empty store, on a free port of 127.0.0.1, in a folder below
//! `target/control-plane/runs/`. The folder is removed with the [`ControlPlane`], or at the next start if the
//! process was killed. Deleting a namespace takes a little more than 5 s: that wait is in Kubernetes' own
//! controller.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use control_plane::{ControlPlane, Options};
//!
//! let cluster = ControlPlane::start(Options::default()).await?;
//! // The real Helm installs the chart, with its kinds, its service account and its rights.
//! let release = cluster.install(&serde_json::json!({"replicas": 1})).await?;
//! let pod = release.pod("target/debug/oc-essentials-operator".as_ref(), "operator-0")?;
//! let operator = pod.start("operator.log".as_ref())?;
//! # Ok(())
//! # }
//! ```

mod account;
pub mod audit;
mod environment;
mod envtest;
mod folder;
mod golang;
pub mod manifests;
mod pod;
mod process;
mod program;
mod release;
mod running;
mod tools;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::environment::Source;
use crate::folder::Folder;
use crate::process::Processes;

pub use crate::account::{Grant, allowed};
pub use crate::pod::{Pod, free_port};
pub use crate::release::{Helm, RELEASE, Release, SYSTEM, chart, operator_of_image, reads_anywhere};
pub use crate::running::Running;
pub use crate::tools::{go_program, tool};

/// Options for starting a control plane.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder to use and keep. Data and logs of an earlier run are removed from it first. Two control
    /// planes can't use it at once.
    pub keep: Option<PathBuf>,
    /// Called with what is being done when it takes long. By default prints to stderr, past the capture of
    /// `cargo test`.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep: None,
            progress: program::to_stderr,
        }
    }
}

/// A running API server. Dropping it kills its processes and waits until they are gone.
pub struct ControlPlane {
    // Fields are dropped in this order: first the processes, then the folder that they write to.
    processes: Processes,
    folder: Folder,
    kubeconfig: PathBuf,
    audit_log: Option<PathBuf>,
    client: Client,
}

/// Builds everything that a start or an install needs. This is the slow part, for a program that shows its
/// progress.
///
/// # Errors
/// When something can't be built. The text names alternatives.
pub fn prepare(options: &Options) -> Result<()> {
    let root = program::root();
    if matches!(environment::source(), Source::Build) {
        build(&root, options.progress)?;
    }
    for helm in [Helm::Three, Helm::Four] {
        tool(&root, helm.tool(), options.progress)?;
    }
    Ok(())
}

/// Builds the Go program of `tests/control-plane`, unless a build of the same sources exists, and returns its
/// path.
///
/// When several processes need it at the same time, one builds and the others wait.
///
/// # Errors
/// When Go is missing, or the build fails.
pub fn build(project_root: &Path, progress: fn(&str)) -> Result<PathBuf> {
    program::build(project_root, progress)
}

impl ControlPlane {
    /// Starts a fresh API server, and builds it first if needed.
    ///
    /// # Errors
    /// When it can't be built, or is not ready after a minute; the text holds the end of its output. Also
    /// when a cluster started here keeps no audit log: tests that judge by it must not pass because it is
    /// missing.
    pub async fn start(options: Options) -> Result<Self> {
        let source = environment::source();
        let (folder, program) = {
            let (options, source) = (options.clone(), source.clone());
            // Both may wait for another process, for minutes if that one builds.
            tokio::task::spawn_blocking(move || -> Result<_> {
                let program = matches!(source, Source::Build)
                    .then(|| build(&program::root(), options.progress))
                    .transpose()?;
                Ok((
                    Folder::open(&program::home(&program::root()), options.keep.as_deref())?,
                    program,
                ))
            })
            .await??
        };
        let audit_log = (!matches!(source, Source::Existing(_))).then(|| folder.path().join("audit.log"));
        let (processes, kubeconfig) = match (source, program) {
            (Source::Existing(kubeconfig), _) => (Processes::default(), kubeconfig),
            (Source::Assets(assets), _) => envtest::start(&assets, folder.path()).await?,
            (Source::Build, program) => {
                process::serve(&program.context("no program was built")?, folder.path()).await?
            }
        };
        ensure!(
            audit_log.as_ref().is_none_or(|log| log.exists()),
            "the API server that was started in {} keeps no audit log",
            folder.path().display()
        );
        let client = client_of(&kubeconfig).await?;
        Ok(Self {
            processes,
            folder,
            kubeconfig,
            audit_log,
            client,
        })
    }

    /// The path of the administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns a client with an administrator's rights. It does not retry, so a test sees the first answer.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns a client of an administrator who impersonates a user, with that user's rights.
    ///
    /// # Errors
    /// When the kubeconfig can't be used.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let mut config = config_of(&self.kubeconfig).await?;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Client::try_from(config)?)
    }

    /// The path of the log of all requests, see [`audit`]; `None` for a cluster that was not started here.
    #[must_use]
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.audit_log.clone()
    }

    /// The folder with logs and kubeconfigs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the API server, if it is a child of this process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        let ids = self.processes.ids();
        // Of envtest's programs, etcd is the first and the API server the second.
        ids.get(1).or(ids.first()).copied()
    }

    /// The ids of all started processes.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.ids()
    }

    /// Stops it and waits briefly for a clean end. Dropping it is quicker and just as thorough.
    pub async fn stop(self) {
        let Self {
            mut processes,
            folder,
            ..
        } = self;
        processes.stop().await;
        drop(processes);
        drop(folder);
    }
}

/// Returns a client for the current context of a kubeconfig, without kube's own retries.
///
/// # Errors
/// When the file can't be read or used.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config_of(kubeconfig).await?)?)
}

async fn config_of(kubeconfig: &Path) -> Result<Config> {
    let read =
        Kubeconfig::read_from(kubeconfig).with_context(|| format!("can't read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(config)
}

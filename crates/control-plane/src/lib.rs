//! A real Kubernetes API server for the tests and the demo: builds it, starts it, ends it, and installs the chart in it.
//!
//! What [`ControlPlane::start`] gives comes from one of three places, the first that the environment names:
//!
//! | Set | Then |
//! |---|---|
//! | `OPERATORCONNECT_TEST_KUBECONFIG` | that cluster is used as it is, as its user; what a test makes there stays there, and there is no audit log |
//! | `KUBEBUILDER_ASSETS` | `etcd` and `kube-apiserver` of that folder are started (the convention of envtest). Unless `kube-controller-manager` is there too, a deleted namespace stays `Terminating`, nothing is garbage collected, and aggregated roles stay empty. If this process is killed by SIGKILL they go on running |
//! | neither | `tests/control-plane`, a Go module with all of them in one program, is built into `target/control-plane/` (minutes, once) and started; it ends with this process however that ends |
//!
//! Each start is a cluster of its own with an empty store, on a free port of 127.0.0.1, in a folder below `target/control-plane/runs/` that goes
//! with the [`ControlPlane`] (or with the next start, when the process was killed). A namespace takes a little more than 5 s to go: that wait is
//! in Kubernetes' own controller.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use control_plane::{ControlPlane, Options};
//!
//! let cluster = ControlPlane::start(Options::default()).await?;
//! // The chart, by the real Helm: its kinds, its service account and its rights are there then.
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
pub use crate::tools::tool;

/// How a control plane is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder to use and to leave. Data and logs of an earlier run in it are removed first; two at once can't use it.
    pub keep: Option<PathBuf>,
    /// Told what is being done when it takes long. By default a line on stderr, past the capture of `cargo test`.
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

/// Makes sure that later neither a start nor an install need build: the slow part, for a program that wants its progress seen.
///
/// # Errors
/// When something can't be built. The text says what else can be used.
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

/// Builds the Go program of `tests/control-plane`, unless one of the same sources is there, and gives its path.
///
/// Of several processes that want it at the same time one builds and the others wait.
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
    /// When it can't be built, or is not ready after a minute; the text has the end of what it said. And when it keeps no audit log: of a cluster that was
    /// started here the tests that judge by it must not pass for want of one.
    pub async fn start(options: Options) -> Result<Self> {
        let source = environment::source();
        let (folder, program) = {
            let (options, source) = (options.clone(), source.clone());
            // Both may wait for another process, minutes when that one builds.
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
                process::serve(&program.context("nothing was built")?, folder.path()).await?
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

    /// The kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the rights of an administrator. It does not retry: a test sees the first answer.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of an administrator who acts as somebody else, with that one's rights.
    ///
    /// # Errors
    /// When the kubeconfig can't be used.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let mut config = config_of(&self.kubeconfig).await?;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Client::try_from(config)?)
    }

    /// The log of all requests, see [`audit`]; none for a cluster that was not started here.
    #[must_use]
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.audit_log.clone()
    }

    /// The folder of logs and kubeconfigs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the API server, when it is a child of this process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        let ids = self.processes.ids();
        // Of envtest's programs etcd is the first, and it the second.
        ids.get(1).or(ids.first()).copied()
    }

    /// The ids of the processes that were started.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.ids()
    }

    /// Ends it and waits a moment for a clean end; dropping it is quicker and as thorough.
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

/// A client for the current context of a kubeconfig, without kube's own retries.
///
/// # Errors
/// When the file can't be read or used.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config_of(kubeconfig).await?)?)
}

async fn config_of(kubeconfig: &Path) -> Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("{} can't be read", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(config)
}

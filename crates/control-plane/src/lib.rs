//! A real Kubernetes API server for the tests and the demo: builds it, starts it, and ends it with whoever started it.
//!
//! Three ways, in this order:
//!
//! 1. `OPERATORCONNECT_TEST_KUBECONFIG` names the kubeconfig of a cluster that exists: that one is used, and left as it is found.
//! 2. `KUBEBUILDER_ASSETS` names a folder with `etcd` and `kube-apiserver` (the envtest convention): those are started. When there is no
//!    `kube-controller-manager` beside them, deleted namespaces do not go away.
//! 3. Otherwise the Go module in `tests/control-plane` is built, once, into `target/control-plane/`, and started.

mod account;
mod assets;
pub mod audit;
mod building;
pub mod manifests;
mod surroundings;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;

pub use account::rules_from_yaml;

/// How a control plane is started.
pub struct Options {
    /// The folder to use and to leave; absent: a temporary one.
    pub keep: Option<PathBuf>,
    /// Where progress is told.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self { keep: None, progress: |_| {} }
    }
}

/// Processes that end when this is dropped.
pub(crate) struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Closing its input ends ours by itself; etcd and kube-apiserver of an assets folder need more.
            drop(child.stdin.take());
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// A running API server.
pub struct ControlPlane {
    kubeconfig: PathBuf,
    folder: PathBuf,
    client: Client,
    audit_log: Option<PathBuf>,
    processes: Processes,
    _temporary: Option<tempfile::TempDir>,
}

/// Builds what [`ControlPlane::start`] would start, if it has to be built.
///
/// # Errors
/// When Go is missing or the build fails; says the other ways.
pub fn prepare(options: &Options) -> Result<()> {
    match surroundings::given() {
        surroundings::Given::Nothing => building::build(options.progress).map(drop),
        _ => Ok(()),
    }
}

impl ControlPlane {
    /// Starts a fresh API server, after building it if needed; or uses the one that the surroundings name.
    ///
    /// # Errors
    /// When it can't be built or started.
    pub async fn start(options: Options) -> Result<Self> {
        let given = surroundings::given();
        let (folder, temporary) = match options.keep {
            Some(folder) => (folder, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("control-plane-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        let (processes, kubeconfig, audit_log) = match given {
            surroundings::Given::Cluster(kubeconfig) => (Processes(Vec::new()), kubeconfig, None),
            surroundings::Given::Assets(assets) => {
                let (processes, kubeconfig) = assets::start(&assets, &folder)?;
                (processes, kubeconfig, Some(folder.join("audit.log")))
            }
            surroundings::Given::Nothing => {
                let program = building::build(options.progress)?;
                let (processes, kubeconfig) = start_ours(&program, &folder)?;
                (processes, kubeconfig, Some(folder.join("audit.log")))
            }
        };
        let client = client_of(&kubeconfig).await?;
        let mut started = Self { kubeconfig, folder, client, audit_log, processes, _temporary: temporary };
        started.wait().await?;
        Ok(started)
    }

    async fn wait(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..1200 {
            for child in &mut self.processes.0 {
                if let Some(status) = child.try_wait()? {
                    bail!("the control plane ended while it started ({status}); see the logs in {}", self.folder.display());
                }
            }
            let ready = http::Request::get("/readyz").body(Vec::new())?;
            match self.client.request_text(ready).await {
                Ok(_) if self.has_namespace("default").await => return Ok(()),
                Ok(_) => {}
                Err(error) => last = Some(error.to_string()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the API server is not ready after a minute: {}", last.unwrap_or_default())
    }

    async fn has_namespace(&self, name: &str) -> bool {
        let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(self.client.clone());
        namespaces.get_opt(name).await.is_ok_and(|namespace| namespace.is_some())
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with an administrator's rights. It repeats nothing by itself.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where every request is recorded, one JSON line each; `None` for a cluster that was there before.
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.audit_log.clone()
    }

    /// The process id of the API server, when it is a child of this process.
    pub fn process_id(&self) -> Option<u32> {
        self.processes.0.last().map(Child::id)
    }

    /// Makes a service account with these cluster-wide rights, and a kubeconfig with a token of its own.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str, rules: &[k8s_openapi::api::rbac::v1::PolicyRule]) -> Result<PathBuf> {
        let token = account::make(&self.client, namespace, name, rules).await?;
        let file = self.folder.join(format!("{namespace}-{name}.kubeconfig"));
        account::write_kubeconfig(&self.kubeconfig, &token, &file)?;
        Ok(file)
    }
}

/// A client for a kubeconfig. It repeats nothing by itself.
///
/// # Errors
/// When the kubeconfig can't be used.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let text = kube::config::Kubeconfig::read_from(kubeconfig).with_context(|| format!("{} can't be read", kubeconfig.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(text, &Default::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn start_ours(program: &Path, folder: &Path) -> Result<(Processes, PathBuf)> {
    use std::io::{BufRead, BufReader};
    // A folder that is kept begins anew: what an earlier demo left in it would be mistaken for this one's.
    for old in ["etcd", "audit.log", "admin.kubeconfig"] {
        let path = folder.join(old);
        let _absent = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
    let said = std::fs::File::create(folder.join("start.log"))?;
    let mut child = Command::new(program)
        .args(["serve", "--until-stdin-closes", "--dir"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()
        .with_context(|| format!("{} can't be started", program.display()))?;
    let output = child.stdout.take().context("the control plane's output")?;
    let processes = Processes(vec![child]);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    match line.trim().strip_prefix("READY ") {
        Some(kubeconfig) => Ok((processes, PathBuf::from(kubeconfig))),
        None => {
            let said = std::fs::read_to_string(folder.join("start.log")).unwrap_or_default();
            bail!("the control plane did not start: {}", said.lines().last().unwrap_or("it said nothing"))
        }
    }
}

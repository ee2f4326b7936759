//! A release of the chart, made by the real Helm, so that the tests run what people install.
//!
//! There is no kubelet, so a pod of the release is a process (see [`Pod`]) with the arguments, the
//! environment and the service account of the Deployment in the API server.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::account::Grant;
use crate::pod::Pod;
use crate::{ControlPlane, account, environment, manifests, program, tools};

/// The name of the release, and so of the Deployment and its service account.
pub const RELEASE: &str = "oc-essentials-operator";
/// The namespace it is installed into.
pub const SYSTEM: &str = "oc-essentials-system";
/// The group of the project's own kinds.
const GROUP: &str = "operatorconnect.dev";

/// The version of Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// Version 3.
    Three,
    /// Version 4.
    Four,
}

impl Helm {
    /// Returns the name of its module in `tests/tools`.
    #[must_use]
    pub fn tool(self) -> &'static str {
        match self {
            Self::Three => "helm",
            Self::Four => "helm4",
        }
    }

    /// Builds it, unless it exists.
    pub(crate) async fn program(self) -> Result<PathBuf> {
        tokio::task::spawn_blocking(move || tools::tool(&program::root(), self.tool(), program::to_stderr))
            .await?
    }
}

/// A release, as of its installation or last upgrade.
#[derive(Clone)]
pub struct Release {
    client: Client,
    folder: PathBuf,
    admin: PathBuf,
    helm: PathBuf,
    account: String,
    rights: PathBuf,
    pod: PodSpec,
    said: String,
}

impl ControlPlane {
    /// Installs the chart with Helm 3 and these values. Returns when its kinds are served and its rights are
    /// in force.
    ///
    /// # Errors
    /// When Helm can't be built, or Helm or the API server refuses.
    pub async fn install(&self, values: &Value) -> Result<Release> {
        self.install_chart(Helm::Three, &chart(), values).await
    }

    /// Installs a chart with this version of Helm, from this folder.
    ///
    /// # Errors
    /// When Helm can't be built, or Helm or the API server refuses.
    pub async fn install_chart(&self, helm: Helm, chart: &Path, values: &Value) -> Result<Release> {
        let mut release = Release {
            client: self.client(),
            folder: self.folder().to_owned(),
            admin: self.kubeconfig().to_owned(),
            helm: helm.program().await?,
            account: String::new(),
            rights: PathBuf::new(),
            pod: PodSpec::default(),
            said: String::new(),
        };
        release.apply("install", chart, values).await?;
        let token = account::token(&release.client, SYSTEM, &release.account).await?;
        release.rights = self.token_kubeconfig(&format!("{SYSTEM}-{}", release.account), SYSTEM, &token)?;
        Ok(release)
    }
}

impl Release {
    /// Runs `helm upgrade` to the chart and these values.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn upgrade(&mut self, values: &Value) -> Result<()> {
        self.apply("upgrade", &chart(), values).await
    }

    /// Runs `helm rollback` to a revision.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn rollback(&mut self, revision: u32) -> Result<()> {
        self.said = self.helm(&["rollback", RELEASE, &revision.to_string()]).await?;
        self.take_in().await
    }

    /// Runs `helm uninstall`.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE]).await
    }

    /// Helm's output: the chart's notes.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The path of a kubeconfig with a token of the service account, and so with its rights alone.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.rights
    }

    /// The user name under which the service account makes requests.
    #[must_use]
    pub fn user(&self) -> String {
        account::user(SYSTEM, &self.account)
    }

    /// Returns the rights of the service account, from the roles bound to it.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        account::grants(&self.client, SYSTEM, &self.account).await
    }

    /// Returns a pod of the release that runs a local program in place of the image's.
    ///
    /// # Errors
    /// When the Deployment needs something that only a kubelet can provide.
    pub fn pod(&self, program: &Path, name: &str) -> Result<Pod> {
        Pod::new(&self.pod, program, name, SYSTEM, &self.rights)
    }

    async fn apply(&mut self, verb: &str, chart: &Path, values: &Value) -> Result<()> {
        let file = self.folder.join("values.yaml");
        tokio::fs::write(&file, values.to_string()).await?;
        self.said = self
            .helm(&[
                verb,
                RELEASE,
                &chart.display().to_string(),
                "--create-namespace",
                "--values",
                &file.display().to_string(),
            ])
            .await?;
        self.take_in().await
    }

    /// Reads the release from the API server, and waits until it is in force.
    async fn take_in(&mut self) -> Result<()> {
        let deployment = Api::<Deployment>::namespaced(self.client.clone(), SYSTEM)
            .get(RELEASE)
            .await
            .context("the Deployment of the release")?;
        self.pod = deployment
            .spec
            .and_then(|spec| spec.template.spec)
            .context("the Deployment has no pod")?;
        self.account = self
            .pod
            .service_account_name
            .clone()
            .context("the Deployment has no service account")?;
        for kind in Api::<CustomResourceDefinition>::all(self.client.clone())
            .list(&ListParams::default())
            .await?
        {
            if kind.spec.group == GROUP {
                manifests::established(&self.client, &kind.name_any()).await?;
            }
        }
        account::in_force(&self.client, SYSTEM, &self.account, &self.grants().await?).await
    }

    async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.helm);
        command
            .args(arguments)
            .args(["--namespace", SYSTEM, "--kubeconfig"])
            .arg(&self.admin);
        // Settings for other work with Helm must not apply here.
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.folder.join("helm").join(folder));
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("can't run {}", self.helm.display()))?;
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout).into_owned(),
            String::from_utf8_lossy(&stderr).into_owned(),
        );
        ensure!(
            status.success(),
            "helm {} failed ({status}): {stderr}{stdout}",
            arguments.join(" ")
        );
        Ok(stdout)
    }
}

/// Returns the folder of the project's chart.
#[must_use]
pub fn chart() -> PathBuf {
    program::root().join("charts").join(RELEASE)
}

/// Returns values for a release whose tests keep credentials in separate namespaces, as customers would.
#[must_use]
pub fn reads_anywhere() -> Value {
    json!({"rbac": {"secrets": {"anywhere": true}, "configMaps": {"anywhere": true}}})
}

/// Returns the operator of the built image, if `OPERATORCONNECT_IMAGE_ROOT` names the folder that it was
/// unpacked into.
///
/// # Errors
/// When the folder does not hold it.
pub fn operator_of_image() -> Result<Option<PathBuf>> {
    let Some(root) = environment::image_root() else {
        return Ok(None);
    };
    let program = root.join(RELEASE);
    ensure!(
        program.is_file(),
        "OPERATORCONNECT_IMAGE_ROOT: {} does not exist; unpack the image there",
        program.display()
    );
    Ok(Some(program))
}

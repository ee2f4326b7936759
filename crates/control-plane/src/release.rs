//! A release of the chart, made by the real Helm: what people install is what the tests run.
//!
//! There is no kubelet, so that a pod of the release is a process (see [`Pod`]), with the arguments, the environment and the service account of the
//! Deployment that stands in the API server.

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

/// The name of the release, and with it that of the Deployment and its service account.
pub const RELEASE: &str = "oc-essentials-operator";
/// The namespace into which it is installed.
pub const SYSTEM: &str = "oc-essentials-system";
/// The group of the project's own kinds.
const GROUP: &str = "operatorconnect.dev";

/// Which Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// Version 3.
    Three,
    /// Version 4.
    Four,
}

impl Helm {
    /// The name of its module in `tests/tools`.
    #[must_use]
    pub fn tool(self) -> &'static str {
        match self {
            Self::Three => "helm",
            Self::Four => "helm4",
        }
    }

    /// Builds it, unless it is there.
    pub(crate) async fn program(self) -> Result<PathBuf> {
        tokio::task::spawn_blocking(move || tools::tool(&program::root(), self.tool(), program::to_stderr))
            .await?
    }
}

/// A release, as it was when it was installed or last upgraded.
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
    /// Installs the chart with Helm 3 and these values, and returns when its kinds are served and its rights in force.
    ///
    /// # Errors
    /// When Helm can't be built, or refuses, or the API server does.
    pub async fn install(&self, values: &Value) -> Result<Release> {
        self.install_chart(Helm::Three, &chart(), values).await
    }

    /// The same by another Helm, or from another folder than the chart's.
    ///
    /// # Errors
    /// When Helm can't be built, or refuses, or the API server does.
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
    /// `helm upgrade` to the chart and these values.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn upgrade(&mut self, values: &Value) -> Result<()> {
        self.apply("upgrade", &chart(), values).await
    }

    /// `helm rollback` to a revision.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn rollback(&mut self, revision: u32) -> Result<()> {
        self.said = self.helm(&["rollback", RELEASE, &revision.to_string()]).await?;
        self.take_in().await
    }

    /// `helm uninstall`.
    ///
    /// # Errors
    /// When Helm or the API server refuses.
    pub async fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE]).await
    }

    /// What Helm said when it was done: the chart's notes.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// A kubeconfig with a token of the service account, and so with its rights alone.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.rights
    }

    /// The service account, as requests are made in its name.
    #[must_use]
    pub fn user(&self) -> String {
        account::user(SYSTEM, &self.account)
    }

    /// What the service account may do, by the roles that are bound to it.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        account::grants(&self.client, SYSTEM, &self.account).await
    }

    /// A pod of the release, whose container runs a program that is here instead of the image's.
    ///
    /// # Errors
    /// When the Deployment asks for something that only a kubelet can give.
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

    /// Reads what stands in the API server now, and waits until it counts.
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
        // What somebody keeps for other work with Helm has no say here.
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
            .with_context(|| format!("{} can't be run", self.helm.display()))?;
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

/// The project's chart.
#[must_use]
pub fn chart() -> PathBuf {
    program::root().join("charts").join(RELEASE)
}

/// Values for a release whose tests have credentials in namespaces of their own, as customers would.
#[must_use]
pub fn reads_anywhere() -> Value {
    json!({"rbac": {"secrets": {"anywhere": true}, "configMaps": {"anywhere": true}}})
}

/// The operator of the built image, when `OPERATORCONNECT_IMAGE_ROOT` names the folder into which that was unpacked.
///
/// # Errors
/// When there is none in that folder.
pub fn operator_of_image() -> Result<Option<PathBuf>> {
    let Some(root) = environment::image_root() else {
        return Ok(None);
    };
    let program = root.join(RELEASE);
    ensure!(
        program.is_file(),
        "OPERATORCONNECT_IMAGE_ROOT: there is no {}; unpack the image there",
        program.display()
    );
    Ok(Some(program))
}

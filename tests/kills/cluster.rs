//! The one API server, and the rights that each operator has on it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use control_plane::{ControlPlane, Options, Release};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::gate::Side;
use super::proxy::Upstream;

/// The API server with a release of the chart.
pub struct Cluster {
    control_plane: ControlPlane,
    /// A client with admin rights.
    pub client: Client,
    /// The release of the chart.
    pub release: Release,
    url: String,
    authority: Vec<Vec<u8>>,
}

impl Cluster {
    /// Starts the API server and installs the chart.
    pub async fn start() -> Result<Self> {
        let control_plane = ControlPlane::start(Options::default()).await?;
        let client = control_plane.client();
        let release = control_plane.install(&control_plane::reads_anywhere()).await?;
        let config = kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(release.kubeconfig())?, &KubeConfigOptions::default()).await?;
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let authority = config.root_cert.context("the API server has an authority of its own")?;
        Ok(Self { control_plane, client, release, url, authority })
    }

    /// The API server as upstream of a proxy that shows one namespace and one platform.
    pub fn upstream(&self, shown: &str) -> Result<Upstream> {
        let authority = self.authority.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<reqwest::Result<Vec<_>>>()?;
        let http = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only(authority).build()?;
        Ok(Upstream { side: Side::Cluster, url: self.url.clone(), http, shown: Some(shown.to_owned()) })
    }

    /// The path for the kubeconfig of an operator.
    pub fn kubeconfig(&self, name: &str) -> PathBuf {
        self.control_plane.folder().join(format!("{name}.kubeconfig"))
    }

    /// Writes a kubeconfig that goes through a proxy: the token of the service account, another address.
    pub fn write_kubeconfig(&self, name: &str, url: &str) -> Result<()> {
        let text = std::fs::read_to_string(self.release.kubeconfig())?;
        let mut config: Value = serde_saphyr::from_str(&text).context("the operator's kubeconfig")?;
        config["clusters"][0]["cluster"] = json!({"server": url});
        Ok(std::fs::write(self.kubeconfig(name), config.to_string())?)
    }
}

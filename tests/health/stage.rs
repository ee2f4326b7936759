//! One API server, one simulated platform, and one proxy between the operator and the API server. Each case has its own operator and objects.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::{ControlPlane, Options, Release, Running, manifests};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use live_platform_simulator::Simulator;
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::openmetrics::Scrape;
use super::proxy::{Mood, Proxy};
use super::simulated;
pub use super::simulated::until;

const CUSTOMERS: &str = "customers";

/// The body of a case.
pub type Case = fn(Scene) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What all cases share.
pub struct Stage {
    _cluster: ControlPlane,
    client: Client,
    simulator: Arc<Simulator>,
    proxy: Arc<Proxy>,
    release: Release,
    rights: PathBuf,
    cases: AtomicU32,
}

impl Stage {
    /// Starts the API server, the proxy and the platform.
    pub async fn set() -> Result<Self> {
        let cluster = ControlPlane::start(Options::default()).await?;
        let client = cluster.client();
        let release = cluster.install(&control_plane::reads_anywhere()).await?;
        let direct = release.kubeconfig();
        let config = kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(direct)?, &KubeConfigOptions::default()).await?;
        let authority = config.root_cert.context("the API server has an authority of its own")?;
        let authority = authority.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<reqwest::Result<Vec<_>>>()?;
        let http = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only(authority).build()?;
        let proxy = Arc::new(Proxy::start(config.cluster_url.to_string().trim_end_matches('/').to_owned(), http).await?);
        // Through the proxy: the token of the service account, another address.
        let mut kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(direct)?).context("the operator's kubeconfig")?;
        kubeconfig["clusters"][0]["cluster"] = json!({"server": proxy.url()});
        let rights = cluster.folder().join("by-proxy.kubeconfig");
        std::fs::write(&rights, kubeconfig.to_string())?;
        let simulator = Arc::new(Simulator::start(live_platform_simulator::Options::default()).await);
        let stage = Self { _cluster: cluster, client, simulator, proxy, release, rights, cases: AtomicU32::new(0) };
        let scene = stage.scene()?;
        scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CUSTOMERS}})).await?;
        let secret = json!({"key": "simulator-secret"});
        scene.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credential", "namespace": CUSTOMERS}, "stringData": secret})).await?;
        scene.simulate("PATCH", "settings", json!({"taskDuration": 300, "latency": 1})).await?;
        Ok(stage)
    }

    fn scene(&self) -> Result<Scene> {
        Ok(Scene {
            client: self.client.clone(),
            simulator: Arc::clone(&self.simulator),
            proxy: Arc::clone(&self.proxy),
            release: self.release.clone(),
            rights: self.rights.clone(),
            number: self.cases.fetch_add(1, Ordering::Relaxed),
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// Runs one case.
    pub async fn play(&self, name: &str, case: Case) -> Result<()> {
        let scene = self.scene()?;
        self.proxy.is(Mood::Well);
        scene.simulate("DELETE", "faults", Value::Null).await?;
        case(scene.clone()).await.with_context(|| format!("{name} (the operator's log: {}*)", scene.log("").display()))
    }
}

/// A process of the operator; killed when it is dropped.
pub struct Operator {
    running: Running,
    http: reqwest::Client,
}

/// The API server's time; it runs on this machine.
#[allow(clippy::disallowed_methods, reason = "a test compares what was written with the true time")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

impl Operator {
    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.running.signal("TERM")
    }

    /// Waits until it has ended; returns its status.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        for _ in 0..600 {
            if let Some(status) = self.running.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("it has not ended after 30 s")
    }

    /// Its whole log.
    pub fn said(&self) -> Result<String> {
        self.running.said()
    }

    /// Waits until its log says that it leads.
    pub async fn leads(&self, seconds: u64) -> Result<()> {
        let leads = || async { Ok(self.said()?.contains("this replica leads\"").then_some(())) };
        until(seconds, leads).await.context("waiting for the operator to lead")
    }

    /// The address at which it serves something, from its log.
    async fn address(&self, what: &str) -> Result<String> {
        let told = || async {
            let said = self.said()?;
            let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let address = lines.filter(|line| line["message"] == format!("serving {what}")).find_map(|line| Some(line["address"].as_str()?.to_owned()));
            Ok(address)
        };
        until(20, told).await.with_context(|| format!("waiting for the address of {what}"))
    }

    /// Gets one of its pages.
    pub async fn get(&self, what: &str, path: &str) -> Result<reqwest::Response> {
        let url = format!("http://{}{path}", self.address(what).await?);
        Ok(self.http.get(url).timeout(Duration::from_secs(5)).send().await?)
    }

    /// Whether a probe succeeds, and its answer.
    pub async fn probe(&self, path: &str) -> Result<(bool, String)> {
        let answer = self.get("health", path).await?;
        let status = answer.status().as_u16();
        ensure!([200, 503].contains(&status), "{path}: {status}");
        Ok((status == 200, answer.text().await?))
    }

    /// Waits for a probe to succeed, or to fail.
    pub async fn probes(&self, path: &str, well: bool, seconds: u64) -> Result<String> {
        let so = || async { Ok(Some(self.probe(path).await?).filter(|(is, _)| *is == well).map(|(_, text)| text)) };
        until(seconds, so).await.with_context(|| format!("waiting for {path} to be {}", if well { "well" } else { "unwell" }))
    }

    /// Its metrics.
    pub async fn scrape(&self) -> Result<Scrape> {
        Scrape::read(&self.get("metrics", "/metrics").await?.text().await?)
    }
}

/// What one case has.
#[derive(Clone)]
pub struct Scene {
    client: Client,
    simulator: Arc<Simulator>,
    pub proxy: Arc<Proxy>,
    release: Release,
    rights: PathBuf,
    number: u32,
    http: reqwest::Client,
}

impl Scene {
    fn log(&self, name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("health-{}-{}-{name}", std::process::id(), self.number))
    }

    /// A pod of the release, through the proxy, that serves nothing and holds no lease.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.release.pod(env!("CARGO_BIN_EXE_oc-essentials-operator").as_ref(), name)?.command;
        command.arg("--kubeconfig").arg(&self.rights).env("OPERATORCONNECT_LEADER_ELECT", "false");
        command.env_remove("OPERATORCONNECT_METRICS_ADDRESS").env_remove("OPERATORCONNECT_HEALTH_ADDRESS");
        Ok(command)
    }

    /// Starts it, serving both metrics and health.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Result<Operator> {
        let mut command = self.command(name)?;
        command.args(["--metrics-address", "127.0.0.1:0", "--health-address", "127.0.0.1:0"]).args(arguments);
        Ok(Operator { running: Running::start(&mut command, &self.log(name))?, http: self.http.clone() })
    }

    /// Starts it with other environment variables, serving health only.
    pub fn start_in(&self, name: &str, environment: &[(&str, &str)]) -> Result<Operator> {
        let mut command = self.command(name)?;
        command.args(["--health-address", "127.0.0.1:0"]).envs(environment.iter().copied());
        Ok(Operator { running: Running::start(&mut command, &self.log(name))?, http: self.http.clone() })
    }

    /// Starts it with an election among the operators of this case, by the one lease that the chart lets them hold.
    pub fn start_elected(&self, name: &str, arguments: &[&str]) -> Result<Operator> {
        self.start(name, &[&["--leader-elect"], arguments].concat())
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: Value) -> Result<()> {
        manifests::apply(&self.client, &serde_json::from_value(manifest)?).await?;
        Ok(())
    }

    /// The name of the platform object of this case.
    pub fn platform_name(&self) -> String {
        format!("platform-{}", self.number)
    }

    /// Creates the platform object.
    pub async fn platform(&self) -> Result<()> {
        let spec = simulated::platform_spec(&self.simulator, CUSTOMERS);
        self.own("LivePlatform", json!({"name": self.platform_name()}), spec).await
    }

    async fn own(&self, kind: &str, metadata: Value, spec: Value) -> Result<()> {
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})).await
    }

    /// Deletes the platform object.
    pub async fn no_platform(&self) -> Result<()> {
        Api::<LivePlatform>::all(self.client.clone()).delete(&self.platform_name(), &DeleteParams::default()).await?;
        Ok(())
    }

    fn tenant(&self, customer: u32) -> String {
        format!("{:08x}-0000-4000-8000-{customer:012x}", self.number + 1)
    }

    /// The name of a customer's objects, also known to the platform.
    pub fn name(&self, customer: u32) -> String {
        format!("case-{}-customer-{customer}", self.number)
    }

    /// Creates a lead on the platform, and both objects for it.
    pub async fn customer(&self, customer: u32) -> Result<()> {
        let (name, tenant, platform) = (self.name(customer), self.tenant(customer), self.platform_name());
        self.simulate("POST", "leads", json!({"tenantId": tenant, "companyName": name})).await?;
        let metadata = json!({"name": name, "namespace": CUSTOMERS});
        self.own("Lead", metadata.clone(), json!({"platform": platform, "msTenantId": tenant})).await?;
        let spec = json!({"platform": platform, "msTenantId": tenant, "shortName": format!("C{}_{customer}", self.number), "fullName": "A customer"});
        self.own("OcEssentialService", metadata.clone(), spec).await?;
        self.own("LeadPolicy", metadata, json!({"platform": platform, "suspend": true, "template": {"spec": {}}})).await
    }

    /// Waits until a customer's service is Ready.
    pub async fn ready(&self, customer: u32) -> Result<()> {
        let services = Api::<OcEssentialService>::namespaced(self.client.clone(), CUSTOMERS);
        let name = self.name(customer);
        let is_ready = || async {
            let conditions = services.get(&name).await?.status.unwrap_or_default().conditions;
            Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True").then_some(()))
        };
        until(40, is_ready).await.with_context(|| format!("waiting for {name} to be Ready"))
    }

    /// When a customer's service was requested according to its status, in seconds from now.
    pub async fn asked_for(&self, customer: u32) -> Result<i64> {
        let object: OcEssentialService = Api::namespaced(self.client.clone(), CUSTOMERS).get(&self.name(customer)).await?;
        let started = object.status.and_then(|status| status.operation).and_then(|operation| operation.started_time).context("no operation")?;
        Ok(started.0.as_second() - now().as_second())
    }

    /// Changes something of each kind, which each watch delivers.
    pub async fn touch(&self, customer: u32, mark: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"touched": mark}}}));
        let (name, none) = (self.name(customer), PatchParams::default());
        Api::<LivePlatform>::all(self.client.clone()).patch(&self.platform_name(), &none, &patch).await?;
        Api::<Lead>::namespaced(self.client.clone(), CUSTOMERS).patch(&name, &none, &patch).await?;
        Api::<OcEssentialService>::namespaced(self.client.clone(), CUSTOMERS).patch(&name, &none, &patch).await?;
        Api::<LeadPolicy>::namespaced(self.client.clone(), CUSTOMERS).patch(&name, &none, &patch).await?;
        Ok(())
    }

    /// Makes one of the simulator's own calls.
    pub async fn simulate(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        simulated::call(&self.http, &self.simulator, method, path, body).await
    }

    /// The number of calls to a platform endpoint.
    pub async fn calls(&self, endpoint: &str) -> Result<u64> {
        simulated::calls(&self.http, &self.simulator, endpoint).await
    }
}

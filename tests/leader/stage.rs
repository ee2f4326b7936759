//! One API server and one simulated platform for all cases; each case has its own lease, replicas and customers.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::{ControlPlane, Options, Pod, RELEASE, Release, Running, SYSTEM, manifests};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use live_platform_simulator::Simulator;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::simulated;
pub use super::simulated::until;

const CUSTOMERS: &str = "customers";
const PLATFORM: &str = "default";

/// The lease of the tests, in seconds: duration, renew deadline, retry.
pub const LEASE: [u64; 3] = [4, 3, 1];

/// The body of a case.
pub type Case = fn(Scene) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What all cases share.
pub struct Stage {
    cluster: ControlPlane,
    simulator: Arc<Simulator>,
    release: Release,
    cases: AtomicU32,
}

impl Stage {
    /// Starts the API server and the platform.
    pub async fn set() -> Result<Self> {
        let cluster = ControlPlane::start(Options::default()).await?;
        // A short lease, so that the other replica takes over soon.
        let [duration, deadline, retry] = LEASE;
        let mut values = control_plane::reads_anywhere();
        values["leaderElection"] = json!({"leaseDuration": duration, "renewDeadline": deadline, "retryPeriod": retry});
        let release = cluster.install(&values).await?;
        let simulator = Arc::new(Simulator::start(live_platform_simulator::Options::default()).await);
        let stage = Self { cluster, simulator, release, cases: AtomicU32::new(0) };
        let scene = stage.scene()?;
        scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CUSTOMERS}})).await?;
        let secret = json!({"key": "simulator-secret"});
        scene.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credential", "namespace": CUSTOMERS}, "stringData": secret})).await?;
        scene.simulate("PATCH", "settings", json!({"taskDuration": 300, "latency": 1, "secondCreate": "allowed"})).await?;
        Ok(stage)
    }

    fn scene(&self) -> Result<Scene> {
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        Ok(Scene {
            client: self.cluster.client(),
            simulator: Arc::clone(&self.simulator),
            release: self.release.clone(),
            number,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// Runs one case. Whatever came before, no tenant may have two services.
    pub async fn play(&self, name: &str, case: Case) -> Result<()> {
        let scene = self.scene()?;
        let keep = scene.clone();
        scene.simulate("DELETE", "faults", Value::Null).await?;
        scene.platform(json!({})).await?;
        // The operator may hold only this one lease, so each case begins without it.
        scene.forget_lease().await?;
        case(scene).await.with_context(|| format!("{name} (the replicas' logs: {}*)", log(keep.number, "").display()))?;
        let calls = keep.simulate("GET", "calls", Value::Null).await?;
        ensure!(calls["tenantsWithTwoServices"] == json!([]), "tenants with two services: {}", calls["tenantsWithTwoServices"]);
        Ok(())
    }
}

fn log(case: u32, replica: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("leader-{}-{case}-{replica}", std::process::id()))
}

/// A process of the operator; killed when it is dropped.
pub struct Replica {
    running: Running,
    log: PathBuf,
}

impl Replica {
    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.running.signal(name)
    }

    /// Waits until it has ended; returns how and when.
    pub async fn ended(&mut self) -> Result<(ExitStatus, Instant)> {
        for _ in 0..6000 {
            if let Some(status) = self.running.ended()? {
                return Ok((status, Instant::now()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("it has not ended after 30 s")
    }

    /// Its whole log.
    pub fn said(&self) -> Result<String> {
        self.running.said()
    }

    /// Waits until its log contains a text.
    pub async fn says(&self, text: &str) -> Result<()> {
        until(20, || async { Ok(self.said()?.contains(text).then_some(())) }).await.with_context(|| format!("waiting for {text:?} in {}", self.log.display()))
    }
}

/// What one case has.
#[derive(Clone)]
pub struct Scene {
    client: Client,
    simulator: Arc<Simulator>,
    release: Release,
    number: u32,
    http: reqwest::Client,
}

impl Scene {
    /// A pod of the release with its own name.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        let mut pod = self.release.pod(env!("CARGO_BIN_EXE_oc-essentials-operator").as_ref(), name)?;
        pod.command.args(["--log-level", "debug,hyper_util=info,tower=info,rustls=info,kube=info"]);
        Ok(pod)
    }

    /// Starts a replica.
    pub fn replica(&self, name: &str) -> Result<Replica> {
        let log = log(self.number, name);
        Ok(Replica { running: self.pod(name)?.start(&log)?, log })
    }

    /// Starts a container of the pod with this UID; `life` names its log.
    pub fn in_pod(&self, life: &str, uid: &str, arguments: &[&str]) -> Result<Replica> {
        let log = log(self.number, life);
        let mut pod = self.pod("pod")?;
        pod.command.args(arguments).env("POD_UID", uid);
        Ok(Replica { running: pod.start(&log)?, log })
    }

    /// Starts two replicas: the first leads and the second waits.
    pub async fn pair(&self) -> Result<(Replica, Replica)> {
        let first = self.replica("first")?;
        first.says("this replica leads").await?;
        let second = self.replica("second")?;
        second.says("another replica leads; waiting").await?;
        Ok((first, second))
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    async fn forget_lease(&self) -> Result<()> {
        if self.leases().get_opt(RELEASE).await?.is_some() {
            self.leases().delete(RELEASE, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// The replica that holds the lease; empty when none does.
    pub async fn holder(&self) -> Result<String> {
        let lease = self.leases().get(RELEASE).await?;
        let identity = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        Ok(identity.split('_').next().unwrap_or_default().to_owned())
    }

    /// Waits until a replica holds the lease; returns when.
    pub async fn held_by(&self, replica: &str) -> Result<Instant> {
        until(20, || async { Ok((self.holder().await? == replica).then(Instant::now)) })
            .await
            .with_context(|| format!("waiting for {replica} to hold the lease"))
    }

    /// Writes another holder into the lease, as nobody should.
    pub async fn depose(&self, holder: &str) -> Result<()> {
        self.leases().patch(RELEASE, &PatchParams::default(), &Patch::Merge(json!({"spec": {"holderIdentity": holder}}))).await?;
        Ok(())
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: Value) -> Result<()> {
        manifests::apply(&self.client, &serde_json::from_value(manifest)?).await?;
        Ok(())
    }

    /// Creates or changes the one platform object.
    pub async fn platform(&self, requests: Value) -> Result<()> {
        let mut spec = simulated::platform_spec(&self.simulator, CUSTOMERS);
        spec["createGrace"] = json!("1m");
        if requests != json!({}) {
            spec["requests"] = requests;
        }
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": PLATFORM}, "spec": spec})).await
    }

    /// Waits until the leader has observed the current platform object.
    pub async fn platform_taken_in(&self) -> Result<()> {
        let taken_in = || async {
            let object: LivePlatform = Api::all(self.client.clone()).get(PLATFORM).await?;
            let observed = object.status.and_then(|status| status.observed_generation);
            Ok((observed == object.metadata.generation).then_some(()))
        };
        until(20, taken_in).await.context("waiting for the leader to see the platform object")
    }

    fn tenant(&self, customer: u32) -> String {
        format!("{:08x}-0000-4000-8000-{customer:012x}", self.number + 1)
    }

    fn name(&self, customer: u32) -> String {
        format!("case-{}-customer-{customer}", self.number)
    }

    /// Creates a lead on the platform, and a service object for it.
    pub async fn customer(&self, customer: u32) -> Result<()> {
        let (name, tenant) = (self.name(customer), self.tenant(customer));
        self.simulate("POST", "leads", json!({"tenantId": tenant, "companyName": name})).await?;
        let short_name = format!("C{}_{customer}", self.number);
        let spec = json!({"platform": PLATFORM, "msTenantId": tenant, "shortName": short_name, "fullName": "A customer"});
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": CUSTOMERS}, "spec": spec}))
            .await
    }

    /// The service object of a customer.
    pub async fn object(&self, customer: u32) -> Result<OcEssentialService> {
        Ok(Api::namespaced(self.client.clone(), CUSTOMERS).get(&self.name(customer)).await?)
    }

    /// Waits until a customer's service is Ready; returns when.
    pub async fn ready(&self, customer: u32, seconds: u64) -> Result<Instant> {
        let is_ready = || async {
            let conditions = self.object(customer).await?.status.unwrap_or_default().conditions;
            Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True").then(Instant::now))
        };
        until(seconds, is_ready).await.with_context(|| format!("waiting for {} to be Ready", self.name(customer)))
    }

    /// Whether an object records that a change may have been requested.
    pub async fn has_intent(&self, customer: u32) -> Result<bool> {
        Ok(self.object(customer).await?.metadata.annotations.unwrap_or_default().contains_key("operatorconnect.dev/operation"))
    }

    /// Makes one of the simulator's own calls.
    pub async fn simulate(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        simulated::call(&self.http, &self.simulator, method, path, body).await
    }

    /// The number of calls to a platform endpoint.
    pub async fn calls(&self, endpoint: &str) -> Result<u64> {
        simulated::calls(&self.http, &self.simulator, endpoint).await
    }

    /// The number of changes requested from the platform.
    pub async fn changes(&self) -> Result<u64> {
        simulated::changes(&self.http, &self.simulator).await
    }
}

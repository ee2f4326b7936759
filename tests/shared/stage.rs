//! What the cases share: one API server and one operator. And what each case has for itself: a namespace, a platform object, a simulated platform.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::{ControlPlane, Options, Release, Running, manifests};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use live_platform_simulator::Simulator;
use oc_api::Condition;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::{gallery, simulated};

/// The body of a case, given its scene.
pub type Case = fn(Scene) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The operator built with the tests.
const OPERATOR: &str = env!("CARGO_BIN_EXE_oc-essentials-operator");

/// The API server with a release of the chart, and one pod of the release.
pub struct Stage {
    cluster: ControlPlane,
    release: Release,
    operator: Mutex<Operator>,
    cases: AtomicU32,
    log: PathBuf,
}

/// The running pod.
struct Operator {
    process: Running,
    metrics: String,
}

/// Starts the pod. It holds no lease: no other pod runs, and the successor of a killed one would only have to wait for it.
fn start(release: &Release, log: &Path) -> Result<Operator> {
    let mut pod = release.pod(OPERATOR.as_ref(), "operator-0")?;
    pod.command.args(["--log-level", "debug,hyper_util=info,tower=info,rustls=info,kube=info"]).env("OPERATORCONNECT_LEADER_ELECT", "false");
    let metrics = format!("http://127.0.0.1:{}/metrics", pod.port("metrics").context("the pod has no port for metrics")?);
    Ok(Operator { process: pod.start(log)?, metrics })
}

async fn listed(client: &Client, kind: ApiResource) -> kube::Result<()> {
    Api::<DynamicObject>::all_with(client.clone(), &kind).list_metadata(&ListParams::default()).await.map(drop)
}

/// All kinds of the operator, each with whether it is namespaced.
fn kinds() -> Vec<(ApiResource, bool)> {
    let crds = oc_api::crds::generate().into_iter();
    crds.map(|crd| {
        let (group, version) = (crd.spec.group, crd.spec.versions[0].name.clone());
        let kind = GroupVersionKind::gvk(&group, &version, &crd.spec.names.kind);
        (ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural), crd.spec.scope == "Namespaced")
    })
    .collect()
}

impl Stage {
    /// Starts the API server and the operator.
    pub async fn set() -> Result<Self> {
        let cluster = ControlPlane::start(Options::default()).await?;
        // Each case has its credential in its own namespace.
        let release = cluster.install(&control_plane::reads_anywhere()).await?;
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-operator-{}.log", env!("CARGO_CRATE_NAME"), std::process::id()));
        File::create(&log)?;
        let operator = Mutex::new(start(&release, &log)?);
        Ok(Self { cluster, release, operator, cases: AtomicU32::new(0), log })
    }

    /// Kills the operator as a crash would and starts another: nothing that was only in memory is left.
    pub fn restart_operator(&self) -> Result<()> {
        let mut operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        operator.process.kill();
        *operator = start(&self.release, &self.log)?;
        Ok(())
    }

    /// Creates the kinds again after a case has removed them.
    pub async fn restore_kinds(&self) -> Result<()> {
        let client = self.cluster.client();
        for crd in oc_api::crds::generate() {
            let (group, plural) = (&crd.spec.group, &crd.spec.names.plural);
            manifests::apply_all(&client, &std::fs::read_to_string(format!("{}/crds/{group}_{plural}.yaml", env!("CARGO_MANIFEST_DIR")))?).await?;
            manifests::established(&client, &format!("{plural}.{group}")).await?;
        }
        // For a moment the API server asks clients to wait while it sets the kinds up again.
        for _ in 0..100 {
            let served = futures::future::try_join_all(kinds().into_iter().map(|(kind, _)| listed(&client, kind))).await;
            if served.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("the kinds are not served again after 20 s")
    }

    /// The process id of the operator, and the URL of its metrics.
    fn operator(&self) -> (u32, String) {
        let operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        (operator.process.id(), operator.metrics.clone())
    }

    /// Runs one case: sets its scene, runs it, and checks every object that it leaves against the kstatus rules.
    pub async fn play<R>(&self, name: &str, case: impl FnOnce(Scene) -> R) -> Result<()>
    where
        R: Future<Output = Result<()>>,
    {
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        let scene = Scene::set(self.cluster.client(), number, self.log.clone()).await?;
        let (operator, metrics) = self.operator();
        let scene = Scene { operator, metrics, audit: self.cluster.audit_log(), ..scene };
        let keep = scene.clone();
        case(scene).await.with_context(|| format!("{name} (namespace {}; the operator's log: {})", keep.namespace, self.log.display()))?;
        keep.rules_are_kept().await?;
        ensure!(!keep.operator_panicked()?, "the operator panicked; see {}", self.log.display());
        Ok(())
    }
}

/// What one case has.
#[derive(Clone)]
pub struct Scene {
    /// A client with admin rights.
    pub client: Client,
    /// The namespace of the case.
    pub namespace: String,
    /// The name of its platform object.
    pub platform: String,
    /// Its simulated platform.
    pub simulator: Arc<Simulator>,
    /// The operator's process id.
    pub operator: u32,
    /// The URL of the operator's metrics.
    pub metrics: String,
    /// The log of all requests to the API server, if there is one.
    pub audit: Option<PathBuf>,
    number: u32,
    http: reqwest::Client,
    log: PathBuf,
}

/// The client secret of every simulated platform: no log may ever contain it.
pub const SECRET: &str = "simulator-secret";

/// The simulators of all cases live until the last case has ended. The objects of a case stay, and a freed port could become the platform of another case,
/// whose short names would then compete with theirs.
static SIMULATORS: Mutex<Vec<Arc<Simulator>>> = Mutex::new(Vec::new());

impl Scene {
    /// Starts the platform and creates the namespace; `log` is the operator's log file.
    pub async fn set(client: Client, number: u32, log: PathBuf) -> Result<Self> {
        let options = live_platform_simulator::Options { client_id: "44444444-4444-4444-8444-444444444444".into(), ..Default::default() };
        let simulator = Arc::new(Simulator::start(options).await);
        SIMULATORS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&simulator));
        let name = format!("case-{number}");
        let http = reqwest::Client::builder().no_proxy().build()?;
        let scene = Self { client, namespace: name.clone(), platform: name, simulator, operator: 0, metrics: String::new(), audit: None, number, http, log };
        scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}})).await?;
        scene.simulate("PATCH", "settings", json!({"taskDuration": 500, "latency": 1})).await?;
        Ok(scene)
    }

    /// A tenant id of this case.
    pub fn tenant(&self, number: u32) -> String {
        format!("{:08x}-0000-4000-8000-{number:012x}", self.number + 1)
    }

    /// The name that discovery gives to a company's lead: `company` is as it stands in names.
    pub fn found(&self, company: &str, tenant: u32) -> String {
        format!("{company}-{}", &self.tenant(tenant)[..8])
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: Value) -> Result<()> {
        let object = serde_json::from_value(manifest)?;
        manifests::apply(&self.client, &object).await?;
        Ok(())
    }

    /// Creates the credential and the platform object; `change` is merged into its spec.
    pub async fn connect(&self, change: Value) -> Result<()> {
        self.credential().await?;
        self.platform_object(change).await
    }

    /// Creates the credential.
    pub async fn credential(&self) -> Result<()> {
        self.credential_of(SECRET).await
    }

    /// Creates the credential with another value.
    pub async fn credential_of(&self, value: &str) -> Result<()> {
        self.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credential", "namespace": self.namespace}, "stringData": {"key": value}}))
            .await
    }

    /// The default spec of the platform object.
    pub fn platform_spec(&self, simulator: &Simulator) -> Value {
        simulated::platform_spec(simulator, &self.namespace)
    }

    /// Creates the platform object only.
    pub async fn platform_object(&self, change: Value) -> Result<()> {
        let mut spec = self.platform_spec(&self.simulator);
        merge(&mut spec, &change);
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": self.platform}, "spec": spec})).await
    }

    /// `spec.syncJobs` with the simulator's own calls.
    pub fn http_jobs(&self) -> Value {
        let url = |job: &str| format!("{}/simulator/jobs/{job}/run", self.simulator.url());
        json!({"syncJobs": {"trigger": "Http", "http": {"leadsUrl": url("leads"), "trunksUrl": url("trunks")}}})
    }

    /// Creates a lead object for a tenant.
    pub async fn lead(&self, name: &str, tenant: u32, change: Value) -> Result<()> {
        let mut spec = json!({"platform": self.platform, "msTenantId": self.tenant(tenant)});
        merge(&mut spec, &change);
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}))
            .await
    }

    /// Creates a service object for a tenant by its id. The short name and the full name are derived from the object's name.
    pub async fn service(&self, name: &str, tenant: u32, change: Value) -> Result<()> {
        let mut spec =
            json!({"platform": self.platform, "msTenantId": self.tenant(tenant), "shortName": name.replace('-', "_"), "fullName": format!("{name} Ltd")});
        merge(&mut spec, &change);
        self.apply(
            json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}),
        )
        .await
    }

    /// Changes the spec of an object with a merge patch.
    pub async fn change<K: Own>(&self, name: &str, spec: Value) -> Result<()> {
        K::api(self).patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        Ok(())
    }

    /// Sets an annotation.
    pub async fn annotate<K: Own>(&self, name: &str, annotation: &str, value: &str) -> Result<()> {
        K::api(self).patch(name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}))).await?;
        Ok(())
    }

    /// Deletes an object.
    pub async fn delete<K: Own>(&self, name: &str) -> Result<()> {
        K::api(self).delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until an object is as wanted; fails with its state after half a minute.
    pub async fn until<K: Own>(&self, name: &str, wanted: impl Fn(&K) -> bool) -> Result<K> {
        let api = K::api(self);
        let mut last = None;
        for _ in 0..300 {
            if let Some(object) = api.get_opt(name).await? {
                gallery::comes_back(&object)?;
                gallery::keep(&object)?;
                if wanted(&object) {
                    return Ok(object);
                }
                last = Some(object);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{} {name} is not as wanted after 30 s: {:?}", K::kind(&()), last.map(|object| (object.annotations().clone(), object.told())))
    }

    /// Creates services, one for each tenant, with `change` in their specs, and waits until they are Ready. Returns their names.
    pub async fn services(&self, tenants: &[u32], change: Value) -> Result<Vec<String>> {
        self.consented(tenants).await?;
        let names: Vec<String> = tenants.iter().map(|tenant| format!("customer-{tenant}")).collect();
        for (tenant, name) in tenants.iter().zip(&names) {
            self.service(name, *tenant, change.clone()).await?;
        }
        for name in &names {
            self.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
        }
        Ok(names)
    }

    /// Waits until `Ready` has a value and a reason.
    pub async fn ready<K: Own>(&self, name: &str, status: &str, reason: &str) -> Result<K> {
        self.until(name, |object: &K| ready_is(object, status, reason)).await
    }

    /// Waits until an object is gone.
    pub async fn gone<K: Own>(&self, name: &str) -> Result<()> {
        let api = K::api(self);
        for _ in 0..300 {
            match api.get_opt(name).await? {
                Some(object) => gallery::keep(&object)?,
                None => return Ok(()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let last = api.get_opt(name).await?;
        bail!("{} {name} is still there after 30 s: {:?}", K::kind(&()), last.map(|object| object.told()))
    }

    /// Makes one of the simulator's own calls.
    pub async fn simulate(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        simulated::call(&self.http, &self.simulator, method, path, body).await
    }

    /// Creates consented leads, as Microsoft would.
    pub async fn consented(&self, tenants: &[u32]) -> Result<()> {
        for tenant in tenants {
            self.simulate("POST", "leads", json!({"tenantId": self.tenant(*tenant), "companyName": format!("Company {tenant}")})).await?;
        }
        Ok(())
    }

    /// Injects a fault into the platform.
    pub async fn fault(&self, fault: Value) -> Result<()> {
        self.simulate("POST", "faults", fault).await.map(drop)
    }

    /// The platform's time, in milliseconds.
    pub async fn platform_time(&self) -> Result<u64> {
        self.simulate("GET", "state", Value::Null).await?["now"].as_u64().context("the simulator tells the time")
    }

    /// The calls that the platform has received: endpoint, status and time.
    pub async fn log(&self) -> Result<Vec<(String, u64, u64)>> {
        let log = self.simulate("GET", "log", Value::Null).await?;
        let entry = |call: &Value| Some((call["endpoint"].as_str()?.to_owned(), call["status"].as_u64()?, call["milliseconds"].as_u64()?));
        log.as_array().context("a log")?.iter().map(|call| entry(call).context("a call")).collect()
    }

    /// The total number of calls to the platform, including those for tokens.
    pub async fn all_calls(&self) -> Result<u64> {
        self.simulate("GET", "calls", Value::Null).await?["total"].as_u64().context("the simulator counts calls")
    }

    /// The resourceVersion of each object of a kind, by name; every status write changes it.
    pub async fn versions<K: Own>(&self) -> Result<std::collections::BTreeMap<String, String>> {
        let all = K::api(self).list(&ListParams::default()).await?;
        Ok(all.into_iter().map(|object| (object.name_any(), object.resource_version().unwrap_or_default())).collect())
    }

    /// The number of calls to a platform endpoint.
    pub async fn calls(&self, endpoint: &str) -> Result<u64> {
        simulated::calls(&self.http, &self.simulator, endpoint).await
    }

    /// The number of changes requested from the platform.
    pub async fn changes(&self) -> Result<u64> {
        simulated::changes(&self.http, &self.simulator).await
    }

    /// The operator's whole log.
    pub fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// Whether the operator's log contains a text.
    pub fn log_holds(&self, text: &str) -> Result<bool> {
        Ok(self.said()?.contains(text))
    }

    /// The operator's log lines on passes over an object of the case: those that `asked` the platform for a change, or those that only `looked`.
    pub fn passes(&self, name: &str, end: &str) -> Result<Vec<Value>> {
        let (said, end) = (self.said()?, format!("\"message\":\"{end}\""));
        // The last line may be incomplete.
        let lines = said.lines().filter(|line| line.contains(&end)).filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["namespace"] == self.namespace && line["name"] == name).collect())
    }

    fn operator_panicked(&self) -> Result<bool> {
        Ok(self.log_holds("panicked at")? || self.log_holds("this is a bug")?)
    }

    /// The operator's log file.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// What every case must leave: objects that keep the kstatus rules, no tenant with two services, and no secret in the log.
    pub async fn rules_are_kept(&self) -> Result<()> {
        // A status may be between two writes, so it gets a moment to keep the rules.
        let mut broken = Vec::new();
        for _ in 0..30 {
            broken.clear();
            for (kind, _) in kinds().into_iter().filter(|(_, namespaced)| *namespaced) {
                self.judge(kind, &mut broken).await?;
            }
            // Platform objects have no namespace, so only the case's own is checked: the others belong to running cases.
            LivePlatform::api(self).get_opt(&self.platform).await?.as_ref().map_or(Ok(()), |platform| judged(platform, &mut broken))?;
            if broken.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(broken.is_empty(), "kstatus rules are broken: {broken:?}");
        let twice = self.simulate("GET", "calls", Value::Null).await?;
        ensure!(twice["tenantsWithTwoServices"] == json!([]), "tenants with two services: {}", twice["tenantsWithTwoServices"]);
        ensure!(!self.log_holds(SECRET)?, "the operator's log holds the client secret");
        Ok(())
    }

    async fn judge(&self, kind: ApiResource, broken: &mut Vec<String>) -> Result<()> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &kind);
        api.list(&ListParams::default()).await?.iter().try_for_each(|object| judged(object, broken))
    }
}

/// Keeps an object and adds the rules that its status breaks.
fn judged<K: ResourceExt + serde::Serialize>(object: &K, broken: &mut Vec<String>) -> Result<()> {
    gallery::keep(object)?;
    for rule in gallery::violations(object)? {
        broken.push(format!("{rule}: {}", serde_json::to_string(object)?));
    }
    Ok(())
}

/// Prints a measurement, past the capture of `cargo test`.
pub fn measured(text: &str) {
    told(&format!("measured: {text}"));
}

/// Prints what is worth knowing about a run, past the capture of `cargo test`.
#[allow(clippy::print_stderr, reason = "it is there to be read")]
pub fn told(text: &str) {
    eprintln!("{text}");
}

/// Whether `Ready` has a value and a reason.
pub fn ready_is<K: Own>(object: &K, status: &str, reason: &str) -> bool {
    let (_, conditions) = object.told();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == status && condition.reason == reason)
}

/// The message of `Ready`.
pub fn message<K: Own>(object: &K) -> String {
    let (_, conditions) = object.told();
    conditions.into_iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.message.to_string()).unwrap_or_default()
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// What all of the operator's kinds have.
pub trait Own:
    Resource<DynamicType = ()> + Clone + PartialEq + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
    /// The API client of the kind, in the namespace of the case.
    fn api(scene: &Scene) -> Api<Self>;
    /// `status.observedGeneration` and the conditions.
    fn told(&self) -> (Option<i64>, Vec<Condition>);
}

impl<K: oc_essentials_operator::cluster::managed::ManagedResource + PartialEq> Own for K {
    fn api(scene: &Scene) -> Api<Self> {
        K::api(&scene.client, Some(&scene.namespace))
    }

    fn told(&self) -> (Option<i64>, Vec<Condition>) {
        let status = serde_json::to_value(self.status()).unwrap_or_default();
        (status["observedGeneration"].as_i64(), serde_json::from_value(status["conditions"].clone()).unwrap_or_default())
    }
}

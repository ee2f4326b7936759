//! What one operator has for itself: a namespace, a platform object, a simulated platform, and the gate that its requests pass.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use control_plane::manifests;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use live_platform_simulator::Simulator;
use oc_api::Condition;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::gate::{Gate, Side};
use super::operator::Operator;
use super::proxy::{Proxy, Upstream};
use super::verdict::Seen;

/// How often an object is read while a test waits.
const LOOK: Duration = Duration::from_millis(100);

/// No log may contain it.
const SECRET: &str = "simulator-secret";

/// The annotation with the intent of a change.
const OPERATION: &str = "operatorconnect.dev/operation";

/// After this time a deletion whose request may have left is requested again. It has no setting, so no test waits for it; see [`World::outage`].
const OUTAGE: Duration = Duration::from_secs(300);

/// One world.
pub struct World {
    /// The name of the namespace and of the platform object.
    pub name: String,
    pub operator: Arc<Operator>,
    pub gate: Arc<Gate>,
    client: Client,
    simulator: Simulator,
    http: reqwest::Client,
    platform: Proxy,
    _cluster: Proxy,
}

impl World {
    /// Creates a world in which no operator runs yet. The simulated platform allows a second service, so that an operator that requests twice is caught.
    pub async fn make(cluster: &Cluster, name: &str, settings: Value) -> Result<Self> {
        let simulator = Simulator::start(live_platform_simulator::Options { client_secret: SECRET.into(), ..Default::default() }).await;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let operator = Arc::new(Operator::new(cluster.release.clone(), cluster.kubeconfig(name), name)?);
        let gate = Arc::new(Gate::new(Arc::clone(&operator)));
        let behind = Proxy::start(cluster.upstream(name)?, Arc::clone(&gate)).await?;
        cluster.write_kubeconfig(name, &behind.url())?;
        let upstream = Upstream { side: Side::Platform, url: simulator.url(), http: http.clone(), shown: None };
        let platform = Proxy::start(upstream, Arc::clone(&gate)).await?;
        let world = Self { name: name.to_owned(), operator, gate, client: cluster.client.clone(), simulator, http, platform, _cluster: behind };
        world.simulate("PATCH", "settings", json!({"secondCreate": "allowed", "latency": 1})).await?;
        world.simulate("PATCH", "settings", settings).await?;
        world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        Ok(world)
    }

    /// The platform through the proxy, whose gate counts the requests.
    pub fn gated(&self) -> String {
        self.platform.url()
    }

    /// The platform without the proxy, which would turn a broken connection into an answer.
    pub fn direct(&self) -> String {
        self.simulator.url()
    }

    /// Creates the credential and the platform object for a platform at `url`, starts the operator, and waits until it has found the platform.
    pub async fn begin(&self, url: &str, spec: Value) -> Result<()> {
        let secret = json!({"metadata": {"name": "credential", "namespace": self.name}, "stringData": {"key": SECRET}});
        self.apply(merged(json!({"apiVersion": "v1", "kind": "Secret"}), secret)).await?;
        let (directory, client) = (&self.simulator.options().directory, &self.simulator.options().client_id);
        let job = |job: &str| format!("{url}/simulator/jobs/{job}/run");
        let common = json!({
            "url": format!("{url}/tenantui"),
            "authentication": {"entra": {
                "tenantId": directory, "clientId": client, "scope": "api://simulator/.default",
                "tokenUrl": format!("{url}/{directory}/oauth2/v2.0/token"),
                "clientSecretRef": {"namespace": self.name, "name": "credential", "key": "key"},
            }},
            "observeInterval": "5s",
            // The shortest that the schema allows.
            "createGrace": "1m",
            "taskDeadline": "1m",
            "deletions": {"perHour": 1000},
            "syncJobs": {"trigger": "Http", "http": {"leadsUrl": job("leads"), "trunksUrl": job("trunks")}},
        });
        self.own("LivePlatform", json!({"name": self.name}), merged(common, spec)).await?;
        self.operator.start()?;
        let platforms = Api::<LivePlatform>::all(self.client.clone());
        self.until("the platform is Ready", Duration::from_secs(60), async || Ok(platforms.get(&self.name).await.is_ok_and(|object| is_ready(&object)))).await
    }

    /// A Microsoft tenant of this world.
    pub fn tenant(number: usize) -> String {
        format!("{:08x}-0000-4000-8000-{number:012x}", 0xabcd)
    }

    /// Applies a manifest.
    pub async fn apply(&self, manifest: Value) -> Result<()> {
        manifests::apply(&self.client, &serde_json::from_value(manifest)?).await?;
        Ok(())
    }

    async fn own(&self, kind: &str, metadata: Value, spec: Value) -> Result<()> {
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})).await
    }

    /// Creates a lead object.
    pub async fn lead(&self, name: &str, tenant: &str) -> Result<()> {
        self.own("Lead", json!({"name": name, "namespace": self.name}), json!({"platform": self.name, "msTenantId": tenant})).await
    }

    /// Creates a service object from a spec, to which the names are added.
    pub async fn service(&self, name: &str, spec: Value) -> Result<()> {
        let names = json!({"shortName": name.replace('-', "_"), "fullName": format!("{name} Ltd")});
        self.own("OcEssentialService", json!({"name": name, "namespace": self.name}), merged(names, spec)).await
    }

    /// The objects of a kind in this world.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Deletes a service object.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.api::<OcEssentialService>().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until a condition holds.
    pub async fn until(&self, what: &str, patience: Duration, mut so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let waiting = async {
            loop {
                self.operator.check()?;
                if so().await? {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(so) => so,
            Err(_) => {
                let log = self.operator.log().display();
                bail!("{what}: not so after {} s; {}; see {log}", patience.as_secs(), self.how_it_stands().await?)
            }
        }
    }

    /// Every service that is not Ready, for the text of a failure.
    async fn how_it_stands(&self) -> Result<String> {
        let mut stands = Vec::new();
        for object in self.api::<OcEssentialService>().list(&ListParams::default()).await? {
            let told = conditions(&object).into_iter().find(|condition| condition.type_ == "Ready");
            let told = told.map(|ready| format!("Ready {} {}: {}", ready.status, ready.reason, ready.message));
            if !is_ready(&object) || object.meta().deletion_timestamp.is_some() {
                stands.push(format!("{} ({}; intent {:?})", object.name_any(), told.unwrap_or_default(), object.annotations().get(OPERATION)));
            }
        }
        Ok(format!("{} services are not Ready: {}", stands.len(), stands.into_iter().take(5).collect::<Vec<_>>().join("; ")))
    }

    /// Makes one of the simulator's own calls.
    pub async fn simulate(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        super::simulated::call(&self.http, &self.simulator, method, path, body).await
    }

    /// The state of the platform.
    pub async fn seen(&self) -> Result<Seen> {
        Seen::read(&self.simulate("GET", "services", Value::Null).await?, &self.simulate("GET", "calls", Value::Null).await?)
    }

    /// Turns the last kill into an outage of five minutes, by ageing what the objects have recorded. An intent (of these kinds) whose request never left, or
    /// was lost before the platform had it, is taken up again only after a grace. Only for objects where the platform shows that nothing was done, and only
    /// while no operator runs. Returns the number of objects aged.
    pub async fn outage(&self, kinds: &[&str]) -> Result<usize> {
        let there = self.seen().await?.services;
        let objects = self.api::<OcEssentialService>();
        let mut aged = 0;
        for object in objects.list(&ListParams::default()).await? {
            let Some(intent) = object.annotations().get(OPERATION) else { continue };
            let mut intent: Value = serde_json::from_str(intent).context("an intent")?;
            let tenant = object.status.as_ref().and_then(|status| status.ms_tenant_id.clone()).or_else(|| object.spec.ms_tenant_id.clone());
            let mut of_tenant = there.iter().filter(|service| Some(service.tenant_id.as_str()) == tenant.as_deref());
            let undone = match intent["kind"].as_str().filter(|kind| kinds.contains(kind)) {
                Some("Create") => of_tenant.next().is_none(),
                Some("Delete") => of_tenant.any(|service| service.deleted_at.is_none()),
                _ => false,
            };
            if !undone {
                continue;
            }
            let start: jiff::Timestamp = intent["start"].as_str().context("the start of an intent")?.parse()?;
            intent["start"] = json!(start - OUTAGE);
            let patch = json!({"metadata": {"resourceVersion": object.resource_version(), "annotations": {OPERATION: intent.to_string()}}});
            objects.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
            aged += 1;
        }
        Ok(aged)
    }

    /// How many objects have recorded a create that the platform never received.
    pub async fn recorded_and_not_asked(&self) -> Result<usize> {
        let log = self.simulate("GET", "log", Value::Null).await?;
        let creates = log.as_array().into_iter().flatten().filter(|call| call["endpoint"] == "services.create");
        let asked: BTreeSet<&str> = creates.filter_map(|call| call["tenantId"].as_str()).collect();
        let objects = self.api::<OcEssentialService>().list(&ListParams::default()).await?;
        let recorded = |object: &OcEssentialService| object.annotations().get(OPERATION).is_some_and(|intent| intent.contains("\"Create\""));
        Ok(objects.iter().filter(|object| recorded(object) && object.spec.ms_tenant_id.as_deref().is_some_and(|tenant| !asked.contains(tenant))).count())
    }

    /// Fails when a log contains what no log may.
    pub fn log_is_clean(&self) -> Result<()> {
        let said = self.operator.said()?;
        for bad in ["panicked at", "this is a bug", SECRET] {
            let line = said.lines().find(|line| line.contains(bad));
            ensure!(line.is_none(), "the operator said {line:?}; see {}", self.operator.log().display());
        }
        Ok(())
    }

    /// The number of all services in the status of the platform object.
    pub async fn counted(&self) -> Result<Option<u32>> {
        let platform = Api::<LivePlatform>::all(self.client.clone()).get(&self.name).await?;
        Ok(platform.status.and_then(|status| status.services).map(|services| services.total))
    }

    /// The guid of the service that the lead object shows.
    pub async fn lead_shows(&self, name: &str) -> Result<Option<String>> {
        Ok(self.api::<Lead>().get(name).await?.status.and_then(|status| status.ump_customer_guid))
    }
}

/// The status of all of the operator's kinds.
pub trait Told {
    fn told(&self) -> Option<(Option<i64>, &[Condition])>;
}

macro_rules! told {
    ($($kind:ty),+) => {$(
        impl Told for $kind {
            fn told(&self) -> Option<(Option<i64>, &[Condition])> {
                self.status.as_ref().map(|status| (status.observed_generation, status.conditions.as_slice()))
            }
        }
    )+};
}

told!(Lead, LivePlatform, OcEssentialService);

fn conditions<K: Told>(object: &K) -> Vec<Condition> {
    object.told().map(|(_, conditions)| conditions.to_vec()).unwrap_or_default()
}

/// Whether the object is `Ready=True` at its current generation.
pub fn is_ready<K: Told + Resource>(object: &K) -> bool {
    let current = object.told().is_some_and(|(observed, _)| observed == object.meta().generation);
    current && conditions(object).iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The members of both; those of `change` win.
pub fn merged(mut into: Value, change: Value) -> Value {
    if let (Value::Object(into), Value::Object(change)) = (&mut into, change) {
        into.extend(change);
    }
    into
}

//! What the passes over all kinds share, in parts. Code that needs only one part takes only that part.

use std::sync::Arc;
use std::time::Duration;

use kube::{Client, ResourceExt};
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::policy::PlatformAccess;
use oc_domain::time::Time;

use crate::cluster::cache::Cache;
use crate::cluster::events::Recorder;
use crate::cluster::has_status::HasStatus;
use crate::cluster::key::{Group, Kind, ObjectKey};
use crate::cluster::namespaces::{Looked, Namespaces};
use crate::cluster::scope::Scope;
use crate::cluster::stores::{KnownResource, for_kind};
use crate::cluster::watch_health::Watches;
use crate::controllers::lead_policy::state::Policies;
use crate::controllers::memory::Memory;
use crate::controllers::metrics::{MetricsSink, PassOutcome};
use crate::controllers::tallies::Tallies;
use crate::controllers::tenant_locks::TenantLocks;
use crate::platform::connections::Connections;
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use crate::runtime::workqueue::{Priority, Queue};
use oc_api::LivePlatform;

/// How many passes over the objects of one platform run at once. Most of a pass is waiting: for the API server,
/// and for the next list of the platform, which begins up to half a second later. Each takes 7 KB.
const PASSES_PER_PLATFORM: usize = 96;

/// How many passes over the objects of one platform run at once when there are a hundred thousand. Lists of so many come
/// every few seconds, and each pass waits for one: with 100,000 services, 96 passes were no more than 60 creates a second.
const MOST_PASSES_PER_PLATFORM: usize = 2048;

/// The group of the passes over the leads and services of a platform.
fn customers_of(platform: Arc<str>) -> Group {
    (Kind::OcEssentialService, platform)
}

/// The configuration of this process.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Path of the pod's projected token, for workload identity.
    pub federated_token_file: Option<std::path::PathBuf>,
    /// The namespaces whose leads and services this process reconciles.
    pub scope: Scope,
}

/// State and clients that all controllers share.
pub struct Context {
    /// Client for the Kubernetes API server.
    pub client: Client,
    /// Whether this process may change anything.
    pub leadership: Leadership,
    /// Records Kubernetes events.
    pub events: Recorder,
    /// Receives the metrics.
    pub metrics: Arc<dyn MetricsSink>,
    /// The configuration of this process.
    pub config: Config,
    /// The objects as the watches have delivered them.
    pub cache: Cache,
    /// The health of the watches.
    pub watches: Watches,
    /// The work queue.
    pub queue: Queue<ObjectKey, Group>,
    /// The platforms whose lists discovery has to look at.
    pub discoveries: Queue<ObjectKey, Group>,
    /// The policies that have to run.
    pub onboardings: Queue<ObjectKey, Group>,
    /// What is kept for policies between their runs.
    pub policies: Policies,
    /// The connection to each platform.
    pub connections: Connections,
    /// Counts that are kept up to date as objects change.
    pub tallies: Tallies,
    /// What this process remembers between passes.
    pub memory: Memory,
    /// The tenants for which a create intent is being recorded.
    pub tenant_locks: TenantLocks,
    namespaces: Namespaces,
}

impl Context {
    /// A context for tests: all namespaces, no pod token.
    #[cfg(test)]
    pub fn bare(client: Client, leadership: Leadership, metrics: Arc<dyn MetricsSink>) -> Arc<Self> {
        let events = Recorder::new(client.clone(), "test");
        Self::new(client, leadership, Config::default(), events, metrics)
    }

    /// A context with empty caches.
    pub fn new(
        client: Client,
        leadership: Leadership,
        config: Config,
        events: Recorder,
        metrics: Arc<dyn MetricsSink>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            leadership,
            events,
            metrics,
            config,
            cache: Cache::default(),
            watches: Watches::default(),
            queue: Queue::growing(PASSES_PER_PLATFORM, MOST_PASSES_PER_PLATFORM),
            discoveries: Queue::new(1),
            onboardings: Queue::new(1),
            policies: Policies::default(),
            connections: Connections::default(),
            tallies: Tallies::default(),
            memory: Memory::default(),
            tenant_locks: TenantLocks::default(),
            namespaces: Namespaces::default(),
        })
    }

    /// The group whose concurrency limit an object's passes count against.
    pub fn group(&self, key: &ObjectKey) -> Group {
        match key.kind() {
            Kind::LivePlatform => (Kind::LivePlatform, key.name().into()),
            // Their passes only write status.
            Kind::LeadPolicy => (Kind::LeadPolicy, Default::default()),
            _ => customers_of(self.cache.index.platform_of(key).unwrap_or_default()),
        }
    }

    /// Whether the passes over the leads and services of a platform have taken most of their room.
    pub fn is_crowded(&self, platform: &Arc<str>) -> bool {
        self.queue.is_crowded(&customers_of(Arc::clone(platform)))
    }

    /// Enqueues an object.
    pub fn enqueue(&self, key: &ObjectKey, priority: Priority) {
        self.queue.add(key.clone(), self.group(key), priority);
    }

    /// Enqueues several objects.
    pub fn enqueue_all(&self, keys: impl IntoIterator<Item = ObjectKey>, priority: Priority) {
        for key in keys {
            self.enqueue(&key, priority);
        }
    }

    /// Drops the state of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.memory.forget(key);
        self.cache.forget(key);
        self.queue.remove(key);
    }

    /// The creation time of an object whose status no operator has written yet.
    fn made_and_unseen(&self, key: &ObjectKey) -> Option<Time> {
        for_kind!(key.kind(), K => {
            let object = K::stored(&self.cache).of(key)?;
            let observed = object.status.as_ref().and_then(HasStatus::observed);
            let made = object.creation_timestamp().filter(|_| observed.is_none())?;
            Some(clock::time(made.0))
        })
    }

    /// Records that a pass begins.
    pub fn pass_begins(&self, key: &ObjectKey) {
        if let Some(made) = self
            .made_and_unseen(key)
            .filter(|made| self.memory.is_first_look(key, *made))
        {
            self.metrics.first_look(key.kind(), clock::now().since(made));
        }
    }

    /// Records that a pass has ended.
    pub fn pass_ended(&self, key: &ObjectKey, outcome: PassOutcome, took: Duration) {
        self.metrics.reconciled(key.kind(), outcome, took);
        if let Some(made) = (outcome == PassOutcome::Ready)
            .then(|| self.memory.is_first_ready(key))
            .flatten()
        {
            self.metrics.ready(key.kind(), clock::now().since(made));
        }
    }

    /// The access that objects of this namespace have to a platform.
    pub async fn connection(&self, platform: &str, namespace: &str) -> PlatformAccess {
        let Some(reading) = self.cache.reading(platform) else {
            let message = format!("There is no LivePlatform {platform}. Create it under that name.");
            return PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, message));
        };
        if self.cache.platforms.is_wrong("", platform) {
            let message = format!(
                "This version of the operator can't read LivePlatform {platform}. See its conditions. What exists on the platform stays as it is."
            );
            return PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, message));
        }
        self.check_access(&reading.object, namespace)
            .await
            .unwrap_or_else(|| PlatformAccess::Usable(reading.policy.clone()))
    }

    /// Called when a namespace's labels change: enqueues its objects and their competitors.
    fn namespace_changed(&self, namespace: &str) {
        self.enqueue_all(self.cache.index.around_namespace(namespace), Priority::Effect);
    }

    async fn check_access(&self, platform: &LivePlatform, namespace: &str) -> Option<PlatformAccess> {
        let Looked { against, changed } = self
            .namespaces
            .check_access(&self.client, platform, namespace)
            .await;
        if changed {
            self.namespace_changed(namespace);
        }
        against
    }

    /// Whether the objects of a namespace may use a platform, from what is already known. Nobody may use a
    /// platform that does not exist.
    pub fn access(&self, platform: &str, namespace: &str) -> Access {
        self.cache
            .platforms
            .get("", platform)
            .map_or(Access::MayNot, |object| {
                self.namespaces.access(&object, namespace)
            })
    }

    /// Like [`access`](Self::access), but checks when the answer is not known.
    pub async fn may_use(&self, platform: &str, namespace: &str) -> Access {
        match self.access(platform, namespace) {
            Access::Unknown => match self.connection(platform, namespace).await {
                PlatformAccess::Usable(_) => Access::May,
                PlatformAccess::Unusable(_) => Access::MayNot,
                PlatformAccess::Unknown(_) => Access::Unknown,
            },
            known => known,
        }
    }

    /// Whether a platform is left to the operators of other namespaces: this operator is limited to some
    /// namespaces, and none of them may use it. An established connection stays while the answer is unknown.
    pub async fn is_out_of_scope(&self, platform: &LivePlatform) -> bool {
        for namespace in self.config.scope.named() {
            match self.check_access(platform, namespace).await {
                None => return false,
                Some(PlatformAccess::Unknown(_)) if self.connections.of(&platform.name_any()).is_some() => {
                    return false;
                }
                Some(_) => {}
            }
        }
        self.config.scope.named().next().is_some()
    }
}

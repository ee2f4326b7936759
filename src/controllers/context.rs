//! What the passes over all kinds share: the objects, the queue, and one connection per platform.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use kube::{Client, ResourceExt};
use oc_domain::breaker::DeletionLedger;
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::discovery::Attempts;
use oc_domain::memory::PassMemory;
use oc_domain::place::Place;
use oc_domain::policy::PlatformAccess;
use oc_domain::record::Record;
use oc_domain::time::Time;

use crate::cluster::cache::Cache;
use crate::cluster::events::Recorder;
use crate::cluster::has_status::HasStatus;
use crate::cluster::key::{Group, Kind, ObjectKey};
use crate::cluster::namespaces::{Looked, Namespaces};
use crate::cluster::reading::{Reading, Readings};
use crate::cluster::record;
use crate::cluster::records::Records;
use crate::cluster::scope::Scope;
use crate::cluster::store::Store;
use crate::cluster::watch_health::{WatchHealth, WatchStatus};
use crate::controllers::metrics::{MetricsSink, PassOutcome};
use crate::controllers::tallies::Tallies;
use crate::controllers::tenant_locks::TenantLocks;
use crate::platform::budget::{Limits, Room};
use crate::platform::connected::{Connected, CredentialBackoff};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use crate::runtime::workqueue::{Priority, Queue};
use oc_api::LivePlatform;

/// How many passes over the objects of one platform run at once. Most of a pass is waiting for an API server.
const PASSES_PER_PLATFORM: usize = 128;

/// See the module.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Whether this process may change anything.
    pub leadership: Leadership,
    /// Where a pod's projected token lies, for workload identity.
    pub federated_token_file: Option<std::path::PathBuf>,
    /// Where leads and services are looked after.
    pub scope: Scope,
    /// Where events go.
    pub events: Recorder,
    /// The objects, as the watches have brought them.
    pub cache: Cache,
    /// Who is next.
    pub queue: Queue<ObjectKey, Group>,
    /// Who counts.
    pub meter: Arc<dyn MetricsSink>,
    connections: RwLock<HashMap<String, Connected>>,
    backoffs: Mutex<HashMap<String, CredentialBackoff>>,
    namespaces: Namespaces,
    /// Tenants for which a create is being recorded.
    pub claims: TenantLocks,
    /// What the objects remember that compete for something.
    pub records: Records,
    /// What is kept of the objects as they change.
    pub tallies: Tallies,
    readings: Readings,
    rooms: Mutex<HashMap<Place, Weak<Room>>>,
    ledgers: Mutex<HashMap<String, DeletionLedger>>,
    attempts: Mutex<HashMap<String, Attempts>>,
    memories: Mutex<HashMap<ObjectKey, (Option<String>, PassMemory)>>,
    watches: Mutex<Vec<(Kind, Arc<WatchHealth>)>>,
    began: Time,
    /// The objects that were made since then, were looked at, and are not Ready yet; and when they were made.
    young: Mutex<HashMap<ObjectKey, Time>>,
}

impl Context {
    /// For tests: all namespaces, and no token of a pod.
    #[cfg(test)]
    pub fn bare(client: Client, leadership: Leadership, meter: Arc<dyn MetricsSink>) -> Arc<Self> {
        let events = Recorder::new(client.clone(), "test");
        Self::new(client, leadership, None, Scope::default(), events, meter)
    }

    /// Nothing known yet.
    pub fn new(
        client: Client,
        leadership: Leadership,
        federated_token_file: Option<std::path::PathBuf>,
        scope: Scope,
        events: Recorder,
        meter: Arc<dyn MetricsSink>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            leadership,
            federated_token_file,
            scope,
            events,
            cache: Cache::default(),
            queue: Queue::new(PASSES_PER_PLATFORM),
            meter,
            connections: RwLock::default(),
            backoffs: Mutex::default(),
            namespaces: Namespaces::default(),
            claims: TenantLocks::default(),
            records: Records::default(),
            tallies: Tallies::default(),
            readings: Readings::default(),
            rooms: Mutex::default(),
            ledgers: Mutex::default(),
            attempts: Mutex::default(),
            memories: Mutex::default(),
            watches: Mutex::default(),
            // Creation times have no milliseconds.
            began: clock::now().whole_second(),
            young: Mutex::default(),
        })
    }

    /// Which limit an object's passes count against.
    pub fn group(&self, key: &ObjectKey) -> Group {
        match key.kind {
            Kind::LivePlatform => (Kind::LivePlatform, key.name.clone()),
            _ => (Kind::OcEssentialService, self.cache.index.platform_of(key).unwrap_or_default()),
        }
    }

    /// Wants an object to be looked at as soon as it is its turn.
    pub fn enqueue(&self, key: &ObjectKey, priority: Priority) {
        self.queue.add(key.clone(), self.group(key), priority);
    }

    /// Wakes several.
    pub fn enqueue_all(&self, keys: impl IntoIterator<Item = ObjectKey>, priority: Priority) {
        for key in keys {
            self.enqueue(&key, priority);
        }
    }

    /// Works on what is remembered of the object with this uid between passes. Of one that had the name before, nothing is.
    pub fn with_memory<T>(&self, key: &ObjectKey, uid: Option<&str>, work: impl FnOnce(&mut PassMemory) -> T) -> T {
        let mut memories = self.memories.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (of, memory) = memories.entry(key.clone()).or_default();
        if of.as_deref() != uid {
            (*of, *memory) = (uid.map(str::to_owned), PassMemory::default());
        }
        work(memory)
    }

    /// What an object remembers, with what this process has asked for it: what says so on the object may have been taken off a moment ago.
    pub fn reminded(&self, key: &ObjectKey, uid: Option<&str>, record: Arc<Record>) -> Arc<Record> {
        let memories = self.memories.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some((_, memory)) = memories.get(key).filter(|(of, memory)| of.as_deref() == uid && memory.waits_for_outcome()) else { return record };
        let mut reminded = Record::clone(&record);
        memory.remind(&mut reminded);
        Arc::new(reminded)
    }

    /// Whether an object waits for lists without entries that can't be read.
    pub fn waits_for_whole_lists(&self, key: &ObjectKey) -> bool {
        self.memories.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(key).is_some_and(|(_, memory)| memory.waits_for_whole_lists)
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.memories.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
        self.young.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
        self.records.forget(key);
        if key.kind == Kind::LivePlatform {
            self.readings.forget(&key.name);
        }
        self.queue.remove(key);
    }

    /// The room for calls at a place, which all `LivePlatform` objects share that point to it. Another one is made when its limits are others.
    pub fn room(&self, place: &Place, limits: Limits) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(room) = rooms.get(place).and_then(Weak::upgrade).filter(|room| room.limits() == limits) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Room::new(limits);
        rooms.insert(place.clone(), Arc::downgrade(&room));
        room
    }

    /// Works on what was last decided of deletions, by `LivePlatform`. Who counts does so under this lock: what one has granted is seen by the next, before it
    /// is written and comes back by the watch.
    pub fn ledgers(&self) -> MutexGuard<'_, HashMap<String, DeletionLedger>> {
        self.ledgers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Works on what is remembered of a platform's discovery.
    pub fn with_attempts<T>(&self, platform: &str, work: impl FnOnce(&mut Attempts) -> T) -> T {
        let mut attempts = self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(attempts.entry(platform.to_owned()).or_default())
    }

    /// A watch of this kind begins, of one namespace or of all.
    pub fn begin_watch(&self, kind: Kind, namespace: Option<&str>) -> Arc<WatchHealth> {
        let watched = Arc::new(WatchHealth::of(namespace));
        self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((kind, Arc::clone(&watched)));
        watched
    }

    /// What is known of the watches.
    pub fn watches(&self) -> Vec<(Kind, WatchStatus)> {
        let watches = self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        watches.iter().map(|(kind, watched)| (*kind, watched.seen())).collect()
    }

    /// Whether anything was asked of a platform, or may have been, whose end is not known.
    pub fn has_something_open(&self) -> bool {
        let open = |record: &Record| record.open_intent().is_some() || record.running().is_some();
        let mut found = false;
        self.cache.services.each(|object| found |= open(&record::of_service(object)));
        self.cache.leads.each(|object| found |= open(&record::of_lead(object)));
        found
    }

    /// The longest span for which any platform lets something be open.
    pub fn longest_wait(&self) -> std::time::Duration {
        let mut longest = std::time::Duration::ZERO;
        self.cache.platforms.each(|platform| longest = longest.max(platform.spec.create_grace.span()).max(platform.spec.task_deadline.span()));
        longest
    }

    /// Whether all watches show what happens now.
    pub fn sees(&self) -> bool {
        self.watches().iter().all(|(_, seen)| seen.is_well())
    }

    /// What of an object can't be read by this version of the program.
    pub fn wrong(&self, key: &ObjectKey) -> Option<Arc<str>> {
        match key.kind {
            Kind::LivePlatform => self.cache.platforms.wrong("", &key.name),
            Kind::Lead => self.cache.leads.wrong(&key.namespace, &key.name),
            Kind::OcEssentialService => self.cache.services.wrong(&key.namespace, &key.name),
        }
    }

    /// How many objects of a kind can't be read.
    pub fn unreadable(&self, kind: Kind) -> usize {
        match kind {
            Kind::LivePlatform => self.cache.platforms.unreadable(),
            Kind::Lead => self.cache.leads.unreadable(),
            Kind::OcEssentialService => self.cache.services.unreadable(),
        }
    }

    /// When an object was made that was made since this process began, and of which no operator has said anything yet.
    fn new_since(&self, key: &ObjectKey) -> Option<Time> {
        fn made<K: kube::Resource>(store: &Store<K>, key: &ObjectKey, said: impl Fn(&K) -> Option<i64>) -> Option<Time> {
            let object = store.get(&key.namespace, &key.name).filter(|object| said(object).is_none())?;
            object.creation_timestamp().map(|time| clock::time(time.0))
        }
        let made = match key.kind {
            Kind::LivePlatform => made(&self.cache.platforms, key, |object| object.status.as_ref().and_then(HasStatus::observed)),
            Kind::Lead => made(&self.cache.leads, key, |object| object.status.as_ref().and_then(HasStatus::observed)),
            Kind::OcEssentialService => made(&self.cache.services, key, |object| object.status.as_ref().and_then(HasStatus::observed)),
        };
        made.filter(|made| *made >= self.began)
    }

    /// A pass begins.
    pub fn looks(&self, key: &ObjectKey) {
        let Some(made) = self.new_since(key) else { return };
        let before = self.young.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key.clone(), made);
        if before != Some(made) {
            self.meter.first_look(key.kind, clock::now().since(made));
        }
    }

    /// A pass has ended.
    pub fn looked(&self, key: &ObjectKey, outcome: PassOutcome, took: std::time::Duration) {
        self.meter.reconciled(key.kind, outcome, took);
        if outcome == PassOutcome::Ready
            && let Some(made) = self.young.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key)
        {
            self.meter.ready(key.kind, clock::now().since(made));
        }
    }

    /// How a platform is connected to; `None` before its own first pass.
    pub fn connected(&self, platform: &str) -> Option<Connected> {
        self.connections.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(platform).cloned()
    }

    /// Whether this is still how a platform is connected to. A pass that began before its address was changed must not ask for anything by the former one: what
    /// the objects have there was counted without it.
    ///
    /// # Errors
    /// When it is not.
    pub fn still_by(&self, platform: &str, inventory: &Arc<Inventory>) -> Result<(), Trouble> {
        let by = |other: &Arc<Inventory>| Arc::ptr_eq(other, inventory);
        match self.connected(platform) {
            Some(connected) if connected.inventory.as_ref().is_ok_and(by) || connected.last_good.as_ref().is_some_and(|good| by(&good.inventory)) => Ok(()),
            _ => Err(Trouble::new(Reason::ProgressingWithRetry, "The connection to the platform was made anew meanwhile.")),
        }
    }

    /// Sets or removes a platform's connection. Who waits for an answer by the one that it replaces gives up.
    pub fn connect(&self, platform: &str, connected: Option<Connected>) {
        let now = connected.as_ref().and_then(|connected| connected.inventory.as_ref().ok().cloned());
        let before = {
            let mut connections = self.connections.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            match connected {
                Some(connected) => connections.insert(platform.to_owned(), connected),
                None => connections.remove(platform),
            }
        };
        if let Some(before) = before.and_then(|before| before.inventory.ok()).filter(|before| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, before))) {
            before.give_up();
        }
    }

    /// The platform is to be reached in another way than it is: who waits for an answer by the old one gives up.
    pub fn give_up(&self, platform: &str) {
        let Some(Connected { inventory, last_good, .. }) = self.connected(platform) else { return };
        inventory.into_iter().chain(last_good.map(|good| good.inventory)).for_each(|inventory| inventory.give_up());
    }

    /// What a platform object waits for, if its credential fails.
    pub fn credential_backoff(&self, platform: &str) -> Option<CredentialBackoff> {
        self.backoffs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(platform).cloned()
    }

    /// Sets or removes that.
    pub fn back_off(&self, platform: &str, backoff: Option<CredentialBackoff>) {
        let mut all = self.backoffs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match backoff {
            Some(backoff) => all.insert(platform.to_owned(), backoff),
            None => all.remove(platform),
        };
    }

    /// What the newest version of a platform object says.
    pub fn reading(&self, platform: &str) -> Option<Arc<Reading>> {
        Some(self.readings.of(platform, self.cache.platforms.get("", platform)?))
    }

    /// What an object in this namespace may use a platform for.
    pub async fn connection(&self, platform: &str, namespace: &str) -> PlatformAccess {
        let Some(reading) = self.reading(platform) else {
            let message = format!("There is no LivePlatform {platform}. Make it, or name another one.");
            return PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, message));
        };
        if self.cache.platforms.wrong("", platform).is_some() {
            let message = format!("LivePlatform {platform} can't be read by this version of the operator. See its conditions; what is there stays as it is.");
            return PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, message));
        }
        self.stands_against(&reading.object, namespace).await.unwrap_or_else(|| PlatformAccess::Usable(reading.policy.clone()))
    }

    /// The labels of a namespace are others: its objects are looked at, and those that want the same.
    fn namespace_changed(&self, namespace: &str) {
        self.enqueue_all(self.cache.index.around_namespace(namespace), Priority::Effect);
    }

    async fn stands_against(&self, platform: &LivePlatform, namespace: &str) -> Option<PlatformAccess> {
        let Looked { against, changed } = self.namespaces.stands_against(&self.client, platform, namespace).await;
        if changed {
            self.namespace_changed(namespace);
        }
        against
    }

    /// Whether the objects of a namespace may use a platform, as far as it is known without asking. Nobody may use one that is not there.
    pub fn access(&self, platform: &str, namespace: &str) -> Access {
        self.cache.platforms.get("", platform).map_or(Access::MayNot, |object| self.namespaces.access(&object, namespace))
    }

    /// The same, asked when it is not known.
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

    /// Whether a platform is left to the operators of other namespaces: this one looks after some, and none of them may use it. While that can't be told
    /// it stays as it was.
    pub async fn leaves_to_others(&self, platform: &LivePlatform) -> bool {
        for namespace in self.scope.named() {
            match self.stands_against(platform, namespace).await {
                None => return false,
                Some(PlatformAccess::Unknown(_)) if self.connected(&platform.name_any()).is_some() => return false,
                Some(_) => {}
            }
        }
        self.scope.named().next().is_some()
    }
}

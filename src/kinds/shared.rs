//! What the passes over all kinds share: the stores, the index, the queue, and one connection per platform.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use kube::{Client, ResourceExt};
use oc_domain::breaker::Ledger;
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::discovery::Attempts;
use oc_domain::driver::Memo;
use oc_domain::pass::DeletionPolicy;
use oc_domain::place::Place;
use oc_domain::policy::{Connection, JobTrigger};
use oc_domain::record::Record;
use oc_domain::time::Time;

use super::claims::Claims;
use super::competition::Records;
use super::index::Index;
use super::meter::{Meter, PassOutcome};
use super::namespaces::{Looked, Namespaces};
use super::reading::{Reading, Readings};
use super::tally::Tallies;
use super::wakes;
use super::world::Told;
use crate::api::live_platform::SyncTrigger;
use crate::api::{Lead, LivePlatform, OcEssentialService};
use crate::engine::budget::{Limits, Room};
use crate::engine::clock;
use crate::engine::lease::Leadership;
use crate::engine::queue::{Lane, Queue};
use crate::inventory::Inventory;
use crate::object::events::Recorder;
use crate::object::record;
use crate::object::scope::Scope;
use crate::object::store::Store;
use crate::object::watched::{Seen, Watched};

/// How many passes over the objects of one platform run at once. Most of a pass is waiting for an API server.
const PASSES_PER_PLATFORM: usize = 128;

/// Our kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `LivePlatform`
    LivePlatform,
    /// `Lead`
    Lead,
    /// `OcEssentialService`
    OcEssentialService,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::LivePlatform, Kind::Lead, Kind::OcEssentialService];

    /// As Kubernetes has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LivePlatform => "LivePlatform",
            Self::Lead => "Lead",
            Self::OcEssentialService => "OcEssentialService",
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a `LivePlatform`.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of a platform.
    pub fn platform(name: &str) -> Self {
        Self { kind: Kind::LivePlatform, namespace: String::new(), name: name.to_owned() }
    }

    /// The key of a lead.
    pub fn lead(namespace: &str, name: &str) -> Self {
        Self { kind: Kind::Lead, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of a service.
    pub fn service(namespace: &str, name: &str) -> Self {
        Self { kind: Kind::OcEssentialService, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// How a platform is connected to.
#[derive(Clone)]
pub struct Connected {
    /// What the connection was made from: another one is made when this differs.
    pub fingerprint: String,
    /// What of that stands in the spec.
    pub spec: String,
    /// Where it leads to; `None` while there is no URL that can be read.
    pub place: Option<Place>,
    /// When the rest (the Secret, the CA bundle) was last read.
    pub read: Time,
    /// The inventory, or why there is none.
    pub inventory: Result<Arc<Inventory>, Trouble>,
    /// The connection by which the platform was last read.
    pub last_good: Option<LastGood>,
    /// The connection by another credential, which is not proven yet: while the one before is good, the objects go on with that.
    pub trying: Option<Trying>,
}

/// A connection by a credential that was changed and is not proven yet.
#[derive(Clone)]
pub struct Trying {
    /// See [`Connected`].
    pub fingerprint: String,
    /// The inventory.
    pub inventory: Arc<Inventory>,
}

/// A connection that has worked. It is kept in memory only, and for one purpose: a namespace that is deleted loses its Secret first, and what is
/// in it must be able to go all the same.
#[derive(Clone)]
pub struct LastGood {
    /// See [`Connected`].
    pub fingerprint: String,
    /// Which platform it is to, and as whom: for another one it is worth nothing.
    pub identity: String,
    /// The inventory, with its client.
    pub inventory: Arc<Inventory>,
}

impl Connected {
    /// Whether the credential is what fails: it is missing, or it was refused.
    pub fn refused(&self) -> bool {
        let trouble = match (&self.trying, &self.inventory) {
            (Some(trying), _) => trying.inventory.budget().left_alone(),
            (None, Ok(inventory)) => inventory.budget().left_alone(),
            (None, Err(trouble)) => Some(trouble.clone()),
        };
        trouble.is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
    }

    /// Whether it tries another credential than before, or begins or ends to try one.
    pub fn tries_another(&self, before: &Self) -> bool {
        let tried = |connected: &Self| connected.trying.as_ref().map(|trying| trying.fingerprint.clone());
        tried(self) != tried(before)
    }

    /// Whether what can be done with it is something else than before.
    pub fn differs(&self, before: &Self) -> bool {
        match (&self.inventory, &before.inventory) {
            (Ok(_), Ok(_)) => self.fingerprint != before.fingerprint,
            (Err(now), Err(before)) => now != before,
            _ => true,
        }
    }

    /// What a pass over an object of a service or lead uses. One that is being deleted uses the connection that last worked when there is no other:
    /// to delete what it made, or (whatever its policy) to see what became of a create. Nothing else does.
    ///
    /// # Errors
    /// Why there is no connection, and for an object that can't go without one what lets it go.
    pub fn for_object(&self, going: Option<DeletionPolicy>) -> Result<Arc<Inventory>, Trouble> {
        match (&self.inventory, going, &self.last_good) {
            (Err(_), Some(_), Some(good)) => Ok(Arc::clone(&good.inventory)),
            (Err(trouble), Some(DeletionPolicy::Delete), None) => {
                let message = format!("{} Or set spec.deletionPolicy to Retain to let this object go and keep what it has on the platform.", trouble.message);
                Err(Trouble { message, ..trouble.clone() })
            }
            (given, _, _) => given.clone(),
        }
    }
}

/// A platform object that waits for another credential: until this time there is nothing else to do, unless the object itself is changed.
#[derive(Clone, Debug)]
pub struct Held {
    /// The object's version.
    pub version: Option<String>,
    /// When the platform is asked again.
    pub until: Time,
}

/// Entries that share a limit: a platform's objects, and apart from them the platform object itself, which must never wait behind them.
pub type Group = (Kind, String);

/// See the module.
pub struct Shared {
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
    /// All `LivePlatform` objects.
    pub platforms: Arc<Store<LivePlatform>>,
    /// All `Lead` objects.
    pub leads: Arc<Store<Lead>>,
    /// All `OcEssentialService` objects.
    pub services: Arc<Store<OcEssentialService>>,
    /// Who is next.
    pub queue: Queue<Key, Group>,
    /// Who counts.
    pub meter: Arc<dyn Meter>,
    index: Mutex<Index>,
    connections: RwLock<HashMap<String, Connected>>,
    held: Mutex<HashMap<String, Held>>,
    namespaces: Namespaces,
    /// Tenants for which a create is being recorded.
    pub claims: Claims,
    /// What the objects remember that compete for something.
    pub records: Records,
    /// What is kept of the objects as they change.
    pub tallies: Tallies,
    readings: Readings,
    rooms: Mutex<HashMap<Place, Weak<Room>>>,
    ledgers: Mutex<HashMap<String, Ledger>>,
    attempts: Mutex<HashMap<String, Attempts>>,
    memos: Mutex<HashMap<Key, (Option<String>, Memo)>>,
    watches: Mutex<Vec<(Kind, Arc<Watched>)>>,
    began: Time,
    /// The objects that were made since then, were looked at, and are not Ready yet; and when they were made.
    young: Mutex<HashMap<Key, Time>>,
}

impl Shared {
    /// For tests: all namespaces, and no token of a pod.
    #[cfg(test)]
    pub fn bare(client: Client, leadership: Leadership, meter: Arc<dyn Meter>) -> Arc<Self> {
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
        meter: Arc<dyn Meter>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            leadership,
            federated_token_file,
            scope,
            events,
            platforms: Arc::default(),
            leads: Arc::default(),
            services: Arc::default(),
            queue: Queue::new(PASSES_PER_PLATFORM),
            meter,
            index: Mutex::default(),
            connections: RwLock::default(),
            held: Mutex::default(),
            namespaces: Namespaces::default(),
            claims: Claims::default(),
            records: Records::default(),
            tallies: Tallies::default(),
            readings: Readings::default(),
            rooms: Mutex::default(),
            ledgers: Mutex::default(),
            attempts: Mutex::default(),
            memos: Mutex::default(),
            watches: Mutex::default(),
            // Creation times have no milliseconds.
            began: clock::now().whole_second(),
            young: Mutex::default(),
        })
    }

    /// The index.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Which limit an object's passes count against.
    pub fn group(&self, key: &Key) -> Group {
        match key.kind {
            Kind::LivePlatform => (Kind::LivePlatform, key.name.clone()),
            _ => (Kind::OcEssentialService, self.index().entry(key).map(|entry| entry.platform.clone()).unwrap_or_default()),
        }
    }

    /// Wants an object to be looked at as soon as it is its turn.
    pub fn wake(&self, key: &Key, lane: Lane) {
        self.queue.add(key.clone(), self.group(key), lane);
    }

    /// Wakes several.
    pub fn wake_all(&self, keys: impl IntoIterator<Item = Key>, lane: Lane) {
        for key in keys {
            self.wake(&key, lane);
        }
    }

    /// Works on what is remembered of the object with this uid between passes. Of one that had the name before, nothing is.
    pub fn with_memo<T>(&self, key: &Key, uid: Option<&str>, work: impl FnOnce(&mut Memo) -> T) -> T {
        let mut memos = self.memos.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (of, memo) = memos.entry(key.clone()).or_default();
        if of.as_deref() != uid {
            (*of, *memo) = (uid.map(str::to_owned), Memo::default());
        }
        work(memo)
    }

    /// What an object remembers, with what this process has asked for it: what says so on the object may have been taken off a moment ago.
    pub fn reminded(&self, key: &Key, uid: Option<&str>, record: Arc<Record>) -> Arc<Record> {
        let memos = self.memos.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some((_, memo)) = memos.get(key).filter(|(of, memo)| of.as_deref() == uid && memo.waits_for_outcome()) else { return record };
        let mut reminded = Record::clone(&record);
        memo.remind(&mut reminded);
        Arc::new(reminded)
    }

    /// Whether an object waits for lists without entries that can't be read.
    pub fn waits_for_whole_lists(&self, key: &Key) -> bool {
        self.memos.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(key).is_some_and(|(_, memo)| memo.waits_for_whole_lists)
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.memos.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
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
    pub fn ledgers(&self) -> MutexGuard<'_, HashMap<String, Ledger>> {
        self.ledgers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Works on what is remembered of a platform's discovery.
    pub fn with_attempts<T>(&self, platform: &str, work: impl FnOnce(&mut Attempts) -> T) -> T {
        let mut attempts = self.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(attempts.entry(platform.to_owned()).or_default())
    }

    /// A watch of this kind begins, of one namespace or of all.
    pub fn begin_watch(&self, kind: Kind, namespace: Option<&str>) -> Arc<Watched> {
        let watched = Arc::new(Watched::of(namespace));
        self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((kind, Arc::clone(&watched)));
        watched
    }

    /// What is known of the watches.
    pub fn watches(&self) -> Vec<(Kind, Seen)> {
        let watches = self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        watches.iter().map(|(kind, watched)| (*kind, watched.seen())).collect()
    }

    /// Whether anything was asked of a platform, or may have been, whose end is not known.
    pub fn has_something_open(&self) -> bool {
        let open = |record: &Record| record.open_intent().is_some() || record.running().is_some();
        let mut found = false;
        self.services.each(|object| found |= open(&record::of_service(object)));
        self.leads.each(|object| found |= open(&record::of_lead(object)));
        found
    }

    /// The longest span for which any platform lets something be open.
    pub fn longest_wait(&self) -> std::time::Duration {
        let mut longest = std::time::Duration::ZERO;
        self.platforms.each(|platform| longest = longest.max(platform.spec.create_grace.span()).max(platform.spec.task_deadline.span()));
        longest
    }

    /// Whether all watches show what happens now.
    pub fn sees(&self) -> bool {
        self.watches().iter().all(|(_, seen)| seen.is_well())
    }

    /// What of an object can't be read by this version of the program.
    pub fn wrong(&self, key: &Key) -> Option<Arc<str>> {
        match key.kind {
            Kind::LivePlatform => self.platforms.wrong("", &key.name),
            Kind::Lead => self.leads.wrong(&key.namespace, &key.name),
            Kind::OcEssentialService => self.services.wrong(&key.namespace, &key.name),
        }
    }

    /// How many objects of a kind can't be read.
    pub fn unreadable(&self, kind: Kind) -> usize {
        match kind {
            Kind::LivePlatform => self.platforms.unreadable(),
            Kind::Lead => self.leads.unreadable(),
            Kind::OcEssentialService => self.services.unreadable(),
        }
    }

    /// When an object was made that was made since this process began, and of which no operator has said anything yet.
    fn new_since(&self, key: &Key) -> Option<Time> {
        fn made<K: kube::Resource>(store: &Store<K>, key: &Key, said: impl Fn(&K) -> Option<i64>) -> Option<Time> {
            let object = store.get(&key.namespace, &key.name).filter(|object| said(object).is_none())?;
            object.creation_timestamp().map(|time| clock::time(time.0))
        }
        let made = match key.kind {
            Kind::LivePlatform => made(&self.platforms, key, |object| object.status.as_ref().and_then(Told::observed)),
            Kind::Lead => made(&self.leads, key, |object| object.status.as_ref().and_then(Told::observed)),
            Kind::OcEssentialService => made(&self.services, key, |object| object.status.as_ref().and_then(Told::observed)),
        };
        made.filter(|made| *made >= self.began)
    }

    /// A pass begins.
    pub fn looks(&self, key: &Key) {
        let Some(made) = self.new_since(key) else { return };
        let before = self.young.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key.clone(), made);
        if before != Some(made) {
            self.meter.first_look(key.kind, clock::now().since(made));
        }
    }

    /// A pass has ended.
    pub fn looked(&self, key: &Key, outcome: PassOutcome, took: std::time::Duration) {
        self.meter.passed(key.kind, outcome, took);
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
    pub fn held(&self, platform: &str) -> Option<Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(platform).cloned()
    }

    /// Sets or removes that.
    pub fn hold(&self, platform: &str, held: Option<Held>) {
        let mut all = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match held {
            Some(held) => all.insert(platform.to_owned(), held),
            None => all.remove(platform),
        };
    }

    /// What the newest version of a platform object says.
    pub fn reading(&self, platform: &str) -> Option<Arc<Reading>> {
        Some(self.readings.of(platform, self.platforms.get("", platform)?))
    }

    /// What an object in this namespace may use a platform for.
    pub async fn connection(&self, platform: &str, namespace: &str) -> Connection {
        let Some(reading) = self.reading(platform) else {
            let message = format!("There is no LivePlatform {platform}. Make it, or name another one.");
            return Connection::Unusable(Trouble::new(Reason::PlatformNotFound, message));
        };
        if self.platforms.wrong("", platform).is_some() {
            let message = format!("LivePlatform {platform} can't be read by this version of the operator. See its conditions; what is there stays as it is.");
            return Connection::Unknown(Trouble::new(Reason::ProgressingWithRetry, message));
        }
        self.stands_against(&reading.object, namespace).await.unwrap_or_else(|| Connection::Usable(reading.policy.clone()))
    }

    async fn stands_against(&self, platform: &LivePlatform, namespace: &str) -> Option<Connection> {
        let Looked { against, changed } = self.namespaces.stands_against(&self.client, platform, namespace).await;
        if changed {
            wakes::namespace_changed(self, namespace);
        }
        against
    }

    /// Whether the objects of a namespace may use a platform, as far as it is known without asking. Nobody may use one that is not there.
    pub fn access(&self, platform: &str, namespace: &str) -> Access {
        self.platforms.get("", platform).map_or(Access::MayNot, |object| self.namespaces.access(&object, namespace))
    }

    /// The same, asked when it is not known.
    pub async fn may_use(&self, platform: &str, namespace: &str) -> Access {
        match self.access(platform, namespace) {
            Access::Unknown => match self.connection(platform, namespace).await {
                Connection::Usable(_) => Access::May,
                Connection::Unusable(_) => Access::MayNot,
                Connection::Unknown(_) => Access::Unknown,
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
                Some(Connection::Unknown(_)) if self.connected(&platform.name_any()).is_some() => return false,
                Some(_) => {}
            }
        }
        self.scope.named().next().is_some()
    }
}

/// How jobs are started.
pub fn trigger(platform: &LivePlatform) -> JobTrigger {
    match platform.spec.sync_jobs.trigger {
        SyncTrigger::Manual => JobTrigger::Manual,
        SyncTrigger::Http => JobTrigger::Http,
    }
}

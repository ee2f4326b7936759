//! A local copy of one kind, fed by a watch and by the responses to our own writes. Of two versions the newer
//! one stays.
//!
//! This is not kube's reflector. That one learns of our own writes only when the watch delivers them, and a
//! pass must never start from an object older than its own last write.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::{HashMap, HashSet};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::key::{ObjectKey, QualifiedName, is_in, qualified_name, with_qualified};
use crate::cluster::packed::{Models, Packed};

/// Namespace and name; the namespace is empty for cluster-scoped objects.
pub type ObjectName = (String, String);

/// Returns the namespace and name of an object.
pub fn place<K: Resource>(object: &K) -> ObjectName {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

/// What changed in the store.
pub enum StoreEvent<K> {
    /// A new object.
    Added(Arc<K>),
    /// A new version of an object: before and after.
    Updated(Arc<K>, Arc<K>),
    /// A deleted object: its last version.
    Deleted(Arc<K>),
    /// A list is complete.
    Synced,
}

/// How many objects of a kind can be unpacked at once, however many are at work. A service is at work for some seconds,
/// and is unpacked and packed again several times if it finds no room.
const UNPACKED: usize = 512;

/// Of so many objects one can be unpacked, if that is more: with very many, more are at work at once.
const UNPACKED_ONE_OF: usize = 32;

/// The most that can be unpacked: as many as there may be passes.
const MOST_UNPACKED: usize = 2048;

/// With more than this many unpacked, one at rest is packed at once ([`Store::rests`]).
const UNPACKED_AT_REST: usize = 64;

/// Among how many one is chosen to be packed when there are too many.
const DRAWN: usize = 8;

/// How many objects [`Store::pack_unused`] looks at while it holds the lock.
const AT_A_TIME: usize = 64;

/// What the store knows of one object.
struct StoredObject<K> {
    /// The object, unless it is packed.
    object: Option<Arc<K>>,
    /// The same, as long as it does not change.
    packed: Option<Packed>,
    version: u64,
    /// A number that no other version of any object has in this process.
    stamp: u64,
    /// Whether the object was looked at since it was last thought of packing it.
    used: AtomicBool,
}

impl<K> StoredObject<K> {
    /// Returns the object, unless it is packed, and notes that it was looked at.
    fn seen(&self) -> Option<&Arc<K>> {
        self.used.store(true, Ordering::Relaxed);
        self.object.as_ref()
    }
}

/// The objects of one kind. Those that nobody has looked at for some seconds are packed.
struct Table<K> {
    objects: HashMap<QualifiedName, StoredObject<K>>,
    /// Those that are not packed. Some may be gone.
    unpacked: Vec<QualifiedName>,
    /// The state of the draws among them.
    draws: u64,
    /// How many of them there may be, while there are few objects.
    most: usize,
    models: Models,
    stamps: u64,
    /// The fields that can't be read, and why, of the few objects that have any.
    wrong: HashMap<QualifiedName, Arc<str>>,
}

/// What the store needs of a kind: it writes objects as text, and reads them back.
pub trait Storable: Resource + Serialize + DeserializeOwned {}

impl<K: Resource + Serialize + DeserializeOwned> Storable for K {}

/// Returns the object, whether it is packed or not.
fn object_of<K: Storable>(models: &Models, known: &StoredObject<K>) -> Option<Arc<K>> {
    match (&known.object, &known.packed) {
        (Some(object), _) => Some(Arc::clone(object)),
        (None, Some(packed)) => models.unpack(packed).map(Arc::new),
        (None, None) => None,
    }
}

impl<K: Storable> Table<K> {
    /// Returns an object, which stays unpacked until others were looked at more recently.
    fn unpack(&mut self, place: &str) -> Option<Arc<K>> {
        let (name, known) = self.objects.get_key_value(place)?;
        let (object, name) = (object_of(&self.models, known)?, Arc::clone(name));
        let known = self.objects.get_mut(place)?;
        if known.object.is_none() {
            known.object = Some(Arc::clone(&object));
            self.unpacked.push(name);
            self.pack_surplus();
        }
        Some(object)
    }

    /// Packs objects until there are few enough that are not packed.
    fn pack_surplus(&mut self) {
        let room = (self.objects.len() / UNPACKED_ONE_OF).min(MOST_UNPACKED);
        while self.unpacked.len() > self.most.max(room) {
            let name = self.least_used();
            self.pack(&name);
        }
    }

    fn pack(&mut self, name: &QualifiedName) {
        let Some(known) = self.objects.get_mut(name) else {
            return;
        };
        if known.packed.is_none() {
            known.packed = known
                .object
                .as_deref()
                .and_then(|object| self.models.pack(object));
        }
        if known.packed.is_some() {
            known.object = None;
        }
    }

    /// Packs an object at rest, if many are not packed.
    fn rests(&mut self, place: &str) {
        if self.unpacked.len() <= self.most.min(UNPACKED_AT_REST) {
            return;
        }
        let Some((name, _)) = self.objects.get_key_value(place) else {
            return;
        };
        // The same text, since those that are unpacked are named by it.
        if let Some(at) = self
            .unpacked
            .iter()
            .position(|unpacked| Arc::ptr_eq(unpacked, name))
        {
            let name = self.unpacked.swap_remove(at);
            self.pack(&name);
        }
    }

    /// Packs those from this place on that were not looked at since the last time, and returns where to go on.
    fn pack_unused(&mut self, mut at: usize) -> Option<usize> {
        for _ in 0..AT_A_TIME {
            let name = Arc::clone(self.unpacked.get(at)?);
            let known = self.objects.get_mut(&name);
            if known.is_some_and(|known| std::mem::take(known.used.get_mut())) {
                at += 1;
            } else {
                self.pack(&name);
                self.unpacked.swap_remove(at);
            }
        }
        Some(at)
    }

    /// Takes one out of those that are not packed: of some drawn at random, the first that was not looked at since it
    /// was last drawn. The oldest would be the wrong one: passes go over many objects in rounds, and with one more than
    /// there is room for, each would be packed just before its turn.
    fn least_used(&mut self) -> QualifiedName {
        let mut at = 0;
        for _ in 0..DRAWN {
            self.draws = self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            at = usize::try_from(self.draws >> 33).unwrap_or(0) % self.unpacked.len();
            let known = self.unpacked.get(at).and_then(|name| self.objects.get_mut(name));
            if !known.is_some_and(|known| std::mem::take(known.used.get_mut())) {
                break;
            }
        }
        self.unpacked.swap_remove(at)
    }

    /// Takes in a version, and returns the one before.
    fn replace(&mut self, object: &Arc<K>, wrong: Option<&str>) -> Option<Arc<K>> {
        self.stamps += 1;
        let stored = StoredObject {
            object: Some(Arc::clone(object)),
            packed: None,
            version: version(&**object),
            stamp: self.stamps,
            used: AtomicBool::new(true),
        };
        let name = self.name_of(&**object);
        match wrong {
            Some(wrong) => drop(self.wrong.insert(Arc::clone(&name), wrong.into())),
            None => drop(self.wrong.remove(&name)),
        }
        let before = self.objects.insert(Arc::clone(&name), stored);
        let was_unpacked = before.as_ref().is_some_and(|known| known.object.is_some());
        if !was_unpacked {
            self.unpacked.push(name);
            self.pack_surplus();
        }
        object_of(&self.models, &before?)
    }

    /// Returns the qualified name of an object: the text that is here, if the object is known.
    fn name_of(&self, object: &impl Resource) -> QualifiedName {
        at(object, |place| match self.objects.get_key_value(place) {
            Some((name, _)) => Arc::clone(name),
            None => place.into(),
        })
    }
}

/// The local copy of one kind.
pub struct Store<K> {
    table: RwLock<Table<K>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self::new(UNPACKED)
    }
}

impl<K> Store<K> {
    /// A store in which this many objects stay unpacked.
    fn new(most: usize) -> Self {
        Self {
            table: RwLock::new(Table {
                objects: HashMap::default(),
                unpacked: Vec::new(),
                draws: 1,
                most,
                models: Models::default(),
                stamps: 0,
                wrong: HashMap::default(),
            }),
        }
    }
}

/// Removes `managedFields` and the last-applied annotation. They are four fifths of an object (measured), and
/// nothing here reads them.
pub fn strip_managed_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = object.meta_mut().annotations.as_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}

/// Looks something up by the qualified name of an object.
fn at<T>(object: &impl Resource, look: impl FnOnce(&str) -> T) -> T {
    let meta = object.meta();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    with_qualified(namespace, meta.name.as_deref().unwrap_or_default(), look)
}

fn version<K: Resource>(object: &K) -> u64 {
    number(object.meta().resource_version.as_deref())
}

fn number(version: Option<&str>) -> u64 {
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(u64::MAX)
}

/// Which of two versions of an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The newer one.
    Versions,
    /// The incoming one. The API server's store has gone back, as after a restore of etcd, and version
    /// numbers mean nothing any more.
    Nothing,
}

impl<K: Storable> Store<K> {
    fn write(&self) -> RwLockWriteGuard<'_, Table<K>> {
        self.table.write()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<K>> {
        self.table.read()
    }

    /// Returns the newest known version of the object that a key of this kind identifies.
    pub fn of(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.at(key.qualified_name())
    }

    /// Returns the newest known version of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        with_qualified(namespace, name, |place| self.at(place))
    }

    fn at(&self, place: &str) -> Option<Arc<K>> {
        if let Some(object) = &self.read().objects.get(place)?.seen() {
            return Some(Arc::clone(object));
        }
        self.write().unpack(place)
    }

    /// Returns the qualified name of an object: the text that the store has, if the object is known.
    pub fn name_of(&self, object: &impl Resource) -> QualifiedName {
        self.read().name_of(object)
    }

    /// Returns the newest known version of an object of which some version is at hand.
    pub fn newest_of(&self, object: &K) -> Option<Arc<K>> {
        at(object, |place| self.at(place))
    }

    /// Whether an object is known.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.read().objects.contains_key(key.qualified_name())
    }

    /// Whether [`Store::put`] would not take in this version of an object, because it or a newer one is
    /// known. The watch delivers each of our own writes after its response.
    pub fn knows(&self, namespace: &str, name: &str, version: Option<&str>) -> bool {
        with_qualified(namespace, name, |place| {
            let table = self.read();
            let known = table.objects.get(place);
            known.is_some_and(|known| known.version >= number(version))
        })
    }

    /// Returns the fields of an object that this version of the program can't read, and why. Nothing is
    /// decided for such an object.
    pub fn wrong(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.read().wrong.get(key.qualified_name()).cloned()
    }

    /// Whether an object has fields that this version of the program can't read.
    pub fn is_wrong(&self, namespace: &str, name: &str) -> bool {
        with_qualified(namespace, name, |place| self.read().wrong.contains_key(place))
    }

    /// The number of objects that can't be read completely.
    pub fn unreadable(&self) -> usize {
        self.read().wrong.len()
    }

    /// Calls `look` for each object, of a kind of which there are few: packed ones are unpacked for it.
    pub fn for_each(&self, mut look: impl FnMut(&Arc<K>)) {
        let table = self.read();
        let objects = table.objects.values();
        objects
            .filter_map(|known| object_of(&table.models, known))
            .for_each(|object| look(&object));
    }

    /// Takes note that nobody will look at an object for a while. What is at work has more use for the room.
    pub fn rests(&self, key: &ObjectKey) {
        self.write().rests(key.qualified_name());
    }

    /// Packs the objects that nobody has looked at since the last call.
    pub fn pack_unused(&self) {
        let mut at = Some(0);
        while let Some(from) = at {
            at = self.write().pack_unused(from);
        }
        // Room for all that were at work at once is needed again by the next crowd, and until then by nobody.
        let mut table = self.write();
        if table.unpacked.len() < table.unpacked.capacity() / 4 {
            table.unpacked.shrink_to_fit();
        }
    }

    /// Returns an object with the stamp of its version, for one look at many: a packed one stays packed.
    pub fn look(&self, place: &QualifiedName) -> Option<(u64, Arc<K>)> {
        let table = self.read();
        let known = table.objects.get(place)?;
        Some((known.stamp, object_of(&table.models, known)?))
    }

    /// Returns the name of each object in a namespace, with the stamp of its version: a number that no
    /// other version of any object has in this process.
    pub fn stamps(&self, namespace: &str) -> Vec<(QualifiedName, u64)> {
        let table = self.read();
        let objects = table.objects.iter();
        objects
            .filter(|(name, _)| is_in(name, namespace))
            .map(|(name, known)| (Arc::clone(name), known.stamp))
            .collect()
    }

    /// Takes in the response to a write. It does not come through the watch, and may arrive after the
    /// deletion of the object: an object that is no longer known stays unknown.
    pub fn apply_response(&self, object: Arc<K>) -> Option<StoreEvent<K>> {
        self.newest_of(&object)
            .is_some_and(|known| known.meta().uid == object.meta().uid)
            .then(|| self.put_shared(object, None, Against::Versions))
            .flatten()
    }

    /// Takes in a readable version of an object, unless a newer one is known.
    pub fn put(&self, object: K) -> Option<StoreEvent<K>> {
        self.put_read(object, None, Against::Versions)
    }

    /// Takes in a version of an object, and which of its fields can't be read. A deleted object without
    /// finalizers is gone; the watch reports that.
    pub fn put_read(&self, object: K, wrong: Option<&str>, against: Against) -> Option<StoreEvent<K>> {
        self.put_shared(Arc::new(strip_managed_fields(object)), wrong, against)
    }

    fn put_shared(&self, object: Arc<K>, wrong: Option<&str>, against: Against) -> Option<StoreEvent<K>> {
        if object.meta().deletion_timestamp.is_some() && object.finalizers().is_empty() {
            return None;
        }
        let mut table = self.write();
        // This also holds for another uid: a watch that lags may deliver the predecessor after a response
        // delivered its successor.
        let known = at(&*object, |place| {
            table.objects.get(place).map(|known| known.version)
        });
        if against == Against::Versions && known.is_some_and(|known| known >= version(&*object)) {
            return None;
        }
        let before = table.replace(&object, wrong);
        Some(match before {
            Some(before) if before.meta().uid == object.meta().uid => StoreEvent::Updated(before, object),
            _ => StoreEvent::Added(object),
        })
    }

    /// Removes a deleted object, unless another object has its name by now.
    pub fn remove(&self, gone: &impl Resource) -> Option<StoreEvent<K>> {
        let mut table = self.write();
        let place = qualified_name(gone);
        let known = object_of(&table.models, table.objects.get(&place)?)?;
        if known.meta().uid != gone.meta().uid {
            return None;
        }
        table.objects.remove(&place)?;
        table.wrong.remove(&place);
        Some(StoreEvent::Deleted(known))
    }

    /// Removes the objects of this namespace, or of all, that a list did not contain.
    pub fn remove_all_but(&self, seen: &HashSet<QualifiedName>, of: Option<&str>) -> Vec<StoreEvent<K>> {
        let table = &mut *self.write();
        let models = &table.models;
        let is_gone = |name: &QualifiedName| of.is_none_or(|of| is_in(name, of)) && !seen.contains(name);
        table.wrong.retain(|name, _| !is_gone(name));
        table
            .objects
            .extract_if(|name, _| is_gone(name))
            .filter_map(|(_, known)| object_of(models, &known).map(StoreEvent::Deleted))
            .collect()
    }
}

/// Whether a person or another tool changed something that matters to us: neither our own status nor the
/// annotations that we write.
pub fn is_relevant_change<K: Resource>(before: &K, now: &K) -> bool {
    fn theirs<K: Resource>(object: &K) -> impl Iterator<Item = (&String, &String)> {
        let own = |name: &str| crate::cluster::record::OWN_ANNOTATIONS.contains(&name);
        object.annotations().iter().filter(move |(name, _)| !own(name))
    }
    before.meta().generation != now.meta().generation
        || before.meta().deletion_timestamp != now.meta().deletion_timestamp
        || before.finalizers() != now.finalizers()
        || theirs(before).ne(theirs(now))
}

#[cfg(test)]
mod tests;

//! An index of objects by platform, tenant, short name and lead, so that a change enqueues only the objects
//! it concerns.
//!
//! Tenants and short names are unique on a platform. A platform is identified by its place: `LivePlatform`
//! objects that point to one place share them.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::HashMap;
use oc_domain::names::{TenantId, fold_case};
use oc_domain::place::Place;
use smallvec::SmallVec;

use crate::cluster::key::ObjectKey;
use crate::cluster::store;

/// What an object is indexed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The `LivePlatform` of the object.
    pub platform: Arc<str>,
    /// Nothing names the platform: the `Lead` that does is missing, and nothing is recorded. `platform` is
    /// the default then. It must not be recorded, and what it shows proves nothing.
    pub assumed: bool,
    /// The tenant, if known.
    pub tenant: Option<TenantId>,
    /// The short name (services).
    pub short_name: Option<Box<str>>,
    /// The `Lead` that the object refers to (services). Boxed: few do.
    pub lead: Option<Box<store::ObjectName>>,
}

/// The index. Each method takes the lock and releases it before it returns, so callers may call anything
/// while they use the results.
#[derive(Default)]
pub struct Index(Mutex<Tables>);

impl Index {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock()
    }

    /// Records where a `LivePlatform` points now. Returns whether that changed. A deleted one keeps its
    /// place: what its objects have is still there.
    pub fn settle(&self, platform: &str, place: Place) -> bool {
        self.tables().settle(platform, place)
    }

    /// Returns where a `LivePlatform` points; `None` if it was never seen or its URL can't be read.
    pub fn place(&self, platform: &str) -> Option<Place> {
        self.tables().place(platform).cloned()
    }

    /// Returns the names of all `LivePlatform` objects that point to the same place, this one included.
    pub fn siblings(&self, platform: &str) -> BTreeSet<String> {
        self.tables().siblings(platform)
    }

    /// Returns the `LivePlatform` that points to a place; the first by name if there are several.
    pub fn first_at(&self, place: &str) -> Option<String> {
        self.tables().first_at(place)
    }

    /// Returns the objects whose platform is only assumed.
    pub fn assumed(&self) -> Vec<ObjectKey> {
        let tables = self.tables();
        let assumed = |key: &ObjectKey| tables.entry(key).is_some_and(|entry| entry.assumed);
        let mut keys = tables.on(oc_api::DEFAULT_PLATFORM);
        keys.retain(assumed);
        keys
    }

    /// Adds or replaces the entry of an object. Returns the previous entry if it was different.
    pub fn enter(&self, key: &ObjectKey, entry: Entry) -> Option<Entry> {
        self.tables().enter(key, entry)
    }

    /// Removes an object and returns its entry.
    pub fn leave(&self, key: &ObjectKey) -> Option<Entry> {
        self.tables().leave(key)
    }

    /// Returns the entry of an object.
    pub fn entry(&self, key: &ObjectKey) -> Option<Entry> {
        self.tables().entry(key).cloned()
    }

    /// Returns the objects on a `LivePlatform`.
    pub fn on(&self, platform: &str) -> Vec<ObjectKey> {
        self.tables().on(platform)
    }

    /// Returns the objects on all `LivePlatform` objects that point to the same place.
    pub fn at(&self, platform: &str) -> Vec<ObjectKey> {
        self.tables().at(platform)
    }

    /// Returns the objects in a namespace. It scans all objects, for something that changes once a year.
    pub fn in_namespace(&self, namespace: &str) -> Vec<ObjectKey> {
        self.tables().in_namespace(namespace)
    }

    /// Returns the objects of a tenant on all `LivePlatform` objects that point to the same place.
    pub fn of_tenant(&self, platform: &str, tenant: &TenantId) -> FewKeys {
        self.tables().of_tenant(platform, tenant)
    }

    /// Returns the objects with a short name on all `LivePlatform` objects that point to the same place,
    /// ignoring case.
    pub fn named(&self, platform: &str, name: &str) -> FewKeys {
        self.tables().named(platform, name)
    }

    /// Returns the services that refer to a lead.
    pub fn of_lead(&self, lead: &store::ObjectName) -> Vec<ObjectKey> {
        self.tables().of_lead(lead)
    }

    /// Returns the objects that share a tenant or a short name with this one, in order.
    pub fn neighbours(&self, entry: &Entry) -> FewKeys {
        self.tables().neighbours(entry)
    }

    /// Returns the `LivePlatform` of an object, if the object is known.
    pub fn platform_of(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.tables().entry(key).map(|entry| Arc::clone(&entry.platform))
    }

    /// Returns the objects in a namespace, and those that share a tenant or a short name with one of them. It
    /// scans all objects, as does [`Index::in_namespace`].
    pub fn around_namespace(&self, namespace: &str) -> BTreeSet<ObjectKey> {
        let tables = self.tables();
        let own = tables.in_namespace(namespace);
        own.iter()
            .filter_map(|key| tables.entry(key))
            .flat_map(|entry| tables.neighbours(entry))
            .chain(own.iter().cloned())
            .collect()
    }
}

#[derive(Default)]
struct Tables {
    /// Boxed: a table has room for many more than there are.
    entries: HashMap<ObjectKey, Box<Entry>>,
    platforms: HashMap<Arc<str>, PlatformTables>,
    by_lead: HashMap<store::ObjectName, FewKeys>,
    places: HashMap<String, Place>,
    at_place: HashMap<Place, BTreeSet<String>>,
}

/// The objects of one `LivePlatform`.
#[derive(Default)]
struct PlatformTables {
    all: BTreeSet<ObjectKey>,
    by_tenant: HashMap<TenantId, FewKeys>,
    /// By the short name in lower case.
    by_name: HashMap<Box<str>, FewKeys>,
}

/// Almost always one, so that it needs no allocation of its own. In order, and each once.
pub type FewKeys = SmallVec<[ObjectKey; 1]>;

/// A set of keys or names, large or small.
trait Keys: Default {
    type Key: Clone;
    fn put(&mut self, key: &Self::Key);
    /// Returns whether none is left.
    fn take(&mut self, key: &Self::Key) -> bool;
}

impl<T: Ord + Clone> Keys for BTreeSet<T> {
    type Key = T;

    fn put(&mut self, key: &T) {
        self.insert(key.clone());
    }

    fn take(&mut self, key: &T) -> bool {
        self.remove(key);
        self.is_empty()
    }
}

impl Keys for FewKeys {
    type Key = ObjectKey;

    fn put(&mut self, key: &ObjectKey) {
        if let Err(at) = self.binary_search(key) {
            self.insert(at, key.clone());
        }
    }

    fn take(&mut self, key: &ObjectKey) -> bool {
        if let Ok(at) = self.binary_search(key) {
            self.remove(at);
        }
        self.is_empty()
    }
}

/// Looks something up by a short name in the case in which names are compared.
fn with_folded<T>(name: &str, look: impl FnOnce(&str) -> T) -> T {
    let mut text = SmallVec::<[u8; 64]>::from_slice(name.as_bytes());
    text.make_ascii_lowercase();
    match std::str::from_utf8(&text) {
        Ok(name) if name.is_ascii() => look(name),
        _ => look(&fold_case(name)),
    }
}

fn put<K: Eq + Hash, V: Keys>(map: &mut HashMap<K, V>, at: K, key: &V::Key) {
    map.entry(at).or_default().put(key);
}

fn take<K: Eq + Hash, V: Keys>(map: &mut HashMap<K, V>, at: &K, key: &V::Key) {
    if map.get_mut(at).is_some_and(|keys| keys.take(key)) {
        map.remove(at);
    }
}

impl PlatformTables {
    fn put(&mut self, key: &ObjectKey, entry: &Entry) {
        self.all.put(key);
        if let Some(tenant) = &entry.tenant {
            put(&mut self.by_tenant, *tenant, key);
        }
        if let Some(name) = &entry.short_name {
            put(&mut self.by_name, fold_case(name).into(), key);
        }
    }

    fn take(&mut self, key: &ObjectKey, entry: &Entry) {
        self.all.take(key);
        if let Some(tenant) = &entry.tenant {
            take(&mut self.by_tenant, tenant, key);
        }
        if let Some(name) = &entry.short_name {
            take(&mut self.by_name, &fold_case(name).into(), key);
        }
    }
}

impl Tables {
    fn settle(&mut self, platform: &str, place: Place) -> bool {
        if self.places.get(platform) == Some(&place) {
            return false;
        }
        if let Some(before) = self.places.insert(platform.to_owned(), place.clone()) {
            take(&mut self.at_place, &before, &platform.to_owned());
        }
        put(&mut self.at_place, place, &platform.to_owned());
        true
    }

    fn place(&self, platform: &str) -> Option<&Place> {
        self.places.get(platform)
    }

    fn siblings(&self, platform: &str) -> BTreeSet<String> {
        self.names_at(platform).map(str::to_owned).collect()
    }

    /// The names of the `LivePlatform` objects that point to the same place, in order.
    fn names_at<'a>(&'a self, platform: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.place(platform).and_then(|place| self.at_place.get(place));
        let own = same.is_none().then_some(platform);
        same.into_iter().flatten().map(String::as_str).chain(own)
    }

    /// The objects of all `LivePlatform` objects that point to the same place.
    fn tables_at<'a>(&'a self, platform: &'a str) -> impl Iterator<Item = &'a PlatformTables> {
        self.names_at(platform)
            .filter_map(|name| self.platforms.get(name))
    }

    fn first_at(&self, place: &str) -> Option<String> {
        let there = self.at_place.iter().find(|(known, _)| known.as_str() == place);
        there.and_then(|(_, names)| names.first().cloned())
    }

    fn enter(&mut self, key: &ObjectKey, entry: Entry) -> Option<Entry> {
        if self.entry(key) == Some(&entry) {
            return None;
        }
        let before = self.leave(key);
        self.platforms
            .entry(Arc::clone(&entry.platform))
            .or_default()
            .put(key, &entry);
        if let Some(lead) = &entry.lead {
            put(&mut self.by_lead, store::ObjectName::clone(lead), key);
        }
        self.entries.insert(key.clone(), Box::new(entry));
        before
    }

    fn leave(&mut self, key: &ObjectKey) -> Option<Entry> {
        let entry = *self.entries.remove(key)?;
        if let Some(platform) = self.platforms.get_mut(&entry.platform) {
            platform.take(key, &entry);
            if platform.all.is_empty() {
                self.platforms.remove(&entry.platform);
            }
        }
        if let Some(lead) = &entry.lead {
            take(&mut self.by_lead, lead, key);
        }
        Some(entry)
    }

    fn entry(&self, key: &ObjectKey) -> Option<&Entry> {
        self.entries.get(key).map(|entry| &**entry)
    }

    fn on(&self, platform: &str) -> Vec<ObjectKey> {
        let on = self.platforms.get(platform);
        on.into_iter().flat_map(|on| &on.all).cloned().collect()
    }

    fn at(&self, platform: &str) -> Vec<ObjectKey> {
        self.tables_at(platform).flat_map(|on| &on.all).cloned().collect()
    }

    fn in_namespace(&self, namespace: &str) -> Vec<ObjectKey> {
        self.entries
            .keys()
            .filter(|key| key.namespace() == namespace)
            .cloned()
            .collect()
    }

    fn of_tenant(&self, platform: &str, tenant: &TenantId) -> FewKeys {
        let of = self.tables_at(platform).filter_map(|on| on.by_tenant.get(tenant));
        of.flatten().cloned().collect()
    }

    fn named(&self, platform: &str, name: &str) -> FewKeys {
        with_folded(name, |name| {
            let named = self.tables_at(platform).filter_map(|on| on.by_name.get(name));
            named.flatten().cloned().collect()
        })
    }

    fn of_lead(&self, lead: &store::ObjectName) -> Vec<ObjectKey> {
        self.by_lead.get(lead).into_iter().flatten().cloned().collect()
    }

    fn neighbours(&self, entry: &Entry) -> FewKeys {
        let of_tenant = entry.tenant.as_ref();
        let named = entry.short_name.as_deref();
        let of_tenant = of_tenant.map(|tenant| self.of_tenant(&entry.platform, tenant));
        let named = named.map(|name| self.named(&entry.platform, name));
        let mut keys = FewKeys::new();
        for key in of_tenant.iter().chain(&named).flatten() {
            keys.put(key);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap()
    }

    fn entry(platform: &str, name: &str) -> Entry {
        Entry {
            platform: platform.into(),
            assumed: false,
            tenant: Some(tenant()),
            short_name: Some(name.into()),
            lead: None,
        }
    }

    fn names(keys: impl IntoIterator<Item = ObjectKey>) -> Vec<String> {
        keys.into_iter().map(|key| key.name().to_owned()).collect()
    }

    #[test]
    fn what_is_unique_is_unique_at_a_place() {
        let place = |path: &str| Place::new("https", "live.example.com", 443, path);
        let index = Index::default();
        index.enter(&ObjectKey::service("n", "one"), entry("default", "Contoso"));
        index.enter(&ObjectKey::service("n", "two"), entry("team-b", "CONTOSO"));
        let neighbours = |index: &Index| names(index.neighbours(&entry("default", "Contoso")));
        assert_eq!(
            neighbours(&index),
            ["one"],
            "nothing is known of where they point to"
        );
        assert!(index.settle("default", place("/tenantui")) && index.settle("team-b", place("/TENANTUI/")));
        assert_eq!(neighbours(&index), ["one", "two"], "two names of one place");
        assert_eq!(names(index.named("team-b", "contoso")), ["one", "two"]);
        assert_eq!(
            (names(index.on("default")), names(index.at("default"))),
            (vec!["one".to_owned()], vec!["one".to_owned(), "two".to_owned()])
        );
        assert!(
            !index.settle("team-b", place("/tenantui")),
            "it points to where it did"
        );
        assert!(index.settle("team-b", place("/elsewhere")), "its url was changed");
        assert_eq!(neighbours(&index), ["one"]);
        assert!(index.settle("default", place("/elsewhere")));
        assert_eq!(neighbours(&index), ["one", "two"], "the objects move with it");
        assert_eq!(names(index.in_namespace("n")).len(), 2);
        index.leave(&ObjectKey::service("n", "two"));
        assert_eq!(neighbours(&index), ["one"]);
    }
}

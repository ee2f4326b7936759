//! Which objects have to do with which platform, tenant, short name and lead: so that a change wakes those it concerns, and no others.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use oc_domain::names::{TenantId, fold};

use super::Key;
use crate::object::store::Place;

/// What an object has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The `LivePlatform` it is on.
    pub platform: String,
    /// Its tenant, as far as known.
    pub tenant: Option<TenantId>,
    /// Its short name (services).
    pub short_name: Option<String>,
    /// The `Lead` it refers to (services).
    pub lead: Option<Place>,
}

/// The index.
#[derive(Default)]
pub struct Index {
    entries: HashMap<Key, Entry>,
    by_platform: HashMap<String, BTreeSet<Key>>,
    by_tenant: HashMap<(String, TenantId), BTreeSet<Key>>,
    by_name: HashMap<(String, String), BTreeSet<Key>>,
    by_lead: HashMap<Place, BTreeSet<Key>>,
}

fn put<K: Eq + Hash>(map: &mut HashMap<K, BTreeSet<Key>>, at: K, key: &Key) {
    map.entry(at).or_default().insert(key.clone());
}

fn take<K: Eq + Hash>(map: &mut HashMap<K, BTreeSet<Key>>, at: &K, key: &Key) {
    if let Some(keys) = map.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}

fn listed<K: Eq + Hash>(map: &HashMap<K, BTreeSet<Key>>, at: &K) -> Vec<Key> {
    map.get(at).into_iter().flatten().cloned().collect()
}

impl Index {
    /// Enters an object, or enters it anew. Returns what was known of it before, when that was something else.
    pub fn enter(&mut self, key: &Key, entry: Entry) -> Option<Entry> {
        if self.entries.get(key) == Some(&entry) {
            return None;
        }
        let before = self.leave(key);
        put(&mut self.by_platform, entry.platform.clone(), key);
        if let Some(tenant) = &entry.tenant {
            put(&mut self.by_tenant, (entry.platform.clone(), tenant.clone()), key);
        }
        if let Some(name) = &entry.short_name {
            put(&mut self.by_name, (entry.platform.clone(), fold(name)), key);
        }
        if let Some(lead) = &entry.lead {
            put(&mut self.by_lead, lead.clone(), key);
        }
        self.entries.insert(key.clone(), entry);
        before
    }

    /// Takes an object out.
    pub fn leave(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        take(&mut self.by_platform, &entry.platform, key);
        if let Some(tenant) = &entry.tenant {
            take(&mut self.by_tenant, &(entry.platform.clone(), tenant.clone()), key);
        }
        if let Some(name) = &entry.short_name {
            take(&mut self.by_name, &(entry.platform.clone(), fold(name)), key);
        }
        if let Some(lead) = &entry.lead {
            take(&mut self.by_lead, lead, key);
        }
        Some(entry)
    }

    /// What an object has to do with.
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The objects on a platform.
    pub fn on(&self, platform: &str) -> Vec<Key> {
        listed(&self.by_platform, &platform.to_owned())
    }

    /// The objects for a tenant of a platform.
    pub fn of_tenant(&self, platform: &str, tenant: &TenantId) -> Vec<Key> {
        listed(&self.by_tenant, &(platform.to_owned(), tenant.clone()))
    }

    /// The objects with a short name on a platform, compared without regard to case.
    pub fn named(&self, platform: &str, name: &str) -> Vec<Key> {
        listed(&self.by_name, &(platform.to_owned(), fold(name)))
    }

    /// The services that refer to a lead.
    pub fn of_lead(&self, lead: &Place) -> Vec<Key> {
        listed(&self.by_lead, lead)
    }

    /// The objects that share a tenant or a short name with this one.
    pub fn neighbours(&self, entry: &Entry) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        if let Some(tenant) = &entry.tenant {
            keys.extend(self.of_tenant(&entry.platform, tenant));
        }
        if let Some(name) = &entry.short_name {
            keys.extend(self.named(&entry.platform, name));
        }
        keys
    }
}

//! A cache of what objects remember.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use oc_domain::record::Record;

use crate::cluster::key::ObjectKey;

/// What objects remember, parsed once for each version of an object, and kept for the newest one that was asked
/// for. The watch, each pass, and each competitor's pass need it.
#[derive(Default)]
pub struct Records(Mutex<HashMap<ObjectKey, (Version, Arc<Record>)>>);

/// Uid and resourceVersion.
type Version = (Option<String>, Option<String>);

impl Records {
    /// Returns what this version of an object remembers.
    pub fn of<K: Resource>(
        &self,
        key: &ObjectKey,
        object: &K,
        read: impl FnOnce(&K) -> Record,
    ) -> Arc<Record> {
        let (uid, version) = (&object.meta().uid, &object.meta().resource_version);
        let mut all = self.0.lock();
        let known = all.get(key);
        if let Some((_, record)) = known.filter(|(known, _)| (&known.0, &known.1) == (uid, version)) {
            return Arc::clone(record);
        }
        let record = Arc::new(read(object));
        let version = (uid.clone(), version.clone());
        if version.1.is_none() {
            return record;
        }
        all.insert(key.clone(), (version, Arc::clone(&record)));
        record
    }

    /// Drops the record of a deleted object.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

//! A cache of the records of objects that compete for something.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use oc_domain::record::Record;

use crate::cluster::key::ObjectKey;

/// What objects remember, parsed once for each version of an object. Of many competitors, each looks at all
/// others.
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
        let version = (object.meta().uid.clone(), object.meta().resource_version.clone());
        let mut all = self.0.lock();
        if let Some((_, record)) = all.get(key).filter(|(known, _)| *known == version) {
            return Arc::clone(record);
        }
        let record = Arc::new(read(object));
        all.insert(key.clone(), (version, Arc::clone(&record)));
        record
    }

    /// Drops the record of a deleted object.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

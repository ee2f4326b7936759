//! A cache of what objects remember.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use kube::Resource;
use oc_domain::record::Record;
use smol_str::SmolStr;

use crate::cluster::key::ObjectKey;

/// How many records are kept: those of the objects at work.
const MOST: usize = 512;

/// What objects remember, parsed once for each version of an object, and kept for the newest one that was asked
/// for. The watch, each pass, and each competitor's pass need it within a short time.
#[derive(Default)]
pub struct Records(Mutex<KnownRecords>);

#[derive(Default)]
struct KnownRecords {
    of: HashMap<ObjectKey, KnownRecord>,
    /// In the order in which they were entered. Some may be gone.
    order: VecDeque<ObjectKey>,
}

impl KnownRecords {
    fn enter(&mut self, key: &ObjectKey, known: KnownRecord) {
        if self.of.insert(key.clone(), known).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.of.remove(&oldest);
            }
        }
    }
}

/// The record of one version of an object.
struct KnownRecord {
    uid: Option<SmolStr>,
    version: SmolStr,
    record: Arc<Record>,
}

impl Records {
    /// Returns what this version of an object remembers.
    pub fn of<K: Resource>(
        &self,
        key: &ObjectKey,
        object: &K,
        read: impl FnOnce(&K) -> Record,
    ) -> Arc<Record> {
        let uid = object.meta().uid.as_deref();
        let Some(version) = object.meta().resource_version.as_deref() else {
            return Arc::new(read(object));
        };
        let mut all = self.0.lock();
        let known = all.of.get_mut(key).filter(|known| known.uid.as_deref() == uid);
        match known {
            Some(known) if *known.version == *version => Arc::clone(&known.record),
            Some(known) => {
                (known.version, known.record) = (version.into(), Arc::new(read(object)));
                Arc::clone(&known.record)
            }
            None => {
                let record = Arc::new(read(object));
                let known = KnownRecord {
                    uid: uid.map(SmolStr::from),
                    version: version.into(),
                    record: Arc::clone(&record),
                };
                all.enter(key, known);
                record
            }
        }
    }

    /// Drops the record of a deleted object.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().of.remove(key);
    }
}

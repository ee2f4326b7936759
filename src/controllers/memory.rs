//! What this process remembers between passes. Losing it is safe.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

use foldhash::HashMap;
use oc_domain::breaker::DeletionLedger;
use oc_domain::discovery::{Attempts, DiscoveryReport};
use oc_domain::memory::PassMemory;
use oc_domain::record::Record;
use oc_domain::time::Time;

use crate::cluster::key::{Kind, ObjectKey};
use crate::runtime::clock;

/// What is remembered of a platform's discovery.
#[derive(Clone, Default)]
pub struct Discovery {
    /// What has failed, and what the watch has not delivered yet.
    pub attempts: Attempts,
    /// The result of the last run; `None` before the first.
    pub report: Option<DiscoveryReport>,
}

/// The uid of an object, and what its last pass left. Boxed: a table has room for many more than there are,
/// and is copied when it grows.
type OfPass = Box<(Option<Box<str>>, PassMemory)>;

/// State per object and platform that lives only in this process.
pub struct Memory {
    passes: Mutex<HashMap<ObjectKey, OfPass>>,
    ledgers: Mutex<HashMap<String, DeletionLedger>>,
    discoveries: Mutex<HashMap<String, Discovery>>,
    began: Time,
    /// Objects created since `began` that were reconciled and are not Ready yet, with their creation times.
    young: Mutex<HashMap<ObjectKey, Time>>,
}

impl Default for Memory {
    fn default() -> Self {
        // Creation times have no milliseconds.
        let began = clock::now().whole_second();
        Self {
            passes: Mutex::default(),
            ledgers: Mutex::default(),
            discoveries: Mutex::default(),
            began,
            young: Mutex::default(),
        }
    }
}

impl Memory {
    /// Works on what is remembered of the object with this uid. An earlier object of the same name leaves no
    /// memory, and of an object of which there is nothing to remember, nothing is kept.
    pub fn with_pass<T>(
        &self,
        key: &ObjectKey,
        uid: Option<&str>,
        work: impl FnOnce(&mut PassMemory) -> T,
    ) -> T {
        let mut passes = self.passes.lock();
        let Some(known) = passes.get_mut(key) else {
            let mut memory = PassMemory::default();
            let done = work(&mut memory);
            if memory != PassMemory::default() {
                passes.insert(key.clone(), Box::new((uid.map(Box::from), memory)));
            }
            return done;
        };
        let (of, memory) = &mut **known;
        if of.as_deref() != uid {
            (*of, *memory) = (uid.map(Box::from), PassMemory::default());
        }
        let done = work(memory);
        if *memory == PassMemory::default() {
            passes.remove(key);
        }
        done
    }

    /// What the last pass over the object with this uid left.
    pub fn of_pass(&self, key: &ObjectKey, uid: Option<&str>) -> PassMemory {
        self.with_pass(key, uid, |memory| memory.clone())
    }

    /// The record of an object, completed with what this process has requested for it: the object's own marks
    /// may just have been removed.
    pub fn reminded(&self, key: &ObjectKey, uid: Option<&str>, record: Arc<Record>) -> Arc<Record> {
        let passes = self.passes.lock();
        let Some((_, memory)) = passes
            .get(key)
            .map(|known| &**known)
            .filter(|(of, memory)| of.as_deref() == uid && memory.waits_for_outcome())
        else {
            return record;
        };
        let mut reminded = Record::clone(&record);
        memory.remind(&mut reminded);
        Arc::new(reminded)
    }

    /// Whether an object waits for complete lists, without unreadable entries.
    pub fn waits_for_whole_lists(&self, key: &ObjectKey) -> bool {
        self.passes
            .lock()
            .get(key)
            .is_some_and(|known| known.1.waits_for_whole_lists)
    }

    /// The deletion ledgers last decided, by `LivePlatform`. Counting happens under this lock, so the next
    /// platform object sees a grant before it is written and returns through the watch.
    pub fn ledgers(&self) -> MutexGuard<'_, HashMap<String, DeletionLedger>> {
        self.ledgers.lock()
    }

    /// Works on what is remembered of a platform's discovery.
    pub fn with_discovery<T>(&self, platform: &str, work: impl FnOnce(&mut Discovery) -> T) -> T {
        let mut discoveries = self.discoveries.lock();
        work(discoveries.entry(platform.to_owned()).or_default())
    }

    /// Records the first look at an object created at `made` whose status no operator has written yet.
    /// Returns whether the object was created since this process started and is seen for the first time.
    pub fn is_first_look(&self, key: &ObjectKey, made: Time) -> bool {
        made >= self.began && self.young().insert(key.clone(), made) != Some(made)
    }

    /// Records that an object is Ready. Returns its creation time if it was seen as new and was not Ready
    /// before.
    pub fn is_first_ready(&self, key: &ObjectKey) -> Option<Time> {
        let mut young = self.young();
        let made = young.remove(key)?;
        // Room for thousands is needed once, when they are all created.
        if young.is_empty() {
            *young = HashMap::default();
        }
        Some(made)
    }

    fn young(&self) -> MutexGuard<'_, HashMap<ObjectKey, Time>> {
        self.young.lock()
    }

    /// Drops the state of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.passes.lock().remove(key);
        if key.kind() == Kind::LivePlatform {
            self.discoveries.lock().remove(key.name());
        }
        self.young().remove(key);
    }
}

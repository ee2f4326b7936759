//! What this process remembers between passes. Losing it is safe.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;

use foldhash::HashMap;
use oc_domain::breaker::DeletionLedger;
use oc_domain::discovery::{Attempts, DiscoveryReport};
use oc_domain::memory::PassMemory;
use oc_domain::names::CustomerGuid;
use oc_domain::record::{Operation, Record};
use oc_domain::time::Time;

use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::packed::canonical_guid;
use crate::runtime::clock;

/// What is remembered of a platform's discovery.
#[derive(Clone, Default)]
pub struct Discovery {
    /// What has failed, and what the watch has not delivered yet.
    pub attempts: Attempts,
    /// The result of the last run; `None` before the first.
    pub report: Option<DiscoveryReport>,
}

/// What the last pass over an object left. Boxed: a table has room for many more than there are, and is copied when it
/// grows.
type OfPass = Box<Remembered>;

/// A [`PassMemory`] as it is kept, and whose it is: of most objects at rest there is an operation, and nothing more.
struct Remembered {
    of: Option<Uid>,
    asked: Option<Box<Operation>>,
    guid: Option<CustomerGuid>,
    more: Option<Box<PassMemory>>,
}

impl Remembered {
    fn new(uid: Option<&str>) -> Self {
        Self {
            of: uid.map(Uid::of),
            asked: None,
            guid: None,
            more: None,
        }
    }

    fn is_of(&self, uid: Option<&str>) -> bool {
        self.of == uid.map(Uid::of)
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut PassMemory) -> T) -> T {
        let mut memory = PassMemory {
            asked: self.asked.take(),
            guid: self.guid.take(),
            ..self.more.take().map(|more| *more).unwrap_or_default()
        };
        let done = work(&mut memory);
        self.asked = memory.asked.take();
        self.guid = memory.guid.take();
        self.more = (memory != PassMemory::default()).then(|| Box::new(memory));
        done
    }

    fn is_empty(&self) -> bool {
        self.asked.is_none() && self.guid.is_none() && self.more.is_none()
    }
}

/// The uid of an object. Usual ones take less room than their text.
#[derive(PartialEq, Eq)]
enum Uid {
    Guid(uuid::Uuid),
    Other(Box<str>),
}

impl Uid {
    fn of(text: &str) -> Self {
        canonical_guid(text.as_bytes()).map_or_else(|| Self::Other(text.into()), Self::Guid)
    }
}

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
            let mut new = Remembered::new(uid);
            let done = new.with(work);
            if !new.is_empty() {
                passes.insert(key.clone(), Box::new(new));
            }
            return done;
        };
        if !known.is_of(uid) {
            **known = Remembered::new(uid);
        }
        let done = known.with(work);
        if known.is_empty() {
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
        let mut passes = self.passes.lock();
        let Some(known) = passes.get_mut(key).filter(|known| known.is_of(uid)) else {
            return record;
        };
        known.with(|memory| {
            if !memory.waits_for_outcome() {
                return record;
            }
            let mut reminded = Record::clone(&record);
            memory.remind(&mut reminded);
            Arc::new(reminded)
        })
    }

    /// Whether an object waits for complete lists, without unreadable entries.
    pub fn waits_for_whole_lists(&self, key: &ObjectKey) -> bool {
        self.passes
            .lock()
            .get(key)
            .and_then(|known| known.more.as_ref())
            .is_some_and(|memory| memory.waits_for_whole_lists)
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

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::record::{Intent, OperationId, OperationKind, Sent};

    /// Memories of each part alone, and of all.
    fn memories() -> Vec<PassMemory> {
        let id = OperationId("an-operation".into());
        let asked = Operation::of(&Intent {
            kind: OperationKind::Create,
            id: id.clone(),
            start: Time(1),
            tenant: None,
            place: None,
            sent: Sent::Maybe,
        });
        let guid = CustomerGuid::parse("55555555-5555-4555-8555-555555555555").unwrap();
        let all = PassMemory {
            failures: 1,
            conflicts: 2,
            held: 3,
            generation: Some(4),
            unsent: vec![id.clone()],
            asked: Some(Box::new(asked)),
            guid: Some(guid),
            watched: Some((id, Time(5))),
            waits_for_whole_lists: true,
        };
        let none = PassMemory::default;
        vec![
            PassMemory {
                failures: 1,
                ..none()
            },
            PassMemory {
                asked: all.asked.clone(),
                ..none()
            },
            PassMemory {
                guid: all.guid,
                ..none()
            },
            PassMemory {
                asked: all.asked.clone(),
                guid: all.guid,
                watched: all.watched.clone(),
                ..none()
            },
            all,
        ]
    }

    #[test]
    fn an_object_finds_what_its_last_pass_left_and_no_other_does() {
        let uids = [
            None,
            Some("aaaaaaaa-0000-4000-8000-000000000001"),
            Some("AAAAAAAA-0000-4000-8000-000000000001"),
            Some("aaaaaaaa000040008000000000000001"),
            Some("u1"),
            Some(""),
        ];
        let (memory, key) = (Memory::default(), ObjectKey::lead("n", "a"));
        for left in memories() {
            for uid in uids {
                memory.with_pass(&key, uid, |memory| *memory = left.clone());
                assert_eq!(memory.of_pass(&key, uid), left, "{uid:?}");
                assert_eq!(memory.waits_for_whole_lists(&key), left.waits_for_whole_lists);
                let other = uids.into_iter().find(|other| *other != uid).unwrap();
                let (record, waits) = (Arc::new(Record::default()), left.waits_for_outcome());
                let reminded = |uid| !Arc::ptr_eq(&memory.reminded(&key, uid, Arc::clone(&record)), &record);
                assert_eq!((reminded(uid), reminded(other)), (waits, false));
                assert_eq!(
                    memory.of_pass(&key, other),
                    PassMemory::default(),
                    "{uid:?}, {other:?}"
                );
                assert_eq!(memory.passes.lock().len(), 0, "nothing is kept of nothing");
            }
        }
    }
}

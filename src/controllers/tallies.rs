//! Counts per platform, updated as objects change, so that the pass of one object never walks over all of
//! them: the recorded ids that the newest lists lack (`oc_domain::absence`), how long creates take
//! (`oc_domain::policy::slowest_create`), which objects are being deleted, since when services wait for each
//! job, and which services a run of a job concerns.
//!
//! An object is entered after each version that a store takes in, always as the store has it by then, so of
//! two concurrent entries the later one enters the newer version. A new list is counted by the first caller that
//! asks: it recounts the objects of which something came or went since the list before. Only if that is not known,
//! as after a list that nobody asked about, all objects are compared with the list.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashSet};
use hashbrown::HashTable;
use oc_domain::absence::AbsenceCount;
use oc_domain::policy::CreatePace;
use oc_domain::record::OperationId;
use oc_domain::time::{Duration, Time};

use crate::cluster::cache::Cache;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::stores::{KnownResource, for_kind};
use crate::controllers::recorded::{Counted, Has, ListedThing, Noted, Recorded};
use crate::platform::index::ListVersion;
use crate::platform::inventory::Lists;

/// An object, and how it was counted.
struct CountedObject {
    /// Unique among the objects of the platform.
    number: u64,
    noted: Noted,
    recorded: Recorded,
}

/// The lists that a tally was counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
struct By {
    services: Option<ListVersion>,
    leads: Option<ListVersion>,
}

impl By {
    fn new(lists: &Lists) -> Self {
        Self {
            services: lists.services.as_ref().map(|list| list.version()),
            leads: lists.leads.as_ref().map(|list| list.version()),
        }
    }

    /// What came or went from these lists to those, if that is known.
    fn differs(self, lists: &Lists) -> Option<Vec<ListedThing>> {
        let services: &[_] = match (self.services, &lists.services) {
            (None, None) => &[],
            (before, list) => list.as_ref()?.came_or_went_since(before?)?,
        };
        let leads: &[_] = match (self.leads, &lists.leads) {
            (None, None) => &[],
            (before, list) => list.as_ref()?.came_or_went_since(before?)?,
        };
        let services = services.iter().map(|guid| ListedThing::Service(*guid));
        let leads = leads.iter().map(|tenant| ListedThing::Leads(*tenant));
        Some(services.chain(leads).collect())
    }
}

/// The objects of a platform, found by what in a list decides how they are counted.
#[derive(Default)]
struct DecidedBy {
    keys: HashTable<ObjectKey>,
    hashes: RandomState,
}

type Entered = HashMap<ObjectKey, Box<CountedObject>>;

impl DecidedBy {
    fn hash(hashes: &RandomState, has: &Has) -> Option<u64> {
        has.decided_by().map(|thing| hashes.hash_one(thing))
    }

    fn add(&mut self, key: &ObjectKey, has: &Has, entered: &Entered) {
        let hashes = &self.hashes;
        let hash = |key: &ObjectKey| Self::hash(hashes, &entered.get(key)?.noted.has);
        if let Some(own) = Self::hash(hashes, has) {
            self.keys
                .insert_unique(own, key.clone(), |key| hash(key).unwrap_or_default());
        }
    }

    fn remove(&mut self, key: &ObjectKey, has: &Has) {
        let Some(hash) = Self::hash(&self.hashes, has) else {
            return;
        };
        if let Ok(known) = self.keys.find_entry(hash, |known| known == key) {
            known.remove();
        }
    }

    /// The objects that this decides, and perhaps some others.
    fn keys(&self, thing: &ListedThing) -> impl Iterator<Item = &ObjectKey> {
        self.keys.iter_hash(self.hashes.hash_one(thing))
    }
}

/// The counts of one platform's objects.
#[derive(Default)]
struct Tally {
    /// Boxed: a table has room for many more than there are.
    entered: Entered,
    /// The objects by what in a list decides how they are counted.
    decided_by: DecidedBy,
    numbers: u64,
    by: Option<By>,
    counted: Arc<AbsenceCount>,
    /// The objects changed since the last count, and how those that left had been counted.
    changed: HashSet<ObjectKey>,
    left: Vec<Recorded>,
    /// How many objects miss each missing id: two can have recorded the same one.
    missing: HashMap<Box<str>, usize>,
    took: BTreeMap<(Duration, u64), OperationId>,
    run: BTreeMap<(Time, u64), OperationId>,
    deleting: BTreeSet<ObjectKey>,
    due: [BTreeSet<(Time, u64)>; 2],
    unsynced: BTreeSet<ObjectKey>,
}

impl Tally {
    fn enter(&mut self, key: &ObjectKey, noted: Noted) {
        let Some(mut entered) = self.entered.remove(key) else {
            self.numbers += 1;
            self.keep(self.numbers, key, &noted);
            self.changed.insert(key.clone());
            self.decided_by.add(key, &noted.has, &self.entered);
            let counted = CountedObject {
                number: self.numbers,
                noted,
                recorded: Recorded::Nothing,
            };
            self.entered.insert(key.clone(), Box::new(counted));
            return;
        };
        if entered.noted.has != noted.has {
            self.changed.insert(key.clone());
            self.decided_by.remove(key, &entered.noted.has);
            self.decided_by.add(key, &noted.has, &self.entered);
        }
        if entered.noted != noted {
            self.unkeep(entered.number, key, &entered.noted);
            self.keep(entered.number, key, &noted);
            entered.noted = noted;
        }
        self.entered.insert(key.clone(), entered);
    }

    /// Removes an object. Returns whether it was entered here.
    fn leave(&mut self, key: &ObjectKey) -> bool {
        let Some(entered) = self.entered.remove(key) else {
            return false;
        };
        self.changed.remove(key);
        self.decided_by.remove(key, &entered.noted.has);
        self.unkeep(entered.number, key, &entered.noted);
        if entered.recorded != Recorded::Nothing {
            self.left.push(entered.recorded);
        }
        true
    }

    fn keep(&mut self, number: u64, key: &ObjectKey, noted: &Noted) {
        match &noted.pace {
            Some((CreatePace::Took(span), id)) => drop(self.took.insert((*span, number), id.clone())),
            Some((CreatePace::Runs(since), id)) => drop(self.run.insert((*since, number), id.clone())),
            None => {}
        }
        if noted.deleting {
            self.deleting.insert(key.clone());
        }
        if noted.unsynced {
            self.unsynced.insert(key.clone());
        }
        for (kept, due) in self.due.iter_mut().zip(noted.outstanding().due) {
            kept.extend(due.map(|due| (due, number)));
        }
    }

    fn unkeep(&mut self, number: u64, key: &ObjectKey, noted: &Noted) {
        match &noted.pace {
            Some((CreatePace::Took(span), _)) => drop(self.took.remove(&(*span, number))),
            Some((CreatePace::Runs(since), _)) => drop(self.run.remove(&(*since, number))),
            None => {}
        }
        self.deleting.remove(key);
        self.unsynced.remove(key);
        for (kept, due) in self.due.iter_mut().zip(noted.outstanding().due) {
            due.map(|due| kept.remove(&(due, number)));
        }
    }

    fn counted(&mut self, anew: bool, lists: &Lists) -> Arc<AbsenceCount> {
        let by = By::new(lists);
        let is_new = self.by != Some(by);
        let differs = self.by.and_then(|before| before.differs(lists));
        self.by = Some(by);
        if let Some(differs) = &differs {
            self.changed.extend(
                differs
                    .iter()
                    .flat_map(|thing| self.decided_by.keys(thing))
                    .cloned(),
            );
        } else {
            (self.counted, self.missing, self.changed, self.left) = Default::default();
            let mut entered = std::mem::take(&mut self.entered);
            for entered in entered.values_mut() {
                entered.recorded = entered.noted.has.shown_by(lists);
                self.count(&entered.recorded);
            }
            self.entered = entered;
        }
        if anew || is_new {
            for recorded in std::mem::take(&mut self.left) {
                self.uncount(&recorded);
            }
            for key in std::mem::take(&mut self.changed) {
                let Some(entered) = self.entered.get_mut(&key) else {
                    continue;
                };
                let now = entered.noted.has.shown_by(lists);
                let before = std::mem::replace(&mut entered.recorded, now.clone());
                self.uncount(&before);
                self.count(&now);
            }
        }
        Arc::clone(&self.counted)
    }

    fn count(&mut self, recorded: &Recorded) {
        match recorded {
            Recorded::Nothing => {}
            Recorded::Asked => Arc::make_mut(&mut self.counted).asked += 1,
            Recorded::Shown => Arc::make_mut(&mut self.counted).recorded += 1,
            Recorded::Missing(id) => {
                let counted = Arc::make_mut(&mut self.counted);
                counted.recorded += 1;
                counted.missing.insert(id.to_string());
                *self.missing.entry(id.clone()).or_default() += 1;
            }
        }
    }

    fn uncount(&mut self, recorded: &Recorded) {
        match recorded {
            Recorded::Nothing => {}
            Recorded::Asked => Arc::make_mut(&mut self.counted).asked -= 1,
            Recorded::Shown => Arc::make_mut(&mut self.counted).recorded -= 1,
            Recorded::Missing(id) => {
                let counted = Arc::make_mut(&mut self.counted);
                counted.recorded -= 1;
                let others = self.missing.remove(id).unwrap_or_default().saturating_sub(1);
                if others == 0 {
                    counted.missing.remove(&**id);
                } else {
                    self.missing.insert(id.clone(), others);
                }
            }
        }
    }

    fn slowest_create(&self, now: Time, own: &OperationId, deadline: Duration) -> Option<Duration> {
        let took = self
            .took
            .iter()
            .rev()
            .find(|(_, id)| *id != own)
            .map(|((span, _), _)| *span)?;
        let runs = self
            .run
            .iter()
            .find(|(_, id)| *id != own)
            .map(|((since, _), _)| now.since(*since));
        Some(took.max(runs.unwrap_or_default().min(deadline)))
    }
}

/// The tallies of all platforms.
#[derive(Default)]
pub struct Tallies(Mutex<TallyState>);

#[derive(Default)]
struct TallyState {
    /// An object is entered on one platform at most.
    tallies: HashMap<Arc<str>, Tally>,
}

impl TallyState {
    /// Removes an object from the platform on which it was entered.
    fn leave(&mut self, key: &ObjectKey) {
        self.tallies.values_mut().any(|tally| tally.leave(key));
    }
}

impl Tallies {
    fn state(&self) -> MutexGuard<'_, TallyState> {
        self.0.lock()
    }

    /// Enters an object as it is known now, on the platform that the index has for it, or removes it when it
    /// is gone.
    pub fn enter(&self, cache: &Cache, key: &ObjectKey) {
        let mut state = self.state();
        let Some((platform, noted)) = noted(cache, key) else {
            return state.leave(key);
        };
        let here = state.tallies.get(&platform);
        if !here.is_some_and(|tally| tally.entered.contains_key(key)) {
            state.leave(key);
        }
        state.tallies.entry(platform).or_default().enter(key, noted);
    }

    /// The recorded ids of a platform's objects that the newest lists lack. Counted once for each list, by
    /// the first caller, and also with `anew`, when the records may have changed.
    pub fn counted(&self, platform: &str, anew: bool, newest: impl FnOnce() -> Lists) -> Arc<AbsenceCount> {
        let mut state = self.state();
        // Read under the lock, so that of two callers neither counts by older lists after the other.
        let lists = newest();
        // A key of its own only for a platform that is not known yet.
        match state.tallies.get_mut(platform) {
            Some(tally) => tally.counted(anew, &lists),
            None => state
                .tallies
                .entry(platform.into())
                .or_default()
                .counted(anew, &lists),
        }
    }

    /// The pace of a platform's creates, except `own`; see [`oc_domain::policy::slowest_create`].
    pub fn slowest_create(
        &self,
        platform: &str,
        now: Time,
        own: &OperationId,
        deadline: Duration,
    ) -> Option<Duration> {
        self.state()
            .tallies
            .get(platform)?
            .slowest_create(now, own, deadline)
    }

    /// The objects on a platform that are being deleted, in order.
    pub fn deleting(&self, platform: &str) -> Vec<ObjectKey> {
        self.keys(platform, |tally| &tally.deleting)
    }

    /// The services on a platform whose status shows jobs, and not all of them as done, in order.
    pub fn unsynced(&self, platform: &str) -> Vec<ObjectKey> {
        self.keys(platform, |tally| &tally.unsynced)
    }

    fn keys(&self, platform: &str, of: fn(&Tally) -> &BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
        let state = self.state();
        let tally = state.tallies.get(platform);
        tally.map_or_else(Vec::new, |tally| of(tally).iter().cloned().collect())
    }

    /// Calls `look` with each lead and service, as its newest version was noted, and its platform.
    pub fn for_each(&self, mut look: impl FnMut(Kind, &str, &Noted)) {
        for (platform, tally) in &self.state().tallies {
            for (key, entered) in &tally.entered {
                look(key.kind(), platform, &entered.noted);
            }
        }
    }

    /// Whether any object has an open intent or a running operation.
    pub fn has_something_open(&self) -> bool {
        let state = self.state();
        let mut entered = state.tallies.values().flat_map(|tally| tally.entered.values());
        entered.any(|entered| {
            let outstanding = entered.noted.outstanding();
            outstanding.intent.is_some() || outstanding.running.is_some()
        })
    }

    /// Since when services of a platform wait for each job: the earliest and the latest.
    pub fn due(&self, platform: &str) -> [Option<(Time, Time)>; 2] {
        let state = self.state();
        let Some(tally) = state.tallies.get(platform) else {
            return [None; 2];
        };
        let ends = |due: &BTreeSet<(Time, u64)>| Some((due.first()?.0, due.last()?.0));
        [ends(&tally.due[0]), ends(&tally.due[1])]
    }
}

fn noted(cache: &Cache, key: &ObjectKey) -> Option<(Arc<str>, Noted)> {
    let platform = cache.index.platform_of(key)?;
    let noted = for_kind!(key.kind(), K => K::stored(cache).of(key)?.noted(cache, key))?;
    Some((platform, noted))
}

#[cfg(test)]
mod tests;

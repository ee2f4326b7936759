//! Tables that find the entries of a list by a part of theirs, and what one list has in place of another. Both know an
//! entry by its place in the list, so that a list in which little has changed costs little: its tables are copied
//! without a look at the entries.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use hashbrown::HashTable;

/// The place of an entry in its list.
pub(super) type Place = u32;

/// How many entries are looked at for one that is not where it should be, before all are.
const NEAR: usize = 64;

/// The place in a new list of an entry that it lacks.
const GONE: Place = Place::MAX;

/// Finds the entries of a list by the hash of one part of theirs. With the parts as keys, or pointers to the entries, the
/// tables of 100,000 services took twice as much and more.
#[derive(Clone, Debug, Default)]
pub(super) struct PlaceTable(HashTable<Place>);

impl PlaceTable {
    /// Adds the entry at a place, beside others with the same part. `hash` gives the hash of the part of any entry.
    fn add(&mut self, place: Place, hash: impl Fn(Place) -> u64) {
        self.0.insert_unique(hash(place), place, |known| hash(*known));
    }

    /// Removes the entry at a place, whose part has this hash.
    fn remove(&mut self, place: Place, hash: u64) {
        if let Ok(known) = self.0.find_entry(hash, |known| *known == place) {
            known.remove();
        }
    }

    /// The places of the entries whose part has this hash, and perhaps of some others.
    pub(super) fn of(&self, hash: u64) -> impl Iterator<Item = Place> {
        self.0.iter_hash(hash).copied()
    }

    /// Takes over the places in a new list.
    fn moved(&mut self, to: &[Place]) {
        for place in &mut self.0 {
            *place = to.get(at(*place)).copied().unwrap_or(GONE);
        }
    }
}

/// The place as an index.
fn at(place: Place) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The entry at a place.
pub(super) fn entry<T>(entries: &[Arc<T>], place: Place) -> Option<&Arc<T>> {
    entries.get(at(place))
}

/// All places of a list.
fn places<T>(entries: &[Arc<T>]) -> std::ops::Range<Place> {
    0..Place::try_from(entries.len()).unwrap_or(GONE)
}

/// What one list has in place of another. An entry that is the same is the same allocation.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The new places of the entries of the old list, if they are not the old ones.
    moved: Option<Vec<Place>>,
    /// The old places of the entries that only the old list has.
    gone: Vec<Place>,
    /// The new places of the entries that only the new list has.
    added: Vec<Place>,
}

impl Changes {
    /// Compares two lists. Looks at no entry.
    pub(super) fn between<T>(before: &[Arc<T>], now: &[Arc<T>]) -> Self {
        let mut changes = Self::default();
        let mut moved = Vec::with_capacity(before.len());
        let (mut old, mut new) = (places(before), places(now));
        let is_same = |old: &Place, new: &Place| match (entry(before, *old), entry(now, *new)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        };
        while let (Some(first_old), Some(first_new)) = (old.clone().next(), new.clone().next()) {
            let came = new.clone().take(NEAR).position(|new| is_same(&first_old, &new));
            if let Some(came) = came {
                changes.added.extend(new.by_ref().take(came));
                moved.extend(new.next());
                old.next();
                continue;
            }
            let gone = old.clone().take(NEAR).position(|old| is_same(&old, &first_new));
            // Or one is in the place of another.
            for place in old.by_ref().take(gone.unwrap_or(1)) {
                changes.gone.push(place);
                moved.push(GONE);
            }
            if gone.is_none() {
                changes.added.extend(new.next());
            }
        }
        for place in old {
            changes.gone.push(place);
            moved.push(GONE);
        }
        changes.added.extend(new);
        changes.find_far(before, now, &mut moved);
        let stays = |(place, to): (Place, &Place)| *to == place || *to == GONE;
        changes.moved = (!(0..).zip(&moved).all(stays)).then_some(moved);
        changes
    }

    /// Finds what seems to be gone among what seems to be added: it has moved far.
    fn find_far<T>(&mut self, before: &[Arc<T>], now: &[Arc<T>], moved: &mut [Place]) {
        if self.gone.is_empty() || self.added.is_empty() {
            return;
        }
        let address = |entries, place: &Place| entry(entries, *place).map(Arc::as_ptr);
        let mut added: HashMap<_, _> = self
            .added
            .iter()
            .map(|place| (address(now, place), *place))
            .collect();
        let mut found = HashSet::default();
        self.gone.retain(|place| {
            // Each entry once, should a list hold one twice.
            let Some(to) = added.remove(&address(before, place)) else {
                return true;
            };
            if let Some(moved) = moved.get_mut(at(*place)) {
                *moved = to;
            }
            found.insert(to);
            false
        });
        self.added.retain(|place| !found.contains(place));
    }

    /// Takes all entries for changed.
    pub(super) fn all<T>(before: &[Arc<T>], now: &[Arc<T>]) -> Self {
        Self {
            moved: None,
            gone: places(before).collect(),
            added: places(now).collect(),
        }
    }

    /// The entries of the old list that only it has.
    pub(super) fn gone<'a, T>(&self, before: &'a [Arc<T>]) -> impl Iterator<Item = &'a Arc<T>> {
        self.gone.iter().filter_map(|place| entry(before, *place))
    }

    /// The entries of the new list that only it has.
    pub(super) fn added<'a, T>(&self, now: &'a [Arc<T>]) -> impl Iterator<Item = &'a Arc<T>> {
        self.added.iter().filter_map(|place| entry(now, *place))
    }

    /// Whether the new list has all entries of the old one, and no other.
    pub(super) fn are_none(&self) -> bool {
        self.gone.is_empty() && self.added.is_empty()
    }

    /// Returns the table of the new list, made from that of the old one. `before` and `now` give the hashes of the
    /// entries of each list.
    pub(super) fn applied(
        &self,
        table: &PlaceTable,
        before: impl Fn(Place) -> u64,
        now: impl Fn(Place) -> u64,
    ) -> PlaceTable {
        let mut table = table.clone();
        for place in &self.gone {
            table.remove(*place, before(*place));
        }
        if let Some(moved) = &self.moved {
            table.moved(moved);
        }
        for place in &self.added {
            table.add(*place, &now);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::*, sample};
    use std::collections::BTreeSet;

    /// Lists of the same entries, by number.
    fn lists(numbers: [&[usize]; 2]) -> [Vec<Arc<usize>>; 2] {
        let all: Vec<Arc<usize>> = (0..12).map(Arc::new).collect();
        numbers.map(|numbers| numbers.iter().map(|number| Arc::clone(&all[*number])).collect())
    }

    fn any_list() -> impl Strategy<Value = Vec<usize>> {
        sample::subsequence(Vec::from_iter(0..12), 0..12).prop_shuffle()
    }

    proptest! {
        #[test]
        fn gone_and_added_is_what_one_list_has_and_the_other_has_not(before in any_list(), now in any_list()) {
            let lists = lists([&before, &now]);
            let changes = Changes::between(&lists[0], &lists[1]);
            let (before, now) = (BTreeSet::from_iter(before), BTreeSet::from_iter(now));
            prop_assert_eq!(changes.gone(&lists[0]).map(|number| **number).collect::<BTreeSet<_>>(), &before - &now);
            prop_assert_eq!(changes.added(&lists[1]).map(|number| **number).collect::<BTreeSet<_>>(), &now - &before);
            prop_assert_eq!((changes.gone.len(), changes.added.len()), ((&before - &now).len(), (&now - &before).len()));
            prop_assert_eq!(changes.are_none(), before == now);
        }

        /// Also if a list holds an entry twice.
        #[test]
        fn the_table_of_the_next_list_leads_to_each_of_its_entries(
            before in collection::vec(0usize..12, 0..12),
            now in collection::vec(0usize..12, 0..12),
        ) {
            let [before, now] = lists([&before, &now]);
            // Of three entries each, one hash.
            let hash = |list: &[Arc<usize>], place| entry(list, place).map_or(99, |number| **number as u64 / 3);
            let mut table = PlaceTable::default();
            places(&before).for_each(|place| table.add(place, |place| hash(&before, place)));
            let changes = Changes::between(&before, &now);
            let table = changes.applied(&table, |place| hash(&before, place), |place| hash(&now, place));
            for part in 0..4 {
                let mut found: Vec<Place> = table.of(part).filter(|place| hash(&now, *place) == part).collect();
                found.sort_unstable();
                let expected: Vec<Place> = places(&now).filter(|place| hash(&now, *place) == part).collect();
                prop_assert_eq!(found, expected);
            }
            prop_assert_eq!(table.0.len(), now.len());
        }
    }
}

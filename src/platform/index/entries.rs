//! Tables that find the entries of a list by a part of theirs, and what one list has in place of another. Both know an
//! entry by its place in the list, so that a list in which little has changed costs little: its tables are copied
//! without a look at the entries.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use hashbrown::HashTable;

/// The place of an entry in its list.
pub(super) type Place = u32;

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
        let same = before
            .iter()
            .zip(now)
            .take_while(|(one, other)| Arc::ptr_eq(one, other));
        let same = same.count();
        if same == before.len() {
            let added = places(now).skip(same).collect();
            return Self {
                added,
                ..Self::default()
            };
        }
        let mut rest = HashMap::with_capacity(now.len() - same);
        for (place, entry) in places(now).zip(now).skip(same) {
            rest.insert(Arc::as_ptr(entry), place);
        }
        let mut kept = vec![false; now.len()];
        let mut moved: Vec<Place> = places(before).collect();
        let mut gone = Vec::new();
        for (place, entry) in places(before).zip(before).skip(same) {
            // Each entry once, should a list hold one twice.
            let now = rest.remove(&Arc::as_ptr(entry)).unwrap_or(GONE);
            match kept.get_mut(at(now)) {
                Some(kept) => *kept = true,
                None => gone.push(place),
            }
            if let Some(to) = moved.get_mut(at(place)) {
                *to = now;
            }
        }
        let added = places(now)
            .skip(same)
            .filter(|place| kept.get(at(*place)) == Some(&false));
        Self {
            added: added.collect(),
            moved: Some(moved),
            gone,
        }
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

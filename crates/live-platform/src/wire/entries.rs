//! The pages and entries of the last list, by the digests of their bytes: what comes again unchanged is not parsed
//! again.

use std::cell::OnceCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::RandomState as RandomHashes;
use foldhash::{HashMap, HashSet};
use parking_lot::Mutex;
use siphasher::sip128::SipHasher13;

use super::json::Page;

/// 96 bits of a keyed hash, whose key nobody outside this process knows, and the length in bytes. If two different
/// texts had the same digest, one would be taken for the other, and 64 bits are too few to rule that out over years of
/// lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Digest {
    low: u64,
    high: u32,
    length: u32,
}

/// How many entries are fetched at a time.
const AHEAD: usize = 64;

/// Of so many entries of the last list one may be parsed again before the rest is looked for all over it. Most that are
/// not where they should be are new or changed; the table that finds them costs as much as many of them.
const PARSED_AGAIN: usize = 64;

/// The newest complete list of one kind.
#[derive(Debug)]
pub struct KnownEntries<T> {
    hasher: SipHasher13,
    newest: Mutex<Newest<T>>,
    /// Whether the platform's lists can't be read while they come.
    odd: AtomicBool,
}

type KnownList<T> = Vec<Arc<KnownPage<T>>>;

#[derive(Debug)]
struct Newest<T> {
    list: Arc<KnownList<T>>,
    /// Hashes of the keys of its entries, if each came once, and no other list is being read.
    keys: Option<HashSet<u64>>,
}

#[derive(Debug)]
struct KnownPage<T> {
    /// `None` for a page whose entries were found one after the other.
    body: Option<Digest>,
    entries: Box<[(Digest, Arc<T>)]>,
    elements: usize,
    unreadable: usize,
    why: Option<&'static str>,
}

impl<T> KnownPage<T> {
    fn page(&self) -> Page<Arc<T>> {
        Page {
            items: self.entries.iter().map(|(_, entry)| Arc::clone(entry)).collect(),
            elements: self.elements,
            unreadable: self.unreadable,
            why: self.why,
        }
    }
}

impl<T> Default for KnownEntries<T> {
    fn default() -> Self {
        let random = || RandomState::new().hash_one(());
        Self {
            hasher: SipHasher13::new_with_keys(random(), random()),
            newest: Mutex::new(Newest {
                list: Arc::default(),
                keys: Some(HashSet::default()),
            }),
            odd: AtomicBool::new(false),
        }
    }
}

impl<T> KnownEntries<T> {
    /// Begins to read a list.
    pub fn begin(&self) -> EntryReader<'_, T> {
        let (last, keys) = {
            let mut newest = self.newest.lock();
            (Arc::clone(&newest.list), newest.keys.take())
        };
        let entries: usize = last.iter().map(|page| page.entries.len()).sum();
        EntryReader {
            known: self,
            last,
            parsed_again: entries / PARSED_AGAIN,
            now: Vec::new(),
            entries: Vec::new(),
            at: Position::default(),
            begun_at: Position::default(),
            missed: 0,
            added: Vec::new(),
            gone: Vec::new(),
            keys,
            key: None,
            places: OnceCell::new(),
        }
    }
}

/// The page and entry of a list.
type EntryPlace = (usize, usize);

/// Hashes what tells an entry from all others.
type KeyHash<T> = fn(&T, &mut SipHasher13);

/// How far a list was read.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The place in the last list of the entry that should come next, if little has changed.
    next: EntryPlace,
    /// How many were added, and how many are gone.
    added: usize,
    gone: usize,
    /// Whether an entry came out of its turn.
    jumped: bool,
}

/// How many entries of the last list are looked at for one that is not next.
const NEAR: usize = 256;

/// Reads the pages and entries of one list.
pub struct EntryReader<'a, T> {
    known: &'a KnownEntries<T>,
    last: Arc<KnownList<T>>,
    now: KnownList<T>,
    /// The entries of the page that is being read.
    entries: Vec<(Digest, Arc<T>)>,
    at: Position,
    /// What it was when the page began.
    begun_at: Position,
    /// How many entries have come that are not in the last list, since the last one that is.
    missed: usize,
    /// The entries that are not in the last list, and the places in the last list of those that are not in this one.
    added: Vec<Arc<T>>,
    gone: Vec<EntryPlace>,
    /// Hashes of the keys of what the last list has, with what has come and gone since, unless that is unknown.
    keys: Option<HashSet<u64>>,
    key: Option<KeyHash<T>>,
    /// How many that are not next may still be parsed again, though they may be in the last list.
    parsed_again: usize,
    /// Where each entry of the last list is. Made when too many have come that were not next.
    places: OnceCell<HashMap<Digest, EntryPlace>>,
}

impl<T> EntryReader<'_, T> {
    /// Returns the page with these bytes: that of the last list or of this one, or a new one. A page that can't be
    /// read is not kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn page<E>(
        &mut self,
        body: &[u8],
        read: impl FnOnce(&mut Self) -> Result<Page<Arc<T>>, E>,
    ) -> Result<Page<Arc<T>>, E> {
        let body = Some(self.digest(body));
        let is_same = |known: &Arc<KnownPage<T>>| known.body == body;
        let in_last = self.last.iter().enumerate().find(|(_, known)| is_same(known));
        let in_last = in_last.map(|(at, known)| (at, Arc::clone(known)));
        if let Some((at, known)) = in_last {
            self.skip_read_pages();
            self.at.jumped |= self.at.next != (at, 0);
            self.at.next = (at + 1, 0);
            self.now.push(Arc::clone(&known));
            return Ok(known.page());
        }
        if let Some(known) = self.now.iter().find(|known| is_same(known)).cloned() {
            self.at.jumped = true;
            self.now.push(Arc::clone(&known));
            return Ok(known.page());
        }
        let page = read(self)?;
        self.keep(body, &page);
        Ok(page)
    }

    /// Begins a page that is read entry by entry.
    pub fn begin_page(&mut self) {
        self.entries.clear();
        (self.at.added, self.at.gone) = (self.added.len(), self.gone.len());
        self.begun_at = self.at;
    }

    /// Begins the same page again, whose reading failed halfway.
    pub fn restart_page(&mut self) {
        self.entries.clear();
        self.at = self.begun_at;
        self.added.truncate(self.at.added);
        self.gone.truncate(self.at.gone);
        self.missed = 0;
    }

    /// Keeps a page that was read entry by entry.
    pub fn keep_page(&mut self, page: &Page<Arc<T>>) {
        self.keep(None, page);
    }

    /// Whether lists of this kind can be read while they come, as far as known.
    pub fn come_in_order(&self) -> bool {
        !self.known.odd.load(Ordering::Relaxed)
    }

    /// Notes that one could be read only when all of it was there.
    pub fn came_odd(&self) {
        self.known.odd.store(true, Ordering::Relaxed);
    }

    fn keep(&mut self, body: Option<Digest>, page: &Page<Arc<T>>) {
        self.now.push(Arc::new(KnownPage {
            body,
            entries: std::mem::take(&mut self.entries).into(),
            elements: page.elements,
            unreadable: page.unreadable,
            why: page.why,
        }));
    }

    /// Returns the entry that should come next, and its length in bytes, if `rest` begins with it.
    pub fn next_in(&mut self, rest: &[u8]) -> Option<(Arc<T>, usize)> {
        self.skip_read_pages();
        self.look_ahead();
        let (digest, entry) = self.entry_at(self.at.next)?;
        let length = digest.length as usize;
        let (digest, entry) =
            (self.digest(rest.get(..length)?) == *digest).then(|| (*digest, Arc::clone(entry)))?;
        self.at.next.1 += 1;
        self.missed = 0;
        self.entries.push((digest, Arc::clone(&entry)));
        Some((entry, length))
    }

    /// The length in bytes of the entry that should come next; 0 if none should.
    pub fn next_length(&self) -> usize {
        self.entry_at(self.at.next)
            .map_or(0, |(digest, _)| digest.length as usize)
    }

    /// Returns the entry with these bytes: that of the last list, if it is where it was or most others are, or a new one.
    /// What can't be read is not kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn entry<E>(&mut self, raw: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<Arc<T>, E> {
        let digest = self.digest(raw.as_bytes());
        let entry = match self.known(&digest) {
            Some(entry) => entry,
            None => {
                let new = Arc::new(read(raw)?);
                self.missed += 1;
                self.added.push(Arc::clone(&new));
                new
            }
        };
        self.entries.push((digest, Arc::clone(&entry)));
        Ok(entry)
    }

    fn known(&mut self, digest: &Digest) -> Option<Arc<T>> {
        self.skip_read_pages();
        let is_at = |place: &EntryPlace| self.entry_at(*place).is_some_and(|(known, _)| known == digest);
        // After those that should have come: if they are gone, or have changed and were just read anew.
        let near = self
            .places_from(self.at.next)
            .take(NEAR.min(self.missed + 2))
            .find(is_at);
        let at = match near {
            Some(at) => {
                let skipped = self
                    .places_from(self.at.next)
                    .take_while(|place| *place != at)
                    .collect::<Vec<_>>();
                self.gone.extend(skipped);
                at
            }
            None if self.parsed_again > 0 => {
                self.parsed_again -= 1;
                return None;
            }
            None => {
                let at = *self.places.get_or_init(|| places(&self.last)).get(digest)?;
                self.at.jumped = true;
                at
            }
        };
        self.at.next = (at.0, at.1 + 1);
        self.missed = 0;
        self.entry_at(at).map(|(_, entry)| Arc::clone(entry))
    }

    /// The places of the last list from one on.
    fn places_from(&self, (page, at): EntryPlace) -> impl Iterator<Item = EntryPlace> {
        let pages = self.last.iter().enumerate().skip(page);
        pages.flat_map(move |(number, known)| {
            let from = if number == page { at } else { 0 };
            (from..known.entries.len()).map(move |at| (number, at))
        })
    }

    /// Whether each entry until now has another key than all others: if the last list was so, only what has come or gone
    /// is looked at. `false` can also mean that it is not known. Call this after each page.
    pub fn each_once(&mut self, key: KeyHash<T>) -> bool {
        self.key = Some(key);
        let jumped = self.at.jumped;
        let Some(mut keys) = self.keys.take().filter(|_| !jumped) else {
            return false;
        };
        self.skip_changed(key);
        for place in std::mem::take(&mut self.gone) {
            if let Some((_, entry)) = self.entry_at(place) {
                keys.remove(&self.hash(key, entry));
            }
        }
        let added = std::mem::take(&mut self.added);
        if !added.iter().all(|entry| keys.insert(self.hash(key, entry))) {
            return false;
        }
        self.keys = Some(keys);
        true
    }

    /// At the end of a page no entry has come that shows where those before it were. One that has the key of an entry that
    /// should have come is in its place.
    fn skip_changed(&mut self, key: KeyHash<T>) {
        let missing: Vec<EntryPlace> = self.places_from(self.at.next).take(self.missed).collect();
        let came = self.added.iter().rev().take(self.missed);
        let came: HashSet<u64> = came.map(|entry| self.hash(key, entry)).collect();
        let has_changed = |place: &EntryPlace| {
            self.entry_at(*place)
                .is_some_and(|(_, entry)| came.contains(&self.hash(key, entry)))
        };
        if let Some(last) = missing.iter().rposition(has_changed) {
            let (page, at) = missing[last];
            self.at.next = (page, at + 1);
            self.gone.extend_from_slice(&missing[..=last]);
            self.missed = 0;
        }
    }

    /// The hashes of the keys of all entries, if each is there once.
    fn all_keys(&self, key: KeyHash<T>) -> Option<HashSet<u64>> {
        let entries = || self.now.iter().flat_map(|page| &page.entries);
        let mut keys = HashSet::with_capacity_and_hasher(entries().count(), RandomHashes::default());
        entries()
            .all(|(_, entry)| keys.insert(self.hash(key, entry)))
            .then_some(keys)
    }

    fn hash(&self, key: KeyHash<T>, entry: &T) -> u64 {
        let mut hasher = self.known.hasher;
        key(entry, &mut hasher);
        hasher.finish()
    }

    /// Lets the processor fetch the entries that come next, many at a time. A count that is raised waits for its own
    /// entry alone, and of 100,000 that lie scattered in memory hardly one is in a cache: that was half of a list's time.
    fn look_ahead(&self) {
        let (page, at) = self.at.next;
        if at.is_multiple_of(AHEAD) {
            let entries = self.last.get(page).map(|page| &*page.entries).unwrap_or_default();
            let counts = entries.iter().skip(at).take(AHEAD);
            std::hint::black_box(counts.map(|(_, entry)| Arc::strong_count(entry)).sum::<usize>());
        }
    }

    /// Lets the next page follow the last entry of the one before.
    fn skip_read_pages(&mut self) {
        while self
            .last
            .get(self.at.next.0)
            .is_some_and(|page| page.entries.len() <= self.at.next.1)
        {
            self.at.next = (self.at.next.0 + 1, 0);
        }
    }

    /// The entry at this page and place of the last list.
    fn entry_at(&self, (page, at): EntryPlace) -> Option<&(Digest, Arc<T>)> {
        self.last.get(page)?.entries.get(at)
    }

    fn digest(&self, bytes: &[u8]) -> Digest {
        let (low, high) = self.known.hasher.hash(bytes).as_u64();
        Digest {
            low,
            high: high as u32,
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Keeps the list for the next one. Call this when the list is complete. If it failed partway, its entries are
    /// dropped.
    pub fn complete(mut self) {
        let are_all = !self.at.jumped && self.added.is_empty() && self.gone.is_empty();
        let keys = match (self.key, self.keys.take().filter(|_| are_all)) {
            (Some(key), Some(mut keys)) => {
                let rest = self.places_from(self.at.next);
                for (_, entry) in rest.filter_map(|place| self.entry_at(place)) {
                    keys.remove(&self.hash(key, entry));
                }
                Some(keys)
            }
            (Some(key), None) => self.all_keys(key),
            (None, _) => None,
        };
        *self.known.newest.lock() = Newest {
            list: Arc::new(self.now),
            keys,
        };
    }
}

fn places<T>(list: &KnownList<T>) -> HashMap<Digest, EntryPlace> {
    let mut places = HashMap::default();
    for (page, known) in list.iter().enumerate() {
        let entries = known.entries.iter().enumerate();
        places.extend(entries.map(|(at, (digest, _))| (*digest, (page, at))));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::*};
    use std::cell::Cell;
    use std::hash::Hash;

    /// Reads a list of pages, whose entries are letters.
    fn read(known: &KnownEntries<String>, pages: &[&str], parsed: &Cell<usize>) -> Vec<Arc<String>> {
        let mut reader = known.begin();
        let mut all = Vec::new();
        for body in pages {
            let page = reader.page(body.as_bytes(), |reader| {
                reader.begin_page();
                let parse = |raw: &str| {
                    parsed.set(parsed.get() + 1);
                    Ok::<_, ()>(raw.to_owned())
                };
                let letters = body.split("").filter(|letter| !letter.is_empty());
                let items = letters
                    .map(|raw| reader.entry(raw, parse))
                    .collect::<Result<_, _>>()?;
                Ok::<_, ()>(Page {
                    items,
                    elements: body.len(),
                    unreadable: 0,
                    why: None,
                })
            });
            all.extend(page.unwrap().items);
        }
        reader.complete();
        all
    }

    #[test]
    fn an_entry_is_parsed_when_its_bytes_have_changed() {
        let (known, parsed) = (KnownEntries::default(), Cell::new(0));
        let first = read(&known, &["ab"], &parsed);
        assert_eq!(parsed.take(), 2);
        let second = read(&known, &["ca"], &parsed);
        assert_eq!(parsed.take(), 1);
        assert!(Arc::ptr_eq(&first[0], &second[1]) && *second[0] == "c");
        read(&known, &["b"], &parsed);
        assert_eq!(parsed.take(), 1, "only the last list is kept");
    }

    #[test]
    fn a_page_is_known_wherever_it_comes() {
        let (known, parsed) = (KnownEntries::default(), Cell::new(0));
        // A server that counts from 1 may take page 0 for page 1.
        read(&known, &["ab", "cd", "ab"], &parsed);
        assert_eq!(parsed.take(), 4);
        let all = read(&known, &["cd", "xb", "ab", "a"], &parsed);
        assert_eq!(parsed.take(), 1);
        let letters: String = all.iter().map(|entry| entry.as_str()).collect();
        assert_eq!(letters, "cdxbaba");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_sent(lists in collection::vec(collection::vec("[a-h]{0,6}", 0..5), 1..6)) {
            let (known, parsed) = (KnownEntries::default(), Cell::new(0));
            let mut before = String::new();
            for list in lists {
                let pages: Vec<&str> = list.iter().map(String::as_str).collect();
                let all = read(&known, &pages, &parsed);
                let read: String = all.iter().map(|entry| entry.as_str()).collect();
                prop_assert_eq!(&read, &list.concat());
                let new = read.chars().filter(|letter| !before.contains(*letter)).count();
                prop_assert!(parsed.take() <= new, "what the last list had is not parsed again");
                before = read;
            }
        }
    }

    /// Whether it is proven of each page of a list, whose entries are letters, that each letter came once, in any case.
    fn once(known: &KnownEntries<String>, pages: &[&str]) -> Vec<bool> {
        let mut reader = known.begin();
        let mut once = Vec::new();
        for page in pages {
            reader.begin_page();
            // Begun twice, as when the connection breaks.
            for part in [page.len() / 2, page.len()] {
                reader.restart_page();
                for raw in page[..part].split("").filter(|letter| !letter.is_empty()) {
                    if reader.next_in(raw.as_bytes()).is_none() {
                        reader.entry(raw, |raw| Ok::<_, ()>(raw.to_owned())).unwrap();
                    }
                }
            }
            reader.keep_page(&Page {
                items: Vec::new(),
                elements: page.len(),
                unreadable: 0,
                why: None,
            });
            once.push(reader.each_once(|letter, hasher| letter.to_lowercase().hash(hasher)));
        }
        reader.complete();
        once
    }

    #[test]
    fn what_came_or_went_in_its_turn_is_all_that_is_looked_at() {
        let known = KnownEntries::default();
        assert_eq!(once(&known, &["abc", "def"]), [true, true]);
        // Added at the end, gone, changed in place at the end of a page, and two side by side.
        for list in [
            ["abc", "defgh"],
            ["abc", "dfgh"],
            ["abC", "dfgh"],
            ["aBc", "dFGh"],
            ["aBc", ""],
            ["aBc", "x"],
        ] {
            assert_eq!(once(&known, &list), [true, true], "{list:?}");
        }
        assert_eq!(once(&known, &["aBc", "xA"]), [true, false]);
        assert_eq!(once(&known, &["aBc", "xA"]), [false, false]);
        assert_eq!(once(&known, &["aBc", "x"]), [false, false]);
        assert_eq!(once(&known, &["aBc", "xy"]), [true, true]);
    }

    proptest! {
        #[test]
        fn what_is_said_to_come_once_does(lists in collection::vec(collection::vec("[a-dA-D]{0,5}", 1..4), 1..8)) {
            let known = KnownEntries::default();
            for list in lists {
                let pages: Vec<&str> = list.iter().map(String::as_str).collect();
                let mut seen = std::collections::HashSet::new();
                let mut all_once = true;
                for (page, proven) in pages.iter().zip(once(&known, &pages)) {
                    all_once &= page.chars().all(|letter| seen.insert(letter.to_ascii_lowercase()));
                    prop_assert!(all_once || !proven, "{:?}", pages);
                }
            }
        }
    }

    #[test]
    fn a_list_that_fails_in_the_middle_leaves_the_last_one() {
        let (known, parsed) = (KnownEntries::default(), Cell::new(0));
        read(&known, &["ab"], &parsed);
        let mut reader = known.begin();
        reader.entry("c", |_| Ok::<_, ()>("c".to_owned())).unwrap();
        assert_eq!(reader.entry("bad", |_| Err("why")), Err("why"));
        assert!(reader.page(b"d", |_| Err::<Page<_>, _>("why")).is_err());
        drop(reader);
        parsed.set(0);
        read(&known, &["b", "a"], &parsed);
        assert_eq!(parsed.get(), 0);
    }
}

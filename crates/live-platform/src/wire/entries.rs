//! The pages and entries of the last list, by the digests of their bytes: what comes again unchanged is not parsed
//! again.

use std::cell::OnceCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use foldhash::HashMap;
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

/// The newest complete list of one kind.
#[derive(Debug)]
pub struct KnownEntries<T> {
    hasher: SipHasher13,
    list: Mutex<Arc<KnownList<T>>>,
}

type KnownList<T> = Vec<Arc<KnownPage<T>>>;

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
            list: Mutex::default(),
        }
    }
}

impl<T> KnownEntries<T> {
    /// Begins to read a list.
    pub fn begin(&self) -> EntryReader<'_, T> {
        EntryReader {
            known: self,
            last: Arc::clone(&self.list.lock()),
            now: Vec::new(),
            entries: Vec::new(),
            next: (0, 0),
            places: OnceCell::new(),
        }
    }
}

/// Reads the pages and entries of one list.
pub struct EntryReader<'a, T> {
    known: &'a KnownEntries<T>,
    last: Arc<KnownList<T>>,
    now: KnownList<T>,
    /// The entries of the page that is being read.
    entries: Vec<(Digest, Arc<T>)>,
    /// The page and entry of the last list that should come next, if little has changed.
    next: (usize, usize),
    /// Where each entry of the last list is. Made when one comes that was not next.
    places: OnceCell<HashMap<Digest, (usize, usize)>>,
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
        if let Some((at, _)) = in_last {
            self.next = (at + 1, 0);
        }
        let known = in_last.map(|(_, known)| known);
        if let Some(known) = known
            .or_else(|| self.now.iter().find(|known| is_same(known)))
            .cloned()
        {
            self.now.push(Arc::clone(&known));
            return Ok(known.page());
        }
        let page = read(self)?;
        self.keep(body, &page);
        Ok(page)
    }

    /// Returns the page if `read` can read it entry by entry. Otherwise nothing of it is kept.
    pub fn page_in_order(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<Page<Arc<T>>>,
    ) -> Option<Page<Arc<T>>> {
        let begun_at = self.next;
        self.begin_page();
        let page = read(self);
        match &page {
            Some(page) => self.keep(None, page),
            None => self.next = begun_at,
        }
        page
    }

    /// Begins a page, anew if its reading failed halfway.
    pub fn begin_page(&mut self) {
        self.entries.clear();
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
        let (digest, entry) = self.at(self.next)?;
        let length = digest.length as usize;
        let (digest, entry) =
            (self.digest(rest.get(..length)?) == *digest).then(|| (*digest, Arc::clone(entry)))?;
        self.next.1 += 1;
        self.entries.push((digest, Arc::clone(&entry)));
        Some((entry, length))
    }

    /// Returns the entry with these bytes: that of the last list, or a new one. What can't be read is not kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn entry<E>(&mut self, raw: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<Arc<T>, E> {
        let digest = self.digest(raw.as_bytes());
        let entry = match self.known(&digest) {
            Some(entry) => entry,
            None => Arc::new(read(raw)?),
        };
        self.entries.push((digest, Arc::clone(&entry)));
        Ok(entry)
    }

    fn known(&mut self, digest: &Digest) -> Option<Arc<T>> {
        self.skip_read_pages();
        let is_at = |place| self.at(place).is_some_and(|(known, _)| known == digest);
        // After the one that should come next: if that one is gone, or has changed and was just read anew.
        let after = (self.next.0, self.next.1 + 1);
        let near = [self.next, after].into_iter().find(|place| is_at(*place));
        let at = match near {
            Some(at) => at,
            None => *self.places.get_or_init(|| places(&self.last)).get(digest)?,
        };
        self.next = (at.0, at.1 + 1);
        self.at(at).map(|(_, entry)| Arc::clone(entry))
    }

    /// Lets the processor fetch the entries that come next, many at a time. A count that is raised waits for its own
    /// entry alone, and of 100,000 that lie scattered in memory hardly one is in a cache: that was half of a list's time.
    fn look_ahead(&self) {
        let (page, at) = self.next;
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
            .get(self.next.0)
            .is_some_and(|page| page.entries.len() <= self.next.1)
        {
            self.next = (self.next.0 + 1, 0);
        }
    }

    /// The entry at this page and place of the last list.
    fn at(&self, (page, at): (usize, usize)) -> Option<&(Digest, Arc<T>)> {
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
    pub fn complete(self) {
        *self.known.list.lock() = Arc::new(self.now);
    }
}

fn places<T>(list: &KnownList<T>) -> HashMap<Digest, (usize, usize)> {
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

//! The entries of the last list, keyed by their bytes: an entry that reappears unchanged is not parsed again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;

/// 128 bits of two keyed hashes, whose keys nobody outside this process knows. If two different entries had
/// the same digest, one would be taken for the other, and 64 bits are too few to rule that out over years of
/// lists.
type Digest = (u64, u64);

/// The entries of the newest complete list of one kind.
#[derive(Debug)]
pub struct KnownEntries<T> {
    keys: (RandomState, RandomState),
    entries: Mutex<Arc<HashMap<Digest, Arc<T>>>>,
}

impl<T> Default for KnownEntries<T> {
    fn default() -> Self {
        Self {
            keys: Default::default(),
            entries: Mutex::default(),
        }
    }
}

impl<T> KnownEntries<T> {
    /// Begins to read a list.
    pub fn begin(&self) -> EntryReader<'_, T> {
        let last = Arc::clone(&self.entries.lock());
        EntryReader {
            known: self,
            now: HashMap::with_capacity(last.len()),
            last,
        }
    }

    fn digest(&self, raw: &str) -> Digest {
        (self.keys.0.hash_one(raw), self.keys.1.hash_one(raw))
    }
}

/// Reads the entries of one list.
pub struct EntryReader<'a, T> {
    known: &'a KnownEntries<T>,
    last: Arc<HashMap<Digest, Arc<T>>>,
    now: HashMap<Digest, Arc<T>>,
}

impl<T> EntryReader<'_, T> {
    /// Returns the entry with these bytes: that of the last list, or a new one. What cannot be read is not
    /// kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn entry<E>(&mut self, raw: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<Arc<T>, E> {
        let digest = self.known.digest(raw);
        let known = self.last.get(&digest).or_else(|| self.now.get(&digest));
        let entry = match known {
            Some(entry) => Arc::clone(entry),
            None => Arc::new(read(raw)?),
        };
        self.now.insert(digest, Arc::clone(&entry));
        Ok(entry)
    }

    /// Keeps the entries for the next list. Call this when the list is complete. If it failed partway, its
    /// entries are dropped.
    pub fn complete(self) {
        *self.known.entries.lock() = Arc::new(self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn read(known: &KnownEntries<String>, list: &[&str], parsed: &Cell<usize>) -> Vec<Arc<String>> {
        let mut reader = known.begin();
        let parse = |raw: &str| {
            parsed.set(parsed.get() + 1);
            Ok::<_, ()>(raw.to_owned())
        };
        let all = list.iter().map(|raw| reader.entry(raw, parse).unwrap()).collect();
        reader.complete();
        all
    }

    #[test]
    fn an_entry_is_parsed_when_its_bytes_have_changed() {
        let (known, parsed) = (KnownEntries::default(), Cell::new(0));
        let first = read(&known, &["a", "b", "a"], &parsed);
        assert_eq!(parsed.take(), 2);
        let second = read(&known, &["c", "a"], &parsed);
        assert_eq!(parsed.take(), 1);
        assert!(Arc::ptr_eq(&first[0], &second[1]) && *second[0] == "c");
        read(&known, &["b"], &parsed);
        assert_eq!(parsed.take(), 1, "only the last list is kept");
    }

    #[test]
    fn a_list_that_fails_in_the_middle_leaves_the_last_one() {
        let (known, parsed) = (KnownEntries::default(), Cell::new(0));
        read(&known, &["a", "b"], &parsed);
        let mut reader = known.begin();
        reader.entry("c", |_| Ok::<_, ()>("c".to_owned())).unwrap();
        assert_eq!(reader.entry("bad", |_| Err("why")), Err("why"));
        drop(reader);
        parsed.set(0);
        read(&known, &["a", "b"], &parsed);
        assert_eq!(parsed.get(), 0);
    }
}

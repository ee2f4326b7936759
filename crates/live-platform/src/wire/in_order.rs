//! Reads a list while its bytes come, so that they need not be kept: of 100,000 services they are 37 MB, which the
//! kernel hands out and takes back with each list.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::bounded::Elements;
use super::entries::EntryReader;
use super::json::Page;
use super::node::Node;

/// Reads an element of a list. Fails with a stable reason.
pub type ReadElement<'a, T> = Box<dyn FnMut(&Node<'_>) -> Result<T, &'static str> + Send + 'a>;

/// This can't be read as it comes. The reader that has all of it knows what to say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd;

/// What should come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The byte order mark, or the list.
    Mark,
    List,
    FirstObject,
    Object,
    /// A comma, or the end of the list.
    Comma,
    Nothing,
    /// Nothing that can be read: it was odd.
    Never,
}

/// Reads a plain list of objects. Of those that come as in the last list it looks at the bytes once, to hash them.
pub struct InOrder<'a, 'k, T> {
    entries: &'a mut EntryReader<'k, T>,
    wanted: &'a [&'a str],
    read: ReadElement<'a, T>,
    page: Page<Arc<T>>,
    next: Awaited,
    /// The beginning of an object whose end has not come.
    begun: Vec<u8>,
    /// How many bytes of it must be there before it is looked at again.
    enough: usize,
}

impl<'a, 'k, T> InOrder<'a, 'k, T> {
    /// Begins a page. Only the `wanted` fields of each object are kept, in any case.
    pub fn new(entries: &'a mut EntryReader<'k, T>, wanted: &'a [&'a str], read: ReadElement<'a, T>) -> Self {
        entries.begin_page();
        Self {
            entries,
            wanted,
            read,
            page: Page::default(),
            next: Awaited::Mark,
            begun: Vec::new(),
            enough: 0,
        }
    }

    /// Begins the same page again: it came in part, and now comes anew.
    pub fn restart(&mut self) {
        self.entries.restart_page();
        self.page = Page::default();
        self.next = Awaited::Mark;
        self.begun.clear();
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Odd`], also for bytes that are no JSON.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Odd> {
        let taken = self.more(bytes);
        if taken.is_err() {
            self.next = Awaited::Never;
        }
        taken
    }

    fn more(&mut self, mut bytes: &[u8]) -> Result<(), Odd> {
        while !self.begun.is_empty() {
            let before = self.begun.len();
            let missing = self.enough.saturating_sub(before).max(1);
            let Some((more, after)) = bytes.split_at_checked(missing) else {
                self.begun.extend_from_slice(bytes);
                return Ok(());
            };
            self.begun.extend_from_slice(more);
            let mut begun = std::mem::take(&mut self.begun);
            let read = self.objects(&begun, false)?;
            if let Some(of_bytes) = read.checked_sub(before) {
                begun.clear();
                bytes = bytes.get(of_bytes..).unwrap_or_default();
            } else {
                begun.drain(..read);
                bytes = after;
            }
            let is_read = begun.is_empty();
            self.begun = begun;
            if is_read {
                break;
            }
        }
        let read = self.objects(bytes, false)?;
        self.begun
            .extend_from_slice(bytes.get(read..).unwrap_or_default());
        Ok(())
    }

    /// Ends the page, and returns it.
    ///
    /// # Errors
    /// [`Odd`], also if the list has not come to its end. Then nothing of the page is kept.
    pub fn end(mut self) -> Result<Page<Arc<T>>, Odd> {
        let begun = std::mem::take(&mut self.begun);
        let read = self.objects(&begun, true);
        if read == Ok(begun.len()) && self.next == Awaited::Nothing {
            self.entries.keep_page(&self.page);
            return Ok(self.page);
        }
        self.entries.restart_page();
        Err(Odd)
    }

    /// Reads what has come whole, and returns how many bytes that is. `is_all` says that no more will come.
    fn objects(&mut self, bytes: &[u8], is_all: bool) -> Result<usize, Odd> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut rest = bytes;
        if self.next == Awaited::Mark && !rest.is_empty() {
            if rest.len() < MARK.len() && MARK.starts_with(rest) && !is_all {
                self.enough = MARK.len();
                return Ok(0);
            }
            rest = rest.strip_prefix(MARK).unwrap_or(rest);
            self.next = Awaited::List;
        }
        loop {
            rest = after_blanks(rest);
            let Some(first) = rest.first() else {
                return Ok(bytes.len());
            };
            let (length, next) = match (self.next, first) {
                (Awaited::List, b'[') => (1, Awaited::FirstObject),
                (Awaited::FirstObject | Awaited::Object, b'{') => match self.object(rest, is_all)? {
                    Some(length) => (length, Awaited::Comma),
                    None => return Ok(bytes.len() - rest.len()),
                },
                (Awaited::Comma, b',') => (1, Awaited::Object),
                (Awaited::FirstObject | Awaited::Comma, b']') => (1, Awaited::Nothing),
                _ => return Err(Odd),
            };
            (rest, self.next) = (rest.get(length..).ok_or(Odd)?, next);
        }
    }

    /// Reads the object that `rest` begins with, and returns its length; `None` if its end has not come.
    fn object(&mut self, rest: &[u8], is_all: bool) -> Result<Option<usize>, Odd> {
        if let Some((item, length)) = self.entries.next_in(rest) {
            self.page.elements += 1;
            self.page.items.push(item);
            return Ok(Some(length));
        }
        // It may be the one that should come next.
        let expected = self.entries.next_length();
        if expected > rest.len() && !is_all {
            self.enough = expected;
            return Ok(None);
        }
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let raw = match values.next() {
            Some(Ok(raw)) => raw,
            Some(Err(error)) if error.is_eof() && !is_all => {
                // Not with each few bytes that come: that would take the square of its length.
                self.enough = rest.len() * 2;
                return Ok(None);
            }
            _ => return Err(Odd),
        };
        let mut elements = Elements {
            wanted: self.wanted,
            entries: &mut *self.entries,
            read: &mut *self.read,
            page: &mut self.page,
            fault: &mut None,
            nested: false,
        };
        elements.object(raw.get()).map_err(|_| Odd)?;
        Ok(Some(values.byte_offset()))
    }
}

/// What follows the blanks of JSON.
fn after_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    bytes.get(blanks..).unwrap_or_default()
}

//! Decides which page to request next and when to stop. Pure.

use std::hash::Hash;

use foldhash::HashSet;

use crate::wire::json::Page;

/// A list, put together from all its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The elements, each once.
    pub items: Vec<T>,
    /// How many elements could not be read. While this is not 0, an element missing from `items` may still
    /// exist.
    pub unreadable: usize,
    /// Why the first of those could not be read. Stable, such as `has no tenantId that is a GUID`.
    pub why: Option<&'static str>,
    /// How many pages were requested.
    pub pages: u32,
}

impl<T> Listed<T> {
    pub(crate) fn of(page: Page<T>) -> Self {
        Self {
            items: page.items,
            unreadable: page.unreadable,
            why: page.why,
            pages: 1,
        }
    }
}

/// Beyond these limits a list counts as endless.
const MOST_PAGES: u32 = 1_000;
const MOST_ITEMS: usize = 1_000_000;

/// The page sizes that the vendor's pages give as defaults (platform-facts.md 1.3). A server that ignores
/// `PageSize` returns a first page of exactly this length, so that length does not prove that the list is
/// over.
const DEFAULTS: [usize; 3] = [10, 100, 200];

/// The number a server counts its pages from (C-12: the vendor's pages say both 0 and 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FirstPage {
    /// Unknown: not found out yet, or impossible to find out because the list is empty.
    #[default]
    Unknown,
    /// From 1, as the newer page says.
    One,
    /// From 0: page 0 holds what page 1 does not.
    Zero,
}

/// Requests pages from 1 on until one is short or brings nothing new (C-12). Then it requests page 0, unless
/// the server is known to count from 1. If page 0 brings something new, the server counts from 0, and the
/// list would have lacked its first page.
pub(crate) struct Pager<T, K> {
    size: usize,
    key: fn(&T) -> K,
    /// The keys of what is listed; `None` while each page brought only new ones.
    seen: Option<HashSet<K>>,
    listed: Listed<T>,
    next: Option<u32>,
    first: FirstPage,
}

/// The error for a list that does not end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endless;

impl<T, K: Eq + Hash> Pager<T, K> {
    pub(crate) fn new(size: u32, first: FirstPage, key: fn(&T) -> K) -> Self {
        let listed = Listed {
            items: Vec::new(),
            unreadable: 0,
            why: None,
            pages: 0,
        };
        Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            key,
            seen: None,
            listed,
            next: Some(1),
            first,
        }
    }

    /// The number of the next page to request; `None` when the list is complete.
    pub(crate) fn next(&self) -> Option<u32> {
        self.next
    }

    /// Takes the requested page. `each_once` says that each element of it and of all pages before came once.
    pub(crate) fn take(&mut self, page: Page<T>, each_once: bool) -> Result<(), Endless> {
        let Some(number) = self.next else { return Ok(()) };
        self.listed.pages += 1;
        let known = self.listed.items.len();
        if each_once && self.seen.is_none() {
            self.listed.items.extend(page.items);
        } else {
            let (key, items) = (self.key, &mut self.listed.items);
            let seen = self.seen.get_or_insert_with(|| items.iter().map(key).collect());
            items.extend(page.items.into_iter().filter(|item| seen.insert(key(item))));
        }
        let new = self.listed.items.len() > known;
        if new || known == 0 {
            self.listed.unreadable += page.unreadable;
            self.listed.why = self.listed.why.or(page.why);
        }
        if number == 0 {
            self.first = match (new, known) {
                (true, _) => FirstPage::Zero,
                (false, 0) => FirstPage::Unknown,
                (false, _) => FirstPage::One,
            };
            self.next = None;
            return Ok(());
        }
        if number == 1 && DEFAULTS.contains(&page.elements) {
            self.size = self.size.min(page.elements);
        }
        let more = new && page.elements >= self.size;
        self.next = match (more, self.first) {
            (true, _) => Some(number + 1),
            (false, FirstPage::One) => None,
            (false, _) => Some(0),
        };
        if more && (self.listed.pages >= MOST_PAGES || self.listed.items.len() > MOST_ITEMS) {
            Err(Endless)
        } else {
            Ok(())
        }
    }

    /// Handles a refusal of page 0 with this status. A server that counts from 1 may not have that page, or
    /// may fail on it (a 500, for a negative offset; accepted for now and tried again with the next list).
    /// Returns `false` when that does not explain the status, so the list has failed.
    pub(crate) fn refused(&mut self, status: Option<u16>) -> bool {
        if self.next != Some(0) || self.first == FirstPage::Zero {
            return false;
        }
        self.first = match status {
            Some(400 | 404 | 416 | 422) => FirstPage::One,
            Some(500) => FirstPage::Unknown,
            _ => return false,
        };
        self.listed.pages += 1;
        self.next = None;
        true
    }

    /// The complete list, and what was found out about the server.
    pub(crate) fn done(self) -> (Listed<T>, FirstPage) {
        (self.listed, self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: impl IntoIterator<Item = u32>) -> Page<u32> {
        let items: Vec<u32> = items.into_iter().collect();
        Page {
            elements: items.len(),
            items,
            unreadable: 0,
            why: None,
        }
    }

    /// Lists all that a server has. Returns how much was listed, the pages requested, and what was found out: the same
    /// whether it is proven that elements came once, or not.
    fn ask(
        size: u32,
        first: FirstPage,
        server: impl Fn(u32, u32) -> Page<u32>,
    ) -> (Result<usize, Endless>, Vec<u32>, FirstPage) {
        let asked = ask_if(true, size, first, &server);
        assert_eq!(ask_if(false, size, first, &server), asked);
        asked
    }

    fn ask_if(
        is_proven: bool,
        size: u32,
        first: FirstPage,
        server: impl Fn(u32, u32) -> Page<u32>,
    ) -> (Result<usize, Endless>, Vec<u32>, FirstPage) {
        let (mut seen, mut each_once) = (HashSet::default(), is_proven);
        let mut pager = Pager::new(size, first, |n: &u32| *n);
        let mut asked = Vec::new();
        while let Some(number) = pager.next() {
            asked.push(number);
            let page = server(number, size);
            each_once &= page.items.iter().all(|item| seen.insert(*item));
            if pager.take(page, each_once).is_err() {
                return (Err(Endless), asked, first);
            }
        }
        let (listed, first) = pager.done();
        (Ok(listed.items.len()), asked, first)
    }

    fn zero_based(total: u32) -> impl Fn(u32, u32) -> Page<u32> {
        move |number, size| page((number * size).min(total)..((number + 1) * size).min(total))
    }

    fn one_based(total: u32) -> impl Fn(u32, u32) -> Page<u32> {
        move |number, size| zero_based(total)(number.max(1) - 1, size)
    }

    #[test]
    fn stops_on_a_short_page() {
        assert_eq!(
            ask(3, FirstPage::One, one_based(7)),
            (Ok(7), vec![1, 2, 3], FirstPage::One)
        );
        assert_eq!(
            ask(3, FirstPage::One, one_based(2)),
            (Ok(2), vec![1], FirstPage::One)
        );
        assert_eq!(
            ask(3, FirstPage::One, one_based(0)),
            (Ok(0), vec![1], FirstPage::One)
        );
    }

    #[test]
    fn stops_when_nothing_new_comes() {
        assert_eq!(
            ask(3, FirstPage::One, one_based(6)),
            (Ok(6), vec![1, 2, 3], FirstPage::One)
        );
        // The server always returns the same page.
        assert_eq!(
            ask(3, FirstPage::Unknown, |_, _| page(0..3)),
            (Ok(3), vec![1, 2, 0], FirstPage::One)
        );
        // The server ignores paging and returns everything.
        assert_eq!(
            ask(3, FirstPage::One, |_, _| page(0..50)),
            (Ok(50), vec![1, 2], FirstPage::One)
        );
    }

    #[test]
    fn a_server_that_overlooks_the_size_is_asked_on() {
        assert_eq!(
            ask(1000, FirstPage::One, |number, _| one_based(25)(number, 10)),
            (Ok(25), vec![1, 2, 3], FirstPage::One)
        );
        assert_eq!(
            ask(1000, FirstPage::One, |number, _| one_based(10)(number, 10)),
            (Ok(10), vec![1, 2], FirstPage::One)
        );
    }

    #[test]
    fn from_which_number_a_server_counts_is_found_out_once() {
        assert_eq!(
            ask(3, FirstPage::Unknown, one_based(5)),
            (Ok(5), vec![1, 2, 0], FirstPage::One)
        );
        assert_eq!(
            ask(3, FirstPage::Unknown, one_based(0)),
            (Ok(0), vec![1, 0], FirstPage::Unknown)
        );
        for total in [1, 3, 5, 7, 9] {
            let (listed, asked, first) = ask(3, FirstPage::Unknown, zero_based(total));
            assert_eq!(
                (listed, asked.last(), first),
                (Ok(total as usize), Some(&0), FirstPage::Zero)
            );
            assert_eq!(ask(3, FirstPage::Zero, zero_based(total)).0, Ok(total as usize));
        }
        // A wrong conclusion, after a change in the middle of a list, is corrected with the next list.
        assert_eq!(
            ask(3, FirstPage::Zero, one_based(5)),
            (Ok(5), vec![1, 2, 0], FirstPage::One)
        );
        let mut pager = Pager::new(3, FirstPage::Zero, |n: &u32| *n);
        pager.take(page(0..2), false).unwrap();
        assert!(!pager.refused(Some(500)), "it is known to be there");
        let mut pager = Pager::new(3, FirstPage::Unknown, |n: &u32| *n);
        assert!(!pager.refused(Some(400)), "page 1 must be there");
        pager.take(page(0..2), false).unwrap();
        assert!(
            !pager.refused(Some(503)) && !pager.refused(None),
            "no reason to lack a page"
        );
        assert!(pager.refused(Some(400)));
        assert_eq!((pager.next(), pager.done().1), (None, FirstPage::One));
    }

    #[test]
    fn an_endless_list_is_left() {
        let (result, asked, _) = ask(1, FirstPage::One, |number, _| page([number]));
        assert_eq!(result, Err(Endless));
        assert_eq!(asked.len(), 1000);
    }

    #[test]
    fn a_repeated_page_counts_its_unreadable_once() {
        let mut pager = Pager::new(2, FirstPage::Unknown, |n: &u32| *n);
        while pager.next().is_some() {
            pager
                .take(
                    Page {
                        items: vec![1],
                        elements: 2,
                        unreadable: 1,
                        why: Some("w"),
                    },
                    false,
                )
                .unwrap();
        }
        assert_eq!(
            pager.done().0,
            Listed {
                items: vec![1],
                unreadable: 1,
                why: Some("w"),
                pages: 3
            }
        );
    }
}

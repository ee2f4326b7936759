//! Reads untrusted JSON: without regard to case, one list element at a time, with a bound on what is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::bounded::{Bounded, Elements};
use super::entries::EntryReader;
use super::in_order::{InOrder, Odd};
use super::node::Node;
use serde::de::DeserializeSeed;

/// How many values of one small answer are kept.
const ANSWER: usize = 20_000;

/// Why bytes are not the expected JSON. The texts are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// A web page instead of JSON.
    #[error("it is a web page instead of JSON")]
    Page,
    /// The body ends too early.
    #[error("it is cut off")]
    CutOff,
    /// Nested over 128 levels deep, and cut off there.
    #[error("it is nested too deeply")]
    TooDeep,
    /// Any other text that is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// JSON, but not an array.
    #[error("it is not a list")]
    NotAList,
    /// JSON that lacks a required part.
    #[error("it lacks {0}")]
    Lacks(&'static str),
}

/// The content of one page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The elements that could be read.
    pub items: Vec<T>,
    /// How many elements there were.
    pub elements: usize,
    /// How many of them could not be read.
    pub unreadable: usize,
    /// Why the first of those could not be read.
    pub why: Option<&'static str>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            elements: 0,
            unreadable: 0,
            why: None,
        }
    }
}

/// What a list is of.
#[derive(Debug)]
pub struct ListKind<T> {
    /// The fields that are kept of each element, in any case.
    pub wanted: &'static [&'static str],
    /// Reads an element. Fails with a stable reason.
    pub read: fn(&Node<'_>) -> Result<T, &'static str>,
}

impl<T> ListKind<T> {
    /// Begins to read a page while it comes.
    pub fn begin<'a, 'k>(&self, entries: &'a mut EntryReader<'k, T>) -> InOrder<'a, 'k, T> {
        InOrder::new(entries, self.wanted, Box::new(self.read))
    }

    /// Reads a page that has come whole.
    ///
    /// # Errors
    /// When it is not a JSON array.
    pub fn read_whole(
        &self,
        body: &[u8],
        entries: &mut EntryReader<'_, T>,
    ) -> Result<Page<Arc<T>>, Malformed> {
        list(body, self.wanted, entries, &mut |element| (self.read)(element))
    }
}

/// Reads a list element by element. Keeps only the `wanted` fields of each, in any case. Flattens one nested
/// level (C-13). A list or an element whose bytes `entries` knows is not parsed again; while the objects of a plain
/// list come as in the last one, only their bytes are hashed.
///
/// # Errors
/// When the body is not a JSON array, even after small faults were repaired. An element that cannot be read
/// is counted and is not an error.
pub fn list<T>(
    body: &[u8],
    wanted: &[&str],
    entries: &mut EntryReader<'_, T>,
    read: &mut (dyn FnMut(&Node<'_>) -> Result<T, &'static str> + Send),
) -> Result<Page<Arc<T>>, Malformed> {
    match in_order(body, wanted, entries, read) {
        Ok(page) => Ok(page),
        Err(Odd) => entries.page(body, |entries| parsed(body, wanted, entries, read)),
    }
}

fn in_order<T>(
    body: &[u8],
    wanted: &[&str],
    entries: &mut EntryReader<'_, T>,
    read: &mut (dyn FnMut(&Node<'_>) -> Result<T, &'static str> + Send),
) -> Result<Page<Arc<T>>, Odd> {
    let mut list = InOrder::new(entries, wanted, Box::new(|element| read(element)));
    let taken = list.take(body);
    let page = list.end();
    taken.and(page)
}

fn parsed<T>(
    body: &[u8],
    wanted: &[&str],
    entries: &mut EntryReader<'_, T>,
    read: &mut (dyn FnMut(&Node<'_>) -> Result<T, &'static str> + Send),
) -> Result<Page<Arc<T>>, Malformed> {
    mended(checked(body)?, |body| {
        entries.restart_page();
        let mut page = Page::default();
        let mut fault = None;
        let mut reader = serde_json::Deserializer::from_slice(body);
        let elements = Elements {
            wanted,
            entries: &mut *entries,
            read: &mut *read,
            page: &mut page,
            fault: &mut fault,
            nested: false,
        };
        let done = elements.deserialize(&mut reader).and_then(|()| reader.end());
        match (done, fault) {
            (Ok(()), _) => Ok(page),
            (Err(_), Some(fault)) => Err(fault),
            (Err(error), None) => Err(malformed(&error, Malformed::NotAList)),
        }
    })
}

/// Reads an answer that is not a list.
///
/// # Errors
/// When it is not JSON.
pub fn value(body: &[u8]) -> Result<Node<'_>, Malformed> {
    let body = checked(body)?;
    match as_it_came(body) {
        Err(why @ (Malformed::NotJson | Malformed::TooDeep)) => {
            super::repair::repaired(body).map_or(Err(why), |body| as_it_came(&body).map(Node::into_owned))
        }
        other => other,
    }
}

fn as_it_came(body: &[u8]) -> Result<Node<'_>, Malformed> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Bounded(&Cell::new(ANSWER))
        .deserialize(&mut reader)
        .map_err(|error| malformed(&error, Malformed::NotJson))?;
    reader
        .end()
        .map_err(|error| malformed(&error, Malformed::NotJson))?;
    Ok(value)
}

/// Reads an answer as it came. If the reader rejects it, repairs small faults and reads again, so that a
/// sound answer costs no copy.
pub(super) fn mended<T>(
    body: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    match read(body) {
        Err(why @ (Malformed::NotJson | Malformed::TooDeep)) => {
            super::repair::repaired(body).map_or(Err(why), |body| read(&body))
        }
        other => other,
    }
}

/// Strips the byte order mark.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn checked(body: &[u8]) -> Result<&[u8], Malformed> {
    let body = without_mark(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Malformed::Empty);
    }
    if super::is_page(body) {
        return Err(Malformed::Page);
    }
    Ok(body)
}

pub(super) fn malformed(error: &serde_json::Error, shape: Malformed) -> Malformed {
    match error.classify() {
        serde_json::error::Category::Eof => Malformed::CutOff,
        serde_json::error::Category::Data => shape,
        _ if error.to_string().contains("recursion limit") => Malformed::TooDeep,
        _ => Malformed::NotJson,
    }
}

/// Returns the value of a field. The exact name is preferred, then the name in any case; null counts as
/// missing.
pub fn field<'v, 'a>(value: &'v Node<'a>, name: &str) -> Option<&'v Node<'a>> {
    match value {
        Node::Object(fields) => fields.get(name),
        _ => None,
    }
}

/// Returns a text, trimmed and bounded to `most` characters. A number gives its digits; an empty text gives
/// `None`.
pub fn text<'v>(value: &'v Node<'_>, name: &str, most: usize) -> Option<Cow<'v, str>> {
    let text = match field(value, name)? {
        Node::Text(text) => Cow::Borrowed(text.trim()),
        Node::Number(number) => Cow::Owned(number.to_string()),
        _ => return None,
    };
    (!text.is_empty()).then(|| crate::text::bounded(text, most))
}

/// Returns a whole number. Digits in a text count, and so does `3.0`.
pub fn integer(value: &Node<'_>, name: &str) -> Option<i64> {
    match field(value, name)? {
        Node::Number(number) => number.as_i64().or_else(|| {
            number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() < 9e15)
                .map(|n| n as i64)
        }),
        Node::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns a boolean, also from a text or from 0 and 1.
pub fn boolean(value: &Node<'_>, name: &str) -> Option<bool> {
    match field(value, name)? {
        Node::Bool(yes) => Some(*yes),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        Node::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// Returns a GUID, normalized by [`super::guid`].
pub fn guid(value: &Node<'_>, name: &str) -> Option<super::GuidText> {
    super::guid(field(value, name)?.as_str()?)
}

/// Returns an id of the Operation Center: a positive whole number. 0 means none.
pub fn id(value: &Node<'_>, name: &str) -> Option<i64> {
    integer(value, name).filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::super::bounded::{ELEMENT, TEXT};
    use super::super::entries::KnownEntries;
    use super::*;
    use proptest::{collection, option, prelude::*};

    /// Reads a list of which no entry is known, and again when all are: both must say the same.
    fn list<T: PartialEq + std::fmt::Debug>(
        body: &[u8],
        wanted: &[&str],
        read: &mut (dyn FnMut(&Node<'_>) -> Result<T, &'static str> + Send),
    ) -> Result<Page<Arc<T>>, Malformed> {
        let known = KnownEntries::default();
        let mut once = || {
            let mut entries = known.begin();
            let page = super::list(body, wanted, &mut entries, read);
            entries.complete();
            page
        };
        let first = once();
        assert_eq!(once(), first);
        first
    }

    /// Elements, what stands between them, and what stands around them. The first few make a plain list of objects.
    const ELEMENTS: [&str; 10] = [
        r#"{"n":1}"#,
        r#"{ "N" : 2 }"#,
        r#"{"n":"3","x":[{}]}"#,
        r#"{"m":"no n"}"#,
        "null",
        r#""{}""#,
        r#"[{"n":5}]"#,
        r#"{"n":NaN}"#,
        r#"{"n":6"#,
        "{\"n\":\"\x0c\"}",
    ];
    const BETWEEN: [&str; 4] = [",", " ,\n\t", "\x0c,", ",,"];
    const AROUND: [(&str, &str); 5] = [
        ("[", "]"),
        ("\u{feff} [ ", " ] \r\n"),
        ("[", "]]"),
        ("[", ""),
        ("", "]"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        /// The reader that takes the bytes while they come is as the one that parses all, whatever the last list was.
        #[test]
        fn a_list_in_order_reads_as_any_other(
            lists in collection::vec((collection::vec(0..4_usize, 0..8), option::of(4..10_usize)), 1..6),
            between in 0..4_usize,
            around in 0..5_usize,
            lengths in collection::vec(1..40_usize, 1..9),
        ) {
            let known = KnownEntries::default();
            let read = &mut |value: &Node<'_>| integer(value, "n").ok_or("has no n");
            for (list, odd) in lists {
                let elements: Vec<_> = list.into_iter().chain(odd).map(|at| ELEMENTS[at]).collect();
                let (begin, end) = AROUND[around];
                let body = [begin, &elements.join(BETWEEN[between]), end].concat();
                let anew = parsed(body.as_bytes(), &["n"], &mut KnownEntries::default().begin(), read);
                let mut entries = known.begin();
                let mut page = InOrder::new(&mut entries, &["n"], Box::new(&mut *read));
                // A first answer that breaks off.
                let _ = page.take(&body.as_bytes()[..body.len() / 2]);
                page.restart();
                let mut rest = body.as_bytes();
                for length in lengths.iter().cycle() {
                    let (bytes, after) = rest.split_at(rest.len().min(*length));
                    rest = after;
                    if page.take(bytes).is_err() || rest.is_empty() {
                        break;
                    }
                }
                let page = page.end();
                entries.complete();
                let is_plain = odd.is_none() && (between < 2 || elements.len() < 2) && around < 2;
                prop_assert_eq!(page.is_ok(), is_plain, "{}", body);
                if is_plain {
                    prop_assert_eq!(page.map_err(|Odd| Malformed::NotAList), anew);
                }
            }
        }
    }

    fn numbers(body: &str) -> Result<Page<Arc<i64>>, Malformed> {
        list(body.as_bytes(), &["n"], &mut |value| {
            integer(value, "n").ok_or("has no n")
        })
    }

    #[test]
    fn lists_are_read_element_by_element() {
        let page = numbers(r#"[{"N":1,"x":[[[{}]]]},[{"n":"2"}],null,7,"t",{"m":1},[[{"n":3}]]]"#).unwrap();
        assert_eq!(
            page,
            Page {
                items: vec![Arc::new(1), Arc::new(2)],
                elements: 7,
                unreadable: 5,
                why: Some("is not an object")
            }
        );
        assert_eq!(numbers("[]").unwrap().elements, 0);
        assert_eq!(numbers("\u{feff} [[]]").unwrap().elements, 0);
    }

    #[test]
    fn malformed_answers_have_names() {
        let deep = "[".repeat(100_000);
        let deep_field = format!("[{{\"n\":{}", "[".repeat(100_000));
        for (body, want) in [
            ("", Malformed::Empty),
            (" \r\n", Malformed::Empty),
            ("<!doctype html>", Malformed::Page),
            ("[{\"n\":1}", Malformed::CutOff),
            ("[{\"n\":1", Malformed::CutOff),
            ("{\"n\":1}", Malformed::NotAList),
            ("\"text\"", Malformed::NotAList),
            ("null", Malformed::NotAList),
            ("1", Malformed::NotAList),
            ("hello", Malformed::NotJson),
            ("[] []", Malformed::NotJson),
            (deep_field.as_str(), Malformed::CutOff),
        ] {
            assert_eq!(numbers(body), Err(want), "{:.20}", body);
        }
        assert!(numbers(&deep).is_err());
        assert_eq!(value("{\"a\":".repeat(1000).as_bytes()), Err(Malformed::TooDeep));
    }

    type Texts = Page<Arc<(i64, Option<String>)>>;

    fn texts(body: &[u8]) -> Result<Texts, Malformed> {
        list(body, &["id", "n"], &mut |value| {
            let id = integer(value, "id").ok_or("has no id")?;
            Ok((id, text(value, "n", 99).map(Cow::into_owned)))
        })
    }

    #[test]
    fn one_bad_entry_costs_one_entry() {
        let deep = ["[", "{\"]\\\"}\": "]
            .map(|open| open.repeat(5_000) + "\"}\"" + &if open == "[" { "]" } else { "}" }.repeat(5_000));
        let cases: [(&[u8], Option<&str>); 22] = [
            (deep[0].as_bytes(), None),
            (deep[1].as_bytes(), None),
            (b"\"Caf\xe9 1\"", Some("Caf\u{fffd} 1")),
            (b"\"\xff\"", Some("\u{fffd}")),
            (b"\"\xf0\x9f\x98\"", Some("\u{fffd}\u{fffd}\u{fffd}")),
            ("\"Café 😀\x07\"".as_bytes(), Some("Café 😀")),
            (br#""Cut \ud83d""#, Some("Cut \u{fffd}")),
            (br#""x \udc00 y""#, Some("x \u{fffd} y")),
            (br#""\ud83d\ud83d\ude00""#, Some("\u{fffd}😀")),
            (br#""\ud83dx\u00e9""#, Some("\u{fffd}xé")),
            (br#""It\'s \u12 and \x41""#, Some("It's u12 and x41")),
            (b"\"a\tb\"", Some("a b")),
            (b"\"a\r\nb\"", Some("a  b")),
            (b"\"a\0b\"", Some("a b")),
            (b"NaN", None),
            (b"-Infinity", None),
            (b"1e400", None),
            (b"-1E+4000", None),
            (b"undefined", None),
            (b"007", None),
            (b"+5", None),
            (br#"{"x": [NaN, "\ud83d"]}"#, None),
        ];
        for (bad, want) in cases {
            for (before, after) in [
                (&b"{\"n\":"[..], &b",\"id\":2}"[..]),
                (b"{\"id\":2,\"n\":", b"}"),
                (b"{\"other\":", b",\"id\":2}"),
            ] {
                let want = want.filter(|_| !before.starts_with(b"{\"other"));
                costs_no_other_entry(&[before, bad, after].concat(), want);
            }
        }
        // A fault in the required field makes the whole entry unreadable.
        let long = "9".repeat(400);
        for bad in [
            &b"NaN"[..],
            b"1e400",
            b"\"\xff\"",
            br#""\ud83d""#,
            long.as_bytes(),
        ] {
            let body = [b"[{\"id\":1},{\"id\":", bad, b"},{\"id\":3}]"].concat();
            let page = texts(&body).unwrap();
            assert_eq!(
                (page.items.len(), page.elements, page.unreadable, page.why),
                (2, 3, 1, Some("has no id"))
            );
        }
        // Worse faults, and bodies that are not JSON, keep their error.
        for (body, want) in [
            (&b"[{\"n\":\"\xff"[..], Malformed::CutOff),
            (b"[{\"n\":NaN", Malformed::CutOff),
            (b"NaN", Malformed::NotJson),
            (b"[1} \xff", Malformed::NotJson),
        ] {
            assert_eq!(texts(body), Err(want), "{}", String::from_utf8_lossy(body));
        }
    }

    /// Asserts that the entry, between two good ones, is read as id 2 with this text.
    fn costs_no_other_entry(entry: &[u8], want: Option<&str>) {
        let body = [b"[{\"id\":1,\"n\":\"one\"},", entry, b",{\"id\":3,\"n\":1.5e3}]"].concat();
        let page = texts(&body).unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&body)));
        let want = [
            (1, Some("one".to_owned())),
            (2, want.map(str::to_owned)),
            (3, Some("1500.0".to_owned())),
        ]
        .map(Arc::new)
        .to_vec();
        assert_eq!(
            (page.items, page.unreadable),
            (want, 0),
            "{:.200}",
            String::from_utf8_lossy(&body)
        );
    }

    #[test]
    fn what_is_well_is_read_once_and_where_it_lies() {
        let body = format!(
            "[{}]",
            vec![r#"{"n":"Caf\u00e9 \ud83d\ude00 é","id":1e30}"#; 1000].join(",")
        );
        let mut seen = Vec::new();
        mended(body.as_bytes(), |body| {
            seen.push(body.as_ptr());
            list(body, &["n"], &mut |_| Ok(())).map(|page| page.elements)
        })
        .unwrap();
        assert_eq!(seen, [body.as_ptr()]);
        assert_eq!(super::super::repair::repaired(body.as_bytes()), None);
        // A body that is bad throughout grows by no more than its bound.
        let bad = [b"[\"", &[0xff; 1 << 20][..], b"\"]"].concat();
        assert!(super::super::repair::repaired(&bad).unwrap().len() <= bad.len() + (64 << 10));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let body = format!("[{{\"n\":[{}0]}}]", "0,".repeat(1_000_000));
        let page = list(body.as_bytes(), &["n"], &mut |value| {
            Ok(field(value, "n").and_then(Node::as_list).map(<[Node<'_>]>::len))
        })
        .unwrap();
        assert!((*page.items[0]).unwrap() <= ELEMENT);
        let body = format!("\"{}\"", "ä".repeat(100_000));
        let long = value(body.as_bytes()).unwrap();
        assert_eq!(long.as_str().unwrap().len(), TEXT);
    }

    #[test]
    fn values_are_read_tolerantly() {
        let body = serde_json::json!({"A": null, "a": "5", "b": 7.0, "c": "true", "d": 1, "e": 0, "f": -3, "g": 1e300, "h": " x ", "i": 12}).to_string();
        let value = value(body.as_bytes()).unwrap();
        assert_eq!(integer(&value, "A"), Some(5));
        assert_eq!(integer(&value, "b"), Some(7));
        assert_eq!(boolean(&value, "c"), Some(true));
        assert_eq!(boolean(&value, "D"), Some(true));
        assert_eq!(id(&value, "e"), None);
        assert_eq!(id(&value, "f"), None);
        assert_eq!(integer(&value, "g"), None);
        assert_eq!(text(&value, "h", 9).as_deref(), Some("x"));
        assert_eq!(text(&value, "i", 9).as_deref(), Some("12"));
    }
}

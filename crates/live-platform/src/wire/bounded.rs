//! The serde visitors behind [`super::json`]: one list element at a time, with a bound on what is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::entries::EntryReader;
use super::json::{self, Malformed, Page};
use super::node::{self, Node, NodeName};

/// How many values of one list element are kept. The rest is read and dropped.
pub(super) const ELEMENT: usize = 2_000;
/// How many bytes of one text are kept.
pub(super) const TEXT: usize = 4_096;

pub(super) struct Elements<'a, 'k, T> {
    pub(super) wanted: &'a [&'a str],
    pub(super) entries: &'a mut EntryReader<'k, T>,
    pub(super) read: &'a mut dyn FnMut(&Node<'_>) -> Result<T, &'static str>,
    pub(super) page: &'a mut Page<Arc<T>>,
    /// Why an element is not JSON, where the scan that finds its end overlooks it.
    pub(super) fault: &'a mut Option<Malformed>,
    pub(super) nested: bool,
}

impl<'de, T> DeserializeSeed<'de> for Elements<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, T> Visitor<'de> for Elements<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        while let Some(raw) = access.next_element::<&RawValue>()? {
            if let Err(fault) = self.element(raw.get()) {
                *self.fault = Some(fault);
                return Err(A::Error::custom(fault));
            }
        }
        Ok(())
    }
}

impl<T> Elements<'_, '_, T> {
    fn item(&mut self, item: Arc<T>) {
        self.page.elements += 1;
        self.page.items.push(item);
    }

    fn element(&mut self, raw: &str) -> Result<(), Malformed> {
        match raw.bytes().next() {
            Some(b'{') => self.object(raw),
            Some(b'[') if !self.nested => self.inner(raw),
            _ => {
                let read = serde_json::from_str::<IgnoredAny>(raw);
                read.map_err(|error| json::malformed(&error, Malformed::NotJson))?;
                self.unreadable("is not an object");
                Ok(())
            }
        }
    }

    /// Reads the elements of a list within the list.
    fn inner(&mut self, raw: &str) -> Result<(), Malformed> {
        let inner = Elements {
            wanted: self.wanted,
            entries: &mut *self.entries,
            read: &mut *self.read,
            page: &mut *self.page,
            fault: &mut *self.fault,
            nested: true,
        };
        let done = inner.deserialize(&mut serde_json::Deserializer::from_str(raw));
        done.map_err(|error| {
            self.fault
                .take()
                .unwrap_or_else(|| json::malformed(&error, Malformed::NotJson))
        })
    }

    pub(super) fn object(&mut self, raw: &str) -> Result<(), Malformed> {
        let (wanted, read) = (self.wanted, &mut *self.read);
        let entry = self.entries.entry(raw, |raw| {
            let kept = Fields(wanted)
                .deserialize(&mut serde_json::Deserializer::from_str(raw))
                .map_err(|error| EntryFault::Malformed(json::malformed(&error, Malformed::NotJson)))?;
            read(&Node::Object(kept)).map_err(EntryFault::Lacks)
        });
        match entry {
            Ok(item) => self.item(item),
            Err(EntryFault::Lacks(why)) => self.unreadable(why),
            Err(EntryFault::Malformed(fault)) => return Err(fault),
        }
        Ok(())
    }

    fn unreadable(&mut self, why: &'static str) {
        self.page.elements += 1;
        self.page.unreadable += 1;
        self.page.why.get_or_insert(why);
    }
}

enum EntryFault {
    /// It is not JSON.
    Malformed(Malformed),
    /// It lacks what an entry must have.
    Lacks(&'static str),
}

/// The wanted fields of an object.
struct Fields<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = node::NodeFields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = node::NodeFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::with_capacity(self.0.len());
        let budget = Cell::new(ELEMENT);
        while let Some(NodeName(key)) = access.next_key()? {
            if self.0.iter().any(|name| name.eq_ignore_ascii_case(&key)) {
                kept.push((key, access.next_value_seed(Bounded(&budget))?));
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(node::NodeFields::new(kept))
    }
}

/// Builds a value from at most this many values, with texts of bounded length. The rest is read and dropped.
pub(super) struct Bounded<'a>(pub(super) &'a Cell<usize>);

impl Bounded<'_> {
    fn spend(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Node<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Node<'de>, E> {
        Number::from_f64(number)
            .map(Node::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(kept(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(kept(text).to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut kept = Vec::new();
        while self.spend() {
            match access.next_element_seed(Bounded(self.0))? {
                Some(value) => kept.push(value),
                None => return Ok(Node::List(kept)),
            }
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut kept = Vec::new();
        while self.spend() {
            match access.next_key()? {
                Some(NodeName(key)) if key.len() > TEXT => {
                    access.next_value::<IgnoredAny>()?;
                }
                Some(NodeName(key)) => kept.push((key, access.next_value_seed(Bounded(self.0))?)),
                None => return Ok(Node::Object(node::NodeFields::new(kept))),
            }
        }
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Node::Object(node::NodeFields::new(kept)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Node<'de>, D::Error> {
        Err(D::Error::custom("not JSON"))
    }
}

/// The beginning of a text that is kept.
fn kept(text: &str) -> &str {
    let end = (0..=TEXT.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

//! The serde visitors behind [`super::json`]: one list element at a time, with a bound on what is kept.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::json::Page;

/// How many values of one list element are kept. The rest is read and dropped.
pub(super) const ELEMENT: usize = 2_000;
/// How many bytes of one text are kept.
pub(super) const TEXT: usize = 4_096;

pub(super) struct Elements<'a, T> {
    pub(super) wanted: &'a [&'a str],
    pub(super) read: &'a mut dyn FnMut(&Value) -> Result<T, &'static str>,
    pub(super) page: &'a mut Page<T>,
    pub(super) nested: bool,
}

impl<'de, T> DeserializeSeed<'de> for Elements<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, T> Visitor<'de> for Elements<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        loop {
            let element = Element {
                wanted: self.wanted,
                read: &mut *self.read,
                page: &mut *self.page,
                nested: self.nested,
            };
            if access.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }
}

struct Element<'a, T> {
    wanted: &'a [&'a str],
    read: &'a mut dyn FnMut(&Value) -> Result<T, &'static str>,
    page: &'a mut Page<T>,
    nested: bool,
}

impl<T> Element<'_, T> {
    fn unreadable(self, why: &'static str) {
        self.page.elements += 1;
        self.page.unreadable += 1;
        self.page.why.get_or_insert(why);
    }

    fn other<E>(self) -> Result<(), E> {
        self.unreadable("is not an object");
        Ok(())
    }
}

impl<'de, T> DeserializeSeed<'de> for Element<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, T> Visitor<'de> for Element<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut kept = Map::new();
        let budget = Cell::new(ELEMENT);
        while let Some(key) = access.next_key::<String>()? {
            if self.wanted.iter().any(|name| name.eq_ignore_ascii_case(&key)) {
                kept.insert(key, access.next_value_seed(Bounded(&budget))?);
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        match (self.read)(&Value::Object(kept)) {
            Ok(item) => {
                self.page.elements += 1;
                self.page.items.push(item);
            }
            Err(why) => self.unreadable(why),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if !self.nested {
            return Elements {
                wanted: self.wanted,
                read: self.read,
                page: self.page,
                nested: true,
            }
            .visit_seq(access);
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.other()
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.other()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.other()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.other()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.other()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.other()
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
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        let end = (0..=TEXT.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        Ok(Value::String(text.get(..end).unwrap_or_default().to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while self.spend() {
            match access.next_element_seed(Bounded(self.0))? {
                Some(value) => kept.push(value),
                None => return Ok(Value::Array(kept)),
            }
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while self.spend() {
            match access.next_key::<String>()? {
                Some(key) if key.len() > TEXT => {
                    access.next_value::<IgnoredAny>()?;
                }
                Some(key) => {
                    let value = access.next_value_seed(Bounded(self.0))?;
                    kept.insert(key, value);
                }
                None => return Ok(Value::Object(kept)),
            }
        }
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(kept))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Value, D::Error> {
        Err(D::Error::custom("not JSON"))
    }
}

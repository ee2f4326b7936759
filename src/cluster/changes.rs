//! The differences between two versions of a status, as a merge patch (RFC 7386).
//!
//! No library does this: those for JSON produce patches of another kind (RFC 6902), which fail where this one
//! states the desired value. Values are compared and passed on as texts: most fields of a status have not
//! changed, and a list that has is replaced as a whole.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// The fields of an object; a status has few.
struct StatusFields<'a>(SmallVec<[(FieldName<'a>, &'a RawValue); 16]>);

/// The name of a field, without a copy unless it has escapes.
#[derive(Deserialize, Serialize, PartialEq, Eq)]
#[serde(transparent)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> StatusFields<'a> {
    /// Reads the fields of an object; `None` if it is none.
    fn of(text: &'a [u8]) -> Option<Self> {
        // An attempt to read anything else makes an error, with its text.
        text.starts_with(b"{")
            .then(|| serde_json::from_slice(text).ok())?
    }

    /// The value of a field. Null means that there is none.
    fn value(&self, name: &FieldName<'_>) -> Option<&'a [u8]> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        is_there(value).then(|| value.get().as_bytes())
    }
}

fn is_there(value: &RawValue) -> bool {
    value.get() != "null"
}

impl<'de> Deserialize<'de> for StatusFields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = SmallVec<[(FieldName<'de>, &'de RawValue); 16]>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut all = SmallVec::new();
                while let Some(field) = access.next_entry()? {
                    all.push(field);
                }
                Ok(all)
            }
        }

        from.deserialize_map(All).map(Self)
    }
}

/// Writes what to merge into `before` to get `after`. Returns whether there is anything; if not, nothing is
/// written. Both are JSON.
pub fn write(before: &[u8], after: &[u8], patch: &mut Vec<u8>) -> bool {
    if before == after {
        return false;
    }
    let (Some(old), Some(new)) = (StatusFields::of(before), StatusFields::of(after)) else {
        patch.extend_from_slice(after);
        return true;
    };
    let begun = patch.len();
    for (name, value) in &old.0 {
        if is_there(value) && new.value(name).is_none() {
            write_name(name, begun, patch);
            patch.extend_from_slice(b"null");
        }
    }
    for (name, value) in new.0.iter().filter(|(_, value)| is_there(value)) {
        let (at, value) = (patch.len(), value.get().as_bytes());
        write_name(name, begun, patch);
        match old.value(name) {
            Some(before) if !write(before, value, patch) => patch.truncate(at),
            Some(_) => {}
            None => patch.extend_from_slice(value),
        }
    }
    let any = patch.len() > begun;
    if any {
        patch.push(b'}');
    }
    any
}

fn write_name(name: &FieldName<'_>, begun: usize, patch: &mut Vec<u8>) {
    patch.push(if patch.len() == begun { b'{' } else { b',' });
    // A text can always be written, and so can anything to memory.
    let _written = serde_json::to_writer(&mut *patch, name);
    patch.push(b':');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0i64..3).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// RFC 7386, by its pseudo code.
    fn merged(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else {
            return patch.clone();
        };
        let mut target = if let Value::Object(target) = target {
            target
        } else {
            serde_json::Map::new()
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                let before = target.remove(name).unwrap_or(Value::Null);
                target.insert(name.clone(), merged(before, value));
            }
        }
        Value::Object(target)
    }

    /// Whether one side has an object where the other has something else: a merge patch can't turn a text
    /// into an empty object.
    fn object_map() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[abcd]", any_value(), 0..5)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn whatever_stood_there_becomes_what_is_wanted(before in object_map(), after in object_map()) {
            match difference(&before, &after) {
                None => prop_assert_eq!(before, after),
                Some(patch) => prop_assert_eq!(merged(before, &patch), after),
            }
        }
    }

    fn difference(before: &Value, after: &Value) -> Option<Value> {
        let mut patch = b"kept".to_vec();
        let any = write(
            before.to_string().as_bytes(),
            after.to_string().as_bytes(),
            &mut patch,
        );
        let written = patch.strip_prefix(b"kept").unwrap();
        assert_eq!(any, !written.is_empty());
        any.then(|| serde_json::from_slice(written).unwrap())
    }

    #[test]
    fn what_is_no_more_is_taken_away_by_name() {
        let before = json!({"operation": {"id": "1", "outcome": "Failed", "messages": ["x"]}, "licenseType": "OC Essential", "same": [1], "a\"b": 1});
        let after =
            json!({"operation": {"id": "2", "taskId": "wst_1"}, "same": [1], "none": null, "a\"b": 2});
        let patch = json!({"operation": {"id": "2", "taskId": "wst_1", "outcome": null, "messages": null}, "licenseType": null, "a\"b": 2});
        assert_eq!(difference(&before, &after), Some(patch));
        assert_eq!(difference(&after, &after), None);
        let (one, other) = (
            json!({"list": [{"a": 1}, {"b": null}]}),
            json!({"list": [{"a": 1}]}),
        );
        assert_eq!(
            difference(&one, &other),
            Some(other),
            "a list is replaced as a whole"
        );
    }
}

//! JSON that lies in the body it was read from.
//!
//! `serde_json::Value` copies each name and each text. Of a list with thousands of entries, most of that would
//! be dropped at once.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Number;

/// A JSON value. Texts and names are parts of the body, unless they have escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// An object.
    Object(NodeFields<'a>),
}

/// The fields of an object, each once, sorted by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFields<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

/// The name of a field. Without this, serde copies it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct NodeName<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> NodeFields<'a> {
    /// Takes fields in the order of the body. Of several with one name the last counts.
    pub(super) fn new(mut all: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        all.reverse();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(|(later, _), (kept, _)| later == kept);
        Self(all)
    }

    /// Returns the value of a field. The exact name is preferred, then the name in any case; null counts as
    /// missing.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        let there = || self.0.iter().filter(|(_, value)| *value != Node::Null);
        let exact = there().find(|(known, _)| known == name);
        exact
            .or_else(|| there().find(|(known, _)| known.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }

    /// Returns all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Node<'a> {
    /// Returns the text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Node<'a>]> {
        match self {
            Self::List(all) => Some(all),
            _ => None,
        }
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Copies what lies in the body.
    pub(super) fn into_owned(self) -> Node<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => Node::Null,
            Self::Bool(yes) => Node::Bool(yes),
            Self::Number(number) => Node::Number(number),
            Self::Text(text) => Node::Text(owned(text)),
            Self::List(all) => Node::List(all.into_iter().map(Self::into_owned).collect()),
            Self::Object(NodeFields(all)) => {
                let all = all.into_iter();
                Node::Object(NodeFields(
                    all.map(|(name, value)| (owned(name), value.into_owned()))
                        .collect(),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::value;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c\"\\\\\n]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-cA-C\"]{0,2}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same(node: &Node<'_>, value: &Value) -> bool {
        match (node, value) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(one), Value::Bool(other)) => one == other,
            (Node::Number(one), Value::Number(other)) => one == other,
            (Node::Text(one), Value::String(other)) => one == other,
            (Node::List(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Node::Object(one), Value::Object(other)) => {
                one.iter().count() == other.len()
                    && one
                        .iter()
                        .zip(other)
                        .all(|((name, one), (known, other))| name == known && same(one, other))
            }
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_what_serde_json_reads(json in any_json()) {
            let text = json.to_string();
            // Read again, because not every number is the same when it was written and read.
            let json: Value = serde_json::from_str(&text).unwrap();
            let node = value(text.as_bytes()).unwrap();
            prop_assert!(same(&node, &json), "{node:?}");
            prop_assert_eq!(node.clone().into_owned(), node);
        }
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_counts_and_texts_lie_in_the_body() {
        let body = br#"{"b":1,"a":"x","b":"two","B":null,"c\u0041":"\n"}"#;
        let Node::Object(fields) = value(body).unwrap() else {
            panic!("no object")
        };
        assert_eq!(fields.get("b"), Some(&Node::Text("two".into())));
        assert_eq!(fields.get("B"), Some(&Node::Text("two".into())), "null is none");
        assert_eq!(fields.get("CA"), Some(&Node::Text("\n".into())));
        assert_eq!(
            fields.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["B", "a", "b", "cA"]
        );
        let borrowed = |name: &str| matches!(fields.get(name), Some(Node::Text(Cow::Borrowed(_))));
        assert!(borrowed("a") && borrowed("b") && !borrowed("cA"));
    }
}

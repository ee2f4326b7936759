//! Objects at rest, as compressed text. Parsed, an object takes 4 to 5 KB, most of it in maps and short strings;
//! packed, a fifth of that.
//!
//! Whoever asks for a packed object must get it, and the same: it can't be told that it is not there. An object comes
//! from such text, and each object that a test sees on the API server is written and read again (`tests/shared/gallery.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The longest model, in bytes.
const LONGEST_MODEL: usize = 16 << 10;

/// How many models there may be.
const MOST_MODELS: usize = 16;

/// Of a shape's texts, one of so many is tried as a model.
const TRIED: u32 = 32;

/// How many shapes are told apart.
const SHAPES: usize = 32;

/// Stands before a GUID in 16 bytes. JSON has no such byte: in its texts, control characters are escaped.
const GUID: u8 = 1;

/// The length of a GUID's text, and where its first hyphen is.
const GUID_TEXT: usize = 36;
const FIRST_HYPHEN: usize = 8;

/// The texts that others are compressed against. Objects of one kind and at one stage of their work resemble each other:
/// of a service, little more than its names, ids and times is its own. Those of another stage, as without a status, are a
/// poor model. So each shape of text has its own, and now and then looks for a better one.
#[derive(Default)]
pub struct Models {
    all: Vec<Box<[u8]>>,
    shapes: [Shape; SHAPES],
}

/// The texts with as many quotation marks, and so with as many fields: objects at the same stage, whose names are.
#[derive(Default)]
struct Shape {
    /// Which model is used.
    model: u16,
    /// How many texts to compress before one is tried as a model.
    wait: u32,
    /// The text that is tried with the next one.
    tried: Option<Box<[u8]>>,
}

/// An object as compressed text. Before that text stand its length and the number of the model that it was compressed
/// against.
#[derive(Clone, Debug)]
pub struct Packed(Box<[u8]>);

impl Models {
    /// Packs an object. Returns `None` if it can't be packed.
    pub fn pack<K: Serialize>(&mut self, object: &K) -> Option<Packed> {
        let text = serde_json::to_vec(object).ok()?;
        let shape = memchr::memchr_iter(b'"', &text).count() % SHAPES;
        let text = with_short_guids(&text);
        let (model, bytes) = self.compress(shape, &text)?;
        let length = u32::try_from(text.len()).ok()?;
        let packed = [&length.to_le_bytes()[..], &model.to_le_bytes(), &bytes].concat();
        Some(Packed(packed.into()))
    }

    /// Returns the object.
    pub fn unpack<K: DeserializeOwned>(&self, packed: &Packed) -> Option<K> {
        let (length, rest) = packed.0.split_first_chunk()?;
        let (model, bytes) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let model = self.all.get(usize::from(u16::from_le_bytes(*model)))?;
        let text = lz4_flex::block::decompress_with_dict(bytes, length, model).ok()?;
        serde_json::from_slice(&with_long_guids(&text)?).ok()
    }

    /// Returns the compressed text, and which model it was compressed against.
    fn compress(&mut self, shape: usize, text: &[u8]) -> Option<(u16, Vec<u8>)> {
        let with = |model: &[u8]| lz4_flex::block::compress_with_dict(text, model);
        if self.all.is_empty() {
            self.all.push(text.get(..LONGEST_MODEL).unwrap_or(text).into());
        }
        let shape = &mut self.shapes[shape];
        let mut bytes = with(&self.all[usize::from(shape.model)]);
        if let Some(tried) = shape.tried.take() {
            for (number, model) in (0..).zip(&self.all) {
                let others = with(model);
                if others.len() < bytes.len() {
                    (shape.model, bytes) = (number, others);
                }
            }
            let with_it = with(&tried);
            if with_it.len() * 3 < bytes.len() * 2 && self.all.len() < MOST_MODELS {
                (shape.model, bytes) = (u16::try_from(self.all.len()).ok()?, with_it);
                self.all.push(tried);
            }
        } else if shape.wait > 0 {
            shape.wait -= 1;
        } else if text.len() <= LONGEST_MODEL {
            (shape.wait, shape.tried) = (TRIED, Some(text.into()));
        }
        Some((shape.model, bytes))
    }
}

/// Returns the GUID whose usual text this is: in lower case, with hyphens.
pub fn canonical_guid(text: &[u8]) -> Option<Uuid> {
    let guid = Uuid::try_parse_ascii(text).ok()?;
    let mut canonical = [0; GUID_TEXT];
    guid.hyphenated().encode_lower(&mut canonical);
    (canonical == *text).then_some(guid)
}

/// Writes GUIDs, which are the better part of what no model has, in 17 bytes in place of 36.
fn with_short_guids(text: &[u8]) -> Vec<u8> {
    let mut short = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'-', rest) {
        let found = at.checked_sub(FIRST_HYPHEN).and_then(|begin| {
            let guid = canonical_guid(rest.get(begin..begin + GUID_TEXT)?)?;
            Some((begin, guid))
        });
        let copied = match found {
            Some((begin, guid)) => {
                short.extend_from_slice(&rest[..begin]);
                short.push(GUID);
                short.extend_from_slice(guid.as_bytes());
                begin + GUID_TEXT
            }
            None => {
                short.extend_from_slice(&rest[..=at]);
                at + 1
            }
        };
        rest = &rest[copied..];
    }
    short.extend_from_slice(rest);
    short
}

fn with_long_guids(short: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(short.len() * 3 / 2);
    let mut rest = short;
    while let Some(at) = memchr::memchr(GUID, rest) {
        let (guid, after) = rest[at + 1..].split_first_chunk()?;
        text.extend_from_slice(&rest[..at]);
        let mut long = [0; GUID_TEXT];
        text.extend_from_slice(
            Uuid::from_bytes(*guid)
                .hyphenated()
                .encode_lower(&mut long)
                .as_bytes(),
        );
        rest = after;
    }
    text.extend_from_slice(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_api::OcEssentialService;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Texts that resemble each other, and texts that do not.
    fn any_object() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ab]{0,40}",
            "\\PC{0,40}",
            "(OC Essential ){0,200}",
            "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "(\u{1}|-|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){2,3}-?[0-9a-f]{12}){0,4}",
        ];
        proptest::collection::btree_map("[a-d]{1,3}", text, 0..8).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(objects in proptest::collection::vec(any_object(), 1..40)) {
            let mut models = Models::default();
            let packed: Vec<_> = objects.iter().map(|object| models.pack(object).unwrap()).collect();
            prop_assert!(models.all.len() <= MOST_MODELS);
            for (object, packed) in objects.iter().zip(&packed) {
                let unpacked: Option<Value> = models.unpack(packed);
                prop_assert_eq!(unpacked.as_ref(), Some(object));
            }
        }
    }

    fn service(number: u32, status: &Value) -> OcEssentialService {
        let guid = |of: u32| {
            Uuid::from_u128(
                u128::from(number * 2 + of).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            )
        };
        serde_json::from_value(json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService",
            "metadata": {
                "name": format!("customer-{number}"), "namespace": "customers", "resourceVersion": (7919 * number).to_string(),
                "uid": guid(0).to_string(), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
                "finalizers": ["operatorconnect.dev/external"], "labels": {"app.kubernetes.io/managed-by": "Helm"},
            },
            "spec": {"msTenantId": guid(1).to_string(), "shortName": format!("Customer{number}"), "fullName": format!("Customer {number} Ltd")},
            "status": status,
        }))
        .unwrap()
    }

    /// The status of a service without one, with a task that runs, and at rest.
    fn stages() -> [Value; 3] {
        let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:07Z"});
        let eligible = condition(
            "LeadEligible",
            "True",
            "Succeeded",
            "The lead is Active, and the platform shows it in the channel that the spec names.",
        );
        let running = condition(
            "Ready",
            "False",
            "Creating",
            "The platform was asked to create the service, and has not answered yet. It may take some minutes.",
        );
        let ready = condition(
            "Ready",
            "True",
            "Succeeded",
            "The service exists, and was read back from the platform.",
        );
        let synced = condition(
            "Synced",
            "True",
            "Succeeded",
            "The platform has run its synchronization jobs since.",
        );
        [
            Value::Null,
            json!({"observedGeneration": 1, "pending": {"operation": "Create"}, "conditions": [running, eligible]}),
            json!({"observedGeneration": 1, "licenseType": "OC Essential", "conditions": [ready, synced, eligible]}),
        ]
    }

    /// How many bytes 100 services at rest take that were packed in this order (number of the service, and its stage), and
    /// how many they would take against one like them.
    fn packed_at_rest(order: impl Iterator<Item = (u32, usize)>) -> (usize, usize) {
        let stages = stages();
        let mut models = Models::default();
        let at_rest: Vec<_> = order
            .filter_map(|(number, stage)| {
                let service = service(number, &stages[stage]);
                let packed = models.pack(&service).unwrap();
                (stage == 2).then_some((packed, service))
            })
            .collect();
        let last = &at_rest[at_rest.len() - 100..];
        let like_them = with_short_guids(&serde_json::to_vec(&at_rest[0].1).unwrap());
        let at_best = |(_, service): &(Packed, OcEssentialService)| {
            let text = with_short_guids(&serde_json::to_vec(service).unwrap());
            lz4_flex::block::compress_with_dict(&text, &like_them).len()
        };
        (
            last.iter().map(|(packed, _)| packed.0.len()).sum(),
            last.iter().map(at_best).sum(),
        )
    }

    #[test]
    fn objects_at_rest_take_little_even_after_an_odd_first() {
        let (bytes, at_best) =
            packed_at_rest(std::iter::once((0, 0)).chain((1..200).map(|number| (number, 2))));
        assert!(bytes * 10 < at_best * 11, "{bytes} bytes in place of {at_best}");
    }

    #[test]
    fn objects_at_rest_take_little_when_others_are_packed_between_them() {
        let by_turns = (0..3000).map(|at| (at / 3, at as usize % 3));
        let (bytes, at_best) = packed_at_rest(by_turns);
        assert!(bytes * 10 < at_best * 11, "{bytes} bytes in place of {at_best}");
        let mixed = (0..3000u32).map(|at| (at, (at.wrapping_mul(2_654_435_761) >> 16) as usize % 3));
        let (bytes, at_best) = packed_at_rest(mixed);
        assert!(bytes * 10 < at_best * 11, "{bytes} bytes in place of {at_best}");
    }

    #[test]
    fn a_guid_takes_seventeen_bytes() {
        let guid = "0b07f429-9f4b-4714-9392-cc5e8e80c8b0";
        let text = format!("{{\"a\":\"{guid}\",\"b\":\"{}\"}}", guid.to_uppercase());
        let short = with_short_guids(text.as_bytes());
        assert_eq!(short.len(), text.len() - 19);
        assert_eq!(with_long_guids(&short).unwrap(), text.as_bytes());
    }
}

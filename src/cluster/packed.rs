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

/// One of so many texts is tried as a model.
const TRIED: u32 = 32;

/// Stands before a GUID in 16 bytes. JSON has no such byte: in its texts, control characters are escaped.
const GUID: u8 = 1;

/// The length of a GUID's text, and where its first hyphen is.
const GUID_TEXT: usize = 36;
const FIRST_HYPHEN: usize = 8;

/// The texts that others are compressed against. Objects of one kind resemble each other: of a service, little more
/// than its names, ids and times is its own. The first ones may be unlike the later ones, as without a status. So now
/// and then a text is tried as a model: if the next one becomes much shorter with it, it is the newest model.
#[derive(Default)]
pub struct Models {
    all: Vec<Box<[u8]>>,
    /// How many texts were compressed since one was tried.
    untried: u32,
    tried: Option<Box<[u8]>>,
}

/// An object as compressed text. Before that text stand its length and the number of the model that it was compressed
/// against.
#[derive(Clone, Debug)]
pub struct Packed(Box<[u8]>);

impl Models {
    /// Packs an object. Returns `None` if it can't be packed.
    pub fn pack<K: Serialize>(&mut self, object: &K) -> Option<Packed> {
        self.compress(&with_short_guids(&serde_json::to_vec(object).ok()?))
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

    fn compress(&mut self, text: &[u8]) -> Option<Packed> {
        if self.all.is_empty() {
            self.all.push(text.get(..LONGEST_MODEL).unwrap_or(text).into());
        }
        let newest = self.all.last()?;
        let mut bytes = lz4_flex::block::compress_with_dict(text, newest);
        self.untried += 1;
        if let Some(tried) = self.tried.take() {
            let with_it = lz4_flex::block::compress_with_dict(text, &tried);
            if with_it.len() * 5 < bytes.len() * 4 {
                bytes = with_it;
                self.all.push(tried);
            }
        } else if self.untried >= TRIED && text.len() <= LONGEST_MODEL && self.all.len() < MOST_MODELS {
            self.untried = 0;
            self.tried = Some(text.into());
        }
        let length = u32::try_from(text.len()).ok()?;
        let model = u16::try_from(self.all.len().checked_sub(1)?).ok()?;
        Some(Packed(
            [&length.to_le_bytes()[..], &model.to_le_bytes(), &bytes]
                .concat()
                .into(),
        ))
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

    #[test]
    fn objects_that_resemble_each_other_take_little_even_after_an_odd_first() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Succeeded", "message": "The service exists, and was read back from the platform.", "lastTransitionTime": "2026-01-01T00:00:07Z"});
        let eligible = json!({"type": "LeadEligible", "status": "True", "reason": "Succeeded", "message": "The lead is Active, and the platform shows it in the channel that the spec names.", "lastTransitionTime": "2026-01-01T00:00:07Z"});
        let synced = json!({"type": "Synced", "status": "True", "reason": "Succeeded", "message": "The platform has run its synchronization jobs since.", "lastTransitionTime": "2026-01-01T00:00:09Z"});
        let status = json!({"observedGeneration": 1, "licenseType": "OC Essential", "conditions": [ready, synced, eligible]});
        let mut models = Models::default();
        models.pack(&service(0, &Value::Null)).unwrap();
        let text = |number| serde_json::to_vec(&service(number, &status)).unwrap();
        let (mut bytes, mut at_best) = (0, 0);
        for number in 1..200 {
            let packed = models.pack(&service(number, &status)).unwrap();
            if number > 100 {
                bytes += packed.0.len();
                at_best += lz4_flex::block::compress_with_dict(&text(number), &text(number / 2)).len();
            }
        }
        // Two GUIDs of each are in 17 bytes in place of 36.
        at_best -= 99 * 2 * 19;
        assert!(bytes * 10 < at_best * 11, "{bytes} bytes in place of {at_best}");
    }
}

//! Objects at rest, as compressed text. Parsed, an object takes 4 to 5 KB, most of it in maps and short strings;
//! packed, a fifth of that.
//!
//! Whoever asks for a packed object must get it, and the same: it can't be told that it is not there. An object comes
//! from such text, and each object that a test sees on the API server is written and read again (`tests/shared/gallery.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest text that becomes a model, in bytes.
const LONGEST_MODEL: usize = 16 << 10;

/// How many models there may be.
const MOST_MODELS: usize = 16;

/// The texts that others are compressed against. Objects of one kind resemble each other: of a service, little more
/// than its names, ids and times is its own.
#[derive(Default)]
pub struct Models(Vec<Box<[u8]>>);

/// An object as compressed text.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// Length of the text.
    len: u32,
    /// Which model it was compressed against.
    model: u16,
}

impl Models {
    /// Packs an object. Returns `None` if it can't be packed.
    pub fn pack<K: Serialize>(&mut self, object: &K) -> Option<Packed> {
        self.compress(&serde_json::to_vec(object).ok()?)
    }

    /// Returns the object.
    pub fn unpack<K: DeserializeOwned>(&self, packed: &Packed) -> Option<K> {
        let model = self.0.get(usize::from(packed.model))?;
        let len = usize::try_from(packed.len).ok()?;
        let text = lz4_flex::block::decompress_with_dict(&packed.bytes, len, model).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn compress(&mut self, text: &[u8]) -> Option<Packed> {
        let newest = self.0.last().map_or(&[][..], |model| &**model);
        let mut bytes = lz4_flex::block::compress_with_dict(text, newest);
        let resembles = bytes.len() <= text.len() / 2;
        // The first may be one without a status yet. Each model is longer than the one before.
        let teaches = newest.len() < text.len() && text.len() <= LONGEST_MODEL;
        if self.0.is_empty() || !resembles && teaches && self.0.len() < MOST_MODELS {
            self.0.push(text.into());
            bytes = lz4_flex::block::compress_with_dict(text, text);
        }
        Some(Packed {
            bytes: bytes.into_boxed_slice(),
            len: u32::try_from(text.len()).ok()?,
            model: u16::try_from(self.0.len().checked_sub(1)?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_api::OcEssentialService;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Texts that resemble each other, and texts that do not.
    fn any_object() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ab]{0,40}", "\\PC{0,40}", "(OC Essential ){0,200}"];
        proptest::collection::btree_map("[a-d]{1,3}", text, 0..8).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(objects in proptest::collection::vec(any_object(), 1..40)) {
            let mut models = Models::default();
            let packed: Vec<_> = objects.iter().map(|object| models.pack(object).unwrap()).collect();
            prop_assert!(models.0.len() <= MOST_MODELS);
            for (object, packed) in objects.iter().zip(&packed) {
                let unpacked: Option<Value> = models.unpack(packed);
                prop_assert_eq!(unpacked.as_ref(), Some(object));
            }
        }
    }

    fn service(number: u32, status: &Value) -> OcEssentialService {
        serde_json::from_value(json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService",
            "metadata": {
                "name": format!("customer-{number}"), "namespace": "customers", "resourceVersion": (7919 * number).to_string(),
                "uid": format!("{number:08x}-0000-4000-8000-{:012x}", 7919 * number), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
                "finalizers": ["operatorconnect.dev/external"], "labels": {"app.kubernetes.io/managed-by": "Helm"},
            },
            "spec": {"msTenantId": format!("{number:08x}-0000-4000-9000-000000000000"), "shortName": format!("Customer{number}"), "fullName": format!("Customer {number} Ltd")},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn objects_that_resemble_each_other_take_little_even_after_an_odd_first() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Succeeded", "message": "The service exists, and was read back from the platform.", "lastTransitionTime": "2026-01-01T00:00:07Z"});
        let synced = json!({"type": "Synced", "status": "True", "reason": "Succeeded", "message": "The platform has run its synchronization jobs since.", "lastTransitionTime": "2026-01-01T00:00:09Z"});
        let status =
            json!({"observedGeneration": 1, "licenseType": "OC Essential", "conditions": [ready, synced]});
        let mut models = Models::default();
        models.pack(&service(0, &Value::Null)).unwrap();
        for number in 1..100 {
            let object = service(number, &status);
            let text = serde_json::to_vec(&object).unwrap().len();
            let packed = models.pack(&object).unwrap();
            assert!(
                number == 1 || packed.bytes.len() * 3 < text,
                "{} of {text} bytes",
                packed.bytes.len()
            );
        }
    }
}

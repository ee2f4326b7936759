//! Objects at rest, as compressed text. Parsed, an object takes 4 to 5 KB, most of it in maps and short strings;
//! packed, a fifth of that.
//!
//! Whoever asks for a packed object must get it, and the same: it can't be told that it is not there. An object comes
//! from such text, and each object that a test sees on the API server is written and read again (`tests/shared/gallery.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest model, in bytes.
const LONGEST_MODEL: usize = 16 << 10;

/// How many models there may be.
const MOST_MODELS: usize = 16;

/// One of so many texts is tried as a model.
const TRIED: u32 = 32;

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
        let model = self.all.get(usize::from(packed.model))?;
        let len = usize::try_from(packed.len).ok()?;
        let text = lz4_flex::block::decompress_with_dict(&packed.bytes, len, model).ok()?;
        serde_json::from_slice(&text).ok()
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
        Some(Packed {
            bytes: bytes.as_slice().into(),
            len: u32::try_from(text.len()).ok()?,
            model: u16::try_from(self.all.len().checked_sub(1)?).ok()?,
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
            prop_assert!(models.all.len() <= MOST_MODELS);
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
                bytes += packed.bytes.len();
                at_best += lz4_flex::block::compress_with_dict(&text(number), &text(number / 2)).len();
            }
        }
        assert!(bytes * 10 < at_best * 11, "{bytes} bytes in place of {at_best}");
    }
}

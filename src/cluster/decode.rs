//! Parses objects one by one, so that one that this version can't read does not affect the others.
//!
//! The CRD may be newer than this program: after a rollback, or with two releases in one cluster. Then an
//! object may contain a value or a type that is unknown here. What can be read of it is kept, field by field:
//! the object may have a service on the platform, and its tenant, short name and guid must stay taken.
//! Nothing is decided for such an object, and only its conditions are written.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::cluster::managed::ManagedResource;
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};

/// The maximum length of the message about unreadable fields.
const MOST_TOLD: usize = 600;

/// A kind whose objects are read as far as possible.
pub trait Decode: ManagedResource {
    /// The minimal spec that parses. It replaces a field that can't be read, and is never acted upon.
    fn least() -> Value;
}

impl Decode for OcEssentialService {
    fn least() -> Value {
        serde_json::json!({"shortName": "", "fullName": ""})
    }
}

impl Decode for Lead {
    fn least() -> Value {
        serde_json::json!({"msTenantId": ""})
    }
}

impl Decode for LeadPolicy {
    fn least() -> Value {
        serde_json::json!({"template": {}, "suspend": true})
    }
}

impl Decode for LivePlatform {
    fn least() -> Value {
        serde_json::json!({"url": "", "authentication": {"entra": {"tenantId": "", "clientId": "", "scope": ""}}})
    }
}

/// One object of a response.
#[derive(Clone, Debug)]
pub struct Read<K> {
    /// The object; `None` if nothing of it can be read.
    pub object: Option<K>,
    /// The fields that can't be read, and why.
    pub wrong: Option<String>,
}

impl<'de, K: Decode> Deserialize<'de> for Read<K> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Keep the raw text, so that a valid object is parsed only once.
        let raw = Box::<RawValue>::deserialize(from)?;
        Ok(read(raw.get()))
    }
}

/// One object of a watch, not parsed yet: most of what a watch delivers are our own writes, which are known.
#[derive(Clone, Debug)]
pub struct Unparsed<K> {
    text: Box<RawValue>,
    kind: PhantomData<fn() -> K>,
}

impl<'de, K> Deserialize<'de> for Unparsed<K> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self {
            text: Box::<RawValue>::deserialize(from)?,
            kind: PhantomData,
        })
    }
}

/// Which version of which object it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity<'a> {
    /// The namespace; `None` for a cluster-scoped object.
    pub namespace: Option<&'a str>,
    /// The name.
    pub name: &'a str,
    /// The resource version.
    pub resource_version: &'a str,
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    metadata: Identity<'a>,
}

impl<K: Decode> Unparsed<K> {
    /// Returns which version of which object it is, if that can be read without the rest.
    pub fn identity(&self) -> Option<Identity<'_>> {
        let object: Identified<'_> = serde_json::from_str(self.text.get()).ok()?;
        Some(object.metadata)
    }

    /// Parses the object.
    pub fn read(&self) -> Read<K> {
        read(self.text.get())
    }
}

/// Where `managedFields` is in the text of an object.
#[derive(Deserialize)]
struct Managed<'a> {
    #[serde(borrow)]
    metadata: ManagedMetadata<'a>,
}

#[derive(Deserialize)]
struct ManagedMetadata<'a> {
    #[serde(borrow, rename = "managedFields")]
    managed_fields: Option<&'a RawValue>,
}

/// Returns the text of an object with `managedFields: null`. They are four fifths of it (measured), parse into
/// a tree of maps, and nothing here uses them. Text in which they can't be found is returned unchanged.
pub fn lean(text: &str) -> Cow<'_, str> {
    let fields = || {
        let object: Managed<'_> = serde_json::from_str(text).ok()?;
        let fields = object.metadata.managed_fields?.get();
        if !fields.starts_with('[') {
            return None;
        }
        // The raw value is a part of the text: its place in memory tells its place there.
        let start = (fields.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let (before, rest) = text.split_at_checked(start)?;
        Some((before, rest.strip_prefix(fields)?))
    };
    let fields = if text.contains("\"managedFields\"") {
        fields()
    } else {
        None
    };
    fields.map_or(Cow::Borrowed(text), |(before, after)| {
        Cow::Owned([before, "null", after].concat())
    })
}

fn read<K: Decode>(text: &str) -> Read<K> {
    let text = &*lean(text);
    match serde_json::from_str(text) {
        Ok(object) => Read {
            object: Some(object),
            wrong: None,
        },
        Err(error) => match serde_json::from_str(text) {
            Ok(raw) => salvaged(&raw, &error.to_string()),
            Err(_) => Read {
                object: None,
                wrong: Some(error.to_string()),
            },
        },
    }
}

/// Copies each field of spec and status that can be read, and reports the others. `error` is the error for
/// the whole object.
fn salvaged<K: Decode>(raw: &Value, error: &str) -> Read<K> {
    let mut sound = serde_json::json!({"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": raw["metadata"], "spec": K::least()});
    let mut wrong = Vec::new();
    for part in ["spec", "status"] {
        let Some(fields) = raw[part].as_object() else {
            continue;
        };
        if sound[part].is_null() {
            sound[part] = Value::Object(Map::new());
        }
        for (name, value) in fields {
            let before = sound[part].get(name).cloned();
            sound[part][name] = value.clone();
            if let Err(error) = readable::<K>(&sound) {
                wrong.push(format!("{part}.{name}: {error}"));
                match (before, sound[part].as_object_mut()) {
                    (Some(before), _) => sound[part][name] = before,
                    (None, Some(fields)) => drop(fields.remove(name)),
                    (None, None) => {}
                }
            }
        }
    }
    // A missing field only shows up when the whole object is parsed.
    let wrong = if wrong.is_empty() {
        error.to_owned()
    } else {
        wrong.join("; ")
    };
    let wrong: String = wrong.chars().take(MOST_TOLD).collect();
    Read {
        object: readable(&sound).ok(),
        wrong: Some(wrong),
    }
}

fn readable<K: DeserializeOwned>(value: &Value) -> Result<K, serde_json::Error> {
    K::deserialize(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kind::Kind;
    use crate::cluster::stores::for_kind;
    use serde_json::json;

    fn of(spec: Value, status: Value) -> Read<OcEssentialService> {
        let metadata = json!({"name": "contoso", "namespace": "n", "uid": "u", "finalizers": ["operatorconnect.dev/external"]});
        let object = json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": metadata, "spec": spec, "status": status});
        serde_json::from_value(object).unwrap()
    }

    const TENANT: &str = "22222222-2222-4222-8222-222222222222";

    fn spec(more: Value) -> Value {
        let mut spec = json!({"msTenantId": TENANT, "shortName": "Contoso", "fullName": "Contoso Ltd"});
        for (name, value) in more.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        spec
    }

    #[allow(clippy::too_many_lines, reason = "a table, one row for each case")]
    #[test]
    fn what_can_be_read_is_kept_and_what_can_not_is_named() {
        let guid = json!({"umpCustomerGuid": "33333333-3333-4333-8333-333333333333", "msTenantId": TENANT});
        let table = [
            (spec(json!({})), guid.clone(), None),
            (
                spec(json!({"mode": "Strict"})),
                guid.clone(),
                Some("spec.mode: unknown variant `Strict`"),
            ),
            (
                spec(json!({"recreate": "perhaps"})),
                guid.clone(),
                Some("spec.recreate: invalid type: string"),
            ),
            (
                spec(json!({"deletionPolicy": "Archive", "adoption": 5})),
                guid.clone(),
                Some("spec.deletionPolicy: unknown variant `Archive`"),
            ),
            (
                spec(json!({"advancedSettings": {"proxySet": 7}})),
                guid.clone(),
                Some("spec.advancedSettings: "),
            ),
        ];
        for (spec, status, says) in table {
            let read = of(spec.clone(), status);
            assert_eq!(read.wrong.is_some(), says.is_some(), "{spec}");
            assert!(
                says.is_none_or(|says| read.wrong.as_ref().is_some_and(|wrong| wrong.contains(says))),
                "{spec}: {:?}",
                read.wrong
            );
            let object = read.object.unwrap_or_else(|| panic!("{spec}"));
            assert_eq!(
                (
                    object.spec.ms_tenant_id.as_deref(),
                    object.spec.short_name.as_str()
                ),
                (Some(TENANT), "Contoso"),
                "{spec}"
            );
            assert_eq!(
                object
                    .status
                    .and_then(|status| status.ump_customer_guid)
                    .as_deref(),
                Some("33333333-3333-4333-8333-333333333333"),
                "{spec}"
            );
            assert_eq!(
                object.metadata.finalizers.map(|finalizers| finalizers.len()),
                Some(1),
                "{spec}"
            );
        }
        let read = of(spec(json!({})), json!({"plan": 7, "umpCustomerGuid": "x"}));
        assert!(read.wrong.is_some_and(|wrong| wrong.starts_with("status.plan: ")));
        assert_eq!(
            read.object
                .and_then(|object| object.status)
                .and_then(|status| status.ump_customer_guid)
                .as_deref(),
            Some("x")
        );
        let read = of(spec(json!({"shortName": ["x"]})), Value::Null);
        assert_eq!(
            read.object
                .map(|object| (object.spec.short_name, object.spec.full_name)),
            Some((String::new().into(), "Contoso Ltd".into()))
        );
    }

    #[test]
    fn all_but_the_managed_fields_is_read_as_it_was() {
        let managed = json!([{"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:shortName": {}}}}]);
        let annotations = json!({"a": "\"managedFields\":[1]", "\u{e9}\n": "{\"metadata\":{}}"});
        let object = |managed: &Value| {
            let mut metadata = json!({"name": "contoso", "namespace": "n", "uid": "u", "resourceVersion": "7", "annotations": annotations});
            if !managed.is_null() {
                metadata["managedFields"] = managed.clone();
            }
            let status = json!({"operation": {"kind": "Create", "id": "1"}, "shortName": "managedFields"});
            let object = json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": metadata, "spec": spec(json!({})), "status": status});
            object.to_string()
        };
        let (with, without) = (object(&managed), object(&Value::Null));
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let mut bare = parsed(&without);
        bare["metadata"]["managedFields"] = Value::Null;
        assert_eq!(parsed(&lean(&with)), bare);
        assert_eq!(lean(&without), without, "it only speaks of them");
        let [lean_one, whole] = [&with, &without].map(|text| {
            serde_json::from_str::<Read<OcEssentialService>>(text)
                .unwrap()
                .object
                .unwrap()
        });
        assert_eq!(
            serde_json::to_value(lean_one).unwrap(),
            serde_json::to_value(whole).unwrap()
        );
        for text in [
            "",
            "{",
            "[\"managedFields\"]",
            "{\"managedFields\":[]}",
            "{\"metadata\":{\"managedFields\":[}}",
            "{\"metadata\":[\"managedFields\"]}",
        ] {
            assert_eq!(lean(text), text);
        }
    }

    #[test]
    fn which_version_it_is_can_be_told_without_the_rest() {
        let unread = |text: &str| serde_json::from_str::<Unparsed<Lead>>(text).unwrap();
        let text = r#"{"metadata":{"uid":"u","name":"contoso","labels":{"name":"x"},"namespace":"n","resourceVersion":"7"},"spec":{"mode":7},"name":"y"}"#;
        let read = unread(text);
        let identity = read.identity().unwrap();
        assert_eq!(
            (identity.namespace, identity.name, identity.resource_version),
            (Some("n"), "contoso", "7")
        );
        assert!(read.read().wrong.is_some(), "the rest can't be read");
        for text in [
            "{}",
            "7",
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"name":"\n","resourceVersion":"7"}}"#,
        ] {
            assert_eq!(unread(text).identity(), None, "{text}");
        }
    }

    #[test]
    fn the_least_of_each_kind_can_be_read() {
        fn can<K: Decode>() {
            let read: Read<K> = salvaged(
                &json!({"metadata": {"name": "a"}, "spec": {"nothing": 1}}),
                "a field is missing",
            );
            assert_eq!(
                (read.object.is_some(), read.wrong.as_deref()),
                (true, Some("a field is missing")),
                "{}",
                K::kind(&())
            );
        }
        for kind in Kind::ALL {
            for_kind!(kind, K => can::<K>());
        }
    }
}

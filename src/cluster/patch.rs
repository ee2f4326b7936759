//! Writes our objects: their marks, their status, and the leads found by discovery. No other module writes
//! them. Beyond that the program writes only events ([`crate::cluster::events`]) and its lease
//! (`crate::cluster::election`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Client, ResourceExt};
use oc_domain::decision::Mark;
use oc_domain::record::{Intent, OperationId, OperationKind, Record, Sent};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::cluster::decode::lean;
use crate::cluster::managed::ManagedResource;
use crate::cluster::record::{FINALIZER, GUID, OPERATION, intent_text};
pub use crate::runtime::driver::WriteError;

/// Our field manager in `managedFields`.
pub const FIELD_MANAGER: &str = "oc-essentials-operator";

/// How often a status write is tried while others keep changing the object.
const STATUS_TRIES: usize = 4;

/// The maximum length of a message from the API server, in characters.
const SENTENCE: usize = 300;

/// Classifies the error of a write. A response that does not say whether the write happened counts
/// as none: a time-out or a server fault may follow a completed write, and 429 says nothing about this
/// object.
fn failed(error: kube::Error) -> WriteError {
    let kube::Error::Api(status) = &error else {
        return WriteError::Unanswered(error.to_string());
    };
    let refused = matches!(status.code, 400..=499) && !matches!(status.code, 408 | 429);
    // A webhook that does not answer looks like a server fault by its code, but the cause lies with whoever
    // set it up.
    let webhook = status.code >= 500 && status.message.contains("webhook");
    match status.code {
        404 => WriteError::NotFound,
        409 => WriteError::Conflict,
        _ if refused || webhook => WriteError::Rejected(sentence(&status.message)),
        // kube's errors print their source already.
        _ => WriteError::Unanswered(error.to_string()),
    }
}

fn sentence(message: &str) -> String {
    let words = message
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let cut: String = words.chars().take(SENTENCE).collect();
    match cut.chars().last() {
        _ if cut.len() < words.len() => format!("{cut}…"),
        Some('.' | '!' | '?') | None => cut,
        Some(_) => format!("{cut}."),
    }
}

/// Writes a mark into an object's metadata, provided that the object is still the version that was read. So
/// of two operators, or of a pass that started from an old version, only one can record an intent. The
/// response is checked: a mutating policy may remove what was written, and without it nothing may be sent.
///
/// # Errors
/// If the object is gone or was changed, or the API server rejects the mark or drops part of it.
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write mark", skip_all, fields(kind = %K::kind(&())))]
pub async fn mark<K: ManagedResource>(
    client: &Client,
    object: &K,
    mark: &Mark,
    record: &Record,
    id: OperationId,
) -> Result<(K, Option<Intent>), WriteError> {
    let mut finalizers = object.finalizers().to_vec();
    finalizers.retain(|name| name != FINALIZER);
    let mut annotations = serde_json::Map::new();
    let mut intent = None;
    match mark {
        Mark::RecordIntent {
            kind,
            start,
            tenant,
            place,
        } => {
            finalizers.push(FINALIZER.to_owned());
            let begun = Intent {
                kind: *kind,
                id,
                start: *start,
                tenant: *tenant,
                place: place.clone(),
                sent: Sent::No,
            };
            annotations.insert(OPERATION.into(), intent_text(&begun).into());
            if let Some(guid) = record.guid.as_ref().filter(|_| *kind == OperationKind::Delete) {
                annotations.insert(GUID.into(), guid.to_string().into());
            } else if *kind == OperationKind::Create && object.annotations().contains_key(GUID) {
                // A service created again gets another guid.
                annotations.insert(GUID.into(), Value::Null);
            }
            intent = Some(begun);
        }
        Mark::Adopt(guid) => {
            finalizers.push(FINALIZER.to_owned());
            annotations.insert(GUID.into(), guid.to_string().into());
            annotations.insert(OPERATION.into(), Value::Null);
        }
        Mark::AddFinalizer => {
            finalizers.push(FINALIZER.to_owned());
            // Restores the intent of what may be in progress, if somebody removed it.
            if let Some(open) = record.open_intent() {
                annotations.insert(OPERATION.into(), intent_text(open).into());
            }
        }
        Mark::RemoveFinalizer => {
            annotations.insert(OPERATION.into(), Value::Null);
        }
    }
    annotations.retain(|name, value| !value.is_null() || object.annotations().contains_key(name));
    let mut metadata = json!({ "resourceVersion": object.resource_version(), "finalizers": finalizers });
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations.clone());
    }
    let patch = json!({ "metadata": metadata });
    let url = K::api(client, object.meta().namespace.as_deref())
        .resource_url()
        .to_owned();
    let request = Request::new(url).patch(&object.name_any(), &params(), &Patch::Merge(patch));
    let written = answer(client, request).await.map_err(failed)?;
    match dropped(&written, &finalizers, &annotations) {
        Some(what) => Err(WriteError::Dropped(what)),
        None => Ok((written, intent)),
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    }
}

/// Returns what the API server dropped from a mark that it accepted.
fn dropped<K: ManagedResource>(
    written: &K,
    finalizers: &[String],
    annotations: &serde_json::Map<String, Value>,
) -> Option<&'static str> {
    let wanted = finalizers.iter().any(|name| name == FINALIZER);
    if wanted != crate::cluster::record::has_finalizer(written) {
        return Some(if wanted {
            "the finalizer operatorconnect.dev/external"
        } else {
            "the removal of the finalizer operatorconnect.dev/external"
        });
    }
    let differs = |name: &str| {
        annotations
            .get(name)
            .is_some_and(|value| value.as_str() != written.annotations().get(name).map(String::as_str))
    };
    if differs(OPERATION) {
        return Some("the annotation operatorconnect.dev/operation");
    }
    differs(GUID).then_some("the annotation operatorconnect.dev/ump-customer-guid")
}

/// Writes a whole status, provided that what we wrote to the object before is still what was read. A pass
/// that started from an old version (a second operator, an API server that lags) must not overwrite what a
/// newer one reported. But if somebody else changed the object's spec or deleted it, what this pass learned
/// must not be lost.
///
/// It is a merge patch of the differences, with an explicit null for what is gone. Server-side apply would
/// leave in place what another manager has also written: after a restore of status, or a `kubectl edit`,
/// outdated values could never be removed.
///
/// # Errors
/// As [`mark`].
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write status", skip_all, fields(kind = %K::kind(&())))]
pub async fn status<K: ManagedResource>(
    client: &Client,
    object: &K,
    status: &impl Serialize,
) -> Result<K, WriteError> {
    let status = to_raw_value(status).map_err(|error| WriteError::Rejected(error.to_string()))?;
    let mut known = Cow::Borrowed(object);
    for _ in 0..STATUS_TRIES {
        match write_status(client, &*known, &status).await {
            Err(WriteError::Conflict) => {}
            other => return other,
        }
        known = Cow::Owned(newest_of_same(client, object).await?);
        if ours(&*known) != ours(object) {
            return Err(WriteError::Conflict);
        }
    }
    Err(WriteError::Conflict)
}

/// Writes the operation of a request that was sent, no matter how the object has changed. Its task is what
/// prevents a second request. A later operation is left alone.
///
/// # Errors
/// As [`mark`].
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write operation", skip_all, fields(kind = %K::kind(&())))]
pub async fn operation<K: ManagedResource>(
    client: &Client,
    object: &K,
    status: &impl Serialize,
) -> Result<K, WriteError> {
    let operation = serde_json::to_value(status).unwrap_or_default()["operation"].take();
    for _ in 0..STATUS_TRIES {
        let known = newest_of_same(client, object).await?;
        let mut status = status_of(&known);
        let began = |operation: &Value| operation["startedTime"].as_str().map(str::to_owned);
        if began(&status["operation"]) > began(&operation) {
            return Ok(known);
        }
        if !status.is_object() {
            status = json!({});
        }
        status["operation"] = operation.clone();
        let status = to_raw_value(&status).map_err(|error| WriteError::Rejected(error.to_string()))?;
        match write_status(client, &known, &status).await {
            Err(WriteError::Conflict) => {}
            other => return other,
        }
    }
    Err(WriteError::Conflict)
}

async fn write_status<K: ManagedResource>(
    client: &Client,
    known: &K,
    status: &RawValue,
) -> Result<K, WriteError> {
    let before = match known.status().map(serde_json::to_string).transpose() {
        Ok(before) => before.unwrap_or_else(|| "{}".into()),
        Err(error) => return Err(WriteError::Rejected(error.to_string())),
    };
    let Some(status) = changes(&before, status) else {
        return Ok(known.clone());
    };
    let patch = StatusPatch {
        metadata: Precondition {
            uid: known.meta().uid.as_deref(),
            resource_version: known.meta().resource_version.as_deref(),
        },
        status,
    };
    let url = K::api(client, known.meta().namespace.as_deref())
        .resource_url()
        .to_owned();
    let request =
        Request::new(url).patch_subresource("status", &known.name_any(), &params(), &Patch::Merge(patch));
    answer(client, request).await.map_err(failed)
}

/// Sends a write and parses the object in the response.
async fn answer<K: ManagedResource>(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> kube::Result<K> {
    let text = client
        .request_text(request.map_err(kube::Error::BuildRequest)?)
        .await?;
    serde_json::from_str(&lean(&text)).map_err(kube::Error::SerdeError)
}

/// A merge patch of a status, for one version of an object.
#[derive(Debug, Serialize)]
struct StatusPatch<'a> {
    metadata: Precondition<'a>,
    status: Cow<'a, RawValue>,
}

/// The version of the object that the patch is for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Precondition<'a> {
    uid: Option<&'a str>,
    resource_version: Option<&'a str>,
}

/// The name of a field, without a copy unless it has escapes.
#[derive(Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns what to merge into `before` to get `after` (RFC 7386), if anything. Values are compared and passed
/// on as texts: most fields of a status have not changed, and a list that has is replaced as a whole. No
/// library does this: those for JSON produce patches of another kind (RFC 6902), which fail where this one
/// states the desired value.
fn changes<'a>(before: &'a str, after: &'a RawValue) -> Option<Cow<'a, RawValue>> {
    type Fields<'a> = BTreeMap<FieldName<'a>, &'a RawValue>;
    if before == after.get() {
        return None;
    }
    let (Ok(old), Ok(new)) = (
        serde_json::from_str::<Fields<'a>>(before),
        serde_json::from_str::<Fields<'a>>(after.get()),
    ) else {
        return Some(Cow::Borrowed(after));
    };
    let value_in =
        |fields: &Fields<'a>, name| fields.get(name).copied().filter(|value| value.get() != "null");
    let mut all = BTreeMap::new();
    for name in old.keys() {
        if value_in(&old, name).is_some() && value_in(&new, name).is_none() {
            all.insert(name, Cow::Borrowed(RawValue::NULL));
        }
    }
    for name in new.keys() {
        let Some(value) = value_in(&new, name) else {
            continue;
        };
        let change = match value_in(&old, name) {
            Some(before) => changes(before.get(), value),
            None => Some(Cow::Borrowed(value)),
        };
        if let Some(change) = change {
            all.insert(name, change);
        }
    }
    // What was read as JSON can be written as JSON.
    (!all.is_empty()).then(|| to_raw_value(&all).map_or(Cow::Borrowed(after), Cow::Owned))
}

/// Writes only the conditions, for an object whose other fields can't be read, provided that it is the
/// version that was read.
///
/// # Errors
/// As [`mark`].
pub async fn conditions<K: ManagedResource>(
    client: &Client,
    object: &K,
    conditions: &[Condition],
    generation: i64,
) -> Result<(), WriteError> {
    let api = K::api(client, object.meta().namespace.as_deref());
    let patch = json!({
        "metadata": {"uid": object.meta().uid, "resourceVersion": object.resource_version()},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    // The response is not parsed as an object: this one can't be.
    let request = Request::new(api.resource_url()).patch_subresource(
        "status",
        &object.name_any(),
        &params,
        &Patch::Merge(patch),
    );
    let request = request.map_err(|error| WriteError::Rejected(error.to_string()))?;
    client.request_text(request).await.map(|_| ()).map_err(failed)
}

/// The parts that only we write: our marks and the status.
fn ours<K: ManagedResource>(object: &K) -> (bool, Vec<Option<&String>>, Value) {
    let annotations = crate::cluster::record::OWN_ANNOTATIONS
        .iter()
        .chain([&GUID])
        .map(|name| object.annotations().get(*name))
        .collect();
    (
        crate::cluster::record::has_finalizer(object),
        annotations,
        status_of(object),
    )
}

fn status_of<K: ManagedResource>(object: &K) -> Value {
    object
        .status()
        .and_then(|status| serde_json::to_value(status).ok())
        .unwrap_or_default()
}

/// Reads the newest version of an object, provided that it has the same uid.
async fn newest_of_same<K: ManagedResource>(client: &Client, object: &K) -> Result<K, WriteError> {
    let newest = newest(client, object).await?;
    if newest.meta().uid == object.meta().uid {
        Ok(newest)
    } else {
        Err(WriteError::NotFound)
    }
}

/// Reads the newest version of an object.
///
/// # Errors
/// As [`mark`].
pub async fn newest<K: ManagedResource>(client: &Client, object: &K) -> Result<K, WriteError> {
    K::api(client, object.meta().namespace.as_deref())
        .get(&object.name_any())
        .await
        .map_err(failed)
}

/// Creates an object.
///
/// # Errors
/// The API server's own answer. Callers show it to a person.
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "create object", skip_all, fields(kind = %K::kind(&())))]
pub async fn create<K: ManagedResource>(client: &Client, object: &K) -> Result<K, kube::Error> {
    let api = K::api(client, object.meta().namespace.as_deref());
    api.create(
        &kube::api::PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..kube::api::PostParams::default()
        },
        object,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let after = to_raw_value(after).unwrap();
        let before = before.to_string();
        let patch = changes(&before, &after)?;
        Some(serde_json::from_str(patch.get()).unwrap())
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

    #[test]
    fn an_answer_says_what_became_of_a_write_or_it_is_none() {
        let api = |code: u16, message: &str| {
            let status = kube::core::Status {
                code,
                message: message.to_owned(),
                ..Default::default()
            };
            failed(kube::Error::Api(Box::new(status)))
        };
        assert!(matches!(api(404, ""), WriteError::NotFound) && matches!(api(409, ""), WriteError::Conflict));
        for code in [400, 403, 413, 422] {
            assert!(
                matches!(api(code, "no"), WriteError::Rejected(text) if text == "no."),
                "{code}"
            );
        }
        for code in [408, 429, 500, 503, 504] {
            assert!(matches!(api(code, "busy"), WriteError::Unanswered(_)), "{code}");
        }
        assert!(matches!(
            api(500, "Internal error occurred: failed calling webhook \"x\""),
            WriteError::Rejected(_)
        ));
        assert_eq!(sentence("denied:\n\tnot  allowed!"), "denied: not allowed!");
        assert_eq!(sentence(&"x".repeat(1000)).chars().count(), SENTENCE + 1);
    }
}

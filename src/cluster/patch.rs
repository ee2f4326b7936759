//! Writes our objects: their marks, their status, the leads found by discovery, and what policies for leads
//! create. No other module writes them. Beyond that the program writes only events ([`crate::cluster::events`]) and its lease
//! (`crate::cluster::election`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::{Client, ResourceExt};
use oc_api::Condition;
use oc_domain::decision::Mark;
use oc_domain::record::{Intent, OperationId, OperationKind, Record, Sent};
use serde::Serialize;
use serde::de::Error as _;
use serde_json::{Value, json};

use crate::cluster::changes;
use crate::cluster::decode::lean;
use crate::cluster::managed::ManagedResource;
use crate::cluster::record::{FINALIZER, GUID, OPERATION, intent_text};
use crate::cluster::send::{merge_patch, send, send_only};
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
    let others = object.finalizers().iter().map(String::as_str);
    let mut finalizers: Vec<&str> = others.filter(|name| *name != FINALIZER).collect();
    let mut annotations = Annotations::new();
    let mut intent = None;
    match mark {
        Mark::RecordIntent {
            kind,
            start,
            tenant,
            place,
        } => {
            finalizers.push(FINALIZER);
            let begun = Intent {
                kind: *kind,
                id,
                start: *start,
                tenant: *tenant,
                place: place.clone(),
                sent: Sent::No,
            };
            annotations.insert(OPERATION, Some(intent_text(&begun)));
            if let Some(guid) = record.guid.as_ref().filter(|_| *kind == OperationKind::Delete) {
                annotations.insert(GUID, Some(guid.to_string()));
            } else if *kind == OperationKind::Create && object.annotations().contains_key(GUID) {
                // A service created again gets another guid.
                annotations.insert(GUID, None);
            }
            intent = Some(begun);
        }
        Mark::Adopt(guid) => {
            finalizers.push(FINALIZER);
            annotations.insert(GUID, Some(guid.to_string()));
            annotations.insert(OPERATION, None);
        }
        Mark::AddFinalizer => {
            finalizers.push(FINALIZER);
            // Restores the intent of what may be in progress, if somebody removed it.
            if let Some(open) = record.open_intent() {
                annotations.insert(OPERATION, Some(intent_text(open)));
            }
        }
        Mark::RemoveFinalizer => {
            annotations.insert(OPERATION, None);
        }
    }
    annotations.retain(|name, value| value.is_some() || object.annotations().contains_key(*name));
    let metadata = MarkedMetadata {
        resource_version: object.meta().resource_version.as_deref(),
        finalizers: &finalizers,
        annotations: &annotations,
    };
    let patch = text(&MetadataPatch { metadata }).map_err(unwritable)?;
    let written = answer(client, url_of(object, ""), patch).await.map_err(failed)?;
    match dropped(&written, &finalizers, &annotations) {
        Some(what) => Err(WriteError::Dropped(what)),
        None => Ok((written, intent)),
    }
}

/// Annotations to set, or to remove.
type Annotations = BTreeMap<&'static str, Option<String>>;

/// A merge patch of what a mark concerns.
#[derive(Debug, Serialize)]
struct MetadataPatch<'a> {
    metadata: MarkedMetadata<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MarkedMetadata<'a> {
    resource_version: Option<&'a str>,
    finalizers: &'a [&'a str],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a Annotations,
}

/// The room for what is written: a status or a patch seldom has more, so that its text need not grow.
const ROOM: usize = 2 << 10;

fn text(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut text, value)?;
    Ok(text)
}

fn unwritable(error: serde_json::Error) -> WriteError {
    WriteError::Rejected(error.to_string())
}

/// The url of a write to an object, or to a part of it.
fn url_of<K: ManagedResource>(object: &K, part: &str) -> String {
    let meta = object.meta();
    let (group, version, plural) = (K::group(&()), K::version(&()), K::plural(&()));
    let (of, namespace) = match meta.namespace.as_deref() {
        Some(namespace) => ("/namespaces/", namespace),
        None => ("", ""),
    };
    let name = meta.name.as_deref().unwrap_or_default();
    // One string: `url_path` makes six on its way.
    let parts = [
        "/apis/",
        &group,
        "/",
        &version,
        of,
        namespace,
        "/",
        &plural,
        "/",
        name,
        part,
        "?fieldManager=",
        FIELD_MANAGER,
    ];
    parts.concat()
}

/// Returns what the API server dropped from a mark that it accepted.
fn dropped<K: ManagedResource>(
    written: &K,
    finalizers: &[&str],
    annotations: &Annotations,
) -> Option<&'static str> {
    let wanted = finalizers.contains(&FINALIZER);
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
            .is_some_and(|value| value.as_ref() != written.annotations().get(name))
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
    let status = text(status).map_err(unwritable)?;
    let mut known = Cow::Borrowed(object);
    for _ in 0..STATUS_TRIES {
        match write_status(client, &*known, &status).await {
            Err(WriteError::Conflict) => {}
            other => return other,
        }
        known = Cow::Owned(Box::pin(newest_of_same(client, object)).await?);
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
        let status = text(&status).map_err(unwritable)?;
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
    status: &[u8],
) -> Result<K, WriteError> {
    match status_patch(known, status).map_err(unwritable)? {
        Some(patch) => answer(client, url_of(known, "/status"), patch)
            .await
            .map_err(failed),
        None => Ok(known.clone()),
    }
}

/// The merge patch that makes `status` of the status of this version of an object; `None` if it is that.
fn status_patch<K: ManagedResource>(known: &K, status: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
    let before = match known.status() {
        Some(before) => text(before)?,
        None => b"{}".to_vec(),
    };
    let metadata = Precondition {
        uid: known.meta().uid.as_deref(),
        resource_version: known.meta().resource_version.as_deref(),
    };
    let mut patch = text(&StatusPatch { metadata })?;
    patch.pop();
    patch.extend_from_slice(b",\"status\":");
    let differs = changes::write(&before, status, &mut patch);
    patch.push(b'}');
    Ok(differs.then_some(patch))
}

/// Sends a merge patch and parses the object in the response.
async fn answer<K: ManagedResource>(client: &Client, url: String, patch: Vec<u8>) -> kube::Result<K> {
    let body = send(client, merge_patch(url, patch)?).await?;
    let text = std::str::from_utf8(&body).map_err(serde_json::Error::custom);
    text.and_then(|text| serde_json::from_str(&lean(text)))
        .map_err(kube::Error::SerdeError)
}

/// The beginning of a merge patch of a status, for one version of an object. The changes are appended.
#[derive(Debug, Serialize)]
struct StatusPatch<'a> {
    metadata: Precondition<'a>,
}

/// The version of the object that the patch is for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Precondition<'a> {
    uid: Option<&'a str>,
    resource_version: Option<&'a str>,
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
    let patch = json!({
        "metadata": {"uid": object.meta().uid, "resourceVersion": object.resource_version()},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    let patch = text(&patch).map_err(unwritable)?;
    // The response is not parsed as an object: this one can't be.
    let request = merge_patch(url_of(object, "/status"), patch).map_err(failed)?;
    send_only(client, request).await.map_err(failed)
}

/// The parts that only we write: our marks and the status.
fn ours<K: ManagedResource>(object: &K) -> (bool, Vec<Option<&String>>, Value) {
    let annotations = [OPERATION, GUID]
        .iter()
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

/// Writes something into the metadata or the spec of an object, provided that it is the version that was read.
/// `patch` is a merge patch.
///
/// # Errors
/// As [`mark`].
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write object", skip_all, fields(kind = %K::kind(&())))]
pub async fn merge<K: ManagedResource>(
    client: &Client,
    object: &K,
    mut patch: Value,
) -> Result<K, WriteError> {
    patch["metadata"]["resourceVersion"] = json!(object.meta().resource_version);
    let patch = text(&patch).map_err(unwritable)?;
    answer(client, url_of(object, ""), patch).await.map_err(failed)
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

    #[test]
    fn a_write_goes_where_kube_has_the_object() {
        fn of<K: ManagedResource>(name: &str, namespace: Option<&str>) {
            let mut object: K = serde_json::from_value(json!({
                "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
                "spec": {"msTenantId": "x", "shortName": "x", "fullName": "x", "url": "x", "auth": {"tokenUrl": "x"}},
            }))
            .unwrap();
            object.meta_mut().namespace = namespace.map(str::to_owned);
            let collection = K::url_path(&(), namespace);
            assert_eq!(
                url_of(&object, "/status"),
                format!("{collection}/{name}/status?fieldManager={FIELD_MANAGER}")
            );
        }
        of::<oc_api::OcEssentialService>("one", Some("customers"));
        of::<oc_api::Lead>("two", Some("customers"));
    }
}

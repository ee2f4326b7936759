//! The only place that writes to the API server.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use oc_domain::names::CustomerGuid;
use oc_domain::record::{Intent, OperationId, OperationKind, Record, Sent};
use oc_domain::step::Mark;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::record::{FINALIZER, GUID, OPERATION, intent_text};
pub use crate::engine::pass::WriteFailed;

/// Who we are in `managedFields`.
pub const FIELD_MANAGER: &str = "oc-essentials-operator";

/// How often a status is written when others keep changing the object meanwhile.
const STATUS_TRIES: usize = 4;

/// What all our kinds are.
pub trait Own: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug + Send + Sync + 'static {
    /// The interface for the namespace that this object is in, or for the cluster.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self>;
}

macro_rules! namespaced {
    ($kind:ty) => {
        impl Own for $kind {
            fn api(client: &Client, namespace: Option<&str>) -> Api<Self> {
                Api::namespaced(client.clone(), namespace.unwrap_or_default())
            }
        }
    };
}

namespaced!(crate::api::Lead);
namespaced!(crate::api::OcEssentialService);

impl Own for crate::api::LivePlatform {
    fn api(client: &Client, _: Option<&str>) -> Api<Self> {
        Api::all(client.clone())
    }
}

fn failed(error: kube::Error) -> WriteFailed {
    match &error {
        kube::Error::Api(status) if status.code == 404 => WriteFailed::Gone,
        kube::Error::Api(status) if status.code == 409 => WriteFailed::Changed,
        // kube's errors print their source already.
        _ => WriteFailed::Refused(error.to_string()),
    }
}

/// Writes a mark into an object's metadata, under the condition that the object is still the version that was read: of two operators, or of a
/// pass that began from an old version, only one can record an intent.
///
/// # Errors
/// When the object is gone or was changed, or the API server does not take it.
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write mark", skip_all, fields(kind = %K::kind(&())))]
pub async fn mark<K: Own>(client: &Client, object: &K, mark: &Mark, record: &Record, id: OperationId) -> Result<(K, Option<Intent>), WriteFailed> {
    let mut finalizers = object.finalizers().to_vec();
    finalizers.retain(|name| name != FINALIZER);
    let mut annotations = serde_json::Map::new();
    let mut intent = None;
    match mark {
        Mark::Begin { kind, start } => {
            finalizers.push(FINALIZER.to_owned());
            let begun = Intent { kind: *kind, id, start: *start, sent: Sent::No };
            annotations.insert(OPERATION.into(), intent_text(&begun).into());
            if let Some(guid) = record.guid.as_ref().filter(|_| *kind == OperationKind::Delete) {
                annotations.insert(GUID.into(), guid.as_str().into());
            } else if *kind == OperationKind::Create && object.annotations().contains_key(GUID) {
                // What is made anew gets another guid.
                annotations.insert(GUID.into(), Value::Null);
            }
            intent = Some(begun);
        }
        Mark::Adopt(guid) => {
            finalizers.push(FINALIZER.to_owned());
            annotations.insert(GUID.into(), CustomerGuid::as_str(guid).into());
            annotations.insert(OPERATION.into(), Value::Null);
        }
        Mark::Hold => finalizers.push(FINALIZER.to_owned()),
        Mark::Release => {
            annotations.insert(OPERATION.into(), Value::Null);
        }
    }
    annotations.retain(|name, value| !value.is_null() || object.annotations().contains_key(name));
    let mut metadata = json!({ "resourceVersion": object.resource_version(), "finalizers": finalizers });
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations);
    }
    let patch = json!({ "metadata": metadata });
    let api = K::api(client, object.meta().namespace.as_deref());
    let written = api
        .patch(&object.name_any(), &PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }, &Patch::Merge(patch))
        .await
        .map_err(failed)?;
    Ok((written, intent))
}

/// Writes a whole status by server-side apply, under the condition that what we have written of the object before is still what was read: a pass
/// that began from an old version (a second operator, an API server that lags) must not put back what a newer one has said. That somebody else has
/// changed the object meanwhile, its spec or its deletion, is no reason to lose what this pass has learnt.
///
/// # Errors
/// As [`mark`].
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "write status", skip_all, fields(kind = %K::kind(&())))]
pub async fn status<K: Own>(client: &Client, object: &K, status: &impl Serialize) -> Result<K, WriteFailed> {
    let api = K::api(client, object.meta().namespace.as_deref());
    let mut version = object.resource_version();
    for _ in 0..STATUS_TRIES {
        let mut metadata = json!({ "name": object.name_any(), "uid": object.meta().uid, "resourceVersion": version });
        if let Some(namespace) = object.meta().namespace.as_deref() {
            metadata["namespace"] = namespace.into();
        }
        let patch = json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "status": status });
        match api.patch_status(&object.name_any(), &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await.map_err(failed) {
            Err(WriteFailed::Changed) => {}
            other => return other,
        }
        let newest = newest(client, object).await?;
        if newest.meta().uid != object.meta().uid {
            return Err(WriteFailed::Gone);
        }
        if ours(&newest) != ours(object) {
            return Err(WriteFailed::Changed);
        }
        version = newest.resource_version();
    }
    Err(WriteFailed::Changed)
}

/// What nobody but us writes: our marks and the status.
fn ours<K: Own>(object: &K) -> (bool, Vec<Option<&String>>, Value) {
    let annotations = super::record::OWN_ANNOTATIONS.iter().chain([&GUID]).map(|name| object.annotations().get(*name)).collect();
    let status = serde_json::to_value(object).map(|mut object| object["status"].take()).unwrap_or_default();
    (super::record::has_finalizer(object), annotations, status)
}

/// Reads the newest version of an object.
///
/// # Errors
/// As [`mark`].
pub async fn newest<K: Own>(client: &Client, object: &K) -> Result<K, WriteFailed> {
    K::api(client, object.meta().namespace.as_deref()).get(&object.name_any()).await.map_err(failed)
}

/// Makes an object.
///
/// # Errors
/// As [`mark`]; [`WriteFailed::Changed`] when it exists.
#[tracing::instrument(target = "operatorconnect::trace", level = "trace", name = "create object", skip_all, fields(kind = %K::kind(&())))]
pub async fn create<K: Own>(client: &Client, object: &K) -> Result<K, WriteFailed> {
    let api = K::api(client, object.meta().namespace.as_deref());
    api.create(&kube::api::PostParams { field_manager: Some(FIELD_MANAGER.into()), ..kube::api::PostParams::default() }, object).await.map_err(failed)
}

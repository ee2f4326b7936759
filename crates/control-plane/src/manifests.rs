//! Applies manifests like `kubectl apply --server-side`, for the tests and the demo, which must not need
//! kubectl.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};

/// Parses a file with one or more YAML documents.
///
/// # Errors
/// When one of them is not a Kubernetes object.
pub fn parse(text: &str) -> Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    for value in serde_saphyr::from_multiple::<serde_json::Value>(text).context("a document is not YAML")? {
        objects.push(serde_json::from_value(value).context("a document is not a Kubernetes object")?);
    }
    Ok(objects)
}

/// Returns the interface for an object's kind. The API server provides the plural.
async fn api(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object
        .types
        .as_ref()
        .context("the object has no apiVersion and kind")?;
    let kind = GroupVersionKind::try_from(types).context("can't parse the object's apiVersion")?;
    let (resource, capabilities) = kube::discovery::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the API server has no {}", types.kind))?;
    Ok(match (capabilities.scope, object.namespace()) {
        (kube::discovery::Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (kube::discovery::Scope::Namespaced, Some(namespace)) => {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
        (kube::discovery::Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    })
}

/// Applies one object.
///
/// # Errors
/// The API server's own words when it refuses the object.
pub async fn apply(client: &Client, object: &DynamicObject) -> Result<DynamicObject> {
    let api = api(client, object).await?;
    match api
        .patch(
            &object.name_any(),
            &PatchParams::apply("kubectl").force(),
            &Patch::Apply(object),
        )
        .await
    {
        Ok(applied) => Ok(applied),
        Err(kube::Error::Api(status)) => anyhow::bail!("{}", status.message),
        Err(error) => Err(error.into()),
    }
}

/// Applies every object of a text, in order.
///
/// # Errors
/// When an object can't be applied; later ones are not tried.
pub async fn apply_all(client: &Client, text: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for object in parse(text)? {
        let name = object.name_any();
        applied.push(
            apply(client, &object)
                .await
                .with_context(|| format!("can't apply {name}"))?,
        );
    }
    Ok(applied)
}

/// Waits until a custom resource definition is served.
///
/// # Errors
/// When it is not served after half a minute.
pub async fn established(client: &Client, name: &str) -> Result<()> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for _ in 0..300 {
        let crd = api.get_opt(name).await?;
        let conditions = crd
            .and_then(|crd| crd.status)
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        if conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
        {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the API server does not serve {name} after half a minute")
}

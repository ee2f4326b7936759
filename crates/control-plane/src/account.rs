//! Accounts with narrow rights.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::ControlPlane;

/// Long enough for any run of tests or demo.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

impl ControlPlane {
    /// A kubeconfig for a service account that may do, cluster-wide, what the rules say and nothing else.
    ///
    /// Makes what is missing of namespace, account, cluster role and binding, and returns when the rights are in force. Called again, it
    /// replaces the rules.
    ///
    /// # Errors
    /// When the API server refuses one of them, or the rights do not take effect.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str, cluster_rules: &[PolicyRule]) -> Result<PathBuf> {
        let client = &self.client;
        let role = format!("{namespace}:{name}");
        apply(&Api::<Namespace>::all(client.clone()), namespace, json!({"apiVersion": "v1", "kind": "Namespace"})).await?;
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        apply(&accounts, name, json!({"apiVersion": "v1", "kind": "ServiceAccount"})).await?;
        let rules = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": cluster_rules});
        apply(&Api::<ClusterRole>::all(client.clone()), &role, rules).await?;
        apply(&Api::<ClusterRoleBinding>::all(client.clone()), &role, binding("Cluster", &role, namespace, name)).await?;
        self.wait_for_rights(namespace, name, None, cluster_rules).await?;

        let request =
            TokenRequest { spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() }, ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.context("no token for the service account")?;
        let token = answer.status.context("the API server gave no token")?.token;
        self.token_kubeconfig(&format!("{namespace}-{name}"), namespace, &token)
    }

    /// Lets a service account do, in one namespace, what the rules say.
    ///
    /// # Errors
    /// When the API server refuses that, or the rights do not take effect.
    pub async fn allow_in_namespace(&self, namespace: &str, name: &str, inside: &str, rules: &[PolicyRule]) -> Result<()> {
        let role = format!("{namespace}:{name}");
        let text = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules});
        apply(&Api::<Role>::namespaced(self.client(), inside), &role, text).await?;
        apply(&Api::<RoleBinding>::namespaced(self.client(), inside), &role, binding("", &role, namespace, name)).await?;
        self.wait_for_rights(namespace, name, Some(inside), rules).await
    }

    /// A kubeconfig for whoever a bearer token belongs to, in a file of that name in [`folder`](Self::folder).
    ///
    /// # Errors
    /// When the administrator's kubeconfig can't be read, or this one not written.
    pub fn token_kubeconfig(&self, file: &str, namespace: &str, token: &str) -> Result<PathBuf> {
        let admin = Kubeconfig::read_from(&self.kubeconfig)?;
        let context = admin.contexts.iter().find(|context| Some(&context.name) == admin.current_context.as_ref());
        let cluster = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster);
        let cluster = admin.clusters.iter().find(|candidate| Some(&candidate.name) == cluster).context("the kubeconfig has no current cluster")?;
        let text = kubeconfig(&serde_json::to_value(&cluster.cluster)?, namespace, token);
        let path = self.folder().join(format!("{file}.kubeconfig"));
        write_private(&path, &text)?;
        Ok(path)
    }

    /// The authorizer learns of a new role by a watch: it takes some milliseconds.
    async fn wait_for_rights(&self, namespace: &str, name: &str, inside: Option<&str>, rules: &[PolicyRule]) -> Result<()> {
        let reviews = Api::<SubjectAccessReview>::all(self.client());
        for rule in rules {
            let Some(attributes) = sample(rule, inside) else { continue };
            let spec = SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let mut left = 500;
            while !reviews.create(&PostParams::default(), &review).await?.status.is_some_and(|status| status.allowed) {
                if left == 0 {
                    bail!("the rights of {namespace}/{name} did not take effect: {rule:?}");
                }
                left -= 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }
}

/// A request that a rule allows; none for a rule about URLs.
fn sample(rule: &PolicyRule, inside: Option<&str>) -> Option<ResourceAttributes> {
    let resource = rule.resources.as_ref()?.first()?;
    let (resource, subresource) = resource.split_once('/').map_or((resource.as_str(), None), |(left, right)| (left, Some(right)));
    Some(ResourceAttributes {
        group: rule.api_groups.as_ref()?.first().cloned(),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: rule.verbs.first().cloned(),
        name: rule.resource_names.as_ref().and_then(|names| names.first().cloned()),
        namespace: inside.map(str::to_owned),
        ..ResourceAttributes::default()
    })
}

fn binding(cluster: &str, role: &str, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{cluster}RoleBinding"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": format!("{cluster}Role"), "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
    })
}

async fn apply<K: Clone + Serialize + DeserializeOwned + std::fmt::Debug>(api: &Api<K>, name: &str, mut object: Value) -> Result<()> {
    object["metadata"] = json!({"name": name});
    api.patch(name, &PatchParams::apply("control-plane").force(), &Patch::Apply(&object))
        .await
        .with_context(|| format!("{} {name} could not be applied", object["kind"].as_str().unwrap_or_default()))?;
    Ok(())
}

/// The text of a kubeconfig (JSON is YAML).
pub fn kubeconfig(cluster: &Value, namespace: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "control-plane",
        "clusters": [{"name": "control-plane", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "control-plane", "context": {"cluster": "control-plane", "user": "user", "namespace": namespace}}],
    })
    .to_string()
}

/// Writes a file that only its owner can read.
pub fn write_private(path: &std::path::Path, text: &str) -> Result<()> {
    // Made empty and closed to others first, then filled.
    fs::write(path, "").with_context(|| format!("{} can't be written", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(fs::write(path, text)?)
}

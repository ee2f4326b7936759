//! Service accounts: their rights, and kubeconfigs to act as them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{ListParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::ControlPlane;

/// The lifetime of a token: long enough for any run of the tests or the demo.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// One rule of a role that is bound to an account.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The role's name.
    pub role: String,
    /// The namespace it applies to; `None` when it applies everywhere.
    pub namespace: Option<String>,
    /// The rule.
    pub rule: PolicyRule,
}

impl ControlPlane {
    /// Returns a kubeconfig for an existing service account, with its rights.
    ///
    /// # Errors
    /// When the API server issues no token for it.
    pub async fn account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let client = self.client();
        in_force(&client, namespace, name, &grants(&client, namespace, name).await?).await?;
        let token = token(&client, namespace, name).await?;
        self.token_kubeconfig(&format!("{namespace}-{name}"), namespace, &token)
    }

    /// Writes a kubeconfig for the owner of a bearer token, into a file of this name in
    /// [`folder`](Self::folder).
    ///
    /// # Errors
    /// When the administrator's kubeconfig can't be read, or this one can't be written.
    pub fn token_kubeconfig(&self, file: &str, namespace: &str, token: &str) -> Result<PathBuf> {
        let admin = Kubeconfig::read_from(&self.kubeconfig)?;
        let context = admin
            .contexts
            .iter()
            .find(|context| Some(&context.name) == admin.current_context.as_ref());
        let cluster = context
            .and_then(|context| context.context.as_ref())
            .map(|context| &context.cluster);
        let cluster = admin
            .clusters
            .iter()
            .find(|candidate| Some(&candidate.name) == cluster)
            .context("the kubeconfig has no current cluster")?;
        let text = kubeconfig(&serde_json::to_value(&cluster.cluster)?, namespace, token);
        let path = self.folder().join(format!("{file}.kubeconfig"));
        write_private(&path, &text)?;
        Ok(path)
    }
}

/// Requests a token for a service account.
pub async fn token(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let answer = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .context("no token for the service account")?;
    Ok(answer.status.context("the API server gave no token")?.token)
}

/// Returns the user name under which a service account makes requests.
pub fn user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Returns the rights of a service account from the roles bound to the account itself, not to one of its
/// groups.
pub async fn grants(client: &Client, namespace: &str, name: &str) -> Result<Vec<Grant>> {
    let all = ListParams::default();
    let is_it = |subjects: &Option<Vec<Subject>>| {
        let is_it = |subject: &Subject| {
            subject.kind == "ServiceAccount"
                && subject.name == name
                && subject.namespace.as_deref() == Some(namespace)
        };
        subjects.iter().flatten().any(is_it)
    };
    let mut found = Vec::new();
    for binding in Api::<ClusterRoleBinding>::all(client.clone()).list(&all).await? {
        if is_it(&binding.subjects) {
            found.extend(of_role(client, &binding.role_ref, None).await?);
        }
    }
    for binding in Api::<RoleBinding>::all(client.clone()).list(&all).await? {
        if is_it(&binding.subjects) {
            found.extend(of_role(client, &binding.role_ref, binding.namespace()).await?);
        }
    }
    Ok(found)
}

async fn of_role(client: &Client, role: &RoleRef, namespace: Option<String>) -> Result<Vec<Grant>> {
    let rules = match (role.kind.as_str(), &namespace) {
        ("Role", Some(namespace)) => {
            Api::<Role>::namespaced(client.clone(), namespace)
                .get(&role.name)
                .await?
                .rules
        }
        _ => {
            Api::<ClusterRole>::all(client.clone())
                .get(&role.name)
                .await?
                .rules
        }
    };
    Ok(rules
        .into_iter()
        .flatten()
        .map(|rule| Grant {
            role: role.name.clone(),
            namespace: namespace.clone(),
            rule,
        })
        .collect())
}

/// Waits until the authorizer knows all of these roles. It learns of them by a watch.
pub async fn in_force(client: &Client, namespace: &str, name: &str, grants: &[Grant]) -> Result<()> {
    for grant in grants {
        let Some(attributes) = sample(&grant.rule, grant.namespace.as_deref()) else {
            continue;
        };
        let mut left = 500;
        while !allowed(client, &user(namespace, name), attributes.clone()).await? {
            if left == 0 {
                bail!("the permissions of {namespace}/{name} did not take effect: {grant:?}");
            }
            left -= 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// Whether the API server would allow a user to do something.
///
/// # Errors
/// When the API server does not answer.
pub async fn allowed(client: &Client, user: &str, attributes: ResourceAttributes) -> Result<bool> {
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let answer = Api::<SubjectAccessReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Returns a request that a rule allows; `None` for a rule about URLs.
fn sample(rule: &PolicyRule, inside: Option<&str>) -> Option<ResourceAttributes> {
    let resource = rule.resources.as_ref()?.first()?;
    let (resource, subresource) = resource
        .split_once('/')
        .map_or((resource.as_str(), None), |(left, right)| (left, Some(right)));
    Some(ResourceAttributes {
        group: rule.api_groups.as_ref()?.first().cloned(),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: rule.verbs.first().cloned(),
        name: rule
            .resource_names
            .as_ref()
            .and_then(|names| names.first().cloned()),
        namespace: inside.map(str::to_owned),
        ..ResourceAttributes::default()
    })
}

/// Returns the text of a kubeconfig (JSON is YAML).
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
    // Created empty and closed to others first, then filled.
    fs::write(path, "").with_context(|| format!("can't write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(fs::write(path, text)?)
}

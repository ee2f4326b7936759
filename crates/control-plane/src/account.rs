//! A service account with given rights, and a kubeconfig for it.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Reads a list of RBAC rules, as the chart keeps them.
///
/// # Errors
/// When it is none.
pub fn rules_from_yaml(text: &str) -> Result<Vec<PolicyRule>> {
    serde_yaml::from_str(text).context("the file is no list of RBAC rules")
}

async fn apply<K>(api: Api<K>, name: &str, object: Value) -> Result<()>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch(name, &PatchParams::apply("control-plane").force(), &Patch::Apply(object)).await.with_context(|| format!("{name} could not be made"))?;
    Ok(())
}

/// Makes the account with its rights, and asks for a token of one day.
pub async fn make(client: &Client, namespace: &str, name: &str, rules: &[PolicyRule]) -> Result<String> {
    let of = |api: &str, kind: &str, name: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    apply(Api::<Namespace>::all(client.clone()), namespace, of("v1", "Namespace", namespace)).await?;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    apply(accounts.clone(), name, of("v1", "ServiceAccount", name)).await?;
    let rights = format!("{namespace}-{name}");
    let mut role = of("rbac.authorization.k8s.io/v1", "ClusterRole", &rights);
    role["rules"] = serde_json::to_value(rules)?;
    apply(Api::<ClusterRole>::all(client.clone()), &rights, role).await?;
    let mut binding = of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &rights);
    binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": rights});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": namespace, "name": name}]);
    apply(Api::<ClusterRoleBinding>::all(client.clone()), &rights, binding).await?;
    let request = TokenRequest { spec: TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() }, ..TokenRequest::default() };
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.context("no token for the service account")?;
    answer.status.map(|status| status.token).context("the token request has no answer")
}

/// Writes a kubeconfig with the cluster of another one, and a token as its user.
pub fn write_kubeconfig(admin: &Path, token: &str, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(admin).with_context(|| format!("{} can't be read", admin.display()))?;
    let mut config: Value = serde_yaml::from_str(&text)?;
    config["users"] = json!([{"name": "account", "user": {"token": token}}]);
    let cluster = config["clusters"][0]["name"].clone();
    config["contexts"] = json!([{"name": "account", "context": {"cluster": cluster, "user": "account"}}]);
    config["current-context"] = "account".into();
    std::fs::write(file, serde_yaml::to_string(&config)?).with_context(|| format!("{} can't be written", file.display()))
}

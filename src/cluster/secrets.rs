//! The one reader of what a spec names: Secrets and ConfigMaps, each by `get` and name.
//!
//! A response of the API server means the same for every kind. An API server that does not answer says
//! nothing about the object, so it never makes a spec invalid or a credential wrong.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::api::GetParams;
use kube::{Api, Client, Resource};
use oc_domain::conditions::{Reason, Trouble};
use secrecy::SecretString;

/// Why an object can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The API server gave no definite answer (down, overloaded, our own login rejected); retried.
    Away,
    /// The operator may not read it.
    Forbidden,
    /// The object does not exist.
    Missing,
}

impl Unread {
    /// Returns what follows the object's name in a message.
    pub fn says(self) -> &'static str {
        match self {
            Self::Away => "can't be read: the API server does not return it. The operator tries again.",
            Self::Forbidden => "can't be read. Grant the operator get on it.",
            Self::Missing => "does not exist. Create it.",
        }
    }

    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 404 => Self::Missing,
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden,
            _ => Self::Away,
        }
    }
}

/// Reads one object. `cached` accepts an answer from the API server's own cache, which is good enough for a
/// read that is repeated twice a second.
///
/// # Errors
/// Why the object can't be read.
pub async fn read<K>(client: &Client, namespace: &str, name: &str, cached: bool) -> Result<K, Unread>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let params = if cached {
        GetParams::any()
    } else {
        GetParams::default()
    };
    Api::<K>::namespaced(client.clone(), namespace)
        .get_with(name, &params)
        .await
        .map_err(|error| Unread::of(&error))
}

/// Returns the values of a Secret as the variables of a service, without the line break that most tools leave
/// at the end of a value. They are read only for a request, and never kept.
///
/// # Errors
/// [`Reason::ProgressingWithRetry`] while the API server does not answer; [`Reason::InvalidSpec`] if somebody
/// has to fix the Secret.
pub async fn variables(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, SecretString>, Trouble> {
    let trouble = |reason, what: &str| {
        Trouble::new(
            reason,
            format!("spec.advancedSettings.variablesFrom: Secret {name} {what}"),
        )
    };
    let secret = read::<Secret>(client, namespace, name, false)
        .await
        .map_err(|unread| {
            let reason = if unread == Unread::Away {
                Reason::ProgressingWithRetry
            } else {
                Reason::InvalidSpec
            };
            trouble(reason, unread.says())
        })?;
    let value = |(key, value): (String, k8s_openapi::ByteString)| match std::str::from_utf8(&value.0) {
        Ok(text) => Ok((key, text.trim_end_matches(['\r', '\n']).into())),
        Err(_) => Err(trouble(
            Reason::InvalidSpec,
            &format!("has the key {key}, whose value is not UTF-8 text."),
        )),
    };
    secret.data.unwrap_or_default().into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    /// An API server that gives this response to everything; no response at all for status 0.
    fn answering(status: u16, body: &Value) -> Client {
        let text = body.to_string();
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = Response::builder()
                .status(status.max(200))
                .body(Body::from(text.clone().into_bytes()));
            async move {
                match (status, answer) {
                    (1.., Ok(answer)) => Ok(answer),
                    _ => Err(std::io::Error::other("the connection was reset")),
                }
            }
        });
        Client::new(service, "default")
    }

    fn refusal(code: u16) -> Value {
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "x", "message": "x", "code": code})
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_never_makes_a_spec_invalid() {
        let table = [
            (
                0,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                500,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                503,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                504,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                429,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                401,
                "ProgressingWithRetry: …Secret pbx can't be read: the API server does not return it. The operator tries again.",
            ),
            (
                403,
                "InvalidSpec: …Secret pbx can't be read. Grant the operator get on it.",
            ),
            (404, "InvalidSpec: …Secret pbx does not exist. Create it."),
        ];
        for (status, expected) in table {
            let trouble = variables(&answering(status, &refusal(status)), "customers", "pbx")
                .await
                .unwrap_err();
            let told = format!(
                "{}: {}",
                trouble.reason,
                trouble
                    .message
                    .replace("spec.advancedSettings.variablesFrom: ", "…")
            );
            assert_eq!(told, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn values_lose_the_line_break_at_their_end_and_nothing_else() {
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pbx", "namespace": "customers"}, "data": data});
        // "pass word \r\n", "a\nb\n", "" in base64.
        let client = answering(
            200,
            &secret(json!({"password": "cGFzcyB3b3JkIA0K", "lines": "YQpiCg==", "empty": ""})),
        );
        let read = variables(&client, "customers", "pbx").await.unwrap();
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect();
        assert_eq!(
            read,
            [("empty", ""), ("lines", "a\nb"), ("password", "pass word ")]
        );
        let trouble = variables(
            &answering(200, &secret(json!({"password": "/w=="}))),
            "customers",
            "pbx",
        )
        .await
        .unwrap_err();
        assert_eq!(trouble.reason, Reason::InvalidSpec);
        assert!(
            trouble
                .message
                .contains("the key password, whose value is not UTF-8 text"),
            "{}",
            trouble.message
        );
        assert!(
            variables(&answering(200, &secret(Value::Null)), "customers", "pbx")
                .await
                .unwrap()
                .is_empty()
        );
    }
}

//! May the objects of a namespace use a platform? By `spec.allowedNamespaces`; for a selector, by the namespace's labels.
//!
//! The labels are read when they are needed, and not watched: that would take the right to list all namespaces, for what changes once a year.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::policy::Connection;
use oc_domain::time::Time;

use crate::api::LivePlatform;
use crate::api::live_platform::NamespacesFrom;
use crate::engine::clock;

/// For so long labels that fit are not read again: thousands of objects of one namespace cost one request. Labels that do not fit are read each time.
const FRESH: Duration = Duration::from_secs(30);

/// When an object of a namespace that is not allowed is looked at again: whoever labels it need not ask for a look.
const AGAIN: Duration = Duration::from_secs(60);

/// The labels of namespaces, as they were read last.
#[derive(Default)]
pub struct Namespaces {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    at: Time,
    labels: BTreeMap<String, String>,
}

impl Namespaces {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the objects of this namespace can't use the platform now; `None` when they may.
    pub async fn stands_against(&self, client: &Client, platform: &LivePlatform, namespace: &str) -> Option<Connection> {
        let name = platform.name_any();
        let refused = |message| Trouble { retry_after: Some(AGAIN), ..Trouble::new(Reason::NamespaceNotAllowed, message) };
        let not_allowed =
            || refused(format!("LivePlatform {name} does not allow the namespace {namespace} (spec.allowedNamespaces). Ask whoever administers it."));
        let allowed = &platform.spec.allowed_namespaces;
        let selector = match allowed.from {
            NamespacesFrom::All => return None,
            NamespacesFrom::None => return Some(Connection::Unusable(not_allowed())),
            NamespacesFrom::Selector => Selector::try_from(allowed.selector.clone().unwrap_or_default()),
        };
        let selector = match selector {
            Ok(selector) => selector,
            Err(error) => {
                let message = format!("spec.allowedNamespaces.selector of LivePlatform {name} can't be read: {error}. Ask whoever administers it.");
                return Some(Connection::Unusable(refused(message)));
            }
        };
        match self.fits(client, &selector, namespace).await {
            Ok(true) => None,
            Ok(false) => Some(Connection::Unusable(not_allowed())),
            Err(error) if forbidden(&error) => {
                let message =
                    format!("The operator may not read the labels of namespace {namespace}, which spec.allowedNamespaces needs. Grant it get on namespaces.");
                Some(Connection::Unusable(refused(message)))
            }
            Err(error) => {
                let message = format!("The labels of namespace {namespace}, which spec.allowedNamespaces needs, can't be read now; tried again. {error}");
                Some(Connection::Unknown(Trouble::new(Reason::ProgressingWithRetry, message)))
            }
        }
    }

    /// An API server that does not answer takes nothing away: then the labels count as they were.
    async fn fits(&self, client: &Client, selector: &Selector, namespace: &str) -> Result<bool, kube::Error> {
        let known = self.known().get(namespace).cloned();
        let fitted = known.as_ref().map(|known| selector.matches(&known.labels));
        let at = clock::now();
        if fitted == Some(true) && known.is_some_and(|known| at < known.at + FRESH) {
            return Ok(true);
        }
        match Api::<Namespace>::all(client.clone()).get_metadata_opt(namespace).await {
            Ok(Some(found)) => {
                let labels = found.metadata.labels.unwrap_or_default();
                let fits = selector.matches(&labels);
                self.known().insert(namespace.to_owned(), Known { at, labels });
                Ok(fits)
            }
            Ok(None) => {
                self.known().remove(namespace);
                Ok(false)
            }
            Err(error) if forbidden(&error) => Err(error),
            Err(error) => fitted.ok_or(error),
        }
    }
}

fn forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use std::sync::Arc;

    /// An API server that knows one namespace: answers with a status and its labels, and counts.
    struct Server {
        status: u16,
        label: &'static str,
        asked: usize,
    }

    fn serving() -> (Arc<Mutex<Server>>, Client) {
        let server = Arc::new(Mutex::new(Server { status: 200, label: "no", asked: 0 }));
        let answers = Arc::clone(&server);
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut server = answers.lock().unwrap();
            server.asked += 1;
            let body = if server.status == 200 {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "sales", "labels": {"telephony": server.label}}})
            } else {
                let reason = if server.status == 404 { "NotFound" } else { "Other" };
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": "x", "code": server.status})
            };
            let answer = Response::builder().status(server.status).body(Body::from(body.to_string().into_bytes())).unwrap();
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        (server, Client::new(service, "default"))
    }

    fn platform(allowed: serde_json::Value) -> LivePlatform {
        let spec = json!({
            "url": "https://live.example.com", "allowedNamespaces": allowed,
            "authentication": {"entra": {"tenantId": "22222222-2222-4222-8222-222222222222", "clientId": "22222222-2222-4222-8222-222222222222", "scope": "api://x/.default"}},
        });
        LivePlatform::new("default", serde_json::from_value(spec).unwrap())
    }

    #[tokio::test]
    async fn labels_are_read_when_they_are_needed_and_an_api_server_that_is_away_takes_nothing_away() {
        let (server, client) = serving();
        let by_label = platform(json!({"from": "Selector", "selector": {"matchLabels": {"telephony": "yes"}}}));
        let namespaces = Namespaces::default();
        let told = async || match namespaces.stands_against(&client, &by_label, "sales").await {
            None => "may".to_owned(),
            Some(Connection::Unusable(trouble)) => format!("{} {:?}", trouble.reason, trouble.retry_after.map(|after| after.as_secs())),
            Some(Connection::Unknown(trouble)) => format!("unknown {}", trouble.reason),
            Some(Connection::Usable(_)) => "usable".to_owned(),
        };
        let table = [
            ("nothing was ever read", 500, "no", "unknown ProgressingWithRetry", 1),
            ("it is not labelled", 200, "no", "NamespaceNotAllowed Some(60)", 1),
            ("a no is not kept", 200, "no", "NamespaceNotAllowed Some(60)", 1),
            ("away: as it was", 503, "yes", "NamespaceNotAllowed Some(60)", 1),
            ("it is labelled", 200, "yes", "may", 1),
            ("a yes is kept for a while", 200, "no", "may", 0),
        ];
        for (what, status, label, expected, asked) in table {
            *server.lock().unwrap() = Server { status, label, asked: 0 };
            assert_eq!(told().await, expected, "{what}");
            assert_eq!(server.lock().unwrap().asked, asked, "{what}");
        }
        let table = [
            ("away: as it was", 503, "no", "may"),
            ("the right was taken away", 403, "yes", "NamespaceNotAllowed Some(60)"),
            ("it is not labelled any more", 200, "no", "NamespaceNotAllowed Some(60)"),
            ("it is gone", 404, "no", "NamespaceNotAllowed Some(60)"),
        ];
        for (what, status, label, expected) in table {
            namespaces.known().values_mut().for_each(|known| known.at = known.at - FRESH);
            *server.lock().unwrap() = Server { status, label, asked: 0 };
            assert_eq!(told().await, expected, "{what}");
            assert_eq!(server.lock().unwrap().asked, 1, "{what}");
        }
        assert!(namespaces.known().is_empty());
    }

    #[tokio::test]
    async fn all_and_none_need_no_labels() {
        let (server, client) = serving();
        let namespaces = Namespaces::default();
        assert!(namespaces.stands_against(&client, &platform(json!({"from": "All"})), "sales").await.is_none());
        assert!(matches!(namespaces.stands_against(&client, &platform(json!({"from": "None"})), "sales").await, Some(Connection::Unusable(_))));
        assert_eq!(server.lock().unwrap().asked, 0);
    }
}

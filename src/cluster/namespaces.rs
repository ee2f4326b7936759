//! Whether the objects of a namespace may use a platform: by `spec.allowedNamespaces` and, for a selector,
//! the namespace's labels.
//!
//! The labels are read when needed and not watched. A watch would need the permission to list all namespaces,
//! for something that changes once a year.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, ResourceExt};
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::policy::PlatformAccess;
use oc_domain::time::Time;

use crate::runtime::clock;
use oc_api::LivePlatform;
use oc_api::live_platform::NamespacesFrom;

/// How long matching labels are not read again, so that thousands of objects in one namespace cost one
/// request.
const FRESH: Duration = Duration::from_secs(30);

/// How long labels that do not match are not read again. Thousands of objects in a disallowed namespace cost
/// one request as well, and whoever labels it does not wait long.
const FRESH_NO: Duration = Duration::from_secs(3);

/// How long an answer counts for **other** objects, and for an object itself between the look and its intent.
const BELIEVED: Duration = Duration::from_secs(60);

/// Labels that were not needed for this long are dropped.
const KEPT: Duration = Duration::from_secs(86_400);

/// When to retry an object in a disallowed namespace, so that nobody has to request it after labelling the
/// namespace.
const AGAIN: Duration = Duration::from_secs(60);

/// The labels of namespaces, as last read.
#[derive(Default)]
pub struct Namespaces {
    known: Mutex<HashMap<String, KnownNamespace>>,
}

#[derive(Clone)]
struct KnownNamespace {
    at: Time,
    labels: Labels,
}

#[derive(Clone, PartialEq, Eq)]
enum Labels {
    Of(BTreeMap<String, String>),
    /// The namespace does not exist.
    Absent,
    /// The operator may not read the labels.
    Forbidden,
}

impl Labels {
    fn fit(&self, selector: &Selector) -> bool {
        matches!(self, Self::Of(labels) if selector.matches(labels))
    }
}

/// The result of an access check.
pub struct Looked {
    /// Why the objects can't use the platform now; `None` if they may.
    pub against: Option<PlatformAccess>,
    /// Whether the labels differ from the last read.
    pub changed: bool,
}

impl Namespaces {
    fn known(&self) -> MutexGuard<'_, HashMap<String, KnownNamespace>> {
        self.known.lock()
    }

    /// Returns whether the objects of this namespace may use the platform, from what is already known.
    pub fn access(&self, platform: &LivePlatform, namespace: &str) -> Access {
        let allowed = &platform.spec.allowed_namespaces;
        let selector = match allowed.from {
            NamespacesFrom::All => return Access::May,
            NamespacesFrom::None => return Access::MayNot,
            NamespacesFrom::Selector => Selector::try_from(allowed.selector.clone().unwrap_or_default()),
        };
        let Ok(selector) = selector else {
            return Access::MayNot;
        };
        match self
            .known()
            .get(namespace)
            .filter(|known| clock::now() < known.at + BELIEVED)
        {
            None => Access::Unknown,
            Some(known) if known.labels.fit(&selector) => Access::May,
            Some(_) => Access::MayNot,
        }
    }

    /// Checks whether the objects of this namespace can use the platform now, reading the labels if needed.
    pub async fn check_access(&self, client: &Client, platform: &LivePlatform, namespace: &str) -> Looked {
        let name = platform.name_any();
        let looked = |against, changed| Looked { against, changed };
        let refused = |message| {
            Some(PlatformAccess::Unusable(Trouble {
                retry_after: Some(AGAIN),
                ..Trouble::new(Reason::NamespaceNotAllowed, message)
            }))
        };
        let not_allowed = || {
            refused(format!(
                "LivePlatform {name} does not allow the namespace {namespace} (spec.allowedNamespaces). Ask its administrator."
            ))
        };
        let allowed = &platform.spec.allowed_namespaces;
        let selector = match allowed.from {
            NamespacesFrom::All => return looked(None, false),
            NamespacesFrom::None => return looked(not_allowed(), false),
            NamespacesFrom::Selector => Selector::try_from(allowed.selector.clone().unwrap_or_default()),
        };
        let selector = match selector {
            Ok(selector) => selector,
            Err(error) => {
                let message = format!(
                    "spec.allowedNamespaces.selector of LivePlatform {name} can't be read: {error}. Ask its administrator."
                );
                return looked(refused(message), false);
            }
        };
        match self.labels(client, &selector, namespace).await {
            Ok((labels, changed)) if labels.fit(&selector) => looked(None, changed),
            Ok((Labels::Forbidden, changed)) => {
                let message = format!(
                    "The operator may not read the labels of namespace {namespace}, which spec.allowedNamespaces needs. Grant it get on namespaces."
                );
                looked(refused(message), changed)
            }
            Ok((_, changed)) => looked(not_allowed(), changed),
            Err(error) => {
                let message = format!(
                    "spec.allowedNamespaces needs the labels of namespace {namespace}, which the operator can't read now. It tries again. {error}"
                );
                looked(
                    Some(PlatformAccess::Unknown(Trouble::new(
                        Reason::ProgressingWithRetry,
                        message,
                    ))),
                    false,
                )
            }
        }
    }

    /// Returns the labels, and whether they changed. If the API server does not answer, the last known labels
    /// still count.
    async fn labels(
        &self,
        client: &Client,
        selector: &Selector,
        namespace: &str,
    ) -> Result<(Labels, bool), kube::Error> {
        let known = self.known().get(namespace).cloned();
        let at = clock::now();
        let fresh = |known: &&KnownNamespace| {
            at < known.at
                + if known.labels.fit(selector) {
                    FRESH
                } else {
                    FRESH_NO
                }
        };
        if let Some(known) = known.as_ref().filter(fresh) {
            return Ok((known.labels.clone(), false));
        }
        let labels = match Api::<Namespace>::all(client.clone())
            .get_metadata_opt(namespace)
            .await
        {
            Ok(Some(found)) => Labels::Of(found.metadata.labels.unwrap_or_default()),
            Ok(None) => Labels::Absent,
            Err(error) if forbidden(&error) => Labels::Forbidden,
            Err(error) => return known.map(|known| (known.labels, false)).ok_or(error),
        };
        let changed = known.is_some_and(|known| known.labels != labels);
        let mut all = self.known();
        all.retain(|_, known| at < known.at + KEPT);
        all.insert(
            namespace.to_owned(),
            KnownNamespace {
                at,
                labels: labels.clone(),
            },
        );
        Ok((labels, changed))
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

    /// An API server with one namespace. It answers with a status and the labels, and counts requests.
    struct Server {
        status: u16,
        label: &'static str,
        asked: usize,
    }

    fn serving() -> (Arc<Mutex<Server>>, Client) {
        let server = Arc::new(Mutex::new(Server {
            status: 200,
            label: "no",
            asked: 0,
        }));
        let answers = Arc::clone(&server);
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut server = answers.lock();
            server.asked += 1;
            let body = if server.status == 200 {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "sales", "labels": {"telephony": server.label}}})
            } else {
                let reason = if server.status == 404 { "NotFound" } else { "Other" };
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": "x", "code": server.status})
            };
            let answer = Response::builder()
                .status(server.status)
                .body(Body::from(body.to_string().into_bytes()))
                .unwrap();
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

    #[allow(clippy::too_many_lines, reason = "a table, one row for each case")]
    #[tokio::test]
    async fn labels_are_read_when_they_are_needed_and_an_api_server_that_is_away_takes_nothing_away() {
        let (server, client) = serving();
        let by_label =
            platform(json!({"from": "Selector", "selector": {"matchLabels": {"telephony": "yes"}}}));
        let namespaces = Namespaces::default();
        let told = async || match namespaces.check_access(&client, &by_label, "sales").await.against {
            None => "may".to_owned(),
            Some(PlatformAccess::Unusable(trouble)) => format!(
                "{} {:?}",
                trouble.reason,
                trouble.retry_after.map(|after| after.as_secs())
            ),
            Some(PlatformAccess::Unknown(trouble)) => format!("unknown {}", trouble.reason),
            Some(PlatformAccess::Usable(_)) => "usable".to_owned(),
        };
        let age = |by: Duration| {
            namespaces
                .known()
                .values_mut()
                .for_each(|known| known.at = known.at - by)
        };
        let table = [
            (
                "nothing was ever read",
                500,
                "no",
                "unknown ProgressingWithRetry",
                1,
            ),
            ("it is not labelled", 200, "no", "NamespaceNotAllowed Some(60)", 1),
            (
                "a no is kept for a moment",
                200,
                "yes",
                "NamespaceNotAllowed Some(60)",
                0,
            ),
            (
                "…and not for longer; away: as it was",
                503,
                "yes",
                "NamespaceNotAllowed Some(60)",
                1,
            ),
            ("it is labelled", 200, "yes", "may", 1),
            ("a yes is kept for a while", 200, "no", "may", 0),
        ];
        for (what, status, label, expected, asked) in table {
            if asked > 0 {
                age(FRESH_NO);
            }
            *server.lock() = Server {
                status,
                label,
                asked: 0,
            };
            assert_eq!(told().await, expected, "{what}");
            assert_eq!(server.lock().asked, asked, "{what}");
        }
        let table = [
            ("away: as it was", 503, "no", "may"),
            (
                "the right was taken away",
                403,
                "yes",
                "NamespaceNotAllowed Some(60)",
            ),
            (
                "it is not labelled any more",
                200,
                "no",
                "NamespaceNotAllowed Some(60)",
            ),
            ("it is gone", 404, "no", "NamespaceNotAllowed Some(60)"),
        ];
        for (what, status, label, expected) in table {
            age(FRESH);
            *server.lock() = Server {
                status,
                label,
                asked: 0,
            };
            assert_eq!(told().await, expected, "{what}");
            assert_eq!(server.lock().asked, 1, "{what}");
        }
    }

    /// Thousands of objects in a disallowed namespace cause one request, not one each.
    #[tokio::test]
    async fn many_objects_of_a_namespace_that_is_not_allowed_cost_one_request() {
        let (server, client) = serving();
        let by_label =
            platform(json!({"from": "Selector", "selector": {"matchLabels": {"telephony": "yes"}}}));
        let namespaces = Namespaces::default();
        for (status, what) in [(200, "not labelled"), (404, "gone"), (403, "not to be read")] {
            namespaces
                .known()
                .values_mut()
                .for_each(|known| known.at = known.at - FRESH_NO);
            *server.lock() = Server {
                status,
                label: "no",
                asked: 0,
            };
            for _ in 0..1000 {
                assert!(
                    matches!(
                        namespaces.check_access(&client, &by_label, "sales").await.against,
                        Some(PlatformAccess::Unusable(_))
                    ),
                    "{what}"
                );
            }
            assert_eq!(server.lock().asked, 1, "{what}");
        }
    }

    /// What is known without a request, and whether it has changed.
    #[tokio::test]
    async fn what_is_believed_of_others() {
        let (server, client) = serving();
        let by_label =
            platform(json!({"from": "Selector", "selector": {"matchLabels": {"telephony": "yes"}}}));
        let namespaces = Namespaces::default();
        let access = || namespaces.access(&by_label, "sales");
        assert_eq!(access(), Access::Unknown, "nobody has asked");
        assert!(
            !namespaces.check_access(&client, &by_label, "sales").await.changed,
            "the first answer is no change"
        );
        assert_eq!(access(), Access::MayNot);
        server.lock().label = "yes";
        namespaces
            .known()
            .values_mut()
            .for_each(|known| known.at = known.at - FRESH_NO);
        assert!(namespaces.check_access(&client, &by_label, "sales").await.changed);
        assert_eq!(access(), Access::May);
        assert_eq!(
            namespaces.access(&platform(json!({"from": "None"})), "sales"),
            Access::MayNot
        );
        assert_eq!(
            namespaces.access(&platform(json!({"from": "All"})), "other"),
            Access::May
        );
        namespaces
            .known()
            .values_mut()
            .for_each(|known| known.at = known.at - BELIEVED);
        assert_eq!(access(), Access::Unknown, "it is too old");
        assert_eq!(server.lock().asked, 2, "who believes does not ask");
    }

    #[tokio::test]
    async fn all_and_none_need_no_labels() {
        let (server, client) = serving();
        let namespaces = Namespaces::default();
        assert!(
            namespaces
                .check_access(&client, &platform(json!({"from": "All"})), "sales")
                .await
                .against
                .is_none()
        );
        assert!(matches!(
            namespaces
                .check_access(&client, &platform(json!({"from": "None"})), "sales")
                .await
                .against,
            Some(PlatformAccess::Unusable(_))
        ));
        assert_eq!(server.lock().asked, 0);
    }
}

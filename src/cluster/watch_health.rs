//! Whether a watch is alive. In a cluster in which nothing happens, a healthy watch delivers no event for
//! hours, and neither does a dead one. What tells them apart is the traffic on its connections, bookmarks
//! included, and that a healthy one is restarted every few minutes.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;

use crate::cluster::key::Kind;
use crate::runtime::heartbeat::Heartbeat;

/// The health of one watch.
#[derive(Debug, Default)]
pub struct WatchHealth {
    heartbeat: Heartbeat,
    failures: AtomicU64,
    failing: AtomicBool,
    complete: AtomicBool,
    /// The watched namespace; empty for all.
    of: String,
    trouble: Mutex<WatchTrouble>,
}

/// Why the last attempt failed.
#[derive(Debug, Default)]
struct WatchTrouble {
    text: String,
    /// The API server rejects this one namespace: it is gone, or no longer ours.
    refused: bool,
}

/// The state of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchStatus {
    /// The watched namespace; empty for all.
    pub of: String,
    /// Why the API server rejects this one namespace, if it does: it is terminating, or we have no
    /// permission. The other namespaces are still served.
    pub refused: Option<String>,
    /// Whether the first list was complete.
    pub complete: bool,
    /// Whether the last attempt failed.
    pub failing: bool,
    /// How often the watch has failed.
    pub failures: u64,
    /// How long there has been no sign of life: no request, no response, no data, no failure.
    pub silent: Duration,
}

impl WatchStatus {
    /// Whether the watch shows the current state, so that a leader that relies on it is not blind. A rejected
    /// namespace counts as well: it shows nothing, and waiting would not change that.
    pub fn is_well(&self) -> bool {
        self.refused.is_some() || (self.complete && !self.failing)
    }
}

impl WatchHealth {
    /// Creates the health of a watch of this namespace, or of all.
    pub fn of(namespace: Option<&str>) -> Self {
        Self {
            of: namespace.unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }

    fn trouble(&self) -> parking_lot::MutexGuard<'_, WatchTrouble> {
        self.trouble.lock()
    }

    /// Reports that the list is complete.
    pub fn complete(&self) {
        self.heartbeat.beat();
        self.complete.store(true, Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
        *self.trouble() = WatchTrouble::default();
    }

    /// Reports a failure that is retried; `refused` says whether the API server rejects the namespace.
    /// Returns whether the failure differs from the one before.
    pub fn failed(&self, text: &str, refused: bool) -> bool {
        self.heartbeat.beat();
        self.failing.store(true, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut trouble = self.trouble();
        let news = trouble.text != text || trouble.refused != refused;
        *trouble = WatchTrouble {
            text: text.to_owned(),
            refused,
        };
        news
    }

    /// Returns the current state.
    pub fn seen(&self) -> WatchStatus {
        let trouble = self.trouble();
        WatchStatus {
            of: self.of.clone(),
            refused: trouble.refused.then(|| trouble.text.clone()),
            complete: self.complete.load(Ordering::Relaxed),
            failing: self.failing.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            silent: self.heartbeat.idle_for(),
        }
    }

    fn answered(&self, well: bool) {
        self.heartbeat.beat();
        if well {
            self.failing.store(false, Ordering::Relaxed);
            *self.trouble() = WatchTrouble::default();
        }
    }
}

/// The watches of this process.
#[derive(Default)]
pub struct Watches(Mutex<Vec<(Kind, Arc<WatchHealth>)>>);

impl Watches {
    /// Registers a watch of this kind, for one namespace or for all.
    pub fn begin(&self, kind: Kind, namespace: Option<&str>) -> Arc<WatchHealth> {
        let watched = Arc::new(WatchHealth::of(namespace));
        self.0.lock().push((kind, Arc::clone(&watched)));
        watched
    }

    /// Returns the state of all watches.
    pub fn all(&self) -> Vec<(Kind, WatchStatus)> {
        let watches = self.0.lock();
        watches
            .iter()
            .map(|(kind, watched)| (*kind, watched.seen()))
            .collect()
    }

    /// Whether all watches show the current state.
    pub fn sees(&self) -> bool {
        self.all().iter().all(|(_, seen)| seen.is_well())
    }
}

/// Returns a client whose requests and responses count as signs of life of one watch.
pub fn instrumented(client: &Client, watched: &Arc<WatchHealth>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let (client, watched) = (client.clone(), Arc::clone(watched));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, watched) = (client.clone(), Arc::clone(&watched));
        async move {
            watched.heartbeat.beat();
            let response = client.send(request).await?;
            watched.answered(response.status().is_success());
            let (parts, body) = response.into_parts();
            let body = body.map_frame(move |frame| {
                watched.heartbeat.beat();
                frame
            });
            Ok::<_, kube::Error>(Response::from_parts(parts, body))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_lasts_until_an_answer_is_good() {
        let watched = WatchHealth::default();
        assert_eq!(
            (
                watched.seen().complete,
                watched.seen().failing,
                watched.seen().is_well()
            ),
            (false, false, false)
        );
        watched.complete();
        assert!(watched.seen().is_well() && watched.failed("503", false));
        watched.answered(false);
        assert!(!watched.failed("503", false), "it is told once");
        let seen = watched.seen();
        assert_eq!(
            (seen.complete, seen.failing, seen.failures, seen.is_well()),
            (true, true, 2, false)
        );
        watched.answered(true);
        assert!(
            watched.seen().is_well(),
            "a watch that is begun anew brings no event while nothing happens"
        );
        assert!(watched.failed("503", false), "and again after it was well");
    }

    #[test]
    fn a_namespace_that_is_refused_keeps_nobody_from_the_others() {
        let watched = WatchHealth::of(Some("b"));
        assert!(!watched.seen().is_well());
        assert!(watched.failed("forbidden", true));
        let seen = watched.seen();
        assert_eq!(
            (
                seen.of.as_str(),
                seen.refused.as_deref(),
                seen.is_well(),
                seen.complete
            ),
            ("b", Some("forbidden"), true, false)
        );
        watched.answered(true);
        assert_eq!(
            (watched.seen().refused, watched.seen().is_well()),
            (None, false),
            "it is listed, and not complete yet"
        );
        watched.complete();
        assert!(watched.seen().is_well());
    }

    #[tokio::test]
    async fn requests_answers_and_each_piece_of_them_are_signs_of_life() {
        const PAUSE: Duration = Duration::from_millis(200);
        let pieces = |_: Request<Body>| async {
            let pieces = futures::stream::unfold(0, |number| async move {
                tokio::time::sleep(PAUSE).await;
                (number < 3).then_some((Ok::<_, std::io::Error>("piece"), number + 1))
            });
            Ok::<_, kube::Error>(Response::new(axum::body::Body::from_stream(pieces)))
        };
        let watched = Arc::new(WatchHealth::default());
        let client = instrumented(&Client::new(tower::service_fn(pieces), "default"), &watched);
        let silent = || watched.seen().silent;
        tokio::time::sleep(PAUSE).await;
        assert!(silent() >= PAUSE * 9 / 10);
        let mut body = client
            .send(Request::new(Body::empty()))
            .await
            .unwrap()
            .into_body();
        assert!(silent() < PAUSE / 2, "{:?}", silent());
        while let Some(piece) = body.frame().await {
            assert!(piece.is_ok() && silent() < PAUSE / 2, "{:?}", silent());
        }
        tokio::time::sleep(PAUSE).await;
        assert!(silent() >= PAUSE * 9 / 10, "what has ended gives none");
    }
}

//! Events about our objects (`events.k8s.io/v1`): what `kubectl describe` shows below an object, and what
//! outlives a deleted one.
//!
//! This is not kube's `Recorder`. That one merges events it considers equal into a series, which loses the
//! text and the order of a history, and it scans its cache at each event. Here each event already is a change
//! (see `oc_domain::events`), so each becomes one small object. A pass never waits for events: they are
//! written in the background, a limited number at once. An event that can't be written is dropped, and the
//! log reports the first failure of each kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::core::Request;
use kube::core::response::StatusCause;
use kube::{Client, Resource};
use oc_domain::events::{EventMessage, Severity};
use tokio::sync::Semaphore;

use crate::runtime::clock;

/// The reporting controller of our events.
pub const CONTROLLER: &str = "operatorconnect.dev/oc-essentials-operator";

/// How many events are written at once: a small part of the requests that may be in flight, so that passes do
/// not wait for events.
const AT_ONCE: usize = 4;

/// How many passes may have events waiting to be written, about a kilobyte each: the histories of a thousand
/// customers that arrive in the same minute. Beyond that, events are dropped.
const WAITING: u32 = 4000;

/// How long writing one event may take.
const TO_WRITE: Duration = Duration::from_secs(10);

/// The namespace for events about cluster-scoped objects. The API server accepts them nowhere else.
const NO_NAMESPACE: &str = "default";

/// Why events could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteFailure {
    /// The API server does not allow it.
    Forbidden,
    /// Everything else: the API server does not answer or rejects the event, or too many are waiting.
    Other,
    /// The namespace is terminating or gone, and the history of its objects with it. Nobody needs to act.
    NoNamespace,
}

impl WriteFailure {
    fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Other;
        };
        let goes = |cause: &StatusCause| cause.reason == "NamespaceTerminating";
        match status.code {
            404 => Self::NoNamespace,
            // A terminating namespace also rejects new objects with 403.
            403 if status
                .details
                .iter()
                .any(|details| details.causes.iter().any(goes)) =>
            {
                Self::NoNamespace
            }
            403 => Self::Forbidden,
            _ => Self::Other,
        }
    }
}

/// Which kinds of failure were already logged as a warning. An event that can't be written is not worth a
/// warning each time.
#[derive(Default)]
struct Warned([AtomicBool; 3]);

impl Warned {
    /// Returns whether this is the first failure of its kind.
    fn first(&self, failure: WriteFailure) -> bool {
        !self.0[failure as usize].swap(true, Ordering::Relaxed)
    }
}

/// Writes events. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    instance: Arc<str>,
    waiting: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    warned: Arc<Warned>,
}

impl Recorder {
    /// Creates a recorder for this process, which reports as `instance`.
    pub fn new(client: Client, instance: &str) -> Self {
        let instance = instance.chars().take(128).collect::<String>().into();
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            client,
            instance,
            waiting: places(WAITING as usize),
            writing: places(AT_ONCE),
            warned: Arc::default(),
        }
    }

    /// Writes the events of an object in this order, in the background, and returns at once.
    pub fn tell(&self, regarding: &ObjectReference, notes: &[EventMessage]) {
        if notes.is_empty() {
            return;
        }
        let events: Vec<Event> = notes.iter().map(|note| self.event(regarding, note)).collect();
        let namespace = regarding
            .namespace
            .clone()
            .unwrap_or_else(|| NO_NAMESPACE.to_owned());
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            self.leave(
                WriteFailure::Other,
                &namespace,
                events.len(),
                "too many events wait to be written",
            );
            return;
        };
        let recorder = self.clone();
        tokio::spawn(async move {
            for event in events {
                // The semaphore is never closed.
                let _turn = recorder.writing.acquire().await;
                match tokio::time::timeout(TO_WRITE, write(&recorder.client, &namespace, &event)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        recorder.leave(WriteFailure::of(&error), &namespace, 1, &error.to_string())
                    }
                    Err(_) => recorder.leave(
                        WriteFailure::Other,
                        &namespace,
                        1,
                        "the API server did not answer in time",
                    ),
                }
            }
            drop(place);
        });
    }

    /// Drops events. They only help people: what they say is also in status, or in the log.
    fn leave(&self, failure: WriteFailure, namespace: &str, count: usize, why: &str) {
        match (self.warned.first(failure), failure) {
            (false, _) | (_, WriteFailure::NoNamespace) => {
                tracing::debug!(namespace, count, why, "could not write events")
            }
            (true, WriteFailure::Forbidden) => tracing::warn!(
                namespace,
                count,
                why,
                "no permission to write events; grant the operator's service account create on events of events.k8s.io in this namespace (events about a LivePlatform are in the namespace default); further failures are logged at debug level"
            ),
            (true, WriteFailure::Other) => tracing::warn!(
                namespace,
                count,
                why,
                "could not write events, so they are lost; check that the API server answers and accepts them; further failures are logged at debug level"
            ),
        }
    }

    /// Waits briefly until the pending events are written.
    pub async fn finish(&self, at_most: Duration) {
        let all = tokio::time::timeout(at_most, self.waiting.acquire_many(WAITING)).await;
        if all.is_err() {
            tracing::debug!("not every event was written before the exit");
        }
    }

    fn event(&self, regarding: &ObjectReference, note: &EventMessage) -> Event {
        // Each event gets a unique name. A long object name is cut so that the whole name stays within the
        // limit.
        let object: String = regarding
            .name
            .as_deref()
            .unwrap_or("object")
            .chars()
            .take(200)
            .collect();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}.{}", object.trim_end_matches(['.', '-']), &unique[..16]);
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(
                    regarding
                        .namespace
                        .clone()
                        .unwrap_or_else(|| NO_NAMESPACE.to_owned()),
                ),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(clock::timestamp(clock::now()))),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.to_string()),
            action: Some(note.event.action().to_owned()),
            reason: Some(note.event.to_string()),
            note: Some(note.text.clone()),
            regarding: Some(regarding.clone()),
            type_: Some(match note.event.severity() {
                Severity::Normal => "Normal".to_owned(),
                Severity::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        }
    }
}

/// Writes one event. The response is the same event again, so it is not parsed.
async fn write(client: &Client, namespace: &str, event: &Event) -> Result<(), kube::Error> {
    let written = serde_json::to_vec(event).map_err(kube::Error::SerdeError)?;
    let request = Request::new(Event::url_path(&(), Some(namespace)))
        .create(&PostParams::default(), written)
        .map_err(kube::Error::BuildRequest)?;
    client.request_text(request).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::events;

    fn recorder() -> Recorder {
        let mut config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        Recorder::new(Client::try_from(config).unwrap(), &"i".repeat(300))
    }

    fn regarding(name: &str) -> ObjectReference {
        ObjectReference {
            name: Some(name.into()),
            namespace: Some("n".into()),
            ..ObjectReference::default()
        }
    }

    #[tokio::test]
    async fn what_the_api_server_asks_of_an_event_is_kept() {
        let recorder = recorder();
        for event in events::Event::ALL {
            let made = recorder.event(
                &regarding(&format!("{}.", "x".repeat(199))),
                &EventMessage::new(event, "ü".repeat(2000)),
            );
            let name = made.metadata.name.unwrap();
            assert!(name.len() <= 253 && !name.contains(".."), "{name}");
            assert!(made.note.unwrap().len() <= 1024);
            assert!(
                made.reporting_instance.unwrap().len() <= 128
                    && made.reason.unwrap().len() <= 128
                    && !made.action.unwrap().is_empty()
            );
        }
        let cluster = recorder.event(
            &ObjectReference {
                name: Some("default".into()),
                ..ObjectReference::default()
            },
            &EventMessage::new(events::Event::Throttled, "x"),
        );
        assert_eq!(cluster.metadata.namespace.as_deref(), Some("default"));
    }

    #[tokio::test]
    async fn what_can_not_be_written_is_told_once_and_holds_nobody_up() {
        let recorder = recorder();
        let notes = [
            EventMessage::new(events::Event::Licensed, "x"),
            EventMessage::new(events::Event::Synced, "x"),
        ];
        for _ in 0..WAITING + 10 {
            recorder.tell(&regarding("a"), &notes);
        }
        assert!(
            !recorder.warned.first(WriteFailure::Other),
            "those beyond the limit were told, at once"
        );
        recorder.finish(Duration::from_secs(60)).await;
        assert_eq!(
            recorder.waiting.available_permits(),
            WAITING as usize,
            "nobody listens, and none waits any more"
        );
        assert!(
            recorder.warned.first(WriteFailure::Forbidden) && !recorder.warned.first(WriteFailure::Forbidden),
            "of another kind is told as well"
        );
        recorder.tell(&regarding("a"), &[]);
    }

    #[test]
    fn what_is_forbidden_is_told_from_the_rest() {
        let refused =
            |code| kube::Error::Api(Box::new(kube::core::Status::failure("no", "x").with_code(code)));
        assert_eq!(WriteFailure::of(&refused(403)), WriteFailure::Forbidden);
        assert_eq!(WriteFailure::of(&refused(500)), WriteFailure::Other);
        assert_eq!(WriteFailure::of(&refused(404)), WriteFailure::NoNamespace);
        let answer = serde_json::json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "x",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "x", "field": "metadata.namespace"}]}});
        let goes = kube::Error::Api(Box::new(serde_json::from_value(answer).unwrap()));
        assert_eq!(
            WriteFailure::of(&goes),
            WriteFailure::NoNamespace,
            "that is no right that is missing"
        );
    }
}

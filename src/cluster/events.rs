//! Events about our objects (`events.k8s.io/v1`): what `kubectl describe` shows below an object, and what
//! outlives a deleted one.
//!
//! This is not kube's `Recorder`. That one merges events it considers equal into a series, which loses the
//! text and the order of a history, and it scans its cache at each event. Here each event already is a change
//! (see `oc_domain::events`), so each becomes one small object. A pass never waits for events: they are
//! written in the background, a limited number at once. An event that can't be written is dropped and
//! counted, and the log reports the first failure of each kind. What status tells as well is written at a rate:
//! when thousands of customers change at once, an event for each is a quarter of the writes, and nobody reads
//! them one by one. What is omitted is counted too.

mod line;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::core::response::StatusCause;
use kube::{Client, Resource};
use oc_domain::events::{EventMessage, Severity};
use oc_domain::time::Time;
use parking_lot::Mutex;
use serde::Serialize;
use smol_str::SmolStr;
use tokio::sync::Notify;

use crate::cluster::key::ObjectKey;
use crate::cluster::send::{create, send_only};
use crate::cluster::stores::{KnownResource, for_kind, key_of};
use crate::runtime::clock;
use line::{Line, PendingEvents, Subject};

/// The reporting controller of our events.
pub const CONTROLLER: &str = "operatorconnect.dev/oc-essentials-operator";

/// How many events are written at once: a small part of the requests that may be in flight, so that passes do
/// not wait for events.
const AT_ONCE: usize = 4;

/// How many events of what status tells as well are written a second in each namespace, and how many at once after
/// a pause. So whoever creates a dozen services sees the history of each, whatever happens in other namespaces.
const STATUS_TELLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(2).unwrap();
const STATUS_TELLS_AT_ONCE: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// After so many events, the rates of namespaces in which nothing happened lately are dropped.
const RATES_DROPPED_AFTER: u64 = 1 << 10;

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
pub struct Recorder(Arc<Shared>);

struct Shared {
    client: Client,
    instance: String,
    state: Mutex<State>,
    /// Wakes the writer that waits for a held event.
    wake: Notify,
    /// Reports that a writer has ended.
    ended: Notify,
    warned: Warned,
    dropped: AtomicU64,
    /// The rate of what status tells as well, by namespace.
    rates: RateLimiter<SmolStr, HashMapStateStore<SmolStr>, DefaultClock>,
    recorded: AtomicU64,
    omitted: AtomicU64,
}

#[derive(Default)]
struct State {
    line: Line,
    /// The number of tasks that write. Each ends when nothing is left to write.
    writers: usize,
    /// Whether one of them waits for a held event.
    one_waits: bool,
}

/// What a writer does next.
enum Turn {
    Write(PendingEvents),
    Wait(Duration),
    End,
}

impl State {
    /// Decides under the lock, so that no event is added to a line whose last writer is about to end.
    fn turn(&mut self) -> Turn {
        let now = clock::since_start();
        if let Some(next) = self.line.take(now) {
            return Turn::Write(next);
        }
        match self.line.next_due() {
            Some(due) if !self.one_waits => {
                self.one_waits = true;
                Turn::Wait(due.saturating_sub(now))
            }
            _ => {
                self.writers -= 1;
                Turn::End
            }
        }
    }
}

impl Recorder {
    /// Creates a recorder for this process, which reports as `instance`.
    pub fn new(client: Client, instance: &str) -> Self {
        Self(Arc::new(Shared {
            client,
            instance: instance.chars().take(128).collect(),
            state: Mutex::default(),
            wake: Notify::new(),
            ended: Notify::new(),
            warned: Warned::default(),
            dropped: AtomicU64::new(0),
            rates: RateLimiter::hashmap(
                Quota::per_second(STATUS_TELLS_PER_SECOND).allow_burst(STATUS_TELLS_AT_ONCE),
            ),
            recorded: AtomicU64::new(0),
            omitted: AtomicU64::new(0),
        }))
    }

    /// Writes the events of an object in this order, in the background, and returns at once.
    pub fn record<K: KnownResource>(&self, about: &K, messages: Vec<EventMessage>) {
        self.record_about((&key_of(about), about.meta().uid.as_deref()), messages);
    }

    /// Writes the events of the object of this key and uid, as [`Recorder::record`] does.
    pub fn record_about(&self, (key, uid): (&ObjectKey, Option<&str>), messages: Vec<EventMessage>) {
        if messages.is_empty() {
            return;
        }
        let about = Subject {
            key: key.clone(),
            uid: uid.map(Into::into),
        };
        let (namespace, at) = (namespace_for(key), clock::now());
        let new = PendingEvents { about, at, messages };
        let recorded = self.0.recorded.fetch_add(1, Ordering::Relaxed);
        if recorded.is_multiple_of(RATES_DROPPED_AFTER) {
            self.0.rates.retain_recent();
        }
        let has_turn = || self.0.rates.check_key(&namespace.into()).is_ok();
        let not_added = self.0.state.lock().line.add(clock::since_start(), new, has_turn);
        self.0
            .omitted
            .fetch_add(not_added.omitted as u64, Ordering::Relaxed);
        if not_added.dropped > 0 {
            let why = "too many events wait to be written";
            self.0
                .drop_events(WriteFailure::Other, namespace, not_added.dropped, why);
        }
        self.start_writer();
    }

    /// The number of events that were omitted because status tells the same, and too much happened at once.
    pub fn omitted(&self) -> u64 {
        self.0.omitted.load(Ordering::Relaxed)
    }

    /// The number of events that could not be written.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits briefly until the pending events are written. Nothing is held any longer.
    pub async fn finish(&self, at_most: Duration) {
        self.0.state.lock().line.close();
        self.0.wake.notify_one();
        self.start_writer();
        let all = async {
            loop {
                let ended = self.0.ended.notified();
                let idle = {
                    let state = self.0.state.lock();
                    state.writers == 0 && state.line.is_empty()
                };
                if idle {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(at_most, all).await.is_err() {
            tracing::debug!("not every event was written before the exit");
        }
    }

    fn start_writer(&self) {
        let mut state = self.0.state.lock();
        if state.writers < AT_ONCE && !state.line.is_empty() {
            state.writers += 1;
            tokio::spawn(write_all(Arc::clone(&self.0)));
        }
    }
}

/// Writes what is in the line until it is empty.
async fn write_all(shared: Arc<Shared>) {
    loop {
        let turn = shared.state.lock().turn();
        match turn {
            Turn::Write(next) => shared.write_events(&next).await,
            Turn::Wait(time) => {
                // Whoever closes the line wakes it.
                let _ = tokio::time::timeout(time, shared.wake.notified()).await;
                shared.state.lock().one_waits = false;
            }
            Turn::End => {
                shared.ended.notify_waiters();
                return;
            }
        }
    }
}

/// The namespace of events about an object.
fn namespace_for(key: &ObjectKey) -> &str {
    Some(key.namespace())
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(NO_NAMESPACE)
}

impl Shared {
    async fn write_events(&self, waiting: &PendingEvents) {
        let namespace = namespace_for(&waiting.about.key);
        for message in &waiting.messages {
            let event = self.event(&waiting.about, waiting.at, message);
            match tokio::time::timeout(TO_WRITE, write(&self.client, namespace, event)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    self.drop_events(WriteFailure::of(&error), namespace, 1, &error.to_string());
                }
                Err(_) => {
                    let why = "the API server did not answer in time";
                    self.drop_events(WriteFailure::Other, namespace, 1, why);
                }
            }
        }
    }

    /// Drops events. They only help people: what they say is also in status, or in the log.
    fn drop_events(&self, failure: WriteFailure, namespace: &str, count: usize, why: &str) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
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

    /// Returns an event as the API server reads it.
    fn event(&self, about: &Subject, at: Time, message: &EventMessage) -> Vec<u8> {
        let (key, namespace) = (&about.key, namespace_for(&about.key));
        // Each event gets a unique name. A long object name is cut so that the whole name stays within the
        // limit.
        let end = key
            .name()
            .char_indices()
            .nth(200)
            .map_or(key.name().len(), |(at, _)| at);
        let object = key.name()[..end].trim_end_matches(['.', '-']);
        let mut unique = [0; 32];
        let unique = &uuid::Uuid::new_v4().simple().encode_lower(&mut unique)[..16];
        let (api_version, kind) = for_kind!(key.kind(), K => (K::api_version(&()), K::kind(&())));
        let event = NewEvent {
            api_version: "events.k8s.io/v1",
            kind: "Event",
            metadata: NewEventMeta {
                name: format_args!("{object}.{unique}"),
                namespace,
            },
            event_time: MicroTime(clock::timestamp(at)),
            reporting_controller: CONTROLLER,
            reporting_instance: &self.instance,
            action: message.event.action(),
            reason: format_args!("{}", message.event),
            note: &message.text,
            regarding: Regarding {
                api_version: &api_version,
                kind: &kind,
                name: key.name(),
                namespace: Some(key.namespace()).filter(|namespace| !namespace.is_empty()),
                uid: about.uid.as_deref(),
            },
            type_: match message.event.severity() {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            },
        };
        let mut text = Vec::with_capacity(ROOM);
        // Texts can always be written, and so can anything to memory.
        let _written = serde_json::to_writer(&mut text, &event);
        text
    }
}

/// The room for an event: with a note of the usual length, its text need not grow.
const ROOM: usize = 1 << 10;

/// An `Event` that is about to be written, without a copy of what it says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewEvent<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: NewEventMeta<'a>,
    event_time: MicroTime,
    reporting_controller: &'a str,
    reporting_instance: &'a str,
    action: &'a str,
    reason: std::fmt::Arguments<'a>,
    note: &'a str,
    regarding: Regarding<'a>,
    #[serde(rename = "type")]
    type_: &'a str,
}

#[derive(Serialize)]
struct NewEventMeta<'a> {
    name: std::fmt::Arguments<'a>,
    namespace: &'a str,
}

/// The reference to the object that an event is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Regarding<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
}

/// Writes one event. The response is the same event again, so it is not read.
async fn write(client: &Client, namespace: &str, event: Vec<u8>) -> Result<(), kube::Error> {
    send_only(client, create(Event::url_path(&(), Some(namespace)), event)?).await
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

    fn about(key: ObjectKey) -> Subject {
        Subject { key, uid: None }
    }

    #[tokio::test]
    async fn what_the_api_server_asks_of_an_event_is_kept() {
        let recorder = recorder();
        let long = about(ObjectKey::service("n", &format!("{}.", "x".repeat(199))));
        for event in events::Event::ALL {
            let message = EventMessage::new(event, "ü".repeat(2000));
            let made = recorder.0.event(&long, Time(0), &message);
            let made: Event = serde_json::from_slice(&made).unwrap();
            let name = made.metadata.name.unwrap();
            assert!(name.len() <= 253 && !name.contains(".."), "{name}");
            assert!(made.note.unwrap().len() <= 1024);
            assert!(
                made.reporting_instance.unwrap().len() <= 128
                    && made.reason.unwrap().len() <= 128
                    && !made.action.unwrap().is_empty()
            );
        }
        let cluster = about(ObjectKey::platform("default"));
        let message = EventMessage::new(events::Event::Throttled, "x");
        let cluster = recorder.0.event(&cluster, Time(0), &message);
        let cluster: Event = serde_json::from_slice(&cluster).unwrap();
        assert_eq!(cluster.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(cluster.regarding.unwrap().namespace, None);
    }

    #[tokio::test]
    async fn what_can_not_be_written_is_told_once_and_holds_nobody_up() {
        let recorder = recorder();
        let spec = serde_json::from_value(serde_json::json!({"msTenantId": "x"})).unwrap();
        let object = oc_api::Lead::new("contoso", spec);
        let message = EventMessage::new(events::Event::LeadNotActive, "x".repeat(1000));
        for _ in 0..4000 {
            recorder.record(&object, vec![message.clone()]);
        }
        let dropped = recorder.dropped();
        assert!(
            (1000..4000).contains(&dropped),
            "those beyond the limit, at once: {dropped}"
        );
        assert!(
            !recorder.0.warned.first(WriteFailure::Other),
            "the log says so once"
        );
        recorder.finish(Duration::from_secs(60)).await;
        let state = recorder.0.state.lock();
        assert!(
            state.line.is_empty() && state.writers == 0,
            "nobody listens, and none waits any more"
        );
        assert_eq!(recorder.dropped(), 4000, "none was written");
        assert!(
            recorder.0.warned.first(WriteFailure::Forbidden)
                && !recorder.0.warned.first(WriteFailure::Forbidden),
            "of another kind is told as well"
        );
        recorder.record(&object, Vec::new());
    }

    #[tokio::test]
    async fn of_what_status_tells_as_well_a_few_are_written_and_the_others_counted() {
        let recorder = recorder();
        let spec = serde_json::from_value(serde_json::json!({"msTenantId": "x"})).unwrap();
        let object = oc_api::Lead::new("contoso", spec);
        for event in [events::Event::LeadActive, events::Event::LeadNotActive] {
            for _ in 0..200 {
                recorder.record(&object, vec![EventMessage::new(event, "x")]);
            }
        }
        let omitted = recorder.omitted();
        assert!((100..=150).contains(&omitted), "but for a burst: {omitted}");
        recorder.finish(Duration::from_secs(60)).await;
        assert_eq!(
            recorder.dropped(),
            400 - omitted,
            "the others are tried; nobody listens"
        );
    }

    #[tokio::test]
    async fn what_is_held_is_written_before_the_exit() {
        let recorder = recorder();
        let spec = serde_json::json!({"msTenantId": "x", "shortName": "contoso", "fullName": "Contoso Ltd"});
        let object = oc_api::OcEssentialService::new("contoso", serde_json::from_value(spec).unwrap());
        let message = EventMessage::new(events::Event::ConversionRequested, "x");
        recorder.record(&object, vec![message]);
        tokio::task::yield_now().await;
        assert_eq!(recorder.dropped(), 0, "held");
        let finish = recorder.finish(line::HELD * 3);
        let soon = tokio::time::timeout(line::HELD / 2, finish).await;
        assert!(soon.is_ok(), "it is not held any longer");
        assert_eq!(recorder.dropped(), 1, "it was tried; nobody listens");
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

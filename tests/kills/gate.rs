//! Counts the effects of an operator, and kills it at one of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::operator::Operator;

/// The delay of a late request. By then the next operator has had time to look, and to do what it would do without such a request. A start takes seconds on a
/// machine that does other things too.
const LATE: Duration = Duration::from_secs(8);

/// The finalizer that stays until the platform has let go of a service.
const EXTERNAL: &str = "operatorconnect.dev/external";

/// The receiver of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Cluster,
    Platform,
}

/// The name of a request's effect, without the names of objects, so that it is the same in each life. `None` for requests without an interesting effect: reads,
/// token requests, leases and events.
pub fn effect(side: Side, method: &str, path: &str, body: &[u8]) -> Option<String> {
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match side {
        Side::Platform if path.ends_with("/oauth2/v2.0/token") => None,
        Side::Platform => {
            let is_id = |part: &str| part.len() >= 32 && part.contains('-');
            let shown: Vec<&str> = parts.iter().map(|part| if is_id(part) { "{id}" } else { part }).collect();
            Some(format!("{method} /{}", shown.join("/")))
        }
        Side::Cluster => {
            let namespaced = parts.iter().position(|part| *part == "namespaces").map_or(3, |at| at + 2);
            let (kind, below) = (parts.get(namespaced)?, parts.get(namespaced + 2));
            if parts.contains(&"coordination.k8s.io") || *kind == "events" {
                return None;
            }
            Some(match below {
                Some(below) => format!("{method} {kind}/{below}{}", reason(body)),
                None => format!("{method} {kind}{}", mark(body)),
            })
        }
    }
}

/// The reason of `Ready` in a status: what the write reports.
fn reason(body: &[u8]) -> String {
    let patch: Value = serde_json::from_slice(body).unwrap_or_default();
    let conditions = patch["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["reason"].as_str()).map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// What a write to an object's metadata is about.
fn mark(body: &[u8]) -> &'static str {
    let patch: Value = serde_json::from_slice(body).unwrap_or_default();
    let metadata = &patch["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
    let operation = annotation("operatorconnect.dev/operation");
    let onboarded = annotation("operatorconnect.dev/onboarded-by");
    let finalizers = metadata["finalizers"].as_array();
    if operation.contains("\"Create\"") {
        " (intent to create)"
    } else if operation.contains("\"Delete\"") {
        " (intent to delete)"
    } else if onboarded.ends_with("/begun") {
        " (onboarding begun)"
    } else if !onboarded.is_empty() {
        " (onboarding made)"
    } else if finalizers.is_some_and(|all| all.iter().all(|name| name == EXTERNAL)) {
        " (let go)"
    } else {
        ""
    }
}

/// One effect of a life: its name, and which occurrence of that name it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub effect: String,
    pub nth: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} #{}", self.effect, self.nth)
    }
}

/// When the operator is killed, relative to an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The request arrives and is not forwarded.
    Before,
    /// The request is executed, and its answer is never delivered.
    After,
    /// The request is in transit, and is executed when the next operator is already at work: a slow network, or a busy server.
    Late,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Free,
    Kill(Moment),
}

#[derive(Default)]
struct State {
    open: bool,
    aim: Option<(Place, Moment)>,
    places: Vec<Place>,
    counts: BTreeMap<String, usize>,
    /// How many late requests are still in transit.
    on_their_way: usize,
}

/// The gate that all requests of one operator pass.
pub struct Gate {
    operator: Arc<Operator>,
    state: Mutex<State>,
    struck: watch::Sender<bool>,
    ready: watch::Sender<bool>,
}

impl Gate {
    /// A gate that lets everything pass and counts nothing until it is opened.
    pub fn new(operator: Arc<Operator>) -> Self {
        Self { operator, state: Mutex::default(), struck: watch::Sender::new(false), ready: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to count anew, and to wait for the place of the kill.
    pub fn open(&self, aim: Option<(Place, Moment)>) {
        let mut state = self.state();
        *state = State { open: true, aim, on_their_way: state.on_their_way, ..State::default() };
        self.struck.send_replace(false);
    }

    /// Registers a request that has an effect.
    pub fn arrives(&self, effect: String) -> Passage {
        let mut state = self.state();
        if !state.open {
            return Passage::Free;
        }
        let count = state.counts.entry(effect.clone()).or_default();
        *count += 1;
        let place = Place { effect, nth: *count };
        state.places.push(place.clone());
        let Some((_, moment)) = state.aim.take_if(|(aim, _)| *aim == place) else { return Passage::Free };
        state.on_their_way += usize::from(moment == Moment::Late);
        Passage::Kill(moment)
    }

    /// Kills the operator.
    pub fn strike(&self) {
        self.struck.send_replace(self.operator.kill());
    }

    /// Marks the height of the life: late requests held until then arrive now.
    pub fn at_its_height(&self) {
        self.ready.send_replace(true);
    }

    /// Returns when a late request is executed. A request to the cluster arrives when it does most harm, if that is still to come: when the next operator has
    /// written all it had to write. A request to the platform arrives well before the grace is over, which is what a grace is for.
    pub async fn late(&self, side: Side) {
        if side == Side::Platform || *self.ready.borrow() {
            tokio::time::sleep(LATE).await;
        } else {
            let mut ready = self.ready.subscribe();
            let _gone = ready.wait_for(|ready| *ready).await;
        }
    }

    /// Marks a late request as executed.
    pub fn arrived_late(&self) {
        self.state().on_their_way -= 1;
    }

    /// Whether a late request is still in transit.
    pub fn waits_for_late(&self) -> bool {
        self.state().on_their_way > 0
    }

    /// Returns once the operator was killed.
    pub async fn struck(&self) {
        let mut struck = self.struck.subscribe();
        if struck.wait_for(|struck| *struck).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the operator was killed.
    pub fn has_struck(&self) -> bool {
        *self.struck.borrow()
    }

    /// The effects since the gate was opened, in order.
    pub fn places(&self) -> Vec<Place> {
        self.state().places.clone()
    }
}

/// Checks that effects are told from other requests: a place that is not counted would never get a kill.
pub mod checks {
    use anyhow::{Result, ensure};
    use serde_json::json;

    use super::{Side, effect};

    pub fn effects_are_told_from_what_is_none() -> Result<()> {
        let service = "/apis/operatorconnect.dev/v1alpha1/namespaces/a/ocessentialservices/b";
        let begin = json!({"metadata": {"annotations": {"operatorconnect.dev/operation": "{\"kind\":\"Create\"}"}, "finalizers": ["f"]}}).to_string();
        let status = json!({"status": {"conditions": [{"type": "Synced", "reason": "Other"}, {"type": "Ready", "reason": "Deleting"}]}}).to_string();
        let release = json!({"metadata": {"finalizers": []}}).to_string();
        let one_of_two = json!({"metadata": {"finalizers": ["operatorconnect.dev/external"]}}).to_string();
        let lead = "/apis/operatorconnect.dev/v1alpha1/namespaces/a/leads/b";
        let onboarded = |state: &str| json!({"metadata": {"annotations": {"operatorconnect.dev/onboarded-by": format!("p/u/{state}")}}}).to_string();
        let (begun, made) = (onboarded("begun"), onboarded("2026-01-01T00:00:00Z"));
        for (side, method, path, body, wanted) in [
            (Side::Cluster, "PATCH", service, begin.as_str(), Some("PATCH ocessentialservices (intent to create)")),
            (Side::Cluster, "PATCH", service, release.as_str(), Some("PATCH ocessentialservices (let go)")),
            (Side::Cluster, "PATCH", service, one_of_two.as_str(), Some("PATCH ocessentialservices (let go)")),
            (Side::Cluster, "PATCH", lead, begun.as_str(), Some("PATCH leads (onboarding begun)")),
            (Side::Cluster, "PATCH", lead, made.as_str(), Some("PATCH leads (onboarding made)")),
            (Side::Cluster, "POST", "/apis/operatorconnect.dev/v1alpha1/namespaces/a/ocessentialservices", "", Some("POST ocessentialservices")),
            (Side::Cluster, "PATCH", &format!("{service}/status"), status.as_str(), Some("PATCH ocessentialservices/status (Deleting)")),
            (Side::Cluster, "PATCH", "/apis/operatorconnect.dev/v1alpha1/liveplatforms/a/status", "", Some("PATCH liveplatforms/status")),
            (Side::Cluster, "POST", "/apis/operatorconnect.dev/v1alpha1/namespaces/a/leads", "", Some("POST leads")),
            (Side::Cluster, "GET", service, "", None),
            (Side::Cluster, "PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "", None),
            (Side::Cluster, "POST", "/apis/events.k8s.io/v1/namespaces/a/events", "", None),
            (Side::Cluster, "POST", "/api/v1/namespaces/a/events", "", None),
            (Side::Platform, "POST", "/33333333-3333-4333-8333-333333333333/oauth2/v2.0/token", "", None),
            (Side::Platform, "POST", "/tenantui/api/v3/customer", "", Some("POST /tenantui/api/v3/customer")),
            (Side::Platform, "DELETE", "/tenantui/api/v2/customer/33333333-3333-4333-8333-333333333333", "", Some("DELETE /tenantui/api/v2/customer/{id}")),
        ] {
            let told = effect(side, method, path, body.as_bytes());
            ensure!(told.as_deref() == wanted, "{method} {path}: {told:?}, not {wanted:?}");
        }
        Ok(())
    }
}

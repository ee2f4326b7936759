//! All metrics: a closed list. The reference is generated from it, and every served metric takes its name
//! from it.

use prometheus_client::registry::Unit;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A value that only grows.
    Counter,
    /// A current value.
    Gauge,
    /// A distribution of values.
    Histogram,
}

impl Type {
    /// The name in OpenMetrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The description of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The name as used in a query; for a histogram, without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// The type.
    pub kind: Type,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The help text: a sentence without its full stop.
    pub help: &'static str,
}

impl Described {
    /// The unit: `seconds` or `bytes`; `None` for a plain number.
    pub fn unit(&self) -> Option<&'static str> {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }

    /// The name without what is added when it is served: the unit, and `_total`.
    pub(crate) fn stem(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        self.unit()
            .and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'))
            .unwrap_or(name)
    }

    pub(crate) fn typed_unit(&self) -> Option<Unit> {
        self.unit().map(|unit| {
            if unit == "bytes" {
                Unit::Bytes
            } else {
                Unit::Seconds
            }
        })
    }
}

macro_rules! catalogue {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) const $id: Described = Described { name: $name, kind: Type::$kind, labels: &[$($label),*], help: $help };)+
        const ALL: &[Described] = &[$($id),+];
    };
}

catalogue! {
    PASSES: Counter "operatorconnect_reconcile_total" ["kind", "outcome"]
        "Passes over objects, by how they ended: ready, waiting (for what comes by itself), asked (for a change at the platform), stalled (a person must act), failed (the platform is away, throttles or refuses the credential), conflict (the object was changed meanwhile), unwritten (the API server did not take a write), gone";
    PASS_DURATION: Histogram "operatorconnect_reconcile_time_seconds" ["kind"]
        "How long passes took, with all they waited for";
    QUEUE_READY: Gauge "operatorconnect_workqueue_depth" ["priority"]
        "Objects that are ready to be looked at, by urgency: changed (by somebody), effect (of something under way), observe (another look is due)";
    QUEUE_APPOINTED: Gauge "operatorconnect_workqueue_delayed" []
        "Objects that have an appointment for a later look";
    QUEUE_RUNNING: Gauge "operatorconnect_active_workers" []
        "Passes under way";
    QUEUE_WAIT: Histogram "operatorconnect_workqueue_queue_duration_seconds" ["priority"]
        "How long objects were ready before their pass began";
    QUEUE_OLDEST: Gauge "operatorconnect_workqueue_oldest_seconds" ["priority"]
        "For how long the oldest object that is ready has been so; in a replica that does not lead nothing is taken, and it grows";
    FIRST_LOOK: Histogram "operatorconnect_time_to_first_look_seconds" ["kind"]
        "From the creation of an object to its first pass, for objects made while this process runs; to the second, as creation times are";
    READY: Histogram "operatorconnect_time_to_ready_seconds" ["kind"]
        "From the creation of an object to the first time that it was Ready, for objects made while this process runs; to the second, as creation times are";
    CALLS: Counter "operatorconnect_platform_calls_total" ["platform", "call", "outcome"]
        "Calls to a platform and its token endpoint, retries among them, by how they ended: 2xx, 3xx, 4xx, 401, 429, 5xx, not_connected, timed_out, lost, too_large";
    CALL_DURATION: Histogram "operatorconnect_platform_call_duration_seconds" ["platform", "call"]
        "How long calls to a platform took, to the last byte of the answer";
    BUDGET_WAITING: Gauge "operatorconnect_platform_budget_waiting" ["platform"]
        "Calls that wait for their turn by spec.requests";
    BUDGET_WAIT: Histogram "operatorconnect_platform_budget_wait_seconds" ["platform"]
        "How long calls waited for their turn by spec.requests; after 20 seconds a call is given up, and its object tried again";
    IN_FLIGHT: Gauge "operatorconnect_platform_calls_in_flight" ["platform"]
        "Calls to the platform under way";
    LIMIT: Gauge "operatorconnect_platform_calls_limit_per_second" ["platform"]
        "How many calls a second are let pass (spec.requests.perSecond)";
    CIRCUIT_OPEN: Gauge "operatorconnect_platform_circuit_open" ["platform"]
        "1 while the platform is left alone but for a probe now and then, else 0";
    CIRCUIT_OPENED: Counter "operatorconnect_platform_circuit_opened_total" ["platform", "reason"]
        "How often a platform began to be left alone, by the reason: PlatformUnavailable, Throttled, AuthenticationFailed";
    INVENTORY_AGE: Gauge "operatorconnect_inventory_age_seconds" ["platform", "list"]
        "Since when the list of leads or services is known: the begin of its last good read";
    OBSERVE_INTERVAL: Gauge "operatorconnect_observe_interval_seconds" ["platform"]
        "How often the lists are read (spec.observeInterval)";
    INVENTORY_ENTRIES: Gauge "operatorconnect_inventory_entries" ["platform", "list"]
        "How many leads or services the platform has, by the last good read";
    LICENSES: Gauge "operatorconnect_licenses" ["platform", "license"]
        "Services on the platform by license type, in the portal's words; None without one, Other for one that is not known here";
    OPEN_INTENTS: Gauge "operatorconnect_open_intents" ["kind"]
        "Objects with a change that may have been asked for and whose outcome is not known";
    OLDEST_INTENT: Gauge "operatorconnect_oldest_intent_seconds" ["kind"]
        "For how long the oldest of them has been so; 0 without one";
    OPEN_TASKS: Gauge "operatorconnect_open_tasks" ["kind"]
        "Objects for which a task of the platform is under way";
    OLDEST_TASK: Gauge "operatorconnect_oldest_task_seconds" ["kind"]
        "For how long the oldest of them has been so; 0 without one";
    OBJECTS: Gauge "operatorconnect_objects" ["kind", "ready", "reason"]
        "Objects by the value and the reason of their condition Ready; Unknown and Progressing before their first look. Two reasons are no condition's: None without that condition, Other for one that is not known here";
    SYNC_JOBS_DUE: Gauge "operatorconnect_sync_jobs_due" ["platform", "sync_job"]
        "Services that wait for a run of the platform's synchronization job";
    DELETIONS_HELD: Gauge "operatorconnect_deletions_held" ["platform"]
        "Deletions beyond spec.deletions.perHour that wait for the annotation operatorconnect.dev/approve-deletions";
    ABSENCES_HELD: Gauge "operatorconnect_absences_held" ["platform"]
        "Objects that have recorded what the platform's lists do not show, and of which that is not believed: until it shows again, or until the annotation operatorconnect.dev/approve-absences has a new value";
    LEADER: Gauge "operatorconnect_leader" []
        "1 while this replica may change things, else 0";
    STATUS_FAILURES: Counter "operatorconnect_status_write_failures_total" ["kind"]
        "Writes of a status that failed, conflicts among them; each is tried again";
    API_CALLS: Counter "operatorconnect_apiserver_requests_total" ["verb", "code"]
        "Requests to the API server by verb and status of the answer; none when no answer came";
    API_DURATION: Histogram "operatorconnect_apiserver_request_duration_seconds" ["verb"]
        "How long the API server took to begin its answer";
    WATCH_FAILURES: Counter "operatorconnect_watch_failures_total" ["kind"]
        "How often a watch failed; it is begun again, each with a back-off of its own";
    WATCH_IDLE: Gauge "operatorconnect_watch_idle_seconds" ["kind"]
        "For how long nothing was heard of the watch: no object, no bookmark, no failure and no new begin; a watch that lives is heard of every few minutes";
    WATCHES_REFUSED: Gauge "operatorconnect_watches_refused" ["kind"]
        "Namespaces named in watchNamespaces that the API server does not let be watched: they are going, or there is no right to them; tried again every few seconds";
    UNREADABLE: Gauge "operatorconnect_unreadable_objects" ["kind"]
        "Objects with a field that this version can't read, as after a rollback; nothing is done for them until it is corrected";
    BUILD: Gauge "operatorconnect_build_info" ["version", "revision"]
        "Always 1; its labels say what runs";
    CPU: Counter "process_cpu_seconds_total" []
        "CPU time that this process has used";
    MEMORY: Gauge "process_resident_memory_bytes" []
        "Memory of this process that is resident";
    START: Gauge "process_start_time_seconds" []
        "When this process began, in seconds since 1970";
}

/// Every metric, in the order of the reference.
pub fn catalogue() -> &'static [Described] {
    ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_as_openmetrics_wants_them() {
        let names: BTreeSet<&str> = catalogue().iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), catalogue().len(), "a name is there twice");
        for metric in catalogue() {
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Type::Counter,
                "{}",
                metric.name
            );
            assert!(
                metric.name.starts_with("operatorconnect_") || metric.name.starts_with("process_"),
                "{}",
                metric.name
            );
            assert!(
                !metric.help.ends_with('.') && !metric.help.is_empty() && !metric.help.contains('\n'),
                "{}: the full stop is added",
                metric.name
            );
            let served = [
                Some(metric.stem()),
                metric.unit(),
                (metric.kind == Type::Counter).then_some("total"),
            ];
            assert_eq!(
                served.into_iter().flatten().collect::<Vec<_>>().join("_"),
                metric.name
            );
        }
        assert_eq!(
            (CPU.stem(), CPU.unit(), LIMIT.unit(), START.unit()),
            ("process_cpu", Some("seconds"), None, Some("seconds"))
        );
    }
}

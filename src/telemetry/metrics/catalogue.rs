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
        "Passes over objects by outcome: ready, waiting (for something that comes on its own), asked (requested a change from the platform), stalled (a person must act), failed (the platform is unavailable, throttles or refuses the credential), conflict (the object changed during the pass), unwritten (the API server did not accept a write), gone";
    PASS_DURATION: Histogram "operatorconnect_reconcile_time_seconds" ["kind"]
        "Duration of passes, including everything that they waited for";
    QUEUE_READY: Gauge "operatorconnect_workqueue_depth" ["priority"]
        "Objects that are due for a pass, by priority: changed (by somebody), effect (of something in progress), observe (a periodic check)";
    QUEUE_APPOINTED: Gauge "operatorconnect_workqueue_delayed" []
        "Objects scheduled for a later pass";
    QUEUE_RUNNING: Gauge "operatorconnect_active_workers" []
        "Passes in progress";
    QUEUE_WAIT: Histogram "operatorconnect_workqueue_queue_duration_seconds" ["priority"]
        "How long objects were due before their pass began";
    QUEUE_OLDEST: Gauge "operatorconnect_workqueue_oldest_seconds" ["priority"]
        "How long the oldest due object has waited for its pass; it grows in a replica that does not lead, which runs no passes";
    FIRST_LOOK: Histogram "operatorconnect_time_to_first_look_seconds" ["kind"]
        "Time from the creation of an object to its first pass, for objects created while this process runs; to the second, as creation times are";
    READY: Histogram "operatorconnect_time_to_ready_seconds" ["kind"]
        "Time from the creation of an object until it was first Ready, for objects created while this process runs; to the second, as creation times are";
    CALLS: Counter "operatorconnect_platform_calls_total" ["platform", "call", "outcome"]
        "Calls to a platform and its token endpoint, including retries, by outcome: 2xx, 3xx, 4xx, 401, 429, 5xx, not_connected, timed_out, lost, too_large";
    CALL_DURATION: Histogram "operatorconnect_platform_call_duration_seconds" ["platform", "call"]
        "Duration of calls to a platform, up to the last byte of the answer";
    BUDGET_WAITING: Gauge "operatorconnect_platform_budget_waiting" ["platform"]
        "Calls that wait for their turn under spec.requests";
    BUDGET_WAIT: Histogram "operatorconnect_platform_budget_wait_seconds" ["platform"]
        "How long calls waited for their turn under spec.requests; after 20 seconds the operator gives up the call and retries its object";
    IN_FLIGHT: Gauge "operatorconnect_platform_calls_in_flight" ["platform"]
        "Calls to the platform in progress";
    LIMIT: Gauge "operatorconnect_platform_calls_limit_per_second" ["platform"]
        "Allowed calls per second (spec.requests.perSecond)";
    CIRCUIT_OPEN: Gauge "operatorconnect_platform_circuit_open" ["platform"]
        "1 while the circuit is open, so that the platform gets only an occasional probe, else 0";
    CIRCUIT_OPENED: Counter "operatorconnect_platform_circuit_opened_total" ["platform", "reason"]
        "How often the circuit of a platform opened, by reason: PlatformUnavailable, Throttled, AuthenticationFailed";
    INVENTORY_AGE: Gauge "operatorconnect_inventory_age_seconds" ["platform", "list"]
        "Age of the list of leads or services, since the start of its last successful read";
    OBSERVE_INTERVAL: Gauge "operatorconnect_observe_interval_seconds" ["platform"]
        "Interval between reads of the lists (spec.observeInterval)";
    INVENTORY_ENTRIES: Gauge "operatorconnect_inventory_entries" ["platform", "list"]
        "Number of leads or services on the platform, by the last successful read";
    LICENSES: Gauge "operatorconnect_licenses" ["platform", "license"]
        "Services on the platform by license type, in the portal's words; None without one, Other for an unknown one";
    OPEN_INTENTS: Gauge "operatorconnect_open_intents" ["kind"]
        "Objects with a change that may have been requested and whose outcome is unknown";
    OLDEST_INTENT: Gauge "operatorconnect_oldest_intent_seconds" ["kind"]
        "Age of the oldest change whose outcome is unknown; 0 if there is none";
    OPEN_TASKS: Gauge "operatorconnect_open_tasks" ["kind"]
        "Objects for which a task of the platform is in progress";
    OLDEST_TASK: Gauge "operatorconnect_oldest_task_seconds" ["kind"]
        "Age of the oldest task in progress; 0 if there is none";
    OBJECTS: Gauge "operatorconnect_objects" ["kind", "ready", "reason"]
        "Objects by the value and the reason of their Ready condition; Unknown and Progressing before their first pass. Two reasons are not those of a condition: None if there is no condition, Other for an unknown reason";
    SYNC_JOBS_DUE: Gauge "operatorconnect_sync_jobs_due" ["platform", "sync_job"]
        "Services that wait for a run of the platform's synchronization job";
    DELETIONS_HELD: Gauge "operatorconnect_deletions_held" ["platform"]
        "Deletions beyond spec.deletions.perHour that wait for the annotation operatorconnect.dev/approve-deletions";
    ABSENCES_HELD: Gauge "operatorconnect_absences_held" ["platform"]
        "Objects that have recorded something that the platform's lists do not show and that the operator does not believe to be gone: until it appears again, or until the annotation operatorconnect.dev/approve-absences has a new value";
    UNDISCOVERED_LEADS: Gauge "operatorconnect_undiscovered_leads" ["platform"]
        "Leads that spec.leadDiscovery wants and whose Lead object could not be created";
    ONBOARDED_SERVICES: Gauge "operatorconnect_onboarded_services" ["platform"]
        "OcEssentialServices that a LeadPolicy has created and that exist";
    WAITING_LEADS: Gauge "operatorconnect_waiting_leads" ["platform"]
        "Leads that a LeadPolicy gives a service as soon as its limits allow it";
    REFUSED_LEADS: Gauge "operatorconnect_refused_leads" ["platform"]
        "Leads that a LeadPolicy selects and can't give a service until somebody acts; status.refusals of the policy says why";
    LEADER: Gauge "operatorconnect_leader" []
        "1 while this replica may change things, else 0";
    STATUS_FAILURES: Counter "operatorconnect_status_write_failures_total" ["kind"]
        "Failed status writes, including conflicts; the operator retries each";
    EVENTS_DROPPED: Counter "operatorconnect_events_dropped_total" []
        "Events that were not written: the API server refused them or did not answer, or too many were waiting; the log says why";
    EVENTS_OMITTED: Counter "operatorconnect_events_omitted_total" []
        "Normal events that were not written because too many objects changed at once, and status tells the same";
    API_CALLS: Counter "operatorconnect_apiserver_requests_total" ["verb", "code"]
        "Requests to the API server by verb and status of the response; none if there was no response";
    API_DURATION: Histogram "operatorconnect_apiserver_request_duration_seconds" ["verb"]
        "Time until the API server began its response";
    WATCH_FAILURES: Counter "operatorconnect_watch_failures_total" ["kind"]
        "How often a watch failed; each watch restarts with its own back-off";
    WATCH_IDLE: Gauge "operatorconnect_watch_idle_seconds" ["kind"]
        "Time since the last sign of life of the watch: an object, a bookmark, a failure or a restart; a live watch gives one every few minutes";
    WATCHES_REFUSED: Gauge "operatorconnect_watches_refused" ["kind"]
        "Namespaces in watchNamespaces that the API server does not let the operator watch: they are being deleted, or the permission is missing; retried every few seconds";
    UNREADABLE: Gauge "operatorconnect_unreadable_objects" ["kind"]
        "Objects with a field that this version can't read, as after a rollback; the operator does nothing for them until it is corrected";
    BUILD: Gauge "operatorconnect_build_info" ["version", "revision"]
        "Always 1; the labels identify the running version";
    CPU: Counter "process_cpu_seconds_total" []
        "CPU time used by this process";
    MEMORY: Gauge "process_resident_memory_bytes" []
        "Resident memory of this process";
    START: Gauge "process_start_time_seconds" []
        "Start time of this process, in seconds since 1970";
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

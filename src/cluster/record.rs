//! Parses annotations and status into what a decision reads, and names our annotations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::{Resource, ResourceExt};
use oc_domain::absence::{self, Account};
use oc_domain::breaker::DeletionLedger;
use oc_domain::lead_policy::ONBOARDED_BY;
use oc_domain::names::{CustomerGuid, TaskId, TenantId};
use oc_domain::record::{
    Intent, JobRecord, JobState, Operation, OperationId, OperationKind, Outcome, Record, Sent,
};
use oc_domain::time::{Duration, Time};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::runtime::clock;

/// The finalizer that keeps an object until its external side is settled.
pub const FINALIZER: &str = "operatorconnect.dev/external";
/// The annotation with the intent of a change on the platform.
pub const OPERATION: &str = "operatorconnect.dev/operation";
/// The annotation with the external id of a service.
pub const GUID: &str = "operatorconnect.dev/ump-customer-guid";
/// An annotation that requests a reconciliation: any new value counts.
pub const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";
/// Flux's annotation with the same meaning.
pub const FLUX_RECONCILE: &str = "reconcile.fluxcd.io/requestedAt";
/// On a `LivePlatform`: when a person ran the leads job.
pub const LEADS_JOB_RAN: &str = "operatorconnect.dev/leads-job-ran-at";
/// On a `LivePlatform`: when a person ran the trunks job.
pub const TRUNKS_JOB_RAN: &str = "operatorconnect.dev/trunks-job-ran-at";
/// On a `LivePlatform`: any new value approves the deletions that the breaker holds.
pub const APPROVE_DELETIONS: &str = "operatorconnect.dev/approve-deletions";
/// In `status.capabilities` of a `LivePlatform`: the read of an LC customer.
pub const LC_CUSTOMERS: &str = "LcCustomers";
/// In `status.capabilities` of a `LivePlatform`: the call that returns a tenant's telephone numbers.
pub const NUMBERS: &str = "Numbers";
/// On a `LivePlatform`: any new value confirms that what objects miss on the platform is really gone.
pub const APPROVE_ABSENCES: &str = "operatorconnect.dev/approve-absences";
/// The label of a discovered `Lead` with the name of its platform.
pub const PLATFORM_LABEL: &str = "operatorconnect.dev/platform";
/// The label of a discovered `Lead` that tells it from one that a person has created.
pub const DISCOVERED_LABEL: &str = "operatorconnect.dev/discovered";
/// The label of a service that a `LeadPolicy` has created, with the policy's name.
pub const LEAD_POLICY_LABEL: &str = "operatorconnect.dev/lead-policy";
/// The annotations that only we write. A change of them enqueues nothing.
pub const OWN_ANNOTATIONS: [&str; 2] = [OPERATION, ONBOARDED_BY];

/// The longest operation id that status accepts.
const LONGEST_ID: usize = 100;
/// The longest place of a platform in an intent. Its URL has at most 2,000 characters, and the place is
/// hardly longer.
const LONGEST_PLACE: usize = 4000;

/// The intent as written in the annotation.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    start: jiff::Timestamp,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    platform: Option<Text<'a>>,
}

/// A text of the annotation, without a copy unless it has escapes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Text<'a> {
    fn of(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into())
    }

    /// The beginning of the text, of at most this many characters.
    fn cut(&self, most: usize) -> Arc<str> {
        let end = self.0.char_indices().nth(most).map_or(self.0.len(), |(at, _)| at);
        Arc::from(&self.0[..end])
    }
}

/// Returns the annotation's text for an intent.
pub fn intent_text(intent: &Intent) -> String {
    let written = Written {
        kind: Text::of(intent.kind.as_str()),
        id: Text::of(&*intent.id.0),
        start: clock::timestamp(intent.start),
        tenant: intent.tenant.map(|tenant| Text::of(tenant.to_string())),
        platform: intent.place.as_deref().map(Text::of),
    };
    serde_json::to_string(&written).unwrap_or_default()
}

fn intent(annotations: &BTreeMap<String, String>) -> Option<Intent> {
    let written: Written<'_> = serde_json::from_str(annotations.get(OPERATION)?).ok()?;
    // Whatever can't be read as a deletion counts as a create: that is the one that must never be repeated
    // blindly.
    let kind = if written.kind.0 == OperationKind::Delete.as_str() {
        OperationKind::Delete
    } else {
        OperationKind::Create
    };
    // What is read here may be written to status again, which accepts neither longer ids nor years before the
    // first.
    Some(Intent {
        kind,
        id: OperationId(written.id.cut(LONGEST_ID)),
        start: clock::time(written.start).max(Time(0)),
        tenant: written.tenant.and_then(|tenant| TenantId::parse(&tenant.0).ok()),
        place: written.platform.map(|place| place.cut(LONGEST_PLACE)),
        sent: Sent::Maybe,
    })
}

/// Returns the tenant for which a service may have been requested, from an intent that status does not show
/// yet.
pub fn asked_for(object: &oc_api::OcEssentialService) -> Option<TenantId> {
    let intent = intent(object.annotations())
        .filter(|intent| intent.kind == OperationKind::Create && has_finalizer(object))?;
    let told = |status: &oc_api::OcEssentialServiceStatus| {
        status.ump_customer_guid.is_some()
            || status
                .operation
                .as_ref()
                .is_some_and(|op| op.id.as_deref() == Some(&*intent.id.0))
    };
    if object.status.as_ref().is_some_and(told) {
        None
    } else {
        intent.tenant
    }
}

/// Returns the place of the platform for which the object has an intent.
pub fn place_asked(object: &oc_api::OcEssentialService) -> Option<Arc<str>> {
    intent(object.annotations())?.place
}

/// Returns whether this release of the platform has a call, as far as its status knows.
pub fn capability(object: &oc_api::LivePlatform, name: &str) -> Option<bool> {
    let told = object
        .status
        .as_ref()?
        .capabilities
        .iter()
        .find(|told| told.name == name)?;
    match told.state {
        oc_api::CapabilityState::Available => Some(true),
        oc_api::CapabilityState::Unavailable => Some(false),
        _ => None,
    }
}

fn time(time: Option<&meta::Time>) -> Option<Time> {
    time.map(|time| clock::time(time.0))
}

/// The words of the platform that nearly all objects at rest have. One text for all of them.
static USUAL: LazyLock<[Arc<str>; 3]> =
    LazyLock::new(|| ["InProgress", "CompletedSuccess", "OC Essential"].map(Arc::from));

/// Returns a word of the platform, without a copy if it is a usual one.
fn usual(word: &str) -> Arc<str> {
    let known = USUAL.iter().find(|usual| ***usual == *word);
    known.map_or_else(|| word.into(), Arc::clone)
}

fn operation(written: Option<&oc_api::Operation>) -> Option<Operation> {
    let written = written?;
    let kind = match written.kind {
        oc_api::OperationKind::Delete => OperationKind::Delete,
        // Whatever can't be read as a deletion counts as a create: that is the one that must never be
        // repeated blindly.
        _ => OperationKind::Create,
    };
    // The domain decides which operation it belongs to ([`Operation::ended`]).
    let outcome = written.outcome.and_then(|outcome| match outcome {
        oc_api::Outcome::Succeeded => Some(Outcome::Succeeded),
        oc_api::Outcome::Failed => Some(Outcome::Failed),
        oc_api::Outcome::Refused => Some(Outcome::Refused),
        oc_api::Outcome::Unknown => Some(Outcome::Unknown),
        // A word of a later version may mean that the operation goes on elsewhere.
        oc_api::Outcome::Other => None,
    });
    let id: Arc<str> = written.id.clone().unwrap_or_default().into();
    let outcome_of = written.outcome_of.clone().map(|of| {
        // Almost always this operation, and the text may be kept for long.
        if *of == *id { Arc::clone(&id) } else { of.into() }
    });
    Some(Operation {
        kind,
        id: OperationId(id),
        started: time(written.started_time.as_ref()).unwrap_or_default(),
        task: written.task_id.as_deref().and_then(|id| TaskId::parse(id).ok()),
        task_status: written.task_status.as_deref().map(usual),
        task_ended: time(written.task_ended_time.as_ref()),
        took: written
            .duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
        outcome,
        outcome_of: outcome_of.map(OperationId),
        completed: time(written.completed_time.as_ref()),
        generation: written.generation,
        reason: written
            .reason
            .as_deref()
            .and_then(oc_domain::conditions::Reason::parse),
        messages: if written.messages.is_empty() {
            Arc::default()
        } else {
            written.messages.iter().map(SmolStr::to_string).collect()
        },
    })
}

/// Parses one job from a status.
pub fn job(jobs: &[oc_api::JobStatus], name: &str) -> JobRecord {
    let Some(written) = jobs.iter().find(|job| job.name == name) else {
        return JobRecord::default();
    };
    let state = match written.state {
        oc_api::SyncState::Due => JobState::Due,
        oc_api::SyncState::Requested => JobState::Requested,
        oc_api::SyncState::Synced => JobState::Synced,
        oc_api::SyncState::NotDue | oc_api::SyncState::Unknown => JobState::NotDue,
    };
    JobRecord {
        state,
        due: time(written.due_time.as_ref()),
        requested: time(written.requested_time.as_ref()),
        completed: time(written.completed_time.as_ref()),
    }
}

/// Whether the object has our finalizer.
pub fn has_finalizer<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|name| name == FINALIZER)
}

/// Returns the deletions that a platform object remembers.
pub fn ledger(object: &oc_api::LivePlatform) -> DeletionLedger {
    let Some(written) = object
        .status
        .as_ref()
        .and_then(|status| status.deletions.as_ref())
    else {
        return DeletionLedger::default();
    };
    DeletionLedger {
        granted: written
            .granted
            .iter()
            .map(|grant| (grant.uid.clone(), clock::time(grant.time.0)))
            .collect(),
        approved: time(written.approved_time.as_ref()),
        handled: written.last_handled_approval.clone(),
        held: written.held,
    }
}

/// Returns the value of the annotation that approves held deletions.
pub fn approval<K: Resource>(object: &K) -> Option<String> {
    object
        .annotations()
        .get(APPROVE_DELETIONS)
        .map(|value| value.chars().take(256).collect())
}

/// Returns the absences that a platform object remembers.
pub fn absences(object: &oc_api::LivePlatform) -> absence::AbsenceLedger {
    let Some(written) = object.status.as_ref().and_then(|status| status.absences.as_ref()) else {
        return absence::AbsenceLedger::default();
    };
    absence::AbsenceLedger {
        known: written.known.as_ref().map(|known| Account {
            url: known.url.clone(),
            identity: known.identity.clone(),
        }),
        believed: written
            .believed
            .iter()
            .map(|one| (one.id.clone(), clock::time(one.time.0)))
            .collect(),
        accepted: written.accepted,
        held: written.held,
        since: time(written.since_time.as_ref()),
        handled: written.last_handled_approval.clone(),
    }
}

/// Returns the value of the annotation that confirms absences.
pub fn absence_approval<K: Resource>(object: &K) -> Option<String> {
    object
        .annotations()
        .get(APPROVE_ABSENCES)
        .map(|value| value.chars().take(256).collect())
}

/// Returns the values of both annotations that request a reconciliation, joined.
pub fn requested<K: Resource>(object: &K) -> Option<String> {
    let annotations = object.annotations();
    let values: Vec<&str> = [RECONCILE, FLUX_RECONCILE]
        .iter()
        .filter_map(|name| annotations.get(*name))
        .map(String::as_str)
        .collect();
    // The API server accepts long annotations, but a token that must be echoed may be cut.
    if values.is_empty() {
        None
    } else {
        Some(values.join(" ").chars().take(256).collect())
    }
}

/// Returns what a service object remembers.
pub fn of_service(object: &oc_api::OcEssentialService) -> Record {
    let annotations = object.annotations();
    let annotated = annotations
        .get(GUID)
        .and_then(|guid| CustomerGuid::parse(guid).ok());
    let empty = oc_api::OcEssentialServiceStatus::default();
    let status = object.status.as_ref().unwrap_or(&empty);
    let jobs = status
        .sync
        .as_ref()
        .map(|sync| sync.jobs.as_slice())
        .unwrap_or_default();
    let told = status
        .ump_customer_guid
        .as_deref()
        .and_then(|guid| CustomerGuid::parse(guid).ok());
    Record {
        finalizer: has_finalizer(object),
        intent: intent(annotations),
        operation: operation(status.operation.as_ref()),
        guid: told.or(annotated),
        guid_proven: told.is_some(),
        guid_annotated: annotated.is_some(),
        license: status.license_type.as_deref().map(usual),
        observed_generation: status.observed_generation,
        leads_job: job(jobs, oc_domain::record::Job::Leads.name()),
        trunks_job: job(jobs, oc_domain::record::Job::Trunks.name()),
        assigned_channel: None,
    }
}

/// Returns what a lead object remembers.
pub fn of_lead(object: &oc_api::Lead) -> Record {
    let empty = oc_api::LeadStatus::default();
    let status = object.status.as_ref().unwrap_or(&empty);
    Record {
        finalizer: has_finalizer(object),
        intent: intent(object.annotations()),
        operation: operation(status.operation.as_ref()),
        observed_generation: status.observed_generation,
        assigned_channel: status.assigned_channel_id,
        ..Record::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Intent> {
        intent(&BTreeMap::from([(OPERATION.to_owned(), text.to_owned())]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        /// People can write annotations too. Whatever they write is read without a panic, and never counts as
        /// a request that was certainly not sent.
        #[test]
        fn any_annotation_is_survived(any: String, kind in "(Create|Delete|create|\\PC{0,5})", id in "\\PC{0,9}", start in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+]01:00)|\\PC{0,9}") {
            prop_assert!(read(&any).is_none_or(|intent| intent.sent == Sent::Maybe));
            let text = serde_json::json!({"kind": kind, "id": id, "start": start}).to_string();
            if let Some(intent) = read(&text) {
                prop_assert_eq!(intent.kind == OperationKind::Delete, kind == "Delete");
                prop_assert_eq!(intent.sent, Sent::Maybe);
                prop_assert_eq!(read(&intent_text(&intent)), Some(intent), "what was read can be written and read again");
            }
        }
    }

    #[test]
    fn what_anybody_can_write_fits_a_status() {
        let long = format!(
            r#"{{"kind":"Create","id":"{}","start":"-000044-03-15T12:00:00Z"}}"#,
            "x".repeat(300)
        );
        let intent = read(&long).unwrap();
        assert_eq!((intent.id.0.len(), intent.start), (100, Time(0)));
    }

    #[test]
    fn only_the_end_of_this_very_operation_ends_it() {
        let read = |outcome: &str, of: Option<&str>, completed: Option<&str>| {
            let written = serde_json::json!({"kind": "Create", "id": "2", "taskId": "wst_1", "startedTime": "2026-01-02T03:00:00Z", "outcome": outcome, "outcomeOf": of, "completedTime": completed});
            operation(Some(&serde_json::from_value(written).unwrap()))
                .unwrap()
                .ended()
        };
        let (before, same, after) = (
            Some("2026-01-02T02:59:59Z"),
            Some("2026-01-02T03:00:00Z"),
            Some("2026-01-02T03:05:00Z"),
        );
        let table = [
            ("its own", Some("2"), after, true),
            ("its own, by a clock that was behind", Some("2"), before, true),
            ("of an older version", None, same, true),
            ("of an operation before it", None, before, false),
            ("of another one", Some("1"), after, false),
            ("that nobody has seen", None, None, false),
        ];
        for outcome in ["Succeeded", "Failed", "Refused", "Unknown"] {
            for (what, of, completed, ends) in table {
                assert_eq!(
                    read(outcome, of, completed).map(|ended| ended.as_str()),
                    Some(outcome).filter(|_| ends),
                    "{outcome}, {what}"
                );
            }
        }
        assert_eq!(
            read("HandedOver", Some("2"), after),
            None,
            "a word of a later version"
        );
        assert_eq!(
            operation(Some(
                &serde_json::from_value(serde_json::json!({"kind": "Move", "id": "3"})).unwrap()
            ))
            .unwrap()
            .kind,
            OperationKind::Create
        );
    }

    #[test]
    fn an_intent_as_it_is_written_is_read_and_others_are_not() {
        let text = r#"{"kind":"Create","id":"1","start":"2025-01-02T03:04:05Z"}"#;
        assert_eq!(
            read(text).map(|intent| intent.start),
            Some(Time(1_735_787_045_000))
        );
        let whose = r#"{"kind":"Create","id":"1","start":"2025-01-02T03:04:05Z","tenant":"22222222-2222-4222-8222-222222222222","platform":"https://live.example.com:443/tenantui"}"#;
        let intent = read(whose).unwrap();
        assert_eq!(
            intent.tenant.as_ref().map(ToString::to_string).as_deref(),
            Some("22222222-2222-4222-8222-222222222222")
        );
        assert_eq!(
            intent.place.as_deref(),
            Some("https://live.example.com:443/tenantui")
        );
        assert_eq!(intent_text(&intent), whose);
        let edge = format!(
            r#"{{"kind":"Create","id":"1","start":"2025-01-02T03:04:05Z","tenant":"nobody","platform":"{}"}}"#,
            "x".repeat(9000)
        );
        assert_eq!(
            read(&edge).map(|intent| (intent.tenant, intent.place.map(|place| place.len()))),
            Some((None, Some(LONGEST_PLACE)))
        );
        for text in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"kind":"Create","id":"1"}"#,
            r#"{"kind":"Create","id":1,"start":"2025-01-02T03:04:05Z"}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! Events for what blocks an object, and for its recovery.

use crate::conditions::{ConditionStatus, Reason, Verdict};
use crate::decision::Decision;
use crate::pass::Pass;
use crate::record::{OperationKind, Outcome, Record};

use super::{Event, EventMessage, LastReported, concerns_all};

/// The event for a new blocking reason, or for Suspended, Observing or PlanReady.
pub(super) fn stands_in_the_way(
    said: &LastReported,
    before: &Record,
    pass: &Pass,
    last: &Decision,
) -> Option<EventMessage> {
    let now = &last.verdict;
    let again = said.reason() == Some(now.reason);
    // After an outage the same reason returns. It was reported before, so it is reported again only when this
    // pass shows that it is new.
    let known = said.platform_was_away() && !surely_new(before, pass, last);
    match (of_reason(now.reason), now.reason) {
        (Some(event), Reason::Suspended | Reason::Observing | Reason::PlanReady) => {
            (!again && !known).then(|| EventMessage::new(event, now.message.clone()))
        }
        // A young object waits for what is applied along with it. That is not news yet.
        (Some(event), reason) if reason.stalls() && now.stalled && !(again && said.stalled) => {
            (!known).then(|| EventMessage::new(event, now.message.clone()))
        }
        (_, reason) if said.reason() == Some(Reason::Suspended) && reason != Reason::Suspended => {
            Some(EventMessage::new(
                Event::Resumed,
                "spec.suspend is no longer true: the operator works on this object again.",
            ))
        }
        _ => None,
    }
}

/// Whether the current blocking reason cannot predate the outage. If in doubt, it may already have been
/// reported.
fn surely_new(before: &Record, pass: &Pass, last: &Decision) -> bool {
    let other_spec = before
        .observed_generation
        .is_some_and(|seen| seen != pass.facts.generation);
    match last.verdict.reason {
        // This is known without the platform. Had it applied before, status would not have reported the
        // platform.
        Reason::Suspended | Reason::NamespaceNotAllowed | Reason::PlatformNotFound => true,
        // Status has not reported on this spec yet.
        Reason::InvalidSpec | Reason::PlanReady | Reason::Observing if other_spec => true,
        // The license is dropped when the service is first missed.
        Reason::DeletedExternally => before.license.is_some() && last.record.license.is_none(),
        // A change failed or was refused in this pass, and the previous one did not end that way.
        _ => failure(&last.record).is_some_and(|now| failure(before) != Some(now)),
    }
}

/// How the last change of an object failed, if it did.
fn failure(record: &Record) -> Option<(OperationKind, Outcome, Option<Reason>)> {
    let operation = record.operation.as_ref()?;
    let outcome = operation
        .ended()
        .filter(|outcome| matches!(outcome, Outcome::Failed | Outcome::Refused))?;
    Some((operation.kind, outcome, operation.reason))
}

/// The event for a resolved problem that concerned this object alone.
pub(super) fn recovered(said: &LastReported, now: &Verdict) -> Option<EventMessage> {
    let from = said
        .reason()
        .filter(|reason| said.stalled && !concerns_all(*reason))?;
    (now.ready == ConditionStatus::True)
        .then(|| EventMessage::new(Event::Recovered, format!("{from} is resolved. {}", now.message)))
}

/// The event for a reason of a service or a lead.
fn of_reason(reason: Reason) -> Option<Event> {
    Some(match reason {
        Reason::InvalidSpec => Event::InvalidSpec,
        Reason::ShortNameTaken => Event::ShortNameTaken,
        Reason::Conflict => Event::Conflict,
        Reason::LeadNotFound => Event::LeadNotFound,
        Reason::LeadNotActive => Event::LeadNotActive,
        Reason::AlreadyLicensed => Event::AlreadyLicensed,
        Reason::ChannelMismatch => Event::ChannelMismatch,
        Reason::NamespaceNotAllowed => Event::NamespaceNotAllowed,
        Reason::DeletedExternally => Event::DeletedExternally,
        Reason::DeletionBlocked => Event::DeletionBlocked,
        Reason::DeletionRateExceeded => Event::DeletionRateExceeded,
        Reason::TaskFailed => Event::TaskFailed,
        Reason::PlatformRefused => Event::PlatformRefused,
        Reason::PlatformNotFound => Event::PlatformNotFound,
        Reason::PlanReady => Event::PlanReady,
        Reason::Observing => Event::Observing,
        Reason::Suspended => Event::Suspended,
        // The platform object reports the first five, for all its objects or for discovery. The jobs have their own events. The
        // rest is work in progress.
        Reason::AuthenticationFailed
        | Reason::PlatformUnavailable
        | Reason::Throttled
        | Reason::AbsenceUnconfirmed
        | Reason::ClusterRefused
        | Reason::AwaitingLeadsJob
        | Reason::AwaitingTrunksJob
        | Reason::Progressing
        | Reason::Converting
        | Reason::Verifying
        | Reason::Deleting
        | Reason::ProgressingWithRetry
        | Reason::Succeeded => return None,
    })
}

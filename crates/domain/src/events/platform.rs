//! The events of a pass over a platform object.

use crate::conditions::{ConditionStatus, Reason};
use crate::platform::{PlatformDecision, PlatformRecord};
use crate::record::Job;

use super::{Event, EventMessage, LastReported};

/// The events of a pass over a platform object. `written` says whether its status was written, `jobs` which
/// synchronization jobs this pass ran.
pub fn of_platform(
    said: &LastReported,
    before: &PlatformRecord,
    last: &PlatformDecision,
    jobs: &[Job],
    written: bool,
) -> Vec<EventMessage> {
    let run = |job: &Job| {
        EventMessage::new(
            Event::SyncJobRun,
            format!(
                "The operator ran the job {} for the services that waited for it.",
                job.name()
            ),
        )
    };
    let mut notes: Vec<EventMessage> = jobs.iter().map(run).collect();
    if !written {
        return notes;
    }
    let (now, message) = (last.verdict.reason, &*last.verdict.message);
    if last.verdict.ready == ConditionStatus::True && !said.was_ready() {
        let event = if said.ready.is_some() {
            Event::PlatformRecovered
        } else {
            Event::PlatformConnected
        };
        notes.push(EventMessage::new(event, message));
    }
    let trouble = match now {
        Reason::AuthenticationFailed => Some(Event::AuthenticationFailed),
        Reason::PlatformUnavailable => Some(Event::PlatformUnavailable),
        Reason::Throttled => Some(Event::Throttled),
        Reason::InvalidSpec => Some(Event::InvalidSpec),
        _ => None,
    };
    // Both lists could be read, so the problem is another part of the spec. An outage hid it, and the end of
    // the outage shows it again.
    let known = now == Reason::InvalidSpec && said.platform_was_away() && last.answers();
    if let Some(event) = trouble.filter(|_| !known && said.became(now, &last.verdict)) {
        notes.push(EventMessage::new(event, message));
    }
    let (was, is) = (&before.ledger, &last.record.ledger);
    if let Some(held) = last.verdict.held.as_ref().filter(|_| was.held == 0) {
        notes.push(EventMessage::new(Event::DeletionsHeld, held.message.clone()));
    }
    if was.approved != is.approved {
        notes.push(EventMessage::new(
            Event::DeletionsApproved,
            "A person approved the held deletions.",
        ));
    }
    notes.extend(absences(before, last));
    notes
}

/// The events for what vanished from the lists.
fn absences(before: &PlatformRecord, last: &PlatformDecision) -> Option<EventMessage> {
    let (was, is) = (&before.absences, &last.record.absences);
    match (was.held, is.held) {
        (0, 1..) => last
            .verdict
            .absences
            .as_ref()
            .map(|held| EventMessage::new(Event::AbsencesHeld, held.message.clone())),
        (1.., 0) if was.handled != is.handled => Some(EventMessage::new(
            Event::AbsencesApproved,
            "A person confirmed that what was missing is gone.",
        )),
        (1.., 0) => Some(EventMessage::new(
            Event::AbsencesOver,
            "Nothing that the objects have recorded is missing any more.",
        )),
        _ => None,
    }
}

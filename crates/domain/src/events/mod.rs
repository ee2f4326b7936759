//! Which events a pass emits: the history of one customer, in few lines.
//!
//! An event reports a change, never a state: a change that this pass requested and the platform answered, or
//! something that status says now and did not say before. A restart emits nothing, nor does a pass that finds
//! everything unchanged. An outage that affects every object of a platform is reported by the platform object
//! alone.

mod event;
mod obstacle;
mod platform;

use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Decision, Mark, Step};
use crate::facts::DeletionPolicy;
use crate::pass::Pass;
use crate::record::{Job, JobState, OperationKind, Outcome, Record};

pub use event::{Event, Severity};
pub use platform::of_platform;

use obstacle::{recovered, stands_in_the_way};

/// One event with its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventMessage {
    /// The kind of event.
    pub event: Event,
    /// The text, at most 1,000 bytes: an event holds 1,024.
    pub text: String,
}

impl EventMessage {
    /// Creates a message; truncates a text that is too long.
    pub fn new(event: Event, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > 1000 {
            let end = (0..=997)
                .rev()
                .find(|end| text.is_char_boundary(*end))
                .unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        Self { event, text }
    }
}

/// Whether events of one pass may soon be followed by one that they can be [`combined`] with.
pub fn may_be_combined(first: &[EventMessage]) -> bool {
    matches!(first, [only] if only.event == Event::ConversionRequested)
}

/// Combines the events of two passes, one after the other, if they report one change: a service that is
/// requested, and that the platform shows everywhere it should when it shows it first.
pub fn combined(first: &[EventMessage], then: &[EventMessage]) -> Option<EventMessage> {
    match (first, then) {
        ([requested], [licensed]) if may_be_combined(first) && licensed.event == Event::Licensed => Some(
            EventMessage::new(licensed.event, format!("{} {}", requested.text, licensed.text)),
        ),
        _ => None,
    }
}

/// The part of status that events compare with, as it was before the pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LastReported {
    /// `Ready` and its reason, if there was a status.
    pub ready: Option<(ConditionStatus, Reason)>,
    /// Whether it was `Stalled`.
    pub stalled: bool,
}

impl LastReported {
    fn reason(&self) -> Option<Reason> {
        self.ready.map(|(_, reason)| reason)
    }

    fn was_ready(&self) -> bool {
        self.ready
            .is_some_and(|(truth, _)| truth == ConditionStatus::True)
    }

    /// Status reported trouble of the whole platform, so the state before that is no longer known.
    fn platform_was_away(&self) -> bool {
        self.reason().is_some_and(concerns_all)
    }

    fn became(&self, reason: Reason, now: &Verdict) -> bool {
        now.reason == reason && self.reason() != Some(reason)
    }
}

/// Reasons that the platform object reports on behalf of all its objects.
fn concerns_all(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AuthenticationFailed
            | Reason::PlatformUnavailable
            | Reason::Throttled
            | Reason::AbsenceUnconfirmed
    )
}

/// How a pass over a service or a lead ended, as far as its events are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportedEnd {
    /// Status says what the last decision says.
    LastReported,
    /// The object was released.
    LetGo,
    /// Status did not change: it could not be written, or nothing new is known.
    Unsaid,
}

impl ReportedEnd {
    /// Derives the end from the last decision. `written` means that the object could be written.
    pub fn of(last: &Decision, written: bool) -> Self {
        match &last.step {
            _ if !written => Self::Unsaid,
            Step::PatchMetadata(Mark::RemoveFinalizer) => Self::LetGo,
            _ if last.hold => Self::Unsaid,
            _ => Self::LastReported,
        }
    }
}

/// The events of a pass over a service. `going` is the deletion policy while the object is being deleted.
pub fn of_service(
    said: &LastReported,
    before: &Record,
    pass: &Pass,
    last: &Decision,
    end: ReportedEnd,
    going: Option<DeletionPolicy>,
) -> Vec<EventMessage> {
    let after = &last.record;
    let mut notes: Vec<EventMessage> = pass
        .asked
        .iter()
        .filter_map(|(change, answer)| asked(change, answer))
        .collect();
    // This pass marked it on the object, whether or not the status was written.
    if let Some(guid) = after
        .guid
        .as_ref()
        .filter(|_| going.is_none() && after.guid_annotated && after.guid != before.guid)
    {
        notes.push(EventMessage::new(
            Event::Adopted,
            format!("The operator took over the tenant's existing service {guid}."),
        ));
    }
    match end {
        ReportedEnd::Unsaid => return notes,
        ReportedEnd::LetGo => {
            notes.push(let_go_of_service(after, going));
            return notes;
        }
        ReportedEnd::LastReported => {}
    }
    let synced = last.verdict.ready == ConditionStatus::True && is_synced(after) && !is_synced(before);
    let licensed = after.license.as_ref().filter(|_| created(before, after));
    notes.extend(licensed.map(|license| shows(license, synced)));
    if let (Some(was), Some(is)) = (&before.license, &after.license)
        && was != is
    {
        notes.push(EventMessage::new(
            Event::LicenseChanged,
            format!("The license changed from {was} to {is}. The operator leaves it unchanged."),
        ));
    }
    for (job, reason, event) in [
        (Job::Leads, Reason::AwaitingLeadsJob, Event::AwaitingLeadsJob),
        (Job::Trunks, Reason::AwaitingTrunksJob, Event::AwaitingTrunksJob),
    ] {
        let known = said.platform_was_away() && is_open(before, job);
        if said.became(reason, &last.verdict) && !known {
            notes.push(EventMessage::new(event, last.verdict.message.clone()));
        }
    }
    // What is licensed and synced at once is one change.
    if synced && licensed.is_none() {
        notes.push(EventMessage::new(
            Event::Synced,
            "The platform shows the service everywhere it should.",
        ));
    }
    notes.extend(stands_in_the_way(said, before, pass, last));
    if notes.is_empty() {
        notes.extend(recovered(said, &last.verdict));
    }
    notes
}

/// The event for a service that the platform shows for the first time.
fn shows(license: &str, synced: bool) -> EventMessage {
    let place = if synced {
        "everywhere it should"
    } else {
        "in the list of services"
    };
    EventMessage::new(
        Event::Licensed,
        format!("The platform shows the service {place}, with the license {license}."),
    )
}

/// The events of a pass over a lead. `going` is the deletion policy while the object is being deleted.
pub fn of_lead(
    said: &LastReported,
    before: &Record,
    pass: &Pass,
    last: &Decision,
    end: ReportedEnd,
    going: Option<DeletionPolicy>,
) -> Vec<EventMessage> {
    let mut notes: Vec<EventMessage> = pass
        .asked
        .iter()
        .filter_map(|(change, answer)| asked(change, answer))
        .collect();
    match end {
        ReportedEnd::Unsaid => {}
        ReportedEnd::LetGo => notes.push(let_go_of_lead(before, going)),
        ReportedEnd::LastReported => {
            // A channel change takes Ready away for a while, though the lead stayed Active all along.
            let changing = matches!(
                said.reason(),
                Some(Reason::Verifying | Reason::Progressing | Reason::Suspended)
            ) && !created(before, &last.record);
            if last.verdict.ready == ConditionStatus::True
                && !said.was_ready()
                && !said.platform_was_away()
                && !changing
            {
                notes.push(EventMessage::new(Event::LeadActive, last.verdict.message.clone()));
            }
            notes.extend(stands_in_the_way(said, before, pass, last));
        }
    }
    notes
}

/// The event for a write that the API server refused on an object. If status can report the refusal, the
/// event is emitted once. Otherwise it is emitted at the first, second, fourth … try, because nothing else
/// reports it.
pub fn write_refused(said: &LastReported, failures: u32, trouble: &Trouble) -> Option<EventMessage> {
    let told = said.reason() == Some(Reason::ProgressingWithRetry);
    (!told && (failures == 0 || failures.is_power_of_two()))
        .then(|| EventMessage::new(Event::WriteRefused, trouble.message.clone()))
}

/// The event for a requested change, if its answer is news. Status reports a refusal, and a request that was
/// not sent is repeated.
fn asked(change: &Change, answer: &ChangeResult) -> Option<EventMessage> {
    let (event, what) = match change {
        Change::CreateService(new) => (
            Event::ConversionRequested,
            format!(
                "convert the lead of tenant {} to an OC Essential service",
                new.tenant
            ),
        ),
        Change::DeleteService(guid) => (Event::DeletionRequested, format!("delete the service {guid}")),
        Change::CreateLead(new) => (
            Event::LeadRequested,
            format!("create a consentless lead for tenant {}", new.tenant),
        ),
        Change::DeleteLead(tenant) => (
            Event::DeletionRequested,
            format!("delete the consentless lead of tenant {tenant}"),
        ),
        Change::AssignChannel(_, channel) => (
            Event::ChannelAssigned,
            format!("assign the lead to channel {channel}"),
        ),
        Change::UnassignChannel(_) => (
            Event::ChannelUnassigned,
            "remove the lead from its channel".to_owned(),
        ),
    };
    let of_a_channel = matches!(change, Change::AssignChannel(..) | Change::UnassignChannel(_));
    match answer {
        ChangeResult::Accepted(_) | ChangeResult::Done => Some(EventMessage::new(
            event,
            format!("The operator asked the platform to {what}, and the platform accepted."),
        )),
        ChangeResult::Unknown(_) if !of_a_channel => {
            let text = format!(
                "The operator asked the platform to {what}, and the answer was lost. The operator checks whether it was done before it asks again."
            );
            Some(EventMessage::new(Event::AnswerLost, text))
        }
        ChangeResult::Unknown(_)
        | ChangeResult::NotFound
        | ChangeResult::Rejected(_)
        | ChangeResult::NotSent(_) => None,
    }
}

/// Whether this pass saw the create of this object succeed.
fn created(before: &Record, after: &Record) -> bool {
    let done = |record: &Record| {
        record
            .operation
            .as_ref()
            .filter(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Succeeded))
            .cloned()
    };
    done(after).is_some_and(|now| done(before).is_none_or(|was| was.id != now.id))
}

fn is_open(record: &Record, job: Job) -> bool {
    record.job(job).state.is_open()
}

fn is_synced(record: &Record) -> bool {
    record.leads_job.state == JobState::Synced && !is_open(record, Job::Trunks)
}

fn let_go_of_service(after: &Record, going: Option<DeletionPolicy>) -> EventMessage {
    match (going, &after.guid) {
        (Some(DeletionPolicy::Delete), Some(guid)) => EventMessage::new(
            Event::Deleted,
            format!("The service {guid} is gone from the platform: looked for and not found."),
        ),
        (_, Some(guid)) => EventMessage::new(
            Event::Retained,
            format!("The object is gone, and the service {guid} stays on the platform."),
        ),
        (_, None) => EventMessage::new(
            Event::Released,
            "The object is gone; it had no service of its own on the platform.",
        ),
    }
}

fn let_go_of_lead(before: &Record, going: Option<DeletionPolicy>) -> EventMessage {
    let deleting = before
        .intent
        .as_ref()
        .is_some_and(|intent| intent.kind == OperationKind::Delete);
    match going {
        Some(DeletionPolicy::Delete) if deleting => EventMessage::new(
            Event::Deleted,
            "The consentless lead is gone from the platform: looked for and not found.",
        ),
        Some(DeletionPolicy::Delete) => EventMessage::new(
            Event::Released,
            "The object is gone; the platform has no consentless lead for it.",
        ),
        _ => EventMessage::new(
            Event::Retained,
            "The object is gone; any lead on the platform stays.",
        ),
    }
}

//! What an object remembers: its finalizer, the intent of the change that may be under way, and how the last one ended.
//!
//! The intent stands in an annotation, the rest in status. A restore can drop status; the annotation and the tenant id bring it back.

use crate::conditions::{Reason, Trouble};
use crate::names::{ChannelId, CustomerGuid, TaskId, TenantId};
use crate::time::{Duration, Time};
use crate::timing;

/// What kind of change at the platform an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// A service, or a consentless lead, is made.
    Create,
    /// It is removed.
    Delete,
}

impl OperationKind {
    /// As it is written in status and annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Delete => "Delete",
        }
    }
}

/// A random text that tells one operation from the next. Made by the driver; a decision only compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(pub String);

/// The record, made before it, that a change is going to be asked for. Whoever finds it must look before it asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// What was intended.
    pub kind: OperationKind,
    /// Which one it was.
    pub id: OperationId,
    /// When it was recorded, to the second.
    pub start: Time,
    /// The tenant for which it was. `None` in what an older version has written.
    pub tenant: Option<TenantId>,
    /// The platform of which it was asked: the place of its address, as the driver tells it. `None` in what an older version has written.
    pub place: Option<String>,
    /// Whether the request can have left.
    pub sent: Sent,
}

impl Intent {
    /// Whether it was for another tenant, or of another place, than the ones that count now. What is not known is not another one.
    pub fn is_elsewhere(&self, place: Option<&str>, tenant: Option<&TenantId>) -> bool {
        self.other_place(place).is_some() || self.other_tenant(tenant).is_some()
    }

    /// The place of which it was asked, when that is not this one.
    pub fn other_place(&self, place: Option<&str>) -> Option<&str> {
        self.place
            .as_deref()
            .filter(|own| place.is_some_and(|place| place != *own))
    }

    /// The tenant for which it was, when that is not this one.
    pub fn other_tenant(&self, tenant: Option<&TenantId>) -> Option<&TenantId> {
        self.tenant.as_ref().filter(|own| tenant != Some(*own))
    }
}

/// Whether a request can have left. Not stored: an intent that is read from an object is always [`Sent::Maybe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Surely not: it was recorded in this pass, or the connection was never made.
    No,
    /// It may have been.
    Maybe,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The effect was read back.
    Succeeded,
    /// The platform's task failed.
    Failed,
    /// The platform refused the request.
    Refused,
    /// The answer was lost, the grace is over, and no effect was found.
    Unknown,
}

impl Outcome {
    /// As it is written in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Refused => "Refused",
            Self::Unknown => "Unknown",
        }
    }
}

/// What status says of the operation in flight, or of the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What is or was done.
    pub kind: OperationKind,
    /// The id that its intent has.
    pub id: OperationId,
    /// When its intent was recorded.
    pub started: Time,
    /// The platform's task, once it gave one.
    pub task: Option<TaskId>,
    /// The platform's word for the task's state.
    pub task_status: Option<String>,
    /// When the task was first seen to have ended. Another writer of status can leave that of an earlier operation here: see [`Operation::task_ended`].
    pub task_ended: Option<Time>,
    /// How long it took from the intent until the service was read back, where the process that had asked for it watched all the time: what a process
    /// finds done may have been done long before.
    pub took: Option<Duration>,
    /// How it ended; absent while it has not. Another writer of status can leave the outcome of an operation before this one here: see
    /// [`Operation::ended`].
    pub outcome: Option<Outcome>,
    /// The id of the operation to which the outcome belongs. Versions before this one did not write it.
    pub outcome_of: Option<OperationId>,
    /// When it ended.
    pub completed: Option<Time>,
    /// The generation of the object for which it was asked for: what failed for another one is tried again.
    pub generation: Option<i64>,
    /// Which reason a refusal got.
    pub reason: Option<Reason>,
    /// The platform's own words.
    pub messages: Vec<String>,
}

/// The state of a synchronization job, as one object sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Nothing waits for it.
    #[default]
    NotDue,
    /// It should be run; nobody has been seen to do so.
    Due,
    /// It was asked for.
    Requested,
    /// Its effect was seen, or it is known to have run.
    Synced,
}

impl JobState {
    /// As it is written in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotDue => "NotDue",
            Self::Due => "Due",
            Self::Requested => "Requested",
            Self::Synced => "Synced",
        }
    }
}

/// The two jobs that the vendor names (platform-facts.md 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Job {
    /// `peering.sync-leads-job`, due after every conversion.
    Leads,
    /// `peering.sync-trunks-job`, due as well when Advanced Settings were used.
    Trunks,
}

impl Job {
    /// Both.
    pub const ALL: [Job; 2] = [Job::Leads, Job::Trunks];

    /// The vendor's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leads => "peering.sync-leads-job",
            Self::Trunks => "peering.sync-trunks-job",
        }
    }
}

/// One job, as an object's status has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobRecord {
    /// How far it is.
    pub state: JobState,
    /// Since when it is due.
    pub due: Option<Time>,
    /// When it was asked for.
    pub requested: Option<Time>,
    /// When it was seen to be done.
    pub completed: Option<Time>,
}

/// Everything that an object remembers, of either kind that has operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whether our finalizer is on it.
    pub finalizer: bool,
    /// The intent in the annotation.
    pub intent: Option<Intent>,
    /// The operation in status.
    pub operation: Option<Operation>,
    /// The service that this object made or took over: from status, else from the annotation.
    pub guid: Option<CustomerGuid>,
    /// Whether the service is surely this object's: its task told the guid, or it was seen under this object's tenant. Only such a guid is written into
    /// status, and what stands in status is believed, since only the operator writes there. A guid in the annotation may be anybody's word.
    pub guid_proven: bool,
    /// Whether the guid stands in the annotation already, where a restore keeps it.
    pub guid_annotated: bool,
    /// `status.licenseType`: not empty means that the service was read back once.
    pub license: Option<String>,
    /// `status.observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `peering.sync-leads-job`.
    pub leads_job: JobRecord,
    /// `peering.sync-trunks-job`.
    pub trunks_job: JobRecord,
    /// Leads only: the channel that this object assigned.
    pub assigned_channel: Option<ChannelId>,
}

impl Record {
    /// The intent whose outcome is not known: there is one, and status does not say how it ended.
    pub fn open_intent(&self) -> Option<&Intent> {
        self.intent.as_ref().filter(|intent| {
            !self
                .operation
                .as_ref()
                .is_some_and(|op| op.id == intent.id && op.ended().is_some())
        })
    }

    /// Whether the request of an intent of this kind can leave now: recorded, so lately that its grace is still whole, and surely not sent before.
    pub fn may_send(&self, kind: OperationKind, now: Time) -> bool {
        let fresh = |intent: &Intent| {
            intent.kind == kind && intent.sent == Sent::No && now < intent.start + timing::INTENT_FRESH
        };
        self.finalizer && self.open_intent().is_some_and(fresh)
    }

    /// The operation in status that belongs to the open intent, or that has no outcome yet.
    pub fn running(&self) -> Option<&Operation> {
        self.operation.as_ref().filter(|op| op.ended().is_none())
    }

    /// Whether the service was read back once: it is recorded, and no create is under way or failed.
    pub fn verified(&self) -> bool {
        let done =
            |op: &Operation| op.kind == OperationKind::Delete || op.ended() == Some(Outcome::Succeeded);
        let create_open = self
            .open_intent()
            .is_some_and(|intent| intent.kind == OperationKind::Create);
        self.guid.is_some() && !create_open && self.operation.as_ref().is_none_or(done)
    }

    /// The service is surely this object's.
    pub fn prove(&mut self, guid: CustomerGuid) {
        self.guid = Some(guid);
        self.guid_proven = true;
    }

    /// Whether this object has its service, or may have asked for it and the outcome is not known.
    pub fn may_own_service(&self) -> bool {
        self.guid_proven || self.may_be_creating()
    }

    /// Whether a create of this object may be under way, or it is about to take a service over, as far as its status tells.
    pub fn may_come_to_have(&self) -> bool {
        self.may_be_creating() || (self.guid_annotated && !self.guid_proven)
    }

    fn may_be_creating(&self) -> bool {
        let intended = self.open_intent().map(|intent| intent.kind);
        [intended, self.running().map(|op| op.kind)].contains(&Some(OperationKind::Create))
    }

    /// Whether a task has told of the service of this object, and no list has shown it.
    pub fn is_unseen(&self) -> bool {
        self.guid_proven && self.license.is_none() && self.leads_job.due.is_none()
    }

    /// Whether this object comes before an older one that wants the same: as [`Record::may_own_service`], but of a create without a task no more is believed than
    /// what looking for its effect takes. Whoever may write the object may write its intent.
    pub fn outranks(&self, now: Time, grace: impl FnOnce() -> Duration) -> bool {
        let running = self.running().filter(|op| op.kind == OperationKind::Create);
        if self.guid_proven || running.is_some_and(|op| op.task.is_some()) {
            return true;
        }
        let intended = self
            .open_intent()
            .filter(|intent| self.finalizer && intent.kind == OperationKind::Create)
            .map(|intent| intent.start);
        let start = intended
            .into_iter()
            .chain(running.map(|op| op.started))
            .filter(|start| !timing::is_ahead(*start, now))
            .max();
        start.is_some_and(|start| now < start + grace())
    }

    /// Times that no process can have recorded by a clock that was right count from now on; in status they are written so. Else what was recorded while the
    /// clocks of the cluster were ahead, or by whoever may write the annotation, would be waited for until then.
    pub fn not_ahead(&mut self, now: Time) {
        let then = now.whole_second();
        let ahead = |at: Time| timing::is_ahead(at, now);
        let told = self.operation.as_ref().map(|op| (op.id.clone(), op.started));
        if let Some(intent) = self.intent.as_mut().filter(|intent| ahead(intent.start)) {
            let started = told
                .filter(|(id, at)| *id == intent.id && !ahead(*at))
                .map(|(_, at)| at);
            intent.start = started.unwrap_or(then);
        }
        let Some(op) = self.operation.as_mut() else { return };
        if ahead(op.started) {
            let intended = self
                .intent
                .as_ref()
                .filter(|intent| intent.id == op.id)
                .map(|intent| intent.start);
            op.started = intended.unwrap_or(then);
        }
        for at in [&mut op.completed, &mut op.task_ended] {
            *at = at.map(|at| if ahead(at) { then } else { at });
        }
    }

    /// Takes off what another writer of status has left of an earlier operation.
    pub fn disown(&mut self) {
        if let Some(op) = self.operation.as_mut().filter(|op| op.ended().is_none()) {
            (op.outcome, op.outcome_of, op.completed, op.reason) = (None, None, None, None);
        }
    }

    /// An intent whose outcome is not known stands in status as well, from the first pass that finds it: annotations can be wiped or put back.
    pub fn note_open_intent(&mut self) {
        let Some(intent) = self.open_intent().filter(|intent| intent.sent == Sent::Maybe) else {
            return;
        };
        if self.operation.as_ref().is_none_or(|op| op.id != intent.id) {
            self.operation = Some(Operation::of(intent));
        }
    }

    /// Forgets an operation that status calls open, and that is over: another intent, a later one, stands on the object. A crash between that mark and the
    /// status leaves it so. An earlier intent is what somebody has put back (a manifest that was exported, a backup), and ends nothing; neither does the
    /// intent of a deletion on an object that is not going, nor one of a time that has not come.
    pub fn forget_superseded(&mut self, going: bool, now: Time) {
        let Some(intent) = &self.intent else { return };
        let superseded = |op: &Operation| {
            let stray_deletion =
                intent.kind == OperationKind::Delete && op.kind == OperationKind::Create && !going;
            !stray_deletion
                && intent.id != op.id
                && intent.start >= op.started
                && !timing::is_ahead(intent.start, now)
        };
        if self.running().is_some_and(superseded) {
            self.operation = None;
        }
    }

    /// The same for an object that took a service over: it has a guid and no intent. Annotations that were put back look the same, with the guid of a
    /// service that went before the operation was begun: so the platform must show it (`shown`, `None` when that is not known). Says whether it could be told.
    pub fn forget_taken_over(&mut self, shown: Option<bool>) -> bool {
        let perhaps = |op: &Operation| {
            self.intent.is_none()
                && self.guid_annotated
                && op.kind == OperationKind::Create
                && op.task.is_none()
        };
        if !self.running().is_some_and(perhaps) {
            return true;
        }
        if shown == Some(true) {
            self.operation = None;
        }
        shown.is_some()
    }

    /// Recalls the intent of an operation that status calls open and whose annotation is gone, or is an earlier one: annotations that were wiped
    /// (`kubectl replace`) or put back do not hide a request that may be under way. Says whether it did: then the object lacks what it should have.
    pub fn recall_intent(&mut self) -> bool {
        let Some(op) = self.running() else { return false };
        let lacks = self.intent.as_ref().is_none_or(|intent| intent.id != op.id);
        if lacks {
            self.intent = Some(Intent {
                kind: op.kind,
                id: op.id.clone(),
                start: op.started,
                tenant: None,
                place: None,
                sent: Sent::Maybe,
            });
        }
        lacks
    }

    /// Whether somebody has taken off what keeps a create that may be under way from being asked for again, or its object from going unasked.
    /// `recalled` is what [`Record::recall_intent`] said.
    pub fn is_bare(&self, recalled: bool) -> bool {
        let creating = self
            .open_intent()
            .is_some_and(|intent| intent.kind == OperationKind::Create);
        creating && (recalled || !self.finalizer)
    }

    /// What is recorded of one job.
    pub fn job(&self, job: Job) -> &JobRecord {
        match job {
            Job::Leads => &self.leads_job,
            Job::Trunks => &self.trunks_job,
        }
    }

    /// The refusal after which a change of this kind is not asked for again yet, and until when. A restart does not shorten it.
    pub fn refusal(&self, kind: OperationKind, now: Time) -> Option<(Time, Trouble)> {
        let op = self.operation.as_ref().filter(|op| {
            op.kind == kind && op.ended() == Some(Outcome::Refused) && self.open_intent().is_none()
        })?;
        let retry = op.completed.unwrap_or(now) + timing::SLOW_RETRY;
        let trouble = Trouble::new(
            op.reason.unwrap_or(Reason::PlatformRefused),
            op.messages.join(" "),
        );
        (now < retry).then_some((retry, trouble))
    }

    /// Ends the operation in flight by a refusal.
    pub fn refuse_operation(&mut self, trouble: &Trouble, now: Time) {
        self.end_operation(Outcome::Refused, now, vec![trouble.message.clone()]);
        if let Some(operation) = self
            .operation
            .as_mut()
            .filter(|op| op.ended() == Some(Outcome::Refused))
        {
            operation.reason = Some(trouble.reason);
        }
    }

    /// The service was read back, whatever was thought of its create before: a task that failed can leave a service, and one can appear late.
    /// A create whose intent is not on the object any more had no part in it: what is there was taken over.
    pub fn read_back(&mut self, now: Time) {
        self.end_operation(Outcome::Succeeded, now, Vec::new());
        let intent = self.intent.as_ref().map(|intent| &intent.id);
        match &mut self.operation {
            Some(op)
                if op.kind == OperationKind::Create
                    && intent.is_none()
                    && op.ended() != Some(Outcome::Succeeded) =>
            {
                self.operation = None
            }
            Some(op)
                if intent == Some(&op.id)
                    && matches!(op.ended(), Some(Outcome::Failed | Outcome::Unknown)) =>
            {
                op.end(Outcome::Succeeded, now)
            }
            _ => {}
        }
    }

    /// Whether the last create was refused.
    pub fn create_refused(&self) -> bool {
        self.operation
            .as_ref()
            .is_some_and(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Refused))
    }

    /// Ends the operation in flight: of the open intent, with or without a trace in status.
    pub fn end_operation(&mut self, outcome: Outcome, now: Time, messages: Vec<String>) {
        let open = self.open_intent().cloned();
        if let Some(intent) = open {
            let same = self.operation.as_ref().is_some_and(|op| op.id == intent.id);
            if !same {
                self.operation = Some(Operation::of(&intent));
            }
        }
        if let Some(operation) = self.operation.as_mut().filter(|op| op.ended().is_none()) {
            operation.end(outcome, now);
            if !messages.is_empty() {
                operation.messages = messages;
            }
        }
    }
}

impl Operation {
    /// How this very operation ended. Whoever else writes status (a restore, `kubectl replace --subresource=status`) can leave the outcome of an earlier
    /// operation beside the id of this one: it says nothing of this one, which is still open. Nor does an outcome without a time.
    ///
    /// An older version did not write whose an outcome is. Its own ended when they had begun, or later; what was left of an earlier operation ended
    /// before.
    pub fn ended(&self) -> Option<Outcome> {
        let completed = self.completed?;
        let own = self
            .outcome_of
            .as_ref()
            .map_or(completed >= self.started, |of| *of == self.id);
        self.outcome.filter(|_| own)
    }

    /// When its task was first seen to have ended, whatever came of it.
    pub fn task_ended(&self) -> Option<Time> {
        self.task_ended.filter(|at| *at >= self.started)
    }

    /// Its task is seen to have ended.
    pub(crate) fn see_task_end(&mut self, now: Time) {
        if self.task_ended().is_none() {
            self.task_ended = Some(now.whole_second());
        }
    }

    /// Since when the effect must show: since its task was seen to have ended, and until then since it was begun.
    pub(crate) fn due(&self) -> Time {
        self.task_ended().unwrap_or(self.started)
    }

    /// It ends.
    pub fn end(&mut self, outcome: Outcome, now: Time) {
        (self.outcome, self.outcome_of, self.completed) =
            (Some(outcome), Some(self.id.clone()), Some(now.whole_second()));
    }

    /// The operation that an intent begins.
    pub fn of(intent: &Intent) -> Self {
        Self {
            kind: intent.kind,
            id: intent.id.clone(),
            started: intent.start,
            task: None,
            task_status: None,
            task_ended: None,
            took: None,
            outcome: None,
            outcome_of: None,
            completed: None,
            generation: None,
            reason: None,
            messages: Vec::new(),
        }
    }
}

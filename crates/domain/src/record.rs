//! What an object remembers: its finalizer, the intent of the change that may be in progress, and how the
//! last one ended.
//!
//! The intent is in an annotation, the rest in status. A restore can drop status; the annotation and the
//! tenant id bring it back.

use std::sync::Arc;

use crate::conditions::{Reason, Trouble};
use crate::names::{ChannelId, CustomerGuid, TaskId, TenantId};
use crate::time::{Duration, Time};
use crate::timing;

/// The kind of change that an operation makes on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Create a service or a consentless lead.
    Create,
    /// Delete it.
    Delete,
}

impl OperationKind {
    /// The text in status and annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Delete => "Delete",
        }
    }
}

/// A random id that distinguishes operations. The driver generates it; a decision only compares it. Cheap to
/// copy: each decision copies the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationId(pub Arc<str>);

/// The intent to request a change, recorded before the request. A process that finds one must look before it
/// requests anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// The kind of change.
    pub kind: OperationKind,
    /// The id of the operation.
    pub id: OperationId,
    /// When the intent was recorded, to the second.
    pub start: Time,
    /// The tenant that the change is for. `None` in an intent of an older version.
    pub tenant: Option<TenantId>,
    /// The platform that was asked: the place of its address, as provided by the driver. `None` in an intent
    /// of an older version.
    pub place: Option<Arc<str>>,
    /// Whether the request may have left.
    pub sent: Sent,
}

impl Intent {
    /// Whether the intent names another tenant or another place than the present ones. An unknown value does
    /// not count as different.
    pub fn is_elsewhere(&self, place: Option<&str>, tenant: Option<&TenantId>) -> bool {
        self.other_place(place).is_some() || self.other_tenant(tenant).is_some()
    }

    /// The place that was asked, if it differs from this one.
    pub fn other_place(&self, place: Option<&str>) -> Option<&str> {
        self.place
            .as_deref()
            .filter(|own| place.is_some_and(|place| place != *own))
    }

    /// The tenant that the change is for, if it differs from this one.
    pub fn other_tenant(&self, tenant: Option<&TenantId>) -> Option<&TenantId> {
        self.tenant.as_ref().filter(|own| tenant != Some(*own))
    }
}

/// Whether a request may have left. Not stored: an intent read from an object is always [`Sent::Maybe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Certainly not: the intent was recorded in this pass, or the connection was never made.
    No,
    /// Possibly.
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
    /// The text in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Refused => "Refused",
            Self::Unknown => "Unknown",
        }
    }
}

/// The current or the last operation, as status has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The kind of change.
    pub kind: OperationKind,
    /// The id, shared with the intent.
    pub id: OperationId,
    /// When the intent was recorded.
    pub started: Time,
    /// The platform's task, once it returned one.
    pub task: Option<TaskId>,
    /// The platform's word for the task's state.
    pub task_status: Option<Arc<str>>,
    /// When the task was first seen to have ended. Another writer of status can leave the value of an earlier
    /// operation here: see [`Operation::task_ended`].
    pub task_ended: Option<Time>,
    /// The time from the intent until the service was read back. Set only if the requesting process watched
    /// all the time: a create that a process finds done may have been done long before.
    pub took: Option<Duration>,
    /// How the operation ended; absent while it runs. Another writer of status can leave the outcome of an
    /// earlier operation here: see [`Operation::ended`].
    pub outcome: Option<Outcome>,
    /// The id of the operation that the outcome belongs to. Earlier versions did not write it.
    pub outcome_of: Option<OperationId>,
    /// When the operation ended.
    pub completed: Option<Time>,
    /// The object's generation at the time of the request. A failure is retried at once for another
    /// generation.
    pub generation: Option<i64>,
    /// The reason of a refusal.
    pub reason: Option<Reason>,
    /// The platform's own words. Cheap to copy.
    pub messages: Arc<[String]>,
}

/// The state of a synchronization job, from the view of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Nothing waits for the job.
    #[default]
    NotDue,
    /// The job should run, and no run of it has been seen.
    Due,
    /// A run was requested.
    Requested,
    /// The effect of the job was seen, or it is known to have run.
    Synced,
}

impl JobState {
    /// Whether something waits for a run of the job that is not known to be done.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Due | Self::Requested)
    }

    /// The text in status.
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
    /// `peering.sync-trunks-job`, also due when Advanced Settings were used.
    Trunks,
}

impl Job {
    /// Both jobs.
    pub const ALL: [Job; 2] = [Job::Leads, Job::Trunks];

    /// The vendor's name of the job.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leads => "peering.sync-leads-job",
            Self::Trunks => "peering.sync-trunks-job",
        }
    }
}

/// One job, as recorded in an object's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobRecord {
    /// The state of the job.
    pub state: JobState,
    /// Since when the job is due.
    pub due: Option<Time>,
    /// When a run was requested.
    pub requested: Option<Time>,
    /// When the job was seen to be done.
    pub completed: Option<Time>,
}

impl JobRecord {
    /// Since when the job is due, while no run of it is known to be done.
    pub fn waits_since(&self) -> Option<Time> {
        self.due.filter(|_| self.state.is_open())
    }
}

/// Everything that a lead or a service object remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whether the object has our finalizer.
    pub finalizer: bool,
    /// The intent in the annotation.
    pub intent: Option<Intent>,
    /// The operation in status.
    pub operation: Option<Operation>,
    /// The service that this object made or took over: from status, else from the annotation.
    pub guid: Option<CustomerGuid>,
    /// Whether the service is certainly this object's: its task reported the guid, or it was seen under this
    /// object's tenant. Only a proven guid is written into status. A guid in status is trusted, since only
    /// the operator writes there; one in the annotation may come from anybody.
    pub guid_proven: bool,
    /// Whether the annotation has the guid already, where a restore keeps it.
    pub guid_annotated: bool,
    /// `status.licenseType`; set once the service was read back.
    pub license: Option<Arc<str>>,
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
    /// The intent whose outcome is unknown: status does not say how it ended.
    pub fn open_intent(&self) -> Option<&Intent> {
        self.intent.as_ref().filter(|intent| {
            !self
                .operation
                .as_ref()
                .is_some_and(|op| op.id == intent.id && op.ended().is_some())
        })
    }

    /// Whether the request of an intent of this kind may leave now. The intent must be recorded, so recent
    /// that its grace is still whole, and certainly unsent.
    pub fn may_send(&self, kind: OperationKind, now: Time) -> bool {
        let fresh = |intent: &Intent| {
            intent.kind == kind && intent.sent == Sent::No && now < intent.start + timing::INTENT_FRESH
        };
        self.finalizer && self.open_intent().is_some_and(fresh)
    }

    /// The operation in status, if it has no outcome yet.
    pub fn running(&self) -> Option<&Operation> {
        self.operation.as_ref().filter(|op| op.ended().is_none())
    }

    /// Whether the service was read back before: its guid is recorded, and no create is in progress or
    /// failed.
    pub fn verified(&self) -> bool {
        let done =
            |op: &Operation| op.kind == OperationKind::Delete || op.ended() == Some(Outcome::Succeeded);
        let create_open = self
            .open_intent()
            .is_some_and(|intent| intent.kind == OperationKind::Create);
        self.guid.is_some() && !create_open && self.operation.as_ref().is_none_or(done)
    }

    /// Records that the service is certainly this object's.
    pub fn prove(&mut self, guid: CustomerGuid) {
        self.guid = Some(guid);
        self.guid_proven = true;
    }

    /// Whether this object has its service, or may have requested it with an unknown outcome.
    pub fn may_own_service(&self) -> bool {
        self.guid_proven || self.may_be_creating()
    }

    /// Whether status shows that a create of this object may be in progress, or that the object is about to
    /// take a service over.
    pub fn may_come_to_have(&self) -> bool {
        self.may_be_creating() || (self.guid_annotated && !self.guid_proven)
    }

    fn may_be_creating(&self) -> bool {
        let intended = self.open_intent().map(|intent| intent.kind);
        [intended, self.running().map(|op| op.kind)].contains(&Some(OperationKind::Create))
    }

    /// Whether a task reported this object's service, and no list has shown it.
    pub fn is_unseen(&self) -> bool {
        self.guid_proven && self.license.is_none() && self.leads_job.due.is_none()
    }

    /// Whether this object precedes an older one that wants the same. Like [`Record::may_own_service`], but a
    /// create without a task counts only while its effect is looked for. Anyone who can write the object can
    /// write its intent.
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

    /// Moves times that no correct clock can have recorded to the present, also in status. Otherwise the
    /// operator would wait until that time, for an intent recorded while the cluster's clocks were ahead, or
    /// written by somebody who may edit the annotation.
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

    /// Drops what another writer of status left of an earlier operation.
    pub fn disown(&mut self) {
        if let Some(op) = self.operation.as_mut().filter(|op| op.ended().is_none()) {
            (op.outcome, op.outcome_of, op.completed, op.reason) = (None, None, None, None);
        }
    }

    /// Copies an intent of unknown outcome into status, from the first pass that finds it, because
    /// annotations can be wiped or restored.
    pub fn note_open_intent(&mut self) {
        let Some(intent) = self.open_intent().filter(|intent| intent.sent == Sent::Maybe) else {
            return;
        };
        if self.operation.as_ref().is_none_or(|op| op.id != intent.id) {
            self.operation = Some(Operation::of(intent));
        }
    }

    /// Drops an operation that status calls open although it is over, because the object has a later intent.
    /// A crash between that mark and the status leaves this state. An earlier intent was restored (an
    /// exported manifest, a backup) and ends nothing. Neither does a delete intent on an object that is not
    /// being deleted, nor an intent from the future.
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

    /// Drops an operation that status calls open although the object took a service over: it has a guid and
    /// no intent. Restored annotations look the same, with the guid of a service that was gone before the
    /// operation began. So the platform must show the service (`shown`; `None` when unknown). Returns whether
    /// this could be decided.
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

    /// Restores the intent of an operation that status calls open when its annotation is missing or older.
    /// Wiped (`kubectl replace`) or restored annotations must not hide a request that may be in progress.
    /// Returns whether it did; then the object lacks what it should have.
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

    /// Whether a mark that protects a create in progress is missing: the intent, which prevents a second
    /// request, or the finalizer, which prevents the object from disappearing. `recalled` is the result of
    /// [`Record::recall_intent`].
    pub fn is_bare(&self, recalled: bool) -> bool {
        let creating = self
            .open_intent()
            .is_some_and(|intent| intent.kind == OperationKind::Create);
        creating && (recalled || !self.finalizer)
    }

    /// The record of one job.
    pub fn job(&self, job: Job) -> &JobRecord {
        match job {
            Job::Leads => &self.leads_job,
            Job::Trunks => &self.trunks_job,
        }
    }

    /// The refusal that blocks a change of this kind, and until when. A restart does not shorten it.
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

    /// Ends the current operation with a refusal.
    pub fn refuse_operation(&mut self, trouble: &Trouble, now: Time) {
        self.end_operation(Outcome::Refused, now, vec![trouble.message.to_string()]);
        if let Some(operation) = self
            .operation
            .as_mut()
            .filter(|op| op.ended() == Some(Outcome::Refused))
        {
            operation.reason = Some(trouble.reason);
        }
    }

    /// Records that the service was read back, whatever its create seemed to have done: a failed task can
    /// leave a service, and one can appear late. A create whose intent is no longer on the object had no part
    /// in it; the service was taken over.
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

    /// Ends the current operation, which is that of the open intent, whether status has it or not.
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
                operation.messages = messages.into();
            }
        }
    }
}

impl Operation {
    /// How this operation ended. Another writer of status (a restore, `kubectl replace --subresource=status`)
    /// can leave the outcome of an earlier operation beside the id of this one. Such an outcome does not
    /// count, and this operation is still open. Nor does an outcome without a time count.
    ///
    /// An older version did not write which operation an outcome belongs to. Its own outcomes have a
    /// completion time at or after the start; leftovers of an earlier operation completed before.
    pub fn ended(&self) -> Option<Outcome> {
        let completed = self.completed?;
        let own = self
            .outcome_of
            .as_ref()
            .map_or(completed >= self.started, |of| *of == self.id);
        self.outcome.filter(|_| own)
    }

    /// When the task was first seen to have ended, whatever its result.
    pub fn task_ended(&self) -> Option<Time> {
        self.task_ended.filter(|at| *at >= self.started)
    }

    /// Records that the task was seen to have ended.
    pub(crate) fn see_task_end(&mut self, now: Time) {
        if self.task_ended().is_none() {
            self.task_ended = Some(now.whole_second());
        }
    }

    /// Since when the effect must appear: since the task was seen to end, or until then since the start.
    pub(crate) fn due(&self) -> Time {
        self.task_ended().unwrap_or(self.started)
    }

    /// Ends the operation.
    pub fn end(&mut self, outcome: Outcome, now: Time) {
        (self.outcome, self.outcome_of, self.completed) =
            (Some(outcome), Some(self.id.clone()), Some(now.whole_second()));
    }

    /// Returns the operation that an intent begins.
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
            messages: Arc::default(),
        }
    }
}

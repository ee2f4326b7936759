//! What a decision can request from the driver: read one thing, write to our own object, change one thing on
//! the platform, or wait.

pub use crate::facts::Query;

use std::sync::Arc;

use crate::conditions::{Trouble, Verdict};
use crate::names::{ChannelId, CustomerGuid, TaskId, TenantId};
use crate::record::{Operation, OperationId, OperationKind, Outcome, Record, Sent};
use crate::requests::{NewLead, NewService};
use crate::time::{Duration, Time};
use crate::timing;

/// A write to the metadata of our own object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Adds finalizer and intent in one write. The driver generates the operation id.
    RecordIntent {
        /// The kind of change to be requested.
        kind: OperationKind,
        /// When the intent is recorded.
        start: Time,
        /// The tenant that the change is for.
        tenant: Option<TenantId>,
        /// The place of the platform that will be asked, from the policy.
        place: Option<Arc<str>>,
    },
    /// Adds finalizer and external id in one write: the object takes an existing service over.
    Adopt(CustomerGuid),
    /// Adds the finalizer, and the intent of a change that may be in progress. From then on the object can't
    /// disappear without a decision.
    AddFinalizer,
    /// Removes the finalizer and the annotations: the object is released.
    RemoveFinalizer,
}

/// One change on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Converts the tenant's lead into this OC Essential service.
    CreateService(Box<NewService>),
    /// Deletes this service.
    DeleteService(CustomerGuid),
    /// Creates a consentless lead.
    CreateLead(NewLead),
    /// Deletes a consentless lead.
    DeleteLead(TenantId),
    /// Assigns the tenant's lead to a channel.
    AssignChannel(TenantId, ChannelId),
    /// Removes the lead from its channel.
    UnassignChannel(TenantId),
}

/// The result of a requested change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangeResult {
    /// The platform accepted the request and returned a task.
    Accepted(TaskId),
    /// The change is done, as far as the answer says.
    Done,
    /// The thing to delete does not exist.
    NotFound,
    /// The platform rejected the request; nothing was changed.
    Rejected(Trouble),
    /// The request was certainly not executed: not sent, throttled, no lease.
    NotSent(Trouble),
    /// The request may or may not have been executed.
    Unknown(Trouble),
}

/// What enqueues a waiting object before its time. Its own changes always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// The time alone.
    Clock,
    /// Also a change in the inventory that concerns it.
    Inventory,
    /// Also a change of an object that it refers to.
    Cluster,
}

/// The next step of a pass. `C` is what the pass can change: [`Change`] for a customer's lead or service, a
/// job for a platform object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step<C = Change> {
    /// Read this. An answer of a read that began before the given time is too old.
    Observe(Query, Time),
    /// Write this to the object's metadata.
    PatchMetadata(Mark),
    /// Request this change from the platform. It ends the pass: nothing that can fail follows it.
    Execute(C),
    /// Wait until this time; something is in progress.
    Wait(Time, Wake),
    /// Nothing to do until the next observation.
    Idle(Time),
    /// A person must act. The object is still reconciled, slowly.
    Blocked(Time),
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanItem {
    /// `Create`, `Delete`, `Adopt`, …
    pub action: &'static str,
    /// The field, in the words of the spec; empty for the whole object.
    pub field: &'static str,
    /// The present value; `None` when there is none.
    pub from: Option<String>,
    /// The planned value; `None` when the platform chooses it.
    pub to: Option<String>,
}

/// The result of a decision: the next step, the cause, and everything that people read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The next step.
    pub step: Step,
    /// Why, for the log.
    pub why: &'static str,
    /// The content of the object's conditions.
    pub verdict: Verdict,
    /// What the object remembers from now on.
    pub record: Record,
    /// The planned changes (mode Plan).
    pub plan: Vec<PlanItem>,
    /// Nothing new is known, so status stays as it is.
    pub hold: bool,
}

impl Decision {
    /// Records how long a create took, if this process watched all the time. It measures how slow the
    /// platform is.
    pub(crate) fn with_duration(mut self, before: &Record, watched: Option<&OperationId>, now: Time) -> Self {
        let was_open = |op: &&mut Operation| {
            before
                .operation
                .as_ref()
                .is_none_or(|was| was.id != op.id || was.ended().is_none())
        };
        let done = |op: &&mut Operation| {
            op.kind == OperationKind::Create
                && op.ended() == Some(Outcome::Succeeded)
                && watched == Some(&op.id)
        };
        if let Some(op) = self.record.operation.as_mut().filter(done).filter(was_open) {
            // Rounded up, because the grace derived from it must not be too short.
            op.took = Some(Duration::from_secs(now.since(op.started).as_secs() + 1));
        }
        self
    }

    /// Ends an intent that was certainly not sent, if its request will not leave while the intent is fresh.
    /// Only this process's memory knows that it was not sent. Once that is written down, a restart need not
    /// look for the effect until the grace is over.
    pub(crate) fn without_unsent(mut self, now: Time) -> Self {
        let Some(intent) = self.record.open_intent().filter(|intent| intent.sent == Sent::No) else {
            return self;
        };
        let fresh_until = intent.start + timing::INTENT_FRESH;
        let rests = match &self.step {
            Step::Wait(until, _) => *until >= fresh_until,
            Step::Idle(_) | Step::Blocked(_) => true,
            Step::Observe(..) | Step::PatchMetadata(_) | Step::Execute(_) => false,
        };
        if rests && !self.hold {
            self.record
                .end_operation(Outcome::Unknown, now, vec!["It was never sent.".into()]);
        }
        self
    }
}

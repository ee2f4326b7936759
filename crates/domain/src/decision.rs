//! What a decision can ask of the driver: read one thing, write to our own object, change one thing at the platform, or wait.

use crate::conditions::{Trouble, Verdict};
use crate::names::{ChannelId, CustomerGuid, LcCustomerId, TaskId, TenantId};
use crate::record::{Job, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use crate::requests::{NewLead, NewService};
use crate::time::{Duration, Time};
use crate::timing;

/// One question to the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// The list of services: what it holds for this object's tenant, guid and short name.
    Services,
    /// The list of leads: what it holds for this object's tenant.
    Leads,
    /// The leads of this object's tenant, by a read of their own: where the list can't prove that there is none.
    LeadsOfTenant,
    /// One task.
    Task(TaskId),
    /// One LC customer.
    LcCustomer(LcCustomerId),
    /// The telephone numbers of a tenant: how many there are.
    Numbers(TenantId),
}

/// A write to our own object, in metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Finalizer and intent, in one write; the driver draws the operation's id.
    RecordIntent {
        /// What is going to be asked.
        kind: OperationKind,
        /// When.
        start: Time,
        /// The tenant for which it is going to be asked.
        tenant: Option<TenantId>,
        /// The place of the platform of which it is going to be asked, as the policy tells it.
        place: Option<String>,
    },
    /// Finalizer and external id, in one write: the object takes over a service that exists.
    Adopt(CustomerGuid),
    /// The finalizer, and the intent of a change that may be under way: from now on the object is not let go unasked.
    AddFinalizer,
    /// The finalizer and the annotations are taken off: the object may go.
    RemoveFinalizer,
}

/// One change at the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Turn the tenant's lead into this OC Essential service.
    CreateService(Box<NewService>),
    /// Delete this service.
    DeleteService(CustomerGuid),
    /// Make a consentless lead.
    CreateLead(NewLead),
    /// Delete a consentless lead.
    DeleteLead(TenantId),
    /// Attach the tenant's lead to a channel.
    AssignChannel(TenantId, ChannelId),
    /// Detach it from its channel.
    UnassignChannel(TenantId),
    /// Start a synchronization job by the installation's own call.
    RunJob(Job),
}

/// What becomes of a change that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangeResult {
    /// Accepted; a task follows.
    Accepted(TaskId),
    /// Done, as far as the answer says.
    Done,
    /// What should be removed is not there.
    NotFound,
    /// The platform said no; nothing was changed.
    Rejected(Trouble),
    /// The request was surely never executed: not sent, throttled, no lease.
    NotSent(Trouble),
    /// It may or may not have been executed.
    Unknown(Trouble),
}

/// What beside its time can wake an object that waits. Its own changes always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Only the time.
    Clock,
    /// A change of what the inventory holds for it, as well.
    Inventory,
    /// A change of an object that it refers to, as well.
    Cluster,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Read this; an answer of a read begun before `not_before` is too old.
    Observe(Query, Time),
    /// Write this to the object.
    PatchMetadata(Mark),
    /// Ask this of the platform. It ends the pass: nothing that can fail follows it.
    Execute(Change),
    /// Sleep; something is under way.
    Wait(Time, Wake),
    /// Nothing to do until the next observation.
    Idle(Time),
    /// A person is needed; still looked at again, slowly.
    Blocked(Time),
}

/// One line of what a plan would change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanItem {
    /// `Create`, `Delete`, `Adopt`, …
    pub action: &'static str,
    /// The field, in the words of the spec; empty for the whole.
    pub field: &'static str,
    /// What is; `None` when there is nothing.
    pub from: Option<String>,
    /// What would be; `None` when the platform chooses it.
    pub to: Option<String>,
}

/// What a decision comes to: the next step, why, and all that people read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What comes next.
    pub step: Step,
    /// Why, for the log.
    pub why: &'static str,
    /// What the object's conditions say.
    pub verdict: Verdict,
    /// What the object remembers from now on.
    pub record: Record,
    /// What would be changed (mode Plan).
    pub plan: Vec<PlanItem>,
    /// Nothing new is known: status stays as it is.
    pub hold: bool,
}

impl Decision {
    /// How long a create took tells how slow the platform is, if this process watched all the time.
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
            // Rounded up: half of a grace that is too short is no grace.
            op.took = Some(Duration::from_secs(now.since(op.started).as_secs() + 1));
        }
        self
    }

    /// That an intent was surely not sent is known to the memory of this process alone. When its request is not going to leave while the intent is fresh,
    /// that it never left is written down: a restart need not look for it until its grace is over.
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

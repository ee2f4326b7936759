//! Intent before effect: a table of the allowed order of steps in one change, and a guard that rejects any
//! other order.
//!
//! Decisions are written to keep this order. The driver still checks each step against the table, so a bug in
//! a decision ends as a rejected step and a log line, not as a second service.

use crate::decision::{Change, Mark, Step};
use crate::record::{OperationKind, Record, Sent};
use crate::time::Time;

/// The stage of an object's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeStage {
    /// No change is in progress, or the last one has ended.
    Idle,
    /// The object has the intent, and the request has certainly not left.
    Recorded,
    /// The request may have left, and its result is unknown.
    Asked,
    /// The platform returned a task that has not ended.
    Running,
}

/// An event in the course of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The intent of a change of this kind is recorded on the object.
    Begin(OperationKind),
    /// The request of the change leaves.
    Send(OperationKind),
    /// An existing service is taken over.
    Adopt,
}

/// Returns the stage of a record.
pub fn stage(record: &Record) -> ChangeStage {
    let running = record.running();
    if running.is_some_and(|operation| operation.task.is_some()) {
        return ChangeStage::Running;
    }
    match record.open_intent() {
        None if running.is_some() => ChangeStage::Asked,
        None => ChangeStage::Idle,
        Some(intent) if intent.sent == Sent::No => ChangeStage::Recorded,
        Some(_) => ChangeStage::Asked,
    }
}

/// The table: returns the stage that follows an event, or `None` if the event is not allowed.
///
/// A requested deletion begins again when the service still exists after a while: a second deletion of the
/// same service finds nothing to delete. A create never begins while another one is in progress. The first
/// one ends by its effect, its failure or its grace (law L1).
pub fn follows(stage: ChangeStage, event: Transition) -> Option<ChangeStage> {
    use OperationKind::{Create, Delete};
    match (stage, event) {
        (ChangeStage::Idle, Transition::Begin(_)) => Some(ChangeStage::Recorded),
        (ChangeStage::Idle, Transition::Send(_)) => None,
        (ChangeStage::Idle, Transition::Adopt) => Some(ChangeStage::Idle),
        // An intent that waited too long is replaced by a new one, because the grace counts from its start.
        (ChangeStage::Recorded, Transition::Begin(_)) => Some(ChangeStage::Recorded),
        (ChangeStage::Recorded, Transition::Send(_)) => Some(ChangeStage::Asked),
        (ChangeStage::Recorded, Transition::Adopt) => None,
        (ChangeStage::Asked, Transition::Begin(Delete)) => Some(ChangeStage::Recorded),
        (ChangeStage::Asked, Transition::Begin(Create) | Transition::Send(_) | Transition::Adopt) => None,
        (ChangeStage::Running, Transition::Begin(_) | Transition::Send(_) | Transition::Adopt) => None,
    }
}

/// Returns the intent that a change needs before its request. Changes without an intent are repeatable: two
/// of them leave the platform in the same state as one.
pub fn needs(change: &Change) -> Option<OperationKind> {
    match change {
        Change::CreateService(_) | Change::CreateLead(_) => Some(OperationKind::Create),
        Change::DeleteService(_) | Change::DeleteLead(_) => Some(OperationKind::Delete),
        Change::AssignChannel(..) | Change::UnassignChannel(_) => None,
    }
}

/// Checks whether an object with this record may take a step now.
///
/// # Errors
/// A sentence that says which order was broken: a bug in a decision.
pub fn check(step: &Step, record: &Record, now: Time) -> Result<(), String> {
    let event = match step {
        Step::PatchMetadata(Mark::RecordIntent { kind, .. }) => Transition::Begin(*kind),
        Step::PatchMetadata(Mark::Adopt(_)) => Transition::Adopt,
        Step::Execute(change) => match needs(change) {
            Some(kind) if !record.may_send(kind, now) => {
                return Err(format!(
                    "{change:?} without an intent that is recorded, fresh and unsent"
                ));
            }
            Some(kind) => Transition::Send(kind),
            None => return Ok(()),
        },
        Step::PatchMetadata(Mark::AddFinalizer | Mark::RemoveFinalizer)
        | Step::Observe(..)
        | Step::Wait(..)
        | Step::Idle(_)
        | Step::Blocked(_) => {
            return Ok(());
        }
    };
    let stage = stage(record);
    follows(stage, event)
        .map(|_| ())
        .ok_or_else(|| format!("{event:?} while the change is {stage:?}"))
}

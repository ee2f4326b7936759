//! Intent before effect: in which order the steps of one change may follow each other, as a table, and a guard that refuses every other order.
//!
//! A decision is built so that it keeps the order. The driver asks this table all the same before each step, so that a mistake in a decision ends
//! as a refused step and a line in the log, not as a second service.

use crate::decision::{Change, Mark, Step};
use crate::record::{OperationKind, Record, Sent};
use crate::time::Time;

/// How far the change of an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeStage {
    /// None is under way, or the last one has ended.
    Idle,
    /// The intent stands on the object, and its request has surely not left.
    Recorded,
    /// The request may have left, and nothing is known of it.
    Asked,
    /// The platform gave a task that has not ended.
    Running,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The intent of a change of this kind is recorded on the object.
    Begin(OperationKind),
    /// Its request leaves.
    Send(OperationKind),
    /// A service that exists is taken over.
    Adopt,
}

/// The stage at which a record is.
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

/// The table: what may happen at a stage, and which stage follows; `None` is an order that is refused.
///
/// A deletion that was asked for is begun anew when the service is still there after a while: a second deletion of the same service finds nothing to
/// delete. A create is never begun while one is under way: it ends first, by its effect, its failure or its grace (law L1).
pub fn follows(stage: ChangeStage, event: Transition) -> Option<ChangeStage> {
    use OperationKind::{Create, Delete};
    match (stage, event) {
        (ChangeStage::Idle, Transition::Begin(_)) => Some(ChangeStage::Recorded),
        (ChangeStage::Idle, Transition::Send(_)) => None,
        (ChangeStage::Idle, Transition::Adopt) => Some(ChangeStage::Idle),
        // An intent that waited too long to be sent is replaced by a new one: its grace counts from its start.
        (ChangeStage::Recorded, Transition::Begin(_)) => Some(ChangeStage::Recorded),
        (ChangeStage::Recorded, Transition::Send(_)) => Some(ChangeStage::Asked),
        (ChangeStage::Recorded, Transition::Adopt) => None,
        (ChangeStage::Asked, Transition::Begin(Delete)) => Some(ChangeStage::Recorded),
        (ChangeStage::Asked, Transition::Begin(Create) | Transition::Send(_) | Transition::Adopt) => None,
        (ChangeStage::Running, Transition::Begin(_) | Transition::Send(_) | Transition::Adopt) => None,
    }
}

/// Which intent a change needs before it is asked for. Those without are repeatable: the platform's state after two of them is that after one.
pub fn needs(change: &Change) -> Option<OperationKind> {
    match change {
        Change::CreateService(_) | Change::CreateLead(_) => Some(OperationKind::Create),
        Change::DeleteService(_) | Change::DeleteLead(_) => Some(OperationKind::Delete),
        Change::AssignChannel(..) | Change::UnassignChannel(_) | Change::RunJob(_) => None,
    }
}

/// Whether a step may be taken now by an object with this record.
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

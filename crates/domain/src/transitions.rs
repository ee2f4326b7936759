//! Intent before effect: in which order the steps of one change may follow each other, as a table, and a guard that refuses every other order.
//!
//! A decision is built so that it keeps the order. The driver asks this table all the same before each step, so that a mistake in a decision ends
//! as a refused step and a line in the log, not as a second service.

use crate::decision::{Change, Mark, Step};
use crate::record::{OperationKind, Record, Sent};
use crate::time::Time;

/// How far the change of an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
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
pub enum Event {
    /// The intent of a change of this kind is recorded on the object.
    Begin(OperationKind),
    /// Its request leaves.
    Send(OperationKind),
    /// A service that exists is taken over.
    Adopt,
}

/// The stage at which a record is.
pub fn stage(record: &Record) -> Stage {
    let running = record.running();
    if running.is_some_and(|operation| operation.task.is_some()) {
        return Stage::Running;
    }
    match record.open_intent() {
        None if running.is_some() => Stage::Asked,
        None => Stage::Idle,
        Some(intent) if intent.sent == Sent::No => Stage::Recorded,
        Some(_) => Stage::Asked,
    }
}

/// The table: what may happen at a stage, and which stage follows; `None` is an order that is refused.
///
/// A deletion that was asked for is begun anew when the service is still there after a while: a second deletion of the same service finds nothing to
/// delete. A create is never begun while one is under way: it ends first, by its effect, its failure or its grace (law L1).
pub fn follows(stage: Stage, event: Event) -> Option<Stage> {
    use OperationKind::{Create, Delete};
    match (stage, event) {
        (Stage::Idle, Event::Begin(_)) => Some(Stage::Recorded),
        (Stage::Idle, Event::Send(_)) => None,
        (Stage::Idle, Event::Adopt) => Some(Stage::Idle),
        // An intent that waited too long to be sent is replaced by a new one: its grace counts from its start.
        (Stage::Recorded, Event::Begin(_)) => Some(Stage::Recorded),
        (Stage::Recorded, Event::Send(_)) => Some(Stage::Asked),
        (Stage::Recorded, Event::Adopt) => None,
        (Stage::Asked, Event::Begin(Delete)) => Some(Stage::Recorded),
        (Stage::Asked, Event::Begin(Create) | Event::Send(_) | Event::Adopt) => None,
        (Stage::Running, Event::Begin(_) | Event::Send(_) | Event::Adopt) => None,
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
        Step::Keep(Mark::Begin { kind, .. }) => Event::Begin(*kind),
        Step::Keep(Mark::Adopt(_)) => Event::Adopt,
        Step::Ask(change) => match needs(change) {
            Some(kind) if !record.may_send(kind, now) => return Err(format!("{change:?} without an intent that is recorded, fresh and unsent")),
            Some(kind) => Event::Send(kind),
            None => return Ok(()),
        },
        Step::Keep(Mark::Hold | Mark::Release) | Step::Look(..) | Step::Wait(..) | Step::Rest(_) | Step::Stop(_) => return Ok(()),
    };
    let stage = stage(record);
    follows(stage, event).map(|_| ()).ok_or_else(|| format!("{event:?} while the change is {stage:?}"))
}

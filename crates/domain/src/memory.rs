//! What a pass remembers in this process for the next pass over the same object.

use crate::decision::Decision;
use crate::names::CustomerGuid;
use crate::record::{Operation, OperationId, Record, Sent};
use crate::time::Time;
use crate::timing;

/// How many certainly unsent intents to remember per object. Of several drawn in a row, only the last few can
/// still appear on it.
pub(crate) const UNSENT: usize = 4;

/// What a pass remembers in this process for the next pass over the same object. Losing it is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PassMemory {
    /// How many times in a row a request was not executed, or the object could not be written, for the same
    /// spec.
    pub failures: u32,
    /// How many times in a row somebody else had written the object during a pass.
    pub conflicts: u32,
    /// How many passes in a row have written nothing though there was something to say.
    pub held: u32,
    /// The generation that those failures belong to. Kept here because status itself may be what can't be
    /// written.
    pub generation: Option<i64>,
    /// The intents whose requests were certainly never executed.
    pub unsent: Vec<OperationId>,
    /// The last operation that this process requested. Anybody may remove or restore what is on the object,
    /// and a task id may never reach status, so the process keeps its own copy. Boxed: most objects at rest have
    /// none.
    pub asked: Option<Box<Operation>>,
    /// The service that this operation was proven to have made. The proof can be removed before it is in
    /// status.
    pub guid: Option<CustomerGuid>,
    /// The operation that this process requested and has watched ever since, and when it was last watched.
    pub watched: Option<(OperationId, Time)>,
    /// The object did not become Ready, and a list had unreadable entries. It is due as soon as the lists are
    /// complete.
    pub waits_for_whole_lists: bool,
}

impl PassMemory {
    /// How many attempts for this generation have failed. A changed spec starts from zero.
    pub fn failures_of(&self, generation: i64) -> u32 {
        if self.generation == Some(generation) {
            self.failures
        } else {
            0
        }
    }

    pub(crate) fn watched(&self, now: Time) -> Option<OperationId> {
        self.watched
            .as_ref()
            .filter(|(_, at)| now <= *at + timing::WATCHED)
            .map(|(id, _)| id.clone())
    }

    /// Adds to the record what this process knows and the object does not: that a request was certainly not
    /// sent, and what was requested last.
    pub fn remind(&self, record: &mut Record) {
        if let Some(intent) = record
            .intent
            .as_mut()
            .filter(|intent| self.unsent.contains(&intent.id))
        {
            intent.sent = Sent::No;
        }
        let Some(asked) = &self.asked else { return };
        let says_nothing = record.guid.is_none() && record.intent.is_none() && record.operation.is_none();
        if let Some(guid) = self.guid.as_ref().filter(|_| !record.guid_proven) {
            record.prove(*guid);
        }
        // An annotated guid beside an open create belongs to the previous service: nothing was taken over
        // since the request.
        if asked.ended().is_none() && record.intent.is_none() {
            record.guid_annotated = false;
        }
        // The end of an operation matters only while the object has its intent, or has no record at all.
        let followed = !says_nothing && record.intent.as_ref().is_none_or(|intent| intent.id != asked.id);
        let knows_more = |op: &Operation| {
            (op.ended().is_some(), op.task.is_some()) < (asked.ended().is_some(), asked.task.is_some())
        };
        // A different operation that began later was requested by another replica, and supersedes this one.
        let reminds = record.operation.as_ref().is_none_or(|op| {
            if op.id == asked.id {
                knows_more(op)
            } else {
                op.started <= asked.started
            }
        });
        if reminds && !(asked.ended().is_some() && followed) {
            record.operation = Some(Operation::clone(asked));
        }
    }

    /// Whether this process requested something whose outcome it has not seen.
    pub fn waits_for_outcome(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.ended().is_none())
    }

    /// Remembers the operation with its progress, if this process requested it, or if the object's last
    /// version certainly had it. What was merely read may have been outdated.
    pub(crate) fn learn(&mut self, surely: bool, last: &Decision) {
        let record = &last.record;
        let open = record.open_intent().filter(|intent| {
            intent.sent == Sent::Maybe || record.running().is_some_and(|op| op.id == intent.id)
        });
        let told = record
            .operation
            .as_ref()
            .filter(|op| open.is_none_or(|intent| intent.id == op.id));
        let known = self.asked.take();
        let before = known.as_ref().map(|op| op.id.clone());
        // The operation was put into the record when the pass began. If it is no longer there, it was found
        // to be over.
        self.asked = told
            .cloned()
            .or_else(|| open.map(Operation::of))
            .filter(|op| surely || before.as_ref() == Some(&op.id))
            .map(|op| match known {
                Some(mut known) => {
                    *known = op;
                    known
                }
                None => Box::new(op),
            });
        self.guid = record.guid.filter(|_| record.guid_proven && self.asked.is_some());
    }
}

//! What a pass leaves in memory for the next one over the same object.

use crate::decision::Decision;
use crate::names::CustomerGuid;
use crate::record::{Operation, OperationId, Record, Sent};
use crate::time::Time;
use crate::timing;

/// How many intents that were surely not sent are remembered for one object. Of those that are drawn one after the other only the last few can still
/// turn up on it.
pub(crate) const UNSENT: usize = 4;

/// What a pass leaves in memory for the next one over the same object. Losing it is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PassMemory {
    /// How often in a row a request was not executed, or the object could not be written, for the same spec.
    pub failures: u32,
    /// How often in a row somebody else had written the object meanwhile.
    pub conflicts: u32,
    /// The generation that those failures are about, by this process's own memory: status may be what can't be written.
    pub generation: Option<i64>,
    /// The intents whose requests were surely never executed.
    pub unsent: Vec<OperationId>,
    /// The last operation that this process has asked the platform for. What stands on the object may be removed or put back by anybody, and a task id may
    /// never get into status: what was asked here is known here.
    pub asked: Option<Operation>,
    /// The service that this operation was proven to have made: what proves it can be taken off before it is in status.
    pub guid: Option<CustomerGuid>,
    /// The operation that this process has asked for and looked at ever since, and when it was looked at last.
    pub watched: Option<(OperationId, Time)>,
    /// It did not come to Ready, and read a list with entries that can't be read: it is looked at again as soon as the lists are whole.
    pub waits_for_whole_lists: bool,
}

impl PassMemory {
    /// How often tries for this generation of the object have failed: a changed spec begins anew.
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

    /// Puts into the record what this process knows and the object does not say: that a request was surely not sent, and what was asked for last.
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
            record.prove(guid.clone());
        }
        // An annotated guid beside an open create is that of the service before it: nothing was taken over since this process has asked.
        if asked.ended().is_none() && record.intent.is_none() {
            record.guid_annotated = false;
        }
        // How an operation ended says something as long as its intent is the object's, or nothing is.
        let followed = !says_nothing && record.intent.as_ref().is_none_or(|intent| intent.id != asked.id);
        let knows_more = |op: &Operation| {
            (op.ended().is_some(), op.task.is_some()) < (asked.ended().is_some(), asked.task.is_some())
        };
        // Another operation that began later is another replica's, and the last word.
        let reminds = record.operation.as_ref().is_none_or(|op| {
            if op.id == asked.id {
                knows_more(op)
            } else {
                op.started <= asked.started
            }
        });
        if reminds && !(asked.ended().is_some() && followed) {
            record.operation = Some(asked.clone());
        }
    }

    /// Whether this process has asked for something whose outcome it has not seen.
    pub fn waits_for_outcome(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.ended().is_none())
    }

    /// Remembers the operation as far as it has come, if it is this process that has asked for it, or that it surely was on the object's last version. What
    /// was only read may have been outdated when it was.
    pub(crate) fn learn(&mut self, surely: bool, last: &Decision) {
        let record = &last.record;
        let open = record.open_intent().filter(|intent| {
            intent.sent == Sent::Maybe || record.running().is_some_and(|op| op.id == intent.id)
        });
        let told = record
            .operation
            .as_ref()
            .filter(|op| open.is_none_or(|intent| intent.id == op.id));
        let before = self.asked.take().map(|op| op.id);
        // It was put into the record when the pass began: what is not in it any more was found to be over.
        self.asked = told
            .cloned()
            .or_else(|| open.map(Operation::of))
            .filter(|op| surely || before.as_ref() == Some(&op.id));
        self.guid = record
            .guid
            .clone()
            .filter(|_| record.guid_proven && self.asked.is_some());
    }
}

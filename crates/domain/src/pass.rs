//! One pass over one object, without any I/O: what was decided last, what it needs, and what follows from the answer.
//!
//! The operator's `runtime::driver` performs the steps against a cluster and a platform; the simulation performs the same steps against a made-up
//! world, stops anywhere between two of them, and runs two of these side by side. Both use this very code.

use crate::conditions::{Reason, Trouble, Truth};
use crate::decision::{Answer, Change, Decision, Mark, Step, Wake};
use crate::facts::Facts;
use crate::names::CustomerGuid;
use crate::record::{Intent, Operation, OperationId, OperationKind, Record, Sent};
use crate::time::Time;
use crate::timing;
use crate::transitions;

/// A pass that takes more steps than this is going in circles: a bug, reported as such.
const MOST_STEPS: usize = 24;

/// A pass in the making.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    /// What the object remembers, as far as this pass has got.
    pub record: Record,
    /// What is known; reads are entered here.
    pub facts: Facts,
    /// The change that was asked for, and what became of it.
    pub asked: Option<(Change, Answer)>,
    /// How many reads it took.
    pub looks: usize,
    /// A step that was refused or went in circles: a bug in a decision, in words.
    pub bug: Option<String>,
    /// The ids of the intents that this pass tried to record, whether or not the API server answered.
    drawn: Vec<OperationId>,
    /// Whether what this pass has read was the object's last version when its record was put back, and is on it no more.
    stripped: bool,
    steps: usize,
}

impl Pass {
    /// Begins a pass with what the object remembers, and with what this process remembers of its own earlier passes over it (`memo`).
    pub fn begin(mut record: Record, facts: Facts, memo: &Memo) -> Self {
        memo.remind(&mut record);
        let facts = Facts { own: memo.asked.as_ref().map(|asked| asked.id.clone()), watched: memo.watched(facts.pass_started), ..facts };
        Self { record, facts, asked: None, looks: 0, bug: None, drawn: Vec::new(), stripped: false, steps: 0 }
    }

    /// What comes next. A step out of order (see [`transitions`]), a second change in one pass and a pass that goes in circles become a wait.
    pub fn next(&mut self, now: Time, decide: impl Fn(Time, &Record, &Facts) -> Decision) -> Decision {
        let mut decision = decide(now, &self.record, &self.facts);
        self.steps += 1;
        let wrong = match &decision.step {
            _ if self.steps > MOST_STEPS => Some("the pass goes in circles".to_owned()),
            Step::Ask(change) if self.asked.is_some() => Some(format!("{change:?} is a second change in one pass")),
            step => transitions::check(step, &decision.record, now).err(),
        };
        if let Some(wrong) = wrong {
            self.bug = Some(format!("{wrong} ({:?}, {})", decision.step, decision.why));
            decision.step = Step::Wait(now + timing::SETTLING, Wake::Clock);
        }
        decision
    }

    /// A read was made and entered into the facts.
    pub fn looked(&mut self, decision: Decision) {
        self.looks += 1;
        self.record = decision.record;
    }

    /// A change that was about to be recorded can't be asked for now: nothing was written, and nothing was asked.
    pub fn held_back(&mut self, trouble: Trouble) {
        self.facts.answer = Some(Answer::NotSent(trouble));
    }

    /// An intent is about to be recorded under this id. It is remembered before the write: when the API server executes the write and its answer is
    /// lost, this process still knows that the request never left.
    pub fn draws(&mut self, id: OperationId) {
        self.drawn.push(id);
    }

    /// A mark was written.
    pub fn kept(&mut self, mark: &Mark, decision: Decision, intent: Option<Intent>) {
        let mut record = decision.record;
        record.finalizer = true;
        match mark {
            Mark::Begin { kind, .. } => {
                record.guid_annotated |= record.guid.is_some() && *kind == OperationKind::Delete;
                record.intent = intent.map(|intent| Intent { sent: Sent::No, ..intent });
            }
            Mark::Adopt(guid) => {
                record.prove(guid.clone());
                record.guid_annotated = true;
                record.intent = None;
            }
            Mark::Hold | Mark::Release => {}
        }
        self.record = record;
    }

    /// The API server took a mark, under the condition that the object was as it had been read, and something has taken away what it says. The record of a
    /// request that is put back may be gone with it: then nobody but this process knows of it.
    pub fn dropped(&mut self, mark: &Mark) {
        self.stripped |= *mark == Mark::Hold;
    }

    /// The API server did not take a mark. What was decided is put off, and the object says so: it must not go on saying that it is Ready, or that it
    /// waits for the operator, while its deletion or its intent is refused.
    pub fn unkept(&self, now: Time, refused: Decision, trouble: &Trouble) -> Decision {
        let until = timing::next_try(now, self.facts.failures, None);
        Decision {
            step: Step::Wait(until, Wake::Clock),
            why: "the API server did not take the mark",
            verdict: self.facts.verdict_of(trouble),
            plan: Vec::new(),
            hold: false,
            ..refused
        }
    }

    /// A change was asked for.
    pub fn answered(&mut self, change: Change, decision: Decision, answer: Answer) {
        self.facts.answer = Some(answer.clone());
        self.asked = Some((change, answer));
        self.record = decision.record;
    }

    /// Whether a request has left in this pass, whatever came of it: what it left behind must be written, whatever else has changed.
    pub fn sent(&self) -> bool {
        self.asked.as_ref().is_some_and(|(_, answer)| !matches!(answer, Answer::NotSent(_)))
    }
}

/// How a pass ended, as far as the next one needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As decided.
    Well,
    /// Somebody else had written the object meanwhile.
    Conflict,
    /// The object could not be written.
    Unwritten,
}

/// How many intents that were surely not sent are remembered for one object. Of those that are drawn one after the other only the last few can still
/// turn up on it.
const UNSENT: usize = 4;

/// What a pass leaves in memory for the next one over the same object. Losing it is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memo {
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

impl Memo {
    /// How often tries for this generation of the object have failed: a changed spec begins anew.
    pub fn failures_of(&self, generation: i64) -> u32 {
        if self.generation == Some(generation) { self.failures } else { 0 }
    }

    fn watched(&self, now: Time) -> Option<OperationId> {
        self.watched.as_ref().filter(|(_, at)| now <= *at + timing::WATCHED).map(|(id, _)| id.clone())
    }

    /// Puts into the record what this process knows and the object does not say: that a request was surely not sent, and what was asked for last.
    pub fn remind(&self, record: &mut Record) {
        if let Some(intent) = record.intent.as_mut().filter(|intent| self.unsent.contains(&intent.id)) {
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
        let knows_more = |op: &Operation| (op.ended().is_some(), op.task.is_some()) < (asked.ended().is_some(), asked.task.is_some());
        // Another operation that began later is another replica's, and the last word.
        let reminds = record.operation.as_ref().is_none_or(|op| if op.id == asked.id { knows_more(op) } else { op.started <= asked.started });
        if reminds && !(asked.ended().is_some() && followed) {
            record.operation = Some(asked.clone());
        }
    }

    /// Whether this process has asked for something whose outcome it has not seen.
    pub fn waits_for_outcome(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.ended().is_none())
    }

    /// Takes in how a pass went.
    pub fn after(&mut self, pass: &Pass, last: &Decision, ended: Ended) {
        let failed = ended == Ended::Unwritten || matches!(pass.facts.answer, Some(Answer::NotSent(_))) || transient(last);
        self.waits_for_whole_lists = last.verdict.ready != Truth::True && pass.facts.saw_holes();
        self.failures = if failed { pass.facts.failures.saturating_add(1) } else { 0 };
        self.conflicts = if ended == Ended::Conflict { self.conflicts.saturating_add(1) } else { 0 };
        self.generation = Some(pass.facts.generation);
        let open = last.record.open_intent();
        if pass.sent() {
            self.unsent.retain(|id| open.is_none_or(|intent| *id != intent.id));
        } else {
            // Nothing left in this pass for the intents that it drew: an outage that comes in just there is no lost answer, and need not cost the grace.
            let still = open.filter(|intent| intent.sent == Sent::No).map(|intent| &intent.id);
            for id in pass.drawn.iter().chain(still) {
                self.unsent.retain(|known| known != id);
                self.unsent.push(id.clone());
            }
            let surplus = self.unsent.len().saturating_sub(UNSENT);
            self.unsent.drain(..surplus);
        }
        self.learn(pass.sent() || pass.stripped, last);
        let open = self.asked.as_ref().filter(|op| op.ended().is_none() && (pass.sent() || pass.facts.watched.as_ref() == Some(&op.id)));
        self.watched = open.map(|op| (op.id.clone(), pass.facts.pass_started));
    }

    /// Remembers the operation as far as it has come, if it is this process that has asked for it, or that it surely was on the object's last version. What
    /// was only read may have been outdated when it was.
    fn learn(&mut self, surely: bool, last: &Decision) {
        let record = &last.record;
        let open = record.open_intent().filter(|intent| intent.sent == Sent::Maybe || record.running().is_some_and(|op| op.id == intent.id));
        let told = record.operation.as_ref().filter(|op| open.is_none_or(|intent| intent.id == op.id));
        let before = self.asked.take().map(|op| op.id);
        // It was put into the record when the pass began: what is not in it any more was found to be over.
        self.asked = told.cloned().or_else(|| open.map(Operation::of)).filter(|op| surely || before.as_ref() == Some(&op.id));
        self.guid = record.guid.clone().filter(|_| record.guid_proven && self.asked.is_some());
    }
}

fn transient(decision: &Decision) -> bool {
    match decision.verdict.reason {
        Reason::PlatformUnavailable | Reason::Throttled | Reason::AuthenticationFailed | Reason::ProgressingWithRetry => true,
        // A read was refused: it is tried again, ever more slowly. A refused change stops.
        Reason::PlatformRefused => matches!(decision.step, Step::Wait(..)),
        _ => false,
    }
}

//! One pass over one object, without I/O: the last decision, what it needs, and what follows from the answer.
//!
//! The operator's `runtime::driver` performs the steps against a cluster and a platform. The simulation
//! performs the same steps against a simulated world, stops between any two of them, and runs two passes side
//! by side. Both use this code.

use crate::conditions::{ConditionStatus, Reason, Trouble};
use crate::decision::{Change, ChangeResult, Decision, Mark, Step, Wake};
use crate::facts::Facts;
use crate::memory::{PassMemory, UNSENT};
use crate::record::{Intent, OperationId, OperationKind, Record, Sent};
use crate::time::Time;
use crate::timing;
use crate::transitions;

/// A pass with more steps than this is in a loop, which is reported as a bug.
const MOST_STEPS: usize = 24;

/// The state of one pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    /// What the object remembers, as updated by this pass so far.
    pub record: Record,
    /// What is known. Reads are entered here.
    pub facts: Facts,
    /// The change that was requested, and its result.
    pub asked: Option<(Change, ChangeResult)>,
    /// The number of reads.
    pub looks: usize,
    /// A description of a bug in a decision: a rejected step, or a loop.
    pub bug: Option<String>,
    /// The ids of the intents that this pass tried to record, whether or not the API server answered.
    drawn: Vec<OperationId>,
    /// The record read by this pass was current when it was restored, and is no longer on the object.
    stripped: bool,
    steps: usize,
}

impl Pass {
    /// Begins a pass with what the object remembers, and with what this process remembers of its earlier
    /// passes (`memory`).
    pub fn begin(mut record: Record, facts: Facts, memory: &PassMemory) -> Self {
        let shown = record.operation.as_ref().filter(|op| op.task.is_some());
        let shown = shown.map(|op| op.id.clone());
        memory.remind(&mut record);
        let facts = Facts {
            shown,
            held: memory.held,
            own: memory.asked.as_ref().map(|asked| asked.id.clone()),
            watched: memory.watched(facts.pass_started),
            ..facts
        };
        Self {
            record,
            facts,
            asked: None,
            looks: 0,
            bug: None,
            drawn: Vec::new(),
            stripped: false,
            steps: 0,
        }
    }

    /// Returns the next decision. A step out of order (see [`transitions`]), a second change in one pass, and
    /// a loop become a wait.
    pub fn next(&mut self, now: Time, decide: impl Fn(Time, &Record, &Facts) -> Decision) -> Decision {
        let mut decision = decide(now, &self.record, &self.facts);
        self.steps += 1;
        let wrong = match &decision.step {
            _ if self.steps > MOST_STEPS => Some("the pass loops".to_owned()),
            Step::Execute(change) if self.asked.is_some() => {
                Some(format!("{change:?} is a second change in one pass"))
            }
            step => transitions::check(step, &decision.record, now).err(),
        };
        if let Some(wrong) = wrong {
            self.bug = Some(format!("{wrong} ({:?}, {})", decision.step, decision.why));
            decision.step = Step::Wait(now + timing::SETTLING, Wake::Clock);
        }
        decision
    }

    /// Records that a read was made and entered into the facts.
    pub fn looked(&mut self, decision: Decision) {
        self.looks += 1;
        self.record = decision.record;
    }

    /// Records that a change can't be requested now, before its intent was written. Nothing was written or
    /// requested.
    pub fn held_back(&mut self, trouble: Trouble) {
        self.facts.answer = Some(ChangeResult::NotSent(trouble));
    }

    /// Remembers the id of an intent before the write that records it. If the write succeeds and its answer
    /// is lost, this process still knows that the request never left.
    pub fn draws(&mut self, id: OperationId) {
        self.drawn.push(id);
    }

    /// Records that a mark was written.
    pub fn kept(&mut self, mark: &Mark, decision: Decision, intent: Option<Intent>) {
        let mut record = decision.record;
        record.finalizer = true;
        match mark {
            Mark::RecordIntent { kind, .. } => {
                record.guid_annotated |= record.guid.is_some() && *kind == OperationKind::Delete;
                record.intent = intent.map(|intent| Intent {
                    sent: Sent::No,
                    ..intent
                });
            }
            Mark::Adopt(guid) => {
                record.prove(*guid);
                record.guid_annotated = true;
                record.intent = None;
            }
            Mark::AddFinalizer | Mark::RemoveFinalizer => {}
        }
        self.record = record;
    }

    /// Records that the API server accepted a mark under the version that was read, but something removed its
    /// content. The record of a request may have been removed with it; then only this process knows of the
    /// request.
    pub fn dropped(&mut self, mark: &Mark) {
        self.stripped |= *mark == Mark::AddFinalizer;
    }

    /// Postpones a decision whose mark the API server rejected, and reports that. The object must not keep
    /// saying that it is Ready, or that it is the operator's move, while its deletion or its intent is
    /// rejected.
    pub fn unkept(&self, now: Time, refused: Decision, trouble: &Trouble) -> Decision {
        let until = timing::next_try(now, self.facts.failures, None);
        Decision {
            step: Step::Wait(until, Wake::Clock),
            why: "the API server rejected the metadata patch",
            verdict: self.facts.verdict_of(trouble),
            plan: Vec::new(),
            hold: false,
            ..refused
        }
    }

    /// Records that a change was requested, and its result.
    pub fn answered(&mut self, change: Change, decision: Decision, answer: ChangeResult) {
        self.facts.answer = Some(answer.clone());
        self.asked = Some((change, answer));
        self.record = decision.record;
    }

    /// Whether a request has left in this pass, whatever its result. Then its traces must be written,
    /// whatever else has changed.
    pub fn sent(&self) -> bool {
        self.asked
            .as_ref()
            .is_some_and(|(_, answer)| !matches!(answer, ChangeResult::NotSent(_)))
    }
}

/// How a pass ended, as far as the next one needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassEnd {
    /// The pass ended as decided.
    Well,
    /// Somebody else had written the object during the pass.
    Conflict,
    /// The object could not be written.
    Unwritten,
}

fn transient(decision: &Decision) -> bool {
    match decision.verdict.reason {
        Reason::PlatformUnavailable
        | Reason::Throttled
        | Reason::AuthenticationFailed
        | Reason::ProgressingWithRetry => true,
        // A refused read is retried with growing delays. A refused change stops.
        Reason::PlatformRefused => matches!(decision.step, Step::Wait(..)),
        _ => false,
    }
}

impl Pass {
    /// Stores in memory how the pass went: its last decision, and how it ended.
    pub fn remember(&self, memory: &mut PassMemory, last: &Decision, ended: PassEnd) {
        // A request that waits for its turn has not failed.
        let unsent = |answer: &ChangeResult| matches!(answer, ChangeResult::NotSent(why) if why.reason != Reason::Progressing);
        let failed =
            ended == PassEnd::Unwritten || self.facts.answer.as_ref().is_some_and(unsent) || transient(last);
        memory.waits_for_whole_lists = last.verdict.ready != ConditionStatus::True && self.facts.saw_holes();
        memory.failures = if failed {
            self.facts.failures.saturating_add(1)
        } else {
            0
        };
        memory.conflicts = if ended == PassEnd::Conflict {
            memory.conflicts.saturating_add(1)
        } else {
            0
        };
        memory.held = if last.hold {
            memory.held.saturating_add(1)
        } else {
            0
        };
        memory.generation = failed.then_some(self.facts.generation);
        let open = last.record.open_intent();
        if self.sent() {
            memory
                .unsent
                .retain(|id| open.is_none_or(|intent| *id != intent.id));
        } else {
            // No request left for the intents that this pass drew. An outage at this point is not a lost
            // answer, and must not cost the grace.
            let still = open
                .filter(|intent| intent.sent == Sent::No)
                .map(|intent| &intent.id);
            for id in self.drawn.iter().chain(still) {
                memory.unsent.retain(|known| known != id);
                memory.unsent.push(id.clone());
            }
            let surplus = memory.unsent.len().saturating_sub(UNSENT);
            memory.unsent.drain(..surplus);
        }
        memory.learn(self.sent() || self.stripped, last);
        let open = memory.asked.as_ref().filter(|op| {
            op.ended().is_none() && (self.sent() || self.facts.watched.as_ref() == Some(&op.id))
        });
        memory.watched = open.map(|op| (op.id.clone(), self.facts.pass_started));
    }
}

//! One pass over one object, without any I/O: what was decided last, what it needs, and what follows from the answer.
//!
//! The operator's `engine::pass` performs the steps against a cluster and a platform; the simulation performs the same steps against a made-up
//! world, stops anywhere between two of them, and runs two of these side by side. Both use this very code.

use crate::conditions::{Reason, Trouble};
use crate::order;
use crate::pass::Facts;
use crate::record::{Intent, OperationId, OperationKind, Record, Sent};
use crate::step::{Answer, Change, Decision, Mark, Step, Wake};
use crate::time::Time;
use crate::timing;

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
    steps: usize,
}

impl Pass {
    /// Begins a pass with what the object remembers. What is in memory of an earlier pass (`memo`) tells whether its intent was surely not sent.
    pub fn begin(mut record: Record, facts: Facts, memo: &Memo) -> Self {
        if let Some(intent) = record.intent.as_mut().filter(|intent| Some(&intent.id) == memo.unsent.as_ref()) {
            intent.sent = Sent::No;
        }
        Self { record, facts, asked: None, looks: 0, bug: None, steps: 0 }
    }

    /// What comes next. A step out of order (see [`order`]), a second change in one pass and a pass that goes in circles become a wait.
    pub fn next(&mut self, now: Time, decide: impl Fn(Time, &Record, &Facts) -> Decision) -> Decision {
        let mut decision = decide(now, &self.record, &self.facts);
        self.steps += 1;
        let wrong = match &decision.step {
            _ if self.steps > MOST_STEPS => Some("the pass goes in circles".to_owned()),
            Step::Ask(change) if self.asked.is_some() => Some(format!("{change:?} is a second change in one pass")),
            step => order::check(step, &decision.record, now).err(),
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

    /// A change was asked for.
    pub fn answered(&mut self, change: Change, decision: Decision, answer: Answer) {
        self.facts.answer = Some(answer.clone());
        self.asked = Some((change, answer));
        self.record = decision.record;
    }
}

/// How a pass ended, as far as the next one needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As decided.
    Well,
    /// The object could not be written.
    Unwritten,
}

/// What a pass leaves in memory for the next one over the same object. Losing it is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memo {
    /// How often in a row a request was not executed, or the object could not be written, for the same spec.
    pub failures: u32,
    /// The intent whose request was surely never executed.
    pub unsent: Option<OperationId>,
}

impl Memo {
    /// How often tries for this spec have failed: a changed spec begins anew.
    pub fn failures_of(&self, spec_changed: bool) -> u32 {
        if spec_changed { 0 } else { self.failures }
    }

    /// Takes in how a pass went.
    pub fn after(&mut self, pass: &Pass, last: &Decision, ended: Ended) {
        let failed = ended == Ended::Unwritten || matches!(pass.facts.answer, Some(Answer::NotSent(_))) || transient(last);
        self.failures = if failed { pass.facts.failures.saturating_add(1) } else { 0 };
        match &pass.asked {
            Some((_, Answer::NotSent(_))) => self.unsent = last.record.open_intent().map(|intent| intent.id.clone()),
            Some(_) => self.unsent = None,
            // The pass ended between the intent and the request: an outage that comes in just there is no lost answer, and need not cost the grace.
            None => {
                if let Some(intent) = last.record.open_intent().filter(|intent| intent.sent == Sent::No) {
                    self.unsent = Some(intent.id.clone());
                }
            }
        }
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

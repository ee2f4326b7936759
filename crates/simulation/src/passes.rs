//! Passes over objects, step by step, with the real driver and the real decisions.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Decision, Mark, Step};
use oc_domain::facts::Facts;
use oc_domain::pass::{Pass, PassEnd};
use oc_domain::record::{Outcome, Record};
use oc_domain::time::Time;
use oc_domain::timing;

use crate::cluster::{Object, Unwritten};
use crate::operator::{NEVER, Running, State, Target};
use crate::world::{Play, Rules, World};

/// The fate of the next write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// It succeeds.
    Fine,
    /// It fails.
    Refused,
    /// It succeeds, and the answer is lost.
    Lost,
    /// An intent is not even tried: there is no room for its request at the platform.
    NoRoom,
}

/// The fate of the next change at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// It is executed and answered.
    Fine,
    /// The answer is lost, and it is executed after this many seconds.
    LostDone(u64),
    /// The answer is lost, and it is never executed.
    LostNotDone,
    /// It is never sent.
    NotSent,
    /// The platform refuses it.
    Refused,
}

impl World {
    /// Begins a replica's pass over an object, as the replica sees it.
    pub fn begin(&mut self, play: &mut Play<'_>, op: usize, slot: usize) {
        let Some(object) = self.operators[op].view.objects[slot].clone() else {
            self.operators[op].due[slot] = NEVER;
            return;
        };
        self.operators[op].due[slot] = NEVER;
        if !play.rules.backs_off {
            self.operators[op].memory(slot, object.uid).failures = 0;
        }
        let facts = self.facts(play, op, slot, &object);
        let target = self.target(play, op, slot, &object);
        if !play.rules.memory {
            let memory = self.operators[op].memory(slot, object.uid);
            (memory.asked, memory.guid) = (None, None);
        }
        let mut record = object.record();
        if let Some(op) = record
            .operation
            .as_mut()
            .filter(|_| play.rules.strange_words_end && object.strange_word)
        {
            op.end(Outcome::Unknown, self.now);
        }
        let pass = Pass::begin(record, facts, self.operators[op].memory(slot, object.uid));
        play.trail.note(self.now, || {
            format!(
                "operator {op} looks at object {} (version {})",
                object.uid, object.version
            )
        });
        let place = self.platform.here;
        self.operators[op].passes[slot] = Some(Running {
            pass,
            target,
            object,
            place,
        });
    }

    /// Plays the next step of a pass.
    pub fn step(&mut self, play: &mut Play<'_>, op: usize, slot: usize, write: Write, ask: Ask) {
        let Some(mut running) = self.operators[op].passes[slot].take() else {
            return;
        };
        let now = self.now;
        let decide = |now: Time, record: &Record, facts: &Facts| match &running.target {
            Target::Service(target) => (play.rules.decide)(now, target, record, facts),
            Target::Lead(target) => (play.rules.lead)(now, target, record, facts),
        };
        let decision = running.pass.next(now, decide);
        play.trail.note(now, || {
            format!(
                "operator {op}, object {}: {:?} ({})",
                running.object.uid, decision.step, decision.why
            )
        });
        self.judge(play, &running, &decision);
        let after = match decision.step.clone() {
            Step::Observe(query, not_before) => {
                self.look(
                    play.rules,
                    op,
                    slot,
                    &query,
                    not_before,
                    &decision.record,
                    &mut running.pass.facts,
                    running.place,
                );
                running.pass.facts.belief = self.belief(play.rules, op, &running);
                running.pass.looked(decision);
                After::GoesOn
            }
            Step::PatchMetadata(Mark::RecordIntent { .. }) if write == Write::NoRoom => {
                self.counts.held_back += 1;
                running
                    .pass
                    .held_back(Trouble::new(Reason::Throttled, "There is no room."));
                After::GoesOn
            }
            Step::PatchMetadata(mark) => {
                self.patch_metadata(play, op, slot, &mut running, &mark, decision, write)
            }
            Step::Execute(change) => {
                let answer = self.ask(play, op, slot, &running, &change, ask);
                play.trail.note(now, || {
                    format!("operator {op}, object {}: answer {answer:?}", running.object.uid)
                });
                running.pass.answered(change, decision, answer);
                After::GoesOn
            }
            Step::Wait(until, _) | Step::Idle(until) | Step::Blocked(until) => {
                self.patch_status(play, op, slot, &running, decision, write, until)
            }
        };
        match after {
            After::GoesOn => self.operators[op].passes[slot] = Some(running),
            After::Ended => {}
            After::Unwritten(decision, failed) => self.unwritten(op, slot, &running, &decision, failed),
        }
    }

    /// Plays the step of a pass that writes a mark.
    #[allow(clippy::too_many_arguments, reason = "everything that a write depends on")]
    fn patch_metadata(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &mut Running,
        mark: &Mark,
        decision: Decision,
        fate: Write,
    ) -> After {
        match self.keep(play, op, slot, running, mark, &decision, fate) {
            Ok(_) if *mark == Mark::RemoveFinalizer => {
                *self.operators[op].memory(slot, running.object.uid) = Default::default();
                After::Ended
            }
            Ok(intent) => {
                running.pass.kept(mark, decision, intent);
                After::GoesOn
            }
            Err(failed) => {
                if matches!(failed, Failed::Dropped) {
                    running.pass.dropped(mark);
                }
                let decision = self.unkept(play, op, slot, running, decision, &failed);
                After::Unwritten(Box::new(decision), failed)
            }
        }
    }

    /// Plays the last step of a pass: writes the status, unless the decision keeps it.
    #[allow(clippy::too_many_arguments, reason = "everything that a write depends on")]
    fn patch_status(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        decision: Decision,
        fate: Write,
        until: Time,
    ) -> After {
        let written = if decision.hold {
            Ok(())
        } else {
            self.say(play, op, slot, running, &decision, fate)
        };
        match written {
            Ok(()) => {
                self.ended(play.rules, op, slot, running, &decision, until);
                After::Ended
            }
            Err(failed) => After::Unwritten(Box::new(decision), failed),
        }
    }

    /// Finishes a pass whose status is written.
    fn ended(
        &mut self,
        rules: &Rules,
        op: usize,
        slot: usize,
        running: &Running,
        decision: &Decision,
        until: Time,
    ) {
        let (now, read) = (self.now, running.pass.facts.lists_read().unwrap_or(self.now));
        let operator = &mut self.operators[op];
        let memory = operator.memory(slot, running.object.uid);
        running.pass.remember(memory, decision, PassEnd::Well);
        let waits = memory.waits_for_whole_lists;
        operator.not_whole[slot] = Some(read).filter(|_| !operator.inventory[running.place].whole());
        // A list that became complete during the pass woke only those known to wait for it.
        let meanwhile = rules.wakes_waiting && waits && operator.inventory[running.place].whole_since(read);
        self.appoint(op, slot, if meanwhile { now } else { until });
    }

    pub(crate) fn appoint(&mut self, op: usize, slot: usize, at: Time) {
        let due = &mut self.operators[op].due[slot];
        *due = at.min(*due);
    }

    fn unwritten(&mut self, op: usize, slot: usize, running: &Running, decision: &Decision, failed: Failed) {
        let (now, pass) = (self.now, &running.pass);
        let memory = self.operators[op].memory(slot, running.object.uid);
        match failed {
            Failed::Unwritten(Unwritten::Changed) => {
                pass.remember(memory, decision, PassEnd::Conflict);
                let at = timing::after_conflict(now, memory.conflicts);
                self.counts.conflicts += 1;
                self.read_anew(op, slot);
                self.appoint(op, slot, at);
            }
            Failed::Unwritten(Unwritten::Gone) => *memory = Default::default(),
            Failed::Refused | Failed::Dropped | Failed::Unanswered => {
                pass.remember(memory, decision, PassEnd::Unwritten);
                let at = timing::next_try(now, memory.failures, None);
                if matches!(failed, Failed::Unanswered) {
                    self.read_anew(op, slot);
                }
                self.appoint(op, slot, at);
            }
        }
    }

    fn read_anew(&mut self, op: usize, slot: usize) {
        // The object's new state may concern its competitors.
        let concerns =
            |object: &Option<Arc<Object>>| object.as_ref().map(|object| (object.holds(), object.generation));
        if concerns(&self.operators[op].view.objects[slot]) != concerns(&self.cluster.now.objects[slot]) {
            let now = self.now;
            self.operators[op].wake(now);
        }
        self.operators[op].view.objects[slot].clone_from(&self.cluster.now.objects[slot]);
    }

    /// Handles a mark that the API server did not accept: the object's status says so, if it can be written.
    fn unkept(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        decision: Decision,
        failed: &Failed,
    ) -> Decision {
        if !matches!(failed, Failed::Refused | Failed::Dropped) {
            return decision;
        }
        let told = running.pass.unkept(
            self.now,
            decision,
            &Trouble::new(Reason::ProgressingWithRetry, "The API server does not take it."),
        );
        let _said = self.say(play, op, slot, running, &told, Write::Fine);
        told
    }

    /// Whether a replica can take steps of its passes.
    pub fn can_step(&self, op: usize) -> bool {
        self.operators[op].moves() && self.operators[op].busy()
    }

    /// Whether a replica could begin a pass over this object.
    pub fn can_begin(&self, op: usize, slot: usize) -> bool {
        let operator = &self.operators[op];
        operator.state == State::Up
            && self.leads(op)
            && operator.passes[slot].is_none()
            && operator.due[slot] <= self.now
    }
}

/// The state of a pass after a step.
enum After {
    /// The pass goes on.
    GoesOn,
    /// The pass is over.
    Ended,
    /// The pass is over because this decision could not be written.
    Unwritten(Box<Decision>, Failed),
}

/// Why a write of a pass failed.
pub(crate) enum Failed {
    /// The API server gave the reason.
    Unwritten(Unwritten),
    /// The API server refused it.
    Refused,
    /// The API server accepted only part of it.
    Dropped,
    /// The answer was lost.
    Unanswered,
}

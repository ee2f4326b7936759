//! A story: a tape played to its end, and then calm until everything rests.

use oc_domain::conditions::Reason;
use oc_domain::model::MicrosoftStatus;
use oc_domain::record::{OperationKind, Outcome};
use oc_domain::time::Time;
use oc_domain::timing::LEFT_OVER;

use crate::cluster::Object;
use crate::edges;
use crate::operator::State;
use crate::passes::{Ask, Write};
use crate::platform::Maker;
use crate::setup::{LEAD, SLOTS, Setup, Spec, secs};
use crate::tape::Tape;
use crate::world::{Loses, Play, Rules, Trail, World};

/// After this many calm turns everything must be at rest: far more than any story needs.
const CALM_TURNS: usize = 12_000;

/// How long everything must be at rest before it counts. A removal or a failure is noticed with the next
/// list; that a competitor no longer has anything, within an hour.
const QUIET: u64 = 3700;

/// Plays a tape.
pub fn play(tape: &[u8], rules: &Rules, trail: &mut Trail) -> World {
    let mut tape = Tape::new(tape);
    let setup = Setup::any(&mut tape);
    let mut play = Play { rules, trail };
    play.trail.note(crate::setup::START, || format!("{setup:?}"));
    let mut world = World::new(setup);
    world.settle(&mut play);
    let mut fates = Fates::default();
    while !tape.over() && world.broken.is_empty() {
        match tape.draw() {
            0 => world.turn(&mut play, &mut fates),
            chosen => world.disturb(&mut play, &mut tape, chosen, &mut fates),
        }
    }
    world.calm(&mut play);
    world
}

/// The fates of the next effects.
#[derive(Clone, Copy, Debug)]
pub struct Fates {
    write: Write,
    ask: Ask,
}

impl Default for Fates {
    fn default() -> Self {
        Self {
            write: Write::Fine,
            ask: Ask::Fine,
        }
    }
}

impl World {
    /// Plays the next event without disturbance: a step of a pass, else the beginning of one, else time
    /// passes.
    pub fn turn(&mut self, play: &mut Play<'_>, fates: &mut Fates) {
        self.settle(play);
        let step = self.setup.step;
        for op in 0..self.operators.len() {
            if self.operators[op].count_due && self.operators[op].state == State::Up && self.leads(op) {
                return self.count(play, op);
            }
            if self.can_step(op) {
                let slot = (0..SLOTS)
                    .find(|slot| self.operators[op].passes[*slot].is_some())
                    .unwrap_or(0);
                self.step_with(play, op, slot, fates);
                return self.passes(play, step);
            }
            if let Some(slot) = (0..SLOTS).find(|slot| self.can_begin(op, *slot)) {
                return self.begin(play, op, slot);
            }
        }
        self.advance(play);
    }

    fn step_with(&mut self, play: &mut Play<'_>, op: usize, slot: usize, fates: &mut Fates) {
        let before = (self.counts.writes + self.counts.held_back, self.counts.asks);
        self.step(play, op, slot, fates.write, fates.ask);
        // A fate applies to one effect.
        if self.counts.writes + self.counts.held_back != before.0 || fates.write == Write::Refused {
            fates.write = Write::Fine;
        }
        if self.counts.asks != before.1 {
            fates.ask = Ask::Fine;
        }
    }

    /// Plays in another order than the calm one: the last of the possible events first.
    fn turn_otherwise(&mut self, play: &mut Play<'_>, pick: usize, fates: &mut Fates) {
        self.settle(play);
        let mut could: Vec<(usize, usize, bool)> = Vec::new();
        for op in 0..self.operators.len() {
            for slot in 0..SLOTS {
                if self.operators[op].moves() && self.operators[op].passes[slot].is_some() {
                    could.push((op, slot, true));
                } else if self.can_begin(op, slot) {
                    could.push((op, slot, false));
                }
            }
        }
        match could.get(could.len().saturating_sub(1 + pick % could.len().max(1))) {
            Some((op, slot, true)) => self.step_with(play, *op, *slot, fates),
            Some((op, slot, false)) => self.begin(play, *op, *slot),
            None => self.advance(play),
        }
    }

    /// Plays a disturbance.
    fn disturb(&mut self, play: &mut Play<'_>, tape: &mut Tape<'_>, chosen: usize, fates: &mut Fates) {
        let draw = tape.draw();
        let now = self.now;
        let op = draw % self.operators.len();
        let slot = draw % SLOTS;
        let seconds = [1, 5, 20, 45, 120, 400, 1000, 3000][draw / 4 % 8];
        play.trail
            .note(now, || format!("disturbance {} {draw}", chosen % 32));
        match chosen % 32 {
            0..=4 => self.turn_otherwise(play, draw, fates),
            5 | 6 => self.crash(op, (0, 0)),
            7 => self.crash(op, (1 + draw / 4 % 5, seconds)),
            8 => self.pause(op, seconds),
            9 => self.operators[op].behind_until = now + secs(seconds),
            10 => self.platform.down_until = now + secs(seconds),
            11 => self.platform.throttled_until = now + secs(seconds),
            12 => self.platform.hidden_until = now + secs(seconds),
            13 => self.wipe(slot),
            14 => self.person_deletes(slot),
            15 => self.make_anew(tape, slot),
            16 => self.edit(tape, slot),
            17 => self.person_removes(draw),
            18 => self.person_makes(play, draw),
            19 => fates.write = [Write::Refused, Write::Lost, Write::NoRoom][draw % 3],
            20 => {
                fates.ask = [
                    Ask::LostNotDone,
                    Ask::LostDone(0),
                    Ask::LostDone(25),
                    Ask::NotSent,
                    Ask::Refused,
                    Ask::LostDone(4),
                ][draw % 6]
            }
            21 => self.passes(play, seconds * 1000),
            22 => self.lead_changes(draw),
            23 => self.rarely(play, draw, op, seconds),
            _ => edges::disturb(self, play, tape, draw),
        }
        self.settle(play);
    }

    fn rarely(&mut self, play: &mut Play<'_>, draw: usize, op: usize, seconds: u64) {
        match draw % 4 {
            0 => self.platform.refused_until = self.now + secs(seconds),
            1 => self.terminate(op),
            2 => self.cluster.approve(),
            _ => self.platform.upgrade(1),
        }
        self.settle(play);
    }

    /// A restore drops the status. Only the status said that a create was refused, so services that others
    /// have made under the same names since cannot be told from the requested one.
    pub fn wipe(&mut self, slot: usize) {
        let Some(object) = self.cluster.now.objects[slot]
            .clone()
            .filter(|_| self.survives(slot, Loses::Status))
        else {
            return;
        };
        self.removed.remove(&object.uid);
        self.told_refused.clear();
        if object.intent.is_some() && slot != LEAD {
            self.excuse(slot, object.uid);
        }
        self.cluster.change(slot, |object| {
            (object.strange_word, object.status) = Default::default()
        });
    }

    /// A person deletes an object. Not one whose finalizer somebody has removed while its create may be in
    /// progress: it would be gone at once, by hand.
    fn person_deletes(&mut self, slot: usize) {
        let bare = self.cluster.now.objects[slot]
            .as_ref()
            .is_some_and(|object| !object.finalizer);
        let open = self.cluster.now.objects[slot]
            .as_ref()
            .map(|object| object.record());
        let open = open.is_some_and(|record| record.open_intent().is_some() || record.running().is_some());
        let asked = open || (0..self.operators.len()).any(|op| self.known(op, slot).is_some());
        if !(bare && asked) {
            self.cluster.delete(slot, self.now);
        }
    }

    fn make_anew(&mut self, tape: &mut Tape<'_>, slot: usize) {
        if self.setup.has(slot) && self.cluster.now.objects[slot].is_none() {
            let spec = Spec::any(tape);
            self.cluster.make(slot, spec, self.now);
        }
    }

    fn edit(&mut self, tape: &mut Tape<'_>, slot: usize) {
        let mut spec = Spec::any(tape);
        spec.full_name = u8::try_from(tape.draw() % 2).unwrap_or(0);
        let changed = self.cluster.now.objects[slot]
            .as_ref()
            .is_some_and(|object| object.spec != spec);
        if changed {
            let object = self.cluster.change(slot, |object| {
                object.spec = spec;
                object.generation += 1;
            });
            if let Some(object) = object.filter(|object| object.spec.recreate) {
                self.removed.remove(&object.uid);
            }
        }
    }

    /// Somebody removes a service in the portal.
    pub fn person_removes(&mut self, draw: usize) {
        let now = self.now;
        // A person removes what the portal shows.
        let lag = secs(self.setup.lag);
        let shown = |at: &usize| {
            let made = &self.platform.made[*at];
            made.removed.is_none()
                && made.at + lag <= now
                && !(made.by == Maker::Person && self.unknown(made.tenant))
        };
        let alive: Vec<usize> = (0..self.platform.made.len()).filter(shown).collect();
        let Some(at) = alive.get(draw % alive.len().max(1)).copied() else {
            return;
        };
        self.platform.made[at].removed = Some(now);
        let guid = self.platform.made[at].service.guid;
        for object in self.cluster.now.objects.iter().flatten() {
            let ready = object
                .status
                .ready()
                .is_some_and(|(_, reason)| reason == Reason::Succeeded);
            // A spec that was not read yet forbids nothing.
            let known = object.status.observed == Some(object.generation);
            if ready && known && object.status.guid.as_ref() == Some(&guid) && !object.spec.recreate {
                self.removed.insert(object.uid);
            }
        }
    }

    /// Somebody creates a service in the portal: only where the platform has none, which is what the portal
    /// allows, and not while the answer to a create of ours is unknown. Then nothing could tell whose it is:
    /// see docs/crashes.md.
    ///
    /// A moment passes before and after, so that a list begun before has an earlier time than the service,
    /// and a list begun after it a later one.
    fn person_makes(&mut self, play: &mut Play<'_>, draw: usize) {
        self.passes(play, 1);
        let tenant = u8::try_from(1 + draw % 2).unwrap_or(1);
        if self.platform.alive(tenant).next().is_none()
            && !self.platform.converting(tenant, self.platform.here)
            && !self.unknown(tenant)
        {
            let name = [self.setup.name_of(usize::from(tenant) - 1), "Somebody"][draw / 2 % 2];
            self.platform.make_by_person(tenant, name, self.now);
            self.passes(play, 1);
        }
    }

    /// Whether the answer to a create for a tenant is unknown, or the create has failed just now, or may be
    /// requested at this moment.
    pub(crate) fn unknown(&self, tenant: u8) -> bool {
        let now = self.now;
        let open = |object: &Object| {
            let record = object.record();
            let running = record
                .running()
                .is_some_and(|op| op.kind == OperationKind::Create);
            let asked = running
                || record
                    .open_intent()
                    .is_some_and(|intent| intent.kind == OperationKind::Create);
            asked
                || record.operation.is_some_and(|op| {
                    op.ended() == Some(Outcome::Failed) && op.completed.is_some_and(|at| now < at + LEFT_OVER)
                })
        };
        let asking = |slot: usize| {
            (0..self.operators.len())
                .any(|op| self.operators[op].passes[slot].is_some() || self.known(op, slot).is_some())
        };
        let mut slots = (0..LEAD).filter(|slot| self.setup.tenant_of(*slot) == tenant);
        !self.late.is_empty()
            || slots.any(|slot| {
                asking(slot)
                    || self.cluster.now.objects[slot]
                        .as_ref()
                        .is_some_and(|object| open(object))
            })
    }

    fn lead_changes(&mut self, draw: usize) {
        let status = [
            MicrosoftStatus::Suspended,
            MicrosoftStatus::Active,
            MicrosoftStatus::Removed,
        ][draw / 2 % 3]
            .clone();
        self.platform.status[draw % 2] = status;
    }

    /// Stops the faults, and plays until everything is at rest.
    fn calm(&mut self, play: &mut Play<'_>) {
        let now = self.now;
        play.trail.note(now, || "the faults stop".to_owned());
        let platform = &mut self.platform;
        (
            platform.down_until,
            platform.refused_until,
            platform.throttled_until,
            platform.hidden_until,
        ) = (Time(0), Time(0), Time(0), Time(0));
        platform.status = [MicrosoftStatus::Active, MicrosoftStatus::Active];
        platform.refuses_beside = false;
        platform.empty_until = Time(0);
        edges::calm(self);
        for operator in &mut self.operators {
            operator.behind_until = Time(0);
            if let State::Paused(until) = operator.state {
                operator.state = State::Paused(until.min(now + secs(60)));
            }
        }
        let mut fates = Fates::default();
        let mut quiet = None;
        for _ in 0..CALM_TURNS {
            if !self.broken.is_empty() {
                return;
            }
            if self.cluster.now.breaker.ledger.held > 0 {
                self.cluster.approve();
            }
            self.absences_are_looked_at(play);
            self.turn(play, &mut fates);
            if !self.at_rest() {
                quiet = None;
                continue;
            }
            let since = *quiet.get_or_insert(self.now);
            if self.now >= since + secs(QUIET) {
                self.judge_rest(play);
                return self.stays_at_rest(play);
            }
        }
        self.breaks(play, "L5: not at rest, long after the faults have stopped");
    }

    /// A person looks at what has been missing for half an hour: it is at another place, or somebody has
    /// removed it. The person removes what is at another place, and approves what is missing.
    fn absences_are_looked_at(&mut self, play: &mut Play<'_>) {
        let breaker = &self.cluster.now.breaker;
        let held = breaker
            .absences
            .since
            .is_some_and(|since| self.now >= since + secs(1800));
        if held && breaker.gone == breaker.absences.handled {
            let now = self.now;
            play.trail
                .note(now, || "a person says that what is missing is gone".to_owned());
            self.platform.clear_elsewhere(now);
            let here = self.platform.here;
            self.late.retain(|late| late.place == here);
            self.cluster.approve_absences();
        }
    }

    /// Checks that nothing is written at rest and nothing but the lists is read. A restart changes neither.
    fn stays_at_rest(&mut self, play: &mut Play<'_>) {
        let before = (self.counts.writes, self.counts.asks, self.counts.reads);
        let all_ready = self.cluster.now.objects.iter().flatten().all(|object| {
            object
                .status
                .ready()
                .is_some_and(|(_, reason)| reason == Reason::Succeeded)
        });
        for restart in [false, true] {
            for op in 0..self.operators.len() {
                if restart {
                    self.crash(op, (0, 0));
                }
                self.operators[op].due = [self.now + secs(if restart { 60 } else { 0 }); SLOTS];
            }
            let until = self.now + secs(700);
            for _ in 0..400 {
                if self.now >= until || !self.broken.is_empty() {
                    break;
                }
                self.turn(play, &mut Fates::default());
            }
        }
        if self.counts.writes != before.0 {
            self.breaks(play, "L6: a write at rest");
        }
        if self.counts.asks != before.1 {
            self.breaks(play, "L6: a change at rest");
        }
        if all_ready && self.counts.reads != before.2 {
            self.breaks(play, "L6: a look at rest that the inventory can't answer");
        }
    }
}

//! How time passes: what becomes due, which lists are read, and when the next thing happens.

use std::sync::Arc;

use oc_domain::absence;
use oc_domain::time::{Duration, Time};

use crate::cluster::Object;
use crate::operator::{NEVER, State};
use crate::platform::Listed;
use crate::setup::{LEAD, OBSERVE, SLOTS, secs};
use crate::world::{Play, Rules, World};

impl World {
    /// Plays everything that happens automatically up to now.
    pub fn settle(&mut self, play: &mut Play<'_>) {
        let now = self.now;
        let setup = Arc::clone(&self.setup);
        while let Some(at) = self.late.iter().position(|late| late.at <= now) {
            let late = self.late.remove(at);
            self.platform.advance(&setup, late.at);
            play.trail.note(late.at, || {
                format!(
                    "a request of object {} that was on its way arrives: {:?}",
                    late.uid, late.change
                )
            });
            self.execute(play, &late);
        }
        self.platform.advance(&setup, now);
        for op in 0..self.operators.len() {
            self.settle_operator(play.rules, op);
        }
        self.elect(play.rules);
    }

    fn settle_operator(&mut self, rules: &Rules, op: usize) {
        let now = self.now;
        let (busy, state) = (self.operators[op].busy(), self.operators[op].state);
        match state {
            State::Down(until) if until <= now => {
                self.operators[op].state = State::Up;
                self.operators[op].wake(now);
            }
            State::Paused(until) if until <= now => {
                let kept = self.setup.operators == 1
                    || (self.lease.holder == Some(op) && now < self.operators[op].valid_until);
                self.operators[op].state = if kept || self.lease.holder != Some(op) && !busy {
                    State::Up
                } else {
                    State::Leaving
                };
                if !kept {
                    // A process that has lost its lease ends, and its memory with it.
                    self.operators[op].forget();
                }
                if kept && self.setup.operators > 1 {
                    self.operators[op].valid_until = NEVER;
                    self.lease.free_at = NEVER;
                }
            }
            State::Leaving if !busy => self.end(op, now, (0, 0)),
            State::Up
                if now >= self.operators[op].behind_until
                    && self.operators[op].view.revision != self.cluster.now.revision =>
            {
                let newest = self.cluster.now.clone();
                self.operators[op].deliver(&newest, now);
            }
            _ => {}
        }
        if self.operators[op].state == State::Up && self.leads(op) {
            self.observe(rules, op);
        }
    }

    /// Runs the platform object's own pass: reads both lists when they are due. What is new in them makes the
    /// objects due.
    fn observe(&mut self, rules: &Rules, op: usize) {
        let now = self.now;
        let interval = self.interval(op);
        let due = |at: Option<Time>| at.is_none_or(|at| at + interval <= now);
        let here = self.platform.here;
        let inventory = &self.operators[op].inventory[here];
        let stale = due(inventory.services.as_ref().map(|(at, _)| *at))
            || due(inventory.leads.as_ref().map(|(at, _)| *at));
        if stale && self.platform.unreachable(now).is_none() {
            self.operators[op].count_due = true;
            self.list_services(rules, op, here);
            self.list_leads(rules, op, here);
        }
    }

    /// How often a replica lists the platform on its own: more often while something is missing.
    fn interval(&self, op: usize) -> Duration {
        if self.operators[op].view.breaker.absences.held > 0 {
            absence::CONFIRM
        } else {
            OBSERVE
        }
    }

    /// Whether this replica reads an empty list of services. The list is empty only where two objects that
    /// the replica knows miss their services, since a single absence is believed.
    fn emptied(&self, op: usize, place: usize) -> bool {
        let view = &self.operators[op].view;
        let there = |object: &Object| {
            let of = |guid| {
                self.platform.made.iter().any(|made| {
                    Some(&made.service.guid) == guid && made.place == place && made.removed.is_none()
                })
            };
            object.recorded() && of(object.status.guid.as_ref())
        };
        let missed = view.objects[..LEAD]
            .iter()
            .flatten()
            .filter(|object| there(object))
            .count();
        self.now < self.platform.empty_until && missed >= if view.breaker.absences.held > 0 { 1 } else { 2 }
    }

    /// Reads the list of services.
    pub fn list_services(&mut self, rules: &Rules, op: usize, place: usize) {
        let now = self.now;
        let empty = Listed {
            services: Vec::new(),
            complete: true,
        };
        let listed = Arc::new(if self.emptied(op, place) {
            empty
        } else {
            self.platform.services(&self.setup, now, place)
        });
        let before = self.operators[op].inventory[place]
            .services
            .replace((now, Arc::clone(&listed)))
            .map(|(_, before)| before);
        let whole_again = before.as_ref().is_some_and(|before| !before.complete) && listed.complete;
        let changed = before.is_none_or(|before| before.services != listed.services);
        (0..SLOTS).for_each(|slot| self.brings(rules, op, slot, changed, whole_again));
    }

    /// Reads the list of leads.
    pub fn list_leads(&mut self, rules: &Rules, op: usize, place: usize) {
        let now = self.now;
        let listed = Arc::new(self.platform.list_of_leads(&self.setup, now, place));
        let before = self.operators[op].inventory[place]
            .leads
            .replace((now, Arc::clone(&listed)))
            .map(|(_, before)| before);
        let whole_again = before.as_ref().is_some_and(|before| !before.complete) && listed.complete;
        let changed = before.is_none_or(|before| before.leads != listed.leads);
        (0..SLOTS).for_each(|slot| self.brings(rules, op, slot, changed, whole_again));
    }

    /// Makes an object due: a list with news concerns all objects, and a list that is complete again those
    /// waiting for it.
    fn brings(&mut self, rules: &Rules, op: usize, slot: usize, changed: bool, whole_again: bool) {
        let operator = &mut self.operators[op];
        let waited = whole_again && rules.wakes_waiting && operator.waits_for_whole_lists(slot);
        if changed || waited {
            operator.due[slot] = self.now.min(operator.due[slot]);
        }
    }

    /// Checks that an object which stopped because a list was incomplete is due soon after the list is
    /// complete, and not an hour later.
    fn judge_waiting(&mut self, play: &mut Play<'_>) {
        let soon = self.now + secs(600);
        let sleeps = |op: usize, slot: usize| {
            let operator = &self.operators[op];
            let waits = operator.passes[slot].is_none() && operator.waits_for_whole_lists(slot);
            operator.state == State::Up
                && self.leads(op)
                && waits
                && operator.due[slot] > soon
                && operator.not_whole[slot]
                    .is_some_and(|read| operator.inventory[self.platform.here].whole_since(read))
        };
        if (0..self.operators.len()).any(|op| (0..SLOTS).any(|slot| sleeps(op, slot))) {
            self.breaks(
                play,
                "L5: the lists are whole again, and who waited for that is not looked at",
            );
        }
    }

    /// Returns when the next automatic event happens.
    pub fn next_moment(&self) -> Option<Time> {
        let mut moments: Vec<Time> = self
            .platform
            .next_moment()
            .into_iter()
            .chain(self.late.iter().map(|late| late.at))
            .collect();
        if self.setup.operators > 1 {
            moments.push(self.lease.free_at);
        }
        for (op, operator) in self.operators.iter().enumerate() {
            match operator.state {
                State::Down(until) | State::Paused(until) => moments.push(until),
                State::Leaving => {}
                State::Up => {
                    moments.push(operator.behind_until);
                    if self.leads(op) {
                        moments.extend(
                            (0..SLOTS)
                                .filter(|slot| operator.view.objects[*slot].is_some())
                                .map(|slot| operator.due[slot]),
                        );
                        let services = operator.inventory[self.platform.here].services.as_ref();
                        moments.extend(services.map(|(at, _)| *at + self.interval(op)));
                    }
                }
            }
        }
        moments
            .into_iter()
            .filter(|at| *at > self.now && *at < NEVER)
            .min()
    }

    /// Jumps to the next moment, since nothing is left to do now.
    pub fn advance(&mut self, play: &mut Play<'_>) {
        self.judge_waiting(play);
        self.now = self.next_moment().unwrap_or(self.now + OBSERVE);
        self.settle(play);
    }

    /// Lets time pass while something is in progress.
    pub fn passes(&mut self, play: &mut Play<'_>, milliseconds: u64) {
        self.now = Time(
            self.now
                .0
                .saturating_add(i64::try_from(milliseconds).unwrap_or(0)),
        );
        self.settle(play);
    }
}

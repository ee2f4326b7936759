//! The whole: one cluster, one platform, one or two operators, and a clock that jumps from one moment to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oc_domain::absence;
use oc_domain::decision::Decision;
use oc_domain::facts::Facts;
use oc_domain::lead;
use oc_domain::names::CustomerGuid;
use oc_domain::record::{Intent, OperationId, Record, Sent};
use oc_domain::service;
use oc_domain::time::{Duration, Time};

use crate::cluster::{Cluster, Object};
use crate::operator::{NEVER, Operator, Running, State};
use crate::platform::{Listed, Platform};
use crate::setup::{LEAD, OBSERVE, SLOTS, START, Setup, secs};

/// How long a lease lasts without being renewed, and how long its holder may act after it was last renewed.
const LEASE: u64 = 35;
const RENEW_WITHIN: u64 = 30;

/// The decision about a service.
pub type Decide = fn(Time, &service::ServiceTarget, &Record, &Facts) -> Decision;

/// The decision about a lead.
pub type DecideLead = fn(Time, &lead::LeadTarget, &Record, &Facts) -> Decision;
/// What is believed of what the lists do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanishing {
    /// What the breaker says.
    Counted,
    /// What the breaker says, whatever the place.
    AnyPlace,
    /// All of it.
    Believed,
}

/// The rules by which the operator plays: the real ones, or wrong ones that the laws must catch.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The decision about a service.
    pub decide: Decide,
    /// Whether the lease is looked at before a change.
    pub lease: bool,
    /// Whether the breaker is asked.
    pub breaker: bool,
    /// Whether a write is refused when the object is another version than the one that was read.
    pub versions: bool,
    /// Whether `createGrace` counts only on a platform that was seen to be faster.
    pub pace: bool,
    /// Whether an object heeds another one that wants the same.
    pub rivals: bool,
    /// Whether it is looked at whether the API server's answer to a mark holds what was written.
    pub reads_answers: bool,
    /// Whether what was asked for is remembered in memory, for as long as the process lives.
    pub memory: bool,
    /// Whether what was refused is tried again ever more rarely.
    pub backs_off: bool,
    /// The decision about a lead.
    pub lead: DecideLead,
    /// Whether a list that is whole again wakes who waited for that.
    pub wakes_waiting: bool,
    /// Whether it heeds one whose `LivePlatform` has another name, and points to the same place.
    pub places: bool,
    /// Whether only an object that could ask for something, or has it, is heeded.
    pub able: bool,
    /// Whether whoever is elected reads all objects once more before its first pass.
    pub catches_up: bool,
    /// Whether an outcome whose word is not known is read as one that is not known.
    pub strange_words_end: bool,
    /// What is believed of what the lists do not show.
    pub absences: Vanishing,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            decide: service::decide,
            lease: true,
            breaker: true,
            versions: true,
            pace: true,
            rivals: true,
            absences: Vanishing::Counted,
            reads_answers: true,
            memory: true,
            backs_off: true,
            lead: lead::decide,
            wakes_waiting: true,
            places: true,
            able: true,
            catches_up: true,
            strange_words_end: false,
        }
    }
}

/// What is told of a story; nothing, unless somebody will read it.
#[derive(Debug, Default)]
pub struct Trail(pub Option<Vec<String>>);

impl Trail {
    /// Adds a line.
    pub fn note(&mut self, now: Time, line: impl FnOnce() -> String) {
        if let Some(lines) = self.0.as_mut() {
            let at = (now.0 - START.0) / 1000;
            lines.push(format!("{at:>6} s  {}", line()));
        }
    }
}

/// The rules, and where the story is told.
pub struct Play<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The story.
    pub trail: &'a mut Trail,
}

/// Who holds the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The replica.
    pub holder: Option<usize>,
    /// When another one may take it.
    pub free_at: Time,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Writes to the API server.
    pub writes: u32,
    /// Changes asked of the platform.
    pub asks: u32,
    /// Reads that the inventory could not answer.
    pub reads: u32,
    /// Creates that were executed.
    pub creates: u32,
    /// Deletions that were executed.
    pub deletions: u32,
    /// Intents that were not written, since there was no room for their request.
    pub held_back: u32,
    /// Crashes.
    pub crashes: u32,
    /// Answers that were lost.
    pub lost: u32,
    /// Writes refused since somebody else had written.
    pub conflicts: u32,
    /// Times that a lease changed hands.
    pub elections: u32,
}

/// What an object loses by another writer's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loses {
    /// Its annotations.
    Annotations,
    /// Its status.
    Status,
}

/// A request whose answer was lost, and which is executed later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// When.
    pub at: Time,
    /// The object that asked.
    pub slot: usize,
    /// Its uid.
    pub uid: u32,
    /// The change.
    pub change: oc_domain::decision::Change,
    /// Whether it was asked for while `spec.recreate` was true.
    pub recreate: bool,
    /// The object's deletion time stamp, when it asked.
    pub deleted: Option<Time>,
    /// The place of the platform that was asked.
    pub place: usize,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// What it is like.
    pub setup: Arc<Setup>,
    /// The time.
    pub now: Time,
    /// The platform.
    pub platform: Platform,
    /// The API server.
    pub cluster: Cluster,
    /// The replicas.
    pub operators: Vec<Operator>,
    /// The lease, when there is more than one replica.
    pub lease: Lease,
    /// Requests on their way.
    pub late: Vec<Late>,
    /// What was counted.
    pub counts: Counts,
    /// Services that an object may call its own though it did not make them: taken over by the rules, by uid.
    pub adopted: BTreeSet<(u32, CustomerGuid)>,
    /// Services that can't be told from the object's own any more, since a restore dropped what told them apart.
    pub excused: BTreeSet<(u32, CustomerGuid)>,
    /// Objects whose service somebody removed after it had been shown as Ready.
    pub removed: BTreeSet<u32>,
    /// When each object had its deletion executed first, and whether a person had approved it.
    pub deletions: BTreeMap<u32, (Time, bool)>,
    /// Deletions of objects until this time are approved.
    pub approved: Option<Time>,
    /// Writes of ours that the API server has refused while it refuses all.
    pub refused: u32,
    /// The creates of which a status has told that they were refused, as long as nobody has put another status in its place.
    pub told_refused: BTreeSet<String>,
    /// Whether the namespaces of the service objects may use the platform now.
    pub allowed: [bool; 2],
    /// Laws that were broken.
    pub broken: Vec<String>,
}

impl World {
    /// A world at its beginning.
    pub fn new(setup: Setup) -> Self {
        let setup = Arc::new(setup);
        let cluster = Cluster::new(&setup, START);
        let platform = Platform::new(&setup);
        let operators = (0..setup.operators)
            .map(|_| Operator::started(cluster.now.clone(), START))
            .collect();
        let allowed = setup.allowed;
        let mut world = Self {
            setup,
            allowed,
            now: START,
            platform,
            cluster,
            operators,
            lease: Lease {
                holder: None,
                free_at: START,
            },
            late: Vec::new(),
            counts: Counts::default(),
            adopted: BTreeSet::new(),
            excused: BTreeSet::new(),
            removed: BTreeSet::new(),
            deletions: BTreeMap::new(),
            approved: None,
            refused: 0,
            told_refused: BTreeSet::new(),
            broken: Vec::new(),
        };
        world.elect(&Rules::default());
        world
    }

    /// A law was broken.
    pub fn breaks(&mut self, play: &mut Play<'_>, law: impl Into<String>) {
        let law = law.into();
        play.trail.note(self.now, || format!("BROKEN  {law}"));
        if !self.broken.contains(&law) {
            self.broken.push(law);
        }
    }

    /// Whether a replica holds a lease that is good now.
    pub fn leads(&self, op: usize) -> bool {
        self.setup.operators == 1
            || (self.lease.holder == Some(op) && self.now < self.operators[op].valid_until)
    }

    /// A free lease is taken by the first replica that can.
    pub fn elect(&mut self, rules: &Rules) {
        if self.setup.operators == 1 || self.now < self.lease.free_at {
            return;
        }
        let Some(op) = self
            .operators
            .iter()
            .position(|operator| operator.state == State::Up)
        else {
            return;
        };
        self.counts.elections += 1;
        self.lease = Lease {
            holder: Some(op),
            free_at: NEVER,
        };
        self.operators[op].valid_until = NEVER;
        let now = self.now;
        if rules.catches_up {
            self.operators[op].catch_up(&self.cluster.now, now);
        }
        self.operators[op].wake(now);
    }

    /// SIGKILL. `behind` is how many revisions old the list is that the next process begins with, and for how many seconds it learns nothing newer.
    pub fn crash(&mut self, op: usize, behind: (usize, u64)) {
        let now = self.now;
        self.counts.crashes += 1;
        self.end(op, now + secs(LEASE), behind);
    }

    /// What a replica knows of the create, or deletion, of an object that may be under way.
    pub fn known(&self, op: usize, slot: usize) -> Option<Intent> {
        let operator = &self.operators[op];
        if matches!(operator.state, State::Down(_) | State::Paused(_)) {
            return None;
        }
        let uid = self.cluster.now.objects[slot].as_ref()?.uid;
        let running = operator.passes[slot]
            .as_ref()
            .filter(|running| running.object.uid == uid);
        // What a process has only read it may have read too late.
        let own = |running: &&Running| {
            running.pass.sent()
                || running
                    .pass
                    .record
                    .open_intent()
                    .is_some_and(|intent| intent.sent == Sent::No)
        };
        let running = running
            .filter(own)
            .and_then(|running| running.pass.record.open_intent().cloned());
        let asked = operator
            .remembers(slot, uid)
            .and_then(|memory| memory.asked.as_ref())
            .filter(|op| op.ended().is_none());
        running.or_else(|| {
            asked.map(|op| Intent {
                kind: op.kind,
                id: op.id.clone(),
                start: op.started,
                tenant: None,
                place: None,
                sent: Sent::Maybe,
            })
        })
    }

    /// Whether what may be under way for an object would still be known by somebody if its annotations, or its status, were lost this moment. Where it
    /// would not, both records and the process that made them are lost at once: nobody could tell, and that is not played (docs/crashes.md).
    pub fn survives(&self, slot: usize, loses: Loses) -> bool {
        let Some(object) = &self.cluster.now.objects[slot] else {
            return true;
        };
        let record = object.record();
        let (annotated, told) = (
            record.open_intent().map(|intent| intent.id.clone()),
            record.running().map(|op| op.id.clone()),
        );
        // One that leads no more ends, and what it knows with it.
        let known = |id: &OperationId| {
            (0..self.operators.len())
                .any(|op| self.leads(op) && self.known(op, slot).is_some_and(|intent| intent.id == *id))
        };
        let (lost, kept) = match loses {
            Loses::Annotations => (annotated, told),
            Loses::Status => (told, annotated),
        };
        // The service of an object is known by its guid, or by the intent of the create that made it.
        let (by_annotations, by_status) = (
            object.annotated.is_some() || object.intent.is_some(),
            object.status.guid.is_some(),
        );
        let found_again = match loses {
            Loses::Annotations => by_status || !by_annotations,
            Loses::Status => by_annotations || !by_status,
        };
        lost.map_or(found_again, |id| kept.as_ref() == Some(&id) || known(&id))
    }

    /// What only the process knows that is about to end, since others have taken its records off, is written down again: see [`World::survives`].
    fn remember(&mut self, op: usize) {
        if !self.leads(op) {
            return;
        }
        for slot in 0..SLOTS {
            let Some(known) = self.known(op, slot) else {
                continue;
            };
            let Some(object) = self.cluster.now.objects[slot].clone() else {
                continue;
            };
            let last = |id: &OperationId, at: Time| *id == known.id || at > known.start;
            let annotated = object
                .intent
                .as_ref()
                .is_some_and(|intent| last(&intent.id, intent.start));
            if !annotated
                && !object
                    .status
                    .operation
                    .as_ref()
                    .is_some_and(|op| last(&op.id, op.started))
            {
                self.cluster.change(slot, |object| {
                    // An object that is going gets no finalizer any more.
                    object.finalizer |= object.deleting.is_none();
                    object.intent = Some(Intent {
                        start: known.start.whole_second(),
                        ..known.clone()
                    });
                });
            }
        }
    }

    /// The process ends; its lease can be taken at `free_at`.
    fn end(&mut self, op: usize, free_at: Time, behind: (usize, u64)) {
        self.remember(op);
        let now = self.now;
        let back = self.cluster.past.len().checked_sub(behind.0);
        let view = match back {
            Some(at) if behind.0 > 0 => self.cluster.past[at].clone(),
            _ => self.cluster.now.clone(),
        };
        let operator = &mut self.operators[op];
        *operator = Operator::started(view, now);
        operator.state = State::Down(now + secs(3));
        operator.behind_until = if behind.0 > 0 {
            now + secs(3 + behind.1)
        } else {
            Time(0)
        };
        if self.lease.holder == Some(op) {
            self.lease = Lease {
                holder: None,
                free_at,
            };
        }
    }

    /// SIGSTOP, for so long.
    pub fn pause(&mut self, op: usize, seconds: u64) {
        let now = self.now;
        if self.operators[op].state != State::Up {
            return;
        }
        self.remember(op);
        let operator = &mut self.operators[op];
        operator.state = State::Paused(now + secs(seconds));
        if self.lease.holder == Some(op) {
            operator.valid_until = now + secs(RENEW_WITHIN);
            self.lease.free_at = now + secs(LEASE);
        }
    }

    /// SIGTERM: nothing new is begun, what is under way is finished, and the lease is given back.
    pub fn terminate(&mut self, op: usize) {
        if self.operators[op].state == State::Up {
            self.operators[op].state = State::Leaving;
        }
    }

    /// Everything that happens by itself until now.
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
                    // A process that has lost its lease ends, and what it remembers with it.
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

    /// The platform object's own passes: both lists are read when they are due, and what they bring wakes the objects.
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

    /// How often a replica lists the platform unasked: while something is missing more often.
    fn interval(&self, op: usize) -> Duration {
        if self.operators[op].view.breaker.absences.held > 0 {
            absence::CONFIRM
        } else {
            OBSERVE
        }
    }

    /// Whether the list of services is empty that this replica reads: only where two objects that it knows of miss theirs, since one is believed.
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

    /// A list that brings something new wakes all; and one that is whole again those that waited for that.
    fn brings(&mut self, rules: &Rules, op: usize, slot: usize, changed: bool, whole_again: bool) {
        let operator = &mut self.operators[op];
        let waited = whole_again && rules.wakes_waiting && operator.waits_for_whole_lists(slot);
        if changed || waited {
            operator.due[slot] = self.now.min(operator.due[slot]);
        }
    }

    /// An object that stopped since a list was not whole is looked at as soon as one is: not when its hour is over.
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

    /// When something happens next by itself.
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

    /// Nothing is left to do now: time goes to the next moment.
    pub fn advance(&mut self, play: &mut Play<'_>) {
        self.judge_waiting(play);
        self.now = self.next_moment().unwrap_or(self.now + OBSERVE);
        self.settle(play);
    }

    /// Time passes while something is under way.
    pub fn passes(&mut self, play: &mut Play<'_>, milliseconds: u64) {
        self.now = Time(
            self.now
                .0
                .saturating_add(i64::try_from(milliseconds).unwrap_or(0)),
        );
        self.settle(play);
    }
}

//! The operator: stores that lag, a decision, and its writes one after another, each of which can fail or end
//! the process.

use std::collections::VecDeque;

use oc_domain::discovery::ClusterRefusal;
use oc_domain::lead_policy::{OnboardingMemory, ServiceToCreate};
use oc_domain::time::{Duration, Time};

use super::Rules;
use super::view::View;
use super::world::{LEADS, LeadObject, Mark, NAMES, POLICIES, POLICY_NAMES, World};

/// One request to the API server.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write that a lead is begun, on condition of its version; then create its object.
    WriteBegun(u64, ServiceToCreate),
    /// Read the Lead itself, and create its object if its mark is still this one.
    Read(Mark, ServiceToCreate),
    /// Create the object of a lead.
    Create(ServiceToCreate),
    /// Write that the object was created at that time, on condition of the Lead's version: the one that the
    /// decision has seen, or a newer one of the store with the same mark.
    WriteMade(usize, Option<LeadObject>, Time),
    /// Take the finalizer off an object, on condition of its version.
    Release(usize, u64),
    /// Set the mode of an object to Apply, on condition of its version.
    Adjust(usize, u64),
}

impl Effect {
    /// Whether it must not be sent when that one failed.
    fn depends_on(&self, before: &Self) -> bool {
        match (before, self) {
            (Self::WriteBegun(_, lead) | Self::Read(_, lead), Self::Create(service)) => lead == service,
            (Self::WriteMade(lead, ..), Self::Release(service, _)) => lead == service,
            _ => false,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is executed and answered.
    Fine,
    /// It never arrives, and nobody knows.
    Unsent,
    /// It is executed, and its answer is lost.
    LostDone,
    /// It is executed so many seconds later, and its answer is lost.
    Late(u64),
    /// The API server refuses it. A read is answered.
    Refused(ClusterRefusal),
}

/// The requests of one decision.
#[derive(Clone, Debug)]
struct Run {
    policy: usize,
    effects: VecDeque<Effect>,
}

/// The operator's process.
#[derive(Clone, Debug)]
pub struct Process {
    /// How far each store is: Leads, services, policies.
    pub seen: [usize; 3],
    /// Which of them learn nothing new for a while.
    pub hangs: [bool; 3],
    /// What it remembers, for each policy.
    pub memory: [OnboardingMemory; POLICIES],
    run: Option<Run>,
    /// The policy whose turn is next.
    turn: usize,
    /// Its clock is the API server's as it was at the start, give or take a minute.
    started: (Time, Time),
    late: Vec<(Time, usize, Effect)>,
    /// It decided what it sends now by stores that lagged by more than they may.
    pub was_blind: bool,
}

impl Process {
    /// A process that has seen nothing of an empty cluster.
    pub fn new(now: Time) -> Self {
        Self {
            seen: [0; 3],
            hangs: [false; 3],
            memory: Default::default(),
            run: None,
            turn: 0,
            started: (now, now),
            late: Vec::new(),
            was_blind: false,
        }
    }

    /// Whether requests of a decision are still to be sent.
    pub fn is_busy(&self) -> bool {
        self.run.is_some()
    }

    /// The time by its clock.
    fn clock(&self, now: Time) -> Time {
        self.started.1 + now.since(self.started.0)
    }
}

/// The place of the lead with that name.
pub(super) fn slot_of(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap_or_default()
}

impl World {
    /// Kills the process and starts another one, whose clock is off by so many seconds. What was on its way
    /// arrives or does not: the next process begins with a list that it reads after that.
    pub fn crash(&mut self, arrives: bool, off: i64, rules: &Rules) {
        self.counts.crashes += 1;
        self.note(|| "the process is killed".to_owned());
        for (_, policy, effect) in std::mem::take(&mut self.process.late) {
            if arrives {
                self.execute(policy, &effect, rules);
            }
        }
        self.process = Process {
            seen: [
                self.leads.newest(),
                self.services.newest(),
                self.policies.newest(),
            ],
            started: (self.now, Time(self.now.0 + self.ahead + off * 1000)),
            ..Process::new(self.now)
        };
    }

    /// The stores catch up: the Leads, the services, the policies, by so many changes.
    pub fn catch_up(&mut self, by: [usize; 3]) {
        let newest = [
            self.leads.newest(),
            self.services.newest(),
            self.policies.newest(),
        ];
        let Process { seen, hangs, .. } = &mut self.process;
        for (at, by) in by.into_iter().enumerate().filter(|(at, _)| !hangs[*at]) {
            seen[at] = newest[at].min(seen[at].saturating_add(by));
        }
    }

    /// When the next late request is executed.
    pub fn next_late(&self) -> Option<Time> {
        self.process.late.iter().map(|(at, ..)| *at).min()
    }

    /// The policy and the lead of a create that is still under way.
    pub fn late_create(&self) -> Option<(usize, usize)> {
        let mut late = self.process.late.iter();
        late.find_map(|(_, policy, effect)| match effect {
            Effect::Create(service) => Some((*policy, slot_of(&service.name))),
            _ => None,
        })
    }

    /// Executes what was late.
    pub fn execute_late(&mut self, rules: &Rules) {
        let late = std::mem::take(&mut self.process.late);
        for (at, policy, effect) in late {
            if at <= self.now {
                self.execute(policy, &effect, rules);
            } else {
                self.process.late.push((at, policy, effect));
            }
        }
    }

    /// The process takes its next step: a decision, or one request. Returns whether a request was sent.
    pub fn step(&mut self, fate: Fate, rules: &Rules) -> bool {
        let Some(run) = &mut self.process.run else {
            self.decide(rules);
            return false;
        };
        let policy = run.policy;
        let Some(effect) = run.effects.pop_front() else {
            self.process.run = None;
            return false;
        };
        self.send(policy, effect, fate, rules);
        true
    }

    fn send(&mut self, policy: usize, mut effect: Effect, fate: Fate, rules: &Rules) {
        if let Effect::WriteMade(slot, Some(seen), _) = &mut effect {
            let mut stored = self.leads.at(self.process.seen[0]).iter();
            let same = |lead: &&LeadObject| {
                lead.slot == *slot && lead.created == seen.created && lead.mark == seen.mark
            };
            *seen = stored.find(same).unwrap_or(seen).clone();
        }
        let now = self.process.clock(self.now);
        self.announce(policy, &effect, now);
        match fate {
            Fate::Fine => self.answered(policy, &effect, rules),
            Fate::Refused(_) if matches!(effect, Effect::Read(..)) => self.answered(policy, &effect, rules),
            Fate::Refused(refusal) => {
                self.note(|| format!("{effect:?} is refused: {refusal:?}"));
                let goes_on = match &effect {
                    Effect::WriteBegun(_, service) | Effect::Create(service) => self.process.memory[policy]
                        .refused(now, &service.name, &service.tenant, refusal, "no"),
                    Effect::Adjust(slot, _) => {
                        self.process.memory[policy].not_written(NAMES[*slot]);
                        true
                    }
                    _ => true,
                };
                self.break_off(policy, &effect, !goes_on);
            }
            Fate::Unsent | Fate::LostDone | Fate::Late(_) => {
                self.counts.lost += 1;
                self.note(|| format!("{effect:?}: {fate:?}"));
                match fate {
                    Fate::LostDone => drop(self.execute(policy, &effect, rules)),
                    Fate::Late(seconds) => {
                        let at = self.now + Duration::from_secs(seconds);
                        self.process.late.push((at, policy, effect.clone()));
                    }
                    _ => {}
                }
                let memory = &mut self.process.memory[policy];
                memory.unanswered(now);
                if !rules.keeps_lost {
                    *memory = OnboardingMemory::default();
                }
                self.break_off(policy, &effect, true);
            }
        }
    }

    /// Remembers what is about to be sent.
    fn announce(&mut self, policy: usize, effect: &Effect, now: Time) {
        let memory = &mut self.process.memory[policy];
        match effect {
            Effect::WriteBegun(_, service) => memory.marking(now, &service.name, service.tenant),
            Effect::Create(service) => {
                memory.making(now, &service.name, service.tenant, &service.short_name);
            }
            Effect::Adjust(slot, _) => memory.adjusting(now, NAMES[*slot]),
            Effect::WriteMade(slot, ..) => memory.finishing(now, NAMES[*slot]),
            Effect::Read(..) | Effect::Release(..) => {}
        }
    }

    /// Leaves out what depends on an effect, or everything.
    fn break_off(&mut self, policy: usize, effect: &Effect, everything: bool) {
        let Some(run) = &mut self.process.run else {
            return;
        };
        debug_assert_eq!(run.policy, policy);
        if everything {
            run.effects.clear();
        } else if run.effects.front().is_some_and(|next| next.depends_on(effect)) {
            run.effects.pop_front();
        }
    }

    /// Executes a request, and takes its answer.
    fn answered(&mut self, policy: usize, effect: &Effect, rules: &Rules) {
        let done = self.execute(policy, effect, rules);
        let memory = &mut self.process.memory[policy];
        match effect {
            // There is one of that name: the store will show whose it is.
            Effect::Create(service) => memory.made(&service.tenant),
            _ if done => {}
            Effect::WriteBegun(_, service) => {
                memory.not_written(&service.name);
                self.counts.conflicts += 1;
                self.break_off(policy, effect, false);
            }
            Effect::Adjust(slot, _) => memory.not_written(NAMES[*slot]),
            Effect::Read(..) | Effect::WriteMade(..) => {
                self.counts.conflicts += 1;
                self.break_off(policy, effect, false);
            }
            Effect::Release(..) => {}
        }
    }

    /// Executes a request. Returns whether the condition was met.
    fn execute(&mut self, policy: usize, effect: &Effect, rules: &Rules) -> bool {
        let uid = self.policy(policy).map_or(0, |policy| policy.uid);
        let is_lead = |world: &Self, slot: usize, version: u64| {
            let lead = world.lead(slot);
            lead.is_some_and(|lead| lead.version == version || !rules.conditional)
        };
        match effect {
            Effect::WriteBegun(version, service) => {
                let slot = slot_of(&service.name);
                let done = is_lead(self, slot, *version);
                if done {
                    self.note(|| format!("{} begins {}", POLICY_NAMES[policy], NAMES[slot]));
                    self.change_lead(slot, |lead| lead.mark = Mark::Begun(policy, uid));
                }
                done
            }
            Effect::Read(mark, service) => {
                let slot = slot_of(&service.name);
                let there = self.lead(slot).map_or(Mark::Odd, |lead| lead.mark);
                self.note(|| format!("the mark of {} is read: {there:?}", NAMES[slot]));
                there == *mark || !rules.reads_live
            }
            Effect::Create(service) => {
                let applies = self
                    .policy(policy)
                    .is_some_and(|policy| policy.mode == oc_domain::service::Mode::Apply);
                let slot = slot_of(&service.name);
                self.create(slot, Some(policy), &service.short_name, rules.finalizer, applies)
            }
            Effect::WriteMade(slot, seen, at) => {
                let version = seen.as_ref().map_or(0, |lead| lead.version);
                let done = is_lead(self, *slot, version);
                if done {
                    self.note(|| format!("{} is marked as made", NAMES[*slot]));
                    self.change_lead(*slot, |lead| lead.mark = Mark::Made(policy, uid, *at));
                }
                done || self.lead(*slot).is_none()
            }
            Effect::Release(slot, version) => self.release(*slot, *version),
            Effect::Adjust(slot, version) => self.adjust(policy, *slot, *version),
        }
    }

    fn is_version(&self, slot: usize, version: u64) -> bool {
        self.service(slot)
            .is_some_and(|service| service.version == version)
    }

    fn release(&mut self, slot: usize, version: u64) -> bool {
        let done = self.is_version(slot, version);
        if done {
            let caught = self.service(slot).is_some_and(|service| service.deleting);
            self.counts.caught += u32::from(caught);
            self.note(|| format!("the object of {} is released", NAMES[slot]));
            self.change_service(slot, |service| service.held = false);
        }
        done
    }

    fn adjust(&mut self, policy: usize, slot: usize, version: u64) -> bool {
        let done = self.is_version(slot, version);
        if done {
            self.counts.adjusted += 1;
            self.note(|| format!("the plan of {} is applied", NAMES[slot]));
            let was_busy = self.service(slot).is_some_and(|service| !service.done);
            let due = self.now + Duration::from_secs(self.takes);
            self.change_service(slot, |service| {
                (service.applies, service.done, service.due) = (true, false, due);
                service.generation += 1;
            });
            if !was_busy {
                self.judge_progress(policy);
            }
        }
        done
    }

    /// Decides for the policy whose turn it is, by what the stores show.
    fn decide(&mut self, rules: &Rules) {
        let policy = self.process.turn;
        self.process.was_blind &= !self.process.late.is_empty();
        self.process.was_blind |= self.is_blind();
        self.process.turn = (policy + 1) % POLICIES;
        let [leads, services, policies] = self.process.seen;
        let view = View {
            leads: self.leads.at(leads),
            services: self.services.at(services),
            policies: self.policies.at(policies),
            world: self,
        };
        let now = self.process.clock(self.now);
        let mut memory = self.process.memory[policy].clone();
        if !rules.remembers {
            memory = OnboardingMemory::default();
        }
        let decision = view.decide(now, policy, &mut memory, rules);
        let effects = view.effects(policy, &decision, rules);
        let begun_against = view.begins_against_an_older(policy, &decision);
        self.process.memory[policy] = memory;
        if let Some(name) = begun_against {
            self.breaks(format!("L10: the younger policy begins {name}"));
        }
        if !self.platform_known && !effects.iter().all(is_of_the_end) {
            self.breaks("L10: something is created while the list of services is not known".to_owned());
        }
        self.process.run = (!effects.is_empty()).then_some(Run { policy, effects });
    }
}

fn is_of_the_end(effect: &Effect) -> bool {
    matches!(effect, Effect::WriteMade(..) | Effect::Release(..))
}

/// How many leads there are, for loops over them.
pub fn slots() -> std::ops::Range<usize> {
    0..LEADS
}

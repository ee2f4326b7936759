//! One story: what a tape makes of the cluster, and the calm after it.

use oc_domain::discovery::ClusterRefusal;
use oc_domain::service::Mode;
use oc_domain::time::Duration;

use super::Rules;
use super::process::{Fate, slots};
use super::world::{LEADS, Mark, NAMES, POLICIES, PolicyObject, World};
use crate::tape::Tape;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How many times the calm looks whether everything has come to rest: 40 days.
const PATIENCE: usize = 160;

/// Plays the story of a tape. `told`: keep what happened.
pub fn play(tape: &[u8], rules: &Rules, told: bool) -> World {
    let mut tape = Tape::new(tape);
    let mut world = World::new(&mut tape);
    world.told = told.then(String::new);
    while !tape.over() && world.broken.is_empty() {
        let what = tape.draw();
        if what == 0 {
            world.catch_up([usize::MAX; 3]);
            for _ in 0..3 {
                world.step(Fate::Fine, rules);
            }
            world.wait(2, rules);
        } else {
            let how = tape.draw();
            world.disturb(what, how, rules);
        }
    }
    if world.broken.is_empty() {
        world.calm(rules);
    }
    world
}

/// What happens in the story of a tape.
pub fn tell(tape: &[u8], rules: &Rules) -> String {
    play(tape, rules, true).told.unwrap_or_default()
}

impl World {
    fn wait(&mut self, seconds: u64, rules: &Rules) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.next_late().filter(|next| *next <= until) {
            self.pass(next.since(self.now));
            self.execute_late(rules);
        }
        self.pass(until.since(self.now));
    }

    fn disturb(&mut self, what: usize, how: usize, rules: &Rules) {
        match what % 17 {
            0..=3 => self.one_step(how, rules),
            4 if how & 64 == 0 => self.catch_up([how & 3, how >> 2 & 3, how >> 4 & 3]),
            4 => {
                self.process.hangs[how % 3] ^= true;
                self.note(|| format!("a store hangs, or goes on: {}", how % 3));
            }
            5 => {
                let seconds = [1, 10, 100, HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY + 1];
                self.wait(seconds[how % seconds.len()], rules);
            }
            6 => self.crash(how & 1 == 0, [0, 50, -50][how % 3], rules),
            7..=9 => self.a_person(how),
            10 => self.a_policy(how),
            11 => self.a_lead(how),
            12 => self.takes = [5, MINUTE, HOUR, 1000 * DAY][how % 4],
            13 => {
                self.platform_known = !self.platform_known;
                let known = self.platform_known;
                self.note(|| format!("the list of services is known: {known}"));
            }
            14 => {
                let ahead =
                    [0, 600, DAY, 400 * DAY].map(|seconds| i64::try_from(seconds * 1000).unwrap_or(0));
                self.set_clock(ahead[how % ahead.len()]);
                self.crash(how & 64 == 0, 0, rules);
            }
            15 => {
                self.back_up(how % LEADS);
                self.one_step(how, rules);
            }
            _ => self.meanwhile(how, rules),
        }
    }

    /// A person acts on the lead or the policy of a request that is still under way, and the process goes on.
    fn meanwhile(&mut self, how: usize, rules: &Rules) {
        let Some((policy, slot)) = self.late_create() else {
            return;
        };
        match how % 3 {
            0 => self.write_mark(slot, Mark::None),
            1 => {
                self.note(|| "the policy of a late request is deleted".to_owned());
                self.set_policy(policy, None);
            }
            _ if self.service(slot).is_some() => {
                self.note(|| format!("somebody deletes the object of {}", NAMES[slot]));
                self.change_service(slot, |service| service.deleting = true);
            }
            _ => {}
        }
        for _ in 0..how / 3 % 16 {
            self.catch_up([usize::MAX; 3]);
            self.step(Fate::Fine, rules);
        }
    }

    /// The process goes on by what its stores show, and something may become of its request.
    fn one_step(&mut self, how: usize, rules: &Rules) {
        let fates = [
            Fate::Fine,
            Fate::LostDone,
            Fate::Unsent,
            Fate::Late(1),
            Fate::Late(50),
            Fate::Fine,
            Fate::Refused(ClusterRefusal::Quota),
            Fate::Refused(ClusterRefusal::NoRight),
        ];
        if !self.process.is_busy() {
            self.step(Fate::Fine, rules);
        }
        self.step(fates[how % fates.len()], rules);
    }

    fn a_person(&mut self, how: usize) {
        let (slot, what) = (how % LEADS, how / LEADS % 8);
        let there = self.service(slot).is_some();
        match what {
            0..=2 if there => {
                self.note(|| format!("somebody deletes the object of {}", NAMES[slot]));
                self.change_service(slot, |service| service.deleting = true);
            }
            3 => self.write_mark(slot, Mark::None),
            4 => self.write_mark(slot, self.backed_up(slot)),
            5 => self.renew_lead(slot),
            6 if !there => {
                self.note(|| format!("somebody creates an object for {}", NAMES[slot]));
                self.create(slot, None, "Own", false, true);
            }
            7 => self.write_mark(slot, Mark::Odd),
            _ => {}
        }
    }

    fn a_policy(&mut self, how: usize) {
        let (slot, what) = (how % POLICIES, how / POLICIES % 6);
        let stamp = self.stamp();
        let policy = match (self.policy(slot).cloned(), what) {
            (Some(_), 0) => None,
            (None, _) => Some(PolicyObject {
                slot,
                uid: u32::try_from(how).unwrap_or(0) + 2,
                created: stamp,
                mode: if how & 32 == 0 { Mode::Apply } else { Mode::Plan },
                suspended: false,
            }),
            (Some(policy), 1 | 2) => Some(PolicyObject {
                mode: Mode::Apply,
                ..policy
            }),
            (Some(policy), 3) => Some(PolicyObject {
                suspended: !policy.suspended,
                ..policy
            }),
            (Some(policy), _) => Some(policy),
        };
        self.note(|| format!("a policy is changed: {policy:?}"));
        self.set_policy(slot, policy);
    }

    fn a_lead(&mut self, how: usize) {
        let slot = how % LEADS;
        self.note(|| format!("{} changes", NAMES[slot]));
        match how / LEADS % 3 {
            0 => self.change_lead(slot, |lead| lead.active = !lead.active),
            policy => self.change_lead(slot, |lead| lead.wanted[policy - 1] = !lead.wanted[policy - 1]),
        }
    }

    /// Nothing goes wrong any more. Everything must come to rest where it belongs.
    fn calm(&mut self, rules: &Rules) {
        self.note(|| "calm".to_owned());
        (self.platform_known, self.takes) = (true, 5);
        self.set_clock(0);
        self.crash(true, 0, rules);
        for slot in slots() {
            if self.service(slot).is_some_and(|service| !service.done) {
                let due = self.now;
                self.change_service(slot, |service| service.due = due);
            }
        }
        for _ in 0..PATIENCE {
            self.passes(rules);
            if !self.broken.is_empty() {
                return;
            }
            if self.missing().is_none() {
                break;
            }
            self.wait(6 * HOUR, rules);
        }
        if let Some(missing) = self.missing() {
            self.breaks(format!("L10, progress: {missing}"));
        }
        let before = (self.leads.newest(), self.services.newest());
        self.wait(100, rules);
        self.passes(rules);
        let after = (self.leads.newest(), self.services.newest());
        if before.0 != after.0 {
            self.breaks("L6: a mark is written though nothing changes".to_owned());
        }
    }

    /// Both policies decide and write, with stores that are up to date, a few times.
    fn passes(&mut self, rules: &Rules) {
        for _ in 0..4 * LEADS {
            self.catch_up([usize::MAX; 3]);
            let mut sent = false;
            for _ in 0..POLICIES {
                self.step(Fate::Fine, rules);
                while self.process.is_busy() {
                    sent |= self.step(Fate::Fine, rules);
                }
            }
            self.wait(6, rules);
            if !sent {
                return;
            }
        }
    }

    /// What is not as it should be.
    fn missing(&self) -> Option<String> {
        for slot in slots() {
            let name = NAMES[slot];
            if let Some(service) = self.service(slot) {
                if service.held {
                    return Some(format!("the object of {name} is held"));
                }
                let policy = service.policy.and_then(|policy| self.policy(policy));
                let lead = self.lead(slot);
                let applies = policy.is_some_and(|policy| {
                    let wanted = lead.is_some_and(|lead| lead.wanted[policy.slot]);
                    policy.mode == Mode::Apply && !policy.suspended && wanted
                });
                if applies && !service.applies && service.generation == 1 && !service.deleting {
                    return Some(format!("the plan of {name} is not applied"));
                }
            } else if self.is_owed(slot) {
                return Some(format!("{name} has no object"));
            }
        }
        None
    }

    /// Whether a policy owes an object to a lead that has none.
    fn is_owed(&self, slot: usize) -> bool {
        let Some(lead) = self
            .lead(slot)
            .filter(|lead| lead.active && !self.on_platform[slot])
        else {
            return false;
        };
        let wants = |policy: &&PolicyObject| lead.wanted[policy.slot];
        let known = self.policies.now();
        let of = match lead.mark {
            Mark::Made(..) | Mark::Odd => return false,
            Mark::Begun(policy, _) if self.policy(policy).is_some() => self.policy(policy).filter(wants),
            Mark::Begun(..) | Mark::None => known
                .iter()
                .filter(wants)
                .min_by_key(|policy| (policy.created, super::world::POLICY_NAMES[policy.slot])),
        };
        of.is_some_and(|policy| !policy.suspended && !self.is_refused(slot, policy))
    }

    /// Whether the lead's short name is taken, and the policy appends no number.
    fn is_refused(&self, slot: usize, policy: &PolicyObject) -> bool {
        use oc_domain::lead_policy::{Collision, fit_short_name};
        let company = self
            .lead(slot)
            .map_or("", |lead| super::world::COMPANIES[lead.company]);
        let name = fit_short_name(company, oc_domain::names::ShortNameRule::Portal);
        let taken = |name: &String| {
            let mut services = self.services.now().iter();
            services.any(|service| service.short_name.eq_ignore_ascii_case(name))
        };
        self.setup.collision[policy.slot] == Collision::Refuse && name.as_ref().is_none_or(taken)
    }
}

//! A small cluster with leads, policies and service objects, and what people and time do to it.

use std::fmt::Write as _;

use oc_domain::conditions::Reason;
use oc_domain::lead_policy::{Collision, Progress, RuleLimits};
use oc_domain::service::Mode;
use oc_domain::time::{Duration, Time};

use super::process::Process;
use crate::tape::Tape;

/// How many leads there can be.
pub const LEADS: usize = 6;
/// How many policies there can be.
pub const POLICIES: usize = 2;
/// The names of the leads, and of their service objects.
pub const NAMES: [&str; LEADS] = ["lead-a", "lead-b", "lead-c", "lead-d", "lead-e", "lead-f"];
/// The names of the policies.
pub const POLICY_NAMES: [&str; POLICIES] = ["benelux", "europe"];
/// The names of the companies: some are alike.
pub const COMPANIES: [&str; 4] = ["Contoso", "Contoso B.V.", "Fabrikam Netherlands", "CON"];

/// By how much a store may lag for the limits and the names to hold.
const LAG: Duration = Duration::from_secs(30);

const START: Time = Time(1_800_000_000_000);

/// The annotation of a Lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// There is none.
    None,
    /// The policy with that uid has begun.
    Begun(usize, u32),
    /// The policy with that uid has created the object, at that time.
    Made(usize, u32, Time),
    /// A person wrote something else.
    Odd,
}

/// A Lead.
#[derive(Clone, Debug)]
pub struct LeadObject {
    /// Its place, which gives it its name and its tenant.
    pub slot: usize,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `metadata.resourceVersion`.
    pub version: u64,
    /// The annotation.
    pub mark: Mark,
    /// Which policies select it.
    pub wanted: [bool; POLICIES],
    /// Whether Microsoft's status is Active.
    pub active: bool,
    /// Its company.
    pub company: usize,
}

/// A service object, under the name of its lead.
#[derive(Clone, Debug)]
pub struct ServiceObject {
    /// The place of its lead.
    pub slot: usize,
    /// The label; `None`: a person has created it.
    pub policy: Option<usize>,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `metadata.resourceVersion`.
    pub version: u64,
    /// It has the finalizer.
    pub held: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `spec.mode` is Apply, and not Plan.
    pub applies: bool,
    /// `metadata.generation`.
    pub generation: u32,
    /// Ready, or planned.
    pub done: bool,
    /// When it is done.
    pub due: Time,
    /// `spec.shortName`.
    pub short_name: String,
}

impl ServiceObject {
    /// What the limit makes of it.
    pub fn progress(&self) -> Progress {
        let reason = (self.done && !self.applies).then_some(Reason::PlanReady);
        Progress::of(self.deleting, self.done && self.applies, reason)
    }
}

/// A policy.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    /// Its place, which gives it its name.
    pub slot: usize,
    /// `metadata.uid`.
    pub uid: u32,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// `spec.template.spec.mode`.
    pub mode: Mode,
    /// `spec.suspend`.
    pub suspended: bool,
}

/// Every state that the objects of one kind were in, and since when, so that a store can lag.
#[derive(Clone, Debug)]
pub struct History<T>(Vec<(Time, Vec<T>)>);

impl<T: Clone> History<T> {
    fn new(first: Vec<T>) -> Self {
        Self(vec![(START, first)])
    }

    /// The present state.
    pub fn now(&self) -> &[T] {
        self.at(self.newest())
    }

    /// The state of that number.
    pub fn at(&self, number: usize) -> &[T] {
        self.0.get(number).map_or(&[], |(_, state)| state.as_slice())
    }

    /// The number of the present state.
    pub fn newest(&self) -> usize {
        self.0.len() - 1
    }

    /// For how long a store has not learned what comes after the state of that number.
    fn lag(&self, now: Time, number: usize) -> Duration {
        self.0
            .get(number + 1)
            .map_or(Duration::ZERO, |(since, _)| now.since(*since))
    }

    fn change(&mut self, now: Time, change: impl FnOnce(&mut Vec<T>)) {
        let mut next = self.now().to_vec();
        change(&mut next);
        self.0.push((now, next));
    }
}

/// What does not change during a story.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The limits of each policy.
    pub limits: [RuleLimits; POLICIES],
    /// `spec.names.onCollision` of each policy.
    pub collision: [Collision; POLICIES],
    /// Whether a service stays on the platform when its object is deleted.
    pub retains: bool,
}

/// An object that a policy has created, for the law about the day.
#[derive(Clone, Copy, Debug)]
struct Created {
    policy: usize,
    slot: usize,
    at: i64,
    stamp: Time,
}

/// How often something happened in a story.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Objects that a policy has created.
    pub created: u32,
    /// Crashes.
    pub crashes: u32,
    /// Answers that were lost.
    pub lost: u32,
    /// Writes on condition of a version that was not the present one.
    pub conflicts: u32,
    /// Objects found where one was to be created.
    pub existed: u32,
    /// Objects deleted while they had the finalizer.
    pub caught: u32,
    /// Plans that were applied.
    pub adjusted: u32,
}

/// The cluster, the process, and what was seen of them.
#[derive(Clone, Debug)]
pub struct World {
    /// The true time.
    pub now: Time,
    /// How far the API server's clock is ahead, in milliseconds.
    pub ahead: i64,
    /// The true time, and every jump of the clock forward. A jump forward can't be told from time that passes.
    passed: i64,
    /// The Leads.
    pub leads: History<LeadObject>,
    /// The service objects.
    pub services: History<ServiceObject>,
    /// The policies.
    pub policies: History<PolicyObject>,
    /// Whether the tenant of a lead has a service on the platform.
    pub on_platform: [bool; LEADS],
    /// Whether the platform's list can be read.
    pub platform_known: bool,
    /// What does not change.
    pub setup: Setup,
    /// The operator.
    pub process: Process,
    /// The laws that were broken.
    pub broken: Vec<String>,
    /// How often something happened.
    pub counts: Counts,
    /// What happened, if somebody wants to know.
    pub told: Option<String>,
    created: Vec<Created>,
    /// Whether a person has made the rule forget the object of a lead since it was created; `None`: the lead
    /// never had one.
    forgotten: [Option<bool>; LEADS],
    /// Whether a person has changed the mark of a lead since its object was created.
    meddled: [bool; LEADS],
    /// The marks that a backup has.
    backup: [Mark; LEADS],
    version: u64,
    /// How long the next object takes, in seconds.
    pub takes: u64,
}

impl World {
    /// Returns the world that a tape begins with.
    pub fn new(tape: &mut Tape<'_>) -> Self {
        let mut one = |choices: &[u32]| tape.one_of(choices);
        let limits = [(); POLICIES].map(|()| RuleLimits {
            in_progress: one(&[2, 1, 3, 5]),
            per_day: one(&[3, 1, 2, 20]),
        });
        let mode = |plan: bool| if plan { Mode::Plan } else { Mode::Apply };
        let collision =
            [(); POLICIES].map(|()| tape.one_of(&[Collision::Number, Collision::Number, Collision::Refuse]));
        let setup = Setup {
            limits,
            collision,
            retains: tape.one_of(&[false, false, false, true]),
        };
        let leads = (0..LEADS).map(|slot| LeadObject {
            slot,
            created: START + Duration::from_secs(tape.one_of(&[0, 1, 2])),
            version: 0,
            mark: Mark::None,
            wanted: tape.one_of(&[[true, false], [true, true], [false, true], [false, false]]),
            active: tape.one_of(&[true, true, true, false]),
            company: tape.draw() % COMPANIES.len(),
        });
        let leads = leads.collect();
        let policies = (0..POLICIES).map(|slot| PolicyObject {
            slot,
            uid: 1,
            created: START + Duration::from_secs(tape.one_of(&[0, 1])),
            mode: mode(tape.one_of(&[false, false, true])),
            suspended: false,
        });
        let policies = policies.collect();
        Self {
            now: START + Duration::from_secs(100),
            ahead: 0,
            passed: START.0,
            leads: History::new(leads),
            services: History::new(Vec::new()),
            policies: History::new(policies),
            on_platform: [false; LEADS],
            platform_known: true,
            setup,
            process: Process::new(START + Duration::from_secs(100)),
            broken: Vec::new(),
            counts: Counts::default(),
            told: None,
            created: Vec::new(),
            forgotten: [None; LEADS],
            meddled: [false; LEADS],
            backup: [Mark::None; LEADS],
            version: 0,
            takes: 5,
        }
    }

    /// Notes what happened.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(told) = &mut self.told {
            let _ = writeln!(told, "{:>9} s  {}", (self.now.0 - START.0) / 1000, what());
        }
    }

    /// Notes a broken law.
    pub fn breaks(&mut self, law: String) {
        self.note(|| format!("BROKEN {law}"));
        self.broken.push(law);
    }

    /// The time by the API server's clock.
    pub fn stamp(&self) -> Time {
        Time(self.now.0 + self.ahead).whole_second()
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// The Lead in a place.
    pub fn lead(&self, slot: usize) -> Option<&LeadObject> {
        self.leads.now().iter().find(|lead| lead.slot == slot)
    }

    /// The service object of a lead.
    pub fn service(&self, slot: usize) -> Option<&ServiceObject> {
        self.services.now().iter().find(|service| service.slot == slot)
    }

    /// The policy in a place.
    pub fn policy(&self, slot: usize) -> Option<&PolicyObject> {
        self.policies.now().iter().find(|policy| policy.slot == slot)
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.passed += i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        for slot in 0..LEADS {
            let is_due = |service: &ServiceObject| !service.done && service.due <= self.now;
            if self.service(slot).is_some_and(is_due) {
                self.change_service(slot, |service| service.done = true);
                if self.service(slot).is_some_and(|service| service.applies) {
                    self.on_platform[slot] = true;
                }
            }
        }
    }

    /// Sets the API server's clock. A process that sees it jump ends.
    pub fn set_clock(&mut self, ahead: i64) {
        self.passed += (ahead - self.ahead).max(0);
        self.ahead = ahead;
        self.note(|| format!("the API server's clock is {} s ahead", ahead / 1000));
    }

    /// Changes a Lead.
    pub fn change_lead(&mut self, slot: usize, change: impl FnOnce(&mut LeadObject)) {
        let version = self.next_version();
        self.leads.change(self.now, |leads| {
            if let Some(lead) = leads.iter_mut().find(|lead| lead.slot == slot) {
                change(lead);
                lead.version = version;
            }
        });
    }

    /// Changes a service object. One that is being deleted goes when nothing holds it.
    pub fn change_service(&mut self, slot: usize, change: impl FnOnce(&mut ServiceObject)) {
        let version = self.next_version();
        self.services.change(self.now, |services| {
            if let Some(service) = services.iter_mut().find(|service| service.slot == slot) {
                change(service);
                service.version = version;
            }
            services.retain(|service| service.held || !service.deleting);
        });
        if self.service(slot).is_none() && !self.setup.retains {
            self.on_platform[slot] = false;
        }
        self.forget_the_untold(slot);
    }

    /// Changes a policy; `None` deletes it.
    pub fn set_policy(&mut self, slot: usize, policy: Option<PolicyObject>) {
        self.policies.change(self.now, |policies| {
            policies.retain(|policy| policy.slot != slot);
            policies.extend(policy);
        });
    }

    /// A person writes another mark, or a backup does.
    pub fn write_mark(&mut self, slot: usize, mark: Mark) {
        self.note(|| format!("somebody sets the mark of {} to {mark:?}", NAMES[slot]));
        self.change_lead(slot, |lead| lead.mark = mark);
        self.mark_was_changed(slot, mark);
    }

    /// A person deletes the Lead, and discovery makes it again.
    pub fn renew_lead(&mut self, slot: usize) {
        self.note(|| format!("{} is deleted, and comes again", NAMES[slot]));
        let created = self.stamp();
        let lead = self.lead(slot).cloned();
        self.leads
            .change(self.now, |leads| leads.retain(|lead| lead.slot != slot));
        let version = self.next_version();
        let renewed = lead.map(|lead| LeadObject {
            created,
            mark: Mark::None,
            version,
            ..lead
        });
        self.leads.change(self.now, |leads| leads.extend(renewed));
        self.mark_was_changed(slot, Mark::None);
    }

    /// Keeps the mark of a lead for a later restore.
    pub fn back_up(&mut self, slot: usize) {
        self.backup[slot] = self.lead(slot).map_or(Mark::None, |lead| lead.mark);
    }

    /// The mark that was kept.
    pub fn backed_up(&self, slot: usize) -> Mark {
        self.backup[slot]
    }

    /// The mark no longer says that the object was created: who changes it so asks for another one.
    fn mark_was_changed(&mut self, slot: usize, mark: Mark) {
        if matches!(mark, Mark::None | Mark::Begun(..)) {
            self.forgotten[slot] = self.forgotten[slot].map(|_| true);
        }
        self.meddled[slot] = true;
        self.forget_the_untold(slot);
    }

    /// What was created, and neither an object nor a mark tells of since a person has changed that, no rule can
    /// count.
    fn forget_the_untold(&mut self, slot: usize) {
        let mark = self.lead(slot).map_or(Mark::None, |lead| lead.mark);
        let service = self.service(slot).map(|service| service.created);
        if self.meddled[slot] {
            let told = |created: &Created| {
                service == Some(created.stamp) || matches!(mark, Mark::Made(.., at) if at == created.stamp)
            };
            self.created
                .retain(|created| created.slot != slot || told(created));
        }
    }

    /// Adds a service object, and judges it if a policy has created it. Returns whether it was added.
    pub fn create(
        &mut self,
        slot: usize,
        policy: Option<usize>,
        short_name: &str,
        held: bool,
        applies: bool,
    ) -> bool {
        if self.service(slot).is_some() {
            self.counts.existed += 1;
            return false;
        }
        let version = self.next_version();
        let object = ServiceObject {
            slot,
            policy,
            created: self.stamp(),
            version,
            held,
            deleting: false,
            applies,
            generation: 1,
            done: false,
            due: self.now + Duration::from_secs(self.takes),
            short_name: short_name.to_owned(),
        };
        let same_name = |other: &&ServiceObject| {
            other.policy.is_some() && other.short_name.eq_ignore_ascii_case(short_name)
        };
        let twin = self
            .services
            .now()
            .iter()
            .find(same_name)
            .map(|other| NAMES[other.slot]);
        self.services.change(self.now, |services| services.push(object));
        if let Some(policy) = policy {
            self.judge_create(slot, policy, short_name, twin);
        }
        true
    }

    fn judge_create(&mut self, slot: usize, policy: usize, short_name: &str, twin: Option<&str>) {
        self.counts.created += 1;
        let (name, by) = (NAMES[slot], POLICY_NAMES[policy]);
        self.note(|| format!("{by} creates the object of {name}: {short_name}"));
        if self.forgotten[slot] == Some(false) {
            self.breaks(format!("L10: a second object for {name}"));
        }
        self.forgotten[slot] = Some(false);
        self.meddled[slot] = false;
        if let Some(twin) = twin.filter(|_| !self.is_blind()) {
            self.breaks(format!("L10: {name} gets the short name of {twin}"));
        }
        self.created.push(Created {
            policy,
            slot,
            at: self.passed,
            stamp: self.stamp(),
        });
        let since = self.passed - 24 * 3600 * 1000;
        let today = |created: &&Created| created.policy == policy && created.at > since;
        let today = self.created.iter().filter(today).count();
        let limit = self.setup.limits[policy].per_day;
        if today > usize::try_from(limit).unwrap_or(usize::MAX) && !self.is_blind() {
            self.breaks(format!("L10: {today} objects in a day, and perDay is {limit}"));
        }
        self.judge_progress(policy);
    }

    /// Whether a store lags, or lagged at the decision, by more than a watch can that is renewed when it delivers nothing. Limits and names
    /// depend on that; that no second object is created does not.
    pub fn is_blind(&self) -> bool {
        let [leads, services, policies] = self.process.seen;
        let lags = [
            self.leads.lag(self.now, leads),
            self.services.lag(self.now, services),
            self.policies.lag(self.now, policies),
        ];
        self.process.was_blind || lags.into_iter().any(|lag| lag > LAG)
    }

    /// Judges how many objects of a policy are busy.
    pub fn judge_progress(&mut self, policy: usize) {
        let busy =
            |service: &&ServiceObject| service.policy == Some(policy) && !service.done && !service.deleting;
        let busy = self.services.now().iter().filter(busy).count();
        let limit = self.setup.limits[policy].in_progress;
        if busy > usize::try_from(limit).unwrap_or(usize::MAX) && !self.is_blind() {
            self.breaks(format!(
                "L10: {busy} objects are in progress, and inProgress is {limit}"
            ));
        }
    }
}

impl Counts {
    /// Adds those of another story.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.conflicts += other.conflicts;
        self.existed += other.existed;
        self.caught += other.caught;
        self.adjusted += other.adjusted;
    }
}

//! The decision for one rule: which leads are begun, created, finished and refused.

use std::collections::BTreeSet;

use super::limits::Load;
use super::names::numbered;
use super::refusal::{UntoldRefusal, Why, advice, list};
use super::{
    Candidate, Collision, Hold, LeadMark, MadeService, NamedLikeLead, OnboardingAction, OnboardingDecision,
    OnboardingMemory, OnboardingRule, PlatformNames, Progress, RuleMatch, ServiceToCreate,
};
use super::{fit_full_name, fit_short_name};
use crate::conditions::Trouble;
use crate::names::{TenantId, fold_case};
use crate::service::Mode;
use crate::time::Time;

/// Decides what a rule does next. `leads` are all Leads of the rule's namespace, `services` all objects with the
/// rule's label there, both in any order. A rule that was deleted is given as `None`: only what was created is
/// finished. The work grows with the leads; only those that wait or are refused cost more than a look.
pub fn decide<'a>(
    now: Time,
    rule: Option<&OnboardingRule<'_>>,
    platform: PlatformNames<'_>,
    leads: impl Iterator<Item = Candidate<'a>>,
    services: &[MadeService<'_>],
    memory: &mut OnboardingMemory,
) -> OnboardingDecision {
    let mut decision = OnboardingDecision::default();
    for service in services.iter().filter(|service| service.held) {
        decision.finish(service);
    }
    let Some(rule) = rule else {
        return decision;
    };
    memory.look_at(now, services);
    let mut run = Run::new(now, rule, platform, memory, decision);
    for service in services {
        run.add(service);
    }
    for lead in leads {
        run.sort(lead);
    }
    run.end()
}

impl OnboardingDecision {
    fn finish(&mut self, service: &MadeService<'_>) {
        self.actions.push(OnboardingAction::Finish {
            name: service.name.to_owned(),
            made: service.created,
        });
    }
}

/// A lead that gets an object as soon as there is room.
struct Pending<'a> {
    lead: Candidate<'a>,
    short_name: String,
    full_name: String,
    /// How often the API server has refused its object in a row.
    failures: u32,
    /// Its mark says so.
    begun: bool,
}

/// A plan of the rule that is to be applied.
struct Plan<'a> {
    name: &'a str,
    created: Time,
    /// Whether it occupies room only when it is applied.
    needs_room: bool,
}

struct Run<'a, 'r> {
    now: Time,
    rule: &'r OnboardingRule<'r>,
    platform: PlatformNames<'r>,
    memory: &'r mut OnboardingMemory,
    load: Load,
    pending: Vec<Pending<'a>>,
    plans: Vec<Plan<'a>>,
    refused: Vec<UntoldRefusal<'a>>,
    /// The tenants without an object, while a refusal of the API server is remembered.
    missing: BTreeSet<TenantId>,
    decision: OnboardingDecision,
}

impl<'a, 'r> Run<'a, 'r> {
    fn new(
        now: Time,
        rule: &'r OnboardingRule<'r>,
        platform: PlatformNames<'r>,
        memory: &'r mut OnboardingMemory,
        decision: OnboardingDecision,
    ) -> Self {
        Self {
            now,
            rule,
            platform,
            memory,
            load: Load::default(),
            pending: Vec::new(),
            plans: Vec::new(),
            refused: Vec::new(),
            missing: BTreeSet::new(),
            decision,
        }
    }

    /// Counts an object of the rule.
    fn add(&mut self, service: &MadeService<'_>) {
        self.load.add(self.now, service, &self.memory.ahead);
        self.decision.counts.made += 1;
        self.decision.counts.ready += usize::from(service.progress == Progress::Ready);
    }

    /// Finds out what a lead is to the rule.
    fn sort(&mut self, lead: Candidate<'a>) {
        self.decision.counts.matched += usize::from(matches!(lead.matches, RuleMatch::Yes { .. }));
        let unseen = self.memory.is_unseen(&lead, self.rule.name);
        if let NamedLikeLead::Made(service) = lead.object {
            return self.has_object(&lead, service);
        }
        if let LeadMark::Made { policy, at } = lead.mark {
            // A person has deleted the object. It was created all the same.
            if let Some(at) = at.filter(|_| policy == self.rule.name) {
                self.load.created(self.now, lead.name, at, &self.memory.ahead);
            }
            return;
        }
        if lead.matches == RuleMatch::No || lead.served {
            return;
        }
        if !lead.eligible {
            self.decision.counts.not_eligible += 1;
        } else if unseen {
            self.decision.counts.waiting += 1;
        } else {
            match self.obstacle(&lead) {
                Ok((short_name, full_name)) => self.has_none(lead, short_name, full_name),
                Err(why) => self.refuse(&lead, why),
            }
        }
    }

    /// A lead whose object the rule has created.
    fn has_object(&mut self, lead: &Candidate<'a>, service: &MadeService<'a>) {
        // Without the finalizer: somebody has removed the mark while the object was there, and the rule began
        // anew before it saw the object.
        if matches!(lead.mark, LeadMark::Begun { .. }) && !service.held {
            self.decision.finish(service);
        }
        let applies = self.rule.mode == Mode::Apply && matches!(lead.matches, RuleMatch::Yes { .. });
        if applies && service.untouched_plan && !self.memory.unseen.contains_key(service.name) {
            self.plans.push(Plan {
                name: service.name,
                created: service.created,
                needs_room: service.progress != Progress::InProgress,
            });
        }
    }

    /// What keeps a lead from getting its object, or the names that the object gets if they are free.
    fn obstacle(&self, lead: &Candidate<'a>) -> Result<(String, String), Why<'a>> {
        let (short_name, full_name) = match lead.matches {
            RuleMatch::Failed(message) => return Err(Why::Expression(message)),
            RuleMatch::Yes {
                short_name,
                full_name,
            } => (short_name, full_name),
            RuleMatch::No => ("", ""),
        };
        if lead.object == NamedLikeLead::Other {
            return Err(Why::NameInUse);
        }
        match (lead.mark, lead.older_policy) {
            (LeadMark::Unreadable, _) => return Err(Why::Unreadable),
            (LeadMark::Begun { policy, .. }, _) if policy == self.rule.name => {}
            (LeadMark::Begun { policy, gone: false }, _) => return Err(Why::BegunBy(policy)),
            (_, Some(policy)) => return Err(Why::OlderPolicy(policy)),
            _ => {}
        }
        let full_name = fit_full_name(full_name).ok_or(Why::NoFullName)?;
        let Some(short_name) = fit_short_name(short_name, self.rule.short_names) else {
            return Err(Why::NoShortName(short_name));
        };
        match self.platform {
            PlatformNames::Known(taken)
                if self.rule.collision == Collision::Refuse && taken(&fold_case(&short_name)) =>
            {
                Err(Why::Taken(short_name))
            }
            _ => Ok((short_name, full_name)),
        }
    }

    /// A lead that is to get an object.
    fn has_none(&mut self, lead: Candidate<'a>, short_name: String, full_name: String) {
        let attempts = &self.memory.attempts;
        if !attempts.is_clean() {
            self.missing.insert(lead.tenant);
        }
        let turn = attempts.turn(self.now, &lead.tenant);
        let refusal = attempts.refusal_of(&lead.tenant);
        let why = refusal.map(|(refusal, said)| Why::Cluster(refusal, said.to_owned()));
        match why {
            Some(why) => self.refuse(&lead, why),
            None => self.decision.counts.waiting += 1,
        }
        let ours = |policy: &str| policy == self.rule.name;
        let begun = matches!(lead.mark, LeadMark::Begun { policy, .. } if ours(policy));
        if let Some(failures) = turn {
            self.pending.push(Pending {
                lead,
                short_name,
                full_name,
                failures,
                begun,
            });
        }
    }

    fn refuse(&mut self, lead: &Candidate<'a>, why: Why<'a>) {
        self.refused.push(UntoldRefusal {
            created: lead.created,
            lead: lead.name,
            why,
        });
    }

    /// Acts on what was found.
    fn end(mut self) -> OnboardingDecision {
        let attempts = &mut self.memory.attempts;
        if !attempts.is_clean() {
            attempts.begin(self.now, |tenant| self.missing.contains(tenant));
        }
        self.decision.hold = self.blocked();
        let (counted, reserved) = self.memory.count_unseen();
        self.load.in_progress += counted;
        self.load.reserved += reserved;
        let may_run = self.memory.attempts.may_run(self.now);
        if self.decision.hold.is_none() && may_run {
            let left = self.act();
            self.decision.hold = left;
        }
        self.decision.again = self.again();
        self.decision.counts.last_made = self.load.last_made;
        self.decision.counts.refused = self.refused.len();
        self.decision.refusals = list(self.refused);
        self.memory.ahead = self.load.into_noticed();
        self.decision
    }

    /// What keeps the rule from creating anything.
    fn blocked(&self) -> Option<Hold> {
        if self.rule.suspended {
            return Some(Hold::Suspended);
        }
        if let PlatformNames::Unknown(trouble) = self.platform {
            return Some(Hold::Platform(trouble.clone()));
        }
        let (refusal, said) = self.memory.attempts.refusal_of_all()?;
        let message = format!(
            "The API server refuses the OcEssentialService objects of this policy: {said}. {}",
            advice(refusal)
        );
        let trouble = Trouble::new(refusal.reason(), message);
        // After the pause it is tried once more.
        (!self.memory.attempts.may_run(self.now)).then_some(Hold::Cluster(trouble))
    }

    /// Creates and applies as much as there is room for. Returns why the rest waits.
    fn act(&mut self) -> Option<Hold> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by(|one, two| one.turn().cmp(&two.turn()));
        let begun = pending.iter().filter(|pending| pending.is_reserved()).count();
        let others = pending.split_off(begun);
        let limits = self.rule.limits;
        let (mut room, mut today) = (self.load.room_in_progress(limits), self.load.room_today(limits));
        let mut names = Chosen::new(self.memory);
        let (mut left, mut given) = (false, begun);
        let first = room.min(today);
        for (at, pending) in pending.into_iter().enumerate() {
            if at < first {
                self.create(pending, &mut names);
            } else {
                left = true;
            }
        }
        (room, today) = (room.saturating_sub(begun), today.saturating_sub(begun));
        left |= self.apply_plans(&mut room);
        for pending in others {
            if room == 0 || today == 0 {
                left |= pending.failures == 0;
            } else if self.create(pending, &mut names) {
                (room, today, given) = (room - 1, today - 1, given + 1);
            }
        }
        let tomorrow = self.load.next_room_today(limits, given);
        left.then(|| {
            tomorrow
                .filter(|_| today == 0)
                .map_or(Hold::InProgress, Hold::PerDay)
        })
    }

    /// Applies plans, the oldest first. Returns whether some are left.
    fn apply_plans(&mut self, room: &mut usize) -> bool {
        let mut plans = std::mem::take(&mut self.plans);
        plans.sort_unstable_by_key(|plan| (plan.created, plan.name));
        let mut left = false;
        for plan in plans {
            if plan.needs_room && *room == 0 {
                left = true;
                continue;
            }
            *room -= usize::from(plan.needs_room);
            let name = plan.name.to_owned();
            self.decision.actions.push(OnboardingAction::Adjust { name });
        }
        left
    }

    /// Has an object created, under a short name that is free. Returns whether it is.
    fn create(&mut self, pending: Pending<'a>, chosen: &mut Chosen) -> bool {
        let lead = pending.lead;
        // A tenant with two Leads gets one object. The other Lead is served as soon as that is there.
        if !chosen.tenants.insert(lead.tenant) {
            return false;
        }
        let PlatformNames::Known(taken) = self.platform else {
            return false;
        };
        let is_taken = |name: &str| taken(name) || chosen.names.contains(name);
        let short_name = match self.rule.collision {
            Collision::Number => numbered(&pending.short_name, is_taken),
            Collision::Refuse => Some(pending.short_name.clone()).filter(|name| !is_taken(&fold_case(name))),
        };
        let Some(short_name) = short_name else {
            if self.rule.collision == Collision::Number {
                self.refuse(&lead, Why::AllTaken(pending.short_name));
            }
            return false;
        };
        chosen.names.insert(fold_case(&short_name));
        let service = ServiceToCreate {
            name: lead.name.to_owned(),
            tenant: lead.tenant,
            short_name,
            full_name: pending.full_name,
        };
        self.decision.actions.push(if pending.begun {
            OnboardingAction::Make(service)
        } else {
            OnboardingAction::Begin(service)
        });
        true
    }

    /// When to decide again though nothing has changed.
    fn again(&self) -> Option<Time> {
        let tomorrow = match self.decision.hold {
            Some(Hold::PerDay(until)) => Some(until),
            _ => None,
        };
        let refused = self.memory.attempts.next();
        let unseen = self.memory.next_forgotten();
        [tomorrow, refused, unseen].into_iter().flatten().min()
    }
}

impl<'a> Pending<'a> {
    /// Whether its object may be created at any moment, so that it has a place already. Not if the API server
    /// has refused it: then it is certain that there is none.
    fn is_reserved(&self) -> bool {
        self.begun && self.failures == 0
    }

    /// Its place in the line.
    fn turn(&self) -> (bool, u32, Time, &'a str) {
        (
            !self.is_reserved(),
            self.failures,
            self.lead.created,
            self.lead.name,
        )
    }
}

/// What has been given away, and no list shows yet.
struct Chosen {
    names: BTreeSet<String>,
    tenants: BTreeSet<TenantId>,
}

impl Chosen {
    fn new(memory: &OnboardingMemory) -> Self {
        let unseen = memory.unseen.values();
        Self {
            names: unseen
                .clone()
                .filter_map(|unseen| unseen.short_name.clone())
                .collect(),
            tenants: unseen.filter_map(|unseen| unseen.tenant).collect(),
        }
    }
}

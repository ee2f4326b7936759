//! What a decision is told, by the stores of the process, and the requests that come of it.

use std::collections::VecDeque;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::lead_policy::{
    Candidate, LeadMark, MadeService, NamedLikeLead, OnboardingAction, OnboardingDecision, OnboardingMemory,
    OnboardingRule, PlatformNames, RuleMatch,
};
use oc_domain::names::{ShortNameRule, TenantId, fold_case};
use oc_domain::time::Time;

use super::process::{Effect, slot_of};
use super::world::{COMPANIES, LeadObject, Mark, NAMES, POLICY_NAMES, PolicyObject, ServiceObject, World};
use super::{Given, Rules};

/// The tenant of a lead.
fn tenant(slot: usize) -> Option<TenantId> {
    TenantId::parse(&format!("2222222{slot}-2222-4222-8222-222222222222")).ok()
}

/// What a decision sees.
pub(super) struct View<'w> {
    pub(super) leads: &'w [LeadObject],
    pub(super) services: &'w [ServiceObject],
    pub(super) policies: &'w [PolicyObject],
    pub(super) world: &'w World,
}

impl View<'_> {
    pub(super) fn decide(
        &self,
        now: Time,
        policy: usize,
        memory: &mut OnboardingMemory,
        rules: &Rules,
    ) -> OnboardingDecision {
        let made: Vec<MadeService<'_>> = self
            .services
            .iter()
            .filter(|service| service.policy == Some(policy))
            .map(|service| MadeService {
                name: NAMES[service.slot],
                created: service.created,
                progress: service.progress(),
                held: service.held,
                untouched_plan: !service.applies && service.generation == 1 && !service.deleting,
            })
            .collect();
        let leads: Vec<Candidate<'_>> = self
            .leads
            .iter()
            .filter_map(|lead| self.candidate(lead, (policy, now), &made, rules))
            .collect();
        let own = self.policies.iter().find(|own| own.slot == policy);
        let rule = own.map(|own| OnboardingRule {
            name: POLICY_NAMES[policy],
            limits: self.world.setup.limits[policy],
            collision: self.world.setup.collision[policy],
            short_names: ShortNameRule::Portal,
            mode: own.mode,
            suspended: own.suspended,
        });
        let others = &self.world.process.memory;
        let taken = |name: &str| {
            let shown = self
                .services
                .iter()
                .any(|service| fold_case(&service.short_name) == name);
            shown || others.iter().any(|memory| memory.has_just_used(name))
        };
        let trouble = Trouble::new(Reason::PlatformUnavailable, "The platform does not answer.");
        let platform = if self.world.platform_known {
            PlatformNames::Known(&taken)
        } else {
            PlatformNames::Unknown(&trouble)
        };
        let given = Given {
            now,
            rule: rule.as_ref(),
            platform: (platform, &taken),
            leads: &leads,
            services: &made,
        };
        (rules.decide)(&given, memory)
    }

    fn candidate<'m>(
        &self,
        lead: &LeadObject,
        (policy, now): (usize, Time),
        made: &'m [MadeService<'m>],
        rules: &Rules,
    ) -> Option<Candidate<'m>> {
        let object = self.services.iter().find(|service| service.slot == lead.slot);
        let named = match object {
            None => NamedLikeLead::None,
            Some(object) if object.policy == Some(policy) => made
                .iter()
                .find(|made| made.name == NAMES[lead.slot])
                .map_or(NamedLikeLead::None, NamedLikeLead::Made),
            Some(_) => NamedLikeLead::Other,
        };
        let memories = self.world.process.memory.iter().enumerate();
        let under_way = rules.asks_others
            && memories
                .filter(|(other, _)| *other != policy)
                .any(|(_, memory)| memory.has_under_way(now, NAMES[lead.slot]));
        let text = COMPANIES[lead.company];
        Some(Candidate {
            name: NAMES[lead.slot],
            created: lead.created,
            tenant: tenant(lead.slot)?,
            matches: if lead.wanted[policy] {
                RuleMatch::Yes {
                    short_name: text,
                    full_name: text,
                }
            } else {
                RuleMatch::No
            },
            eligible: lead.active && !self.world.on_platform[lead.slot],
            served: object.is_some() || under_way,
            mark: self.mark(lead.mark),
            older_policy: self.older_policy(lead, policy),
            object: named,
        })
    }

    fn mark(&self, mark: Mark) -> LeadMark<'static> {
        match mark {
            Mark::None => LeadMark::None,
            Mark::Begun(policy, _) => LeadMark::Begun {
                policy: POLICY_NAMES[policy],
                gone: !self.policies.iter().any(|known| known.slot == policy),
            },
            Mark::Made(policy, _, at) => LeadMark::Made {
                policy: POLICY_NAMES[policy],
                at: Some(at),
            },
            Mark::Odd => LeadMark::Unreadable,
        }
    }

    /// The other policy, if it wants the lead too and is older.
    fn older_policy(&self, lead: &LeadObject, policy: usize) -> Option<&'static str> {
        let age = |policy: &PolicyObject| (policy.created, POLICY_NAMES[policy.slot]);
        let own = self.policies.iter().find(|own| own.slot == policy).map(age)?;
        let older =
            |other: &&PolicyObject| other.slot != policy && lead.wanted[other.slot] && age(other) < own;
        self.policies
            .iter()
            .find(older)
            .map(|other| POLICY_NAMES[other.slot])
    }

    pub(super) fn begins_against_an_older(
        &self,
        policy: usize,
        decision: &OnboardingDecision,
    ) -> Option<&'static str> {
        decision.actions.iter().find_map(|action| {
            let OnboardingAction::Begin(service) = action else {
                return None;
            };
            let lead = self.leads.iter().find(|lead| NAMES[lead.slot] == service.name)?;
            self.older_policy(lead, policy).map(|_| NAMES[lead.slot])
        })
    }

    /// The requests of a decision, in order.
    pub(super) fn effects(
        &self,
        policy: usize,
        decision: &OnboardingDecision,
        rules: &Rules,
    ) -> VecDeque<Effect> {
        let mut effects = VecDeque::new();
        for action in &decision.actions {
            match action {
                OnboardingAction::Begin(service) => {
                    let begun = Effect::WriteBegun(self.lead_version(&service.name), service.clone());
                    let create = Effect::Create(service.clone());
                    effects.extend(if rules.marks_first {
                        [begun, create]
                    } else {
                        [create, begun]
                    });
                }
                OnboardingAction::Make(service) => {
                    let lead = self.leads.iter().find(|lead| NAMES[lead.slot] == service.name);
                    let mark = lead.map_or(Mark::None, |lead| lead.mark);
                    effects.extend([
                        Effect::Read(mark, service.clone()),
                        Effect::Create(service.clone()),
                    ]);
                }
                OnboardingAction::Finish { name, made } => {
                    self.finish(policy, name, *made, rules, &mut effects)
                }
                OnboardingAction::Adjust { name } => {
                    effects.push_back(Effect::Adjust(slot_of(name), self.service_version(name)));
                }
            }
        }
        effects
    }

    fn finish(&self, policy: usize, name: &str, made: Time, rules: &Rules, effects: &mut VecDeque<Effect>) {
        let slot = slot_of(name);
        let lead = self.leads.iter().find(|lead| lead.slot == slot);
        let told = |mark: Mark| match mark {
            Mark::Made(by, _, at) => by == policy && at == made,
            _ => false,
        };
        let write = Effect::WriteMade(slot, lead.cloned(), made);
        let release = Effect::Release(slot, self.service_version(name));
        let held = self
            .services
            .iter()
            .any(|service| service.slot == slot && service.held);
        let told = lead.is_some_and(|lead| told(lead.mark));
        if !rules.mark_before_release {
            effects.extend([release, write]);
        } else {
            effects.extend((!told).then_some(write));
            effects.extend(held.then_some(release));
        }
    }

    fn lead_version(&self, name: &str) -> u64 {
        let lead = self.leads.iter().find(|lead| NAMES[lead.slot] == name);
        lead.map_or(0, |lead| lead.version)
    }

    fn service_version(&self, name: &str) -> u64 {
        let service = self.services.iter().find(|service| NAMES[service.slot] == name);
        service.map_or(0, |service| service.version)
    }
}

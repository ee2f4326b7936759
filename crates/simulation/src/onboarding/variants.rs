//! Wrong operators, each with one mistake that law L10 must catch.

use oc_domain::lead_policy::{
    self, Candidate, LeadMark, MadeService, NamedLikeLead, OnboardingDecision, OnboardingMemory,
    PlatformNames,
};
use oc_domain::time::{Duration, Time};

use super::{Decide, Given, Rules, real};

/// A wrong operator: what it does, its rules, and a part of the text of the law that must catch it.
pub struct Variant {
    /// What it does wrong.
    pub what: &'static str,
    /// The rules it plays by.
    pub rules: Rules,
    /// A part of the text of the law.
    pub law: &'static str,
}

/// Returns all of them.
pub fn all() -> Vec<Variant> {
    let second = "L10: a second object";
    let busy = "are in progress";
    let today = "objects in a day";
    vec![
        driven("creates before it marks", second, |rules| {
            rules.marks_first = false
        }),
        driven("takes the store's mark for the Lead's", second, |rules| {
            rules.reads_live = false
        }),
        driven("creates without the finalizer", second, |rules| {
            rules.finalizer = false
        }),
        driven("marks whatever version is there", second, |rules| {
            rules.conditional = false
        }),
        driven("takes the finalizer off before it marks", second, |rules| {
            rules.mark_before_release = false
        }),
        driven("forgets what no store shows yet", busy, |rules| {
            rules.remembers = false
        }),
        driven("forgets what was sent when the answer is lost", second, |rules| {
            rules.keeps_lost = false
        }),
        driven("asks no other policy what it has under way", second, |rules| {
            rules.asks_others = false
        }),
        decided("creates again what a person deleted", second, makes_again),
        decided("leaves what is begun out of the limits", busy, forgets_the_begun),
        decided("counts only objects that still exist", today, forgets_the_deleted),
        decided("believes no time that has not come", today, forgets_the_future),
        decided(
            "waits until a time that has not come",
            "L10, progress",
            waits_for_the_future,
        ),
        decided(
            "ignores the older policy",
            "the younger policy",
            ignores_the_older,
        ),
        decided(
            "takes an unknown list for an empty one",
            "is not known",
            unknown_is_empty,
        ),
        decided("takes a plan for no load", busy, plans_are_free),
        decided(
            "does not ask whether a name is taken",
            "the short name of",
            takes_any_name,
        ),
        decided(
            "leaves what another process has begun",
            "L10, progress",
            never_resumes,
        ),
    ]
}

fn driven(what: &'static str, law: &'static str, change: impl FnOnce(&mut Rules)) -> Variant {
    let mut rules = Rules::default();
    change(&mut rules);
    Variant { what, rules, law }
}

fn decided(what: &'static str, law: &'static str, decide: Decide) -> Variant {
    driven(what, law, |rules| rules.decide = decide)
}

/// Lets the product decide about other leads and objects than there are.
fn about<'a>(
    given: &Given<'_, '_>,
    leads: impl Iterator<Item = Candidate<'a>>,
    services: &[MadeService<'a>],
    memory: &mut OnboardingMemory,
) -> OnboardingDecision {
    lead_policy::decide(given.now, given.rule, given.platform.0, leads, services, memory)
}

fn makes_again(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let forgotten = given.leads.iter().map(|lead| match lead.mark {
        LeadMark::Made { .. } => Candidate {
            mark: LeadMark::None,
            ..*lead
        },
        _ => *lead,
    });
    about(given, forgotten, given.services, memory)
}

fn forgets_the_begun(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let is_begun = |lead: &&Candidate<'_>| {
        matches!(lead.mark, LeadMark::Begun { .. }) && lead.object == NamedLikeLead::None
    };
    let begun = given.leads.iter().copied().filter(|lead| is_begun(&lead));
    let mut first = about(given, begun, given.services, &mut memory.clone());
    let others = given.leads.iter().copied().filter(|lead| !is_begun(&lead));
    let second = about(given, others, given.services, memory);
    let new = |action: &lead_policy::OnboardingAction| {
        !matches!(action, lead_policy::OnboardingAction::Finish { .. })
    };
    first.actions.retain(new);
    first.actions.extend(second.actions);
    first
}

fn forgets_the_deleted(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let untimed = given.leads.iter().map(|lead| match lead.mark {
        LeadMark::Made { policy, .. } => Candidate {
            mark: LeadMark::Made { policy, at: None },
            ..*lead
        },
        _ => *lead,
    });
    about(given, untimed, given.services, memory)
}

/// Gives objects and marks whose time has not come another time.
fn with_future(given: &Given<'_, '_>, memory: &mut OnboardingMemory, instead: Time) -> OnboardingDecision {
    let time = |at: Time| {
        if at > given.now + Duration::from_secs(300) {
            instead
        } else {
            at
        }
    };
    let services: Vec<MadeService<'_>> = given
        .services
        .iter()
        .map(|service| MadeService {
            created: time(service.created),
            ..*service
        })
        .collect();
    let leads = given.leads.iter().map(|lead| match lead.mark {
        LeadMark::Made { policy, at } => Candidate {
            mark: LeadMark::Made {
                policy,
                at: at.map(time),
            },
            ..*lead
        },
        _ => *lead,
    });
    let mut decision = about(given, leads, &services, memory);
    for action in &mut decision.actions {
        // The marks are written with the objects' own times.
        if let lead_policy::OnboardingAction::Finish { name, made } = action
            && let Some(service) = services.iter().find(|service| service.name == name)
        {
            *made = service.created;
        }
    }
    decision
}

fn forgets_the_future(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    with_future(given, memory, Time(0))
}

fn waits_for_the_future(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    with_future(given, memory, given.now)
}

fn ignores_the_older(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let alone = given.leads.iter().map(|lead| Candidate {
        older_policy: None,
        ..*lead
    });
    about(given, alone, given.services, memory)
}

fn unknown_is_empty(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let taken = given.platform.1;
    let platform = (PlatformNames::Known(taken), taken);
    real(&Given { platform, ..*given }, memory)
}

fn plans_are_free(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let mut decision = real(given, memory);
    if given
        .rule
        .is_some_and(|rule| rule.mode == oc_domain::service::Mode::Apply && !rule.suspended)
    {
        let plans = given.services.iter().filter(|service| service.untouched_plan);
        let all = plans.map(|service| lead_policy::OnboardingAction::Adjust {
            name: service.name.to_owned(),
        });
        decision.actions.extend(all);
    }
    decision
}

fn takes_any_name(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let free = |_: &str| false;
    let names = match given.platform.0 {
        PlatformNames::Known(_) => PlatformNames::Known(&free),
        unknown @ PlatformNames::Unknown(_) => unknown,
    };
    let leads = given.leads.iter().copied();
    lead_policy::decide(given.now, given.rule, names, leads, given.services, memory)
}

fn never_resumes(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let mut decision = real(given, memory);
    decision
        .actions
        .retain(|action| !matches!(action, lead_policy::OnboardingAction::Make(_)));
    decision
}

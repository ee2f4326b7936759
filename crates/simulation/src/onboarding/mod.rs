//! The rules that onboard, by themselves: the product's decision about `LeadPolicy` objects, against a small
//! cluster in which stores lag, answers are lost, processes die between any two writes, clocks jump, and people
//! delete and restore what the rules have written. Law L10 is judged at each create, by what the API server has.

pub mod process;
mod story;
pub mod variants;
mod view;
pub mod world;

use oc_domain::lead_policy::{
    self, Candidate, MadeService, OnboardingDecision, OnboardingMemory, OnboardingRule, PlatformNames,
};
use oc_domain::time::Time;

pub use story::{play, tell};
pub use world::{Counts, World};

use crate::tape;

/// The platform as the decision is told of it, and whether a short name is taken.
pub type Platform<'a> = (PlatformNames<'a>, &'a dyn Fn(&str) -> bool);

/// What a decision about a policy is told.
#[derive(Clone, Copy)]
pub struct Given<'a, 'b> {
    /// The time.
    pub now: Time,
    /// The policy; `None` if it is gone.
    pub rule: Option<&'b OnboardingRule<'b>>,
    /// The platform.
    pub platform: Platform<'b>,
    /// The leads of the namespace.
    pub leads: &'b [Candidate<'a>],
    /// The services that the policy has created.
    pub services: &'b [MadeService<'a>],
}

/// A decision about a policy.
pub type Decide = fn(&Given<'_, '_>, &mut OnboardingMemory) -> OnboardingDecision;

/// How the operator plays: its decision, and what its driver must do by the contract of the decision.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The decision.
    pub decide: Decide,
    /// It writes the mark before it creates the object.
    pub marks_first: bool,
    /// It reads a Lead itself, and not the store, before it creates what was begun.
    pub reads_live: bool,
    /// It creates objects with the finalizer.
    pub finalizer: bool,
    /// It writes marks on condition of the version that it has seen.
    pub conditional: bool,
    /// It writes the mark before it takes the finalizer off.
    pub mark_before_release: bool,
    /// It remembers what it has written.
    pub remembers: bool,
    /// It remembers what it has sent when the answer is lost.
    pub keeps_lost: bool,
    /// It leaves a lead for which another policy may have sent a service.
    pub asks_others: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            decide: real,
            marks_first: true,
            reads_live: true,
            finalizer: true,
            conditional: true,
            mark_before_release: true,
            remembers: true,
            keeps_lost: true,
            asks_others: true,
        }
    }
}

/// The product's decision.
pub fn real(given: &Given<'_, '_>, memory: &mut OnboardingMemory) -> OnboardingDecision {
    let leads = given.leads.iter().copied();
    lead_policy::decide(
        given.now,
        given.rule,
        given.platform.0,
        leads,
        given.services,
        memory,
    )
}

/// Plays the stories of these seeds until one breaks a law that contains this text. Returns what happened in
/// them, and the seed and the laws of the broken one.
pub fn search(seeds: std::ops::Range<u64>, rules: &Rules, law: &str) -> (Counts, Option<(u64, Vec<String>)>) {
    let mut all = Counts::default();
    for seed in seeds {
        let world = play(&tape::tape(seed), rules, false);
        all.add(&world.counts);
        if world.broken.iter().any(|broken| broken.contains(law)) {
            return (all, Some((seed, world.broken)));
        }
    }
    (all, None)
}

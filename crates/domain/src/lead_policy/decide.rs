//! The decision for one rule.

use super::{Candidate, MadeService, OnboardingDecision, OnboardingMemory, OnboardingRule, PlatformNames};
use crate::time::Time;

/// Decides what a rule does next. `leads` are all Leads of the rule's namespace, `services` all objects with the
/// rule's label there, both in any order. A rule that was deleted is given as `None`: only what was begun is
/// finished.
pub fn decide<'a>(
    _now: Time,
    _rule: Option<&OnboardingRule<'_>>,
    _platform: PlatformNames<'_>,
    _leads: impl Iterator<Item = Candidate<'a>>,
    _services: &[MadeService<'a>],
    _memory: &mut OnboardingMemory,
) -> OnboardingDecision {
    OnboardingDecision::default()
}

//! What a platform object says about discovery.

use crate::conditions::{ConditionStatus, Reason, Trouble};
use crate::names::TenantId;

use super::refusal::ClusterRefusal;

/// What prevents some objects from being created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// What it is.
    pub refusal: ClusterRefusal,
    /// How many leads it concerns.
    pub count: usize,
    /// The lead that it happened to first.
    pub first: TenantId,
    /// The words for that lead: the API server's own, if it has refused.
    pub said: String,
}

/// The state of discovery on one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryReport {
    /// Leads that the rules want.
    pub matched: usize,
    /// Those that have an object.
    pub present: usize,
    /// Those that have an object which the operator has created.
    pub made: usize,
    /// Those whose object could not be created.
    pub failed: usize,
    /// Why not, in the order in which it is reported.
    pub hindrances: Vec<Hindrance>,
}

impl DiscoveryReport {
    /// The value of the condition `LeadsDiscovered`.
    pub fn condition(&self, namespace: &str) -> (ConditionStatus, Reason, String) {
        match self.hindrances.first() {
            Some(first) => (
                ConditionStatus::False,
                first.refusal.reason(),
                self.words(namespace),
            ),
            None if self.present < self.matched => (
                ConditionStatus::False,
                Reason::Progressing,
                format!("Lead objects are being created in the namespace {namespace}."),
            ),
            None => (
                ConditionStatus::True,
                Reason::Succeeded,
                "Every lead that spec.leadDiscovery wants has a Lead object.".to_owned(),
            ),
        }
    }

    /// The trouble of the platform object itself: its spec can't be followed in the cluster as it is.
    pub fn trouble(&self, namespace: &str) -> Option<Trouble> {
        let first = self.hindrances.first()?;
        (first.refusal.reason() == Reason::InvalidSpec)
            .then(|| Trouble::new(Reason::InvalidSpec, self.words(namespace)))
    }

    /// What is in the way and what to do about it; empty if there is nothing.
    pub fn words(&self, namespace: &str) -> String {
        let mut words = String::new();
        for hindrance in &self.hindrances {
            let Hindrance {
                count, first, said, ..
            } = hindrance;
            let leads = if *count == 1 {
                "1 lead has".to_owned()
            } else {
                format!("{count} leads have")
            };
            let advice = hindrance.refusal.advice();
            words.push_str(&format!(
                "spec.leadDiscovery: {leads} no Lead object in the namespace {namespace}. For tenant {first}: {said}. {advice} "
            ));
        }
        if !words.is_empty() {
            words.push_str("The operator tries again, and everything else goes on.");
        }
        words
    }
}

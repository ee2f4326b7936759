//! The types of conditions. Which reasons each may have is the contract that every status is held to, in `crates/status-rules`; what a reason means, and whose
//! move it is, is said once, in [`oc_domain::conditions::Reason`].

/// The types of conditions. `Ready` is always there. `Reconciling` and `Stalled` are there only while true, and never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Whether all that the object asks for is so, and was read back from the platform. Every kind has it, always.
    Ready,
    /// Whether the operator is at work on the object, or waits for what comes by itself. Removed when it is not.
    Reconciling,
    /// Whether a person must act before it can go on. The operator looks again all the same, slowly. Removed when it is over.
    Stalled,
    /// Whether the platform shows what it should, synchronization jobs included. Leads and services have it.
    Synced,
    /// Whether the tenant's lead may get a license. Services have it.
    LeadEligible,
    /// Whether deletions wait at the breaker (`spec.deletions.perHour`). Platforms have it, only while it is so.
    DeletionsHeld,
    /// Whether more is missing from the platform's lists than vanishes by itself, so that nothing is concluded from that. Platforms have it, only
    /// while it is so.
    AbsencesHeld,
}

impl ConditionType {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Synced,
        Self::LeadEligible,
        Self::DeletionsHeld,
        Self::AbsencesHeld,
    ];

    /// The type, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Synced => "Synced",
            Self::LeadEligible => "LeadEligible",
            Self::DeletionsHeld => "DeletionsHeld",
            Self::AbsencesHeld => "AbsencesHeld",
        }
    }

    /// The type of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

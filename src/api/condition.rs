//! The conditions of the custom resources, as a contract: which there are, which way they point, and the reasons that each may have.
//!
//! `Ready` is always there. `Reconciling` and `Stalled` are there only while true, and never both. What a reason means, and whose
//! move it is, is said once, in [`oc_domain::conditions::Reason`].

use std::fmt;

use oc_domain::conditions::{Reason, Truth};

/// The types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Whether all that the object asks for is so, and was read back from the platform. Every kind has it, always.
    ///
    /// Possible reasons for it to be True: `Succeeded`, `Observing`.
    ///
    /// Possible reasons for it to be False: all but `Succeeded`. `Suspended` and `Observing` stand for an object that is left alone
    /// while it is not as it should be.
    ///
    /// Possible reasons for it to be Unknown: `Progressing` (no operator has seen the object yet; this is the schema's default),
    /// `PlatformNotFound`, `AuthenticationFailed`, `PlatformUnavailable`, `Throttled` (the platform can't be read), `Suspended`,
    /// `Observing` (nothing was read before).
    ///
    /// Polarity: positive. True is good.
    Ready,
    /// Whether the operator is at work on the object, or waits for what comes by itself. Removed when it is not.
    ///
    /// Possible reasons for it to be True: `Progressing`, `Converting`, `Verifying`, `Deleting`, `ProgressingWithRetry`,
    /// `AwaitingLeadsJob`, `AwaitingTrunksJob`, `PlatformUnavailable`, `Throttled`.
    ///
    /// It is never False or Unknown.
    ///
    /// Polarity: abnormal-true. Its absence is good.
    Reconciling,
    /// Whether a person must act before it can go on. The operator looks again all the same, slowly. Removed when it is over.
    ///
    /// Possible reasons for it to be True: `InvalidSpec`, `ShortNameTaken`, `Conflict`, `LeadNotFound`, `LeadNotActive`,
    /// `AlreadyLicensed`, `ChannelMismatch`, `NamespaceNotAllowed`, `DeletedExternally`, `PlanReady`, `DeletionBlocked`,
    /// `TaskFailed`, `PlatformRefused`, `PlatformNotFound`, `AuthenticationFailed`, `DeletionRateExceeded`, `AbsenceUnconfirmed`;
    /// `PlatformUnavailable` and `Throttled` after many tries.
    ///
    /// It is never False or Unknown.
    ///
    /// Polarity: abnormal-true. Its absence is good.
    Stalled,
    /// Whether the platform shows what it should, synchronization jobs included. Leads and services have it.
    ///
    /// Possible reasons for it to be True: `Succeeded`.
    ///
    /// Possible reasons for it to be False: `Progressing`, `Converting`, `Verifying`, `AwaitingLeadsJob`, `AwaitingTrunksJob`,
    /// `DeletedExternally`, `LeadNotFound`, `Conflict` (the service differs from the spec, and no call changes it; or it was taken
    /// over, and what the spec says of it can't be compared).
    ///
    /// Possible reasons for it to be Unknown: `Progressing`, `PlatformNotFound`, `AuthenticationFailed`, `PlatformUnavailable`,
    /// `Throttled`.
    ///
    /// Polarity: positive. True is good.
    Synced,
    /// Whether the tenant's lead may get a license. Services have it.
    ///
    /// Possible reasons for it to be True: `Succeeded`.
    ///
    /// Possible reasons for it to be False: `LeadNotFound`, `LeadNotActive`, `AlreadyLicensed`, `ChannelMismatch`.
    ///
    /// Possible reasons for it to be Unknown: `Progressing`, `PlatformNotFound`, `AuthenticationFailed`, `PlatformUnavailable`,
    /// `Throttled`.
    ///
    /// Polarity: positive. True is good.
    LeadEligible,
    /// Whether deletions wait at the breaker (`spec.deletions.perHour`). Platforms have it, only while it is so.
    ///
    /// Possible reasons for it to be True: `DeletionRateExceeded`.
    ///
    /// Polarity: abnormal-true. Its absence is good.
    DeletionsHeld,
    /// Whether more is missing from the platform's lists than vanishes by itself, so that nothing is concluded from that. Platforms have it, only
    /// while it is so.
    ///
    /// Possible reasons for it to be True: `AbsenceUnconfirmed`.
    ///
    /// Polarity: abnormal-true. Its absence is good.
    AbsencesHeld,
}

/// Which way a condition points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Polarity {
    /// True is good.
    Positive,
    /// It is there only while something is not as usual.
    AbnormalTrue,
}

/// The platform can't be read.
const UNREADABLE: [Reason; 4] = [Reason::PlatformNotFound, Reason::AuthenticationFailed, Reason::PlatformUnavailable, Reason::Throttled];

impl ConditionType {
    /// Every type.
    pub const ALL: [Self; 7] = [Self::Ready, Self::Reconciling, Self::Stalled, Self::Synced, Self::LeadEligible, Self::DeletionsHeld, Self::AbsencesHeld];

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

    /// Which way it points.
    pub fn polarity(self) -> Polarity {
        match self {
            Self::Reconciling | Self::Stalled | Self::DeletionsHeld | Self::AbsencesHeld => Polarity::AbnormalTrue,
            Self::Ready | Self::Synced | Self::LeadEligible => Polarity::Positive,
        }
    }

    /// Whether the contract above allows this reason with this value.
    pub fn allows(self, truth: Truth, reason: Reason) -> bool {
        use Reason::*;
        match (self, truth) {
            (Self::Ready, Truth::True) => matches!(reason, Succeeded | Observing),
            (Self::Ready, Truth::False) => reason != Succeeded,
            (Self::Ready, Truth::Unknown) => matches!(reason, Progressing | Suspended | Observing) || UNREADABLE.contains(&reason),
            (Self::Stalled, Truth::True) => reason.stalls() || matches!(reason, PlatformUnavailable | Throttled),
            (Self::Reconciling, Truth::True) => !reason.stalls() && !matches!(reason, Succeeded | Suspended | Observing),
            (Self::DeletionsHeld, Truth::True) => reason == DeletionRateExceeded,
            (Self::AbsencesHeld, Truth::True) => reason == AbsenceUnconfirmed,
            (Self::Stalled | Self::Reconciling | Self::DeletionsHeld | Self::AbsencesHeld, Truth::False | Truth::Unknown) => false,
            (Self::Synced | Self::LeadEligible, Truth::True) => reason == Succeeded,
            (Self::Synced | Self::LeadEligible, Truth::Unknown) => reason == Progressing || UNREADABLE.contains(&reason),
            (Self::Synced, Truth::False) => {
                matches!(reason, Progressing | Converting | Verifying | AwaitingLeadsJob | AwaitingTrunksJob | DeletedExternally | LeadNotFound | Conflict)
            }
            (Self::LeadEligible, Truth::False) => matches!(reason, LeadNotFound | LeadNotActive | AlreadyLicensed | ChannelMismatch),
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{ConditionType, Reason, Truth};

    fn reasons(kind: ConditionType, truth: Truth) -> Vec<String> {
        Reason::ALL.into_iter().filter(|reason| kind.allows(truth, *reason)).map(|reason| reason.to_string()).collect()
    }

    #[test]
    fn reasons_of_work_and_of_waiting_for_a_person_are_those_that_are_documented() {
        assert_eq!(
            reasons(ConditionType::Reconciling, Truth::True).join(" "),
            "Progressing Converting Verifying Deleting ProgressingWithRetry AwaitingLeadsJob AwaitingTrunksJob PlatformUnavailable Throttled"
        );
        assert_eq!(
            reasons(ConditionType::Stalled, Truth::True).join(" "),
            "InvalidSpec ShortNameTaken Conflict LeadNotFound LeadNotActive AlreadyLicensed ChannelMismatch NamespaceNotAllowed DeletedExternally \
             PlanReady DeletionBlocked TaskFailed PlatformRefused PlatformNotFound AuthenticationFailed PlatformUnavailable Throttled DeletionRateExceeded \
             AbsenceUnconfirmed"
        );
    }

    #[test]
    fn no_reason_is_without_a_place() {
        for reason in Reason::ALL {
            let placed = [Truth::True, Truth::False, Truth::Unknown].into_iter().any(|truth| ConditionType::Ready.allows(truth, reason));
            assert!(placed, "{reason}");
        }
    }
}

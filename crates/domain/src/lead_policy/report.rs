//! What a rule says about its leads.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::time::Time;

/// A lead that the rule wants and gives no object, until somebody does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLead {
    /// The name of the Lead.
    pub lead: String,
    /// Says whose move it is.
    pub reason: Reason,
    /// What happened and what to do.
    pub message: String,
}

/// The numbers for status. Leads that match are either created for (`made`, or created earlier and deleted by
/// a person), served by another object, not eligible, refused, or waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnboardingCounts {
    /// Leads that the selector and the expressions want.
    pub matched: usize,
    /// Objects that the rule has created and that exist.
    pub made: usize,
    /// Of these, those that are Ready.
    pub ready: usize,
    /// Leads that get an object when the limits allow it, those that are begun included.
    pub waiting: usize,
    /// Leads that are refused.
    pub refused: usize,
    /// Leads that match and may not become a service now: not Active, or licensed already. Each Lead says why
    /// in its condition `LeadEligible`. They are not refused: nobody has to do anything about the rule.
    pub not_eligible: usize,
    /// When the rule created the last object.
    pub last_made: Option<Time>,
}

/// Why leads wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `spec.suspend`.
    Suspended,
    /// The list of services is not known.
    Platform(Trouble),
    /// The cluster refuses all objects, in these words.
    Cluster(Trouble),
    /// `limits.inProgress`: until an object is Ready.
    InProgress,
    /// `limits.perDay`: until this time.
    PerDay(Time),
}

impl super::OnboardingDecision {
    /// What the policy's conditions say. A policy is Ready when it is followed: leads that wait or are refused
    /// are no fault of it, and new ones arrive forever. Status counts them.
    pub fn verdict(&self) -> Verdict {
        match &self.hold {
            Some(Hold::Suspended) => Verdict::not_ready(
                Reason::Suspended,
                "spec.suspend is true: no service is created by this policy.",
            ),
            Some(Hold::Platform(trouble) | Hold::Cluster(trouble)) => Verdict::trouble(trouble),
            Some(Hold::InProgress | Hold::PerDay(_)) | None => Verdict::ready(self.words()),
        }
    }

    fn words(&self) -> &'static str {
        match (&self.hold, self.counts.refused) {
            (Some(Hold::PerDay(_)), 0) => "More leads wait because spec.limits.perDay is reached.",
            (Some(Hold::PerDay(_)), _) => {
                "More leads wait because spec.limits.perDay is reached, and some are refused: status.refusals says why."
            }
            (Some(_), 0) => "More leads wait because spec.limits.inProgress is reached.",
            (Some(_), _) => {
                "More leads wait because spec.limits.inProgress is reached, and some are refused: status.refusals says why."
            }
            (None, 0) => "Every lead that this policy selects and that is eligible has its service object.",
            (None, _) => "Some leads are refused: status.refusals says why.",
        }
    }
}

//! `LeadPolicy`: a rule by which leads become service objects, and how many at a time.
//!
//! One service object for a lead, once. Three writes make that certain, each of which can be repeated:
//!
//! 1. The annotation on the Lead says that its object is about to be created ([`LeadMark::Begun`]).
//! 2. The object is created under the Lead's name, with the finalizer `operatorconnect.dev/onboarding`.
//! 3. The annotation says that it was created ([`LeadMark::Made`]), and then the finalizer is taken off.
//!
//! The finalizer keeps the object from disappearing before the Lead says that it was created. So "begun, and no
//! object" means that the object was never created, and "made, and no object" that a person deleted it.

mod decide;
mod limits;
mod mark;
mod memory;
mod names;
mod refusal;
mod report;

pub use self::decide::decide;
pub use self::mark::LeadMark;
pub use self::memory::OnboardingMemory;
pub use self::names::{fit_full_name, fit_short_name};
pub use self::report::{Hold, OnboardingCounts, RefusedLead};

use crate::conditions::{Reason, Trouble};
use crate::names::{ShortNameRule, TenantId};
use crate::service::Mode;
use crate::time::Time;

/// The annotation of a Lead that says which rule has created its service object.
pub const ONBOARDED_BY: &str = "operatorconnect.dev/onboarded-by";

/// The finalizer of a service object whose Lead does not say yet that it was created.
pub const ONBOARDING_FINALIZER: &str = "operatorconnect.dev/onboarding";

/// How many refusals a decision lists. The others are counted.
pub const MOST_REFUSALS: usize = 50;

/// How many service objects a rule may create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLimits {
    /// How many of them may be not Ready yet.
    pub in_progress: u32,
    /// How many may be created in 24 hours.
    pub per_day: u32,
}

impl Default for RuleLimits {
    fn default() -> Self {
        Self {
            in_progress: 5,
            per_day: 50,
        }
    }
}

/// What to do about a short name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collision {
    /// Append a number: `Contoso_2`.
    #[default]
    Number,
    /// Leave the lead to a person.
    Refuse,
}

/// A `LeadPolicy`, as far as the decision needs it.
#[derive(Clone, Copy, Debug)]
pub struct OnboardingRule<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `spec.limits`.
    pub limits: RuleLimits,
    /// `spec.names.onCollision`.
    pub collision: Collision,
    /// The characters that the platform allows in a short name.
    pub short_names: ShortNameRule,
    /// `spec.template.spec.mode`.
    pub mode: Mode,
    /// `spec.suspend`.
    pub suspended: bool,
}

/// What the selector and the expressions say about a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMatch<'a> {
    /// The rule does not want it: selector, platform, an expression that is false; or the Lead is being deleted.
    No,
    /// The rule wants it.
    Yes {
        /// The result of `spec.names.shortName`, transliterated to ASCII.
        short_name: &'a str,
        /// The result of `spec.names.fullName`.
        full_name: &'a str,
    },
    /// An expression fails for this lead. The message names the field, the error, and what to do.
    Failed(&'a str),
}

/// How far a service object is, as the limit counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not Ready yet: it occupies one of `limits.inProgress`.
    InProgress,
    /// Nobody works on it: a plan that is complete, or an object that is only observed, suspended or being
    /// deleted.
    Settled,
    /// Ready.
    Ready,
}

impl Progress {
    /// How far an object is. `ready` and `reason` are those of its condition `Ready`, if that is for the
    /// present generation.
    pub fn of(deleting: bool, ready: bool, reason: Option<Reason>) -> Self {
        match reason {
            _ if deleting => Self::Settled,
            _ if ready => Self::Ready,
            Some(Reason::PlanReady | Reason::Observing | Reason::Suspended) => Self::Settled,
            _ => Self::InProgress,
        }
    }
}

/// A service object that the rule has created: it has the label `operatorconnect.dev/lead-policy` with the
/// rule's name. It has the name of its Lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeService<'a> {
    /// `metadata.name`, which is the Lead's as well.
    pub name: &'a str,
    /// `metadata.creationTimestamp`.
    pub created: Time,
    /// How far it is.
    pub progress: Progress,
    /// Whether it has the finalizer [`ONBOARDING_FINALIZER`].
    pub held: bool,
    /// Whether `spec.mode` is Plan, nobody has changed the spec since the rule created the object
    /// (`metadata.generation` is 1), and the object is not being deleted.
    pub untouched_plan: bool,
}

/// The service object in the Lead's namespace that has the Lead's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedLikeLead<'a> {
    /// There is none.
    None,
    /// The rule has created it: it has the rule's label.
    Made(&'a MadeService<'a>),
    /// It is another policy's, or a person's.
    Other,
}

/// A Lead of the rule's namespace. All of them must be given, also those that the rule does not match.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.creationTimestamp`. The oldest is onboarded first; of two of one age, the first by name.
    pub created: Time,
    /// The tenant.
    pub tenant: TenantId,
    /// What the rule's selector and expressions say.
    pub matches: RuleMatch<'a>,
    /// Whether the tenant may become a service ([`crate::eligibility::may_become_service`]). False while that
    /// is not known.
    pub eligible: bool,
    /// Whether a service object stands for the tenant, in any namespace, or another policy may create one at any
    /// moment ([`OnboardingMemory::has_under_way`]).
    pub served: bool,
    /// The annotation [`ONBOARDED_BY`].
    pub mark: LeadMark<'a>,
    /// The oldest other policy (creation time, then name) of the namespace that matches the lead too and is
    /// older than this one, suspended or not.
    pub older_policy: Option<&'a str>,
    /// The service object with the Lead's name.
    pub object: NamedLikeLead<'a>,
}

/// What is known of the platform that the rule is for.
#[derive(Clone, Copy)]
pub enum PlatformNames<'a> {
    /// The list of services was read and is fresh, and has no unreadable entry. The function says whether the
    /// platform or any service object has a short name, which is given in lower case.
    Known(&'a dyn Fn(&str) -> bool),
    /// It is not known, for this reason. Nothing is created.
    Unknown(&'a Trouble),
}

/// One thing to do. They are independent of each other: if one fails, go on with the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnboardingAction {
    /// Write the mark [`LeadMark::begun_text`] on the Lead, on condition that it is the version that was given
    /// to the decision. If that write was answered with success, create the service object. Any other answer:
    /// do not create it.
    Begin(ServiceToCreate),
    /// The mark says that it was begun. Read the Lead from the API server, not from the store; if its mark is
    /// still the one that was given to the decision and it is not being deleted, create the service object. If
    /// the object exists already, that counts as created.
    Make(ServiceToCreate),
    /// The object exists. Write the mark [`LeadMark::made_text`] on the Lead unless it has that text, on
    /// condition of the version that was given; a Lead that is not found counts as written. Only after that
    /// was answered with success, take the finalizer [`ONBOARDING_FINALIZER`] off the object, if it is there, on
    /// condition of the object's version: a late request must not reach the next object of that name.
    Finish {
        /// The name of the Lead and of the object.
        name: String,
        /// The creation time of the object, for the mark.
        made: Time,
    },
    /// Set `spec.mode` of the object to Apply, on condition of the version that was given.
    Adjust {
        /// The name of the object.
        name: String,
    },
}

/// A service object to create. It has the Lead's name, refers to it, has the label
/// `operatorconnect.dev/lead-policy`, the finalizer [`ONBOARDING_FINALIZER`], and no owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToCreate {
    /// The name of the Lead and of the object.
    pub name: String,
    /// The tenant.
    pub tenant: TenantId,
    /// `spec.shortName`.
    pub short_name: String,
    /// `spec.fullName`.
    pub full_name: String,
}

/// What a decision wants done, and what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnboardingDecision {
    /// What to do, in this order.
    pub actions: Vec<OnboardingAction>,
    /// The oldest leads that are refused, at most [`MOST_REFUSALS`].
    pub refusals: Vec<RefusedLead>,
    /// The numbers for status.
    pub counts: OnboardingCounts,
    /// Why leads wait.
    pub hold: Option<Hold>,
    /// When to decide again though nothing has changed.
    pub again: Option<Time>,
}

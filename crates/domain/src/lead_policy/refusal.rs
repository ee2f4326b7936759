//! Why a rule gives a lead no object, and what to do about it.

use super::{MOST_REFUSALS, ONBOARDED_BY, RefusedLead};
use crate::conditions::Reason;
use crate::discovery::ClusterRefusal;
use crate::time::Time;

/// How much of an expression's result a message quotes.
const QUOTED: usize = 100;

/// A refused lead, before anything is written about it: only some of them are listed.
#[derive(Clone, Debug)]
pub(super) struct UntoldRefusal<'a> {
    pub(super) created: Time,
    pub(super) lead: &'a str,
    pub(super) why: Why<'a>,
}

/// Why a lead is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why<'a> {
    /// An expression fails; the message says which.
    Expression(&'a str),
    /// The expression for the short name gives nothing usable.
    NoShortName(&'a str),
    /// The expression for the full name gives a blank text.
    NoFullName,
    /// The short name is taken, and the rule appends no numbers.
    Taken(String),
    /// Every number is taken.
    AllTaken(String),
    /// An older policy wants it.
    OlderPolicy(&'a str),
    /// Another policy has begun with it.
    BegunBy(&'a str),
    /// The annotation can't be read.
    Unreadable,
    /// The object of that name is for something else.
    NameInUse,
    /// The API server refuses the object, in these words.
    Cluster(ClusterRefusal, String),
}

impl Why<'_> {
    fn reason(&self) -> Reason {
        match self {
            Self::Expression(_) | Self::NoShortName(_) | Self::NoFullName => Reason::InvalidSpec,
            Self::Taken(_) | Self::AllTaken(_) => Reason::ShortNameTaken,
            Self::OlderPolicy(_) | Self::BegunBy(_) | Self::Unreadable | Self::NameInUse => Reason::Conflict,
            Self::Cluster(refusal, _) => refusal.reason(),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Expression(message) => (*message).to_owned(),
            Self::NoShortName(text) => {
                let quoted: String = text.chars().take(QUOTED).collect();
                format!(
                    "spec.names.shortName gives {quoted:?} for this lead, which has no letter or digit that a short name may have. Change the expression, or create the OcEssentialService of this lead yourself."
                )
            }
            Self::NoFullName => "spec.names.fullName gives a blank text for this lead. Change the expression, or create the OcEssentialService of this lead yourself.".to_owned(),
            Self::Taken(name) => format!(
                "The short name {name:?} is taken, and spec.names.onCollision is Refuse. Set it to Number, or create the OcEssentialService of this lead yourself, with another short name."
            ),
            Self::AllTaken(name) => format!(
                "The short name {name:?} is taken, and so is every number after it. Change spec.names.shortName, or create the OcEssentialService of this lead yourself, with another short name."
            ),
            Self::OlderPolicy(policy) => format!(
                "The LeadPolicy {policy} selects this lead too and is older, so the lead is left to it. Narrow one of the two."
            ),
            Self::BegunBy(policy) => format!(
                "The LeadPolicy {policy} has begun with this lead, as its annotation {ONBOARDED_BY} says. If that policy is not to have it, remove the annotation."
            ),
            Self::Unreadable => format!(
                "The annotation {ONBOARDED_BY} of this Lead can't be read, so it is not known whether a service was created. Remove it if one is to be created."
            ),
            Self::NameInUse => "An OcEssentialService with the name of this Lead exists and is for another tenant, so the policy can't create one. Create the OcEssentialService of this lead yourself, under another name.".to_owned(),
            Self::Cluster(refusal, said) => format!(
                "The API server refuses the OcEssentialService of this lead: {said}. {}",
                advice(*refusal)
            ),
        }
    }
}

/// What to do about a refusal of the API server.
pub(super) fn advice(refusal: ClusterRefusal) -> &'static str {
    match refusal {
        ClusterRefusal::NotWatched | ClusterRefusal::NoNamespace => {
            "The namespace is being deleted, or the operator does not watch it."
        }
        ClusterRefusal::NoRight => {
            "Give the operator the permission to create OcEssentialService objects there; the chart's role has it."
        }
        ClusterRefusal::Quota => "Raise the quota, or narrow the policy.",
        ClusterRefusal::Policy | ClusterRefusal::NameTaken => {
            "Change spec.template, or what refuses it, or narrow the policy."
        }
    }
}

/// The oldest refusals, with their messages.
pub(super) fn list(mut refused: Vec<UntoldRefusal<'_>>) -> Vec<RefusedLead> {
    refused.sort_unstable_by_key(|refusal| (refusal.created, refusal.lead));
    refused
        .iter()
        .take(MOST_REFUSALS)
        .map(|refusal| RefusedLead {
            lead: refusal.lead.to_owned(),
            reason: refusal.why.reason(),
            message: refusal.why.message(),
        })
        .collect()
}

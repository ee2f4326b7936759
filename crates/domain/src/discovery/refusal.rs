//! Why an object for a lead could not be created, and whose move it is.

use crate::conditions::Reason;

/// What the cluster has against an object, in the order in which it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterRefusal {
    /// The operator does not watch the namespace, so it would not see the object.
    NotWatched,
    /// The namespace does not exist, or is being deleted.
    NoNamespace,
    /// The operator has no permission to create leads in the namespace.
    NoRight,
    /// A quota of the namespace is used up.
    Quota,
    /// An admission policy, a webhook or the schema refuses the object.
    Policy,
    /// Something else has every name that the object could get.
    NameTaken,
}

impl ClusterRefusal {
    /// Returns why the API server refuses to create an object, from its status code and its sentence; `None`
    /// if it says nothing about the object. The API server tells a missing permission, a used-up quota and a
    /// policy apart by the sentence only.
    pub fn parse(code: u16, sentence: &str) -> Option<Self> {
        match code {
            404 => Some(Self::NoNamespace),
            409 => Some(Self::NameTaken),
            401 | 408 | 429 | 500.. => None,
            _ if sentence.contains("cannot create resource") => Some(Self::NoRight),
            _ if sentence.contains("exceeded quota") => Some(Self::Quota),
            _ if sentence.contains("is being terminated") => Some(Self::NoNamespace),
            _ => Some(Self::Policy),
        }
    }

    /// Whether it concerns every object in the namespace, so that there is no point in trying the others.
    pub fn concerns_all(self) -> bool {
        matches!(self, Self::NotWatched | Self::NoNamespace | Self::NoRight)
    }

    /// The reason to report.
    pub fn reason(self) -> Reason {
        match self {
            Self::NotWatched | Self::NoNamespace => Reason::InvalidSpec,
            Self::NoRight | Self::Quota | Self::Policy => Reason::ClusterRefused,
            Self::NameTaken => Reason::Conflict,
        }
    }

    /// What a person can do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NotWatched => {
                "Name a namespace in spec.leadDiscovery.namespace that the operator watches, or have it watch this one."
            }
            Self::NoNamespace => "Create the namespace, or name another one in spec.leadDiscovery.namespace.",
            Self::NoRight => {
                "Give the operator the permission to create leads there; the chart's role has it."
            }
            Self::Quota => "Raise the quota, or narrow the rules of spec.leadDiscovery.",
            Self::Policy => {
                "Change what refuses it, or leave the lead out by the rules of spec.leadDiscovery."
            }
            Self::NameTaken => {
                "Name another namespace in spec.leadDiscovery.namespace, or leave the tenant out with spec.leadDiscovery.excludeTenants."
            }
        }
    }
}

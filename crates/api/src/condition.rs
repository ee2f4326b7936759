//! Conditions, and their types.
//!
//! `crates/status-rules` defines which reasons each type may have; every status is checked against it.
//! [`oc_domain::conditions::Reason`] defines what a reason means and whose move it is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One aspect of the state of an object: `metav1.Condition`, read and written as that one is.
///
/// Each of its words is a string of its own there, and an object is read several times on its way. Here the usual
/// words need no allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// When the status last changed.
    #[serde(serialize_with = "crate::written::required_time")]
    pub last_transition_time: Time,
    /// What happened, in plain words.
    #[serde(default)]
    pub message: SmolStr,
    /// The `metadata.generation` that the condition describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Why, in one word.
    #[serde(default)]
    pub reason: SmolStr,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: SmolStr,
    /// The condition's type: one of [`ConditionType`], or that of another controller.
    #[serde(default, rename = "type")]
    pub type_: SmolStr,
}

/// A condition type. `Ready` is always present. `Reconciling` and `Stalled` are present only while true, and
/// never together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Whether everything the object specifies exists and was read back from the platform. Always present, on
    /// every kind.
    Ready,
    /// Whether the operator is working on the object, or waiting for something that happens without a person.
    /// Removed otherwise.
    Reconciling,
    /// Whether a person must act before the operator can continue. The operator still retries, slowly.
    /// Removed once resolved.
    Stalled,
    /// Whether the platform shows what it should, synchronization jobs included. On leads and services.
    Synced,
    /// Whether the tenant's lead may become a service. On leads and services.
    LeadEligible,
    /// Whether every lead that `spec.leadDiscovery` wants has an object. On platforms with discovery.
    LeadsDiscovered,
    /// Whether deletions are held back by the limit `spec.deletions.perHour`. On platforms, only while true.
    DeletionsHeld,
    /// Whether more is missing from the platform's lists than normally disappears, so that the operator draws
    /// no conclusions from it. On platforms, only while true.
    AbsencesHeld,
}

impl ConditionType {
    /// All condition types.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Synced,
        Self::LeadEligible,
        Self::LeadsDiscovered,
        Self::DeletionsHeld,
        Self::AbsencesHeld,
    ];

    /// Returns the type as it is written in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Synced => "Synced",
            Self::LeadEligible => "LeadEligible",
            Self::LeadsDiscovered => "LeadsDiscovered",
            Self::DeletionsHeld => "DeletionsHeld",
            Self::AbsencesHeld => "AbsencesHeld",
        }
    }

    /// Parses a type as it is written in `status`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

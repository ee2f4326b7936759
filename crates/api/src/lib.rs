//! The custom resources: what a user can specify, what the API server rejects, and what the operator reports
//! in `status`.
//!
//! Doc comments on the types become the text of `kubectl explain`, so they address users. The validation
//! rules are in `schema` and next to the fields; [`crds`] adds what the derive can't express.

#![allow(
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "the texts of kubectl explain are no HTML"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "columns are attributes, and many are texts"
)]

pub mod common;
pub mod condition;
pub mod crds;
pub mod lead;
pub mod lead_discovery;
pub mod lead_policy;
pub mod live_platform;
mod schema;
pub mod service;
mod words;
mod written;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use common::{
    ConfigMapKeyRef, DEFAULT_PLATFORM, DeletionPolicy, Interval, JobStatus, LeadOrigin, LocalRef, ObjectRef,
    Operation, SecretKeyRef,
};
pub use condition::{Condition, ConditionType};
pub use lead::{Consentless, Contact, Lead, LeadSpec, LeadStatus, OtherLead};
pub use lead_discovery::{DiscoveredStatus, LeadDiscovery, LeadDiscoveryStatus};
pub use lead_policy::{LeadPolicy, LeadPolicySpec, LeadPolicyStatus, LeadRefusal};
pub use live_platform::{LivePlatform, LivePlatformSpec, LivePlatformStatus};
pub use service::{OcEssentialService, OcEssentialServiceSpec, OcEssentialServiceStatus};
pub use words::{CapabilityState, CircuitState, OperationKind, Outcome, SyncState};

/// The definitions of all kinds, as derived from their types.
fn derived() -> Vec<CustomResourceDefinition> {
    vec![
        LivePlatform::crd(),
        Lead::crd(),
        OcEssentialService::crd(),
        LeadPolicy::crd(),
    ]
}

/// The API group.
pub const GROUP: &str = "operatorconnect.dev";

/// The API version.
pub const VERSION: &str = "v1alpha1";

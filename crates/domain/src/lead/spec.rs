//! The spec of a lead object, and the target that follows from it.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{ChannelId, TenantId};

/// The desired state of a lead, parsed from its spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredLead {
    /// `spec.msTenantId`.
    pub tenant: TenantId,
    /// `spec.consentless.companyName`: when the platform has no lead, create one with this name.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// Another object for the same tenant at the same place that outranks this one.
    pub rival: Option<String>,
    /// The cluster has an `OcEssentialService` for the same tenant at the same place.
    pub served: bool,
}

/// The target state of a lead object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeadTarget {
    /// The lead is as its spec says.
    Present(DesiredLead),
    /// Nothing changes: `spec.suspend`.
    Suspended,
    /// The target is unknown, because the spec is invalid.
    Invalid(Trouble),
    /// Deleted.
    Absent {
        /// `spec.deletionPolicy`
        policy: DeletionPolicy,
        /// `spec.msTenantId`, if it is one.
        tenant: Option<TenantId>,
        /// `spec.suspend`
        suspended: bool,
    },
}

/// The parts of a lead object that decide its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadSpec {
    /// The object is being deleted.
    pub deleting: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.msTenantId`; `Err` says why it is invalid.
    pub tenant: Result<TenantId, Trouble>,
    /// `spec.consentless.companyName`, if the operator may create the lead.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// The cluster has an `OcEssentialService` for the same tenant at the same place.
    pub served: bool,
}

impl LeadSpec {
    /// Returns the target of this object. `rival` describes an object that outranks it, for the message.
    pub fn target(self, rival: Option<String>) -> LeadTarget {
        if self.deleting {
            return LeadTarget::Absent {
                policy: self.deletion_policy,
                tenant: self.tenant.ok(),
                suspended: self.suspended,
            };
        }
        match self.tenant {
            _ if self.suspended => LeadTarget::Suspended,
            Err(unclear) => LeadTarget::Invalid(unclear),
            Ok(tenant) => LeadTarget::Present(DesiredLead {
                tenant,
                consentless: self.consentless,
                channel: self.channel,
                deletion_policy: self.deletion_policy,
                rival,
                served: self.served,
            }),
        }
    }
}

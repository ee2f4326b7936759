//! What a lead object asks for, and what it is to become.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{ChannelId, TenantId};

/// What the object's spec asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredLead {
    /// `spec.msTenantId`.
    pub tenant: TenantId,
    /// `spec.consentless.companyName`: the lead is made, by this name, when the platform has none.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// An object of ours for the same tenant at the same place that comes before this one.
    pub rival: Option<String>,
}

/// What the object is to become.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeadTarget {
    /// As its spec says.
    Present(DesiredLead),
    /// As it is: `spec.suspend`.
    Suspended,
    /// It can't be told.
    Invalid(Trouble),
    /// To go: with this policy, for this tenant.
    Absent(DeletionPolicy, Option<TenantId>),
}

/// What a lead object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadSpec {
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.msTenantId`; `Err` says why it is none.
    pub tenant: Result<TenantId, Trouble>,
    /// `spec.consentless.companyName`, if the lead may be made.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
}

impl LeadSpec {
    /// What the object is to become. `rival` is another object that comes before it, as people read it.
    pub fn target(self, rival: Option<String>) -> LeadTarget {
        if self.deleting {
            return LeadTarget::Absent(self.deletion_policy, self.tenant.ok());
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
            }),
        }
    }
}

//! What is asked for when something is made: parsed once from a spec, decided with, and carried to the request. Values that may be secret are not here: the
//! variables of an IP group are read where the request is sent.

use crate::names::{ChannelId, LcCustomerId, ShortName, TenantId};

/// One OC Essential service to be made from a lead (platform-facts.md 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewService {
    /// The customer's Microsoft 365 tenant, whose lead must be active.
    pub tenant: TenantId,
    /// All else.
    pub parameters: ServiceParameters,
}

/// How a service shall be, as its spec says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceParameters {
    /// `spec.shortName`, as written: whether it may be used for a create is told before a create (platform-facts.md 3.4).
    pub short_name: ShortName,
    /// `spec.fullName`: 1 to 200 characters (platform-facts-2.md 5), which the schema holds.
    pub full_name: String,
    /// The LC customer that shall own the service (U-11). Absent: the platform makes one of the same short name (platform-facts.md 6.2).
    pub lc_customer: Option<LcCustomerId>,
    /// The channel to attach to (platform-facts.md 3.3).
    pub channel: Option<ChannelId>,
    /// How the platform tells this customer's calls.
    pub connection: SipConnection,
}

/// The two flavours of a service (platform-facts.md 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SipConnection {
    /// By tenant id: `OcEssential_TENANT_TYPE`.
    #[default]
    Tenant,
    /// By an IP group of its own: `OcEssential_IPGROUP_TYPE`.
    IpGroup(Box<IpGroup>),
}

impl SipConnection {
    /// Whether the service has an IP group of its own.
    pub fn is_ip_group(&self) -> bool {
        matches!(self, Self::IpGroup(_))
    }
}

/// What an IP group is made from, but for its variables (platform-facts.md 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IpGroup {
    /// `ProxySet`.
    pub proxy_set: String,
    /// `OnlinePstnGateway`.
    pub online_pstn_gateway: String,
    /// `siteLocation`, of the newer pages.
    pub site_location: Option<SiteLocation>,
}

/// `siteLocation` (platform-facts.md 3.3). Only what is set is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SiteLocation {
    /// `siteLocationName`.
    pub name: Option<String>,
    /// `sbcId`, the id in UMP-365's own list (platform-facts-2.md 6).
    pub sbc_id: Option<i64>,
    /// `sbcOnboardingScript`.
    pub onboarding_script: Option<i64>,
    /// `sbcCleanupScript`.
    pub cleanup_script: Option<i64>,
    /// `sbcOcUploadNumberScript`.
    pub upload_number_script: Option<i64>,
    /// `sbcOcReleaseNumberScript`.
    pub release_number_script: Option<i64>,
}

/// A consentless lead to be made (platform-facts.md 2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewLead {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer's name, as the platform is going to show it.
    pub company_name: String,
}

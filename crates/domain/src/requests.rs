//! The parameters of a create: parsed once from a spec, used in decisions, and passed on to the request.
//! Values that may be secret are not here: the variables of an IP group are read where the request is sent.

use crate::names::{ChannelId, LcCustomerId, ShortName, TenantId};

/// One OC Essential service to be created from a lead (platform-facts.md 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewService {
    /// The customer's Microsoft 365 tenant. Its lead must be Active.
    pub tenant: TenantId,
    /// All other parameters.
    pub parameters: ServiceParameters,
}

/// The parameters of a service, from its spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceParameters {
    /// `spec.shortName`, as written. Whether it is valid for a create is checked before the create
    /// (platform-facts.md 3.4).
    pub short_name: ShortName,
    /// `spec.fullName`: 1 to 200 characters (platform-facts-2.md 5), enforced by the schema.
    pub full_name: String,
    /// The LC customer that is to own the service (U-11). If absent, the platform creates one with the same
    /// short name (platform-facts.md 6.2).
    pub lc_customer: Option<LcCustomerId>,
    /// The channel to assign (platform-facts.md 3.3).
    pub channel: Option<ChannelId>,
    /// How the platform identifies this customer's calls.
    pub connection: SipConnection,
}

impl ServiceParameters {
    /// The parameters of the plainest service: by tenant id, in no channel, with an LC customer of its own.
    pub fn new(short_name: ShortName, full_name: impl Into<String>) -> Self {
        Self {
            short_name,
            full_name: full_name.into(),
            lc_customer: None,
            channel: None,
            connection: SipConnection::Tenant,
        }
    }

    /// Every parameter as people read it, in the order of a plan.
    pub fn each(&self) -> Vec<Parameter> {
        // Destructured, so that a parameter that is forgotten here does not compile.
        let Self {
            short_name,
            full_name,
            lc_customer,
            channel,
            connection,
        } = self;
        let by = if connection.is_ip_group() {
            "IP group"
        } else {
            "tenant id"
        };
        vec![
            Parameter {
                field: "shortName",
                planned: Some(short_name.to_string()),
                specified: true,
                shows: Shows::OnService,
            },
            Parameter {
                field: "fullName",
                planned: Some(full_name.clone()),
                specified: true,
                shows: Shows::OnService,
            },
            Parameter {
                field: "lcCustomerId",
                planned: lc_customer.map(|id| id.to_string()),
                specified: lc_customer.is_some(),
                shows: Shows::Nowhere,
            },
            Parameter {
                field: "channelId",
                planned: channel.map(|id| id.to_string()),
                specified: channel.is_some(),
                shows: Shows::OnLead,
            },
            Parameter {
                field: "advancedSettings",
                planned: Some(format!("SIP connection by {by}")),
                specified: connection.is_ip_group(),
                shows: Shows::Nowhere,
            },
        ]
    }
}

/// One parameter of a service as people read it: in a plan, and in the status of a service that this object
/// did not make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameter {
    /// The field, in the words of the spec.
    pub field: &'static str,
    /// What a create would set; `None` when the platform chooses it.
    pub planned: Option<String>,
    /// Whether the spec says it.
    pub specified: bool,
    /// Where the platform's lists show it.
    pub shows: Shows,
}

/// Where the platform's lists show a parameter. What they show is compared with the spec (`service::ready`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shows {
    /// In the list of services.
    OnService,
    /// In the list of leads, once the lead has it.
    OnLead,
    /// Nowhere, so it can't be compared.
    Nowhere,
}

/// The two types of a service's SIP connection (platform-facts.md 3.1).
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

/// The parameters of an IP group, without its variables (platform-facts.md 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IpGroup {
    /// `ProxySet`.
    pub proxy_set: String,
    /// `OnlinePstnGateway`.
    pub online_pstn_gateway: String,
    /// `siteLocation`, from the newer pages.
    pub site_location: Option<SiteLocation>,
}

/// `siteLocation` (platform-facts.md 3.3). Only fields that are set are sent.
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

/// A consentless lead to be created (platform-facts.md 2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewLead {
    /// The customer's Microsoft 365 tenant.
    pub tenant: TenantId,
    /// The customer's name, as the platform will show it.
    pub company_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each parameter with its line in a plan, where it appears, and whether the spec says it.
    #[test]
    fn what_people_read_of_each_parameter() {
        let plain = ServiceParameters::new(ShortName::as_written("Contoso_NL"), "Contoso Netherlands B.V.");
        let told = |parameters: &ServiceParameters| -> Vec<_> {
            let each = parameters.each().into_iter();
            each.map(|one| {
                (
                    one.field,
                    one.planned.unwrap_or_default(),
                    one.shows,
                    one.specified,
                )
            })
            .collect()
        };
        let row = |field, planned: &str, shows, specified| (field, planned.to_owned(), shows, specified);
        assert_eq!(
            told(&plain),
            [
                row("shortName", "Contoso_NL", Shows::OnService, true),
                row("fullName", "Contoso Netherlands B.V.", Shows::OnService, true),
                row("lcCustomerId", "", Shows::Nowhere, false),
                row("channelId", "", Shows::OnLead, false),
                row(
                    "advancedSettings",
                    "SIP connection by tenant id",
                    Shows::Nowhere,
                    false
                ),
            ]
        );
        let full = ServiceParameters {
            lc_customer: Some(4711),
            channel: Some(1574),
            connection: SipConnection::IpGroup(Box::default()),
            ..plain
        };
        assert_eq!(
            told(&full)[2..],
            [
                row("lcCustomerId", "4711", Shows::Nowhere, true),
                row("channelId", "1574", Shows::OnLead, true),
                row(
                    "advancedSettings",
                    "SIP connection by IP group",
                    Shows::Nowhere,
                    true
                ),
            ]
        );
    }
}

//! The endpoints, by the names that faults, counters and the log use.

use serde::{Deserialize, Serialize};

/// An endpoint of the vendor's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// POST `/{directory}/oauth2/v2.0/token`.
    #[serde(rename = "token")]
    Token,
    /// GET `/{tenant}/.well-known/openid-configuration`.
    #[serde(rename = "openIdConfiguration")]
    OpenIdConfiguration,
    /// GET `/api/v2/oc/lead`.
    #[serde(rename = "leads.list")]
    LeadsList,
    /// GET `/api/v2/oc/lead` with a tenant filter.
    #[serde(rename = "leads.get")]
    LeadsGet,
    /// POST `/api/v2/oc/lead`.
    #[serde(rename = "leads.create")]
    LeadsCreate,
    /// DELETE `/api/v2/oc/lead`.
    #[serde(rename = "leads.delete")]
    LeadsDelete,
    /// PATCH `/api/v2/oc/lead`.
    #[serde(rename = "leads.convert")]
    LeadsConvert,
    /// POST `/api/v3/customer`.
    #[serde(rename = "services.create")]
    ServicesCreate,
    /// GET `/api/v3/customer`.
    #[serde(rename = "services.list")]
    ServicesList,
    /// GET `/api/v3/customer/{guid}`.
    #[serde(rename = "services.get")]
    ServicesGet,
    /// GET `/api/v2/customer`.
    #[serde(rename = "services.listV2")]
    ServicesListV2,
    /// GET `/api/v2/customer/{guid}`.
    #[serde(rename = "services.getV2")]
    ServicesGetV2,
    /// DELETE `/api/v2/customer/{guid}`.
    #[serde(rename = "services.delete")]
    ServicesDelete,
    /// POST `/api/v2/customer/{guid}/action/upgrade`.
    #[serde(rename = "services.upgrade")]
    ServicesUpgrade,
    /// GET `/api/v2/task/{id}`.
    #[serde(rename = "tasks.get")]
    TasksGet,
    /// GET `/api/ovoc/v1/topology/channels`.
    #[serde(rename = "channels.list")]
    ChannelsList,
    /// GET `/api/ovoc/v1/topology/channels/{id}`.
    #[serde(rename = "channels.get")]
    ChannelsGet,
    /// POST `/api/ovoc/v1/topology/channels`.
    #[serde(rename = "channels.create")]
    ChannelsCreate,
    /// PUT `/api/v3/ovoc/channel/action/assign`.
    #[serde(rename = "channels.assign")]
    ChannelsAssign,
    /// PUT `/api/v3/ovoc/channel/action/remove`.
    #[serde(rename = "channels.remove")]
    ChannelsRemove,
    /// GET or PUT `/api/ovoc/v1/topology/customers/{id}`, GET `/api/ovoc/v1/topology/lcCustomers/{id}`.
    #[serde(rename = "lcCustomers.get")]
    LcCustomersGet,
    /// GET `/api/ovoc/v1/topology/lcCustomers`.
    #[serde(rename = "lcCustomers.list")]
    LcCustomersList,
    /// POST `/api/ovoc/v1/topology/customers/{id}`.
    #[serde(rename = "lcCustomers.assign")]
    LcCustomersAssign,
    /// GET `/api/ovoc/v1/topology/services`.
    #[serde(rename = "topology.services")]
    TopologyServices,
    /// GET `/api/v2/oc/numbers`.
    #[serde(rename = "numbers.list")]
    NumbersList,
    /// GET `/api/v2/sitelocation/{id}`.
    #[serde(rename = "siteLocations.get")]
    SiteLocationsGet,
    /// Anything else.
    #[serde(rename = "other")]
    Other,
}

impl Endpoint {
    /// Returns the name that the control API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::OpenIdConfiguration => "openIdConfiguration",
            Self::LeadsList => "leads.list",
            Self::LeadsGet => "leads.get",
            Self::LeadsCreate => "leads.create",
            Self::LeadsDelete => "leads.delete",
            Self::LeadsConvert => "leads.convert",
            Self::ServicesCreate => "services.create",
            Self::ServicesList => "services.list",
            Self::ServicesGet => "services.get",
            Self::ServicesListV2 => "services.listV2",
            Self::ServicesGetV2 => "services.getV2",
            Self::ServicesDelete => "services.delete",
            Self::ServicesUpgrade => "services.upgrade",
            Self::TasksGet => "tasks.get",
            Self::ChannelsList => "channels.list",
            Self::ChannelsGet => "channels.get",
            Self::ChannelsCreate => "channels.create",
            Self::ChannelsAssign => "channels.assign",
            Self::ChannelsRemove => "channels.remove",
            Self::LcCustomersGet => "lcCustomers.get",
            Self::LcCustomersList => "lcCustomers.list",
            Self::LcCustomersAssign => "lcCustomers.assign",
            Self::TopologyServices => "topology.services",
            Self::NumbersList => "numbers.list",
            Self::SiteLocationsGet => "siteLocations.get",
            Self::Other => "other",
        }
    }

    /// Whether it is Microsoft's, not the platform's: it needs no token of ours.
    pub fn is_microsoft(self) -> bool {
        matches!(self, Self::Token | Self::OpenIdConfiguration)
    }

    /// Whether it is served by the topology side, behind `/api/ovoc/v1`.
    pub fn is_topology(self) -> bool {
        matches!(
            self,
            Self::ChannelsList
                | Self::ChannelsGet
                | Self::ChannelsCreate
                | Self::LcCustomersGet
                | Self::LcCustomersList
                | Self::LcCustomersAssign
                | Self::TopologyServices
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn names_are_the_same_in_json() {
        for name in [
            "token",
            "leads.get",
            "services.listV2",
            "lcCustomers.assign",
            "siteLocations.get",
            "other",
        ] {
            let endpoint: Endpoint = serde_json::from_value(name.into()).unwrap();
            assert_eq!(endpoint.name(), name);
        }
    }
}

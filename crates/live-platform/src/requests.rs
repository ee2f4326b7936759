//! The bodies that are sent, in the spelling of the printed examples (C-4). Optional fields are sent only when they are set (U-11).

use std::collections::BTreeMap;

use oc_domain::names::{ChannelId, LcCustomerId, TenantId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::secrets::Secrets;

/// One OC Essential service to be made from a lead (platform-facts.md 3).
#[derive(Clone, Debug)]
pub struct CreateService {
    /// The customer's Microsoft 365 tenant, whose lead must be active.
    pub tenant: TenantId,
    /// 3 to 15 characters (platform-facts.md 3.4); not checked here.
    pub short_name: String,
    /// 1 to 200 characters (platform-facts-2.md 5); not checked here.
    pub full_name: String,
    /// The LC customer that shall own the service (U-11). Absent: the platform makes one of the same short name (platform-facts.md 6.2).
    pub lc_customer: Option<LcCustomerId>,
    /// The channel to attach to (platform-facts.md 3.3).
    pub channel: Option<ChannelId>,
    /// How the platform tells this customer's calls.
    pub connection: ServiceConnection,
}

/// The two flavours of a service (platform-facts.md 3.1).
#[derive(Clone, Debug)]
pub enum ServiceConnection {
    /// By tenant id: `OcEssential_TENANT_TYPE`.
    Tenant,
    /// By an IP group of its own: `OcEssential_IPGROUP_TYPE`.
    IpGroup {
        /// `ProxySet`.
        proxy_set: String,
        /// `OnlinePstnGateway`.
        online_pstn_gateway: String,
        /// `siteLocation`, of the newer pages.
        site_location: Option<SiteLocation>,
        /// Further script parameters; they may hold passwords. One that is named as one of the two above does not replace it.
        variables: BTreeMap<String, SecretString>,
    },
}

/// `siteLocation` (platform-facts.md 3.3). Only what is set is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// The body of POST `/api/v3/customer` (platform-facts.md 3.3). `channelId` and `lcCustomerId` go as digits in a text, the type that the page gives.
pub(crate) fn create_service(request: &CreateService) -> Value {
    let mut body = Map::new();
    let (configuration, tenant) = match request.connection {
        ServiceConnection::Tenant => ("OcEssential_TENANT_TYPE", "msTenantID"),
        ServiceConnection::IpGroup { .. } => ("OcEssential_IPGROUP_TYPE", "msTenantId"),
    };
    body.insert("configurationName".into(), json!(configuration));
    body.insert("customerShortName".into(), json!(request.short_name));
    body.insert("customerFullName".into(), json!(request.full_name));
    body.insert(tenant.into(), json!(request.tenant.as_str()));
    if let Some(channel) = request.channel {
        body.insert("channelId".into(), json!(channel.to_string()));
    }
    if let Some(lc_customer) = request.lc_customer {
        body.insert("lcCustomerId".into(), json!(lc_customer.to_string()));
    }
    if let ServiceConnection::IpGroup { proxy_set, online_pstn_gateway, site_location, variables } = &request.connection {
        let own = [("ProxySet", proxy_set.as_str()), ("OnlinePstnGateway", online_pstn_gateway.as_str())];
        let free = variables.iter().filter(|(name, _)| !own.iter().any(|(taken, _)| taken.eq_ignore_ascii_case(name)));
        let mut parameters: Map<String, Value> = free.map(|(name, value)| (name.clone(), json!(value.expose_secret()))).collect();
        parameters.extend(own.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        body.insert("scriptParameters".into(), Value::Object(parameters));
        if let Some(site) = site_location {
            body.insert("siteLocation".into(), site_location_of(site));
            body.insert("ovocCustomerType".into(), json!("IPGROUP_TYPE"));
        }
    }
    Value::Object(body)
}

fn site_location_of(site: &SiteLocation) -> Value {
    let name = site.name.as_ref().map(|name| ("siteLocationName", json!(name)));
    let numbers = [
        ("sbcId", site.sbc_id),
        ("sbcOnboardingScript", site.onboarding_script),
        ("sbcCleanupScript", site.cleanup_script),
        ("sbcOcUploadNumberScript", site.upload_number_script),
        ("sbcOcReleaseNumberScript", site.release_number_script),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, json!(number?))));
    Value::Object(name.into_iter().chain(numbers).map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The secrets of a request, so that an answer that repeats them can be cleaned of them.
pub(crate) fn secrets(request: &CreateService) -> Secrets {
    match &request.connection {
        ServiceConnection::Tenant => Secrets::none(),
        ServiceConnection::IpGroup { variables, .. } => Secrets::new(variables.values().cloned()),
    }
}

/// The body of POST `/api/v2/oc/lead` (platform-facts.md 2.3).
pub(crate) fn create_lead(tenant: &TenantId, company_name: &str) -> Value {
    json!({"tenantId": tenant.as_str(), "companyName": company_name})
}

/// The body of PUT `/api/v3/ovoc/channel/action/assign`, the new form (C-10).
pub(crate) fn assign_channel(tenant: &TenantId, channel: ChannelId) -> Value {
    json!({"leadMsTenantId": tenant.as_str(), "channelId": channel})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(connection: ServiceConnection) -> CreateService {
        CreateService {
            tenant: TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap(),
            short_name: "Example_1".into(),
            full_name: "Example BV".into(),
            lc_customer: None,
            channel: None,
            connection,
        }
    }

    #[test]
    fn the_printed_examples() {
        assert_eq!(
            create_service(&request(ServiceConnection::Tenant)),
            json!({"configurationName": "OcEssential_TENANT_TYPE", "customerShortName": "Example_1", "customerFullName": "Example BV", "msTenantID": "22222222-2222-4222-8222-222222222222"})
        );
        let group = |variables| ServiceConnection::IpGroup {
            proxy_set: "SIPTrunk".into(),
            online_pstn_gateway: "gw.example.com".into(),
            site_location: None,
            variables,
        };
        assert_eq!(
            create_service(&request(group(BTreeMap::new()))),
            json!({"configurationName": "OcEssential_IPGROUP_TYPE", "customerShortName": "Example_1", "customerFullName": "Example BV", "msTenantId": "22222222-2222-4222-8222-222222222222",
                   "scriptParameters": {"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com"}})
        );
        let with = create_service(&request(group(BTreeMap::from([("proxyset".into(), "evil".into()), ("CustomVar.Variable1".into(), "hunter2".into())]))));
        assert_eq!(with["scriptParameters"], json!({"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com", "CustomVar.Variable1": "hunter2"}));
    }

    #[test]
    fn what_is_set_is_sent() {
        let site = SiteLocation { name: Some("Site".into()), sbc_id: Some(3), cleanup_script: Some(4), ..SiteLocation::default() };
        let group =
            ServiceConnection::IpGroup { proxy_set: "P".into(), online_pstn_gateway: "G".into(), site_location: Some(site), variables: BTreeMap::new() };
        let body = create_service(&CreateService { lc_customer: Some(4711), channel: Some(1574), ..request(group) });
        assert_eq!((&body["channelId"], &body["lcCustomerId"], &body["ovocCustomerType"]), (&json!("1574"), &json!("4711"), &json!("IPGROUP_TYPE")));
        assert_eq!(body["siteLocation"], json!({"siteLocationName": "Site", "sbcId": 3, "sbcCleanupScript": 4}));
    }

    #[test]
    fn a_request_does_not_print_its_secrets() {
        let group = ServiceConnection::IpGroup {
            proxy_set: "P".into(),
            online_pstn_gateway: "G".into(),
            site_location: None,
            variables: BTreeMap::from([("a".into(), "hunter2".into())]),
        };
        assert!(!format!("{:?}", request(group)).contains("hunter2"));
    }
}

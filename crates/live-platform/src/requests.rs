//! The request bodies, in the spelling of the printed examples (C-4). Optional fields are sent only when set
//! (U-11).

use std::collections::BTreeMap;
use std::fmt::Display;

use oc_domain::names::{ChannelId, TenantId};
use oc_domain::requests::{IpGroup, NewLead, NewService, ServiceParameters, SipConnection, SiteLocation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::secrets::Secrets;

/// A request for one OC Essential service (platform-facts.md 3).
#[derive(Clone, Debug)]
pub struct CreateService {
    /// The requested service. Nothing of it is checked here.
    pub service: NewService,
    /// Further script parameters of an IP group; they may hold passwords. A name that equals one of the two
    /// of [`IpGroup`] does not replace it. Not sent for a service by tenant id.
    pub variables: BTreeMap<String, SecretString>,
}

/// The body of POST `/api/v3/customer` (platform-facts.md 3.3). `channelId` and `lcCustomerId` are sent as
/// digits in a string, the type that the vendor's page gives.
pub(crate) fn create_service(request: &CreateService) -> Vec<u8> {
    // Destructured, so that a parameter that is forgotten here does not compile.
    let NewService { tenant, parameters } = &request.service;
    let ServiceParameters {
        short_name,
        full_name,
        lc_customer,
        channel,
        connection,
    } = parameters;
    let (configuration, tenant_field) = match connection {
        SipConnection::Tenant => ("OcEssential_TENANT_TYPE", "msTenantID"),
        SipConnection::IpGroup(_) => ("OcEssential_IPGROUP_TYPE", "msTenantId"),
    };
    let mut body = BTreeMap::from([
        ("configurationName", Field::Text(configuration)),
        ("customerShortName", Field::Text(short_name.as_str())),
        ("customerFullName", Field::Text(full_name)),
        (tenant_field, Field::Id(tenant)),
    ]);
    if let Some(channel) = channel {
        body.insert("channelId", Field::Id(channel));
    }
    if let Some(lc_customer) = lc_customer {
        body.insert("lcCustomerId", Field::Id(lc_customer));
    }
    if let SipConnection::IpGroup(group) = connection {
        let variables = &request.variables;
        body.insert(
            "scriptParameters",
            Field::Part(script_parameters(group, variables)),
        );
        if let Some(site) = &group.site_location {
            body.insert("siteLocation", Field::Part(site_location_of(site)));
            body.insert("ovocCustomerType", Field::Text("IPGROUP_TYPE"));
        }
    }
    text(&body)
}

/// One field of a body.
enum Field<'a> {
    Text(&'a str),
    /// An id, written as text.
    Id(&'a dyn Display),
    Part(Value),
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Id(id) => to.collect_str(id),
            Self::Part(part) => part.serialize(to),
        }
    }
}

/// The room for a body: most have less, so that its text need not grow.
const ROOM: usize = 512;

fn text(body: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(ROOM);
    // Texts can always be written, and so can anything to memory.
    let _written = serde_json::to_writer(&mut text, body);
    text
}

fn script_parameters(group: &IpGroup, variables: &BTreeMap<String, SecretString>) -> Value {
    let own = [
        ("ProxySet", group.proxy_set.as_str()),
        ("OnlinePstnGateway", group.online_pstn_gateway.as_str()),
    ];
    let free = variables
        .iter()
        .filter(|(name, _)| !own.iter().any(|(taken, _)| taken.eq_ignore_ascii_case(name)));
    let mut parameters: Map<String, Value> = free
        .map(|(name, value)| (name.clone(), json!(value.expose_secret())))
        .collect();
    parameters.extend(own.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    Value::Object(parameters)
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
    let numbers = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name, json!(number?))));
    Value::Object(
        name.into_iter()
            .chain(numbers)
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// The secrets of a request, for removal from answers that repeat them.
pub(crate) fn secrets(request: &CreateService) -> Secrets {
    if request.variables.is_empty() {
        Secrets::none()
    } else {
        Secrets::new(request.variables.values().cloned())
    }
}

/// The body of POST `/api/v2/oc/lead` (platform-facts.md 2.3).
pub(crate) fn create_lead(lead: &NewLead) -> Vec<u8> {
    text(&json!({"tenantId": lead.tenant.to_string(), "companyName": lead.company_name}))
}

/// The body of PUT `/api/v3/ovoc/channel/action/assign`, the new form (C-10).
pub(crate) fn assign_channel(tenant: &TenantId, channel: ChannelId) -> Vec<u8> {
    text(&json!({"leadMsTenantId": tenant.to_string(), "channelId": channel}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::names::ShortName;

    fn request(connection: SipConnection, variables: BTreeMap<String, SecretString>) -> CreateService {
        let short_name = ShortName::as_written("Example_1");
        let parameters = ServiceParameters {
            connection,
            ..ServiceParameters::new(short_name, "Example BV")
        };
        let tenant = TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap();
        CreateService {
            service: NewService { tenant, parameters },
            variables,
        }
    }

    fn group(
        proxy_set: &str,
        online_pstn_gateway: &str,
        site_location: Option<SiteLocation>,
    ) -> SipConnection {
        SipConnection::IpGroup(Box::new(IpGroup {
            proxy_set: proxy_set.into(),
            online_pstn_gateway: online_pstn_gateway.into(),
            site_location,
        }))
    }

    fn created(request: &CreateService) -> Value {
        serde_json::from_slice(&create_service(request)).unwrap()
    }

    #[test]
    fn the_printed_examples() {
        assert_eq!(
            created(&request(SipConnection::Tenant, BTreeMap::new())),
            json!({"configurationName": "OcEssential_TENANT_TYPE", "customerShortName": "Example_1", "customerFullName": "Example BV", "msTenantID": "22222222-2222-4222-8222-222222222222"})
        );
        let by_group = |variables| request(group("SIPTrunk", "gw.example.com", None), variables);
        assert_eq!(
            created(&by_group(BTreeMap::new())),
            json!({"configurationName": "OcEssential_IPGROUP_TYPE", "customerShortName": "Example_1", "customerFullName": "Example BV", "msTenantId": "22222222-2222-4222-8222-222222222222",
                   "scriptParameters": {"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com"}})
        );
        let with = created(&by_group(BTreeMap::from([
            ("proxyset".into(), "evil".into()),
            ("CustomVar.Variable1".into(), "hunter2".into()),
        ])));
        assert_eq!(
            with["scriptParameters"],
            json!({"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com", "CustomVar.Variable1": "hunter2"})
        );
    }

    #[test]
    fn what_is_set_is_sent() {
        let site = SiteLocation {
            name: Some("Site".into()),
            sbc_id: Some(3),
            cleanup_script: Some(4),
            ..SiteLocation::default()
        };
        let mut request = request(group("P", "G", Some(site)), BTreeMap::new());
        (
            request.service.parameters.lc_customer,
            request.service.parameters.channel,
        ) = (Some(4711), Some(1574));
        let body = created(&request);
        assert_eq!(
            (
                &body["channelId"],
                &body["lcCustomerId"],
                &body["ovocCustomerType"]
            ),
            (&json!("1574"), &json!("4711"), &json!("IPGROUP_TYPE"))
        );
        assert_eq!(
            body["siteLocation"],
            json!({"siteLocationName": "Site", "sbcId": 3, "sbcCleanupScript": 4})
        );
    }

    #[test]
    fn a_request_does_not_print_its_secrets() {
        let request = request(
            group("P", "G", None),
            BTreeMap::from([("a".into(), "hunter2".into())]),
        );
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}

//! Writes the vendor's JSON: leads in camelCase, services in PascalCase (platform-facts.md 2.1, 6.1).

use crate::platform::Platform;
use crate::platform::leads::Lead;
use crate::platform::numbers::Number;
use crate::platform::services::{Service, Site};
use crate::platform::settings::{OutputGuid, TaskStatusSpelling};
use crate::platform::tasks::{Task, TaskState, Work};
use crate::platform::time::{Millis, number_time, topology_time};
use crate::platform::topology::{Channel, LcCustomer};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const DEFAULT_DATE: &str = "0001-01-01T00:00:00";

/// The JSON of a lead (platform-facts.md 12.2). A unit is written as null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadView<'a> {
    civic_addresses: (),
    comments: (),
    ump_customer_guid: Option<&'a str>,
    is_not_active: Option<bool>,
    channel_id: (),
    ovoc_channel_id: Option<u64>,
    is_direct_lead: bool,
    id: &'a str,
    tenant_id: &'a str,
    tenant_origin: (),
    operator_id: Option<&'a str>,
    status: &'a str,
    consented_on: &'a str,
    last_modified_on: &'a str,
    consented_countries: &'a [String],
    contact_details: Option<ContactView<'a>>,
    contacts: Option<Vec<ContactView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_in_any_page: Option<[&'static str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContactView<'a> {
    full_name: Option<&'a str>,
    email: Option<&'a str>,
    phone_number: Option<&'a str>,
    company_name: &'a str,
    company_size: Option<&'a str>,
}

fn extra(platform: &Platform) -> Option<[&'static str; 1]> {
    platform.settings.extra_fields.then_some(["surprise"])
}

fn contact(lead: &Lead) -> ContactView<'_> {
    ContactView {
        full_name: lead.full_name.as_deref(),
        email: lead.email.as_deref(),
        phone_number: lead.phone.as_deref(),
        company_name: &lead.company,
        company_size: lead.company_size.as_deref(),
    }
}

/// Returns a lead as GET lead shows it.
pub fn lead<'a>(platform: &'a Platform, lead: &'a Lead, operator: &'a str) -> LeadView<'a> {
    let guid = platform.guid_on_lead(&lead.tenant);
    LeadView {
        civic_addresses: (),
        comments: (),
        ump_customer_guid: guid,
        is_not_active: guid.map(|_| platform.settings.is_not_active_when_licensed),
        channel_id: (),
        ovoc_channel_id: lead.channel,
        is_direct_lead: lead.direct,
        id: &lead.id,
        tenant_id: &lead.tenant,
        tenant_origin: (),
        operator_id: (!lead.direct).then_some(operator),
        status: &lead.status,
        consented_on: &lead.consented_on,
        last_modified_on: &lead.last_modified_on,
        consented_countries: &lead.countries,
        contact_details: (!lead.contacts_as_list).then(|| contact(lead)),
        contacts: if lead.contacts_as_list {
            Some(vec![contact(lead)])
        } else {
            (!lead.direct).then(Vec::new)
        },
        not_in_any_page: extra(platform),
    }
}

/// The JSON of a service in the V3 list (platform-facts.md 6.1).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceView<'a> {
    ump_customer_guid: &'a str,
    customer_short_name: &'a str,
    customer_full_name: &'a str,
    license_type: u8,
    licensed_users_count: Option<u64>,
    ms_tenant_id: Option<&'a str>,
    active_user_count: u64,
    live_hub_active_users_count: u64,
    live_hub_simple_users_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_location: Option<[SiteView<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_in_any_page: Option<[&'static str; 1]>,
}

/// The JSON of a single service in V3, with the fields that the list lacks.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceDetail<'a> {
    #[serde(flatten)]
    brief: ServiceView<'a>,
    ms_default_domain: (),
    application_client_id: (),
    application_client_secret: (),
    client_secret_expiration_date: (),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SiteView<'a> {
    id: &'a str,
    name: &'a str,
    sbc_id: u64,
    sbc_deployment_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sbc_configuration_type: Option<&'static str>,
}

fn site(site: &Site, configuration: bool) -> [SiteView<'_>; 1] {
    [SiteView {
        id: &site.id,
        name: &site.name,
        sbc_id: site.sbc,
        sbc_deployment_state: "Deployed",
        sbc_configuration_type: configuration.then_some("SipTrunk"),
    }]
}

/// Returns a service as the V3 list shows it.
pub fn service<'a>(platform: &Platform, service: &'a Service, all_details: bool) -> ServiceView<'a> {
    ServiceView {
        ump_customer_guid: &service.guid,
        customer_short_name: &service.short_name,
        customer_full_name: &service.full_name,
        license_type: service.license,
        licensed_users_count: service.licensed_users,
        ms_tenant_id: Some(service.tenant.as_str()).filter(|tenant| !tenant.is_empty()),
        active_user_count: 0,
        live_hub_active_users_count: 0,
        live_hub_simple_users_count: 0,
        site_location: all_details.then(|| site(&service.site, true)),
        not_in_any_page: extra(platform),
    }
}

/// Returns a service as GET v3 customer with a guid shows it.
pub fn service_detail<'a>(platform: &Platform, one: &'a Service, all_details: bool) -> ServiceDetail<'a> {
    ServiceDetail {
        brief: service(platform, one, all_details),
        ms_default_domain: (),
        application_client_id: (),
        application_client_secret: (),
        client_secret_expiration_date: (),
    }
}

/// The JSON of a service in V2. Only a single service has its site (platform-facts.md 6.1).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceV2View<'a> {
    id: &'a str,
    short_name: &'a str,
    full_name: &'a str,
    license_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_location: Option<[SiteView<'a>; 1]>,
}

/// Returns a service as V2 shows it.
pub fn service_v2(service: &Service, with_site: bool) -> ServiceV2View<'_> {
    ServiceV2View {
        id: &service.guid,
        short_name: &service.short_name,
        full_name: &service.full_name,
        license_type: service.license,
        site_location: with_site.then(|| site(&service.site, false)),
    }
}

/// Returns the JSON of a task (platform-facts.md 5, 12.2).
pub fn task(platform: &Platform, task: &Task) -> Value {
    let spaced = platform.settings.task_status_spelling == TaskStatusSpelling::Spaced;
    let words = &platform.settings;
    let setting = match task.state {
        TaskState::InProgress => &words.task_word_running,
        TaskState::CompletedSuccess => &words.task_word_done,
        TaskState::Failed => &words.task_word_failed,
    };
    let usual = match task.state {
        TaskState::InProgress if spaced => "In Progress",
        TaskState::InProgress => "InProgress",
        TaskState::CompletedSuccess if spaced => "Completed Success",
        TaskState::CompletedSuccess => "CompletedSuccess",
        TaskState::Failed => "Failed",
    };
    let status = task.word.as_deref().or(setting.as_deref()).unwrap_or(usual);
    let done = task.state == TaskState::CompletedSuccess;
    let messages: Vec<Value> = task
        .messages
        .iter()
        .map(|(level, message)| json!({"level": level, "message": message}))
        .collect();
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("id", json!(task.id));
    put("status", json!(status));
    let converts = matches!(task.work, Work::Create(_));
    put(
        "details",
        if !converts {
            json!([null])
        } else if done {
            json!(["Converted"])
        } else {
            json!([])
        },
    );
    put("executionMessages", json!(messages));
    put("outputData", output_data(platform, task));
    match &task.work {
        // The V2 example has no createTime (platform-facts-2.md N-10).
        Work::Create(create) if !create.v3 => {}
        Work::Create(_) => drop(put("createTime", json!(DEFAULT_DATE))),
        Work::Upgrade { .. } => {
            put("createTime", json!(DEFAULT_DATE));
            put("completeTime", Value::Null);
            put("cancellationRequested", Value::Null);
        }
    }
    if platform.settings.extra_fields {
        put("notInAnyPage", json!({"surprise": [1]}));
    }
    Value::Object(out)
}

fn output_data(platform: &Platform, task: &Task) -> Value {
    let v3 = matches!(&task.work, Work::Create(create) if create.v3);
    match (&task.guid, platform.settings.output_data_guid) {
        (Some(guid), OutputGuid::CamelCase) if v3 => json!({"umpCustomerGuid": guid}),
        (Some(guid), OutputGuid::PascalCase) if v3 => json!({"UmpCustomerGuid": guid}),
        _ => json!({}),
    }
}

/// Returns the JSON of a channel (platform-facts.md 6.3).
pub fn channel(platform: &Platform, channel: &Channel) -> Value {
    let services = platform
        .topology
        .customers
        .values()
        .filter(|customer| customer.channel == Some(channel.id))
        .count();
    json!({
        "id": channel.id, "name": channel.name, "description": channel.description,
        "maxCustomers": channel.max_customers, "services": {"OC": {"meteringTag": "OC", "enabled": true}},
        "msTenantId": channel.ms_tenant, "adGroupId": null,
        "url": format!("/ovoc/v1/topology/channels/{}", channel.id), "servicesNumber": services,
        "appRegistrationSettings": {}, "iamAccountId": null,
        "definedAt": channel.defined_at, "lastChanged": channel.defined_at,
    })
}

/// Returns the JSON of an LC customer (platform-facts.md 6.2).
pub fn lc_customer(platform: &Platform, customer: &LcCustomer) -> Value {
    let owned = |service: &&Service| service.customer == Some(customer.id);
    let attached: Vec<u64> = platform
        .services
        .all()
        .filter(owned)
        .map(|service| service.topology_id)
        .collect();
    json!({
        "id": customer.id, "name": customer.name, "description": null, "fullName": customer.full_name,
        "tenantId": 1, "channelId": customer.channel, "msTenantId": customer.ms_tenant, "iamAccountId": null,
        "attachedServices": attached, "services": {"OC": {"meteringTag": "OC"}}, "contacts": {}, "status": "OK",
        "url": format!("/ovoc/v1/topology/lcCustomers/{}", customer.id), "definedAt": customer.defined_at,
        "adGroupId": null, "logoId": null,
    })
}

/// Returns the deploy status of a service (platform-facts-3.md 4; the spelling of all but `DEPLOYED` is
/// U-23).
fn deployment(platform: &Platform, service: &Service, now: Millis) -> &'static str {
    let due = service
        .created_at
        .saturating_add(platform.settings.deploy_duration);
    match platform.settings.deploy_fails {
        _ if service.by_api && now < due => "UNKNOWN",
        true => "FAILED",
        false => "DEPLOYED",
    }
}

/// Returns a service as the topology shows it (platform-facts.md 6.1). The names of the Direct Routing
/// licenses are ours, in the form of the others.
pub fn topology_service(platform: &Platform, service: &Service, now: Millis) -> Value {
    let license = match service.license {
        0 => "HOSTED_ESSENTIALS",
        1 => "HOSTED_ESSENTIALS_PLUS",
        2 => "HOSTED_PRO",
        4 => "OC_ESSENTIAL_PLUS",
        5 => "OC_PRO",
        _ => "OC_ESSENTIAL",
    };
    json!({
        "id": service.topology_id, "serviceId": service.guid, "lcCustomerId": service.customer, "type": "SERVICE",
        "licenseType": license, "serviceSource": if service.is_direct_routing() { "LTC" } else { "OC" }, "fullName": service.full_name, "attachedSites": [],
        "attachedLinks": [], "attachedDevices": [],
        "applicationsStatus": {"management": {"serviceDeployStatus": deployment(platform, service, now)}},
        "usedDIDs": 0, "freeDIDs": 0, "definedAt": topology_time(service.created_at), "disabledTime": null,
    })
}

/// Returns the JSON of a SIP Connection (platform-facts.md 6.5, platform-facts-3.md 4: `tenantId` is the
/// Microsoft tenant's, `sbcConfigurationType` is a number here, C-33, and the Microsoft side has four
/// scripts, whose names are ours).
pub fn site_location(service: &Service) -> Value {
    let variables: BTreeMap<&str, &str> = service.kept.shown_parameters().collect();
    let scripts = &service.site.scripts;
    json!({
        "tenantId": service.tenant, "m365DeploymentState": null, "sbcDeploymentState": 3, "siteName": service.site.name,
        "onlinePstnGateway": service.kept.script_parameters.get("OnlinePstnGateway"),
        "sbcInfo": {
            "sbcConfigurationType": 0, "cacProfile": null, "carrierHostName": null, "carrierId": null,
            "carrierMainLine": null, "carrierUserName": null, "flagConfigureSbc": true, "sbcId": service.site.sbc,
            "sbcScripts": {
                "onboardingScript": scripts.get("sbcOnboardingScript"),
                "cleanupScript": scripts.get("sbcCleanupScript"), "customerVariables": variables,
            },
        },
        "m365Info": {"m365Scripts": {"onboardingScript": null, "cleanupScript": null, "ocUploadNumberScript": null, "ocReleaseNumberScript": null}}, "pendingTasks": [],
    })
}

/// Returns the JSON of a phone number (platform-facts.md 6.6).
pub fn number(number: &Number, tenant: &str) -> Value {
    json!({
        "id": number.id, "telephoneNumber": number.telephone, "tenantId": tenant, "callingProfileId": null,
        "acquiredCapabilities": ["InboundCalling", "OutboundCalling", "UserAssignment"],
        "availableCapabilities": ["InboundCalling", "OutboundCalling", "UserAssignment"],
        "acquiredNumberStatus": "Active", "assignmentStatus": "Unassigned", "isoCountryCode": "NL",
        "civicAddressId": null, "locationId": null, "acquiredOn": number_time(0), "whenCreated": number_time(0),
        "source": "webapi", "sbcList": [],
    })
}

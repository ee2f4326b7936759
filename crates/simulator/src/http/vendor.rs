//! Serves the vendor's API: from a request to the state machine and back.

use super::bind::{Fields, Query};
use super::reply::{self, Reply};
use super::requests;
use super::topology;
use super::wire;
use crate::platform::Platform;
use crate::platform::endpoint::Endpoint;
use crate::platform::leads::Lead;
use crate::platform::refusal::Refusal;
use crate::platform::settings::{CreateAnswer, Paging};
use crate::platform::time::Millis;
use serde_json::json;

/// The parts of a call that the endpoints need.
#[derive(Debug)]
pub struct Call<'a> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The guid or id in the path.
    pub key: &'a str,
    /// The path, for E2's `instance`.
    pub path: &'a str,
    /// The query.
    pub query: &'a Query,
    /// The body.
    pub body: &'a [u8],
    /// The service provider's own tenant.
    pub operator: &'a str,
}

/// Executes a call.
pub fn execute(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Reply {
    let outcome = if call.endpoint.is_topology() {
        topology::answer(platform, now, call)
    } else {
        answer(platform, now, call)
    };
    outcome.unwrap_or_else(|refusal| {
        reply::refusal(
            &refusal,
            call.path,
            platform.settings.old_assign_answer,
            &mut platform.ids,
        )
    })
}

fn answer(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    match call.endpoint {
        Endpoint::LeadsList | Endpoint::LeadsGet => Ok(leads(platform, call)),
        Endpoint::LeadsCreate => create_lead(platform, now, call),
        Endpoint::LeadsDelete => {
            platform.delete_lead(call.query.get("mstenantid"))?;
            Ok(Reply::json(200, &1))
        }
        Endpoint::LeadsConvert => {
            let task = platform.create_service(now, requests::convert(platform, call)?)?;
            Ok(Reply::json(200, &task))
        }
        Endpoint::ServicesCreate => create_service(platform, now, call),
        Endpoint::ServicesList | Endpoint::ServicesGet => services(platform, now, call),
        Endpoint::ServicesListV2 => {
            let list: Vec<_> = platform
                .listed(now)
                .map(|service| wire::service_v2(service, false))
                .collect();
            Ok(Reply::json(200, &list))
        }
        Endpoint::ServicesGetV2 => {
            let service = platform
                .services
                .get(call.key)
                .ok_or_else(|| Refusal::no_customer(call.key))?;
            Ok(Reply::json(200, &wire::service_v2(service, true)))
        }
        Endpoint::ServicesDelete => {
            platform.delete_service(now, call.key)?;
            Ok(Reply::json(200, &1))
        }
        Endpoint::ServicesUpgrade => upgrade_service(platform, now, call),
        Endpoint::TasksGet => Ok(Reply::json(200, &wire::task(platform, platform.task(call.key)?))),
        Endpoint::ChannelsAssign => topology::assign(platform, now, call),
        Endpoint::ChannelsRemove => topology::remove(platform, call),
        Endpoint::NumbersList => numbers(platform, call),
        Endpoint::SiteLocationsGet => site_location(platform, call),
        _ => Ok(Reply::empty(404)),
    }
}

/// Returns which rows a page holds (platform-facts.md 1.3, C-12): how many to skip, how many to show.
fn page(query: &Query, paging: Paging) -> (usize, usize) {
    let number = |name: &str| query.get(name).and_then(|text| text.trim().parse::<usize>().ok());
    let size = number("pagesize")
        .filter(|size| *size > 0)
        .unwrap_or(10)
        .min(20_000);
    let asked = number("pagenumber");
    let index = match paging {
        Paging::OneBased => asked.unwrap_or(1).max(1) - 1,
        Paging::ZeroBased => asked.unwrap_or(0),
        Paging::RepeatsFirst => 0,
    };
    (index.saturating_mul(size), size)
}

fn leads(platform: &mut Platform, call: &Call<'_>) -> Reply {
    let tenant = call.query.filled("mstenantid");
    if let Some(tenant) = tenant
        && call
            .query
            .get("checkonline")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        platform.check_online(tenant);
    }
    let platform = &*platform;
    let (skip, take) = page(call.query, platform.settings.paging);
    let view = |lead| wire::lead(platform, lead, call.operator);
    let chosen: Vec<&Lead> = match tenant {
        Some(tenant) => platform
            .leads
            .of(tenant)
            .filter(|lead| lead.local)
            .skip(skip)
            .take(take)
            .collect(),
        None => platform.leads.local().skip(skip).take(take).collect(),
    };
    let list: Vec<_> = chosen.into_iter().map(view).collect();
    if platform.settings.nested_lead_array {
        Reply::json(200, &[list])
    } else {
        Reply::json(200, &list)
    }
}

fn create_lead(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = Fields::parse(call.body)?;
    let tenant = body
        .filled("tenantid")
        .ok_or_else(|| Refusal::required("TenantId"))?;
    let company = body
        .filled("companyname")
        .ok_or_else(|| Refusal::required("CompanyName"))?;
    platform.create_lead(now, &tenant, &company)?;
    // No page documents the body (U-15). A client that needs the lead has to read it.
    Ok(Reply::empty(200))
}

fn create_service(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let task = platform.create_service(now, requests::create(platform, call)?)?;
    Ok(match platform.settings.create_answer {
        CreateAnswer::JobId => Reply::json(200, &json!({"jobId": task})),
        CreateAnswer::TaskId => Reply::json(200, &json!({"taskId": task})),
        CreateAnswer::Bare => Reply::json(200, &task),
    })
}

fn services(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let all_details = call
        .query
        .get("alldetails")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let platform = &*platform;
    if call.endpoint == Endpoint::ServicesGet {
        let found = platform
            .services
            .get(call.key)
            .ok_or_else(|| Refusal::no_customer(call.key))?;
        return Ok(Reply::json(
            200,
            &wire::service_detail(platform, found, all_details),
        ));
    }
    let list: Vec<_> = platform
        .listed(now)
        .map(|service| wire::service(platform, service, all_details))
        .collect();
    Ok(Reply::json(200, &list))
}

fn upgrade_service(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = Fields::parse(call.body)?;
    let license = body.number("upgradetolicense", "UpgradeToLicense")?;
    let users = body.number("licensecount", "LicenseCount")?;
    let task = platform.upgrade_service(now, call.key, license, users)?;
    Ok(Reply::json(200, &task))
}

fn numbers(platform: &Platform, call: &Call<'_>) -> Result<Reply, Refusal> {
    let tenant = call
        .query
        .filled("mstenantid")
        .ok_or_else(|| Refusal::required("MsTenantId"))?;
    let list: Vec<_> = platform
        .numbers
        .of(tenant)
        .iter()
        .map(|one| wire::number(one, tenant))
        .collect();
    Ok(Reply::json(200, &list))
}

fn site_location(platform: &Platform, call: &Call<'_>) -> Result<Reply, Refusal> {
    let found = platform
        .services
        .all()
        .find(|service| service.site.id.eq_ignore_ascii_case(call.key));
    let missing = || Refusal::Quoted(404, format!("Site location with {} not found", call.key));
    Ok(Reply::json(200, &wire::site_location(found.ok_or_else(missing)?)))
}

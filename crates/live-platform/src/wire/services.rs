//! Reads services (platform-facts.md 6.1) and numbers (6.6).

use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};

use super::entries::{EntryReader, KnownEntries};
use super::json::{self, ListKind, Malformed, Page, field, text};
use super::node::Node;
use oc_domain::model::{LicenseType, Service};
use oc_domain::names::{CustomerGuid, TenantId};

/// The list of services.
pub const KIND: ListKind<Service> = ListKind {
    wanted: &WANTED,
    read: service,
};

const WANTED: [&str; 8] = [
    "UmpCustomerGuid",
    "Id",
    "MsTenantId",
    "CustomerShortName",
    "ShortName",
    "CustomerFullName",
    "FullName",
    "LicenseType",
];

/// Reads the list of services, in the field names of V3 or of V2, and leaves out what [`each_once`] does.
///
/// # Errors
/// When it is not a JSON array.
pub fn services(
    body: &[u8],
    entries: &mut EntryReader<'_, Service>,
) -> Result<Page<Arc<Service>>, Malformed> {
    KIND.read_whole(body, entries).map(each_once)
}

/// Leaves out what is listed again. A service that is listed twice counts once, with the tenant that one of its entries
/// names: a service that is overlooked could be created twice.
pub fn each_once(mut page: Page<Arc<Service>>) -> Page<Arc<Service>> {
    let mut guids = HashSet::with_capacity(page.items.len());
    if page.items.iter().all(|service| guids.insert(service.guid)) {
        return page;
    }
    let mut named = HashSet::<CustomerGuid>::with_capacity(page.items.len());
    let with_tenant = page.items.iter().filter(|service| service.tenant.is_some());
    named.extend(with_tenant.map(|service| service.guid));
    let mut seen = HashSet::with_capacity(page.items.len());
    page.items.retain(|service| {
        (service.tenant.is_some() || !named.contains(&service.guid))
            && seen.insert((service.guid, service.tenant))
    });
    page
}

/// Reads one service. It requires as little as possible, since a service that is overlooked could be created
/// twice: the guid, and a readable tenant if there is one.
///
/// # Errors
/// A stable reason, when one of these is missing.
pub fn service(value: &Node<'_>) -> Result<Service, &'static str> {
    let guid = json::guid(value, "UmpCustomerGuid").or_else(|| json::guid(value, "Id"));
    let guid = guid
        .and_then(|guid| CustomerGuid::parse(&guid).ok())
        .ok_or("has no UmpCustomerGuid that is a GUID")?;
    Ok(Service {
        guid,
        tenant: tenant(value)?,
        short_name: text(value, "CustomerShortName", 300)
            .or_else(|| text(value, "ShortName", 300))
            .unwrap_or_default()
            .into(),
        full_name: text(value, "CustomerFullName", 300)
            .or_else(|| text(value, "FullName", 300))
            .map(Box::from),
        license: json::integer(value, "LicenseType").map(LicenseType::from_number),
    })
}

/// Reads the tenant. Null, empty and the all-zero GUID mean no tenant (Direct Routing); any other text must
/// be a GUID.
fn tenant(value: &Node<'_>) -> Result<Option<TenantId>, &'static str> {
    let Some(given) = field(value, "MsTenantId") else {
        return Ok(None);
    };
    let none = given.as_str().is_some_and(|text| {
        text.bytes()
            .all(|b| matches!(b, b'0' | b'-' | b' ' | b'{' | b'}'))
    });
    if none {
        return Ok(None);
    }
    let tenant = given
        .as_str()
        .and_then(super::guid)
        .and_then(|guid| TenantId::parse(&guid).ok());
    tenant.map(Some).ok_or("has a MsTenantId that is not a GUID")
}

/// Counts the numbers of a V2 answer (an array), or reads the total of a V3 answer (an envelope).
///
/// # Errors
/// When it is neither.
pub fn count_numbers(body: &[u8]) -> Result<u64, Malformed> {
    match json::list(body, &[], &mut KnownEntries::default().begin(), &mut |_| Ok(())) {
        Ok(page) => Ok(page.elements as u64),
        Err(Malformed::NotAList) => {
            let answer = json::value(body)?;
            let total = json::integer(&answer, "totalRecords").and_then(|total| u64::try_from(total).ok());
            total
                .or_else(|| {
                    field(&answer, "data")
                        .and_then(Node::as_list)
                        .map(|data| data.len() as u64)
                })
                .ok_or(Malformed::NotAList)
        }
        Err(other) => Err(other),
    }
}

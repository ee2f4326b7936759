//! Reads leads (platform-facts.md 2.1).

use std::borrow::Cow;
use std::sync::Arc;

use super::entries::EntryReader;
use super::json::{self, ListKind, Malformed, Page, field, text};
use super::node::Node;
use oc_domain::model::{Contact, Lead, MicrosoftStatus};
use oc_domain::names::{CustomerGuid, LeadId, TenantId};

const WANTED: [&str; 12] = [
    "id",
    "tenantId",
    "status",
    "isDirectLead",
    "umpCustomerGuid",
    "ovocChannelId",
    "channelId",
    "contactDetails",
    "contacts",
    "consentedCountries",
    "consentedOn",
    "lastModifiedOn",
];

/// The list of leads, with the details of contacts if they are asked for.
pub fn kind(contact_details: bool) -> ListKind<Lead> {
    ListKind {
        wanted: &WANTED,
        read: if contact_details {
            |value| lead(value, true)
        } else {
            |value| lead(value, false)
        },
    }
}

/// Reads one page of leads, with the details of contacts if they are asked for.
///
/// # Errors
/// When it is not a JSON array.
pub fn leads(
    body: &[u8],
    contact_details: bool,
    entries: &mut EntryReader<'_, Lead>,
) -> Result<Page<Arc<Lead>>, Malformed> {
    kind(contact_details).read_whole(body, entries)
}

/// Reads one lead. `isNotActive` is not read: its meaning is unknown (C-5).
///
/// # Errors
/// A stable reason, when it lacks what a lead must have.
pub fn lead(value: &Node<'_>, contact_details: bool) -> Result<Lead, &'static str> {
    let id = json::guid(value, "id")
        .and_then(|id| LeadId::parse(&id).ok())
        .ok_or("has no id that is a GUID")?;
    let tenant = json::guid(value, "tenantId")
        .and_then(|id| TenantId::parse(&id).ok())
        .ok_or("has no tenantId that is a GUID")?;
    // The newer form of Microsoft's record holds a list of contacts, each with its own company size
    // (platform-facts-3.md 5).
    let first = || {
        field(value, "contacts")
            .and_then(Node::as_list)
            .and_then(|all| all.iter().find(|contact| contact.is_object()))
    };
    let contact = field(value, "contactDetails")
        .or_else(first)
        .unwrap_or(&Node::Null);
    let details = || Contact {
        full_name: text(contact, "fullName", 300).map(Cow::into_owned),
        email: text(contact, "email", 300).map(Cow::into_owned),
        phone_number: text(contact, "phoneNumber", 60)
            .or_else(|| text(contact, "telephoneNumber", 60))
            .map(Cow::into_owned),
    };
    Ok(Lead {
        id,
        tenant,
        status: MicrosoftStatus::parse(&text(value, "status", 60).unwrap_or_else(|| "Unknown".into())),
        consentless: json::boolean(value, "isDirectLead").unwrap_or(false),
        service: json::guid(value, "umpCustomerGuid").and_then(|guid| CustomerGuid::parse(&guid).ok()),
        channel: json::id(value, "ovocChannelId").or_else(|| json::id(value, "channelId")),
        company_name: text(contact, "companyName", 300).map(Box::from),
        company_size: text(contact, "companySize", 60).map(Box::from),
        countries: countries(value),
        consented: date(value, "consentedOn"),
        last_modified: date(value, "lastModifiedOn"),
        contact: contact_details.then(|| Box::new(details())),
    })
}

fn countries(value: &Node<'_>) -> Box<[String]> {
    let all = field(value, "consentedCountries").and_then(Node::as_list);
    let texts = all
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty());
    texts
        .take(300)
        .map(|text| crate::text::bounded(text, 60).into_owned())
        .collect()
}

fn date(value: &Node<'_>, name: &str) -> Option<oc_domain::time::Time> {
    super::time(field(value, name)?.as_str()?)
}

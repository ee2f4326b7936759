//! One entry for each parser of an answer: it takes any bytes, must not panic, and checks that what it accepts keeps its promises. Run by proptest in
//! `crates/live-platform/tests/fuzz`, and by libFuzzer in `fuzz/`.

use live_platform::Secrets;
use live_platform::wire::entries::KnownEntries;
use live_platform::wire::{errors, json, leads as lead_list, services as service_list, tasks, token as grants, topology};
use oc_domain::names::{CustomerGuid, LeadId, TaskId, TenantId};
use secrecy::ExposeSecret as _;

/// A short number can expand: `1e15` has four bytes, and eighteen when it is kept as text. A byte that is not UTF-8 becomes three.
const GROWTH: usize = 8;

/// A text is on one line, within its bound, and no web page.
fn shown(text: &str, most: usize) {
    assert!(text.chars().count() <= most, "over {most} characters: {text:?}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!text.starts_with('<'), "{text:?}");
}

fn bounded(text: Option<&str>, most: usize) -> usize {
    let length = text.map_or(0, |text| text.chars().count());
    assert!(length <= most, "over {most} characters: {text:?}");
    text.map_or(0, str::len)
}

/// The list of leads.
pub fn leads(body: &[u8]) {
    let Ok(page) = lead_list::leads(body, true, &mut KnownEntries::default().begin()) else { return };
    assert_eq!(page.items.len() + page.unreadable, page.elements);
    assert_eq!(page.unreadable > 0, page.why.is_some());
    let mut kept = 0;
    for lead in &page.items {
        assert_eq!(LeadId::parse(&lead.id.to_string()).as_ref(), Ok(&lead.id));
        assert_eq!(TenantId::parse(&lead.tenant.to_string()).as_ref(), Ok(&lead.tenant));
        assert!(lead.service.as_ref().is_none_or(|guid| CustomerGuid::parse(&guid.to_string()).as_ref() == Ok(guid)));
        assert!(lead.channel.is_none_or(|channel| channel > 0));
        assert!([lead.consented, lead.last_modified].into_iter().flatten().all(|time| time.0 > 0), "the server's \"no date\" is none");
        kept += bounded(lead.company_name.as_deref(), 4096) + bounded(lead.company_size.as_deref(), 4096);
        kept += lead.countries.iter().map(|country| bounded(Some(country), 4096)).sum::<usize>();
        let contact = lead.contact.as_ref().unwrap();
        kept += [&contact.full_name, &contact.email, &contact.phone_number].into_iter().map(|text| bounded(text.as_deref(), 4096)).sum::<usize>();
    }
    assert!(kept <= GROWTH * body.len(), "{kept} bytes are kept of {}", body.len());
}

/// The list of services.
pub fn services(body: &[u8]) {
    let Ok(page) = service_list::services(body, &mut KnownEntries::default().begin()) else { return };
    assert!(page.items.len() + page.unreadable <= page.elements, "what comes twice counts once");
    let known: std::collections::HashSet<_> = page.items.iter().map(|service| (&service.guid, &service.tenant)).collect();
    assert_eq!(known.len(), page.items.len());
    assert_eq!(page.unreadable > 0, page.why.is_some());
    let mut kept = 0;
    for service in &page.items {
        assert_eq!(CustomerGuid::parse(&service.guid.to_string()).as_ref(), Ok(&service.guid));
        assert!(service.tenant.as_ref().is_none_or(|tenant| TenantId::parse(&tenant.to_string()).as_ref() == Ok(tenant)));
        kept += bounded(Some(&service.short_name), 300) + bounded(service.full_name.as_deref(), 300);
    }
    assert!(kept <= GROWTH * body.len(), "{kept} bytes are kept of {}", body.len());
}

/// A task, the id of one, and the answer to a change.
pub fn task(body: &[u8]) {
    if let Ok(id) = tasks::task_id(body) {
        assert_eq!(TaskId::parse(id.as_str()), Ok(id));
    }
    if let Err(said) = tasks::envelope(body, &Secrets::none()) {
        shown(&said, 300);
    }
    let Ok(id) = TaskId::parse("wst_1") else { return };
    let Ok(task) = tasks::task(body, &id, &Secrets::none()) else { return };
    assert_eq!(task.id, id, "the id is the one that was asked for (C-15)");
    assert!(!task.status.is_empty() && task.status.chars().count() <= 60);
    assert!(task.messages.len() <= 20);
    task.messages.iter().for_each(|text| shown(text, 300));
    assert!(task.service.as_ref().is_none_or(|guid| CustomerGuid::parse(&guid.to_string()).as_ref() == Ok(guid)));
}

/// A token, and the refusal of one.
pub fn token(body: &[u8]) {
    if let Ok(grant) = grants::grant(body) {
        assert!((10..=86_400).contains(&grant.lifetime.as_secs()));
        let token = grant.token.expose_secret();
        assert!(!token.trim().is_empty() && token.len() <= body.len());
        assert!(token.len() < 16 || !format!("{grant:?}").contains(token), "a token is printed");
    }
    let refusal = grants::refusal(body, &Secrets::none());
    shown(&refusal.error, 300);
    shown(&refusal.description, 300);
    assert!(!refusal.advice().is_empty());
}

/// The body of an answer that is not a success.
pub fn fault(body: &[u8]) {
    let fault = errors::fault(body, &Secrets::none());
    shown(&fault.text, 5 * 302);
    assert!(fault.fields.len() <= 20);
    for (name, texts) in &fault.fields {
        shown(name, 60);
        assert!(texts.len() <= 5);
        texts.iter().for_each(|text| shown(text, 300));
    }
    assert!(fault.fields.windows(2).all(|pair| pair[0] <= pair[1]), "sorted, so that equal faults are told in equal words");
}

/// An LC customer.
pub fn lc_customer(body: &[u8]) {
    if let Ok(Some(customer)) = topology::lc_customer(body) {
        assert!(customer.id > 0 && customer.channel.is_none_or(|channel| channel > 0));
        bounded(customer.name.as_deref(), 300);
    }
}

/// The count of numbers.
pub fn numbers(body: &[u8]) {
    let Ok(count) = service_list::count_numbers(body) else { return };
    if json::value(body).is_ok_and(|answer| answer.as_list().is_some()) {
        assert!(count as usize <= body.len(), "{count} numbers in {} bytes", body.len());
    }
}

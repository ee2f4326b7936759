//! Views of a list, and what changes from one to the next.

use super::*;
use oc_domain::names::LeadId;
use proptest::{collection, prelude::*};
use std::collections::BTreeSet;

pub(crate) fn tenant(number: u8) -> TenantId {
    TenantId::parse(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap()
}

pub(crate) fn service(number: u8, name: &str) -> Service {
    let guid = CustomerGuid::parse(&format!("{number:08x}-0000-4000-9000-000000000000")).unwrap();
    Service {
        guid,
        tenant: Some(tenant(number)),
        short_name: name.into(),
        full_name: None,
        license: None,
    }
}

pub(crate) fn lead(number: u8) -> Lead {
    Lead {
        id: LeadId::parse(&format!("{number:08x}-0000-4000-a000-000000000000")).unwrap(),
        tenant: tenant(1),
        status: oc_domain::model::MicrosoftStatus::Active,
        consentless: false,
        service: None,
        channel: None,
        company_name: None,
        company_size: None,
        countries: Box::default(),
        consented: None,
        last_modified: None,
        contact: None,
    }
}

fn services(all: Vec<Service>, unreadable: usize) -> ServiceIndex {
    ServiceIndex::new(Listed {
        items: all.into_iter().map(Arc::new).collect(),
        unreadable,
        why: None,
        pages: 1,
    })
}

#[test]
fn only_those_are_told_for_whom_something_changed() {
    let before = services(vec![service(1, "One"), service(2, "Two"), service(3, "Three")], 0);
    let now = services(vec![service(1, "One"), service(2, "Zwei"), service(4, "Four")], 0);
    let changed = now.changed_since(Some(&before));
    assert_eq!(changed.tenants, HashSet::from([tenant(2), tenant(3), tenant(4)]));
    let names: HashSet<String> = ["two", "zwei", "three", "four"].map(str::to_owned).into();
    assert_eq!(
        changed.names, names,
        "names that were taken and names that became free"
    );
    assert!(now.changed_since(Some(&now)).is_empty());
    assert_eq!(before.changed_since(None).tenants.len(), 3);
}

#[test]
fn a_list_that_is_whole_again_is_told_though_nothing_in_it_has_changed() {
    let one = || service(1, "One");
    let told = |before: &ServiceIndex, now: &ServiceIndex| {
        (
            now.changed_since(Some(before)).whole_again,
            now.changed_since(Some(before)).is_empty(),
        )
    };
    let (holes, fewer, whole) = (
        services(vec![one()], 2),
        services(vec![one()], 1),
        services(vec![one()], 0),
    );
    assert_eq!(told(&holes, &whole), (true, false));
    for (before, now) in [
        (&whole, &holes),
        (&holes, &fewer),
        (&whole, &whole),
        (&holes, &holes),
    ] {
        assert_eq!(told(before, now), (false, true), "nobody waits for holes");
    }
    assert!(!whole.changed_since(None).whole_again);
    let leads = |unreadable| {
        LeadIndex::new(Listed {
            items: Vec::new(),
            unreadable,
            why: None,
            pages: 1,
        })
    };
    assert!(
        leads(0).changed_since(Some(&leads(1))).whole_again
            && leads(1).changed_since(Some(&leads(0))).is_empty()
    );
}

#[test]
fn what_a_list_of_leads_proves() {
    use oc_domain::facts::Absence::{Proven, Unconfirmed};
    let table = [
        (0, 0, 1, Proven),
        (0, 0, 2, Proven),
        (1, 0, 1, Proven),
        (1, 0, 2, Unconfirmed),
        (1, 1, 1, Unconfirmed),
        (0, 1, 2, Unconfirmed),
    ];
    for (items, unreadable, pages, absence) in table {
        let index = LeadIndex::new(Listed {
            items: (0..items).map(lead).map(Arc::new).collect(),
            unreadable,
            why: None,
            pages,
        });
        assert_eq!(
            index.view(Some(&tenant(9))).absence(),
            absence,
            "{items} leads, {unreadable} unreadable, {pages} pages"
        );
    }
}

#[test]
fn an_index_is_kept_while_every_entry_of_the_list_is_the_same() {
    let listed = |items: &[Arc<Service>], unreadable| Listed {
        items: items.to_vec(),
        unreadable,
        why: None,
        pages: 1,
    };
    let [one, two, other] = [service(1, "One"), service(2, "Two"), service(2, "Zwei")].map(Arc::new);
    let index = Arc::new(ServiceIndex::new(listed(&[one.clone(), two.clone()], 0)));
    let is_kept = |listed| Arc::ptr_eq(&index, &index.followed_by(listed));
    assert!(
        is_kept(listed(&[two.clone(), one.clone()], 0)),
        "another order is no change"
    );
    for (changed, why) in [
        (listed(&[one.clone(), other], 0), "one entry has changed"),
        (listed(std::slice::from_ref(&one), 0), "one is missing"),
        (
            listed(&[one.clone(), two, Arc::new(service(3, "Three"))], 0),
            "one is new",
        ),
        (
            listed(&[one, Arc::new(service(2, "Two"))], 1),
            "one can't be read",
        ),
    ] {
        assert!(!is_kept(changed), "{why}");
    }
    let leads = |items: &[Arc<Lead>], pages| Listed {
        items: items.to_vec(),
        unreadable: 0,
        why: None,
        pages,
    };
    let both = [lead(1), lead(2)].map(Arc::new);
    let index = Arc::new(LeadIndex::new(leads(&both, 1)));
    let is_kept = |listed| Arc::ptr_eq(&index, &index.followed_by(listed));
    assert!(is_kept(leads(&both, 1)));
    assert!(!is_kept(leads(&both, 2)), "read in pages, it proves less");
    assert!(!is_kept(leads(&both[..1], 1)) && !is_kept(leads(&[lead(1), lead(2)].map(Arc::new), 1)));
}

#[test]
fn a_view_finds_by_tenant_by_guid_and_by_name_of_any_case() {
    let index = services(vec![service(1, "One"), service(2, "TWO")], 1);
    let view = index.view(Some(&tenant(1)), Some(&service(2, "").guid), Some("two"));
    assert_eq!(view.by_tenant, [Arc::new(service(1, "One"))]);
    assert_eq!(view.by_guid, Some(Arc::new(service(2, "TWO"))));
    assert_eq!(view.by_name, [Arc::new(service(2, "TWO"))]);
    // The Kelvin sign is a k in lower case.
    let index = services(vec![service(1, "\u{212a}\u{d6}ln"), service(2, "Kiln")], 0);
    for (name, found) in [("k\u{f6}LN", 1), ("KILN", 1), ("\u{212a}iln", 1), ("kiln1", 0)] {
        assert_eq!(index.view(None, None, Some(name)).by_name.len(), found, "{name}");
    }
    assert!(!view.complete, "an entry that can't be read may be anybody's");
}

proptest! {
    #[test]
    fn a_view_holds_what_a_walk_over_the_list_finds(
        parts in collection::btree_map(0u8..60, (0u8..8, "[aA]{1,3}", any::<bool>()), 0..40),
        wanted in (0u8..60, 0u8..8, "[aA]{1,3}"),
    ) {
        let all: Vec<Service> = parts.into_iter().map(|(guid, (of, name, has_tenant))| Service {
            tenant: has_tenant.then(|| tenant(of)),
            ..service(guid, &name)
        }).collect();
        let found = |is: &dyn Fn(&Service) -> bool| -> Vec<Service> { all.iter().filter(|service| is(service)).cloned().collect() };
        let (guid, of, name) = (service(wanted.0, "").guid, tenant(wanted.1), wanted.2);
        let view = services(all.clone(), 0).view(Some(&of), Some(&guid), Some(&name));
        let shown = |some: &[Arc<Service>]| -> Vec<Service> { some.iter().map(|service| Service::clone(service)).collect() };
        prop_assert_eq!(shown(&view.by_tenant), found(&|service| service.tenant == Some(of)));
        prop_assert_eq!(shown(&view.by_name), found(&|service| service.short_name.eq_ignore_ascii_case(&name)));
        prop_assert_eq!(shown(view.by_guid.as_slice()), found(&|service| service.guid == guid));
    }
}

/// A list: of each service, which of two entries it has, if any.
fn any_list() -> impl Strategy<Value = Vec<(u8, bool)>> {
    collection::btree_map(0u8..12, any::<bool>(), 0..10)
        .prop_map(Vec::from_iter)
        .prop_shuffle()
}

proptest! {
    #[test]
    fn an_index_made_from_the_last_one_is_like_one_made_anew(lists in collection::vec((any_list(), 0usize..2), 1..6)) {
        // The second entry of a service has another name, and of every third another tenant.
        let entries: Vec<[Arc<Service>; 2]> = (0..12).map(|number| {
            let other = Service { tenant: Some(tenant(number / 3)), ..service(number, &format!("other{}", number % 4)) };
            [service(number, &format!("Name{}", number % 5)), other].map(Arc::new)
        }).collect();
        let mut index = Arc::new(ServiceIndex::default());
        for (list, unreadable) in lists {
            let items: Vec<Arc<Service>> = list.iter().map(|(number, second)| Arc::clone(&entries[usize::from(*number)][usize::from(*second)])).collect();
            let listed = Listed { items, unreadable, why: None, pages: 1 };
            let (anew, next) = (ServiceIndex::new(listed.clone()), index.followed_by(listed));
            for number in 0..12 {
                for name in ["name", "OTHER"].map(|name| format!("{name}{}", number % 5)) {
                    let view = |index: &ServiceIndex| index.view(Some(&tenant(number)), Some(&service(number, "").guid), Some(&name));
                    prop_assert_eq!(view(&next), view(&anew));
                }
            }
            let all = |index: &ServiceIndex| -> BTreeSet<CustomerGuid> { index.all().map(|service| service.guid).collect() };
            prop_assert_eq!((all(&next), next.all().count()), (all(&anew), anew.all().count()));
            let had = |index: &ServiceIndex, service: &Service| index.all().any(|known| known == service);
            let changed = anew.all().filter(|service| !had(&index, service)).chain(index.all().filter(|service| !had(&anew, service)));
            let changed: Vec<&Service> = changed.collect();
            let diff = next.changed_since(Some(&index));
            prop_assert_eq!(&diff.tenants, &changed.iter().filter_map(|service| service.tenant).collect::<HashSet<_>>());
            prop_assert_eq!(&diff.names, &changed.iter().map(|service| fold_case(&service.short_name)).collect::<HashSet<_>>());
            index = next;
        }
    }

    #[test]
    fn leads_made_from_the_last_ones_are_like_those_made_anew(lists in collection::vec(any_list(), 1..6)) {
        let entries: Vec<[Arc<Lead>; 2]> = (0..12).map(|number| {
            let first = Lead { tenant: tenant(number / 2), ..lead(number) };
            [first.clone(), Lead { consentless: true, ..first }].map(Arc::new)
        }).collect();
        let mut index = Arc::new(LeadIndex::default());
        for list in lists {
            let items: Vec<Arc<Lead>> = list.iter().map(|(number, second)| Arc::clone(&entries[usize::from(*number)][usize::from(*second)])).collect();
            let of = |number: u8| {
                let mut leads: Vec<Arc<Lead>> = items.iter().filter(|lead| lead.tenant == tenant(number)).cloned().collect();
                leads.sort_by_key(|lead| lead.id);
                leads
            };
            let next = index.followed_by(Listed { items: items.clone(), unreadable: 0, why: None, pages: 1 });
            let mut changed = HashSet::new();
            for number in 0..6 {
                let found = next.view(Some(&tenant(number))).leads;
                prop_assert_eq!(&found, &of(number));
                prop_assert_eq!(next.has(&tenant(number)), !found.is_empty());
                if index.view(Some(&tenant(number))).leads != found {
                    changed.insert(tenant(number));
                }
            }
            prop_assert_eq!(next.changed_since(Some(&index)).tenants, changed);
            let mut by_tenant: Vec<Vec<Arc<Lead>>> = next.tenants().map(SmallVec::into_vec).collect();
            by_tenant.sort_by_key(|leads| leads[0].tenant);
            prop_assert_eq!(by_tenant, (0..6).map(of).filter(|leads| !leads.is_empty()).collect::<Vec<_>>());
            index = next;
        }
    }
}

#[test]
fn of_two_tenants_with_one_id_the_last_has_it_in_each_list() {
    let both = || {
        let other = Service {
            tenant: Some(tenant(2)),
            ..service(1, "Two")
        };
        services(vec![service(1, "One"), other], 0)
    };
    // Each index hashes with keys of its own.
    for _ in 0..20 {
        let (before, now) = (both(), both());
        assert!(now.changed_since(Some(&before)).is_empty());
        let view = now.view(Some(&tenant(1)), Some(&service(1, "").guid), None);
        assert_eq!(view.by_guid.and_then(|service| service.tenant), Some(tenant(2)));
        assert_eq!((view.by_tenant.len(), now.all().count()), (1, 1));
    }
}

#[test]
fn services_without_a_tenant_are_not_all_in_one_place() {
    let nobodys = |number| {
        Arc::new(Service {
            tenant: None,
            ..service(number, "x")
        })
    };
    let (all, keys) = ([nobodys(1), nobodys(2)], RandomState::default());
    let hashes = ServiceHashes(&keys, &all);
    assert_ne!(hashes.tenant(0), hashes.tenant(1));
}

#[test]
fn two_leads_of_a_tenant_that_change_places_are_no_change() {
    let leads = |all: Vec<Lead>| {
        LeadIndex::new(Listed {
            items: all.into_iter().map(Arc::new).collect(),
            unreadable: 0,
            why: None,
            pages: 1,
        })
    };
    let (before, now) = (leads(vec![lead(1), lead(2)]), leads(vec![lead(2), lead(1)]));
    assert!(now.changed_since(Some(&before)).is_empty());
    assert_eq!(
        leads(vec![lead(1)]).changed_since(Some(&before)).tenants,
        HashSet::from([tenant(1)])
    );
}

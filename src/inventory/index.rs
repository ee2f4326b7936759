//! The two lists, indexed, and what differs between two of them.

use std::collections::{HashMap, HashSet};

use live_platform::Listed;
use oc_domain::facts::{Lead, Service};
use oc_domain::names::{CustomerGuid, TenantId, fold};
use oc_domain::pass::ServicesView;

/// For whom something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Tenants of which a lead or service has changed, come or gone.
    pub tenants: HashSet<TenantId>,
    /// Short names, folded, that were taken or became free.
    pub names: HashSet<String>,
}

impl Changed {
    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty() && self.names.is_empty()
    }
}

/// All services of a platform.
#[derive(Debug, Default)]
pub struct ServiceIndex {
    services: HashMap<CustomerGuid, Service>,
    by_tenant: HashMap<TenantId, Vec<CustomerGuid>>,
    by_name: HashMap<String, Vec<CustomerGuid>>,
    unreadable: usize,
}

impl ServiceIndex {
    /// Indexes a list.
    pub fn new(listed: Listed<Service>) -> Self {
        let mut index = Self { unreadable: listed.unreadable, ..Self::default() };
        for service in listed.items {
            if let Some(tenant) = &service.tenant {
                index.by_tenant.entry(tenant.clone()).or_default().push(service.guid.clone());
            }
            index.by_name.entry(fold(&service.short_name)).or_default().push(service.guid.clone());
            index.services.insert(service.guid.clone(), service);
        }
        index
    }

    fn those(&self, guids: Option<&Vec<CustomerGuid>>) -> Vec<Service> {
        guids.into_iter().flatten().filter_map(|guid| self.services.get(guid)).cloned().collect()
    }

    /// What it holds for one object.
    pub fn view(&self, tenant: Option<&TenantId>, guid: Option<&CustomerGuid>, name: Option<&str>) -> ServicesView {
        ServicesView {
            by_tenant: self.those(tenant.and_then(|tenant| self.by_tenant.get(tenant))),
            by_guid: guid.and_then(|guid| self.services.get(guid)).cloned(),
            by_name: self.those(name.and_then(|name| self.by_name.get(&fold(name)))),
            complete: self.unreadable == 0,
        }
    }

    /// All services.
    pub fn all(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// How many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// For whom something differs from an earlier list; everything, when there is none.
    pub fn changed_since(&self, before: Option<&Self>) -> Changed {
        let mut changed = Changed::default();
        let mut note = |service: &Service| {
            changed.tenants.extend(service.tenant.clone());
            changed.names.insert(fold(&service.short_name));
        };
        for service in self.all() {
            match before.and_then(|before| before.services.get(&service.guid)) {
                Some(old) if old == service => {}
                Some(old) => {
                    note(old);
                    note(service);
                }
                None => note(service),
            }
        }
        for old in before.into_iter().flat_map(Self::all) {
            if !self.services.contains_key(&old.guid) {
                note(old);
            }
        }
        changed
    }
}

/// All leads of a platform.
#[derive(Debug, Default)]
pub struct LeadIndex {
    by_tenant: HashMap<TenantId, Vec<Lead>>,
    unreadable: usize,
}

impl LeadIndex {
    /// Indexes a list.
    pub fn new(listed: Listed<Lead>) -> Self {
        let mut index = Self { unreadable: listed.unreadable, ..Self::default() };
        for lead in listed.items {
            index.by_tenant.entry(lead.tenant.clone()).or_default().push(lead);
        }
        // The order of the platform's list is unknown (U-19): two leads of one tenant that change places are no change.
        for leads in index.by_tenant.values_mut() {
            leads.sort_by(|a, b| a.id.cmp(&b.id));
        }
        index
    }

    /// Those of a tenant.
    pub fn of(&self, tenant: &TenantId) -> Vec<Lead> {
        self.by_tenant.get(tenant).cloned().unwrap_or_default()
    }

    /// The leads of each tenant.
    pub fn tenants(&self) -> impl Iterator<Item = &[Lead]> {
        self.by_tenant.values().map(Vec::as_slice)
    }

    /// All leads.
    pub fn all(&self) -> impl Iterator<Item = &Lead> {
        self.by_tenant.values().flatten()
    }

    /// How many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// For whom something differs from an earlier list; everything, when there is none.
    pub fn changed_since(&self, before: Option<&Self>) -> Changed {
        let mut changed = Changed::default();
        for (tenant, leads) in &self.by_tenant {
            if before.and_then(|before| before.by_tenant.get(tenant)) != Some(leads) {
                changed.tenants.insert(tenant.clone());
            }
        }
        for tenant in before.into_iter().flat_map(|before| before.by_tenant.keys()) {
            if !self.by_tenant.contains_key(tenant) {
                changed.tenants.insert(tenant.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::names::LeadId;

    fn tenant(number: u8) -> TenantId {
        TenantId::parse(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap()
    }

    fn service(number: u8, name: &str) -> Service {
        let guid = CustomerGuid::parse(&format!("{number:08x}-0000-4000-9000-000000000000")).unwrap();
        Service { guid, tenant: Some(tenant(number)), short_name: name.into(), full_name: None, license: None }
    }

    fn services(all: Vec<Service>, unreadable: usize) -> ServiceIndex {
        ServiceIndex::new(Listed { items: all, unreadable, why: None, pages: 1 })
    }

    #[test]
    fn only_those_are_told_for_whom_something_changed() {
        let before = services(vec![service(1, "One"), service(2, "Two"), service(3, "Three")], 0);
        let now = services(vec![service(1, "One"), service(2, "Zwei"), service(4, "Four")], 0);
        let changed = now.changed_since(Some(&before));
        assert_eq!(changed.tenants, HashSet::from([tenant(2), tenant(3), tenant(4)]));
        let names: HashSet<String> = ["two", "zwei", "three", "four"].map(str::to_owned).into();
        assert_eq!(changed.names, names, "names that were taken and names that became free");
        assert!(now.changed_since(Some(&now)).is_empty());
        assert_eq!(before.changed_since(None).tenants.len(), 3);
    }

    #[test]
    fn a_view_finds_by_tenant_by_guid_and_by_name_of_any_case() {
        let index = services(vec![service(1, "One"), service(2, "TWO")], 1);
        let view = index.view(Some(&tenant(1)), Some(&service(2, "").guid), Some("two"));
        assert_eq!(view.by_tenant, [service(1, "One")]);
        assert_eq!(view.by_guid, Some(service(2, "TWO")));
        assert_eq!(view.by_name, [service(2, "TWO")]);
        assert!(!view.complete, "an entry that can't be read may be anybody's");
    }

    #[test]
    fn two_leads_of_a_tenant_that_change_places_are_no_change() {
        let lead = |number: u8| Lead {
            id: LeadId::parse(&format!("{number:08x}-0000-4000-a000-000000000000")).unwrap(),
            tenant: tenant(1),
            status: oc_domain::facts::MicrosoftStatus::Active,
            consentless: false,
            service: None,
            channel: None,
            company_name: None,
            company_size: None,
            countries: Vec::new(),
            consented: None,
            last_modified: None,
            contact: oc_domain::facts::Contact::default(),
        };
        let leads = |all: Vec<Lead>| LeadIndex::new(Listed { items: all, unreadable: 0, why: None, pages: 1 });
        let (before, now) = (leads(vec![lead(1), lead(2)]), leads(vec![lead(2), lead(1)]));
        assert!(now.changed_since(Some(&before)).is_empty());
        assert_eq!(leads(vec![lead(1)]).changed_since(Some(&before)).tenants, HashSet::from([tenant(1)]));
    }
}

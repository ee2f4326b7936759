//! The two lists of a platform, indexed, and the differences between two versions of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use live_platform::Listed;
use oc_domain::facts::{LeadsRead, LeadsView, ServicesView};
use oc_domain::model::{Lead, Service};
use oc_domain::names::{CustomerGuid, TenantId, fold_case, same_folded};
use smallvec::SmallVec;

/// What changed between two lists, by tenant and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryDiff {
    /// Tenants with a lead or service that appeared, changed or disappeared.
    pub tenants: HashSet<TenantId>,
    /// Short names, case-folded, that were taken or became free.
    pub names: HashSet<String>,
    /// Whether the previous list had unreadable entries and this one has none, so that whoever waited for
    /// that can continue.
    pub whole_again: bool,
}

impl InventoryDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty() && self.names.is_empty() && !self.whole_again
    }
}

/// Whether a list is complete and the previous one was not.
fn whole_again(before: Option<usize>, now: usize) -> bool {
    before.is_some_and(|unreadable| unreadable > 0) && now == 0
}

/// Entries of a list, found by a part of theirs. A table of pointers: with the parts beside them as keys, the tables of
/// 100,000 services took four times as much.
#[derive(Debug)]
struct EntryTable<T>(HashTable<Arc<T>>);

impl<T> Default for EntryTable<T> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<T> EntryTable<T> {
    fn with_capacity(entries: usize) -> Self {
        Self(HashTable::with_capacity(entries))
    }

    /// Adds an entry, beside others with the same part. `hash` is that of its part.
    fn add(&mut self, entry: Arc<T>, hash: impl Fn(&T) -> u64) {
        self.0.insert_unique(hash(&entry), entry, |entry| hash(entry));
    }

    /// Adds an entry in place of the one that is the same, if there is one.
    fn put(&mut self, entry: Arc<T>, same: impl Fn(&T, &T) -> bool, hash: impl Fn(&T) -> u64) {
        let known = self
            .0
            .entry(hash(&entry), |known| same(known, &entry), |entry| hash(entry));
        match known {
            Entry::Occupied(mut known) => *known.get_mut() = Arc::clone(&entry),
            Entry::Vacant(room) => drop(room.insert(Arc::clone(&entry))),
        }
    }

    /// The entries whose part has this hash, and that are those.
    fn of(&self, hash: u64, is: impl Fn(&T) -> bool) -> impl Iterator<Item = &Arc<T>> {
        self.0.iter_hash(hash).filter(move |entry| is(entry))
    }
}

/// All services of a platform.
#[derive(Debug, Default)]
pub struct ServiceIndex {
    by_guid: EntryTable<Service>,
    by_tenant: EntryTable<Service>,
    by_name: EntryTable<Service>,
    hashes: RandomState,
    unreadable: usize,
}

impl ServiceIndex {
    /// Indexes a list.
    pub fn new(listed: Listed<Arc<Service>>) -> Self {
        let (hashes, entries) = (RandomState::default(), listed.items.len());
        let [mut by_guid, mut by_tenant, mut by_name] =
            std::array::from_fn(|_| EntryTable::with_capacity(entries));
        for service in listed.items {
            if service.tenant.is_some() {
                by_tenant.add(Arc::clone(&service), |service: &Service| {
                    hashes.hash_one(service.tenant)
                });
            }
            by_name.add(Arc::clone(&service), |service: &Service| {
                hash_of_name(&hashes, &service.short_name)
            });
            // A list may show one id for two tenants: the last one counts, in each list.
            by_guid.put(
                service,
                |known: &Service, service| known.guid == service.guid,
                |service| hashes.hash_one(service.guid),
            );
        }
        Self {
            by_guid,
            by_tenant,
            by_name,
            hashes,
            unreadable: listed.unreadable,
        }
    }

    fn with_guid(&self, guid: &CustomerGuid) -> Option<&Arc<Service>> {
        let hash = self.hashes.hash_one(guid);
        self.by_guid.of(hash, |service| service.guid == *guid).next()
    }

    /// Whether the index of this list would be the same: all its entries are those of the index.
    pub fn is_of(&self, listed: &Listed<Arc<Service>>) -> bool {
        let holds = |service: &Arc<Service>| {
            let known = self.with_guid(&service.guid);
            known.is_some_and(|known| Arc::ptr_eq(known, service))
        };
        self.unreadable == listed.unreadable
            && self.by_guid.0.len() == listed.items.len()
            && listed.items.iter().all(holds)
    }

    /// Returns what the list holds for one object, in the order of the ids: that of the platform's list is unknown
    /// (U-19).
    pub fn view(
        &self,
        tenant: Option<&TenantId>,
        guid: Option<&CustomerGuid>,
        name: Option<&str>,
    ) -> ServicesView {
        ServicesView {
            by_tenant: in_order(tenant.into_iter().flat_map(|tenant| self.of_tenant(*tenant))),
            by_guid: guid.and_then(|guid| self.with_guid(guid)).cloned(),
            by_name: in_order(name.into_iter().flat_map(|name| self.named(name))),
            complete: self.unreadable == 0,
        }
    }

    fn of_tenant(&self, tenant: TenantId) -> impl Iterator<Item = &Arc<Service>> {
        let hash = self.hashes.hash_one(Some(tenant));
        self.by_tenant
            .of(hash, move |service| service.tenant == Some(tenant))
    }

    /// The services with a name, ignoring case.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<Service>> {
        let hash = hash_of_name(&self.hashes, name);
        self.by_name
            .of(hash, move |service| same_folded(&service.short_name, name))
    }

    /// Whether the list contains this service.
    pub fn has(&self, guid: &CustomerGuid) -> bool {
        self.with_guid(guid).is_some()
    }

    /// Whether a service has this short name, ignoring case.
    pub fn has_name(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Returns all services.
    pub fn all(&self) -> impl Iterator<Item = &Service> {
        self.by_guid.0.iter().map(Arc::as_ref)
    }

    /// Returns how many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Returns what changed since an earlier list; everything, if there was none.
    pub fn changed_since(&self, before: Option<&Self>) -> InventoryDiff {
        let mut changed = InventoryDiff {
            whole_again: whole_again(before.map(Self::unreadable), self.unreadable),
            ..InventoryDiff::default()
        };
        if before.is_some_and(|before| std::ptr::eq(before, self)) {
            return changed;
        }
        let mut note = |service: &Service| {
            changed.tenants.extend(service.tenant);
            changed.names.insert(fold_case(&service.short_name));
        };
        for service in &self.by_guid.0 {
            match before.and_then(|before| before.with_guid(&service.guid)) {
                Some(old) if Arc::ptr_eq(old, service) || old == service => {}
                Some(old) => {
                    note(old);
                    note(service);
                }
                None => note(service),
            }
        }
        for old in before.into_iter().flat_map(Self::all) {
            if !self.has(&old.guid) {
                note(old);
            }
        }
        changed
    }
}

/// Almost always one.
type Few<T> = SmallVec<[Arc<T>; 1]>;

/// Services in the order of their ids.
fn in_order<'a>(services: impl Iterator<Item = &'a Arc<Service>>) -> Vec<Arc<Service>> {
    let mut all: Vec<_> = services.cloned().collect();
    all.sort_unstable_by_key(|service| service.guid);
    all
}

/// The hash of a name, ignoring case.
fn hash_of_name(hashes: &RandomState, name: &str) -> u64 {
    let mut hasher = hashes.build_hasher();
    if name.is_ascii() {
        name.bytes()
            .for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
    } else {
        fold_case(name).bytes().for_each(|byte| hasher.write_u8(byte));
    }
    hasher.finish()
}

/// All leads of a platform.
#[derive(Debug, Default)]
pub struct LeadIndex {
    by_tenant: HashMap<TenantId, Few<Lead>>,
    leads: usize,
    unreadable: usize,
    in_pages: bool,
}

impl LeadIndex {
    /// Indexes a list.
    pub fn new(listed: Listed<Arc<Lead>>) -> Self {
        let mut index = Self {
            by_tenant: HashMap::with_capacity(listed.items.len()),
            leads: listed.items.len(),
            unreadable: listed.unreadable,
            in_pages: in_pages(&listed),
        };
        for lead in listed.items {
            index.by_tenant.entry(lead.tenant).or_default().push(lead);
        }
        // The order of the platform's list is unknown (U-19): two leads of one tenant in another order are no
        // change.
        for leads in index.by_tenant.values_mut() {
            leads.sort_by_key(|a| a.id);
        }
        index
    }

    /// Whether the index of this list would be the same: all its entries are those of the index.
    pub fn is_of(&self, listed: &Listed<Arc<Lead>>) -> bool {
        let holds = |lead: &Arc<Lead>| {
            let known = self.by_tenant.get(&lead.tenant).into_iter().flatten();
            known.into_iter().any(|known| Arc::ptr_eq(known, lead))
        };
        self.unreadable == listed.unreadable
            && self.in_pages == in_pages(listed)
            && self.leads == listed.items.len()
            && listed.items.iter().all(holds)
    }

    /// Returns what the list holds for one object: the leads of its tenant.
    pub fn view(&self, tenant: Option<&TenantId>) -> LeadsView {
        LeadsView {
            leads: tenant
                .and_then(|tenant| self.by_tenant.get(tenant))
                .map(|few| few.to_vec())
                .unwrap_or_default(),
            complete: self.unreadable == 0,
            read: if self.in_pages {
                LeadsRead::InPages
            } else {
                LeadsRead::AtOnce
            },
        }
    }

    /// Whether a tenant has any lead.
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.by_tenant.contains_key(tenant)
    }

    /// Returns the leads of each tenant.
    pub fn tenants(&self) -> impl Iterator<Item = &[Arc<Lead>]> {
        self.by_tenant.values().map(SmallVec::as_slice)
    }

    /// Returns all leads.
    pub fn all(&self) -> impl Iterator<Item = &Lead> {
        self.by_tenant.values().flatten().map(Arc::as_ref)
    }

    /// Returns how many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Returns what changed since an earlier list; everything, if there was none.
    pub fn changed_since(&self, before: Option<&Self>) -> InventoryDiff {
        let mut changed = InventoryDiff {
            whole_again: whole_again(before.map(Self::unreadable), self.unreadable),
            ..InventoryDiff::default()
        };
        if before.is_some_and(|before| std::ptr::eq(before, self)) {
            return changed;
        }
        let same = |one: &Few<Lead>, other: &Few<Lead>| {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other) || one == other)
        };
        for (tenant, leads) in &self.by_tenant {
            let known = before.and_then(|before| before.by_tenant.get(tenant));
            if !known.is_some_and(|known| same(known, leads)) {
                changed.tenants.insert(*tenant);
            }
        }
        for tenant in before.into_iter().flat_map(|before| before.by_tenant.keys()) {
            if !self.by_tenant.contains_key(tenant) {
                changed.tenants.insert(*tenant);
            }
        }
        changed
    }
}

/// Whether entries may have moved from one page to another while the list was read. An empty list has none.
fn in_pages(listed: &Listed<Arc<Lead>>) -> bool {
    listed.pages > 1 && !listed.items.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::names::LeadId;
    use proptest::{collection, prelude::*};

    fn tenant(number: u8) -> TenantId {
        TenantId::parse(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap()
    }

    fn service(number: u8, name: &str) -> Service {
        let guid = CustomerGuid::parse(&format!("{number:08x}-0000-4000-9000-000000000000")).unwrap();
        Service {
            guid,
            tenant: Some(tenant(number)),
            short_name: name.into(),
            full_name: None,
            license: None,
        }
    }

    fn lead(number: u8) -> Lead {
        Lead {
            id: LeadId::parse(&format!("{number:08x}-0000-4000-a000-000000000000")).unwrap(),
            tenant: tenant(1),
            status: oc_domain::model::MicrosoftStatus::Active,
            consentless: false,
            service: None,
            channel: None,
            company_name: None,
            company_size: None,
            countries: Vec::new(),
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
        let index = ServiceIndex::new(listed(&[one.clone(), two.clone()], 0));
        assert!(
            index.is_of(&listed(&[two.clone(), one.clone()], 0)),
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
            assert!(!index.is_of(&changed), "{why}");
        }
        let leads = |items: &[Arc<Lead>], pages| Listed {
            items: items.to_vec(),
            unreadable: 0,
            why: None,
            pages,
        };
        let both = [lead(1), lead(2)].map(Arc::new);
        let index = LeadIndex::new(leads(&both, 1));
        assert!(index.is_of(&leads(&both, 1)));
        assert!(!index.is_of(&leads(&both, 2)), "read in pages, it proves less");
        assert!(
            !index.is_of(&leads(&both[..1], 1)) && !index.is_of(&leads(&[lead(1), lead(2)].map(Arc::new), 1))
        );
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
}

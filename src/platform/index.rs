//! The two lists of a platform, indexed, and the differences between two versions of them.

mod entries;

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use live_platform::Listed;
use oc_domain::facts::{LeadsRead, LeadsView, ServicesView};
use oc_domain::model::{Lead, Service};
use oc_domain::names::{CustomerGuid, TenantId, fold_case, same_folded};
use smallvec::SmallVec;

use crate::platform::index::entries::{Changes, Place, PlaceTable, entry};

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

/// Tells one list from all others of this process.
pub type ListVersion = u64;

fn next_version() -> ListVersion {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// What came or went with a list.
#[derive(Debug)]
struct Since<T> {
    /// The list before.
    before: ListVersion,
    /// What is in one of the two and not in the other.
    differs: Box<[T]>,
}

/// What came or went since a list: nothing if it is this one, and `None` if it is not the one before.
fn since<T>(known: Option<&Since<T>>, own: ListVersion, before: ListVersion) -> Option<&[T]> {
    if before == own {
        return Some(&[]);
    }
    known
        .filter(|since| since.before == before)
        .map(|since| &*since.differs)
}

/// A list, indexed.
pub trait ListIndex: Sized {
    /// What it lists.
    type Entry;

    /// Indexes a list.
    fn new(listed: Listed<Arc<Self::Entry>>) -> Self;

    /// Indexes the next list. Returns this index if that of the list would be the same.
    fn followed_by(self: &Arc<Self>, listed: Listed<Arc<Self::Entry>>) -> Arc<Self>;

    /// Returns what changed since an earlier list; everything, if there was none.
    fn changed_since(&self, before: Option<&Self>) -> InventoryDiff;
}

/// All services of a platform.
#[derive(Debug, Default)]
pub struct ServiceIndex {
    version: ListVersion,
    since: Option<Since<CustomerGuid>>,
    services: Vec<Arc<Service>>,
    by_guid: PlaceTable,
    by_tenant: PlaceTable,
    by_name: PlaceTable,
    hashes: RandomState,
    /// Whether an id may stand in the list twice, as for two tenants: the last one counts, in each list.
    has_twins: bool,
    unreadable: usize,
}

/// The hashes of what services are found by.
struct ServiceHashes<'a>(&'a RandomState, &'a [Arc<Service>]);

impl ServiceHashes<'_> {
    fn guid(&self, place: Place) -> u64 {
        entry(self.1, place).map_or(0, |service| self.0.hash_one(service.guid))
    }

    /// Nobody looks for one without a tenant, but with one hash for all of them, each would be compared with the others.
    fn tenant(&self, place: Place) -> u64 {
        entry(self.1, place).map_or(0, |service| match service.tenant {
            Some(_) => self.0.hash_one(service.tenant),
            None => self.0.hash_one(service.guid),
        })
    }

    fn name(&self, place: Place) -> u64 {
        entry(self.1, place).map_or(0, |service| hash_of_name(self.0, &service.short_name))
    }
}

impl ListIndex for ServiceIndex {
    type Entry = Service;

    fn new(listed: Listed<Arc<Service>>) -> Self {
        Self::default().with(&Changes::between(&[], &listed.items), listed)
    }

    fn followed_by(self: &Arc<Self>, listed: Listed<Arc<Service>>) -> Arc<Self> {
        let changes = Changes::between(&self.services, &listed.items);
        if changes.are_none() && self.unreadable == listed.unreadable {
            return Arc::clone(self);
        }
        let mut next = self.with(&changes, listed);
        let gone = changes.gone(&self.services);
        let gone = gone.filter(|service| !next.has(&service.guid));
        let added = changes.added(&next.services);
        let added = added.filter(|service| !self.has(&service.guid));
        next.since = Some(Since {
            before: self.version,
            differs: gone.chain(added).map(|service| service.guid).collect(),
        });
        Arc::new(next)
    }

    fn changed_since(&self, before: Option<&Self>) -> InventoryDiff {
        let mut changed = InventoryDiff {
            whole_again: whole_again(before.map(Self::unreadable), self.unreadable),
            ..InventoryDiff::default()
        };
        let none = Self::default();
        let before = before.unwrap_or(&none);
        let changes = if self.has_twins || before.has_twins {
            // Which of two counts may change though both are in both lists.
            Changes::all(&before.services, &self.services)
        } else {
            Changes::between(&before.services, &self.services)
        };
        let mut note = |service: &Service| {
            changed.tenants.extend(service.tenant);
            changed.names.insert(fold_case(&service.short_name));
        };
        let added = changes.added(&self.services);
        for service in added.filter(|service| self.counts(service)) {
            match before.with_guid(&service.guid) {
                Some(old) if old == service => {}
                Some(old) => {
                    note(old);
                    note(service);
                }
                None => note(service),
            }
        }
        let gone = changes.gone(&before.services);
        for old in gone.filter(|old| !self.has(&old.guid) && before.counts(old)) {
            note(old);
        }
        changed
    }
}

impl ServiceIndex {
    /// Tells this list from all others.
    pub fn version(&self) -> ListVersion {
        self.version
    }

    /// Returns the ids that came or went since a list, if that is this one or the one before.
    pub fn came_or_went_since(&self, before: ListVersion) -> Option<&[CustomerGuid]> {
        since(self.since.as_ref(), self.version, before)
    }

    fn with(&self, changes: &Changes, listed: Listed<Arc<Service>>) -> Self {
        let before = ServiceHashes(&self.hashes, &self.services);
        let now = ServiceHashes(&self.hashes, &listed.items);
        let mut next = Self {
            version: next_version(),
            since: None,
            by_guid: changes.applied(&self.by_guid, |place| before.guid(place), |place| now.guid(place)),
            by_tenant: changes.applied(
                &self.by_tenant,
                |place| before.tenant(place),
                |place| now.tenant(place),
            ),
            by_name: changes.applied(&self.by_name, |place| before.name(place), |place| now.name(place)),
            services: listed.items,
            hashes: self.hashes.clone(),
            has_twins: self.has_twins,
            unreadable: listed.unreadable,
        };
        let is_twin = |service: &Arc<Service>| next.with_this_guid(&service.guid).nth(1).is_some();
        let adds_twins = changes.added(&next.services).any(is_twin);
        next.has_twins |= adds_twins;
        next
    }

    fn with_this_guid(&self, guid: &CustomerGuid) -> impl Iterator<Item = Place> {
        let is = |place: &Place| entry(&self.services, *place).is_some_and(|service| service.guid == *guid);
        self.by_guid.of(self.hashes.hash_one(guid)).filter(is)
    }

    fn with_guid(&self, guid: &CustomerGuid) -> Option<&Arc<Service>> {
        entry(&self.services, self.with_this_guid(guid).max()?)
    }

    /// Whether this entry counts: it is the last one with its id.
    fn counts(&self, service: &Arc<Service>) -> bool {
        let last = self.with_guid(&service.guid);
        last.is_some_and(|last| Arc::ptr_eq(last, service))
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
        let places = self.by_tenant.of(self.hashes.hash_one(Some(tenant)));
        places
            .filter_map(|place| entry(&self.services, place))
            .filter(move |service| service.tenant == Some(tenant))
    }

    /// The services with a name, ignoring case.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<Service>> {
        let places = self.by_name.of(hash_of_name(&self.hashes, name));
        places
            .filter_map(|place| entry(&self.services, place))
            .filter(move |service| same_folded(&service.short_name, name))
    }

    /// Whether the list contains this service.
    pub fn has(&self, guid: &CustomerGuid) -> bool {
        self.with_guid(guid).is_some()
    }

    /// Whether a service has this short name, ignoring case.
    pub fn has_name(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Returns all services, each once.
    pub fn all(&self) -> impl Iterator<Item = &Service> {
        let counts = |service: &&Arc<Service>| !self.has_twins || self.counts(service);
        self.services.iter().filter(counts).map(Arc::as_ref)
    }

    /// Returns how many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
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
    version: ListVersion,
    since: Option<Since<TenantId>>,
    leads: Vec<Arc<Lead>>,
    by_tenant: PlaceTable,
    hashes: RandomState,
    unreadable: usize,
    in_pages: bool,
}

impl ListIndex for LeadIndex {
    type Entry = Lead;

    fn new(listed: Listed<Arc<Lead>>) -> Self {
        Self::default().with(&Changes::between(&[], &listed.items), listed)
    }

    fn followed_by(self: &Arc<Self>, listed: Listed<Arc<Lead>>) -> Arc<Self> {
        let changes = Changes::between(&self.leads, &listed.items);
        let proves_the_same = self.unreadable == listed.unreadable && self.in_pages == in_pages(&listed);
        if changes.are_none() && proves_the_same {
            return Arc::clone(self);
        }
        let mut next = self.with(&changes, listed);
        let gone = changes.gone(&self.leads);
        let gone = gone.filter(|lead| !next.has(&lead.tenant));
        let added = changes.added(&next.leads);
        let added = added.filter(|lead| !self.has(&lead.tenant));
        next.since = Some(Since {
            before: self.version,
            differs: gone.chain(added).map(|lead| lead.tenant).collect(),
        });
        Arc::new(next)
    }

    fn changed_since(&self, before: Option<&Self>) -> InventoryDiff {
        let unreadable_before = before.map(Self::unreadable);
        let none = Self::default();
        let before = before.unwrap_or(&none);
        let changes = Changes::between(&before.leads, &self.leads);
        let gone = changes.gone(&before.leads);
        let added = changes.added(&self.leads);
        let perhaps: HashSet<TenantId> = gone.chain(added).map(|lead| lead.tenant).collect();
        let changed = |tenant: &TenantId| before.of_tenant(tenant) != self.of_tenant(tenant);
        InventoryDiff {
            tenants: perhaps.into_iter().filter(changed).collect(),
            whole_again: whole_again(unreadable_before, self.unreadable),
            ..InventoryDiff::default()
        }
    }
}

impl LeadIndex {
    /// Tells this list from all others.
    pub fn version(&self) -> ListVersion {
        self.version
    }

    /// Returns the tenants whose first lead came or whose last one went since a list, if that is this one or the one
    /// before.
    pub fn came_or_went_since(&self, before: ListVersion) -> Option<&[TenantId]> {
        since(self.since.as_ref(), self.version, before)
    }

    fn with(&self, changes: &Changes, listed: Listed<Arc<Lead>>) -> Self {
        let hash = |leads: &[Arc<Lead>], place| {
            entry(leads, place).map_or(0, |lead: &Arc<Lead>| self.hashes.hash_one(lead.tenant))
        };
        Self {
            version: next_version(),
            since: None,
            by_tenant: changes.applied(
                &self.by_tenant,
                |place| hash(&self.leads, place),
                |place| hash(&listed.items, place),
            ),
            hashes: self.hashes.clone(),
            unreadable: listed.unreadable,
            in_pages: in_pages(&listed),
            leads: listed.items,
        }
    }

    /// The leads of a tenant, by id. The order of the platform's list is unknown (U-19): two leads of one tenant in
    /// another order are no change.
    fn of_tenant(&self, tenant: &TenantId) -> Few<Lead> {
        let places = self.by_tenant.of(self.hashes.hash_one(tenant));
        let leads = places.filter_map(|place| entry(&self.leads, place));
        let mut leads: Few<Lead> = leads.filter(|lead| lead.tenant == *tenant).cloned().collect();
        leads.sort_by_key(|lead| lead.id);
        leads
    }

    /// Returns what the list holds for one object: the leads of its tenant.
    pub fn view(&self, tenant: Option<&TenantId>) -> LeadsView {
        LeadsView {
            leads: tenant
                .map(|tenant| self.of_tenant(tenant).into_vec())
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
        let mut places = self.by_tenant.of(self.hashes.hash_one(tenant));
        places.any(|place| entry(&self.leads, place).is_some_and(|lead| lead.tenant == *tenant))
    }

    /// Returns the leads of each tenant.
    pub fn tenants(&self) -> impl Iterator<Item = Few<Lead>> {
        self.leads.iter().filter_map(|lead| {
            let leads = self.of_tenant(&lead.tenant);
            let is_first = leads.first().is_some_and(|first| Arc::ptr_eq(first, lead));
            is_first.then_some(leads)
        })
    }

    /// Returns all leads.
    pub fn all(&self) -> impl Iterator<Item = &Lead> {
        self.leads.iter().map(Arc::as_ref)
    }

    /// Returns how many entries of the list could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

/// Whether entries may have moved from one page to another while the list was read. An empty list has none.
fn in_pages(listed: &Listed<Arc<Lead>>) -> bool {
    listed.pages > 1 && !listed.items.is_empty()
}

#[cfg(test)]
pub(crate) mod tests;

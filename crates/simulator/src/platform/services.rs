//! Services ("customers" of the REST API): platform-facts.md 4 and 6.1.

use super::Platform;
use super::counters::Maker;
use super::create::Kept;
use super::leads::folded;
use super::refusal::Refusal;
use super::time::Millis;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The number of the license OC Essential (platform-facts.md 4).
pub const OC_ESSENTIAL: u8 = 3;

/// Licenses below this number are Direct Routing ones (platform-facts.md 4).
const FIRST_OF_OPERATOR_CONNECT: u8 = OC_ESSENTIAL;

/// A service's one SIP Connection, or site location (platform-facts.md 6.5).
#[derive(Clone, Debug)]
pub struct Site {
    /// The site's id (C-21).
    pub id: String,
    /// The site's name.
    pub name: String,
    /// The id in the platform's own list of SBCs.
    pub sbc: u64,
    /// Script ids, as requested.
    pub scripts: BTreeMap<String, u64>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// `umpCustomerGuid`.
    pub guid: String,
    /// Short name.
    pub short_name: String,
    /// Full name.
    pub full_name: String,
    /// The license, 0 to 5 (platform-facts.md 4).
    pub license: u8,
    /// The number of licensed users, set by an upgrade.
    pub licensed_users: Option<u64>,
    /// The customer's Microsoft tenant; empty when the platform knows none, as with most Direct Routing
    /// services.
    pub tenant: String,
    /// Operation Center's id of the service.
    pub topology_id: u64,
    /// The LC customer that owns it.
    pub customer: Option<u64>,
    /// What its create said and the platform only keeps.
    pub kept: Kept,
    /// The SIP Connection.
    pub site: Site,
    /// When it was created.
    pub created_at: Millis,
    /// When the lists start to show it (U-8).
    pub listed_from: Millis,
    /// When it stops showing after its deletion (N-11).
    pub until: Option<Millis>,
    /// Whether it was created over the vendor's API.
    pub by_api: bool,
    /// Whether a leads job ran since it was created.
    pub leads_synced: bool,
    /// Whether a trunks job ran since it was created.
    pub trunks_synced: bool,
}

impl Service {
    /// Whether it is a Direct Routing service, which is counted separately (platform-facts-3.md 2, C-31).
    pub fn is_direct_routing(&self) -> bool {
        self.license < FIRST_OF_OPERATOR_CONNECT
    }
}

/// A service that somebody made in the portal, as the control API and the seed file give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceInput {
    /// The Microsoft tenant, or any other text; none for a service without one, as most Direct Routing
    /// services are.
    pub tenant_id: Option<String>,
    /// Short name.
    pub short_name: String,
    /// The full name; by default the short name.
    pub full_name: Option<String>,
    /// The license; by default 3. Licenses 0 to 2 are Direct Routing, which may exist beside an Operator
    /// Connect service (platform-facts-3.md 2).
    pub license_type: Option<u8>,
    /// The guid; by default a new one.
    pub ump_customer_guid: Option<String>,
    /// The LC customer that owns it.
    pub lc_customer_id: Option<u64>,
    /// Lets a tenant have a second service, or a short name be used twice.
    #[serde(default)]
    pub force: bool,
}

/// A change to a service that somebody makes in the portal.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceChange {
    /// New full name.
    pub full_name: Option<String>,
    /// New license.
    pub license_type: Option<u8>,
    /// New short name.
    pub short_name: Option<String>,
    /// The new tenant, or any other text; empty means none.
    pub tenant_id: Option<String>,
}

/// All services, in order of arrival.
#[derive(Debug, Default)]
pub struct Services {
    rows: BTreeMap<u64, Service>,
    by_guid: HashMap<String, u64>,
    by_tenant: HashMap<String, Vec<u64>>,
    by_name: HashMap<String, Vec<u64>>,
    last: u64,
}

impl Services {
    /// Returns all services.
    pub fn all(&self) -> impl Iterator<Item = &Service> {
        self.rows.values()
    }

    /// Returns the number of services.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Returns the service with this guid.
    pub fn get(&self, guid: &str) -> Option<&Service> {
        self.rows.get(self.by_guid.get(&folded(guid))?)
    }

    fn get_mut(&mut self, guid: &str) -> Option<&mut Service> {
        self.rows.get_mut(self.by_guid.get(&folded(guid))?)
    }

    /// Returns the services of a tenant.
    pub fn of(&self, tenant: &str) -> impl Iterator<Item = &Service> {
        let rows = self.by_tenant.get(&folded(tenant)).into_iter().flatten();
        rows.filter_map(|row| self.rows.get(row))
    }

    /// Whether a short name is taken, in any case (N-3).
    pub fn has_name(&self, name: &str) -> bool {
        self.by_name
            .get(&name.to_lowercase())
            .is_some_and(|rows| !rows.is_empty())
    }

    /// Whether another tenant has a short name.
    pub fn has_name_elsewhere(&self, name: &str, tenant: &str) -> bool {
        let rows = self.by_name.get(&name.to_lowercase()).into_iter().flatten();
        rows.filter_map(|row| self.rows.get(row))
            .any(|service| !service.tenant.eq_ignore_ascii_case(tenant))
    }

    /// Adds a service.
    pub fn insert(&mut self, service: Service) {
        self.last += 1;
        self.by_guid.insert(folded(&service.guid), self.last);
        self.by_tenant
            .entry(folded(&service.tenant))
            .or_default()
            .push(self.last);
        self.by_name
            .entry(service.short_name.to_lowercase())
            .or_default()
            .push(self.last);
        self.rows.insert(self.last, service);
    }

    fn remove(&mut self, guid: &str) -> Option<Service> {
        let row = self.by_guid.remove(&folded(guid))?;
        let service = self.rows.remove(&row)?;
        for (index, key) in [
            (&mut self.by_tenant, folded(&service.tenant)),
            (&mut self.by_name, service.short_name.to_lowercase()),
        ] {
            if let Some(rows) = index.get_mut(&key) {
                rows.retain(|other| *other != row);
            }
        }
        Some(service)
    }

    /// Marks the services that existed when a job started as seen by it.
    pub fn synced(&mut self, since: Millis, mark: impl Fn(&mut Service)) {
        self.rows
            .values_mut()
            .filter(|service| service.created_at <= since)
            .for_each(mark);
    }

    /// Sets the license of a service.
    pub fn set_license(&mut self, guid: &str, license: u8, users: Option<u64>) -> bool {
        let Some(service) = self.get_mut(guid) else {
            return false;
        };
        service.license = license;
        service.licensed_users = users;
        true
    }

    fn overdue(&self, now: Millis) -> Vec<(String, Millis)> {
        let end = |service: &Service| service.until.filter(|until| *until <= now);
        self.rows
            .values()
            .filter_map(|service| Some((service.guid.clone(), end(service)?)))
            .collect()
    }
}

impl Platform {
    /// Returns the guid that a tenant's lead shows (platform-facts.md 2.1, U-8).
    pub fn guid_on_lead(&self, tenant: &str) -> Option<&str> {
        let late = self.settings.visible_after_leads_job;
        let shown = |service: &&Service| !late || service.leads_synced;
        let of_leads = self
            .services
            .of(tenant)
            .filter(|service| !service.is_direct_routing());
        let others = self
            .services
            .of(tenant)
            .filter(|service| service.is_direct_routing() && self.settings.lead_shows_direct_routing);
        of_leads
            .chain(others)
            .find(shown)
            .map(|service| service.guid.as_str())
    }

    /// Returns the services that the lists show at this time (U-8).
    pub fn listed(&self, now: Millis) -> impl Iterator<Item = &Service> {
        let late = self.settings.listed_after_leads_job;
        self.services
            .all()
            .filter(move |service| service.listed_from <= now && (!late || service.leads_synced))
    }

    /// Whether a tenant has an Operator Connect service.
    pub fn has_operator_connect(&self, tenant: &str) -> bool {
        self.services
            .of(tenant)
            .any(|service| !service.is_direct_routing())
    }

    /// Whether a tenant has a Direct Routing service.
    pub fn has_direct_routing(&self, tenant: &str) -> bool {
        self.services.of(tenant).any(Service::is_direct_routing)
    }

    /// Executes DELETE service (platform-facts.md 4, N-11).
    pub fn delete_service(&mut self, now: Millis, guid: &str) -> Result<(), Refusal> {
        let found = self.services.get(guid).filter(|service| service.until.is_none());
        let service = found.ok_or_else(|| Refusal::no_customer(guid))?;
        if self.settings.refuse_deletion_with_numbers && self.numbers.count(&service.tenant) > 0 {
            return Err(Refusal::Plain(400, "Customer has numbers".into()));
        }
        self.record.counters.deletes_executed += 1;
        let until = now + self.settings.deletion_delay;
        if let Some(service) = self.services.get_mut(guid) {
            service.until = Some(until);
            self.lingering += 1;
        }
        self.remove_overdue_services(now);
        Ok(())
    }

    /// Removes services that were deleted long enough ago.
    pub fn remove_overdue_services(&mut self, now: Millis) {
        if self.lingering == 0 {
            return;
        }
        for (guid, at) in self.services.overdue(now) {
            self.lingering -= 1;
            self.drop_service(at, &guid);
        }
    }

    fn drop_service(&mut self, now: Millis, guid: &str) -> bool {
        let Some(service) = self.services.remove(guid) else {
            return false;
        };
        self.history.deleted(&folded(&service.tenant), &service.guid, now);
        if let Some(customer) = service.customer {
            let used = self.services.all().any(|other| other.customer == Some(customer));
            let made = self
                .topology
                .customers
                .get(&customer)
                .is_some_and(|customer| customer.made_with_service);
            if made && !used {
                self.topology.customers.remove(&customer);
            }
        }
        true
    }

    /// Deletes a service without the client's knowledge.
    pub fn vanish_service(&mut self, now: Millis, guid: &str) -> bool {
        if self
            .services
            .get(guid)
            .is_some_and(|service| service.until.is_some())
        {
            self.lingering -= 1;
        }
        self.drop_service(now, guid)
    }

    /// Adds a service that somebody made in the portal. Returns its guid.
    pub fn seed_service(&mut self, now: Millis, input: ServiceInput) -> Result<String, String> {
        let tenant = input.tenant_id.unwrap_or_default();
        let license = input.license_type.unwrap_or(OC_ESSENTIAL);
        let direct_routing = license < FIRST_OF_OPERATOR_CONNECT;
        let same_kind = |service: &Service| service.is_direct_routing() == direct_routing;
        if !input.force && !tenant.is_empty() && self.services.of(&tenant).any(same_kind) {
            return Err(format!(
                "tenant {tenant} already has a service (force: true adds another one)"
            ));
        }
        if !input.force && self.services.has_name(&input.short_name) {
            return Err(format!(
                "short name {} is taken (force: true allows it anyway)",
                input.short_name
            ));
        }
        let guid = input.ump_customer_guid.unwrap_or_else(|| self.ids.guid());
        if self.services.get(&guid).is_some() {
            return Err(format!("service {guid} already exists"));
        }
        let site = Site {
            id: if self.settings.site_location_id_is_service_guid {
                guid.clone()
            } else {
                self.ids.guid()
            },
            name: input.short_name.clone(),
            sbc: 1,
            scripts: BTreeMap::new(),
        };
        self.history.created(
            &folded(&tenant),
            &guid,
            now,
            if direct_routing {
                Maker::DirectRouting
            } else {
                Maker::Portal
            },
        );
        let service = Service {
            guid: guid.clone(),
            full_name: input.full_name.unwrap_or_else(|| input.short_name.clone()),
            short_name: input.short_name,
            license,
            licensed_users: None,
            tenant,
            topology_id: self.topology.next_id(),
            customer: input.lc_customer_id,
            kept: Kept::default(),
            site,
            created_at: now,
            listed_from: now + self.settings.service_visibility_delay,
            until: None,
            by_api: false,
            leads_synced: false,
            trunks_synced: false,
        };
        self.services.insert(service);
        Ok(guid)
    }

    /// Changes a service as somebody would in the portal. Returns false if there is none.
    pub fn change_service(&mut self, guid: &str, change: ServiceChange) -> bool {
        let Some(mut service) = self.services.remove(guid) else {
            return false;
        };
        service.full_name = change.full_name.unwrap_or(service.full_name);
        service.license = change.license_type.unwrap_or(service.license);
        service.short_name = change.short_name.unwrap_or(service.short_name);
        service.tenant = change.tenant_id.unwrap_or(service.tenant);
        self.services.insert(service);
        true
    }
}

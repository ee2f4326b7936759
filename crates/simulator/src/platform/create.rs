//! Creates a service from a lead: V2 and V3 are two forms of one operation (platform-facts.md 3).

use super::Platform;
use super::counters::Maker;
use super::endpoint::Endpoint;
use super::leads::{Lead, folded};
use super::names;
use super::refusal::Refusal;
use super::services::{OC_ESSENTIAL, Service, Site};
use super::settings::{BesideDirectRouting, FoundBy, SecondCreate};
use super::tasks::Work;
use super::time::Millis;
use super::topology::{Channel, LcCustomerInput};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

const SECOND: &str = "This MsTenant already exists as an UMP customer!";

/// How a create names its lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeadKey {
    /// By the Microsoft tenant.
    Tenant(String),
    /// By the lead's own id.
    Lead(String),
}

/// What a create says and the service keeps as it came. The control API shows all of it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Connected by IP group, not by tenant id.
    pub ip_group: bool,
    /// Script parameters of an IP group.
    #[serde(serialize_with = "masked")]
    pub script_parameters: BTreeMap<String, String>,
}

impl Kept {
    /// Returns the script parameters with their passwords masked.
    pub fn shown_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        shown(&self.script_parameters)
    }
}

fn shown(parameters: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    parameters.iter().map(|(name, value)| {
        let secret = name.to_lowercase().contains("password");
        (name.as_str(), if secret { "*****" } else { value })
    })
}

fn masked<S: Serializer>(parameters: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(shown(parameters))
}

/// A create, read from the request.
#[derive(Clone, Debug)]
pub struct Create {
    /// The lead to convert.
    pub lead: LeadKey,
    /// Requested over V3, whose task reports the guid (C-8).
    pub v3: bool,
    /// Short name.
    pub short_name: String,
    /// Full name.
    pub full_name: String,
    /// What the service keeps as it came.
    pub kept: Kept,
    /// Name of the SIP Connection; by default the short name.
    pub site_name: Option<String>,
    /// SBC of the SIP Connection.
    pub sbc: Option<u64>,
    /// Script ids of the SIP Connection.
    pub scripts: BTreeMap<String, u64>,
    /// The channel to attach.
    pub channel: Option<u64>,
    /// The LC customer to own the service.
    pub customer: Option<u64>,
}

impl Platform {
    fn lead_of(&self, key: &LeadKey) -> Option<&Lead> {
        match key {
            LeadKey::Tenant(tenant) => self.leads.chosen(tenant),
            LeadKey::Lead(id) => self.leads.with_id(id),
        }
    }

    /// Whether a create for this tenant is in progress.
    pub fn is_reserved_tenant(&self, tenant: &str) -> bool {
        self.reserved_tenants.contains_key(&folded(tenant))
    }

    /// Whether the tenant has an Operator Connect service, or another task is creating one.
    fn is_served(&self, tenant: &str, own: Option<&str>) -> bool {
        let reserved = self.reserved_tenants.get(&folded(tenant));
        self.has_operator_connect(tenant) || reserved.is_some_and(|task| Some(task.as_str()) != own)
    }

    /// Whether a create for this tenant is refused at the request (U-4, U-25).
    fn refused_at_once(&self, tenant: &str) -> bool {
        let second = self.settings.second_create == SecondCreate::Request && self.is_served(tenant, None);
        let beside = self.settings.beside_direct_routing == BesideDirectRouting::Request
            && self.has_direct_routing(tenant);
        second || beside
    }

    /// Whether the task of such a create fails.
    fn refused_by_task(&self, tenant: &str, task: &str) -> bool {
        let second =
            self.settings.second_create != SecondCreate::Allowed && self.is_served(tenant, Some(task));
        let beside = self.settings.beside_direct_routing != BesideDirectRouting::Allowed
            && self.has_direct_routing(tenant);
        second || beside
    }

    fn name_fault(&self, name: &str, tenant: &str, own: Option<&str>) -> Option<&'static str> {
        let holder = self
            .reserved_names
            .get(&name.to_lowercase())
            .filter(|task| Some(task.as_str()) != own);
        let taken = if self.settings.second_create == SecondCreate::Allowed {
            // A tenant may then create everything twice, even with the same name.
            let about = holder
                .and_then(|task| self.tasks.get(task))
                .and_then(|task| task.tenant.as_deref());
            let elsewhere = about.is_some_and(|other| !other.eq_ignore_ascii_case(tenant));
            elsewhere || self.services.has_name_elsewhere(name, tenant)
        } else {
            holder.is_some() || self.services.has_name(name)
        };
        names::fault(name, &self.settings)
            .or_else(|| taken.then_some("Short name is already used for an UMP customer."))
    }

    /// Returns what is wrong with the channel or the LC customer (platform-facts.md U-11, N-8).
    fn owner_fault(&self, create: &Create, lead: &Lead) -> Option<(&'static str, String)> {
        let channel = create.channel.or(lead.channel);
        let known = |id: u64| -> Option<&Channel> { self.topology.channels.get(&id) };
        if let Some(id) = channel.filter(|id| known(*id).is_none()) {
            return Some(("ChannelId", format!("Channel {id} does not exist.")));
        }
        if let Some(id) = create.customer {
            let Some(customer) = self.topology.customers.get(&id) else {
                return Some(("LcCustomerId", format!("LC customer {id} does not exist.")));
            };
            if channel.is_some() && customer.channel != channel {
                return Some((
                    "LcCustomerId",
                    format!("LC customer {id} does not belong to the channel of the lead."),
                ));
            }
            return None;
        }
        let fresh = self
            .topology
            .customer_named(&create.short_name, channel)
            .is_none();
        let full = channel.filter(|id| fresh && self.topology.is_full(*id));
        full.map(|id| {
            (
                "ChannelId",
                format!("Channel {id} has reached its maximum number of customers."),
            )
        })
    }

    /// Returns all that is wrong with a create, except that it is a tenant's second one.
    fn create_fault(&self, create: &Create, own: Option<&str>) -> Option<Refusal> {
        let Some(lead) = self.lead_of(&create.lead) else {
            return Some(Refusal::no_lead());
        };
        let mut faults = Vec::new();
        if lead.status != "Active" {
            faults.push(("MsTenantId".to_owned(), "The lead is not Active.".to_owned()));
        }
        if let Some(fault) = self.name_fault(&create.short_name, &lead.tenant, own) {
            faults.push(("CustomerShortName".to_owned(), fault.to_owned()));
        }
        if let Some((field, fault)) = self.owner_fault(create, lead) {
            faults.push((field.to_owned(), fault));
        }
        (!faults.is_empty()).then_some(Refusal::Validation(faults))
    }

    /// Executes POST v3 customer or PATCH lead (platform-facts.md 3.2, 3.3). Returns the id of the task that
    /// will create the service.
    pub fn create_service(&mut self, now: Millis, create: Create) -> Result<String, Refusal> {
        let endpoint = if create.v3 {
            Endpoint::ServicesCreate
        } else {
            Endpoint::LeadsConvert
        };
        let tenant = self.lead_of(&create.lead).map(|lead| lead.tenant.clone());
        if let Some(tenant) = &tenant
            && self.refused_at_once(tenant)
        {
            self.record.counters.second_creates_refused += 1;
            return Err(Refusal::field("MsTenantId", SECOND));
        }
        if self.settings.faults_found_by == FoundBy::Request
            && let Some(refusal) = self.create_fault(&create, None)
        {
            return Err(refusal);
        }
        let id = format!("wst_{}", self.ids.guid());
        if let Some(tenant) = &tenant {
            self.reserved_tenants
                .entry(folded(tenant))
                .or_insert_with(|| id.clone());
        }
        self.reserved_names
            .entry(create.short_name.to_lowercase())
            .or_insert_with(|| id.clone());
        self.record.counters.creates_accepted += 1;
        self.accept_task(now, id.clone(), endpoint, tenant, Work::Create(Box::new(create)));
        Ok(id)
    }

    /// Ends a create's task. Returns the service's guid, or why there is none.
    pub fn finish_create(&mut self, at: Millis, task: &str, create: &Create) -> Result<String, String> {
        let outcome = self
            .check_again(task, create)
            .map(|()| self.insert_created(at, create));
        self.release(task);
        outcome
    }

    /// Releases what a task had reserved.
    pub fn release(&mut self, task: &str) {
        self.reserved_tenants.retain(|_, holder| holder != task);
        self.reserved_names.retain(|_, holder| holder != task);
    }

    fn check_again(&mut self, task: &str, create: &Create) -> Result<(), String> {
        let tenant = self.lead_of(&create.lead).map(|lead| lead.tenant.clone());
        if let Some(tenant) = tenant
            && self.refused_by_task(&tenant, task)
        {
            self.record.counters.second_creates_refused += 1;
            return Err(SECOND.to_owned());
        }
        self.create_fault(create, Some(task))
            .map_or(Ok(()), |refusal| Err(refusal.in_words()))
    }

    fn owner_for(&mut self, at: Millis, create: &Create, tenant: &str, channel: Option<u64>) -> u64 {
        if let Some(customer) = create.customer {
            return customer;
        }
        if let Some(customer) = self.topology.customer_named(&create.short_name, channel) {
            return customer;
        }
        let input = LcCustomerInput {
            id: None,
            name: create.short_name.clone(),
            channel_id: channel,
        };
        let id = self.topology.put_customer(input, at);
        if let Some(customer) = self.topology.customers.get_mut(&id) {
            customer.full_name = Some(create.full_name.clone());
            customer.ms_tenant = Some(tenant.to_owned());
            customer.made_with_service = true;
        }
        id
    }

    fn insert_created(&mut self, at: Millis, create: &Create) -> String {
        let lead = self.lead_of(&create.lead).cloned();
        let (tenant, lead_id, channel) = match (lead, &create.lead) {
            (Some(lead), _) => (lead.tenant, Some(lead.id), create.channel.or(lead.channel)),
            (None, LeadKey::Tenant(key) | LeadKey::Lead(key)) => (key.clone(), None, create.channel),
        };
        let reused = lead_id.filter(|id| self.settings.reuse_lead_id && self.services.get(id).is_none());
        let guid = reused.unwrap_or_else(|| self.ids.guid());
        let same_id = self.settings.site_location_id_is_service_guid;
        let customer = self.owner_for(at, create, &tenant, channel);
        self.leads.set_channel(&tenant, channel);
        self.history.created(&folded(&tenant), &guid, at, Maker::Api);
        let site = Site {
            id: if same_id { guid.clone() } else { self.ids.guid() },
            name: create
                .site_name
                .clone()
                .unwrap_or_else(|| create.short_name.clone()),
            sbc: create.sbc.unwrap_or(1),
            scripts: create.scripts.clone(),
        };
        self.services.insert(Service {
            guid: guid.clone(),
            short_name: create.short_name.clone(),
            full_name: create.full_name.clone(),
            license: OC_ESSENTIAL,
            licensed_users: None,
            tenant,
            topology_id: self.topology.next_id(),
            customer: Some(customer),
            kept: create.kept.clone(),
            site,
            created_at: at,
            listed_from: at + self.settings.service_visibility_delay,
            until: None,
            by_api: true,
            leads_synced: false,
            trunks_synced: false,
        });
        guid
    }
}

//! The Operation Center side: channels, LC customers (platform-facts.md 6.2, 6.3) and the assignment of leads
//! (2.5).

use super::Platform;
use super::refusal::Refusal;
use super::time::{Millis, topology_time};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Operation Center's integer id (C-27).
    pub id: u64,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The maximum number of its LC customers; 0 means no limit (N-8).
    pub max_customers: u64,
    /// The channel's own Microsoft tenant.
    pub ms_tenant: Option<String>,
    /// When it was defined.
    pub defined_at: String,
}

/// An LC customer.
#[derive(Clone, Debug)]
pub struct LcCustomer {
    /// Operation Center's integer id.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Longer name.
    pub full_name: Option<String>,
    /// The channel that it belongs to.
    pub channel: Option<u64>,
    /// The Microsoft tenant, when it was made with a service.
    pub ms_tenant: Option<String>,
    /// When it was defined.
    pub defined_at: String,
    /// Whether it was created together with a service. It is removed with its last service. No page says so.
    pub made_with_service: bool,
}

/// A channel as the control API and the seed file give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelInput {
    /// The id; by default the next free one.
    pub id: Option<u64>,
    /// Name.
    pub name: String,
    /// The maximum number of LC customers; by default 0: no limit.
    #[serde(default)]
    pub max_customers: u64,
    /// Free text.
    pub description: Option<String>,
}

/// An LC customer as the control API and the seed file give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LcCustomerInput {
    /// The id; by default the next free one.
    pub id: Option<u64>,
    /// Name.
    pub name: String,
    /// The channel that it belongs to.
    pub channel_id: Option<u64>,
}

/// Channels and LC customers.
#[derive(Debug, Default)]
pub struct Topology {
    /// Channels by id.
    pub channels: BTreeMap<u64, Channel>,
    /// LC customers by id.
    pub customers: BTreeMap<u64, LcCustomer>,
    last: u64,
    assignments: VecDeque<Millis>,
}

/// How a channel assignment names its lead (platform-facts.md 2.5): exactly one of these is given.
#[derive(Clone, Debug, Default)]
pub struct AssignTarget {
    /// `leadMsTenantId`, in the old form `msTenantId`.
    pub tenant: Option<String>,
    /// `leadId`.
    pub lead: Option<String>,
    /// `umpCustomerGuid`.
    pub service: Option<String>,
}

impl Topology {
    /// Returns an unused id. All entities of the Operation Center share one range of ids.
    pub fn next_id(&mut self) -> u64 {
        self.last = self.last.max(1_000) + 1;
        while self.channels.contains_key(&self.last) || self.customers.contains_key(&self.last) {
            self.last += 1;
        }
        self.last
    }

    /// Adds a channel, or changes the one with this id.
    pub fn put_channel(&mut self, input: ChannelInput, ms_tenant: Option<String>, now: Millis) -> u64 {
        let id = input.id.unwrap_or_else(|| self.next_id());
        let channel = Channel {
            id,
            name: input.name,
            description: input.description,
            max_customers: input.max_customers,
            ms_tenant,
            defined_at: topology_time(now),
        };
        self.channels.insert(id, channel);
        id
    }

    /// Creates a channel with this id, unless there is one.
    pub fn ensure_channel(&mut self, id: u64, now: Millis) {
        if !self.channels.contains_key(&id) {
            let input = ChannelInput {
                id: Some(id),
                name: format!("channel {id}"),
                max_customers: 0,
                description: None,
            };
            self.put_channel(input, None, now);
        }
    }

    /// Adds an LC customer, or changes the one with this id.
    pub fn put_customer(&mut self, input: LcCustomerInput, now: Millis) -> u64 {
        if let Some(channel) = input.channel_id {
            self.ensure_channel(channel, now);
        }
        let id = input.id.unwrap_or_else(|| self.next_id());
        let customer = LcCustomer {
            id,
            name: input.name,
            full_name: None,
            channel: input.channel_id,
            ms_tenant: None,
            defined_at: topology_time(now),
            made_with_service: false,
        };
        self.customers.insert(id, customer);
        id
    }

    /// Returns the LC customer of this name (in any case) in this channel.
    pub fn customer_named(&self, name: &str, channel: Option<u64>) -> Option<u64> {
        let same =
            |customer: &&LcCustomer| customer.channel == channel && customer.name.eq_ignore_ascii_case(name);
        self.customers.values().find(same).map(|customer| customer.id)
    }

    /// Whether a channel can hold no further LC customer (N-8).
    pub fn is_full(&self, channel: u64) -> bool {
        let most = self
            .channels
            .get(&channel)
            .map_or(0, |channel| channel.max_customers);
        let inside = self
            .customers
            .values()
            .filter(|customer| customer.channel == Some(channel))
            .count();
        most > 0 && inside as u64 >= most
    }

    fn within_rate(&mut self, now: Millis) -> bool {
        while self.assignments.front().is_some_and(|at| at + 60_000 <= now) {
            self.assignments.pop_front();
        }
        if self.assignments.len() >= 300 {
            return false;
        }
        self.assignments.push_back(now);
        true
    }
}

impl Platform {
    fn assign_refusal(&self, field: &'static str, detail: &str) -> Refusal {
        match self.settings.assign_error {
            super::settings::AssignError::Validation => Refusal::field(field, detail),
            super::settings::AssignError::Problem => Refusal::Problem {
                status: 400,
                code: field,
                detail: detail.to_owned(),
            },
        }
    }

    fn assign_tenant(&self, target: &AssignTarget) -> Result<String, Refusal> {
        let lead = match (&target.tenant, &target.lead, &target.service) {
            (Some(tenant), None, None) => self.leads.chosen(tenant),
            (None, Some(id), None) => self.leads.with_id(id),
            (None, None, Some(guid)) => {
                let tenant = self.services.get(guid).map(|service| service.tenant.as_str());
                tenant.and_then(|tenant| self.leads.chosen(tenant))
            }
            _ => {
                let detail = "Exactly one of leadMsTenantId, leadId and umpCustomerGuid must be given.";
                return Err(self.assign_refusal("LeadMsTenantId", detail));
            }
        };
        let lead = lead.ok_or_else(Refusal::no_lead)?;
        if lead.status != "Active" {
            return Err(self.assign_refusal("LeadMsTenantId", "The lead is not Active."));
        }
        Ok(lead.tenant.clone())
    }

    /// Executes PUT assign (platform-facts.md 2.5, C-10, C-24): attaches a lead to a channel. At most 300 a
    /// minute (1.4).
    pub fn assign_channel(
        &mut self,
        now: Millis,
        target: &AssignTarget,
        channel: Option<u64>,
    ) -> Result<(), Refusal> {
        if !self.topology.within_rate(now) {
            return Err(Refusal::TooMany);
        }
        if self.settings.channel_caller {
            let detail = "Only a service provider or system administrator may assign channels.".to_owned();
            return Err(Refusal::Problem {
                status: 403,
                code: "Forbidden",
                detail,
            });
        }
        if !self.settings.topology_available {
            return Err(Refusal::Unsuccessful("OVOC is not reachable".into()));
        }
        let tenant = self.assign_tenant(target)?;
        let Some(channel) = channel else {
            return Err(self.assign_refusal("ChannelId", "The channelId is missing or not a number."));
        };
        if !self.topology.channels.contains_key(&channel) {
            return Err(Refusal::no_entity(channel));
        }
        self.leads.set_channel(&tenant, Some(channel));
        Ok(())
    }

    /// Executes PUT remove (platform-facts.md 2.5). Returns the channel that the lead had.
    pub fn remove_channel(&mut self, tenant: Option<&str>) -> Result<u64, Refusal> {
        let lead = self
            .leads
            .chosen(tenant.unwrap_or_default())
            .ok_or_else(Refusal::no_lead)?;
        let (tenant, channel) = (lead.tenant.clone(), lead.channel);
        let channel = channel.ok_or_else(|| Refusal::Problem {
            status: 400,
            code: "NoChannel",
            detail: "The lead is not assigned to a channel.".into(),
        })?;
        self.leads.set_channel(&tenant, None);
        Ok(channel)
    }

    /// Executes POST on an LC customer (platform-facts.md 6.2): moves it, with its services, to a channel.
    pub fn move_customer(&mut self, id: u64, channel: Option<u64>) -> Result<(), Refusal> {
        if !self.topology.customers.contains_key(&id) {
            return Err(Refusal::no_entity(id));
        }
        let channel = channel.ok_or_else(|| Refusal::Entity(400, "channelId is missing".into()))?;
        if !self.topology.channels.contains_key(&channel) {
            return Err(Refusal::no_entity(channel));
        }
        if self.topology.is_full(channel) {
            return Err(Refusal::Entity(
                400,
                format!("Channel {channel} has its maximum number of customers"),
            ));
        }
        if let Some(customer) = self.topology.customers.get_mut(&id) {
            customer.channel = Some(channel);
        }
        Ok(())
    }
}

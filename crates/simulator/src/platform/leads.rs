//! Leads: a local copy of Microsoft's consents, and leads that the operator entered (platform-facts.md 2).

use super::Platform;
use super::refusal::Refusal;
use super::time::{Millis, lead_time};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// A lead.
#[derive(Clone, Debug)]
pub struct Lead {
    /// The lead's own id.
    pub id: String,
    /// The customer's Microsoft tenant, as given.
    pub tenant: String,
    /// Microsoft's status (platform-facts.md 2.2).
    pub status: String,
    /// When the customer consented.
    pub consented_on: String,
    /// When Microsoft's record last changed.
    pub last_modified_on: String,
    /// Markets; empty for direct leads.
    pub countries: Vec<String>,
    /// The contact's name.
    pub full_name: Option<String>,
    /// The contact's mail address.
    pub email: Option<String>,
    /// The contact's phone number.
    pub phone: Option<String>,
    /// The company.
    pub company: String,
    /// The company size, such as `L250_U999`.
    pub company_size: Option<String>,
    /// Shown in the newer form: `contactDetails` null, and the contact in `contacts` (platform-facts-3.md 5).
    pub contacts_as_list: bool,
    /// Consentless: the operator entered it.
    pub direct: bool,
    /// The channel that it is assigned to.
    pub channel: Option<u64>,
    /// False while only Microsoft knows it.
    pub local: bool,
    /// Microsoft's newer status, which the platform does not know yet (N-2).
    pub news: Option<String>,
}

/// A lead as the control API and the seed file give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeadInput {
    /// The Microsoft tenant.
    pub tenant_id: String,
    /// Company; by default made from the tenant.
    pub company_name: Option<String>,
    /// The status; by default `Active`.
    pub status: Option<String>,
    /// The markets; by default `["NL"]`.
    pub countries: Option<Vec<String>>,
    /// The company size; by default `L250_U999`.
    pub company_size: Option<String>,
    /// Whether the customer consented; by default true.
    pub consented: Option<bool>,
    /// The channel it is assigned to.
    pub channel_id: Option<u64>,
    /// The contact; by default none.
    pub contact: Option<ContactInput>,
    /// Shown in the newer form: `contactDetails` null, and the contact in `contacts` (platform-facts-3.md 5).
    #[serde(default)]
    pub contacts_as_list: bool,
    /// False: only Microsoft has the lead, until the leads job or `checkOnline`.
    pub local: Option<bool>,
    /// Lets a tenant have two leads of one kind.
    #[serde(default)]
    pub force: bool,
}

/// A lead's contact.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactInput {
    /// The contact's name.
    pub full_name: Option<String>,
    /// The contact's mail address.
    pub email: Option<String>,
    /// The contact's phone number.
    pub phone_number: Option<String>,
}

/// A change to a lead, from Microsoft's side.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeadChange {
    /// The new status.
    pub status: Option<String>,
    /// The new channel; null is none.
    #[serde(default, deserialize_with = "given")]
    pub channel_id: Option<Option<u64>>,
    /// The new company name.
    pub company_name: Option<String>,
    /// Changes only the consented leads of the tenant (true), or only the consentless ones (false).
    pub consented: Option<bool>,
}

fn given<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// All leads, in order of arrival.
#[derive(Debug, Default)]
pub struct Leads {
    rows: BTreeMap<u64, Lead>,
    by_tenant: HashMap<String, Vec<u64>>,
    by_id: HashMap<String, u64>,
    last: u64,
}

/// Folds a tenant for comparison in any case.
pub fn folded(tenant: &str) -> String {
    tenant.to_ascii_lowercase()
}

impl Leads {
    /// Returns the leads that the platform itself has.
    pub fn local(&self) -> impl Iterator<Item = &Lead> {
        self.rows.values().filter(|lead| lead.local)
    }

    /// Returns the number of leads.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Returns the leads of one tenant: at most one consentless and one consented, unless forced.
    pub fn of(&self, tenant: &str) -> impl Iterator<Item = &Lead> {
        let rows = self.by_tenant.get(&folded(tenant)).into_iter().flatten();
        rows.filter_map(|row| self.rows.get(row))
    }

    fn of_mut(&mut self, tenant: &str, mut change: impl FnMut(&mut Lead)) -> usize {
        let rows = self.by_tenant.get(&folded(tenant)).cloned().unwrap_or_default();
        for row in &rows {
            if let Some(lead) = self.rows.get_mut(row) {
                change(lead);
            }
        }
        rows.len()
    }

    /// Returns the lead that a call about a tenant means: the consented one, if there are two
    /// (platform-facts.md 12.1).
    pub fn chosen(&self, tenant: &str) -> Option<&Lead> {
        let local = || self.of(tenant).filter(|lead| lead.local);
        local().find(|lead| !lead.direct).or_else(|| local().next())
    }

    /// Returns the lead with this id.
    pub fn with_id(&self, id: &str) -> Option<&Lead> {
        self.any_with_id(id).filter(|lead| lead.local)
    }

    /// Returns the lead with this id, even if only Microsoft knows it.
    pub fn any_with_id(&self, id: &str) -> Option<&Lead> {
        self.rows.get(self.by_id.get(&folded(id))?)
    }

    fn insert(&mut self, lead: Lead) -> &Lead {
        self.last += 1;
        self.by_tenant
            .entry(folded(&lead.tenant))
            .or_default()
            .push(self.last);
        self.by_id.insert(folded(&lead.id), self.last);
        self.rows.entry(self.last).or_insert(lead)
    }

    fn remove(&mut self, tenant: &str, which: impl Fn(&Lead) -> bool) -> usize {
        let Some(rows) = self.by_tenant.get_mut(&folded(tenant)) else {
            return 0;
        };
        let before = rows.len();
        rows.retain(|row| match self.rows.get(row) {
            Some(lead) if which(lead) => self.rows.remove(row).is_none(),
            _ => true,
        });
        before - rows.len()
    }

    /// Moves a tenant's leads to the end of the list, as a change at Microsoft may (U-19).
    pub fn move_last(&mut self, tenant: &str) {
        for row in self.by_tenant.remove(&folded(tenant)).unwrap_or_default() {
            if let Some(lead) = self.rows.remove(&row) {
                self.insert(lead);
            }
        }
    }

    /// Sets the channel of a tenant's leads.
    pub fn set_channel(&mut self, tenant: &str, channel: Option<u64>) {
        self.of_mut(tenant, |lead| lead.channel = channel);
    }

    /// Updates the platform to what Microsoft has now.
    pub fn refresh(&mut self) {
        for lead in self.rows.values_mut() {
            lead.local = true;
            if let Some(status) = lead.news.take() {
                lead.status = status;
            }
        }
    }
}

impl Platform {
    /// Executes `checkOnline` of GET lead for one tenant (platform-facts.md 2.1, N-2): it helps only when
    /// nothing is stored.
    pub fn check_online(&mut self, tenant: &str) {
        if self.leads.of(tenant).all(|lead| !lead.local) {
            self.leads.of_mut(tenant, |lead| lead.local = true);
        }
    }

    /// Executes POST lead (platform-facts.md 2.3), which creates a consentless lead.
    pub fn create_lead(&mut self, now: Millis, tenant: &str, company: &str) -> Result<(), Refusal> {
        let Ok(parsed) = uuid::Uuid::parse_str(tenant) else {
            return Err(Refusal::field(
                "tenantId",
                format!("The value '{tenant}' is not valid."),
            ));
        };
        if parsed.is_nil() {
            return Err(Refusal::no_lead());
        }
        let mut faults = Vec::new();
        if self.leads.of(tenant).next().is_some() {
            faults.push((
                "TenantId".to_owned(),
                "This MsTenant already exists as an UMP lead!".to_owned(),
            ));
        }
        if self
            .leads
            .local()
            .any(|lead| lead.company.eq_ignore_ascii_case(company))
        {
            faults.push((
                "CompanyName".to_owned(),
                "Company name is already used for an UMP lead.".to_owned(),
            ));
        }
        if !faults.is_empty() {
            return Err(Refusal::Validation(faults));
        }
        let lead = self.direct_lead(now, tenant, company.to_owned());
        self.leads.insert(lead);
        Ok(())
    }

    fn direct_lead(&mut self, now: Millis, tenant: &str, company: String) -> Lead {
        Lead {
            id: self.ids.guid(),
            tenant: tenant.to_owned(),
            status: "Active".into(),
            consented_on: lead_time(now),
            last_modified_on: lead_time(now),
            countries: Vec::new(),
            full_name: None,
            email: None,
            phone: None,
            company,
            company_size: None,
            contacts_as_list: false,
            direct: true,
            channel: None,
            local: true,
            news: None,
        }
    }

    /// Executes DELETE lead (platform-facts.md 2.4, U-7): only for a consentless lead without a service.
    pub fn delete_lead(&mut self, tenant: Option<&str>) -> Result<(), Refusal> {
        let invalid = || Refusal::Plain(400, "Invalid lead".into());
        let tenant = tenant.filter(|tenant| !tenant.is_empty()).ok_or_else(invalid)?;
        if self.leads.chosen(tenant).is_none() {
            return Err(Refusal::no_lead());
        }
        let licensed = self.has_operator_connect(tenant) || self.is_reserved_tenant(tenant);
        if licensed || self.leads.remove(tenant, |lead| lead.direct) == 0 {
            return Err(invalid());
        }
        Ok(())
    }

    /// Adds a lead from outside and returns its id.
    pub fn seed_lead(&mut self, now: Millis, input: LeadInput) -> Result<String, String> {
        let direct = !input.consented.unwrap_or(true);
        if !input.force && self.leads.of(&input.tenant_id).any(|lead| lead.direct == direct) {
            return Err(format!(
                "tenant {} already has such a lead (force: true adds another one)",
                input.tenant_id
            ));
        }
        if let Some(channel) = input.channel_id {
            self.topology.ensure_channel(channel, now);
        }
        let start: String = input.tenant_id.chars().take(8).collect();
        let company = input.company_name.unwrap_or_else(|| format!("Company {start}"));
        let mut lead = self.direct_lead(now, &input.tenant_id, company);
        let contact = input.contact.unwrap_or_default();
        lead.direct = direct;
        lead.status = input.status.unwrap_or(lead.status);
        lead.countries = input
            .countries
            .unwrap_or_else(|| if direct { vec![] } else { vec!["NL".into()] });
        lead.company_size = input
            .company_size
            .or_else(|| (!direct).then(|| "L250_U999".into()));
        lead.channel = input.channel_id;
        lead.contacts_as_list = input.contacts_as_list;
        (lead.full_name, lead.email, lead.phone) = (contact.full_name, contact.email, contact.phone_number);
        lead.local = input.local.unwrap_or(true);
        Ok(self.leads.insert(lead).id.clone())
    }

    /// Changes a tenant's leads from Microsoft's side. Returns how many there are.
    pub fn change_lead(&mut self, now: Millis, tenant: &str, change: &LeadChange) -> usize {
        if let Some(Some(channel)) = change.channel_id {
            self.topology.ensure_channel(channel, now);
        }
        let later = self.settings.microsoft_changes_after_leads_job;
        self.leads.of_mut(tenant, |lead| {
            if change.consented == Some(lead.direct) {
                return;
            }
            if let Some(status) = &change.status {
                if later {
                    lead.news = Some(status.clone());
                } else {
                    lead.status.clone_from(status);
                }
            }
            if let Some(channel) = change.channel_id {
                lead.channel = channel;
            }
            if let Some(company) = &change.company_name {
                lead.company.clone_from(company);
            }
            lead.last_modified_on = lead_time(now);
        })
    }

    /// Removes a tenant's leads altogether. Returns how many there were.
    pub fn forget_lead(&mut self, tenant: &str) -> usize {
        self.leads.remove(tenant, |_| true)
    }
}

//! What one platform holds, and how fresh that is: to the platform what a reflector is to the API server.
//!
//! Every question about services or leads is answered from a list of all of them. Questions that need a newer list than there is wait for the
//! next one together, as a data loader does it: one list answers them all, and the services list has no filter by tenant anyway.

mod index;
mod list;

use std::sync::Arc;

use live_platform::SecretsSent;
use oc_domain::conditions::Trouble;
use oc_domain::facts::{LcCustomer, LicenseType, MicrosoftStatus, Task};
use oc_domain::names::{CustomerGuid, LcCustomerId, TaskId, TenantId};
use oc_domain::pass::ServicesView;
use oc_domain::time::Time;

use crate::engine::budget::Budget;
pub use index::{Changed, LeadIndex, ServiceIndex};
use list::Kept;

/// The inventory of one platform.
pub struct Inventory {
    client: live_platform::Client,
    budget: Arc<Budget>,
    services: Kept<ServiceIndex>,
    leads: Kept<LeadIndex>,
    lc_customers: std::sync::Mutex<Option<bool>>,
    tell: Box<dyn Fn(Changed) + Send + Sync>,
}

/// How many leads and services there are, for the platform object's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Leads: all, active, suspended, removed.
    pub leads: [u32; 4],
    /// Services: all, those with the license OC Essential.
    pub services: [u32; 2],
}

impl Inventory {
    /// An empty inventory. `tell` hears for which tenants and short names something has changed.
    pub fn new(client: live_platform::Client, budget: Arc<Budget>, tell: impl Fn(Changed) + Send + Sync + 'static) -> Self {
        Self { client, budget, services: Kept::default(), leads: Kept::default(), lc_customers: std::sync::Mutex::new(None), tell: Box::new(tell) }
    }

    /// The client, for changes.
    pub fn client(&self) -> &live_platform::Client {
        &self.client
    }

    /// The budget, for changes.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The list of services, by a read begun at or after `not_before`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn services(&self, not_before: Time) -> Result<(Time, Arc<ServiceIndex>), Trouble> {
        let read = async { self.budget.spend_list(self.client.services()).await.map(ServiceIndex::new).map_err(|failed| failed.trouble()) };
        self.services.since(not_before, read, |before, now| (self.tell)(now.changed_since(before))).await
    }

    /// The list of leads, by a read begun at or after `not_before`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn leads(&self, not_before: Time) -> Result<(Time, Arc<LeadIndex>), Trouble> {
        let read = async { self.budget.spend_list(self.client.leads()).await.map(LeadIndex::new).map_err(|failed| failed.trouble()) };
        self.leads.since(not_before, read, |before, now| (self.tell)(now.changed_since(before))).await
    }

    /// What the list of services holds for one object.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn view(
        &self,
        not_before: Time,
        tenant: Option<&TenantId>,
        guid: Option<&CustomerGuid>,
        name: Option<&str>,
    ) -> Result<(Time, ServicesView), Trouble> {
        let (at, index) = self.services(not_before).await?;
        Ok((at, index.view(tenant, guid, name)))
    }

    /// One task; `None` when the platform does not know it. `sent` says whether its texts may repeat secret values.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn task(&self, id: &TaskId, sent: SecretsSent) -> Result<Option<Task>, Trouble> {
        self.budget.spend(self.client.task(id, sent)).await.map_err(|failed| failed.trouble())
    }

    /// One LC customer; `None` when the platform has no way to read it, `Some(Err)` when there is none of that id.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn lc_customer(&self, id: LcCustomerId) -> Result<Option<Result<LcCustomer, ()>>, Trouble> {
        let answer = self.budget.spend(self.client.lc_customer(id)).await.map_err(|failed| failed.trouble())?;
        let known = match answer {
            live_platform::Capability::Available(customer) => Some(customer.ok_or(())),
            live_platform::Capability::Unavailable => None,
        };
        *self.lc_customers.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(known.is_some());
        Ok(known)
    }

    /// How many telephone numbers a tenant has; `None` when the API says that it has no way to tell.
    ///
    /// # Errors
    /// When it can't be read, or something else than the API answers.
    pub async fn numbers(&self, tenant: &TenantId) -> Result<Option<u64>, Trouble> {
        match self.budget.spend(self.client.numbers_of(tenant)).await.map_err(|failed| failed.trouble())? {
            live_platform::Capability::Available(count) => Ok(Some(count)),
            live_platform::Capability::Unavailable => Ok(None),
        }
    }

    /// Whether this release has the read of LC customers; `None` while nobody asked.
    pub fn reads_lc_customers(&self) -> Option<bool> {
        *self.lc_customers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The counts, of what is known.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        if let Some(leads) = self.leads.known() {
            for lead in leads.all() {
                counts.leads[0] += 1;
                match lead.status {
                    MicrosoftStatus::Active => counts.leads[1] += 1,
                    MicrosoftStatus::Suspended => counts.leads[2] += 1,
                    MicrosoftStatus::Removed => counts.leads[3] += 1,
                    MicrosoftStatus::NotActive | MicrosoftStatus::Other(_) => {}
                }
            }
        }
        if let Some(services) = self.services.known() {
            for service in services.all() {
                counts.services[0] += 1;
                counts.services[1] += u32::from(service.license == Some(LicenseType::OcEssential));
            }
        }
        counts
    }

    /// The list of leads as it is known, and when its read was begun.
    pub fn newest_leads(&self) -> Option<(Time, Arc<LeadIndex>)> {
        self.leads.newest()
    }

    /// The same of services.
    pub fn newest_services(&self) -> Option<(Time, Arc<ServiceIndex>)> {
        self.services.newest()
    }

    /// The leads that are known, for discovery.
    pub fn known_leads(&self) -> Option<Arc<LeadIndex>> {
        self.leads.known()
    }
}

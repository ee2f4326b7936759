//! What one platform holds, and how fresh that is. It is to the platform what a reflector is to the API
//! server.
//!
//! Every question about services or leads is answered from a list of all of them. Questions that need a newer
//! list wait for the next one together, as in a data loader: one list answers them all. The services list has
//! no filter by tenant anyway.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use live_platform::{ErrorKind, Listed, MaybeAbsent, SecretsSent};
use oc_domain::capability::{Heard, KnownCapability};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::{LeadsRead, LeadsView, Numbers, ServicesView};
use oc_domain::model::{ChannelAnswer, LcCustomerAnswer, LicenseType, MicrosoftStatus, Task};
use oc_domain::names::{ChannelId, CustomerGuid, LcCustomerId, TaskId, TenantId};
use oc_domain::time::Time;
use tokio::sync::Notify;

use crate::platform::budget::{Budget, CallError};
use crate::platform::index::{InventoryDiff, LeadIndex, ListIndex, ServiceIndex};
use crate::platform::list::{IsCrowded, SharedList};
use crate::runtime::clock;

/// How long the answer about a channel is kept. Callers say how old it may be.
const CHANNEL_KEPT: Duration = Duration::from_secs(60);

/// The inventory of one platform.
pub struct Inventory {
    client: live_platform::Client,
    budget: Arc<Budget>,
    services: SharedList<ServiceIndex>,
    leads: SharedList<LeadIndex>,
    lc_customers: parking_lot::Mutex<Option<bool>>,
    channels: tokio::sync::Mutex<HashMap<ChannelId, (Time, ChannelAnswer)>>,
    numbers: parking_lot::Mutex<KnownCapability>,
    give_up: Notify,
    tell: Box<dyn Fn(InventoryDiff) + Send + Sync>,
}

/// The newest lists, if they were read.
#[derive(Clone, Default)]
pub struct Lists {
    /// The list of services.
    pub services: Option<Arc<ServiceIndex>>,
    /// The list of leads.
    pub leads: Option<Arc<LeadIndex>>,
}

/// The numbers of leads and services, for the platform object's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Leads: all, active, suspended, removed.
    pub leads: [u32; 4],
    /// Services: all, those with the license OC Essential.
    pub services: [u32; 2],
}

impl Inventory {
    /// Creates an empty inventory, with what is known of the call for telephone numbers. `is_crowded` says whether the
    /// callers that wait for a list keep others from their turn. `tell` receives each difference between two lists.
    pub fn new(
        client: live_platform::Client,
        budget: Arc<Budget>,
        numbers: KnownCapability,
        is_crowded: IsCrowded,
        tell: impl Fn(InventoryDiff) + Send + Sync + 'static,
    ) -> Self {
        let per_second = budget.used().per_second;
        Self {
            client,
            budget,
            services: SharedList::new(per_second, Arc::clone(&is_crowded)),
            leads: SharedList::new(per_second, is_crowded),
            lc_customers: parking_lot::Mutex::new(None),
            channels: tokio::sync::Mutex::default(),
            numbers: parking_lot::Mutex::new(numbers),
            give_up: Notify::new(),
            tell: Box::new(tell),
        }
    }

    /// Makes all callers that wait for the platform give up and start again: the connection or the platform
    /// has changed.
    pub fn give_up(&self) {
        self.give_up.notify_waiters();
    }

    /// Forgets recent failures, so that the next caller tries again.
    pub fn forget_failures(&self) {
        self.services.forget_failure();
        self.leads.forget_failure();
    }

    /// Waits for work on the platform, until [`Inventory::give_up`] is called.
    ///
    /// # Errors
    /// If the wait was given up, and the errors of the work.
    pub async fn unless_given_up<T>(
        &self,
        // Pinned by the caller: else a pass would have room for it twice, here and where it is awaited.
        work: Pin<&mut impl Future<Output = Result<T, Trouble>>>,
    ) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.give_up.notified() => Err(Trouble::new(Reason::ProgressingWithRetry, "The connection to the platform was replaced. The operator tries again.")),
            answer = work => answer,
        }
    }

    /// Returns the client, for changes.
    pub fn client(&self) -> &live_platform::Client {
        &self.client
    }

    /// Returns the budget, for changes.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Returns the list of services from a read that started at or after `not_before`.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn services(&self, not_before: Time) -> Result<(Time, Arc<ServiceIndex>), Trouble> {
        let read = async || self.next(&self.services, self.client.services()).await;
        let read = self.services.since(not_before, read, self.tell());
        self.unless_given_up(pin!(read)).await
    }

    /// Returns the list of leads from a read that started at or after `not_before`.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn leads(&self, not_before: Time) -> Result<(Time, Arc<LeadIndex>), Trouble> {
        let read = async || self.next(&self.leads, self.client.leads()).await;
        let read = self.leads.since(not_before, read, self.tell());
        self.unless_given_up(pin!(read)).await
    }

    /// Reads and indexes a list.
    async fn next<I: ListIndex>(
        &self,
        known: &SharedList<I>,
        read: impl Future<Output = Result<Listed<Arc<I::Entry>>, live_platform::Error>>,
    ) -> Result<Arc<I>, Trouble> {
        let listed = self.budget.call_list(read).await;
        let listed = listed.map_err(|failed| failed.trouble())?;
        Ok(match known.known() {
            Some(known) => known.followed_by(listed),
            None => Arc::new(I::new(listed)),
        })
    }

    fn tell<I: ListIndex>(&self) -> impl FnOnce(Option<&I>, &I) {
        |before, now| (self.tell)(now.changed_since(before))
    }

    /// Reads the leads of one tenant separately. Returns them with the start time of the read.
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn leads_of(&self, tenant: &TenantId) -> Result<(Time, LeadsView), Trouble> {
        let at = clock::now();
        let listed = self.read(self.client.leads_of(tenant)).await?;
        Ok((
            at,
            LeadsView {
                complete: listed.unreadable == 0,
                leads: listed.items,
                read: LeadsRead::OfTenant,
            },
        ))
    }

    /// Makes a read of the platform, within the budget.
    ///
    /// # Errors
    /// If it fails, or the connection is given up meanwhile.
    pub async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, live_platform::Error>>,
    ) -> Result<T, Trouble> {
        let answer = async { self.budget.call(call).await.map_err(|failed| failed.trouble()) };
        self.unless_given_up(pin!(answer)).await
    }

    /// Returns what the list of services holds for one object.
    ///
    /// # Errors
    /// If it can't be read.
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

    /// Reads a task; `None` if the platform does not know it. `sent` says whether its texts may repeat secret
    /// values.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn task(&self, id: &TaskId, sent: SecretsSent) -> Result<Option<Task>, Trouble> {
        self.read(self.client.task(id, sent)).await
    }

    /// Reads an LC customer.
    ///
    /// # Errors
    /// If it can't be read, and also if the platform reports that it has no such call although it answered it
    /// before.
    pub async fn lc_customer(&self, id: LcCustomerId) -> Result<LcCustomerAnswer, Trouble> {
        let answer = self.read(self.client.lc_customer(id)).await?;
        let mut reads = self.lc_customers.lock();
        match answer {
            MaybeAbsent::Available(customer) => {
                *reads = Some(true);
                Ok(customer.map_or(LcCustomerAnswer::NotFound, LcCustomerAnswer::Found))
            }
            // A platform during deployment, or a gateway without a route, reports this of existing calls too.
            MaybeAbsent::Unavailable if *reads == Some(true) => Err(Trouble::new(
                Reason::PlatformUnavailable,
                "The platform answered the call for LC customers before and does not answer it now. The operator asks again.",
            )),
            MaybeAbsent::Unavailable => {
                *reads = Some(false);
                Ok(LcCustomerAnswer::NoSuchCall)
            }
        }
    }

    /// Returns what the platform says about a channel, by a read that started at or after `not_before`. Many
    /// callers that ask for one channel at the same time share a read.
    ///
    /// # Errors
    /// If the platform as a whole can't be read.
    pub async fn channel(&self, id: ChannelId, not_before: Time) -> Result<(Time, ChannelAnswer), Trouble> {
        let answer = async {
            let mut channels = self.channels.lock().await;
            if let Some(known) = channels.get(&id).filter(|(at, _)| *at >= not_before) {
                return Ok(*known);
            }
            let at = clock::now();
            let answer = match self.budget.call(self.client.channel(id)).await {
                Ok(MaybeAbsent::Available(true)) => ChannelAnswer::Found,
                Ok(MaybeAbsent::Available(false)) => ChannelAnswer::NotFound,
                Ok(MaybeAbsent::Unavailable) => ChannelAnswer::Untold,
                Err(CallError::Call(error)) if concerns_call_alone(&error) => ChannelAnswer::Untold,
                Err(failed) => return Err(failed.trouble()),
            };
            channels.retain(|_, (read, _)| at.since(*read) < CHANNEL_KEPT);
            channels.insert(id, (at, answer));
            Ok((at, answer))
        };
        self.unless_given_up(pin!(answer)).await
    }

    /// Reads what the platform says about a tenant's telephone numbers.
    ///
    /// # Errors
    /// If the platform as a whole can't be read: it is away, throttles, or rejects the credential.
    pub async fn numbers(&self, tenant: &TenantId) -> Result<Numbers, Trouble> {
        let call = async { Ok(self.budget.call(self.client.numbers_of(tenant)).await) };
        let answer = self.unless_given_up(pin!(call)).await?;
        let heard = match &answer {
            Ok(MaybeAbsent::Available(_)) => Heard::Answered,
            Ok(MaybeAbsent::Unavailable) => Heard::Lacks,
            Err(CallError::Call(error)) if concerns_call_alone(error) => Heard::Other,
            Err(failed) => return Err(failed.trouble()),
        };
        let lacking = self.numbers.lock().hears(clock::now(), heard);
        Ok(match answer {
            Ok(MaybeAbsent::Available(count)) => Numbers::Count(count),
            _ if lacking => Numbers::NoCall,
            _ => Numbers::Untold,
        })
    }

    /// Whether this release has the call for telephone numbers; `None` if unknown.
    pub fn tells_numbers(&self) -> Option<bool> {
        self.numbers.lock().has()
    }

    /// Whether all known lists are complete and at least one was read after `read`. An object that stopped
    /// because an earlier list was incomplete need not wait.
    pub fn whole_since(&self, read: Time) -> bool {
        let services = self.services.newest().map(|(at, list)| (at, list.unreadable()));
        let leads = self.leads.newest().map(|(at, list)| (at, list.unreadable()));
        let known: Vec<_> = services.into_iter().chain(leads).collect();
        known.iter().all(|(_, unreadable)| *unreadable == 0) && known.iter().any(|(at, _)| *at > read)
    }

    /// Whether this release can read LC customers; `None` if nobody has tried.
    pub fn reads_lc_customers(&self) -> Option<bool> {
        *self.lc_customers.lock()
    }

    /// Returns the counts of the known lists.
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

    /// Returns the newest list of leads, with the start time of its read.
    pub fn newest_leads(&self) -> Option<(Time, Arc<LeadIndex>)> {
        self.leads.newest()
    }

    /// Returns the newest list of services, with the start time of its read.
    pub fn newest_services(&self) -> Option<(Time, Arc<ServiceIndex>)> {
        self.services.newest()
    }

    /// Returns both newest lists.
    pub fn lists(&self) -> Lists {
        Lists {
            services: self.services.known(),
            leads: self.leads.known(),
        }
    }

    /// Returns the newest list of leads, for discovery.
    pub fn known_leads(&self) -> Option<Arc<LeadIndex>> {
        self.leads.known()
    }
}

/// Whether an error concerns only the call that got it and says nothing about what was asked: a rejection, or
/// the answer of a gateway or a proxy that does not know the call.
fn concerns_call_alone(error: &live_platform::Error) -> bool {
    matches!(error.status, Some(404 | 405 | 410 | 501))
        || matches!(
            error.kind,
            ErrorKind::Refused { .. } | ErrorKind::NotFound { .. } | ErrorKind::Forbidden
        )
}

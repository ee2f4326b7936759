//! What one pass over one object knows. The driver fills it in as the decision requests it.

use std::sync::Arc;

use crate::absence::Belief;
use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::ChangeResult;
use crate::memory::PassMemory;
use crate::model::{ChannelAnswer, LcCustomerAnswer, Lead, Service, Task};
use crate::names::{ChannelId, CustomerGuid, LcCustomerId, TaskId, TenantId};
use crate::policy::PlatformAccess;
use crate::record::{Intent, OperationId, OperationKind, Record, Sent};
use crate::time::Time;

/// A fact about the platform, as far as this pass knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fact<T> {
    /// Not requested in this pass.
    #[default]
    Unread,
    /// Known, from a read that began at `at`.
    Known {
        /// The value.
        value: T,
        /// When the read began. It may miss what happened after that.
        at: Time,
    },
    /// The read failed.
    Unreadable(Trouble),
}

impl<T> Fact<T> {
    /// Whether it was not read, or before that time.
    pub fn lacks(&self, not_before: Time) -> bool {
        match self {
            Self::Unread => true,
            Self::Known { at, .. } => *at < not_before,
            Self::Unreadable(_) => false,
        }
    }

    /// Returns the value, if the read began at or after `not_before`.
    pub fn since(&self, not_before: Time) -> Option<&T> {
        match self {
            Self::Known { value, at } if *at >= not_before => Some(value),
            _ => None,
        }
    }

    /// Returns the value, however old.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// `spec.deletionPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeletionPolicy {
    /// Leave everything on the platform.
    #[default]
    Retain,
    /// Delete what this object made or took over.
    Delete,
}

/// The part of the list of services that concerns one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServicesView {
    /// The services of the tenant: none, one, a Direct Routing service beside an Operator Connect one (C-31),
    /// or (never seen, but not excluded) more.
    pub by_tenant: Vec<Arc<Service>>,
    /// The service with the recorded guid.
    pub by_guid: Option<Arc<Service>>,
    /// The services with the short name, ignoring case.
    pub by_name: Vec<Arc<Service>>,
    /// Whether every entry of the list could be read. Only then does "not in it" mean "does not exist".
    pub complete: bool,
}

impl ServicesView {
    /// Returns the service with this guid. `by_guid` is for the guid that was recorded when the list was
    /// queried. A guid that this pass learned later is found among the services of the tenant.
    pub fn with_guid(&self, guid: &CustomerGuid) -> Option<&Service> {
        self.by_guid
            .iter()
            .chain(&self.by_tenant)
            .map(Arc::as_ref)
            .find(|service| &service.guid == guid)
    }

    /// The services of the tenant that are, or could be, Operator Connect services: all but Direct Routing
    /// ones.
    pub fn of_operator_connect(&self) -> impl Iterator<Item = &Service> {
        self.by_tenant
            .iter()
            .map(Arc::as_ref)
            .filter(|service| !service.direct_routing())
    }

    /// The tenant's Direct Routing service, if it has one.
    pub fn direct_routing(&self) -> Option<&Service> {
        self.by_tenant
            .iter()
            .map(Arc::as_ref)
            .find(|service| service.direct_routing())
    }
}

/// How the leads of a tenant were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LeadsRead {
    /// From a list of all leads that came in one piece.
    #[default]
    AtOnce,
    /// From a list of all leads that came page by page. If a lead is removed during the read, another lead
    /// can move from a later page to one that was already read, and is then in neither.
    InPages,
    /// From a read of this tenant's leads alone.
    OfTenant,
}

/// The leads of one object's tenant, and what they prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeadsView {
    /// The leads of the tenant.
    pub leads: Vec<Arc<Lead>>,
    /// Whether every entry could be read.
    pub complete: bool,
    /// How the leads were read.
    pub read: LeadsRead,
}

/// What it proves that a lead is not in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absence {
    /// The lead does not exist.
    Proven,
    /// The list proves nothing; a read of this tenant's leads can.
    Unconfirmed,
    /// Even the read of this tenant's leads had unreadable entries.
    NotWhole,
}

impl LeadsView {
    /// The trouble to report while an unreadable lead may be the tenant's.
    pub(crate) fn not_whole() -> Trouble {
        let message = "The platform's answer has leads that can't be read, and this tenant's lead may be among them. Ask the team that runs the Live Platform to fix that.";
        Trouble::new(Reason::PlatformUnavailable, message)
    }

    /// Returns what it proves that a lead is not in the view.
    pub fn absence(&self) -> Absence {
        match (self.complete, self.read) {
            (true, LeadsRead::AtOnce | LeadsRead::OfTenant) => Absence::Proven,
            (false, LeadsRead::OfTenant) => Absence::NotWhole,
            (_, LeadsRead::InPages) | (false, LeadsRead::AtOnce) => Absence::Unconfirmed,
        }
    }
}

/// The answer about a tenant's telephone numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// The number of telephone numbers.
    Count(u64),
    /// The release is known to have no call for this ([`crate::capability`]).
    NoCall,
    /// The platform did not say.
    Untold,
}

/// What a pass knows. The driver fills it in as the decision requests it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// When the pass began. A read that began since then belongs to this pass.
    pub pass_started: Time,
    /// When the object was created.
    pub object_created: Time,
    /// The object's generation.
    pub generation: i64,
    /// Whether somebody requested a reconciliation, or changed the spec, since the last pass. Then whatever
    /// waits for the slow retry is tried at once.
    pub retry_now: bool,
    /// Whether somebody requested a reconciliation now. Then an old list is not good enough.
    pub reconcile_requested: bool,
    /// Whether status says `Ready=True` for this generation.
    pub ready_at_generation: bool,
    /// The referenced platform object.
    pub connection: PlatformAccess,
    /// The part of the list of services that concerns this object.
    pub services: Fact<ServicesView>,
    /// What the absence of something from the lists allows to conclude. Known as soon as one list is.
    pub belief: Belief,
    /// The leads of the tenant.
    pub leads: Fact<LeadsView>,
    /// The LC customer of the spec.
    pub lc_customer: Fact<LcCustomerAnswer>,
    /// Whether the directory knows the tenant of the spec.
    pub tenant_exists: Fact<bool>,
    /// The channel of the spec.
    pub channel: Fact<ChannelAnswer>,
    /// The current task; `None` when the platform does not know it.
    pub task: Fact<Option<Task>>,
    /// The telephone numbers of the tenant.
    pub numbers: Fact<Numbers>,
    /// The result of the change that this pass requested.
    pub answer: Option<ChangeResult>,
    /// The last operation that this process requested, if it remembers one. Operations that another process
    /// requested, or was about to, do not count.
    pub own: Option<OperationId>,
    /// The same operation, if this process has watched it ever since without a long pause.
    pub watched: Option<OperationId>,
    /// The operation whose task the object's status shows. Somebody may have removed it, or restored an older status.
    pub shown: Option<OperationId>,
    /// How many passes in a row have written nothing though there was something to say.
    pub held: u32,
    /// How many requests for this spec in a row were not executed.
    pub failures: u32,
    /// The reason why status says `Stalled` for this spec. A restart forgets the failures, and must not take
    /// `Stalled` back.
    pub stalled_for: Option<Reason>,
}

/// One read from the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// The list of services: its entries for this object's tenant, guid and short name.
    Services,
    /// The list of leads: its entries for this object's tenant.
    Leads,
    /// The leads of this object's tenant, in a read of their own, when the list can't prove that there is
    /// none.
    LeadsOfTenant,
    /// One task.
    Task(TaskId),
    /// One LC customer.
    LcCustomer(LcCustomerId),
    /// One channel.
    Channel(ChannelId),
    /// Microsoft's public directory: whether there is such a tenant.
    Directory(TenantId),
    /// The number of telephone numbers of a tenant.
    Numbers(TenantId),
}

/// The state of an object when a pass over it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// When the object was created.
    pub created: Time,
    /// The generation of the object.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed: Option<i64>,
    /// Whether status says `Ready=True`.
    pub ready: bool,
    /// Whether somebody requested a reconciliation that no pass has handled yet.
    pub look_requested: bool,
    /// The reason why status says `Stalled`, for any generation.
    pub stalled_for: Option<Reason>,
}

impl Facts {
    /// Returns the facts at the start of a pass: nothing of the platform yet.
    pub fn begin(now: Time, seen: ObjectState, connection: PlatformAccess, memory: &PassMemory) -> Self {
        let current = seen.observed == Some(seen.generation);
        Self {
            object_created: seen.created,
            generation: seen.generation,
            retry_now: !current || seen.look_requested,
            reconcile_requested: seen.look_requested,
            ready_at_generation: seen.ready && current,
            failures: memory.failures_of(seen.generation),
            stalled_for: seen.stalled_for.filter(|_| current),
            ..Self::unread(now, connection)
        }
    }

    /// Returns the facts of a pass that has read nothing, over an object that was created at that moment and
    /// never tried.
    pub fn unread(pass_started: Time, connection: PlatformAccess) -> Self {
        Self {
            pass_started,
            object_created: pass_started,
            generation: 1,
            retry_now: false,
            reconcile_requested: false,
            ready_at_generation: false,
            connection,
            services: Fact::Unread,
            belief: Belief::Believed,
            leads: Fact::Unread,
            lc_customer: Fact::Unread,
            tenant_exists: Fact::Unread,
            channel: Fact::Unread,
            task: Fact::Unread,
            numbers: Fact::Unread,
            answer: None,
            own: None,
            watched: None,
            shown: None,
            held: 0,
            failures: 0,
            stalled_for: None,
        }
    }

    /// Whether a query would tell something new: a decision that observes anything else never ends.
    pub fn lacks(&self, query: &Query, not_before: Time) -> bool {
        match query {
            Query::Services => self.services.lacks(not_before),
            Query::Leads => self.leads.lacks(not_before),
            Query::LeadsOfTenant => self
                .leads
                .value()
                .is_some_and(|view| view.read != LeadsRead::OfTenant),
            Query::Task(_) => self.task.lacks(not_before),
            Query::LcCustomer(_) => self.lc_customer.lacks(not_before),
            Query::Channel(_) => self.channel.lacks(not_before),
            Query::Directory(_) => self.tenant_exists.lacks(not_before),
            Query::Numbers(_) => self.numbers.lacks(not_before),
        }
    }

    /// Enters what a release answers that lacks the call of a query. Returns whether a release may lack it.
    pub fn without_call(&mut self, query: &Query, at: Time) -> bool {
        match query {
            Query::LcCustomer(_) => {
                let value = LcCustomerAnswer::NoSuchCall;
                self.lc_customer = Fact::Known { value, at };
                true
            }
            Query::Channel(_) => {
                let value = ChannelAnswer::Untold;
                self.channel = Fact::Known { value, at };
                true
            }
            Query::Services
            | Query::Leads
            | Query::LeadsOfTenant
            | Query::Task(_)
            | Query::Directory(_)
            | Query::Numbers(_) => false,
        }
    }

    /// Whether to repeat a deletion at once that may have been requested: the process that recorded it is
    /// gone, and its request may or may not have left. A deletion names one service, so repeating it is
    /// harmless, while waiting costs minutes for each deletion in progress.
    pub(crate) fn left_open_by_another(&self, record: &Record, intent: &Intent) -> bool {
        let accepted = record
            .running()
            .is_some_and(|op| op.id == intent.id && op.task.is_some());
        intent.kind == OperationKind::Delete
            && intent.sent == Sent::Maybe
            && !accepted
            && self.own.as_ref() != Some(&intent.id)
    }

    /// Whether a request for a change left in this pass, whatever its result.
    pub fn asked(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| !matches!(answer, ChangeResult::NotSent(_)))
    }

    /// Whether one of the lists that were read has unreadable entries.
    pub fn saw_holes(&self) -> bool {
        self.services.value().is_some_and(|view| !view.complete)
            || self.leads.value().is_some_and(|view| !view.complete)
    }

    /// When the newest list known to this pass was read.
    pub fn lists_read(&self) -> Option<Time> {
        fn at<T>(fact: &Fact<T>) -> Option<Time> {
            match fact {
                Fact::Known { at, .. } => Some(*at),
                _ => None,
            }
        }
        at(&self.services).max(at(&self.leads))
    }

    /// The verdict for trouble that may pass on its own.
    pub fn verdict_of(&self, trouble: &Trouble) -> Verdict {
        Verdict::passing(trouble, self.failures, self.stalled_for)
    }
}

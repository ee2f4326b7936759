//! What one pass over one object knows. The driver fills it as the decision asks.

use crate::absence::Belief;
use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::ChangeResult;
use crate::memory::PassMemory;
use crate::model::{LcCustomerAnswer, Lead, Service, Task};
use crate::names::CustomerGuid;
use crate::policy::PlatformAccess;
use crate::record::{Intent, OperationId, OperationKind, Record, Sent};
use crate::time::Time;

/// A fact of the platform, as far as this pass knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fact<T> {
    /// Not asked for in this pass.
    #[default]
    Unread,
    /// Known, by a read that was begun at `at`.
    Known {
        /// What was read.
        value: T,
        /// When the read was begun: what happened after that may not be in it.
        at: Time,
    },
    /// It could not be read.
    Unreadable(Trouble),
}

impl<T> Fact<T> {
    /// The value, when the read was begun at or after `not_before`.
    pub fn since(&self, not_before: Time) -> Option<&T> {
        match self {
            Self::Known { value, at } if *at >= not_before => Some(value),
            _ => None,
        }
    }

    /// The value, however old.
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
    /// The platform keeps what it has.
    #[default]
    Retain,
    /// What this object made or took over is deleted.
    Delete,
}

/// What the list of services holds for one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServicesView {
    /// Those of the tenant: none, one, a Direct Routing service beside one of Operator Connect (C-31), or (never seen, but not excluded) more.
    pub by_tenant: Vec<Service>,
    /// The one with the recorded guid.
    pub by_guid: Option<Service>,
    /// Those with the short name, compared without regard to case.
    pub by_name: Vec<Service>,
    /// Whether each entry of the list could be read: only then does "not in it" mean "not there".
    pub complete: bool,
}

impl ServicesView {
    /// The service with this guid. `by_guid` is that of the guid which was recorded when the list was asked; a guid that this pass has learned
    /// since is found among those of the tenant.
    pub fn with_guid(&self, guid: &CustomerGuid) -> Option<&Service> {
        self.by_guid
            .iter()
            .chain(&self.by_tenant)
            .find(|service| &service.guid == guid)
    }

    /// Those of the tenant that are, or could be, Operator Connect services: all but Direct Routing ones.
    pub fn of_operator_connect(&self) -> impl Iterator<Item = &Service> {
        self.by_tenant.iter().filter(|service| !service.direct_routing())
    }

    /// The tenant's Direct Routing service, if it has one.
    pub fn direct_routing(&self) -> Option<&Service> {
        self.by_tenant.iter().find(|service| service.direct_routing())
    }
}

/// How the leads of a tenant were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LeadsRead {
    /// In a list of all leads that came in one piece.
    #[default]
    AtOnce,
    /// In a list of all leads that came page by page: when a lead goes meanwhile, another one moves from a page that is still to come to one that has been
    /// read, and is in neither.
    InPages,
    /// By the single read of this tenant's.
    OfTenant,
}

/// The leads of one object's tenant, and what they prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeadsView {
    /// Those of the tenant.
    pub leads: Vec<Lead>,
    /// Whether each entry of what was read could be read.
    pub complete: bool,
    /// How they were read.
    pub read: LeadsRead,
}

/// Whether a lead that is not among those of its tenant is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absence {
    /// It is not there.
    Proven,
    /// The list proves nothing, and the single read of the tenant's leads can.
    Unconfirmed,
    /// Not even the single read could be read as a whole.
    NotWhole,
}

impl LeadsView {
    /// What is said while a lead that can't be read may be that of the tenant.
    pub(crate) fn not_whole() -> Trouble {
        let message = "The platform's answer has leads that can't be read; that of this tenant may be among them. Ask the platform's operator to mend it.";
        Trouble::new(Reason::PlatformUnavailable, message)
    }

    /// What it means that a lead is not among them.
    pub fn absence(&self) -> Absence {
        match (self.complete, self.read) {
            (true, LeadsRead::AtOnce | LeadsRead::OfTenant) => Absence::Proven,
            (false, LeadsRead::OfTenant) => Absence::NotWhole,
            (_, LeadsRead::InPages) | (false, LeadsRead::AtOnce) => Absence::Unconfirmed,
        }
    }
}

/// What the platform says of a tenant's telephone numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// How many there are.
    Count(u64),
    /// Its release is known to have no call that would tell ([`crate::capability`]).
    NoCall,
    /// It did not tell.
    Untold,
}

/// What a pass knows. The driver fills it as the decision asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// When the pass began: a read begun since then is a read of this pass.
    pub pass_started: Time,
    /// When the object was created.
    pub object_created: Time,
    /// The object's generation.
    pub generation: i64,
    /// Whether somebody asked for a look now, or changed the spec, since the last one: what waits for the slow retry is tried at once.
    pub retry_now: bool,
    /// Whether somebody asked for a look now: what is answered from an old list does not do.
    pub reconcile_requested: bool,
    /// Whether status says `Ready=True` for this generation.
    pub ready_at_generation: bool,
    /// The platform object.
    pub connection: PlatformAccess,
    /// The list of services, as far as it concerns this object.
    pub services: Fact<ServicesView>,
    /// What may be concluded from what the lists do not show: known as soon as one of them is.
    pub belief: Belief,
    /// The leads of the tenant.
    pub leads: Fact<LeadsView>,
    /// The LC customer of the spec.
    pub lc_customer: Fact<LcCustomerAnswer>,
    /// The task in flight; `None` when the platform does not know it.
    pub task: Fact<Option<Task>>,
    /// The telephone numbers of the tenant.
    pub numbers: Fact<Numbers>,
    /// What became of the change that this pass asked for.
    pub answer: Option<ChangeResult>,
    /// The last operation that this process has asked the platform for, if it remembers one. What another process has asked for, or was about to, is not.
    pub own: Option<OperationId>,
    /// The same, if this process has looked at it ever since without a long pause.
    pub watched: Option<OperationId>,
    /// How often in a row a request for this spec was not executed.
    pub failures: u32,
    /// The reason for which status says `Stalled` for this spec: a restart, which forgets the failures, does not take it back.
    pub stalled_for: Option<Reason>,
}

/// What an object says of itself when a pass over it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectState {
    /// When it was created.
    pub created: Time,
    /// Its generation.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed: Option<i64>,
    /// Whether status says `Ready=True`.
    pub ready: bool,
    /// Whether somebody has asked for a look that no pass has taken in yet.
    pub look_requested: bool,
    /// The reason for which status says `Stalled`, for whatever generation.
    pub stalled_for: Option<Reason>,
}

impl Facts {
    /// What a pass begins with: nothing of the platform yet.
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

    /// What a pass begins with that has read nothing, over an object that is new at that moment and of which nothing was said or tried.
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
            task: Fact::Unread,
            numbers: Fact::Unread,
            answer: None,
            own: None,
            watched: None,
            failures: 0,
            stalled_for: None,
        }
    }

    /// Whether a deletion that may have been asked for is asked for again at once: the process that recorded it is gone, and nobody knows whether its request
    /// has left. It names one service, so that asking twice does no harm, while waiting costs minutes for each that was under way.
    pub(crate) fn left_open_by_another(&self, record: &Record, intent: &Intent) -> bool {
        let accepted = record
            .running()
            .is_some_and(|op| op.id == intent.id && op.task.is_some());
        intent.kind == OperationKind::Delete
            && intent.sent == Sent::Maybe
            && !accepted
            && self.own.as_ref() != Some(&intent.id)
    }

    /// Whether a change was asked for in this pass and left, whatever came of it.
    pub fn asked(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|answer| !matches!(answer, ChangeResult::NotSent(_)))
    }

    /// Whether a list was read that has entries which can't be read.
    pub fn saw_holes(&self) -> bool {
        self.services.value().is_some_and(|view| !view.complete)
            || self.leads.value().is_some_and(|view| !view.complete)
    }

    /// When the newest of the lists was read that this pass knows.
    pub fn lists_read(&self) -> Option<Time> {
        fn at<T>(fact: &Fact<T>) -> Option<Time> {
            match fact {
                Fact::Known { at, .. } => Some(*at),
                _ => None,
            }
        }
        at(&self.services).max(at(&self.leads))
    }

    /// What is said of a trouble that passes by itself.
    pub fn verdict_of(&self, trouble: &Trouble) -> Verdict {
        Verdict::passing(trouble, self.failures, self.stalled_for)
    }
}

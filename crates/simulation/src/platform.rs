//! The simulated Live Platform: leads, services, tasks, lists that lag. It creates whatever is requested: a
//! second service is for the laws to report, not for the platform to prevent.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::ChangeResult;
use oc_domain::facts::{LeadsRead, LeadsView, Numbers};
use oc_domain::model::{Lead, LicenseType, MicrosoftStatus, Service, Task, TaskState};
use oc_domain::names::{CustomerGuid, TaskId, TenantId};
use oc_domain::time::Time;

use crate::setup::{self, PLACES, START, Setup, is_direct_routing, secs};

/// Who made a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// An object of ours, by its uid.
    Object(u32),
    /// Somebody in the portal.
    Person,
}

/// A service that was created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Made {
    /// The service as it is listed.
    pub service: Service,
    /// Its tenant.
    pub tenant: u8,
    /// The place it is at.
    pub place: usize,
    /// Who made it.
    pub by: Maker,
    /// When it was created.
    pub at: Time,
    /// When it was removed, if it was.
    pub removed: Option<Time>,
}

/// The task of a create.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tasked {
    id: TaskId,
    tenant: u8,
    place: usize,
    name: String,
    by: u32,
    ends: Time,
    fails: bool,
    unclear: bool,
    leaves: bool,
    guid: CustomerGuid,
    number: u32,
    done: bool,
}

/// The simulated Live Platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// Every service that ever existed.
    pub made: Vec<Made>,
    /// Every task.
    pub tasks: Vec<Tasked>,
    /// Microsoft's status of the leads of tenants 1 and 2.
    pub status: [MicrosoftStatus; 2],
    /// The service that each of these leads shows, by place.
    pub shows: [[Option<CustomerGuid>; 2]; PLACES],
    /// Whether tenant 3 has a consentless lead, and since when it has had one (or none).
    pub consentless: (bool, Time),
    /// The platform answers nothing until this time.
    pub down_until: Time,
    /// The credential is refused until this time.
    pub refused_until: Time,
    /// Changes are throttled until this time.
    pub throttled_until: Time,
    /// All entries of the list of services are unreadable until this time.
    pub hidden_until: Time,
    /// The list of leads has an unreadable entry until this time, for this tenant.
    pub lead_unreadable: (Time, u8),
    /// The list of leads comes in pages and lacks this tenant's lead until this time: the lead moved from one
    /// page to another.
    pub lead_between_pages: (Time, u8),
    /// The single read of a tenant's leads has an unreadable entry until this time.
    pub single_unreadable_until: Time,
    /// The platform does not report telephone numbers until this time.
    pub numbers_untold_until: Time,
    /// The list of services is empty and looks complete until this time, as long as two objects miss their
    /// services.
    pub empty_until: Time,
    /// The place that the platform object names.
    pub here: usize,
    /// When the leads job runs next.
    pub next_job: Time,
    /// Whether an Operator Connect service is refused beside a Direct Routing one.
    pub refuses_beside: bool,
    creates: u32,
    serial: u32,
}

/// A list of services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listed {
    /// The readable entries.
    pub services: Vec<Service>,
    /// Whether these are all entries.
    pub complete: bool,
}

/// A list of leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeadsListed {
    /// The readable entries.
    pub leads: Vec<Lead>,
    /// Whether these are all entries.
    pub complete: bool,
    /// Whether it came in pages.
    pub in_pages: bool,
}

impl LeadsListed {
    /// Returns the view of one tenant, as the inventory gives it.
    pub fn view(&self, tenant: &TenantId) -> LeadsView {
        LeadsView {
            leads: self
                .leads
                .iter()
                .filter(|lead| &lead.tenant == tenant)
                .cloned()
                .map(Arc::new)
                .collect(),
            complete: self.complete,
            read: if self.in_pages {
                LeadsRead::InPages
            } else {
                LeadsRead::AtOnce
            },
        }
    }
}

impl Platform {
    /// Returns the platform at the start of a story.
    pub fn new(setup: &Setup) -> Self {
        let mut platform = Self {
            made: Vec::new(),
            tasks: Vec::new(),
            status: [MicrosoftStatus::Active, MicrosoftStatus::Active],
            shows: Default::default(),
            consentless: (false, Time(0)),
            down_until: Time(0),
            refused_until: Time(0),
            throttled_until: Time(0),
            hidden_until: Time(0),
            lead_unreadable: (Time(0), 0),
            lead_between_pages: (Time(0), 0),
            single_unreadable_until: Time(0),
            numbers_untold_until: Time(0),
            empty_until: Time(0),
            here: 0,
            next_job: START + secs(setup.job_every),
            refuses_beside: setup.refuses_beside,
            creates: 0,
            serial: 0,
        };
        if let Some(same_names) = setup.foreign {
            platform.make_by_person(1, if same_names { setup.name_of(0) } else { "Somebody" }, Time(0));
        }
        if let Some(same_name) = setup.direct_routing {
            platform.make_direct_routing(1, if same_name { setup.name_of(0) } else { "Routed" }, Time(0));
        }
        platform
    }

    /// Returns a tenant's Operator Connect services at the place that the platform object names. A tenant can
    /// have one.
    pub fn alive(&self, tenant: u8) -> impl Iterator<Item = &Made> {
        self.alive_at(tenant, self.here)
    }

    /// Returns a tenant's Direct Routing service at that place, if there is one.
    pub fn direct_routing(&self, tenant: u8) -> Option<&Made> {
        self.there(tenant, self.here)
            .find(|made| is_direct_routing(&made.service))
    }

    fn there(&self, tenant: u8, place: usize) -> impl Iterator<Item = &Made> {
        self.made
            .iter()
            .filter(move |made| made.tenant == tenant && made.place == place && made.removed.is_none())
    }

    /// Returns a tenant's Operator Connect services at any place.
    pub fn alive_at(&self, tenant: u8, place: usize) -> impl Iterator<Item = &Made> {
        self.there(tenant, place)
            .filter(|made| !is_direct_routing(&made.service))
    }

    /// Whether a task that will create a service for the tenant runs at this place.
    pub fn converting(&self, tenant: u8, place: usize) -> bool {
        self.tasks.iter().any(|task| {
            task.tenant == tenant && task.place == place && !task.done && (!task.fails || task.leaves)
        })
    }

    /// Somebody creates a service in the portal.
    pub fn make_by_person(&mut self, tenant: u8, name: &str, at: Time) {
        self.serial += 1;
        let service = setup::service(self.serial, tenant, name);
        self.made.push(Made {
            service,
            tenant,
            place: self.here,
            by: Maker::Person,
            at,
            removed: None,
        });
    }

    /// Somebody creates a Direct Routing service in the portal.
    pub fn make_direct_routing(&mut self, tenant: u8, name: &str, at: Time) {
        self.make_by_person(tenant, name, at);
        if let Some(made) = self.made.last_mut() {
            made.service.license = Some(LicenseType::HostedPro);
        }
    }

    /// Returns why a call at this time is not answered, if it is not.
    pub fn unreachable(&self, now: Time) -> Option<Trouble> {
        if now < self.refused_until {
            return Some(Trouble::new(
                Reason::AuthenticationFailed,
                "The credential is refused.",
            ));
        }
        (now < self.down_until)
            .then(|| Trouble::new(Reason::PlatformUnavailable, "The platform does not answer."))
    }

    /// Lets time pass: tasks end, the job runs.
    pub fn advance(&mut self, setup: &Setup, now: Time) {
        for task in self
            .tasks
            .iter_mut()
            .filter(|task| !task.done && task.ends <= now)
        {
            task.done = true;
            if !task.fails || task.leaves {
                let service = Service {
                    guid: task.guid,
                    ..setup::service(task.number, task.tenant, &task.name)
                };
                self.made.push(Made {
                    service,
                    tenant: task.tenant,
                    place: task.place,
                    by: Maker::Object(task.by),
                    at: task.ends,
                    removed: None,
                });
            }
        }
        while self.next_job <= now {
            let at = self.next_job;
            for (place, tenant) in (0..PLACES).flat_map(|place| [1u8, 2].map(|tenant| (place, tenant))) {
                let there = self
                    .made
                    .iter()
                    .filter(|made| made.place == place && !is_direct_routing(&made.service))
                    .find(|made| {
                        made.tenant == tenant
                            && made.at <= at
                            && made.removed.is_none_or(|removed| removed > at)
                    });
                self.shows[place][usize::from(tenant) - 1] = there.map(|made| made.service.guid);
            }
            self.next_job = at + secs(setup.job_every);
        }
    }

    /// Returns when the next task ends.
    pub fn next_moment(&self) -> Option<Time> {
        self.tasks
            .iter()
            .filter(|task| !task.done)
            .map(|task| task.ends)
            .min()
    }

    /// Returns the list of services at a place.
    pub fn services(&self, setup: &Setup, now: Time, place: usize) -> Listed {
        if now < self.hidden_until {
            return Listed {
                services: Vec::new(),
                complete: false,
            };
        }
        // Changes made in the portal appear at once; the lists lag behind the tasks (U-8).
        let lag = |made: &Made| {
            if made.by == Maker::Person {
                secs(0)
            } else {
                secs(setup.lag)
            }
        };
        let shown = |made: &&Made| {
            made.at + lag(made) <= now && made.removed.is_none_or(|removed| removed + lag(made) > now)
        };
        Listed {
            services: self
                .made
                .iter()
                .filter(|made| made.place == place)
                .filter(shown)
                .map(|made| made.service.clone())
                .collect(),
            complete: true,
        }
    }

    /// Ends the faults of lists and single reads.
    pub fn reveal(&mut self) {
        (self.lead_unreadable.0, self.lead_between_pages.0) = (Time(0), Time(0));
        (self.single_unreadable_until, self.numbers_untold_until) = (Time(0), Time(0));
    }

    /// Returns the list of leads at a place.
    pub fn list_of_leads(&self, setup: &Setup, now: Time, place: usize) -> LeadsListed {
        let mut leads = self.leads(setup, now, place);
        let ((unreadable_until, unreadable), (between_until, between)) =
            (self.lead_unreadable, self.lead_between_pages);
        let (complete, in_pages) = (now >= unreadable_until, now < between_until);
        let of = |lead: &Lead, number: u8| lead.tenant == setup::tenant(number);
        leads.retain(|lead| (complete || !of(lead, unreadable)) && (!in_pages || !of(lead, between)));
        LeadsListed {
            leads,
            complete,
            in_pages,
        }
    }

    /// Returns a tenant's leads, by the single read.
    pub fn leads_of(&self, setup: &Setup, now: Time, place: usize, tenant: &TenantId) -> LeadsView {
        let mut leads = self.leads(setup, now, place);
        let complete = now >= self.single_unreadable_until;
        leads.retain(|lead| complete && &lead.tenant == tenant);
        LeadsView {
            leads: leads.into_iter().map(Arc::new).collect(),
            complete,
            read: LeadsRead::OfTenant,
        }
    }

    /// Returns what the platform says of a tenant's telephone numbers: it has none.
    pub fn numbers(&self, now: Time) -> Numbers {
        if now < self.numbers_untold_until {
            Numbers::Untold
        } else {
            Numbers::Count(0)
        }
    }

    /// Returns the leads at a place. Every place knows the same tenants; each knows only its own services for
    /// them.
    fn leads(&self, setup: &Setup, now: Time, place: usize) -> Vec<Lead> {
        let mut leads = Vec::new();
        if now >= START + secs(setup.lead_from) {
            for tenant in [1u8, 2] {
                let at = usize::from(tenant) - 1;
                leads.push(setup::lead(
                    tenant,
                    self.status[at].clone(),
                    false,
                    self.shows[place][at],
                ));
            }
        }
        let (there, since) = self.consentless;
        let lagging = now < since + secs(setup.lag);
        if there != lagging {
            leads.push(setup::lead(3, MicrosoftStatus::Active, true, None));
        }
        leads
    }

    /// Returns a task at a place, as long as it is known there.
    pub fn task(&self, setup: &Setup, now: Time, id: &TaskId, place: usize) -> Option<Task> {
        let known = |task: &&Tasked| {
            setup
                .task_known
                .is_none_or(|seconds| now < task.ends + secs(seconds))
        };
        let task = self
            .tasks
            .iter()
            .find(|task| &task.id == id && task.place == place)
            .filter(known)?;
        let (state, status) = match (task.done, task.fails) {
            (false, _) => (TaskState::Running, "Running"),
            (true, _) if task.unclear => (TaskState::Ended, "CompletedWithErrors"),
            (true, true) => (TaskState::Failed, "Failed"),
            (true, false) => (TaskState::Succeeded, "CompletedSuccess"),
        };
        let service = Some(task.guid).filter(|_| setup.guid_in_task);
        Some(Task {
            id: id.clone(),
            state,
            status: status.into(),
            messages: ["A message of the task.".into()].into(),
            service,
        })
    }

    /// Executes a create for the object with this uid. It is refused when somebody has created a service in
    /// the portal, but not when the existing one is ours.
    pub fn create(
        &mut self,
        setup: &Setup,
        now: Time,
        place: usize,
        tenant: u8,
        name: &str,
        by: u32,
    ) -> ChangeResult {
        if self.alive_at(tenant, place).any(|made| made.by == Maker::Person) {
            return ChangeResult::Rejected(Trouble::new(
                Reason::PlatformRefused,
                "The tenant has a service already.",
            ));
        }
        if self.refuses_beside
            && self
                .there(tenant, place)
                .any(|made| is_direct_routing(&made.service))
        {
            return ChangeResult::Rejected(Trouble::new(
                Reason::PlatformRefused,
                "The tenant has a Direct Routing service.",
            ));
        }
        self.serial += 1;
        self.creates += 1;
        let number = self.serial;
        let fails = self.creates <= setup.failing_tasks;
        self.tasks.push(Tasked {
            id: setup::task_id(number),
            tenant,
            place,
            name: name.to_owned(),
            by,
            ends: now + secs(setup.task),
            fails,
            unclear: self.creates <= setup.unclear_tasks,
            leaves: fails && setup.leaves_service,
            guid: setup::guid(number),
            number,
            done: false,
        });
        ChangeResult::Accepted(setup::task_id(number))
    }

    /// Executes a deletion.
    pub fn delete(&mut self, now: Time, place: usize, guid: &CustomerGuid) -> ChangeResult {
        match self
            .made
            .iter_mut()
            .find(|made| &made.service.guid == guid && made.place == place && made.removed.is_none())
        {
            Some(made) => {
                made.removed = Some(now);
                ChangeResult::Done
            }
            None => ChangeResult::NotFound,
        }
    }

    /// Returns who made a service, or whose task is making it.
    pub fn maker(&self, guid: &CustomerGuid) -> Option<Maker> {
        let made = self
            .made
            .iter()
            .find(|made| &made.service.guid == guid)
            .map(|made| made.by);
        made.or_else(|| {
            self.tasks
                .iter()
                .find(|task| &task.guid == guid)
                .map(|task| Maker::Object(task.by))
        })
    }

    /// Somebody upgrades a service.
    pub fn upgrade(&mut self, tenant: u8) {
        let upgradable = |made: &&mut Made| {
            made.tenant == tenant && made.removed.is_none() && !is_direct_routing(&made.service)
        };
        if let Some(made) = self.made.iter_mut().find(upgradable) {
            made.service.license = Some(LicenseType::OcEssentialPlus);
        }
    }
}

impl Platform {
    /// A person removes everything at places other than the one that the platform object names.
    pub fn clear_elsewhere(&mut self, now: Time) {
        let here = self.here;
        self.made
            .iter_mut()
            .filter(|made| made.place != here && made.removed.is_none())
            .for_each(|made| made.removed = Some(now));
        self.tasks
            .iter_mut()
            .filter(|task| task.place != here)
            .for_each(|task| task.done = true);
    }

    /// Whether a task is running that will create a service for this object.
    pub fn converting_for(&self, uid: u32) -> bool {
        self.tasks
            .iter()
            .any(|task| task.by == uid && !task.done && (!task.fails || task.leaves))
    }
}

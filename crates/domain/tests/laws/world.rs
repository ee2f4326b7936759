//! A small world: one tenant on a platform with tasks and lists that lag, and one object whose metadata and status are kept apart.

use std::collections::{BTreeSet, VecDeque};

use oc_domain::conditions::{Condition, Reason, Trouble};
use oc_domain::facts::{Lead, Service, Task, TaskState};
use oc_domain::names::{CustomerGuid, TaskId, fold};
use oc_domain::pass::{DeletionPolicy, ServicesView};
use oc_domain::record::{Intent, JobRecord, Operation, OperationId, OperationKind, Record, Sent};
use oc_domain::service::Adoption;
use oc_domain::step::{Answer, Decision, Mark};
use oc_domain::time::Time;

use crate::common;
use common::secs;

/// How often the platform object's own passes read both lists.
pub const OBSERVE: u64 = 600;
pub const START: Time = Time(1_800_000_000_250);

/// What the world is like. All times in seconds.
#[derive(Clone, Debug)]
pub struct Config {
    pub task: u64,
    pub failing_tasks: u32,
    pub lag: u64,
    pub lead_from: u64,
    pub job_every: u64,
    pub guid_in_task: bool,
    pub ip_group: bool,
    pub adoption: Adoption,
    pub recreate: bool,
    pub policy: DeletionPolicy,
    /// A service that somebody else made: from the beginning, with these names or others.
    pub foreign: Option<bool>,
    /// Somebody makes a service of the same names in the portal after ours was refused.
    pub foreign_after_refusal: bool,
    pub deleted_at: Option<u64>,
    pub removed_at: Option<u64>,
    pub edited_at: Vec<u64>,
    /// What goes wrong once more after somebody has deleted, removed or edited something.
    pub late: Vec<(Fault, AskFault)>,
}

/// What goes wrong at a step of the driver.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Nothing,
    Slow(u64),
    CrashBefore,
    CrashAfter,
    /// A write to our own object is not taken.
    Unwritten,
    /// A restore drops the status.
    Wipe,
    /// Nothing is answered for so long.
    Down(u64),
    /// Reads are answered, changes are not let through.
    Throttle(u64),
    /// The list of services has entries that can't be read: all of them.
    Hide(u64),
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug)]
pub enum AskFault {
    Nothing,
    /// Executed after so long, and the answer lost.
    LostDone(u64),
    LostNotDone,
    NotSent,
    Refused,
}

#[derive(Clone, Debug)]
pub struct Made {
    pub service: Service,
    pub by_us: bool,
    pub at: Time,
    pub removed: Option<Time>,
}

pub struct Tasked {
    id: TaskId,
    ends: Time,
    fails: bool,
    guid: CustomerGuid,
    done: bool,
}

/// What a status holds. The rest of a record stands in metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub guid: Option<CustomerGuid>,
    pub license: Option<String>,
    pub operation: Option<Operation>,
    pub leads_job: JobRecord,
    pub trunks_job: JobRecord,
    pub observed: Option<i64>,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default)]
pub struct Object {
    pub finalizer: bool,
    pub intent: Option<(OperationKind, String, Time)>,
    pub guid: Option<CustomerGuid>,
    pub status: Status,
    pub deleting: bool,
    pub gone: bool,
    pub generation: i64,
    pub version: u64,
}

#[derive(Default)]
pub struct Inventory {
    pub services: Option<(Time, ListedServices)>,
    pub leads: Option<(Time, Vec<Lead>)>,
}

#[derive(Clone, Default)]
pub struct ListedServices {
    services: Vec<Service>,
    complete: bool,
}

#[derive(Default)]
pub struct Counts {
    pub writes: u32,
    pub asks: u32,
    /// Reads of lists that the inventory could not answer, and of tasks.
    pub reads: u32,
    pub creates: u32,
}

pub struct World {
    pub config: Config,
    pub now: Time,
    pub made: Vec<Made>,
    tasks: Vec<Tasked>,
    lead_shows: Option<CustomerGuid>,
    pub job_runs: Option<Time>,
    job_running: Option<(Time, Option<CustomerGuid>)>,
    pub object: Object,
    pub inventory: Inventory,
    pub failures: u32,
    pub unsent: Option<OperationId>,
    pub steps: VecDeque<Fault>,
    pub asks: VecDeque<AskFault>,
    pub down_until: Time,
    pub throttled_until: Time,
    pub hidden_until: Time,
    adopted: BTreeSet<CustomerGuid>,
    /// Made by others, and not to be told from what this object asked for: it may take these for its own.
    excused: BTreeSet<CustomerGuid>,
    /// The service was Ready, and somebody has removed it: without spec.recreate it is not made again.
    removed_ready: bool,
    pub counts: Counts,
    pub broken: Vec<String>,
    serial: u32,
    pub trail: Vec<String>,
}

impl World {
    pub fn new(config: Config, steps: Vec<Fault>, asks: Vec<AskFault>) -> Self {
        let mut world = Self {
            config,
            now: START,
            made: Vec::new(),
            tasks: Vec::new(),
            lead_shows: None,
            job_runs: None,
            job_running: None,
            object: Object { generation: 1, ..Object::default() },
            inventory: Inventory::default(),
            failures: 0,
            unsent: None,
            steps: steps.into(),
            asks: asks.into(),
            down_until: Time(0),
            throttled_until: Time(0),
            hidden_until: Time(0),
            adopted: BTreeSet::new(),
            excused: BTreeSet::new(),
            removed_ready: false,
            counts: Counts::default(),
            broken: Vec::new(),
            serial: 0,
            trail: Vec::new(),
        };
        if let Some(same_names) = world.config.foreign {
            world.foreign(same_names, START - secs(100_000));
        }
        world
    }

    fn foreign(&mut self, same_names: bool, at: Time) {
        self.serial += 1;
        let mut service = common::service(self.serial);
        if !same_names {
            service.short_name = "Elsewhere".into();
        }
        self.made.push(Made { service, by_us: false, at, removed: None });
    }

    pub fn note(&mut self, what: impl FnOnce(i64) -> String) {
        let line = what((self.now.0 - START.0) / 1000);
        self.trail.push(line);
    }

    pub fn breaks(&mut self, law: &str) {
        let at = (self.now.0 - START.0) / 1000;
        self.broken.push(format!("{law} (after {at} s)"));
    }

    /// Lets time pass: tasks end, people delete and edit, jobs run.
    pub fn advance(&mut self, to: Time) {
        self.now = self.now.max(to);
        let now = self.now;
        for task in self.tasks.iter_mut().filter(|task| !task.done && task.ends <= now) {
            task.done = true;
            if !task.fails {
                let service = Service { guid: task.guid.clone(), ..common::service(0) };
                self.made.push(Made { service, by_us: true, at: task.ends, removed: None });
            }
        }
        let since_start = now.since(START).as_secs();
        if self.config.deleted_at.is_some_and(|at| at <= since_start) && !self.object.deleting {
            self.config.deleted_at = None;
            self.object.deleting = true;
            self.object.generation += 1;
            self.object.version += 1;
            self.object.gone = !self.object.finalizer;
            self.late();
            self.note(|at| format!("{at} the object is deleted"));
        }
        if self.config.removed_at.is_some_and(|at| at <= since_start) {
            self.config.removed_at = None;
            self.removed_ready = self.object.status.license.is_some() && self.alive();
            self.made.iter_mut().filter(|made| made.removed.is_none()).for_each(|made| made.removed = Some(now));
            self.late();
            self.note(|at| format!("{at} somebody removes the service"));
        }
        if self.config.edited_at.first().is_some_and(|at| *at <= since_start) {
            self.config.edited_at.remove(0);
            self.object.generation += 1;
            self.object.version += 1;
        }
        if self.config.foreign_after_refusal && !self.object.deleting && self.refused() && !self.alive() && !self.in_flight() {
            self.config.foreign_after_refusal = false;
            self.foreign(true, now);
            self.note(|at| format!("{at} somebody else makes a service"));
        }
        self.run_jobs();
    }

    fn late(&mut self) {
        for (step, ask) in std::mem::take(&mut self.config.late) {
            self.steps.push_back(step);
            self.asks.push_back(ask);
        }
    }

    fn run_jobs(&mut self) {
        let (now, every) = (self.now, secs(self.config.job_every));
        if let Some((begun, shows)) = self.job_running.clone().filter(|(begun, _)| now >= *begun + secs(20)) {
            self.lead_shows = shows;
            self.job_runs = Some(begun.whole_second());
            self.job_running = None;
        }
        let due = self.job_runs.unwrap_or(START) + every;
        if self.job_running.is_none() && now >= due {
            let shows = self.made.iter().find(|made| made.removed.is_none()).map(|made| made.service.guid.clone());
            self.job_running = Some((now, shows));
        }
    }

    fn refused(&self) -> bool {
        let refused = |op: &Operation| {
            op.kind == OperationKind::Create
                && op.outcome == Some(oc_domain::record::Outcome::Refused)
                && Some(&op.id.0) == self.object.intent.as_ref().map(|intent| &intent.1)
        };
        self.object.status.operation.as_ref().is_some_and(refused)
    }

    pub fn alive(&self) -> bool {
        self.made.iter().any(|made| made.removed.is_none())
    }

    fn in_flight(&self) -> bool {
        self.tasks.iter().any(|task| !task.done && !task.fails)
    }

    pub fn down(&self) -> bool {
        self.now < self.down_until
    }

    /// The moments at which something happens that wakes the object, or could.
    pub fn next_event(&self) -> Time {
        let of = |seconds: &u64| START + secs(*seconds);
        let refresh = self.inventory.services.as_ref().map_or(self.now, |(at, _)| *at) + secs(OBSERVE);
        let events = self.config.deleted_at.iter().chain(&self.config.edited_at).map(of);
        events.chain([refresh]).filter(|at| *at > self.now).min().unwrap_or(self.now + secs(OBSERVE))
    }

    pub fn events_ahead(&self) -> bool {
        let config = &self.config;
        config.deleted_at.is_some() || config.removed_at.is_some() || !config.edited_at.is_empty()
    }

    /// A restore drops the status. That a create was refused stood only there: what others made under the same names since then can't be told from
    /// what this object asked for, and may be taken for its own.
    pub fn wipe(&mut self) {
        self.object.status = Status::default();
        self.object.version += 1;
        self.removed_ready = false;
        if self.object.intent.is_some() {
            let same = |made: &&Made| fold(&made.service.short_name) == "contoso_nl";
            self.excused.extend(self.made.iter().filter(same).map(|made| made.service.guid.clone()));
            self.config.foreign_after_refusal = false;
        }
    }

    // What the platform answers.

    pub fn list_services(&mut self) -> Time {
        let (now, lag) = (self.now, secs(self.config.lag));
        let shown = |made: &&Made| made.at + lag <= now && made.removed.is_none_or(|removed| removed + lag > now);
        let hidden = now < self.hidden_until;
        let services = if hidden { Vec::new() } else { self.made.iter().filter(shown).map(|made| made.service.clone()).collect() };
        self.inventory.services = Some((now, ListedServices { services, complete: !hidden }));
        now
    }

    pub fn list_leads(&mut self) -> Time {
        let there = self.now >= START + secs(self.config.lead_from);
        let lead = Lead { service: self.lead_shows.clone(), ..common::lead() };
        self.inventory.leads = Some((self.now, if there { vec![lead] } else { Vec::new() }));
        self.now
    }

    pub fn task(&self, id: &TaskId) -> Option<Task> {
        let task = self.tasks.iter().find(|task| &task.id == id)?;
        let state = match (task.done, task.fails) {
            (false, _) => TaskState::Running,
            (true, true) => TaskState::Failed,
            (true, false) => TaskState::Succeeded,
        };
        let service = Some(task.guid.clone()).filter(|_| self.config.guid_in_task);
        Some(Task { id: id.clone(), service, ..common::task(0, state) })
    }

    /// The create is carried out at `at`.
    pub fn execute_create(&mut self, at: Time) -> Answer {
        if self.made.iter().any(|made| made.removed.is_none() && !made.by_us) {
            return Answer::Refused(Trouble::new(Reason::PlatformRefused, "The tenant has a service already."));
        }
        if self.alive() || self.in_flight() {
            self.breaks("L1: a second service is made for the tenant");
        }
        if self.removed_ready && !self.config.recreate {
            self.breaks("a service that somebody removed is made again without spec.recreate");
        }
        self.serial += 1;
        self.counts.creates += 1;
        let fails = self.counts.creates <= self.config.failing_tasks;
        let (id, guid) = (common::task_id(self.serial), common::guid(self.serial));
        self.tasks.push(Tasked { id: id.clone(), ends: at + secs(self.config.task), fails, guid, done: false });
        Answer::Task(id)
    }

    pub fn execute_delete(&mut self, guid: &CustomerGuid) -> Answer {
        if !self.owns(guid) && !self.excused.contains(guid) {
            self.breaks("L2: a service is deleted that this object neither made nor took over");
        }
        if self.config.policy == DeletionPolicy::Retain || !self.object.deleting {
            self.breaks("L2: a service is deleted that should be retained");
        }
        let now = self.now;
        match self.made.iter_mut().find(|made| &made.service.guid == guid && made.removed.is_none()) {
            Some(made) => {
                made.removed = Some(now);
                Answer::Done
            }
            None => Answer::NotFound,
        }
    }

    pub fn owns(&self, guid: &CustomerGuid) -> bool {
        self.adopted.contains(guid) || self.made.iter().any(|made| made.by_us && &made.service.guid == guid) || self.tasks.iter().any(|task| &task.guid == guid)
    }

    // The object.

    pub fn record(&self) -> Record {
        let object = &self.object;
        let sent = |id: &str| if self.unsent.as_ref().is_some_and(|unsent| unsent.0 == id) { Sent::No } else { Sent::Maybe };
        Record {
            finalizer: object.finalizer,
            intent: object.intent.as_ref().map(|(kind, id, start)| Intent { kind: *kind, id: OperationId(id.clone()), start: *start, sent: sent(id) }),
            operation: object.status.operation.clone(),
            guid: object.status.guid.clone().or_else(|| object.guid.clone()),
            guid_annotated: object.guid.is_some(),
            license: object.status.license.clone(),
            observed_generation: object.status.observed,
            leads_job: object.status.leads_job,
            trunks_job: object.status.trunks_job,
            assigned_channel: None,
        }
    }

    pub fn mark(&mut self, mark: &Mark, record: &Record) -> Option<Intent> {
        self.counts.writes += 1;
        self.object.version += 1;
        match mark {
            Mark::Begin { kind, start } => {
                self.serial += 1;
                let id = format!("op-{}", self.serial);
                self.object.finalizer = true;
                self.object.intent = Some((*kind, id.clone(), start.whole_second()));
                self.object.guid = if *kind == OperationKind::Delete { record.guid.clone().or(self.object.guid.clone()) } else { None };
                return Some(Intent { kind: *kind, id: OperationId(id), start: *start, sent: Sent::No });
            }
            Mark::Adopt(guid) => {
                self.adopt(guid);
                self.object.finalizer = true;
                self.object.guid = Some(guid.clone());
                self.object.intent = None;
            }
            Mark::Hold => self.object.finalizer = true,
            Mark::Release => {
                self.object.finalizer = false;
                self.object.intent = None;
                if self.object.deleting {
                    self.object.gone = true;
                    self.left_behind();
                }
            }
        }
        None
    }

    fn adopt(&mut self, guid: &CustomerGuid) {
        let Some(made) = self.made.iter().find(|made| &made.service.guid == guid) else {
            return self.breaks("L2: something is taken over that is not there");
        };
        let same = fold(&made.service.short_name) == "contoso_nl";
        let allowed = match self.config.adoption {
            Adoption::Always => true,
            Adoption::IfMatching => same,
            Adoption::Never => false,
        };
        if !allowed && !self.owns(guid) && !self.excused.contains(guid) {
            self.breaks("L2: a service is taken over against spec.adoption");
        }
        self.adopted.insert(guid.clone());
    }

    /// When an object goes under `Delete`, nothing that it made stays.
    fn left_behind(&mut self) {
        if self.config.policy == DeletionPolicy::Delete
            && (self.in_flight() || self.made.iter().any(|made| made.removed.is_none() && self.owns(&made.service.guid)))
        {
            self.breaks("L2: the object is let go, and what it made is left behind");
        }
    }

    /// Writes what a status holds of a decision, times without milliseconds; nothing when it is as it was.
    pub fn say(&mut self, decision: &Decision) {
        let record = &decision.record;
        let whole = |time: Option<Time>| time.map(Time::whole_second);
        let job = |job: &JobRecord| match job.due {
            None => JobRecord::default(),
            Some(_) => JobRecord { state: job.state, due: whole(job.due), requested: whole(job.requested), completed: whole(job.completed) },
        };
        let operation = record.operation.clone().map(|op| Operation { started: op.started.whole_second(), completed: whole(op.completed), ..op });
        let status = Status {
            guid: record.guid.clone(),
            license: record.license.clone(),
            operation,
            leads_job: job(&record.leads_job),
            trunks_job: job(&record.trunks_job),
            observed: Some(self.object.generation),
            conditions: decision.verdict.conditions(),
        };
        if let (Some(guid), Some(_)) = (&status.guid, &status.license)
            && !self.owns(guid)
            && !self.excused.contains(guid)
        {
            // While the answer to a create is not known, what somebody else makes under the same names can't be told from what was asked for.
            if self.object.intent.is_none() || self.refused() {
                self.breaks("L2: a service of somebody else is called this object's own");
            }
            self.excused.insert(guid.clone());
        }
        if status != self.object.status {
            self.counts.writes += 1;
            self.object.version += 1;
            self.object.status = status;
        }
    }

    /// What the list holds for this object.
    pub fn view(&self, record: &Record) -> Option<(Time, ServicesView)> {
        let (at, listed) = self.inventory.services.as_ref()?;
        let by_tenant = listed.services.clone();
        let by_guid = by_tenant.iter().find(|service| record.guid.as_ref() == Some(&service.guid)).cloned();
        let by_name = by_tenant.iter().filter(|service| fold(&service.short_name) == "contoso_nl").cloned().collect();
        Some((*at, ServicesView { by_tenant, by_guid, by_name, complete: listed.complete }))
    }
}

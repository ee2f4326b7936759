//! The settings of a `LivePlatform` object that the other kinds need for their decisions.

use std::sync::Arc;

use crate::conditions::Trouble;
use crate::names::ShortNameRule;
use crate::record::{Intent, Job, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use crate::time::{Duration, Time};

/// How long before the end of `createGrace` the pace is computed. Longer than the time between two looks for
/// the effect.
const SOON: Duration = Duration::from_secs(120);

/// How synchronization jobs are started (platform-facts.md 7: the platform documents no call for it, U-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobTrigger {
    /// By a person, in the portal.
    #[default]
    Manual,
    /// By a call that this installation offers.
    Http,
}

/// The known runs of one job on one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobRuns {
    /// When the newest run was requested.
    pub requested: Option<Time>,
    /// When the newest completed run began. It covers whatever was due by then.
    pub covers: Option<Time>,
}

impl JobRuns {
    /// Whether a completed run began at `due` or later.
    pub fn cover(&self, due: Time) -> bool {
        self.covers.is_some_and(|covers| covers >= due)
    }
}

/// The parsed settings of a platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The place of the platform's address, as recorded in an intent. `None` where the driver does not
    /// provide it.
    pub place: Option<Arc<str>>,
    /// `spec.shortNameRule`.
    pub short_name_rule: ShortNameRule,
    /// Whether `spec.tenantLookup` is set: a tenant is looked up before a consentless lead is created for it.
    pub tenant_lookup: bool,
    /// `spec.observeInterval`.
    pub observe_interval: Duration,
    /// `spec.createGrace`: how long to look for the effect after a lost answer, before the change is
    /// requested again.
    pub create_grace: Duration,
    /// `spec.taskDeadline`.
    pub task_deadline: Duration,
    /// `spec.syncJobs.trigger`.
    pub trigger: JobTrigger,
    /// Runs of `peering.sync-leads-job`.
    pub leads_job: JobRuns,
    /// Runs of `peering.sync-trunks-job`.
    pub trunks_job: JobRuns,
    /// The longest create seen on this platform, from its intent to its service in the list. A running create
    /// counts with its age, up to `spec.taskDeadline`. `None` when no create has been seen to end.
    pub slowest_create: Option<Duration>,
    /// Why the breaker blocks deletions (`spec.deletions.perHour`).
    pub deletions_blocked: Option<Trouble>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            place: None,
            short_name_rule: ShortNameRule::Portal,
            tenant_lookup: false,
            observe_interval: Duration::from_secs(600),
            create_grace: Duration::from_secs(900),
            task_deadline: Duration::from_secs(7200),
            trigger: JobTrigger::Manual,
            leads_job: JobRuns::default(),
            trunks_job: JobRuns::default(),
            slowest_create: None,
            deletions_blocked: None,
        }
    }
}

impl Policy {
    /// Adds the pace of the platform's creates, for an object that looks for the effect of a create after a
    /// lost answer. Until `spec.createGrace` is nearly over the pace decides nothing, and is not computed.
    #[must_use]
    pub fn with_pace(
        self,
        now: Time,
        record: &Record,
        slowest: impl FnOnce(&OperationId, Duration) -> Option<Duration>,
    ) -> Self {
        let nearly_over = |intent: &&Intent| now + SOON >= intent.start + self.create_grace;
        let lost = |intent: &&Intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe;
        match record.open_intent().filter(lost).filter(nearly_over) {
            Some(lost) => Self {
                slowest_create: slowest(&lost.id, self.task_deadline),
                ..self
            },
            None => self,
        }
    }

    /// How long to look for the effect of another object's create that is known from an annotation only. No
    /// status says how long that create takes.
    pub fn longest_grace(
        &self,
        slowest: impl FnOnce(&OperationId, Duration) -> Option<Duration>,
    ) -> Duration {
        Self {
            slowest_create: slowest(&OperationId("".into()), self.task_deadline),
            ..self.clone()
        }
        .grace()
    }

    /// How long to look for the effect of a create after a lost answer, before the create is requested again.
    ///
    /// `spec.createGrace` is safe only on a platform that is faster. A create requested again while the first
    /// one still runs makes a second service (law L1), and the duration of a create is not documented
    /// (platform-facts-2.md 2). So the setting is trusted once creates have been seen to take at most half of
    /// it. A slower platform gets twice what it took, and one of unknown speed gets `spec.taskDeadline`.
    pub fn grace(&self) -> Duration {
        match self.slowest_create {
            Some(slowest) => self.create_grace.max(slowest * 2),
            None => self.create_grace.max(self.task_deadline),
        }
    }

    /// The runs of one job.
    pub fn runs(&self, job: Job) -> &JobRuns {
        match job {
            Job::Leads => &self.leads_job,
            Job::Trunks => &self.trunks_job,
        }
    }
}

/// The referenced platform object, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlatformAccess {
    /// The object exists, and this namespace may use it.
    Usable(Policy),
    /// The object does not exist, or this namespace may not use it.
    Unusable(Trouble),
    /// Whether this namespace may use it is unknown at the moment. Nothing is requested, and nothing that
    /// exists is given up.
    Unknown(Trouble),
}

/// What one operation says about the pace of its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreatePace {
    /// A finished create took this long, from its intent to its service in the list.
    Took(Duration),
    /// A create that began at this time, and whose task has not ended.
    Runs(Time),
}

impl CreatePace {
    /// Derives the pace from an operation. Only a create with a known task says anything.
    pub fn of(operation: &Operation) -> Option<Self> {
        if operation.kind != OperationKind::Create || operation.task.is_none() {
            return None;
        }
        match operation.ended() {
            Some(Outcome::Succeeded) => operation.took.map(Self::Took),
            // A create whose task ended is not slow, even if its service has not been read back.
            None if operation.task_ended().is_none() => Some(Self::Runs(operation.started)),
            _ => None,
        }
    }
}

/// The pace of a platform's creates, from the operations in the statuses of its services: see
/// [`Policy::slowest_create`].
///
/// Only creates whose task was followed to its end measure the platform. A service that merely appeared may
/// have been made by somebody else. If a create was not watched all the time (the operator was down, the
/// object suspended), its duration is unknown. A running create only shows that the platform is slow, and
/// counts at most `deadline` (`spec.taskDeadline`): otherwise one that never ends would block all others
/// forever. `own` is the create that is waited for; it says nothing about itself.
pub fn slowest_create<'a>(
    now: Time,
    own: &OperationId,
    deadline: Duration,
    operations: impl Iterator<Item = &'a Operation>,
) -> Option<Duration> {
    let (mut slowest, mut running): (Option<Duration>, Duration) = (None, Duration::ZERO);
    for operation in operations.filter(|operation| &operation.id != own) {
        match CreatePace::of(operation) {
            Some(CreatePace::Took(span)) => slowest = slowest.max(Some(span)),
            Some(CreatePace::Runs(since)) => running = running.max(now.since(since).min(deadline)),
            None => {}
        }
    }
    slowest.map(|slowest| slowest.max(running))
}

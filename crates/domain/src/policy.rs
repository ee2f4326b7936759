//! What a `LivePlatform` object says that the decisions of the other kinds need.

use crate::conditions::Trouble;
use crate::names::ShortNameRule;
use crate::record::{Intent, Job, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use crate::time::{Duration, Time};

/// How long before the end of `createGrace` the pace is looked at: longer than the time between two looks for the effect.
const SOON: Duration = Duration::from_secs(120);

/// How synchronization jobs are started (platform-facts.md 7: the platform documents no call that does, U-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobTrigger {
    /// By a person, in the portal.
    #[default]
    Manual,
    /// By a call that this installation has.
    Http,
}

/// What is known of the runs of one job on one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobRuns {
    /// When the newest run was asked for.
    pub requested: Option<Time>,
    /// The newest run that is known to have ended was begun at this time: whatever was due by then is covered.
    pub covers: Option<Time>,
}

impl JobRuns {
    /// Whether a run that has ended was begun when `due` had come, or later.
    pub fn cover(&self, due: Time) -> bool {
        self.covers.is_some_and(|covers| covers >= due)
    }
}

/// The settings of a platform, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The place of the platform's address, by which an intent names it. `None` where the driver does not tell it.
    pub place: Option<String>,
    /// `spec.shortNameRule`.
    pub short_name_rule: ShortNameRule,
    /// `spec.observeInterval`.
    pub observe_interval: Duration,
    /// `spec.createGrace`: how long a lost answer is looked up before the change is asked for again.
    pub create_grace: Duration,
    /// `spec.taskDeadline`.
    pub task_deadline: Duration,
    /// `spec.syncJobs.trigger`.
    pub trigger: JobTrigger,
    /// Runs of `peering.sync-leads-job`.
    pub leads_job: JobRuns,
    /// Runs of `peering.sync-trunks-job`.
    pub trunks_job: JobRuns,
    /// The longest that a create of this platform was seen to take, from its intent to its service in the list; of one that still runs, its age, up to
    /// `spec.taskDeadline`. `None` when none has been seen to end.
    pub slowest_create: Option<Duration>,
    /// Why a deletion must wait, when the breaker says so (`spec.deletions.perHour`).
    pub deletions_blocked: Option<Trouble>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            place: None,
            short_name_rule: ShortNameRule::Portal,
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
    /// The same with the pace of the platform's creates, for an object that has to know it: one that looks for the effect of a create whose answer was
    /// lost. Before `spec.createGrace` is nearly over the pace decides nothing, and is not asked for.
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

    /// How long the effect of a create of another object is looked for, of which only an annotation tells: no status tells how long that one takes.
    pub fn longest_grace(
        &self,
        slowest: impl FnOnce(&OperationId, Duration) -> Option<Duration>,
    ) -> Duration {
        Self {
            slowest_create: slowest(&OperationId(String::new()), self.task_deadline),
            ..self.clone()
        }
        .grace()
    }

    /// How long the effect of a create whose answer was lost is looked for before the create is asked for again.
    ///
    /// `spec.createGrace` is safe only on a platform that is faster than it: asked for again while the first one still runs, a create makes a
    /// second service (law L1), and nobody knows how long a platform takes (platform-facts-2.md 2). So it is believed once creates have been seen to take at
    /// most half of it; a slower platform gets twice what it took, and one of which nothing was seen gets `spec.taskDeadline`.
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

/// The platform object that an object refers to, as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlatformAccess {
    /// It is there, and this namespace may use it.
    Usable(Policy),
    /// It is not there, or not for this namespace.
    Unusable(Trouble),
    /// Whether this namespace may use it can't be told just now: nothing is asked for, and nothing that is so is given up.
    Unknown(Trouble),
}

/// What one operation tells of the pace of its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreatePace {
    /// A create that took so long, from its intent to its service in the list.
    Took(Duration),
    /// A create that was begun then, and whose task has not ended.
    Runs(Time),
}

impl CreatePace {
    /// Only a create tells anything, and only one whose task is known.
    pub fn of(operation: &Operation) -> Option<Self> {
        if operation.kind != OperationKind::Create || operation.task.is_none() {
            return None;
        }
        match operation.ended() {
            Some(Outcome::Succeeded) => operation.took.map(Self::Took),
            // A task that has ended is not slow, though its service may not have been read back.
            None if operation.task_ended().is_none() => Some(Self::Runs(operation.started)),
            _ => None,
        }
    }
}

/// The pace of a platform's creates, from the operations in the statuses of its services: see [`Policy::slowest_create`].
///
/// Only creates whose task was followed to its end tell how fast a platform is: a service that merely showed may have been made by somebody else, and
/// what was not watched all the time (the operator was away, the object suspended) took nobody knows how long. One that still runs only tells how slow
/// the platform is, and no more than `deadline` (`spec.taskDeadline`): one that never ends would hold every other one for ever. `own` is the create that
/// is waited for: it tells nothing about itself.
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

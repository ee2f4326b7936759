//! What comes next for one `LivePlatform`: its lists are kept fresh, and the synchronization jobs that services wait for are asked for.

use crate::absence::{self, AbsenceCount, Account};
use crate::breaker::{self, Asking, DeletionLedger};
use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Query, Step, Wake};
use crate::facts::Fact;
use crate::policy::{JobRuns, JobTrigger};
use crate::record::{Job, JobRecord, JobState};
use crate::time::{Duration, Time};
use crate::timing;

/// How long services that become due are gathered, so that one run serves them all.
const GATHER: Duration = Duration::from_secs(2);

/// A run whose answer was lost is asked for again after this; a run is repeatable.
const RUN_AGAIN: Duration = Duration::from_secs(60);

/// How far ahead of our clock the time of a job may be that a person has written.
const SKEW: Duration = Duration::from_secs(5);

/// A person's word for when a job ran, as it stands in an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RanAt {
    /// Its first 64 characters.
    pub text: String,
    /// The time; `None` when it can't be read as one.
    pub at: Option<Time>,
}

impl RanAt {
    /// As it stands there.
    pub fn new(text: &str, at: Option<Time>) -> Self {
        Self {
            text: text.chars().take(64).collect(),
            at,
        }
    }
}

/// What the object's spec and annotations ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredPlatform {
    /// `spec.observeInterval`.
    pub observe_interval: Duration,
    /// `spec.syncJobs.trigger`.
    pub trigger: JobTrigger,
    /// The annotations `…/leads-job-ran-at` and `…/trunks-job-ran-at`: when a person ran the job.
    pub ran_at: [Option<RanAt>; 2],
    /// `spec.deletions.perHour`, and what other objects of the same place have granted.
    pub deletions: breaker::Limit,
    /// The annotation `…/approve-deletions`.
    pub approval: Option<String>,
    /// The annotation `…/approve-absences`.
    pub absence_approval: Option<String>,
    /// `spec.url` and `spec.authentication`.
    pub account: Account,
    /// Whether somebody asked for a look now.
    pub reconcile_requested: bool,
    /// What keeps the platform from being used at all: a Secret that is missing, a URL that can't be.
    pub unusable: Option<Trouble>,
    /// What of the spec can't be followed, while the rest goes on.
    pub unfollowed: Option<Trouble>,
    /// What is not as it should be and keeps nothing from being Ready, as one sentence.
    pub remark: Option<String>,
}

/// What the services that wait for a job say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The earliest and the latest time at which it became due for a service that still waits.
    pub due: Option<(Time, Time)>,
}

/// What a pass knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformFacts {
    /// The list of leads: how many entries could not be read.
    pub leads: Fact<usize>,
    /// The list of services: likewise.
    pub services: Fact<usize>,
    /// Services that wait for the leads job and for the trunks job.
    pub waiting: [Waiting; 2],
    /// What the lists lack of what objects have recorded; `None` while none was read.
    pub counted: Option<AbsenceCount>,
    /// Objects that are being deleted and want something deleted on the platform.
    pub deletions: Vec<Asking>,
    /// What became of the run that this pass asked for: which job it was, and when the request was begun.
    pub answer: Option<(Job, Time, ChangeResult)>,
    /// How often in a row a request was not executed.
    pub failures: u32,
}

/// What the object remembers: its two jobs, in the order of [`Job::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlatformRecord {
    /// The jobs.
    pub jobs: [JobRecord; 2],
    /// Deletions that were granted, and whether more are held.
    pub ledger: DeletionLedger,
    /// What is missing from the lists, and whether it is believed.
    pub absences: absence::AbsenceLedger,
    /// The times of jobs that lay ahead when they were first seen, as they stand in the annotations. They are not taken when they have come either: nobody
    /// has seen the job run.
    pub refused: [Option<String>; 2],
    /// The reason for which status says `Stalled` for this spec.
    pub stalled_for: Option<Reason>,
}

impl PlatformRecord {
    /// What is known of the runs of a job: the newest completed run covers whatever was due when it was begun.
    pub fn runs(&self, job: Job) -> JobRuns {
        let record = self.jobs[index(job)];
        JobRuns {
            requested: record.requested,
            covers: record.completed.and(record.requested),
        }
    }
}

/// What a decision comes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformDecision {
    /// What comes next.
    pub step: Step,
    /// Why, for the log.
    pub why: &'static str,
    /// What the object's conditions say.
    pub verdict: Verdict,
    /// What the object remembers from now on.
    pub record: PlatformRecord,
}

impl PlatformDecision {
    /// Whether both lists were read: the platform answers, whatever else there is to say.
    pub fn answers(&self) -> bool {
        matches!(self.step, Step::Idle(_) | Step::Execute(_))
    }
}

/// Decides what comes next.
pub fn decide(
    now: Time,
    desired: &DesiredPlatform,
    record: &PlatformRecord,
    facts: &PlatformFacts,
) -> PlatformDecision {
    let mut record = record.clone();
    absorb(now, desired, &mut record, facts);
    record.ledger = breaker::settle(
        now,
        desired.deletions.clone(),
        desired.approval.as_deref(),
        &record.ledger,
        &facts.deletions,
    );
    settle_absences(now, desired, &mut record, facts);
    let (step, why, verdict) = next_step(now, desired, &record, facts);
    PlatformDecision {
        step,
        why,
        verdict: Verdict {
            held: record.ledger.trouble(desired.deletions.per_hour),
            absences: record.absences.trouble(now, &desired.account),
            ..verdict
        },
        record,
    }
}

fn settle_absences(now: Time, desired: &DesiredPlatform, record: &mut PlatformRecord, facts: &PlatformFacts) {
    // What can't be read of a list is not missing. What one that is not whole shows is there.
    let whole = [&facts.services, &facts.leads]
        .iter()
        .all(|list| list.value() == Some(&0));
    let counted = facts
        .counted
        .as_ref()
        .filter(|counted| whole || counted.missing.is_empty());
    let listed = read_at(&facts.services)
        .zip(read_at(&facts.leads))
        .map(|(services, leads)| services.min(leads));
    if let (Some(counted), Some(listed)) = (counted, listed) {
        record.absences = absence::settle(
            now,
            listed,
            &desired.account,
            desired.absence_approval.as_deref(),
            &record.absences,
            counted,
        );
    }
}

fn next_step(
    now: Time,
    desired: &DesiredPlatform,
    record: &PlatformRecord,
    facts: &PlatformFacts,
) -> (Step, &'static str, Verdict) {
    if let Some(trouble) = &desired.unusable {
        return wait_out(now, record, facts, trouble, "the connection can't be made");
    }
    // Both lists are read together: one that will soon be due is read along with the one that is.
    // What is missing is looked for often, so that it is noticed when it shows again.
    let interval = if record.absences.held > 0 {
        desired.observe_interval.min(absence::CONFIRM)
    } else {
        desired.observe_interval
    };
    let not_before = if desired.reconcile_requested {
        now
    } else {
        now - interval * 3 / 4
    };
    for (query, fact) in [(Query::Services, &facts.services), (Query::Leads, &facts.leads)] {
        match fact {
            Fact::Unread => {
                return (Step::Observe(query, not_before), "the list is due", progressing());
            }
            Fact::Unreadable(trouble) => {
                return wait_out(now, record, facts, trouble, "the platform can't be read");
            }
            Fact::Known { .. } => {}
        }
    }
    let verdict = verdict(desired, record, facts);
    let (next_run, asked) = next_run(now, desired, record, facts);
    if let Some(job) = asked {
        let step = Step::Execute(Change::RunJob(job));
        return (step, "services wait for the job", verdict);
    }
    let read = [read_at(&facts.services), read_at(&facts.leads)];
    let oldest = read.into_iter().flatten().min().unwrap_or(now);
    let until = (oldest + interval).max(now + Duration::from_millis(100));
    let until = next_run
        .into_iter()
        .chain(soon(now, desired))
        .fold(until, Time::min);
    (Step::Idle(until), "observed", verdict)
}

fn wait_out(
    now: Time,
    record: &PlatformRecord,
    facts: &PlatformFacts,
    trouble: &Trouble,
    why: &'static str,
) -> (Step, &'static str, Verdict) {
    let until = retry(now, facts.failures, trouble);
    let verdict = Verdict::passing(trouble, facts.failures, record.stalled_for);
    (Step::Wait(until, Wake::Clock), why, verdict)
}

/// What is said of a credential that was changed and is refused, while the one before is still good: a directory may take half a minute to know a new
/// secret, so that at first somebody only has to wait.
pub fn unproven(trouble: &Trouble, failures: u32) -> Trouble {
    let reason = if failures >= timing::FAILURES_TO_STALL {
        trouble.reason
    } else {
        Reason::ProgressingWithRetry
    };
    let message = format!(
        "The changed credential is not taken yet, and tried again; the one before goes on being used while it is good. {}",
        trouble.message
    );
    Trouble {
        reason,
        message,
        retry_after: trouble.retry_after,
    }
}

/// When the platform is asked again. That a credential which is missing or refused has changed is noticed sooner, by whoever reads the Secret.
fn retry(now: Time, failures: u32, trouble: &Trouble) -> Time {
    timing::next_try(now, failures, trouble.retry_after)
}

fn progressing() -> Verdict {
    Verdict::not_ready(Reason::Progressing, "Reading the lists of leads and services.")
}

fn read_at<T>(fact: &Fact<T>) -> Option<Time> {
    match fact {
        Fact::Known { at, .. } => Some(*at),
        _ => None,
    }
}

fn verdict(desired: &DesiredPlatform, record: &PlatformRecord, facts: &PlatformFacts) -> Verdict {
    let unreadable = facts.services.value().copied().unwrap_or(0) + facts.leads.value().copied().unwrap_or(0);
    let message = match unreadable {
        0 => "The platform answers.".to_owned(),
        some => format!("The platform answers; {some} entries of its lists can't be read and are left out."),
    };
    let message = desired
        .remark
        .iter()
        .fold(message, |message, remark| format!("{message} {remark}"));
    let mut verdict = desired
        .unfollowed
        .as_ref()
        .map_or_else(|| Verdict::ready(message), Verdict::trouble);
    let waiting = Job::ALL.into_iter().find(|job| {
        matches!(
            record.jobs[index(*job)].state,
            JobState::Due | JobState::Requested
        )
    });
    let (truth, reason, message) = match waiting {
        None => (
            ConditionStatus::True,
            Reason::Succeeded,
            "No service waits for a synchronization job.",
        ),
        Some(Job::Leads) => (
            ConditionStatus::False,
            Reason::AwaitingLeadsJob,
            "Services wait for peering.sync-leads-job.",
        ),
        Some(Job::Trunks) => (
            ConditionStatus::False,
            Reason::AwaitingTrunksJob,
            "Services wait for peering.sync-trunks-job.",
        ),
    };
    let not_taken = Job::ALL
        .into_iter()
        .filter_map(|job| not_taken(job, desired, record));
    verdict.synced = Some((
        truth,
        reason,
        std::iter::once(message.to_owned())
            .chain(not_taken)
            .collect::<Vec<_>>()
            .join(" "),
    ));
    verdict
}

/// What is said of a person's time that is not taken.
fn not_taken(job: Job, desired: &DesiredPlatform, record: &PlatformRecord) -> Option<String> {
    let told = desired.ran_at[index(job)].as_ref()?;
    let why = match told.at {
        None => "can't be read as a time",
        Some(_) if record.refused[index(job)].as_ref() == Some(&told.text) => {
            "lay ahead of the operator's clock when it was set, and is not taken once that time has come either"
        }
        Some(_) => return None,
    };
    let name = match job {
        Job::Leads => "leads-job-ran-at",
        Job::Trunks => "trunks-job-ran-at",
    };
    Some(format!(
        "The annotation operatorconnect.dev/{name} {why}. Set it to when the job was started, in UTC, as YYYY-MM-DDThh:mm:ssZ (date -u +%FT%TZ says what it is now)."
    ))
}

/// When a person's time has come that lies ahead by no more than clocks differ.
fn soon(now: Time, desired: &DesiredPlatform) -> Option<Time> {
    desired
        .ran_at
        .iter()
        .flatten()
        .filter_map(|told| told.at)
        .filter(|at| *at > now && *at <= now + SKEW)
        .min()
}

/// Where a job stands in the arrays.
pub fn index(job: Job) -> usize {
    match job {
        Job::Leads => 0,
        Job::Trunks => 1,
    }
}

fn absorb(now: Time, desired: &DesiredPlatform, record: &mut PlatformRecord, facts: &PlatformFacts) {
    if let Some((job, begun, answer)) = &facts.answer {
        let own = &mut record.jobs[index(*job)];
        if matches!(
            answer,
            ChangeResult::Done | ChangeResult::Accepted(_) | ChangeResult::Unknown(_)
        ) {
            own.requested = Some(begun.whole_second());
            own.completed = None;
        }
        // The call answers when the job has run: our assumption for an installation that has one (U-9).
        if matches!(answer, ChangeResult::Done | ChangeResult::Accepted(_)) {
            own.completed = Some(now.whole_second());
        }
    }
    for job in Job::ALL {
        let before = record.refused[index(job)].clone();
        let refused = |told: &RanAt| before.as_ref() == Some(&told.text);
        let own = &mut record.jobs[index(job)];
        let told = desired.ran_at[index(job)].as_ref();
        // A time that has not come yet would cover services that do not exist yet.
        record.refused[index(job)] = told
            .filter(|told| told.at.is_some_and(|at| at > now + SKEW) || refused(told))
            .map(|told| told.text.clone());
        let ran = told.filter(|told| !refused(told)).and_then(|told| told.at);
        let ran = ran.filter(|ran| *ran <= now && own.requested.is_none_or(|before| *ran > before));
        if let Some(ran) = ran {
            own.requested = Some(ran);
            own.completed = Some(ran);
        }
        let covered = own.completed.and(own.requested);
        let open = facts.waiting[index(job)]
            .due
            .filter(|(_, latest)| covered.is_none_or(|covers| covers < *latest));
        // Of what waits only the first time is kept, so that status does not change with each service that joins.
        own.due = open.map(|(earliest, _)| own.due.map_or(earliest, |before| before.min(earliest)));
        own.state = match (open, own.requested, own.completed) {
            (None, None, _) => JobState::NotDue,
            (None, Some(_), _) => JobState::Synced,
            (Some(_), Some(_), None) => JobState::Requested,
            (Some(_), _, _) => JobState::Due,
        };
    }
}

/// Which job is to be run now, else when the next can be.
fn next_run(
    now: Time,
    desired: &DesiredPlatform,
    record: &PlatformRecord,
    facts: &PlatformFacts,
) -> (Option<Time>, Option<Job>) {
    if desired.trigger != JobTrigger::Http {
        return (None, None);
    }
    let mut soonest: Option<Time> = None;
    for job in Job::ALL {
        let own = record.jobs[index(job)];
        let Some((earliest, _)) = facts.waiting[index(job)].due else {
            continue;
        };
        if !matches!(own.state, JobState::Due | JobState::Requested) {
            continue;
        }
        let gathered = earliest + GATHER;
        let at = match (&facts.answer, own.state) {
            (Some((asked, _, ChangeResult::NotSent(trouble) | ChangeResult::Rejected(trouble))), _)
                if *asked == job =>
            {
                timing::next_try(now, facts.failures.max(2), trouble.retry_after)
            }
            (_, JobState::Requested) => own.requested.map_or(gathered, |before| before + RUN_AGAIN),
            _ => gathered,
        };
        if now >= at && facts.answer.is_none() {
            return (None, Some(job));
        }
        let at = at.max(now + Duration::from_secs(1));
        soonest = Some(soonest.map_or(at, |before| before.min(at)));
    }
    (soonest, None)
}

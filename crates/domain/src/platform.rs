//! Decides what to do next for one `LivePlatform`: refreshes its lists, and requests the synchronization jobs
//! that services wait for.

use std::borrow::Cow;

use crate::absence::{self, AbsenceCount, Account};
use crate::breaker::{self, Asking, DeletionLedger};
use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{ChangeResult, Query, Step, Wake};
use crate::facts::Fact;
use crate::policy::{JobRuns, JobTrigger};
use crate::record::{Job, JobRecord, JobState};
use crate::time::{Duration, Time};
use crate::timing;

/// How long to gather services that become due, so that one run serves them all.
const GATHER: Duration = Duration::from_secs(2);

/// When to request a run again whose answer was lost. Runs are repeatable.
const RUN_AGAIN: Duration = Duration::from_secs(60);

/// How far in the future a hand-written job time may be.
const SKEW: Duration = Duration::from_secs(5);

/// The time at which a person ran a job, from an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RanAt {
    /// The first 64 characters of the annotation.
    pub text: String,
    /// The parsed time; `None` when the text is not a time.
    pub at: Option<Time>,
}

impl RanAt {
    /// Keeps the text of the annotation, cut, and its parsed time.
    pub fn new(text: &str, at: Option<Time>) -> Self {
        Self {
            text: text.chars().take(64).collect(),
            at,
        }
    }
}

/// The desired state of a platform, from its spec and annotations.
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
    /// Somebody requested a reconciliation now.
    pub reconcile_requested: bool,
    /// Why the platform can't be used at all: a missing Secret, an invalid URL.
    pub unusable: Option<Trouble>,
    /// A part of the spec that can't be followed, while the rest is.
    pub unfollowed: Option<Trouble>,
    /// The value of `LeadsDiscovered`; `None` without `spec.leadDiscovery`.
    pub discovered: Option<(ConditionStatus, Reason, Cow<'static, str>)>,
}

/// The services that wait for one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The earliest and the latest due time among the services that still wait.
    pub due: Option<(Time, Time)>,
}

/// What one pass over the platform object knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformFacts {
    /// The list of leads: how many entries could not be read.
    pub leads: Fact<usize>,
    /// The list of services: how many entries could not be read.
    pub services: Fact<usize>,
    /// Services that wait for the leads job and for the trunks job.
    pub waiting: [Waiting; 2],
    /// Recorded services and leads that the lists do not show. `None` until the lists were read.
    pub counted: Option<AbsenceCount>,
    /// Objects being deleted that want something deleted on the platform.
    pub deletions: Vec<Asking>,
    /// The job that this pass requested, when the request began, and its result.
    pub answer: Option<(Job, Time, ChangeResult)>,
    /// How many requests in a row were not executed.
    pub failures: u32,
}

/// What the platform object remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlatformRecord {
    /// The two jobs, in the order of [`Job::ALL`].
    pub jobs: [JobRecord; 2],
    /// The deletions that were granted, and whether more are held.
    pub ledger: DeletionLedger,
    /// What is missing from the lists, and whether that is believed.
    pub absences: absence::AbsenceLedger,
    /// Job times that were in the future when first seen, as written in the annotations. They stay refused
    /// once that time has come: nobody has seen the job run.
    pub refused: [Option<String>; 2],
    /// The reason why status says `Stalled` for this spec.
    pub stalled_for: Option<Reason>,
}

impl PlatformRecord {
    /// The known runs of a job. The newest completed run covers whatever was due when it began.
    pub fn runs(&self, job: Job) -> JobRuns {
        let record = self.jobs[index(job)];
        JobRuns {
            requested: record.requested,
            covers: record.completed.and(record.requested),
        }
    }
}

/// The next step, and everything that status says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformDecision {
    /// The next step.
    pub step: Step<Job>,
    /// Why, for the log.
    pub why: &'static str,
    /// The content of the object's conditions.
    pub verdict: Verdict,
    /// What the object remembers from now on.
    pub record: PlatformRecord,
}

impl PlatformDecision {
    /// Whether both lists were read: the platform answers, whatever else there is to report.
    pub fn answers(&self) -> bool {
        matches!(self.step, Step::Idle(_) | Step::Execute(_))
    }
}

/// Decides the next step for one platform object.
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
            discovered: desired.discovered.clone(),
            ..verdict
        },
        record,
    }
}

/// Counts absences against the ledger, if both lists were read.
fn settle_absences(now: Time, desired: &DesiredPlatform, record: &mut PlatformRecord, facts: &PlatformFacts) {
    // An unreadable entry is not missing. What an incomplete list shows does exist.
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
) -> (Step<Job>, &'static str, Verdict) {
    if let Some(trouble) = &desired.unusable {
        return wait_out(now, record, facts, trouble, "the connection can't be made");
    }
    // Both lists are read together: one that is due soon is read along with the one that is due. While
    // something is missing they are read often, to notice when it appears again.
    let interval = if record.absences.held > 0 {
        desired.observe_interval.min(absence::CONFIRM)
    } else {
        desired.observe_interval
    };
    // After a failure, an earlier list does not prove that the platform answers again. A credential that is
    // tried beside the working one fails without such doubt.
    let failed = facts.failures > 0 && desired.unfollowed.is_none();
    let not_before = if desired.reconcile_requested || failed {
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
        let step = Step::Execute(job);
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

/// Waits until the platform is retried, with the trouble as the verdict.
fn wait_out(
    now: Time,
    record: &PlatformRecord,
    facts: &PlatformFacts,
    trouble: &Trouble,
    why: &'static str,
) -> (Step<Job>, &'static str, Verdict) {
    let until = retry(now, facts.failures, trouble);
    let verdict = Verdict::passing(trouble, facts.failures, record.stalled_for);
    (Step::Wait(until, Wake::Clock), why, verdict)
}

/// The trouble to report while a changed credential is refused and the previous one still works. A directory
/// may take half a minute to know a new secret, so at first there is nothing to do but wait.
pub fn unproven(trouble: &Trouble, failures: u32) -> Trouble {
    let reason = if failures >= timing::FAILURES_TO_STALL {
        trouble.reason
    } else {
        Reason::ProgressingWithRetry
    };
    let message = format!(
        "The changed credential is not accepted yet. The operator retries it, and keeps using the previous one while that is valid. {}",
        trouble.message
    );
    Trouble {
        reason,
        message: message.into(),
        retry_after: trouble.retry_after,
    }
}

/// When to retry the platform. A changed credential is noticed sooner than that, by the code that reads the
/// Secret.
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
    let mut verdict = desired
        .unfollowed
        .as_ref()
        .map_or_else(|| Verdict::ready(message), Verdict::trouble);
    let waiting = Job::ALL
        .into_iter()
        .find(|job| record.jobs[index(*job)].state.is_open());
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
            .join(" ")
            .into(),
    ));
    verdict
}

/// The note on a hand-written job time that is refused.
fn not_taken(job: Job, desired: &DesiredPlatform, record: &PlatformRecord) -> Option<String> {
    let told = desired.ran_at[index(job)].as_ref()?;
    let why = match told.at {
        None => "is not a time",
        Some(_) if record.refused[index(job)].as_ref() == Some(&told.text) => {
            "was in the future by the operator's clock when it was set, and stays ignored even after that time"
        }
        Some(_) => return None,
    };
    let name = match job {
        Job::Leads => "leads-job-ran-at",
        Job::Trunks => "trunks-job-ran-at",
    };
    Some(format!(
        "The annotation operatorconnect.dev/{name} {why}. Set it to the time at which the job was started, in UTC, as YYYY-MM-DDThh:mm:ssZ (date -u +%FT%TZ prints the current time)."
    ))
}

/// When a hand-written time comes that is in the future by no more than the clock difference.
fn soon(now: Time, desired: &DesiredPlatform) -> Option<Time> {
    desired
        .ran_at
        .iter()
        .flatten()
        .filter_map(|told| told.at)
        .filter(|at| *at > now && *at <= now + SKEW)
        .min()
}

/// The index of a job in the arrays.
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
        // The call answers when the job has run. This is an assumption for an installation that has such a
        // call (U-9).
        if matches!(answer, ChangeResult::Done | ChangeResult::Accepted(_)) {
            own.completed = Some(now.whole_second());
        }
    }
    for job in Job::ALL {
        let before = record.refused[index(job)].clone();
        let refused = |told: &RanAt| before.as_ref() == Some(&told.text);
        let own = &mut record.jobs[index(job)];
        let told = desired.ran_at[index(job)].as_ref();
        // A time in the future would cover services that do not exist yet.
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
        // Keep only the earliest due time, so that status does not change with each service that joins.
        own.due = open.map(|(earliest, _)| own.due.map_or(earliest, |before| before.min(earliest)));
        own.state = match (open, own.requested, own.completed) {
            (None, None, _) => JobState::NotDue,
            (None, Some(_), _) => JobState::Synced,
            (Some(_), Some(_), None) => JobState::Requested,
            (Some(_), _, _) => JobState::Due,
        };
    }
}

/// The job to run now, else the time at which the next one can run.
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
        if !own.state.is_open() {
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

//! The two synchronization jobs, as one service sees them, and the end of the way: Ready.

use crate::conditions::{ConditionStatus, Reason, Verdict};
use crate::decision::{Decision, Query, Step, Wake};
use crate::facts::Fact;
use crate::model::{Lead, MicrosoftStatus, Service};
use crate::policy::{JobTrigger, Policy};
use crate::record::{Job, JobRecord, JobState};
use crate::time::Time;
use crate::timing;

use super::{DesiredService, ServiceCase, ready};

/// The service was read back. What remains is that the platform shows it everywhere it should (S8, S9).
pub(super) fn see_to(
    mut case: ServiceCase<'_>,
    policy: &Policy,
    desired: &DesiredService,
    service: &Service,
) -> Decision {
    ready::is_back(&mut case.record);
    // What the create asked for says how the service is connected, and it is what the spec said until the service was seen: what comes into the spec
    // later, or goes, changes nothing on the platform.
    let by_ip_group = match case.record.leads_job.due {
        None => desired.parameters.connection.is_ip_group() && ready::made_here(&case.record),
        Some(_) => case.record.trunks_job.due.is_some(),
    };
    let first_seen = case.record.leads_job.due.unwrap_or_else(|| due(&case, policy));
    let leads = match &case.facts.leads {
        Fact::Unread => return case.look(Query::Leads, Time(i64::MIN), "what does the lead show"),
        Fact::Unreadable(trouble) => {
            let trouble = trouble.clone();
            return case.unreadable(trouble);
        }
        Fact::Known { value, .. } => value.leads.clone(),
    };
    if case.record.leads_job.state != JobState::Synced {
        match leads_job(&case, policy, service, first_seen) {
            Ok(job) => case.record.leads_job = job,
            Err(not_before) => return case.look(Query::Leads, not_before, "does the lead show its license"),
        }
    }
    if case.record.trunks_job.state != JobState::Synced {
        case.record.trunks_job = trunks_job(&case, policy, by_ip_group, first_seen);
    }
    let mut verdict = verdict(&case, policy, desired, service, &leads);
    verdict.lead_eligible = lead_standing(&leads);
    if verdict.ready == ConditionStatus::True {
        return case.rest(verdict, policy.observe_interval.max(timing::SETTLING));
    }
    let until = case.now + policy.observe_interval;
    case.decide(
        Step::Wait(until, Wake::Inventory),
        "a synchronization job is due",
        verdict,
    )
}

/// Since when the jobs are due: since the service was first seen. When status was lost that is not known any more; then since the grace of the
/// create was over, which is longer than a task takes (L1), so that a restore does not ask for a run that was made long ago.
fn due(case: &ServiceCase<'_>, policy: &Policy) -> Time {
    // Rounded up, while the beginning of a run is rounded down: a run that began in the same second is not taken to cover it.
    let now = case.now.next_whole_second();
    match case.record.intent.as_ref().filter(|_| case.restored) {
        Some(intent) => now.min(intent.start + policy.create_grace),
        None => now,
    }
}

/// What became of the lead after it was licensed: that it is suspended or removed does not touch the service, and is shown.
fn lead_standing(leads: &[Lead]) -> Option<(ConditionStatus, Reason, String)> {
    let lead = super::checks::lead_that_counts(leads)?;
    Some(match lead.status {
        MicrosoftStatus::Active => (
            ConditionStatus::True,
            Reason::Succeeded,
            "The lead is Active.".to_owned(),
        ),
        _ => (
            ConditionStatus::False,
            Reason::LeadNotActive,
            format!(
                "Microsoft's status of the lead is {}; the service is left as it is.",
                lead.status.label()
            ),
        ),
    })
}

/// The leads job is done when the lead on the platform shows the service. `Err` asks for the leads, with the time since which they are needed.
fn leads_job(
    case: &ServiceCase<'_>,
    policy: &Policy,
    service: &Service,
    due: Time,
) -> Result<JobRecord, Time> {
    let runs = policy.leads_job;
    let since = runs.covers.map_or(due, |covers| covers.max(due));
    // However old the list is that shows it: what it shows was so.
    let shows = |leads: &[Lead]| {
        leads
            .iter()
            .any(|lead| lead.service.as_ref() == Some(&service.guid))
    };
    let leads = match &case.facts.leads {
        Fact::Known { value, .. } if shows(&value.leads) => value.leads.as_slice(),
        // A list begun in the very second in which the service was seen may have been begun before it was there.
        Fact::Known { value, at } if *at >= since || *at >= case.facts.pass_started => value.leads.as_slice(),
        _ => return Err(since),
    };
    Ok(progress(
        case.record.job(Job::Leads),
        due,
        runs.requested,
        shows(leads).then(|| case.now.whole_second()),
    ))
}

/// The trunks job has no effect that the API shows: it is done when a run is known that was begun after it was due.
fn trunks_job(case: &ServiceCase<'_>, policy: &Policy, needed: bool, due: Time) -> JobRecord {
    if !needed {
        return JobRecord::default();
    }
    let runs = policy.trunks_job;
    progress(
        case.record.job(Job::Trunks),
        due,
        runs.requested,
        runs.cover(due).then_some(runs.covers).flatten(),
    )
}

fn progress(before: &JobRecord, due: Time, requested: Option<Time>, completed: Option<Time>) -> JobRecord {
    let requested = requested.filter(|at| *at >= due).or(before.requested);
    let state = match (completed, requested) {
        (Some(_), _) => JobState::Synced,
        (None, Some(_)) => JobState::Requested,
        (None, None) => JobState::Due,
    };
    JobRecord {
        state,
        due: Some(due),
        requested,
        completed,
    }
}

fn verdict(
    case: &ServiceCase<'_>,
    policy: &Policy,
    desired: &DesiredService,
    service: &Service,
    leads: &[Lead],
) -> Verdict {
    let waiting = [
        (Job::Leads, &case.record.leads_job, Reason::AwaitingLeadsJob),
        (Job::Trunks, &case.record.trunks_job, Reason::AwaitingTrunksJob),
    ]
    .into_iter()
    .find(|(_, job, _)| matches!(job.state, JobState::Due | JobState::Requested));
    let Some((job, record, reason)) = waiting else {
        let beside = case.facts.services.value().and_then(|view| view.direct_routing());
        return ready::ready(&case.record, desired, service, leads, beside);
    };
    let message = waiting_message(job, record, policy.trigger);
    let told: Vec<String> = std::iter::once(message.clone())
        .chain(ready::errors_of_the_task(&case.record))
        .collect();
    let mut verdict = Verdict::not_ready(reason, told.join(" "));
    verdict.synced = Some((ConditionStatus::False, reason, message));
    verdict
}

fn waiting_message(job: Job, record: &JobRecord, trigger: JobTrigger) -> String {
    let name = job.name();
    let what = match job {
        Job::Leads => "the lead does not show its license yet",
        Job::Trunks => "the SIP connection by IP group is not known to be synchronized yet",
    };
    match (record.state, trigger) {
        (JobState::Requested, _) => format!("The service exists; {name} was asked for, and {what}."),
        (_, JobTrigger::Http) => {
            format!("The service exists; {name} is due: {what}. It is asked for with the next run.")
        }
        (_, JobTrigger::Manual) => match job {
            Job::Leads => {
                format!("The service exists; run {name} in the portal: {what}. It is noticed by itself.")
            }
            Job::Trunks => format!(
                "The service exists; run {name} in the portal, then set the annotation operatorconnect.dev/trunks-job-ran-at on the LivePlatform: {what}."
            ),
        },
    }
}

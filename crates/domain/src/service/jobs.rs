//! The two synchronization jobs, from the view of one service, and the last step to Ready.

use std::borrow::Cow;
use std::sync::Arc;

use crate::conditions::{ConditionStatus, Reason, Verdict};
use crate::decision::{Decision, Query, Step, Wake};
use crate::eligibility::lead_that_counts;
use crate::facts::Fact;
use crate::model::{Lead, MicrosoftStatus, Service};
use crate::policy::{JobTrigger, Policy};
use crate::record::{Job, JobRecord, JobState};
use crate::time::Time;
use crate::timing;

use super::{DesiredService, ServiceCase, ready};

/// Follows the jobs of a service that was read back. It is Ready once the platform shows it everywhere it
/// should (S8, S9).
pub(super) fn see_to(
    mut case: ServiceCase<'_>,
    policy: &Policy,
    desired: &DesiredService,
    service: &Service,
) -> Decision {
    ready::is_back(&mut case.record);
    // The create fixed how the service is connected, by the spec of that time. Changing the spec after the
    // service was seen changes nothing on the platform.
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

/// When the jobs became due: when the service was first seen. If status was lost, that is unknown; then it is
/// the end of the create grace, which is longer than a task takes (L1). So a restore does not request a run
/// that happened long ago.
fn due(case: &ServiceCase<'_>, policy: &Policy) -> Time {
    // Rounded up, while the start of a run is rounded down, so a run that began in the same second does not
    // count.
    let now = case.now.next_whole_second();
    match case.record.intent.as_ref().filter(|_| case.restored) {
        Some(intent) => now.min(intent.start + policy.create_grace),
        None => now,
    }
}

/// The condition for the lead after it was licensed. A suspended or removed lead does not affect the service,
/// but it is shown.
fn lead_standing(leads: &[Arc<Lead>]) -> Option<(ConditionStatus, Reason, Cow<'static, str>)> {
    let lead = lead_that_counts(leads)?;
    Some(match lead.status {
        MicrosoftStatus::Active => (
            ConditionStatus::True,
            Reason::Succeeded,
            "The lead is Active.".into(),
        ),
        _ => (
            ConditionStatus::False,
            Reason::LeadNotActive,
            format!(
                "Microsoft's status of the lead is {}; the operator leaves the service unchanged.",
                lead.status.label()
            )
            .into(),
        ),
    })
}

/// Follows the leads job, which is done when the lead on the platform shows the service.
///
/// # Errors
/// The time since which the list of leads is needed.
fn leads_job(
    case: &ServiceCase<'_>,
    policy: &Policy,
    service: &Service,
    due: Time,
) -> Result<JobRecord, Time> {
    let runs = policy.leads_job;
    let since = runs.covers.map_or(due, |covers| covers.max(due));
    // If a list shows the service, its age does not matter.
    let shows = |leads: &[Arc<Lead>]| {
        leads
            .iter()
            .any(|lead| lead.service.as_ref() == Some(&service.guid))
    };
    let leads = match &case.facts.leads {
        Fact::Known { value, .. } if shows(&value.leads) => value.leads.as_slice(),
        // A list begun in the very second in which the service was seen may predate the service.
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

/// Follows the trunks job. The API shows no effect of it, so it is done when a run is known that began after
/// the job was due.
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
    leads: &[Arc<Lead>],
) -> Verdict {
    let waiting = [
        (Job::Leads, &case.record.leads_job, Reason::AwaitingLeadsJob),
        (Job::Trunks, &case.record.trunks_job, Reason::AwaitingTrunksJob),
    ]
    .into_iter()
    .find(|(_, job, _)| job.state.is_open());
    let Some((job, record, reason)) = waiting else {
        let beside = case.facts.services.value().and_then(|view| view.direct_routing());
        return ready::ready(&case.record, desired, service, leads, beside);
    };
    let message = waiting_message(job, record, policy.trigger);
    let told: Vec<String> = std::iter::once(message.clone())
        .chain(ready::errors_of_the_task(&case.record))
        .collect();
    let mut verdict = Verdict::not_ready(reason, told.join(" "));
    verdict.synced = Some((ConditionStatus::False, reason, message.into()));
    verdict
}

fn waiting_message(job: Job, record: &JobRecord, trigger: JobTrigger) -> String {
    let name = job.name();
    let what = match job {
        Job::Leads => "the lead does not show its license yet",
        Job::Trunks => "the SIP connection by IP group is not known to be synchronized yet",
    };
    match (record.state, trigger) {
        (JobState::Requested, _) => format!("The service exists and {name} was requested, but {what}."),
        (_, JobTrigger::Http) => {
            format!("The service exists, but {what}: {name} is due. The operator requests the next run.")
        }
        (_, JobTrigger::Manual) => match job {
            Job::Leads => {
                format!(
                    "The service exists, but {what}. Run {name} in the portal; the operator notices the result on its own."
                )
            }
            Job::Trunks => format!(
                "The service exists, but {what}. Run {name} in the portal, then set the annotation operatorconnect.dev/trunks-job-ran-at on the LivePlatform."
            ),
        },
    }
}

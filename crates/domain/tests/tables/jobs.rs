//! The two synchronization jobs, as one service sees them.

use oc_domain::conditions::{ConditionStatus, Reason};
use oc_domain::decision::Decision;
use oc_domain::facts::{Fact, Facts, LeadsView};
use oc_domain::model::{Lead, MicrosoftStatus};
use oc_domain::policy::{JobRuns, JobTrigger, PlatformAccess, Policy};
use oc_domain::record::{JobRecord, JobState, Record};
use oc_domain::service::DesiredService;
use oc_domain::time::Time;

use crate::common::*;
use crate::{at_now, short, told};

/// The job has been due for 100 s.
fn due() -> Time {
    (NOW - secs(100)).whole_second()
}

fn waiting(state: JobState) -> JobRecord {
    JobRecord { state, due: Some(due()), requested: None, completed: None }
}

fn runs(requested: Option<Time>, covers: Option<Time>) -> JobRuns {
    JobRuns { requested, covers }
}

fn decide(record: &Record, ip_group: bool, policy: Policy, leads: Fact<LeadsView>) -> Decision {
    let facts = Facts { services: known(view_by_guid(&service(1))), leads, connection: PlatformAccess::Usable(policy), ..facts() };
    at_now(&be(DesiredService { parameters: by(ip_group), ..desired() }), record, &facts)
}

/// The leads job is seen only by its effect: the lead shows the service.
#[test]
fn the_leads_job() {
    let record = Record { leads_job: waiting(JobState::Due), ..verified() };
    let ran_before = runs(Some(due() - secs(60)), Some(due() - secs(60)));
    let ran_after = runs(Some(due() + secs(60)), Some(due() + secs(60)));
    let asked = runs(Some(due() + secs(60)), None);
    let table = [
        ("nobody ran it", JobRuns::default(), lead(), JobState::Due, "wait: False AwaitingLeadsJob Reconciling"),
        ("it ran before", ran_before, lead(), JobState::Due, "wait: False AwaitingLeadsJob Reconciling"),
        ("it was asked for", asked, lead(), JobState::Requested, "wait: False AwaitingLeadsJob Reconciling"),
        ("it ran, and shows nothing", ran_after, lead(), JobState::Requested, "wait: False AwaitingLeadsJob Reconciling"),
        ("it ran, and shows another", ran_after, lead_with(2), JobState::Requested, "wait: False AwaitingLeadsJob Reconciling"),
        ("the lead shows it", JobRuns::default(), lead_with(1), JobState::Synced, "rest: True Succeeded -"),
        ("it was run by hand, unknown to us", ran_before, lead_with(1), JobState::Synced, "rest: True Succeeded -"),
    ];
    for (what, leads_job, lead, state, expected) in table {
        let decision = decide(&record, false, Policy { leads_job, ..Policy::default() }, known_leads(vec![lead]));
        assert_eq!((decision.record.leads_job.state, told(&decision).as_str()), (state, expected), "{what}");
        let synced = decision.verdict.synced.as_ref().map(|told| told.0);
        assert_eq!(synced, Some(if state == JobState::Synced { ConditionStatus::True } else { ConditionStatus::False }), "{what}");
    }
}

/// A list of leads from before the job was due, or from before the newest run, is no evidence.
#[test]
fn how_new_the_leads_must_be() {
    let record = Record { leads_job: waiting(JobState::Due), ..verified() };
    let seen = |age| Fact::Known { value: whole(vec![lead()]), at: NOW - secs(age) };
    let ran = Policy { leads_job: runs(Some(due() + secs(60)), Some(due() + secs(60))), ..Policy::default() };
    let table = [(Policy::default(), 200, "look leads"), (Policy::default(), 90, "wait"), (ran.clone(), 90, "look leads"), (ran, 10, "wait")];
    for (policy, age, expected) in table {
        assert_eq!(short(&decide(&record, false, policy.clone(), seen(age)).step), expected, "{age} s, {policy:?}");
    }
}

/// The trunks job has no visible effect: only a run that began after it was due covers it.
#[test]
fn the_trunks_job() {
    let table = [
        ("nobody ran it", JobRuns::default(), JobState::Due),
        ("asked for before", runs(Some(due() - secs(1)), None), JobState::Due),
        ("asked for", runs(Some(due() + secs(1)), None), JobState::Requested),
        ("begun before it was due", runs(Some(due() - secs(1)), Some(due() - secs(1))), JobState::Due),
        ("begun when it was due", runs(Some(due()), Some(due())), JobState::Synced),
        ("begun after it was due", runs(Some(due() + secs(1)), Some(due() + secs(1))), JobState::Synced),
    ];
    for (what, trunks_job, state) in table {
        let record = Record { trunks_job: waiting(JobState::Due), leads_job: waiting(JobState::Due), ..verified() };
        let decision = decide(&record, true, Policy { trunks_job, ..Policy::default() }, known_leads(vec![lead_with(1)]));
        assert_eq!(decision.record.trunks_job.state, state, "{what}");
        let expected = if state == JobState::Synced { "rest: True Succeeded -" } else { "wait: False AwaitingTrunksJob Reconciling" };
        assert_eq!(told(&decision), expected, "{what}");
    }
    let record = Record { leads_job: waiting(JobState::Due), ..verified() };
    let decision = decide(&record, false, Policy::default(), known_leads(vec![lead_with(1)]));
    assert_eq!(decision.record.trunks_job, JobRecord::default(), "by tenant id there are no trunks");
}

/// The leads job comes first. When it is first seen to be due, it is due from the next whole second on.
#[test]
fn both_jobs_from_the_beginning() {
    let record = Record { leads_job: JobRecord::default(), ..verified() };
    let decision = decide(&record, true, Policy::default(), known_leads(vec![lead()]));
    assert_eq!(decision.verdict.reason, Reason::AwaitingLeadsJob);
    let expected = JobRecord { state: JobState::Due, due: Some(NOW.next_whole_second()), requested: None, completed: None };
    assert_eq!((decision.record.leads_job, decision.record.trunks_job), (expected, expected));
}

/// One run serves all that wait for it: two services, due at different times, and one run after both.
#[test]
fn one_run_serves_all() {
    let ran = due() + secs(30);
    for late in [0, 10, 30] {
        let trunks_job = JobRecord { due: Some(due() + secs(late)), ..waiting(JobState::Due) };
        let record = Record { trunks_job, leads_job: waiting(JobState::Due), ..verified() };
        let policy = Policy { trunks_job: runs(Some(ran), Some(ran)), ..Policy::default() };
        assert_eq!(decide(&record, true, policy, known_leads(vec![lead_with(1)])).record.trunks_job.state, JobState::Synced, "due {late} s later");
    }
}

/// With Manual, the message says what to do; with Http, people have nothing to do.
#[test]
fn what_people_are_told() {
    let table = [(JobTrigger::Manual, "in the portal"), (JobTrigger::Http, "requests the next run")];
    for (trigger, words) in table {
        let record = Record { leads_job: waiting(JobState::Due), ..verified() };
        let message = decide(&record, false, Policy { trigger, ..Policy::default() }, known_leads(vec![lead()])).verdict.message;
        assert!(message.contains(words) && message.contains("peering.sync-leads-job"), "{message}");
        let record = Record { trunks_job: waiting(JobState::Due), ..verified() };
        let message = decide(&record, true, Policy { trigger, ..Policy::default() }, known_leads(vec![lead_with(1)])).verdict.message;
        assert!(message.contains(words) && message.contains("peering.sync-trunks-job"), "{message}");
    }
}

/// What was once synced stays so; and a lead that Microsoft suspends later does not affect the service, but is shown.
#[test]
fn after_the_way() {
    let decision = decide(&verified(), false, Policy::default(), known_leads(vec![lead()]));
    assert_eq!(told(&decision), "rest: True Succeeded -");
    let suspended = Lead { status: MicrosoftStatus::Suspended, ..lead_with(1) };
    let decision = decide(&verified(), false, Policy::default(), known_leads(vec![suspended]));
    assert_eq!(told(&decision), "rest: True Succeeded -");
    assert_eq!(decision.verdict.lead_eligible.map(|told| (told.0, told.1)), Some((ConditionStatus::False, Reason::LeadNotActive)));
}

/// After a lost status, an old run still covers: the job is due since the grace of the create was over.
#[test]
fn a_restore_asks_for_no_new_run() {
    let created = NOW - secs(90_000);
    let record = creating(created);
    let ran = (created + secs(2000)).whole_second();
    let policy = Policy { trunks_job: runs(Some(ran), Some(ran)), ..Policy::default() };
    let decision = decide(&record, true, policy, known_leads(vec![lead_with(1)]));
    assert_eq!(told(&decision), "rest: True Succeeded -");
}

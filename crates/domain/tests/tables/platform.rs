//! The platform object: its lists, its troubles, and the runs of the jobs.

use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::decision::{ChangeResult, Query, Step};
use oc_domain::facts::Fact;
use oc_domain::platform::{DesiredPlatform, PlatformDecision, PlatformFacts, PlatformRecord, RanAt, Waiting, decide};
use oc_domain::policy::JobTrigger;
use oc_domain::record::{Job, JobRecord, JobState};
use oc_domain::time::Time;

use crate::common::{NOW, away, known, secs};
use crate::{says, short};

/// A platform object with ordinary settings.
pub fn desired() -> DesiredPlatform {
    DesiredPlatform {
        observe_interval: secs(600),
        trigger: JobTrigger::Manual,
        ran_at: [None, None],
        deletions: 10.into(),
        approval: None,
        absence_approval: None,
        account: Default::default(),
        reconcile_requested: false,
        unusable: None,
        unfollowed: None,
        discovered: None,
    }
}

pub fn facts() -> PlatformFacts {
    PlatformFacts { leads: known(0), services: known(0), waiting: [Waiting::default(); 2], counted: None, deletions: Vec::new(), answer: None, failures: 0 }
}

fn told(decision: &PlatformDecision) -> String {
    format!("{}: {}", short(&decision.step), says(&decision.verdict))
}

/// A person's statement of when a job ran; the text is the time itself.
fn says_it_ran(at: Time) -> Option<RanAt> {
    Some(RanAt::new(&at.0.to_string(), Some(at)))
}

/// Services have been waiting for the leads job for `seconds`.
fn waited(seconds: u64) -> [Waiting; 2] {
    let due = (NOW - secs(seconds)).whole_second();
    [Waiting { due: Some((due, due)) }, Waiting::default()]
}

fn ran(at: Time) -> JobRecord {
    JobRecord { state: JobState::Synced, due: None, requested: Some(at), completed: Some(at) }
}

#[test]
fn lists_and_troubles() {
    let broken = |reason| Fact::Unreadable(Trouble::new(reason, "It can't be read."));
    let unusable = DesiredPlatform { unusable: Some(Trouble::new(Reason::InvalidSpec, "The Secret a/b is missing.")), ..desired() };
    let table = [
        ("services first", desired(), PlatformFacts { services: Fact::Unread, leads: Fact::Unread, ..facts() }, "look services: False Progressing Reconciling"),
        ("then leads", desired(), PlatformFacts { leads: Fact::Unread, ..facts() }, "look leads: False Progressing Reconciling"),
        ("both", desired(), facts(), "rest: True Succeeded -"),
        ("away", desired(), PlatformFacts { services: broken(Reason::PlatformUnavailable), ..facts() }, "wait: False PlatformUnavailable Reconciling"),
        ("throttled", desired(), PlatformFacts { leads: broken(Reason::Throttled), ..facts() }, "wait: False Throttled Reconciling"),
        (
            "a bad credential",
            desired(),
            PlatformFacts { services: broken(Reason::AuthenticationFailed), ..facts() },
            "wait: False AuthenticationFailed Stalled",
        ),
        ("unusable", unusable, facts(), "wait: False InvalidSpec Stalled"),
    ];
    for (what, desired, facts, expected) in table {
        assert_eq!(told(&decide(NOW, &desired, &PlatformRecord::default(), &facts)), expected, "{what}");
    }
}

/// The circuit: each failure waits longer, and a platform that names a time gets it.
#[test]
fn waits_after_troubles() {
    let after = |failures, retry_after| {
        let trouble = Trouble { retry_after, ..away() };
        let decision = decide(NOW, &desired(), &PlatformRecord::default(), &PlatformFacts { services: Fact::Unreadable(trouble), failures, ..facts() });
        let Step::Wait(until, _) = decision.step else { panic!("{:?}", decision.step) };
        until.since(NOW).as_secs()
    };
    assert_eq!([0, 1, 3, 20].map(|failures| after(failures, None)), [1, 2, 8, 300]);
    assert_eq!(after(0, Some(secs(120))), 120);
}

#[test]
fn the_lists_are_read_each_interval() {
    let since = |desired: &DesiredPlatform| match decide(NOW, desired, &PlatformRecord::default(), &PlatformFacts { services: Fact::Unread, ..facts() }).step {
        Step::Observe(_, not_before) => not_before,
        other => panic!("{other:?}"),
    };
    // Read again when the interval is over; a young list is kept; and the two are read together, so a part of the interval is enough.
    assert!((NOW - secs(600)..=NOW - secs(300)).contains(&since(&desired())), "{:?}", since(&desired()));
    assert_eq!(since(&DesiredPlatform { reconcile_requested: true, ..desired() }), NOW);
    // After a failure, an earlier list does not prove that the platform answers again.
    let failed = PlatformFacts { failures: 1, services: Fact::Unread, ..facts() };
    let after = |desired: &DesiredPlatform| decide(NOW, desired, &PlatformRecord::default(), &failed).step;
    assert_eq!(after(&desired()), Step::Observe(Query::Services, NOW));
    // Not while a changed credential is tried: the lists come over the connection that works.
    let tries = DesiredPlatform { unfollowed: Some(Trouble::new(Reason::ProgressingWithRetry, "x")), ..desired() };
    assert_eq!(after(&tries), Step::Observe(Query::Services, NOW - secs(450)));
    let older = PlatformFacts { leads: Fact::Known { value: 0, at: NOW - secs(400) }, ..facts() };
    assert_eq!(decide(NOW, &desired(), &PlatformRecord::default(), &older).step, Step::Idle(NOW + secs(200)));
}

#[test]
fn entries_that_cannot_be_read_are_said() {
    let decision = decide(NOW, &desired(), &PlatformRecord::default(), &PlatformFacts { leads: known(2), services: known(1), ..facts() });
    assert_eq!(told(&decision), "rest: True Succeeded -");
    assert!(decision.verdict.message.contains("3 entries"), "{}", decision.verdict.message);
}

/// Manual: nothing is requested; a person says when a job ran, and what was due by then is covered.
#[test]
fn jobs_by_hand() {
    let due = (NOW - secs(100)).whole_second();
    let table = [
        ("nobody waits", Waiting::default(), None, JobState::NotDue, ConditionStatus::True),
        ("somebody waits", waited(100)[0], None, JobState::Due, ConditionStatus::False),
        ("it ran before", waited(100)[0], Some(due - secs(1)), JobState::Due, ConditionStatus::False),
        ("it ran when it was due", waited(100)[0], Some(due), JobState::Synced, ConditionStatus::True),
        ("it ran after", waited(100)[0], Some(due + secs(50)), JobState::Synced, ConditionStatus::True),
    ];
    for (what, waiting, ran_at, state, synced) in table {
        let desired = DesiredPlatform { ran_at: [ran_at.and_then(says_it_ran), None], ..desired() };
        let decision = decide(NOW, &desired, &PlatformRecord::default(), &PlatformFacts { waiting: [waiting, Waiting::default()], ..facts() });
        assert_eq!(short(&decision.step), "rest", "{what}");
        assert_eq!((decision.record.jobs[0].state, decision.verdict.synced.map(|told| told.0)), (state, Some(synced)), "{what}");
        assert_eq!(decision.record.runs(Job::Leads).covers, ran_at, "{what}");
    }
    // A time older than what is known changes nothing.
    let record = PlatformRecord { jobs: [ran(due), JobRecord::default()], ..PlatformRecord::default() };
    let decision = decide(NOW, &DesiredPlatform { ran_at: [says_it_ran(due - secs(60)), None], ..desired() }, &record, &facts());
    assert_eq!(decision.record.runs(Job::Leads).covers, Some(due));
}

/// Http: collected for two seconds, then requested once for all that wait.
#[test]
fn jobs_by_http() {
    let http = || DesiredPlatform { trigger: JobTrigger::Http, ..desired() };
    let due = (NOW - secs(10)).whole_second();
    let requested = |at| JobRecord { state: JobState::Requested, due: Some(due), requested: Some(at), completed: None };
    let none = JobRecord::default();
    let table = [
        ("nobody waits", none, Waiting::default(), "rest"),
        ("just now", none, waited(1)[0], "rest"),
        ("gathered", none, waited(10)[0], "ask job"),
        ("covered", ran(due), waited(10)[0], "rest"),
        ("a run that was begun before", ran(due - secs(1)), waited(10)[0], "ask job"),
        ("asked for just now, the answer lost", requested(due + secs(1)), waited(10)[0], "rest"),
        ("one more waits since the run", ran(due), Waiting { due: Some((due, due + secs(5))) }, "ask job"),
        ("the answer was lost, long ago", requested(NOW - secs(61)), waited(100)[0], "ask job"),
    ];
    for (what, job, waiting, expected) in table {
        let record = PlatformRecord { jobs: [job, none], ..PlatformRecord::default() };
        let decision = decide(NOW, &http(), &record, &PlatformFacts { waiting: [waiting, Waiting::default()], ..facts() });
        assert_eq!(short(&decision.step), expected, "{what}");
        if expected == "ask job" {
            assert_eq!(decision.step, Step::Execute(Job::Leads), "{what}");
        }
    }
}

/// The meaning of a run's answer. It ends the pass: no second job is requested in it.
#[test]
fn the_answer_to_a_run() {
    let http = DesiredPlatform { trigger: JobTrigger::Http, ..desired() };
    let begun = NOW - secs(3);
    let both = [waited(10)[0], waited(10)[0]];
    let table = [
        (ChangeResult::Done, Some(begun.whole_second()), JobState::Synced),
        (ChangeResult::Unknown(away()), None, JobState::Requested),
        (ChangeResult::NotSent(away()), None, JobState::Due),
        (ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "No.")), None, JobState::Due),
    ];
    for (answer, covers, state) in table {
        let decision =
            decide(NOW, &http, &PlatformRecord::default(), &PlatformFacts { waiting: both, answer: Some((Job::Leads, begun, answer.clone())), ..facts() });
        assert_eq!(short(&decision.step), "rest", "{answer:?}");
        assert_eq!((decision.record.runs(Job::Leads).covers, decision.record.jobs[0].state), (covers, state), "{answer:?}");
    }
}

/// Only the first waiting time is kept: status does not change with each service that joins.
#[test]
fn joining_changes_nothing() {
    let due = (NOW - secs(100)).whole_second();
    let joined = |latest| [Waiting { due: Some((due, latest)) }, Waiting::default()];
    let first = decide(NOW, &desired(), &PlatformRecord::default(), &PlatformFacts { waiting: joined(due), ..facts() });
    let second = decide(NOW, &desired(), &first.record, &PlatformFacts { waiting: joined(due + secs(60)), ..facts() });
    assert_eq!(first.record, second.record);
}

/// What cannot be followed in the spec is reported, and the lists and jobs go on.
#[test]
fn what_can_not_be_followed_is_told_and_the_rest_goes_on() {
    let unfollowed = Some(Trouble::new(Reason::InvalidSpec, "spec.leadDiscovery.namespace: x"));
    let desired = DesiredPlatform { unfollowed, ..desired() };
    let decision = decide(NOW, &desired, &PlatformRecord::default(), &facts());
    assert_eq!(told(&decision), "rest: False InvalidSpec Stalled");
    assert!(decision.answers());
    let away = decide(NOW, &desired, &PlatformRecord::default(), &PlatformFacts { services: Fact::Unreadable(away()), ..facts() });
    assert_eq!((told(&away).as_str(), away.answers()), ("wait: False PlatformUnavailable Reconciling", false), "the platform comes first");
}

/// Someone in another time zone writes a time in the future. When that time comes, still nobody has seen the job run.
#[test]
fn a_time_that_lies_ahead_is_refused_until_it_is_changed() {
    let due = (NOW - secs(100)).whole_second();
    let facts = || PlatformFacts { waiting: [Waiting { due: Some((due, due)) }, Waiting::default()], ..facts() };
    let at = |now: Time, said: Option<RanAt>, record: &PlatformRecord| decide(now, &DesiredPlatform { ran_at: [said, None], ..desired() }, record, &facts());
    let ahead = NOW.whole_second() + secs(3600);
    let first = at(NOW, says_it_ran(ahead), &PlatformRecord::default());
    let told = |decision: &PlatformDecision| decision.verdict.synced.clone().map(|(truth, _, message)| (truth, message)).expect("Synced");
    assert_eq!(told(&first).0, ConditionStatus::False);
    assert!(told(&first).1.contains("operatorconnect.dev/leads-job-ran-at was in the future"), "{}", told(&first).1);
    // The time has come, after a restart as well: status remembers the refusal.
    let later = at(ahead + secs(60), says_it_ran(ahead), &first.record);
    assert_eq!((later.record.jobs[0].state, later.record.runs(Job::Leads).covers), (JobState::Due, None), "nothing is Synced by it");
    assert_eq!(told(&later), told(&first), "and it is still said");
    assert_eq!(later.record, at(ahead + secs(90), says_it_ran(ahead), &later.record).record, "nothing changes any more");
    // Another value, with a time in the past, counts.
    let corrected = at(ahead + secs(120), says_it_ran(ahead + secs(100)), &later.record);
    assert_eq!((corrected.record.jobs[0].state, corrected.record.refused.clone()), (JobState::Synced, [None, None]));
    // Clocks differ by seconds: such a time is waited for, and then accepted.
    let soon = NOW.whole_second() + secs(3);
    let waits = at(NOW, says_it_ran(soon), &PlatformRecord::default());
    assert_eq!((waits.record.jobs[0].state, waits.record.refused.clone(), waits.step.clone()), (JobState::Due, [None, None], Step::Idle(soon)));
    assert_eq!(at(soon, says_it_ran(soon), &waits.record).record.jobs[0].state, JobState::Synced);
}

#[test]
fn a_time_that_can_not_be_read_is_told_with_the_form_that_is_wanted() {
    for text in ["now", "28.11.2026 12:00", "1764333164", ""] {
        let decision = decide(NOW, &DesiredPlatform { ran_at: [None, Some(RanAt::new(text, None))], ..desired() }, &PlatformRecord::default(), &facts());
        let (truth, _, message) = decision.verdict.synced.clone().expect("Synced");
        assert_eq!(truth, ConditionStatus::True, "nobody waits");
        assert!(message.contains("operatorconnect.dev/trunks-job-ran-at") && message.contains("YYYY-MM-DDThh:mm:ssZ"), "{message}");
        assert_eq!(decision.record.jobs[1], JobRecord::default());
    }
}

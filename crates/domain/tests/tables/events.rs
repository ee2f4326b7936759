//! Which parts of a pass are worth an event: the state before, the state now, and what must be reported.

use oc_domain::absence;
use oc_domain::breaker::DeletionLedger;
use oc_domain::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Step, Wake};
use oc_domain::events::{self, Event, EventMessage, LastReported, ReportedEnd};
use oc_domain::facts::DeletionPolicy;
use oc_domain::memory::PassMemory;
use oc_domain::pass::Pass;
use oc_domain::platform;
use oc_domain::record::{JobRecord, JobState, OperationKind, Outcome, Record, Sent};

use crate::common::*;

fn said(truth: ConditionStatus, reason: Reason, stalled: bool) -> LastReported {
    LastReported { ready: Some((truth, reason)), stalled }
}

fn nothing() -> LastReported {
    LastReported::default()
}

fn not(reason: Reason) -> Verdict {
    Verdict::not_ready(reason, "Told.")
}

fn decided(step: Step, verdict: Verdict, record: Record) -> Decision {
    Decision { step, why: "", verdict, record, plan: Vec::new(), hold: false }
}

fn rest(verdict: Verdict, record: Record) -> Decision {
    decided(Step::Idle(NOW), verdict, record)
}

fn pass(asked: Option<(Change, ChangeResult)>) -> Pass {
    let mut pass = Pass::begin(Record::default(), facts(), &PassMemory::default());
    pass.asked = asked;
    pass
}

fn names(notes: &[EventMessage]) -> String {
    notes.iter().map(|note| note.event.to_string()).collect::<Vec<_>>().join(" ")
}

fn of_service(said: LastReported, before: &Record, last: &Decision) -> String {
    names(&events::of_service(&said, before, &pass(None), last, ReportedEnd::of(last, true), None))
}

fn due() -> JobRecord {
    JobRecord { state: JobState::Due, ..synced() }
}

fn waits(leads: JobRecord, trunks: JobRecord) -> Record {
    Record { leads_job: leads, trunks_job: trunks, ..verified() }
}

#[test]
fn from_the_request_to_ready() {
    let asked = pass(Some((create(), ChangeResult::Accepted(task_id(1)))));
    let last = decided(Step::Wait(NOW, Wake::Clock), not(Reason::Converting), converting(NOW));
    assert_eq!(names(&events::of_service(&nothing(), &Record::default(), &asked, &last, ReportedEnd::LastReported, None)), "ConversionRequested");
    // Recorded although status could not be written: no later pass would record it.
    assert_eq!(names(&events::of_service(&nothing(), &Record::default(), &asked, &last, ReportedEnd::of(&last, false), None)), "ConversionRequested");
    let converting = (said(ConditionStatus::False, Reason::Converting, false), converting(NOW));
    let ready = said(ConditionStatus::True, Reason::Succeeded, false);
    let awaits = |reason| said(ConditionStatus::False, reason, false);
    let (none, upgraded) = (JobRecord::default(), Record { license: Some("OC Pro".into()), ..verified() });
    let table = [
        ("no news", converting.0, converting.1.clone(), last.clone(), ""),
        ("it shows", converting.0, converting.1.clone(), rest(not(Reason::AwaitingLeadsJob), waits(due(), none)), "Licensed AwaitingLeadsJob"),
        ("it shows everywhere", converting.0, converting.1.clone(), rest(Verdict::ready("x"), verified()), "Licensed"),
        ("it still waits", awaits(Reason::AwaitingLeadsJob), waits(due(), none), rest(not(Reason::AwaitingLeadsJob), waits(due(), none)), ""),
        (
            "the next job",
            awaits(Reason::AwaitingLeadsJob),
            waits(due(), due()),
            rest(not(Reason::AwaitingTrunksJob), waits(synced(), due())),
            "AwaitingTrunksJob",
        ),
        ("the last job", awaits(Reason::AwaitingTrunksJob), waits(synced(), due()), rest(Verdict::ready("x"), waits(synced(), synced())), "Synced"),
        ("at rest, or after a restart", ready, verified(), rest(Verdict::ready("x"), verified()), ""),
        ("an upgrade", ready, verified(), rest(Verdict::ready("x"), upgraded), "LicenseChanged"),
        ("an outage", ready, verified(), rest(not(Reason::AuthenticationFailed), verified()), ""),
        ("its end", said(ConditionStatus::False, Reason::AuthenticationFailed, true), verified(), rest(Verdict::ready("x"), verified()), ""),
        ("its end, still waiting", awaits(Reason::PlatformUnavailable), waits(due(), none), rest(not(Reason::AwaitingLeadsJob), waits(due(), none)), ""),
        (
            "it comes in between",
            awaits(Reason::PlatformUnavailable),
            Record::default(),
            rest(not(Reason::AwaitingLeadsJob), waits(due(), none)),
            "Licensed AwaitingLeadsJob",
        ),
        ("deleted by others", ready, verified(), rest(not(Reason::DeletedExternally), verified()), "DeletedExternally"),
        ("a trouble is over", said(ConditionStatus::False, Reason::NamespaceNotAllowed, true), verified(), rest(Verdict::ready("x"), verified()), "Recovered"),
    ];
    for (what, said, before, last, expected) in table {
        assert_eq!(of_service(said, &before, &last), expected, "{what}");
    }
}

#[test]
fn what_stands_in_the_way_is_told_when_it_begins() {
    let young = Verdict { stalled: false, ..not(Reason::LeadNotFound) };
    let stalled = |reason| said(ConditionStatus::False, reason, true);
    let table = [
        ("a young object waits", nothing(), young.clone(), ""),
        ("it is no longer young", said(ConditionStatus::False, Reason::LeadNotFound, false), not(Reason::LeadNotFound), "LeadNotFound"),
        ("it stays so", stalled(Reason::LeadNotFound), not(Reason::LeadNotFound), ""),
        ("another trouble", stalled(Reason::LeadNotFound), not(Reason::LeadNotActive), "LeadNotActive"),
        ("a task", said(ConditionStatus::False, Reason::Converting, false), not(Reason::TaskFailed), "TaskFailed"),
        ("the platform's own troubles", nothing(), not(Reason::AuthenticationFailed), ""),
        ("suspended", said(ConditionStatus::True, Reason::Succeeded, false), not(Reason::Suspended), "Suspended"),
        ("still suspended", said(ConditionStatus::False, Reason::Suspended, false), not(Reason::Suspended), ""),
        ("resumed", said(ConditionStatus::False, Reason::Suspended, false), not(Reason::Progressing), "Resumed"),
        ("planned", nothing(), not(Reason::PlanReady), "PlanReady"),
        ("still planned", said(ConditionStatus::False, Reason::PlanReady, false), not(Reason::PlanReady), ""),
    ];
    for (what, said, now, expected) in table {
        assert_eq!(of_service(said, &Record::default(), &rest(now.clone(), Record::default())), expected, "{what}");
        let last = rest(now, Record::default());
        let lead = events::of_lead(&said, &Record::default(), &pass(None), &last, ReportedEnd::of(&last, true), None);
        assert_eq!(names(&lead), expected, "{what}, of a lead");
        assert_eq!(names(&events::of_service(&said, &Record::default(), &pass(None), &last, ReportedEnd::of(&last, false), None)), "", "{what}, unwritten");
        let held = Decision { hold: true, ..last };
        assert_eq!(of_service(said, &Record::default(), &held), "", "{what}, and status is left as it is");
    }
}

#[test]
fn the_end_of_an_outage_tells_nothing_again() {
    let mut refused = ended(Outcome::Refused, NOW - secs(600));
    refused.operation.as_mut().unwrap().reason = Some(Reason::PlatformRefused);
    let failed = || ended(Outcome::Failed, NOW - secs(600));
    let missed = || Record { license: None, ..verified() };
    let old_spec = || Record { observed_generation: Some(0), ..Record::default() };
    let plain = Record::default;
    let table = [
        ("planned as before", Reason::PlanReady, plain(), plain(), ""),
        ("another spec, which is planned", Reason::PlanReady, old_spec(), plain(), "PlanReady"),
        ("observed as before", Reason::Observing, verified(), verified(), ""),
        ("the task had failed before", Reason::TaskFailed, failed(), failed(), ""),
        ("the end of the task is read now", Reason::TaskFailed, converting(NOW), failed(), "TaskFailed"),
        ("the task is over its deadline", Reason::TaskFailed, converting(NOW), converting(NOW), ""),
        ("somebody else has the tenant", Reason::Conflict, plain(), plain(), ""),
        ("likewise, and an edit makes no difference", Reason::Conflict, old_spec(), plain(), ""),
        ("refused before", Reason::PlatformRefused, refused.clone(), refused.clone(), ""),
        ("refused now", Reason::PlatformRefused, plain(), refused, "PlatformRefused"),
        ("missed before", Reason::DeletedExternally, missed(), missed(), ""),
        ("missed now", Reason::DeletedExternally, verified(), missed(), "DeletedExternally"),
        ("the spec was bad before", Reason::InvalidSpec, plain(), plain(), ""),
        ("another spec, which is bad", Reason::InvalidSpec, old_spec(), plain(), "InvalidSpec"),
        ("what is known without the platform", Reason::Suspended, plain(), plain(), "Suspended"),
        ("likewise", Reason::NamespaceNotAllowed, plain(), plain(), "NamespaceNotAllowed"),
    ];
    for (what, reason, before, after, expected) in table {
        for (away, stalled) in [(Reason::PlatformUnavailable, false), (Reason::AuthenticationFailed, true), (Reason::Throttled, false)] {
            let (said, last) = (said(ConditionStatus::False, away, stalled), rest(not(reason), after.clone()));
            assert_eq!(of_service(said, &before, &last), expected, "{what}, after {away}");
            let lead = events::of_lead(&said, &before, &pass(None), &last, ReportedEnd::of(&last, true), None);
            assert_eq!(names(&lead), expected, "{what}, of a lead, after {away}");
        }
    }
}

#[test]
fn what_was_asked_for_is_told_with_its_answer() {
    let channel = 7;
    let lost = || ChangeResult::Unknown(away());
    let refused = || ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "no"));
    let table = [
        (create(), ChangeResult::Accepted(task_id(1)), "ConversionRequested"),
        (create(), lost(), "AnswerLost"),
        (create(), refused(), ""),
        (create(), ChangeResult::NotSent(away()), ""),
        (Change::DeleteService(guid(1)), ChangeResult::Done, "DeletionRequested"),
        (Change::DeleteService(guid(1)), ChangeResult::NotFound, ""),
        (Change::DeleteService(guid(1)), lost(), "AnswerLost"),
        (create_lead(), ChangeResult::Done, "LeadRequested"),
        (Change::DeleteLead(tenant()), ChangeResult::Done, "DeletionRequested"),
        (Change::AssignChannel(tenant(), channel), ChangeResult::Done, "ChannelAssigned"),
        // It is requested again every minute, and would cause an event every minute.
        (Change::AssignChannel(tenant(), channel), lost(), ""),
        (Change::UnassignChannel(tenant()), ChangeResult::Done, "ChannelUnassigned"),
    ];
    for (change, answer, expected) in table {
        let asked = pass(Some((change, answer)));
        let last = rest(not(Reason::Verifying), Record::default());
        let notes = events::of_lead(&nothing(), &Record::default(), &asked, &last, ReportedEnd::of(&last, false), None);
        assert_eq!(names(&notes), expected, "{:?}", asked.asked);
    }
}

#[test]
fn only_a_service_that_is_ready_in_one_go_is_one_event() {
    let message = |event: Event| EventMessage::new(event, format!("{event}!"));
    let all = |events: &[Event]| events.iter().copied().map(message).collect::<Vec<_>>();
    let table: [(&[Event], &[Event], Option<&str>); 6] = [
        (&[Event::ConversionRequested], &[Event::Licensed], Some("ConversionRequested! Licensed!")),
        (&[Event::ConversionRequested], &[Event::Licensed, Event::AwaitingLeadsJob], None),
        (&[Event::ConversionRequested], &[Event::Adopted, Event::Licensed], None),
        (&[Event::ConversionRequested], &[Event::TaskFailed], None),
        (&[Event::AnswerLost], &[Event::Licensed], None),
        (&[Event::ConversionRequested, Event::Conflict], &[Event::Licensed], None),
    ];
    for (first, then, expected) in table {
        let one = events::combined(&all(first), &all(then));
        assert_eq!(one.as_ref().map(|message| message.text.as_str()), expected, "{first:?} {then:?}");
        assert!(one.is_none_or(|message| message.event == Event::Licensed));
    }
    assert!(events::may_be_combined(&all(&[Event::ConversionRequested])));
    assert!(!events::may_be_combined(&all(&[Event::DeletionRequested])));
}

#[test]
fn taken_over_and_let_go() {
    let adopted = Record { guid: Some(guid(1)), guid_annotated: true, license: Some("OC Essential".into()), leads_job: synced(), ..Record::default() };
    let last = rest(Verdict::ready("x"), adopted.clone());
    assert_eq!(of_service(nothing(), &Record::default(), &last), "Adopted Synced");
    assert_eq!(
        of_service(nothing(), &Record { license: None, leads_job: JobRecord::default(), ..adopted.clone() }, &last),
        "Synced",
        "a restore is no adoption"
    );
    let released = |record: Record| decided(Step::PatchMetadata(Mark::RemoveFinalizer), not(Reason::Deleting), record);
    let go = |record: &Record, policy| {
        let last = released(record.clone());
        names(&events::of_service(&nothing(), record, &pass(None), &last, ReportedEnd::of(&last, true), Some(policy)))
    };
    assert_eq!(go(&verified(), DeletionPolicy::Retain), "Retained");
    assert_eq!(go(&verified(), DeletionPolicy::Delete), "Deleted");
    assert_eq!(go(&Record::default(), DeletionPolicy::Delete), "Released");
    assert_eq!(go(&Record { guid_annotated: true, ..verified() }, DeletionPolicy::Delete), "Deleted", "a deletion annotates the guid: that is no adoption");
    let deleting = Record { intent: Some(intent(OperationKind::Delete, NOW, Sent::Maybe)), ..Record::default() };
    let lead = |record: &Record, policy| {
        let last = released(record.clone());
        names(&events::of_lead(&nothing(), record, &pass(None), &last, ReportedEnd::of(&last, true), Some(policy)))
    };
    assert_eq!(lead(&deleting, DeletionPolicy::Delete), "Deleted");
    assert_eq!(lead(&Record::default(), DeletionPolicy::Delete), "Released");
    assert_eq!(lead(&Record::default(), DeletionPolicy::Retain), "Retained");
}

#[test]
fn a_lead_is_active_once() {
    let of = |said: LastReported, before: Record, record: Record| {
        let last = rest(Verdict::ready("x"), record);
        names(&events::of_lead(&said, &before, &pass(None), &last, ReportedEnd::of(&last, true), None))
    };
    let plain = Record::default;
    assert_eq!(of(nothing(), plain(), plain()), "LeadActive");
    assert_eq!(of(said(ConditionStatus::True, Reason::Succeeded, false), plain(), plain()), "");
    assert_eq!(of(said(ConditionStatus::False, Reason::LeadNotActive, true), plain(), plain()), "LeadActive");
    assert_eq!(of(said(ConditionStatus::False, Reason::Verifying, false), plain(), plain()), "", "its channel was changed");
    assert_eq!(of(said(ConditionStatus::False, Reason::Verifying, false), creating(NOW), ended(Outcome::Succeeded, NOW)), "LeadActive", "it was made");
    assert_eq!(of(said(ConditionStatus::False, Reason::AuthenticationFailed, true), plain(), plain()), "", "the platform was away");
}

#[test]
fn the_platform_tells_for_all() {
    let held = |held| platform::PlatformRecord { ledger: DeletionLedger { held, ..DeletionLedger::default() }, ..platform::PlatformRecord::default() };
    let approved =
        platform::PlatformRecord { ledger: DeletionLedger { approved: Some(NOW), ..DeletionLedger::default() }, ..platform::PlatformRecord::default() };
    let waits = Verdict { held: Some(Trouble::new(Reason::DeletionRateExceeded, "x")), ..Verdict::ready("x") };
    let missing = |held, word: Option<&str>| {
        let absences = absence::AbsenceLedger { held, handled: word.map(str::to_owned), ..absence::AbsenceLedger::default() };
        platform::PlatformRecord { absences, ..platform::PlatformRecord::default() }
    };
    let vanished = Verdict { absences: Some(Trouble::new(Reason::AbsenceUnconfirmed, "x")), ..Verdict::ready("x") };
    let up = || Verdict::ready("x");
    let (ready, refused) = (said(ConditionStatus::True, Reason::Succeeded, false), said(ConditionStatus::False, Reason::AuthenticationFailed, true));
    let table = [
        ("the first time", nothing(), held(0), up(), held(0), "PlatformConnected"),
        ("at rest", ready, held(0), up(), held(0), ""),
        ("refused", ready, held(0), not(Reason::AuthenticationFailed), held(0), "AuthenticationFailed"),
        ("still refused", refused, held(0), not(Reason::AuthenticationFailed), held(0), ""),
        ("away after that", refused, held(0), not(Reason::PlatformUnavailable), held(0), "PlatformUnavailable"),
        ("back", refused, held(0), up(), held(0), "PlatformRecovered"),
        ("many deletions", ready, held(0), waits.clone(), held(3), "DeletionsHeld"),
        ("more of them", ready, held(3), waits, held(4), ""),
        ("approved", ready, held(3), up(), approved, "DeletionsApproved"),
        ("none wants to any more", ready, held(3), up(), held(0), ""),
        ("much is missing", ready, missing(0, None), vanished.clone(), missing(3, None), "AbsencesHeld"),
        ("more of it", ready, missing(3, None), vanished, missing(4, None), ""),
        ("a person says that it is gone", ready, missing(3, None), up(), missing(0, Some("gone")), "AbsencesApproved"),
        ("it shows again", ready, missing(3, None), up(), missing(0, None), "AbsencesOver"),
    ];
    for (what, said, before, verdict, record, expected) in table {
        let last = platform::PlatformDecision { step: Step::Idle(NOW), why: "", verdict, record };
        assert_eq!(names(&events::of_platform(&said, &before, &last, &[], true)), expected, "{what}");
        assert_eq!(names(&events::of_platform(&said, &before, &last, &[], false)), "", "{what}, unwritten");
    }
    let invalid = |step| platform::PlatformDecision { step, why: "", verdict: not(Reason::InvalidSpec), record: held(0) };
    let of = |said: LastReported, last: &platform::PlatformDecision| names(&events::of_platform(&said, &held(0), last, &[], true));
    assert_eq!(of(ready, &invalid(Step::Idle(NOW))), "InvalidSpec");
    assert_eq!(of(refused, &invalid(Step::Idle(NOW))), "", "the platform is back, and what of the spec is not followed is as it was");
    assert_eq!(of(refused, &invalid(Step::Wait(NOW, Wake::Clock))), "InvalidSpec", "the spec can't be used at all: that is new");
    let last = platform::PlatformDecision { step: Step::Idle(NOW), why: "", verdict: up(), record: held(0) };
    assert_eq!(names(&events::of_platform(&ready, &held(0), &last, &[oc_domain::record::Job::Leads], false)), "SyncJobRun");
}

#[test]
fn the_list_is_whole_and_a_note_fits() {
    let mut all = Event::ALL.to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), Event::ALL.len());
    assert_eq!(all.last().map(|last| *last as usize + 1), Some(all.len()), "one is missing");
    let note = EventMessage::new(Event::TaskFailed, "ü".repeat(700));
    assert!(note.text.len() <= 1000 && note.text.ends_with('…'), "{}", note.text.len());
}

/// A rejected write is reported once if status shows it; if status cannot, at ever rarer tries.
#[test]
fn a_refused_write_is_told_where_nothing_else_tells_it() {
    let refused = Trouble::new(Reason::ProgressingWithRetry, "no finalizers here.");
    let said = |reason| LastReported { ready: Some((ConditionStatus::False, reason)), stalled: false };
    let told = |said: &LastReported| (0..40).filter(|failures| events::write_refused(said, *failures, &refused).is_some()).collect::<Vec<u32>>();
    assert_eq!(told(&said(Reason::Converting)), [0, 1, 2, 4, 8, 16, 32]);
    assert_eq!(told(&said(Reason::ProgressingWithRetry)), Vec::<u32>::new());
    let note = events::write_refused(&LastReported::default(), 0, &refused);
    assert_eq!(note.map(|note| (note.event, note.text)), Some((Event::WriteRefused, refused.message.to_string())));
}

//! When a temporary problem begins to need a person, and what a pass leaves in memory for that.

use oc_domain::conditions::{Reason, Trouble, Verdict};
use oc_domain::decision::{ChangeResult, Decision, Mark, Step, Wake};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsView, ServicesView};
use oc_domain::lead;
use oc_domain::memory::PassMemory;
use oc_domain::pass::{Pass, PassEnd};
use oc_domain::platform;
use oc_domain::record::{OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{Deletion, ServiceTarget, decide};

use crate::common::*;
use crate::{at_now, says, told};

fn trouble(reason: Reason) -> Trouble {
    Trouble::new(reason, "Something stands in the way.")
}

/// The services cannot be read for this reason, after this many failures; `stalled_for` is the reason for which status says Stalled.
fn broken(reason: Reason, failures: u32, stalled_for: Option<Reason>) -> Facts {
    Facts { services: Fact::Unreadable(trouble(reason)), failures, stalled_for, ..facts() }
}

#[test]
fn after_so_many_failures_a_person_is_asked() {
    use Reason::{AuthenticationFailed, PlatformUnavailable, Throttled};
    let table = [
        (PlatformUnavailable, 0, None, "Reconciling"),
        (PlatformUnavailable, 7, None, "Reconciling"),
        (PlatformUnavailable, 8, None, "Stalled"),
        (PlatformUnavailable, 1000, None, "Stalled"),
        (Throttled, 7, None, "Reconciling"),
        (Throttled, 8, None, "Stalled"),
        // A restart forgets the failures; what status says for the same reason stays.
        (PlatformUnavailable, 0, Some(PlatformUnavailable), "Stalled"),
        (Throttled, 0, Some(Throttled), "Stalled"),
        // A problem other than the one in status starts again from zero.
        (PlatformUnavailable, 0, Some(Throttled), "Reconciling"),
        (PlatformUnavailable, 7, Some(Reason::LeadNotFound), "Reconciling"),
        // A refused credential needs a person at once, however often it was tried.
        (AuthenticationFailed, 0, None, "Stalled"),
        (AuthenticationFailed, 8, None, "Stalled"),
    ];
    for (reason, failures, stalled_for, beside) in table {
        let decision = at_now(&be(desired()), &Record::default(), &broken(reason, failures, stalled_for));
        assert_eq!(told(&decision), format!("wait: False {reason} {beside}"), "{failures} failures, status {stalled_for:?}");
    }
}

/// Wherever a problem of the platform is reported: a read, a request, a deletion, of a service and of a lead.
#[test]
fn it_is_so_for_every_trouble_of_the_platform() {
    let gone = ServiceTarget::Absent(Deletion {
        policy: DeletionPolicy::Delete,
        tenant: Some(tenant()),
        short_name: None,
        suspended: false,
        guard_numbers: true,
        owned_by_others: Vec::new(),
    });
    let recorded = |kind| Record { finalizer: true, guid: Some(guid(1)), intent: Some(intent(kind, NOW, Sent::No)), ..Record::default() };
    let not_sent = |facts: Facts| Facts { answer: Some(ChangeResult::NotSent(away())), ..facts };
    let there = || Facts { services: known(view_by_guid(&service(1))), leads: known_leads(vec![lead_with(1)]), ..facts() };
    let unread_numbers = || Facts { numbers: Fact::Unreadable(away()), ..there() };
    let unread_leads = || Facts { leads: Fact::Unreadable(away()), ..empty_platform() };
    let unread_task = || Facts { task: Fact::Unreadable(away()), ..empty_platform() };
    let wanted = lead::DesiredLead {
        tenant: tenant(),
        consentless: company(true),
        channel: Some(5),
        deletion_policy: DeletionPolicy::Delete,
        rival: None,
        served: false,
    };
    let service = |target: ServiceTarget, record: Record, facts: Facts| -> Box<dyn Fn(u32) -> Decision> {
        Box::new(move |failures| decide(NOW, &target, &record, &Facts { failures, ..facts.clone() }))
    };
    let lead = |target: lead::LeadTarget, record: Record, facts: Facts| -> Box<dyn Fn(u32) -> Decision> {
        Box::new(move |failures| lead::decide(NOW, &target, &record, &Facts { failures, ..facts.clone() }))
    };
    let leaving = || lead::LeadTarget::Absent { policy: DeletionPolicy::Delete, tenant: Some(tenant()), suspended: false };
    let table = [
        ("a create that is not sent", service(be(desired()), recorded(OperationKind::Create), not_sent(empty_platform()))),
        ("leads that can't be read", service(be(desired()), Record::default(), unread_leads())),
        ("a task that can't be read", service(be(desired()), converting(NOW - secs(60)), unread_task())),
        ("a deletion that is not sent", service(gone.clone(), recorded(OperationKind::Delete), not_sent(there()))),
        ("numbers that can't be read", service(gone.clone(), verified(), unread_numbers())),
        ("a deletion, and the list can't be read", service(gone, verified(), broken(Reason::PlatformUnavailable, 0, None))),
        ("a lead that can't be read", lead(lead::LeadTarget::Present(wanted.clone()), Record::default(), unread_leads())),
        ("a change of a lead that is not sent", lead(lead::LeadTarget::Present(wanted), Record::default(), not_sent(empty_platform()))),
        ("a lead's deletion that is not sent", lead(leaving(), recorded(OperationKind::Delete), not_sent(empty_platform()))),
        ("a lead's deletion, and the list can't be read", lead(leaving(), Record { finalizer: true, ..Record::default() }, unread_leads())),
    ];
    for (what, decide) in table {
        let said = [7, 8].map(|failures| told(&decide(failures)));
        assert_eq!(said, ["wait: False PlatformUnavailable Reconciling", "wait: False PlatformUnavailable Stalled"], "{what}");
        assert_eq!(decide(7).verdict.message, decide(8).verdict.message, "{what}: the words stay the same");
    }
}

/// The platform object too: an administrator looks there first.
#[test]
fn it_is_so_for_the_platform_object() {
    use Reason::{AuthenticationFailed, PlatformUnavailable, Throttled};
    let desired = crate::platform::desired();
    let table = [
        (PlatformUnavailable, 7, None, "Reconciling"),
        (PlatformUnavailable, 8, None, "Stalled"),
        (Throttled, 7, None, "Reconciling"),
        (Throttled, 8, None, "Stalled"),
        (PlatformUnavailable, 0, Some(PlatformUnavailable), "Stalled"),
        (PlatformUnavailable, 0, Some(AuthenticationFailed), "Reconciling"),
        (AuthenticationFailed, 0, None, "Stalled"),
    ];
    for (reason, failures, stalled_for, beside) in table {
        let record = platform::PlatformRecord { stalled_for, ..platform::PlatformRecord::default() };
        let facts = |services| platform::PlatformFacts {
            services,
            leads: known(0),
            waiting: Default::default(),
            counted: None,
            deletions: Vec::new(),
            answer: None,
            failures,
        };
        let unreadable = platform::decide(NOW, &desired, &record, &facts(Fact::Unreadable(trouble(reason))));
        let unusable = platform::DesiredPlatform { unusable: Some(trouble(reason)), ..desired.clone() };
        let unusable = platform::decide(NOW, &unusable, &record, &facts(known(0)));
        for verdict in [&unreadable.verdict, &unusable.verdict] {
            assert_eq!(says(verdict), format!("False {reason} {beside}"), "{failures} failures, status {stalled_for:?}");
        }
        // Once the platform answers it is Ready, whatever status said.
        assert_eq!(says(&platform::decide(NOW, &desired, &record, &facts(known(0))).verdict), "True Succeeded -");
    }
}

/// What is Ready stays so and is not called stalled, however long the platform is away.
#[test]
fn what_is_ready_stays_so() {
    let facts = Facts { ready_at_generation: true, ..broken(Reason::PlatformUnavailable, 100, None) };
    assert!(at_now(&be(desired()), &verified(), &facts).hold);
}

/// One pass after another over an object whose platform is away: four minutes until a person is asked.
#[test]
fn from_the_first_failure_to_the_person() {
    let mut memory = PassMemory::default();
    let mut waited = 0;
    let mut said = Vec::new();
    for _ in 0..10 {
        let facts = broken(Reason::PlatformUnavailable, memory.failures_of(1), None);
        let mut pass = Pass::begin(Record::default(), facts, &memory);
        let decision = pass.next(NOW, |now, record, facts| decide(now, &be(desired()), record, facts));
        said.push((waited, says(&decision.verdict)));
        let Step::Wait(until, Wake::Inventory) = decision.step else { panic!("{:?}", decision.step) };
        waited += until.since(NOW).as_secs();
        pass.remember(&mut memory, &decision, PassEnd::Well);
    }
    let first = said.iter().find(|(_, words)| words.ends_with("Stalled"));
    assert_eq!(first.map(|(seconds, _)| *seconds), Some(1 + 2 + 4 + 8 + 16 + 32 + 64 + 128));
    assert!(said.iter().skip(8).all(|(_, words)| words.ends_with("Stalled")), "{said:?}");
    // A changed spec starts again from zero: one second to the next try, and nobody is asked.
    let facts = broken(Reason::PlatformUnavailable, memory.failures_of(2), None);
    let decision = at_now(&be(desired()), &Record::default(), &facts);
    assert_eq!((told(&decision).as_str(), decision.step), ("wait: False PlatformUnavailable Reconciling", Step::Wait(NOW + secs(1), Wake::Inventory)));
}

fn ended_with(memory: &mut PassMemory, answer: Option<ChangeResult>, verdict: Verdict, ended: PassEnd) {
    let record = Record { finalizer: true, intent: Some(intent(OperationKind::Create, NOW, Sent::No)), ..Record::default() };
    let mut pass = Pass::begin(record.clone(), Facts { failures: memory.failures, ..facts() }, memory);
    let last = Decision { step: Step::Idle(NOW), why: "made up", verdict, record, plan: Vec::new(), hold: false };
    if let Some(answer) = answer {
        pass.answered(create(), last.clone(), answer);
    }
    pass.remember(memory, &last, ended);
}

/// What counts as a failure, and what resets the count.
#[test]
fn what_a_pass_leaves_in_memory() {
    let verdict = |reason| Verdict::trouble(&trouble(reason));
    let (fine, busy) = (|| Verdict::ready("All is well."), || Verdict::not_ready(Reason::Converting, "Converting."));
    let table = [
        ("all is well", None, fine(), PassEnd::Well, 0),
        ("at work", Some(ChangeResult::Accepted(task_id(1))), busy(), PassEnd::Well, 0),
        ("a lost answer may have been a success", Some(ChangeResult::Unknown(away())), busy(), PassEnd::Well, 0),
        ("a refusal has its own hour", Some(ChangeResult::Rejected(trouble(Reason::PlatformRefused))), verdict(Reason::PlatformRefused), PassEnd::Well, 0),
        ("a person is needed", None, verdict(Reason::LeadNotFound), PassEnd::Well, 0),
        ("not sent, whatever is said", Some(ChangeResult::NotSent(trouble(Reason::InvalidSpec))), verdict(Reason::InvalidSpec), PassEnd::Well, 4),
        ("the platform is away", None, verdict(Reason::PlatformUnavailable), PassEnd::Well, 4),
        ("it throttles", None, verdict(Reason::Throttled), PassEnd::Well, 4),
        ("the namespace can't be read", None, verdict(Reason::ProgressingWithRetry), PassEnd::Well, 4),
        ("the credential is refused", None, verdict(Reason::AuthenticationFailed), PassEnd::Well, 4),
        ("the object can't be written", None, fine(), PassEnd::Unwritten, 4),
    ];
    for (what, answer, verdict, ended, failures) in table {
        let mut memory = PassMemory { failures: 3, ..PassMemory::default() };
        ended_with(&mut memory, answer, verdict, ended);
        assert_eq!(memory.failures, failures, "{what}");
    }
    // A refused read waits ever longer, like a failed one; a refused change has stopped.
    for (step, failures) in [(Step::Wait(NOW, Wake::Inventory), 4), (Step::Blocked(NOW), 0)] {
        let mut memory = PassMemory { failures: 3, ..PassMemory::default() };
        let pass = Pass::begin(Record::default(), Facts { failures: 3, ..facts() }, &memory);
        let verdict = verdict(Reason::PlatformRefused);
        pass.remember(&mut memory, &Decision { step, why: "made up", verdict, record: Record::default(), plan: Vec::new(), hold: false }, PassEnd::Well);
        assert_eq!(memory.failures, failures);
    }
    let mut most = PassMemory { failures: u32::MAX, ..PassMemory::default() };
    ended_with(&mut most, None, verdict(Reason::Throttled), PassEnd::Well);
    assert_eq!(most.failures, u32::MAX);
    assert_eq!((most.failures_of(1), most.failures_of(2)), (u32::MAX, 0));
}

/// An object that is not Ready and met unreadable entries is requeued when the lists are complete; an object at rest is not, however often they are incomplete.
#[test]
fn who_waits_for_whole_lists() {
    let (verdict, fine) = (|reason| Verdict::trouble(&trouble(reason)), || Verdict::ready("All is well."));
    let holes = || known(ServicesView { complete: false, ..view(&[service(1)]) });
    let leads = |complete| known(LeadsView { complete, ..LeadsView::default() });
    let table = [
        ("whole", empty_platform(), fine(), false),
        ("nothing was read", facts(), verdict(Reason::PlatformUnavailable), false),
        ("the services, and it waits", Facts { services: holes(), ..empty_platform() }, verdict(Reason::PlatformRefused), true),
        ("the services, and it is Ready", Facts { services: holes(), ..empty_platform() }, fine(), false),
        ("the leads, and it waits", Facts { leads: leads(false), ..empty_platform() }, verdict(Reason::PlatformUnavailable), true),
        ("the leads were whole", Facts { leads: leads(true), ..empty_platform() }, verdict(Reason::LeadNotFound), false),
    ];
    for (what, facts, verdict, waits) in table {
        let mut memory = PassMemory { waits_for_whole_lists: !waits, ..PassMemory::default() };
        let pass = Pass::begin(Record::default(), facts, &memory);
        let last = Decision { step: Step::Blocked(NOW), why: "made up", verdict, record: Record::default(), plan: Vec::new(), hold: false };
        pass.remember(&mut memory, &last, PassEnd::Well);
        assert_eq!(memory.waits_for_whole_lists, waits, "{what}");
    }
}

/// The intent whose request certainly never left is remembered until another answer is known.
#[test]
fn which_intent_was_surely_not_sent() {
    let known = || vec![OperationId("op-1".into())];
    let none = Vec::new;
    let busy = || Verdict::not_ready(Reason::Converting, "Converting.");
    let table = [
        (none(), Some(ChangeResult::NotSent(away())), known()),
        // The pass ended between the intent and the request.
        (none(), None, known()),
        (known(), None, known()),
        (known(), Some(ChangeResult::NotSent(away())), known()),
        (known(), Some(ChangeResult::Accepted(task_id(1))), none()),
        (known(), Some(ChangeResult::Unknown(away())), none()),
        (known(), Some(ChangeResult::Rejected(away())), none()),
    ];
    for (before, answer, after) in table {
        let mut memory = PassMemory { unsent: before.clone(), ..PassMemory::default() };
        ended_with(&mut memory, answer.clone(), busy(), PassEnd::Well);
        assert_eq!(memory.unsent, after, "{before:?}, {answer:?}");
    }
}

/// No room for a request whose intent would have been written now: nothing is written, nothing new is read, and it is retried like a request that was not sent.
#[test]
fn a_change_that_is_held_back() {
    let create = be(desired());
    let delete = ServiceTarget::Absent(Deletion {
        policy: DeletionPolicy::Delete,
        tenant: Some(tenant()),
        short_name: None,
        suspended: false,
        guard_numbers: false,
        owned_by_others: Vec::new(),
    });
    let there = Facts { services: known(view_by_guid(&service(1))), ..empty_platform() };
    let failed = ended(Outcome::Failed, NOW - secs(7200));
    let table =
        [("create", &create, Record::default(), empty_platform()), ("again", &create, failed, empty_platform()), ("delete", &delete, verified(), there)];
    for (what, target, record, facts) in table {
        let mut memory = PassMemory { failures: 3, ..PassMemory::default() };
        let mut pass = Pass::begin(record.clone(), Facts { failures: 3, ..facts }, &memory);
        let decision = pass.next(NOW, |now, record, facts| decide(now, target, record, facts));
        assert!(matches!(decision.step, Step::PatchMetadata(Mark::RecordIntent { .. })), "{what}: {:?}", decision.step);
        pass.held_back(Trouble { retry_after: Some(secs(40)), ..trouble(Reason::Throttled) });
        let decision = pass.next(NOW, |now, record, facts| decide(now, target, record, facts));
        assert_eq!((told(&decision).as_str(), &decision.step), ("wait: False Throttled Reconciling", &Step::Wait(NOW + secs(40), Wake::Inventory)), "{what}");
        assert_eq!((decision.record.open_intent(), &decision.record.guid, pass.bug.clone()), (None, &record.guid, None), "{what}");
        pass.remember(&mut memory, &decision, PassEnd::Well);
        assert_eq!((memory.failures, memory.unsent, pass.asked), (4, Vec::new(), None), "{what}: nothing was asked");
    }
}

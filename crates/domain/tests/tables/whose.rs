//! To which operation an outcome belongs, and for which tenant and platform a create was requested.

use oc_domain::decision::{Decision, Mark, Query, Step};
use oc_domain::facts::{DeletionPolicy, Fact, Facts};
use oc_domain::memory::PassMemory;
use oc_domain::names::TenantId;
use oc_domain::pass::Pass;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{self, Adoption, DesiredService};

use crate::common::*;
use crate::{at, at_now, short, told};

use DeletionPolicy::{Delete, Retain};

const HERE: &str = "https://live.example.com:443/tenantui";
const THERE: &str = "https://old.example.com:443/tenantui";

/// A create whose task runs, with an outcome beside it: whose it is, and how long after the start of the create it ended, in seconds.
fn beside(outcome: Outcome, of: Option<&str>, after: Option<i64>) -> Record {
    let mut record = converting(NOW - secs(60));
    let operation = record.operation.as_mut().expect("an operation");
    operation.outcome = Some(outcome);
    operation.outcome_of = of.map(|of| OperationId(of.into()));
    operation.messages = ["The script ended badly.".into()].into();
    operation.completed = after.map(|after| oc_domain::time::Time(operation.started.0 + after * 1000));
    record
}

/// Leftovers of another status writer from an earlier operation end nothing, whatever their time. What an older version wrote without naming the operation
/// still counts.
#[test]
fn an_outcome_belongs_to_one_operation() {
    let table = [
        ("its own", Some("op-1"), Some(30), true),
        ("its own, by a clock that was behind", Some("op-1"), Some(-7200), true),
        ("of an older version, which did not say whose it is", None, Some(0), true),
        ("of another one that ended before", Some("op-0"), Some(-7200), false),
        ("of another one that ended after", Some("op-0"), Some(30), false),
        ("of nobody, and it ended before", None, Some(-1), false),
        ("its own, and nobody has seen when", Some("op-1"), None, false),
        ("of nobody, and nobody has seen when", None, None, false),
    ];
    for outcome in [Outcome::Failed, Outcome::Unknown, Outcome::Succeeded, Outcome::Refused] {
        for (what, of, after, ends) in table {
            let record = beside(outcome, of, after);
            assert_eq!(record.operation.as_ref().and_then(|operation| operation.ended()), Some(outcome).filter(|_| ends), "{outcome:?}, {what}");
            assert_eq!(record.open_intent().is_none(), ends, "{outcome:?}, {what}");
            let decision = at_now(&be(DesiredService { recreate: true, ..desired() }), &record, &empty_platform());
            assert_eq!(told(&decision) == "look task: False Converting Reconciling", !ends, "{outcome:?}, {what}: {}", told(&decision));
            if !ends {
                let operation = decision.record.operation.expect("an operation");
                assert_eq!((operation.outcome, operation.outcome_of, operation.completed), (None, None, None), "{outcome:?}, {what}: taken off");
            }
        }
    }
    // An operation that ends now names itself.
    let failed = Facts { task: known(Some(task(1, oc_domain::model::TaskState::Failed))), ..empty_platform() };
    let ended = at_now(&be(desired()), &converting(NOW - secs(60)), &failed).record.operation.expect("an operation");
    assert_eq!((ended.outcome, ended.outcome_of), (Some(Outcome::Failed), Some(OperationId("op-1".into()))));
}

/// An open create, `ago` seconds old, that was requested for this tenant at this place.
fn asked(tenant: Option<&str>, place: Option<&str>, ago: u64) -> Record {
    let intent = Intent {
        tenant: tenant.and_then(|tenant| TenantId::parse(tenant).ok()),
        place: place.map(Into::into),
        ..intent(OperationKind::Create, NOW - secs(ago), Sent::Maybe)
    };
    Record { finalizer: true, intent: Some(intent), ..Record::default() }
}

fn here(facts: Facts) -> Facts {
    Facts { connection: PlatformAccess::Usable(Policy { place: Some(HERE.into()), slowest_create: Some(secs(60)), ..Policy::default() }), ..facts }
}

fn shown() -> Facts {
    here(Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead_with(1)]), ..facts() })
}

/// A create requested for another tenant, or at another place, is independent of what this tenant and this place show. A platform that shows a service for the
/// tenant has a new address, or was moved, and `spec.adoption` decides.
#[test]
fn an_open_create_that_was_asked_for_elsewhere() {
    let (begins, elsewhere, adopts) =
        ("keep intent: False Converting Reconciling", "stop: False Conflict Stalled", "keep adopted: False Progressing Reconciling");
    let never = || DesiredService { adoption: Adoption::Never, ..desired() };
    let table = [
        ("by an older version", None, None, desired(), here(empty_platform()), begins),
        ("here", Some(TENANT), Some(HERE), desired(), here(empty_platform()), begins),
        ("here, and it shows", Some(TENANT), Some(HERE), never(), shown(), "rest: True Succeeded -"),
        ("for another tenant", Some(OTHER_TENANT), None, desired(), here(empty_platform()), elsewhere),
        ("for another tenant, and this one has a service", Some(OTHER_TENANT), Some(HERE), never(), shown(), elsewhere),
        ("at another place", Some(TENANT), Some(THERE), desired(), here(empty_platform()), elsewhere),
        ("at another place, and there is one here", Some(TENANT), Some(THERE), desired(), shown(), adopts),
        ("at another place, and one here may not be taken over", Some(TENANT), Some(THERE), never(), shown(), elsewhere),
        ("at a place, and it is not known where this is", Some(TENANT), Some(THERE), desired(), empty_platform(), begins),
    ];
    for (what, tenant, place, wanted, facts, expected) in table {
        let decision = at_now(&be(wanted), &asked(tenant, place, 5000), &facts);
        assert_eq!(told(&decision), expected, "{what}");
        if expected == elsewhere && facts.services == known(view(&[])) {
            assert!(decision.record.open_intent().is_some() && decision.record.operation.is_none(), "{what}: {:?}", decision.record);
        }
    }
    // A task of another place is another task: it is not read here.
    let mut running = asked(Some(TENANT), Some(THERE), 60);
    running.operation = converting(NOW - secs(60)).operation;
    assert_eq!(told(&at_now(&be(desired()), &running, &here(empty_platform()))), elsewhere);
    assert_eq!(told(&at_now(&be(desired()), &running, &shown())), adopts);
}

/// The same for an object being deleted: what is listed here is not what it created, and an empty list proves nothing.
#[test]
fn an_object_goes_whose_create_was_asked_for_elsewhere() {
    let gone = crate::delete::gone;
    let (elsewhere, let_go) = ("stop: False Conflict Stalled", "release: False Deleting Reconciling");
    for (tenant, place) in [(Some(OTHER_TENANT), Some(HERE)), (Some(TENANT), Some(THERE))] {
        for facts in [shown(), here(empty_platform())] {
            let table = [(Delete, 5000, elsewhere), (Retain, 5000, elsewhere), (Delete, 7300, elsewhere), (Retain, 7300, let_go)];
            for (policy, ago, expected) in table {
                let decision = at_now(&gone(policy), &asked(tenant, place, ago), &facts);
                assert_eq!(told(&decision), expected, "{tenant:?} {place:?} {policy:?} {ago}");
            }
        }
    }
    assert_eq!(short(&at_now(&gone(Delete), &asked(Some(TENANT), Some(HERE), 5000), &shown()).step), "keep intent", "its own is deleted");
}

/// An admission policy removes the record of a request in the very write that restores it: this process, which has read it, still knows it.
#[test]
fn a_record_that_is_taken_off_when_it_is_put_back_is_remembered() {
    let target = be(desired());
    let decide = |now, record: &Record, facts: &Facts| service::decide(now, &target, record, facts);
    let next_after = |dropped: bool| {
        let read = Record { finalizer: false, ..creating(NOW - secs(60)) };
        let mut pass = Pass::begin(read, facts(), &PassMemory::default());
        let decision = pass.next(NOW, decide);
        assert_eq!(decision.step, Step::PatchMetadata(Mark::AddFinalizer));
        if dropped {
            pass.dropped(&Mark::AddFinalizer);
        }
        let refused: Decision = pass.unkept(NOW, decision, &away());
        let mut memory = PassMemory::default();
        pass.remember(&mut memory, &refused, oc_domain::pass::PassEnd::Unwritten);
        let mut next = Pass::begin(Record::default(), Facts { services: Fact::Unread, ..empty_platform() }, &memory);
        next.next(NOW, decide).step
    };
    assert_eq!(next_after(true), Step::PatchMetadata(Mark::AddFinalizer), "it is put back again");
    assert!(matches!(next_after(false), Step::Observe(..)), "what was only read may have been outdated");
}

/// `spec.recreate` of an adopted service whose lost answer is being looked for: annotations from before the create are restored, with the guid of the service
/// that is gone. Without memory it looks as if the service had been adopted since.
#[test]
fn a_guid_that_is_put_back_beside_an_open_create_hides_nothing() {
    let target = be(DesiredService { recreate: true, ..desired() });
    let asked = converting(NOW - secs(5)).operation.map(|operation| Operation { task: None, ..operation });
    let put_back = Record { finalizer: true, operation: asked.clone(), guid: Some(guid(9)), guid_annotated: true, ..Record::default() };
    let first = |memory: &PassMemory, facts: Facts| {
        Pass::begin(put_back.clone(), facts, memory).next(NOW, |now, record, facts| service::decide(now, &target, record, facts))
    };
    assert_eq!(
        first(&PassMemory { asked: asked.map(Box::new), ..PassMemory::default() }, empty_platform()).step,
        Step::PatchMetadata(Mark::AddFinalizer),
        "this process has asked"
    );
    // Another process can tell from what the platform shows, and concludes nothing before it has looked.
    let unread = first(&PassMemory::default(), Facts { services: Fact::Unread, ..empty_platform() });
    assert!(matches!(unread.step, Step::Observe(Query::Services, NOW)), "{:?}", unread.step);
    assert_eq!(unread.record, put_back, "as long as it is not known which of the two it is, nothing is taken off");
    assert_eq!(
        first(&PassMemory::default(), empty_platform()).step,
        Step::PatchMetadata(Mark::AddFinalizer),
        "the guid does not show: it went before the create"
    );
    let shown = first(&PassMemory::default(), Facts { services: known(view(&[service(9)])), ..empty_platform() });
    assert_ne!(shown.step, Step::PatchMetadata(Mark::AddFinalizer), "the guid shows: the service was taken over");
    assert_eq!(shown.record.operation, None);
    // Where nothing can be read, nothing is restored either: the object may have adopted a service.
    let unreadable = first(&PassMemory::default(), Facts { services: Fact::Unreadable(away()), ..empty_platform() });
    assert!(matches!(unreadable.step, Step::Wait(..)), "{:?}", unreadable.step);
    assert!(unreadable.record.running().is_some());
}

/// A time recorded while the clocks were ahead, or written into the annotation by someone, counts as if it were now, and status records it so. It ends no other
/// operation.
#[test]
fn a_time_that_has_not_come_counts_from_now_on() {
    let year = secs(365 * 86_400);
    let ahead = |record: Record| {
        let operation = record.operation.map(|op| Operation { started: op.started + year, completed: op.completed.map(|at| at + year), ..op });
        Record { intent: record.intent.map(|intent| Intent { start: intent.start + year, ..intent }), operation, ..record }
    };
    let mut noted = creating(NOW);
    noted.note_open_intent();
    for (what, record) in [("the annotation alone", ahead(creating(NOW))), ("both records", ahead(noted.clone()))] {
        let first = at_now(&be(desired()), &record, &empty_platform());
        let operation = first.record.operation.clone().expect("an operation");
        assert_eq!((told(&first).as_str(), operation.started), ("wait: False Verifying Reconciling", NOW.whole_second()), "{what}");
        // The annotation stays as it is; what status says counts.
        let next = Record { intent: record.intent.clone(), operation: Some(operation), ..record };
        let late = Facts { pass_started: NOW + secs(901), services: Fact::Known { value: view(&[]), at: NOW + secs(901) }, ..empty_platform() };
        assert_eq!(told(&at(NOW + secs(901), &be(desired()), &next, &late)), "look leads: False Progressing Reconciling", "{what}, when the grace is over");
    }
    // A status with a future time counts from when the intent was recorded.
    let of_intent = Record { operation: ahead(noted).operation, ..creating(NOW - secs(60)) };
    assert_eq!(at_now(&be(desired()), &of_intent, &empty_platform()).record.operation.map(|op| op.started), Some((NOW - secs(60)).whole_second()));
    // A refusal with a future time is retried after an hour, not in a year.
    let refused = at_now(&be(desired()), &ahead(ended(Outcome::Failed, NOW)), &empty_platform());
    assert_eq!(refused.step, Step::Blocked(NOW.whole_second() + secs(3600)));
    // An intent with another id supersedes what status calls open only when its time has come.
    for (start, superseded) in [(NOW, true), (NOW + year, false)] {
        let other = Some(Intent { id: OperationId("op-9".into()), ..intent(OperationKind::Create, start, Sent::Maybe) });
        let decision = at_now(&be(desired()), &Record { intent: other, ..converting(NOW - secs(60)) }, &empty_platform());
        assert_eq!(decision.record.operation.map(|op| op.id.0), Some(if superseded { "op-9" } else { "op-1" }.into()), "{start:?}");
    }
}

/// The service was read back and is gone; then old annotations are restored, with the intent of a create that was refused. The operator looks for it, and
/// creates nothing that `spec.recreate` does not ask for.
#[test]
fn an_intent_that_is_put_back_makes_nothing_again() {
    let mut gone = Record { operation: None, license: None, ..verified() };
    gone.intent = Some(intent(OperationKind::Create, NOW - secs(5000), Sent::Maybe));
    let decision = at_now(&be(desired()), &gone, &empty_platform());
    assert_eq!(told(&decision), "stop: False DeletedExternally Stalled");
    assert_eq!(told(&at_now(&be(desired()), &decision.record, &empty_platform())), "stop: False DeletedExternally Stalled", "nor in the next pass");
    let again = be(DesiredService { recreate: true, ..desired() });
    assert_eq!(told(&at_now(&again, &decision.record, &empty_platform())), "keep intent: False Converting Reconciling");
}

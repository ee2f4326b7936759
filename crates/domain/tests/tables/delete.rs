//! Deleting and releasing a service.

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Mark, Query, Step};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, LeadsView, Numbers, ServicesView};
use oc_domain::model::{Service, TaskState};
use oc_domain::names::TenantId;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{Deletion, ServiceTarget};

use crate::common::*;
use crate::{at, at_now, short, told};

use DeletionPolicy::{Delete, Retain};

fn deletion(policy: DeletionPolicy) -> Deletion {
    Deletion { policy, tenant: Some(tenant()), short_name: Some("Contoso_NL".into()), suspended: false, guard_numbers: false, owned_by_others: Vec::new() }
}

pub fn gone(policy: DeletionPolicy) -> ServiceTarget {
    ServiceTarget::Absent(deletion(policy))
}

/// The list shows service 1, and the lead does too.
fn there() -> Facts {
    Facts { services: known(view_by_guid(&service(1))), leads: known_leads(vec![lead_with(1)]), ..facts() }
}

fn deleting(start: u64, sent: Sent) -> Record {
    let intent = Intent { id: OperationId("op-2".into()), ..intent(OperationKind::Delete, NOW - secs(start), sent) };
    Record { intent: Some(intent), guid_annotated: true, ..verified() }
}

const LET_GO: &str = "release: False Deleting Reconciling";

#[test]
fn by_policy_and_by_what_there_is() {
    let no_platform = Facts { connection: PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "There is no LivePlatform default.")), ..facts() };
    let unknown = Facts { connection: PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, "The labels can't be read.")), ..facts() };
    let failed = || ended(Outcome::Failed, NOW - secs(60));
    let only_lead = Facts { services: known(view(&[])), ..there() };
    let holes = Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    let blocked = Policy { deletions_blocked: Some(Trouble::new(Reason::DeletionRateExceeded, "The breaker holds.")), ..Policy::default() };
    let table: [(&str, DeletionPolicy, Record, Facts, &str); 25] = [
        ("retained", Retain, verified(), facts(), LET_GO),
        ("no finalizer", Delete, Record::default(), facts(), "rest: False Deleting Reconciling"),
        ("nothing was ever made", Delete, Record { finalizer: true, ..Record::default() }, facts(), LET_GO),
        ("the create failed just now", Delete, ended(Outcome::Failed, NOW - secs(19)), facts(), "look services: False Progressing Reconciling"),
        ("the create failed lately, and nothing shows", Delete, ended(Outcome::Failed, NOW - secs(19)), empty_platform(), "wait: False Verifying Reconciling"),
        ("the create failed a while ago: what shows now may be anybody's", Delete, failed(), there(), "stop: False DeletionBlocked Stalled"),
        ("the create failed a while ago, retained", Retain, failed(), there(), LET_GO),
        ("the create failed a while ago, and nothing shows", Delete, failed(), empty_platform(), LET_GO),
        ("the create failed just now, and left a service", Delete, ended(Outcome::Failed, NOW - secs(19)), there(), "keep intent: False Deleting Reconciling"),
        ("the platform object is gone, retained", Retain, verified(), no_platform.clone(), LET_GO),
        ("the platform object is gone, to be deleted", Delete, verified(), no_platform.clone(), "stop: False PlatformNotFound Stalled"),
        ("the platform object is gone, a create is open", Retain, creating(NOW - secs(7199)), no_platform.clone(), "stop: False PlatformNotFound Stalled"),
        ("the platform object is gone, a create was open for long", Retain, creating(NOW - secs(7200)), no_platform.clone(), LET_GO),
        // A time in the future counts from now on, and is recorded that way.
        (
            "the platform object is gone, and the create is of the future",
            Retain,
            creating(NOW + secs(301)),
            no_platform,
            "stop: False PlatformNotFound Stalled",
        ),
        (
            "whether the platform can be used is not known, a create is open",
            Retain,
            creating(NOW - secs(60)),
            unknown.clone(),
            "wait: False ProgressingWithRetry Reconciling",
        ),
        ("whether the platform can be used is not known", Retain, verified(), unknown, LET_GO),
        ("not looked at", Delete, verified(), facts(), "look services: False Progressing Reconciling"),
        ("it is there", Delete, verified(), there(), "keep intent: False Deleting Reconciling"),
        ("the breaker", Delete, verified(), Facts { connection: PlatformAccess::Usable(blocked), ..there() }, "stop: False DeletionRateExceeded Stalled"),
        ("the lead is not looked at", Delete, verified(), Facts { leads: Fact::Unread, ..only_lead.clone() }, "look leads: False Progressing Reconciling"),
        ("gone from one list of two", Delete, verified(), only_lead, "wait: False Deleting Reconciling"),
        ("gone from both", Delete, verified(), empty_platform(), LET_GO),
        ("the list has holes", Delete, verified(), holes, "stop: False PlatformUnavailable Reconciling"),
        ("the list can't be read", Delete, verified(), Facts { services: Fact::Unreadable(away()), ..facts() }, "wait: False PlatformUnavailable Reconciling"),
        ("the leads can't be read", Delete, verified(), Facts { leads: Fact::Unreadable(away()), ..there() }, "wait: False PlatformUnavailable Reconciling"),
    ];
    for (what, policy, record, facts, expected) in table {
        assert_eq!(told(&at_now(&gone(policy), &record, &facts)), expected, "{what}");
    }
}

#[test]
fn suspended() {
    let suspended = |policy| {
        ServiceTarget::Absent(Deletion { policy, tenant: Some(tenant()), short_name: None, suspended: true, guard_numbers: false, owned_by_others: Vec::new() })
    };
    assert_eq!(told(&at_now(&suspended(Delete), &verified(), &there())), "rest: False Suspended -");
    assert_eq!(told(&at_now(&suspended(Retain), &verified(), &there())), LET_GO);
}

/// No spec, no lead, no tenant is needed.
#[test]
fn with_gaps() {
    let nothing =
        ServiceTarget::Absent(Deletion { policy: Delete, tenant: None, short_name: None, suspended: false, guard_numbers: false, owned_by_others: Vec::new() });
    assert_eq!(short(&at_now(&nothing, &verified(), &there()).step), "keep intent");
    assert_eq!(told(&at_now(&nothing, &verified(), &empty_platform())), LET_GO);
}

/// Nor because of an annotation alone, which anyone who may edit the object may write.
#[test]
fn a_service_that_may_be_anothers_is_not_deleted() {
    let annotated = Record { finalizer: true, guid: Some(guid(1)), guid_annotated: true, ..Record::default() };
    let nothing =
        ServiceTarget::Absent(Deletion { policy: Delete, tenant: None, short_name: None, suspended: false, guard_numbers: false, owned_by_others: Vec::new() });
    let blocked = at_now(&nothing, &annotated, &there());
    assert_eq!(told(&blocked), "stop: False DeletionBlocked Stalled", "no tenant of its own");
    assert!(!blocked.record.guid_proven, "nothing is proven by being said");
    // Nor while the outcome of an open create is unknown: two unknown tenants are not the same tenant.
    let open = Record { guid: Some(guid(1)), guid_annotated: true, ..creating(NOW - secs(60)) };
    let no_tenant = Facts { services: known(ServicesView { by_tenant: Vec::new(), ..view_by_guid(&Service { tenant: None, ..service(1) }) }), ..there() };
    let decision = at_now(&nothing, &open, &no_tenant);
    assert_eq!((told(&decision).as_str(), decision.record.guid_proven), ("wait: False Verifying Reconciling", false), "no tenant on either side");
    let untold = Facts { services: known(view_by_guid(&Service { tenant: None, ..service(1) })), ..there() };
    assert_eq!(told(&at_now(&gone(Delete), &annotated, &untold)), "stop: False DeletionBlocked Stalled", "the platform tells no tenant");
    assert_eq!(short(&at_now(&gone(Delete), &verified(), &untold).step), "keep intent", "status has it");
    assert_eq!(short(&at_now(&gone(Delete), &annotated, &there()).step), "keep intent", "a status that was lost, and the same tenant");
}

/// Of two objects, the one without the service does not delete it, whatever it once requested.
#[test]
fn what_another_object_has_is_not_deleted() {
    let ServiceTarget::Absent(deletion) = gone(Delete) else { unreachable!() };
    let target = ServiceTarget::Absent(Deletion { owned_by_others: vec![guid(1)], ..deletion });
    let annotated = Record { finalizer: true, guid: Some(guid(1)), guid_annotated: true, ..Record::default() };
    let table = [
        ("it has the guid in an annotation", annotated, "stop: False DeletionBlocked Stalled"),
        ("it has the guid in status too", verified(), "stop: False DeletionBlocked Stalled"),
        ("its create is open", creating(NOW - secs(60)), "wait: False Verifying Reconciling"),
        ("its create was open for as long as it is looked for", creating(NOW - secs(901)), LET_GO),
        ("its create has just failed", ended(Outcome::Failed, NOW - secs(5)), "wait: False Verifying Reconciling"),
        ("its create failed a while ago", ended(Outcome::Failed, NOW - secs(60)), LET_GO),
    ];
    for (what, record, expected) in table {
        assert_eq!(told(&at_now(&target, &record, &there())), expected, "{what}");
        assert_eq!(told(&at_now(&gone(Retain), &verified(), &there())), LET_GO);
    }
}

/// Never a wrong one: a guid written by hand that belongs to another tenant.
#[test]
fn a_service_of_another_tenant_is_not_deleted() {
    let others = Service { tenant: TenantId::parse(OTHER_TENANT).ok(), ..service(1) };
    let facts = Facts { services: known(ServicesView { by_guid: Some(others.into()), ..view(&[]) }), ..empty_platform() };
    let record = Record { guid: Some(guid(1)), guid_annotated: true, ..ended(Outcome::Failed, NOW - secs(60)) };
    assert_eq!(told(&at_now(&gone(Delete), &record, &facts)), "stop: False DeletionBlocked Stalled");
    assert_eq!(told(&at_now(&gone(Retain), &record, &facts)), LET_GO);
}

/// For a process that has requested the deletion itself.
fn by_this_process(facts: Facts) -> Facts {
    Facts { own: Some(OperationId("op-2".into())), ..facts }
}

/// An accepted deletion with its task in status is not requested again by the next process: it goes on.
#[test]
fn a_deletion_that_was_accepted_is_not_asked_for_again_after_a_restart() {
    let mut record = deleting(10, Sent::Maybe);
    record.operation = record.intent.as_ref().map(|intent| Operation { task: Some(task_id(2)), ..Operation::of(intent) });
    assert_eq!(short(&at_now(&gone(Delete), &record, &there()).step), "wait");
}

/// The intent comes before the effect. A retry comes only after a while, or at once when the process that recorded the intent is gone; a delayed request gets a
/// new intent.
#[test]
fn the_request() {
    let table = [
        (Sent::No, 1, true, "ask delete"),
        (Sent::No, 3600, true, "keep intent"),
        (Sent::Maybe, 10, true, "wait"),
        (Sent::Maybe, 299, true, "wait"),
        (Sent::Maybe, 301, true, "keep intent"),
        // From a process that is gone; nobody knows whether its request has left.
        (Sent::Maybe, 10, false, "keep intent"),
        (Sent::Maybe, 301, false, "keep intent"),
    ];
    for (sent, age, own, expected) in table {
        let step = at_now(&gone(Delete), &deleting(age, sent), &if own { by_this_process(there()) } else { there() }).step;
        assert_eq!(short(&step), expected, "{sent:?}, {age} s, by this process: {own}");
        if expected == "ask delete" {
            assert_eq!(step, Step::Execute(Change::DeleteService(guid(1))));
        }
    }
}

#[test]
fn the_answer() {
    let refused = || ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "The service has numbers."));
    let table = [
        (ChangeResult::Done, "wait: False Deleting Reconciling"),
        (ChangeResult::NotFound, "wait: False Deleting Reconciling"),
        (ChangeResult::Unknown(away()), "wait: False Deleting Reconciling"),
        (ChangeResult::NotSent(away()), "wait: False PlatformUnavailable Reconciling"),
        (refused(), "stop: False PlatformRefused Stalled"),
    ];
    for (answer, expected) in table {
        let decision = at_now(&gone(Delete), &deleting(0, Sent::No), &Facts { answer: Some(answer.clone()), ..there() });
        assert_eq!(told(&decision), expected, "{answer:?}");
    }
    // A refusal rests for an hour, whatever enqueues the object, including a restart; except on request.
    let decision = at_now(&gone(Delete), &deleting(0, Sent::No), &Facts { answer: Some(refused()), ..there() });
    let next = at_now(&gone(Delete), &decision.record, &there());
    assert_eq!((told(&next), &next.verdict.message), (told(&decision), &decision.verdict.message));
    assert_eq!(short(&at_now(&gone(Delete), &decision.record, &Facts { retry_now: true, ..there() }).step), "keep intent");
}

/// While a create may be in progress the object is held until its outcome is known, or the grace is over.
#[test]
fn an_open_create() {
    let look = "look services: False Verifying Reconciling";
    let verifying = "wait: False Verifying Reconciling";
    let task_is = |state| Facts { task: known(Some(task(1, state))), ..empty_platform() };
    let shown = || Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead()]), ..facts() };
    let foreign = Facts { services: known(view(&[Service { short_name: "Else".into(), ..service(1) }])), ..empty_platform() };
    let with_holes = || Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    let overdue = || converted(NOW - secs(20_000), 7300);
    let table: [(&str, DeletionPolicy, Record, Facts, &str); 22] = [
        ("not looked at", Delete, creating(NOW - secs(60)), facts(), look),
        ("nothing yet", Delete, creating(NOW - secs(60)), empty_platform(), verifying),
        ("nothing yet, retained", Retain, creating(NOW - secs(60)), empty_platform(), verifying),
        ("nothing after the grace", Delete, creating(NOW - secs(901)), empty_platform(), LET_GO),
        ("nothing after the grace, with holes", Delete, creating(NOW - secs(901)), with_holes(), "stop: False PlatformUnavailable Reconciling"),
        ("after the grace, with holes, retained", Retain, creating(NOW - secs(901)), with_holes(), LET_GO),
        ("it appears", Delete, creating(NOW - secs(60)), shown(), "keep intent: False Deleting Reconciling"),
        ("it appears, retained", Retain, creating(NOW - secs(60)), shown(), LET_GO),
        ("another appears", Delete, creating(NOW - secs(901)), foreign, LET_GO),
        (
            "can't be read",
            Delete,
            creating(NOW - secs(901)),
            Facts { services: Fact::Unreadable(away()), ..facts() },
            "wait: False PlatformUnavailable Reconciling",
        ),
        ("surely not sent", Delete, Record { intent: Some(intent(OperationKind::Create, NOW, Sent::No)), ..creating(NOW) }, facts(), LET_GO),
        ("a task, not looked at", Delete, converting(NOW - secs(60)), facts(), "look task: False Converting Reconciling"),
        ("a task that runs", Delete, converting(NOW - secs(60)), task_is(TaskState::Running), "wait: False Converting Reconciling"),
        ("a task that failed just now", Delete, converting(NOW - secs(60)), task_is(TaskState::Failed), verifying),
        ("a task that failed just now, retained", Retain, converting(NOW - secs(60)), task_is(TaskState::Failed), verifying),
        ("a task that succeeded, the list lags", Delete, converting(NOW - secs(60)), task_is(TaskState::Succeeded), verifying),
        (
            "a task that succeeded, and the service",
            Delete,
            converting(NOW - secs(60)),
            Facts { task: known(Some(task(1, TaskState::Succeeded))), ..shown() },
            "keep intent: False Deleting Reconciling",
        ),
        // Its service would be left behind; and an object created again would request a second one.
        ("a task that succeeded, and nothing for hours", Delete, overdue(), task_is(TaskState::Succeeded), "stop: False TaskFailed Stalled"),
        ("the same, retained", Retain, overdue(), task_is(TaskState::Succeeded), "stop: False TaskFailed Stalled"),
        (
            "the same, and the platform has forgotten the task",
            Delete,
            overdue(),
            Facts { task: known(None), ..empty_platform() },
            "stop: False TaskFailed Stalled",
        ),
        ("a task that ended somehow, and nothing for hours", Delete, overdue(), task_is(TaskState::Ended), LET_GO),
        ("a task that ended somehow, not so long ago", Delete, converted(NOW - secs(20_000), 7100), task_is(TaskState::Ended), verifying),
    ];
    for (what, policy, record, facts, expected) in table {
        assert_eq!(told(&at_now(&gone(policy), &record, &facts)), expected, "{what}");
    }
}

/// An empty platform, read in a pass that began this many seconds later.
fn at_time(seconds: u64) -> Facts {
    let services = Fact::Known { value: view(&[]), at: NOW + secs(seconds) };
    Facts { services, ..empty_platform() }
}

/// A guid that a task has reported is never forgotten: under `Delete` the platform is asked to delete it, whatever the lists show. Its answer that it knows no
/// such service is the proof.
#[test]
fn what_a_task_has_told_is_deleted_by_its_guid() {
    let begin = "keep intent: False Deleting Reconciling";
    let task_is = |state| Facts { task: known(Some(task(1, state))), ..empty_platform() };
    let with_holes = || Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    let lost = || Facts { task: known(None), ..empty_platform() };
    let failed = || {
        let mut record = ended(Outcome::Failed, NOW - secs(5));
        record.prove(guid(1));
        record
    };
    let lost_task = |ago: u64| Record { guid: Some(guid(1)), guid_proven: true, ..converting(NOW - secs(ago)) };
    let others = || ServiceTarget::Absent(Deletion { owned_by_others: vec![guid(1)], ..deletion(Delete) });
    let table = [
        ("its task has succeeded", gone(Delete), told_by_task(NOW - secs(60), 5), task_is(TaskState::Succeeded), begin),
        ("its task has ended somehow", gone(Delete), told_by_task(NOW - secs(60), 5), task_is(TaskState::Ended), begin),
        ("the same, retained", gone(Retain), told_by_task(NOW - secs(60), 5), task_is(TaskState::Succeeded), "wait: False Verifying Reconciling"),
        ("its task still runs", gone(Delete), lost_task(60), task_is(TaskState::Running), "wait: False Converting Reconciling"),
        ("its task has failed", gone(Delete), failed(), empty_platform(), begin),
        ("its task is lost, in the grace", gone(Delete), lost_task(60), lost(), "wait: False Verifying Reconciling"),
        ("its task is lost, after the grace", gone(Delete), lost_task(901), lost(), begin),
        (
            "the list has holes",
            gone(Delete),
            told_by_task(NOW - secs(60), 5),
            Facts { task: known(Some(task(1, TaskState::Succeeded))), ..with_holes() },
            begin,
        ),
        ("another object has it", others(), failed(), empty_platform(), "wait: False Verifying Reconciling"),
    ];
    for (what, target, record, facts, expected) in table {
        assert_eq!(told(&at_now(&target, &record, &facts)), expected, "{what}");
    }
    // The deletion was requested.
    let unseen = Record { finalizer: true, guid: Some(guid(1)), guid_proven: true, intent: deleting(0, Sent::No).intent, ..Record::default() };
    let asked = |answer: ChangeResult, facts: Facts| at_now(&gone(Delete), &unseen, &Facts { answer: Some(answer), ..facts });
    assert_eq!(at_now(&gone(Delete), &unseen, &empty_platform()).step, Step::Execute(Change::DeleteService(guid(1))));
    let not_found = asked(ChangeResult::NotFound, empty_platform());
    assert_eq!(not_found.record.operation.as_ref().and_then(Operation::ended), Some(Outcome::Succeeded));
    assert_eq!(told(&at_now(&gone(Delete), &not_found.record, &empty_platform())), LET_GO);
    // While a list shows it, a 404 proves nothing; nor does an accepted request.
    assert_eq!(asked(ChangeResult::NotFound, there()).record.operation.as_ref().and_then(Operation::ended), None);
    let accepted = asked(ChangeResult::Done, empty_platform());
    assert_eq!(
        told(&at_now(&gone(Delete), &accepted.record, &Facts { own: Some(OperationId("op-2".into())), ..empty_platform() })),
        "wait: False Deleting Reconciling"
    );
    let own = |seconds| Facts { own: Some(OperationId("op-2".into())), pass_started: NOW + secs(seconds), ..at_time(seconds) };
    for (seconds, expected) in [(59, "wait: False Deleting Reconciling"), (60, "keep intent: False Deleting Reconciling")] {
        assert_eq!(told(&at(NOW + secs(seconds), &gone(Delete), &accepted.record, &own(seconds))), expected, "after {seconds} s it is asked for once more");
    }
    // A service that was read back once is gone when the lists say so.
    let seen = Record { license: Some("OC Essential".into()), ..accepted.record };
    assert_eq!(told(&at_now(&gone(Delete), &seen, &empty_platform())), LET_GO);
}

/// From an accepted request to the end.
#[test]
fn to_the_end() {
    let mut operation = Operation::of(deleting(60, Sent::Maybe).intent.as_ref().expect("an intent"));
    operation.outcome = None;
    let record = Record { operation: Some(operation), ..deleting(60, Sent::Maybe) };
    let decision = at_now(&gone(Delete), &record, &empty_platform());
    assert_eq!(decision.step, Step::PatchMetadata(Mark::RemoveFinalizer));
    assert_eq!(decision.record.operation.and_then(|op| op.outcome), Some(Outcome::Succeeded));
}

/// spec.deletionGuard: a service whose tenant has telephone numbers is left alone, before the breaker counts and before anything is recorded.
#[test]
fn telephone_numbers() {
    let guarded = |tenant: Option<TenantId>| {
        ServiceTarget::Absent(Deletion { policy: Delete, tenant, short_name: None, suspended: false, guard_numbers: true, owned_by_others: Vec::new() })
    };
    let with = |numbers: Fact<Numbers>| Facts { numbers, ..there() };
    let old = Fact::Known { value: Numbers::Count(0), at: NOW - secs(1) };
    let table = [
        ("not asked", with(Fact::Unread), "look numbers: False Progressing Reconciling"),
        ("asked before this pass", with(old), "look numbers: False Progressing Reconciling"),
        ("none", with(known(Numbers::Count(0))), "keep intent: False Deleting Reconciling"),
        ("one", with(known(Numbers::Count(1))), "stop: False DeletionBlocked Stalled"),
        ("many", with(known(Numbers::Count(1200))), "stop: False DeletionBlocked Stalled"),
        ("a release that is known to have no way to tell", with(known(Numbers::NoCall)), "keep intent: False Deleting Reconciling"),
        ("they are not told", with(known(Numbers::Untold)), "stop: False DeletionBlocked Stalled"),
        ("can't be read", with(Fact::Unreadable(away())), "wait: False PlatformUnavailable Reconciling"),
    ];
    for (what, facts, expected) in table {
        let decision = at_now(&guarded(Some(tenant())), &verified(), &facts);
        assert_eq!(told(&decision), expected, "{what}");
        // Without the guard nobody reads the numbers, and nothing is held for them.
        assert_eq!(told(&at_now(&gone(Delete), &verified(), &facts)), "keep intent: False Deleting Reconciling", "{what}, deletionGuard None");
        assert_eq!(told(&at_now(&gone(Retain), &verified(), &facts)), LET_GO, "{what}, retained");
    }
    let blocked = at_now(&guarded(Some(tenant())), &verified(), &with(known(Numbers::Count(1200))));
    for needed in ["1200 telephone numbers", "spec.deletionGuard to None", "spec.deletionPolicy to Retain"] {
        assert!(blocked.verdict.message.contains(needed), "{needed}: {}", blocked.verdict.message);
    }
    let untold = at_now(&guarded(Some(tenant())), &verified(), &with(known(Numbers::Untold))).verdict.message;
    assert!(untold.contains("spec.deletionGuard to None") && untold.contains("spec.deletionPolicy to Retain"), "the way out: {untold}");
    let one = at_now(&guarded(Some(tenant())), &verified(), &with(known(Numbers::Count(1))));
    assert!(one.verdict.message.contains("1 telephone number on"), "{}", one.verdict.message);
    // The numbers are read for the service's own tenant; for the object's tenant if the list names none; without a tenant they cannot be read.
    let unnamed = Facts { services: known(view_by_guid(&Service { tenant: None, ..service(1) })), ..there() };
    for (facts, asked_for, step) in [(there(), None, "look numbers"), (unnamed.clone(), Some(tenant()), "look numbers"), (unnamed, None, "stop")] {
        let decision = at_now(&guarded(asked_for), &verified(), &facts);
        assert_eq!(short(&decision.step), step);
        if let Step::Observe(query, _) = decision.step {
            assert_eq!(query, Query::Numbers(tenant()));
        }
    }
}

/// Numbers that arrive after the intent was recorded still stop the request; and a service that is gone is released, numbers or not.
#[test]
fn telephone_numbers_at_other_times() {
    let guarded = ServiceTarget::Absent(Deletion {
        policy: Delete,
        tenant: Some(tenant()),
        short_name: None,
        suspended: false,
        guard_numbers: true,
        owned_by_others: Vec::new(),
    });
    let three = |facts: Facts| Facts { numbers: known(Numbers::Count(3)), ..facts };
    let table = [
        ("recorded, not sent", deleting(1, Sent::No), three(there()), "stop: False DeletionBlocked Stalled"),
        ("asked for just now", deleting(10, Sent::Maybe), by_this_process(three(there())), "wait: False Deleting Reconciling"),
        ("asked for long ago, and still there", deleting(301, Sent::Maybe), three(there()), "stop: False DeletionBlocked Stalled"),
        ("gone from both lists", verified(), three(empty_platform()), LET_GO),
        ("nothing was ever made", Record { finalizer: true, ..Record::default() }, three(empty_platform()), LET_GO),
    ];
    for (what, record, facts, expected) in table {
        assert_eq!(told(&at_now(&guarded, &record, &facts)), expected, "{what}");
    }
}

/// The breaker comes after the numbers, and does not affect what needs no deletion.
#[test]
fn the_breaker_beside_other_things() {
    let held = || Policy { deletions_blocked: Some(Trouble::new(Reason::DeletionRateExceeded, "The breaker holds.")), ..Policy::default() };
    let held = |facts: Facts| Facts { connection: PlatformAccess::Usable(held()), ..facts };
    let guarded = ServiceTarget::Absent(Deletion {
        policy: Delete,
        tenant: Some(tenant()),
        short_name: None,
        suspended: false,
        guard_numbers: true,
        owned_by_others: Vec::new(),
    });
    let blocked = held(Facts { numbers: known(Numbers::Count(3)), ..there() });
    let table = [
        ("numbers first", guarded, verified(), blocked, "stop: False DeletionBlocked Stalled"),
        ("retained", gone(Retain), verified(), held(there()), LET_GO),
        ("nothing of its own", gone(Delete), Record { finalizer: true, ..Record::default() }, held(there()), LET_GO),
        ("gone already", gone(Delete), verified(), held(empty_platform()), LET_GO),
        ("another is gone from one list", gone(Delete), verified(), held(Facts { services: known(view(&[])), ..there() }), "wait: False Deleting Reconciling"),
        ("recorded in this pass, and then held", gone(Delete), deleting(0, Sent::No), held(there()), "stop: False DeletionRateExceeded Stalled"),
    ];
    for (what, target, record, facts, expected) in table {
        assert_eq!(told(&at_now(&target, &record, &facts)), expected, "{what}");
    }
}

/// Gone from the list of services, and the lead does not show it any more (N-11): that too must be proven.
#[test]
fn no_lead_shows_it() {
    let gone_from_services = |leads, complete, read| Facts { services: known(view(&[])), leads: known(LeadsView { leads, complete, read }), ..facts() };
    let table = [
        ("the lead shows nothing", gone_from_services(vec![lead().into()], true, LeadsRead::AtOnce), LET_GO),
        ("no lead in a whole list", gone_from_services(vec![], true, LeadsRead::AtOnce), LET_GO),
        ("the lead, in a list of many pages", gone_from_services(vec![lead().into()], true, LeadsRead::InPages), LET_GO),
        ("no lead in a list of many pages", gone_from_services(vec![], true, LeadsRead::InPages), "look leads of tenant: False Progressing Reconciling"),
        ("no lead in a list with holes", gone_from_services(vec![], false, LeadsRead::AtOnce), "look leads of tenant: False Progressing Reconciling"),
        (
            "a lead in a list with holes",
            gone_from_services(vec![lead().into()], false, LeadsRead::AtOnce),
            "look leads of tenant: False Progressing Reconciling",
        ),
        ("none by the single read", gone_from_services(vec![], true, LeadsRead::OfTenant), LET_GO),
        ("it shows by the single read", gone_from_services(vec![lead_with(1).into()], true, LeadsRead::OfTenant), "wait: False Deleting Reconciling"),
        ("holes in the single read", gone_from_services(vec![], false, LeadsRead::OfTenant), "stop: False PlatformUnavailable Reconciling"),
    ];
    for (what, facts, expected) in table {
        assert_eq!(told(&at_now(&gone(Delete), &verified(), &facts)), expected, "{what}");
    }
}

//! To whom an existing service belongs: to this object, to be adopted, or to someone else; and what happens when this object's service is gone.

use oc_domain::conditions::Reason;
use oc_domain::decision::{Mark, Step};
use oc_domain::facts::{Fact, Facts, ServicesView};
use oc_domain::model::{LicenseType, Service, TaskState};
use oc_domain::names::TenantId;
use oc_domain::record::{Intent, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{Adoption, DesiredService, Mode, ServiceTarget};

use crate::common::*;
use crate::{at, at_now, short, told};

fn shown(services: &[Service]) -> Facts {
    Facts { services: known(view(services)), leads: known_leads(vec![lead_with(1)]), ..facts() }
}

/// A service that no object here created, under each spec.adoption.
#[test]
fn adoption() {
    let named = |short: &str, full: Option<&str>| Service { short_name: short.into(), full_name: full.map(Into::into), ..service(1) };
    let same = || named("CONTOSO_nl", Some(" Contoso Netherlands B.V. "));
    let licensed = |license| Service { license, ..service(1) };
    let (take, conflict, no) = ("keep adopted: False Progressing Reconciling", "stop: False Conflict Stalled", "stop: False AlreadyLicensed Stalled");
    let table = [
        (Adoption::IfMatching, same(), take),
        (Adoption::IfMatching, named("Contoso_NL", None), take),
        (Adoption::IfMatching, named("Contoso_DE", Some("Contoso Netherlands B.V.")), conflict),
        (Adoption::IfMatching, named("Contoso_NL", Some("Contoso Germany")), conflict),
        (Adoption::Never, same(), conflict),
        (Adoption::Always, same(), take),
        (Adoption::Always, named("Else", Some("Else")), take),
        (Adoption::Always, licensed(Some(LicenseType::OcPro)), take),
        (Adoption::Always, licensed(Some(LicenseType::HostedPro)), no),
        (Adoption::Always, licensed(Some(LicenseType::Other(9))), no),
        (Adoption::Always, licensed(None), no),
        (Adoption::Never, licensed(Some(LicenseType::HostedPro)), no),
    ];
    for (adoption, service, expected) in table {
        let decision = at_now(&be(DesiredService { adoption, ..desired() }), &Record::default(), &shown(std::slice::from_ref(&service)));
        assert_eq!(told(&decision), expected, "{adoption:?}: {service:?}");
        if short(&decision.step) == "keep adopted" {
            assert_eq!(decision.step, Step::PatchMetadata(Mark::Adopt(guid(1))));
        }
    }
}

/// What this object requested is its own without spec.adoption; a refused request explains nothing.
#[test]
fn what_was_made_here() {
    let never = || be(DesiredService { adoption: Adoption::Never, ..desired() });
    let (ours, foreign) = ("rest: True Succeeded -", "stop: False Conflict Stalled");
    let table = [
        ("an open intent", creating(NOW - secs(60)), service(1), ours),
        ("an open intent, long ago", creating(NOW - secs(90_000)), service(1), ours),
        ("a task that failed just now, and left a service", ended(Outcome::Failed, NOW - secs(19)), service(1), ours),
        ("a task that failed a while ago: somebody may have helped himself", ended(Outcome::Failed, NOW - secs(60)), service(1), foreign),
        ("given up, and it appears late", ended(Outcome::Unknown, NOW - secs(60)), service(1), ours),
        ("refused, and somebody else makes one", ended(Outcome::Refused, NOW - secs(60)), service(1), foreign),
        ("an open intent, another short name", creating(NOW - secs(60)), Service { short_name: "Else".into(), ..service(1) }, foreign),
        ("no intent", Record { finalizer: true, ..Record::default() }, service(1), foreign),
    ];
    for (what, record, service, expected) in table {
        let facts = Facts { leads: known_leads(vec![lead_with(1)]), ..shown(&[service]) };
        assert_eq!(told(&at_now(&never(), &record, &facts)), expected, "{what}");
    }
}

/// The service stays this object's when the pass goes on: the list was read before the guid was known.
#[test]
fn a_guid_learned_in_this_pass_is_found_in_the_list_of_this_pass() {
    let facts = Facts { leads: Fact::Unread, ..shown(&[service(1)]) };
    let first = at_now(&be(desired()), &creating(NOW - secs(60)), &facts);
    assert_eq!((short(&first.step), first.record.guid.as_ref()), ("look leads", Some(&guid(1))));
    let second = at_now(&be(desired()), &first.record, &shown(&[service(1)]));
    assert_eq!(told(&second), "rest: True Succeeded -");
}

/// After a crash in a recreate, status still has the guid of the service that is gone.
#[test]
fn a_recreated_service_is_this_objects_own() {
    let anew = Intent { id: OperationId("op-2".into()), ..intent(OperationKind::Create, NOW - secs(60), Sent::Maybe) };
    let record = Record { intent: Some(anew), ..verified() };
    let target = be(DesiredService { recreate: true, adoption: Adoption::Never, ..desired() });
    let facts = Facts { leads: known_leads(vec![lead_with(2)]), ..shown(&[service(2)]) };
    let decision = at_now(&target, &record, &facts);
    assert_eq!(decision.record.guid, Some(guid(2)));
    assert_eq!(decision.verdict.reason, Reason::Succeeded);
}

#[test]
fn two_services_are_for_a_person_to_sort_out() {
    let decision = at_now(&be(desired()), &creating(NOW - secs(60)), &shown(&[service(1), service(2)]));
    assert_eq!(told(&decision), "stop: False Conflict Stalled");
    let facts = Facts { services: known(ServicesView { by_guid: Some(service(1).into()), ..view(&[service(1), service(2)]) }), ..shown(&[]) };
    assert_eq!(told(&at_now(&be(desired()), &verified(), &facts)), "rest: True Succeeded -", "one of the two is recorded");
}

/// A guid that someone wrote into the annotation.
#[test]
fn imported_guids() {
    let record = Record { guid: Some(guid(1)), guid_annotated: true, ..Record::default() };
    let others = Service { tenant: TenantId::parse(OTHER_TENANT).ok(), ..service(1) };
    let table = [
        ("this tenant's", view_by_guid(&service(1)), "keep adopted: False Progressing Reconciling"),
        ("another tenant's", ServicesView { by_guid: Some(others.into()), ..view(&[]) }, "stop: False Conflict Stalled"),
        ("of nothing, and the tenant has another", view(&[service(2)]), "stop: False Conflict Stalled"),
        ("of nothing", view(&[]), "stop: False DeletedExternally Stalled"),
    ];
    for (what, services, expected) in table {
        let decision = at_now(&be(desired()), &record, &Facts { services: known(services), ..empty_platform() });
        assert_eq!(told(&decision), expected, "{what}");
    }
}

/// L4: what status will say was read back.
#[test]
fn the_read_back() {
    let facts = shown(&[service(1)]);
    let decision = at_now(&be(desired()), &creating(NOW - secs(60)), &facts);
    let record = &decision.record;
    assert_eq!((record.guid, record.license.as_deref()), (Some(guid(1)), Some("OC Essential")));
    assert_eq!(record.operation.as_ref().and_then(|op| op.outcome), Some(Outcome::Succeeded));
    assert!(record.verified());
    // A service without a license is not finished; and while the task runs, no service is.
    let bare = shown(&[Service { license: None, ..service(1) }]);
    let decision = at_now(&be(desired()), &creating(NOW - secs(40)), &bare);
    assert_eq!((told(&decision).as_str(), &decision.record.license), ("wait: False Verifying Reconciling", &None));
    let running = Facts { task: known(Some(task(1, TaskState::Running))), ..shown(&[service(1)]) };
    assert_eq!(told(&at_now(&be(desired()), &converting(NOW - secs(60)), &running)), "wait: False Converting Reconciling");
}

/// A failed create is history once the service exists: its removal is not repaired automatically, and no list is read at rest.
#[test]
fn what_came_of_a_failed_create_counts_as_read_back() {
    for (outcome, ago) in [(Outcome::Failed, 10), (Outcome::Unknown, 7200)] {
        let decision = at_now(&be(desired()), &ended(outcome, NOW - secs(ago)), &shown(&[service(1)]));
        assert!(decision.record.verified(), "{outcome:?}");
    }
    let taken = Record { guid: Some(guid(1)), guid_annotated: true, intent: None, ..ended(Outcome::Refused, NOW - secs(7200)) };
    let decision = at_now(&be(desired()), &taken, &Facts { services: known(view_by_guid(&service(1))), ..shown(&[]) });
    assert!(decision.record.verified(), "taken over after a refusal");
    let gone = at(NOW, &be(desired()), &decision.record, &empty_platform());
    assert_eq!(told(&gone), "stop: False DeletedExternally Stalled");
}

/// Deleted on the platform by someone else: reported after a fresh list, and still in the next pass, although status has no license any more.
#[test]
fn drift() {
    let target = be(desired());
    let stale = Facts { services: Fact::Known { value: view(&[]), at: NOW - secs(300) }, ..empty_platform() };
    assert_eq!(short(&at_now(&target, &verified(), &stale).step), "look services");
    let first = at_now(&target, &verified(), &empty_platform());
    assert_eq!(told(&first), "stop: False DeletedExternally Stalled");
    assert_eq!((first.record.license.clone(), first.record.guid), (None, Some(guid(1))));
    let next = at(NOW + secs(600), &target, &first.record, &Facts { pass_started: NOW, retry_now: true, ..empty_platform() });
    assert_eq!((told(&next), &next.verdict.message), (told(&first), &first.verdict.message));
    let holes = Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    assert_eq!(told(&at_now(&target, &verified(), &holes)), "stop: False PlatformUnavailable Reconciling", "it may be among what can't be read");
    let again = at_now(&be(DesiredService { recreate: true, ..desired() }), &verified(), &empty_platform());
    assert_eq!(short(&again.step), "keep intent");
    assert_eq!((again.record.guid, again.record.license), (None, None));
}

/// Planned, not done: the plan names the service that is gone, and the object still represents it, so that without recreate none is created in its place.
#[test]
fn a_service_that_would_be_made_again() {
    let target = |mode, recreate| be(DesiredService { mode, recreate, ..desired() });
    let planned = at_now(&target(Mode::Plan, true), &verified(), &empty_platform());
    assert_eq!(told(&planned), "rest: False PlanReady -");
    let lines: Vec<_> = planned.plan.iter().map(|item| (item.field, item.from.clone(), item.to.is_some())).collect();
    let named = |field| (field, None, true);
    assert_eq!(
        lines,
        [("umpCustomerGuid", Some(guid(1).to_string()), false), named("msTenantId"), named("shortName"), named("fullName"), named("advancedSettings")]
    );
    assert_eq!((planned.record.guid, planned.record.license.clone()), (Some(guid(1)), None));
    let next = at_now(&target(Mode::Plan, true), &planned.record, &empty_platform());
    assert_eq!((&next.plan, &next.record), (&planned.plan, &planned.record), "the same is said again");
    assert_eq!(told(&at_now(&target(Mode::Apply, false), &planned.record, &empty_platform())), "stop: False DeletedExternally Stalled");
    assert_eq!(short(&at_now(&target(Mode::Apply, true), &planned.record, &empty_platform()).step), "keep intent");
    assert_eq!(told(&at_now(&target(Mode::Observe, true), &verified(), &empty_platform())), "stop: False DeletedExternally Stalled");
    let refused = Facts { leads: known_leads(vec![]), ..empty_platform() };
    let refused = at_now(&target(Mode::Plan, true), &verified(), &refused);
    assert_eq!((refused.verdict.reason, refused.plan.len(), refused.record.guid), (Reason::LeadNotFound, 0, Some(guid(1))));
}

/// Differences that are left as they are.
#[test]
fn differences_that_are_shown() {
    let table = [
        (Service { license: Some(LicenseType::OcPro), ..service(1) }, "OC Pro", "OC Pro; the operator leaves an upgrade unchanged"),
        (Service { full_name: Some("Contoso Nederland".into()), ..service(1) }, "OC Essential", "full name differs"),
        (Service { short_name: "Renamed".into(), ..service(1) }, "OC Essential", "OC Essential service"),
    ];
    for (service, license, words) in table {
        let decision = at_now(&be(desired()), &verified(), &Facts { services: known(view_by_guid(&service)), ..shown(&[]) });
        assert_eq!(told(&decision), "rest: True Succeeded -");
        assert_eq!(decision.record.license.as_deref(), Some(license));
        assert!(decision.verdict.message.contains(words), "{}", decision.verdict.message);
    }
}

/// At rest, any list of the inventory is good enough, however old, unless a reconcile is requested.
#[test]
fn at_rest_the_inventory_answers() {
    let old = |reconcile_requested| Facts {
        services: Fact::Known { value: view_by_guid(&service(1)), at: NOW - secs(590) },
        leads: Fact::Known { value: whole(vec![lead_with(1)]), at: NOW - secs(590) },
        reconcile_requested,
        ..facts()
    };
    assert_eq!(told(&at_now(&be(desired()), &verified(), &old(false))), "rest: True Succeeded -");
    assert_eq!(short(&at_now(&be(desired()), &verified(), &old(true)).step), "look services");
}

/// Status was lost: annotation and tenant restore it, and no second service is created.
#[test]
fn status_lost() {
    let table = [
        ("the intent remains", creating(NOW - secs(90_000)), view(&[service(1)])),
        ("the guid remains", Record { finalizer: true, guid: Some(guid(1)), guid_annotated: true, ..Record::default() }, view_by_guid(&service(1))),
    ];
    for (what, record, services) in table {
        let decision = at_now(&be(desired()), &record, &Facts { services: known(services), ..shown(&[]) });
        assert_eq!(told(&decision), "rest: True Succeeded -", "{what}");
        assert_eq!(decision.record.license.as_deref(), Some("OC Essential"), "{what}");
    }
}

#[test]
fn a_rival_keeps_what_it_has() {
    let rival = Some("OcEssentialService a/b (same tenant)".to_owned());
    let decision = at_now(&be(DesiredService { rival, ..desired() }), &Record::default(), &empty_platform());
    assert_eq!(told(&decision), "stop: False Conflict Stalled");
    assert!(matches!(be(desired()), ServiceTarget::Present(_)));
}

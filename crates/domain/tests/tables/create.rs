//! The way to a service: eligibility, the request, the task, and what follows a failure.

use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::decision::{ChangeResult, Mark, Step};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, LeadsView, ServicesView};
use oc_domain::memory::PassMemory;
use oc_domain::model::{LcCustomer, LcCustomerAnswer, Lead, MicrosoftStatus, Service, TaskState};
use oc_domain::names::TenantId;
use oc_domain::pass::Pass;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::requests::ServiceParameters;
use oc_domain::service::{self, Deletion, DesiredService, Mode, ServiceTarget};
use oc_domain::timing;

use crate::common::*;
use crate::{at, at_now, short, told};

/// A new object goes from the outside in, one step at a time.
#[test]
fn a_first_create_step_by_step() {
    let target = be(desired());
    let (mut record, mut facts) = (Record::default(), facts());
    let mut steps = Vec::new();
    for _ in 0..6 {
        let decision = at_now(&target, &record, &facts);
        steps.push(told(&decision));
        record = decision.record;
        match decision.step {
            Step::Observe(oc_domain::decision::Query::Services, _) => facts.services = known(view(&[])),
            Step::Observe(_, _) => facts.leads = known_leads(vec![lead()]),
            Step::PatchMetadata(Mark::RecordIntent { kind, start, tenant: whose, .. }) => {
                assert_eq!(whose, Some(tenant()), "the intent says for whom it is");
                assert_eq!(start, NOW.whole_second(), "what is written has no milliseconds");
                record = Record { finalizer: true, intent: Some(intent(kind, start, Sent::No)), ..record };
            }
            Step::Execute(change) => {
                assert_eq!(change, create());
                facts.answer = Some(ChangeResult::Accepted(task_id(1)));
            }
            _ => break,
        }
    }
    let expected = [
        "look services: False Progressing Reconciling",
        "look leads: False Progressing Reconciling",
        "keep intent: False Converting Reconciling",
        "ask create: False Converting Reconciling",
        "wait: False Converting Reconciling",
    ];
    assert_eq!(steps, expected);
    let operation = record.operation.expect("an operation");
    assert_eq!((operation.task, operation.outcome), (Some(task_id(1)), None));
}

/// A list that is a few seconds old is good enough for the checks. The intent needs one of this pass, so that nothing is read between it and the request.
#[test]
fn how_new_the_list_must_be() {
    let age = |seconds| Facts { services: Fact::Known { value: view(&[]), at: NOW - secs(seconds) }, leads: known_leads(vec![lead()]), ..facts() };
    let recorded = Record { finalizer: true, intent: Some(intent(OperationKind::Create, NOW, Sent::No)), ..Record::default() };
    let table = [
        (Record::default(), 0, "keep intent"),
        (Record::default(), 5, "look services"),
        (Record::default(), 11, "look services"),
        (recorded.clone(), 5, "look services"),
        (recorded, 0, "ask create"),
        (creating(NOW - secs(60)), 1, "look services"),
    ];
    for (record, seconds, expected) in table {
        assert_eq!(short(&at_now(&be(desired()), &record, &age(seconds)).step), expected, "{seconds} s old, {record:?}");
    }
}

/// People apply an object right after creating what it needs, so only a list of this pass may say no.
#[test]
fn no_is_said_by_a_list_of_this_pass() {
    let age = |seconds, services: &[Service], leads| Facts {
        services: Fact::Known { value: ServicesView { by_tenant: vec![], ..view(services) }, at: NOW - secs(seconds) },
        leads: Fact::Known { value: whole(leads), at: NOW - secs(seconds) },
        ..facts()
    };
    let taken = ServicesView { by_name: vec![other_tenants("CONTOSO_NL").into()], ..view(&[]) };
    let named = |seconds| Facts { services: Fact::Known { value: taken.clone(), at: NOW - secs(seconds) }, ..age(seconds, &[], vec![lead()]) };
    let suspended = || vec![Lead { status: MicrosoftStatus::Suspended, ..lead() }];
    let table = [
        ("no lead", age(5, &[], vec![]), "look leads", age(0, &[], vec![]), "LeadNotFound"),
        ("suspended", age(5, &[], suspended()), "look leads", age(0, &[], suspended()), "LeadNotActive"),
        ("the name is taken", named(5), "look services", named(0), "ShortNameTaken"),
    ];
    for (what, old, looks, new, reason) in table {
        assert_eq!(short(&at_now(&be(desired()), &Record::default(), &old).step), looks, "{what}");
        let said = at_now(&be(desired()), &Record::default(), &new);
        assert_eq!((short(&said.step), said.verdict.reason.to_string().as_str()), ("stop", reason), "{what}");
    }
}

type Case = (&'static str, fn(&mut DesiredService, &mut Facts), &'static str);

fn other_tenants(short_name: &str) -> Service {
    Service { tenant: TenantId::parse(OTHER_TENANT).ok(), short_name: short_name.into(), ..service(9) }
}

fn leads(change: impl FnOnce(&mut Lead)) -> Fact<LeadsView> {
    let mut lead = lead();
    change(&mut lead);
    known_leads(vec![lead])
}

/// Each check alone can say no.
#[test]
fn eligibility() {
    let table: [Case; 17] = [
        ("nothing against it", |_, _| {}, "keep intent: False Converting Reconciling"),
        ("a reference is missing", |d, _| d.missing = Some(Trouble::new(Reason::LeadNotFound, "There is no Lead x.")), "stop: False LeadNotFound Stalled"),
        (
            "the short name is taken",
            |_, f| f.services = known(ServicesView { by_name: vec![other_tenants("Contoso_NL").into()], ..view(&[]) }),
            "stop: False ShortNameTaken Stalled",
        ),
        ("the list has holes", |_, f| f.services = known(ServicesView { complete: false, ..view(&[]) }), "stop: False PlatformRefused Stalled"),
        ("no lead", |_, f| f.leads = known_leads(vec![]), "stop: False LeadNotFound Stalled"),
        ("suspended", |_, f| f.leads = leads(|l| l.status = MicrosoftStatus::Suspended), "stop: False LeadNotActive Stalled"),
        ("removed", |_, f| f.leads = leads(|l| l.status = MicrosoftStatus::Removed), "stop: False LeadNotActive Stalled"),
        ("not active", |_, f| f.leads = leads(|l| l.status = MicrosoftStatus::NotActive), "stop: False LeadNotActive Stalled"),
        ("a status nobody knows", |_, f| f.leads = leads(|l| l.status = MicrosoftStatus::Other("Pending".into())), "stop: False LeadNotActive Stalled"),
        ("licensed", |_, f| f.leads = known_leads(vec![lead_with(7)]), "stop: False AlreadyLicensed Stalled"),
        ("another channel", |d, f| (d.parameters.channel, f.leads) = (Some(5), leads(|l| l.channel = Some(6))), "stop: False ChannelMismatch Stalled"),
        ("the same channel", |d, f| (d.parameters.channel, f.leads) = (Some(5), leads(|l| l.channel = Some(5))), "keep intent: False Converting Reconciling"),
        ("a channel for a lead without one", |d, _| d.parameters.channel = Some(5), "keep intent: False Converting Reconciling"),
        ("an LC customer, not read", |d, _| d.parameters.lc_customer = Some(4711), "look lc customer: False Progressing Reconciling"),
        (
            "an LC customer that can't be read",
            |d, f| (d.parameters.lc_customer, f.lc_customer) = (Some(4711), Fact::Unreadable(away())),
            "wait: False PlatformUnavailable Reconciling",
        ),
        ("leads that can't be read", |_, f| f.leads = Fact::Unreadable(away()), "wait: False PlatformUnavailable Reconciling"),
        ("a list that can't be read", |_, f| f.services = Fact::Unreadable(away()), "wait: False PlatformUnavailable Reconciling"),
    ];
    for (what, change, expected) in table {
        let (mut desired, mut facts) = (desired(), empty_platform());
        change(&mut desired, &mut facts);
        assert_eq!(told(&at_now(&be(desired), &Record::default(), &facts)), expected, "{what}");
    }
}

/// S4: only the customers of the lead's channel, as far as the release can tell.
#[test]
fn lc_customers() {
    let customer = |channel| LcCustomerAnswer::Found(LcCustomer { id: 4711, name: None, channel });
    let go = "keep intent: False Converting Reconciling";
    let mismatch = "stop: False ChannelMismatch Stalled";
    let table = [
        ("the release can't read them", Some(5), None, LcCustomerAnswer::NoSuchCall, go),
        ("there is none of that id", None, None, LcCustomerAnswer::NotFound, "stop: False InvalidSpec Stalled"),
        ("the lead's channel", None, Some(5), customer(Some(5)), go),
        ("another than the lead's", None, Some(5), customer(Some(6)), mismatch),
        ("in none, the lead in one", None, Some(5), customer(None), mismatch),
        ("another than the spec's", Some(5), None, customer(Some(6)), mismatch),
        ("the spec's", Some(5), None, customer(Some(5)), go),
        ("no channel anywhere", None, None, customer(None), go),
        ("a lead without a channel", None, None, customer(Some(6)), go),
    ];
    for (what, wanted, leads_channel, read, expected) in table {
        let desired = DesiredService { parameters: ServiceParameters { lc_customer: Some(4711), channel: wanted, ..parameters() }, ..desired() };
        let facts = Facts { leads: leads(|lead| lead.channel = leads_channel), lc_customer: known(read), ..empty_platform() };
        assert_eq!(told(&at_now(&be(desired), &Record::default(), &facts)), expected, "{what}");
    }
}

/// When several things are wrong, people see the first: platform, rival, references, short name, lead, channel, customer.
#[test]
fn the_order_of_the_checks() {
    let parameters = ServiceParameters { channel: Some(5), lc_customer: Some(4711), ..parameters() };
    let mut desired = DesiredService { parameters, rival: Some("OcEssentialService a/b (same tenant)".into()), ..desired() };
    desired.missing = Some(Trouble::new(Reason::LeadNotFound, "There is no Lead x."));
    let mut facts = Facts {
        connection: PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "There is no LivePlatform default.")),
        services: known(ServicesView { by_name: vec![other_tenants("CONTOSO_nl").into()], ..view(&[]) }),
        leads: leads(|lead| (lead.status, lead.service, lead.channel) = (MicrosoftStatus::Removed, Some(guid(7)), Some(6))),
        lc_customer: known(LcCustomerAnswer::NotFound),
        ..facts()
    };
    let mut order = Vec::new();
    for turn in 0..8 {
        order.push(at_now(&be(desired.clone()), &Record::default(), &facts).verdict.reason.to_string());
        match turn {
            0 => facts.connection = PlatformAccess::Usable(Policy::default()),
            1 => desired.rival = None,
            2 => desired.missing = None,
            3 => facts.services = known(view(&[])),
            4 => facts.leads = leads(|lead| (lead.service, lead.channel) = (Some(guid(7)), Some(6))),
            5 => facts.leads = leads(|lead| lead.channel = Some(6)),
            _ => facts.leads = leads(|lead| lead.channel = Some(5)),
        }
    }
    let expected = ["PlatformNotFound", "Conflict", "LeadNotFound", "ShortNameTaken", "LeadNotActive", "AlreadyLicensed", "ChannelMismatch", "InvalidSpec"];
    assert_eq!(order, expected);
}

/// A refusal shows the lead's state in a separate condition.
#[test]
fn the_lead_eligible_condition() {
    let eligible = |leads| at_now(&be(desired()), &Record::default(), &Facts { leads, ..empty_platform() }).verdict.lead_eligible.map(|told| (told.0, told.1));
    assert_eq!(eligible(known_leads(vec![lead()])), Some((ConditionStatus::True, Reason::Succeeded)));
    assert_eq!(eligible(leads(|lead| lead.status = MicrosoftStatus::Suspended)), Some((ConditionStatus::False, Reason::LeadNotActive)));
    assert_eq!(eligible(known_leads(vec![])), Some((ConditionStatus::False, Reason::LeadNotFound)));
}

/// A missing lead is reported only when that is proven; an existing lead needs no proof.
#[test]
fn no_lead_must_be_proven() {
    let with = |leads, complete, read| Facts { leads: known(LeadsView { leads, complete, read }), ..empty_platform() };
    let table = [
        ("none in a whole list", with(vec![], true, LeadsRead::AtOnce), "stop LeadNotFound"),
        ("none in a list of many pages", with(vec![], true, LeadsRead::InPages), "look leads of tenant Progressing"),
        ("none in a list with holes", with(vec![], false, LeadsRead::AtOnce), "look leads of tenant Progressing"),
        ("none by the single read", with(vec![], true, LeadsRead::OfTenant), "stop LeadNotFound"),
        ("holes in the single read", with(vec![], false, LeadsRead::OfTenant), "stop PlatformUnavailable"),
        ("found by the single read", with(vec![lead().into()], true, LeadsRead::OfTenant), "keep intent Converting"),
        ("in a list of many pages", with(vec![lead().into()], true, LeadsRead::InPages), "keep intent Converting"),
    ];
    for (what, facts, expected) in table {
        let decision = at_now(&be(desired()), &Record::default(), &facts);
        assert_eq!(format!("{} {}", short(&decision.step), decision.verdict.reason), expected, "{what}");
    }
}

/// Of two leads for one tenant the consented one counts (one tenant can own two).
#[test]
fn the_consented_lead_counts() {
    let consentless = Lead { consentless: true, service: Some(guid(7)), ..lead() };
    let facts = Facts { leads: known_leads(vec![consentless, lead()]), ..empty_platform() };
    assert_eq!(short(&at_now(&be(desired()), &Record::default(), &facts).step), "keep intent");
}

/// Objects applied together arrive in any order: a missing one is waited for, for a minute.
#[test]
fn young_objects_are_not_stalled() {
    let no_platform = || PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "There is no LivePlatform default."));
    let young = |facts: Facts| Facts { object_created: NOW - secs(20), ..facts };
    let missing = DesiredService { missing: Some(Trouble::new(Reason::LeadNotFound, "There is no Lead x.")), ..desired() };
    let table = [
        ("no platform object", be(desired()), Facts { connection: no_platform(), ..facts() }, "wait: False PlatformNotFound Reconciling"),
        ("no Lead object", be(missing), empty_platform(), "wait: False LeadNotFound Reconciling"),
        ("no lead on the platform", be(desired()), Facts { leads: known_leads(vec![]), ..empty_platform() }, "wait: False LeadNotFound Reconciling"),
        ("an unclear spec", ServiceTarget::Invalid(Trouble::new(Reason::LeadNotFound, "There is no Lead x.")), facts(), "wait: False LeadNotFound Reconciling"),
        (
            "a spec that breaks a rule",
            ServiceTarget::Invalid(Trouble::new(Reason::InvalidSpec, "spec.shortName must not contain a dot.")),
            facts(),
            "stop: False InvalidSpec Stalled",
        ),
    ];
    for (what, target, facts, expected) in table {
        let decision = at_now(&target, &Record::default(), &young(facts.clone()));
        assert_eq!(told(&decision), expected, "{what}");
        if let Step::Wait(until, _) = decision.step {
            assert_eq!(until, NOW + secs(40), "{what}: until it is a minute old");
        }
        assert!(told(&at_now(&target, &Record::default(), &facts)).starts_with("stop"), "{what}, an hour later");
    }
}

/// An object in a namespace that may not use the platform is reconciled again at the given time. While access is unknown, nothing is requested, and what is
/// Ready stays so.
#[test]
fn a_platform_that_is_not_for_this_namespace() {
    let refused = Trouble { retry_after: Some(secs(60)), ..Trouble::new(Reason::NamespaceNotAllowed, "x") };
    let facts = Facts { connection: PlatformAccess::Unusable(refused), ..empty_platform() };
    let decision = at_now(&be(desired()), &verified(), &facts);
    assert_eq!((told(&decision).as_str(), decision.step), ("stop: False NamespaceNotAllowed Stalled", Step::Blocked(NOW + secs(60))));
    let unknown = |settled| Facts {
        connection: PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, "x")),
        ready_at_generation: settled,
        ..empty_platform()
    };
    let new = at_now(&be(desired()), &Record::default(), &unknown(false));
    assert_eq!((told(&new).as_str(), new.hold), ("wait: False ProgressingWithRetry Reconciling", false));
    let ready = at_now(&be(desired()), &verified(), &unknown(true));
    assert_eq!((short(&ready.step), ready.hold, ready.record), ("wait", true, verified()));
    let gone = |policy| {
        let deletion = Deletion { policy, tenant: Some(tenant()), short_name: None, suspended: false, guard_numbers: true, owned_by_others: Vec::new() };
        short(&at_now(&ServiceTarget::Absent(deletion), &verified(), &unknown(true)).step)
    };
    assert_eq!((gone(DeletionPolicy::Retain), gone(DeletionPolicy::Delete)), ("release", "wait"));
}

/// Plan says what would be done, Observe only reads: neither writes metadata nor requests a change, whatever exists.
#[test]
fn plan_and_observe_change_nothing() {
    let there = Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead_with(1)]), ..facts() };
    let with_guid = Facts { services: known(view_by_guid(&service(1))), ..there.clone() };
    let worlds = [
        ("nothing", empty_platform()),
        ("a service", there),
        ("its service", with_guid),
        ("a hole", Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() }),
    ];
    let records = [
        Record::default(),
        creating(NOW - secs(60)),
        creating(NOW - secs(3600)),
        converting(NOW - secs(60)),
        verified(),
        ended(Outcome::Failed, NOW - secs(7200)),
        Record { finalizer: false, ..verified() },
    ];
    for mode in [Mode::Plan, Mode::Observe] {
        for recreate in [false, true] {
            for (what, facts) in &worlds {
                for record in &records {
                    for task in [Fact::Unread, known(None), known(Some(task(1, TaskState::Succeeded))), known(Some(task(1, TaskState::Failed)))] {
                        let facts = Facts { task, ..facts.clone() };
                        let step = at_now(&be(DesiredService { mode, recreate, ..desired() }), record, &facts).step;
                        assert!(!matches!(step, Step::PatchMetadata(_) | Step::Execute(_)), "{mode:?}, {what}, {record:?}: {step:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_a_plan_says() {
    let desired = DesiredService { mode: Mode::Plan, parameters: ServiceParameters { channel: Some(1574), ..by(true) }, ..desired() };
    let decision = at_now(&be(desired), &Record::default(), &empty_platform());
    assert_eq!((short(&decision.step), decision.verdict.reason), ("rest", Reason::PlanReady));
    let lines: Vec<_> = decision.plan.iter().map(|item| (item.action, item.field, item.to.as_deref().unwrap_or("-"))).collect();
    let expected = [
        ("Create", "msTenantId", TENANT),
        ("Create", "shortName", "Contoso_NL"),
        ("Create", "fullName", "Contoso Netherlands B.V."),
        ("Create", "channelId", "1574"),
        ("Create", "advancedSettings", "SIP connection by IP group"),
    ];
    assert_eq!(lines, expected);
    let facts = Facts { services: known(view(&[service(1)])), ..empty_platform() };
    let decision = at_now(&be(DesiredService { mode: Mode::Plan, ..crate::common::desired() }), &Record::default(), &facts);
    assert_eq!(decision.plan.iter().map(|item| (item.action, item.to.clone())).collect::<Vec<_>>(), [("Adopt", Some(guid(1).to_string()))]);
    let observed = at_now(&be(DesiredService { mode: Mode::Observe, ..crate::common::desired() }), &Record::default(), &empty_platform());
    assert_eq!(told(&observed), "rest: False Observing -");
}

/// The result of the request, in the pass that sent it.
#[test]
fn the_answer_to_a_create() {
    let refused = Trouble::new(Reason::ShortNameTaken, "shortName is already in use");
    let throttled = Trouble { retry_after: Some(secs(30)), ..Trouble::new(Reason::Throttled, "The platform asks for patience.") };
    let table = [
        ("a task", ChangeResult::Accepted(task_id(1)), "wait: False Converting Reconciling", 1, None),
        ("lost", ChangeResult::Unknown(away()), "wait: False Verifying Reconciling", 2, None),
        ("not sent", ChangeResult::NotSent(away()), "wait: False PlatformUnavailable Reconciling", 1, None),
        // Its intent will be too old by then, so the record says that it was never sent.
        ("throttled", ChangeResult::NotSent(throttled), "wait: False Throttled Reconciling", 30, Some(Outcome::Unknown)),
        ("refused", ChangeResult::Rejected(refused), "stop: False ShortNameTaken Stalled", 3600, Some(Outcome::Refused)),
    ];
    let sent = Record { finalizer: true, intent: Some(intent(OperationKind::Create, NOW, Sent::No)), ..Record::default() };
    for (what, answer, expected, seconds, outcome) in table {
        // Also in a pass that a new spec caused: what failed is not tried again in it.
        for retry_now in [false, true] {
            let decision = at_now(&be(desired()), &sent, &Facts { answer: Some(answer.clone()), retry_now, ..empty_platform() });
            assert_eq!(told(&decision), expected, "{what}");
            let (Step::Wait(until, _) | Step::Blocked(until)) = decision.step else { panic!("{what}: the pass goes on") };
            assert!(until.since(NOW) <= secs(seconds) && until.since(NOW) + secs(1) >= secs(seconds), "{what}: {:?}", until.since(NOW));
            assert_eq!(decision.record.operation.and_then(|op| op.outcome), outcome, "{what}");
        }
    }
}

/// A request whose answer was lost is looked for during the grace, and only then requested again, under a new intent.
#[test]
fn the_grace() {
    let table = [
        (Sent::Maybe, 5, "wait: False Verifying Reconciling"),
        (Sent::Maybe, 899, "wait: False Verifying Reconciling"),
        (Sent::Maybe, 901, "keep intent: False Converting Reconciling"),
        (Sent::No, 5, "ask create: False Converting Reconciling"),
        (Sent::No, 29, "ask create: False Converting Reconciling"),
        // Delayed so long that its grace could be over before it leaves: a new intent, and with it a whole grace.
        (Sent::No, 40, "keep intent: False Converting Reconciling"),
        (Sent::No, 3600, "keep intent: False Converting Reconciling"),
    ];
    for (sent, seconds, expected) in table {
        let record = Record { intent: Some(Intent { sent, ..intent(OperationKind::Create, NOW - secs(seconds), sent) }), ..creating(NOW) };
        assert_eq!(told(&at_now(&be(desired()), &record, &empty_platform())), expected, "{sent:?} for {seconds} s");
    }
    let over = creating(NOW - secs(901));
    let holes = Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    let decision = at_now(&be(desired()), &over, &holes);
    assert_eq!(told(&decision), "stop: False PlatformRefused Stalled");
    assert!(decision.record.open_intent().is_some(), "what may be among unreadable entries has not failed to appear");
}

/// The task, from its beginning to each of its ends.
#[test]
fn tasks() {
    let running = || known(Some(task(1, TaskState::Running)));
    let succeeded = || known(Some(task(1, TaskState::Succeeded)));
    let table: [(&str, u64, Fact<Option<oc_domain::model::Task>>, &str); 10] = [
        ("not looked at", 60, Fact::Unread, "look task: False Converting Reconciling"),
        ("running", 60, running(), "wait: False Converting Reconciling"),
        ("running for long, within the deadline", 7190, running(), "wait: False Converting Reconciling"),
        ("over its deadline", 7300, running(), "stop: False TaskFailed Stalled"),
        ("succeeded, the list lags", 60, succeeded(), "wait: False Verifying Reconciling"),
        ("succeeded just now, longer than the deadline after its beginning", 7300, succeeded(), "wait: False Verifying Reconciling"),
        ("failed", 60, known(Some(task(1, TaskState::Failed))), "stop: False TaskFailed Stalled"),
        ("unknown to the platform, in the grace", 60, known(None), "wait: False Verifying Reconciling"),
        ("unknown to the platform, after the grace", 901, known(None), "keep intent: False Converting Reconciling"),
        ("can't be read", 60, Fact::Unreadable(away()), "wait: False PlatformUnavailable Reconciling"),
    ];
    for (what, seconds, seen, expected) in table {
        let facts = Facts { task: seen, ..empty_platform() };
        let decision = at_now(&be(desired()), &converting(NOW - secs(seconds)), &facts);
        assert_eq!(told(&decision), expected, "{what}");
    }
    // `taskDeadline` for "the service must appear" counts from the end that was seen. Once a task was seen to end, no second create is requested, whether the
    // platform still knows the task or not.
    let table = [
        ("succeeded", succeeded(), 7199, "wait: False Verifying Reconciling"),
        ("succeeded", succeeded(), 7201, "stop: False TaskFailed Stalled"),
        ("forgotten by the platform", known(None), 7199, "wait: False Verifying Reconciling"),
        ("forgotten by the platform", known(None), 7201, "stop: False TaskFailed Stalled"),
    ];
    for (what, seen, ago, expected) in table {
        let facts = Facts { task: seen, ..empty_platform() };
        assert_eq!(told(&at_now(&be(desired()), &converted(NOW - secs(30_000), ago), &facts)), expected, "{what}, {ago} s ago");
    }
    // An end that another writer has left from an earlier operation counts no more than such an outcome.
    let decision = at_now(&be(desired()), &converted(NOW - secs(60), 90), &Facts { task: succeeded(), ..empty_platform() });
    assert_eq!(decision.record.operation.and_then(|op| op.task_ended), Some(NOW.whole_second()));
}

/// A task that stays unreadable past its deadline blocks no object that has the service, and allows no second request.
#[test]
fn a_task_that_stays_unreadable() {
    let unread = |facts: Facts| Facts { task: Fact::Unreadable(away()), ..facts };
    let shown = || unread(Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead_with(1)]), ..facts() });
    let gone = crate::delete::gone;
    let away = "wait: False PlatformUnavailable Reconciling";
    let table = [
        ("it shows, within the deadline", be(desired()), 7100, shown(), away),
        ("it shows, after it", be(desired()), 7300, shown(), "rest: True Succeeded -"),
        ("it does not show, after it", be(desired()), 7300, unread(empty_platform()), away),
        ("retained, within the deadline", gone(DeletionPolicy::Retain), 7100, shown(), away),
        ("retained, after it", gone(DeletionPolicy::Retain), 7300, shown(), "release: False Deleting Reconciling"),
        ("to be deleted, after it", gone(DeletionPolicy::Delete), 7300, shown(), "keep intent: False Deleting Reconciling"),
        ("retained, and it does not show", gone(DeletionPolicy::Retain), 7300, unread(empty_platform()), "release: False Deleting Reconciling"),
        ("to be deleted, and it does not show: the task may still run", gone(DeletionPolicy::Delete), 7300, unread(empty_platform()), away),
    ];
    for (what, target, age, facts, expected) in table {
        assert_eq!(told(&at_now(&target, &converting(NOW - secs(age)), &facts)), expected, "{what}");
    }
}

/// A backup made in the middle of a deletion brings its intent along when restored. Nothing gets stuck.
#[test]
fn a_deletion_that_never_came_about() {
    let intent = Intent { id: OperationId("op-2".into()), ..intent(OperationKind::Delete, NOW - secs(90_000), Sent::Maybe) };
    let restored = Record { finalizer: true, intent: Some(intent), guid: Some(guid(1)), guid_annotated: true, ..Record::default() };
    let again = DesiredService { recreate: true, ..desired() };
    let mut pass = Pass::begin(restored, empty_platform(), &PassMemory::default());
    let decision = pass.next(NOW, |now, record, facts| service::decide(now, &be(again.clone()), record, facts));
    assert_eq!((told(&decision).as_str(), pass.bug), ("keep intent: False Converting Reconciling", None));
}

/// A task that succeeded, or ended with an unknown status, and whose service never showed: the create is not requested again, whatever spec.recreate says. That
/// field is for a service that was seen, and lists can lag behind their tasks by more than any deadline.
#[test]
fn recreate_after_a_task_whose_service_never_showed() {
    let succeeded = |facts: Facts| Facts { task: known(Some(task(1, TaskState::Succeeded))), ..facts };
    let ended_somehow = |facts: Facts| Facts { task: known(Some(task(1, TaskState::Ended))), ..facts };
    let holes = Facts { services: known(ServicesView { complete: false, ..view(&[]) }), ..empty_platform() };
    let shown = Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead_with(1)]), ..facts() };
    let table = [
        ("before the deadline", true, 7199, succeeded(empty_platform()), "wait: False Verifying Reconciling"),
        ("after it", true, 7201, succeeded(empty_platform()), "stop: False TaskFailed Stalled"),
        ("a day after it", true, 86_400, succeeded(empty_platform()), "stop: False TaskFailed Stalled"),
        ("an unknown last word", true, 60, ended_somehow(empty_platform()), "wait: False Verifying Reconciling"),
        ("an unknown last word, a day ago", true, 86_400, ended_somehow(empty_platform()), "stop: False TaskFailed Stalled"),
        ("an unknown last word, and it shows", true, 86_400, ended_somehow(shown.clone()), "rest: True Succeeded -"),
        ("after it, not wanted", false, 7201, succeeded(empty_platform()), "stop: False TaskFailed Stalled"),
        ("after it, the task not looked at", true, 7201, empty_platform(), "look task: False Converting Reconciling"),
        ("after it, the list has holes", true, 7201, succeeded(holes), "stop: False TaskFailed Stalled"),
        (
            "after it, the task still runs",
            true,
            7201,
            Facts { task: known(Some(task(1, TaskState::Running))), ..empty_platform() },
            "stop: False TaskFailed Stalled",
        ),
        ("after it, and it shows", true, 7201, succeeded(shown), "rest: True Succeeded -"),
    ];
    for (what, recreate, age, facts, expected) in table {
        let decision = at_now(&be(DesiredService { recreate, ..desired() }), &converted(NOW - secs(100_000), age), &facts);
        assert_eq!(told(&decision), expected, "{what}");
        assert!(!decision.verdict.message.contains("spec.recreate"), "{what}: {}", decision.verdict.message);
    }
}

/// While the task runs, the operator reads the task, not the list: any list is good enough.
#[test]
fn a_running_task_asks_for_no_new_list() {
    let old = Fact::Known { value: view(&[]), at: NOW - secs(500) };
    let facts = Facts { services: old, task: known(Some(task(1, TaskState::Running))), ..facts() };
    assert_eq!(short(&at_now(&be(desired()), &converting(NOW - secs(60)), &facts).step), "wait");
    let facts = Facts { task: known(Some(task(1, TaskState::Succeeded))), ..facts };
    assert_eq!(short(&at_now(&be(desired()), &converting(NOW - secs(60)), &facts).step), "look services");
}

/// The task's own words reach the record, and the condition when it fails.
#[test]
fn the_words_of_the_task() {
    let facts = Facts { task: known(Some(task(1, TaskState::Failed))), ..empty_platform() };
    let decision = at_now(&be(desired()), &converting(NOW - secs(60)), &facts);
    assert!(decision.verdict.message.contains("the script ended badly"), "{}", decision.verdict.message);
    let operation = decision.record.operation.expect("an operation");
    assert_eq!((operation.outcome, operation.task_status.as_deref(), operation.messages.len()), (Some(Outcome::Failed), Some("Failed"), 1));
    assert_eq!(operation.completed, Some(NOW.whole_second()));
}

/// A failed request is retried hourly, or once on request; never in the pass in which it failed.
#[test]
fn after_a_failure() {
    let failed_now = Facts { task: known(Some(task(1, TaskState::Failed))), ..empty_platform() };
    let table = [
        ("in the pass in which the task failed", converting(NOW - secs(60)), Facts { retry_now: false, ..failed_now.clone() }, "stop"),
        ("in that pass, with a new spec", converting(NOW - secs(60)), Facts { retry_now: true, ..failed_now }, "stop"),
        ("a minute later", ended(Outcome::Failed, NOW - secs(60)), empty_platform(), "stop"),
        ("a minute later, with a new spec", ended(Outcome::Failed, NOW - secs(60)), Facts { retry_now: true, ..empty_platform() }, "keep intent"),
        ("an hour later", ended(Outcome::Failed, NOW - secs(3601)), empty_platform(), "keep intent"),
        ("refused, a minute later", ended(Outcome::Refused, NOW - secs(60)), empty_platform(), "stop"),
        ("refused, with a new spec", ended(Outcome::Refused, NOW - secs(60)), Facts { retry_now: true, ..empty_platform() }, "keep intent"),
        ("refused, an hour later", ended(Outcome::Refused, NOW - secs(3601)), empty_platform(), "keep intent"),
        ("unknown", ended(Outcome::Unknown, NOW - secs(60)), empty_platform(), "keep intent"),
    ];
    for (what, record, facts, expected) in table {
        assert_eq!(short(&at_now(&be(desired()), &record, &facts).step), expected, "{what}");
    }
}

#[test]
fn the_platforms_words_end_as_a_sentence() {
    for (said, expected) in [("It broke", "failed: It broke. The operator tries"), ("It broke.", "failed: It broke. The operator tries")] {
        let mut record = ended(Outcome::Failed, NOW - secs(60));
        if let Some(operation) = record.operation.as_mut() {
            operation.messages = [said.into()].into();
        }
        let message = at_now(&be(desired()), &record, &empty_platform()).verdict.message;
        assert!(message.contains(expected), "{message}");
    }
}

/// Only once: the same pass goes on with the new request, fails again, and stops, though status has not observed the spec yet.
#[test]
fn a_new_spec_is_tried_once() {
    let target = be(desired());
    let facts = Facts { retry_now: true, ..empty_platform() };
    let before = ended(Outcome::Refused, NOW - secs(60));
    let decision = at_now(&target, &before, &facts);
    assert_eq!(short(&decision.step), "keep intent");
    let again = Intent { id: OperationId("op-2".into()), ..intent(OperationKind::Create, NOW, Sent::No) };
    let record = Record { intent: Some(again), ..decision.record };
    let decision = at_now(&target, &record, &facts);
    assert_eq!(short(&decision.step), "ask create");
    let answer = Some(ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "No, still.")));
    let decision = at_now(&target, &decision.record, &Facts { answer, ..facts });
    assert_eq!(told(&decision), "stop: False PlatformRefused Stalled");
    // Status is written, and with it the generation: the next pass waits, and says the same.
    let later = at(NOW + secs(5), &target, &decision.record, &Facts { pass_started: NOW, ..empty_platform() });
    assert_eq!((told(&later), &later.verdict.message), (told(&decision), &decision.verdict.message));
    assert_eq!(later.step, Step::Blocked(NOW.whole_second() + timing::SLOW_RETRY));
}

/// Ready stays what it was while the platform cannot be read; all objects report a refused credential.
#[test]
fn a_platform_that_cannot_be_read() {
    let broken = |reason| Fact::Unreadable(Trouble::new(reason, "It can't be read."));
    let table = [
        (true, Reason::PlatformUnavailable, true),
        (true, Reason::Throttled, true),
        (true, Reason::AuthenticationFailed, false),
        (false, Reason::PlatformUnavailable, false),
    ];
    for (settled, reason, hold) in table {
        let facts = Facts { services: broken(reason), ready_at_generation: settled, ..facts() };
        let decision = at_now(&be(desired()), &verified(), &facts);
        assert_eq!((short(&decision.step), decision.hold, decision.verdict.reason), ("wait", hold, reason), "settled: {settled}");
    }
}

#[test]
fn suspended_objects_are_left_alone() {
    let decision = at_now(&ServiceTarget::Suspended, &creating(NOW - secs(60)), &facts());
    assert_eq!(told(&decision), "rest: False Suspended -");
}

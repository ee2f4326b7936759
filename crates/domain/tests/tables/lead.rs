//! A `Lead`: observed, created without consent, released.

use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Step};
use oc_domain::eligibility::{lead_that_counts, other_leads};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, LeadsView, ServicesView};
use oc_domain::lead::{DesiredLead, LeadTarget, decide};
use oc_domain::model::{ChannelAnswer, Lead, LicenseType, MicrosoftStatus, Service};
use oc_domain::names::LeadId;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{OperationKind, Outcome, Record, Sent};

use crate::common::*;
use crate::{says, short};

pub(crate) fn wanted() -> DesiredLead {
    DesiredLead { tenant: tenant(), consentless: None, channel: None, deletion_policy: DeletionPolicy::Retain, rival: None, served: false }
}

fn consentless() -> DesiredLead {
    DesiredLead { consentless: company(true), ..wanted() }
}

pub(crate) fn shown(lead: Lead) -> Facts {
    Facts { leads: known_leads(vec![lead]), services: known(view(&[])), channel: known(ChannelAnswer::Found), ..facts() }
}

fn none() -> Facts {
    Facts { leads: known_leads(vec![]), services: known(view(&[])), ..facts() }
}

pub(crate) fn run(target: &LeadTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(NOW, target, record, facts);
    assert_eq!(decision, decide(NOW, target, record, facts));
    decision
}

pub(crate) fn told(decision: &Decision) -> String {
    format!("{}: {}", short(&decision.step), says(&decision.verdict))
}

#[test]
fn looking() {
    let status = |status| Lead { status, ..lead() };
    let rival = DesiredLead { rival: Some("Lead a/b".into()), ..wanted() };
    let no_platform = Facts { connection: PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "There is no LivePlatform default.")), ..facts() };
    let table = [
        ("not looked at", wanted(), facts(), "look leads: False Progressing Reconciling"),
        ("the services not looked at", wanted(), Facts { services: Fact::Unread, ..shown(lead()) }, "look services: False Progressing Reconciling"),
        ("active", wanted(), shown(lead()), "rest: True Succeeded -"),
        ("suspended", wanted(), shown(status(MicrosoftStatus::Suspended)), "stop: False LeadNotActive Stalled"),
        ("removed", wanted(), shown(status(MicrosoftStatus::Removed)), "stop: False LeadNotActive Stalled"),
        ("none", wanted(), none(), "stop: False LeadNotFound Stalled"),
        (
            "none, by an old list",
            wanted(),
            Facts { leads: Fact::Known { value: LeadsView { complete: true, ..LeadsView::default() }, at: NOW - secs(1) }, ..none() },
            "look leads: False Progressing Reconciling",
        ),
        ("none, of a young object", wanted(), Facts { object_created: NOW - secs(5), ..none() }, "wait: False LeadNotFound Reconciling"),
        ("an older object", rival, shown(lead()), "stop: False Conflict Stalled"),
        ("no platform object", wanted(), no_platform, "stop: False PlatformNotFound Stalled"),
        ("can't be read", wanted(), Facts { leads: Fact::Unreadable(away()), ..facts() }, "wait: False PlatformUnavailable Reconciling"),
    ];
    for (what, wanted, facts, expected) in table {
        assert_eq!(told(&run(&LeadTarget::Present(wanted), &Record::default(), &facts)), expected, "{what}");
    }
    assert_eq!(told(&run(&LeadTarget::Suspended, &Record::default(), &facts())), "rest: False Suspended -");
    let held = run(&LeadTarget::Present(wanted()), &Record::default(), &Facts { leads: Fact::Unreadable(away()), ready_at_generation: true, ..facts() });
    assert!(held.hold, "what is ready stays so while nothing can be read");
}

fn lead_id(number: u32) -> LeadId {
    LeadId::parse(&format!("bbbbbbbb-0000-4000-8000-{number:012}")).expect("a GUID")
}

/// Of two leads for one tenant the consented one counts, in any order of the list. The other one is named, and stands in for nothing.
#[test]
fn of_two_leads_the_consented_one_counts() {
    use MicrosoftStatus::{Active, Removed, Suspended};
    let one = |number, consentless, status| Lead { id: lead_id(number), consentless, status, ..lead() };
    let (rest, stop) = ("rest: True Succeeded -", "stop: False LeadNotActive Stalled");
    // The status of the consentless lead, that of the consented one, the result, and whether the message names the consentless one.
    let table = [
        (Active, Active, rest, false),
        (Removed, Active, rest, false),
        (Active, Suspended, stop, true),
        (Active, Removed, stop, true),
        (Suspended, Removed, stop, false),
    ];
    for (direct, consented, expected, named) in table {
        let leads = [one(1, true, direct.clone()), one(2, false, consented.clone())];
        for leads in [leads.to_vec(), leads.iter().rev().cloned().collect()] {
            let facts = Facts { leads: known_leads(leads.clone()), ..shown(lead()) };
            for target in [wanted(), consentless(), DesiredLead { channel: Some(5), ..consentless() }] {
                let decision = run(&LeadTarget::Present(target.clone()), &Record::default(), &facts);
                let assigns = target.channel.is_some() && consented == Active;
                assert_eq!(
                    told(&decision),
                    if assigns { "ask assign: False Progressing Reconciling" } else { expected },
                    "{direct:?} {consented:?} {target:?}"
                );
                assert_eq!(decision.verdict.message.contains("also has an Active consentless lead"), named, "{}", decision.verdict.message);
            }
            let view = whole(leads);
            assert_eq!(lead_that_counts(&view.leads).map(|lead| lead.id), Some(lead_id(2)));
            assert_eq!(other_leads(&view.leads).iter().map(|lead| lead.id).collect::<Vec<_>>(), [lead_id(1)]);
        }
    }
    // More than two are not documented: the others are in order, and a lead that a list shows twice is one.
    let many = whole(vec![one(4, true, Active), one(3, false, Active), one(2, false, Removed), one(3, false, Active), one(4, true, Active)]);
    assert_eq!(lead_that_counts(&many.leads).map(|lead| lead.id), Some(lead_id(3)));
    assert_eq!(other_leads(&many.leads).iter().map(|lead| lead.id).collect::<Vec<_>>(), [lead_id(2), lead_id(4)]);
    assert!(other_leads(&whole(vec![lead()]).leads).is_empty() && other_leads(&[]).is_empty());
}

/// What `LeadEligible` says of the leads, of which the first counts, and the services.
fn eligible(leads: &[Lead], services: &[Service], served: bool) -> (ConditionStatus, Reason, std::borrow::Cow<'static, str>) {
    let facts = Facts { leads: known_leads(leads.to_vec()), services: known(view(services)), ..facts() };
    let decision = run(&LeadTarget::Present(DesiredLead { served, ..wanted() }), &Record::default(), &facts);
    // It decides nothing: Ready is as without it, with its reason and message, and so is what comes next.
    let expected = match leads.first().map(|lead| &lead.status) {
        Some(MicrosoftStatus::Active) => "rest: True Succeeded -",
        Some(_) => "stop: False LeadNotActive Stalled",
        None => "stop: False LeadNotFound Stalled",
    };
    assert_eq!(told(&decision), expected);
    assert!(!decision.verdict.message.contains("OcEssentialService"), "{}", decision.verdict.message);
    decision.verdict.lead_eligible.expect("the condition")
}

/// A label, the leads, the services, whether the tenant has a service object; the condition, words in its message, and words that must not be there.
type EligibleRow = (&'static str, Vec<Lead>, Vec<Service>, bool, (ConditionStatus, Reason), &'static [&'static str], &'static [&'static str]);

/// The words for a service that somebody made in the portal.
const NAMES: &[&str] = &[
    "(\"Contoso_NL\", OC Essential), and no OcEssentialService",
    "To import it, create an OcEssentialService",
    "spec.shortName \"Contoso_NL\", spec.fullName \"Contoso Netherlands B.V.\"",
];

/// Leads of tenants without a service.
fn without_services() -> Vec<EligibleRow> {
    use ConditionStatus::{False, True};
    use MicrosoftStatus::{Removed, Suspended};
    let status = |status| Lead { status, ..lead() };
    let direct = Lead { id: lead_id(2), consentless: true, ..lead() };
    vec![
        ("free", vec![lead()], vec![], false, (True, Reason::Succeeded), &["Active and has no license."], &["service"]),
        ("free, and a service object waits", vec![lead()], vec![], true, (True, Reason::Succeeded), &["Active and has no license."], &["service"]),
        ("suspended", vec![status(Suspended)], vec![], false, (False, Reason::LeadNotActive), &["is Suspended", "The customer must"], &["consentless"]),
        ("consent withdrawn", vec![status(Removed), direct], vec![], false, (False, Reason::LeadNotActive), &["is Removed", "an Active consentless lead"], &[]),
        ("none", vec![], vec![], false, (False, Reason::LeadNotFound), &["has no lead"], &[]),
    ]
}

/// Leads of tenants with services.
fn with_services() -> Vec<EligibleRow> {
    let (taken, free) = ((ConditionStatus::False, Reason::AlreadyLicensed), (ConditionStatus::True, Reason::Succeeded));
    let suspended = || Lead { status: MicrosoftStatus::Suspended, ..lead() };
    let licensed = |license| Service { license: Some(license), ..service(1) };
    vec![
        (
            "licensed by its object",
            vec![lead_with(1)],
            vec![service(1)],
            true,
            taken,
            &["aaaaaaaa-0000-4000-8000-000000000001", "status.serviceRef"],
            &["import"],
        ),
        ("licensed by hand", vec![lead_with(1)], vec![service(1)], false, taken, NAMES, &["status.serviceRef"]),
        ("the lead does not show it yet", vec![lead()], vec![service(1)], false, taken, NAMES, &[]),
        ("by hand, and suspended since", vec![suspended()], vec![service(1)], false, (ConditionStatus::False, Reason::LeadNotActive), NAMES, &[]),
        (
            "by its object, and suspended since",
            vec![suspended()],
            vec![service(1)],
            true,
            (ConditionStatus::False, Reason::LeadNotActive),
            &["is Suspended"],
            &["Contoso_NL"],
        ),
        (
            "the list has no full name",
            vec![lead()],
            vec![Service { full_name: None, ..service(1) }],
            false,
            taken,
            &["spec.fullName as the portal shows it"],
            &[],
        ),
        (
            "an unknown license",
            vec![lead()],
            vec![licensed(LicenseType::Other(9))],
            false,
            taken,
            &["License 9", "Ask the team that runs the Live Platform"],
            &["import"],
        ),
        (
            "two services",
            vec![lead()],
            vec![service(2), service(1)],
            false,
            taken,
            &["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002", "operatorconnect.dev/ump-customer-guid"],
            &[],
        ),
        ("Direct Routing beside", vec![lead()], vec![licensed(LicenseType::HostedPro)], false, free, &["Hosted Pro", "spec.besideDirectRouting"], &["import"]),
        ("Direct Routing instead", vec![lead_with(1)], vec![licensed(LicenseType::HostedPro)], false, taken, &["Direct Routing"], &[]),
        ("a service that no list shows", vec![lead_with(1)], vec![], false, taken, &["the list of services does not show"], &[]),
    ]
}

#[test]
fn whether_a_lead_can_become_a_service() {
    for (what, leads, services, served, expected, words, never) in [without_services(), with_services()].concat() {
        let (truth, reason, message) = eligible(&leads, &services, served);
        assert_eq!((truth, reason), expected, "{what}: {message}");
        assert!(words.iter().all(|word| message.contains(word)) && !never.iter().any(|word| message.contains(word)), "{what}: {message}");
        assert!(!message.to_lowercase().contains("remove ") && message.chars().count() <= 1000, "{what}: {message}");
    }
    let turned = eligible(&[lead()], &[service(1), service(2)], false);
    assert_eq!(turned, eligible(&[lead()], &[service(2), service(1)], false), "another order of the list changes nothing");
    let later = Service { license: Some(LicenseType::OcPro), short_name: "Renamed".into(), ..service(1) };
    let early = Service { license: None, ..service(1) };
    assert_eq!(eligible(&[lead()], &[early], true), eligible(&[lead_with(1)], &[later], true), "nothing more to write while its object follows the service");
}

/// A lead and a service that is to be made of it say the same.
#[test]
fn a_lead_is_as_eligible_as_its_service_says() {
    let status = |status| Lead { status, ..lead() };
    let direct = Lead { id: lead_id(2), consentless: true, ..lead() };
    let table = [
        vec![lead()],
        vec![lead(), direct.clone()],
        vec![status(MicrosoftStatus::Suspended)],
        vec![status(MicrosoftStatus::Removed), direct],
        vec![status(MicrosoftStatus::Other("New".into()))],
        vec![lead_with(1)],
    ];
    for leads in table {
        let facts = Facts { leads: known_leads(leads.clone()), ..empty_platform() };
        let service = oc_domain::service::decide(NOW, &be(desired()), &Record::default(), &facts);
        assert_eq!(service.verdict.lead_eligible, Some(eligible(&leads, &[], true)), "{leads:?}");
    }
}

/// What is not known is not said, and what a lead waits for meanwhile changes nothing.
#[test]
fn eligibility_that_is_not_known() {
    let of = |target: LeadTarget, facts: Facts| run(&target, &Record::default(), &facts).verdict.lead_eligible.map(|told| told.0);
    let be = LeadTarget::Present;
    let rival = DesiredLead { rival: Some("Lead a/b".into()), ..wanted() };
    assert_eq!(of(be(wanted()), facts()), None, "nothing was read");
    assert_eq!(of(be(wanted()), Facts { services: Fact::Unreadable(away()), ..shown(lead()) }), None, "the services can't be read");
    assert_eq!(of(be(rival), shown(lead())), None, "another object is for the tenant");
    assert_eq!(of(LeadTarget::Suspended, shown(lead())), None);
    assert_eq!(of(be(consentless()), Facts { answer: Some(ChangeResult::Done), ..none() }), None, "it is being created");
    let assigned = Facts { answer: Some(ChangeResult::Done), ..shown(lead()) };
    assert_eq!(of(be(DesiredLead { channel: Some(5), ..wanted() }), assigned), Some(ConditionStatus::True), "assigned to a channel");
}

/// Synced: whether the lead shows what the list of services shows.
#[test]
fn synced() {
    let table = [
        (None, vec![], ConditionStatus::True),
        (None, vec![service(1)], ConditionStatus::False),
        (Some(guid(1)), vec![service(1)], ConditionStatus::True),
        (Some(guid(2)), vec![service(1)], ConditionStatus::False),
    ];
    for (shows, services, truth) in table {
        let facts = Facts { services: known(view(&services)), ..shown(Lead { service: shows, ..lead() }) };
        let decision = run(&LeadTarget::Present(wanted()), &Record::default(), &facts);
        assert_eq!(decision.verdict.synced.map(|told| told.0), Some(truth), "{shows:?}");
    }
}

/// A consentless lead: intent before effect, a grace, and the slow retry after a refusal.
#[test]
fn consentless_create() {
    let unsent = |seconds| Record { intent: Some(intent(OperationKind::Create, NOW - secs(seconds), Sent::No)), ..creating(NOW) };
    let table = [
        ("none yet", Record::default(), none(), "keep intent: False Progressing Reconciling"),
        ("recorded in this pass", unsent(0), none(), "ask create lead: False Progressing Reconciling"),
        ("recorded, and held up", unsent(1000), none(), "keep intent: False Progressing Reconciling"),
        ("asked for", creating(NOW - secs(60)), none(), "wait: False Verifying Reconciling"),
        ("the grace is over", creating(NOW - secs(901)), none(), "keep intent: False Progressing Reconciling"),
        (
            "asked for, by an old list",
            creating(NOW - secs(60)),
            Facts { leads: Fact::Known { value: LeadsView { complete: true, ..LeadsView::default() }, at: NOW - secs(1) }, ..none() },
            "look leads: False Progressing Reconciling",
        ),
        ("refused a minute ago", ended(Outcome::Refused, NOW - secs(60)), none(), "stop: False PlatformRefused Stalled"),
        (
            "refused, with a new spec",
            ended(Outcome::Refused, NOW - secs(60)),
            Facts { retry_now: true, ..none() },
            "keep intent: False Progressing Reconciling",
        ),
        ("refused an hour ago", ended(Outcome::Refused, NOW - secs(3601)), none(), "keep intent: False Progressing Reconciling"),
        ("it shows", creating(NOW - secs(60)), shown(Lead { consentless: true, ..lead() }), "rest: True Succeeded -"),
    ];
    for (what, record, facts, expected) in table {
        assert_eq!(told(&run(&LeadTarget::Present(consentless()), &record, &facts)), expected, "{what}");
    }
    let answers = [
        (ChangeResult::Done, "wait: False Verifying Reconciling"),
        (ChangeResult::Unknown(away()), "wait: False Verifying Reconciling"),
        (ChangeResult::NotSent(away()), "wait: False PlatformUnavailable Reconciling"),
        (ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "No.")), "stop: False PlatformRefused Stalled"),
    ];
    for (answer, expected) in answers {
        let facts = Facts { answer: Some(answer.clone()), retry_now: true, ..none() };
        assert_eq!(told(&run(&LeadTarget::Present(consentless()), &unsent(0), &facts)), expected, "{answer:?}");
    }
}

/// With `spec.tenantLookup`, no lead is requested for a tenant that Microsoft does not have; what can't be looked up waits.
#[test]
fn a_tenant_is_looked_up_before_a_lead_is_requested() {
    let looks = |tenant_lookup, tenant_exists| {
        let connection = PlatformAccess::Usable(Policy { tenant_lookup, ..Policy::default() });
        let facts = Facts { connection, tenant_exists, ..none() };
        run(&LeadTarget::Present(consentless()), &Record::default(), &facts)
    };
    let table = [
        (false, Fact::Unread, "keep intent: False Progressing Reconciling"),
        (true, Fact::Unread, "look directory: False Progressing Reconciling"),
        (true, known(true), "keep intent: False Progressing Reconciling"),
        (true, known(false), "stop: False InvalidSpec Stalled"),
        (true, Fact::Unreadable(away()), "wait: False PlatformUnavailable Reconciling"),
    ];
    for (lookup, exists, expected) in table {
        assert_eq!(told(&looks(lookup, exists.clone())), expected, "{lookup} {exists:?}");
    }
    assert!(looks(true, known(false)).verdict.message.contains("Correct spec.msTenantId"));
}

fn gone(policy: DeletionPolicy) -> LeadTarget {
    LeadTarget::Absent { policy, tenant: Some(tenant()), suspended: false }
}

/// `spec.suspend` holds a deletion, as it does for a service.
#[test]
fn a_suspended_lead_is_not_deleted() {
    let own = || shown(Lead { consentless: true, ..lead() });
    let held = Record { finalizer: true, ..Record::default() };
    let suspended = |policy| LeadTarget::Absent { policy, tenant: Some(tenant()), suspended: true };
    assert_eq!(told(&run(&suspended(DeletionPolicy::Delete), &held, &own())), "rest: False Suspended -");
    assert_eq!(told(&run(&suspended(DeletionPolicy::Retain), &held, &own())), "release: False Deleting Reconciling");
}

#[test]
fn letting_go() {
    use DeletionPolicy::{Delete, Retain};
    let held = || Record { finalizer: true, ..Record::default() };
    let asked = |seconds, sent| Record { intent: Some(intent(OperationKind::Delete, NOW - secs(seconds), sent)), ..held() };
    let own = || shown(Lead { consentless: true, ..lead() });
    let by_this_process = || Facts { own: Some(oc_domain::record::OperationId("op-1".into())), ..own() };
    let with = |services| Facts { services, ..own() };
    let holes = ServicesView { complete: false, ..view(&[]) };
    let licensed = shown(Lead { consentless: true, ..lead_with(1) });
    let no_platform = Facts { connection: PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "There is no LivePlatform default.")), ..facts() };
    let release = "release: False Deleting Reconciling";
    let breaker = |facts: Facts| {
        let holds = Some(Trouble::new(Reason::DeletionRateExceeded, "The breaker holds."));
        Facts { connection: PlatformAccess::Usable(Policy { deletions_blocked: holds, ..Policy::default() }), ..facts }
    };
    let table = [
        ("no finalizer", Delete, Record::default(), facts(), "rest: False Deleting Reconciling"),
        ("retained", Retain, held(), facts(), release),
        ("not looked at", Delete, held(), facts(), "look leads: False Progressing Reconciling"),
        ("none there", Delete, held(), none(), release),
        ("a consented one is left alone", Delete, held(), shown(lead()), release),
        ("its own", Delete, held(), own(), "keep intent: False Deleting Reconciling"),
        ("with a service", Delete, held(), licensed.clone(), "stop: False DeletionBlocked Stalled"),
        ("the services not looked at", Delete, held(), with(Fact::Unread), "look services: False Progressing Reconciling"),
        ("with a service that the lead does not show yet", Delete, held(), with(known(view(&[service(1)]))), "stop: False DeletionBlocked Stalled"),
        ("the list of services has holes", Delete, held(), with(known(holes)), "stop: False PlatformUnavailable Reconciling"),
        ("the services can't be read", Delete, held(), with(Fact::Unreadable(away())), "wait: False PlatformUnavailable Reconciling"),
        ("recorded", Delete, asked(0, Sent::No), own(), "ask delete lead: False Deleting Reconciling"),
        ("asked for", Delete, asked(10, Sent::Maybe), by_this_process(), "wait: False Deleting Reconciling"),
        ("asked for by a process that is gone", Delete, asked(10, Sent::Maybe), own(), "keep intent: False Deleting Reconciling"),
        ("asked for long ago", Delete, asked(301, Sent::Maybe), own(), "keep intent: False Deleting Reconciling"),
        ("the platform object is gone", Delete, held(), no_platform.clone(), "stop: False PlatformNotFound Stalled"),
        ("the platform object is gone, retained", Retain, held(), no_platform, release),
        ("a create may be under way", Delete, creating(NOW - secs(60)), none(), "wait: False Verifying Reconciling"),
        ("its grace is over", Delete, creating(NOW - secs(901)), none(), release),
        ("can't be read", Delete, held(), Facts { leads: Fact::Unreadable(away()), ..facts() }, "wait: False PlatformUnavailable Reconciling"),
        ("the breaker holds it", Delete, held(), breaker(own()), "stop: False DeletionRateExceeded Stalled"),
        ("the breaker holds it, retained", Retain, held(), breaker(own()), release),
        ("the breaker, and nothing to delete", Delete, held(), breaker(none()), release),
        ("the breaker, of one with a service", Delete, held(), breaker(licensed.clone()), "stop: False DeletionBlocked Stalled"),
    ];
    for (what, policy, record, facts, expected) in table {
        assert_eq!(told(&run(&gone(policy), &record, &facts)), expected, "{what}");
    }
    let refused = Some(ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "No.")));
    let ended = run(&gone(Delete), &asked(0, Sent::No), &Facts { answer: refused, ..own() });
    assert_eq!(told(&ended), "stop: False PlatformRefused Stalled");
    assert_eq!(told(&run(&gone(Delete), &ended.record, &own())), "stop: False PlatformRefused Stalled", "a restart does not ask again");
}

/// The object gets a finalizer only if the lead is to be deleted with it.
#[test]
fn the_finalizer() {
    let desired = DesiredLead { deletion_policy: DeletionPolicy::Delete, ..consentless() };
    let step = run(&LeadTarget::Present(desired), &Record::default(), &shown(Lead { consentless: true, ..lead() })).step;
    assert_eq!(step, Step::PatchMetadata(Mark::AddFinalizer));
    assert_eq!(short(&run(&LeadTarget::Present(consentless()), &Record::default(), &shown(lead())).step), "rest");
    let ask = run(
        &gone(DeletionPolicy::Delete),
        &Record { finalizer: true, intent: Some(intent(OperationKind::Delete, NOW, Sent::No)), ..Record::default() },
        &shown(Lead { consentless: true, ..lead() }),
    );
    assert_eq!(ask.step, Step::Execute(Change::DeleteLead(tenant())));
}

/// As for services: an object in a namespace that may not use the platform is reconciled again soon, and one whose access is unknown loses nothing.
#[test]
fn a_platform_that_is_not_for_this_namespace() {
    let refused = Trouble { retry_after: Some(secs(60)), ..Trouble::new(Reason::NamespaceNotAllowed, "x") };
    let decision = run(&LeadTarget::Present(wanted()), &Record::default(), &Facts { connection: PlatformAccess::Unusable(refused), ..facts() });
    assert_eq!((told(&decision).as_str(), decision.step), ("stop: False NamespaceNotAllowed Stalled", Step::Blocked(NOW + secs(60))));
    let unknown =
        |settled| Facts { connection: PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, "x")), ready_at_generation: settled, ..facts() };
    let ready = run(&LeadTarget::Present(wanted()), &Record::default(), &unknown(true));
    assert_eq!((told(&ready).as_str(), ready.hold), ("wait: False ProgressingWithRetry Reconciling", true));
    let gone = |policy| {
        told(&run(&LeadTarget::Absent { policy, tenant: Some(tenant()), suspended: false }, &Record { finalizer: true, ..Record::default() }, &unknown(true)))
    };
    assert!(gone(DeletionPolicy::Delete).starts_with("wait: False ProgressingWithRetry"), "{}", gone(DeletionPolicy::Delete));
    assert!(gone(DeletionPolicy::Retain).starts_with("release"), "{}", gone(DeletionPolicy::Retain));
}

/// Where the list proves nothing, a lead that is not in it is read by tenant before it is reported missing, created, or released as gone.
#[test]
fn absence_must_be_proven() {
    let with = |leads, complete, read| Facts { leads: known(LeadsView { leads, complete, read }), ..none() };
    let look = "look leads of tenant: False Progressing Reconciling";
    let holes = "stop: False PlatformUnavailable Reconciling";
    let made = Record { finalizer: true, ..Record::default() };
    let gone = LeadTarget::Absent { policy: DeletionPolicy::Delete, tenant: Some(tenant()), suspended: false };
    let table = [
        (
            "one piece",
            with(vec![], true, LeadsRead::AtOnce),
            ["stop: False LeadNotFound Stalled", "keep intent: False Progressing Reconciling", "release: False Deleting Reconciling"],
        ),
        ("pages", with(vec![], true, LeadsRead::InPages), [look; 3]),
        ("holes", with(vec![], false, LeadsRead::AtOnce), [look; 3]),
        (
            "by itself",
            with(vec![], true, LeadsRead::OfTenant),
            ["stop: False LeadNotFound Stalled", "keep intent: False Progressing Reconciling", "release: False Deleting Reconciling"],
        ),
        ("by itself, with holes", with(vec![], false, LeadsRead::OfTenant), [holes; 3]),
    ];
    for (what, facts, expected) in table {
        let targets =
            [(LeadTarget::Present(wanted()), Record::default()), (LeadTarget::Present(consentless()), Record::default()), (gone.clone(), made.clone())];
        for ((target, record), expected) in targets.into_iter().zip(expected) {
            assert_eq!(told(&run(&target, &record, &facts)), expected, "{what}: {target:?}");
        }
    }
    // A consented lead in the list says nothing about a consentless one beside it.
    let consented = run(&gone, &made, &with(vec![lead().into()], true, LeadsRead::InPages));
    assert_eq!(told(&consented), look);
}

//! What Ready and Synced say about an existing service: every field that can be compared is compared, and differences are named.

use oc_domain::conditions::{ConditionStatus, Reason};
use oc_domain::decision::Decision;
use oc_domain::facts::{Facts, ServicesView};
use oc_domain::model::{Lead, LicenseType, MicrosoftStatus, Service, TaskState};
use oc_domain::names::{ShortName, ShortNameRule};
use oc_domain::policy::{JobRuns, PlatformAccess, Policy};
use oc_domain::record::{JobRecord, JobState, Operation, Outcome, Record};
use oc_domain::requests::{ServiceParameters, Shows};
use oc_domain::service::DesiredService;

use crate::common::*;
use crate::{at_now, told};

/// A pass over an object whose service is listed, and whose lead shows it.
fn seen(desired: DesiredService, record: &Record, service: &Service, lead: Lead) -> Decision {
    let facts = Facts { services: known(view_by_guid(service)), leads: known_leads(vec![lead]), ..facts() };
    at_now(&be(desired), record, &facts)
}

fn synced_of(decision: &Decision) -> Option<(ConditionStatus, Reason)> {
    decision.verdict.synced.as_ref().map(|told| (told.0, told.1))
}

const IN_STEP: Option<(ConditionStatus, Reason)> = Some((ConditionStatus::True, Reason::Succeeded));
const DIFFERS: Option<(ConditionStatus, Reason)> = Some((ConditionStatus::False, Reason::Conflict));

/// An object that adopted its service: its record has no create.
fn taken_over() -> Record {
    Record { intent: None, operation: None, guid_annotated: true, ..verified() }
}

#[test]
fn a_license_that_is_none_of_operator_connects_is_not_ready() {
    let table = [
        (LicenseType::HostedEssentials, "stop: False AlreadyLicensed Stalled"),
        (LicenseType::HostedEssentialsPlus, "stop: False AlreadyLicensed Stalled"),
        (LicenseType::HostedPro, "stop: False AlreadyLicensed Stalled"),
        (LicenseType::Other(9), "stop: False AlreadyLicensed Stalled"),
        (LicenseType::Other(-1), "stop: False AlreadyLicensed Stalled"),
        (LicenseType::OcEssential, "rest: True Succeeded -"),
        (LicenseType::OcEssentialPlus, "rest: True Succeeded -"),
        (LicenseType::OcPro, "rest: True Succeeded -"),
    ];
    for (license, expected) in table {
        for record in [verified(), taken_over()] {
            let decision = seen(desired(), &record, &Service { license: Some(license), ..service(1) }, lead_with(1));
            let message = &decision.verdict.message;
            assert_eq!(told(&decision), expected, "{license:?}: {message}");
            assert_eq!(decision.record.license.as_deref(), Some(&*license.label()), "{license:?}: what was read back is told");
            assert!(!message.to_lowercase().contains("remove"), "a paid service is nobody's to remove: {message}");
        }
    }
    // A guid that a person wrote down, of a service that is not an Operator Connect one: nothing is adopted.
    let imported = Record { guid: Some(guid(1)), guid_annotated: true, ..Record::default() };
    let decision = seen(desired(), &imported, &Service { license: Some(LicenseType::HostedPro), ..service(1) }, lead_with(1));
    assert_eq!(told(&decision), "stop: False AlreadyLicensed Stalled");
}

/// `CompletedSuccess` beside a message of level Error (platform-facts.md 12.1, step 7): reported, and still reported from the record when the task is
/// forgotten.
#[test]
fn errors_of_a_task_that_succeeded_are_told() {
    let mut ended = task(1, TaskState::Succeeded);
    ended.messages = ["Information: the SBC is set up".into(), "ERROR: The IAM step failed".into()].into();
    let facts = Facts { services: known(view(&[service(1)])), leads: known_leads(vec![lead_with(1)]), task: known(Some(ended)), ..facts() };
    let first = at_now(&be(desired()), &converting(NOW - secs(60)), &facts);
    let later = seen(desired(), &first.record, &service(1), lead_with(1));
    let waiting = seen(desired(), &Record { leads_job: JobRecord::default(), ..first.record.clone() }, &service(1), lead());
    for decision in [&first, &later, &waiting] {
        let message = &decision.verdict.message;
        assert!(message.contains("The IAM step failed") && !message.contains("the SBC is set up"), "{message}");
    }
    assert_eq!((told(&first).as_str(), told(&later).as_str()), ("rest: True Succeeded -", "rest: True Succeeded -"));
    let quiet = seen(desired(), &taken_over(), &service(1), lead_with(1));
    assert!(!quiet.verdict.message.contains("error"), "{}", quiet.verdict.message);
}

/// A job is due for what the create requested. What the spec says later changes nothing on the platform, and is named.
#[test]
fn advanced_settings_that_came_or_went_later() {
    let by_group = || JobRecord { state: JobState::Due, ..synced() };
    let table = [
        ("as it was made, by tenant id", false, JobRecord::default(), "rest: True Succeeded -", IN_STEP),
        ("as it was made, by IP group", true, synced(), "rest: True Succeeded -", IN_STEP),
        ("added later", true, JobRecord::default(), "rest: True Succeeded -", DIFFERS),
        ("taken out later", false, synced(), "rest: True Succeeded -", DIFFERS),
        (
            "taken out while the job is due",
            false,
            by_group(),
            "wait: False AwaitingTrunksJob Reconciling",
            Some((ConditionStatus::False, Reason::AwaitingTrunksJob)),
        ),
    ];
    for (what, ip_group, trunks_job, expected, synced) in table {
        let record = Record { trunks_job, ..verified() };
        let decision = seen(DesiredService { parameters: by(ip_group), ..desired() }, &record, &service(1), lead_with(1));
        let message = &decision.verdict.message;
        assert_eq!((told(&decision).as_str(), synced_of(&decision)), (expected, synced), "{what}: {message}");
        assert_eq!(decision.record.trunks_job.due, trunks_job.due, "{what}");
        assert_eq!(message.contains("spec.advancedSettings"), synced == DIFFERS, "{what}: {message}");
    }
}

#[test]
fn names_that_differ_are_named_and_called_out_of_step() {
    let table = [
        (Service { full_name: Some("Contoso Nederland".into()), ..service(1) }, "spec.fullName", DIFFERS),
        (Service { full_name: Some(" Contoso Netherlands B.V. ".into()), ..service(1) }, "", IN_STEP),
        (Service { full_name: None, ..service(1) }, "", IN_STEP),
        (Service { short_name: "Renamed".into(), ..service(1) }, "spec.shortName", DIFFERS),
        (Service { short_name: "CONTOSO_nl".into(), ..service(1) }, "", IN_STEP),
        (Service { license: Some(LicenseType::OcPro), ..service(1) }, "OC Pro; the operator leaves an upgrade unchanged", IN_STEP),
    ];
    for (service, words, synced) in table {
        for record in [verified(), taken_over()] {
            let decision = seen(desired(), &record, &service, lead_with(1));
            let message = &decision.verdict.message;
            assert_eq!((told(&decision).as_str(), synced_of(&decision)), ("rest: True Succeeded -", synced), "{service:?}: {message}");
            assert!(message.contains(words), "{message}");
            assert!(!message.contains("recreate the object"), "a service exists: {message}");
        }
    }
}

/// A parameter that the lists show is compared: by the tables of this file.
#[test]
fn what_the_lists_show_of_a_create_is_compared() {
    let shown: Vec<&str> = parameters().each().into_iter().filter(|one| one.shows != Shows::Nowhere).map(|one| one.field).collect();
    assert_eq!(shown, ["shortName", "fullName", "channelId"]);
}

/// A label, the spec, the record, the channel of the lead, the words of the message, and `Synced`.
type Row = (&'static str, DesiredService, Record, Option<i64>, &'static [&'static str], Option<(ConditionStatus, Reason)>);

/// The channel is on the lead; the LC customer and the SIP connection appear nowhere that the operator reads. What this object requested itself matches the
/// spec, since the schema keeps those fields fixed.
#[test]
fn channel_customer_and_connection() {
    let in_channel = |channel| Lead { channel, ..lead_with(1) };
    let wants = |channel, lc_customer, ip_group| DesiredService { parameters: ServiceParameters { channel, lc_customer, ..by(ip_group) }, ..desired() };
    let by_group = || Record { trunks_job: synced(), ..verified() };
    let table: [Row; 8] = [
        ("made here, the channel shows", wants(Some(7), None, false), verified(), Some(7), &[], IN_STEP),
        ("made here, no channel shows", wants(Some(7), None, false), verified(), None, &[], IN_STEP),
        ("made here, another channel shows", wants(Some(7), None, false), verified(), Some(8), &["spec.channelId", "channel 8"], DIFFERS),
        ("made here, with all of it", wants(Some(7), Some(4711), true), by_group(), Some(7), &[], IN_STEP),
        ("no channel is asked for", wants(None, None, false), verified(), Some(8), &[], IN_STEP),
        ("taken over, the channel shows", wants(Some(7), None, false), taken_over(), Some(7), &[], IN_STEP),
        ("taken over, no channel shows", wants(Some(7), None, false), taken_over(), None, &["spec.channelId"], DIFFERS),
        ("taken over", wants(None, Some(4711), true), taken_over(), None, &["spec.lcCustomerId", "spec.advancedSettings"], DIFFERS),
    ];
    for (what, desired, record, channel, words, synced) in table {
        let decision = seen(desired, &record, &service(1), in_channel(channel));
        let message = &decision.verdict.message;
        assert_eq!((told(&decision).as_str(), synced_of(&decision)), ("rest: True Succeeded -", synced), "{what}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{what}: {message}");
        assert_eq!(message.contains("spec."), !words.is_empty(), "{what}: {message}");
    }
}

/// When the service is gone, nothing is synchronized; when it appears again, nobody has to run a job for it a second time.
#[test]
fn no_job_is_done_for_a_service_that_is_gone() {
    let record = Record { trunks_job: synced(), ..verified() };
    let gone = at_now(&be(desired()), &record, &empty_platform());
    assert_eq!(told(&gone), "stop: False DeletedExternally Stalled");
    assert_eq!((gone.record.leads_job.state, gone.record.trunks_job.state), (JobState::NotDue, JobState::NotDue));
    assert_eq!(at_now(&be(desired()), &gone.record, &empty_platform()).record, gone.record, "said once");
    let back = seen(DesiredService { parameters: by(true), ..desired() }, &gone.record, &service(1), lead_with(1));
    assert_eq!(told(&back), "rest: True Succeeded -");
    assert_eq!((back.record.leads_job, back.record.trunks_job), (synced(), synced()));
    // The tenant has another service by now.
    let other = Facts { services: known(view(&[service(2)])), ..empty_platform() };
    let other = at_now(&be(desired()), &record, &other);
    assert_eq!(told(&other), "stop: False Conflict Stalled");
    assert_eq!((other.record.license, other.record.leads_job.state), (None, JobState::NotDue));
    let holes = Facts { services: known(ServicesView { complete: false, ..view(&[service(2)]) }), ..empty_platform() };
    assert_eq!(at_now(&be(desired()), &record, &holes).record.license, record.license, "it may be among what can't be read");
}

/// A service created in place of one that is gone needs its jobs like the first.
#[test]
fn a_service_that_is_made_again_has_jobs_of_its_own() {
    let again = DesiredService { recreate: true, parameters: by(true), ..desired() };
    let begun = at_now(&be(again.clone()), &Record { trunks_job: synced(), ..verified() }, &empty_platform());
    assert_eq!(told(&begun), "keep intent: False Converting Reconciling");
    let mut record = begun.record;
    record.intent = creating(NOW).intent;
    record.operation = record.intent.as_ref().map(Operation::of);
    let later = Policy { trunks_job: JobRuns { requested: None, covers: Some(NOW - secs(500)) }, ..Policy::default() };
    let facts = Facts { services: known(view(&[service(2)])), leads: known_leads(vec![lead()]), connection: PlatformAccess::Usable(later), ..facts() };
    let decision = at_now(&be(again), &record, &facts);
    assert_eq!(decision.record.guid, Some(guid(2)));
    assert_eq!((decision.record.leads_job.state, decision.record.trunks_job.state), (JobState::Due, JobState::Due));
}

/// A customer who withdrew consent is not provisioned behind their back; the message says that another lead could be used.
#[test]
fn a_withdrawn_consent_is_not_passed_by() {
    let withdrawn = Lead { status: MicrosoftStatus::Removed, ..lead() };
    let direct = |status| Lead { consentless: true, status, ..lead() };
    for (other, named) in [(MicrosoftStatus::Active, true), (MicrosoftStatus::Suspended, false)] {
        let facts = Facts { leads: known_leads(vec![withdrawn.clone(), direct(other)]), ..empty_platform() };
        let decision = at_now(&be(desired()), &Record::default(), &facts);
        assert_eq!(told(&decision), "stop: False LeadNotActive Stalled");
        assert_eq!(decision.verdict.message.contains("Active consentless lead"), named, "{}", decision.verdict.message);
    }
}

fn routing(number: u32, name: &str) -> Service {
    Service { license: Some(LicenseType::HostedPro), short_name: name.into(), ..service(number) }
}

/// A Direct Routing service is neither this object's nor an obstacle (C-31): everything works as without it.
#[test]
fn a_direct_routing_service_beside_one_of_operator_connect() {
    let both = |second: Service| Facts { services: known(view(&[routing(9, "Direct"), second])), leads: known_leads(vec![lead_with(1)]), ..facts() };
    let at = |record: &Record, facts: &Facts| at_now(&be(DesiredService { beside_direct_routing: false, ..desired() }), record, facts);
    assert_eq!(told(&at(&Record::default(), &both(service(1)))), "keep adopted: False Progressing Reconciling");
    assert_eq!(told(&at(&creating(NOW - secs(60)), &both(service(1)))), "rest: True Succeeded -");
    let listed = Facts { services: known(ServicesView { by_guid: Some(service(1).into()), ..view(&[routing(9, "Direct"), service(1)]) }), ..both(service(1)) };
    let ready = at(&verified(), &listed);
    assert_eq!((told(&ready).as_str(), synced_of(&ready)), ("rest: True Succeeded -", IN_STEP));
    assert!(ready.verdict.message.contains(&guid(9).to_string()), "{}", ready.verdict.message);
    // A service that may not be Direct Routing gets the old caution; so do two that are not.
    for license in [None, Some(LicenseType::Other(9)), Some(LicenseType::OcPro)] {
        let decision = at(&Record::default(), &both(Service { license, ..service(1) }));
        assert!(!matches!(decision.step, oc_domain::decision::Step::Observe(..)), "{license:?}");
        let two = at(&Record::default(), &Facts { services: known(view(&[service(2), Service { license, ..service(1) }])), ..both(service(1)) });
        assert_eq!(told(&two), "stop: False Conflict Stalled", "{license:?}");
        assert!(two.verdict.message.contains("ump-customer-guid") && !two.verdict.message.contains("Remove"), "{}", two.verdict.message);
    }
    // A Direct Routing service with the name of a create whose answer was lost is still not what was requested: the create is waited for.
    let named = Facts { services: known(view(&[routing(9, "Contoso_NL")])), ..empty_platform() };
    assert_eq!(told(&at(&creating(NOW - secs(60)), &named)), "wait: False Verifying Reconciling");
    // Its own is gone, and the Direct Routing one still exists.
    let gone = Facts { services: known(view(&[routing(9, "Direct")])), ..empty_platform() };
    assert_eq!(told(&at(&verified(), &gone)), "stop: False DeletedExternally Stalled");
}

/// A service is requested beside a Direct Routing one only if a person allows it, and only then does the platform say whether it accepts it (U-25).
#[test]
fn a_create_beside_a_direct_routing_service() {
    let stopped = "stop: False AlreadyLicensed Stalled";
    let table = [
        (LicenseType::HostedEssentials, false, "Direct", stopped),
        (LicenseType::HostedEssentialsPlus, false, "Direct", stopped),
        (LicenseType::HostedPro, false, "Direct", stopped),
        (LicenseType::HostedPro, true, "Direct", "keep intent: False Converting Reconciling"),
        (LicenseType::Other(9), true, "Direct", stopped),
        // The name belongs to the other service, even within the same tenant.
        (LicenseType::HostedPro, true, "CONTOSO_nl", "stop: False ShortNameTaken Stalled"),
        (LicenseType::HostedPro, false, "CONTOSO_nl", stopped),
    ];
    for (license, beside_direct_routing, name, expected) in table {
        let other = Service { license: Some(license), ..routing(9, name) };
        let by_name = if name == "Direct" { vec![] } else { vec![other.clone().into()] };
        let facts = Facts { services: known(ServicesView { by_name, ..view(std::slice::from_ref(&other)) }), ..empty_platform() };
        let decision = at_now(&be(DesiredService { beside_direct_routing, ..desired() }), &Record::default(), &facts);
        let message = &decision.verdict.message;
        assert_eq!(told(&decision), expected, "{license:?} {beside_direct_routing} {name}: {message}");
        assert!(!message.to_lowercase().contains("remove"), "a paid service is nobody's to remove: {message}");
        assert_eq!(message.contains("spec.besideDirectRouting"), license.direct_routing() && !beside_direct_routing, "{message}");
    }
    let licensed =
        Facts { services: known(ServicesView { by_name: vec![], ..view(&[routing(9, "Direct")]) }), leads: known_leads(vec![lead_with(9)]), ..facts() };
    let decision = at_now(&be(DesiredService { beside_direct_routing: true, ..desired() }), &Record::default(), &licensed);
    assert_eq!(told(&decision), stopped, "only a lead without a service can become one");
    assert!(decision.verdict.message.contains("Direct Routing"), "{}", decision.verdict.message);
}

/// The platform object's rule applies to new services. A service that exists or is being created is observed whatever its name.
#[test]
fn the_rule_for_short_names_is_for_creates_alone() {
    let named = |name: &str| DesiredService { parameters: ServiceParameters { short_name: ShortName::as_written(name), ..parameters() }, ..desired() };
    let ruled = |facts: Facts| {
        let policy = Policy { short_name_rule: ShortNameRule::Alphanumeric, slowest_create: Some(secs(60)), ..Policy::default() };
        Facts { connection: PlatformAccess::Usable(policy), ..facts }
    };
    let there = Service { short_name: "Con-toso".into(), ..service(1) };
    let shows = ruled(Facts { services: known(view_by_guid(&there)), leads: known_leads(vec![lead_with(1)]), ..facts() });
    let none = ruled(empty_platform());
    let table = [
        ("to be made", Record::default(), &none, "stop: False InvalidSpec Stalled"),
        ("to be made again after a failure", ended(Outcome::Failed, NOW - secs(3601)), &none, "stop: False InvalidSpec Stalled"),
        ("under way", creating(NOW - secs(60)), &none, "wait: False Verifying Reconciling"),
        ("just made", creating(NOW - secs(60)), &shows, "rest: True Succeeded -"),
        ("there", verified(), &shows, "rest: True Succeeded -"),
        ("to be taken over", Record::default(), &shows, "keep adopted: False Progressing Reconciling"),
        ("gone", verified(), &none, "stop: False DeletedExternally Stalled"),
    ];
    for (what, record, facts, expected) in table {
        let decision = at_now(&be(named("Con-toso")), &record, facts);
        let message = &decision.verdict.message;
        assert_eq!(told(&decision), expected, "{what}: {message}");
        assert_eq!(message.contains("recreate the object"), expected.contains("InvalidSpec"), "{what}: {message}");
    }
    assert_eq!(told(&at_now(&be(named("Con_toso")), &Record::default(), &none)), "keep intent: False Converting Reconciling");
}

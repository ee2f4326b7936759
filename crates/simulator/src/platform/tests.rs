//! Tests of the state machine without HTTP, at chosen times.

use super::Platform;
use super::create::{Create, Kept, LeadKey};
use super::jobs::{JobName, JobState};
use super::refusal::Refusal;
use super::settings::{FoundBy, SecondCreate, Settings};
use super::tasks::TaskState;
use super::topology::AssignTarget;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const TENANT: &str = "22222222-2222-4222-8222-222222222222";
const OTHER: &str = "66666666-6666-4666-8666-666666666666";

fn platform(settings: Settings) -> Platform {
    let mut platform = Platform::new(settings, 1);
    plant(
        &mut platform,
        json!({"leads": [{"tenantId": TENANT}, {"tenantId": OTHER}]}),
    );
    platform
}

fn plant(platform: &mut Platform, seed: Value) {
    platform.plant(0, serde_json::from_value(seed).unwrap()).unwrap();
}

fn create(tenant: &str, name: &str) -> Create {
    Create {
        lead: LeadKey::Tenant(tenant.into()),
        v3: true,
        short_name: name.into(),
        full_name: "Example BV".into(),
        kept: Kept::default(),
        site_name: None,
        sbc: None,
        scripts: BTreeMap::new(),
        channel: None,
        customer: None,
    }
}

fn fields(outcome: Result<String, Refusal>) -> Vec<String> {
    match outcome {
        Err(Refusal::Validation(faults)) => faults.into_iter().map(|(field, _)| field).collect(),
        other => panic!("not a validation fault: {other:?}"),
    }
}

fn failure(platform: &Platform, task: &str) -> String {
    let task = platform.task(task).unwrap();
    assert_eq!(task.state, TaskState::Failed);
    let (level, message) = &task.messages[0];
    assert_eq!(*level, "Error");
    message.clone()
}

#[test]
fn a_service_comes_at_the_end_of_its_task_and_not_before() {
    let mut platform = platform(Settings::default());
    let task = platform
        .create_service(1_000, create(TENANT, "Example_1"))
        .unwrap();
    platform.advance(2_999);
    assert_eq!(platform.task(&task).unwrap().state, TaskState::InProgress);
    assert_eq!(platform.services.count(), 0);
    assert_eq!(platform.guid_on_lead(TENANT), None);
    platform.advance(9_000);
    let done = platform.task(&task).unwrap();
    assert_eq!(done.state, TaskState::CompletedSuccess);
    let service = platform.services.get(done.guid.as_deref().unwrap()).unwrap();
    assert_eq!(
        (service.license, service.created_at),
        (3, 3_000),
        "at the task's time, not at the time of the look"
    );
    assert_eq!(
        platform.guid_on_lead(&TENANT.to_uppercase()),
        Some(service.guid.as_str())
    );
    let customer = &platform.topology.customers[&service.customer.unwrap()];
    assert_eq!(customer.name, "Example_1");
}

#[test]
fn tenant_and_name_are_taken_from_acceptance_on() {
    let mut platform = platform(Settings::default());
    platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    assert_eq!(
        fields(platform.create_service(1, create(TENANT, "Another_1"))),
        ["MsTenantId"]
    );
    assert_eq!(
        fields(platform.create_service(1, create(OTHER, "EXAMPLE_1"))),
        ["CustomerShortName"]
    );
    assert!(platform.leads.chosen(TENANT).is_some_and(|lead| !lead.direct));
    assert_eq!(platform.record.counters.second_creates_refused, 1);
    assert_eq!(platform.record.counters.creates_accepted, 1);
}

#[test]
fn a_failed_task_frees_what_it_had_taken() {
    let mut platform = platform(Settings::default());
    platform
        .faults
        .add(serde_json::from_value(json!({"kind": "taskFailed", "message": "no"})).unwrap());
    let task = platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    platform.advance(2_000);
    assert_eq!(failure(&platform, &task), "no");
    assert_eq!(platform.services.count(), 0);
    platform
        .create_service(2_000, create(OTHER, "Example_1"))
        .unwrap();
    platform
        .create_service(2_000, create(TENANT, "Example_2"))
        .unwrap();
    platform.advance(4_000);
    assert_eq!(platform.services.count(), 2);
}

#[test]
fn a_task_can_fail_and_leave_a_service() {
    let mut platform = platform(Settings::default());
    platform
        .faults
        .add(serde_json::from_value(json!({"kind": "taskFailed", "executed": true})).unwrap());
    let task = platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    platform.advance(2_000);
    failure(&platform, &task);
    assert!(platform.guid_on_lead(TENANT).is_some());
}

#[test]
fn a_second_create_can_be_refused_by_its_task() {
    let mut platform = platform(Settings {
        second_create: SecondCreate::Task,
        ..Settings::default()
    });
    platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    let second = platform.create_service(1, create(TENANT, "Example_2")).unwrap();
    platform.advance(5_000);
    assert_eq!(
        failure(&platform, &second),
        "This MsTenant already exists as an UMP customer!"
    );
    assert_eq!(platform.services.count(), 1);
    assert!(platform.history.with_two_services().is_empty());
    assert_eq!(platform.record.counters.second_creates_refused, 1);
}

#[test]
fn a_second_create_can_go_through_and_is_never_forgotten() {
    let mut platform = platform(Settings {
        second_create: SecondCreate::Allowed,
        ..Settings::default()
    });
    platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    platform.create_service(1, create(TENANT, "Example_1")).unwrap();
    assert_eq!(
        fields(platform.create_service(1, create(OTHER, "Example_1"))),
        ["CustomerShortName"]
    );
    platform.advance(5_000);
    let guids: Vec<String> = platform
        .services
        .all()
        .map(|service| service.guid.clone())
        .collect();
    assert_eq!(guids.len(), 2);
    assert_eq!(
        fields(platform.create_service(5_000, create(OTHER, "Example_1"))),
        ["CustomerShortName"]
    );
    for guid in guids {
        platform.delete_service(6_000, &guid).unwrap();
    }
    assert_eq!(platform.history.with_two_services(), [TENANT]);
}

#[test]
fn one_after_the_other_is_not_two() {
    let mut platform = platform(Settings::default());
    for start in [0, 10_000] {
        platform
            .create_service(start, create(TENANT, "Example_1"))
            .unwrap();
        platform.advance(start + 2_000);
        let guid = platform.guid_on_lead(TENANT).unwrap().to_owned();
        platform.delete_service(start + 3_000, &guid).unwrap();
    }
    assert!(platform.history.with_two_services().is_empty());
    assert_eq!(platform.history.creations()[TENANT], 2);
    assert!(
        platform.topology.customers.is_empty(),
        "an LC customer made with a service goes with it"
    );
}

#[test]
fn each_fault_of_a_create_is_found_at_the_request_or_in_the_task() {
    let seed = json!({
        "leads": [{"tenantId": "suspended", "status": "Suspended"}, {"tenantId": "inChannel", "channelId": 7},
                  {"tenantId": "inFull", "channelId": 8}],
        "channels": [{"id": 7, "name": "seven"}, {"id": 8, "name": "eight", "maxCustomers": 1}],
        "lcCustomers": [{"id": 70, "name": "in seven", "channelId": 7}, {"id": 80, "name": "in eight", "channelId": 8}],
        "services": [{"tenantId": "elsewhere", "shortName": "Taken"}],
    });
    let with = |tenant, name, channel, customer| Create {
        channel,
        customer,
        ..create(tenant, name)
    };
    let faulty = [
        (with("suspended", "Name_1", None, None), "MsTenantId"),
        (with(TENANT, "ab", None, None), "CustomerShortName"),
        (with(TENANT, "taken", None, None), "CustomerShortName"),
        (with(TENANT, "Name_1", Some(9), None), "ChannelId"),
        (with(TENANT, "Name_1", None, Some(99)), "LcCustomerId"),
        (with("inChannel", "Name_1", None, Some(80)), "LcCustomerId"),
        (with(TENANT, "Name_1", Some(8), Some(70)), "LcCustomerId"),
        (with("inFull", "Name_1", None, None), "ChannelId"),
    ];
    for (create, field) in &faulty {
        let mut now = platform(Settings::default());
        plant(&mut now, seed.clone());
        assert_eq!(
            fields(now.create_service(0, create.clone())),
            [*field],
            "{create:?}"
        );

        let mut later = platform(Settings {
            faults_found_by: FoundBy::Task,
            ..Settings::default()
        });
        plant(&mut later, seed.clone());
        let task = later.create_service(0, create.clone()).unwrap();
        later.advance(2_000);
        assert!(!failure(&later, &task).is_empty());
        assert_eq!(later.services.count(), 1, "only the one that was there");
    }
    let mut good = platform(Settings::default());
    plant(&mut good, seed);
    good.create_service(0, with("inChannel", "Name_1", None, Some(70)))
        .unwrap();
    good.create_service(0, with("inFull", "Name_2", None, Some(80)))
        .unwrap();
}

#[test]
fn the_channel_of_the_request_goes_before_the_leads() {
    let mut platform = platform(Settings::default());
    plant(
        &mut platform,
        json!({"leads": [{"tenantId": "inSeven", "channelId": 7}], "channels": [{"id": 8, "name": "eight"}]}),
    );
    let create = Create {
        channel: Some(8),
        ..create("inSeven", "Name_1")
    };
    platform.create_service(0, create).unwrap();
    platform.advance(2_000);
    assert_eq!(platform.leads.chosen("inSeven").unwrap().channel, Some(8));
    let owner = platform.services.all().next().unwrap().customer.unwrap();
    assert_eq!(platform.topology.customers[&owner].channel, Some(8));
}

#[test]
fn an_unknown_lead_is_a_404_or_a_failed_task() {
    let mut now = platform(Settings::default());
    let refused = now.create_service(0, create("nobody", "Name_1"));
    assert_eq!(refused, Err(Refusal::Quoted(404, "Invalild lead".into())));
    let mut later = platform(Settings {
        faults_found_by: FoundBy::Task,
        ..Settings::default()
    });
    let task = later.create_service(0, create("nobody", "Name_1")).unwrap();
    later.advance(2_000);
    assert_eq!(failure(&later, &task), "Invalild lead");
}

#[test]
fn a_deleted_service_can_linger() {
    let mut platform = platform(Settings {
        deletion_delay: 500,
        ..Settings::default()
    });
    plant(
        &mut platform,
        json!({"services": [{"tenantId": TENANT, "shortName": "Example_1", "umpCustomerGuid": "g"}]}),
    );
    platform.delete_service(1_000, "g").unwrap();
    platform.advance(1_499);
    assert_eq!(platform.listed(1_499).count(), 1);
    assert_eq!(
        platform.delete_service(1_499, "g"),
        Err(Refusal::no_customer("g"))
    );
    assert_eq!(
        fields(platform.create_service(1_499, create(TENANT, "Example_2"))),
        ["MsTenantId"]
    );
    platform.advance(1_500);
    assert_eq!(platform.services.count(), 0);
    platform
        .create_service(1_500, create(TENANT, "Example_1"))
        .unwrap();
}

#[test]
fn a_service_can_be_late_in_the_lists_and_on_the_lead() {
    let settings = Settings {
        service_visibility_delay: 700,
        visible_after_leads_job: true,
        ..Settings::default()
    };
    let mut platform = platform(settings);
    platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    platform.advance(2_600);
    assert_eq!(
        (platform.listed(2_699).count(), platform.listed(2_700).count()),
        (0, 1)
    );
    assert_eq!(platform.guid_on_lead(TENANT), None);
    platform.start_job(2_600, JobName::Trunks).unwrap();
    platform.advance(2_600);
    assert_eq!(
        platform.guid_on_lead(TENANT),
        None,
        "the trunks job is another one"
    );
    platform.start_job(2_600, JobName::Leads).unwrap();
    platform.advance(2_600);
    assert!(platform.guid_on_lead(TENANT).is_some());
}

#[test]
fn a_job_sees_what_was_there_when_it_began() {
    let settings = Settings {
        job_duration: 1_000,
        visible_after_leads_job: true,
        ..Settings::default()
    };
    let mut platform = platform(settings);
    platform.create_service(0, create(TENANT, "Example_1")).unwrap();
    assert_eq!(platform.start_job(1_999, JobName::Leads), Ok(2_999));
    assert_eq!(platform.start_job(2_500, JobName::Leads), Err(2_999));
    platform.advance(5_000);
    let job = platform.jobs.get(JobName::Leads);
    assert_eq!(
        (job.runs, job.state, job.last_finished),
        (1, JobState::Succeeded, Some(2_999))
    );
    assert_eq!(platform.guid_on_lead(TENANT), None);
    platform.start_job(5_000, JobName::Leads).unwrap();
    platform.advance(6_000);
    assert!(platform.guid_on_lead(TENANT).is_some());
}

#[test]
fn a_scheduled_job_runs_by_itself_until_it_does_not() {
    let mut platform = platform(Settings::default());
    platform.schedule_job(0, JobName::Trunks, Some(100));
    for now in (0..=1_000).step_by(50) {
        platform.advance(now);
    }
    assert_eq!(platform.jobs.get(JobName::Trunks).runs, 10);
    platform.advance(1_000_000_000);
    assert_eq!(
        platform.jobs.get(JobName::Trunks).runs,
        10_000_000,
        "whether somebody looked or not"
    );
    platform.schedule_job(1_000_000_000, JobName::Trunks, Some(0));
    platform.advance(2_000_000_000);
    assert_eq!(platform.jobs.get(JobName::Trunks).runs, 10_000_000);
    assert_eq!(platform.jobs.get(JobName::Leads).runs, 0);
}

#[test]
fn a_failed_job_refreshes_nothing() {
    let mut platform = platform(Settings {
        microsoft_changes_after_leads_job: true,
        ..Settings::default()
    });
    platform.change_lead(
        0,
        TENANT,
        &serde_json::from_value(json!({"status": "Removed"})).unwrap(),
    );
    platform
        .faults
        .add(serde_json::from_value(json!({"kind": "jobFailed"})).unwrap());
    for (state, status) in [(JobState::Failed, "Active"), (JobState::Succeeded, "Removed")] {
        platform.start_job(1, JobName::Leads).unwrap();
        platform.advance(1);
        assert_eq!(platform.jobs.get(JobName::Leads).state, state);
        assert_eq!(platform.leads.chosen(TENANT).unwrap().status, status);
    }
}

#[test]
fn at_most_300_assignments_a_minute() {
    let mut platform = platform(Settings::default());
    plant(&mut platform, json!({"channels": [{"id": 7, "name": "seven"}]}));
    let target = AssignTarget {
        tenant: Some(TENANT.into()),
        ..AssignTarget::default()
    };
    for call in 0..300 {
        platform.assign_channel(call, &target, Some(7)).unwrap();
    }
    assert_eq!(
        platform.assign_channel(59_999, &target, Some(7)),
        Err(Refusal::TooMany)
    );
    platform.assign_channel(60_000, &target, Some(7)).unwrap();
    assert_eq!(
        platform.assign_channel(60_000, &target, Some(7)),
        Err(Refusal::TooMany)
    );
}

#[test]
fn a_lead_only_microsoft_knows_comes_with_check_online_or_the_job() {
    let mut platform = platform(Settings::default());
    plant(
        &mut platform,
        json!({"leads": [{"tenantId": "new", "local": false}, {"tenantId": "newer", "local": false}]}),
    );
    assert!(platform.leads.chosen("new").is_none());
    platform.check_online("new");
    assert!(platform.leads.chosen("new").is_some());
    assert!(platform.leads.chosen("newer").is_none());
    platform.start_job(0, JobName::Leads).unwrap();
    platform.advance(0);
    assert!(platform.leads.chosen("newer").is_some());
}

#[test]
fn the_consented_lead_is_meant_when_there_are_two() {
    let mut platform = platform(Settings::default());
    plant(
        &mut platform,
        json!({"leads": [{"tenantId": TENANT, "consented": false}]}),
    );
    assert_eq!(platform.leads.of(TENANT).count(), 2);
    assert!(!platform.leads.chosen(TENANT).unwrap().direct);
    platform.delete_lead(Some(TENANT)).unwrap();
    assert_eq!(
        platform.delete_lead(Some(TENANT)),
        Err(Refusal::Plain(400, "Invalid lead".into()))
    );
    assert_eq!(platform.leads.of(TENANT).count(), 1);
}

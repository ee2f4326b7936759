//! What the tables and the laws are built from: sample platform data, and the checker of conditions.
#![allow(dead_code, reason = "each test crate uses its part")]

pub mod kstatus;

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::Change;
use oc_domain::facts::{Fact, Facts, LeadsRead, LeadsView, ServicesView};
use oc_domain::model::{Lead, LicenseType, MicrosoftStatus, Service, Task, TaskState};
use oc_domain::names::{CustomerGuid, LeadId, ShortName, ShortNameRule, TaskId, TenantId};
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::requests::{NewLead, ServiceParameters, SipConnection};
use oc_domain::service::{Adoption, DesiredService, Mode, ServiceTarget};
use oc_domain::time::{Duration, Time};

/// A moment with milliseconds, so that truncation is noticed.
pub const NOW: Time = Time(1_800_000_000_250);
pub const TENANT: &str = "22222222-2222-4222-8222-222222222222";
pub const OTHER_TENANT: &str = "33333333-3333-4333-8333-333333333333";

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn tenant() -> TenantId {
    TenantId::parse(TENANT).expect("a GUID")
}

pub fn guid(number: u32) -> CustomerGuid {
    CustomerGuid::parse(&format!("aaaaaaaa-0000-4000-8000-{number:012}")).expect("a GUID")
}

pub fn task_id(number: u32) -> TaskId {
    TaskId::parse(&format!("wst_{number}")).expect("a task id")
}

pub fn service(number: u32) -> Service {
    Service {
        guid: guid(number),
        tenant: Some(tenant()),
        short_name: "Contoso_NL".into(),
        full_name: Some("Contoso Netherlands B.V.".into()),
        license: Some(LicenseType::OcEssential),
    }
}

pub fn lead() -> Lead {
    Lead {
        id: LeadId::parse("bbbbbbbb-0000-4000-8000-000000000001").expect("a GUID"),
        tenant: tenant(),
        status: MicrosoftStatus::Active,
        consentless: false,
        service: None,
        channel: None,
        company_name: Some("Contoso".into()),
        company_size: None,
        countries: ["NL".into()].into(),
        consented: None,
        last_modified: None,
        contact: None,
    }
}

pub fn lead_with(number: u32) -> Lead {
    Lead { service: Some(guid(number)), ..lead() }
}

pub fn task(number: u32, state: TaskState) -> Task {
    let status = match state {
        TaskState::Running => "Running",
        TaskState::Succeeded => "CompletedSuccess",
        TaskState::Failed => "Failed",
        TaskState::Ended => "CompletedWithErrors",
    };
    Task { id: task_id(number), state, status: status.into(), messages: ["Error: the script ended badly".into()].into(), service: None }
}

pub fn parameters() -> ServiceParameters {
    let short_name = ShortName::parse("Contoso_NL", ShortNameRule::Portal).expect("a short name");
    ServiceParameters::new(short_name, "Contoso Netherlands B.V.")
}

/// By tenant id, or by its own IP group.
pub fn connection(ip_group: bool) -> SipConnection {
    if ip_group { SipConnection::IpGroup(Box::default()) } else { SipConnection::Tenant }
}

/// The company name with which a consentless lead may be created, if it may.
pub fn company(consentless: bool) -> Option<String> {
    consentless.then(|| "Contoso".into())
}

/// A service by its own IP group, or by tenant id.
pub fn by(ip_group: bool) -> ServiceParameters {
    ServiceParameters { connection: connection(ip_group), ..parameters() }
}

/// The request when [`desired`] does not exist.
pub fn create() -> Change {
    Change::CreateService(Box::new(desired().new_service()))
}

/// The request when a consentless lead does not exist.
pub fn create_lead() -> Change {
    Change::CreateLead(NewLead { tenant: tenant(), company_name: "Contoso".into() })
}

pub fn desired() -> DesiredService {
    DesiredService {
        tenant: tenant(),
        parameters: parameters(),
        mode: Mode::Apply,
        adoption: Adoption::IfMatching,
        recreate: false,
        beside_direct_routing: false,
        missing: None,
        rival: None,
    }
}

pub fn be(desired: DesiredService) -> ServiceTarget {
    ServiceTarget::Present(Box::new(desired))
}

/// Nothing read yet, for an old object whose spec has been observed.
pub fn facts() -> Facts {
    let connection = PlatformAccess::Usable(Policy { slowest_create: Some(secs(60)), ..Policy::default() });
    Facts { object_created: NOW - secs(3600), ..Facts::unread(NOW, connection) }
}

pub fn known<T>(value: T) -> Fact<T> {
    Fact::Known { value, at: NOW }
}

/// The leads of the tenant, from a complete list read in one piece.
pub fn whole(leads: Vec<Lead>) -> LeadsView {
    LeadsView { leads: leads.into_iter().map(Arc::new).collect(), complete: true, read: LeadsRead::AtOnce }
}

/// The same leads, read in this pass.
pub fn known_leads(leads: Vec<Lead>) -> Fact<LeadsView> {
    known(whole(leads))
}

/// What a complete list holds for the object, whose recorded guid is that of the first.
pub fn view(services: &[Service]) -> ServicesView {
    let all: Vec<_> = services.iter().cloned().map(Arc::new).collect();
    ServicesView { by_tenant: all.clone(), by_guid: None, by_name: all, complete: true }
}

pub fn view_by_guid(service: &Service) -> ServicesView {
    ServicesView { by_guid: Some(Arc::new(service.clone())), ..view(std::slice::from_ref(service)) }
}

/// Everything read in this pass: no service, one Active lead.
pub fn empty_platform() -> Facts {
    Facts { services: known(view(&[])), leads: known_leads(vec![lead()]), ..facts() }
}

pub fn intent(kind: OperationKind, start: Time, sent: Sent) -> Intent {
    Intent { kind, id: OperationId("op-1".into()), start: start.whole_second(), tenant: None, place: None, sent }
}

/// An object whose intent may have had a create in progress since `start`.
pub fn creating(start: Time) -> Record {
    Record { finalizer: true, intent: Some(intent(OperationKind::Create, start, Sent::Maybe)), ..Record::default() }
}

/// Like [`creating`], with the task that the platform gave.
pub fn converting(start: Time) -> Record {
    let record = creating(start);
    let mut operation = Operation::of(record.intent.as_ref().expect("an intent"));
    operation.task = Some(task_id(1));
    Record { operation: Some(operation), ..record }
}

/// Like [`converting`], with a task that was seen to end `ago` seconds before.
pub fn converted(start: Time, ago: u64) -> Record {
    let mut record = converting(start);
    record.operation.as_mut().expect("an operation").task_ended = Some((NOW - secs(ago)).whole_second());
    record
}

/// Like [`converted`], with a task that reported the service's guid.
pub fn told_by_task(start: Time, ago: u64) -> Record {
    let mut record = converted(start, ago);
    record.prove(guid(1));
    record
}

/// An object whose create ended with this outcome at `completed`.
pub fn ended(outcome: Outcome, completed: Time) -> Record {
    let mut record = converting(completed - secs(60));
    let operation = record.operation.as_mut().expect("an operation");
    operation.outcome = Some(outcome);
    operation.completed = Some(completed.whole_second());
    operation.messages = ["Error: the script ended badly".into()].into();
    record
}

/// An object that created service 1 and read it back.
pub fn verified() -> Record {
    let mut record = ended(Outcome::Succeeded, NOW - secs(1800));
    record.guid = Some(guid(1));
    record.guid_proven = true;
    record.license = Some("OC Essential".into());
    record.observed_generation = Some(1);
    record.leads_job = synced();
    record
}

pub fn synced() -> oc_domain::record::JobRecord {
    let at = Some((NOW - secs(1700)).whole_second());
    oc_domain::record::JobRecord { state: oc_domain::record::JobState::Synced, due: at, requested: None, completed: at }
}

pub fn away() -> Trouble {
    Trouble::new(Reason::PlatformUnavailable, "The platform can't be reached.")
}

//! Any record and any facts, sensible or not: every decision is total, equal for equal inputs, and keeps its promises.

mod common;

use common::{NOW, guid, kstatus::kstatus_violations, secs, tenant};
use std::sync::Arc;

use oc_domain::absence::{self, AbsenceCount, Belief};
use oc_domain::conditions::{Reason, Trouble, Verdict};
use oc_domain::decision::{Change, ChangeResult, Mark, Query, Step};
use oc_domain::facts::{Absence, DeletionPolicy, Fact, Facts, LeadsRead, LeadsView, ServicesView};
use oc_domain::lead;
use oc_domain::model::{LcCustomerAnswer, Lead, LicenseType, MicrosoftStatus, Service, TaskState};
use oc_domain::platform;
use oc_domain::policy::{JobTrigger, PlatformAccess, Policy};
use oc_domain::record::{Job, JobRecord, JobState, OperationKind, Outcome, Record, Sent};
use oc_domain::requests::ServiceParameters;
use oc_domain::service::{self, Adoption, Deletion, DesiredService, Mode};
use oc_domain::time::Time;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn age() -> impl Strategy<Value = Time> {
    select(vec![0u64, 1, 20, 40, 299, 301, 899, 901, 3599, 3700, 8000, 90_000]).prop_map(|seconds| NOW - secs(seconds))
}

fn trouble() -> impl Strategy<Value = Trouble> {
    select(Reason::ALL.to_vec()).prop_map(|reason| Trouble::new(reason, "Something stands in the way."))
}

fn fact<T: Clone + std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Fact<T>> {
    prop_oneof![2 => Just(Fact::Unread), 5 => (value, age()).prop_map(|(value, at)| Fact::Known { value, at }), 1 => trouble().prop_map(Fact::Unreadable)]
        .boxed()
}

fn a_service() -> impl Strategy<Value = Service> {
    let license = select(vec![None, Some(LicenseType::OcEssential), Some(LicenseType::HostedPro), Some(LicenseType::Other(9))]);
    (1u32..3, license, any::<bool>(), any::<bool>()).prop_map(|(number, license, same_tenant, same_name)| {
        let mut service = Service { license, ..common::service(number) };
        if !same_tenant {
            service.tenant = None;
        }
        if !same_name {
            service.short_name = "Else".into();
        }
        service
    })
}

fn a_view() -> impl Strategy<Value = ServicesView> {
    (
        vec(a_service().prop_map(Arc::new), 0..3),
        option::of(a_service().prop_map(Arc::new)),
        vec(a_service().prop_map(Arc::new), 0..2),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(by_tenant, by_guid, by_name, complete)| ServicesView { by_tenant, by_guid, by_name, complete })
}

fn a_lead() -> impl Strategy<Value = Lead> {
    let status = select(vec![MicrosoftStatus::Active, MicrosoftStatus::Suspended, MicrosoftStatus::Other("Odd".into())]);
    (status, any::<bool>(), option::of(1u32..3), option::of(5i64..7)).prop_map(|(status, consentless, service, channel)| Lead {
        status,
        consentless,
        channel,
        service: service.map(guid),
        ..common::lead()
    })
}

fn leads() -> impl Strategy<Value = LeadsView> {
    let read = select(vec![LeadsRead::AtOnce, LeadsRead::AtOnce, LeadsRead::InPages, LeadsRead::OfTenant]);
    (vec(a_lead().prop_map(Arc::new), 0..3), prop::bool::weighted(0.8), read).prop_map(|(leads, complete, read)| LeadsView { leads, complete, read })
}

fn an_answer() -> impl Strategy<Value = ChangeResult> {
    prop_oneof![
        Just(ChangeResult::Accepted(common::task_id(1))),
        Just(ChangeResult::Done),
        Just(ChangeResult::NotFound),
        trouble().prop_map(ChangeResult::Rejected),
        trouble().prop_map(ChangeResult::NotSent),
        trouble().prop_map(ChangeResult::Unknown),
    ]
}

fn a_job() -> impl Strategy<Value = JobRecord> {
    (select(vec![JobState::NotDue, JobState::Due, JobState::Requested, JobState::Synced]), option::of(age()), option::of(age()), option::of(age()))
        .prop_map(|(state, due, requested, completed)| JobRecord { state, due, requested, completed })
}

fn a_record() -> impl Strategy<Value = Record> {
    let kind = || select(vec![OperationKind::Create, OperationKind::Delete]);
    let intent = (kind(), age(), select(vec![Sent::No, Sent::Maybe])).prop_map(|(kind, start, sent)| common::intent(kind, start, sent));
    let outcome = select(vec![None, Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Refused), Some(Outcome::Unknown)]);
    let operation = (kind(), outcome, age(), any::<bool>(), any::<bool>());
    (any::<bool>(), option::of(intent), option::of(operation), option::of(1u32..3), any::<bool>(), a_job(), a_job(), option::of(5i64..7)).prop_map(
        |(finalizer, intent, operation, number, licensed, leads_job, trunks_job, assigned_channel)| {
            let operation = operation.map(|(kind, outcome, at, task, same)| {
                let mut operation = common::ended(Outcome::Failed, at).operation.expect("an operation");
                (operation.kind, operation.outcome, operation.completed) = (kind, outcome, outcome.map(|_| at));
                operation.task = operation.task.filter(|_| task);
                if !same {
                    operation.id.0 = "op-0".into();
                }
                operation
            });
            let license = licensed.then(|| "OC Essential".into());
            Record { finalizer, intent, operation, guid: number.map(guid), license, leads_job, trunks_job, assigned_channel, ..Record::default() }
        },
    )
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let task = option::of(select(vec![TaskState::Running, TaskState::Succeeded, TaskState::Failed]).prop_map(|state| common::task(1, state)));
    let connection = prop_oneof![6 => Just(PlatformAccess::Usable(Policy::default())), 1 => trouble().prop_map(PlatformAccess::Unusable), 1 => trouble().prop_map(PlatformAccess::Unknown)];
    let read = (fact(a_view()), fact(leads()), fact(Just(LcCustomerAnswer::NoSuchCall)), fact(task), option::weighted(0.3, an_answer()));
    let belief = prop_oneof![4 => Just(Belief::Believed), 1 => Just(Belief::Doubted), 1 => trouble().prop_map(Belief::Held)];
    (read, connection, any::<[bool; 3]>(), (age(), belief), 0u32..12).prop_map(|(read, connection, flags, (object_created, belief), failures)| {
        let ((services, leads, lc_customer, task, answer), [retry_now, reconcile_requested, settled]) = (read, flags);
        Facts {
            services,
            belief,
            leads,
            lc_customer,
            task,
            answer,
            connection,
            retry_now,
            reconcile_requested,
            ready_at_generation: settled,
            object_created,
            failures,
            ..common::facts()
        }
    })
}

fn policy() -> impl Strategy<Value = DeletionPolicy> {
    select(vec![DeletionPolicy::Retain, DeletionPolicy::Delete])
}

fn service_wish() -> impl Strategy<Value = service::ServiceTarget> {
    let spec = (
        select(vec![Mode::Apply, Mode::Plan, Mode::Observe]),
        select(vec![Adoption::IfMatching, Adoption::Never, Adoption::Always]),
        any::<[bool; 3]>(),
        option::of(5i64..7),
    );
    let be = spec.prop_map(|(mode, adoption, [recreate, ip_group, customer], channel)| {
        let parameters = ServiceParameters { channel, lc_customer: customer.then_some(4711), ..common::by(ip_group) };
        common::be(DesiredService { mode, adoption, recreate, parameters, ..common::desired() })
    });
    let gone = (policy(), any::<[bool; 2]>()).prop_map(|(policy, [known, suspended])| {
        service::ServiceTarget::Absent(Deletion {
            policy,
            tenant: known.then(tenant),
            short_name: known.then(|| "Contoso_NL".into()),
            suspended,
            guard_numbers: suspended != known,
            owned_by_others: Vec::new(),
        })
    });
    prop_oneof![5 => be, 3 => gone, 1 => Just(service::ServiceTarget::Suspended), 1 => trouble().prop_map(service::ServiceTarget::Invalid)]
}

fn lead_wish() -> impl Strategy<Value = lead::LeadTarget> {
    let be = (any::<[bool; 2]>(), option::of(5i64..7), policy()).prop_map(|([consentless, served], channel, deletion_policy)| {
        let consentless = common::company(consentless);
        lead::LeadTarget::Present(lead::DesiredLead { tenant: tenant(), consentless, channel, deletion_policy, rival: None, served })
    });
    let gone =
        (policy(), any::<[bool; 2]>()).prop_map(|(policy, [known, suspended])| lead::LeadTarget::Absent { policy, tenant: known.then(tenant), suspended });
    prop_oneof![5 => be, 3 => gone, 1 => Just(lead::LeadTarget::Suspended), 1 => trouble().prop_map(lead::LeadTarget::Invalid)]
}

/// The condition rules that a verdict breaks. Not the rule about reasons: the troubles here have any reason, including many that never occur.
fn rules(verdict: &Verdict) -> Vec<String> {
    kstatus_violations(&verdict.conditions()).into_iter().filter(|broken| !broken.starts_with("K5:")).collect()
}

/// What holds for every step and verdict, whatever the kind.
fn sound(step: &Step, verdict: &Verdict, facts: &Facts) -> Vec<String> {
    let mut broken = rules(verdict);
    let mut hold = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    match step {
        Step::Observe(query, since) => {
            let new = facts.lacks(query, *since);
            hold(new, "a look that tells nothing new");
        }
        Step::Execute(_) => hold(facts.answer.is_none(), "a second change in one pass"),
        Step::Wait(until, _) | Step::Idle(until) | Step::Blocked(until) => hold(*until > NOW, "an appointment in the past"),
        Step::PatchMetadata(Mark::RecordIntent { start, .. }) => hold(*start == start.whole_second(), "an intent with milliseconds"),
        Step::PatchMetadata(_) => {}
    }
    broken
}

fn a_count() -> impl Strategy<Value = AbsenceCount> {
    (0usize..400, proptest::collection::btree_set("[a-d]", 0..4), 0usize..2).prop_map(|(recorded, missing, asked)| AbsenceCount { recorded, missing, asked })
}

fn a_ledger() -> impl Strategy<Value = absence::AbsenceLedger> {
    let known = option::of(select(vec![absence::Account::default(), absence::Account { url: "elsewhere".into(), ..absence::Account::default() }]));
    let believed = proptest::collection::btree_map("[a-d]", age().prop_map(Time::whole_second), 0..3);
    (known, believed, 0u32..3, 0u32..3, age(), option::of(select(vec!["a".to_owned(), "b".to_owned()]))).prop_map(
        |(known, believed, accepted, held, since, handled)| {
            let since = (held > 0).then_some(since.whole_second());
            absence::AbsenceLedger { known, believed, accepted, held, since, handled }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_service(target in service_wish(), record in a_record(), facts in any_facts()) {
        let decision = service::decide(NOW, &target, &record, &facts);
        prop_assert_eq!(&decision, &service::decide(NOW, &target, &record, &facts));
        prop_assert_eq!(sound(&decision.step, &decision.verdict, &facts), Vec::<String>::new());
        let changes = matches!(decision.step, Step::Execute(_) | Step::PatchMetadata(_));
        match (&target, &decision.step) {
            (service::ServiceTarget::Present(desired), _) => prop_assert!(!changes || desired.mode == Mode::Apply, "{:?} changes something", desired.mode),
            (service::ServiceTarget::Absent(deletion), Step::Execute(_)) => prop_assert!(deletion.policy == DeletionPolicy::Delete && !deletion.suspended),
            (service::ServiceTarget::Absent(_), _) => {}
            _ => prop_assert!(!changes),
        }
        // A list that is not believed creates nothing, and what it lacks is not released.
        if facts.belief != Belief::Believed {
            let makes = matches!(decision.step, Step::Execute(Change::CreateService(_)) | Step::PatchMetadata(Mark::RecordIntent { kind: OperationKind::Create, .. }));
            prop_assert!(!makes, "{:?} by a list that is not believed", decision.step);
            prop_assert!(decision.why != "looked for and not found" && decision.why != "the service was deleted behind our back" || record.license.is_none());
        }
        if let Step::Execute(Change::CreateService(_)) = decision.step {
            prop_assert!(facts.services.since(NOW).is_some_and(|view| view.by_tenant.is_empty() && view.complete));
            prop_assert!(record.may_send(OperationKind::Create, NOW) && record.running().is_none_or(|op| op.task.is_none() || op.kind == OperationKind::Delete));
        }
        if let Step::Execute(Change::DeleteService(guid)) = &decision.step {
            prop_assert_eq!(record.guid.as_ref(), Some(guid));
        }
    }

    #[test]
    fn any_lead(target in lead_wish(), record in a_record(), facts in any_facts()) {
        let decision = lead::decide(NOW, &target, &record, &facts);
        prop_assert_eq!(&decision, &lead::decide(NOW, &target, &record, &facts));
        prop_assert_eq!(sound(&decision.step, &decision.verdict, &facts), Vec::<String>::new());
        let fresh = facts.leads.since(NOW);
        match &decision.step {
            Step::Execute(Change::CreateLead(_)) => prop_assert!(fresh.is_some_and(|view| view.leads.is_empty() && view.absence() == Absence::Proven) && record.may_send(OperationKind::Create, NOW)),
            Step::Execute(Change::DeleteLead(_)) => {
                prop_assert!(fresh.is_some_and(|view| view.leads.iter().any(|lead| lead.consentless)));
                let meant = matches!(target, lead::LeadTarget::Absent { policy: DeletionPolicy::Delete, suspended: false, .. });
                prop_assert!(meant);
            }
            Step::Execute(Change::AssignChannel(..) | Change::UnassignChannel(_)) => prop_assert!(matches!(target, lead::LeadTarget::Present(_))),
            Step::Execute(other) => prop_assert!(false, "a lead asks for {other:?}"),
            _ => {}
        }
    }

    #[test]
    fn any_platform(
        jobs in (a_job(), a_job()), services in fact(0usize..3), leads in fact(0usize..3), waiting in any::<[Option<u8>; 2]>(),
        answer in option::of((select(Job::ALL.to_vec()), age(), an_answer())), trigger in select(vec![JobTrigger::Manual, JobTrigger::Http]),
        ran_at in option::of((-4i64..3, age())), flags in any::<[bool; 2]>(), unusable in option::weighted(0.2, trouble()), counted in option::of(a_count()),
        absences in a_ledger(), word in option::of(select(vec!["a", "b"])),
    ) {
        let waiting = waiting.map(|since| platform::Waiting { due: since.map(|since| (NOW - secs(u64::from(since)), NOW - secs(u64::from(since) / 2))) });
        let ran_at = ran_at.map(|(ahead, at)| platform::RanAt::new("x", Some(if ahead < 0 { NOW + secs(ahead.unsigned_abs() * 3) } else { at })));
        let desired = platform::DesiredPlatform {
            observe_interval: secs(600), trigger, ran_at: [ran_at, None], deletions: 1.into(), approval: None, absence_approval: word.map(str::to_owned),
            account: absence::Account::default(), reconcile_requested: flags[0], unusable, unfollowed: None, discovered: None,
        };
        let record = platform::PlatformRecord { jobs: [jobs.0, jobs.1], absences, ..platform::PlatformRecord::default() };
        let facts = platform::PlatformFacts { leads, services, waiting, counted, deletions: Vec::new(), answer, failures: 0 };
        let decision = platform::decide(NOW, &desired, &record, &facts);
        prop_assert_eq!(&decision, &platform::decide(NOW, &desired, &record, &facts));
        prop_assert_eq!(rules(&decision.verdict), Vec::<String>::new());
        match decision.step {
            Step::Observe(Query::Services, _) => prop_assert_eq!(&facts.services, &Fact::Unread),
            Step::Observe(Query::Leads, _) => prop_assert_eq!(&facts.leads, &Fact::Unread),
            Step::Execute(job) => {
                prop_assert!(facts.answer.is_none() && trigger == JobTrigger::Http);
                prop_assert!(facts.waiting[platform::index(job)].due.is_some(), "nobody waits for {job:?}");
            }
            Step::Idle(until) | Step::Wait(until, _) => prop_assert!(until > NOW),
            other => prop_assert!(false, "a platform object is not worked on by {other:?}"),
        }
        // Absorbing the same facts twice changes nothing: status is not written again and again.
        let again = platform::decide(NOW, &desired, &decision.record, &platform::PlatformFacts { answer: None, ..facts });
        prop_assert_eq!(again.record, decision.record);
    }
}

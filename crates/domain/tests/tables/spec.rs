//! From an object's spec to its target, and what a pass starts with.

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::{DeletionPolicy, Facts, ObjectState};
use oc_domain::lead;
use oc_domain::memory::PassMemory;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::OperationKind;
use oc_domain::service::{Deletion, DesiredService, Mode, Neighbour, ServiceSpec, ServiceTarget};

use crate::common::*;

use DeletionPolicy::{Delete, Retain};

fn said() -> ServiceSpec {
    let desired = desired();
    ServiceSpec {
        deleting: false,
        suspended: false,
        tenant: Ok(tenant()),
        parameters: desired.parameters,
        mode: Mode::Apply,
        adoption: desired.adoption,
        recreate: false,
        beside_direct_routing: false,
        deletion_policy: Delete,
        guard_numbers: true,
        missing: None,
    }
}

fn unclear() -> Trouble {
    Trouble::new(Reason::InvalidSpec, "spec.msTenantId is not a GUID.")
}

#[test]
fn a_spec_says_what_its_object_is_to_become() {
    let no_lead = || Trouble::new(Reason::LeadNotFound, "There is no such Lead.");
    let table = [
        ("plain", said(), ServiceTarget::Present(Box::new(desired()))),
        ("suspended", ServiceSpec { suspended: true, ..said() }, ServiceTarget::Suspended),
        ("suspended, and its tenant is not known", ServiceSpec { suspended: true, tenant: Err(unclear()), ..said() }, ServiceTarget::Suspended),
        ("its tenant is not known", ServiceSpec { tenant: Err(unclear()), ..said() }, ServiceTarget::Invalid(unclear())),
        ("its lead is not there", ServiceSpec { tenant: Err(unclear()), missing: Some(no_lead()), ..said() }, ServiceTarget::Invalid(no_lead())),
        (
            "its lead is not there any more",
            ServiceSpec { missing: Some(no_lead()), ..said() },
            ServiceTarget::Present(Box::new(DesiredService { missing: Some(no_lead()), ..desired() })),
        ),
    ];
    for (what, spec, expected) in table {
        assert_eq!(spec.target(None, || panic!("neighbours are asked for one that is going alone")), expected, "{what}");
    }
    let rival = Some("OcEssentialService n/first (same tenant)".to_owned());
    assert_eq!(said().target(rival.clone(), Vec::new), ServiceTarget::Present(Box::new(DesiredService { rival, ..desired() })));
}

/// What another object has belongs to that object, unless it is being deleted as well. And a mode that changes nothing on the platform deletes nothing there.
#[test]
fn an_object_that_is_going_leaves_alone_what_others_have() {
    let other = |deleting, number: Option<u32>| Neighbour { deleting, guid: number.map(guid) };
    let others = || vec![other(false, Some(1)), other(true, Some(2)), other(false, None)];
    for (mode, policy, expected) in
        [(Mode::Apply, Delete, Delete), (Mode::Apply, Retain, Retain), (Mode::Plan, Delete, Retain), (Mode::Observe, Delete, Retain)]
    {
        let target = ServiceSpec { deleting: true, mode, deletion_policy: policy, suspended: true, ..said() }.target(None, others);
        let gone = Deletion {
            policy: expected,
            tenant: Some(tenant()),
            short_name: Some("Contoso_NL".into()),
            suspended: true,
            guard_numbers: true,
            owned_by_others: vec![guid(1)],
        };
        assert_eq!(target, ServiceTarget::Absent(gone), "{mode:?} {policy:?}");
    }
    let unknown = ServiceSpec { deleting: true, tenant: Err(unclear()), ..said() }.target(None, Vec::new);
    assert!(matches!(unknown, ServiceTarget::Absent(Deletion { tenant: None, .. })), "{unknown:?}");
}

#[test]
fn a_lead_says_what_it_is_to_become() {
    let said = || lead::LeadSpec {
        deleting: false,
        suspended: false,
        tenant: Ok(tenant()),
        consentless: company(true),
        channel: None,
        deletion_policy: Delete,
        served: true,
    };
    let be = lead::LeadTarget::Present(lead::DesiredLead {
        tenant: tenant(),
        consentless: company(true),
        channel: None,
        deletion_policy: Delete,
        rival: None,
        served: true,
    });
    let table = [
        (said(), be),
        (lead::LeadSpec { suspended: true, ..said() }, lead::LeadTarget::Suspended),
        (lead::LeadSpec { tenant: Err(unclear()), ..said() }, lead::LeadTarget::Invalid(unclear())),
        (lead::LeadSpec { deleting: true, suspended: true, ..said() }, lead::LeadTarget::Absent { policy: Delete, tenant: Some(tenant()), suspended: true }),
        (lead::LeadSpec { deleting: true, tenant: Err(unclear()), ..said() }, lead::LeadTarget::Absent { policy: Delete, tenant: None, suspended: false }),
    ];
    for (spec, expected) in table {
        assert_eq!(spec.target(None), expected);
    }
}

#[test]
fn what_status_says_counts_for_the_generation_it_speaks_of() {
    let memory = PassMemory { failures: 3, generation: Some(2), ..PassMemory::default() };
    let seen =
        ObjectState { created: NOW - secs(60), generation: 2, observed: Some(2), ready: true, look_requested: false, stalled_for: Some(Reason::TaskFailed) };
    let begin = |seen: ObjectState| {
        let facts = Facts::begin(NOW, seen, PlatformAccess::Usable(Policy::default()), &memory);
        (facts.retry_now, facts.reconcile_requested, facts.ready_at_generation, facts.failures, facts.stalled_for)
    };
    assert_eq!(begin(seen), (false, false, true, 3, Some(Reason::TaskFailed)));
    assert_eq!(begin(ObjectState { look_requested: true, ..seen }), (true, true, true, 3, Some(Reason::TaskFailed)));
    assert_eq!(begin(ObjectState { generation: 3, ..seen }), (true, false, false, 0, None), "the spec was changed");
    assert_eq!(begin(ObjectState { observed: None, ..seen }), (true, false, false, 3, None), "status was lost");
}

/// The pace is read when the grace that it affects is nearly over, and not before.
#[test]
fn the_pace_is_asked_for_when_it_decides() {
    let policy = || Policy { create_grace: secs(900), ..Policy::default() };
    let asked = |record: &oc_domain::record::Record| policy().with_pace(NOW, record, |_, deadline| Some(deadline)).slowest_create;
    assert_eq!(asked(&creating(NOW - secs(779))), None);
    assert_eq!(asked(&creating(NOW - secs(780))), Some(policy().task_deadline));
    assert_eq!(asked(&oc_domain::record::Record::default()), None);
    let deleting = intent(OperationKind::Delete, NOW - secs(5000), oc_domain::record::Sent::Maybe);
    assert_eq!(asked(&oc_domain::record::Record { intent: Some(deleting), ..verified() }), None);
    assert_eq!(policy().longest_grace(|own, _| own.0.is_empty().then_some(secs(1000))), secs(2000), "of another object's create nothing is left out");
}

//! The wrong decisions. Each calls the product's own code, and spoils its input or its result.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Verdict};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query, Step, Wake};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, Numbers, ServicesView};
use oc_domain::lead;
use oc_domain::model::{LicenseType, TaskState};
use oc_domain::names::CustomerGuid;
use oc_domain::policy::PlatformAccess;
use oc_domain::record::{Operation, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{Adoption, Deletion, ServiceTarget, decide};
use oc_domain::time::Time;
use oc_domain::timing;

use crate::setup::{is_direct_routing, secs};

pub(super) fn takes_any_outcome(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    let ended = record
        .operation
        .as_ref()
        .filter(|op| op.ended().is_some())
        .map(|op| op.id.clone());
    if let (Some(ended), Some(intent)) = (
        ended,
        record.intent.as_mut().filter(|intent| intent.sent == Sent::Maybe),
    ) {
        intent.id = ended;
    }
    decide(now, target, &record, facts)
}

pub(super) fn heeds_old_intents(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    let other = |op: &Operation| record.intent.as_ref().is_some_and(|intent| intent.id != op.id);
    if record.running().is_some_and(other) {
        record.operation = None;
    }
    decide(now, target, &record, facts)
}

fn empty(at: Time) -> Fact<ServicesView> {
    Fact::Known {
        value: ServicesView {
            complete: true,
            ..ServicesView::default()
        },
        at,
    }
}

fn with_facts(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
    change: impl FnOnce(&mut Facts),
) -> Decision {
    let mut facts = facts.clone();
    change(&mut facts);
    decide(now, target, record, &facts)
}

pub(super) fn skips_the_look(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if facts.services == Fact::Unread && record.guid.is_none() {
            facts.services = empty(facts.pass_started);
        }
    })
}

pub(super) fn ignores_the_intent(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    let told = record.operation.is_some();
    record.intent = record.intent.filter(|intent| told || intent.sent == Sent::No);
    decide(now, target, &record, facts)
}

pub(super) fn unreadable_is_empty(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if matches!(facts.services, Fact::Unreadable(_)) {
            facts.services = empty(facts.pass_started);
        }
    })
}

pub(super) fn incomplete_is_whole(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.services {
            value.complete = true;
        }
    })
}

pub(super) fn holes_are_absence(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.leads {
            value.complete = true;
        }
    })
}

pub(super) fn pages_are_proof(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.leads
            && value.read == LeadsRead::InPages
        {
            value.read = LeadsRead::AtOnce;
        }
    })
}

pub(super) fn leads_read_are_all(
    now: Time,
    target: &lead::LeadTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut facts = facts.clone();
    if let Fact::Known { value, .. } = &mut facts.leads {
        (value.complete, value.read) = (true, LeadsRead::OfTenant);
    }
    lead::decide(now, target, record, &facts)
}

pub(super) fn untold_is_none(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.numbers {
            *value = Numbers::Count(0);
        }
    })
}

pub(super) fn no_grace(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let PlatformAccess::Usable(policy) = &mut facts.connection {
            (policy.create_grace, policy.slowest_create) = (secs(5), Some(secs(1)));
        }
    })
}

pub(super) fn asks_first(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    match (&decision.step, target) {
        (
            Step::PatchMetadata(Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }),
            ServiceTarget::Present(desired),
        ) => Decision {
            step: Step::Execute(Change::CreateService(Box::new(desired.new_service()))),
            ..decision
        },
        _ => decision,
    }
}

pub(super) fn sends_stale_intents(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let decision = decide(now, target, record, facts);
    let unsent = record.open_intent().is_some_and(|intent| intent.sent == Sent::No);
    match (&decision.step, target) {
        (
            Step::PatchMetadata(Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }),
            ServiceTarget::Present(desired),
        ) if unsent => Decision {
            step: Step::Execute(Change::CreateService(Box::new(desired.new_service()))),
            ..decision
        },
        _ => decision,
    }
}

pub(super) fn retries_at_once(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    let failed = matches!(facts.task.value(), Some(Some(task)) if task.state == TaskState::Failed);
    if failed && matches!(decision.step, Step::Blocked(_)) && decision.verdict.reason == Reason::TaskFailed {
        let mark = Mark::RecordIntent {
            kind: OperationKind::Create,
            start: now.whole_second(),
            tenant: None,
            place: None,
        };
        return Decision {
            step: Step::PatchMetadata(mark),
            ..decision
        };
    }
    decision
}

fn with_guid(record: &Record, guid: Option<CustomerGuid>) -> Record {
    Record {
        guid: guid.or(record.guid),
        ..record.clone()
    }
}

/// Takes any service of the tenant for this object's own when the object is deleted.
pub(super) fn deletes_anything(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let shown = facts
        .services
        .value()
        .and_then(|view| view.by_tenant.first())
        .map(|service| service.guid);
    match target {
        ServiceTarget::Absent(deletion) if deletion.policy == DeletionPolicy::Delete => {
            let looked = decide(now, target, &with_guid(record, shown), facts);
            let lets_go = matches!(looked.step, Step::PatchMetadata(Mark::RemoveFinalizer))
                && facts.services == Fact::Unread;
            let look = Step::Observe(Query::Services, facts.pass_started);
            if lets_go {
                Decision { step: look, ..looked }
            } else {
                looked
            }
        }
        _ => decide(now, target, record, facts),
    }
}

pub(super) fn deletes_retained(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    match target {
        ServiceTarget::Absent(deletion) => {
            let deletion = Deletion {
                policy: DeletionPolicy::Delete,
                ..deletion.clone()
            };
            decide(now, &ServiceTarget::Absent(deletion), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

pub(super) fn lets_go_early(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    match (target, record.open_intent()) {
        (ServiceTarget::Absent(_), Some(intent)) if intent.kind == OperationKind::Create => Decision {
            step: Step::PatchMetadata(Mark::RemoveFinalizer),
            ..decision
        },
        _ => decision,
    }
}

pub(super) fn adopts_anything(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    match target {
        ServiceTarget::Present(desired) => {
            let mut desired = desired.clone();
            desired.adoption = Adoption::Always;
            decide(now, &ServiceTarget::Present(desired), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

pub(super) fn forgets_refusals(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    record.operation = record.operation.filter(|op| op.ended() != Some(Outcome::Refused));
    decide(now, target, &record, facts)
}

pub(super) fn always_recreates(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    match target {
        ServiceTarget::Present(desired) => {
            let mut desired = desired.clone();
            desired.recreate = true;
            decide(now, &ServiceTarget::Present(desired), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

fn with_licenses(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
    license: Option<LicenseType>,
) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.services {
            value
                .by_tenant
                .iter_mut()
                .filter(|service| is_direct_routing(service))
                .for_each(|service| Arc::make_mut(service).license = license);
        }
    })
}

/// Takes any service of the tenant for an Operator Connect one.
pub(super) fn looks_at_no_license(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_licenses(now, target, record, facts, Some(LicenseType::OcEssential))
}

/// Takes the license of a Direct Routing service for unknown, so that it blocks any other service of the
/// tenant.
pub(super) fn counts_direct_routing(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_licenses(now, target, record, facts, None)
}

pub(super) fn always_beside(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    match target {
        ServiceTarget::Present(desired) => {
            let mut desired = desired.clone();
            desired.beside_direct_routing = true;
            decide(now, &ServiceTarget::Present(desired), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

pub(super) fn says_the_time(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut decision = decide(now, target, record, facts);
    if !matches!(facts.answer, Some(ChangeResult::Unknown(_))) {
        decision.verdict.message = format!(
            "{} Looked at after {} s.",
            decision.verdict.message,
            now.0 / 1000 % 100_000
        )
        .into();
    }
    decision
}

/// Takes the request for the result.
pub(super) fn ready_too_soon(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    if decision.verdict.reason == Reason::DeletedExternally {
        return Decision {
            verdict: Verdict::ready("The service was made."),
            ..decision
        };
    }
    decision
}

/// Stops the object forever at an open intent: safe, and what people complain about most.
pub(super) fn gives_up(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    match (&decision.step, target) {
        (
            Step::PatchMetadata(Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }),
            ServiceTarget::Present(_),
        ) if decision.record.operation.is_some() => Decision {
            step: Step::Blocked(now + secs(3600)),
            ..decision
        },
        _ => decision,
    }
}

pub(super) fn lets_go_of_what_a_task_told(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let decision = decide(now, target, record, facts);
    let begins = matches!(
        decision.step,
        Step::PatchMetadata(Mark::RecordIntent {
            kind: OperationKind::Delete,
            ..
        })
    );
    let shown = decision.record.guid.as_ref().is_some_and(|guid| {
        facts
            .services
            .value()
            .is_some_and(|view| view.with_guid(guid).is_some())
    });
    if begins && !shown {
        Decision {
            step: Step::PatchMetadata(Mark::RemoveFinalizer),
            ..decision
        }
    } else {
        decision
    }
}

/// Waits out the grace of an intent from its recorded start, even when that is in the future.
pub(super) fn waits_for_the_far_future(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let decision = decide(now, target, record, facts);
    match record
        .open_intent()
        .filter(|intent| timing::is_ahead(intent.start, now))
    {
        Some(intent) => Decision {
            step: Step::Wait(intent.start, Wake::Inventory),
            record: record.clone(),
            ..decision
        },
        None => decision,
    }
}

pub(super) fn unclear_is_failed(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known {
            value: Some(task), ..
        } = &mut facts.task
            && task.state == TaskState::Ended
        {
            task.state = TaskState::Failed;
        }
    })
}

pub(super) fn owns_any_outcome(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    if let Some(op) = record.operation.as_mut().filter(|op| op.outcome.is_some()) {
        op.outcome_of = Some(op.id.clone());
    }
    decide(now, target, &record, facts)
}

pub(super) fn owns_what_ended_after(
    now: Time,
    target: &ServiceTarget,
    record: &Record,
    facts: &Facts,
) -> Decision {
    let mut record = record.clone();
    if let Some(op) = record.operation.as_mut() {
        op.outcome_of = None;
    }
    decide(now, target, &record, facts)
}

//! Wrong variants of the rules, each of which the laws must catch: a law that nothing can break holds nothing.
//!
//! Most of them are an operator that is wrong: around its decisions, which are the product's own code, something is done or asked that should not be.
//! Two switch off what the simulated world checks by itself. They show that the law is judged, and that without the check it would be broken; they show
//! nothing of the product's code, whose fence and whose conditional writes are not played here. Those are for the tests of `crates/domain/tests/election.rs`,
//! `src/platform/budget.rs`, `tests/leader` and `tests/kills`.

use oc_domain::conditions::Reason;
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Step};
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, Numbers, ServicesView};
use oc_domain::lead;
use oc_domain::model::{LicenseType, TaskState};
use oc_domain::names::CustomerGuid;
use oc_domain::policy::PlatformAccess;
use oc_domain::record::{OperationKind, Outcome, Record, Sent};
use oc_domain::service::{ServiceTarget, decide};
use oc_domain::time::Time;

use crate::setup::{is_direct_routing, secs};
use crate::world::{Rules, Vanishing};

/// A wrong variant: what it does, its rules, and a word of the law that must catch it.
pub struct Variant {
    /// What is wrong with it.
    pub what: &'static str,
    /// Its rules.
    pub rules: Rules,
    /// A part of the law's text.
    pub law: &'static str,
    /// Whether it is the simulated world that is wrong, and not the operator in it: see the module.
    pub of_the_world: bool,
}

/// All of them.
pub fn all() -> Vec<Variant> {
    let ruled = |what, rules, law| Variant {
        what,
        rules,
        law,
        of_the_world: false,
    };
    let decided = |what, decide, law| {
        ruled(
            what,
            Rules {
                decide,
                ..Rules::default()
            },
            law,
        )
    };
    let unchecked = |what, rules, law| Variant {
        of_the_world: true,
        ..ruled(what, rules, law)
    };
    vec![
        decided("creates without a look", skips_the_look, "L1"),
        decided(
            "forgets the open intent",
            ignores_the_intent,
            "L1: a second service",
        ),
        decided(
            "takes an unreadable list for an empty one",
            unreadable_is_empty,
            "L1",
        ),
        decided(
            "takes a list with holes for a whole one",
            incomplete_is_whole,
            "L1",
        ),
        decided("has no grace", no_grace, "L1: a second service"),
        decided("asks before the intent is recorded", asks_first, "order"),
        decided("sends an intent however old it is", sends_stale_intents, "order"),
        decided(
            "tries a failed create again in the same pass",
            retries_at_once,
            "too soon",
        ),
        decided(
            "deletes what it does not own",
            deletes_anything,
            "L2: a service is deleted that this object neither made",
        ),
        decided(
            "deletes under Retain",
            deletes_retained,
            "L2: something is deleted that should be retained",
        ),
        decided(
            "lets go while the answer is not known",
            lets_go_early,
            "L2: the object is let go",
        ),
        decided(
            "takes over whatever is there",
            adopts_anything,
            "L2: a service is taken over against",
        ),
        decided(
            "forgets that a create was refused",
            forgets_refusals,
            "L2: a service of somebody else is called",
        ),
        decided(
            "makes again what somebody removed",
            always_recreates,
            "made again without spec.recreate",
        ),
        decided("writes what changes from pass to pass", says_the_time, "L6"),
        decided("is Ready before it was read back", ready_too_soon, "L4"),
        decided("gives up when the answer is lost", gives_up, "L5"),
        decided(
            "takes any outcome in status for that of its intent",
            takes_any_outcome,
            "L1: a second service",
        ),
        decided(
            "lets an earlier intent end a later operation",
            heeds_old_intents,
            "L1: a second service",
        ),
        ruled(
            "forgets what it has asked for",
            Rules {
                memory: false,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        ruled(
            "does not read what the API server answers",
            Rules {
                reads_answers: false,
                ..Rules::default()
            },
            "L1: a change without a recorded intent",
        ),
        ruled(
            "tries what is refused as often as at first",
            Rules {
                backs_off: false,
                ..Rules::default()
            },
            "L6: a refused write",
        ),
        decided(
            "looks at no license",
            looks_at_no_license,
            "L2: a Direct Routing service is taken over",
        ),
        decided(
            "makes a service beside a Direct Routing one unasked",
            always_beside,
            "L1: a create beside a Direct Routing service",
        ),
        decided(
            "takes a Direct Routing service for a rival",
            counts_direct_routing,
            "L5",
        ),
        ruled(
            "believes createGrace of any platform",
            Rules {
                pace: false,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        ruled(
            "does not heed another object for its tenant",
            Rules {
                rivals: false,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        ruled(
            "knows a platform by the name of its object",
            Rules {
                places: false,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        ruled(
            "heeds what could never ask",
            Rules {
                able: false,
                ..Rules::default()
            },
            "L5",
        ),
        decided(
            "takes a list of leads with holes for a whole one",
            holes_are_absence,
            "a lead that is there is said to be missing",
        ),
        decided(
            "takes a lead that is in no page for one that is not there",
            pages_are_proof,
            "a lead that is there is said to be missing",
        ),
        ruled(
            "takes the leads that it can read for all",
            Rules {
                lead: leads_read_are_all,
                ..Rules::default()
            },
            "a lead is made that is there",
        ),
        ruled(
            "lets a lead go that it can't see",
            Rules {
                lead: leads_read_are_all,
                ..Rules::default()
            },
            "the lead is left behind",
        ),
        decided(
            "takes numbers that are not told for none",
            untold_is_none,
            "nobody has told that its tenant has no telephone numbers",
        ),
        ruled(
            "forgets who waits for whole lists",
            Rules {
                wakes_waiting: false,
                ..Rules::default()
            },
            "who waited for that is not looked at",
        ),
        ruled(
            "believes that all services are gone when the list is empty",
            Rules {
                absences: Vanishing::Believed,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        ruled(
            "lets go what an empty list does not show",
            Rules {
                absences: Vanishing::Believed,
                ..Rules::default()
            },
            "L2: the object is let go",
        ),
        ruled(
            "believes another place as it believes its own",
            Rules {
                absences: Vanishing::AnyPlace,
                ..Rules::default()
            },
            "L2: the object is let go",
        ),
        unchecked(
            "does not look at its lease",
            Rules {
                lease: false,
                ..Rules::default()
            },
            "L3",
        ),
        ruled(
            "does not ask the breaker",
            Rules {
                breaker: false,
                ..Rules::default()
            },
            "breaker",
        ),
        decided(
            "takes any outcome for that of the operation beside it",
            owns_any_outcome,
            "L1: a second service",
        ),
        decided(
            "tells by its time alone whose an outcome is",
            owns_what_ended_after,
            "L1: a second service",
        ),
        ruled(
            "takes an outcome that it can't read for an end",
            Rules {
                strange_words_end: true,
                ..Rules::default()
            },
            "L1: a second service",
        ),
        decided(
            "lets go of what a task has told and no list shows",
            lets_go_of_what_a_task_told,
            "L2: the object is let go",
        ),
        decided(
            "takes an unknown last word for a failure",
            unclear_is_failed,
            "L1: a second service",
        ),
        decided(
            "waits for a time that has not come",
            waits_for_the_far_future,
            "L5",
        ),
        unchecked(
            "writes over what it has not read",
            Rules {
                versions: false,
                ..Rules::default()
            },
            "L1: a second service",
        ),
    ]
}

fn takes_any_outcome(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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

fn heeds_old_intents(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    let other =
        |op: &oc_domain::record::Operation| record.intent.as_ref().is_some_and(|intent| intent.id != op.id);
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

fn skips_the_look(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if facts.services == Fact::Unread && record.guid.is_none() {
            facts.services = empty(facts.pass_started);
        }
    })
}

fn ignores_the_intent(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    let told = record.operation.is_some();
    record.intent = record.intent.filter(|intent| told || intent.sent == Sent::No);
    decide(now, target, &record, facts)
}

fn unreadable_is_empty(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if matches!(facts.services, Fact::Unreadable(_)) {
            facts.services = empty(facts.pass_started);
        }
    })
}

fn incomplete_is_whole(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.services {
            value.complete = true;
        }
    })
}

fn holes_are_absence(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.leads {
            value.complete = true;
        }
    })
}

fn pages_are_proof(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.leads
            && value.read == LeadsRead::InPages
        {
            value.read = LeadsRead::AtOnce;
        }
    })
}

fn leads_read_are_all(now: Time, target: &lead::LeadTarget, record: &Record, facts: &Facts) -> Decision {
    let mut facts = facts.clone();
    if let Fact::Known { value, .. } = &mut facts.leads {
        (value.complete, value.read) = (true, LeadsRead::OfTenant);
    }
    lead::decide(now, target, record, &facts)
}

fn untold_is_none(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.numbers {
            *value = Numbers::Count(0);
        }
    })
}

fn no_grace(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, target, record, facts, |facts| {
        if let PlatformAccess::Usable(policy) = &mut facts.connection {
            (policy.create_grace, policy.slowest_create) = (secs(5), Some(secs(1)));
        }
    })
}

fn asks_first(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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

fn sends_stale_intents(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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

fn retries_at_once(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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
        guid: guid.or(record.guid.clone()),
        ..record.clone()
    }
}

/// Every service that shows for the tenant is taken for this object's own when the object goes.
fn deletes_anything(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let shown = facts
        .services
        .value()
        .and_then(|view| view.by_tenant.first())
        .map(|service| service.guid.clone());
    match target {
        ServiceTarget::Absent(deletion) if deletion.policy == DeletionPolicy::Delete => {
            let looked = decide(now, target, &with_guid(record, shown), facts);
            let lets_go = matches!(looked.step, Step::PatchMetadata(Mark::RemoveFinalizer))
                && facts.services == Fact::Unread;
            let look = Step::Observe(oc_domain::decision::Query::Services, facts.pass_started);
            if lets_go {
                Decision { step: look, ..looked }
            } else {
                looked
            }
        }
        _ => decide(now, target, record, facts),
    }
}

fn deletes_retained(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    match target {
        ServiceTarget::Absent(deletion) => {
            let deletion = oc_domain::service::Deletion {
                policy: DeletionPolicy::Delete,
                ..deletion.clone()
            };
            decide(now, &ServiceTarget::Absent(deletion), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

fn lets_go_early(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    match (target, record.open_intent()) {
        (ServiceTarget::Absent(_), Some(intent)) if intent.kind == OperationKind::Create => Decision {
            step: Step::PatchMetadata(Mark::RemoveFinalizer),
            ..decision
        },
        _ => decision,
    }
}

fn adopts_anything(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    match target {
        ServiceTarget::Present(desired) => {
            let mut desired = desired.clone();
            desired.adoption = oc_domain::service::Adoption::Always;
            decide(now, &ServiceTarget::Present(desired), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

fn forgets_refusals(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    record.operation = record.operation.filter(|op| op.ended() != Some(Outcome::Refused));
    decide(now, target, &record, facts)
}

fn always_recreates(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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
                .for_each(|service| service.license = license);
        }
    })
}

/// Whatever the tenant has is an Operator Connect service.
fn looks_at_no_license(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_licenses(now, target, record, facts, Some(LicenseType::OcEssential))
}

/// A Direct Routing service is one of which nothing is known: it stands in the way of whatever else the tenant has.
fn counts_direct_routing(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    with_licenses(now, target, record, facts, None)
}

fn always_beside(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    match target {
        ServiceTarget::Present(desired) => {
            let mut desired = desired.clone();
            desired.beside_direct_routing = true;
            decide(now, &ServiceTarget::Present(desired), record, facts)
        }
        _ => decide(now, target, record, facts),
    }
}

fn says_the_time(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut decision = decide(now, target, record, facts);
    if !matches!(facts.answer, Some(ChangeResult::Unknown(_))) {
        decision.verdict.message = format!(
            "{} Looked at after {} s.",
            decision.verdict.message,
            now.0 / 1000 % 100_000
        );
    }
    decision
}

/// What was asked for is taken for done.
fn ready_too_soon(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    if decision.verdict.reason == Reason::DeletedExternally {
        return Decision {
            verdict: oc_domain::conditions::Verdict::ready("The service was made."),
            ..decision
        };
    }
    decision
}

/// An open intent stops the object for ever: safe, and what people complain about most.
fn gives_up(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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

fn lets_go_of_what_a_task_told(
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

/// An intent is looked for until its grace is over, whenever it says that it was recorded.
fn waits_for_the_far_future(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    match record
        .open_intent()
        .filter(|intent| oc_domain::timing::is_ahead(intent.start, now))
    {
        Some(intent) => Decision {
            step: Step::Wait(intent.start, oc_domain::decision::Wake::Inventory),
            record: record.clone(),
            ..decision
        },
        None => decision,
    }
}

fn unclear_is_failed(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
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

fn owns_any_outcome(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    if let Some(op) = record.operation.as_mut().filter(|op| op.outcome.is_some()) {
        op.outcome_of = Some(op.id.clone());
    }
    decide(now, target, &record, facts)
}

fn owns_what_ended_after(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    if let Some(op) = record.operation.as_mut() {
        op.outcome_of = None;
    }
    decide(now, target, &record, facts)
}

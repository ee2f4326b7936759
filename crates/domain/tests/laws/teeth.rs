//! Wrong variants of the decision, each of which the laws must catch: a law that nothing can break holds nothing.

use oc_domain::conditions::Reason;
use oc_domain::facts::TaskState;
use oc_domain::pass::{DeletionPolicy, Facts, ServicesView};
use oc_domain::record::{OperationKind, Record, Sent};
use oc_domain::service::{Wish, decide};
use oc_domain::step::{Answer, Change, Decision, Fact, Mark, Step};
use oc_domain::time::Time;

use crate::common::{guid, secs};

type Variant = fn(Time, &Wish, &Record, &Facts) -> Decision;

/// Each variant, and a word of the law that must catch it.
pub const VARIANTS: [(&str, Variant, &str); 11] = [
    ("creates without a look", skips_the_look, "L1"),
    ("forgets the open intent", ignores_the_intent, "L1"),
    ("takes an unreadable list for an empty one", unreadable_is_empty, "L1"),
    ("takes a list with holes for a whole one", incomplete_is_whole, "L1"),
    ("has no grace", no_grace, "L1"),
    ("asks before the intent is recorded", asks_first, "L1"),
    ("sends an intent however old it is", sends_stale_intents, "L1"),
    ("tries a failed create again in the same pass", retries_at_once, "in the same pass"),
    ("deletes what it does not own", deletes_anything, "neither made nor took over"),
    ("lets go while the answer is not known", lets_go_early, "L2"),
    ("writes what changes from pass to pass", says_the_time, "L6"),
];

fn empty(at: Time) -> Fact<ServicesView> {
    Fact::Known { value: ServicesView { complete: true, ..ServicesView::default() }, at }
}

fn with_facts(now: Time, wish: &Wish, record: &Record, facts: &Facts, change: impl FnOnce(&mut Facts)) -> Decision {
    let mut facts = facts.clone();
    change(&mut facts);
    decide(now, wish, record, &facts)
}

fn skips_the_look(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, wish, record, facts, |facts| {
        if facts.services == Fact::Unread && record.guid.is_none() {
            facts.services = empty(facts.pass_started);
        }
    })
}

fn ignores_the_intent(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    let told = record.operation.is_some();
    record.intent = record.intent.filter(|intent| told || intent.sent == Sent::No);
    decide(now, wish, &record, facts)
}

fn unreadable_is_empty(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, wish, record, facts, |facts| {
        if matches!(facts.services, Fact::Unreadable(_)) {
            facts.services = empty(facts.pass_started);
        }
    })
}

fn incomplete_is_whole(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, wish, record, facts, |facts| {
        if let Fact::Known { value, .. } = &mut facts.services {
            value.complete = true;
        }
    })
}

fn no_grace(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    with_facts(now, wish, record, facts, |facts| {
        if let oc_domain::policy::Connection::Usable(policy) = &mut facts.connection {
            policy.create_grace = secs(5);
        }
    })
}

fn asks_first(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, wish, record, facts);
    match (&decision.step, wish) {
        (Step::Keep(Mark::Begin { kind: OperationKind::Create, .. }), Wish::Be(desired)) => {
            Decision { step: Step::Ask(Change::CreateService(desired.tenant.clone())), ..decision }
        }
        _ => decision,
    }
}

fn sends_stale_intents(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, wish, record, facts);
    let unsent = record.open_intent().is_some_and(|intent| intent.sent == Sent::No);
    match (&decision.step, wish) {
        (Step::Keep(Mark::Begin { kind: OperationKind::Create, .. }), Wish::Be(desired)) if unsent => {
            Decision { step: Step::Ask(Change::CreateService(desired.tenant.clone())), ..decision }
        }
        _ => decision,
    }
}

fn retries_at_once(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, wish, record, facts);
    let failed = matches!(facts.task.value(), Some(Some(task)) if task.state == TaskState::Failed);
    if failed && matches!(decision.step, Step::Stop(_)) && decision.verdict.reason == Reason::TaskFailed {
        return with_facts(now, wish, &decision.record, facts, |facts| (facts.task, facts.asked_anew) = (Fact::Unread, true));
    }
    decision
}

/// Every service that shows for the tenant is taken for this object's own when the object goes.
fn deletes_anything(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    if matches!(wish, Wish::Gone(deletion) if deletion.policy == DeletionPolicy::Delete) {
        let shown = facts.services.value().and_then(|view| view.by_tenant.first()).map(|service| service.guid.clone());
        record.guid = shown.or(record.guid).or_else(|| Some(guid(1)));
    }
    decide(now, wish, &record, facts)
}

fn lets_go_early(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, wish, record, facts);
    match (wish, record.open_intent()) {
        (Wish::Gone(_), Some(intent)) if intent.kind == OperationKind::Create => Decision { step: Step::Keep(Mark::Release), ..decision },
        _ => decision,
    }
}

fn says_the_time(now: Time, wish: &Wish, record: &Record, facts: &Facts) -> Decision {
    let mut decision = decide(now, wish, record, facts);
    if !matches!(facts.answer, Some(Answer::Lost(_))) {
        decision.verdict.message = format!("{} Looked at after {} s.", decision.verdict.message, now.0 / 1000 % 100_000);
    }
    decision
}

//! Releases a service object, and deletes the service when the policy says so. Needs no valid spec, no lead,
//! no reference.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Decision, Mark, Query, Step, Wake};
use crate::facts::{Fact, Numbers, ServicesView};
use crate::model::Service;
use crate::names::{CustomerGuid, TenantId, fold_case};
use crate::policy::{PlatformAccess, Policy};
use crate::record::{Intent, Operation, OperationKind, Outcome, Record, Sent};
use crate::time::Time;
use crate::timing;

use super::{Deletion, DeletionPolicy, ServiceCase, elsewhere};

const LOOKING_FOR_LEFT_OVER: &str =
    "This object is being deleted after its create failed. Checking whether that create left a service.";

/// Decides the next step for an object with a deletion timestamp.
pub(super) fn decide(case: ServiceCase<'_>, deletion: &Deletion) -> Decision {
    if !case.record.finalizer {
        let verdict = Verdict::not_ready(Reason::Deleting, "Nothing is left to do.");
        let step = Step::Idle(case.now + timing::SLOW_RETRY);
        return case.decide(step, "the finalizer is off", verdict);
    }
    let policy = match (&case.facts.connection, deletion.policy) {
        (PlatformAccess::Usable(policy), _) => policy.clone(),
        (PlatformAccess::Unknown(trouble), DeletionPolicy::Delete) => {
            return case.unreadable(trouble.clone());
        }
        (PlatformAccess::Unusable(trouble) | PlatformAccess::Unknown(trouble), DeletionPolicy::Retain) => {
            return retain_unseen(case, trouble);
        }
        (PlatformAccess::Unusable(trouble), DeletionPolicy::Delete) => {
            let message = format!(
                "spec.deletionPolicy is Delete, but the operator can't delete the service: {} Fix that, or set spec.deletionPolicy to Retain to release this object and keep the service.",
                trouble.message
            );
            let reason = trouble.reason;
            return case.stop(Trouble::new(reason, message), "it can't be deleted there");
        }
    };
    if deletion.suspended && deletion.policy == DeletionPolicy::Delete {
        let message = "spec.suspend is true, so the operator does not delete the service. Set spec.suspend to false, or set spec.deletionPolicy to Retain.";
        let step = Step::Idle(case.now + timing::SLOW_RETRY);
        return case.decide(step, "suspended", Verdict::not_ready(Reason::Suspended, message));
    }
    let creating = case
        .record
        .open_intent()
        .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe)
        .cloned();
    if let Some(intent) = creating {
        return outcome_first(case, deletion, &policy, &intent);
    }
    match (deletion.policy, case.record.guid.is_some(), failed_create(&case)) {
        (DeletionPolicy::Retain, _, Some(ended)) | (DeletionPolicy::Delete, false, Some(ended)) => {
            left_over(case, deletion, &policy, ended)
        }
        (DeletionPolicy::Retain, _, _) => release(case, "retained"),
        (DeletionPolicy::Delete, false, None) => release(case, "nothing of its own exists"),
        (DeletionPolicy::Delete, true, _) => delete(case, deletion, &policy),
    }
}

pub(super) fn release(case: ServiceCase<'_>, why: &'static str) -> Decision {
    case.decide(
        Step::PatchMetadata(Mark::RemoveFinalizer),
        why,
        Verdict::not_ready(Reason::Deleting, "Releasing this object."),
    )
}

/// Releases a retained object whose platform can't be read. Only a create that may be in progress delays
/// this: recreating the object, together with the platform object, would request a second service. The wait
/// is as long as for a platform of unknown speed.
fn retain_unseen(case: ServiceCase<'_>, trouble: &Trouble) -> Decision {
    let asked = case
        .record
        .open_intent()
        .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe);
    let Some(end) = asked
        .map(|intent| intent.start + Policy::default().task_deadline)
        .filter(|end| case.now < *end)
    else {
        return release(case, "retained; its platform object can't be used");
    };
    let message = format!(
        "This object is being deleted, and the operator can't check the unknown outcome of a create: {} Fix that to have it checked. Otherwise the operator releases this object two hours after the create.",
        trouble.message
    );
    let trouble = Trouble {
        message: message.into(),
        ..trouble.clone()
    };
    if matches!(case.facts.connection, PlatformAccess::Unknown(_)) {
        return case.unreadable(trouble);
    }
    let again = Step::Blocked(end.min(case.now + trouble.retry_after.unwrap_or(timing::SLOW_RETRY)));
    case.decide(
        again,
        "the outcome of a create can't be looked for",
        Verdict::trouble(&trouble),
    )
}

/// A create may be in progress. The object is released only when the outcome is known or the grace is over.
fn outcome_first(
    mut case: ServiceCase<'_>,
    deletion: &Deletion,
    policy: &Policy,
    intent: &Intent,
) -> Decision {
    if let Some(decision) = elsewhere::deleted(&case, deletion, policy, intent) {
        return decision;
    }
    // Follow the task while it runs. Once it has ended, the list decides: a successful task does not prove
    // whose the service is.
    if let Some(decision) = case
        .follow_task(policy)
        .filter(|_| case.task_still_runs() && !case.task_out_of_sight(policy))
    {
        return decision;
    }
    if let Fact::Unreadable(trouble) = &case.facts.services {
        let trouble = trouble.clone();
        return case.unreadable(trouble);
    }
    let since = case.facts.pass_started;
    let Some(view) = case.facts.services.since(since).cloned() else {
        return case.look(Query::Services, since, "did the create leave a service");
    };
    if let Some(service) = left_by_create(&case, &view, deletion) {
        case.record.prove(service.guid);
        case.record
            .end_operation(Outcome::Succeeded, case.now, Vec::new());
        return match deletion.policy {
            DeletionPolicy::Retain => release(case, "retained; the create is known to have been done"),
            DeletionPolicy::Delete => delete(case, deletion, policy),
        };
    }
    // A task that ended has made a service, even if no list shows it, unless its final status is unknown and
    // it is overdue. Releasing the object now would leave a paid service behind, and recreating the object
    // would request a second one. If the task reported a guid, delete that. A task that can't be read may
    // still be running, and what it makes would be left behind too; under Retain it stays anyway.
    let unseen = deletion.policy == DeletionPolicy::Delete && case.task_out_of_sight(policy);
    let made = case.record.running().is_some_and(|op| op.task_ended().is_some())
        && !(case.ended_unclear() && case.ended_and_overdue(policy));
    if made && told_by_task(&case.record, deletion) {
        case.record.end_operation(Outcome::Unknown, case.now, Vec::new());
        return delete(case, deletion, policy);
    }
    if let Some(decision) = case
        .follow_task(policy)
        .filter(|_| made || unseen || case.now <= intent.start + policy.task_deadline)
    {
        return decision;
    }
    if !view.complete && deletion.policy == DeletionPolicy::Delete {
        return not_whole(case);
    }
    // The list that does not show the service was read when the pass began, so the grace must have been over
    // by then.
    if case.facts.pass_started < intent.start + policy.grace() {
        let message = "This object is being deleted, and the outcome of a create is unknown. Checking whether the service appears.";
        return case.look_until(intent.start, intent.start + policy.grace(), message);
    }
    if let Some(decision) = unbelieved(&case, deletion) {
        return decision;
    }
    let told = told_by_task(&case.record, deletion);
    case.record.end_operation(Outcome::Unknown, case.now, Vec::new());
    if told {
        delete(case, deletion, policy)
    } else {
        release(case, "the grace is over, and no service appeared")
    }
}

/// The service that an open create made, or that was taken over while it was open.
fn left_by_create<'a>(
    case: &ServiceCase<'_>,
    view: &'a ServicesView,
    deletion: &Deletion,
) -> Option<&'a Service> {
    // A service taken over under another name while the create was open is this object's as well.
    let taken_over = case.record.guid.as_ref().and_then(|guid| view.with_guid(guid));
    let taken_over = taken_over.filter(|service| {
        service.tenant.is_some()
            && service.tenant == deletion.tenant
            && !deletion.owned_by_others.contains(&service.guid)
    });
    taken_over.or_else(|| named(view, deletion))
}

/// Whether a task reported the guid: such a service is deleted even if no list has shown it.
fn told_by_task(record: &Record, deletion: &Deletion) -> bool {
    let told = |op: &Operation| op.kind == OperationKind::Create && op.task.is_some();
    deletion.policy == DeletionPolicy::Delete
        && record.guid_proven
        && record.operation.as_ref().is_some_and(told)
}

/// When this object's create failed, if it did. The intent of that create may have been removed; a later
/// intent means that the create is over.
fn failed_create(case: &ServiceCase<'_>) -> Option<Time> {
    let intent = case.record.intent.as_ref();
    let last =
        |op: &&Operation| op.kind == OperationKind::Create && intent.is_none_or(|intent| intent.id == op.id);
    let failed = case
        .record
        .operation
        .as_ref()
        .filter(last)
        .filter(|op| op.ended() == Some(Outcome::Failed))?;
    failed.completed
}

/// A failed task can still leave a service, and the lists lag behind. Looks for it, so that nothing paid for
/// is left behind.
fn left_over(mut case: ServiceCase<'_>, deletion: &Deletion, policy: &Policy, ended: Time) -> Decision {
    if let Some(trouble) = unreadable(&case.facts.services) {
        return case.unreadable(trouble);
    }
    let since = case.facts.pass_started;
    let Some(view) = case.facts.services.since(since).cloned() else {
        return case.look(Query::Services, since, "did the failed create leave a service");
    };
    let lately = since < ended + timing::LEFT_OVER;
    match (named(&view, deletion), deletion.policy) {
        (Some(_), DeletionPolicy::Retain) => return release(case, "retained; there is a service"),
        (Some(service), DeletionPolicy::Delete) if lately => {
            case.record.prove(service.guid);
            return delete(case, deletion, policy);
        }
        // Somebody may have created it in the portal.
        (Some(service), DeletionPolicy::Delete) => return whose_is_it(case, service),
        (None, _) => {}
    }
    if !view.complete && deletion.policy == DeletionPolicy::Delete {
        return not_whole(case);
    }
    if lately {
        return case.look_until(ended, ended + timing::LEFT_OVER, LOOKING_FOR_LEFT_OVER);
    }
    if let Some(decision) = unbelieved(&case, deletion) {
        return decision;
    }
    release(case, "the failed create left nothing")
}

fn whose_is_it(case: ServiceCase<'_>, service: &Service) -> Decision {
    let guid = &service.guid;
    let message = format!(
        "The create of this object failed, and its tenant has the service {guid} under its short name. The operator can't tell whether the failed task left it or somebody created it, so it does not delete it. Set the annotation operatorconnect.dev/ump-customer-guid to {guid} to have the service deleted, or set spec.deletionPolicy to Retain to release this object and keep the service."
    );
    case.stop(
        Trouble::new(Reason::DeletionBlocked, message),
        "the owner of the service is unknown",
    )
}

/// The service of the tenant with this object's short name, unless another object owns it. A Direct Routing
/// service is not the one that was requested.
fn named<'a>(view: &'a ServicesView, deletion: &Deletion) -> Option<&'a Service> {
    let name = fold_case(deletion.short_name.as_deref()?);
    view.of_operator_connect().find(|service| {
        fold_case(&service.short_name) == name && !deletion.owned_by_others.contains(&service.guid)
    })
}

/// Deletes the service, and looks until it is gone from both lists (N-11).
fn delete(mut case: ServiceCase<'_>, deletion: &Deletion, policy: &Policy) -> Decision {
    let Some(guid) = case.record.guid else {
        return release(case, "nothing of its own exists");
    };
    if let Some(decision) = after_asking(&mut case) {
        return decision;
    }
    let since = case.facts.pass_started;
    if let Some(trouble) = unreadable(&case.facts.services).or_else(|| unreadable(&case.facts.leads)) {
        return case.unreadable(trouble);
    }
    let Some(view) = case.facts.services.since(since).cloned() else {
        return case.look(Query::Services, since, "is the service still there");
    };
    if let Some(service) = view.with_guid(&guid) {
        // The service was read back, so from now on its absence from the list counts.
        case.record.license = service
            .license
            .map(|license| license.label().into())
            .or(case.record.license);
        if let Some(trouble) = not_this_tenants(&case.record, deletion, service) {
            return case.stop(trouble, "the service may be another tenant's");
        }
        let tenant = service.tenant.or(deletion.tenant);
        return ask_for_it(case, deletion, policy, guid, tenant);
    }
    // A guid names one service, whatever the lists show, and the answer to the delete says whether it exists.
    if never_seen(&case.record) && !deletion.owned_by_others.contains(&guid) {
        // A list that is not believed may belong to another place, with other services.
        if let Some(decision) = unbelieved(&case, deletion) {
            return decision;
        }
        return ask_for_it(case, deletion, policy, guid, deletion.tenant);
    }
    if !view.complete {
        return not_whole(case);
    }
    if let Some(decision) = unbelieved(&case, deletion) {
        return decision;
    }
    gone_from_services(case, &guid)
}

/// The list of services no longer shows the service. Releases the object once the leads do not show it either.
fn gone_from_services(mut case: ServiceCase<'_>, guid: &CustomerGuid) -> Decision {
    let since = case.facts.pass_started;
    let Some(view_of_leads) = case.facts.leads.since(since) else {
        return case.look(Query::Leads, since, "does the lead still show it");
    };
    if view_of_leads
        .leads
        .iter()
        .any(|lead| lead.service.as_ref() == Some(guid))
    {
        let started = case.record.intent.as_ref().map_or(since, |intent| intent.start);
        let until = timing::next_look(case.now, started);
        let verdict = Verdict::not_ready(
            Reason::Deleting,
            "The service is gone from the list of services; the lead still shows it.",
        );
        return case.decide(
            Step::Wait(until, Wake::Inventory),
            "gone from one list of two",
            verdict,
        );
    }
    // A lead in the list, on whatever page, would show the service. Without one, its absence must be proven.
    if (view_of_leads.leads.is_empty() || !view_of_leads.complete)
        && let Some(decision) = case.no_lead_is_not_proven(view_of_leads)
    {
        return decision;
    }
    // The failed task reported the guid of a service that no list shows yet.
    if let Some(ended) = failed_create(&case).filter(|ended| since < *ended + timing::LEFT_OVER) {
        return case.look_until(ended, ended + timing::LEFT_OVER, LOOKING_FOR_LEFT_OVER);
    }
    case.record
        .end_operation(Outcome::Succeeded, case.now, Vec::new());
    release(case, "looked for and not found")
}

/// Refuses to delete a service that may belong to somebody else. The guid annotation may be hand-written,
/// even in order to get another customer's service deleted. So the annotation alone is trusted only for a
/// service that the platform shows under this object's tenant.
fn not_this_tenants(record: &Record, deletion: &Deletion, service: &Service) -> Option<Trouble> {
    const ANNOTATION: &str =
        "Correct the annotation operatorconnect.dev/ump-customer-guid, or set spec.deletionPolicy to Retain.";
    let (why, advice) = match (&deletion.tenant, &service.tenant) {
        _ if deletion.owned_by_others.contains(&service.guid) => (
            "belongs to another object with the same tenant or short name",
            "To release this object, set spec.deletionPolicy to Retain.",
        ),
        (Some(tenant), Some(whose)) if tenant == whose => return None,
        (Some(_), Some(_)) => ("belongs to another tenant", ANNOTATION),
        _ if record.guid_proven => return None,
        _ => (
            "is named only by an annotation, and the operator can't see whose it is",
            ANNOTATION,
        ),
    };
    let message = format!(
        "The service {} {why}, so the operator does not delete it. {advice}",
        service.guid
    );
    Some(Trouble::new(Reason::DeletionBlocked, message))
}

/// Like [`ServiceCase::unbelieved`], but only under Delete: under Retain a hidden service would stay anyway.
fn unbelieved(case: &ServiceCase<'_>, deletion: &Deletion) -> Option<Decision> {
    case.unbelieved()
        .filter(|_| deletion.policy == DeletionPolicy::Delete)
}

fn not_whole(case: ServiceCase<'_>) -> Decision {
    let message = "The list of services has entries that can't be read; the service may be among them.";
    case.stop(
        Trouble::new(Reason::PlatformUnavailable, message),
        "the list of services is incomplete",
    )
}

fn unreadable<T>(fact: &Fact<T>) -> Option<Trouble> {
    match fact {
        Fact::Unreadable(trouble) => Some(trouble.clone()),
        _ => None,
    }
}

/// Whether the task reported a service that no list has shown, and the platform has not said that there is
/// none.
fn never_seen(record: &Record) -> bool {
    let not_found =
        |op: &Operation| op.kind == OperationKind::Delete && op.ended() == Some(Outcome::Succeeded);
    record.is_unseen() && !record.operation.as_ref().is_some_and(not_found)
}

fn ask_for_it(
    case: ServiceCase<'_>,
    deletion: &Deletion,
    policy: &Policy,
    guid: CustomerGuid,
    tenant: Option<TenantId>,
) -> Decision {
    let verdict = Verdict::not_ready(Reason::Deleting, "The platform is deleting the service.");
    let open = case
        .record
        .open_intent()
        .filter(|intent| intent.kind == OperationKind::Delete)
        .cloned();
    let again = if case.shows(&guid) == Some(true) {
        timing::DELETE_AGAIN
    } else {
        timing::DELETE_UNSEEN_AGAIN
    };
    let lately = |intent: &&Intent| intent.sent == Sent::Maybe && case.now < intent.start + again;
    if let Some(intent) = open
        .as_ref()
        .filter(lately)
        .filter(|intent| !case.facts.left_open_by_another(&case.record, intent))
    {
        let until = timing::next_look(case.now, intent.start);
        return case.decide(
            Step::Wait(until, Wake::Inventory),
            "requested; still there",
            verdict,
        );
    }
    if deletion.guard_numbers
        && let Some(decision) = numbers(&case, tenant.as_ref())
    {
        return decision;
    }
    if let Some(trouble) = &policy.deletions_blocked {
        return case.stop(trouble.clone(), "the breaker holds it");
    }
    if case.record.may_send(OperationKind::Delete, case.now) {
        return case.decide(
            Step::Execute(Change::DeleteService(guid)),
            "recorded, and nothing prevents the deletion",
            verdict,
        );
    }
    if let Some((retry, trouble)) = case
        .record
        .refusal(OperationKind::Delete, case.now)
        .filter(|_| !case.facts.retry_now)
    {
        return case.decide(
            Step::Blocked(retry),
            "the last attempt was refused",
            Verdict::trouble(&trouble),
        );
    }
    let mark = case.begin(OperationKind::Delete, tenant.as_ref(), policy);
    case.decide(mark, "the intent comes before the effect", verdict)
}

/// Keeps a service while its tenant has telephone numbers, or while that is unknown. People use the numbers,
/// and what the platform does with them on deletion is not documented (platform-facts-2.md 5). A release
/// known to have no such call does not block the deletion.
fn numbers(case: &ServiceCase<'_>, tenant: Option<&TenantId>) -> Option<Decision> {
    // Without a tenant there is nothing to query.
    let Some(tenant) = tenant.cloned() else {
        return Some(numbers_untold(case));
    };
    let since = case.facts.pass_started;
    match &case.facts.numbers {
        Fact::Unreadable(trouble) => Some(case.copy().unreadable(trouble.clone())),
        fact => match fact.since(since) {
            None => Some(case.copy().look(
                Query::Numbers(tenant),
                since,
                "does the tenant have telephone numbers",
            )),
            Some(Numbers::NoCall | Numbers::Count(0)) => None,
            Some(Numbers::Untold) => Some(numbers_untold(case)),
            Some(Numbers::Count(count)) => {
                let numbers = if *count == 1 { "number" } else { "numbers" };
                let message = format!(
                    "The tenant has {count} telephone {numbers} on the platform, so the operator does not delete the service. Release them there. Or set spec.deletionGuard to None to have the service deleted anyway, or set spec.deletionPolicy to Retain to release this object and keep the service."
                );
                Some(case.copy().stop(
                    Trouble::new(Reason::DeletionBlocked, message),
                    "the tenant has telephone numbers",
                ))
            }
        },
    }
}

fn numbers_untold(case: &ServiceCase<'_>) -> Decision {
    let message = "The platform does not say whether the tenant has telephone numbers, so the operator does not delete the service. Check in the portal. Then set spec.deletionGuard to None to have the service deleted anyway, or set spec.deletionPolicy to Retain to release this object and keep the service.";
    case.copy().stop(
        Trouble::new(Reason::DeletionBlocked, message),
        "whether the tenant has telephone numbers is unknown",
    )
}

fn after_asking(case: &mut ServiceCase<'_>) -> Option<Decision> {
    // While a list shows the service, "not found" proves nothing: look again.
    let missing = case
        .record
        .guid
        .as_ref()
        .is_some_and(|guid| case.shows(guid) == Some(false));
    if case.facts.answer == Some(ChangeResult::NotFound) && missing {
        case.record.end_operation(
            Outcome::Succeeded,
            case.now,
            vec!["The platform has no such service.".into()],
        );
    }
    let case = &*case;
    let again = || case.copy();
    let verdict = Verdict::not_ready(Reason::Deleting, "The platform is deleting the service.");
    match case.facts.answer.as_ref()? {
        ChangeResult::NotSent(trouble) => {
            let until = timing::next_try(case.now, case.facts.failures, trouble.retry_after);
            Some(again().decide(
                Step::Wait(until, Wake::Inventory),
                "the request was not executed",
                case.facts.verdict_of(trouble),
            ))
        }
        ChangeResult::Rejected(trouble) => {
            Some(again().stop(trouble.clone(), "the platform refused to delete it"))
        }
        ChangeResult::Accepted(_)
        | ChangeResult::Done
        | ChangeResult::NotFound
        | ChangeResult::Unknown(_) => {
            let until = timing::next_look(case.now, case.now);
            Some(again().decide(
                Step::Wait(until, Wake::Inventory),
                "requested; checking again",
                verdict,
            ))
        }
    }
}

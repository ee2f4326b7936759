//! Decides what to do next for one `OcEssentialService`.
//!
//! [`decide`] is total and deterministic. It first takes in what is known (`absorb`: a task that ended, a
//! service that was read back). Then it works from the outside in: may the operator work on this object at
//! all, does a service exist, whose is it, may one be created. The functions below follow the order of these
//! questions.

mod checks;
mod create;
mod delete;
mod elsewhere;
mod found;
mod jobs;
mod ready;
mod spec;
mod target;
mod task;

use std::borrow::Cow;

use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{ChangeResult, Decision, Mark, PlanItem, Query, Step, Wake};
use crate::facts::{Absence, Fact, LeadsView, ServicesView};
use crate::model::{Service, TaskState};
use crate::names::{CustomerGuid, TenantId};
use crate::policy::{PlatformAccess, Policy};
use crate::record::{OperationKind, Outcome, Record, Sent};
use crate::time::{Duration, Time};
use crate::timing;

pub use crate::facts::{DeletionPolicy, Facts};
pub use found::Found;
pub use spec::{Neighbour, ServiceSpec, going};
pub use target::{Adoption, Deletion, DesiredService, Mode, ServiceTarget};

/// Decides the next step for one service object.
pub fn decide(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let restored = record.operation.is_none() && record.intent.is_some();
    let before = record;
    let mut record = record.clone();
    record.disown();
    record.forget_superseded(matches!(target, ServiceTarget::Absent(_)), now);
    record.not_ahead(now);
    let told = record.forget_taken_over(shown(&record, facts));
    let recalled = record.recall_intent();
    absorb(now, &mut record, facts);
    record.note_open_intent();
    let case = ServiceCase {
        now,
        facts,
        restored,
        record,
    };
    if !told && case.can_look(target) {
        return ServiceCase {
            record: before.clone(),
            ..case
        }
        .look(
            Query::Services,
            facts.pass_started,
            "was its service taken over, or was its record put back",
        );
    }
    // First, restore what another writer removed. An object that is being deleted gets no finalizer any more,
    // and one that is only observed needs none.
    let kept = matches!(target, ServiceTarget::Present(desired) if desired.mode == Mode::Apply);
    if kept && told && case.record.is_bare(recalled) && facts.answer.is_none() {
        let verdict = Verdict::not_ready(
            Reason::Verifying,
            "The record of a requested create was removed from this object. The operator is writing it again.",
        );
        return case.decide(
            Step::PatchMetadata(Mark::AddFinalizer),
            "the record of a create was removed",
            verdict,
        );
    }
    let decision = match target {
        ServiceTarget::Absent(deletion) => delete::decide(case, deletion),
        ServiceTarget::Suspended => case.suspended(),
        ServiceTarget::Invalid(trouble) => case.missing(trouble.clone(), "the spec can't be followed"),
        ServiceTarget::Present(desired) => case.ensure(desired),
    };
    decision
        .without_unsent(now)
        .with_duration(before, facts.watched.as_ref(), now)
}

/// Whether a list read in this pass shows the service with this object's guid. `None` when no list was read,
/// or the object has no guid.
fn shown(record: &Record, facts: &Facts) -> Option<bool> {
    let view = facts.services.since(facts.pass_started)?;
    record.guid.as_ref().map(|guid| view.with_guid(guid).is_some())
}

/// Updates the record with what is now known: the state of the task, and the result of the change requested
/// in this pass.
fn absorb(now: Time, record: &mut Record, facts: &Facts) {
    match &facts.answer {
        Some(ChangeResult::Accepted(task)) => {
            if let Some(intent) = record.open_intent().cloned() {
                let mut operation = crate::record::Operation::of(&intent);
                operation.task = Some(task.clone());
                record.operation = Some(operation);
            }
            if let Some(intent) = record.intent.as_mut() {
                intent.sent = Sent::Maybe;
            }
        }
        Some(ChangeResult::Rejected(trouble)) => record.refuse_operation(trouble, now),
        Some(ChangeResult::Unknown(_) | ChangeResult::Done | ChangeResult::NotFound) => {
            if let Some(intent) = record.intent.as_mut() {
                intent.sent = Sent::Maybe;
            }
            if let Some(intent) = record.open_intent().cloned() {
                record.operation = Some(crate::record::Operation::of(&intent));
            }
        }
        Some(ChangeResult::NotSent(_)) | None => {}
    }
    if let Some(operation) = record.operation.as_mut().filter(|_| facts.asked()) {
        operation.generation = Some(facts.generation);
    }
    let Some(Some(task)) = facts.task.value() else {
        return;
    };
    let Some(operation) = record
        .operation
        .as_mut()
        .filter(|op| op.ended().is_none() && op.task.as_ref() == Some(&task.id))
    else {
        return;
    };
    operation.task_status = Some(task.status.as_str().into());
    operation.messages = task.messages.clone();
    if matches!(task.state, TaskState::Succeeded | TaskState::Ended) {
        operation.see_task_end(now);
    }
    if let Some(guid) = task.service.as_ref().filter(|_| record.guid.is_none()) {
        record.prove(*guid);
    }
    if task.state == TaskState::Failed {
        record.end_operation(Outcome::Failed, now, Vec::new());
    }
}

/// The state of one decision in progress.
pub(crate) struct ServiceCase<'a> {
    now: Time,
    facts: &'a Facts,
    /// Status was lost: the annotation has an operation that status does not.
    restored: bool,
    record: Record,
}

impl ServiceCase<'_> {
    fn copy(&self) -> Self {
        Self {
            now: self.now,
            facts: self.facts,
            restored: self.restored,
            record: self.record.clone(),
        }
    }

    fn decide(self, step: Step, why: &'static str, verdict: Verdict) -> Decision {
        Decision {
            step,
            why,
            verdict,
            record: self.record,
            plan: Vec::new(),
            hold: false,
        }
    }

    fn begin(&self, kind: OperationKind, tenant: Option<&TenantId>, policy: &Policy) -> Step {
        Step::PatchMetadata(Mark::RecordIntent {
            kind,
            start: self.now.whole_second(),
            tenant: tenant.cloned(),
            place: policy.place.clone(),
        })
    }

    fn look(self, query: Query, not_before: Time, why: &'static str) -> Decision {
        let reason = if self.record.open_intent().is_some() {
            Reason::Verifying
        } else {
            Reason::Progressing
        };
        self.decide(
            Step::Observe(query, not_before),
            why,
            Verdict::not_ready(reason, "Reading from the platform."),
        )
    }

    fn stop(self, trouble: Trouble, why: &'static str) -> Decision {
        let step = Step::Blocked(self.now + timing::SLOW_RETRY);
        self.decide(step, why, Verdict::trouble(&trouble))
    }

    /// Waits for a missing reference. Objects applied together arrive in any order, so a young object is not
    /// yet `Stalled`.
    fn missing(self, trouble: Trouble, why: &'static str) -> Decision {
        let settled_at = self.facts.object_created + timing::SETTLING;
        if self.now >= settled_at || trouble.reason == Reason::InvalidSpec {
            let again = Step::Blocked(self.now + trouble.retry_after.unwrap_or(timing::SLOW_RETRY));
            return self.decide(again, why, Verdict::trouble(&trouble));
        }
        let verdict = Verdict {
            stalled: false,
            ..Verdict::trouble(&trouble)
        };
        self.decide(Step::Wait(settled_at, Wake::Cluster), why, verdict)
    }

    /// Waits while the platform can't be read or rejects requests. A ready object stays ready: not being able
    /// to observe it does not change it.
    fn unreadable(self, trouble: Trouble) -> Decision {
        let hold = self.facts.ready_at_generation && trouble.reason != Reason::AuthenticationFailed;
        let until = if hold {
            self.now + timing::HELD
        } else {
            timing::next_try(self.now, self.facts.failures, trouble.retry_after)
        };
        let verdict = self.facts.verdict_of(&trouble);
        Decision {
            hold,
            ..self.decide(
                Step::Wait(until, Wake::Inventory),
                "the platform can't be read",
                verdict,
            )
        }
    }

    /// Whether the list of services shows this one. `None` when it was not read.
    fn shows(&self, guid: &CustomerGuid) -> Option<bool> {
        self.facts
            .services
            .value()
            .map(|view| view.with_guid(guid).is_some())
    }

    /// Whether this pass may read the list of services.
    fn can_look(&self, target: &ServiceTarget) -> bool {
        let looks = matches!(target, ServiceTarget::Present(_) | ServiceTarget::Absent(_));
        looks
            && matches!(self.facts.connection, PlatformAccess::Usable(_))
            && !matches!(self.facts.services, Fact::Unreadable(_))
    }

    fn suspended(self) -> Decision {
        let mut verdict = Verdict::not_ready(
            Reason::Suspended,
            "spec.suspend is true: nothing is read or changed for this object.",
        );
        if self.record.license.is_some() && self.facts.ready_at_generation {
            verdict.ready = ConditionStatus::True;
        }
        let step = Step::Idle(self.now + timing::SLOW_RETRY);
        self.decide(step, "suspended", verdict)
    }

    fn ensure(mut self, desired: &DesiredService) -> Decision {
        // Borrowed for longer than the case, which is changed on the way.
        let facts = self.facts;
        let policy = match &facts.connection {
            PlatformAccess::Usable(policy) => policy,
            PlatformAccess::Unusable(trouble) => {
                return self.missing(trouble.clone(), "the platform object can't be used");
            }
            PlatformAccess::Unknown(trouble) => return self.unreadable(trouble.clone()),
        };
        if let Some(rival) = &desired.rival {
            let message = format!(
                "{rival} came first and keeps it, so the operator does nothing for this object. Delete this object. Or, if it should have the service, first set spec.deletionPolicy of the other one to Retain, and then delete the other one."
            );
            return self.stop(
                Trouble::new(Reason::Conflict, message),
                "another object has the tenant or the short name",
            );
        }
        let not_before = self.services_needed_since();
        if let Fact::Unreadable(trouble) = &facts.services {
            return self.unreadable(trouble.clone());
        }
        let Some(view) = facts.services.since(not_before) else {
            return self.look(Query::Services, not_before, "is there a service");
        };
        if let Some(trouble) = self.asked_elsewhere(policy, desired, view) {
            self.leave_out();
            return self.stop(trouble, "the open create was requested elsewhere");
        }
        match found::find(
            self.facts.pass_started,
            policy.place.as_deref(),
            &self.record,
            desired,
            view,
        ) {
            Found::Two(guids) => {
                let message = format!(
                    "The platform lists more than one service for this tenant ({guids}), and the operator can't tell which one is this object's. It changes nothing. Set the annotation operatorconnect.dev/ump-customer-guid to the guid of the one in use."
                );
                self.stop(
                    Trouble::new(Reason::Conflict, message),
                    "two services for the tenant",
                )
            }
            Found::Ours(service) => self.verify(policy, desired, service),
            Found::Foreign(service) => self.adopt_or_conflict(policy, desired, service),
            Found::NoLonger => self.vanished(policy, desired, view),
            Found::Nothing => self.when_absent(policy, desired, view),
        }
    }

    /// How recent the list of services must be. After a change of ours, only a list begun in this pass
    /// counts.
    fn services_needed_since(&self) -> Time {
        let unsettled =
            self.record.open_intent().is_some() || self.record.running().is_some() || self.facts.asked();
        if unsettled && self.task_still_runs() {
            return Time(i64::MIN);
        }
        if unsettled || self.facts.reconcile_requested {
            self.facts.pass_started
        } else if self.record.verified() {
            Time(i64::MIN)
        } else {
            self.facts.pass_started - timing::CREATE_LOOK
        }
    }

    /// The step still needed to prove that the tenant has no lead, or none that shows a service. `None` when
    /// that is proven.
    fn no_lead_is_not_proven(&self, view: &LeadsView) -> Option<Decision> {
        match view.absence() {
            Absence::Proven => None,
            Absence::Unconfirmed => Some(self.copy().look(
                Query::LeadsOfTenant,
                self.facts.pass_started,
                "is the lead missing only from the list",
            )),
            Absence::NotWhole => Some(self.copy().stop(
                LeadsView::not_whole(),
                "the list of the tenant's leads is incomplete",
            )),
        }
    }

    /// Looks again for an effect, at the latest when its time is over: what follows then must not wait for
    /// the next look.
    fn look_until(self, since: Time, end: Time, message: &'static str) -> Decision {
        let until = timing::next_look(self.now, since).min(end.max(self.now + Duration::from_secs(1)));
        let verdict = Verdict::not_ready(Reason::Verifying, message);
        self.decide(
            Step::Wait(until, Wake::Inventory),
            "the effect has not appeared yet",
            verdict,
        )
    }

    fn look_for_effect(self, since: Time, message: impl Into<Cow<'static, str>>) -> Decision {
        let until = timing::next_look(self.now, since);
        self.decide(
            Step::Wait(until, Wake::Inventory),
            "the effect has not appeared yet",
            Verdict::not_ready(Reason::Verifying, message),
        )
    }

    /// A service exists for the tenant, and nothing shows that this object made it.
    fn adopt_or_conflict(mut self, policy: &Policy, desired: &DesiredService, service: &Service) -> Decision {
        if let Some(decision) = self
            .follow_task(policy)
            .filter(|_| !self.ended_and_overdue(policy))
        {
            return decision;
        }
        match found::adoptable(&self.record, desired, service) {
            Ok(()) if desired.mode == Mode::Apply => {
                if let Some(decision) = self.unbelieved() {
                    return decision;
                }
                self.record.end_operation(Outcome::Unknown, self.now, Vec::new());
                let verdict =
                    Verdict::not_ready(Reason::Progressing, "Taking over the tenant's existing service.");
                self.decide(
                    Step::PatchMetadata(Mark::Adopt(service.guid)),
                    "taking over the existing service",
                    verdict,
                )
            }
            Ok(()) if desired.mode == Mode::Plan => {
                let item = PlanItem {
                    action: "Adopt",
                    field: "umpCustomerGuid",
                    from: None,
                    to: Some(service.guid.to_string()),
                };
                self.planned(vec![item])
            }
            Ok(()) => self.observed("A service exists for this tenant; mode Observe does not take it over."),
            Err(trouble) => {
                let whole = self.facts.services.value().is_some_and(|view| view.complete);
                // This object's own service is not in the list; another one is.
                if whole && self.record.verified() {
                    if let Some(decision) = self.unbelieved() {
                        return decision;
                    }
                    ready::gone(&mut self.record);
                }
                self.stop(trouble, "the service is not this object's")
            }
        }
    }

    fn planned(self, plan: Vec<PlanItem>) -> Decision {
        let message = "spec.mode is Plan: status.plan lists the planned changes. To have them made, set spec.mode to Apply.";
        let step = Step::Idle(self.now + timing::SLOW_RETRY);
        let verdict = Verdict {
            stalled: false,
            ..Verdict::not_ready(Reason::PlanReady, message)
        };
        Decision {
            plan,
            ..self.decide(step, "planned, not done", verdict)
        }
    }

    fn observed(self, message: &'static str) -> Decision {
        let step = Step::Idle(self.now + timing::SLOW_RETRY);
        self.decide(
            step,
            "observed only",
            Verdict::not_ready(Reason::Observing, message),
        )
    }

    /// The service is ours: verify it, follow the jobs, then idle.
    fn verify(mut self, policy: &Policy, desired: &DesiredService, service: &Service) -> Decision {
        self.record.prove(service.guid);
        if let Some(decision) = self.follow_running_task(policy) {
            return decision;
        }
        let Some(license) = service.license else {
            let since = self
                .record
                .operation
                .as_ref()
                .map_or(self.facts.object_created, |op| op.started);
            return self.look_for_effect(since, "The service shows no license type yet.");
        };
        self.record.license = Some(license.label().into());
        self.record.read_back(self.now);
        if !license.operator_connect() {
            let trouble = Trouble::new(Reason::AlreadyLicensed, ready::other_license(service, license));
            return self.stop(trouble, "the service has another kind of license");
        }
        // A refused create did not make this service: the guid identified it. The intent is obsolete.
        if desired.mode == Mode::Apply && (!self.record.finalizer || self.record.create_refused()) {
            let verdict = Verdict::not_ready(
                Reason::Progressing,
                "Recording the service and the finalizer on this object.",
            );
            return self.decide(
                Step::PatchMetadata(Mark::Adopt(service.guid)),
                "recording the service on the object",
                verdict,
            );
        }
        jobs::see_to(self, policy, desired, service)
    }

    fn rest(self, verdict: Verdict, until: Duration) -> Decision {
        let step = Step::Idle(self.now + until);
        self.decide(step, "all is as it should be", verdict)
    }
}

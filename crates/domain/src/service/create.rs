//! Creates a service when none exists, nothing is in progress and no check forbids it.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Decision, PlanItem, Query, Step, Wake};
use crate::facts::{Fact, ServicesView};
use crate::policy::Policy;
use crate::record::{OperationKind, Outcome, Sent};
use crate::timing;

use super::{DesiredService, Mode, ServiceCase, checks, ready};

impl ServiceCase<'_> {
    /// Decides what to do when no service exists. Creates one when nothing is in progress and no check
    /// forbids it.
    pub(super) fn when_absent(
        mut self,
        policy: &Policy,
        desired: &DesiredService,
        view: &ServicesView,
    ) -> Decision {
        if let Some(decision) = self.follow_task(policy) {
            return decision;
        }
        if let Some(decision) = self.after_asking() {
            return decision;
        }
        if let Some(intent) = self
            .record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe)
            .cloned()
        {
            if self.facts.pass_started < intent.start + policy.grace() {
                let message = "A create was requested, and its outcome is unknown. Checking whether the service appears.";
                return self.look_until(intent.start, intent.start + policy.grace(), message);
            }
            // An unreadable entry may be the service, so it does not count as absent.
            if let Some(decision) = self.unproven(view) {
                return decision;
            }
            self.record.end_operation(
                Outcome::Unknown,
                self.now,
                vec!["The answer was lost, and no service appeared in time.".into()],
            );
        }
        // The intent of a deletion that never happened: the object was restored from a backup taken in the
        // middle of it.
        if self
            .record
            .open_intent()
            .is_some_and(|intent| intent.kind == OperationKind::Delete)
        {
            self.record.end_operation(
                Outcome::Unknown,
                self.now,
                vec!["A deletion was recorded before this object was restored.".into()],
            );
        }
        if let Some(decision) = self.unbelieved().filter(|_| view.complete) {
            return decision;
        }
        // An old intent, restored from a backup or by another tool, says nothing about a service that was
        // confirmed after it and is gone now.
        if self.record.guid_proven && self.record.leads_job.due.is_some() && !desired.recreate {
            return self.vanished(policy, desired, view);
        }
        (self.record.guid, self.record.guid_proven) = (None, false);
        if let Some(decision) = self.rest_after_failure() {
            return decision;
        }
        if !view.complete {
            return self.not_whole();
        }
        checks::eligible(self, policy, desired, view)
    }

    /// Ends the pass when the requested change was not sent, or its outcome is unknown. `None` for any other
    /// answer.
    fn after_asking(&self) -> Option<Decision> {
        let case = || self.copy();
        match self.facts.answer.as_ref()? {
            ChangeResult::NotSent(trouble) => {
                let until = timing::next_try(self.now, self.facts.failures, trouble.retry_after);
                Some(case().decide(
                    Step::Wait(until, Wake::Inventory),
                    "the request was not executed",
                    self.facts.verdict_of(trouble),
                ))
            }
            ChangeResult::Unknown(trouble) => {
                let message = format!(
                    "The answer was lost. Checking whether the change was made. {}",
                    trouble.message
                );
                Some(case().look_for_effect(self.now, message))
            }
            _ => None,
        }
    }

    /// Holds off after a failed or refused create. `None` once it may be tried again: the spec has changed, a
    /// retry was requested, or a long delay has passed.
    fn rest_after_failure(&self) -> Option<Decision> {
        if self.record.open_intent().is_some() {
            return None;
        }
        let operation = self.record.operation.as_ref()?;
        let outcome = operation
            .ended()
            .filter(|outcome| matches!(outcome, Outcome::Failed | Outcome::Refused))?;
        let retry = operation.completed.unwrap_or(self.now) + timing::SLOW_RETRY;
        // A spec changed during an outage still differs from the one that failed.
        let other_spec = operation.generation.is_some_and(|of| of != self.facts.generation);
        let anew = (self.facts.retry_now || other_spec)
            && self.facts.answer.is_none()
            && self.facts.task == Fact::Unread;
        let looked = operation.completed.unwrap_or(self.now) + timing::LEFT_OVER;
        if outcome == Outcome::Failed && (anew || other_spec) && self.now < looked {
            let verdict = Verdict::not_ready(
                Reason::Verifying,
                "The last create failed. The operator checks whether it left a service before it tries again.",
            );
            return Some(self.copy().decide(
                Step::Wait(looked, Wake::Inventory),
                "what did the failed create leave",
                verdict,
            ));
        }
        if anew || self.now >= retry {
            return None;
        }
        let told = operation.messages.join(" ");
        let (reason, message) = match outcome {
            Outcome::Refused => (operation.reason.unwrap_or(Reason::PlatformRefused), told),
            _ => {
                // The platform's text may lack a full stop.
                let stop = if told.is_empty() || told.ends_with(['.', '!', '?']) {
                    ""
                } else {
                    "."
                };
                (
                    Reason::TaskFailed,
                    format!(
                        "The platform's task failed: {told}{stop} The operator tries again every hour, and at once when the spec changes."
                    ),
                )
            }
        };
        let case = self.copy();
        Some(case.decide(
            Step::Blocked(retry),
            "the last attempt failed",
            Verdict::not_ready(reason, message),
        ))
    }

    /// The list no longer shows the service that this object made or took over.
    pub(super) fn vanished(
        mut self,
        policy: &Policy,
        desired: &DesiredService,
        view: &ServicesView,
    ) -> Decision {
        // An absence that was accepted before needs no second check, unless a new create would follow from
        // it.
        if let Some(decision) = self
            .unbelieved()
            .filter(|_| view.complete && (self.record.license.is_some() || desired.recreate))
        {
            return decision;
        }
        if self.facts.services.since(self.facts.pass_started).is_none() {
            let since = self.facts.pass_started;
            return self.look(Query::Services, since, "is the service really gone");
        }
        if !view.complete {
            let message = "The list of services has entries that can't be read; the service of this object may be among them.";
            return self.stop(
                Trouble::new(Reason::PlatformUnavailable, message),
                "the list of services is incomplete",
            );
        }
        ready::gone(&mut self.record);
        if desired.recreate && desired.mode != Mode::Observe {
            return self.make_again(policy, desired, view);
        }
        let message = "The service was deleted on the platform, not by this object. Set spec.recreate to true to have it created again, or delete this object.";
        self.stop(
            Trouble::new(Reason::DeletedExternally, message),
            "the service was deleted behind our back",
        )
    }

    /// Creates a lost service again, with another guid. In mode Plan the record keeps the old service: if the
    /// plan is dropped, the object must not look as if it never had one.
    fn make_again(mut self, policy: &Policy, desired: &DesiredService, view: &ServicesView) -> Decision {
        let record = &mut self.record;
        let gone = (
            record.guid.take(),
            std::mem::take(&mut record.guid_annotated),
            std::mem::take(&mut record.guid_proven),
        );
        let jobs = (
            std::mem::take(&mut record.leads_job),
            std::mem::take(&mut record.trunks_job),
        );
        let mut decision = self.when_absent(policy, desired, view);
        if desired.mode == Mode::Plan {
            (decision.record.leads_job, decision.record.trunks_job) = jobs;
            if !decision.plan.is_empty() {
                let from = gone.0.as_ref().map(ToString::to_string);
                decision.plan.insert(
                    0,
                    PlanItem {
                        action: "Create",
                        field: "umpCustomerGuid",
                        from,
                        to: None,
                    },
                );
            }
            (
                decision.record.guid,
                decision.record.guid_annotated,
                decision.record.guid_proven,
            ) = gone;
        }
        decision
    }

    /// Creates the service: first the intent, in a write of its own, then the request.
    pub(super) fn create(self, policy: &Policy, desired: &DesiredService) -> Decision {
        match desired.mode {
            Mode::Plan => return self.planned(checks::plan_create(desired)),
            Mode::Observe => {
                return self.observed("No service exists for this tenant; mode Observe creates none.");
            }
            Mode::Apply => {}
        }
        let verdict = Verdict::not_ready(Reason::Converting, "Asking the platform to convert the lead.");
        if self.record.may_send(OperationKind::Create, self.now) {
            return self.decide(
                Step::Execute(Change::CreateService(Box::new(desired.new_service()))),
                "nothing prevents the create",
                verdict,
            );
        }
        // Reads once more before the intent, so that nothing has to be read between the intent and the
        // request: a crash in that window is expensive.
        let since = self.facts.pass_started;
        if self.facts.services.since(since).is_none() {
            return self.look(Query::Services, since, "is there still no service");
        }
        let mark = self.begin(OperationKind::Create, Some(&desired.tenant), policy);
        self.decide(mark, "the intent comes before the effect", verdict)
    }
}

//! Releases a lead object. Deletes a consentless lead when the deletion policy says so.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Change, Decision, Mark, Query, Step, Wake};
use crate::facts::{DeletionPolicy, Fact};
use crate::names::TenantId;
use crate::policy::{PlatformAccess, Policy};
use crate::record::{OperationKind, Sent};
use crate::timing;

use super::LeadCase;

impl LeadCase<'_> {
    /// While the outcome of a create is unknown, the lead can still appear. Waits for it, so that no lead is
    /// left behind.
    fn may_appear(&self, policy: &Policy) -> Option<Decision> {
        let creating = self
            .record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe)?;
        let until = timing::next_look(self.now, creating.start);
        let verdict = Verdict::not_ready(
            Reason::Verifying,
            "This object is being deleted, and the outcome of a create is unknown. Checking whether the lead appears.",
        );
        let waiting = self.facts.pass_started < creating.start + policy.create_grace;
        waiting.then(|| {
            self.copy().decide(
                Step::Wait(until, Wake::Inventory),
                "the effect has not appeared yet",
                verdict,
            )
        })
    }

    /// Checks the list of services, because the lead shows its service only after the leads job has run.
    fn service_that_the_lead_may_not_show(&self) -> Option<Decision> {
        let (case, since) = (self.copy(), self.facts.pass_started);
        if let Fact::Unreadable(trouble) = &self.facts.services {
            return Some(case.unreadable(trouble));
        }
        match self.facts.services.since(since) {
            None => Some(case.look(Query::Services, since, "does the tenant have a service")),
            Some(view) if view.of_operator_connect().next().is_some() => Some(case.has_a_service()),
            Some(view) if !view.complete => {
                let message = "The list of services has entries that can't be read; a service of this tenant may be among them.";
                Some(case.stop(
                    Trouble::new(Reason::PlatformUnavailable, message),
                    "the list of services is incomplete",
                ))
            }
            Some(_) => self.unbelieved(),
        }
    }

    fn has_a_service(self) -> Decision {
        let message = "The lead has a service, so the operator does not delete the lead. To release this object and keep both, set spec.deletionPolicy to Retain.";
        self.stop(
            Trouble::new(Reason::DeletionBlocked, message),
            "the lead has a service",
        )
    }

    pub(super) fn remove(
        self,
        policy: DeletionPolicy,
        tenant: Option<&TenantId>,
        suspended: bool,
    ) -> Decision {
        if !self.record.finalizer {
            let step = Step::Idle(self.now + timing::SLOW_RETRY);
            return self.decide(
                step,
                "the finalizer is off",
                Verdict::not_ready(Reason::Deleting, "Nothing is left to do."),
            );
        }
        let Some(tenant) = tenant.filter(|_| policy == DeletionPolicy::Delete) else {
            return self.release("retained");
        };
        let usable = match &self.facts.connection {
            PlatformAccess::Usable(usable) => usable,
            PlatformAccess::Unknown(trouble) => return self.unreadable(trouble),
            PlatformAccess::Unusable(trouble) => return self.cannot_delete(trouble),
        };
        if suspended {
            let message = "spec.suspend is true, so the operator does not delete the lead. Set spec.suspend to false, or set spec.deletionPolicy to Retain.";
            let step = Step::Idle(self.now + timing::SLOW_RETRY);
            return self.decide(step, "suspended", Verdict::not_ready(Reason::Suspended, message));
        }
        if let Some(decision) = self.after_asking() {
            return decision;
        }
        let facts = self.facts;
        let view = match &facts.leads {
            Fact::Unreadable(trouble) => return self.unreadable(trouble),
            fact => match fact.since(facts.pass_started) {
                Some(view) => view,
                None => return self.look(Query::Leads, facts.pass_started, "is the lead still there"),
            },
        };
        let Some(lead) = view.leads.iter().find(|lead| lead.consentless) else {
            return self
                .not_proven(view)
                .or_else(|| self.may_appear(usable))
                .or_else(|| self.unbelieved())
                .unwrap_or_else(|| self.release("looked for and not found"));
        };
        if lead.service.is_some() {
            return self.has_a_service();
        }
        if let Some(decision) = self.service_that_the_lead_may_not_show() {
            return decision;
        }
        self.delete(usable, tenant)
    }

    fn release(self, why: &'static str) -> Decision {
        self.decide(
            Step::PatchMetadata(Mark::RemoveFinalizer),
            why,
            Verdict::not_ready(Reason::Deleting, "Releasing this object."),
        )
    }

    fn cannot_delete(self, trouble: &Trouble) -> Decision {
        let message = format!(
            "spec.deletionPolicy is Delete, but the operator can't delete the lead: {} Fix that, or set spec.deletionPolicy to Retain.",
            trouble.message
        );
        self.stop(Trouble::new(trouble.reason, message), "it can't be deleted there")
    }

    fn delete(self, policy: &Policy, tenant: &TenantId) -> Decision {
        let verdict = Verdict::not_ready(Reason::Deleting, "The platform is removing the consentless lead.");
        if self.record.may_send(OperationKind::Delete, self.now) {
            return self.decide(
                Step::Execute(Change::DeleteLead(*tenant)),
                "the intent is recorded",
                verdict,
            );
        }
        let asked = self
            .record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Delete && intent.sent == Sent::Maybe)
            .filter(|intent| self.now < intent.start + timing::DELETE_AGAIN)
            .filter(|intent| !self.facts.left_open_by_another(&self.record, intent));
        if let Some(intent) = asked {
            let until = timing::next_look(self.now, intent.start);
            return self.decide(
                Step::Wait(until, Wake::Inventory),
                "requested; still there",
                verdict,
            );
        }
        if let Some(decision) = self.rest_after_refusal(OperationKind::Delete) {
            return decision;
        }
        if let Some(trouble) = &policy.deletions_blocked {
            return self.stop(trouble.clone(), "the breaker holds it");
        }
        let mark = self.begin(OperationKind::Delete, tenant, policy);
        self.decide(mark, "the intent comes before the effect", verdict)
    }
}

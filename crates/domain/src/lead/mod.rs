//! Decides what to do next for one `Lead`. Most leads are only observed. The operator can create and delete a
//! consentless lead, and assign a channel.

mod channel;
mod create;
mod remove;
mod spec;

use crate::absence::Belief;
use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{ChangeResult, Decision, Mark, Query, Step, Wake};
use crate::eligibility::{self, lead_that_counts, not_active};
use crate::facts::{DeletionPolicy, Fact, Facts};
use crate::model::Lead;
use crate::names::TenantId;
use crate::policy::{PlatformAccess, Policy};
use crate::record::{Operation, OperationKind, Outcome, Record, Sent};
use crate::time::Time;
use crate::timing;

pub use spec::{DesiredLead, LeadSpec, LeadTarget};

/// Decides the next step for one lead object.
pub fn decide(now: Time, target: &LeadTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    record.disown();
    record.forget_superseded(matches!(target, LeadTarget::Absent { .. }), now);
    record.not_ahead(now);
    let recalled = record.recall_intent();
    absorb(now, &mut record, facts);
    record.note_open_intent();
    let case = LeadCase { now, facts, record };
    if matches!(target, LeadTarget::Present(_)) && case.record.is_bare(recalled) && facts.answer.is_none() {
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
        LeadTarget::Present(desired) => with_eligibility(case.ensure(desired), desired, facts),
        LeadTarget::Suspended => {
            let verdict = Verdict::not_ready(
                Reason::Suspended,
                "spec.suspend is true: nothing is read or changed for this object.",
            );
            let step = Step::Idle(now + timing::SLOW_RETRY);
            case.decide(step, "suspended", verdict)
        }
        LeadTarget::Invalid(trouble) => case.stop(trouble.clone(), "the spec can't be followed"),
        LeadTarget::Absent {
            policy,
            tenant,
            suspended,
        } => case.remove(*policy, tenant.as_ref(), *suspended),
    };
    decision.without_unsent(now)
}

/// Adds whether the lead may become a service, as far as this pass knows. What else the object waits for, such
/// as a channel, does not change that.
fn with_eligibility(mut decision: Decision, desired: &DesiredLead, facts: &Facts) -> Decision {
    let is_written = matches!(decision.step, Step::Wait(..) | Step::Idle(_) | Step::Blocked(_));
    if !is_written || decision.hold || desired.rival.is_some() {
        return decision;
    }
    let verdict = &mut decision.verdict;
    verdict.lead_eligible = match (facts.leads.value(), facts.services.value()) {
        _ if verdict.reason == Reason::LeadNotFound => {
            Some((ConditionStatus::False, verdict.reason, verdict.message.clone()))
        }
        (Some(leads), Some(services)) => eligibility::of_lead(&leads.leads, services, desired.served),
        _ => None,
    };
    decision
}

fn absorb(now: Time, record: &mut Record, facts: &Facts) {
    match &facts.answer {
        Some(ChangeResult::Rejected(trouble)) => record.refuse_operation(trouble, now),
        Some(
            ChangeResult::Unknown(_)
            | ChangeResult::Done
            | ChangeResult::NotFound
            | ChangeResult::Accepted(_),
        ) => {
            if let Some(intent) = record.intent.as_mut() {
                intent.sent = Sent::Maybe;
            }
            if let Some(intent) = record.open_intent().cloned() {
                record.operation = Some(Operation::of(&intent));
            }
        }
        Some(ChangeResult::NotSent(_)) | None => {}
    }
}

struct LeadCase<'a> {
    now: Time,
    facts: &'a Facts,
    record: Record,
}

impl LeadCase<'_> {
    fn copy(&self) -> Self {
        Self {
            now: self.now,
            facts: self.facts,
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

    fn begin(&self, kind: OperationKind, tenant: &TenantId, policy: &Policy) -> Step {
        Step::PatchMetadata(Mark::RecordIntent {
            kind,
            start: self.now.whole_second(),
            tenant: Some(*tenant),
            place: policy.place.clone(),
        })
    }

    fn look(self, query: Query, not_before: Time, why: &'static str) -> Decision {
        self.decide(
            Step::Observe(query, not_before),
            why,
            Verdict::not_ready(Reason::Progressing, "Reading from the platform."),
        )
    }

    fn stop(self, trouble: Trouble, why: &'static str) -> Decision {
        let step = Step::Blocked(self.now + timing::SLOW_RETRY);
        self.decide(step, why, Verdict::trouble(&trouble))
    }

    /// Objects applied together arrive in any order, so a young object is not yet `Stalled` over a missing
    /// reference.
    fn missing(self, trouble: Trouble, why: &'static str) -> Decision {
        let settled_at = self.facts.object_created + timing::SETTLING;
        if self.now >= settled_at {
            let again = Step::Blocked(self.now + trouble.retry_after.unwrap_or(timing::SLOW_RETRY));
            return self.decide(again, why, Verdict::trouble(&trouble));
        }
        let verdict = Verdict {
            stalled: false,
            ..Verdict::trouble(&trouble)
        };
        self.decide(Step::Wait(settled_at, Wake::Cluster), why, verdict)
    }

    /// Waits out a refusal of such a change, unless a retry was requested.
    fn rest_after_refusal(&self, kind: OperationKind) -> Option<Decision> {
        let (retry, trouble) = self
            .record
            .refusal(kind, self.now)
            .filter(|_| !self.facts.retry_now)?;
        let verdict = Verdict::trouble(&trouble);
        Some(
            self.copy()
                .decide(Step::Blocked(retry), "the last attempt was refused", verdict),
        )
    }

    fn unreadable(self, trouble: &Trouble) -> Decision {
        let hold = self.facts.ready_at_generation && trouble.reason != Reason::AuthenticationFailed;
        let until = if hold {
            self.now + timing::HELD
        } else {
            timing::next_try(self.now, self.facts.failures, trouble.retry_after)
        };
        let verdict = self.facts.verdict_of(trouble);
        Decision {
            hold,
            ..self.decide(
                Step::Wait(until, Wake::Inventory),
                "the platform can't be read",
                verdict,
            )
        }
    }

    /// The wait to take while a complete list is not to be trusted (see [`crate::absence`]). `None` when it
    /// is.
    fn unbelieved(&self) -> Option<Decision> {
        let (step, why, verdict) = self.facts.belief.doubt(self.now, "leads")?;
        let hold = self.facts.ready_at_generation && self.facts.belief == Belief::Doubted;
        Some(Decision {
            hold,
            ..self.copy().decide(step, why, verdict)
        })
    }

    fn ensure(mut self, desired: &DesiredLead) -> Decision {
        let policy = match &self.facts.connection {
            PlatformAccess::Usable(policy) => policy,
            PlatformAccess::Unusable(trouble) => {
                return self.missing(trouble.clone(), "the platform object can't be used");
            }
            PlatformAccess::Unknown(trouble) => return self.unreadable(trouble),
        };
        if let Some(rival) = &desired.rival {
            let message = format!("{rival} came first and is for the same tenant. Delete one of the two.");
            return self.stop(
                Trouble::new(Reason::Conflict, message),
                "another object has the tenant",
            );
        }
        let in_doubt = self.record.open_intent().is_some()
            || self.facts.answer.is_some()
            || self.facts.reconcile_requested;
        let not_before = if in_doubt {
            self.facts.pass_started
        } else {
            Time(i64::MIN)
        };
        self.absorb_channel(desired);
        if let Some(decision) = self.after_asking() {
            return decision;
        }
        let facts = self.facts;
        let view = match &facts.leads {
            Fact::Unreadable(trouble) => return self.unreadable(trouble),
            fact => match fact.since(not_before) {
                Some(view) => view,
                None => {
                    return self.look(
                        Query::Leads,
                        not_before,
                        "what does the platform say about the tenant",
                    );
                }
            },
        };
        match lead_that_counts(&view.leads) {
            Some(lead) => self.found(policy, desired, lead),
            None => self.when_absent(policy, desired, view),
        }
    }

    /// Ends the pass once it has requested a change.
    fn after_asking(&self) -> Option<Decision> {
        let again = || self.copy();
        // When the answer to a channel change was lost, the change is repeated, but not at once.
        let again_later = matches!(self.facts.answer, Some(ChangeResult::Unknown(_)))
            && self.record.open_intent().is_none();
        let verifying = |message: &'static str| {
            let until = if again_later {
                self.now + timing::SETTLING
            } else {
                timing::next_look(self.now, self.now)
            };
            let verdict = Verdict::not_ready(Reason::Verifying, message);
            Some(again().decide(
                Step::Wait(until, Wake::Inventory),
                "requested; checking again",
                verdict,
            ))
        };
        match self.facts.answer.as_ref()? {
            ChangeResult::NotSent(trouble) => {
                let until = timing::next_try(self.now, self.facts.failures, trouble.retry_after);
                Some(again().decide(
                    Step::Wait(until, Wake::Inventory),
                    "the request was not executed",
                    self.facts.verdict_of(trouble),
                ))
            }
            ChangeResult::Rejected(trouble) => Some(again().stop(trouble.clone(), "the platform refused it")),
            ChangeResult::Unknown(_) => {
                verifying("The answer was lost. Checking whether the change was made.")
            }
            ChangeResult::Done | ChangeResult::NotFound | ChangeResult::Accepted(_) => {
                verifying("The change was requested. Checking whether the platform shows it.")
            }
        }
    }

    fn found(mut self, policy: &Policy, desired: &DesiredLead, lead: &Lead) -> Decision {
        self.record
            .end_operation(Outcome::Succeeded, self.now, Vec::new());
        if desired.deletion_policy == DeletionPolicy::Delete && !self.record.finalizer {
            let verdict = Verdict::not_ready(Reason::Progressing, "Adding the finalizer to this object.");
            return self.decide(
                Step::PatchMetadata(Mark::AddFinalizer),
                "the finalizer is missing",
                verdict,
            );
        }
        let facts = self.facts;
        let services = match &facts.services {
            Fact::Unread => return self.look(Query::Services, Time(i64::MIN), "is there a service"),
            Fact::Unreadable(trouble) => return self.unreadable(trouble),
            Fact::Known { value, .. } => value,
        };
        let service = services.of_operator_connect().next();
        let synced = match (service, &lead.service) {
            (Some(service), shown) if shown.as_ref() != Some(&service.guid) => {
                let message = "The platform has a service for this tenant, but the lead does not show it yet: peering.sync-leads-job is due.";
                (ConditionStatus::False, Reason::AwaitingLeadsJob, message.into())
            }
            _ => (
                ConditionStatus::True,
                Reason::Succeeded,
                "The lead shows what the list of services shows.".into(),
            ),
        };
        let mut decision = self.channel(policy, desired, lead);
        decision.verdict.synced = Some(synced);
        decision
    }

    fn standing(self, policy: &Policy, lead: &Lead) -> Decision {
        let leads = self.facts.leads.value().map(|view| view.leads.as_slice());
        if let Some(trouble) = not_active(leads.unwrap_or_default(), lead) {
            return self.stop(trouble, "the lead is not Active");
        }
        let message = match &lead.service {
            Some(_) => "The lead is Active and licensed.",
            None => "The lead is Active and has no license yet.",
        };
        let step = Step::Idle(self.now + policy.observe_interval.max(timing::SETTLING));
        self.decide(step, "all is as it should be", Verdict::ready(message))
    }
}

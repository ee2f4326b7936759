//! What comes next for one `Lead`: mostly it is looked at; a consentless one can be made and removed, and a channel assigned.

use crate::absence::Belief;
use crate::conditions::{ConditionStatus, Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Decision, Mark, Query, Step, Wake};
use crate::facts::{Absence, DeletionPolicy, Fact, Facts, LeadsView};
use crate::model::{Lead, MicrosoftStatus};
use crate::names::{ChannelId, TenantId};
use crate::policy::{PlatformAccess, Policy};
use crate::record::{Operation, OperationKind, Outcome, Record, Sent};
use crate::requests::NewLead;
use crate::service::{active_beside, lead_that_counts};
use crate::time::Time;
use crate::timing;

/// What the object's spec asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredLead {
    /// `spec.msTenantId`.
    pub tenant: TenantId,
    /// `spec.consentless.companyName`: the lead is made, by this name, when the platform has none.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// An object of ours for the same tenant at the same place that comes before this one.
    pub rival: Option<String>,
}

/// What the object is to become.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeadTarget {
    /// As its spec says.
    Present(DesiredLead),
    /// As it is: `spec.suspend`.
    Suspended,
    /// It can't be told.
    Invalid(Trouble),
    /// To go: with this policy, for this tenant.
    Absent(DeletionPolicy, Option<TenantId>),
}

/// What a lead object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadSpec {
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.msTenantId`; `Err` says why it is none.
    pub tenant: Result<TenantId, Trouble>,
    /// `spec.consentless.companyName`, if the lead may be made.
    pub consentless: Option<String>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
}

impl LeadSpec {
    /// What the object is to become. `rival` is another object that comes before it, as people read it.
    pub fn target(self, rival: Option<String>) -> LeadTarget {
        if self.deleting {
            return LeadTarget::Absent(self.deletion_policy, self.tenant.ok());
        }
        match self.tenant {
            _ if self.suspended => LeadTarget::Suspended,
            Err(unclear) => LeadTarget::Invalid(unclear),
            Ok(tenant) => LeadTarget::Present(DesiredLead {
                tenant,
                consentless: self.consentless,
                channel: self.channel,
                deletion_policy: self.deletion_policy,
                rival,
            }),
        }
    }
}

/// Decides what comes next.
pub fn decide(now: Time, target: &LeadTarget, record: &Record, facts: &Facts) -> Decision {
    let mut record = record.clone();
    record.disown();
    record.forget_superseded(matches!(target, LeadTarget::Absent(..)), now);
    record.not_ahead(now);
    let recalled = record.recall_intent();
    absorb(now, &mut record, facts);
    record.note_open_intent();
    let case = LeadCase { now, facts, record };
    if matches!(target, LeadTarget::Present(_)) && case.record.is_bare(recalled) && facts.answer.is_none() {
        let verdict = Verdict::not_ready(
            Reason::Verifying,
            "Writing down again what was asked for: its record was taken off this object.",
        );
        return case.decide(
            Step::PatchMetadata(Mark::AddFinalizer),
            "the record of a create was taken off",
            verdict,
        );
    }
    let decision = match target {
        LeadTarget::Present(desired) => case.ensure(desired),
        LeadTarget::Suspended => {
            let verdict = Verdict::not_ready(
                Reason::Suspended,
                "spec.suspend is true: nothing is read or changed for this object.",
            );
            let step = Step::Idle(now + timing::SLOW_RETRY);
            case.decide(step, "suspended", verdict)
        }
        LeadTarget::Invalid(trouble) => case.stop(trouble.clone(), "the spec can't be followed"),
        LeadTarget::Absent(policy, tenant) => case.remove(*policy, tenant.as_ref()),
    };
    decision.without_unsent(now)
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
            tenant: Some(tenant.clone()),
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

    /// What is applied together arrives in any order, so a young object is not called stalled for what it lacks.
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

    /// What a whole list does not show may be there all the same: see [`crate::absence`]. `None` when the list is believed.
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
            let message =
                format!("{rival} came first and stands for the same tenant. Delete one of the two.");
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
                        "what does the platform say of the tenant",
                    );
                }
            },
        };
        match lead_that_counts(&view.leads) {
            Some(lead) => self.found(policy, desired, lead),
            None => self.when_absent(policy, desired, view),
        }
    }

    /// The channel that this object holds changes with the answer, not with the request: what was not executed is asked for again. A change of a lead
    /// itself has an open intent; one of its channel has none.
    fn absorb_channel(&mut self, desired: &DesiredLead) {
        let done = matches!(
            self.facts.answer,
            Some(ChangeResult::Done | ChangeResult::NotFound | ChangeResult::Accepted(_))
        );
        if done && self.record.open_intent().is_none() {
            self.record.assigned_channel = desired.channel;
        }
    }

    /// After a change was asked for in this pass, the pass ends.
    fn after_asking(&self) -> Option<Decision> {
        let again = || self.copy();
        // A channel is asked for again when the answer was lost; not at once.
        let again_later = matches!(self.facts.answer, Some(ChangeResult::Unknown(_)))
            && self.record.open_intent().is_none();
        let verifying = |message: &str| {
            let until = if again_later {
                self.now + timing::SETTLING
            } else {
                timing::next_look(self.now, self.now)
            };
            let verdict = Verdict::not_ready(Reason::Verifying, message);
            Some(again().decide(
                Step::Wait(until, Wake::Inventory),
                "asked for; looked at again",
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
            ChangeResult::Unknown(_) => verifying("The answer was lost: looking whether it was done."),
            ChangeResult::Done | ChangeResult::NotFound | ChangeResult::Accepted(_) => {
                verifying("Asked for; looking whether the platform shows it.")
            }
        }
    }

    /// People apply the object just after the lead was made, and an intent is not followed by a read: both want a list of this pass.
    fn when_absent(mut self, policy: &Policy, desired: &DesiredLead, view: &LeadsView) -> Decision {
        let since = self.facts.pass_started;
        if self.facts.leads.since(since).is_none() {
            return self.look(Query::Leads, since, "is there still no lead");
        }
        if let Some(decision) = self.not_proven(view).or_else(|| self.unbelieved()) {
            return decision;
        }
        let Some(company_name) = &desired.consentless else {
            let message = format!(
                "The platform has no lead for tenant {}. The customer must choose the operator in Teams admin center; or set spec.consentless to have the lead made.",
                desired.tenant
            );
            return self.missing(
                Trouble::new(Reason::LeadNotFound, message),
                "no lead for the tenant",
            );
        };
        if let Some((retry, trouble)) = self
            .record
            .refusal(OperationKind::Create, self.now)
            .filter(|_| !self.facts.retry_now)
        {
            return self.decide(
                Step::Blocked(retry),
                "the last try was refused",
                Verdict::trouble(&trouble),
            );
        }
        let verdict = Verdict::not_ready(
            Reason::Progressing,
            "Asking the platform to make the consentless lead.",
        );
        if self.record.may_send(OperationKind::Create, self.now) {
            let new = NewLead {
                tenant: desired.tenant.clone(),
                company_name: company_name.clone(),
            };
            return self.decide(
                Step::Execute(Change::CreateLead(new)),
                "no lead, and the intent is recorded",
                verdict,
            );
        }
        if let Some(intent) = self
            .record
            .open_intent()
            .filter(|intent| intent.sent == Sent::Maybe)
            .cloned()
        {
            if self.facts.pass_started < intent.start + policy.create_grace {
                let until = timing::next_look(self.now, intent.start);
                let verdict = Verdict::not_ready(
                    Reason::Verifying,
                    "The lead was asked for: looking whether it appears.",
                );
                return self.decide(
                    Step::Wait(until, Wake::Inventory),
                    "the effect does not show yet",
                    verdict,
                );
            }
            self.record.end_operation(Outcome::Unknown, self.now, Vec::new());
        }
        let mark = self.begin(OperationKind::Create, &desired.tenant, policy);
        self.decide(mark, "the intent comes before the effect", verdict)
    }

    /// What comes before it is said that a lead is not there; `None` when that is proven.
    fn not_proven(&self, view: &LeadsView) -> Option<Decision> {
        match view.absence() {
            Absence::Proven => None,
            Absence::Unconfirmed => Some(self.copy().look(
                Query::LeadsOfTenant,
                self.facts.pass_started,
                "is it only not in the list",
            )),
            Absence::NotWhole => Some(
                self.copy()
                    .stop(LeadsView::not_whole(), "the leads of the tenant are not whole"),
            ),
        }
    }

    fn found(mut self, policy: &Policy, desired: &DesiredLead, lead: &Lead) -> Decision {
        self.record
            .end_operation(Outcome::Succeeded, self.now, Vec::new());
        if desired.deletion_policy == DeletionPolicy::Delete && !self.record.finalizer {
            let verdict = Verdict::not_ready(Reason::Progressing, "Taking hold of the lead of this object.");
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
                let message = "The platform has a service for this tenant, and the lead does not show it yet: peering.sync-leads-job is due.";
                (
                    ConditionStatus::False,
                    Reason::AwaitingLeadsJob,
                    message.to_owned(),
                )
            }
            _ => (
                ConditionStatus::True,
                Reason::Succeeded,
                "The lead shows what the list of services shows.".to_owned(),
            ),
        };
        let mut decision = self.channel(policy, desired, lead);
        decision.verdict.synced = Some(synced);
        decision
    }

    /// `spec.channelId`: assigned while it stands there, unassigned when it is taken out again and this object had assigned it.
    fn channel(mut self, policy: &Policy, desired: &DesiredLead, lead: &Lead) -> Decision {
        let active = lead.status == MicrosoftStatus::Active;
        let differs = match (desired.channel, self.record.assigned_channel) {
            (Some(wanted), _) => lead.channel != Some(wanted) && active,
            (None, assigned) => assigned.is_some() && lead.channel == assigned,
        };
        if differs && self.facts.leads.since(self.facts.pass_started).is_none() {
            // A list from before the last change of ours would have the change asked for twice.
            let since = self.facts.pass_started;
            return self.look(Query::Leads, since, "does the channel still differ");
        }
        match (desired.channel, self.record.assigned_channel) {
            (Some(wanted), assigned) if lead.channel != Some(wanted) && active => {
                if assigned != Some(wanted) || self.facts.retry_now {
                    let verdict = Verdict::not_ready(
                        Reason::Progressing,
                        format!("Assigning the lead to channel {wanted}."),
                    );
                    return self.decide(
                        Step::Execute(Change::AssignChannel(lead.tenant.clone(), wanted)),
                        "the channel differs",
                        verdict,
                    );
                }
                let until = self.now + policy.observe_interval;
                let message = format!(
                    "The lead was assigned to channel {wanted}, and the platform does not show it yet."
                );
                self.decide(
                    Step::Wait(until, Wake::Inventory),
                    "the assignment does not show",
                    Verdict::not_ready(Reason::Verifying, message),
                )
            }
            (None, Some(assigned)) if lead.channel == Some(assigned) => {
                let verdict = Verdict::not_ready(
                    Reason::Progressing,
                    format!("Taking the lead out of channel {assigned}."),
                );
                self.decide(
                    Step::Execute(Change::UnassignChannel(lead.tenant.clone())),
                    "spec.channelId was taken out",
                    verdict,
                )
            }
            (wanted, _) => {
                // A lead that is not Active can't be assigned; that it should be is not forgotten.
                if wanted.is_none() || wanted == lead.channel {
                    self.record.assigned_channel = wanted;
                }
                self.standing(policy, lead)
            }
        }
    }

    fn standing(self, policy: &Policy, lead: &Lead) -> Decision {
        if lead.status != MicrosoftStatus::Active {
            let label = lead.status.label();
            let beside = self
                .facts
                .leads
                .value()
                .map_or("", |view| active_beside(&view.leads, lead));
            let message = format!(
                "Microsoft's status of the lead is {label}; only an Active lead can become a service. The customer sees to it in Teams admin center.{beside}"
            );
            return self.stop(
                Trouble::new(Reason::LeadNotActive, message),
                "the lead is not Active",
            );
        }
        let message = match &lead.service {
            Some(_) => "The lead is Active and licensed.",
            None => "The lead is Active and has no license yet.",
        };
        let step = Step::Idle(self.now + policy.observe_interval.max(timing::SETTLING));
        self.decide(step, "all is as it should be", Verdict::ready(message))
    }

    /// While the answer to a create is not known, the lead can still appear: it is waited for, so that it is not left behind.
    fn may_appear(&self, policy: &Policy) -> Option<Decision> {
        let creating = self
            .record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe)?;
        let until = timing::next_look(self.now, creating.start);
        let verdict = Verdict::not_ready(
            Reason::Verifying,
            "Being deleted while the answer to a create is not known: looking whether the lead appears.",
        );
        let waiting = self.facts.pass_started < creating.start + policy.create_grace;
        waiting.then(|| {
            self.copy().decide(
                Step::Wait(until, Wake::Inventory),
                "the effect does not show yet",
                verdict,
            )
        })
    }

    /// The lead shows its service only when the leads job has run.
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
                    "the list of services is not whole",
                ))
            }
            Some(_) => self.unbelieved(),
        }
    }

    fn has_a_service(self) -> Decision {
        let message = "The lead has a service, so the lead is not deleted while there is one. Set spec.deletionPolicy to Retain to let this object go and keep both.";
        self.stop(
            Trouble::new(Reason::DeletionBlocked, message),
            "the lead has a service",
        )
    }

    fn remove(self, policy: DeletionPolicy, tenant: Option<&TenantId>) -> Decision {
        let release = |case: Self, why| {
            case.decide(
                Step::PatchMetadata(Mark::RemoveFinalizer),
                why,
                Verdict::not_ready(Reason::Deleting, "Letting go."),
            )
        };
        if !self.record.finalizer {
            let step = Step::Idle(self.now + timing::SLOW_RETRY);
            return self.decide(
                step,
                "the finalizer is off",
                Verdict::not_ready(Reason::Deleting, "Nothing is left to do."),
            );
        }
        let Some(tenant) = tenant.filter(|_| policy == DeletionPolicy::Delete) else {
            return release(self, "retained");
        };
        let usable = match &self.facts.connection {
            PlatformAccess::Usable(usable) => usable,
            PlatformAccess::Unknown(trouble) => return self.unreadable(trouble),
            PlatformAccess::Unusable(trouble) => {
                let message = format!(
                    "spec.deletionPolicy is Delete, but: {} Bring that in order, or set spec.deletionPolicy to Retain.",
                    trouble.message
                );
                let reason = trouble.reason;
                return self.stop(Trouble::new(reason, message), "it can't be deleted there");
            }
        };
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
            return match self
                .not_proven(view)
                .or_else(|| self.may_appear(usable))
                .or_else(|| self.unbelieved())
            {
                Some(decision) => decision,
                None => release(self, "looked for and not found"),
            };
        };
        if lead.service.is_some() {
            return self.has_a_service();
        }
        if let Some(decision) = self.service_that_the_lead_may_not_show() {
            return decision;
        }
        let verdict = Verdict::not_ready(Reason::Deleting, "The platform is removing the consentless lead.");
        if self.record.may_send(OperationKind::Delete, self.now) {
            return self.decide(
                Step::Execute(Change::DeleteLead(tenant.clone())),
                "the intent is recorded",
                verdict,
            );
        }
        let asked = self
            .record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Delete && intent.sent == Sent::Maybe)
            .cloned();
        match asked {
            Some(intent)
                if self.now < intent.start + timing::DELETE_AGAIN
                    && !self.facts.left_open_by_another(&self.record, &intent) =>
            {
                let until = timing::next_look(self.now, intent.start);
                self.decide(
                    Step::Wait(until, Wake::Inventory),
                    "asked for; still there",
                    verdict,
                )
            }
            _ => {
                if let Some((retry, trouble)) = self
                    .record
                    .refusal(OperationKind::Delete, self.now)
                    .filter(|_| !self.facts.retry_now)
                {
                    return self.decide(
                        Step::Blocked(retry),
                        "the last try was refused",
                        Verdict::trouble(&trouble),
                    );
                }
                if let Some(trouble) = &usable.deletions_blocked {
                    let trouble = trouble.clone();
                    return self.stop(trouble, "the breaker holds it");
                }
                let mark = self.begin(OperationKind::Delete, tenant, usable);
                self.decide(mark, "the intent comes before the effect", verdict)
            }
        }
    }
}

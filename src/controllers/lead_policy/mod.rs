//! `LeadPolicy`: what its runs have found, as the object says it. The runs are beside the passes ([`run`]).

mod check;
mod expression;
mod facts;
mod notes;
pub mod run;
pub mod state;
pub mod wake;

use std::sync::Arc;

use kube::Resource;
use oc_domain::lead_policy::RefusedLead;

use crate::cluster::key::ObjectKey;
use crate::cluster::status;
use crate::cluster::store::StoreEvent;
use crate::controllers::action::{Action, forgotten, outcome};
use crate::controllers::context::Context;
use crate::controllers::lead_policy::state::OnboardingReport;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::{PassObject, ReconciledResource};
use crate::controllers::{events, handlers};
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use crate::runtime::workqueue::Priority;
use oc_api::{LeadPolicy, LeadPolicyStatus, LeadRefusal};
use oc_domain::timing;

/// How many characters of a message status holds.
const MESSAGE: usize = 1000;

impl ReconciledResource for LeadPolicy {
    fn learnt(context: &Context, learnt: StoreEvent<Self>) {
        handlers::policy(context, learnt);
    }

    async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
        reconcile(context, key).await
    }
}

/// Reports the result of the last run. Until there is one for this spec, the next run enqueues the policy.
async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
    let Some(object) = context.cache.policies.of(key) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    let report = context
        .policies
        .report(key)
        .filter(|report| report.spec == facts::spec_version(&object));
    let Some(report) = report else {
        return (Action::AwaitChange, PassOutcome::Waiting);
    };
    let verdict = report.verdict.clone();
    let status = new_status(&object, report);
    let pass = PassObject::new(context, Arc::clone(&object));
    let written = if object.status.as_ref() == Some(&status) {
        pass.ensure_current()
    } else {
        pass.patch_status(&status, false).await
    };
    if written.is_ok() {
        events::of_policy(context, &object, &verdict);
    }
    outcome(verdict.reason, "the last run");
    let uid = object.meta().uid.as_deref();
    let (failures, conflicts) = context.memory.with_pass(key, uid, |memory| {
        let count = |so: bool, before: u32| if so { before.saturating_add(1) } else { 0 };
        let lasts = matches!(&written, Err(failed) if failed.lasts());
        memory.failures = count(lasts, memory.failures);
        memory.conflicts = count(matches!(written, Err(WriteError::Conflict)), memory.conflicts);
        (memory.failures, memory.conflicts)
    });
    match written {
        Ok(()) => (Action::AwaitChange, PassOutcome::of(&verdict, false)),
        Err(WriteError::NotFound) => (Action::AwaitChange, PassOutcome::Gone),
        Err(failed) => {
            let at = if matches!(failed, WriteError::Conflict) {
                timing::after_conflict(clock::now(), conflicts)
            } else {
                tracing::warn!(policy = %key, ?failed, "could not write the status of a policy; retrying");
                timing::next_try(clock::now(), failures, None)
            };
            (
                Action::RequeueAt(at, Priority::Effect),
                PassOutcome::unwritten(&failed),
            )
        }
    }
}

fn new_status(object: &LeadPolicy, report: OnboardingReport) -> LeadPolicyStatus {
    let before = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let counts = &report.counts;
    LeadPolicyStatus {
        observed_generation: Some(generation),
        matched: count(counts.matched),
        made: count(counts.made),
        ready: count(counts.ready),
        waiting: count(counts.waiting),
        refused: count(counts.refused),
        not_eligible: count(counts.not_eligible),
        last_made_time: counts.last_made.map(status::written),
        refusals: report.refusals.into_iter().map(refusal).collect(),
        last_handled_reconcile_at: report.requested,
        conditions: status::conditions(&before.conditions, &report.verdict, generation, clock::now()),
    }
}

fn refusal(refused: RefusedLead) -> LeadRefusal {
    LeadRefusal {
        lead: refused.lead,
        reason: refused.reason.to_string(),
        message: refused.message.chars().take(MESSAGE).collect(),
    }
}

//! Tables of the decision: a situation, and the expected result. The expectations are written by hand from docs/design/flow.md and docs/reasons.

#[path = "tables/absence.rs"]
mod absence;
#[path = "tables/breaker.rs"]
mod breaker;
mod common;
#[path = "tables/competition.rs"]
mod competition;
#[path = "tables/create.rs"]
mod create;
#[path = "tables/delete.rs"]
mod delete;
#[path = "tables/discovery.rs"]
mod discovery;
#[path = "tables/events.rs"]
mod events;
#[path = "tables/found.rs"]
mod found;
#[path = "tables/jobs.rs"]
mod jobs;
#[path = "tables/lead.rs"]
mod lead;
#[path = "tables/names.rs"]
mod names;
#[path = "tables/place.rs"]
mod place;
#[path = "tables/platform.rs"]
mod platform;
#[path = "tables/ready.rs"]
mod ready;
#[path = "tables/spec.rs"]
mod spec;
#[path = "tables/transitions.rs"]
mod transitions;
#[path = "tables/voice.rs"]
mod voice;
#[path = "tables/whose.rs"]
mod whose;
#[path = "tables/words.rs"]
mod words;

use oc_domain::conditions::Verdict;
use oc_domain::decision::{Change, Decision, Mark, Query, Step};
use oc_domain::facts::Facts;
use oc_domain::record::Record;
use oc_domain::service::{ServiceTarget, decide};
use oc_domain::time::Time;

/// A step, short enough for a table.
pub fn short(step: &Step) -> &'static str {
    match step {
        Step::Observe(Query::Services, _) => "look services",
        Step::Observe(Query::Leads, _) => "look leads",
        Step::Observe(Query::LeadsOfTenant, _) => "look leads of tenant",
        Step::Observe(Query::Task(_), _) => "look task",
        Step::Observe(Query::LcCustomer(_), _) => "look customer",
        Step::Observe(Query::Numbers(_), _) => "look numbers",
        Step::PatchMetadata(Mark::RecordIntent { .. }) => "keep intent",
        Step::PatchMetadata(Mark::Adopt(_)) => "keep adopted",
        Step::PatchMetadata(Mark::AddFinalizer) => "keep hold",
        Step::PatchMetadata(Mark::RemoveFinalizer) => "release",
        Step::Execute(Change::CreateService(_)) => "ask create",
        Step::Execute(Change::DeleteService(_)) => "ask delete",
        Step::Execute(Change::CreateLead(_)) => "ask create lead",
        Step::Execute(Change::DeleteLead(_)) => "ask delete lead",
        Step::Execute(Change::AssignChannel(..)) => "ask assign",
        Step::Execute(Change::UnassignChannel(_)) => "ask unassign",
        Step::Execute(Change::RunJob(_)) => "ask job",
        Step::Wait(..) => "wait",
        Step::Idle(_) => "rest",
        Step::Blocked(_) => "stop",
    }
}

/// `Ready`, its reason, and whether Reconciling or Stalled is present. Also checks the conditions against the kstatus rules.
pub fn says(verdict: &Verdict) -> String {
    let conditions = verdict.conditions();
    assert_eq!(common::kstatus::kstatus_violations(&conditions), Vec::<String>::new());
    let ready = conditions.first().expect("Ready");
    let beside = conditions.iter().map(|condition| condition.kind).find(|kind| ["Reconciling", "Stalled"].contains(kind)).unwrap_or("-");
    format!("{} {} {beside}", ready.truth.as_str(), ready.reason)
}

/// One decision about a service, at [`common::NOW`].
pub fn at_now(target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    at(common::NOW, target, record, facts)
}

/// One decision about a service; equal inputs give an equal decision.
pub fn at(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
    let decision = decide(now, target, record, facts);
    assert_eq!(decision, decide(now, target, record, facts));
    decision
}

/// A decision in short: `step: Ready reason beside`.
pub fn told(decision: &Decision) -> String {
    format!("{}: {}", short(&decision.step), says(&decision.verdict))
}

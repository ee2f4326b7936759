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
#[path = "tables/lead_channel.rs"]
mod lead_channel;
#[path = "tables/lead_policy.rs"]
mod lead_policy;
#[path = "tables/names.rs"]
mod names;
#[path = "tables/place.rs"]
mod place;
#[path = "tables/platform.rs"]
mod platform;
#[path = "tables/quick.rs"]
mod quick;
#[path = "tables/ready.rs"]
mod ready;
#[path = "tables/refusal.rs"]
mod refusal;
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
use oc_domain::record::{Job, Record};
use oc_domain::service::{ServiceTarget, decide};
use oc_domain::time::Time;

/// What a step asks of the platform.
pub trait Asks {
    /// The words of a table.
    fn asks(&self) -> &'static str;
}

impl Asks for Change {
    fn asks(&self) -> &'static str {
        match self {
            Change::CreateService(_) => "ask create",
            Change::DeleteService(_) => "ask delete",
            Change::CreateLead(_) => "ask create lead",
            Change::DeleteLead(_) => "ask delete lead",
            Change::AssignChannel(..) => "ask assign",
            Change::UnassignChannel(_) => "ask unassign",
        }
    }
}

impl Asks for Job {
    fn asks(&self) -> &'static str {
        "ask job"
    }
}

/// A query by its name: `LeadsOfTenant` is "look leads of tenant".
fn look(query: &Query) -> &'static str {
    let shown = format!("{query:?}");
    let name = shown.chars().take_while(|c| c.is_alphanumeric());
    let words = name.flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase()));
    format!("look{}", words.collect::<String>()).leak()
}

/// A step, short enough for a table.
pub fn short<C: Asks>(step: &Step<C>) -> &'static str {
    match step {
        Step::Observe(query, _) => look(query),
        Step::PatchMetadata(Mark::RecordIntent { .. }) => "keep intent",
        Step::PatchMetadata(Mark::Adopt(_)) => "keep adopted",
        Step::PatchMetadata(Mark::AddFinalizer) => "keep hold",
        Step::PatchMetadata(Mark::RemoveFinalizer) => "release",
        Step::Execute(change) => change.asks(),
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

//! The possible values of a label, from the code that sets it.

use std::collections::BTreeMap;

use live_platform::{CallOutcome, Endpoint};
use oc_domain::conditions::{ConditionStatus, Reason};
use oc_domain::record::Job;
use oc_essentials_operator::controllers::Kind;
use oc_essentials_operator::controllers::metrics::PassOutcome;
use oc_essentials_operator::runtime::workqueue::Priority;

/// By label; or by metric and label, where a name has two meanings.
pub fn all() -> BTreeMap<String, Vec<String>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    // Before the first status there is no reason; a reason written by someone else is `Other`.
    let reasons = Reason::ALL.iter().map(ToString::to_string).chain(["None", "Other"].map(str::to_owned)).collect();
    BTreeMap::from([
        ("reason".to_owned(), reasons),
        ("ready".to_owned(), texts(&[ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown].map(ConditionStatus::as_str))),
        ("call".to_owned(), texts(&Endpoint::ALL.map(Endpoint::label))),
        ("kind".to_owned(), texts(&Kind::ALL.map(Kind::as_str))),
        ("priority".to_owned(), texts(&Priority::ALL.map(Priority::label))),
        ("list".to_owned(), texts(&["leads", "services"])),
        ("sync_job".to_owned(), texts(&Job::ALL.map(Job::name))),
        ("verb".to_owned(), texts(&["get", "list", "watch", "create", "update", "patch", "delete"])),
        ("code".to_owned(), (100..600).map(|code| code.to_string()).chain(["none".to_owned()]).collect()),
        ("operatorconnect_platform_calls_total outcome".to_owned(), texts(&CallOutcome::LABELS)),
        ("operatorconnect_reconcile_total outcome".to_owned(), texts(&PassOutcome::ALL.map(PassOutcome::label))),
    ])
}

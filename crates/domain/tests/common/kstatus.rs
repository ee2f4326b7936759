//! The condition rules, applied to what a decision says.

use oc_domain::conditions::Condition;

/// The rules that a set of conditions breaks, each with its number.
pub fn kstatus_violations(conditions: &[Condition]) -> Vec<String> {
    let reasons: Vec<String> = conditions.iter().map(|condition| condition.reason.to_string()).collect();
    let shown = conditions.iter().zip(&reasons);
    let shown = shown.map(|(of, reason)| status_rules::Condition { kind: of.kind, truth: of.truth.as_str(), reason, message: &of.message });
    status_rules::violations(&shown.collect::<Vec<_>>())
}

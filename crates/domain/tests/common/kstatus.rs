//! The contract of conditions, as numbered rules.

use oc_domain::conditions::{Condition, Truth};

/// The reasons of docs/reasons, written here by hand: the code's own list is what is checked.
const REASONS: [&str; 29] = [
    "Progressing",
    "Converting",
    "Verifying",
    "Deleting",
    "ProgressingWithRetry",
    "InvalidSpec",
    "ShortNameTaken",
    "Conflict",
    "LeadNotFound",
    "LeadNotActive",
    "AlreadyLicensed",
    "ChannelMismatch",
    "NamespaceNotAllowed",
    "DeletedExternally",
    "PlanReady",
    "DeletionBlocked",
    "AwaitingLeadsJob",
    "AwaitingTrunksJob",
    "TaskFailed",
    "PlatformRefused",
    "PlatformNotFound",
    "AuthenticationFailed",
    "PlatformUnavailable",
    "Throttled",
    "DeletionRateExceeded",
    "AbsenceUnconfirmed",
    "Succeeded",
    "Suspended",
    "Observing",
];

/// Which rules a set of conditions breaks, each with its number.
pub fn kstatus_violations(conditions: &[Condition]) -> Vec<String> {
    let mut broken = Vec::new();
    let of = |kind: &str| conditions.iter().filter(|condition| condition.kind == kind).collect::<Vec<_>>();
    let is_true = |kind: &str| of(kind).iter().any(|condition| condition.truth == Truth::True);
    if of("Ready").len() != 1 {
        broken.push(format!("K1: Ready is there {} times, not once", of("Ready").len()));
    }
    for kind in ["Reconciling", "Stalled", "DeletionsHeld", "AbsencesHeld"] {
        if of(kind).iter().any(|condition| condition.truth != Truth::True) {
            broken.push(format!("K2: {kind} is there, and not True"));
        }
    }
    for kind in ["Reconciling", "Stalled"] {
        if is_true(kind) && is_true("Ready") {
            broken.push(format!("K3: {kind} beside Ready=True"));
        }
    }
    if is_true("Reconciling") && is_true("Stalled") {
        broken.push("K4: Reconciling and Stalled together".into());
    }
    for condition in conditions {
        let (kind, message) = (condition.kind, &condition.message);
        if !["Ready", "Reconciling", "Stalled", "Synced", "LeadEligible", "DeletionsHeld", "AbsencesHeld"].contains(&kind) {
            broken.push(format!("K5: {kind} is no condition of ours"));
        }
        if of(kind).len() > 1 {
            broken.push(format!("K6: {kind} is there twice"));
        }
        if !REASONS.contains(&condition.reason.to_string().as_str()) {
            broken.push(format!("K7: {kind} has the reason {}, which is not in the list here", condition.reason));
        }
        if message.trim().is_empty() {
            broken.push(format!("K8: {kind} has no message"));
        }
        if looks_like_time(message) {
            broken.push(format!("K9: {kind} names a time: {message}"));
        }
        if message.chars().count() > 1001 {
            broken.push(format!("K10: {kind} has a message of {} characters", message.chars().count()));
        }
    }
    let ready_reason = of("Ready").first().map(|ready| ready.reason);
    for kind in ["Reconciling", "Stalled"] {
        if of(kind).first().is_some_and(|condition| Some(condition.reason) != ready_reason) {
            broken.push(format!("K11: {kind} and Ready give different reasons"));
        }
    }
    broken
}

/// A clock time, a date, or a count of seconds since 1970. Guids are set aside: they are digits that stay.
fn looks_like_time(message: &str) -> bool {
    let is_guid = |word: &&str| word.len() == 36 && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    message.split(|c: char| c != '-' && !c.is_ascii_alphanumeric() && c != ':').filter(|word| !is_guid(word)).any(|word| {
        let bytes = word.as_bytes();
        let clock = bytes.windows(5).any(|w| w[2] == b':' && [w[0], w[1], w[3], w[4]].iter().all(u8::is_ascii_digit));
        let date = bytes.windows(7).any(|w| w[4] == b'-' && w[..4].iter().all(u8::is_ascii_digit) && w[5].is_ascii_digit() && w[6].is_ascii_digit());
        let epoch = bytes.windows(10).any(|w| w.iter().all(u8::is_ascii_digit));
        clock || date || epoch
    })
}

//! The numbered rules that every status must follow: those of kstatus, and the operator's own contract of
//! conditions, their polarity, and the reasons that each may have. Nothing here is derived from the code that
//! creates conditions. `tests/gitops` checks the same objects with the real kstatus.

#[cfg(test)]
mod tests;

/// One condition, in a form that each type of condition can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// `type`
    pub kind: &'a str,
    /// `status`: `True`, `False` or `Unknown`.
    pub truth: &'a str,
    /// `reason`
    pub reason: &'a str,
    /// `message`
    pub message: &'a str,
}

/// The maximum length of a message in characters, including the sign that shows that it was cut.
const LONGEST: usize = 1001;

/// The conditions that exist only while true. `Ready` always exists. It is good when true, as are `Synced`,
/// `LeadEligible` and `LeadsDiscovered`.
const ONLY_TRUE: [&str; 4] = ["Reconciling", "Stalled", "DeletionsHeld", "AbsencesHeld"];

/// The reasons that a condition may have with each value. `docs/reasons` says what each means, and whose move
/// it is.
#[rustfmt::skip]
const REASONS: [(&str, &str, &[&str]); 15] = [
    ("Ready", "True", &["Succeeded", "Suspended", "Observing"]),
    ("Ready", "False", &[
        "Progressing", "Converting", "Verifying", "Deleting", "ProgressingWithRetry", "InvalidSpec", "ShortNameTaken", "Conflict", "LeadNotFound", "LeadNotActive", "AlreadyLicensed",
        "ChannelMismatch", "NamespaceNotAllowed", "DeletedExternally", "PlanReady", "DeletionBlocked", "AwaitingLeadsJob", "AwaitingTrunksJob", "TaskFailed", "PlatformRefused",
        "PlatformNotFound", "AuthenticationFailed", "PlatformUnavailable", "Throttled", "DeletionRateExceeded", "AbsenceUnconfirmed", "ClusterRefused", "Suspended", "Observing",
    ]),
    // The object was not reconciled yet (the schema's default), the platform can't be read, or nothing was
    // read before.
    ("Ready", "Unknown", &["Progressing", "PlatformNotFound", "AuthenticationFailed", "PlatformUnavailable", "Throttled", "Suspended", "Observing"]),
    // The last three apply while the object is young: what it needs may still be created.
    ("Reconciling", "True", &[
        "Progressing", "Converting", "Verifying", "Deleting", "ProgressingWithRetry", "AwaitingLeadsJob", "AwaitingTrunksJob", "PlatformUnavailable", "Throttled",
        "LeadNotFound", "PlatformNotFound", "NamespaceNotAllowed",
    ]),
    // The last three apply only after many attempts.
    ("Stalled", "True", &[
        "InvalidSpec", "ShortNameTaken", "Conflict", "LeadNotFound", "LeadNotActive", "AlreadyLicensed", "ChannelMismatch", "NamespaceNotAllowed", "DeletedExternally", "PlanReady",
        "DeletionBlocked", "TaskFailed", "PlatformRefused", "PlatformNotFound", "AuthenticationFailed", "DeletionRateExceeded", "AbsenceUnconfirmed", "ClusterRefused", "PlatformUnavailable",
        "Throttled", "ProgressingWithRetry",
    ]),
    ("Synced", "True", &["Succeeded"]),
    ("Synced", "False", &[
        "Progressing", "Converting", "Verifying", "AwaitingLeadsJob", "AwaitingTrunksJob", "DeletedExternally", "LeadNotFound", "Conflict",
    ]),
    ("Synced", "Unknown", &["Progressing", "PlatformNotFound", "AuthenticationFailed", "PlatformUnavailable", "Throttled"]),
    ("LeadEligible", "True", &["Succeeded"]),
    ("LeadEligible", "False", &["LeadNotFound", "LeadNotActive", "AlreadyLicensed", "ChannelMismatch"]),
    ("LeadEligible", "Unknown", &["Progressing", "PlatformNotFound", "AuthenticationFailed", "PlatformUnavailable", "Throttled"]),
    ("LeadsDiscovered", "True", &["Succeeded"]),
    ("LeadsDiscovered", "False", &["Progressing", "InvalidSpec", "ClusterRefused", "Conflict"]),
    ("DeletionsHeld", "True", &["DeletionRateExceeded"]),
    ("AbsencesHeld", "True", &["AbsenceUnconfirmed"]),
];

/// Whether a type of condition is the operator's own. Others may exist beside them.
pub fn is_ours(kind: &str) -> bool {
    REASONS.iter().any(|(ours, ..)| *ours == kind)
}

/// Checks which conditions exist, with which values and reasons (K1 to K8).
pub fn shape(conditions: &[Condition<'_>]) -> Vec<String> {
    let mut broken = Vec::new();
    let times = |kind: &str| {
        conditions
            .iter()
            .filter(|condition| condition.kind == kind)
            .count()
    };
    let first = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let is_true = |kind: &str| {
        conditions
            .iter()
            .any(|condition| condition.kind == kind && condition.truth == "True")
    };
    if times("Ready") != 1 {
        broken.push(format!("K1: Ready is there {} times, not once", times("Ready")));
    }
    for condition in conditions {
        let Condition {
            kind, truth, reason, ..
        } = *condition;
        if kind != "Ready" && times(kind) > 1 {
            broken.push(format!("K2: {kind} is there twice"));
        }
        if !is_ours(kind) {
            broken.push(format!("K3: {kind} is no condition of ours"));
        } else if ONLY_TRUE.contains(&kind) && truth != "True" {
            broken.push(format!("K4: {kind} is there, and {truth}"));
        } else if !REASONS
            .iter()
            .any(|(of, with, reasons)| *of == kind && *with == truth && reasons.contains(&reason))
        {
            broken.push(format!("K5: {kind} is {truth} because of {reason}"));
        }
    }
    for kind in ["Reconciling", "Stalled"] {
        if is_true(kind) && is_true("Ready") {
            broken.push(format!("K6: {kind} beside Ready=True"));
        }
        if let (Some(beside), Some(ready)) = (first(kind), first("Ready"))
            && beside.reason != ready.reason
        {
            broken.push(format!("K7: {kind} and Ready give different reasons"));
        }
    }
    if is_true("Reconciling") && is_true("Stalled") {
        broken.push("K8: Reconciling and Stalled together".to_owned());
    }
    broken
}

/// Checks the messages (K9 to K11).
pub fn words(conditions: &[Condition<'_>]) -> Vec<String> {
    let mut broken = Vec::new();
    for Condition { kind, message, .. } in conditions {
        if message.trim().is_empty() {
            broken.push(format!("K9: {kind} has no message"));
        }
        if holds_a_time(message) {
            broken.push(format!("K10: {kind} names a time: {message}"));
        }
        let length = message.chars().count();
        if length > LONGEST {
            broken.push(format!("K11: {kind} has a message of {length} characters"));
        }
    }
    broken
}

/// Checks all rules about conditions. Returns the broken ones.
pub fn violations(conditions: &[Condition<'_>]) -> Vec<String> {
    [shape(conditions), words(conditions)].concat()
}

/// Checks generations: `status.observedGeneration`, and that of each condition (K12, K13).
pub fn generations(
    now: i64,
    observed: Option<i64>,
    conditions: impl IntoIterator<Item = Option<i64>>,
) -> Vec<String> {
    let mut broken = Vec::new();
    if observed != Some(now) {
        broken.push(format!(
            "K12: status.observedGeneration is {observed:?}, not the current {now}"
        ));
    }
    if conditions.into_iter().any(|condition| condition != Some(now)) {
        broken.push(format!("K13: a condition is not of the current generation {now}"));
    }
    broken
}

/// Computes the kstatus result of a status from the written rules, not from the code of kstatus.
pub fn computed(
    deleting: bool,
    now: i64,
    observed: Option<i64>,
    conditions: &[Condition<'_>],
) -> &'static str {
    let truth = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.kind == kind)
            .map(|condition| condition.truth)
    };
    if deleting {
        "Terminating"
    } else if observed.is_some_and(|observed| observed != now) || truth("Reconciling") == Some("True") {
        "InProgress"
    } else if truth("Stalled") == Some("True") {
        "Failed"
    } else if matches!(truth("Ready"), Some("False" | "Unknown")) {
        "InProgress"
    } else {
        "Current"
    }
}

/// Whether a text holds a clock time (12:34), a date (2026-11), or a count of seconds or milliseconds since
/// 1970. Guids do not count, whether alone or in the names that discovery gives objects: their digits do not
/// change.
fn holds_a_time(text: &str) -> bool {
    let is_guid = |part: &[u8]| {
        part.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let has_guid = |word: &str| word.as_bytes().windows(36).any(is_guid);
    let words = text
        .split(|c: char| !matches!(c, '-' | ':') && !c.is_ascii_alphanumeric())
        .map(|word| word.trim_matches(':'));
    words.filter(|word| !has_guid(word)).any(|word| {
        let is_like = |part: &[u8], time: &[u8]| {
            part.iter().zip(time).all(|(byte, like)| {
                if *like == b'9' {
                    byte.is_ascii_digit()
                } else {
                    byte == like
                }
            })
        };
        [&b"99:99"[..], b"9999-99", b"9999999999"].iter().any(|time| {
            word.as_bytes()
                .windows(time.len())
                .any(|part| is_like(part, time))
        })
    })
}

//! The rules that every status must keep, numbered. Called at the end of every case, for every object of the case.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// All reasons of docs/reasons, by hand.
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

/// Which rules a status breaks.
pub fn violations(generation: i64, observed: Option<i64>, conditions: &[Condition]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut rule = |number: u32, holds: bool, text: &str| {
        if !holds {
            broken.push(format!("K{number}: {text}"));
        }
    };
    let of = |kind: &str| conditions.iter().filter(|condition| condition.type_ == kind).collect::<Vec<_>>();
    let truth = |kind: &str| of(kind).first().map(|condition| condition.status.as_str());
    rule(1, of("Ready").len() == 1, "Ready is there, once");
    rule(2, conditions.iter().all(|condition| of(&condition.type_).len() == 1), "each type is there once");
    rule(3, matches!(truth("Reconciling"), None | Some("True")), "Reconciling is True or absent");
    rule(4, matches!(truth("Stalled"), None | Some("True")), "Stalled is True or absent");
    rule(5, truth("Reconciling").is_none() || truth("Stalled").is_none(), "Reconciling and Stalled are not there together");
    rule(6, truth("Ready") != Some("True") || (truth("Reconciling").is_none() && truth("Stalled").is_none()), "with Ready=True neither is there");
    rule(7, conditions.iter().all(|condition| condition.observed_generation == Some(generation)), "each condition has the current generation");
    rule(8, observed == Some(generation), "status.observedGeneration is the current generation");
    rule(9, conditions.iter().all(|condition| REASONS.contains(&condition.reason.as_str())), "each reason is one of those in docs/reasons");
    rule(10, conditions.iter().all(|condition| !condition.message.trim().is_empty()), "each message says something");
    rule(11, conditions.iter().all(|condition| !holds_a_time(&condition.message)), "no message holds a time");
    let stated: Vec<_> = conditions.iter().filter(|condition| ["Ready", "Reconciling", "Stalled"].contains(&condition.type_.as_str())).collect();
    rule(12, stated.windows(2).all(|pair| pair[0].reason == pair[1].reason), "Ready, Reconciling and Stalled have one reason");
    broken
}

/// What kstatus makes of a status, by its rules as they are written down (and not by its code, which `tests/gitops` asks about the same objects).
pub fn computed(deleting: bool, generation: i64, observed: Option<i64>, conditions: &[Condition]) -> &'static str {
    let truth = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str());
    if deleting {
        "Terminating"
    } else if observed.is_some_and(|observed| observed != generation) || truth("Reconciling") == Some("True") {
        "InProgress"
    } else if truth("Stalled") == Some("True") {
        "Failed"
    } else if matches!(truth("Ready"), Some("False" | "Unknown")) {
        "InProgress"
    } else {
        "Current"
    }
}

/// Whether a text holds a clock time (12:34:56), a date (2026-11-24), or a count of seconds or milliseconds since 1970. Guids are set aside: they are
/// digits that stay.
fn holds_a_time(text: &str) -> bool {
    // Alone, or as discovery names its objects.
    let is_guid = |word: &&str| {
        let word = word.strip_prefix("lead-").unwrap_or(word);
        word.len() == 36 && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    };
    let words = text.split(|c: char| !matches!(c, '-' | ':') && !c.is_ascii_alphanumeric()).map(|word| word.trim_matches(':'));
    words.filter(|word| !is_guid(word)).any(|word| {
        let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        ["99:99:99", "9999-99-99", "9999999999"].iter().any(|time| shape.contains(time))
    })
}

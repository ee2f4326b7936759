//! The checker that every flow ends with, broken by hand: each rule once, and each alone, so that none is seen only because another one is.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::kstatus::violations;

/// The generation of the object whose status it is.
const GENERATION: i64 = 2;

/// `status.observedGeneration` as it should be.
const SEEN: Option<i64> = Some(GENERATION);

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: SEEN,
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    }
}

/// `Ready=False`, with a message.
fn working(message: &str) -> Condition {
    condition("Ready", "False", "Progressing", message)
}

/// Another condition, with the same reason.
fn beside(kind: &str, status: &str) -> Condition {
    condition(kind, status, "Progressing", "Working.")
}

/// Statuses that break one rule each: its number, `status.observedGeneration`, and the conditions.
fn wrong() -> Vec<(u32, Option<i64>, Vec<Condition>)> {
    let ready = || working("Working.");
    let outdated = Condition { observed_generation: Some(GENERATION - 1), ..ready() };
    let unheard = |kind, status| condition(kind, status, "Fine", "Working.");
    let mut table = vec![
        (1, SEEN, vec![]),
        (1, SEEN, vec![beside("Reconciling", "True")]),
        (2, SEEN, vec![ready(), beside("Synced", "True"), beside("Synced", "True")]),
        (3, SEEN, vec![ready(), beside("Reconciling", "False")]),
        (4, SEEN, vec![ready(), beside("Stalled", "Unknown")]),
        (5, SEEN, vec![ready(), beside("Reconciling", "True"), beside("Stalled", "True")]),
        (6, SEEN, vec![beside("Ready", "True"), beside("Reconciling", "True")]),
        (6, SEEN, vec![beside("Ready", "True"), beside("Stalled", "True")]),
        (7, SEEN, vec![outdated]),
        (7, SEEN, vec![Condition { observed_generation: None, ..ready() }]),
        (8, Some(GENERATION - 1), vec![ready()]),
        (8, None, vec![ready()]),
        (9, SEEN, vec![unheard("Ready", "False"), unheard("Reconciling", "True")]),
        (10, SEEN, vec![working("  ")]),
        (12, SEEN, vec![ready(), condition("Reconciling", "True", "Verifying", "Working.")]),
        (12, SEEN, vec![ready(), condition("Stalled", "True", "Conflict", "Working.")]),
    ];
    let times = ["Tried at 12:31:07, again later.", "On 2026-11-24.", "2026-11-24T10:00:00Z", "At 1800000000 s.", "At 1800000000000 ms."];
    table.extend(times.map(|text| (11, SEEN, vec![working(text)])));
    table
}

/// The case.
pub fn the_checker_of_status_sees_each_rule() -> Result<()> {
    let table = wrong();
    let rules: BTreeSet<u32> = table.iter().map(|(rule, ..)| *rule).collect();
    ensure!(rules == (1..=12).collect(), "not all of the rules: {rules:?}");
    for (rule, observed, conditions) in table {
        let broken = violations(GENERATION, observed, &conditions);
        ensure!(matches!(broken.as_slice(), [one] if one.starts_with(&format!("K{rule}:"))), "K{rule} alone, not {broken:?}, of {conditions:?}");
    }
    let fine = "Service aaaaaaaa-0000-4000-8000-000000000001: customer 4711 in channel 1574: 3 to 15 characters at http://127.0.0.1:41234.";
    let stalled =
        [condition("Ready", "False", "Conflict", fine), condition("Stalled", "True", "Conflict", fine), condition("Synced", "False", "Progressing", "No.")];
    for conditions in [vec![working(fine), beside("Reconciling", "True")], stalled.to_vec(), vec![condition("Ready", "True", "Succeeded", "Fine.")]] {
        let broken = violations(GENERATION, SEEN, &conditions);
        ensure!(broken.is_empty(), "nothing is broken: {broken:?}");
    }
    Ok(())
}

//! Conditions broken by hand: each rule alone, so that no rule is seen only because another is broken too.

use std::collections::BTreeSet;

use super::*;

/// The generation of the object with the status.
const NOW: i64 = 2;

fn condition<'a>(kind: &'a str, truth: &'a str, reason: &'a str, message: &'a str) -> Condition<'a> {
    Condition {
        kind,
        truth,
        reason,
        message,
    }
}

/// `Ready=False`, with a message.
fn working(message: &str) -> Condition<'_> {
    condition("Ready", "False", "Progressing", message)
}

/// Another condition with the same reason.
fn beside<'a>(kind: &'a str, truth: &'a str) -> Condition<'a> {
    condition(kind, truth, "Progressing", "Working.")
}

/// Conditions that break one rule each.
#[allow(
    clippy::too_many_lines,
    reason = "a table, one row for each way to break a rule"
)]
fn wrong(long: &str) -> Vec<(u32, Vec<Condition<'_>>)> {
    let ready = || working("Working.");
    let ok = || condition("Ready", "True", "Succeeded", "Done.");
    let same = |kind, reason| {
        vec![
            condition("Ready", "False", reason, "x"),
            condition(kind, "True", reason, "x"),
        ]
    };
    let mut table = vec![
        (1, vec![]),
        (1, vec![beside("Reconciling", "True")]),
        (1, vec![ready(), ready()]),
        (
            2,
            vec![ready(), beside("Synced", "False"), beside("Synced", "False")],
        ),
        (3, vec![ready(), beside("Progressing", "True")]),
        (4, vec![ready(), beside("Reconciling", "False")]),
        (4, vec![ready(), beside("Stalled", "Unknown")]),
        (
            4,
            vec![
                ready(),
                condition("DeletionsHeld", "False", "DeletionRateExceeded", "x"),
            ],
        ),
        (
            4,
            vec![
                ready(),
                condition("AbsencesHeld", "Unknown", "AbsenceUnconfirmed", "x"),
            ],
        ),
        (5, vec![condition("Ready", "False", "Fine", "x")]),
        (5, vec![condition("Ready", "False", "Succeeded", "x")]),
        (5, vec![condition("Ready", "True", "PlanReady", "x")]),
        (5, vec![condition("Ready", "Unknown", "Conflict", "x")]),
        (5, vec![condition("Ready", "Maybe", "Progressing", "x")]),
        (5, same("Reconciling", "Conflict")),
        (5, same("Stalled", "Converting")),
        (5, vec![ready(), condition("Synced", "False", "Throttled", "x")]),
        (
            5,
            vec![ready(), condition("LeadEligible", "False", "Verifying", "x")],
        ),
        (
            5,
            vec![
                ready(),
                condition("DeletionsHeld", "True", "AbsenceUnconfirmed", "x"),
            ],
        ),
        (6, vec![ok(), condition("Reconciling", "True", "Succeeded", "x")]),
        (6, vec![ok(), condition("Stalled", "True", "Succeeded", "x")]),
        (
            7,
            vec![ready(), condition("Reconciling", "True", "Verifying", "Working.")],
        ),
        (
            7,
            vec![ready(), condition("Stalled", "True", "Conflict", "Working.")],
        ),
        (
            8,
            [
                same("Reconciling", "Throttled"),
                vec![condition("Stalled", "True", "Throttled", "x")],
            ]
            .concat(),
        ),
        (9, vec![working("  ")]),
        (11, vec![working(long)]),
    ];
    let times = [
        "Tried at 12:31:07, again later.",
        "At 12:31.",
        "On 2026-11-24.",
        "2026-11-24T10:00:00Z",
        "At 1800000000 s.",
        "At 1800000000000 ms",
    ];
    table.extend(times.map(|text| (10, vec![working(text)])));
    table
}

fn rule(broken: &str) -> u32 {
    broken
        .strip_prefix('K')
        .and_then(|rest| rest.split(':').next())
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn the_checker_of_status_sees_each_rule() {
    let long = "long".repeat(400);
    let table = wrong(&long);
    let rules: BTreeSet<u32> = table.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, (1..=11).collect());
    for (number, conditions) in table {
        // A condition beside Ready=True has another reason, or one that it may not have.
        let excused: &[u32] = if number == 6 { &[5] } else { &[] };
        let broken: BTreeSet<u32> = violations(&conditions)
            .iter()
            .map(|text| rule(text))
            .filter(|rule| !excused.contains(rule))
            .collect();
        assert_eq!(broken, [number].into(), "{conditions:?}");
    }
    assert_eq!(generations(NOW, Some(NOW), [Some(NOW)]), Vec::<String>::new());
    for (number, observed, of_a_condition) in [
        (12, Some(NOW - 1), Some(NOW)),
        (12, None, Some(NOW)),
        (13, Some(NOW), Some(NOW - 1)),
        (13, Some(NOW), None),
    ] {
        let broken: Vec<u32> = generations(NOW, observed, [Some(NOW), of_a_condition])
            .iter()
            .map(|text| rule(text))
            .collect();
        assert_eq!(broken, [number]);
    }
}

#[test]
fn what_is_right_passes() {
    let fine = "Service aaaaaaaa-0000-4000-8000-000000000001: customer 4711 in channel 1574: 3 to 15 characters at http://127.0.0.1:41234.";
    let found = "Leads lead-aaaaaaaa-0000-4000-8000-000000000001 and contoso-11111111-2222-4222-8222-222222222222 are there.";
    let stalled = [
        condition("Ready", "False", "Conflict", fine),
        condition("Stalled", "True", "Conflict", fine),
        condition("Synced", "False", "Progressing", "No."),
    ];
    let held = [
        condition("Ready", "True", "Succeeded", found),
        condition("DeletionsHeld", "True", "DeletionRateExceeded", "Held."),
    ];
    for conditions in [
        vec![working(fine), beside("Reconciling", "True")],
        stalled.to_vec(),
        held.to_vec(),
    ] {
        assert_eq!(violations(&conditions), Vec::<String>::new());
    }
}

#[test]
fn what_kstatus_makes_of_it() {
    let one = |kind, truth| condition(kind, truth, "Progressing", "x");
    let table: [(bool, Option<i64>, &[Condition<'_>], &str); 7] = [
        (true, Some(NOW), &[one("Ready", "True")], "Terminating"),
        (false, Some(NOW - 1), &[one("Ready", "True")], "InProgress"),
        (
            false,
            Some(NOW),
            &[one("Ready", "False"), one("Reconciling", "True")],
            "InProgress",
        ),
        (
            false,
            Some(NOW),
            &[one("Ready", "False"), one("Stalled", "True")],
            "Failed",
        ),
        (false, Some(NOW), &[one("Ready", "False")], "InProgress"),
        (false, None, &[one("Ready", "Unknown")], "InProgress"),
        (false, Some(NOW), &[one("Ready", "True")], "Current"),
    ];
    for (deleting, observed, conditions, want) in table {
        assert_eq!(
            computed(deleting, NOW, observed, conditions),
            want,
            "{conditions:?}"
        );
    }
}

//! Conditions, and the arithmetic of time.

use oc_domain::conditions::{Condition, ConditionStatus, Reason, Responsible, Trouble, Verdict};
use oc_domain::time::Time;
use oc_domain::timing;

use crate::common::{NOW, kstatus::kstatus_violations, secs};
use crate::says;

/// Whose move it is, row by row of the table in docs/reasons.
#[test]
fn a_reason_answers_whose_move_it_is() {
    let table: [(Responsible, &[&str]); 5] = [
        (Responsible::Operator, &["Progressing", "Converting", "Verifying", "Deleting", "ProgressingWithRetry"]),
        (
            Responsible::User,
            &[
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
            ],
        ),
        (Responsible::PlatformOperator, &["AwaitingLeadsJob", "AwaitingTrunksJob", "TaskFailed", "PlatformRefused"]),
        (
            Responsible::Administrator,
            &["PlatformNotFound", "AuthenticationFailed", "PlatformUnavailable", "Throttled", "DeletionRateExceeded", "AbsenceUnconfirmed", "ClusterRefused"],
        ),
        (Responsible::Nobody, &["Succeeded", "Suspended", "Observing"]),
    ];
    let mut rows = 0;
    for (whose, names) in table {
        for name in names {
            rows += 1;
            let reason = Reason::parse(name).unwrap_or_else(|| panic!("{name} is no reason"));
            assert_eq!((reason.to_string().as_str(), reason.whose_move()), (*name, whose));
        }
    }
    assert_eq!(rows, Reason::ALL.len());
    assert_eq!(Reason::parse("succeeded"), None);
}

/// Stalled means that a person must act: not while the operator works, nor while something recovers without a person.
#[test]
fn what_stalls() {
    let table = [
        (Reason::Progressing, "False Progressing Reconciling"),
        (Reason::Converting, "False Converting Reconciling"),
        (Reason::Verifying, "False Verifying Reconciling"),
        (Reason::Deleting, "False Deleting Reconciling"),
        (Reason::InvalidSpec, "False InvalidSpec Stalled"),
        (Reason::Conflict, "False Conflict Stalled"),
        (Reason::LeadNotActive, "False LeadNotActive Stalled"),
        (Reason::TaskFailed, "False TaskFailed Stalled"),
        (Reason::PlatformRefused, "False PlatformRefused Stalled"),
        (Reason::AuthenticationFailed, "False AuthenticationFailed Stalled"),
        (Reason::AwaitingLeadsJob, "False AwaitingLeadsJob Reconciling"),
        (Reason::AwaitingTrunksJob, "False AwaitingTrunksJob Reconciling"),
        (Reason::PlatformUnavailable, "False PlatformUnavailable Reconciling"),
        (Reason::Throttled, "False Throttled Reconciling"),
        (Reason::Suspended, "False Suspended -"),
        (Reason::Observing, "False Observing -"),
    ];
    for (reason, expected) in table {
        assert_eq!(says(&Verdict::trouble(&Trouble::new(reason, "Something."))), expected);
    }
    assert_eq!(says(&Verdict::ready("All is well.")), "True Succeeded -");
}

/// The contract of conditions knows each reason: `Ready` may have it, with at least one value, or another condition if `Ready` never has it.
#[test]
fn no_reason_is_without_a_place() {
    for reason in Reason::ALL {
        let condition = |kind, truth, reason| Condition { kind, truth, reason, message: "x".into() };
        let with = |truth| match reason {
            Reason::ClusterRefused => {
                vec![condition("Ready", ConditionStatus::True, Reason::Succeeded), condition("LeadsDiscovered", truth, reason)]
            }
            _ => vec![condition("Ready", truth, reason)],
        };
        let places =
            [ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown].into_iter().filter(|truth| kstatus_violations(&with(*truth)).is_empty());
        assert_ne!(places.count(), 0, "{reason}");
    }
}

#[test]
fn long_messages_are_cut_between_characters() {
    let verdict = Verdict::not_ready(Reason::TaskFailed, "ö".repeat(5000));
    let message = &verdict.conditions()[0].message;
    assert_eq!(message.chars().count(), 1001);
    assert!(message.ends_with('…'));
}

#[test]
fn times() {
    assert_eq!(Time(1250).whole_second(), Time(1000));
    assert_eq!(Time(1250).next_whole_second(), Time(2000));
    assert_eq!(Time(2000).next_whole_second(), Time(2000));
    assert_eq!(Time(-1).whole_second(), Time(-1000));
    assert_eq!(Time(i64::MAX) + secs(1), Time(i64::MAX));
    assert_eq!(Time(i64::MIN) - secs(1), Time(i64::MIN));
    assert_eq!(Time(1).since(Time(5)), secs(0));
}

#[test]
fn waits_grow_and_end() {
    let poll = |age| timing::next_poll(NOW, NOW - secs(age)).since(NOW).as_secs();
    assert_eq!([0, 1, 10, 60, 100_000].map(poll), [1, 1, 5, 30, 30]);
    let look = |age| timing::next_look(NOW, NOW - secs(age)).since(NOW).as_secs();
    assert_eq!([0, 3, 10, 120, 100_000].map(look), [2, 2, 5, 60, 60]);
    let tried = |failures| timing::next_try(NOW, failures, None).since(NOW).as_secs();
    assert_eq!([0, 1, 4, 8, 9, u32::MAX].map(tried), [1, 2, 16, 256, 300, 300]);
    // The platform's own wish counts, but never less than a second.
    assert_eq!(timing::next_try(NOW, 0, Some(secs(90))), NOW + secs(90));
    assert_eq!(timing::next_try(NOW, 0, Some(secs(0))), NOW + secs(1));
}

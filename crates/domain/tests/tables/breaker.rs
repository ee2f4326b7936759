//! The breaker: which objects may delete within an hour, which wait for a person, and which an approval releases.

use std::collections::{BTreeMap, BTreeSet};

use oc_domain::breaker::{Asking, DeletionLedger, settle};
use oc_domain::conditions::Reason;
use oc_domain::facts::Fact;
use oc_domain::platform::{DesiredPlatform, PlatformFacts, PlatformRecord, Waiting, decide};
use oc_domain::policy::JobTrigger;
use oc_domain::time::{Duration, Time};
use proptest::prelude::*;

use crate::common::{NOW, away, known, secs};
use crate::{says, short};

const HOUR: u64 = 3600;

/// An object that was deleted `ago` seconds before NOW.
fn asks(uid: &str, ago: u64) -> Asking {
    Asking { deleted: (NOW - secs(ago)).whole_second(), uid: uid.to_owned() }
}

fn granted(ledger: &DeletionLedger) -> Vec<&str> {
    ledger.granted.keys().map(String::as_str).collect()
}

/// Which of them may go on, according to the ledger.
fn lets_go<'a>(ledger: &DeletionLedger, per_hour: u32, asking: &'a [Asking]) -> Vec<&'a str> {
    asking.iter().filter(|one| ledger.holds(one, per_hour).is_none()).map(|one| one.uid.as_str()).collect()
}

/// A ledger at its limit: perHour 2, two were granted just now, three are held.
fn tripped() -> (DeletionLedger, Vec<Asking>) {
    let asking = vec![asks("e", 1), asks("d", 2), asks("c", 3), asks("b", 4), asks("a", 5)];
    (settle(NOW, 2, None, &DeletionLedger::default(), &asking), asking)
}

#[test]
fn the_hour_has_room_for_so_many_in_the_order_of_deletion() {
    let all = [asks("e", 1), asks("d", 2), asks("c", 3), asks("b", 4), asks("a", 5)];
    let table: [(u32, &[&str], u32); 5] =
        [(0, &[], 5), (1, &["a"], 4), (2, &["a", "b"], 3), (5, &["a", "b", "c", "d", "e"], 0), (1000, &["a", "b", "c", "d", "e"], 0)];
    for (per_hour, expected, held) in table {
        let ledger = settle(NOW, per_hour, None, &DeletionLedger::default(), &all);
        assert_eq!((granted(&ledger).as_slice(), ledger.held), (expected, held), "perHour {per_hour}");
        // Counted again, with the same and with the others first, nothing changes.
        assert_eq!(settle(NOW + secs(1), per_hour, None, &ledger, &all), ledger, "perHour {per_hour}");
    }
    // Deleted in the same second: ordered by uid, so that two operators count alike.
    let ledger = settle(NOW, 1, None, &DeletionLedger::default(), &[asks("z", 5), asks("a", 5)]);
    assert_eq!(granted(&ledger), ["a"]);
}

/// What an object is told: that it is not counted yet, that it is held and what to do, or nothing.
#[test]
fn what_an_object_is_told() {
    let (ledger, asking) = tripped();
    assert_eq!(lets_go(&ledger, 2, &asking), ["b", "a"]);
    let waits = DeletionLedger::default().holds(&asks("a", 5), 2).expect("nobody has counted it");
    assert_eq!(waits.reason, Reason::Deleting);
    let held = ledger.holds(&asks("c", 3), 2).expect("it is held");
    assert_eq!(held.reason, Reason::DeletionRateExceeded);
    for needed in ["More than 2 ", "operatorconnect.dev/approve-deletions", "spec.deletionPolicy to Retain"] {
        assert!(held.message.contains(needed), "{needed}: {}", held.message);
    }
    // An object that arrives while the breaker holds is held as well, before it is counted.
    assert_eq!(ledger.holds(&asks("f", 0), 2).map(|trouble| trouble.reason), Some(Reason::DeletionRateExceeded));
}

#[test]
fn the_window_is_one_hour_and_not_a_moment_less() {
    let two = [asks("a", 0), asks("b", 0)];
    let full = settle(NOW, 2, None, &DeletionLedger::default(), &two);
    assert_eq!((granted(&full).as_slice(), full.held), (["a", "b"].as_slice(), 0));
    let third = [Asking { deleted: NOW.whole_second() + secs(HOUR), uid: "c".into() }];
    let after = |span: Duration| settle(NOW + span, 2, None, &full, &third);
    assert_eq!(after(Duration::from_millis(3_599_999)).held, 1, "a millisecond before the hour is over");
    let room = after(secs(HOUR + 1));
    assert_eq!((granted(&room).as_slice(), room.held), (["c"].as_slice(), 0), "those of the last hour are forgotten, and there is room");
    // A granted object that has not deleted yet stays granted, and does not take up room forever.
    let slow = settle(NOW + secs(HOUR + 1), 2, None, &full, &[asks("a", 0), third[0].clone()]);
    assert_eq!((granted(&slow).as_slice(), slow.held), (["a", "c"].as_slice(), 0));
}

/// Once it holds, nothing gets through, though hours pass and the granted ones are long done.
#[test]
fn held_stays_held_until_a_person_has_spoken() {
    let (mut ledger, asking) = tripped();
    let held = &asking[..3];
    for hours in 1..5 {
        ledger = settle(NOW + secs(hours * HOUR + 60), 2, None, &ledger, held);
        assert_eq!((lets_go(&ledger, 2, held), ledger.held), (vec![], 3), "after {hours} hours");
    }
    // Fewer wait, but none is released for that: one of them was set to Retain.
    ledger = settle(NOW + secs(5 * HOUR), 2, None, &ledger, &held[..1]);
    assert_eq!((lets_go(&ledger, 2, held), ledger.held), (vec![], 1));
    // When none waits any more it is over, and there is room again.
    ledger = settle(NOW + secs(6 * HOUR), 2, None, &ledger, &[]);
    assert_eq!(ledger.held, 0);
    let later = Asking { deleted: NOW.whole_second() + secs(6 * HOUR), uid: "later".into() };
    ledger = settle(NOW + secs(6 * HOUR), 2, None, &ledger, std::slice::from_ref(&later));
    assert_eq!(ledger.holds(&later, 2), None);
}

#[test]
fn an_approval_lets_those_go_that_were_deleted_until_then() {
    let (held, asking) = tripped();
    let ledger = settle(NOW + secs(60), 2, Some("yes"), &held, &asking);
    assert_eq!((lets_go(&ledger, 2, &asking).len(), ledger.held), (5, 0));
    assert_eq!((ledger.approved, ledger.handled.as_deref()), (Some(asks("e", 1).deleted), Some("yes")));
    assert_eq!(ledger.trouble(2), None);
    // Later ones count again: the hour has had its two, so the next one waits for the next approval.
    let later = Asking { deleted: (NOW + secs(90)).whole_second(), uid: "later".into() };
    let with_later = [asking.as_slice(), std::slice::from_ref(&later)].concat();
    let ledger = settle(NOW + secs(90), 2, Some("yes"), &ledger, &with_later);
    assert_eq!((lets_go(&ledger, 2, &with_later).len(), ledger.held), (5, 1), "the old word says nothing of it");
    assert_eq!(ledger.holds(&later, 2).map(|trouble| trouble.reason), Some(Reason::DeletionRateExceeded));
    let again = settle(NOW + secs(120), 2, Some("yes, that too"), &ledger, std::slice::from_ref(&later));
    assert_eq!((lets_go(&again, 2, &[later]), again.held), (vec!["later"], 0));
    // An hour after the grants there is room again, without an approval.
    let fresh = Asking { deleted: (NOW + secs(HOUR + 120)).whole_second(), uid: "fresh".into() };
    let ledger = settle(NOW + secs(HOUR + 120), 2, Some("yes, that too"), &again, std::slice::from_ref(&fresh));
    assert_eq!((granted(&ledger).as_slice(), ledger.held), (["fresh"].as_slice(), 0));
}

/// Any new value counts once; the same value, and none, say nothing.
#[test]
fn an_approval_that_was_handled_does_nothing() {
    let (held, asking) = tripped();
    let handled = DeletionLedger { handled: Some("old".into()), approved: Some(NOW - secs(1000)), ..held };
    for approval in [None, Some("old")] {
        assert_eq!(settle(NOW + secs(60), 2, approval, &handled, &asking), handled, "{approval:?}");
    }
    let empty = settle(NOW + secs(60), 2, Some(""), &handled, &asking);
    assert_eq!((empty.held, empty.handled.as_deref()), (0, Some("")), "an empty value is a value");
}

/// The API server stamps deletions with its own clock. If that is ahead of the operator's, an approval must still cover what the person saw.
#[test]
fn an_approval_reaches_all_who_wait_though_the_clocks_differ() {
    let ahead: Vec<Asking> = ["a", "b", "c"].iter().map(|uid| Asking { deleted: (NOW + secs(40)).whole_second(), uid: (*uid).to_owned() }).collect();
    let held = settle(NOW, 1, None, &DeletionLedger::default(), &ahead);
    assert_eq!(held.held, 2);
    let ledger = settle(NOW + secs(5), 1, Some("yes"), &held, &ahead);
    assert_eq!((lets_go(&ledger, 1, &ahead).len(), ledger.held), (3, 0));
}

/// If the operator's clock is ahead, an approval covers nothing that nobody has seen yet: what is deleted after it waits for the next one.
#[test]
fn an_approval_by_a_clock_that_is_ahead_reaches_only_those_who_wait() {
    let asking = [asks("a", 20), asks("b", 10)];
    let ahead = NOW + secs(24 * HOUR);
    let held = settle(ahead, 0, None, &DeletionLedger::default(), &asking);
    let ledger = settle(ahead + secs(60), 0, Some("yes"), &held, &asking);
    assert_eq!((lets_go(&ledger, 0, &asking).len(), ledger.held), (2, 0));
    let later = asks("c", 0);
    assert_eq!(ledger.holds(&later, 0).map(|trouble| trouble.reason), Some(Reason::Deleting), "it was deleted after the word");
    assert_eq!(settle(ahead + secs(90), 0, Some("yes"), &ledger, &[later]).held, 1);
}

/// Granted but blocked deletions (by telephone numbers, say) keep their grants, but never so many that the API server refuses the status.
#[test]
fn grants_of_many_hours_stay_within_what_a_status_takes() {
    let (mut ledger, mut asking) = (DeletionLedger::default(), Vec::new());
    for hour in 0..6u64 {
        let now = NOW + secs(hour * (HOUR + 60));
        asking.extend((0..1000).map(|number| Asking { deleted: now.whole_second() - secs(1), uid: format!("{hour}-{number:04}") }));
        ledger = settle(now, 1000, None, &ledger, &asking);
        assert!(ledger.granted.len() <= 2000, "{} grants after {hour} hours", ledger.granted.len());
        let lately = ledger.granted.values().filter(|at| now < **at + secs(HOUR)).count();
        assert!(lately <= 1000, "{lately} granted within the hour {hour}");
    }
}

/// perHour 0: each deletion waits for its own approval.
#[test]
fn none_per_hour() {
    let one = [asks("a", 5)];
    let held = settle(NOW, 0, None, &DeletionLedger::default(), &one);
    assert_eq!((lets_go(&held, 0, &one), held.held), (vec![], 1));
    let ledger = settle(NOW + secs(5), 0, Some("yes"), &held, &one);
    assert_eq!((lets_go(&ledger, 0, &one), ledger.held), (vec!["a"], 0));
    let next = [Asking { deleted: (NOW + secs(60)).whole_second(), uid: "b".into() }];
    let ledger = settle(NOW + secs(60), 0, Some("yes"), &ledger, &next);
    assert_eq!((lets_go(&ledger, 0, &next), ledger.held), (vec![], 1));
}

/// An hour that passes writes nothing (law L6).
#[test]
fn nothing_changes_while_nobody_asks() {
    let (held, asking) = tripped();
    let done = settle(NOW + secs(60), 2, Some("yes"), &held, &asking);
    for seconds in [0, 60, HOUR, 100 * HOUR] {
        assert_eq!(settle(NOW + secs(seconds), 2, Some("yes"), &done, &[]), done, "after {seconds} s");
        assert_eq!(settle(NOW + secs(seconds), 2, None, &DeletionLedger::default(), &[]), DeletionLedger::default());
    }
    assert_eq!(settle(NOW + secs(HOUR), 2, None, &held, &[]), DeletionLedger { held: 0, ..held.clone() }, "only that none is held any more");
}

/// All times are whole seconds, as the cluster stores them, so what is read back after a restart is equal.
#[test]
fn a_restart_reads_back_what_was_written() {
    let (held, asking) = tripped();
    let ledger = settle(NOW + secs(60), 2, Some("yes"), &held, &asking);
    for time in ledger.granted.values().chain(&ledger.approved) {
        assert_eq!(*time, time.whole_second());
    }
}

/// What the platform object reports: a separate condition, while the rest of its work goes on.
#[test]
fn what_the_platform_object_says() {
    let desired = DesiredPlatform {
        observe_interval: secs(600),
        trigger: JobTrigger::Manual,
        ran_at: [None, None],
        deletions: 2.into(),
        approval: None,
        absence_approval: None,
        account: Default::default(),
        reconcile_requested: false,
        unusable: None,
        unfollowed: None,
        discovered: None,
    };
    let (_, asking) = tripped();
    let facts = |asking: &[Asking]| PlatformFacts {
        leads: known(0),
        services: known(0),
        waiting: [Waiting::default(); 2],
        counted: None,
        deletions: asking.to_vec(),
        answer: None,
        failures: 0,
    };
    let table = [
        ("some are held", facts(&asking), "rest", "True Succeeded -", Some(3)),
        ("the hour has room", facts(&asking[3..]), "rest", "True Succeeded -", None),
        ("nobody asks", facts(&[]), "rest", "True Succeeded -", None),
        // It counts even when the platform is away.
        (
            "held, the platform away",
            PlatformFacts { services: Fact::Unreadable(away()), ..facts(&asking) },
            "wait",
            "False PlatformUnavailable Reconciling",
            Some(3),
        ),
    ];
    for (what, facts, step, expected, held) in table {
        let decision = decide(NOW, &desired, &PlatformRecord::default(), &facts);
        assert_eq!((short(&decision.step), says(&decision.verdict).as_str()), (step, expected), "{what}");
        let conditions = decision.verdict.conditions();
        let condition = conditions.iter().find(|condition| condition.kind == "DeletionsHeld");
        assert_eq!(condition.map(|condition| (condition.truth.as_str(), condition.reason)), held.map(|_| ("True", Reason::DeletionRateExceeded)), "{what}");
        if let (Some(condition), Some(held)) = (condition, held) {
            assert!(condition.message.starts_with(&format!("{held} deletions are held")), "{what}: {}", condition.message);
            assert!(condition.message.contains("operatorconnect.dev/approve-deletions"), "{what}: {}", condition.message);
        }
    }
    let unusable = DesiredPlatform { unusable: Some(away()), ..desired };
    assert_eq!(decide(NOW, &unusable, &PlatformRecord::default(), &facts(&asking)).record.ledger.held, 3, "and when there is no connection");
}

/// An event in a platform's random life.
#[derive(Clone, Debug)]
enum Life {
    /// Someone deletes an object.
    Delete,
    /// An object that may go does: its intent is recorded, so it no longer asks.
    Goes(usize),
    /// One is set to Retain.
    Retained(usize),
    /// A person approves.
    Approve,
    /// Time passes, in milliseconds.
    Passes(u64),
    /// The platform object is reconciled; with `false` its status cannot be written, so everything counted is forgotten.
    Counts(bool),
    /// The operator restarts: only what was written is known.
    Restart,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let one = prop_oneof![
        8 => Just(Life::Delete),
        6 => any::<usize>().prop_map(Life::Goes),
        1 => any::<usize>().prop_map(Life::Retained),
        1 => Just(Life::Approve),
        6 => prop_oneof![Just(1), 1u64..3_000, Just(1_200_000), Just(3_599_500), Just(3_600_000)].prop_map(Life::Passes),
        10 => prop::bool::weighted(0.9).prop_map(Life::Counts),
        1 => Just(Life::Restart),
    ];
    proptest::collection::vec(one, 1..120)
}

/// The truth about a life, kept independently of the ledger.
#[derive(Default)]
struct Model {
    now: u64,
    made: usize,
    asking: BTreeMap<String, Asking>,
    /// When each un-approved grant was written, in real time.
    grants: BTreeMap<String, Time>,
    /// The objects that waited when a new approval was counted.
    approved: BTreeSet<String>,
    approvals: usize,
    counted: usize,
    written: DeletionLedger,
}

impl Model {
    fn time(&self) -> Time {
        NOW + Duration::from_millis(self.now)
    }

    fn counts(&mut self, per_hour: u32, writes: bool) {
        let asking: Vec<Asking> = self.asking.values().cloned().collect();
        let approval = (self.approvals > 0).then(|| self.approvals.to_string());
        let ledger = settle(self.time(), per_hour, approval.as_deref(), &self.written, &asking);
        if !writes {
            return;
        }
        if self.approvals > self.counted {
            self.counted = self.approvals;
        }
        // An approval that comes before anything is held approves nothing.
        if approval.is_some() && approval != self.written.handled && self.written.held > 0 {
            self.approved.extend(self.asking.keys().cloned());
            assert!(asking.iter().all(|one| ledger.holds(one, per_hour).is_none()), "a person has approved all of them");
        }
        for uid in ledger.granted.keys().filter(|uid| !self.written.granted.contains_key(*uid)) {
            assert!(self.grants.insert(uid.clone(), self.time()).is_none(), "{uid} was granted twice");
        }
        self.written = ledger;
    }

    fn holds(&self, per_hour: u32) {
        let times: Vec<Time> = self.grants.values().copied().collect();
        for begin in &times {
            let within = times.iter().filter(|at| begin <= *at && **at < *begin + secs(HOUR)).count();
            assert!(within <= per_hour as usize, "{within} grants within an hour, {per_hour} allowed");
        }
        for one in self.asking.values().filter(|one| self.written.holds(one, per_hour).is_none()) {
            // A deletion in the second of an approval, or in a later one to which the cluster's clock gives the same time, cannot be told from one before it.
            let same_second = self.written.approved.is_some_and(|approved| one.deleted <= approved);
            assert!(self.grants.contains_key(&one.uid) || self.approved.contains(&one.uid) || same_second, "{} was neither counted nor approved", one.uid);
        }
    }

    fn live(&mut self, event: &Life, per_hour: u32) {
        let pick = |among: Vec<String>, index: usize| (!among.is_empty()).then(|| among[index % among.len()].clone());
        match event {
            Life::Delete => {
                self.made += 1;
                // Names are in no order, so that the order of deletion differs from theirs.
                let uid = format!("{:02}", (self.made * 37) % 1000);
                self.asking.insert(uid.clone(), Asking { deleted: self.time().whole_second(), uid });
            }
            Life::Goes(index) => {
                let may = self.asking.values().filter(|one| self.written.holds(one, per_hour).is_none()).map(|one| one.uid.clone()).collect();
                pick(may, *index).and_then(|uid| self.asking.remove(&uid));
            }
            Life::Retained(index) => {
                pick(self.asking.keys().cloned().collect(), *index).and_then(|uid| self.asking.remove(&uid));
            }
            Life::Approve => self.approvals += 1,
            Life::Passes(milliseconds) => self.now += milliseconds,
            Life::Counts(writes) => self.counts(per_hour, *writes),
            Life::Restart => {
                let second = |time: &mut Time| *time = time.whole_second();
                self.written.granted.values_mut().for_each(second);
                self.written.approved.iter_mut().for_each(second);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never more than perHour un-approved grants in any hour, whatever happens; and every waiting object goes after an approval.
    #[test]
    fn no_hour_sees_more_than_its_number(per_hour in 0u32..4, life in lives()) {
        let mut model = Model::default();
        for event in &life {
            model.live(event, per_hour);
            model.holds(per_hour);
        }
        model.counts(per_hour, true);
        model.approvals += 1;
        model.counts(per_hour, true);
        model.holds(per_hour);
        prop_assert!(model.asking.values().all(|one| model.written.holds(one, per_hour).is_none()));
        prop_assert_eq!(model.written.held, 0);
    }
}

//! The laws of the election, checked over random schedules of pauses, crashes, lost and late answers, late writes and clocks that disagree.

#[path = "election/world.rs"]
mod world;

use std::time::Duration;

use oc_domain::election::{Election, ElectionStep, LeaseRecord, Release, Timing};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner};
use world::{Fault, Mishap, Peer, Schedule, Wrong, play};

fn fault() -> impl Strategy<Value = Fault> {
    let late = || prop_oneof![6 => Just(0u64), 3 => 1u64..12, 1 => 12u64..90];
    (late(), late(), prop::bool::weighted(0.08), prop::bool::weighted(0.12)).prop_map(|(before, after, unsent, unanswered)| Fault {
        before,
        after,
        unsent,
        unanswered,
    })
}

fn mishap(peers: usize) -> impl Strategy<Value = Mishap> {
    let peer = 0..peers;
    prop_oneof![
        4 => (peer.clone(), 1u64..150).prop_map(|(peer, ticks)| Mishap::Pause(peer, ticks)),
        2 => peer.clone().prop_map(Mishap::Crash),
        2 => peer.clone().prop_map(Mishap::Release),
        2 => (peer, -900i64..900).prop_map(|(peer, ticks)| Mishap::WallJumps(peer, ticks)),
        1 => Just(Mishap::Delete),
        1 => Just(Mishap::Touch),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (2usize..5).prop_flat_map(|count| {
        let peer = (0u64..100_000, 985u64..=1015, -900i64..900).prop_map(|(offset, rate, wall)| Peer { offset, rate, wall });
        let timing = prop_oneof![Just((35u64, 30u64, 5u64)), Just((20, 16, 3)), Just((60, 40, 10))];
        (timing, vec(peer, count), vec((0u64..400, mishap(count)), 0..12), vec(vec(fault(), 0..60), count))
            .prop_map(|(timing, peers, mishaps, faults)| Schedule { timing, peers, mishaps, faults })
    })
}

proptest! {
    #![proptest_config(Runs { cases: Runs::default().cases * 2, max_shrink_iters: 2000, failure_persistence: None, ..Runs::default() })]

    #[test]
    fn the_laws_hold(schedule in schedule()) {
        let world = play(&schedule, Wrong::Nothing);
        prop_assert!(world.broken.is_empty(), "{:#?}\n{:#?}", world.broken, world.trail);
    }
}

/// A runner that uses the same schedules every time.
fn runner(cases: u32) -> TestRunner {
    let runs = Runs { cases, max_shrink_iters: 0, failure_persistence: None, ..Runs::default() };
    TestRunner::new_with_rng(runs, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn each_wrong_variant_is_caught() {
    let variants = [
        (Wrong::WallClock, "two lead"),
        (Wrong::CountsFromAnswer, "two lead"),
        (Wrong::WithoutVersion, "two lead"),
        (Wrong::ValidForEver, "two lead"),
        (Wrong::SeenWhenAsked, "two lead"),
        (Wrong::AbsentIsFree, "two lead"),
        (Wrong::NeverLooksAgain, "nobody leads"),
        (Wrong::ReleasesAndActs, "two lead"),
        (Wrong::KeepsWhenReleasing, "hand over"),
    ];
    for (wrong, law) in variants {
        let caught = runner(3000).run(&schedule(), |schedule| {
            let world = play(&schedule, wrong);
            match world.broken.iter().find(|broken| broken.contains(law)) {
                Some(broken) => Err(TestCaseError::fail(broken.clone())),
                None => Ok(()),
            }
        });
        assert!(caught.is_err(), "no law catches {wrong:?}");
    }
}

/// The schedules reach what the laws are about: otherwise the laws could hold because nothing ever happens.
#[test]
fn the_schedules_go_everywhere() {
    let seen = std::cell::RefCell::new(std::collections::BTreeMap::<&'static str, u32>::new());
    let ran = runner(500).run(&schedule(), |schedule| {
        for (what, times) in play(&schedule, Wrong::Nothing).counts {
            *seen.borrow_mut().entry(what).or_default() += u32::from(times > 0);
        }
        Ok(())
    });
    assert!(ran.is_ok());
    let seen = seen.into_inner();
    for what in ["expired and taken", "conflict", "lost", "late write came in", "own write found", "released", "lease deleted", "renewed after a touch"] {
        assert!(seen.get(what).is_some_and(|times| *times >= 20), "{what}: {seen:?}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn timing() -> Timing {
    Timing::new(35 * SECOND, 30 * SECOND, 5 * SECOND).expect("a timing")
}

fn held(version: &str, holder: &str) -> LeaseRecord {
    LeaseRecord { version: version.into(), holder: holder.into(), duration: 35 * SECOND }
}

fn leader() -> Election {
    let mut election = Election::new("a", timing());
    election.observed(SECOND, None);
    assert_eq!(election.decide(SECOND), ElectionStep::Acquire(None), "nobody was ever seen");
    election.writing();
    election.wrote(SECOND, 2 * SECOND, held("1", "a"));
    election
}

#[test]
fn a_timing_that_is_not_safe_is_refused_with_its_numbers() {
    for ((duration, deadline, retry), word) in [((30, 30, 5), "lease duration (30s)"), ((35, 5, 5), "retry interval (5s)"), ((35, 30, 0), "longer than zero")] {
        let refused = Timing::new(duration * SECOND, deadline * SECOND, retry * SECOND).expect_err("no timing");
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn a_leader_may_act_until_the_deadline_after_its_renewal_was_begun() {
    let mut election = leader();
    assert_eq!(election.valid_until(), Some(31 * SECOND));
    assert_eq!(election.decide(3 * SECOND), ElectionStep::Wait(6 * SECOND));
    assert_eq!(election.decide(6 * SECOND), ElectionStep::Renew(Some("1".into())));
    election.unanswered(20 * SECOND);
    assert_eq!(election.valid_until(), Some(31 * SECOND), "no answer gives no time");
    assert_eq!(election.decide(25 * SECOND), ElectionStep::Look, "before it writes again");
    election.observed(26 * SECOND, Some(held("2", "a")));
    assert_eq!(election.valid_until(), Some(31 * SECOND), "nor does finding its own write");
    assert_eq!(election.decide(26 * SECOND), ElectionStep::Renew(Some("2".into())));
    assert_eq!(election.decide(31 * SECOND), ElectionStep::Lost);
}

#[test]
fn a_leader_that_sees_another_is_one_no_more() {
    let mut election = leader();
    election.conflicted(7 * SECOND);
    assert_eq!(election.decide(7 * SECOND), ElectionStep::Look);
    election.observed(7 * SECOND, Some(held("2", "b")));
    assert_eq!((election.decide(7 * SECOND), election.valid_until(), election.release()), (ElectionStep::Lost, None, Release::Nothing));
}

#[test]
fn one_that_waits_measures_by_its_own_clock_and_writes_over_what_it_saw() {
    let mut election = Election::new("b", timing());
    assert_eq!(election.decide(100 * SECOND), ElectionStep::Look);
    election.observed(100 * SECOND, Some(held("1", "a")));
    assert_eq!(election.decide(100 * SECOND), ElectionStep::Wait(105 * SECOND));
    for second in [105, 110, 115, 120, 125, 130] {
        assert_eq!(election.decide(second * SECOND), ElectionStep::Look);
        election.observed(second * SECOND, Some(held("1", "a")));
    }
    assert_eq!(election.decide(135 * SECOND), ElectionStep::Acquire(Some("1".into())));
    election.observed(135 * SECOND, Some(held("2", "a")));
    assert_eq!(election.decide(169 * SECOND), ElectionStep::Look);
    election.observed(169 * SECOND, Some(held("3", "")));
    assert_eq!(election.decide(169 * SECOND), ElectionStep::Acquire(Some("3".into())), "given back");
}

#[test]
fn the_time_of_a_lease_goes_on_when_a_look_fails_and_when_the_lease_is_deleted() {
    let mut election = Election::new("b", timing());
    election.observed(SECOND, Some(held("1", "a")));
    election.unanswered(10 * SECOND);
    election.observed(15 * SECOND, Some(held("1", "a")));
    assert_eq!(election.decide(36 * SECOND), ElectionStep::Acquire(Some("1".into())));
    election.observed(20 * SECOND, None);
    assert_eq!(election.decide(24 * SECOND), ElectionStep::Wait(25 * SECOND));
    assert_eq!(election.decide(55 * SECOND), ElectionStep::Acquire(None), "whoever held it may have gone on");
}

#[test]
fn giving_back_names_the_own_version_and_looks_when_it_is_not_known() {
    let mut election = leader();
    assert_eq!(election.release(), Release::Replace("1".into()));
    election.writing();
    election.unanswered(8 * SECOND);
    assert_eq!(election.release(), Release::Look);
    let mut standby = Election::new("b", timing());
    assert_eq!(standby.release(), Release::Nothing);
    standby.observed(SECOND, Some(held("1", "")));
    standby.writing();
    assert_eq!(standby.release(), Release::Look, "stopped while its first write is under way");
    standby.unanswered(2 * SECOND);
    assert_eq!(standby.release(), Release::Look, "its first write may have been made");
}

#[test]
fn one_that_is_blind_leaves_the_lease_to_others_for_a_while_and_takes_it_in_the_end() {
    for (lease, free) in [(Some(held("7", "")), 10 * SECOND), (Some(held("7", "b")), 45 * SECOND), (None, 10 * SECOND)] {
        let mut election = Election::new("a", timing());
        election.sees(false);
        let acquires = |election: &mut Election, now: Duration| {
            election.observed(now, lease.clone());
            matches!(election.decide(now), ElectionStep::Acquire(_))
        };
        assert!(!acquires(&mut election, 10 * SECOND) && !acquires(&mut election, free + 9 * SECOND), "{lease:?}");
        let mut well = election.clone();
        well.sees(true);
        assert!(acquires(&mut well, free + 9 * SECOND), "it sees again: {lease:?}");
        assert!(acquires(&mut election, free + 10 * SECOND), "nobody else took it: {lease:?}");
    }
}

#[test]
fn a_process_that_has_the_name_of_the_dead_one_before_it_goes_on_with_its_lease_at_once() {
    let mut election = Election::new("pod_uid", timing());
    election.observed(SECOND, Some(held("7", "pod_uid")));
    assert_eq!(election.valid_until(), None, "it leads only by a write of its own");
    assert_eq!(election.decide(SECOND), ElectionStep::Acquire(Some("7".into())));
}

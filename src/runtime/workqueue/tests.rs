//! The laws of the queue, on its state alone: no clock, no waiting.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use oc_domain::time::Time;
use proptest::prelude::*;

use crate::runtime::workqueue::{Priority, PriorityStats, QueueStats, WorkQueueState};

fn at(milliseconds: i64) -> Time {
    Time(milliseconds)
}

#[derive(Clone, Debug)]
enum Act {
    Add(u8, u8, u8),
    AddAt(u8, u8, u8, u16),
    Remove(u8),
    Pop,
    Done(u8),
    Pass(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..12u8, 0..3u8, 0..3u8).prop_map(|(key, group, priority)| Act::Add(key, group, priority)),
        (0..12u8, 0..3u8, 0..3u8, any::<u16>())
            .prop_map(|(key, group, priority, later)| Act::AddAt(key, group, priority, later)),
        (0..12u8).prop_map(Act::Remove),
        Just(Act::Pop),
        (0..12u8).prop_map(Act::Done),
        any::<u16>().prop_map(Act::Pass),
    ]
}

fn priority(number: u8) -> Priority {
    [Priority::Changed, Priority::Effect, Priority::Observe][usize::from(number)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// No key runs twice at once, no group has more passes than its limit, and nothing that was requested and
    /// not removed is ever lost.
    #[test]
    fn nothing_runs_twice_and_nothing_is_lost(acts in proptest::collection::vec(act(), 1..120)) {
        const LIMIT: usize = 2;
        let mut lines = WorkQueueState::new(LIMIT);
        let mut now = at(0);
        let mut wanted: HashSet<u8> = HashSet::new();
        let mut running: HashMap<u8, u8> = HashMap::new();
        let mut group_of: HashMap<u8, u8> = HashMap::new();
        for act in acts {
            match act {
                // A key has one group, as an object has one platform.
                Act::Add(key, group, number) => {
                    let group = *group_of.entry(key).or_insert(group);
                    lines.add(now, key, group, priority(number));
                    wanted.insert(key);
                }
                Act::AddAt(key, group, number, later) => {
                    let group = *group_of.entry(key).or_insert(group);
                    lines.add_at(now + Duration::from_millis(later.into()), key, group, priority(number));
                    wanted.insert(key);
                }
                Act::Remove(key) => {
                    lines.remove(&key);
                    wanted.remove(&key);
                }
                Act::Pop => {
                    if let Some((key, _, _)) = lines.pop(now) {
                        prop_assert!(wanted.remove(&key), "{key} ran and was not wanted");
                        let group = group_of[&key];
                        prop_assert!(running.insert(key, group).is_none(), "{key} runs twice");
                        prop_assert!(running.values().filter(|other| **other == group).count() <= LIMIT, "group {group} has too many");
                    }
                }
                Act::Done(key) => {
                    lines.done(now, &key);
                    running.remove(&key);
                }
                Act::Pass(span) => now = now + Duration::from_millis(span.into()),
            }
            for group in 0..3 {
                let walked = lines.later.values().filter(|later| later.group == group).count();
                prop_assert_eq!(lines.later_in_group.get(&group).copied().unwrap_or(0), walked);
            }
        }
        // In the end everything that was requested runs.
        for key in running.into_keys() {
            lines.done(now, &key);
        }
        now = now + Duration::from_secs(100);
        while let Some((key, _, _)) = lines.pop(now) {
            prop_assert!(wanted.remove(&key), "{key} ran and was not wanted");
            lines.done(now, &key);
        }
        prop_assert!(wanted.is_empty(), "lost: {wanted:?}");
        prop_assert_eq!(lines.load(now), QueueStats::default());
    }
}

#[test]
fn a_changed_spec_goes_before_a_poll_and_a_poll_before_an_observation() {
    let mut lines = WorkQueueState::new(10);
    for (key, priority) in [
        ("observe", Priority::Observe),
        ("effect", Priority::Effect),
        ("changed", Priority::Changed),
    ] {
        lines.add(at(0), key, 0, priority);
    }
    let order: Vec<_> = std::iter::from_fn(|| lines.pop(at(0)).map(|(key, _, _)| key)).collect();
    assert_eq!(order, ["changed", "effect", "observe"]);
}

#[test]
fn an_observation_that_has_waited_goes_before_a_change_that_has_not() {
    let mut lines = WorkQueueState::new(10);
    lines.add(at(0), "observe", 0, Priority::Observe);
    lines.add(at(31_000), "changed", 0, Priority::Changed);
    assert_eq!(lines.pop(at(31_000)).map(|(key, _, _)| key), Some("observe"));
}

#[test]
fn a_full_group_delays_no_other() {
    let mut lines = WorkQueueState::new(1);
    for (key, group) in [("slow-1", "slow"), ("slow-2", "slow"), ("other", "other")] {
        lines.add(at(0), key, group, Priority::Changed);
    }
    assert_eq!(lines.pop(at(0)).map(|(key, _, _)| key), Some("slow-1"));
    assert_eq!(lines.pop(at(0)).map(|(key, _, _)| key), Some("other"));
    assert!(lines.pop(at(0)).is_none(), "slow-2 waits for slow-1");
    lines.done(at(0), &"slow-1");
    assert_eq!(lines.pop(at(0)).map(|(key, _, _)| key), Some("slow-2"));
}

#[test]
fn what_is_wanted_while_it_runs_runs_again() {
    let mut lines = WorkQueueState::new(10);
    lines.add(at(0), "a", 0, Priority::Changed);
    assert!(lines.pop(at(0)).is_some());
    lines.add(at(1), "a", 0, Priority::Changed);
    assert!(lines.pop(at(1)).is_none(), "not at the same time");
    lines.done(at(2), &"a");
    assert_eq!(lines.pop(at(2)).map(|(key, _, _)| key), Some("a"));
}

#[test]
fn of_two_appointments_the_earlier_counts_and_a_wish_drops_both() {
    let mut lines = WorkQueueState::new(10);
    lines.add_at(at(500), "a", 0, Priority::Observe);
    lines.add_at(at(900), "a", 0, Priority::Observe);
    assert_eq!(lines.next_appointment(), Some(at(500)));
    lines.add_at(at(200), "a", 0, Priority::Observe);
    assert_eq!(lines.next_appointment(), Some(at(200)));
    lines.add(at(100), "a", 0, Priority::Changed);
    assert_eq!(lines.next_appointment(), None);
    assert!(lines.pop(at(100)).is_some());
    lines.done(at(100), &"a");
    assert!(lines.pop(at(10_000)).is_none());
}

#[test]
fn the_limit_of_a_group_grows_with_its_own_line_alone() {
    let mut lines = WorkQueueState::growing(2, 5);
    for key in 0..1_000 {
        lines.add(at(0), key, "long", Priority::Changed);
    }
    for key in 1_000..1_040 {
        lines.add(at(1), key, "short", Priority::Changed);
    }
    let taken: Vec<u32> = std::iter::from_fn(|| lines.pop(at(1)).map(|(key, _, _)| key)).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4, 1_000, 1_001]);
}

/// The last ones get as many passes as the first: those that are done still have their next appointment.
#[test]
fn the_limit_of_a_group_stays_while_its_line_ends() {
    let mut lines = WorkQueueState::growing(2, 100);
    let all = 1_000;
    for key in 0..all {
        lines.add(at(0), key, "group", Priority::Changed);
    }
    let mut done = 0;
    while done + 100 < all {
        let taken: Vec<u32> = std::iter::from_fn(|| lines.pop(at(1)).map(|(key, _, _)| key)).collect();
        assert_eq!(taken.len(), 20, "{done} are done");
        for key in taken {
            lines.done(at(1), &key);
            lines.add_at(at(600_000), key, "group", Priority::Observe);
            done += 1;
        }
    }
    (0..all).for_each(|key| lines.remove(&key));
    (0..40).for_each(|key| lines.add(at(2), key, "group", Priority::Changed));
    assert_eq!(
        std::iter::from_fn(|| lines.pop(at(2))).count(),
        2,
        "what is gone does not count"
    );
}

#[test]
fn a_group_is_crowded_when_it_has_hardly_room_for_another_pass() {
    let mut lines = WorkQueueState::growing(8, 16);
    (0..8).for_each(|key| lines.add(at(0), key, "few", Priority::Changed));
    let crowded: Vec<bool> = (0..8)
        .map(|_| {
            assert!(lines.pop(at(0)).is_some());
            lines.is_crowded(&"few")
        })
        .collect();
    assert_eq!(crowded, [false, false, false, false, false, true, true, true]);
    assert!(!lines.is_crowded(&"another"));
    (8..1_000).for_each(|key| lines.add(at(0), key, "few", Priority::Changed));
    assert!(!lines.is_crowded(&"few"), "many are ready, so there is more room");
}

/// L7: at twice the load that can be served, nobody waits longer than twice its fair share.
#[test]
fn at_twice_the_load_everybody_has_its_share() {
    const OBJECTS: u32 = 200;
    // One pass per millisecond can be served. Every object requests one every 100 ms, which is twice as much.
    let mut lines = WorkQueueState::new(4);
    let mut last: HashMap<u32, i64> = (0..OBJECTS).map(|key| (key, 0)).collect();
    let mut longest = 0;
    for key in 0..OBJECTS {
        lines.add(at(0), key, 0, Priority::Observe);
    }
    for now in 0..4_000 {
        let (key, _, _) = lines.pop(at(now)).unwrap();
        let before = last.insert(key, now).unwrap_or_default();
        longest = longest.max(now - before);
        lines.done(at(now), &key);
        lines.add_at(at(now + 100), key, 0, Priority::Observe);
    }
    assert!(
        longest <= 2 * i64::from(OBJECTS),
        "one waited {longest} ms; its fair share is {OBJECTS} ms"
    );
}

/// Somebody applies thousands of objects at once. Each needs a pass to begin, and another a second later.
#[test]
fn the_first_are_finished_while_the_last_wait_for_their_beginning() {
    const OBJECTS: u32 = 20_000;
    let mut lines = WorkQueueState::new(4);
    for key in 0..OBJECTS {
        lines.add(at(0), key, 0, Priority::Changed);
    }
    let (mut begun, mut finished, mut last_begun) = (HashMap::new(), Vec::new(), 0);
    for now in 0..i64::from(2 * OBJECTS) + 4_000 {
        let Some((key, priority, _)) = lines.pop(at(now)) else {
            continue;
        };
        lines.done(at(now), &key);
        if priority == Priority::Changed {
            begun.insert(key, now);
            last_begun = now;
            lines.add_at(at(now + 1_000), key, 0, Priority::Effect);
        } else {
            finished.push(now - begun[&key]);
        }
    }
    assert_eq!(finished.len(), OBJECTS as usize);
    // Its task takes 1 s, and an effect gives way for 2 s. In these 3 s 3,000 are begun, which then take turns with the
    // next ones.
    assert!(
        finished[0] <= 3_010,
        "the first is finished after {} ms",
        finished[0]
    );
    let longest = finished.iter().max().unwrap();
    assert!(
        *longest <= 2 * 3_010,
        "one is finished {longest} ms after its beginning"
    );
    assert!(
        last_begun <= 2 * i64::from(OBJECTS),
        "the last begins after {last_begun} ms; alone it would be {OBJECTS}"
    );
}

#[test]
fn how_it_does_tells_one_that_nobody_serves_from_one_that_is_full() {
    let seconds = Duration::from_secs;
    let mut lines = WorkQueueState::new(1);
    assert_eq!(lines.load(at(0)), QueueStats::default());
    lines.add(at(0), "first", 0, Priority::Changed);
    lines.add(at(1_000), "second", 0, Priority::Changed);
    lines.add_at(at(4_000), "third", 1, Priority::Observe);
    let load = lines.load(at(3_000));
    assert_eq!(
        (load.priorities[0], load.appointed, load.running),
        (
            PriorityStats {
                ready: 2,
                oldest: seconds(3)
            },
            1,
            0
        )
    );
    assert_eq!(load.idle, seconds(3), "nobody takes what could run");
    assert_eq!(lines.pop(at(3_000)).map(|(key, _, _)| key), Some("first"));
    let load = lines.load(at(3_500));
    assert_eq!(
        (load.idle, load.longest),
        (Duration::ZERO, Duration::from_millis(500)),
        "the second waits for the first, as it should"
    );
    let load = lines.load(at(9_000));
    assert_eq!(
        (load.priorities[2], load.appointed),
        (
            PriorityStats {
                ready: 1,
                oldest: seconds(5)
            },
            0
        ),
        "ready since its time came"
    );
    assert_eq!(
        (load.idle, load.longest),
        (seconds(5), seconds(6)),
        "the third could run, in a group of its own"
    );
    lines.done(at(60_000), &"first");
    assert_eq!(
        lines.load(at(60_010)).idle,
        Duration::from_millis(10),
        "the second could not run before"
    );
}

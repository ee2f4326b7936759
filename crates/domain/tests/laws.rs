//! The laws of architecture.md, held over random schedules of faults.

#[path = "laws/any.rs"]
mod any;
mod common;
#[path = "laws/driver.rs"]
mod driver;
#[path = "laws/teeth.rs"]
mod teeth;
#[path = "laws/world.rs"]
mod world;

use oc_domain::pass::DeletionPolicy;
use oc_domain::service::{Adoption, decide};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner};
use world::{AskFault, Config, Fault, World};

type Schedule = (Config, Vec<Fault>, Vec<AskFault>);

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        30 => Just(Fault::Nothing),
        4 => (1u64..20).prop_map(Fault::Slow),
        3 => Just(Fault::CrashBefore),
        3 => Just(Fault::CrashAfter),
        2 => Just(Fault::Unwritten),
        2 => Just(Fault::Wipe),
        1 => (1u64..3000).prop_map(Fault::Down),
        1 => (1u64..3000).prop_map(Fault::Throttle),
        1 => (1u64..1500).prop_map(Fault::Hide),
    ]
}

fn asked() -> impl Strategy<Value = AskFault> {
    prop_oneof![
        4 => Just(AskFault::Nothing),
        3 => (0u64..30).prop_map(AskFault::LostDone),
        2 => Just(AskFault::LostNotDone),
        2 => Just(AskFault::NotSent),
        1 => Just(AskFault::Refused),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let platform =
        (1u64..400, prop_oneof![3 => Just(0u32), 1 => 1u32..3], 0u64..120, prop_oneof![4 => Just(0u64), 1 => 1u64..900], 300u64..1500, any::<bool>());
    let adoption = prop_oneof![2 => Just(Adoption::IfMatching), 1 => Just(Adoption::Never), 1 => Just(Adoption::Always)];
    let policy = prop_oneof![Just(DeletionPolicy::Delete), Just(DeletionPolicy::Retain)];
    let foreign = prop_oneof![5 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    let spec = (any::<bool>(), adoption, any::<bool>(), policy, foreign, any::<bool>());
    let moment = || prop_oneof![1 => 0u64..60, 2 => 0u64..1200, 1 => 0u64..9000];
    let people = (proptest::option::of(moment()), proptest::option::weighted(0.3, moment()), vec(moment(), 0..2), vec((fault(), asked()), 0..16));
    (platform, spec, people).prop_map(|(platform, spec, people)| {
        let (task, failing_tasks, lag, lead_from, job_every, guid_in_task) = platform;
        let (ip_group, adoption, recreate, policy, foreign, foreign_after_refusal) = spec;
        let (deleted_at, removed_at, edited_at, late) = people;
        Config {
            task,
            failing_tasks,
            lag,
            lead_from,
            job_every,
            guid_in_task,
            ip_group,
            adoption,
            recreate,
            policy,
            foreign,
            foreign_after_refusal,
            deleted_at,
            removed_at,
            edited_at,
            late,
        }
    })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (config(), vec(fault(), 0..60), vec(asked(), 0..4))
}

fn play(schedule: Schedule, decide: driver::Decide<'_>) -> World {
    let (config, steps, asks) = schedule;
    let mut world = World::new(config, steps, asks);
    driver::run(&mut world, decide);
    world
}

proptest! {
    #![proptest_config(Runs { cases: Runs::default().cases * 4, max_shrink_iters: 600, failure_persistence: None, ..Runs::default() })]

    #[test]
    fn the_laws_hold(schedule in schedule()) {
        let world = play(schedule, &decide);
        prop_assert!(world.broken.is_empty(), "{:#?}\n{:#?}", world.broken, world.trail);
    }
}

/// The same schedules every time.
fn runner(cases: u32) -> TestRunner {
    let runs = Runs { cases, max_shrink_iters: 0, failure_persistence: None, ..Runs::default() };
    TestRunner::new_with_rng(runs, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn each_wrong_variant_is_caught() {
    for (what, variant, law) in teeth::VARIANTS {
        let caught = runner(2000).run(&schedule(), |schedule| {
            let world = play(schedule, &variant);
            match world.broken.iter().find(|broken| broken.contains(law)) {
                Some(broken) => Err(TestCaseError::fail(broken.clone())),
                None => Ok(()),
            }
        });
        assert!(caught.is_err(), "no law catches a decision that {what}");
    }
}

/// The schedules reach what the laws are about: without this they could hold because nothing ever happens.
#[test]
fn the_schedules_go_everywhere() {
    let mut seen = [("made twice or more, one after the other", 0), ("went", 0), ("taken over", 0), ("rests Ready", 0), ("removed and reported", 0)];
    let cell = std::cell::RefCell::new(&mut seen);
    let ran = runner(500).run(&schedule(), |schedule| {
        let world = play(schedule, &decide);
        let reason = world.object.status.conditions.first().map(|ready| ready.reason.to_string()).unwrap_or_default();
        let facts = [
            world.counts.creates > 1,
            world.object.gone,
            world.object.guid.is_some() && world.made.iter().any(|made| !made.by_us),
            reason == "Succeeded",
            reason == "DeletedExternally",
        ];
        for (slot, fact) in cell.borrow_mut().iter_mut().zip(facts) {
            slot.1 += u32::from(fact);
        }
        Ok(())
    });
    assert!(ran.is_ok());
    for (what, times) in seen {
        assert!(times >= 5, "{what}: only {times} of 500 schedules");
    }
}

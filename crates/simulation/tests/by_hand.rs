//! Stories written by hand, for what needs so many things at once that a random story hardly ever has them.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use oc_simulation::setup::{START, Second, Setup, Spec, secs};
use oc_simulation::story::Fates;
use oc_simulation::world::{Play, Rules, Trail, World};

/// A person resumes the older of two objects for one tenant. One operator requests its service and then stops
/// for longer than its lease. The other, which leads next, has heard nothing of the older object since it was
/// suspended. Returns how many creates were executed, and which laws are broken.
fn a_resumed_object_changes_hands(rules: Rules) -> (u32, Vec<String>) {
    let mut setup = Setup { second: Second::SameTenant, operators: 2, task: 400, ..Setup::default() };
    setup.specs[0] = Spec { suspend: true, ..Spec::default() };
    let (mut world, mut trail) = (World::new(setup), Trail::default());
    let mut play = Play { rules: &rules, trail: &mut trail };
    world.settle(&mut play);
    let leader = (0..2).find(|op| world.leads(*op)).unwrap();
    let mut fates = Fates::default();
    let suspended = |world: &World| world.cluster.now.objects[0].as_ref().is_some_and(|object| object.status.ready().is_some());
    for _ in 0..20 {
        if !suspended(&world) {
            world.turn(&mut play, &mut fates);
        }
    }
    // Both operators know it as suspended, and its status says so: another pass over it writes nothing.
    world.settle(&mut play);
    world.operators[1 - leader].behind_until = START + secs(3000);
    world.cluster.change(0, |object| {
        object.spec.suspend = false;
        object.generation += 1;
    });
    for _ in 0..100 {
        if world.counts.creates == 0 {
            world.turn(&mut play, &mut fates);
        }
    }
    assert_eq!(world.counts.creates, 1, "the older object's service is asked for");
    world.pause(leader, 60);
    for _ in 0..100 {
        world.turn(&mut play, &mut fates);
    }
    assert!(world.leads(1 - leader), "the other one leads");
    assert!(world.leads(1 - leader), "the other one leads");
    (world.counts.creates, world.broken.clone())
}

#[test]
fn whoever_is_elected_reads_all_before_it_asks() {
    assert_eq!(a_resumed_object_changes_hands(Rules::default()), (1, Vec::new()));
    let (creates, broken) = a_resumed_object_changes_hands(Rules { catches_up: false, ..Rules::default() });
    assert_eq!((creates, broken.first().map(String::as_str)), (2, Some("L1: a second service is made for the tenant")));
}

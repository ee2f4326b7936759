//! Disturbances from beside: another writer, another list, another clock. Each is one function and one line in [`EDGES`].

use crate::cluster::Strips;
use crate::setup::{LEAD, SLOTS, secs};
use crate::tape::Tape;
use crate::world::{Loses, Play, World};

/// One of them. The number comes from the tape, for what the disturbance has to choose.
pub type Edge = fn(&mut World, &mut Play<'_>, &mut Tape<'_>, usize);

/// All of them.
pub const EDGES: &[Edge] = &[replaced, put_back, restored, stripped, refused, direct_routing, relabels];

/// One of them happens.
pub fn disturb(world: &mut World, play: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    if let Some(edge) = EDGES.get(tape.draw() % EDGES.len().max(1)) {
        edge(world, play, tape, draw);
    }
}

/// The faults from beside stop.
pub fn calm(world: &mut World) {
    world.cluster.strips = None;
}

/// A `kubectl replace` by a manifest without what the operator has written: finalizer and annotations are gone, the status stays. Of an object that is
/// going it would be its end, by a person's hand.
fn replaced(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let going = world.cluster.now.objects[slot].as_ref().is_none_or(|object| object.deleting.is_some());
    if !going && world.survives(slot, Loses::Annotations) {
        world.cluster.change(slot, |object| (object.finalizer, object.intent, object.annotated) = (false, None, None));
    }
}

/// A manifest that was exported a while ago is applied: its annotations come back.
fn put_back(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let Some(earlier) = world.cluster.earlier(slot, draw / SLOTS % 6).filter(|_| world.survives(slot, Loses::Annotations)) else { return };
    world.cluster.change(slot, |object| {
        object.intent.clone_from(&earlier.intent);
        object.annotated.clone_from(&earlier.annotated);
    });
}

/// A restore puts a status back as it was a while ago, whatever has become of the object since.
fn restored(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let Some(earlier) = world.cluster.earlier(slot, draw / SLOTS % 6).filter(|_| world.survives(slot, Loses::Status)) else { return };
    world.removed.remove(&earlier.uid);
    if slot != LEAD {
        world.excuse(slot, earlier.uid);
    }
    world.cluster.change(slot, |object| object.status.clone_from(&earlier.status));
}

/// A mutating policy begins to take something away from what is written, or is removed.
fn stripped(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.cluster.strips = [Some(Strips::Intent), Some(Strips::Finalizer), None][draw % 3];
}

/// The API server refuses what the operator writes, for a while; to its end also when the other faults stop.
fn refused(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.cluster.refuses_until = world.now + secs([5, 60, 400, 3000][draw % 4]);
}

/// Somebody makes a Direct Routing service for a tenant, or ends it: at any moment, also while a create of ours is under way, since its license tells it
/// from what was asked for.
fn direct_routing(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let tenant = if draw.is_multiple_of(2) { 1 } else { 2 };
    let (now, taken) = (world.now, world.platform.direct_routing(tenant).map(|made| made.service.guid.clone()));
    match taken {
        Some(guid) => {
            world.platform.delete(now, &guid);
        }
        None => world.platform.make_direct_routing(tenant, ["Routed", world.setup.name_of(usize::from(tenant) - 1)][draw / 2 % 2], now),
    }
}

/// Somebody labels the namespace of a service object so that it may use the platform, or may not any more.
fn relabels(world: &mut World, play: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let (slot, now) = (draw % 2, world.now);
    world.allowed[slot] = !world.allowed[slot];
    let allowed = world.allowed;
    play.trail.note(now, || format!("the namespaces that may use the platform: {allowed:?}"));
    for operator in &mut world.operators {
        operator.wake(now);
    }
}

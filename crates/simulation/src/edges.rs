//! Disturbances from outside: another writer, another list, another clock. Each is one function and one entry
//! of [`EDGES`].

use oc_domain::record::{OperationId, Outcome};

use crate::cluster::Strips;
use crate::setup::{LEAD, PLACES, SLOTS, secs};
use crate::tape::Tape;
use crate::world::{Loses, Play, World};

/// A disturbance. The number comes from the tape, for what the disturbance has to choose.
pub type Edge = fn(&mut World, &mut Play<'_>, &mut Tape<'_>, usize);

/// All disturbances. Those that need two of a kind in a row, or much else besides, appear twice.
pub const EDGES: &[Edge] = &[
    replaced,
    put_back,
    put_back,
    restored,
    stripped,
    refused,
    direct_routing,
    relabels,
    a_lead_can_not_be_read,
    a_lead_can_not_be_read,
    a_lead_is_between_two_pages,
    numbers_are_not_told,
    others_outcome,
    the_far_future,
    an_empty_list,
    another_account,
];

/// How long a disturbance lasts.
fn seconds(draw: usize) -> oc_domain::time::Duration {
    secs([5, 45, 400, 3000][draw / 3 % 4])
}

/// The list of leads has an unreadable entry. Sometimes the single read has one too.
fn a_lead_can_not_be_read(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let until = world.now + seconds(draw);
    world.platform.lead_unreadable = (until, which(draw));
    if draw.is_multiple_of(5) {
        world.platform.single_unreadable_until = until;
    }
}

/// The list of leads comes in pages, and one lead has moved from a page still to come to one already read.
fn a_lead_is_between_two_pages(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.platform.lead_between_pages = (world.now + seconds(draw), which(draw));
}

/// The tenant that is hit, from 1 to 3.
fn which(draw: usize) -> u8 {
    u8::try_from(1 + draw % 3).unwrap_or(1)
}

/// The call that reads telephone numbers gives none.
fn numbers_are_not_told(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.platform.numbers_untold_until = world.now + seconds(draw);
}

/// The list of services is empty for a while, between two complete ones.
fn an_empty_list(world: &mut World, play: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let seconds = [1, 20, 120, 1000][draw % 4];
    play.trail.note(world.now, || {
        format!("the list of services is empty for {seconds} s")
    });
    world.platform.empty_until = world.now + secs(seconds);
}

/// Somebody changes the address or the identity of the platform object, and perhaps back: another platform,
/// with the same leads and other services. Not while the outcome of a create is unknown: a list at the other
/// place cannot show whether a service of that name is the one requested at this place.
fn another_account(world: &mut World, play: &mut Play<'_>, _: &mut Tape<'_>, _: usize) {
    if world.creating() {
        return;
    }
    let now = world.now;
    world.platform.here = (world.platform.here + 1) % PLACES;
    world.cluster.change_platform();
    let here = world.platform.here;
    play.trail
        .note(now, || format!("the platform object names the place {here}"));
    for operator in &mut world.operators {
        operator.inventory[here] = Default::default();
        operator.wake(now);
    }
}

/// Plays one disturbance.
pub fn disturb(world: &mut World, play: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    let number = tape.draw();
    let number = world.setup.edges.map_or(number, |edges| edges[number % 2]);
    let (number, now) = (number % EDGES.len().max(1), world.now);
    if let Some(edge) = EDGES.get(number) {
        play.trail.note(now, || format!("from beside: {number}"));
        edge(world, play, tape, draw);
    }
}

/// Stops the faults from outside.
pub fn calm(world: &mut World) {
    world.cluster.strips = None;
    world.platform.reveal();
}

/// A `kubectl replace` with a manifest that lacks what the operator has written: finalizer and annotations
/// are gone, the status stays. For an object under deletion it would be the end, by a person's hand.
fn replaced(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let going = world.cluster.now.objects[slot]
        .as_ref()
        .is_none_or(|object| object.deleting.is_some());
    if !going && world.survives(slot, Loses::Annotations) {
        world.cluster.change(slot, |object| {
            (object.finalizer, object.intent, object.annotated) = (false, None, None)
        });
    }
}

/// A manifest that was exported a while ago is applied, so its annotations come back. How the create of such
/// an intent ended was in status alone, which may be lost too. Then services that others have made under the
/// same names since cannot be told from the requested one (docs/crashes.md, e).
fn put_back(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let Some(earlier) = world
        .cluster
        .earlier(slot, draw / SLOTS % 6)
        .filter(|_| world.survives(slot, Loses::Annotations))
    else {
        return;
    };
    if slot != LEAD && earlier.intent.is_some() {
        world.excuse(slot, earlier.uid);
    }
    world.cluster.change(slot, |object| {
        object.intent.clone_from(&earlier.intent);
        object.annotated.clone_from(&earlier.annotated);
    });
}

/// A restore puts back an earlier status, whatever has become of the object since.
fn restored(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % SLOTS;
    let Some(earlier) = world
        .cluster
        .earlier(slot, draw / SLOTS % 6)
        .filter(|_| world.survives(slot, Loses::Status))
    else {
        return;
    };
    world.removed.remove(&earlier.uid);
    world.told_refused.clear();
    if slot != LEAD {
        world.excuse(slot, earlier.uid);
    }
    world
        .cluster
        .change(slot, |object| object.status.clone_from(&earlier.status));
}

/// A mutating policy starts to remove something from each write, or is removed.
fn stripped(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.cluster.strips = [Some(Strips::Intent), Some(Strips::Finalizer), None][draw % 3];
}

/// The API server refuses the operator's writes for a while. This lasts to its end even when the other faults
/// stop.
fn refused(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    world.cluster.refuses_until = world.now + secs([5, 60, 400, 3000][draw % 4]);
}

/// Somebody creates or removes a Direct Routing service of a tenant. This may happen at any moment, even
/// during a create of ours, since the license tells the two apart.
fn direct_routing(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let tenant = if draw.is_multiple_of(2) { 1 } else { 2 };
    let (now, taken) = (
        world.now,
        world
            .platform
            .direct_routing(tenant)
            .map(|made| made.service.guid),
    );
    match taken {
        Some(guid) => {
            let here = world.platform.here;
            world.platform.delete(now, here, &guid);
        }
        None => world.platform.make_direct_routing(
            tenant,
            ["Routed", world.setup.name_of(usize::from(tenant) - 1)][draw / 2 % 2],
            now,
        ),
    }
}

/// Somebody labels the namespace of a service object so that it may use the platform, or no longer may.
fn relabels(world: &mut World, play: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let (slot, now) = (draw % 2, world.now);
    world.allowed[slot] = !world.allowed[slot];
    let allowed = world.allowed;
    play.trail.note(now, || {
        format!("the namespaces that may use the platform: {allowed:?}")
    });
    for operator in &mut world.operators {
        operator.wake(now);
    }
}

/// Another writer, an older version or a newer version has written the outcome in a status.
fn others_outcome(world: &mut World, play: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    let whose: [Edge; 3] = [old_outcome, older_status, newer_status];
    if let Some(edge) = whose.get(tape.draw() % whose.len()) {
        edge(world, play, tape, draw);
    }
}

/// Another writer of status leaves the outcome of an earlier operation beside an open one: a restore that
/// writes status, and a later operation on top of the fields that the restore owns.
fn old_outcome(world: &mut World, _: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    let slot = draw % LEAD;
    let outcome = tape.one_of(&[
        Outcome::Failed,
        Outcome::Unknown,
        Outcome::Succeeded,
        Outcome::Refused,
    ]);
    let told = tape.one_of(&[true, false]);
    let open = world.cluster.now.objects[slot]
        .as_ref()
        .is_some_and(|object| object.record().running().is_some());
    let now = world.now.whole_second();
    if open {
        world.cluster.change(slot, |object| {
            if let Some(op) = object.status.operation.as_mut() {
                op.outcome = Some(outcome);
                op.outcome_of = told.then(|| OperationId("op-0".into()));
                // An outcome that names its operation need not have ended before.
                op.completed = Some(if told { now } else { op.started - secs(4000) });
            }
        });
    }
}

/// The record holds a time in the future: clocks were a year ahead and are right again, or somebody has
/// edited the annotation.
fn the_far_future(world: &mut World, _: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    let year = secs(365 * 86_400);
    let (annotated, told) = tape.one_of(&[(true, true), (true, false), (false, true)]);
    world.cluster.change(draw % SLOTS, |object| {
        if let Some(intent) = object.intent.as_mut().filter(|_| annotated) {
            intent.start = intent.start + year;
        }
        if let Some(op) = object.status.operation.as_mut().filter(|_| told) {
            op.started = op.started + year;
            op.completed = op.completed.map(|at| at + year);
            op.task_ended = op.task_ended.map(|at| at + year);
        }
    });
}

/// The status is as an older version would have written it.
fn older_status(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % LEAD;
    if world.cluster.now.objects[slot].as_ref().is_some_and(|object| {
        object
            .status
            .operation
            .as_ref()
            .is_some_and(|op| op.outcome_of.as_ref() == Some(&op.id))
    }) {
        world.cluster.change(slot, |object| {
            if let Some(op) = object.status.operation.as_mut() {
                op.outcome_of = None;
            }
        });
    }
}

/// A newer version has written an outcome that this one does not know, for an operation still in progress.
fn newer_status(world: &mut World, _: &mut Play<'_>, _: &mut Tape<'_>, draw: usize) {
    let slot = draw % LEAD;
    if world.cluster.now.objects[slot]
        .as_ref()
        .is_some_and(|object| object.record().running().is_some())
    {
        world.cluster.change(slot, |object| object.strange_word = true);
    }
}

//! Disturbances from beside: another writer, another list, another clock. Each is one function and one line in [`EDGES`].

use crate::tape::Tape;
use crate::world::{Play, World};

/// One of them. The number comes from the tape, for what the disturbance has to choose.
pub type Edge = fn(&mut World, &mut Play<'_>, &mut Tape<'_>, usize);

/// All of them.
pub const EDGES: &[Edge] = &[];

/// One of them happens.
pub fn disturb(world: &mut World, play: &mut Play<'_>, tape: &mut Tape<'_>, draw: usize) {
    if let Some(edge) = EDGES.get(tape.draw() % EDGES.len().max(1)) {
        edge(world, play, tape, draw);
    }
}

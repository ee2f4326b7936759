//! One replica of the operator: what it has seen of the cluster, what it has read of the platform, and the passes that it is in the middle of.

use std::sync::Arc;

use oc_domain::lead;
use oc_domain::memory::PassMemory;
use oc_domain::pass::Pass;
use oc_domain::service;
use oc_domain::time::Time;

use crate::cluster::{Object, Snapshot};
use crate::platform::{LeadsListed, Listed};
use crate::setup::{PLACES, SLOTS};

/// What an object is to become, of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Of a service.
    Service(service::ServiceTarget),
    /// Of a lead.
    Lead(lead::LeadTarget),
}

/// A pass that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The driver's.
    pub pass: Pass,
    /// What its object is to become.
    pub target: Target,
    /// The object as this pass knows it.
    pub object: Arc<Object>,
    /// The place of the platform that this pass speaks to.
    pub place: usize,
}

/// The newest lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inventory {
    /// Of services, and when its read was begun.
    pub services: Option<(Time, Arc<Listed>)>,
    /// Of leads.
    pub leads: Option<(Time, Arc<LeadsListed>)>,
}

impl Inventory {
    /// Whether both lists are whole, as far as they are known.
    pub fn whole(&self) -> bool {
        self.services.as_ref().is_none_or(|(_, listed)| listed.complete)
            && self.leads.as_ref().is_none_or(|(_, listed)| listed.complete)
    }

    /// Whether they are, and one of them is newer than this.
    pub fn whole_since(&self, read: Time) -> bool {
        let read_at = [
            self.services.as_ref().map(|(at, _)| *at),
            self.leads.as_ref().map(|(at, _)| *at),
        ];
        self.whole() && read_at.into_iter().flatten().any(|at| at > read)
    }
}

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It runs.
    Up,
    /// It is stopped (SIGSTOP) until then.
    Paused(Time),
    /// It has lost the lease or was told to end: it begins nothing, and ends when its passes have.
    Leaving,
    /// It is started anew then.
    Down(Time),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// What the process is doing.
    pub state: State,
    /// What the watches have brought.
    pub view: Snapshot,
    /// Before that time the watches bring nothing.
    pub behind_until: Time,
    /// What was read of the platform, by its place.
    pub inventory: [Inventory; PLACES],
    /// What is remembered between passes, and of which object, by uid.
    memories: [(u32, PassMemory); SLOTS],
    /// When each object is looked at next.
    pub due: [Time; SLOTS],
    /// When the newest list was read that the last pass over each object knew, if a list was not whole when that pass ended.
    pub not_whole: [Option<Time>; SLOTS],
    /// The passes under way.
    pub passes: [Option<Running>; SLOTS],
    /// Whether an object waits for the breaker to count.
    pub count_due: bool,
    /// Its lease is good before that time, if it holds it.
    pub valid_until: Time,
}

/// Never.
pub const NEVER: Time = Time(i64::MAX);

impl Operator {
    /// A process that has just started, and has listed all objects.
    pub fn started(view: Snapshot, now: Time) -> Self {
        Self {
            state: State::Up,
            view,
            behind_until: Time(0),
            inventory: Default::default(),
            memories: Default::default(),
            due: [now; SLOTS],
            not_whole: [None; SLOTS],
            passes: [None, None, None],
            count_due: true,
            valid_until: Time(0),
        }
    }

    /// Whether the process takes steps.
    pub fn moves(&self) -> bool {
        matches!(self.state, State::Up | State::Leaving)
    }

    /// Whether a pass is under way.
    pub fn busy(&self) -> bool {
        self.passes.iter().any(Option::is_some)
    }

    /// Takes in a newer snapshot, and wakes what it concerns. An object that this process has written since then stays as it was written.
    pub fn deliver(&mut self, newer: &Snapshot, now: Time) {
        let mut woken = newer.breaker != self.view.breaker;
        for slot in 0..SLOTS {
            let (before, there) = (&self.view.objects[slot], &newer.objects[slot]);
            let own_write_is_newer = matches!((before, there), (Some(before), Some(there)) if before.uid == there.uid && before.version > there.version);
            if own_write_is_newer {
                continue;
            }
            let theirs = |object: &Option<Arc<Object>>| {
                object
                    .as_ref()
                    .map(|object| (object.uid, object.generation, object.deleting, object.finalizer))
            };
            // A status that somebody else has written: own writes are in the view already.
            let restated = self.passes[slot].is_none()
                && before.as_ref().map(|object| &object.status)
                    != there.as_ref().map(|object| &object.status);
            // One that has something now, or may have asked for it, or does no more, concerns those that want the same.
            let has = |object: &Option<Arc<Object>>| object.as_ref().is_some_and(|object| object.holds());
            woken |= restated || theirs(before) != theirs(there) || has(before) != has(there);
            self.view.objects[slot].clone_from(there);
        }
        self.view.breaker = Arc::clone(&newer.breaker);
        self.view.revision = newer.revision.max(self.view.revision);
        if woken {
            self.wake(now);
        }
    }

    /// Takes in one consistent list, as whoever is elected does before its first pass. Nothing is removed by it: the watch brings that.
    pub fn catch_up(&mut self, newest: &Snapshot, now: Time) {
        let mut newer = newest.clone();
        for (slot, known) in self.view.objects.iter().enumerate() {
            if newer.objects[slot].is_none() {
                newer.objects[slot].clone_from(known);
            }
        }
        newer.revision = self.view.revision;
        self.deliver(&newer, now);
    }

    /// What is remembered of an object. Of one that was there before it, nothing is.
    pub fn memory(&mut self, slot: usize, uid: u32) -> &mut PassMemory {
        let (of, memory) = &mut self.memories[slot];
        if *of != uid {
            (*of, *memory) = (uid, PassMemory::default());
        }
        memory
    }

    /// Whether the object waits for lists without entries that can't be read.
    pub fn waits_for_whole_lists(&self, slot: usize) -> bool {
        let there = self.view.objects[slot]
            .as_ref()
            .and_then(|object| self.remembers(slot, object.uid));
        there.is_some_and(|memory| memory.waits_for_whole_lists)
    }

    /// What is remembered of the object that this process last worked on, if it is the one with this uid.
    pub fn remembers(&self, slot: usize, uid: u32) -> Option<&PassMemory> {
        Some(&self.memories[slot])
            .filter(|(of, _)| *of == uid)
            .map(|(_, memory)| memory)
    }

    /// Nothing is remembered any more.
    pub fn forget(&mut self) {
        self.memories = Default::default();
    }

    /// Everything is looked at.
    pub fn wake(&mut self, now: Time) {
        for due in &mut self.due {
            *due = now.min(*due);
        }
        self.count_due = true;
    }
}

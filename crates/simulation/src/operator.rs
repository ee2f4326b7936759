//! One replica of the operator: its view of the cluster, its lists of the platform, and its passes in
//! progress.

use std::sync::Arc;

use oc_domain::lead;
use oc_domain::memory::PassMemory;
use oc_domain::pass::Pass;
use oc_domain::service;
use oc_domain::time::Time;

use crate::cluster::{Object, Snapshot};
use crate::platform::{LeadsListed, Listed};
use crate::setup::{PLACES, SLOTS};

/// The target of an object, of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The target of a service.
    Service(service::ServiceTarget),
    /// The target of a lead.
    Lead(lead::LeadTarget),
}

/// A pass in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The product's pass driver.
    pub pass: Pass,
    /// The target of its object.
    pub target: Target,
    /// The object as this pass knows it.
    pub object: Arc<Object>,
    /// The place of the platform that this pass uses.
    pub place: usize,
}

/// The newest lists of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inventory {
    /// The list of services, and when its read began.
    pub services: Option<(Time, Arc<Listed>)>,
    /// The list of leads, and when its read began.
    pub leads: Option<(Time, Arc<LeadsListed>)>,
}

impl Inventory {
    /// Whether both lists are complete, as far as they are known.
    pub fn whole(&self) -> bool {
        self.services.as_ref().is_none_or(|(_, listed)| listed.complete)
            && self.leads.as_ref().is_none_or(|(_, listed)| listed.complete)
    }

    /// Whether both lists are complete and one of them is newer than `read`.
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
    /// It is stopped (SIGSTOP) until this time.
    Paused(Time),
    /// It has lost the lease or was asked to end: it starts nothing, and ends with its passes.
    Leaving,
    /// It is down and starts again at this time.
    Down(Time),
}

/// One replica of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// What the process is doing.
    pub state: State,
    /// What the watches have brought.
    pub view: Snapshot,
    /// Until this time the watches bring nothing.
    pub behind_until: Time,
    /// The lists read of the platform, by place.
    pub inventory: [Inventory; PLACES],
    /// What is remembered between passes, and the uid of the object that it belongs to.
    memories: [(u32, PassMemory); SLOTS],
    /// When each object is due next.
    pub due: [Time; SLOTS],
    /// When the newest list that the last pass over each object knew was read, if a list was incomplete at
    /// the end of that pass.
    pub not_whole: [Option<Time>; SLOTS],
    /// The passes in progress.
    pub passes: [Option<Running>; SLOTS],
    /// Whether an object waits for the breaker to count.
    pub count_due: bool,
    /// Until this time its lease is valid, if it holds the lease.
    pub valid_until: Time,
}

/// A time that never comes.
pub const NEVER: Time = Time(i64::MAX);

impl Operator {
    /// Returns a process that has just started and has listed all objects.
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

    /// Whether a pass is in progress.
    pub fn busy(&self) -> bool {
        self.passes.iter().any(Option::is_some)
    }

    /// Takes in a newer snapshot and makes the objects due if it concerns them. An object that this process
    /// has written since then stays as written.
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
            // An object that gains or loses its service, or the possibility of one, concerns its competitors.
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

    /// Takes in one consistent list, as a newly elected replica does before its first pass. It removes
    /// nothing: deletions come from the watch.
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

    /// Returns the memory of an object. The memory of an earlier object in this slot is dropped.
    pub fn memory(&mut self, slot: usize, uid: u32) -> &mut PassMemory {
        let (of, memory) = &mut self.memories[slot];
        if *of != uid {
            (*of, *memory) = (uid, PassMemory::default());
        }
        memory
    }

    /// Whether the object waits for lists without unreadable entries.
    pub fn waits_for_whole_lists(&self, slot: usize) -> bool {
        let there = self.view.objects[slot]
            .as_ref()
            .and_then(|object| self.remembers(slot, object.uid));
        there.is_some_and(|memory| memory.waits_for_whole_lists)
    }

    /// Returns the memory of the object that this process last worked on, if it has this uid.
    pub fn remembers(&self, slot: usize, uid: u32) -> Option<&PassMemory> {
        Some(&self.memories[slot])
            .filter(|(of, _)| *of == uid)
            .map(|(_, memory)| memory)
    }

    /// Drops all memory.
    pub fn forget(&mut self) {
        self.memories = Default::default();
    }

    /// Makes every object due.
    pub fn wake(&mut self, now: Time) {
        for due in &mut self.due {
            *due = now.min(*due);
        }
        self.count_due = true;
    }
}

//! The life of an operator's process: how it ends, what is lost with it, and what is still known.

use oc_domain::record::{Intent, OperationId, Sent};
use oc_domain::time::Time;

use crate::operator::{Operator, Running, State};
use crate::setup::{SLOTS, secs};
use crate::world::{Lease, Loses, World};

/// How long a lease lasts without renewal, and how long its holder may act after the last renewal.
const LEASE: u64 = 35;
const RENEW_WITHIN: u64 = 30;

impl World {
    /// Kills the process (SIGKILL). `behind` holds how many revisions old the next process's first list is,
    /// and for how many seconds it learns nothing newer.
    pub fn crash(&mut self, op: usize, behind: (usize, u64)) {
        let now = self.now;
        self.counts.crashes += 1;
        self.end(op, now + secs(LEASE), behind);
    }

    /// Returns what a replica knows of an object's create or deletion that may be in progress.
    pub fn known(&self, op: usize, slot: usize) -> Option<Intent> {
        let operator = &self.operators[op];
        if matches!(operator.state, State::Down(_) | State::Paused(_)) {
            return None;
        }
        let uid = self.cluster.now.objects[slot].as_ref()?.uid;
        let running = operator.passes[slot]
            .as_ref()
            .filter(|running| running.object.uid == uid);
        // What a process has only read may be out of date.
        let own = |running: &&Running| {
            running.pass.sent()
                || running
                    .pass
                    .record
                    .open_intent()
                    .is_some_and(|intent| intent.sent == Sent::No)
        };
        let running = running
            .filter(own)
            .and_then(|running| running.pass.record.open_intent().cloned());
        let asked = operator
            .remembers(slot, uid)
            .and_then(|memory| memory.asked.as_ref())
            .filter(|op| op.ended().is_none());
        running.or_else(|| {
            asked.map(|op| Intent {
                kind: op.kind,
                id: op.id.clone(),
                start: op.started,
                tenant: None,
                place: None,
                sent: Sent::Maybe,
            })
        })
    }

    /// Whether something would still know of an operation in progress if the object lost its annotations, or
    /// its status, at this moment. Losing both records and the process that made them at once is not played:
    /// nothing could tell then (docs/crashes.md).
    pub fn survives(&self, slot: usize, loses: Loses) -> bool {
        let Some(object) = &self.cluster.now.objects[slot] else {
            return true;
        };
        let record = object.record();
        let (annotated, told) = (
            record.open_intent().map(|intent| intent.id.clone()),
            record.running().map(|op| op.id.clone()),
        );
        // A replica that no longer leads ends, and its knowledge with it.
        let known = |id: &OperationId| {
            (0..self.operators.len())
                .any(|op| self.leads(op) && self.known(op, slot).is_some_and(|intent| intent.id == *id))
        };
        let (lost, kept) = match loses {
            Loses::Annotations => (annotated, told),
            Loses::Status => (told, annotated),
        };
        // An object's service is known by its guid, or by the intent of the create that made it.
        let (by_annotations, by_status) = (
            object.annotated.is_some() || object.intent.is_some(),
            object.status.guid.is_some(),
        );
        let found_again = match loses {
            Loses::Annotations => by_status || !by_annotations,
            Loses::Status => by_annotations || !by_status,
        };
        lost.map_or(found_again, |id| kept.as_ref() == Some(&id) || known(&id))
    }

    /// Writes down again what only the ending process knows, because others have removed its records: see
    /// [`World::survives`].
    fn remember(&mut self, op: usize) {
        if !self.leads(op) {
            return;
        }
        for slot in 0..SLOTS {
            let Some(known) = self.known(op, slot) else {
                continue;
            };
            let Some(object) = self.cluster.now.objects[slot].clone() else {
                continue;
            };
            let last = |id: &OperationId, at: Time| *id == known.id || at > known.start;
            let annotated = object
                .intent
                .as_ref()
                .is_some_and(|intent| last(&intent.id, intent.start));
            if !annotated
                && !object
                    .status
                    .operation
                    .as_ref()
                    .is_some_and(|op| last(&op.id, op.started))
            {
                self.cluster.change(slot, |object| {
                    // An object under deletion cannot get a finalizer.
                    object.finalizer |= object.deleting.is_none();
                    object.intent = Some(Intent {
                        start: known.start.whole_second(),
                        ..known.clone()
                    });
                });
            }
        }
    }

    /// Ends the process; its lease can be taken at `free_at`.
    pub(crate) fn end(&mut self, op: usize, free_at: Time, behind: (usize, u64)) {
        self.remember(op);
        let now = self.now;
        let back = self.cluster.past.len().checked_sub(behind.0);
        let view = match back {
            Some(at) if behind.0 > 0 => self.cluster.past[at].clone(),
            _ => self.cluster.now.clone(),
        };
        let operator = &mut self.operators[op];
        *operator = Operator::started(view, now);
        operator.state = State::Down(now + secs(3));
        operator.behind_until = if behind.0 > 0 {
            now + secs(3 + behind.1)
        } else {
            Time(0)
        };
        if self.lease.holder == Some(op) {
            self.lease = Lease {
                holder: None,
                free_at,
            };
        }
    }

    /// Stops the process (SIGSTOP) for this many seconds.
    pub fn pause(&mut self, op: usize, seconds: u64) {
        let now = self.now;
        if self.operators[op].state != State::Up {
            return;
        }
        self.remember(op);
        let operator = &mut self.operators[op];
        operator.state = State::Paused(now + secs(seconds));
        if self.lease.holder == Some(op) {
            operator.valid_until = now + secs(RENEW_WITHIN);
            self.lease.free_at = now + secs(LEASE);
        }
    }

    /// Terminates the process (SIGTERM): it starts nothing new, finishes what is in progress, and gives the
    /// lease back.
    pub fn terminate(&mut self, op: usize) {
        if self.operators[op].state == State::Up {
            self.operators[op].state = State::Leaving;
        }
    }
}

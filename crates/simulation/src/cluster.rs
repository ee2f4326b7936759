//! The simulated API server: objects with a version, a revision for all of them together, and the last few
//! revisions, so that a reader can be behind.

use std::collections::VecDeque;
use std::sync::Arc;

use oc_domain::absence;
use oc_domain::breaker::{Asking, DeletionLedger};
use oc_domain::conditions::{Condition, ConditionStatus, Reason};
use oc_domain::decision::{Decision, Mark};
use oc_domain::names::{ChannelId, CustomerGuid};
use oc_domain::record::{Intent, JobRecord, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::time::{Duration, Time};

use crate::setup::{SLOTS, Setup, Spec};

/// How many revisions a reader can be behind.
const KEPT: usize = 6;

/// What a status holds. The rest of a record is in metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status {
    /// `umpCustomerGuid`
    pub guid: Option<CustomerGuid>,
    /// `licenseType`
    pub license: Option<Arc<str>>,
    /// `operation`
    pub operation: Option<Operation>,
    /// `sync.jobs`
    pub jobs: [JobRecord; 2],
    /// `assignedChannelId`
    pub channel: Option<ChannelId>,
    /// `observedGeneration`
    pub observed: Option<i64>,
    /// `conditions`
    pub conditions: Vec<Condition>,
}

impl Status {
    /// Returns the status that a decision makes. Times have no milliseconds, as the API server keeps them.
    pub fn of(decision: &Decision, generation: i64) -> Self {
        let record = &decision.record;
        let whole = |time: Option<Time>| time.map(Time::whole_second);
        let job = |job: &JobRecord| match job.due {
            None => JobRecord::default(),
            Some(_) => JobRecord {
                state: job.state,
                due: whole(job.due),
                requested: whole(job.requested),
                completed: whole(job.completed),
            },
        };
        let seconds = |took: Duration| Duration::from_secs(took.as_secs());
        let times = |op: Operation| Operation {
            started: op.started.whole_second(),
            completed: whole(op.completed),
            task_ended: whole(op.task_ended),
            took: op.took.map(seconds),
            ..op
        };
        let operation = record.operation.clone().map(times);
        Self {
            guid: record.guid.filter(|_| record.guid_proven),
            license: record.license.clone(),
            operation,
            jobs: [job(&record.leads_job), job(&record.trunks_job)],
            channel: record.assigned_channel,
            observed: Some(generation),
            conditions: decision.verdict.conditions(),
        }
    }

    /// Returns value and reason of `Ready`.
    pub fn ready(&self) -> Option<(ConditionStatus, Reason)> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == "Ready")
            .map(|condition| (condition.truth, condition.reason))
    }

    /// Returns the reason of `Stalled`, while it is set.
    pub fn stalled_for(&self) -> Option<Reason> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == "Stalled")
            .map(|condition| condition.reason)
    }
}

/// An object of the simulated cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Identifies the object. An object recreated under the same name has a different uid.
    pub uid: u32,
    /// When it was created.
    pub created: Time,
    /// Counts changes of the spec.
    pub generation: i64,
    /// Counts changes of the whole object.
    pub version: u64,
    /// The spec.
    pub spec: Spec,
    /// The deletion timestamp.
    pub deleting: Option<Time>,
    /// Whether our finalizer is set.
    pub finalizer: bool,
    /// The annotation with the intent.
    pub intent: Option<Intent>,
    /// The annotation with the guid.
    pub annotated: Option<CustomerGuid>,
    /// Whether the status holds an outcome written by a newer version and unknown to this one.
    pub strange_word: bool,
    /// The status.
    pub status: Status,
}

impl Object {
    /// Whether it has its service or may have requested it. When that changes, its competitors are affected.
    pub fn holds(&self) -> bool {
        self.record().may_own_service()
    }

    /// Returns the record in its metadata and status.
    pub fn record(&self) -> Record {
        let intent = self.intent.clone().map(|intent| Intent {
            sent: Sent::Maybe,
            ..intent
        });
        let status = &self.status;
        // Read as src/cluster/record.rs reads it: an unknown word is no outcome.
        let operation = status.operation.clone().map(|op| {
            if self.strange_word {
                Operation { outcome: None, ..op }
            } else {
                op
            }
        });
        Record {
            finalizer: self.finalizer,
            intent,
            operation,
            guid: status.guid.or(self.annotated),
            guid_proven: status.guid.is_some(),
            guid_annotated: self.annotated.is_some(),
            license: status.license.clone(),
            observed_generation: status.observed,
            leads_job: status.jobs[0],
            trunks_job: status.jobs[1],
            assigned_channel: status.channel,
        }
    }

    /// Whether it has recorded a service that was read back, and is not deleting it itself.
    pub fn recorded(&self) -> bool {
        self.status.guid.is_some() && self.status.license.is_some() && !self.removes()
    }

    /// Whether it is deleting its service itself.
    pub fn removes(&self) -> bool {
        let asked = |op: &Operation| {
            op.kind == OperationKind::Delete && matches!(op.outcome, None | Some(Outcome::Succeeded))
        };
        self.deleting.is_some() && self.status.operation.as_ref().is_some_and(asked)
    }

    /// Applies a mark to its metadata. Returns the intent that the mark records, with this id.
    fn apply(&mut self, mark: &Mark, record: &Record, id: OperationId) -> Option<Intent> {
        match mark {
            Mark::RecordIntent {
                kind,
                start,
                tenant,
                place,
            } => {
                self.finalizer = true;
                let begun = Intent {
                    kind: *kind,
                    id,
                    start: start.whole_second(),
                    tenant: *tenant,
                    place: place.clone(),
                    sent: Sent::No,
                };
                self.intent = Some(begun.clone());
                self.annotated = if *kind == OperationKind::Delete {
                    record.guid.or(self.annotated)
                } else {
                    None
                };
                return Some(begun);
            }
            Mark::Adopt(guid) => {
                self.finalizer = true;
                self.annotated = Some(*guid);
                self.intent = None;
            }
            Mark::AddFinalizer => {
                self.finalizer = true;
                if let Some(open) = record.open_intent() {
                    self.intent = Some(Intent {
                        start: open.start.whole_second(),
                        ..open.clone()
                    });
                }
            }
            Mark::RemoveFinalizer => {
                self.finalizer = false;
                self.intent = None;
            }
        }
        None
    }

    /// Returns its entry for the deletion breaker.
    pub fn asking(&self) -> Option<Asking> {
        self.deleting.map(|deleted| Asking {
            deleted,
            uid: self.uid.to_string(),
        })
    }
}

/// The platform object, reduced to its breakers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// Counts changes.
    pub version: u64,
    /// The ledger of deletions in its status.
    pub ledger: DeletionLedger,
    /// The annotation that approves held deletions.
    pub approval: Option<String>,
    /// The ledger of absences in its status.
    pub absences: absence::AbsenceLedger,
    /// The annotation that says that what is missing is gone.
    pub gone: Option<String>,
}

/// All objects at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The number of the revision.
    pub revision: u64,
    /// The objects, by slot.
    pub objects: [Option<Arc<Object>>; SLOTS],
    /// The platform object.
    pub breaker: Arc<Breaker>,
}

/// What a mutating policy removes from every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strips {
    /// Our finalizer.
    Finalizer,
    /// The annotation with the intent.
    Intent,
}

/// The result of writing a mark.
pub struct Marked {
    /// The object as the API server now has it.
    pub written: Arc<Object>,
    /// The intent that the mark was to record.
    pub intent: Option<Intent>,
    /// Whether a policy removed part of it.
    pub dropped: bool,
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// The object has a different version than the one that was read.
    Changed,
    /// The object does not exist.
    Gone,
}

/// The simulated API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// The current state.
    pub now: Snapshot,
    /// Earlier states, oldest first.
    pub past: VecDeque<Snapshot>,
    /// What a policy removes, while there is one.
    pub strips: Option<Strips>,
    /// Until this time the API server refuses every write of ours.
    pub refuses_until: Time,
    uids: u32,
    operations: u32,
}

impl Cluster {
    /// Creates the objects of a setup, all at the same time.
    pub fn new(setup: &Setup, at: Time) -> Self {
        let mut cluster = Self {
            now: Snapshot::default(),
            past: VecDeque::new(),
            strips: None,
            refuses_until: Time(0),
            uids: 0,
            operations: 0,
        };
        for slot in (0..SLOTS).filter(|slot| setup.has(*slot)) {
            cluster.make(slot, setup.specs[slot], at);
        }
        cluster
    }

    fn step(&mut self) -> u64 {
        if self.past.len() == KEPT {
            self.past.pop_front();
        }
        self.past.push_back(self.now.clone());
        self.now.revision += 1;
        self.now.revision
    }

    /// Creates an object.
    pub fn make(&mut self, slot: usize, spec: Spec, at: Time) {
        let version = self.step();
        self.uids += 1;
        let object = Object {
            uid: self.uids,
            created: at.whole_second(),
            generation: 1,
            version,
            spec,
            deleting: None,
            finalizer: false,
            intent: None,
            annotated: None,
            strange_word: false,
            status: Status::default(),
        };
        self.now.objects[slot] = Some(Arc::new(object));
    }

    /// Changes an object, on behalf of any writer.
    pub fn change(&mut self, slot: usize, change: impl FnOnce(&mut Object)) -> Option<Arc<Object>> {
        let mut object = Object::clone(self.now.objects[slot].as_ref()?);
        let version = self.step();
        change(&mut object);
        object.version = version;
        let object = Arc::new(object);
        let gone = object.deleting.is_some() && !object.finalizer;
        self.now.objects[slot] = if gone { None } else { Some(Arc::clone(&object)) };
        Some(object)
    }

    /// Changes an object that must still be as it was read.
    fn write(
        &mut self,
        slot: usize,
        read: &Object,
        checked: bool,
        change: impl FnOnce(&mut Object),
    ) -> Result<Arc<Object>, Unwritten> {
        let there = self.now.objects[slot].as_ref().ok_or(Unwritten::Gone)?;
        if there.uid != read.uid {
            return Err(Unwritten::Gone);
        }
        if checked && there.version != read.version {
            return Err(Unwritten::Changed);
        }
        self.change(slot, change).ok_or(Unwritten::Gone)
    }

    /// Returns an id that no other operation has.
    pub fn draw(&mut self) -> OperationId {
        self.operations += 1;
        OperationId(format!("op-{}", self.operations).into())
    }

    /// Writes a mark into metadata; an intent gets this id. Reports whether a policy removed part of it.
    pub fn mark(
        &mut self,
        slot: usize,
        read: &Object,
        checked: bool,
        mark: &Mark,
        record: &Record,
        id: OperationId,
    ) -> Result<Marked, Unwritten> {
        let mut intent = None;
        let strips = self.strips;
        let mut dropped = false;
        let written = self.write(slot, read, checked, |object| {
            intent = object.apply(mark, record, id);
        })?;
        if let (Some(strips), true) = (strips, *mark != Mark::RemoveFinalizer) {
            // A mutating policy removes it from every write.
            let bare = self.change(slot, |object| match strips {
                Strips::Finalizer => object.finalizer = false,
                Strips::Intent => object.intent = None,
            });
            dropped = match strips {
                Strips::Finalizer => true,
                Strips::Intent => written.intent.is_some(),
            };
            return Ok(Marked {
                written: bare.unwrap_or(written),
                intent,
                dropped,
            });
        }
        Ok(Marked {
            written,
            intent,
            dropped,
        })
    }

    /// Writes the operation of a request that was sent, whatever has become of the object. A later operation
    /// stays.
    pub fn say_operation(&mut self, slot: usize, read: &Object, operation: Option<Operation>) {
        let same = |object: &Arc<Object>| object.uid == read.uid;
        let Some(there) = self.now.objects[slot].clone().filter(same) else {
            return;
        };
        let later =
            there.status.operation.as_ref().map(|op| op.started) > operation.as_ref().map(|op| op.started);
        if !later && there.status.operation != operation {
            self.change(slot, |object| object.status.operation = operation);
        }
    }

    /// Returns an object as it was at an earlier revision.
    pub fn earlier(&self, slot: usize, back: usize) -> Option<Arc<Object>> {
        let at = self.past.len().checked_sub(1 + back)?;
        let uid = self.now.objects[slot].as_ref()?.uid;
        self.past[at].objects[slot]
            .clone()
            .filter(|object| object.uid == uid)
    }

    /// Writes a status, provided that the operator's own fields are still as read. Changes by others do not
    /// matter.
    pub fn say(
        &mut self,
        slot: usize,
        read: &Object,
        checked: bool,
        status: Status,
    ) -> Result<Arc<Object>, Unwritten> {
        let there = self.now.objects[slot].as_ref().ok_or(Unwritten::Gone)?;
        let ours = |object: &Object| {
            (
                object.finalizer,
                object.intent.clone(),
                object.annotated,
                object.status.clone(),
            )
        };
        if checked && there.uid == read.uid && ours(there) != ours(read) {
            return Err(Unwritten::Changed);
        }
        self.write(slot, read, false, |object| {
            (object.strange_word, object.status) = (false, status)
        })
    }

    /// Writes the platform object's ledgers.
    pub fn count(
        &mut self,
        read: &Breaker,
        ledger: DeletionLedger,
        absences: absence::AbsenceLedger,
    ) -> Option<Arc<Breaker>> {
        if self.now.breaker.version != read.version {
            return None;
        }
        let version = self.step();
        self.now.breaker = Arc::new(Breaker {
            version,
            ledger,
            absences,
            ..Breaker::clone(&self.now.breaker)
        });
        Some(Arc::clone(&self.now.breaker))
    }

    /// A person approves held deletions.
    pub fn approve(&mut self) {
        let version = self.step();
        self.now.breaker = Arc::new(Breaker {
            version,
            approval: Some(version.to_string()),
            ..Breaker::clone(&self.now.breaker)
        });
    }

    /// A person changes the spec of the platform object.
    pub fn change_platform(&mut self) {
        let version = self.step();
        self.now.breaker = Arc::new(Breaker {
            version,
            ..Breaker::clone(&self.now.breaker)
        });
    }

    /// A person says that what is missing is gone.
    pub fn approve_absences(&mut self) {
        let version = self.step();
        self.now.breaker = Arc::new(Breaker {
            version,
            gone: Some(version.to_string()),
            ..Breaker::clone(&self.now.breaker)
        });
    }

    /// A person deletes an object.
    pub fn delete(&mut self, slot: usize, at: Time) {
        if self.now.objects[slot]
            .as_ref()
            .is_some_and(|object| object.deleting.is_none())
        {
            self.change(slot, |object| {
                object.deleting = Some(at.whole_second());
                object.generation += 1;
            });
        }
    }
}

//! Where everything must come to rest, given the specs and the platform.

use oc_domain::conditions::{ConditionStatus, Reason};
use oc_domain::facts::DeletionPolicy;
use oc_domain::names::{CustomerGuid, fold_case};
use oc_domain::record::{OperationKind, Outcome};
use oc_domain::service::Mode;

use crate::cluster::Object;
use crate::platform::{Made, Maker};
use crate::setup::{LEAD, SLOTS, is_direct_routing, secs};
use crate::world::{Play, World};

impl World {
    /// Whether an object has come to rest where it belongs, given its spec and the platform, however it got
    /// there.
    pub fn settled(&self, slot: usize) -> bool {
        let Some(object) = &self.cluster.now.objects[slot] else {
            return true;
        };
        let Some((truth, reason)) = object.status.ready() else {
            return false;
        };
        if object.deleting.is_some() {
            return self.deletion_settled(slot, object, reason);
        }
        if object.status.observed != Some(object.generation) {
            return false;
        }
        if object.spec.suspend {
            return reason == Reason::Suspended;
        }
        if slot == LEAD {
            return truth == ConditionStatus::True;
        }
        if object.spec.refused {
            return reason == Reason::InvalidSpec;
        }
        if !self.allowed[slot] {
            return reason == Reason::NamespaceNotAllowed;
        }
        match self.yields(slot, object) {
            Some(true) => return reason == Reason::Conflict,
            None => return false,
            Some(false) => {}
        }
        if object.spec.mode != Mode::Apply {
            return !matches!(
                reason,
                Reason::Progressing | Reason::Converting | Reason::Verifying | Reason::PlatformUnavailable
            );
        }
        truth == ConditionStatus::True || self.person_needed(slot, object, reason)
    }

    /// Whether an object under deletion has a valid reason to stay.
    fn deletion_settled(&self, slot: usize, object: &Object, reason: Reason) -> bool {
        let delete = slot != LEAD && object.spec.policy == DeletionPolicy::Delete;
        // The service's owner is unknown: a failed task may have left it, or somebody made it.
        let failed = object
            .status
            .operation
            .as_ref()
            .is_some_and(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Failed));
        let blocked = reason == Reason::DeletionBlocked
            && failed
            && self.platform.alive(self.setup.tenant_of(slot)).next().is_some();
        // Two objects have taken over one service, because a process had not yet seen what its predecessor
        // wrote.
        let guid = object.record().guid;
        let of_both = slot != LEAD
            && guid.is_some()
            && self.cluster.now.objects[1 - slot]
                .as_ref()
                .is_some_and(|other| other.status.guid == guid);
        let blocked = blocked || (of_both && reason == Reason::DeletionBlocked);
        // The service that its task made was removed before anybody saw it, and nothing shows that it
        // existed.
        let gone = slot != LEAD
            && reason == Reason::TaskFailed
            && task_ended(object)
            && self.platform.alive(self.setup.tenant_of(slot)).next().is_none();
        let kept_out = delete
            && object.spec.mode == Mode::Apply
            && !self.allowed[slot]
            && reason == Reason::NamespaceNotAllowed;
        let suspended = object.spec.policy == DeletionPolicy::Delete
            && object.spec.suspend
            && reason == Reason::Suspended;
        gone || kept_out || suspended || delete && blocked
    }

    /// Whether a competing object comes first: one that has its service or has requested it, else the older
    /// of those that could. `None` while one of them has an intent without any other evidence: it is believed
    /// for the grace and then no longer.
    fn yields(&self, slot: usize, object: &Object) -> Option<bool> {
        let other = 1 - slot;
        let same = self.setup.tenant_of(other) == self.setup.tenant_of(slot)
            || fold_case(self.setup.name_of(other)) == fold_case(self.setup.name_of(slot));
        let Some(theirs) = self.cluster.now.objects[other].as_ref().filter(|_| same) else {
            return Some(false);
        };
        let has = |object: &Object| {
            let record = object.record();
            let told = record.guid_proven
                || record
                    .running()
                    .is_some_and(|op| op.kind == OperationKind::Create && op.task.is_some());
            let asked = record
                .running()
                .map(|op| op.started)
                .or(record.open_intent().map(|intent| intent.start));
            let over = asked.is_none_or(|start| self.now > start + secs(20_000));
            (told || over || !record.may_own_service()).then_some(told)
        };
        let could = theirs.deleting.is_none()
            && !theirs.spec.suspend
            && !theirs.spec.refused
            && theirs.spec.mode == Mode::Apply
            && self.allowed[other];
        let (own, others) = (has(object)?, has(theirs)?);
        Some((others || could) && (!others, theirs.created, theirs.uid) < (!own, object.created, object.uid))
    }

    /// Whether the final state calls for a person.
    fn person_needed(&self, slot: usize, object: &Object, reason: Reason) -> bool {
        let tenant = self.setup.tenant_of(slot);
        let alive: Vec<&Made> = self.platform.alive(tenant).collect();
        match reason {
            Reason::Conflict => {
                alive.len() > 1
                    || alive
                        .iter()
                        .any(|made| !self.adoptable(slot, object, made) || object.record().guid.is_some())
            }
            Reason::DeletedExternally => !object.spec.recreate && alive.is_empty(),
            Reason::ShortNameTaken => {
                let another = |made: &Made| made.tenant != tenant || is_direct_routing(&made.service);
                let named = |made: &&Made| {
                    another(made)
                        && made.removed.is_none()
                        && fold_case(&made.service.short_name) == fold_case(self.setup.name_of(slot))
                };
                self.platform.made.iter().any(|made| named(&made))
            }
            Reason::AlreadyLicensed => {
                !object.spec.beside && alive.is_empty() && self.platform.direct_routing(tenant).is_some()
            }
            // Somebody removed the service before it was ever seen: the task succeeded, but no list has it.
            Reason::TaskFailed => alive.is_empty() && task_ended(object),
            _ => false,
        }
    }

    /// Checks what must hold when everything is at rest.
    pub(crate) fn judge_rest(&mut self, play: &mut Play<'_>) {
        for slot in 0..LEAD {
            let Some(object) = self.cluster.now.objects[slot].clone() else {
                continue;
            };
            let ready = object
                .status
                .ready()
                .is_some_and(|(truth, _)| truth == ConditionStatus::True);
            if !ready || object.spec.suspend {
                continue;
            }
            let alive: Vec<CustomerGuid> = self
                .platform
                .alive(self.setup.tenant_of(slot))
                .map(|made| made.service.guid)
                .collect();
            if alive.len() != 1 || object.status.guid.as_ref() != alive.first() {
                self.breaks(
                    play,
                    format!(
                        "L4: Ready, and the platform has {} services for the tenant",
                        alive.len()
                    ),
                );
            }
        }
        for tenant in 1..=2 {
            let ours = self
                .platform
                .alive(tenant)
                .filter(|made| made.by != Maker::Person)
                .count();
            if ours > 1 {
                self.breaks(play, "L1: a tenant with two services");
            }
        }
    }

    /// Whether every object is where it belongs and nothing is in progress.
    pub fn at_rest(&self) -> bool {
        let taken = self.now >= self.cluster.refuses_until;
        taken
            && self.late.is_empty()
            && (0..SLOTS).all(|slot| self.settled(slot))
            && self.platform.next_moment().is_none()
    }
}

/// Whether the object's status says that its task ended without failing.
fn task_ended(object: &Object) -> bool {
    let word = object
        .status
        .operation
        .as_ref()
        .and_then(|op| op.task_status.as_deref());
    matches!(word, Some("CompletedSuccess" | "CompletedWithErrors"))
}

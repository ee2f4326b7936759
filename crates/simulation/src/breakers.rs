//! The part of the platform object's pass that runs its breakers. It walks over all objects, as the product
//! does, and counts requested deletions and missing services.

use std::sync::Arc;

use oc_domain::absence::{self, AbsenceCount, Account, Belief};
use oc_domain::breaker;
use oc_domain::facts::DeletionPolicy;
use oc_domain::record::{OperationKind, Outcome};
use oc_domain::service::Mode;
use oc_domain::time::Time;

use crate::cluster::{Breaker, Object};
use crate::operator::Running;
use crate::setup::{LEAD, SLOTS};
use crate::world::{Play, Rules, Vanishing, World};

impl World {
    /// Runs the platform object's pass: the breakers count who wants to delete, and what is missing.
    pub fn count(&mut self, play: &mut Play<'_>, op: usize) {
        self.operators[op].count_due = false;
        let view = &self.operators[op].view;
        let wanted = |(slot, object): (usize, &Option<Arc<Object>>)| {
            let object = object.as_ref()?;
            let service = slot == LEAD
                || (object.spec.mode == Mode::Apply
                    && object.record().guid.is_some()
                    && !object.spec.suspend);
            let counted = object.finalizer && object.spec.policy == DeletionPolicy::Delete && service;
            counted.then(|| object.asking()).flatten()
        };
        let asking: Vec<_> = view.objects.iter().enumerate().filter_map(wanted).collect();
        let breaker = Arc::clone(&view.breaker);
        let ledger = breaker::settle(
            self.now,
            self.setup.per_hour,
            breaker.approval.as_deref(),
            &breaker.ledger,
            &asking,
        );
        let absences = self.count_absences(play.rules, op, &breaker);
        if ledger == breaker.ledger && absences == breaker.absences {
            return;
        }
        play.trail.note(self.now, || {
            format!("operator {op} counts deletions: {ledger:?}, absences: {absences:?}")
        });
        self.counts.writes += 1;
        match self.cluster.count(&breaker, ledger, absences) {
            Some(written) => {
                self.approved = written.ledger.approved;
                self.operators[op].view.breaker = written;
                let now = self.now;
                for slot in 0..SLOTS {
                    self.appoint(op, slot, now);
                }
            }
            // Another replica has counted. The watch event for its write makes this replica count again.
            None => self.counts.conflicts += 1,
        }
    }

    /// Returns the account that the platform object names, as seen under these rules.
    fn account(&self, rules: &Rules) -> Account {
        let here = if rules.absences == Vanishing::AnyPlace {
            0
        } else {
            self.platform.here
        };
        Account {
            url: format!("place {here}"),
            identity: String::new(),
        }
    }

    /// Counts the services that objects have recorded but a replica's last list of this place lacks.
    fn counted(&self, op: usize, place: usize) -> Option<(Time, AbsenceCount)> {
        let operator = &self.operators[op];
        let (at, listed) = operator.inventory[place]
            .services
            .as_ref()
            .filter(|(_, listed)| listed.complete)?;
        let mut counted = AbsenceCount::default();
        for object in operator.view.objects[..LEAD].iter().flatten() {
            let guid = object.record().guid;
            let shown = listed
                .services
                .iter()
                .any(|service| Some(&service.guid) == guid.as_ref());
            if object.recorded() {
                counted.recorded += 1;
                if !shown {
                    counted.missing.extend(guid.map(|guid| guid.to_string()));
                }
            } else if (object.record().may_come_to_have() || object.record().is_unseen() || object.removes())
                && !shown
            {
                counted.asked += 1;
            }
        }
        Some((*at, counted))
    }

    /// Returns what an object may conclude from a service missing in the last list.
    pub(crate) fn belief(&mut self, rules: &Rules, op: usize, running: &Running) -> Belief {
        let Some((_, counted)) = self
            .counted(op, running.place)
            .filter(|_| rules.absences != Vanishing::Believed)
        else {
            return Belief::Believed;
        };
        let ledger = &self.operators[op].view.breaker.absences;
        let recorded = running
            .object
            .status
            .guid
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let belief = ledger.belief(self.now, &self.account(rules), &counted, &recorded);
        self.operators[op].count_due |= belief == Belief::Doubted;
        belief
    }

    /// Updates the ledger of absences: what is believed, and what is held.
    fn count_absences(&self, rules: &Rules, op: usize, breaker: &Breaker) -> absence::AbsenceLedger {
        match self.counted(op, self.platform.here) {
            Some((at, counted)) => absence::settle(
                self.now,
                at,
                &self.account(rules),
                breaker.gone.as_deref(),
                &breaker.absences,
                &counted,
            ),
            None => breaker.absences.clone(),
        }
    }

    /// Starts with a platform that was counted before the story begins, and so is known.
    pub fn known_before(&mut self) {
        let known = Some(self.account(&Rules::default()));
        let absences = absence::AbsenceLedger {
            known,
            ..absence::AbsenceLedger::default()
        };
        self.cluster.now.breaker = Arc::new(Breaker {
            absences,
            ..Breaker::clone(&self.cluster.now.breaker)
        });
        for operator in &mut self.operators {
            operator.view.breaker = Arc::clone(&self.cluster.now.breaker);
        }
    }

    /// Whether the outcome of a create is unknown, or one may be requested at this moment, or one has failed
    /// and what it may have left was not seen.
    pub fn creating(&self) -> bool {
        let failed = |object: &Object| {
            object
                .status
                .operation
                .as_ref()
                .is_some_and(|op| op.kind == OperationKind::Create && op.outcome == Some(Outcome::Failed))
        };
        let under_way = self
            .operators
            .iter()
            .any(|operator| operator.passes.iter().any(Option::is_some));
        under_way
            || [1, 2].into_iter().any(|tenant| self.unknown(tenant))
            || self.cluster.now.objects[..LEAD]
                .iter()
                .flatten()
                .any(|object| object.record().may_come_to_have() || failed(object))
    }
}

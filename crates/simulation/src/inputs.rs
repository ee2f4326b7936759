//! What a pass starts from: its facts, its target, and the competing object.

use std::sync::Arc;

use oc_domain::competition::{self, Access, Contender, Contest, ContestSpec};
use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::facts::{Facts, ObjectState};
use oc_domain::lead;
use oc_domain::names::{ShortName, ShortNameRule, fold_case};
use oc_domain::policy::{JobRuns, PlatformAccess, Policy, slowest_create};
use oc_domain::record::OperationId;
use oc_domain::requests::ServiceParameters;
use oc_domain::service::{self, Mode, Neighbour};
use oc_domain::time::Duration;

use crate::cluster::Object;
use crate::operator::Target;
use crate::setup::{self, LEAD, secs};
use crate::world::{Play, Rules, World};

impl World {
    pub(crate) fn facts(&mut self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> Facts {
        let status = &object.status;
        let seen = ObjectState {
            created: object.created,
            generation: object.generation,
            observed: status.observed,
            ready: status
                .ready()
                .is_some_and(|(truth, _)| truth == ConditionStatus::True),
            look_requested: false,
            stalled_for: status.stalled_for(),
        };
        let (now, connection) = (self.now, self.connection(play, op, slot, object));
        Facts::begin(now, seen, connection, self.operators[op].memory(slot, object.uid))
    }

    fn connection(&mut self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> PlatformAccess {
        let policy = self.policy(play, op, object);
        let competes = slot != LEAD && object.deleting.is_none() && !object.spec.suspend;
        if slot == LEAD || self.allowed[slot] {
            return match competes.then(|| self.rival(play, op, slot, object)).flatten() {
                Some(Contest::Open(_)) => PlatformAccess::Unknown(Trouble::new(
                    Reason::ProgressingWithRetry,
                    "It can't be told who has the tenant.",
                )),
                _ => PlatformAccess::Usable(policy),
            };
        }
        let refused = Trouble::new(
            Reason::NamespaceNotAllowed,
            "The platform does not allow this namespace.",
        );
        PlatformAccess::Unusable(Trouble {
            retry_after: Some(secs(60)),
            ..refused
        })
    }

    fn policy(&mut self, play: &Play<'_>, op: usize, object: &Object) -> Policy {
        let last = self.platform.next_job - secs(self.setup.job_every);
        let ran = Some(last).filter(|at| *at > setup::START);
        let runs = JobRuns {
            requested: ran,
            covers: ran,
        };
        let breaker = Arc::clone(&self.operators[op].view.breaker);
        let asking = object.asking().filter(|_| play.rules.breaker);
        let deletions_blocked = asking.and_then(|asking| breaker.ledger.holds(&asking, self.setup.per_hour));
        self.operators[op].count_due |= deletions_blocked.is_some();
        let settings = Policy {
            leads_job: runs,
            trunks_job: runs,
            deletions_blocked,
            ..self.settings()
        };
        settings.with_pace(self.now, &object.record(), |own, deadline| {
            self.slowest_create(play.rules, op, own, deadline)
        })
    }

    /// Returns the policy that the platform object sets.
    fn settings(&self) -> Policy {
        Policy {
            create_grace: secs(self.setup.grace),
            task_deadline: secs(self.setup.deadline),
            ..Policy::default()
        }
    }

    /// Returns the slowest create, as the operator finds it in the statuses of all services of a platform.
    fn slowest_create(
        &self,
        rules: &Rules,
        op: usize,
        own: &OperationId,
        deadline: Duration,
    ) -> Option<Duration> {
        let services = self.operators[op].view.objects[..LEAD].iter().flatten();
        let slowest = slowest_create(
            self.now,
            own,
            deadline,
            services.filter_map(|object| object.status.operation.as_ref()),
        );
        if rules.pace { slowest } else { Some(Duration::ZERO) }
    }

    pub(crate) fn target(&self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> Target {
        let spec = &object.spec;
        let tenant = setup::tenant(self.setup.tenant_of(slot));
        if slot == LEAD {
            let said = lead::LeadSpec {
                deleting: object.deleting.is_some(),
                suspended: spec.suspend,
                tenant: Ok(tenant),
                consentless: Some("Contoso".into()),
                channel: None,
                deletion_policy: spec.policy,
                served: false,
            };
            return Target::Lead(said.target(None));
        }
        let said = service::ServiceSpec {
            deleting: object.deleting.is_some(),
            suspended: spec.suspend,
            // An object under deletion keeps the tenant that its status names.
            tenant: if spec.refused && object.deleting.is_none() {
                Err(Trouble::new(Reason::InvalidSpec, "The spec breaks a rule."))
            } else {
                Ok(tenant)
            },
            parameters: ServiceParameters::new(
                ShortName::as_written(self.setup.name_of(slot)),
                setup::full_name(spec.full_name),
            ),
            mode: spec.mode,
            adoption: spec.adoption,
            recreate: spec.recreate,
            beside_direct_routing: spec.beside,
            deletion_policy: spec.policy,
            guard_numbers: true,
            missing: None,
        };
        let rival = || match self.rival(play, op, slot, object)? {
            Contest::Lost(uid) => Some(format!("object {uid}")),
            Contest::Won | Contest::Open(_) => None,
        };
        let neighbour = |other: &Arc<Object>| Neighbour {
            deleting: other.deleting.is_some(),
            guid: other.status.guid,
        };
        Target::Service(said.target(rival(), || {
            self.neighbour(op, slot).into_iter().map(neighbour).collect()
        }))
    }

    /// Returns the other service object, as this replica sees it, when it has the same tenant or short name.
    fn neighbour(&self, op: usize, slot: usize) -> Option<&Arc<Object>> {
        let other = 1 - slot;
        let same_tenant = self.setup.tenant_of(other) == self.setup.tenant_of(slot);
        let same_name = fold_case(self.setup.name_of(other)) == fold_case(self.setup.name_of(slot));
        self.operators[op].view.objects[other]
            .as_ref()
            .filter(|_| same_tenant || same_name)
    }

    /// Judges the contest with another object of the same tenant or short name, as this replica sees it.
    /// `None` when there is none, or this object wins.
    pub(crate) fn rival(
        &self,
        play: &Play<'_>,
        op: usize,
        slot: usize,
        object: &Object,
    ) -> Option<Contest<u32>> {
        let other = 1 - slot;
        let heeded = play.rules.rivals && (play.rules.places || !self.setup.two_names);
        let theirs = self.neighbour(op, slot).filter(|_| heeded)?;
        let able = |able: bool| able || !play.rules.able;
        // The part of a spec that can't be followed is an invalid tenant.
        let spec = ContestSpec {
            going: theirs.deleting.is_some() && play.rules.able,
            suspended: theirs.spec.suspend && play.rules.able,
            applies: able(theirs.spec.mode == Mode::Apply),
            has_tenant: able(!theirs.spec.refused),
            short_name: Some((self.setup.name_of(other), ShortNameRule::Portal)),
        };
        // The record with this process's own requests for the object added: a record may have been removed a
        // moment ago.
        let record = |slot: usize, object: &Object| {
            let mut record = object.record();
            let memory = self.operators[op]
                .remembers(slot, object.uid)
                .filter(|memory| play.rules.memory && memory.waits_for_outcome());
            memory.into_iter().for_each(|memory| memory.remind(&mut record));
            record
        };
        let (own, of_other) = (record(slot, object), record(other, theirs));
        let candidate = Contender {
            object: theirs.uid,
            record: &of_other,
            spec,
            age: (theirs.created, theirs.uid),
        };
        let access = |_: &u32| {
            if able(self.allowed[other]) {
                Access::May
            } else {
                Access::MayNot
            }
        };
        let grace = || {
            self.settings()
                .longest_grace(|own, deadline| self.slowest_create(play.rules, op, own, deadline))
        };
        let contest = competition::of_service(
            self.now,
            (&own, &(object.created, object.uid)),
            [candidate].into_iter(),
            access,
            grace,
        );
        Some(contest).filter(|contest| *contest != Contest::Won)
    }
}

//! Passes over objects, step by step, with the real driver and the real decisions.

use std::sync::Arc;

use oc_domain::competition::{self, Access, Contender, Contest, ContestSpec};
use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query, Step};
use oc_domain::facts::{Fact, Facts, ObjectState, ServicesView};
use oc_domain::lead;
use oc_domain::model::LcCustomerAnswer;
use oc_domain::names::ShortName;
use oc_domain::names::{ShortNameRule, fold_case};
use oc_domain::pass::{Pass, PassEnd};
use oc_domain::policy::{JobRuns, PlatformAccess, Policy, slowest_create};
use oc_domain::record::{OperationId, OperationKind, Outcome, Record};
use oc_domain::requests::{ServiceParameters, SipConnection};
use oc_domain::service::{self, Mode, Neighbour};
use oc_domain::time::{Duration, Time};
use oc_domain::timing;

use crate::cluster::{Object, Status, Unwritten};
use crate::operator::{NEVER, Running, State, Target};
use crate::setup::{self, LEAD, SLOTS, secs};
use crate::world::{Late, Play, Rules, World};

/// What becomes of the next write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// It is made.
    Fine,
    /// It is not made.
    Refused,
    /// It is made, and the answer is lost.
    Lost,
    /// If it is an intent, it is not even tried: there is no room for its request at the platform.
    NoRoom,
}

/// What becomes of the next change at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// It is executed, and answered.
    Fine,
    /// The answer is lost, and it is executed after so many seconds.
    LostDone(u64),
    /// The answer is lost, and it is never executed.
    LostNotDone,
    /// It never left.
    NotSent,
    /// The platform says no.
    Refused,
}

impl World {
    /// Begins a pass of a replica over an object, as far as it has seen it.
    pub fn begin(&mut self, play: &mut Play<'_>, op: usize, slot: usize) {
        let Some(object) = self.operators[op].view.objects[slot].clone() else {
            self.operators[op].due[slot] = NEVER;
            return;
        };
        self.operators[op].due[slot] = NEVER;
        if !play.rules.backs_off {
            self.operators[op].memory(slot, object.uid).failures = 0;
        }
        let facts = self.facts(play, op, slot, &object);
        let target = self.target(play, op, slot, &object);
        if !play.rules.memory {
            let memory = self.operators[op].memory(slot, object.uid);
            (memory.asked, memory.guid) = (None, None);
        }
        let mut record = object.record();
        if let Some(op) = record
            .operation
            .as_mut()
            .filter(|_| play.rules.strange_words_end && object.strange_word)
        {
            op.end(Outcome::Unknown, self.now);
        }
        let pass = Pass::begin(record, facts, self.operators[op].memory(slot, object.uid));
        play.trail.note(self.now, || {
            format!(
                "operator {op} looks at object {} (version {})",
                object.uid, object.version
            )
        });
        let place = self.platform.here;
        self.operators[op].passes[slot] = Some(Running {
            pass,
            target,
            object,
            place,
        });
    }

    fn facts(&mut self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> Facts {
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

    /// What the platform object says.
    fn settings(&self) -> Policy {
        Policy {
            create_grace: secs(self.setup.grace),
            task_deadline: secs(self.setup.deadline),
            ..Policy::default()
        }
    }

    /// As the operator finds it in the statuses of all services of a platform.
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

    fn target(&self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> Target {
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
            };
            return Target::Lead(said.target(None));
        }
        let said = service::ServiceSpec {
            deleting: object.deleting.is_some(),
            suspended: spec.suspend,
            // One that is going stands for the tenant that its status names.
            tenant: if spec.refused && object.deleting.is_none() {
                Err(Trouble::new(Reason::InvalidSpec, "The spec breaks a rule."))
            } else {
                Ok(tenant)
            },
            parameters: ServiceParameters {
                short_name: ShortName::as_written(self.setup.name_of(slot)),
                full_name: setup::full_name(spec.full_name),
                lc_customer: None,
                channel: None,
                connection: SipConnection::Tenant,
            },
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
            guid: other.status.guid.clone(),
        };
        Target::Service(said.target(rival(), || {
            self.neighbour(op, slot).into_iter().map(neighbour).collect()
        }))
    }

    /// The other service object, as far as this replica has seen, when it has the same tenant or short name.
    fn neighbour(&self, op: usize, slot: usize) -> Option<&Arc<Object>> {
        let other = 1 - slot;
        let same_tenant = self.setup.tenant_of(other) == self.setup.tenant_of(slot);
        let same_name = fold_case(self.setup.name_of(other)) == fold_case(self.setup.name_of(slot));
        self.operators[op].view.objects[other]
            .as_ref()
            .filter(|_| same_tenant || same_name)
    }

    /// Another object with the same tenant or short name that comes first, as far as this replica has seen.
    fn rival(&self, play: &Play<'_>, op: usize, slot: usize, object: &Object) -> Option<Contest<u32>> {
        let other = 1 - slot;
        let heeded = play.rules.rivals && (play.rules.places || !self.setup.two_names);
        let theirs = self.neighbour(op, slot).filter(|_| heeded)?;
        let able = |able: bool| able || !play.rules.able;
        // What can't be followed in a spec is a tenant that is none.
        let spec = ContestSpec {
            going: theirs.deleting.is_some() && play.rules.able,
            suspended: theirs.spec.suspend && play.rules.able,
            applies: able(theirs.spec.mode == Mode::Apply),
            has_tenant: able(!theirs.spec.refused),
            short_name: Some((self.setup.name_of(other), ShortNameRule::Portal)),
        };
        // With what this process has asked for it: what says so may have been taken off a moment ago.
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

    /// The next step of a pass.
    pub fn step(&mut self, play: &mut Play<'_>, op: usize, slot: usize, write: Write, ask: Ask) {
        let Some(mut running) = self.operators[op].passes[slot].take() else {
            return;
        };
        let now = self.now;
        let decide = |now: Time, record: &Record, facts: &Facts| match &running.target {
            Target::Service(target) => (play.rules.decide)(now, target, record, facts),
            Target::Lead(target) => (play.rules.lead)(now, target, record, facts),
        };
        let decision = running.pass.next(now, decide);
        play.trail.note(now, || {
            format!(
                "operator {op}, object {}: {:?} ({})",
                running.object.uid, decision.step, decision.why
            )
        });
        self.judge(play, &running, &decision);
        let over = match decision.step.clone() {
            Step::Observe(query, not_before) => {
                self.look(
                    play.rules,
                    op,
                    slot,
                    &query,
                    not_before,
                    &decision.record,
                    &mut running.pass.facts,
                    running.place,
                );
                running.pass.facts.belief = self.belief(play.rules, op, &running);
                running.pass.looked(decision);
                None
            }
            Step::PatchMetadata(Mark::RecordIntent { .. }) if write == Write::NoRoom => {
                self.counts.held_back += 1;
                running
                    .pass
                    .held_back(Trouble::new(Reason::Throttled, "There is no room."));
                None
            }
            Step::PatchMetadata(mark) => {
                match self.keep(play, op, slot, &mut running, &mark, &decision, write) {
                    Ok(intent) => {
                        if mark == Mark::RemoveFinalizer {
                            *self.operators[op].memory(slot, running.object.uid) = Default::default();
                            return;
                        }
                        running.pass.kept(&mark, decision, intent);
                        None
                    }
                    Err(failed) => {
                        if matches!(failed, Failed::Dropped) {
                            running.pass.dropped(&mark);
                        }
                        Some((self.unkept(play, op, slot, &running, decision, &failed), failed))
                    }
                }
            }
            Step::Execute(change) => {
                let answer = self.ask(play, op, slot, &running, &change, ask);
                play.trail.note(now, || {
                    format!("operator {op}, object {}: answer {answer:?}", running.object.uid)
                });
                running.pass.answered(change, decision, answer);
                None
            }
            Step::Wait(until, _) | Step::Idle(until) | Step::Blocked(until) => {
                let written = if decision.hold {
                    Ok(())
                } else {
                    self.say(play, op, slot, &running, &decision, write)
                };
                match written {
                    Ok(()) => {
                        self.ended(play.rules, op, slot, &running, &decision, until);
                        return;
                    }
                    Err(failed) => Some((decision, failed)),
                }
            }
        };
        match over {
            None => self.operators[op].passes[slot] = Some(running),
            Some((decision, failed)) => self.unwritten(op, slot, &running, &decision, failed),
        }
    }

    /// A pass has come to its end, and its status is written.
    fn ended(
        &mut self,
        rules: &Rules,
        op: usize,
        slot: usize,
        running: &Running,
        decision: &Decision,
        until: Time,
    ) {
        let (now, read) = (self.now, running.pass.facts.lists_read().unwrap_or(self.now));
        let operator = &mut self.operators[op];
        let memory = operator.memory(slot, running.object.uid);
        running.pass.remember(memory, decision, PassEnd::Well);
        let waits = memory.waits_for_whole_lists;
        operator.not_whole[slot] = Some(read).filter(|_| !operator.inventory[running.place].whole());
        // A list that became whole while the pass went on woke everybody who was known to wait for that.
        let meanwhile = rules.wakes_waiting && waits && operator.inventory[running.place].whole_since(read);
        self.appoint(op, slot, if meanwhile { now } else { until });
    }

    pub(crate) fn appoint(&mut self, op: usize, slot: usize, at: Time) {
        let due = &mut self.operators[op].due[slot];
        *due = at.min(*due);
    }

    fn unwritten(&mut self, op: usize, slot: usize, running: &Running, decision: &Decision, failed: Failed) {
        let (now, pass) = (self.now, &running.pass);
        let memory = self.operators[op].memory(slot, running.object.uid);
        match failed {
            Failed::Unwritten(Unwritten::Changed) => {
                pass.remember(memory, decision, PassEnd::Conflict);
                let at = timing::after_conflict(now, memory.conflicts);
                self.counts.conflicts += 1;
                self.read_anew(op, slot);
                self.appoint(op, slot, at);
            }
            Failed::Unwritten(Unwritten::Gone) => *memory = Default::default(),
            Failed::Refused | Failed::Dropped | Failed::Unanswered => {
                pass.remember(memory, decision, PassEnd::Unwritten);
                let at = timing::next_try(now, memory.failures, None);
                if matches!(failed, Failed::Unanswered) {
                    self.read_anew(op, slot);
                }
                self.appoint(op, slot, at);
            }
        }
    }

    fn read_anew(&mut self, op: usize, slot: usize) {
        // What the object has now may concern those that want the same.
        let concerns =
            |object: &Option<Arc<Object>>| object.as_ref().map(|object| (object.holds(), object.generation));
        if concerns(&self.operators[op].view.objects[slot]) != concerns(&self.cluster.now.objects[slot]) {
            let now = self.now;
            self.operators[op].wake(now);
        }
        self.operators[op].view.objects[slot].clone_from(&self.cluster.now.objects[slot]);
    }

    /// The API server did not take a mark: the object says so, if its status can be written.
    fn unkept(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        decision: Decision,
        failed: &Failed,
    ) -> Decision {
        if !matches!(failed, Failed::Refused | Failed::Dropped) {
            return decision;
        }
        let told = running.pass.unkept(
            self.now,
            decision,
            &Trouble::new(Reason::ProgressingWithRetry, "The API server does not take it."),
        );
        let _said = self.say(play, op, slot, running, &told, Write::Fine);
        told
    }

    /// Whether the API server refuses what is written now. Whoever tries again and again, as often as at first, is a burden.
    fn refuses(&mut self, play: &mut Play<'_>) -> bool {
        let refuses = self.now < self.cluster.refuses_until;
        if refuses {
            self.refused += 1;
            // Pauses that double up to five minutes make some twenty tries of each object in the longest of these times, of two writes each; a restart and a
            // changed spec begin anew.
            if self.refused > 400 + 40 * (self.counts.crashes + self.counts.elections) {
                self.breaks(play, "L6: a refused write is tried again and again");
            }
        }
        refuses
    }

    #[allow(clippy::too_many_arguments, reason = "everything that a read depends on")]
    fn look(
        &mut self,
        rules: &Rules,
        op: usize,
        slot: usize,
        query: &Query,
        not_before: Time,
        record: &Record,
        facts: &mut Facts,
        place: usize,
    ) {
        let now = self.now;
        let away = self.platform.unreachable(now);
        let old = |at: Option<Time>| at.is_none_or(|at| at < not_before);
        match query {
            Query::Services => {
                if old(self.operators[op].inventory[place]
                    .services
                    .as_ref()
                    .map(|(at, _)| *at))
                {
                    if let Some(trouble) = away {
                        return facts.services = Fact::Unreadable(trouble);
                    }
                    self.counts.reads += 1;
                    self.list_services(rules, op, place);
                }
                facts.services = self.view(op, slot, record, place);
            }
            Query::Leads => {
                if old(self.operators[op].inventory[place]
                    .leads
                    .as_ref()
                    .map(|(at, _)| *at))
                {
                    if let Some(trouble) = away {
                        return facts.leads = Fact::Unreadable(trouble);
                    }
                    self.counts.reads += 1;
                    self.list_leads(rules, op, place);
                }
                let Some((at, leads)) = self.operators[op].inventory[place].leads.clone() else {
                    return;
                };
                let tenant = setup::tenant(self.setup.tenant_of(slot));
                facts.leads = Fact::Known {
                    value: leads.view(&tenant),
                    at,
                };
            }
            Query::LeadsOfTenant => {
                self.counts.reads += 1;
                let tenant = setup::tenant(self.setup.tenant_of(slot));
                facts.leads = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.leads_of(&self.setup, now, place, &tenant),
                        at: now,
                    },
                };
            }
            Query::Task(id) => {
                self.counts.reads += 1;
                facts.task = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.task(&self.setup, now, id, place),
                        at: now,
                    },
                };
            }
            Query::LcCustomer(_) => {
                facts.lc_customer = Fact::Known {
                    value: LcCustomerAnswer::NoSuchCall,
                    at: now,
                }
            }
            Query::Numbers(_) => {
                facts.numbers = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.numbers(now),
                        at: now,
                    },
                }
            }
        }
    }

    fn view(&self, op: usize, slot: usize, record: &Record, place: usize) -> Fact<ServicesView> {
        let Some((at, listed)) = self.operators[op].inventory[place].services.clone() else {
            return Fact::Unread;
        };
        let tenant = setup::tenant(self.setup.tenant_of(slot));
        let named = fold_case(self.setup.name_of(slot));
        let all = |keep: &dyn Fn(&oc_domain::model::Service) -> bool| {
            listed
                .services
                .iter()
                .filter(|service| keep(service))
                .cloned()
                .collect::<Vec<_>>()
        };
        let value = ServicesView {
            by_tenant: all(&|service| service.tenant.as_ref() == Some(&tenant)),
            by_guid: listed
                .services
                .iter()
                .find(|service| record.guid.as_ref() == Some(&service.guid))
                .cloned(),
            by_name: if slot == LEAD {
                Vec::new()
            } else {
                all(&|service| fold_case(&service.short_name) == named)
            },
            complete: listed.complete,
        };
        Fact::Known { value, at }
    }

    #[allow(clippy::too_many_arguments, reason = "everything that a write depends on")]
    fn keep(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &mut Running,
        mark: &Mark,
        decision: &Decision,
        fate: Write,
    ) -> Result<Option<oc_domain::record::Intent>, Failed> {
        // What was read at a place that the platform object does not name any more is not recorded.
        if running.place != self.platform.here {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        if fate == Write::Refused || self.refuses(play) {
            return Err(Failed::Refused);
        }
        let creates = matches!(
            mark,
            Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }
        );
        if creates
            && slot != LEAD
            && (!self.allowed[slot] || self.rival(play, op, slot, &running.object).is_some())
        {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        let id = self.cluster.draw();
        if matches!(mark, Mark::RecordIntent { .. }) {
            running.pass.draws(id.clone());
        }
        let marked = self
            .cluster
            .mark(
                slot,
                &running.object,
                play.rules.versions,
                mark,
                &decision.record,
                id,
            )
            .map_err(Failed::Unwritten)?;
        self.counts.writes += 1;
        self.judge_mark(play, slot, &marked.written, mark, &decision.record);
        if fate == Write::Lost {
            return Err(Failed::Unanswered);
        }
        self.own_write(op, slot, &marked.written);
        if marked.dropped && play.rules.reads_answers {
            return Err(Failed::Dropped);
        }
        running.object = marked.written;
        Ok(marked.intent)
    }

    fn say(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        decision: &Decision,
        fate: Write,
    ) -> Result<(), Failed> {
        if running.place != self.platform.here && running.pass.asked.is_none() {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        let status = Status::of(decision, running.object.generation);
        if status == running.object.status {
            // What this pass would say is said, of the version that it knows. The watch may have brought another one meanwhile.
            let known = self.operators[op].view.objects[slot]
                .as_ref()
                .is_none_or(|object| object.version == running.object.version);
            return if known {
                Ok(())
            } else {
                Err(Failed::Unwritten(Unwritten::Changed))
            };
        }
        if fate == Write::Refused || self.refuses(play) {
            return Err(Failed::Refused);
        }
        let operation = status.operation.clone();
        let written = match self
            .cluster
            .say(slot, &running.object, play.rules.versions, status)
        {
            Ok(written) => written,
            Err(failed) => {
                if running.pass.sent() && failed == Unwritten::Changed {
                    self.cluster.say_operation(slot, &running.object, operation);
                }
                return Err(Failed::Unwritten(failed));
            }
        };
        self.counts.writes += 1;
        play.trail.note(self.now, || {
            format!(
                "operator {op}, object {}: says {:?}: {}",
                written.uid,
                written.status.ready(),
                decision.verdict.message
            )
        });
        self.judge_status(play, slot, &written, running.object.deleting.is_some());
        if fate == Write::Lost {
            return Err(Failed::Unanswered);
        }
        self.own_write(op, slot, &written);
        let blocked = matches!(&running.pass.facts.connection, PlatformAccess::Usable(policy) if policy.deletions_blocked.is_some());
        let given_up = running.object.status.license.is_some() && written.status.license.is_none();
        self.operators[op].count_due |= blocked || given_up;
        Ok(())
    }

    /// What this replica wrote it knows at once.
    fn own_write(&mut self, op: usize, slot: usize, written: &Arc<Object>) {
        let still_there = self.cluster.now.objects[slot].is_some();
        // An object that has something, or may have asked for it, or does no more, wakes those that want the same.
        let turned = self.operators[op].view.objects[slot]
            .as_ref()
            .is_some_and(|before| before.holds() != written.holds());
        self.operators[op].view.objects[slot] = if still_there {
            Some(Arc::clone(written))
        } else {
            None
        };
        if !still_there || turned {
            (0..SLOTS)
                .filter(|other| *other != slot)
                .for_each(|other| self.appoint(op, other, self.now));
            self.operators[op].count_due = true;
        }
    }

    fn ask(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        change: &Change,
        fate: Ask,
    ) -> ChangeResult {
        let now = self.now;
        let trouble = |reason, words: &str| Trouble::new(reason, words);
        if play.rules.lease && !self.leads(op) {
            return ChangeResult::NotSent(trouble(Reason::Progressing, "This replica does not lead."));
        }
        self.judge_lease(play, op);
        if running.place != self.platform.here {
            return ChangeResult::NotSent(trouble(
                Reason::ProgressingWithRetry,
                "The platform object names another place by now.",
            ));
        }
        if let Some(away) = self.platform.unreachable(now) {
            return ChangeResult::NotSent(away);
        }
        if now < self.platform.throttled_until {
            return ChangeResult::NotSent(trouble(
                Reason::Throttled,
                "The platform asks for fewer requests.",
            ));
        }
        self.counts.asks += 1;
        let recreate = running.object.spec.recreate;
        let mut request = Late {
            at: now,
            slot,
            uid: running.object.uid,
            change: change.clone(),
            recreate,
            deleted: running.object.deleting,
            place: running.place,
        };
        self.judge_change(play, running, change);
        match fate {
            Ask::NotSent => ChangeResult::NotSent(trouble(
                Reason::PlatformUnavailable,
                "The connection could not be made.",
            )),
            Ask::Refused => ChangeResult::Rejected(trouble(Reason::PlatformRefused, "The platform says no.")),
            Ask::LostNotDone => {
                self.counts.lost += 1;
                ChangeResult::Unknown(trouble(Reason::PlatformUnavailable, "The answer was lost."))
            }
            Ask::LostDone(seconds) => {
                self.counts.lost += 1;
                if seconds == 0 {
                    self.execute(play, &request);
                } else {
                    request.at = now + secs(seconds);
                    self.late.push(request);
                }
                ChangeResult::Unknown(trouble(Reason::PlatformUnavailable, "The answer was lost."))
            }
            Ask::Fine => self.execute(play, &request),
        }
    }

    /// Whether a replica takes steps of its passes.
    pub fn can_step(&self, op: usize) -> bool {
        self.operators[op].moves() && self.operators[op].busy()
    }

    /// An object that a replica could begin a pass over.
    pub fn can_begin(&self, op: usize, slot: usize) -> bool {
        let operator = &self.operators[op];
        operator.state == State::Up
            && self.leads(op)
            && operator.passes[slot].is_none()
            && operator.due[slot] <= self.now
    }
}

/// Why a pass could not write.
pub(crate) enum Failed {
    /// The API server said why.
    Unwritten(Unwritten),
    /// It did not take it.
    Refused,
    /// It took it, and not whole.
    Dropped,
    /// Its answer was lost.
    Unanswered,
}

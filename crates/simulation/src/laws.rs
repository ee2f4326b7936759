//! The laws of docs/design/laws.md, held after each step, each change at the platform, and at the end.

use std::sync::Arc;

use oc_domain::conditions::{Condition, ConditionStatus, Reason};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query, Step};
use oc_domain::facts::{DeletionPolicy, Fact, LeadsRead, Numbers};
use oc_domain::names::{CustomerGuid, fold_case};
use oc_domain::record::{OperationKind, Outcome, Record};
use oc_domain::service::{Adoption, Mode, ServiceTarget};
use oc_domain::time::Time;

use crate::cluster::Object;
use crate::operator::{Running, Target};
use crate::platform::{Made, Maker};
use crate::setup::{LEAD, SLOTS, START, is_direct_routing, secs};
use crate::world::{Late, Play, World};

/// The first rule that a set of conditions breaks.
fn broken_rule(conditions: &[Condition]) -> Option<String> {
    let reasons: Vec<String> = conditions
        .iter()
        .map(|condition| condition.reason.to_string())
        .collect();
    let shown = conditions.iter().zip(&reasons);
    let shown = shown.map(|(of, reason)| status_rules::Condition {
        kind: of.kind,
        truth: of.truth.as_str(),
        reason,
        message: &of.message,
    });
    status_rules::violations(&shown.collect::<Vec<_>>())
        .into_iter()
        .next()
}

impl World {
    fn own(&self, uid: u32, guid: &CustomerGuid) -> bool {
        self.platform.maker(guid) == Some(Maker::Object(uid)) || self.adopted.contains(&(uid, guid.clone()))
    }

    fn own_or_excused(&self, uid: u32, guid: &CustomerGuid) -> bool {
        self.own(uid, guid) || self.excused.contains(&(uid, guid.clone()))
    }

    /// Holds one decision to the laws.
    pub(crate) fn judge(&mut self, play: &mut Play<'_>, running: &Running, decision: &Decision) {
        if let Some(bug) = &running.pass.bug {
            let bug = bug.split(" (").next().unwrap_or_default().to_owned();
            self.breaks(play, format!("order: {bug}"));
        }
        if let Some(rule) = broken_rule(&decision.verdict.conditions()) {
            self.breaks(play, format!("L9: {rule}"));
        }
        if let Target::Service(target) = &running.target {
            let again = (play.rules.decide)(self.now, target, &running.pass.record, &running.pass.facts);
            if running.pass.bug.is_none() && again != *decision {
                self.breaks(play, "L9: equal inputs, another decision");
            }
        }
        if decision.verdict.reason == Reason::LeadNotFound
            && running.pass.facts.pass_started >= START + secs(self.setup.lead_from)
        {
            self.breaks(play, "a lead that is there is said to be missing");
        }
        match &decision.step {
            Step::Observe(query, not_before) if !tells_something(running, query, *not_before) => {
                self.breaks(play, format!("a look that tells nothing new: {query:?}"));
            }
            Step::PatchMetadata(Mark::RecordIntent { kind, .. }) if self.too_soon(running, *kind) => {
                self.breaks(play, "what failed is tried again too soon, and nobody asked");
            }
            _ => {}
        }
    }

    /// What failed or was refused is begun again after an hour, because somebody asked, or because the spec is another one than the one that failed.
    fn too_soon(&self, running: &Running, kind: OperationKind) -> bool {
        let record = &running.pass.record;
        let ended = record
            .operation
            .as_ref()
            .filter(|op| op.kind == kind && matches!(op.ended(), Some(Outcome::Failed | Outcome::Refused)));
        let early = ended.is_some_and(|op| op.completed.is_some_and(|at| self.now < at + secs(3600)));
        let changed = ended.is_some_and(|op| op.generation.is_some_and(|of| of != running.object.generation));
        early && !changed && !running.pass.facts.retry_now && record.open_intent().is_none()
    }

    /// Holds a change to the laws, when it leaves.
    pub(crate) fn judge_change(&mut self, play: &mut Play<'_>, running: &Running, change: &Change) {
        let facts = &running.pass.facts;
        if let Change::CreateService(_) = change {
            let seen = facts.services.since(facts.pass_started);
            let looked =
                seen.is_some_and(|view| view.by_tenant.iter().all(is_direct_routing) && view.complete);
            if !looked {
                self.breaks(
                    play,
                    "L1: a create without a look of this pass that found none in a whole list",
                );
            }
            if seen.is_some_and(|view| view.by_tenant.iter().any(is_direct_routing))
                && !running.object.spec.beside
            {
                self.breaks(
                    play,
                    "L1: a create beside a Direct Routing service that the spec does not ask for",
                );
            }
            if !matches!(&running.target, Target::Service(ServiceTarget::Present(desired)) if desired.mode == Mode::Apply)
            {
                self.breaks(play, "a create that the spec does not ask for");
            }
        }
        if matches!(change, Change::DeleteService(_) | Change::DeleteLead(_))
            && (running.object.deleting.is_none() || running.object.spec.policy == DeletionPolicy::Retain)
        {
            self.breaks(play, "L2: something is deleted that should be retained");
        }
        // When it was looked for: a pass can be held up for long between that and its request.
        let looked = if let Fact::Known { at, .. } = &facts.leads {
            *at
        } else {
            self.now
        };
        if matches!(change, Change::CreateLead(_)) && self.lead_shows(looked) {
            self.breaks(play, "a lead is made that is there");
        }
        if matches!(change, Change::DeleteService(_))
            && facts.numbers.since(facts.pass_started) != Some(&Numbers::Count(0))
        {
            self.breaks(
                play,
                "L2: a service is deleted, and nobody has told that its tenant has no telephone numbers",
            );
        }
        if let Change::CreateService(_)
        | Change::DeleteService(_)
        | Change::CreateLead(_)
        | Change::DeleteLead(_) = change
        {
            let kind = oc_domain::transitions::needs(change);
            // The version that this pass wrote, wherever the object has got to since: the intent was on it when the request left.
            let recorded =
                running.object.finalizer && running.object.intent.as_ref().map(|intent| intent.kind) == kind;
            if !recorded {
                self.breaks(play, "L1: a change without a recorded intent");
            }
        }
    }

    /// Two replicas that both may act.
    pub(crate) fn judge_lease(&mut self, play: &mut Play<'_>, op: usize) {
        if !self.leads(op) {
            self.breaks(play, "L3: a change without a valid lease");
        }
    }

    /// A request is executed at the platform.
    pub(crate) fn execute(&mut self, play: &mut Play<'_>, late: &Late) -> ChangeResult {
        // A request that was on its way is executed when it arrives, however far the clock has jumped meanwhile.
        let (now, setup) = (late.at, Arc::clone(&self.setup));
        let tenant = setup.tenant_of(late.slot);
        match &late.change {
            Change::CreateService(_) => {
                let person = self
                    .platform
                    .alive_at(tenant, late.place)
                    .any(|made| made.by == Maker::Person);
                let there = self.platform.alive_at(tenant, late.place).next().is_some()
                    || self.platform.converting(tenant, late.place);
                // What an object has at another place it has, whatever the platform at this one shows.
                let own = |made: &Made| {
                    made.place != late.place
                        && made.removed.is_none()
                        && self.own(late.uid, &made.service.guid)
                };
                let elsewhere =
                    self.platform.made.iter().any(own) || (self.platform.converting_for(late.uid));
                if !person && (there || elsewhere) {
                    self.breaks(play, "L1: a second service is made for the tenant");
                }
                if self.removed.contains(&late.uid) && !late.recreate {
                    self.breaks(
                        play,
                        "a service that somebody removed is made again without spec.recreate",
                    );
                }
                self.counts.creates += 1;
                self.platform.create(
                    &setup,
                    now,
                    late.place,
                    tenant,
                    setup.name_of(late.slot),
                    late.uid,
                )
            }
            Change::DeleteService(guid) => {
                if !self.own_or_excused(late.uid, guid) {
                    self.breaks(
                        play,
                        "L2: a service is deleted that this object neither made nor took over",
                    );
                }
                self.deleted(play, late);
                self.platform.delete(now, late.place, guid)
            }
            Change::CreateLead(_) => {
                if self.platform.consentless.0 {
                    return ChangeResult::Rejected(oc_domain::conditions::Trouble::new(
                        Reason::PlatformRefused,
                        "The lead exists.",
                    ));
                }
                self.platform.consentless = (true, now);
                ChangeResult::Done
            }
            Change::DeleteLead(_) => {
                self.deleted(play, late);
                let there = self.platform.consentless.0;
                if there {
                    self.platform.consentless = (false, now);
                }
                if there {
                    ChangeResult::Done
                } else {
                    ChangeResult::NotFound
                }
            }
            Change::AssignChannel(..) | Change::UnassignChannel(_) | Change::RunJob(_) => {
                self.breaks(play, "a change that nobody asked for");
                ChangeResult::Done
            }
        }
    }

    /// Whether the consentless lead is there, and has shown for long enough that everybody who looks for it finds it.
    fn lead_shows(&self, now: Time) -> bool {
        let (there, since) = self.platform.consentless;
        there && since + secs(self.setup.lag + 60) <= now
    }

    /// Counts a deletion, and holds the breaker to its word: of the deletions of any hour that nobody approved there are not more than it says.
    fn deleted(&mut self, play: &mut Play<'_>, late: &Late) {
        let now = self.now;
        self.counts.deletions += 1;
        if self.deletions.contains_key(&late.uid) {
            return;
        }
        let approved = late
            .deleted
            .zip(self.approved)
            .is_some_and(|(asked, approved)| asked <= approved);
        self.deletions.insert(late.uid, (now, approved));
        // An object is counted when it is granted, and may be deleted a while later: the hour is that of the grants, which the ledger keeps.
        let granted = self
            .cluster
            .now
            .breaker
            .ledger
            .granted
            .get(&late.uid.to_string())
            .copied();
        if !approved && granted.is_none() {
            self.breaks(play, "L2: a deletion that the breaker has not let through");
        }
        let hour = secs(3600);
        let grants = self
            .cluster
            .now
            .breaker
            .ledger
            .granted
            .values()
            .filter(|at| granted.is_some_and(|own| **at <= own && own < **at + hour))
            .count();
        if !approved && grants > self.setup.per_hour as usize {
            self.breaks(play, "L2: more deletions within an hour than the breaker allows");
        }
    }

    /// Holds a mark to the laws, and remembers what was taken over.
    pub(crate) fn judge_mark(
        &mut self,
        play: &mut Play<'_>,
        slot: usize,
        object: &Arc<Object>,
        mark: &Mark,
        record: &Record,
    ) {
        match mark {
            Mark::Adopt(guid) => self.adopt(play, slot, object, guid),
            Mark::RemoveFinalizer => self.left_behind(play, slot, object, record),
            Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            } if slot != LEAD => self.excuse(slot, object.uid),
            Mark::RecordIntent { .. } | Mark::AddFinalizer => {}
        }
    }

    /// While the answer to an object's create is not known, what somebody else makes (or has just made) for the same tenant under the same short name
    /// can't be told from what was asked for: the object may take it for its own.
    pub(crate) fn excuse(&mut self, slot: usize, uid: u32) {
        let (tenant, name) = (self.setup.tenant_of(slot), fold_case(self.setup.name_of(slot)));
        let same = self
            .platform
            .alive(tenant)
            .filter(|made| fold_case(&made.service.short_name) == name);
        let guids: Vec<_> = same.map(|made| (uid, made.service.guid.clone())).collect();
        self.excused.extend(guids);
    }

    fn adopt(&mut self, play: &mut Play<'_>, slot: usize, object: &Arc<Object>, guid: &CustomerGuid) {
        let Some(made) = self.platform.made.iter().find(|made| &made.service.guid == guid) else {
            return self.breaks(play, "L2: something is taken over that is not there");
        };
        if is_direct_routing(&made.service) {
            return self.breaks(play, "L2: a Direct Routing service is taken over");
        }
        let allowed = self.adoptable(slot, object, made);
        if !allowed && !self.own_or_excused(object.uid, guid) {
            self.breaks(play, "L2: a service is taken over against spec.adoption");
        }
        self.adopted.insert((object.uid, guid.clone()));
    }

    fn adoptable(&self, slot: usize, object: &Object, made: &Made) -> bool {
        let names = fold_case(&made.service.short_name) == fold_case(self.setup.name_of(slot))
            && made.service.full_name.as_deref()
                == Some(crate::setup::full_name(object.spec.full_name).as_str());
        match object.spec.adoption {
            Adoption::Always => true,
            Adoption::IfMatching => names,
            Adoption::Never => false,
        }
    }

    /// When an object goes under `Delete`, nothing that it made stays.
    fn left_behind(&mut self, play: &mut Play<'_>, slot: usize, object: &Arc<Object>, record: &Record) {
        if object.spec.policy != DeletionPolicy::Delete
            || object.spec.mode != Mode::Apply
            || object.deleting.is_none()
        {
            return;
        }
        if slot == LEAD && self.lead_shows(self.now) {
            self.breaks(play, "L2: the object is let go, and the lead is left behind");
        }
        let uid = object.uid;
        // What another object has taken over meanwhile is that one's.
        let taken = |made: &Made| {
            self.adopted
                .iter()
                .any(|(of, guid)| *of != uid && *guid == made.service.guid)
        };
        let own = |made: &&Made| made.removed.is_none() && self.own(uid, &made.service.guid) && !taken(made);
        let stays = self.platform.made.iter().any(|made| own(&made));
        let coming = slot != LEAD && self.platform.converting_for(uid);
        // After a restore without status a refused create can't be told from one whose answer was lost; and a service that was never read back and is
        // not in the record was not known to be there.
        let excused = self.excused.iter().any(|(of, _)| *of == uid) && record.guid.is_none();
        if (stays || coming) && !excused {
            self.breaks(play, "L2: the object is let go, and what it made is left behind");
        }
    }

    /// Holds a status to the laws: it calls its own only what is.
    pub(crate) fn judge_status(
        &mut self,
        play: &mut Play<'_>,
        slot: usize,
        object: &Arc<Object>,
        going: bool,
    ) {
        // What a pass over an object that it knows to be going has read back is judged when it has it deleted, and when it is let go.
        if slot == LEAD || going {
            return;
        }
        let refusal = object
            .status
            .operation
            .as_ref()
            .filter(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Refused));
        self.told_refused.extend(refusal.map(|op| op.id.0.clone()));
        let (Some(guid), Some(_)) = (object.status.guid.clone(), object.status.license.as_ref()) else {
            return;
        };
        if self.own_or_excused(object.uid, &guid) {
            return;
        }
        // While the answer to a create is not known, what somebody else makes under the same names can't be told from what was asked for.
        let refused = object
            .intent
            .as_ref()
            .is_some_and(|intent| self.told_refused.contains(&intent.id.0));
        if object.intent.is_none() || refused {
            self.breaks(play, "L2: a service of somebody else is called this object's own");
        }
        self.excused.insert((object.uid, guid));
    }

    /// Whether an object has come to rest where it belongs, given its spec and what there is: however it got there.
    pub fn settled(&self, slot: usize) -> bool {
        let Some(object) = &self.cluster.now.objects[slot] else {
            return true;
        };
        let Some((truth, reason)) = object.status.ready() else {
            return false;
        };
        if object.deleting.is_some() {
            let delete = slot != LEAD && object.spec.policy == DeletionPolicy::Delete;
            // Whose the service is can't be told: a failed task may have left it, or somebody made it.
            let failed =
                object.status.operation.as_ref().is_some_and(|op| {
                    op.kind == OperationKind::Create && op.ended() == Some(Outcome::Failed)
                });
            let blocked = reason == Reason::DeletionBlocked
                && failed
                && self.platform.alive(self.setup.tenant_of(slot)).next().is_some();
            // Two objects have taken over one service: a process had not yet seen what the one before it had written.
            let guid = object.record().guid;
            let of_both = slot != LEAD
                && guid.is_some()
                && self.cluster.now.objects[1 - slot]
                    .as_ref()
                    .is_some_and(|other| other.status.guid == guid);
            let blocked = blocked || (of_both && reason == Reason::DeletionBlocked);
            // What its task has made never showed: it was removed before anybody saw it, and nobody can tell.
            let gone = slot != LEAD
                && reason == Reason::TaskFailed
                && task_ended(object)
                && self.platform.alive(self.setup.tenant_of(slot)).next().is_none();
            let kept_out = delete
                && object.spec.mode == Mode::Apply
                && !self.allowed[slot]
                && reason == Reason::NamespaceNotAllowed;
            return gone
                || kept_out
                || delete && (blocked || reason == Reason::Suspended && object.spec.suspend);
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

    /// Whether another object that wants the same comes first: one that has its service, or has asked for it, else the older one of those that could. `None`
    /// while one of them has an intent of which nothing else tells, since that is believed for as long as the grace, and then no more.
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

    /// Whether the end calls for a person.
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
            // Somebody removed the service before it was ever seen: the task succeeded, and nothing shows.
            Reason::TaskFailed => alive.is_empty() && task_ended(object),
            _ => false,
        }
    }

    /// What must hold when everything is at rest.
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
                .map(|made| made.service.guid.clone())
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

    /// Whether every object is where it belongs, and nothing is on its way.
    pub fn at_rest(&self) -> bool {
        let taken = self.now >= self.cluster.refuses_until;
        taken
            && self.late.is_empty()
            && (0..SLOTS).all(|slot| self.settled(slot))
            && self.platform.next_moment().is_none()
    }
}

/// Whether the object's task is told to have ended, and not by a failure.
fn task_ended(object: &Object) -> bool {
    let word = object
        .status
        .operation
        .as_ref()
        .and_then(|op| op.task_status.as_deref());
    matches!(word, Some("CompletedSuccess" | "CompletedWithErrors"))
}

fn tells_something(running: &Running, query: &Query, not_before: Time) -> bool {
    fn open<T>(fact: &Fact<T>, not_before: Time) -> bool {
        match fact {
            Fact::Unread => true,
            Fact::Known { at, .. } => *at < not_before,
            Fact::Unreadable(_) => false,
        }
    }
    let facts = &running.pass.facts;
    match query {
        Query::Services => open(&facts.services, not_before),
        Query::Leads => open(&facts.leads, not_before),
        Query::LeadsOfTenant => facts
            .leads
            .value()
            .is_some_and(|view| view.read != LeadsRead::OfTenant),
        Query::Task(_) => open(&facts.task, not_before),
        Query::LcCustomer(_) => open(&facts.lc_customer, not_before),
        Query::Numbers(_) => open(&facts.numbers, not_before),
    }
}

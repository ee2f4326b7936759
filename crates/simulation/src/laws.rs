//! The laws of docs/design/laws.md, checked after each step, at each change at the platform, and at the end.

use std::sync::Arc;

use oc_domain::conditions::{Condition, Reason};
use oc_domain::decision::{Change, Decision, Mark, Step};
use oc_domain::facts::{DeletionPolicy, Fact, Numbers};
use oc_domain::names::{CustomerGuid, fold_case};
use oc_domain::record::{OperationKind, Outcome, Record};
use oc_domain::service::{Adoption, Mode, ServiceTarget};

use crate::cluster::Object;
use crate::operator::{Running, Target};
use crate::platform::{Made, Maker};
use crate::setup::{LEAD, START, is_direct_routing, secs};
use crate::world::{Play, World};

/// Returns the first rule that a set of conditions breaks.
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
    pub(crate) fn own(&self, uid: u32, guid: &CustomerGuid) -> bool {
        self.platform.maker(guid) == Some(Maker::Object(uid)) || self.adopted.contains(&(uid, *guid))
    }

    pub(crate) fn own_or_excused(&self, uid: u32, guid: &CustomerGuid) -> bool {
        self.own(uid, guid) || self.excused.contains(&(uid, *guid))
    }

    /// Checks one decision against the laws.
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
            Step::Observe(query, not_before) if !running.pass.facts.lacks(query, *not_before) => {
                self.breaks(play, format!("a look that tells nothing new: {query:?}"));
            }
            Step::PatchMetadata(Mark::RecordIntent { kind, .. }) if self.too_soon(running, *kind) => {
                self.breaks(play, "what failed is tried again too soon, and nobody asked");
            }
            _ => {}
        }
    }

    /// Whether a failed or refused operation starts again too soon. Allowed are: after an hour, on request,
    /// or with a spec other than the one that failed.
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

    /// Checks a change against the laws when its request is sent.
    pub(crate) fn judge_change(&mut self, play: &mut Play<'_>, running: &Running, change: &Change) {
        let facts = &running.pass.facts;
        if let Change::CreateService(_) = change {
            self.judge_create(play, running);
        }
        if matches!(change, Change::DeleteService(_) | Change::DeleteLead(_))
            && (running.object.deleting.is_none() || running.object.spec.policy == DeletionPolicy::Retain)
        {
            self.breaks(play, "L2: something is deleted that should be retained");
        }
        // The time of the look: a pass can be delayed for long between the look and its request.
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
            // The version that this pass wrote, whatever has become of the object since: the intent was
            // recorded when the request was sent.
            let recorded =
                running.object.finalizer && running.object.intent.as_ref().map(|intent| intent.kind) == kind;
            if !recorded {
                self.breaks(play, "L1: a change without a recorded intent");
            }
        }
    }

    /// Checks the create of a service against the laws when its request is sent.
    fn judge_create(&mut self, play: &mut Play<'_>, running: &Running) {
        let facts = &running.pass.facts;
        let seen = facts.services.since(facts.pass_started);
        let looked = seen.is_some_and(|view| {
            view.by_tenant.iter().all(|service| is_direct_routing(service)) && view.complete
        });
        if !looked {
            self.breaks(
                play,
                "L1: a create without a look of this pass that found none in a whole list",
            );
        }
        if seen.is_some_and(|view| view.by_tenant.iter().any(|service| is_direct_routing(service)))
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

    /// Checks that a change comes from the replica that holds the lease.
    pub(crate) fn judge_lease(&mut self, play: &mut Play<'_>, op: usize) {
        if !self.leads(op) {
            self.breaks(play, "L3: a change without a valid lease");
        }
    }

    /// Checks a mark against the laws, and remembers what was taken over.
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

    /// While the answer to an object's create is unknown, a service that somebody else creates (or has just
    /// created) for the same tenant and short name cannot be told from the requested one. The object may take
    /// it for its own.
    pub(crate) fn excuse(&mut self, slot: usize, uid: u32) {
        let (tenant, name) = (self.setup.tenant_of(slot), fold_case(self.setup.name_of(slot)));
        let same = self
            .platform
            .alive(tenant)
            .filter(|made| fold_case(&made.service.short_name) == name);
        let guids: Vec<_> = same.map(|made| (uid, made.service.guid)).collect();
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
        self.adopted.insert((object.uid, *guid));
    }

    pub(crate) fn adoptable(&self, slot: usize, object: &Object, made: &Made) -> bool {
        let names = fold_case(&made.service.short_name) == fold_case(self.setup.name_of(slot))
            && made.service.full_name.as_deref()
                == Some(crate::setup::full_name(object.spec.full_name).as_str());
        match object.spec.adoption {
            Adoption::Always => true,
            Adoption::IfMatching => names,
            Adoption::Never => false,
        }
    }

    /// Checks that nothing that an object made stays when the object goes under `Delete`.
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
        // A service that another object has taken over belongs to that object.
        let taken = |made: &Made| {
            self.adopted
                .iter()
                .any(|(of, guid)| *of != uid && *guid == made.service.guid)
        };
        let own = |made: &&Made| made.removed.is_none() && self.own(uid, &made.service.guid) && !taken(made);
        let stays = self.platform.made.iter().any(|made| own(&made));
        let coming = slot != LEAD && self.platform.converting_for(uid);
        // After a restore without status, a refused create cannot be told from one whose answer was lost. And
        // a service that was never read back and is not in the record was not known to exist.
        let excused = self.excused.iter().any(|(of, _)| *of == uid) && record.guid.is_none();
        if (stays || coming) && !excused {
            self.breaks(play, "L2: the object is let go, and what it made is left behind");
        }
    }

    /// Checks a status against the laws: it claims only the object's own service.
    pub(crate) fn judge_status(
        &mut self,
        play: &mut Play<'_>,
        slot: usize,
        object: &Arc<Object>,
        going: bool,
    ) {
        // A pass over an object under deletion is judged when it deletes the service, and when it removes the
        // finalizer.
        if slot == LEAD || going {
            return;
        }
        let refusal = object
            .status
            .operation
            .as_ref()
            .filter(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Refused));
        self.told_refused.extend(refusal.map(|op| op.id.0.to_string()));
        let (Some(guid), Some(_)) = (object.status.guid, object.status.license.as_ref()) else {
            return;
        };
        if self.own_or_excused(object.uid, &guid) {
            return;
        }
        // While the answer to a create is unknown, a service that somebody else makes under the same names
        // cannot be told from the requested one.
        let refused = object
            .intent
            .as_ref()
            .is_some_and(|intent| self.told_refused.contains(&*intent.id.0));
        if object.intent.is_none() || refused {
            self.breaks(play, "L2: a service of somebody else is called this object's own");
        }
        self.excused.insert((object.uid, guid));
    }
}

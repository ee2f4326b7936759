//! `Lead`: from spec to what is wished for, and from queries and changes to calls.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query};
use oc_domain::facts::{DeletionPolicy, Facts};
use oc_domain::lead::{LeadSpec, LeadTarget, decide};
use oc_domain::pass::Pass;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, OperationId, OperationKind, Record};
use oc_domain::time::Time;

use crate::cluster::cache;
use crate::cluster::has_status::HasStatus;
use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::{record, status};
use crate::controllers::action::{Action, after, forgotten};
use crate::controllers::audit::AuditRecord;
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::PassObject;
use crate::controllers::observe::{self, answer, deleted, fact, leads_of, policy, still_there};
use crate::controllers::{absences, competition, deletions, events};
use crate::platform::session::PlatformSession;
use crate::runtime::clock;
use crate::runtime::driver::{self, Actuator, WriteError};
use crate::runtime::workqueue::Priority;
use oc_api::live_platform::ContactDetails;
use oc_api::{Lead, ObjectRef};

pub(crate) async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
    let Some(object) = context.cache.leads.get(&key.namespace, &key.name) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    let entry = cache::entry_of_lead(&object);
    let connection = context.connection(&entry.platform, &key.namespace).await;
    let connection = deletions::with_breaker(context, connection, &entry.platform, &*object);
    let inventory = match (&connection, context.connections.of(&entry.platform)) {
        (_, Some(connected)) => Some(connected.for_object(going(&object))),
        (PlatformAccess::Usable(_), None) => return (Action::AwaitChange, PassOutcome::Waiting),
        (PlatformAccess::Unusable(_) | PlatformAccess::Unknown(_), None) => None,
    };
    let competes = object.meta().deletion_timestamp.is_none() && !object.spec.suspend;
    let (connection, rival) = match connection {
        connection if competes => competition::first(context, connection, |policy, known| competition::of_lead(context, policy, &object, &entry, known)).await,
        connection => (connection, None),
    };
    let policy = if let PlatformAccess::Usable(policy) = &connection { Some(policy.clone()) } else { None };
    let wish = wish(&object, &entry, rival.map(|rival| format!("Lead {}/{}", rival.namespace, rival.name)));
    let memory = context.memory.with_pass(key, object.meta().uid.as_deref(), |memory| memory.clone());
    let facts = observe::facts(&*object, object.status.as_ref().map(|status| status as &dyn HasStatus), connection, &memory);
    let pass = Pass::begin(record::of_lead(&object), facts, &memory);
    let actuator = LeadActuator { context, object: PassObject::new(context, Arc::clone(&object)), entry, policy, reach: PlatformSession::new(inventory) };
    actuator.show_no_contact().await;
    let pass = driver::run(&actuator, pass, |now, record, facts| decide(now, &wish, record, facts)).await;
    events::of_lead(context, &object, going(&object), &pass);
    after(context, key, object.meta().uid.as_deref(), &pass)
}

/// The policy by which an object goes that is being deleted.
fn going(object: &Lead) -> Option<DeletionPolicy> {
    object.meta().deletion_timestamp.as_ref().map(|_| policy(object.spec.deletion_policy))
}

fn wish(object: &Lead, entry: &Entry, rival: Option<String>) -> LeadTarget {
    let spec = &object.spec;
    let said = LeadSpec {
        deleting: object.meta().deletion_timestamp.is_some(),
        suspended: spec.suspend,
        tenant: entry.tenant.clone().ok_or_else(|| Trouble::new(Reason::InvalidSpec, "spec.msTenantId is no GUID.")),
        consentless: spec.consentless.is_some(),
        channel: spec.channel_id,
        deletion_policy: policy(spec.deletion_policy),
    };
    said.wish(rival)
}

/// What of the actuator a pass over one lead can touch.
struct LeadActuator<'a> {
    context: &'a Arc<Context>,
    object: PassObject<'a, Lead>,
    entry: Entry,
    /// The settings of the platform object, while it can be used.
    policy: Option<Policy>,
    reach: PlatformSession,
}

impl LeadActuator<'_> {
    /// The service object for the tenant: the oldest, should there be several.
    fn service_ref(&self) -> Option<ObjectRef> {
        let keys = self.context.cache.index.of_tenant(&self.entry.platform, self.entry.tenant.as_ref()?);
        let oldest = observe::oldest(keys.into_iter().filter(|key| key.kind == Kind::OcEssentialService), &self.context.cache.services)?;
        Some(ObjectRef { namespace: oldest.namespace().unwrap_or_default(), name: oldest.name_any() })
    }

    fn contacts(&self) -> bool {
        self.context.cache.platforms.get("", &self.entry.platform).is_some_and(|platform| platform.spec.contact_details == ContactDetails::Include)
    }

    /// What may not be shown any more goes before anything else: the pass may come to say nothing. When it can't be written, the pass goes on, and
    /// the next one tries again.
    async fn show_no_contact(&self) {
        if self.contacts() {
            return;
        }
        if let Some(status) = status::without_contact(&self.object.get()) {
            // Counted and told by the write itself.
            let _ = self.object.patch_status(&status, false).await;
        }
    }

    /// Makes the call that a change is.
    async fn send(&self, change: &Change) -> ChangeResult {
        let inventory = match self.reach.inventory() {
            Ok(inventory) => inventory,
            Err(trouble) => return ChangeResult::NotSent(trouble),
        };
        if let Err(trouble) = self.context.connections.still_by(&self.entry.platform, &inventory) {
            return ChangeResult::NotSent(trouble);
        }
        let (client, leadership) = (inventory.client(), &self.context.leadership);
        match change {
            Change::CreateLead(tenant) => {
                let object = self.object.get();
                let company = object.spec.consentless.as_ref().map(|lead| lead.company_name.clone()).unwrap_or_default();
                answer(self.reach.change(&inventory, leadership, client.create_lead(tenant, &company)).await, |()| ChangeResult::Done)
            }
            Change::DeleteLead(tenant) => answer(self.reach.change(&inventory, leadership, client.delete_lead(tenant)).await, deleted),
            Change::AssignChannel(tenant, channel) => {
                answer(self.reach.change(&inventory, leadership, client.assign_channel(tenant, *channel)).await, |()| ChangeResult::Done)
            }
            Change::UnassignChannel(tenant) => {
                answer(self.reach.change(&inventory, leadership, client.unassign_channel(tenant)).await, |()| ChangeResult::Done)
            }
            other => ChangeResult::NotSent(Trouble::new(Reason::PlatformRefused, format!("A lead does not ask for {other:?}; this is a bug."))),
        }
    }
}

impl Actuator for LeadActuator<'_> {
    fn now(&self) -> Time {
        clock::now()
    }

    async fn observe(&self, query: &Query, not_before: Time, _: &Record, facts: &mut Facts) {
        let inventory = self.reach.inventory_to_read();
        let looked = inventory.clone();
        let tenant = self.entry.tenant.as_ref();
        match query {
            Query::Services => facts.services = fact(async { inventory?.view(not_before, tenant, None, None).await }.await),
            Query::Leads => {
                let leads = async { inventory?.leads(not_before).await }.await;
                facts.leads = fact(leads.map(|(at, leads)| (at, leads.view(tenant))));
            }
            Query::LeadsOfTenant => facts.leads = leads_of(inventory, tenant).await,
            // A lead has neither a task nor an LC customer, and the numbers are its service's.
            Query::Task(_) | Query::LcCustomer(_) | Query::Numbers(_) => {}
        }
        if let Ok(inventory) = looked {
            let object = self.object.get();
            facts.belief =
                absences::of_object(self.context, &self.entry.platform, &inventory, object.status.as_ref().and_then(|status| status.lead_id.as_deref()));
        }
    }

    async fn prepare(&self, _: OperationKind) -> Result<(), Trouble> {
        // All that its requests need stands in the object.
        Ok(())
    }

    fn draw(&self) -> OperationId {
        OperationId(uuid::Uuid::new_v4().to_string())
    }

    async fn reserve(&self) -> Result<(), Trouble> {
        self.reach.reserve().await
    }

    async fn patch_metadata(&self, mark: &Mark, record: &Record, id: OperationId) -> Result<Option<Intent>, WriteError> {
        still_there(self.context, &self.entry.platform, &self.reach)?;
        if matches!(mark, Mark::RecordIntent { kind: OperationKind::Create, .. }) {
            // As for a service: who comes first, and whether the namespace may use the platform, counts now.
            let Some(policy) = &self.policy else { return Err(WriteError::Conflict) };
            let object = self.object.get();
            let compete = |known: &dyn Fn(&str, &str) -> Access| competition::of_lead(self.context, policy, &object, &self.entry, known);
            if !competition::still_first(self.context, (&self.entry.platform, &object.namespace().unwrap_or_default()), compete) {
                return Err(WriteError::Conflict);
            }
        }
        self.object.patch_metadata(mark, record, id).await
    }

    async fn execute(&self, change: &Change, record: &Record) -> ChangeResult {
        let object = self.object.get();
        let line = AuditRecord::asking(&*object, &self.entry.platform, change, Some(record)).by(going(&object)).begin();
        let answer = self.send(change).await;
        line.answered(&answer);
        answer
    }

    async fn patch_status(&self, decision: &Decision, facts: &Facts, sent: bool) -> Result<(), WriteError> {
        // What was asked for is written whatever has become of the connection.
        if !sent && !facts.asked() {
            still_there(self.context, &self.entry.platform, &self.reach)?;
        }
        let object = self.object.get();
        let extras = status::LeadExtras { service_ref: self.service_ref(), contacts: self.contacts() };
        let Some(status) = status::of_lead(&object, extras, decision, facts, clock::now()) else {
            return self.object.ensure_current();
        };
        let given_up = status.lead_id.is_none() && object.status.as_ref().is_some_and(|before| before.lead_id.is_some());
        self.object.patch_status(&status, sent).await?;
        if given_up {
            absences::changed(self.context, &self.entry.platform);
        }
        if deletions::waits(facts) {
            self.context.enqueue(&ObjectKey::platform(&self.entry.platform), Priority::Effect);
        }
        Ok(())
    }
}

//! `Lead`: from the spec to the target, and from a decision to the status.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::competition::Contest;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Decision, Query};
use oc_domain::facts::{DeletionPolicy, Facts};
use oc_domain::lead::{LeadSpec, LeadTarget, decide};
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::Record;
use oc_domain::time::Time;

use crate::cluster::cache;
use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::status;
use crate::cluster::store::StoreEvent;
use crate::controllers::action::Action;
use crate::controllers::competition::{self, KnownAccess};
use crate::controllers::context::Context;
use crate::controllers::customer::{self, CustomerPass, CustomerResource, ScriptVariables};
use crate::controllers::events::Notes;
use crate::controllers::handlers;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::ReconciledResource;
use crate::controllers::observe::{self, policy};
use crate::controllers::tenant_locks::Claim;
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use oc_api::live_platform::ContactDetails;
use oc_api::{Lead, LeadStatus, ObjectRef};

impl ReconciledResource for Lead {
    fn learnt(context: &Context, learnt: StoreEvent<Self>) {
        handlers::lead(context, learnt);
    }

    async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
        customer::reconcile::<Self>(context, key).await
    }
}

impl CustomerResource for Lead {
    type Target = LeadTarget;
    const NOTES: Notes = oc_domain::events::of_lead;

    fn entry(_: &Context, object: &Self) -> Entry {
        cache::entry_of_lead(object)
    }

    fn record(context: &Context, key: &ObjectKey, object: &Self) -> Arc<Record> {
        context.cache.record_of_lead(key, object)
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend
    }

    fn going(&self) -> Option<DeletionPolicy> {
        self.meta()
            .deletion_timestamp
            .as_ref()
            .map(|_| policy(self.spec.deletion_policy))
    }

    fn short_name(&self) -> Option<&str> {
        None
    }

    fn recorded_id(&self) -> Option<String> {
        self.status.as_ref().and_then(|status| status.lead_id.clone())
    }

    fn doubts(_: &Query) -> bool {
        true
    }

    fn contest(
        context: &Context,
        policy: &Policy,
        own: (&ObjectKey, &Self),
        entry: &Entry,
        known: KnownAccess<'_>,
    ) -> Contest<ObjectKey> {
        competition::of_lead(context, policy, own, entry, known)
    }

    fn with_pace(_: &Context, connection: PlatformAccess, _: &str, _: &Record) -> PlatformAccess {
        // A lead is created at once, so its creates have no pace.
        connection
    }

    fn target(context: &Context, object: &Self, entry: &Entry, rival: Option<&ObjectKey>) -> LeadTarget {
        let spec = &object.spec;
        let said = LeadSpec {
            deleting: object.meta().deletion_timestamp.is_some(),
            suspended: spec.suspend,
            tenant: entry
                .tenant
                .ok_or_else(|| Trouble::new(Reason::InvalidSpec, "spec.msTenantId is not a GUID.")),
            consentless: spec.consentless.as_ref().map(|lead| lead.company_name.clone()),
            channel: spec.channel_id,
            deletion_policy: policy(spec.deletion_policy),
            served: services_of(context, entry).next().is_some(),
        };
        said.target(rival.map(|rival| format!("Lead {}/{}", rival.namespace(), rival.name())))
    }

    fn decide(now: Time, target: &LeadTarget, record: &Record, facts: &Facts) -> Decision {
        decide(now, target, record, facts)
    }

    fn new_status(
        context: &Context,
        object: &Self,
        entry: &Entry,
        decision: &Decision,
        facts: &Facts,
    ) -> Option<LeadStatus> {
        let extras = status::LeadExtras {
            service_ref: service_ref(context, entry),
            contacts: contacts(context, entry),
        };
        status::of_lead(object, extras, decision, facts, clock::now())
    }

    fn gives_up(before: Option<&LeadStatus>, status: &LeadStatus) -> bool {
        status.lead_id.is_none() && before.is_some_and(|before| before.lead_id.is_some())
    }

    fn begins_to_wait(_: Option<&LeadStatus>, _: &LeadStatus) -> bool {
        false
    }

    async fn variables(_: &Context, _: &Self) -> Result<ScriptVariables, Trouble> {
        Ok(ScriptVariables::new())
    }

    fn may_have_sent_secrets(&self) -> bool {
        false
    }

    fn platform_unknown(_: &Entry) -> Option<Trouble> {
        None
    }

    /// If the write fails, the pass goes on and the next one tries again.
    async fn hide(pass: &CustomerPass<'_, Self>) {
        if contacts(pass.context, &pass.entry) {
            return;
        }
        if let Some(status) = status::without_contact(&pass.object.get()) {
            // The write itself counts and logs its failure.
            let _ = pass.object.patch_status(&status, false).await;
        }
    }

    fn claim<'a>(_: &'a CustomerPass<'_, Self>) -> Result<Option<Claim<'a>>, WriteError> {
        Ok(None)
    }
}

/// The service objects for the tenant.
fn services_of(context: &Context, entry: &Entry) -> impl Iterator<Item = ObjectKey> {
    let index = &context.cache.index;
    let tenant = entry.tenant.as_ref();
    let keys = tenant.map(|tenant| index.of_tenant(&entry.platform, tenant));
    keys.into_iter()
        .flatten()
        .filter(|key| key.kind() == Kind::OcEssentialService)
}

/// The service object for the tenant: the oldest if there are several.
fn service_ref(context: &Context, entry: &Entry) -> Option<ObjectRef> {
    let oldest = observe::oldest(services_of(context, entry), &context.cache.services)?;
    Some(ObjectRef {
        namespace: oldest.namespace().unwrap_or_default(),
        name: oldest.name_any(),
    })
}

/// Whether the platform object allows contact details in the status.
fn contacts(context: &Context, entry: &Entry) -> bool {
    context
        .cache
        .platforms
        .get("", &entry.platform)
        .is_some_and(|platform| platform.spec.contact_details == ContactDetails::Include)
}

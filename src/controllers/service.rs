//! `OcEssentialService`: from the spec and its references to the target, and from a decision to the status.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::competition::Contest;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Decision, Query};
use oc_domain::facts::{DeletionPolicy, Facts};
use oc_domain::names::{CustomerGuid, TenantId};
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::Record;
use oc_domain::service::{self, Adoption, Mode, Neighbour, ServiceSpec, ServiceTarget, decide};
use oc_domain::time::Time;

use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::store::StoreEvent;
use crate::cluster::stores::key_of;
use crate::cluster::{secrets, status};
use crate::controllers::action::Action;
use crate::controllers::competition::{self, KnownAccess};
use crate::controllers::context::Context;
use crate::controllers::customer::{self, CustomerPass, CustomerResource, ScriptVariables};
use crate::controllers::events::Notes;
use crate::controllers::handlers;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::ReconciledResource;
use crate::controllers::observe::policy;
use crate::controllers::tenant_locks::Claim;
use crate::controllers::{pace, recorded};
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use oc_api::{OcEssentialService, OcEssentialServiceStatus, SyncState};

impl ReconciledResource for OcEssentialService {
    fn learnt(context: &Context, learnt: StoreEvent<Self>) {
        handlers::service(context, learnt);
    }

    async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
        customer::reconcile::<Self>(context, key).await
    }
}

impl CustomerResource for OcEssentialService {
    type Target = ServiceTarget;
    const NOTES: Notes = oc_domain::events::of_service;

    fn entry(context: &Context, object: &Self) -> Entry {
        context.cache.entry_of_service(object)
    }

    fn record(context: &Context, key: &ObjectKey, object: &Self) -> Arc<Record> {
        context.cache.record_of_service(key, object)
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend
    }

    fn going(&self) -> Option<DeletionPolicy> {
        service::going(
            self.meta().deletion_timestamp.is_some(),
            mode(self),
            policy(self.spec.deletion_policy),
        )
    }

    fn short_name(&self) -> Option<&str> {
        Some(&self.spec.short_name)
    }

    fn recorded_id(&self) -> Option<String> {
        recorded::recorded_guid(self)
    }

    fn doubts(query: &Query) -> bool {
        *query == Query::Services
    }

    fn contest(
        context: &Context,
        policy: &Policy,
        own: (&ObjectKey, &Self),
        entry: &Entry,
        known: KnownAccess<'_>,
    ) -> Contest<ObjectKey> {
        competition::of_service(context, policy, own, entry, known)
    }

    fn with_pace(
        context: &Context,
        connection: PlatformAccess,
        platform: &str,
        record: &Record,
    ) -> PlatformAccess {
        pace::with_pace(context, connection, platform, record)
    }

    fn target(context: &Context, object: &Self, entry: &Entry, rival: Option<&ObjectKey>) -> ServiceTarget {
        let neighbour = |other: Arc<OcEssentialService>| Neighbour {
            deleting: other.meta().deletion_timestamp.is_some(),
            guid: guid(&other),
        };
        let rival = rival.map(|rival| named(context, object, rival));
        said(context, object, entry).target(rival, || {
            neighbours(context, object, entry).map(neighbour).collect()
        })
    }

    fn decide(now: Time, target: &ServiceTarget, record: &Record, facts: &Facts) -> Decision {
        decide(now, target, record, facts)
    }

    fn new_status(
        _: &Context,
        object: &Self,
        entry: &Entry,
        decision: &Decision,
        facts: &Facts,
    ) -> Option<OcEssentialServiceStatus> {
        status::of_service(object, entry, decision, facts, clock::now())
    }

    fn gives_up(before: Option<&OcEssentialServiceStatus>, status: &OcEssentialServiceStatus) -> bool {
        status.license_type.is_none() && before.is_some_and(|before| before.license_type.is_some())
    }

    fn begins_to_wait(before: Option<&OcEssentialServiceStatus>, status: &OcEssentialServiceStatus) -> bool {
        let waits = |status: &OcEssentialServiceStatus| {
            status
                .sync
                .as_ref()
                .is_some_and(|sync| sync.state == SyncState::Due)
        };
        waits(status) && !before.is_some_and(waits)
    }

    /// The variables of the spec, overridden by those of the Secret.
    async fn variables(context: &Context, object: &Self) -> Result<ScriptVariables, Trouble> {
        let Some(settings) = &object.spec.advanced_settings else {
            return Ok(ScriptVariables::new());
        };
        let mut variables: ScriptVariables = settings
            .variables
            .0
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        if let Some(from) = &settings.variables_from {
            let namespace = object.namespace().unwrap_or_default();
            variables.extend(secrets::variables(&context.client, &namespace, &from.secret_ref.name).await?);
        }
        Ok(variables)
    }

    fn may_have_sent_secrets(&self) -> bool {
        self.spec
            .advanced_settings
            .as_ref()
            .is_some_and(|settings| settings.variables_from.is_some())
    }

    fn platform_unknown(entry: &Entry) -> Option<Trouble> {
        let (_, lead) = entry.lead.as_deref().filter(|_| entry.assumed)?;
        Some(no_lead(lead))
    }

    async fn hide(_: &CustomerPass<'_, Self>) {
        // Its status shows nothing about a person.
    }

    /// Claims the tenant at the place to which the platform object points now. If the url has changed since
    /// the pass began, the neighbours are different and this pass would call the previous platform.
    fn claim<'a>(pass: &'a CustomerPass<'_, Self>) -> Result<Option<Claim<'a>>, WriteError> {
        let place = pass
            .place
            .as_ref()
            .filter(|place| pass.context.cache.index.place(&pass.entry.platform).as_ref() == Some(*place));
        let (Some(place), Some(tenant)) = (place, &pass.entry.tenant) else {
            return Err(WriteError::Conflict);
        };
        // Another object is recording an intent for this tenant; this one is requeued.
        pass.context
            .tenant_locks
            .claim(place, tenant)
            .map(Some)
            .ok_or(WriteError::Conflict)
    }
}

fn mode(object: &OcEssentialService) -> Mode {
    match object.spec.mode {
        oc_api::service::Mode::Apply => Mode::Apply,
        oc_api::service::Mode::Plan => Mode::Plan,
        oc_api::service::Mode::Observe => Mode::Observe,
    }
}

fn said(context: &Context, object: &OcEssentialService, entry: &Entry) -> ServiceSpec {
    let spec = &object.spec;
    ServiceSpec {
        deleting: object.meta().deletion_timestamp.is_some(),
        suspended: spec.suspend,
        tenant: entry
            .tenant
            .ok_or_else(|| Trouble::new(Reason::InvalidSpec, "spec.msTenantId is not a GUID.")),
        parameters: spec.parameters(),
        mode: mode(object),
        adoption: match spec.adoption {
            oc_api::service::Adoption::IfMatching => Adoption::IfMatching,
            oc_api::service::Adoption::Never => Adoption::Never,
            oc_api::service::Adoption::Always => Adoption::Always,
        },
        recreate: spec.recreate,
        beside_direct_routing: spec.beside_direct_routing,
        deletion_policy: policy(spec.deletion_policy),
        guard_numbers: spec.deletion_guard == oc_api::service::DeletionGuard::Numbers,
        missing: entry
            .lead
            .as_ref()
            .and_then(|lead| lead_trouble(context, entry, lead)),
    }
}

/// What is wrong with the lead that an object refers to: it does not exist, or it was recreated for another
/// tenant or platform.
fn lead_trouble(context: &Context, entry: &Entry, (namespace, name): &(String, String)) -> Option<Trouble> {
    let Some(lead) = context.cache.leads.get(namespace, name) else {
        return Some(no_lead(name));
    };
    let same = *lead.spec.platform == *entry.platform
        && TenantId::parse(&lead.spec.ms_tenant_id).ok() == entry.tenant;
    let message = || {
        format!(
            "spec.leadRef: Lead {name} is now for another tenant or platform than when this object requested its service. Restore the Lead, or create another object for it."
        )
    };
    (!same).then(|| Trouble::new(Reason::InvalidSpec, message()))
}

fn no_lead(name: &str) -> Trouble {
    let message =
        format!("spec.leadRef: there is no Lead {name} in this namespace. Create it, or correct the name.");
    Trouble::new(Reason::LeadNotFound, message)
}

/// The other service objects that have the same tenant or short name on the same platform.
fn neighbours(
    context: &Context,
    object: &OcEssentialService,
    entry: &Entry,
) -> impl Iterator<Item = Arc<OcEssentialService>> {
    let own = key_of(object);
    let keys = context
        .cache
        .index
        .neighbours(entry)
        .into_iter()
        .filter(move |key| key.kind() == Kind::OcEssentialService && *key != own);
    keys.filter_map(|key| context.cache.services.of(&key))
}

/// The guid of an object's service, from its status.
fn guid(object: &OcEssentialService) -> Option<CustomerGuid> {
    object
        .status
        .as_ref()?
        .ump_customer_guid
        .as_deref()
        .and_then(|guid| CustomerGuid::parse(guid).ok())
}

/// The name, for a message, of another object that outranks this one.
fn named(context: &Context, object: &OcEssentialService, rival: &ObjectKey) -> String {
    let same_name = |other: Arc<OcEssentialService>| {
        other
            .spec
            .short_name
            .eq_ignore_ascii_case(&object.spec.short_name)
    };
    let what = if context.cache.services.of(rival).is_some_and(same_name) {
        "short name"
    } else {
        "tenant"
    };
    format!(
        "OcEssentialService {}/{} (same {what})",
        rival.namespace(),
        rival.name()
    )
}

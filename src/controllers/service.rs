//! `OcEssentialService`: from spec and references to what is wished for, and from queries and changes to calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::{Resource, ResourceExt};
use live_platform::{CreateService, SecretsSent};
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query};
use oc_domain::facts::{DeletionPolicy, Facts};
use oc_domain::names::{CustomerGuid, TenantId};
use oc_domain::pass::Pass;
use oc_domain::place::Place;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, OperationId, OperationKind, Record};
use oc_domain::service::{self, Adoption, Mode, Neighbour, ServiceSpec, ServiceTarget, decide};
use oc_domain::time::Time;

use crate::cluster::has_status::HasStatus;
use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::secrets;
use crate::cluster::{record, status};
use crate::controllers::action::{Action, after, forgotten};
use crate::controllers::audit::AuditRecord;
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::PassObject;
use crate::controllers::observe::{self, answer, deleted, fact, leads_of, policy, still_there};
use crate::controllers::pace;
use crate::controllers::{absences, competition, deletions, events, recorded};
use crate::platform::session::PlatformSession;
use crate::runtime::clock;
use crate::runtime::driver::{self, Actuator, WriteError};
use crate::runtime::workqueue::Priority;
use oc_api::OcEssentialService;

pub(crate) async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
    let Some(object) = context.cache.services.get(&key.namespace, &key.name) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    let entry = context.cache.entry_of_service(&object);
    let connection = context.connection(&entry.platform, &key.namespace).await;
    let connection = deletions::with_breaker(context, connection, &entry.platform, &*object);
    let connected = context.connections.of(&entry.platform);
    let place = connected.as_ref().and_then(|connected| connected.place.clone());
    let inventory = match (&connection, connected) {
        (_, Some(connected)) => Some(connected.for_object(going(&object))),
        // The platform object's own pass makes the connection, and then wakes its objects.
        (PlatformAccess::Usable(_), None) => return (Action::AwaitChange, PassOutcome::Waiting),
        (PlatformAccess::Unusable(_) | PlatformAccess::Unknown(_), None) => None,
    };
    let competes = object.meta().deletion_timestamp.is_none() && !object.spec.suspend;
    let (connection, rival) = match connection {
        connection if competes => {
            competition::first(context, connection, |policy, known| competition::of_service(context, policy, &object, &entry, known)).await
        }
        connection => (connection, None),
    };
    let wish = wish(context, &object, &entry, rival.map(|rival| named(context, &object, &rival)));
    let memory = context.memory.with_pass(key, object.meta().uid.as_deref(), |memory| memory.clone());
    let record = record::of_service(&object);
    let connection = pace::with_pace(context, connection, &entry.platform, &record);
    let policy = if let PlatformAccess::Usable(policy) = &connection { Some(policy.clone()) } else { None };
    let facts = observe::facts(&*object, object.status.as_ref().map(|status| status as &dyn HasStatus), connection, &memory);
    let pass = Pass::begin(record, facts, &memory);
    let object_of = PassObject::new(context, Arc::clone(&object));
    let actuator = ServiceActuator { context, object: object_of, entry, policy, place, reach: PlatformSession::new(inventory), prepared: Mutex::default() };
    let pass = driver::run(&actuator, pass, |now, record, facts| decide(now, &wish, record, facts)).await;
    events::of_service(context, &object, going(&object), &pass);
    after(context, key, object.meta().uid.as_deref(), &pass)
}

/// The policy by which an object goes that is being deleted.
fn going(object: &OcEssentialService) -> Option<DeletionPolicy> {
    service::going(object.meta().deletion_timestamp.is_some(), mode(object), policy(object.spec.deletion_policy))
}

fn mode(object: &OcEssentialService) -> Mode {
    match object.spec.mode {
        oc_api::service::Mode::Apply => Mode::Apply,
        oc_api::service::Mode::Plan => Mode::Plan,
        oc_api::service::Mode::Observe => Mode::Observe,
    }
}

fn wish(context: &Context, object: &OcEssentialService, entry: &Entry, rival: Option<String>) -> ServiceTarget {
    let spec = &object.spec;
    let neighbour = |other: Arc<OcEssentialService>| Neighbour { deleting: other.meta().deletion_timestamp.is_some(), guid: guid(&other) };
    let said = ServiceSpec {
        deleting: object.meta().deletion_timestamp.is_some(),
        suspended: spec.suspend,
        tenant: entry.tenant.clone().ok_or_else(|| Trouble::new(Reason::InvalidSpec, "spec.msTenantId is no GUID.")),
        short_name: spec.short_name.clone(),
        full_name: spec.full_name.clone(),
        lc_customer: spec.lc_customer_id,
        channel: spec.channel_id,
        ip_group: spec.advanced_settings.is_some(),
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
        missing: entry.lead.as_ref().and_then(|lead| lead_trouble(context, entry, lead)),
    };
    said.wish(rival, || neighbours(context, object, entry).map(neighbour).collect())
}

/// What is wrong with the lead to which an object refers: it is not there, or it was made anew for another tenant or platform.
fn lead_trouble(context: &Context, entry: &Entry, (namespace, name): &(String, String)) -> Option<Trouble> {
    let Some(lead) = context.cache.leads.get(namespace, name) else {
        let message = format!("spec.leadRef: there is no Lead {name} in this namespace. Make it, or correct the name.");
        return Some(Trouble::new(Reason::LeadNotFound, message));
    };
    let same = lead.spec.platform == entry.platform && TenantId::parse(&lead.spec.ms_tenant_id).ok() == entry.tenant;
    let message = || {
        format!(
            "spec.leadRef: the Lead {name} stands for another tenant or platform than when this object asked for its service. Make this object anew, or the Lead as it was."
        )
    };
    (!same).then(|| Trouble::new(Reason::InvalidSpec, message()))
}

/// The other service objects that have the same tenant or short name on the same platform.
fn neighbours(context: &Context, object: &OcEssentialService, entry: &Entry) -> impl Iterator<Item = Arc<OcEssentialService>> {
    let own = ObjectKey::service(&object.namespace().unwrap_or_default(), &object.name_any());
    let keys = context.cache.index.neighbours(entry).into_iter().filter(move |key| key.kind == Kind::OcEssentialService && *key != own);
    keys.filter_map(|key| context.cache.services.get(&key.namespace, &key.name))
}

/// The service that an object has, by its status.
fn guid(object: &OcEssentialService) -> Option<CustomerGuid> {
    object.status.as_ref()?.ump_customer_guid.as_deref().and_then(|guid| CustomerGuid::parse(guid).ok())
}

/// How another object is called that comes before this one.
fn named(context: &Context, object: &OcEssentialService, rival: &ObjectKey) -> String {
    let same_name = |other: Arc<OcEssentialService>| other.spec.short_name.eq_ignore_ascii_case(&object.spec.short_name);
    let what = if context.cache.services.get(&rival.namespace, &rival.name).is_some_and(same_name) { "short name" } else { "tenant" };
    format!("OcEssentialService {}/{} (same {what})", rival.namespace, rival.name)
}

/// What of the actuator a pass over one service can touch.
struct ServiceActuator<'a> {
    context: &'a Arc<Context>,
    object: PassObject<'a, OcEssentialService>,
    entry: Entry,
    /// The settings of the platform object, while it can be used.
    policy: Option<Policy>,
    /// Where the connection of this pass leads to.
    place: Option<Place>,
    reach: PlatformSession,
    /// The request of the create whose intent is going to be recorded.
    prepared: Mutex<Option<CreateService>>,
}

impl ServiceActuator<'_> {
    async fn request(&self, tenant: &TenantId) -> Result<CreateService, Trouble> {
        let object = self.object.get();
        let spec = &object.spec;
        let connection = match &spec.advanced_settings {
            None => live_platform::ServiceConnection::Tenant,
            Some(settings) => live_platform::ServiceConnection::IpGroup {
                proxy_set: settings.proxy_set.clone(),
                online_pstn_gateway: settings.online_pstn_gateway.clone(),
                site_location: settings.site_location.as_ref().map(|site| live_platform::SiteLocation {
                    name: Some(site.name.clone()),
                    sbc_id: Some(site.sbc_id),
                    onboarding_script: site.onboarding_script,
                    cleanup_script: site.cleanup_script,
                    upload_number_script: site.upload_number_script,
                    release_number_script: site.release_number_script,
                }),
                variables: self.variables(settings, &object.namespace().unwrap_or_default()).await?,
            },
        };
        Ok(CreateService {
            tenant: tenant.clone(),
            short_name: spec.short_name.clone(),
            full_name: spec.full_name.clone(),
            lc_customer: spec.lc_customer_id,
            channel: spec.channel_id,
            connection,
        })
    }

    /// The variables of the spec, and over them those of the Secret. Read only for the request, and never kept.
    async fn variables(&self, settings: &oc_api::service::AdvancedSettings, namespace: &str) -> Result<BTreeMap<String, secrecy::SecretString>, Trouble> {
        let mut variables: BTreeMap<String, secrecy::SecretString> =
            settings.variables.0.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let Some(from) = &settings.variables_from else { return Ok(variables) };
        let name = &from.secret_ref.name;
        variables.extend(secrets::variables(&self.context.client, namespace, name).await?);
        Ok(variables)
    }

    /// Makes the call that a change is.
    async fn send(&self, change: &Change, record: &Record) -> ChangeResult {
        let inventory = match self.reach.inventory() {
            Ok(inventory) => inventory,
            Err(trouble) => return ChangeResult::NotSent(trouble),
        };
        if let Err(trouble) = self.context.connections.still_by(&self.entry.platform, &inventory) {
            return ChangeResult::NotSent(trouble);
        }
        let (client, leadership) = (inventory.client(), &self.context.leadership);
        match change {
            Change::CreateService(tenant) => {
                let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
                let request = match prepared {
                    Some(request) => Ok(request),
                    // The intent is of an earlier pass, whose request was surely not sent.
                    None => self.request(tenant).await,
                };
                let request = match request {
                    Ok(request) => request,
                    Err(trouble) => return ChangeResult::NotSent(trouble),
                };
                // A Secret that was long in coming: the grace counts from the intent, and must be whole.
                if !record.may_send(OperationKind::Create, clock::now()) {
                    let message = "The request was not ready in time; it is recorded and asked for anew.";
                    return ChangeResult::NotSent(Trouble::new(Reason::ProgressingWithRetry, message));
                }
                answer(self.reach.change(&inventory, leadership, client.create_service(&request)).await, ChangeResult::Accepted)
            }
            Change::DeleteService(guid) => answer(self.reach.change(&inventory, leadership, client.delete_service(guid)).await, deleted),
            other => ChangeResult::NotSent(Trouble::new(Reason::PlatformRefused, format!("A service does not ask for {other:?}; this is a bug."))),
        }
    }
}

impl Actuator for ServiceActuator<'_> {
    fn now(&self) -> Time {
        clock::now()
    }

    async fn observe(&self, query: &Query, not_before: Time, record: &Record, facts: &mut Facts) {
        let inventory = self.reach.inventory_to_read();
        let tenant = self.entry.tenant.as_ref();
        match query {
            Query::Services => {
                let name = self.entry.short_name.as_deref();
                facts.services = fact(async { inventory.clone()?.view(not_before, tenant, record.guid.as_ref(), name).await }.await);
                if let Ok(inventory) = inventory {
                    let object = self.object.get();
                    facts.belief = absences::of_object(self.context, &self.entry.platform, &inventory, recorded::recorded_guid(&object).as_deref());
                }
            }
            Query::Leads => {
                let leads = async { inventory?.leads(not_before).await }.await;
                facts.leads = fact(leads.map(|(at, leads)| (at, leads.view(tenant))));
            }
            Query::LeadsOfTenant => facts.leads = leads_of(inventory, tenant).await,
            Query::Task(id) => {
                let at = clock::now();
                let settings = self.object.get().spec.advanced_settings.clone();
                let sent = if settings.is_some_and(|settings| settings.variables_from.is_some()) { SecretsSent::Perhaps } else { SecretsSent::No };
                facts.task = fact(async { inventory?.task(id, sent).await.map(|task| (at, task)) }.await);
            }
            Query::Numbers(tenant) => {
                let at = clock::now();
                let known = inventory.as_ref().ok().and_then(|inventory| inventory.tells_numbers());
                facts.numbers = fact(async { inventory.clone()?.numbers(tenant).await.map(|numbers| (at, numbers)) }.await);
                if inventory.is_ok_and(|inventory| inventory.tells_numbers() != known) {
                    self.context.enqueue(&ObjectKey::platform(&self.entry.platform), Priority::Effect);
                }
            }
            Query::LcCustomer(id) => {
                let at = clock::now();
                facts.lc_customer = fact(async { inventory?.lc_customer(*id).await.map(|customer| (at, customer)) }.await);
            }
        }
    }

    async fn prepare(&self, kind: OperationKind) -> Result<(), Trouble> {
        if kind != OperationKind::Create {
            return Ok(());
        }
        let Some(tenant) = &self.entry.tenant else { return Ok(()) };
        let request = self.request(tenant).await?;
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
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
        if !matches!(mark, Mark::RecordIntent { kind: OperationKind::Create, .. }) {
            return self.object.patch_metadata(mark, record, id).await;
        }
        // Who wants the same was asked when the pass began. Now it counts: two passes side by side must not both find that nobody does. A platform whose
        // url was changed meanwhile has other neighbours, and this pass would ask the one before.
        let place = self.place.as_ref().filter(|place| self.context.cache.index.place(&self.entry.platform).as_ref() == Some(*place));
        let (Some(place), Some(policy), Some(tenant)) = (place, &self.policy, &self.entry.tenant) else { return Err(WriteError::Conflict) };
        // Another object for this tenant is being recorded: looked at again when it is.
        let Some(_claim) = self.context.tenant_locks.claim(place, tenant) else { return Err(WriteError::Conflict) };
        let object = self.object.get();
        let compete = |known: &dyn Fn(&str, &str) -> Access| competition::of_service(self.context, policy, &object, &self.entry, known);
        if !competition::still_first(self.context, (&self.entry.platform, &object.namespace().unwrap_or_default()), compete) {
            return Err(WriteError::Conflict);
        }
        self.object.patch_metadata(mark, record, id).await
    }

    async fn execute(&self, change: &Change, record: &Record) -> ChangeResult {
        let object = self.object.get();
        let line = AuditRecord::asking(&*object, &self.entry.platform, change, Some(record)).short_name(&object.spec.short_name).by(going(&object)).begin();
        let answer = self.send(change, record).await;
        line.answered(&answer);
        answer
    }

    async fn patch_status(&self, decision: &Decision, facts: &Facts, sent: bool) -> Result<(), WriteError> {
        // What was asked for is written whatever has become of the connection.
        if !sent && !facts.asked() {
            still_there(self.context, &self.entry.platform, &self.reach)?;
        }
        let object = self.object.get();
        let tenant = self.entry.tenant.as_ref().map(ToString::to_string);
        let Some(status) = status::of_service(&object, &self.entry.platform, tenant, decision, facts, clock::now()) else {
            return self.object.ensure_current();
        };
        let waits = |status: &oc_api::OcEssentialServiceStatus| status.sync.as_ref().is_some_and(|sync| sync.state == oc_api::SyncState::Due);
        let began_to_wait = waits(&status) && !object.status.as_ref().is_some_and(waits);
        let given_up = status.license_type.is_none() && object.status.as_ref().is_some_and(|before| before.license_type.is_some());
        self.object.patch_status(&status, sent).await?;
        if given_up {
            absences::changed(self.context, &self.entry.platform);
        }
        if began_to_wait || deletions::waits(facts) {
            self.context.enqueue(&ObjectKey::platform(&self.entry.platform), Priority::Effect);
        }
        Ok(())
    }
}

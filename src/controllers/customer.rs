//! One pass over an object that represents a customer's lead or service: the part common to both. The
//! differences are in [`CustomerResource`].

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

use live_platform::{CreateService, SecretsSent};
use oc_domain::competition::{Access, Contest};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query};
use oc_domain::facts::{DeletionPolicy, Facts};
use oc_domain::names::TenantId;
use oc_domain::pass::Pass;
use oc_domain::place::Place;
use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{Intent, OperationId, OperationKind, Record};
use oc_domain::refusal::{self, FieldFaults};
use oc_domain::requests::NewService;
use oc_domain::time::Time;
use secrecy::SecretString;
use serde::Serialize;

use crate::cluster::has_status::HasStatus;
use crate::cluster::index::Entry;
use crate::cluster::key::ObjectKey;
use crate::controllers::action::{Action, after, forgotten};
use crate::controllers::audit::AuditRecord;
use crate::controllers::competition::KnownAccess;
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::{PassObject, ReconciledResource};
use crate::controllers::observe::{self, answer, deleted, fact, leads_of, same_connection};
use crate::controllers::tenant_locks::Claim;
use crate::controllers::{absences, competition, deletions, events};
use crate::platform::inventory::Inventory;
use crate::platform::session::PlatformSession;
use crate::runtime::clock;
use crate::runtime::driver::{self, Actuator, WriteError};
use crate::runtime::workqueue::Priority;

/// Additional script parameters of a service, which may be secret.
pub type ScriptVariables = BTreeMap<String, SecretString>;

/// A kind whose objects represent a resource of a customer.
pub trait CustomerResource: ReconciledResource<Status: HasStatus + Serialize + Send + Sync> {
    /// The desired state, as `decide` takes it.
    type Target: Send + Sync;
    /// What is worth an event in a pass over an object.
    const NOTES: events::Notes;

    /// The index entry: the platform, tenant and names that the object concerns.
    fn entry(context: &Context, object: &Self) -> Entry;
    /// The record in the object's annotations and status.
    fn record(context: &Context, key: &ObjectKey, object: &Self) -> Arc<Record>;
    /// Whether `spec.suspend` is set.
    fn is_suspended(&self) -> bool;
    /// The deletion policy, if the object is being deleted.
    fn going(&self) -> Option<DeletionPolicy>;
    /// The short name for the audit line, besides the object's own name.
    fn short_name(&self) -> Option<&str>;
    /// The recorded id of the platform's resource.
    fn recorded_id(&self) -> Option<String>;
    /// Whether, after this query, the pass must know how far to trust that something is missing from the
    /// list.
    fn doubts(query: &Query) -> bool;
    /// The contest against the other objects with the same tenant or short name.
    fn contest(
        context: &Context,
        policy: &Policy,
        own: (&ObjectKey, &Self),
        entry: &Entry,
        known: KnownAccess<'_>,
    ) -> Contest<ObjectKey>;
    /// Adds to the platform access how slow the platform's creates are, for kinds whose creates take time.
    fn with_pace(
        context: &Context,
        connection: PlatformAccess,
        platform: &str,
        record: &Record,
    ) -> PlatformAccess;
    /// The target of this pass. `rival` is another object that outranks this one.
    fn target(context: &Context, object: &Self, entry: &Entry, rival: Option<&ObjectKey>) -> Self::Target;
    /// The decision on the next step.
    fn decide(now: Time, target: &Self::Target, record: &Record, facts: &Facts) -> Decision;
    /// The new status; `None` when nothing changes.
    fn new_status(
        context: &Context,
        object: &Self,
        entry: &Entry,
        decision: &Decision,
        facts: &Facts,
    ) -> Option<Self::Status>;
    /// Whether the new status gives up what the previous one held.
    fn gives_up(before: Option<&Self::Status>, status: &Self::Status) -> bool;
    /// Whether the object, by its new status, begins to wait for a job of its platform.
    fn begins_to_wait(before: Option<&Self::Status>, status: &Self::Status) -> bool;
    /// What a create needs besides the spec. Read only for the request, and never kept.
    fn variables(
        context: &Context,
        object: &Self,
    ) -> impl Future<Output = Result<ScriptVariables, Trouble>> + Send;
    /// Whether a request sent for the object may have contained secrets, in case this process does not know.
    fn may_have_sent_secrets(&self) -> bool;
    /// Why the object's platform is not known, if it is not.
    fn platform_unknown(entry: &Entry) -> Option<Trouble>;
    /// Removes from the status what may no longer be shown. Runs before anything else, because the pass may
    /// end without writing a status.
    fn hide(pass: &CustomerPass<'_, Self>) -> impl Future<Output = ()> + Send;
    /// Locks what the object is about to record an intent for, until the returned value is dropped.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] while another pass holds the lock, or when the facts of this pass are out of
    /// date.
    fn claim<'a>(pass: &'a CustomerPass<'_, Self>) -> Result<Option<Claim<'a>>, WriteError>;
}

/// The actuator of one pass: everything outside the decision that it can touch.
pub struct CustomerPass<'a, K> {
    /// What all passes share.
    pub context: &'a Arc<Context>,
    /// The key of the object.
    key: &'a ObjectKey,
    /// The object, as last written or read in this pass.
    pub object: PassObject<'a, K>,
    /// Its index entry.
    pub entry: Entry,
    /// The place that this pass's connection leads to.
    pub place: Option<Place>,
    /// The settings of the platform object, while it is usable.
    policy: Option<Policy>,
    session: PlatformSession,
    /// The script variables for the create whose intent is about to be recorded.
    prepared: Mutex<Option<ScriptVariables>>,
}

/// Runs one pass over an object.
pub async fn reconcile<K: CustomerResource>(
    context: &Arc<Context>,
    key: &ObjectKey,
) -> (Action, PassOutcome) {
    let Some(object) = K::stored(&context.cache).of(key) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    let entry = K::entry(context, &object);
    let connection = access(context, key, &*object, &entry).await;
    let connected = context.connections.of(&entry.platform);
    let place = connected.as_ref().and_then(|connected| connected.place.clone());
    let inventory = match (&connection, connected) {
        (_, Some(connected)) => connected.for_object(object.going()),
        // The platform object's own pass makes the connection, and then enqueues its objects.
        (PlatformAccess::Usable(_), None) => return (Action::AwaitChange, PassOutcome::Waiting),
        (PlatformAccess::Unusable(_) | PlatformAccess::Unknown(_), None) => Err(no_platform()),
    };
    let competes = object.meta().deletion_timestamp.is_none() && !object.is_suspended();
    let contest =
        |policy: &Policy, known: KnownAccess<'_>| K::contest(context, policy, (key, &object), &entry, known);
    let (connection, rival) = if competes {
        competition::first(context, connection, contest).await
    } else {
        (connection, None)
    };
    let target = K::target(context, &object, &entry, rival.as_ref());
    let uid = object.meta().uid.as_deref();
    let (before, policy, mut pass) = begin(context, key, &*object, &entry.platform, connection);
    let session = PlatformSession::new(inventory);
    let actuator = CustomerPass {
        context,
        key,
        object: PassObject::new(context, Arc::clone(&object)),
        entry,
        place,
        policy,
        session,
        prepared: Mutex::default(),
    };
    K::hide(&actuator).await;
    let decide = |now, record: &Record, facts: &Facts| K::decide(now, &target, record, facts);
    let (decision, result) = driver::run(&actuator, &mut pass, decide).await;
    let pass = (pass, decision, result);
    let status = object.status().map(|status| status as &dyn HasStatus);
    events::of_customer(
        context,
        (key, uid),
        status,
        (&before, object.going()),
        &pass,
        K::NOTES,
    );
    after(context, key, uid, &pass)
}

/// What the object remembers, the settings of its platform while that is usable, and the pass that begins with them.
/// On its own, because a future keeps room for each step that is made in it.
fn begin<K: CustomerResource>(
    context: &Context,
    key: &ObjectKey,
    object: &K,
    platform: &str,
    connection: PlatformAccess,
) -> (Arc<Record>, Option<Policy>, Pass) {
    let memory = context.memory.of_pass(key, object.meta().uid.as_deref());
    let before = K::record(context, key, object);
    let record = Record::clone(&before);
    let connection = K::with_pace(context, connection, platform, &record);
    let policy = match &connection {
        PlatformAccess::Usable(policy) => Some(policy.clone()),
        PlatformAccess::Unusable(_) | PlatformAccess::Unknown(_) => None,
    };
    let status = object.status().map(|status| status as &dyn HasStatus);
    let facts = observe::facts(object, status, connection, &memory);
    (before, policy, Pass::begin(record, facts, &memory))
}

/// The access of an object to its platform, before it is known whether another object outranks it.
async fn access<K: CustomerResource>(
    context: &Context,
    key: &ObjectKey,
    object: &K,
    entry: &Entry,
) -> PlatformAccess {
    let connection = match K::platform_unknown(entry) {
        Some(trouble) => PlatformAccess::Unusable(trouble),
        None => context.connection(&entry.platform, key.namespace()).await,
    };
    deletions::with_breaker(context, connection, &entry.platform, object)
}

impl<K: CustomerResource> CustomerPass<'_, K> {
    /// Sends the request for a change.
    async fn send(&self, change: &Change, record: &Record) -> ChangeResult {
        let inventory = match self.current_inventory() {
            Ok(inventory) => inventory,
            Err(trouble) => return ChangeResult::NotSent(trouble),
        };
        let (client, leadership, session) = (inventory.client(), &self.context.leadership, &self.session);
        let refused = |faults: &FieldFaults, said: Trouble| refusal::of_change(change, faults, said);
        match change {
            Change::CreateService(service) => {
                let variables = match self.variables(record).await {
                    Ok(variables) => variables,
                    Err(trouble) => return ChangeResult::NotSent(trouble),
                };
                let service = NewService::clone(service);
                let request = CreateService { service, variables };
                let call = client.create_service(&request);
                answer(
                    session.change(&inventory, leadership, call).await,
                    ChangeResult::Accepted,
                    refused,
                )
            }
            Change::DeleteService(guid) => {
                let call = client.delete_service(guid);
                answer(
                    session.change(&inventory, leadership, call).await,
                    deleted,
                    refused,
                )
            }
            Change::CreateLead(lead) => {
                let call = client.create_lead(lead);
                answer(session.change(&inventory, leadership, call).await, done, refused)
            }
            Change::DeleteLead(tenant) => {
                let call = client.delete_lead(tenant);
                answer(
                    session.change(&inventory, leadership, call).await,
                    deleted,
                    refused,
                )
            }
            Change::AssignChannel(tenant, channel) => {
                let call = client.assign_channel(tenant, *channel);
                let made = session.change_channel(tenant, &inventory, leadership, call).await;
                answer(made, done, refused)
            }
            Change::UnassignChannel(tenant) => {
                let call = client.unassign_channel(tenant);
                let made = session.change_channel(tenant, &inventory, leadership, call).await;
                answer(made, done, refused)
            }
        }
    }

    /// The inventory of this pass, if the platform's connection has not been replaced since.
    fn current_inventory(&self) -> Result<Arc<Inventory>, Trouble> {
        let inventory = self.session.inventory()?;
        let connections = &self.context.connections;
        connections.still_by(&self.entry.platform, &inventory)?;
        Ok(inventory)
    }

    /// The variables prepared for the create. Reads them now when the intent is from an earlier pass whose
    /// request was certainly not sent.
    async fn variables(&self, record: &Record) -> Result<ScriptVariables, Trouble> {
        let prepared = self.prepared.lock().take();
        let variables = match prepared {
            Some(variables) => variables,
            None => K::variables(self.context, &self.object.get()).await?,
        };
        // The Secret may have taken long to read. The grace counts from the intent and must be intact.
        if record.may_send(OperationKind::Create, clock::now()) {
            return Ok(variables);
        }
        let message = "The request was not ready in time. The operator records it again and retries.";
        Err(Trouble::new(Reason::ProgressingWithRetry, message))
    }

    /// Looks up a tenant in Microsoft's directory. The trouble is never the platform's.
    async fn tenant_exists(&self, inventory: &Inventory, tenant: &TenantId) -> Result<bool, Trouble> {
        let platform = self
            .context
            .cache
            .platforms
            .of(&ObjectKey::platform(&self.entry.platform));
        let lookup = platform.and_then(|platform| platform.spec.tenant_lookup.clone());
        let url = lookup.and_then(|lookup| reqwest::Url::parse(&lookup.url).ok());
        let url = url.ok_or_else(|| {
            Trouble::new(
                Reason::InvalidSpec,
                "spec.tenantLookup.url of the LivePlatform is not a URL.",
            )
        })?;
        let answer = inventory.client().tenant_exists(&url, tenant).await;
        answer.map_err(|error| {
            let message = format!(
                "{}. Let the operator reach spec.tenantLookup.url of the LivePlatform, or remove spec.tenantLookup. The operator tries again.",
                error.message().trim_end_matches('.')
            );
            Trouble::new(Reason::ProgressingWithRetry, message)
        })
    }

    async fn numbers(
        &self,
        inventory: Result<Arc<Inventory>, Trouble>,
        tenant: &TenantId,
        facts: &mut Facts,
    ) {
        let at = clock::now();
        let known = inventory
            .as_ref()
            .ok()
            .and_then(|inventory| inventory.tells_numbers());
        facts.numbers = fact(
            async {
                inventory
                    .clone()?
                    .numbers(tenant)
                    .await
                    .map(|numbers| (at, numbers))
            }
            .await,
        );
        if inventory.is_ok_and(|inventory| inventory.tells_numbers() != known) {
            self.context
                .enqueue(&ObjectKey::platform(&self.entry.platform), Priority::Effect);
        }
    }
}

fn no_platform() -> Trouble {
    Trouble::new(Reason::PlatformNotFound, "The platform object does not exist.")
}

fn done((): ()) -> ChangeResult {
    ChangeResult::Done
}

impl<K: CustomerResource> Actuator for CustomerPass<'_, K> {
    fn now(&self) -> Time {
        clock::now()
    }

    async fn observe(&self, query: &Query, not_before: Time, record: &Record, facts: &mut Facts) {
        let inventory = self.session.inventory_to_read();
        let looked = inventory.clone();
        let tenant = self.entry.tenant.as_ref();
        let at = clock::now();
        match query {
            Query::Services => {
                let name = self.entry.short_name.as_deref();
                facts.services = fact(
                    async {
                        inventory?
                            .view(not_before, tenant, record.guid.as_ref(), name)
                            .await
                    }
                    .await,
                );
            }
            Query::Leads => {
                let leads = async { inventory?.leads(not_before).await }.await;
                facts.leads = fact(leads.map(|(at, leads)| (at, leads.view(tenant))));
            }
            Query::LeadsOfTenant => facts.leads = leads_of(inventory, tenant).await,
            Query::Task(id) => {
                let sent = if self.object.get().may_have_sent_secrets() {
                    SecretsSent::Perhaps
                } else {
                    SecretsSent::No
                };
                facts.task = fact(async { inventory?.task(id, sent).await.map(|task| (at, task)) }.await);
            }
            Query::Numbers(tenant) => self.numbers(inventory, tenant, facts).await,
            Query::Directory(tenant) => {
                facts.tenant_exists = fact(
                    async {
                        self.tenant_exists(&*inventory?, tenant)
                            .await
                            .map(|exists| (at, exists))
                    }
                    .await,
                );
            }
            Query::Channel(id) => {
                facts.channel = fact(async { inventory?.channel(*id, not_before).await }.await);
            }
            Query::LcCustomer(id) => {
                facts.lc_customer =
                    fact(async { inventory?.lc_customer(*id).await.map(|customer| (at, customer)) }.await);
            }
        }
        if let Some(inventory) = looked.ok().filter(|_| K::doubts(query)) {
            facts.belief = absences::of_object(
                self.context,
                &self.entry.platform,
                &inventory,
                self.object.get().recorded_id().as_deref(),
            );
        }
    }

    async fn prepare(&self, kind: OperationKind) -> Result<(), Trouble> {
        if kind == OperationKind::Create {
            let variables = K::variables(self.context, &self.object.get()).await?;
            *self.prepared.lock() = Some(variables);
        }
        Ok(())
    }

    fn draw(&self) -> OperationId {
        let mut text = [0; 36];
        let id = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
        OperationId((&*id).into())
    }

    async fn reserve(&self) -> Result<(), Trouble> {
        self.session.reserve().await
    }

    async fn patch_metadata(
        &self,
        mark: &Mark,
        record: &Record,
        id: OperationId,
    ) -> Result<Option<Intent>, WriteError> {
        same_connection(self.context, &self.entry.platform, &self.session)?;
        if !matches!(
            mark,
            Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }
        ) {
            return self.object.patch_metadata(mark, record, id).await;
        }
        // The contest was checked when the pass began, but it counts now: two concurrent passes must not both
        // find that they have no competitor.
        let Some(policy) = &self.policy else {
            return Err(WriteError::Conflict);
        };
        let _claim = K::claim(self)?;
        let object = self.object.get();
        let compete = |known: &dyn Fn(&str, &str) -> Access| {
            K::contest(self.context, policy, (self.key, &object), &self.entry, known)
        };
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        if !competition::still_first(self.context, (&self.entry.platform, namespace), compete) {
            return Err(WriteError::Conflict);
        }
        self.object.patch_metadata(mark, record, id).await
    }

    async fn execute(&self, change: &Change, record: &Record) -> ChangeResult {
        if let Err(trouble) = self.session.enter_line(change) {
            return ChangeResult::NotSent(trouble);
        }
        let object = self.object.get();
        let line = AuditRecord::asking(&*object, &self.entry.platform, change, Some(record))
            .short_name(object.short_name())
            .by(object.going())
            .begin();
        let answer = self.send(change, record).await;
        line.answered(&answer);
        answer
    }

    async fn patch_status(&self, decision: &Decision, facts: &Facts, sent: bool) -> Result<(), WriteError> {
        // The result of a request is written even if the connection has changed since.
        if !sent && !facts.asked() {
            same_connection(self.context, &self.entry.platform, &self.session)?;
        }
        let object = self.object.get();
        let Some(status) = K::new_status(self.context, &object, &self.entry, decision, facts) else {
            return self.object.ensure_current();
        };
        let (gives_up, waits) = (
            K::gives_up(object.status(), &status),
            K::begins_to_wait(object.status(), &status),
        );
        self.object.patch_status(&status, sent).await?;
        if gives_up {
            absences::changed(self.context, &self.entry.platform);
        }
        if waits || deletions::waits(facts) {
            self.context
                .enqueue(&ObjectKey::platform(&self.entry.platform), Priority::Effect);
        }
        Ok(())
    }
}

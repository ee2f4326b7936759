//! The running counts equal what a walk over all objects finds.

use super::*;
use crate::cluster::record;
use crate::cluster::stores::key_of;
use crate::controllers::context::Context;
use crate::controllers::handlers;
use crate::controllers::recorded::{ReadySaid, ready_said};
use crate::platform::index::tests::{self as index, tenant};
use crate::platform::index::{LeadIndex, ListIndex, ServiceIndex};
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use kube::{Client, Config, Resource};
use live_platform::Listed;
use oc_api::{Lead, OcEssentialService};
use oc_domain::model;
use oc_domain::names::{CustomerGuid, TenantId};
use oc_domain::policy;
use oc_domain::record::{Job, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

const PLATFORMS: [&str; 2] = ["one", "two"];

fn guid(number: u8) -> String {
    format!("{number:08x}-0000-4000-9000-000000000000")
}

/// The entries of lists: an entry that has not changed is the same one in each list.
struct Entries {
    services: Vec<Arc<model::Service>>,
    leads: Vec<Arc<model::Lead>>,
}

impl Entries {
    fn new() -> Self {
        let service = |number| model::Service {
            tenant: None,
            ..index::service(number, "x")
        };
        let lead = |number| model::Lead {
            tenant: tenant(number),
            ..index::lead(number)
        };
        Self {
            services: (0..4).map(|number| Arc::new(service(number))).collect(),
            leads: (0..4).map(|number| Arc::new(lead(number))).collect(),
        }
    }
}

fn listed<T>(all: &[Arc<T>], numbers: &[u8]) -> Listed<Arc<T>> {
    Listed {
        items: numbers
            .iter()
            .map(|number| Arc::clone(&all[usize::from(*number)]))
            .collect(),
        unreadable: 0,
        why: None,
        pages: 1,
    }
}

/// An event of a test run.
#[derive(Clone, Debug)]
enum Event {
    /// A version of an object arrives, or another object of that name.
    Comes {
        lead: bool,
        name: u8,
        again: bool,
        object: Value,
    },
    Goes {
        lead: bool,
        name: u8,
    },
    /// A list, made from the last one or anew.
    Services(Vec<u8>, bool),
    Leads(Vec<u8>, bool),
    /// An object asks for the count, or the platform object requests a recount.
    Asks {
        platform: usize,
        anew: bool,
    },
    /// Asks how long creates take, except the one with this id.
    Paces {
        platform: usize,
        own: &'static str,
        deadline: Duration,
    },
    /// Asks which objects are being deleted, which services a run of a job concerns, and since when services
    /// wait for each job.
    Waits {
        platform: usize,
    },
}

fn id() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "1", "2"])
}

fn at(second: u8) -> String {
    format!("2026-01-01T00:00:{second:02}Z")
}

fn operation() -> impl Strategy<Value = Value> {
    let outcome = prop::sample::select(vec![None, Some("Succeeded"), Some("Succeeded"), Some("Failed")]);
    let (task_ended, took) = (prop::option::of(0u8..8), prop::option::of(0u8..8));
    (any::<bool>(), id(), 0u8..4, prop::option::of(0u8..8), outcome, any::<bool>(), task_ended, took).prop_map(
        |(create, id, began, ended, outcome, task, task_ended, took)| {
            json!({
                "kind": if create { "Create" } else { "Delete" }, "id": id, "startedTime": at(began), "completedTime": ended.map(at), "outcome": outcome,
                "outcomeOf": id, "taskId": task.then_some("wst_1"), "taskEndedTime": task_ended.map(at), "durationSeconds": took,
            })
        },
    )
}

fn object() -> impl Strategy<Value = Value> {
    let intent = prop::option::of((any::<bool>(), id()));
    let jobs = prop::collection::vec(
        (
            any::<bool>(),
            prop::sample::select(vec!["Due", "Requested", "Synced"]),
            prop::option::of(0u8..8),
        ),
        0..3,
    );
    let sync = prop::sample::select(vec![
        None,
        Some("NotDue"),
        Some("Due"),
        Some("Synced"),
        Some("Later"),
    ]);
    (prop::option::of(operation()), any::<bool>(), prop::option::of(0u8..4), prop::option::of(0u8..4), intent, prop::bool::weighted(0.2), 0usize..2, (sync, jobs))
        .prop_map(|(operation, read_back, told, annotated, intent, deleting, platform, (sync, jobs))| {
            let job = |(leads, state, due): (bool, &str, Option<u8>)| {
                let which = if leads { Job::Leads } else { Job::Trunks };
                json!({"name": which.name(), "state": state, "dueTime": due.map(at)})
            };
            let jobs: Vec<_> = jobs.into_iter().map(job).collect();
            let (truth, reason) = if read_back { ("True", "Succeeded") } else { ("False", "a person's own") };
            let ready = json!({"type": "Ready", "status": truth, "reason": reason, "message": "", "lastTransitionTime": at(0)});
            let mut annotations = serde_json::Map::new();
            if let Some((create, id)) = intent {
                let kind = if create { "Create" } else { "Delete" };
                annotations.insert(record::OPERATION.into(), json!({"kind": kind, "id": id, "start": at(0)}).to_string().into());
            }
            annotations.extend(annotated.map(|number| (record::GUID.to_owned(), guid(number).into())));
            json!({
                "apiVersion": "operatorconnect.dev/v1alpha1",
                "metadata": {"annotations": annotations, "finalizers": [record::FINALIZER], "deletionTimestamp": deleting.then(|| at(0))},
                "spec": {"platform": PLATFORMS[platform], "shortName": "Contoso", "fullName": "Contoso"},
                "status": {
                    "operation": operation, "leadId": told.map(guid).filter(|_| read_back), "licenseType": read_back.then_some("OC Essential"),
                    "umpCustomerGuid": told.map(guid), "conditions": [ready], "sync": sync.map(|state| json!({"state": state, "jobs": jobs})),
                },
            })
        })
}

fn event() -> impl Strategy<Value = Event> {
    let some = || (prop::collection::vec(0u8..4, 0..4), prop::bool::weighted(0.8));
    prop_oneof![
        6 => (any::<bool>(), 0u8..4, prop::bool::weighted(0.1), object()).prop_map(|(lead, name, again, object)| Event::Comes { lead, name, again, object }),
        1 => (any::<bool>(), 0u8..4).prop_map(|(lead, name)| Event::Goes { lead, name }),
        2 => some().prop_map(|(numbers, follows)| Event::Services(numbers, follows)),
        2 => some().prop_map(|(numbers, follows)| Event::Leads(numbers, follows)),
        4 => (0usize..2, any::<bool>()).prop_map(|(platform, anew)| Event::Asks { platform, anew }),
        2 => (0usize..2).prop_map(|platform| Event::Waits { platform }),
        2 => (0usize..2, id(), prop::sample::select(vec![Duration::from_secs(3), Duration::MAX])).prop_map(|(platform, own, deadline)| Event::Paces { platform, own, deadline }),
    ]
}

/// What a service object has according to a list: the rule written for one object and one list.
fn of_service(object: &OcEssentialService, services: &ServiceIndex) -> Recorded {
    let (record, status) = (
        record::of_service(object),
        object.status.clone().unwrap_or_default(),
    );
    let removes = object.metadata.deletion_timestamp.is_some() && asked_to_remove(status.operation.as_ref());
    match status
        .ump_customer_guid
        .filter(|_| status.license_type.is_some())
        .map(|guid| CustomerGuid::parse(&guid).unwrap())
    {
        Some(guid) if removes => {
            if services.has(&guid) {
                Recorded::Nothing
            } else {
                Recorded::Asked
            }
        }
        Some(guid) if services.has(&guid) => Recorded::Shown,
        Some(guid) => Recorded::Missing(guid.to_string().into()),
        None if record.guid.as_ref().is_some_and(|guid| services.has(guid)) => Recorded::Nothing,
        None if record.may_come_to_have() || record.is_unseen() => Recorded::Asked,
        None => Recorded::Nothing,
    }
}

fn of_lead(object: &Lead, leads: &LeadIndex) -> Recorded {
    let (record, status) = (record::of_lead(object), object.status.clone().unwrap_or_default());
    let shown = leads.has(&TenantId::parse(&object.spec.ms_tenant_id).unwrap());
    let removes = object.metadata.deletion_timestamp.is_some() && asked_to_remove(status.operation.as_ref());
    match (status.lead_id.is_some(), removes, shown) {
        (true, true, true) => Recorded::Nothing,
        (true, true, false) => Recorded::Asked,
        (true, false, true) => Recorded::Shown,
        (true, false, false) => Recorded::Missing(status.lead_id.unwrap().into()),
        (false, _, _) => {
            if record.may_come_to_have() {
                Recorded::Asked
            } else {
                Recorded::Nothing
            }
        }
    }
}

fn asked_to_remove(operation: Option<&oc_api::Operation>) -> bool {
    operation.is_some_and(|operation| {
        operation.kind == oc_api::OperationKind::Delete
            && matches!(operation.outcome, None | Some(oc_api::Outcome::Succeeded))
    })
}

/// The walk over all objects of a platform, which the tally replaces.
fn walk(context: &Context, platform: &str, lists: &Lists) -> AbsenceCount {
    let mut counted = AbsenceCount::default();
    let mut note = |recorded| match recorded {
        Recorded::Nothing => {}
        Recorded::Asked => counted.asked += 1,
        Recorded::Shown => counted.recorded += 1,
        Recorded::Missing(id) => {
            counted.recorded += 1;
            counted.missing.insert(id.into());
        }
    };
    let on = |its: &str| its == platform;
    if let Some(services) = &lists.services {
        context.cache.services.for_each(|object| {
            if on(object.spec.platform.as_deref().unwrap()) {
                note(of_service(object, services));
            }
        });
    }
    if let Some(leads) = &lists.leads {
        context.cache.leads.for_each(|object| {
            if on(&object.spec.platform) {
                note(of_lead(object, leads));
            }
        });
    }
    counted
}

fn slowest(
    context: &Context,
    platform: &str,
    now: Time,
    own: &OperationId,
    deadline: Duration,
) -> Option<Duration> {
    let mut operations = Vec::new();
    context.cache.services.for_each(|object| {
        if object.spec.platform.as_deref() == Some(platform) {
            operations.extend(record::of_service(object).operation);
        }
    });
    policy::slowest_create(now, own, deadline, operations.iter())
}

/// The objects on a platform that are being deleted.
fn deleting(context: &Context, platform: &str) -> Vec<ObjectKey> {
    let mut keys = Vec::new();
    context.cache.leads.for_each(|object| {
        if object.spec.platform == platform && object.metadata.deletion_timestamp.is_some() {
            keys.push(key_of(&**object));
        }
    });
    context.cache.services.for_each(|object| {
        if object.spec.platform.as_deref() == Some(platform) && object.metadata.deletion_timestamp.is_some() {
            keys.push(key_of(&**object));
        }
    });
    keys.sort();
    keys
}

/// The earliest and the latest time since which a service of a platform waits for a job.
fn due(context: &Context, platform: &str, which: Job) -> Option<(Time, Time)> {
    let mut times = Vec::new();
    context.cache.services.for_each(|object| {
        let sync = object.status.as_ref().and_then(|status| status.sync.as_ref());
        if object.spec.platform.as_deref() == Some(platform)
            && let Some(job) = sync.and_then(|sync| sync.jobs.iter().find(|job| job.name == which.name()))
            && job.state != oc_api::SyncState::Synced
        {
            times.extend(job.due_time.as_ref().map(|due| clock::time(due.0)));
        }
    });
    Some((*times.iter().min()?, *times.iter().max()?))
}

/// The services on a platform whose status shows jobs, and not all of them as done.
fn unsynced(context: &Context, platform: &str) -> Vec<ObjectKey> {
    let mut keys = Vec::new();
    context.cache.services.for_each(|object| {
        let sync = object.status.as_ref().and_then(|status| status.sync.as_ref());
        if object.spec.platform.as_deref() == Some(platform)
            && sync.is_some_and(|sync| sync.state != oc_api::SyncState::Synced)
        {
            keys.push(key_of(&**object));
        }
    });
    keys.sort();
    keys
}

/// What a walk over all objects counts of one: kind and name, what it says of `Ready`, since when it has an open intent
/// and a running operation, and which jobs it waits for.
type Census = (
    Kind,
    String,
    ReadySaid,
    Option<Time>,
    Option<(Time, bool)>,
    [bool; 2],
);

fn census(context: &Context) -> Vec<Census> {
    let mut all = Vec::new();
    let running = |record: &Record| {
        let operation = record.running()?;
        Some((operation.started, operation.task.is_some()))
    };
    let intent = |record: &Record| record.open_intent().map(|intent| intent.start);
    context.cache.leads.for_each(|object| {
        let (record, said) = (record::of_lead(object), ready_said(object.status.as_ref()));
        let name = object.spec.platform.clone();
        all.push((
            Kind::Lead,
            name,
            said,
            intent(&record),
            running(&record),
            [false; 2],
        ));
    });
    context.cache.services.for_each(|object| {
        let (record, said) = (record::of_service(object), ready_said(object.status.as_ref()));
        let name = object.spec.platform.clone().unwrap();
        let jobs = Job::ALL.map(|job| {
            let sync = object.status.as_ref().and_then(|status| status.sync.as_ref());
            let mut jobs = sync.into_iter().flat_map(|sync| sync.jobs.iter());
            jobs.any(|shown| {
                shown.name == job.name()
                    && matches!(shown.state, oc_api::SyncState::Due | oc_api::SyncState::Requested)
            })
        });
        all.push((
            Kind::OcEssentialService,
            name.into(),
            said,
            intent(&record),
            running(&record),
            jobs,
        ));
    });
    all.sort_by_key(|counted| format!("{counted:?}"));
    all
}

/// The same, as the tallies have it.
fn kept(context: &Context) -> Vec<Census> {
    let mut all = Vec::new();
    context.tallies.for_each(|kind, platform, noted| {
        all.push((
            kind,
            platform.to_owned(),
            noted.ready,
            noted.outstanding().intent,
            noted.outstanding().running,
            noted.outstanding().jobs,
        ));
    });
    all.sort_by_key(|counted| format!("{counted:?}"));
    all
}

/// The objects of a test run, and how they come and go.
struct World {
    context: Arc<Context>,
    version: u64,
    entries: Entries,
    lists: Lists,
    /// The last count of each platform, and the lists it used.
    kept: [Option<(Lists, AbsenceCount)>; 2],
}

impl World {
    fn new() -> Self {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        Self {
            context: Context::bare(client, Leadership::without_election(), Arc::new(())),
            version: 0,
            entries: Entries::new(),
            lists: Lists::default(),
            kept: [None, None],
        }
    }

    fn comes(&mut self, lead: bool, name: u8, again: bool, mut object: Value) {
        self.version += 1;
        let context = &self.context;
        object["kind"] = if lead { "Lead" } else { "OcEssentialService" }.into();
        object["spec"]["msTenantId"] = tenant(name).to_string().into();
        let known = if lead {
            uid(context.cache.leads.get("n", &name.to_string()))
        } else {
            uid(context.cache.services.get("n", &name.to_string()))
        };
        let metadata = &mut object["metadata"];
        (metadata["namespace"], metadata["name"]) = ("n".into(), name.to_string().into());
        metadata["resourceVersion"] = self.version.to_string().into();
        metadata["uid"] = known
            .filter(|_| !again)
            .unwrap_or_else(|| format!("{lead}-{name}-{}", self.version))
            .into();
        if lead {
            context
                .cache
                .leads
                .put(serde_json::from_value(object).unwrap())
                .into_iter()
                .for_each(|learnt| handlers::lead(context, learnt));
        } else {
            context
                .cache
                .services
                .put(serde_json::from_value(object).unwrap())
                .into_iter()
                .for_each(|learnt| handlers::service(context, learnt));
        }
    }

    fn goes(&self, lead: bool, name: u8) {
        let (context, name) = (&self.context, name.to_string());
        if lead {
            let gone = context
                .cache
                .leads
                .get("n", &name)
                .and_then(|object| context.cache.leads.remove(&*object));
            gone.into_iter()
                .for_each(|learnt| handlers::lead(context, learnt));
        } else {
            let gone = context
                .cache
                .services
                .get("n", &name)
                .and_then(|object| context.cache.services.remove(&*object));
            gone.into_iter()
                .for_each(|learnt| handlers::service(context, learnt));
        }
    }

    /// A count is kept until there is another list, or a recount is requested.
    fn expected(&mut self, which: usize, anew: bool) -> AbsenceCount {
        let same = |lists: &Lists| By::new(&self.lists) == By::new(lists);
        match &self.kept[which] {
            Some((lists, counted)) if !anew && same(lists) => counted.clone(),
            _ => {
                let counted = walk(&self.context, PLATFORMS[which], &self.lists);
                self.kept[which] = Some((self.lists.clone(), counted.clone()));
                counted
            }
        }
    }
}

fn uid<K: Resource>(object: Option<Arc<K>>) -> Option<String> {
    object.and_then(|object| object.meta().uid.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_kept_is_what_a_walk_over_all_finds(events in prop::collection::vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _in = runtime.enter();
        let mut world = World::new();
        for event in events {
            match event {
                Event::Comes { lead, name, again, object } => world.comes(lead, name, again, object),
                Event::Goes { lead, name } => world.goes(lead, name),
                Event::Services(numbers, follows) => {
                    let (listed, last) = (listed(&world.entries.services, &numbers), world.lists.services.take());
                    let followed = last.filter(|_| follows).map(|last| last.followed_by(listed.clone()));
                    world.lists.services = Some(followed.unwrap_or_else(|| Arc::new(ServiceIndex::new(listed))));
                }
                Event::Leads(numbers, follows) => {
                    let (listed, last) = (listed(&world.entries.leads, &numbers), world.lists.leads.take());
                    let followed = last.filter(|_| follows).map(|last| last.followed_by(listed.clone()));
                    world.lists.leads = Some(followed.unwrap_or_else(|| Arc::new(LeadIndex::new(listed))));
                }
                Event::Asks { platform, anew } => {
                    let counted = world.context.tallies.counted(PLATFORMS[platform], anew, || world.lists.clone());
                    prop_assert_eq!(&*counted, &world.expected(platform, anew));
                }
                Event::Paces { platform, own, deadline } => {
                    let (now, own) = (clock::time(at(6).parse().unwrap()), OperationId(own.into()));
                    let kept = world.context.tallies.slowest_create(PLATFORMS[platform], now, &own, deadline);
                    prop_assert_eq!(kept, slowest(&world.context, PLATFORMS[platform], now, &own, deadline));
                }
                Event::Waits { platform } => {
                    let (context, platform) = (&world.context, PLATFORMS[platform]);
                    prop_assert_eq!(context.tallies.deleting(platform), deleting(context, platform));
                    prop_assert_eq!(context.tallies.unsynced(platform), unsynced(context, platform));
                    let waits = Job::ALL.map(|job| due(context, platform, job));
                    prop_assert_eq!(context.tallies.due(platform), waits);
                    let counted = census(context);
                    let open = counted.iter().any(|(_, _, _, intent, running, _)| intent.is_some() || running.is_some());
                    prop_assert_eq!(kept(context), counted);
                    prop_assert_eq!(context.tallies.has_something_open(), open);
                    for tally in context.tallies.state().tallies.values() {
                        let decided = tally.entered.values().filter(|entered| entered.noted.has.decided_by().is_some());
                        prop_assert_eq!(tally.decided_by.keys.len(), decided.count());
                    }
                }
            }
        }
    }
}

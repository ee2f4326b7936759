//! A snapshot of the operator's state, counted on request. Nothing of it is kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kube::ResourceExt;
use oc_domain::model::LicenseType;
use oc_domain::time::Time;

use crate::cluster::key::Kind;
use crate::cluster::record;
use crate::cluster::watch_health::WatchStatus;
use crate::controllers::context::Context;
use crate::controllers::recorded::{Noted, ReadySaid, ready_said};
use crate::platform::budget::BudgetStats;
use crate::runtime::clock;
use crate::runtime::workqueue::QueueStats;
use oc_api::LeadPolicy;

/// Objects of one kind with something outstanding, and the age of the oldest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// The number of objects.
    pub count: u64,
    /// The age of the oldest.
    pub oldest: Duration,
}

impl Outstanding {
    fn add(&mut self, now: Time, since: Time) {
        self.count += 1;
        self.oldest = self.oldest.max(now.since(since));
    }
}

/// One list of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The age of the list.
    pub age: Duration,
    /// The number of entries.
    pub entries: u64,
}

/// What is known of a platform.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Platform {
    /// Its list of leads, once read.
    pub leads: Option<List>,
    /// Its list of services, once read.
    pub services: Option<List>,
    /// The number of services by license type, in the portal's words. A closed list.
    pub licenses: BTreeMap<String, u64>,
    /// The use of the budget, while there is a connection.
    pub budget: Option<BudgetStats>,
    /// The number of services that wait for each job.
    pub jobs_due: [u64; 2],
    /// The number of deletions that wait for a person's approval.
    pub deletions_held: u64,
    /// The number of entries missing from its lists that are not believed to be gone.
    pub absences_held: u64,
    /// The number of leads that discovery wants and whose object could not be created.
    pub undiscovered: u64,
    /// The number of services that policies for leads have created.
    pub onboarded: u64,
    /// The number of leads that wait for the limits of a policy.
    pub waiting: u64,
    /// The number of leads that policies refuse.
    pub refused: u64,
    /// How often its lists are read.
    pub observe_interval: Duration,
}

/// Kind, value and reason of `Ready`. The reason is from a closed list.
pub type ReadyState = (Kind, &'static str, String);

/// The operator's state at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The number of objects in each ready state.
    pub objects: BTreeMap<ReadyState, u64>,
    /// Changes that may have been requested and whose outcome is unknown: of leads, and of services.
    pub intents: [Outstanding; 2],
    /// Tasks that the platform has not finished: of leads (which never have one), and of services.
    pub tasks: [Outstanding; 2],
    /// The platforms, by the name of their object.
    pub platforms: BTreeMap<String, Platform>,
    /// The work queue.
    pub queue: QueueStats,
    /// The number of objects that this version cannot read, in the order of [`Kind::ALL`].
    pub unreadable: [usize; Kind::ALL.len()],
    /// The state of each watch.
    pub watches: Vec<(Kind, WatchStatus)>,
    /// The number of events that could not be written.
    pub events_dropped: u64,
    /// The number of events that were omitted because status tells the same.
    pub events_omitted: u64,
    /// Whether this process may change anything.
    pub leads: bool,
}

/// The labels for what an object says of `Ready`.
fn labels(said: ReadySaid) -> (&'static str, String) {
    match said {
        None => ("Unknown", "None".to_owned()),
        Some((value, None)) => (value, "Other".to_owned()),
        Some((value, Some(reason))) => (value, reason.to_string()),
    }
}

fn license(license: Option<LicenseType>) -> String {
    match license {
        None => "None".to_owned(),
        Some(LicenseType::Other(_)) => "Other".to_owned(),
        Some(license) => license.label().into_owned(),
    }
}

impl Snapshot {
    /// Counts all known objects.
    pub fn of(context: &Context) -> Self {
        let now = clock::now();
        let mut census = Self {
            queue: context.queue.load(),
            watches: context.watches.all(),
            unreadable: Kind::ALL.map(|kind| context.cache.unreadable(kind)),
            events_dropped: context.events.dropped(),
            events_omitted: context.events.omitted(),
            leads: context.leadership.may_change().is_ok(),
            ..Self::default()
        };
        let mut objects: HashMap<(Kind, ReadySaid), u64> = HashMap::new();
        context.cache.platforms.for_each(|object| {
            let said = ready_said(object.status.as_ref());
            *objects.entry((Kind::LivePlatform, said)).or_default() += 1;
            let deletions_held = u64::from(record::ledger(object).held);
            let absences_held = u64::from(record::absences(object).held);
            let discovery = object
                .status
                .as_ref()
                .and_then(|status| status.lead_discovery.as_ref());
            let undiscovered = discovery.map_or(0, |told| u64::from(told.failed));
            let observe_interval = object.spec.observe_interval.span();
            census.platforms.insert(
                object.name_any(),
                Platform {
                    deletions_held,
                    absences_held,
                    undiscovered,
                    observe_interval,
                    ..Platform::default()
                },
            );
        });
        context.cache.policies.for_each(|object| {
            let said = ready_said(object.status.as_ref());
            *objects.entry((Kind::LeadPolicy, said)).or_default() += 1;
            census.policy(object);
        });
        context.tallies.for_each(|kind, platform, noted| {
            *objects.entry((kind, noted.ready)).or_default() += 1;
            census.count(now, kind, platform, noted);
        });
        for ((kind, said), count) in objects {
            let (value, reason) = labels(said);
            *census.objects.entry((kind, value, reason)).or_default() += count;
        }
        for (name, platform) in &mut census.platforms {
            platform.read(context, now, name);
        }
        census
    }

    /// Counts a lead or a service.
    fn count(&mut self, now: Time, kind: Kind, platform: &str, noted: &Noted) {
        let which = usize::from(kind == Kind::OcEssentialService);
        let outstanding = noted.outstanding();
        if let Some(since) = outstanding.intent {
            self.intents[which].add(now, since);
        }
        if let Some((since, true)) = outstanding.running {
            self.tasks[which].add(now, since);
        }
        if let Some(platform) = self.platforms.get_mut(platform) {
            for (due, waits) in platform.jobs_due.iter_mut().zip(outstanding.jobs) {
                *due += u64::from(waits);
            }
        }
    }

    fn policy(&mut self, object: &LeadPolicy) {
        let platform = self.platforms.get_mut(&object.spec.platform);
        if let (Some(platform), Some(status)) = (platform, &object.status) {
            platform.onboarded += u64::from(status.made);
            platform.waiting += u64::from(status.waiting);
            platform.refused += u64::from(status.refused);
        }
    }
}

impl Platform {
    /// Adds what the platform's connection has read.
    fn read(&mut self, context: &Context, now: Time, name: &str) {
        let Some(connected) = context.connections.of(name) else {
            return;
        };
        // Without a current connection, what the last working one read is what is known.
        let good = connected.last_good.as_ref().map(|good| &good.inventory);
        let inventory = connected.inventory.as_ref().ok().or(good);
        let Some(inventory) = inventory else { return };
        self.budget = Some(inventory.budget().used());
        let (leads, services) = (inventory.newest_leads(), inventory.newest_services());
        self.leads = leads.map(|(at, leads)| List {
            age: now.since(at),
            entries: leads.all().count() as u64,
        });
        self.services = services.as_ref().map(|(at, services)| List {
            age: now.since(*at),
            entries: services.all().count() as u64,
        });
        for service in services.iter().flat_map(|(_, services)| services.all()) {
            *self.licenses.entry(license(service.license)).or_default() += 1;
        }
    }
}

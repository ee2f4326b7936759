//! The whole world: one cluster, one platform, one or two operators, and a clock that jumps from one moment
//! to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oc_domain::decision::Decision;
use oc_domain::facts::Facts;
use oc_domain::lead;
use oc_domain::names::CustomerGuid;
use oc_domain::record::Record;
use oc_domain::service;
use oc_domain::time::Time;

use crate::cluster::Cluster;
use crate::operator::{NEVER, Operator, State};
use crate::platform::Platform;
use crate::setup::{START, Setup};

/// The decision function for services.
pub type Decide = fn(Time, &service::ServiceTarget, &Record, &Facts) -> Decision;

/// The decision function for leads.
pub type DecideLead = fn(Time, &lead::LeadTarget, &Record, &Facts) -> Decision;

/// What the operator believes when a service is missing from the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanishing {
    /// Only what the breaker confirms.
    Counted,
    /// What the breaker confirms, for any place.
    AnyPlace,
    /// Every absence.
    Believed,
}

/// The operator's rules: the real ones, or wrong ones that the laws must catch.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The decision about a service.
    pub decide: Decide,
    /// Whether the lease is checked before a change.
    pub lease: bool,
    /// Whether the breaker is consulted.
    pub breaker: bool,
    /// Whether a write is refused when the object has a different version than the one that was read.
    pub versions: bool,
    /// Whether `createGrace` applies only on a platform that was seen to be faster.
    pub pace: bool,
    /// Whether an object heeds its competitors.
    pub rivals: bool,
    /// Whether it checks that the API server's answer to a mark holds what was written.
    pub reads_answers: bool,
    /// Whether requests are remembered in memory for the life of the process.
    pub memory: bool,
    /// Whether refused writes are retried at growing intervals.
    pub backs_off: bool,
    /// The decision about a lead.
    pub lead: DecideLead,
    /// Whether a list that is complete again makes the objects waiting for that due.
    pub wakes_waiting: bool,
    /// Whether it heeds a competitor whose `LivePlatform` has another name and points to the same place.
    pub places: bool,
    /// Whether it heeds only competitors that could request something, or have it.
    pub able: bool,
    /// Whether a newly elected replica reads all objects once more before its first pass.
    pub catches_up: bool,
    /// Whether an unknown word for an outcome is read as the outcome `Unknown`.
    pub strange_words_end: bool,
    /// What it believes when a service is missing from the lists.
    pub absences: Vanishing,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            decide: service::decide,
            lease: true,
            breaker: true,
            versions: true,
            pace: true,
            rivals: true,
            absences: Vanishing::Counted,
            reads_answers: true,
            memory: true,
            backs_off: true,
            lead: lead::decide,
            wakes_waiting: true,
            places: true,
            able: true,
            catches_up: true,
            strange_words_end: false,
        }
    }
}

/// The log of a story. It is empty unless somebody will read it.
#[derive(Debug, Default)]
pub struct Trail(pub Option<Vec<String>>);

impl Trail {
    /// Adds a line.
    pub fn note(&mut self, now: Time, line: impl FnOnce() -> String) {
        if let Some(lines) = self.0.as_mut() {
            let at = (now.0 - START.0) / 1000;
            lines.push(format!("{at:>6} s  {}", line()));
        }
    }
}

/// The rules and the log of a story in progress.
pub struct Play<'a> {
    /// The operator's rules.
    pub rules: &'a Rules,
    /// The log of the story.
    pub trail: &'a mut Trail,
}

/// The lease of the leader election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The replica that holds it.
    pub holder: Option<usize>,
    /// When another replica may take it.
    pub free_at: Time,
}

/// Counters of a story.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Writes to the API server.
    pub writes: u32,
    /// Changes requested of the platform.
    pub asks: u32,
    /// Reads that the inventory could not answer.
    pub reads: u32,
    /// Creates that were executed.
    pub creates: u32,
    /// Deletions that were executed.
    pub deletions: u32,
    /// Intents that were not written because there was no room for their request.
    pub held_back: u32,
    /// Crashes.
    pub crashes: u32,
    /// Answers that were lost.
    pub lost: u32,
    /// Writes refused because somebody else had written.
    pub conflicts: u32,
    /// Times that a lease changed hands.
    pub elections: u32,
}

/// What another writer makes an object lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loses {
    /// Its annotations.
    Annotations,
    /// Its status.
    Status,
}

/// A request whose answer was lost and which is executed later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// When it is executed.
    pub at: Time,
    /// The slot of the object that requested it.
    pub slot: usize,
    /// The uid of that object.
    pub uid: u32,
    /// The requested change.
    pub change: oc_domain::decision::Change,
    /// Whether `spec.recreate` was true when it was requested.
    pub recreate: bool,
    /// The object's deletion timestamp at the time of the request.
    pub deleted: Option<Time>,
    /// The place of the platform that it went to.
    pub place: usize,
}

/// The whole simulated world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The setup.
    pub setup: Arc<Setup>,
    /// The current time.
    pub now: Time,
    /// The simulated platform.
    pub platform: Platform,
    /// The simulated API server.
    pub cluster: Cluster,
    /// The replicas of the operator.
    pub operators: Vec<Operator>,
    /// The lease, used when there is more than one replica.
    pub lease: Lease,
    /// Requests that have not arrived yet.
    pub late: Vec<Late>,
    /// Counters of the story.
    pub counts: Counts,
    /// Services that an object may claim though it did not make them: taken over by the rules, by uid.
    pub adopted: BTreeSet<(u32, CustomerGuid)>,
    /// Services that can no longer be told from the object's own, since a restore dropped what distinguished
    /// them.
    pub excused: BTreeSet<(u32, CustomerGuid)>,
    /// Objects whose service somebody removed after it had been shown as Ready.
    pub removed: BTreeSet<u32>,
    /// When each object's deletion was first executed, and whether a person had approved it.
    pub deletions: BTreeMap<u32, (Time, bool)>,
    /// Deletions that were requested up to this time are approved.
    pub approved: Option<Time>,
    /// Our writes that the API server has refused while it refuses all.
    pub refused: u32,
    /// The creates that a status reported as refused, until somebody replaces that status.
    pub told_refused: BTreeSet<String>,
    /// Whether the namespaces of the service objects may currently use the platform.
    pub allowed: [bool; 2],
    /// Laws that were broken.
    pub broken: Vec<String>,
}

impl World {
    /// Returns a world at its beginning.
    pub fn new(setup: Setup) -> Self {
        let setup = Arc::new(setup);
        let cluster = Cluster::new(&setup, START);
        let platform = Platform::new(&setup);
        let operators = (0..setup.operators)
            .map(|_| Operator::started(cluster.now.clone(), START))
            .collect();
        let allowed = setup.allowed;
        let mut world = Self {
            setup,
            allowed,
            now: START,
            platform,
            cluster,
            operators,
            lease: Lease {
                holder: None,
                free_at: START,
            },
            late: Vec::new(),
            counts: Counts::default(),
            adopted: BTreeSet::new(),
            excused: BTreeSet::new(),
            removed: BTreeSet::new(),
            deletions: BTreeMap::new(),
            approved: None,
            refused: 0,
            told_refused: BTreeSet::new(),
            broken: Vec::new(),
        };
        world.elect(&Rules::default());
        world
    }

    /// Records that a law was broken.
    pub fn breaks(&mut self, play: &mut Play<'_>, law: impl Into<String>) {
        let law = law.into();
        play.trail.note(self.now, || format!("BROKEN  {law}"));
        if !self.broken.contains(&law) {
            self.broken.push(law);
        }
    }

    /// Whether a replica holds a valid lease.
    pub fn leads(&self, op: usize) -> bool {
        self.setup.operators == 1
            || (self.lease.holder == Some(op) && self.now < self.operators[op].valid_until)
    }

    /// Gives a free lease to the first replica that can take it.
    pub fn elect(&mut self, rules: &Rules) {
        if self.setup.operators == 1 || self.now < self.lease.free_at {
            return;
        }
        let Some(op) = self
            .operators
            .iter()
            .position(|operator| operator.state == State::Up)
        else {
            return;
        };
        self.counts.elections += 1;
        self.lease = Lease {
            holder: Some(op),
            free_at: NEVER,
        };
        self.operators[op].valid_until = NEVER;
        let now = self.now;
        if rules.catches_up {
            self.operators[op].catch_up(&self.cluster.now, now);
        }
        self.operators[op].wake(now);
    }
}

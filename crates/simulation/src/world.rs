//! The whole: one cluster, one platform, one or two operators, and a clock that jumps from one moment to the next.

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

/// The decision about a service.
pub type Decide = fn(Time, &service::ServiceTarget, &Record, &Facts) -> Decision;

/// The decision about a lead.
pub type DecideLead = fn(Time, &lead::LeadTarget, &Record, &Facts) -> Decision;

/// What is believed of what the lists do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanishing {
    /// What the breaker says.
    Counted,
    /// What the breaker says, whatever the place.
    AnyPlace,
    /// All of it.
    Believed,
}

/// The rules by which the operator plays: the real ones, or wrong ones that the laws must catch.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The decision about a service.
    pub decide: Decide,
    /// Whether the lease is looked at before a change.
    pub lease: bool,
    /// Whether the breaker is asked.
    pub breaker: bool,
    /// Whether a write is refused when the object is another version than the one that was read.
    pub versions: bool,
    /// Whether `createGrace` counts only on a platform that was seen to be faster.
    pub pace: bool,
    /// Whether an object heeds another one that wants the same.
    pub rivals: bool,
    /// Whether it is looked at whether the API server's answer to a mark holds what was written.
    pub reads_answers: bool,
    /// Whether what was asked for is remembered in memory, for as long as the process lives.
    pub memory: bool,
    /// Whether what was refused is tried again ever more rarely.
    pub backs_off: bool,
    /// The decision about a lead.
    pub lead: DecideLead,
    /// Whether a list that is whole again wakes who waited for that.
    pub wakes_waiting: bool,
    /// Whether it heeds one whose `LivePlatform` has another name, and points to the same place.
    pub places: bool,
    /// Whether only an object that could ask for something, or has it, is heeded.
    pub able: bool,
    /// Whether whoever is elected reads all objects once more before its first pass.
    pub catches_up: bool,
    /// Whether an outcome whose word is not known is read as one that is not known.
    pub strange_words_end: bool,
    /// What is believed of what the lists do not show.
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

/// What is told of a story; nothing, unless somebody will read it.
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

/// The rules, and where the story is told.
pub struct Play<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The story.
    pub trail: &'a mut Trail,
}

/// Who holds the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The replica.
    pub holder: Option<usize>,
    /// When another one may take it.
    pub free_at: Time,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Writes to the API server.
    pub writes: u32,
    /// Changes asked of the platform.
    pub asks: u32,
    /// Reads that the inventory could not answer.
    pub reads: u32,
    /// Creates that were executed.
    pub creates: u32,
    /// Deletions that were executed.
    pub deletions: u32,
    /// Intents that were not written, since there was no room for their request.
    pub held_back: u32,
    /// Crashes.
    pub crashes: u32,
    /// Answers that were lost.
    pub lost: u32,
    /// Writes refused since somebody else had written.
    pub conflicts: u32,
    /// Times that a lease changed hands.
    pub elections: u32,
}

/// What an object loses by another writer's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loses {
    /// Its annotations.
    Annotations,
    /// Its status.
    Status,
}

/// A request whose answer was lost, and which is executed later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Late {
    /// When.
    pub at: Time,
    /// The object that asked.
    pub slot: usize,
    /// Its uid.
    pub uid: u32,
    /// The change.
    pub change: oc_domain::decision::Change,
    /// Whether it was asked for while `spec.recreate` was true.
    pub recreate: bool,
    /// The object's deletion time stamp, when it asked.
    pub deleted: Option<Time>,
    /// The place of the platform that was asked.
    pub place: usize,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// What it is like.
    pub setup: Arc<Setup>,
    /// The time.
    pub now: Time,
    /// The platform.
    pub platform: Platform,
    /// The API server.
    pub cluster: Cluster,
    /// The replicas.
    pub operators: Vec<Operator>,
    /// The lease, when there is more than one replica.
    pub lease: Lease,
    /// Requests on their way.
    pub late: Vec<Late>,
    /// What was counted.
    pub counts: Counts,
    /// Services that an object may call its own though it did not make them: taken over by the rules, by uid.
    pub adopted: BTreeSet<(u32, CustomerGuid)>,
    /// Services that can't be told from the object's own any more, since a restore dropped what told them apart.
    pub excused: BTreeSet<(u32, CustomerGuid)>,
    /// Objects whose service somebody removed after it had been shown as Ready.
    pub removed: BTreeSet<u32>,
    /// When each object had its deletion executed first, and whether a person had approved it.
    pub deletions: BTreeMap<u32, (Time, bool)>,
    /// Deletions of objects until this time are approved.
    pub approved: Option<Time>,
    /// Writes of ours that the API server has refused while it refuses all.
    pub refused: u32,
    /// The creates of which a status has told that they were refused, as long as nobody has put another status in its place.
    pub told_refused: BTreeSet<String>,
    /// Whether the namespaces of the service objects may use the platform now.
    pub allowed: [bool; 2],
    /// Laws that were broken.
    pub broken: Vec<String>,
}

impl World {
    /// A world at its beginning.
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

    /// A law was broken.
    pub fn breaks(&mut self, play: &mut Play<'_>, law: impl Into<String>) {
        let law = law.into();
        play.trail.note(self.now, || format!("BROKEN  {law}"));
        if !self.broken.contains(&law) {
            self.broken.push(law);
        }
    }

    /// Whether a replica holds a lease that is good now.
    pub fn leads(&self, op: usize) -> bool {
        self.setup.operators == 1
            || (self.lease.holder == Some(op) && self.now < self.operators[op].valid_until)
    }

    /// A free lease is taken by the first replica that can.
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

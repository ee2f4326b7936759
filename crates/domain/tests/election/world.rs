//! Candidates, one API server, and what happens to both. A tick is a second of the API server's time; each candidate has its own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use oc_domain::election::{Election, ElectionStep, LeaseRecord, Release, Timing};

/// From here on nothing new goes wrong.
const CALM: u64 = 560;
/// From here on nothing late is in transit any more.
const SETTLED: u64 = CALM + 190;

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// Ticks until it reaches the API server.
    pub before: u64,
    /// Ticks until its answer comes back.
    pub after: u64,
    /// It never arrives.
    pub unsent: bool,
    /// It is executed, and its answer is lost.
    pub unanswered: bool,
}

/// What happens to a candidate, or to the lease.
#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    /// SIGSTOP for this many ticks.
    Pause(usize, u64),
    /// SIGKILL; another process takes its place.
    Crash(usize),
    /// SIGTERM; another process takes its place.
    Release(usize),
    /// The wall clock jumps.
    WallJumps(usize, i64),
    /// A person deletes the lease; only once, because nobody could know of a holder between two deletions.
    Delete,
    /// A person annotates the lease.
    Touch,
}

/// A candidate's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// How long it ran before tick 0, in milliseconds.
    pub offset: u64,
    /// Milliseconds of its clock per tick.
    pub rate: u64,
    /// How far its wall clock is from the true time, in ticks.
    pub wall: i64,
}

/// Everything that happens in a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub timing: (u64, u64, u64),
    pub peers: Vec<Peer>,
    pub mishaps: Vec<(u64, Mishap)>,
    pub faults: Vec<Vec<Fault>>,
}

/// A deliberate fault, to see whether a law catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Nothing,
    /// Takes over when the holder's own renew time is long past by the local wall clock.
    WallClock,
    /// Counts the time in which it may act from the answer.
    CountsFromAnswer,
    /// Overwrites whatever version exists.
    WithoutVersion,
    /// Acts until it learns of another leader.
    ValidForEver,
    /// Counts another's time from when it began to look.
    SeenWhenAsked,
    /// Takes a deleted lease at once.
    AbsentIsFree,
    /// Reads the lease only once.
    NeverLooksAgain,
    /// Goes on until its release is answered.
    ReleasesAndActs,
    /// Ends without releasing the lease.
    KeepsWhenReleasing,
}

#[derive(Clone, Debug)]
struct Record {
    held: LeaseRecord,
    renewed_wall: i64,
}

#[derive(Clone, Debug)]
enum Operation {
    Get,
    Write { over: Option<String>, holder: String, duration: Duration, wall: i64 },
}

#[derive(Clone, Debug)]
enum Reply {
    Lease(Option<Record>),
    Written(LeaseRecord),
    Conflict,
}

struct Call {
    number: u64,
    begun: Duration,
    answer: Option<(u64, Reply)>,
}

struct Flight {
    arrives: u64,
    peer: usize,
    call: u64,
    operation: Operation,
    fault: Fault,
    late: bool,
}

struct Candidate {
    clocks: Peer,
    election: Option<Election>,
    incarnation: u32,
    call: Option<Call>,
    seen: Option<Record>,
    looked: bool,
    knows: bool,
    paused_until: u64,
    restart_at: u64,
    releasing: Option<u32>,
    faults: Vec<Fault>,
}

impl Candidate {
    fn now(&self, tick: u64) -> Duration {
        Duration::from_millis(self.clocks.offset + tick * self.clocks.rate)
    }

    fn valid(&self, tick: u64, wrong: Wrong) -> bool {
        let Some(election) = &self.election else { return false };
        let in_time = election.valid_until().is_some_and(|until| wrong == Wrong::ValidForEver || self.now(tick) < until);
        in_time && (self.releasing.is_none() || wrong == Wrong::ReleasesAndActs)
    }
}

/// The result of a schedule.
pub struct World {
    /// The laws that were broken.
    pub broken: Vec<String>,
    /// What happened.
    pub trail: Vec<String>,
    /// How often the events that the laws are about happened.
    pub counts: BTreeMap<&'static str, u32>,
    timing: Timing,
    wrong: Wrong,
    tick: u64,
    peers: Vec<Candidate>,
    lease: Option<Record>,
    version: u64,
    /// Until when a leader whose lease was deleted may go on.
    promised: u64,
    calls: u64,
    flights: Vec<Flight>,
}

/// Plays a schedule to its end.
pub fn play(schedule: &Schedule, wrong: Wrong) -> World {
    let (duration, deadline, retry) = schedule.timing;
    let seconds = Duration::from_secs;
    let timing = Timing::new(seconds(duration), seconds(deadline), seconds(retry)).expect("a timing");
    let peers = schedule.peers.iter().zip(&schedule.faults).map(|(clocks, faults)| Candidate {
        clocks: *clocks,
        election: None,
        incarnation: 0,
        call: None,
        seen: None,
        looked: false,
        knows: false,
        paused_until: 0,
        restart_at: 0,
        releasing: None,
        faults: faults.iter().rev().copied().collect(),
    });
    let mut world = World {
        broken: Vec::new(),
        trail: Vec::new(),
        counts: BTreeMap::new(),
        timing,
        wrong,
        tick: 0,
        peers: peers.collect(),
        lease: None,
        version: 0,
        promised: 0,
        calls: 0,
        flights: Vec::new(),
    };
    let bound = (duration + deadline) * 103 / 100 + 3 * retry + 10;
    let mut released = false;
    let end = SETTLED + 2 * bound;
    for tick in 0..end + 40 {
        world.tick = tick;
        for (_, mishap) in schedule.mishaps.iter().filter(|(at, _)| *at == tick) {
            world.befall(*mishap);
        }
        world.step();
        let leading: Vec<usize> = (0..world.peers.len()).filter(|peer| world.peers[*peer].valid(tick, wrong)).collect();
        if leading.len() > 1 {
            world.breaks(format!("two lead: {leading:?}"));
        }
        if tick == end {
            released = true;
            leading.iter().for_each(|leader| world.befall(Mishap::Release(*leader)));
        }
        if (SETTLED + bound..end).contains(&tick) && leading.is_empty() {
            world.breaks("nobody leads long after the last fault".into());
        }
        // Its last request may still await an answer, the other's read is due by then, and its write takes two ticks.
        if released && tick > end + retry * 103 / 100 + 8 && leading.is_empty() {
            world.breaks("a leader that ended did not hand over at the next retry".into());
        }
        if !world.broken.is_empty() {
            break;
        }
    }
    world
}

impl World {
    fn breaks(&mut self, law: String) {
        self.broken.push(format!("tick {}: {law}", self.tick));
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn note(&mut self, what: String) {
        self.trail.push(format!("{}: {what}", self.tick));
    }

    fn befall(&mut self, mishap: Mishap) {
        self.note(format!("{mishap:?}"));
        match mishap {
            Mishap::Pause(peer, ticks) => self.peers[peer].paused_until = (self.tick + ticks).min(CALM),
            Mishap::Crash(peer) => self.ends(peer),
            Mishap::Release(peer) if self.wrong == Wrong::KeepsWhenReleasing => self.ends(peer),
            Mishap::Release(peer) => {
                if self.peers[peer].election.is_some() {
                    self.peers[peer].releasing.get_or_insert(0);
                }
            }
            Mishap::WallJumps(peer, ticks) => self.peers[peer].clocks.wall += ticks,
            // A process that has never seen the lease creates one when there is none: it cannot know what a deleted one promised.
            Mishap::Delete if self.peers.iter().all(|peer| peer.election.is_some() && peer.knows) && !self.making() && self.promised == 0 => {
                self.lease = None;
                self.promised = self.tick + self.timing.duration().as_secs() * 103 / 100 + 1;
                self.count("lease deleted");
            }
            Mishap::Delete => {}
            Mishap::Touch => {
                self.version += 1;
                if let Some(record) = self.lease.as_mut() {
                    record.held.version = self.version.to_string();
                    self.count("renewed after a touch");
                }
            }
        }
    }

    /// Whether a request that creates the lease is in transit.
    fn making(&self) -> bool {
        self.flights.iter().any(|flight| matches!(flight.operation, Operation::Write { over: None, .. }))
    }

    fn ends(&mut self, peer: usize) {
        let pause = 1 + self.tick % 7;
        let candidate = &mut self.peers[peer];
        (candidate.election, candidate.call, candidate.seen, candidate.releasing) = (None, None, None, None);
        (candidate.looked, candidate.knows) = (false, false);
        (candidate.restart_at, candidate.paused_until) = (self.tick + pause, 0);
    }

    fn step(&mut self) {
        let (now, later): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights).into_iter().partition(|flight| flight.arrives <= self.tick);
        self.flights = later;
        for flight in now {
            self.arrive(flight);
        }
        for peer in 0..self.peers.len() {
            if self.peers[peer].election.is_none() {
                let deleted = self.lease.is_none() && self.tick < self.promised;
                if self.tick >= self.peers[peer].restart_at && !deleted {
                    self.peers[peer].incarnation += 1;
                    // Of two restarted candidates, one keeps its name, as a container of the same pod does.
                    let life = if peer % 2 == 0 { 0 } else { self.peers[peer].incarnation };
                    let identity = format!("peer-{peer}_{life}");
                    self.peers[peer].election = Some(Election::new(identity, self.timing));
                }
            } else if self.tick >= self.peers[peer].paused_until {
                self.act(peer);
            }
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let reply = match flight.operation {
            Operation::Get => Reply::Lease(self.lease.clone()),
            Operation::Write { over, holder, duration, wall } => {
                let there = self.lease.as_ref().map(|record| record.held.version.clone());
                if there != over && self.wrong != Wrong::WithoutVersion {
                    self.count("conflict");
                    Reply::Conflict
                } else {
                    self.version += 1;
                    let held = LeaseRecord { version: self.version.to_string(), holder, duration };
                    self.note(format!("written: {held:?}"));
                    self.lease = Some(Record { held: held.clone(), renewed_wall: wall });
                    let waits = self.peers[flight.peer].call.as_ref().is_some_and(|call| call.number == flight.call);
                    if flight.late || !waits {
                        self.count("late write came in");
                    }
                    Reply::Written(held)
                }
            }
        };
        let answered = self.tick + flight.fault.after;
        if let Some(call) = self.peers[flight.peer].call.as_mut().filter(|call| call.number == flight.call && !flight.fault.unanswered) {
            call.answer = Some((answered, reply));
        }
    }

    fn act(&mut self, peer: usize) {
        let now = self.peers[peer].now(self.tick);
        if let Some(call) = self.peers[peer].call.take() {
            match call.answer {
                Some((at, reply)) if at <= self.tick => self.answered(peer, call.begun, now, reply),
                _ if now >= call.begun + self.timing.patience() => {
                    if let Some(election) = self.peers[peer].election.as_mut() {
                        election.unanswered(now);
                    }
                }
                answer => {
                    self.peers[peer].call = Some(Call { answer, ..call });
                    return;
                }
            }
        }
        if self.peers[peer].releasing.is_some() {
            return self.release(peer);
        }
        match self.decide(peer, now) {
            ElectionStep::Wait(_) => {}
            ElectionStep::Look if self.wrong == Wrong::NeverLooksAgain && self.peers[peer].looked => {}
            ElectionStep::Look => self.ask(peer, Operation::Get),
            ElectionStep::Acquire(over) => {
                if self.lease.as_ref().is_some_and(|record| !record.held.holder.is_empty()) && over.is_some() {
                    self.count("expired and taken");
                }
                self.write(peer, over, self.timing.duration());
            }
            ElectionStep::Renew(over) => self.write(peer, over, self.timing.duration()),
            ElectionStep::Lost => {
                self.count("lost");
                self.note(format!("peer {peer} lost the lease"));
                self.ends(peer);
            }
        }
    }

    fn decide(&self, peer: usize, now: Duration) -> ElectionStep {
        let candidate = &self.peers[peer];
        let Some(election) = &candidate.election else { return ElectionStep::Wait(now) };
        let leads = election.valid_until().is_some();
        let wall = self.tick.cast_signed() + candidate.clocks.wall;
        match (&candidate.seen, self.wrong) {
            (Some(record), Wrong::WallClock) if !leads && record.renewed_wall + record.held.duration.as_secs().cast_signed() < wall => {
                ElectionStep::Acquire(Some(record.held.version.clone()))
            }
            (None, Wrong::AbsentIsFree) if !leads && candidate.looked => ElectionStep::Acquire(None),
            _ => election.decide(now),
        }
    }

    fn answered(&mut self, peer: usize, begun: Duration, now: Duration, reply: Reply) {
        let wrong = self.wrong;
        let releasing = self.peers[peer].releasing.is_some();
        let candidate = &mut self.peers[peer];
        let Some(election) = candidate.election.as_mut() else { return };
        let mut happened = None;
        match reply {
            Reply::Lease(record) => {
                let own = record.as_ref().is_some_and(|record| record.held.holder == election.identity());
                if own && election.holder() != Some(election.identity()) {
                    happened = Some("own write found");
                }
                (candidate.seen, candidate.looked) = (record.clone(), true);
                candidate.knows |= record.is_some();
                election.observed(if wrong == Wrong::SeenWhenAsked { begun } else { now }, record.map(|record| record.held));
            }
            Reply::Written(_) if releasing && candidate.releasing != Some(0) => {
                self.count("released");
                return self.ends(peer);
            }
            Reply::Written(held) => {
                (candidate.looked, candidate.knows) = (true, true);
                election.wrote(if wrong == Wrong::CountsFromAnswer { now } else { begun }, now, held);
            }
            Reply::Conflict => {
                candidate.seen = None;
                election.conflicted(now);
            }
        }
        if let Some(what) = happened {
            self.count(what);
        }
    }

    fn release(&mut self, peer: usize) {
        let candidate = &mut self.peers[peer];
        let Some(election) = &candidate.election else { return };
        let tries = candidate.releasing.map_or(1, |tries| tries + 1);
        match election.release() {
            Release::Look if tries < 5 => {
                // Not counted as a write: a pending answer to an earlier write is not the release.
                candidate.releasing = Some(0);
                self.ask(peer, Operation::Get);
            }
            Release::Replace(version) if tries < 5 => {
                candidate.releasing = Some(tries);
                let wall = self.tick.cast_signed() + candidate.clocks.wall;
                self.ask(peer, Operation::Write { over: Some(version), holder: String::new(), duration: Duration::from_secs(1), wall });
            }
            _ => self.ends(peer),
        }
    }

    fn write(&mut self, peer: usize, over: Option<String>, duration: Duration) {
        let candidate = &mut self.peers[peer];
        let wall = self.tick.cast_signed() + candidate.clocks.wall;
        let Some(election) = candidate.election.as_mut() else { return };
        election.writing();
        let holder = election.identity().to_owned();
        self.ask(peer, Operation::Write { over, holder, duration, wall });
    }

    fn ask(&mut self, peer: usize, operation: Operation) {
        self.calls += 1;
        let candidate = &mut self.peers[peer];
        let fault = candidate.faults.pop().filter(|_| self.tick < CALM).unwrap_or_default();
        candidate.call = Some(Call { number: self.calls, begun: candidate.now(self.tick), answer: None });
        if !fault.unsent {
            let late = Duration::from_secs(fault.before) > self.timing.patience();
            self.flights.push(Flight { arrives: self.tick + 1 + fault.before, peer, call: self.calls, operation, fault, late });
        }
    }
}

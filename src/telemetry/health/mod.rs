//! Whether the program does what it is for.
//!
//! It lives while it moves: each watch is heard of, what is due is taken, passes end, the election goes on. A restart mends what does not, and nothing
//! else: an API server or a platform that is away shows in readiness, never in liveness. That the question is answered at all says that the runtime
//! runs.
//!
//! With an election there is one end more when the API server is away, and it is no probe's: a leader that can't renew its lease until the deadline ends
//! by itself, since another may lead by then. The process that is started in its place waits for the API server, alive and not ready.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::watch_health::WatchStatus;
use crate::controllers::{Context, Kind};
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::workqueue::QueueStats;

/// How long nothing may move before this is taken for dead. Far longer than it should take, for a restart costs something as well.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// A watch is begun anew every five minutes at the latest; until then it may bring nothing.
    pub watch: Duration,
    /// What is due and could run is taken at once.
    pub queue: Duration,
    /// A pass makes a few calls, each of which has a deadline. That of a platform object reads whole lists, page by page, and each page may wait for
    /// its turn by `spec.requests` and be tried again: of tens of thousands of entries on a slow platform it takes long, and is no reason to begin anew.
    pub pass: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            watch: seconds(600),
            queue: seconds(120),
            pass: seconds(3600),
        }
    }
}

/// How far the program is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartStage {
    /// The API server has not answered yet.
    #[default]
    Asking,
    /// The watches are not complete yet.
    Starting,
    /// It waits for the lease.
    Waiting,
    /// It works.
    Working,
    /// It was asked to end, and finishes what it had begun.
    Stopping,
}

/// What is looked at.
#[derive(Clone, Debug, Default)]
struct Signs {
    stage: StartStage,
    watches: Vec<(Kind, WatchStatus)>,
    queue: QueueStats,
    /// For how long the election has made no step, and for how long it may.
    lease: Option<(Duration, Duration)>,
}

/// One thing that was looked at: its name, and what is wrong with it.
type Check = (String, Result<(), String>);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
    /// What is told beside them.
    notes: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|(_, found)| found.is_ok())
    }

    /// As the API server answers it: a word, or each check in a line.
    pub fn text(&self, name: &str, verbose: bool) -> String {
        if self.is_good() && !verbose {
            return "ok".to_owned();
        }
        let line = |(check, found): &Check| match found {
            Ok(()) => format!("[+]{check} ok\n"),
            Err(why) => format!("[-]{check} failed: {why}\n"),
        };
        let lines: String = self.checks.iter().map(line).collect();
        let notes: String = self.notes.iter().map(|note| format!("[!]{note}\n")).collect();
        format!(
            "{lines}{notes}{name} check {}\n",
            if self.is_good() { "passed" } else { "failed" }
        )
    }
}

impl Signs {
    fn each_watch(&self, look: impl Fn(&WatchStatus) -> Result<(), String>) -> Vec<Check> {
        self.watches
            .iter()
            .map(|(kind, seen)| (watch(*kind, seen), look(seen)))
            .collect()
    }

    /// What a person should know although nothing is wrong with the program.
    fn notes(&self) -> Vec<String> {
        let refused = |(kind, seen): &(Kind, WatchStatus)| {
            Some(format!(
                "{} is refused: {}; the other namespaces are served",
                watch(*kind, seen),
                seen.refused.clone()?
            ))
        };
        self.watches.iter().filter_map(refused).collect()
    }

    fn live(&self, bounds: &Bounds) -> Report {
        let heard = |seen: &WatchStatus| {
            within(
                seen.silent,
                bounds.watch,
                "nothing was heard of it, neither a failure,",
            )
        };
        let mut checks = self.each_watch(heard);
        // Nobody takes what is due while another replica leads, or when this one is to end.
        let taken = if self.stage == StartStage::Working {
            within(self.queue.idle, bounds.queue, "nobody has taken what is due")
        } else {
            Ok(())
        };
        checks.push(("queue".into(), taken));
        checks.push((
            "passes".into(),
            within(self.queue.longest, bounds.pass, "a pass has been under way"),
        ));
        if let Some((still, most)) = self.lease {
            checks.push((
                "lease".into(),
                within(still, most, "the election has made no step"),
            ));
        }
        Report {
            checks,
            notes: Vec::new(),
        }
    }

    fn ready(&self, bounds: &Bounds) -> Report {
        let stage = match self.stage {
            StartStage::Asking => Err("the API server has not answered yet; see the log".to_owned()),
            StartStage::Starting => Err("the watches are not complete yet".to_owned()),
            StartStage::Stopping => Err("it was asked to end".to_owned()),
            StartStage::Waiting | StartStage::Working => Ok(()),
        };
        // A namespace that the API server refuses is no reason to take this replica for unfit, unless it is refused everywhere.
        let somewhere = self
            .watches
            .iter()
            .any(|(kind, seen)| *kind != Kind::LivePlatform && seen.refused.is_none());
        let well = |seen: &WatchStatus| match (seen.complete, seen.failing) {
            _ if seen.refused.is_some() && somewhere => Ok(()),
            (_, true) => Err("its last try failed; see the log".to_owned()),
            (false, _) => Err("its first list is not complete".to_owned()),
            _ => within(
                seen.silent,
                bounds.watch,
                "nothing was heard of it, neither a failure,",
            ),
        };
        let mut checks = vec![("stage".into(), stage)];
        checks.extend(self.each_watch(well));
        checks.extend(
            self.live(bounds)
                .checks
                .into_iter()
                .filter(|(name, _)| !name.starts_with("watch-")),
        );
        Report {
            checks,
            notes: self.notes(),
        }
    }
}

/// The name of a watch.
fn watch(kind: Kind, seen: &WatchStatus) -> String {
    let dot = if seen.of.is_empty() { "" } else { "." };
    format!("watch-{}{dot}{}", kind.as_str(), seen.of)
}

fn within(span: Duration, most: Duration, what: &str) -> Result<(), String> {
    if span <= most {
        Ok(())
    } else {
        Err(format!(
            "{what} for {} s, and {} s are the most",
            span.as_secs(),
            most.as_secs()
        ))
    }
}

/// Knows where to look.
pub struct Health {
    context: Arc<Context>,
    bounds: Bounds,
    stage: Mutex<StartStage>,
    lease: Mutex<Option<(Arc<Heartbeat>, Duration)>>,
}

impl Health {
    /// Of a program that has just begun.
    pub fn new(context: Arc<Context>, bounds: Bounds) -> Self {
        Self {
            context,
            bounds,
            stage: Mutex::default(),
            lease: Mutex::default(),
        }
    }

    /// The program is so far.
    pub fn is(&self, stage: StartStage) {
        *self.stage.lock() = stage;
    }

    /// From now on an election goes on, each step of which beats; or none does any more.
    pub fn election(&self, heartbeat: Option<(Arc<Heartbeat>, Duration)>) {
        *self.lease.lock() = heartbeat;
    }

    fn signs(&self) -> Signs {
        let lease = self.lease.lock();
        Signs {
            stage: *self.stage.lock(),
            watches: self.context.watches.all(),
            queue: self.context.queue.load(),
            lease: lease
                .as_ref()
                .map(|(heartbeat, most)| (heartbeat.idle_for(), *most)),
        }
    }

    /// Whether a restart would help.
    pub fn live(&self) -> Report {
        self.signs().live(&self.bounds)
    }

    /// Whether it can do what it is for: the API server answers it, and it is not about to end. One that waits for the lease is ready.
    pub fn ready(&self) -> Report {
        self.signs().ready(&self.bounds)
    }
}

#[cfg(test)]
mod tests;

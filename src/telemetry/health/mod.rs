//! Liveness and readiness.
//!
//! The process is live while it makes progress: each watch is heard from, due items are taken, passes end,
//! the election goes on. Liveness fails only for what a restart fixes; an API server or a platform that is
//! unavailable affects readiness, never liveness. That a probe is answered at all shows that the runtime
//! runs.
//!
//! With an election, an unavailable API server has one more effect, which involves no probe: a leader that
//! cannot renew its lease by the deadline exits, because another replica may be leading by then. The process
//! started in its place waits for the API server, live and not ready.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::watch_health::WatchStatus;
use crate::controllers::{Context, Kind};
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::workqueue::QueueStats;

/// How long a part may make no progress before the process counts as dead. Far longer than it should take,
/// because a restart has a cost too.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// A watch restarts every five minutes at the latest; until then it may deliver nothing.
    pub watch: Duration,
    /// A due item that could run is taken at once.
    pub queue: Duration,
    /// A pass makes a few calls, each with a deadline. The pass of a platform object reads whole lists, page
    /// by page, and each page may wait for its turn under `spec.requests` and be retried. With tens of
    /// thousands of entries on a slow platform this takes long, and a restart would not help.
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

/// How far the process has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartStage {
    /// The API server has not answered yet.
    #[default]
    Asking,
    /// The watches are not complete yet.
    Starting,
    /// It waits for the lease.
    Waiting,
    /// It reconciles.
    Working,
    /// It was asked to stop, and finishes what it started.
    Stopping,
}

/// What the checks look at.
#[derive(Clone, Debug, Default)]
struct Signs {
    stage: StartStage,
    watches: Vec<(Kind, WatchStatus)>,
    queue: QueueStats,
    /// How long the election has made no progress, and how long it may.
    lease: Option<(Duration, Duration)>,
}

/// The name of a check, and what is wrong.
type Check = (String, Result<(), String>);

/// The result of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
    /// Remarks besides the checks.
    notes: Vec<String>,
}

impl Report {
    /// Whether all checks passed.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|(_, found)| found.is_ok())
    }

    /// In the format of the API server: one word, or one line per check.
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

    /// What a person should know although nothing is wrong with the process.
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
        let heard =
            |seen: &WatchStatus| within(seen.silent, bounds.watch, "no sign of life, not even a failure,");
        let mut checks = self.each_watch(heard);
        // Nothing takes due items while another replica leads, or while this one stops.
        let taken = if self.stage == StartStage::Working {
            within(self.queue.idle, bounds.queue, "no pass has taken a due object")
        } else {
            Ok(())
        };
        checks.push(("queue".into(), taken));
        checks.push((
            "passes".into(),
            within(self.queue.longest, bounds.pass, "a pass has been in progress"),
        ));
        if let Some((still, most)) = self.lease {
            checks.push((
                "lease".into(),
                within(still, most, "the election has made no progress"),
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
            StartStage::Stopping => Err("it is shutting down".to_owned()),
            StartStage::Waiting | StartStage::Working => Ok(()),
        };
        // A refused namespace does not make this replica unready, unless every namespace is refused.
        let somewhere = self
            .watches
            .iter()
            .any(|(kind, seen)| *kind != Kind::LivePlatform && seen.refused.is_none());
        let well = |seen: &WatchStatus| match (seen.complete, seen.failing) {
            _ if seen.refused.is_some() && somewhere => Ok(()),
            (_, true) => Err("its last attempt failed; see the log".to_owned()),
            (false, _) => Err("its first list is not complete".to_owned()),
            _ => within(seen.silent, bounds.watch, "no sign of life, not even a failure,"),
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
            "{what} for {} s; the limit is {} s",
            span.as_secs(),
            most.as_secs()
        ))
    }
}

/// Liveness and readiness of this process.
pub struct Health {
    context: Arc<Context>,
    bounds: Bounds,
    stage: Mutex<StartStage>,
    lease: Mutex<Option<(Arc<Heartbeat>, Duration)>>,
}

impl Health {
    /// The health of a process that has just started.
    pub fn new(context: Arc<Context>, bounds: Bounds) -> Self {
        Self {
            context,
            bounds,
            stage: Mutex::default(),
            lease: Mutex::default(),
        }
    }

    /// Sets the stage.
    pub fn is(&self, stage: StartStage) {
        *self.stage.lock() = stage;
    }

    /// Sets the heartbeat of the election and how long it may pause, or `None` when there is no election any
    /// more.
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

    /// Whether the process makes progress. If not, a restart helps.
    pub fn live(&self) -> Report {
        self.signs().live(&self.bounds)
    }

    /// Whether the process can work: the API server answers, and it is not about to end. A replica that waits
    /// for the lease is ready.
    pub fn ready(&self) -> Report {
        self.signs().ready(&self.bounds)
    }
}

#[cfg(test)]
mod tests;

//! Who is next.
//!
//! Ours, since no library has it: kube's own scheduler parks what it can't run in a hash set, without order, priorities or a shared budget
//! (measured: at 1.6 times its capacity a quarter of 200 objects never ran). An entry has a deadline, the time at which it became ready plus the
//! patience of its priority; the smallest deadline is next. So a changed spec goes before a poll, a poll before a drift check, and nothing
//! waits for ever. Entries of one group (a platform) share a limit of passes, so that a slow platform delays nobody else's objects.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use oc_domain::time::Time;
use tokio::sync::Notify;

use crate::runtime::clock;

/// How urgent an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody changed the object, or asked for a look.
    Changed,
    /// Something is under way and its effect may show: a task, a list, an object that was waited for.
    Effect,
    /// Time for another look.
    Observe,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Priority; 3] = [Priority::Changed, Priority::Effect, Priority::Observe];

    /// The name for a label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Effect => "effect",
            Self::Observe => "observe",
        }
    }

    /// How long an entry of this priority gives way to those of the priorities before it.
    fn patience(self) -> Duration {
        match self {
            Self::Changed => Duration::ZERO,
            Self::Effect => Duration::from_secs(2),
            Self::Observe => Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug)]
struct Ready<G> {
    group: G,
    deadline: Time,
    sequence: u64,
    since: Time,
    priority: Priority,
}

#[derive(Debug)]
struct Later<G> {
    at: Time,
    sequence: u64,
    group: G,
    priority: Priority,
}

#[derive(Debug)]
struct Running<G> {
    group: G,
    since: Time,
}

/// What is in one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityStats {
    /// How many entries are ready.
    pub ready: usize,
    /// For how long the oldest of them has been ready.
    pub oldest: Duration,
}

/// How the queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// What is ready, in the order of [`Priority::ALL`].
    pub priorities: [PriorityStats; 3],
    /// How many entries have an appointment.
    pub appointed: usize,
    /// How many passes are under way.
    pub running: usize,
    /// For how long the oldest pass has been under way.
    pub longest: Duration,
    /// For how long an entry could have been taken, while none was and no pass ended: next to nothing, if somebody takes them.
    pub idle: Duration,
}

/// The queue's state, without a clock and without waiting: it is told the time.
#[derive(Debug)]
pub struct WorkQueueState<K, G> {
    ready: HashMap<K, Ready<G>>,
    order: HashMap<G, BTreeSet<(Time, u64, K)>>,
    later: HashMap<K, Later<G>>,
    agenda: BTreeSet<(Time, u64, K)>,
    running: HashMap<K, Running<G>>,
    in_group: HashMap<G, usize>,
    group_limit: usize,
    sequence: u64,
    /// When an entry was last taken, or a pass ended.
    moved: Time,
}

impl<K: Clone + Eq + Hash + Ord, G: Clone + Eq + Hash> WorkQueueState<K, G> {
    /// An empty queue in which at most `group_limit` entries of a group run at once.
    pub fn new(group_limit: usize) -> Self {
        Self {
            ready: HashMap::new(),
            order: HashMap::new(),
            later: HashMap::new(),
            agenda: BTreeSet::new(),
            running: HashMap::new(),
            in_group: HashMap::new(),
            group_limit,
            sequence: 0,
            moved: Time(0),
        }
    }

    /// Wants `key` to run as soon as it is its turn. A later appointment is dropped; of two wishes the more urgent one counts.
    pub fn add(&mut self, now: Time, key: K, group: G, priority: Priority) {
        if let Some(later) = self.later.remove(&key) {
            self.agenda.remove(&(later.at, later.sequence, key.clone()));
        }
        let deadline = now + priority.patience();
        let mut since = now;
        if let Some(before) = self.ready.get(&key) {
            if before.deadline <= deadline && before.group == group {
                return;
            }
            since = before.since;
            let before = before.clone();
            self.unqueue(&key, &before);
        }
        self.sequence += 1;
        let entry = Ready {
            group: group.clone(),
            deadline,
            sequence: self.sequence,
            since,
            priority,
        };
        self.order
            .entry(group)
            .or_default()
            .insert((deadline, entry.sequence, key.clone()));
        self.ready.insert(key, entry);
    }

    /// Wants `key` to run at a time; of several times the earliest counts, and what is ready already stays so.
    pub fn add_at(&mut self, at: Time, key: K, group: G, priority: Priority) {
        if self.ready.contains_key(&key) {
            return;
        }
        if let Some(before) = self.later.get(&key) {
            if before.at <= at {
                return;
            }
            self.agenda.remove(&(before.at, before.sequence, key.clone()));
        }
        self.sequence += 1;
        self.agenda.insert((at, self.sequence, key.clone()));
        self.later.insert(
            key,
            Later {
                at,
                sequence: self.sequence,
                group,
                priority,
            },
        );
    }

    /// Forgets `key`: it does not exist any more. A pass that runs is not touched.
    pub fn remove(&mut self, key: &K) {
        if let Some(before) = self.ready.get(key).cloned() {
            self.unqueue(key, &before);
        }
        if let Some(later) = self.later.remove(key) {
            self.agenda.remove(&(later.at, later.sequence, key.clone()));
        }
    }

    fn unqueue(&mut self, key: &K, entry: &Ready<G>) {
        self.ready.remove(key);
        if let Some(line) = self.order.get_mut(&entry.group) {
            line.remove(&(entry.deadline, entry.sequence, key.clone()));
            if line.is_empty() {
                self.order.remove(&entry.group);
            }
        }
    }

    /// Takes the next entry. It counts as running until [`WorkQueueState::done`]; the same key never runs twice at once.
    pub fn pop(&mut self, now: Time) -> Option<(K, Priority, Duration)> {
        self.promote(now);
        let next = self
            .order
            .iter()
            .filter(|(group, _)| self.has_room(group))
            .filter_map(|(_, line)| line.iter().find(|(_, _, key)| !self.running.contains_key(key)))
            .min()?
            .clone();
        let key = next.2;
        let entry = self.ready.get(&key)?.clone();
        self.unqueue(&key, &entry);
        self.moved = now;
        self.running.insert(
            key.clone(),
            Running {
                group: entry.group.clone(),
                since: now,
            },
        );
        *self.in_group.entry(entry.group).or_default() += 1;
        Some((key, entry.priority, now.since(entry.since)))
    }

    fn has_room(&self, group: &G) -> bool {
        self.in_group.get(group).copied().unwrap_or(0) < self.group_limit
    }

    fn promote(&mut self, now: Time) {
        while let Some((at, _, key)) = self.agenda.first().cloned() {
            if at > now {
                return;
            }
            let Some(later) = self.later.get(&key) else { return };
            let (group, priority) = (later.group.clone(), later.priority);
            // It has been ready since its time came, not since somebody looked.
            self.add(at, key, group, priority);
        }
    }

    /// The pass of `key` has ended.
    pub fn done(&mut self, now: Time, key: &K) {
        self.moved = now;
        if let Some(Running { group, .. }) = self.running.remove(key)
            && let Some(count) = self.in_group.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.in_group.remove(&group);
            }
        }
    }

    /// When the next appointment is due.
    pub fn next_appointment(&self) -> Option<Time> {
        self.agenda.first().map(|(at, _, _)| *at)
    }

    /// Whether a pass of `key` is under way.
    pub fn is_running(&self, key: &K) -> bool {
        self.running.contains_key(key)
    }

    /// How it does. What has an appointment that is over counts as ready.
    pub fn load(&mut self, now: Time) -> QueueStats {
        self.promote(now);
        let mut load = QueueStats {
            appointed: self.later.len(),
            running: self.running.len(),
            ..QueueStats::default()
        };
        let mut could_run: Option<Time> = None;
        for (key, entry) in &self.ready {
            let priority = &mut load.priorities[entry.priority as usize];
            priority.ready += 1;
            priority.oldest = priority.oldest.max(now.since(entry.since));
            if !self.running.contains_key(key) && self.has_room(&entry.group) {
                could_run = Some(could_run.map_or(entry.since, |since| since.min(entry.since)));
            }
        }
        load.longest = self
            .running
            .values()
            .map(|running| now.since(running.since))
            .max()
            .unwrap_or_default();
        load.idle = could_run
            .map(|since| now.since(since.max(self.moved)))
            .unwrap_or_default();
        load
    }
}

/// The queue that tasks share.
pub struct Queue<K, G> {
    lines: Mutex<WorkQueueState<K, G>>,
    changed: Notify,
}

impl<K: Clone + Eq + Hash + Ord, G: Clone + Eq + Hash> Queue<K, G> {
    /// An empty queue; see [`WorkQueueState::new`].
    pub fn new(group_limit: usize) -> Self {
        Self {
            lines: Mutex::new(WorkQueueState::new(group_limit)),
            changed: Notify::new(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut WorkQueueState<K, G>) -> T) -> T {
        let mut lines = self.lines.lock();
        act(&mut lines)
    }

    /// See [`WorkQueueState::add`].
    pub fn add(&self, key: K, group: G, priority: Priority) {
        self.with(|lines| lines.add(clock::now(), key, group, priority));
        self.changed.notify_one();
    }

    /// See [`WorkQueueState::add_at`].
    pub fn add_at(&self, at: Time, key: K, group: G, priority: Priority) {
        self.with(|lines| lines.add_at(at, key, group, priority));
        self.changed.notify_one();
    }

    /// See [`WorkQueueState::remove`].
    pub fn remove(&self, key: &K) {
        self.with(|lines| lines.remove(key));
    }

    /// Waits for the next entry.
    pub async fn next(&self) -> (K, Priority, Duration) {
        loop {
            let changed = self.changed.notified();
            let (next, appointment) = self.with(|lines| (lines.pop(clock::now()), lines.next_appointment()));
            if let Some(next) = next {
                return next;
            }
            match appointment {
                Some(at) => {
                    tokio::select! { () = changed => {}, () = clock::sleep_until(at) => {} }
                }
                None => changed.await,
            }
        }
    }

    /// See [`WorkQueueState::done`].
    pub fn done(&self, key: &K) {
        self.with(|lines| lines.done(clock::now(), key));
        self.changed.notify_one();
    }

    /// See [`WorkQueueState::is_running`].
    pub fn is_running(&self, key: &K) -> bool {
        self.with(|lines| lines.is_running(key))
    }

    /// See [`WorkQueueState::load`].
    pub fn load(&self) -> QueueStats {
        self.with(|lines| lines.load(clock::now()))
    }
}

#[cfg(test)]
mod tests;

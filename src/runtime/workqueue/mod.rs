//! The work queue: which object is next.
//!
//! We wrote our own because no library does what follows. kube's scheduler parks what it can't run in a hash
//! set, without order, priorities or a shared budget (measured: at 1.6 times its capacity a quarter of 200
//! objects never ran).
//!
//! An entry has a deadline: the time it became ready plus the delay of its priority. The smallest deadline is
//! next. So a changed spec goes before a poll, a poll before a drift check, and nothing waits forever. When
//! more is due than can be served, every second entry is one whose effect is awaited: of thousands of new
//! objects the first are finished while the last still wait for their beginning, and neither side waits more
//! than twice as long as it would alone.
//! Entries of one group (a platform) share a limit of passes, so that a slow platform does not delay the
//! objects of others.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;
use oc_domain::time::Time;
use tokio::sync::Notify;

use crate::runtime::clock;

/// How urgent an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody changed the object or requested a reconciliation.
    Changed,
    /// Something is in progress and its effect may have appeared: a task, a list, an awaited object.
    Effect,
    /// The next regular look is due.
    Observe,
}

impl Priority {
    /// All priorities, the most urgent first.
    pub const ALL: [Priority; 3] = [Priority::Changed, Priority::Effect, Priority::Observe];

    /// Returns the name for a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Effect => "effect",
            Self::Observe => "observe",
        }
    }

    /// Returns how long an entry of this priority gives way to more urgent ones.
    fn patience(self) -> Duration {
        match self {
            Self::Changed => Duration::ZERO,
            Self::Effect => Duration::from_secs(2),
            Self::Observe => Duration::from_secs(30),
        }
    }
}

/// How many entries of a group allow one pass, where the limit may grow. All count, not only those that are ready: else
/// the last thousands would get fewer and fewer passes, each of which waits as long as the first.
const ENTRIES_PER_PASS: usize = 48;

/// The room for ready entries that is kept.
const ROOM: usize = 1024;

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

/// The entries of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityStats {
    /// The number of ready entries.
    pub ready: usize,
    /// How long the oldest of them has been ready.
    pub oldest: Duration,
}

/// The ready entries of a group, by deadline.
#[derive(Debug)]
struct Order<K> {
    effects: BTreeSet<(Time, u64, K)>,
    others: BTreeSet<(Time, u64, K)>,
}

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self {
            effects: BTreeSet::new(),
            others: BTreeSet::new(),
        }
    }
}

impl<K> Order<K> {
    fn line_of(&mut self, priority: Priority) -> &mut BTreeSet<(Time, u64, K)> {
        match priority {
            Priority::Effect => &mut self.effects,
            Priority::Changed | Priority::Observe => &mut self.others,
        }
    }
}

/// The state of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// The ready entries, in the order of [`Priority::ALL`].
    pub priorities: [PriorityStats; 3],
    /// The number of entries scheduled for later.
    pub appointed: usize,
    /// The number of running passes.
    pub running: usize,
    /// How long the oldest pass has been running.
    pub longest: Duration,
    /// How long a runnable entry has been waiting since an entry was last taken or a pass last ended. Close
    /// to zero as long as somebody takes entries.
    pub idle: Duration,
}

/// The queue's state, without a clock and without waiting: callers pass the time in.
#[derive(Debug)]
pub struct WorkQueueState<K, G> {
    ready: HashMap<K, Ready<G>>,
    order: HashMap<G, Order<K>>,
    /// Whether it is the turn of an entry whose effect is awaited, should one be overdue.
    effect_next: bool,
    later: HashMap<K, Later<G>>,
    later_in_group: HashMap<G, usize>,
    agenda: BTreeSet<(Time, u64, K)>,
    running: HashMap<K, Running<G>>,
    in_group: HashMap<G, usize>,
    group_limit: usize,
    /// What the limit of a group with very many entries grows to.
    most: usize,
    sequence: u64,
    /// When an entry was last taken, or a pass ended.
    moved: Time,
}

impl<K: Clone + Eq + Hash + Ord, G: Clone + Eq + Hash> WorkQueueState<K, G> {
    /// Creates an empty queue in which at most `group_limit` entries of a group run at once.
    pub fn new(group_limit: usize) -> Self {
        Self::growing(group_limit, group_limit)
    }

    /// Creates an empty queue whose limit grows, up to `most`, with the number of entries of the group.
    pub fn growing(group_limit: usize, most: usize) -> Self {
        Self {
            ready: HashMap::default(),
            order: HashMap::default(),
            effect_next: false,
            later: HashMap::default(),
            later_in_group: HashMap::default(),
            agenda: BTreeSet::new(),
            running: HashMap::default(),
            in_group: HashMap::default(),
            group_limit,
            most,
            sequence: 0,
            moved: Time(0),
        }
    }

    /// Enqueues `key` to run as soon as it is its turn. This replaces a later requeue. Of two priorities the
    /// more urgent one counts.
    pub fn add(&mut self, now: Time, key: K, group: G, priority: Priority) {
        self.unschedule(&key);
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
        self.order.entry(group).or_default().line_of(priority).insert((
            deadline,
            entry.sequence,
            key.clone(),
        ));
        self.ready.insert(key, entry);
    }

    /// Requeues `key` to run at a time. Of several times the earliest counts, and an entry that is ready
    /// stays ready.
    pub fn add_at(&mut self, at: Time, key: K, group: G, priority: Priority) {
        if self.ready.contains_key(&key) {
            return;
        }
        if self.later.get(&key).is_some_and(|before| before.at <= at) {
            return;
        }
        self.unschedule(&key);
        self.sequence += 1;
        self.agenda.insert((at, self.sequence, key.clone()));
        *self.later_in_group.entry(group.clone()).or_default() += 1;
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

    /// Removes `key` because the object no longer exists. A running pass is not affected.
    pub fn remove(&mut self, key: &K) {
        if let Some(before) = self.ready.get(key).cloned() {
            self.unqueue(key, &before);
        }
        self.unschedule(key);
    }

    fn unschedule(&mut self, key: &K) {
        if let Some(later) = self.later.remove(key) {
            self.agenda.remove(&(later.at, later.sequence, key.clone()));
            count_down(&mut self.later_in_group, &later.group);
        }
    }

    fn unqueue(&mut self, key: &K, entry: &Ready<G>) {
        self.ready.remove(key);
        // Room for all objects at once is needed after a restart and an outage, and else by nobody.
        if self.ready.capacity() > ROOM && self.ready.len() < self.ready.capacity() / 16 {
            self.ready.shrink_to(self.ready.len() * 2);
        }
        if let Some(order) = self.order.get_mut(&entry.group) {
            let line = order.line_of(entry.priority);
            line.remove(&(entry.deadline, entry.sequence, key.clone()));
            if order.effects.is_empty() && order.others.is_empty() {
                self.order.remove(&entry.group);
            }
        }
    }

    /// Takes the next entry. It counts as running until [`WorkQueueState::done`]; a key never runs twice at
    /// once.
    pub fn pop(&mut self, now: Time) -> Option<(K, Priority, Duration)> {
        self.promote(now);
        let (effects, others) = (
            self.first(|order| &order.effects),
            self.first(|order| &order.others),
        );
        let key = match (effects, others) {
            (Some(effect), Some(other)) => {
                let both_overdue = effect.0 <= now && other.0 <= now;
                let effect_first = if both_overdue {
                    self.effect_next
                } else {
                    effect < other
                };
                if effect_first { effect } else { other }
            }
            (effect, other) => effect.or(other)?,
        }
        .2
        .clone();
        let entry = self.ready.get(&key)?.clone();
        self.effect_next = entry.priority != Priority::Effect;
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

    /// Returns the next of one line, over all groups.
    fn first(&self, line: impl Fn(&Order<K>) -> &BTreeSet<(Time, u64, K)>) -> Option<&(Time, u64, K)> {
        self.order
            .iter()
            .filter(|(group, _)| self.has_room(group))
            .filter_map(|(_, order)| {
                let mut entries = line(order).iter();
                entries.find(|(_, _, key)| !self.running.contains_key(key))
            })
            .min()
    }

    fn has_room(&self, group: &G) -> bool {
        self.running_in(group) < self.limit(group)
    }

    /// Whether three quarters of the passes that may run in a group do.
    pub fn is_crowded(&self, group: &G) -> bool {
        self.running_in(group) >= self.limit(group) / 4 * 3
    }

    fn running_in(&self, group: &G) -> usize {
        self.in_group.get(group).copied().unwrap_or(0)
    }

    /// How many passes of a group may run.
    fn limit(&self, group: &G) -> usize {
        let ready = self
            .order
            .get(group)
            .map_or(0, |order| order.effects.len() + order.others.len());
        let later = self.later_in_group.get(group).copied().unwrap_or(0);
        let entries = ready + later + self.running_in(group);
        (entries / ENTRIES_PER_PASS).clamp(self.group_limit, self.most)
    }

    fn promote(&mut self, now: Time) {
        while let Some((at, _, key)) = self.agenda.first().cloned() {
            if at > now {
                return;
            }
            let Some(later) = self.later.get(&key) else { return };
            let (group, priority) = (later.group.clone(), later.priority);
            // It has been ready since its time came, not since this call noticed.
            self.add(at, key, group, priority);
        }
    }

    /// Reports that the pass of `key` has ended.
    pub fn done(&mut self, now: Time, key: &K) {
        self.moved = now;
        if let Some(Running { group, .. }) = self.running.remove(key) {
            count_down(&mut self.in_group, &group);
        }
    }

    /// Returns when the next scheduled entry is due.
    pub fn next_appointment(&self) -> Option<Time> {
        self.agenda.first().map(|(at, _, _)| *at)
    }

    /// Whether a pass of `key` is running.
    pub fn is_running(&self, key: &K) -> bool {
        self.running.contains_key(key)
    }

    /// Returns the state of the queue. A scheduled entry whose time has passed counts as ready.
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

fn count_down<G: Eq + Hash>(counts: &mut HashMap<G, usize>, group: &G) {
    if let Some(count) = counts.get_mut(group) {
        *count -= 1;
        if *count == 0 {
            counts.remove(group);
        }
    }
}

/// The queue, shared between tasks.
pub struct Queue<K, G> {
    lines: Mutex<WorkQueueState<K, G>>,
    changed: Notify,
}

impl<K: Clone + Eq + Hash + Ord, G: Clone + Eq + Hash> Queue<K, G> {
    /// Creates an empty queue; see [`WorkQueueState::new`].
    pub fn new(group_limit: usize) -> Self {
        Self::growing(group_limit, group_limit)
    }

    /// Creates an empty queue; see [`WorkQueueState::growing`].
    pub fn growing(group_limit: usize, most: usize) -> Self {
        Self {
            lines: Mutex::new(WorkQueueState::growing(group_limit, most)),
            changed: Notify::new(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut WorkQueueState<K, G>) -> T) -> T {
        let mut lines = self.lines.lock();
        act(&mut lines)
    }

    /// Enqueues an entry; see [`WorkQueueState::add`].
    pub fn add(&self, key: K, group: G, priority: Priority) {
        self.with(|lines| lines.add(clock::now(), key, group, priority));
        self.changed.notify_one();
    }

    /// Requeues an entry at a time; see [`WorkQueueState::add_at`].
    pub fn add_at(&self, at: Time, key: K, group: G, priority: Priority) {
        self.with(|lines| lines.add_at(at, key, group, priority));
        self.changed.notify_one();
    }

    /// Removes an entry; see [`WorkQueueState::remove`].
    pub fn remove(&self, key: &K) {
        self.with(|lines| lines.remove(key));
    }

    /// Waits for the next entry, and takes it.
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

    /// Reports the end of a pass; see [`WorkQueueState::done`].
    pub fn done(&self, key: &K) {
        self.with(|lines| lines.done(clock::now(), key));
        self.changed.notify_one();
    }

    /// Whether most passes that may run in a group do; see [`WorkQueueState::is_crowded`].
    pub fn is_crowded(&self, group: &G) -> bool {
        self.with(|lines| lines.is_crowded(group))
    }

    /// Whether a pass is running; see [`WorkQueueState::is_running`].
    pub fn is_running(&self, key: &K) -> bool {
        self.with(|lines| lines.is_running(key))
    }

    /// Returns the state of the queue; see [`WorkQueueState::load`].
    pub fn load(&self) -> QueueStats {
        self.with(|lines| lines.load(clock::now()))
    }
}

#[cfg(test)]
mod tests;

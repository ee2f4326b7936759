//! Leader election by client-go's rule, as a value: it is given the time and the observed lease, and returns
//! what to do next.
//!
//! All times come from this process's monotonic clock, counted from the start of the process. Times written
//! by other machines are never used. A lease has expired when its record has not changed for its duration,
//! **measured here**, since that version was first seen here. The holder stops earlier: at the renew
//! deadline, counted from when its last successful renewal **began**. That renewal became visible after it
//! began, and others saw it later still. So at least `duration - deadline` lies between the two ends, as a
//! margin for clocks that run at different speeds.

pub use std::time::Duration;

/// A point in time: the time since the start of this process, by a monotonic clock.
pub type Moment = Duration;

/// The times of a lease: its duration, and how it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    duration: Duration,
    deadline: Duration,
    retry: Duration,
}

impl Timing {
    /// Combines the three times.
    ///
    /// # Errors
    /// When they do not make a safe lease. The text uses the names that people know.
    pub fn new(duration: Duration, deadline: Duration, retry: Duration) -> Result<Self, String> {
        if duration <= deadline {
            return Err(format!(
                "the lease duration ({duration:?}) must be longer than the renew deadline ({deadline:?}), or two replicas could lead at once"
            ));
        }
        if deadline <= retry {
            return Err(format!(
                "the renew deadline ({deadline:?}) must be longer than the retry interval ({retry:?}), or the lease would be lost between two renewals"
            ));
        }
        if retry.is_zero() {
            return Err("the retry interval must be longer than zero".into());
        }
        Ok(Self {
            duration,
            deadline,
            retry,
        })
    }

    /// How long a lease lasts after its last change.
    pub fn duration(self) -> Duration {
        self.duration
    }

    /// How long the holder may act after the start of a renewal.
    pub fn deadline(self) -> Duration {
        self.deadline
    }

    /// The time between two renewals, and between two looks of a waiting candidate.
    pub fn retry(self) -> Duration {
        self.retry
    }

    /// How long a candidate without a view of the cluster leaves the lease to others, before it takes the
    /// lease anyway: if nobody has a view, somebody must still lead.
    pub fn stand_back(self) -> Duration {
        self.retry * 2
    }

    /// How long one request may take. A slow API server must not cost the lease, and an unanswered request
    /// must leave time for another try.
    pub fn patience(self) -> Duration {
        self.deadline / 2
    }
}

/// The lease record as read from the API server, or as returned by a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRecord {
    /// `metadata.resourceVersion`: a write must name it, and each write changes it.
    pub version: String,
    /// `spec.holderIdentity`; empty when the lease has no holder.
    pub holder: String,
    /// `spec.leaseDurationSeconds` of the holder, which may differ from ours.
    pub duration: Duration,
}

/// What to do next. Each write names the version that it replaces; without one it creates the lease, and
/// fails if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElectionStep {
    /// Read the lease.
    Look,
    /// Write our identity, to become the leader.
    Acquire(Option<String>),
    /// Write our identity again, to stay the leader.
    Renew(Option<String>),
    /// Do nothing until this time, unless the lease is observed before.
    Wait(Moment),
    /// We led and have lost the lease. Nothing follows.
    Lost,
}

/// What to do to release the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Nothing, since the lease is not ours.
    Nothing,
    /// Read the lease, since a write of ours may have succeeded.
    Look,
    /// Replace this version by a record without a holder.
    Replace(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lease {
    Unread,
    Absent,
    Is(LeaseRecord),
}

/// One candidate's view of the election.
///
/// The identity must not be used by any other live process, because a record with it is taken for our own. A
/// process that is certainly dead may have used it before. A late write of that process has the same identity
/// and names a version, so it is either recognized as our own or rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Election {
    identity: String,
    timing: Timing,
    /// The lease as last seen.
    lease: Lease,
    /// The lease may have changed; it is read again before anything is written.
    stale: bool,
    /// When this version of the lease was first seen here.
    since: Moment,
    /// When the lease was last read.
    looked: Moment,
    /// No request goes to the API server before this time.
    next: Moment,
    /// How long somebody may keep leading after the lease was deleted; zero if none was ever seen. Its last
    /// holder may not have been seen here, so this does not depend on the holder that was.
    owed: Duration,
    /// When the last successful renewal began.
    begun: Option<Moment>,
    /// Another candidate was seen to hold what was ours.
    deposed: bool,
    /// A write began whose answer has not arrived.
    open: bool,
    /// This candidate has no view of the cluster, and leaves the lease to one that has.
    blind: bool,
}

impl Election {
    /// Starts with nothing observed.
    pub fn new(identity: impl Into<String>, timing: Timing) -> Self {
        let zero = Duration::ZERO;
        Self {
            identity: identity.into(),
            timing,
            lease: Lease::Unread,
            stale: true,
            since: zero,
            looked: zero,
            next: zero,
            owed: zero,
            begun: None,
            deposed: false,
            open: false,
            blind: false,
        }
    }

    /// Our identity.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Sets whether we have a view of the cluster. A process that already leads continues either way.
    pub fn sees(&mut self, well: bool) {
        self.blind = !well;
    }

    /// The times of the lease.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The holder of the lease, as far as known here.
    pub fn holder(&self) -> Option<&str> {
        match &self.lease {
            Lease::Is(held) if !held.holder.is_empty() => Some(&held.holder),
            _ => None,
        }
    }

    /// Until when we may begin what only the leader may do, exclusive. `None` when we may not at all.
    pub fn valid_until(&self) -> Option<Moment> {
        self.begun
            .filter(|_| !self.deposed)
            .map(|begun| begun.saturating_add(self.timing.deadline))
    }

    /// Returns what to do next.
    pub fn decide(&self, now: Moment) -> ElectionStep {
        match self.begun {
            Some(begun) => self.keep(now, begun),
            None => self.seek(now),
        }
    }

    fn keep(&self, now: Moment, begun: Moment) -> ElectionStep {
        let end = begun.saturating_add(self.timing.deadline);
        if self.deposed || now >= end {
            return ElectionStep::Lost;
        }
        let due = if self.stale {
            self.next
        } else {
            self.next.max(begun.saturating_add(self.timing.retry))
        };
        if now < due {
            return ElectionStep::Wait(due.min(end));
        }
        match &self.lease {
            _ if self.stale => ElectionStep::Look,
            Lease::Unread | Lease::Absent => ElectionStep::Renew(None),
            Lease::Is(held) => ElectionStep::Renew(Some(held.version.clone())),
        }
    }

    fn seek(&self, now: Moment) -> ElectionStep {
        if now < self.next {
            return ElectionStep::Wait(self.next);
        }
        let (free, version) = match &self.lease {
            _ if self.stale => return ElectionStep::Look,
            Lease::Unread | Lease::Absent => (self.since.saturating_add(self.owed), None),
            Lease::Is(held) if held.holder.is_empty() || held.holder == self.identity => {
                (self.since, Some(held.version.clone()))
            }
            Lease::Is(held) => (
                self.since.saturating_add(held.duration),
                Some(held.version.clone()),
            ),
        };
        let free = if self.blind {
            free.saturating_add(self.timing.stand_back())
        } else {
            free
        };
        let look = self.looked.saturating_add(self.timing.retry);
        if now >= free {
            ElectionStep::Acquire(version)
        } else if now >= look {
            ElectionStep::Look
        } else {
            ElectionStep::Wait(free.min(look))
        }
    }

    /// Records that the lease was read, or arrived by a watch. `now` is when that became known here, which is
    /// never earlier than when it was true.
    pub fn observed(&mut self, now: Moment, lease: Option<LeaseRecord>) {
        self.looked = now;
        (self.stale, self.open) = (false, false);
        let seen = match lease {
            None => Lease::Absent,
            Some(held) => Lease::Is(held),
        };
        if let Lease::Is(held) = &seen {
            let of_another = !held.holder.is_empty() && held.holder != self.identity;
            self.owed = held.duration.max(self.timing.duration);
            self.deposed |= of_another && self.begun.is_some();
        }
        if self.lease != seen {
            self.lease = seen;
            self.since = now;
        }
    }

    /// Records a successful write: when it began, when its answer was known here, and the lease it left.
    pub fn wrote(&mut self, begun: Moment, now: Moment, held: LeaseRecord) {
        self.open = false;
        if self.begun.is_none() && now >= begun.saturating_add(self.timing.deadline) {
            // The write took so long that no time is left to lead: start over from the current lease.
            return self.failed(now, Duration::ZERO);
        }
        self.lease = Lease::Is(held);
        self.stale = false;
        (self.since, self.looked) = (now, now);
        self.owed = self.timing.duration;
        self.begun = Some(begun);
    }

    /// Records that a write began.
    pub fn writing(&mut self) {
        self.open = true;
    }

    /// Records that a write was rejected for its version: the lease has changed.
    pub fn conflicted(&mut self, now: Moment) {
        self.open = false;
        self.failed(now, Duration::ZERO);
    }

    /// Records that a request failed or had no answer. It may have been executed, or may still be.
    pub fn unanswered(&mut self, now: Moment) {
        self.failed(now, self.timing.retry);
    }

    fn failed(&mut self, now: Moment, pause: Duration) {
        // The observation stays valid: if the lease is read again unchanged, its time has continued.
        self.stale = true;
        self.next = now.saturating_add(pause);
    }

    /// What to do to release the lease. The caller must have stopped acting as the leader before.
    pub fn release(&self) -> Release {
        match &self.lease {
            _ if self.open || (self.stale && self.begun.is_some()) => Release::Look,
            Lease::Is(held) if !self.stale && held.holder == self.identity => {
                Release::Replace(held.version.clone())
            }
            _ => Release::Nothing,
        }
    }
}

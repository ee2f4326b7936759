//! Who leads: client-go's rule, as a value that is told the time and what was seen of the lease, and says what to do next.
//!
//! Every time here is read from the one clock of this process that never jumps, and counts from when the process began. What other machines wrote as
//! a time is never looked at: a lease is over when its record has not changed for its duration, **as measured here**, since that version of it was
//! first seen here. Whoever holds it stops earlier than that: at the renew deadline, counted from when its last successful renewal was **begun**. That
//! renewal became visible later than it was begun, and was seen by others later still, so that between the two ends there is at least
//! `duration - deadline` for clocks that run at different speeds.

pub use std::time::Duration;

/// A point in time: how long after the beginning of this process, by a clock that never jumps.
pub type Moment = Duration;

/// How long a lease lasts, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    duration: Duration,
    deadline: Duration,
    retry: Duration,
}

impl Timing {
    /// Puts the three together.
    ///
    /// # Errors
    /// When they make no safe lease; the text names them as a person knows them.
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
            return Err("the retry interval must be longer than nothing".into());
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

    /// How long after a renewal was begun its holder may still act.
    pub fn deadline(self) -> Duration {
        self.deadline
    }

    /// The time between two renewals, and between two looks of one that waits.
    pub fn retry(self) -> Duration {
        self.retry
    }

    /// How long one that does not see what happens leaves the lease to others that do, before it takes it all the same: when nobody sees, somebody
    /// must lead.
    pub fn stand_back(self) -> Duration {
        self.retry * 2
    }

    /// How long one request may take. A slow API server must not cost the lease, and one that does not answer must leave time for another try.
    pub fn patience(self) -> Duration {
        self.deadline / 2
    }
}

/// The lease, as it was read or as the API server answered to a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRecord {
    /// `metadata.resourceVersion`: what a write must name, and what changes with each write.
    pub version: String,
    /// `spec.holderIdentity`; empty when nobody holds it.
    pub holder: String,
    /// `spec.leaseDurationSeconds`: the holder's, which need not be ours.
    pub duration: Duration,
}

/// What to do next. Each write names the version that it replaces; without one it makes the lease, and fails when there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElectionStep {
    /// Read the lease.
    Look,
    /// Write ourselves into it, for the first time.
    Acquire(Option<String>),
    /// Write ourselves into it again.
    Renew(Option<String>),
    /// Do nothing until then, unless something is seen of the lease before.
    Wait(Moment),
    /// We led, and do so no more. Nothing follows.
    Lost,
}

/// What is to be done to give the lease back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// It is not ours.
    Nothing,
    /// A write of ours may have been made: read the lease.
    Look,
    /// Replace this version by one without a holder.
    Replace(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lease {
    Unread,
    Absent,
    Is(LeaseRecord),
}

/// One candidate's view of the election. Its identity must be used by no other process that lives: a record that bears it is taken for our own. One that
/// is dead for certain may have had it. Whatever it had sent that comes in late bears the same name and names a version, so that it is found as our own
/// or refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Election {
    identity: String,
    timing: Timing,
    /// As it was seen last.
    lease: Lease,
    /// It may be another by now: nothing is written before it is read again.
    stale: bool,
    /// When this version of the lease was first seen here.
    since: Moment,
    /// When the lease was last read.
    looked: Moment,
    /// Nothing is asked of the API server before this.
    next: Moment,
    /// How long somebody may go on to lead after the lease was deleted: nothing, when none was ever seen. Whoever held it last need not have been seen
    /// here, so that it does not matter whether the lease was held when it was.
    owed: Duration,
    /// When the last renewal that is known to have been made was begun.
    begun: Option<Moment>,
    /// Somebody else was seen to hold what was ours.
    deposed: bool,
    /// A write was begun of which no answer came.
    open: bool,
    /// It does not see what happens, and leaves the lease to one that does.
    blind: bool,
}

impl Election {
    /// Nothing seen yet.
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

    /// Who we are.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether we see what happens in the cluster. Who leads already goes on, whatever it sees.
    pub fn sees(&mut self, well: bool) {
        self.blind = !well;
    }

    /// How the lease is kept.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Who holds the lease, as far as is known here.
    pub fn holder(&self) -> Option<&str> {
        match &self.lease {
            Lease::Is(held) if !held.holder.is_empty() => Some(&held.holder),
            _ => None,
        }
    }

    /// Until when we may begin what only the leader may do; `None` when we may not at all. The end is not included.
    pub fn valid_until(&self) -> Option<Moment> {
        self.begun
            .filter(|_| !self.deposed)
            .map(|begun| begun.saturating_add(self.timing.deadline))
    }

    /// What comes next.
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

    /// The lease was read, or a watch brought it; `now` is when that was known here, which is never earlier than when it was so.
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

    /// A write was made: when it was begun, when its answer was known here, and what the lease is now.
    pub fn wrote(&mut self, begun: Moment, now: Moment, held: LeaseRecord) {
        self.open = false;
        if self.begun.is_none() && now >= begun.saturating_add(self.timing.deadline) {
            // It took so long that it gives no time in which we could lead: begin again, with what is there by now.
            return self.failed(now, Duration::ZERO);
        }
        self.lease = Lease::Is(held);
        self.stale = false;
        (self.since, self.looked) = (now, now);
        self.owed = self.timing.duration;
        self.begun = Some(begun);
    }

    /// A request was begun that writes.
    pub fn writing(&mut self) {
        self.open = true;
    }

    /// A request was refused for the version that it named: the lease is another one by now.
    pub fn conflicted(&mut self, now: Moment) {
        self.open = false;
        self.failed(now, Duration::ZERO);
    }

    /// A request failed, or no answer came: whatever it was to do may have been done, or may still be.
    pub fn unanswered(&mut self, now: Moment) {
        self.failed(now, self.timing.retry);
    }

    fn failed(&mut self, now: Moment, pause: Duration) {
        // What was seen stays seen: when it is read again and has not changed, its time has gone on meanwhile.
        self.stale = true;
        self.next = now.saturating_add(pause);
    }

    /// What is to be done to give the lease back. Whoever asks must have stopped to act on it before.
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

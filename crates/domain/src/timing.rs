//! How long to wait, in one place.

use crate::time::{Duration, Time};

/// A list of services or leads that was begun so long ago still answers the checks before a first create: nothing of ours can have been asked for in
/// between, since an intent would be on the object. The create itself needs a list of its own pass.
pub const CREATE_LOOK: Duration = Duration::from_secs(10);

/// How old an intent may be when its request leaves. The grace of a lost answer is counted from the intent, so a request that was held up (throttled,
/// the platform away) gets a new one: else its grace could be over before it was sent.
pub const INTENT_FRESH: Duration = Duration::from_secs(30);

/// How long an object that refers to something that is not there is `Reconciling` before it is `Stalled`: what is applied together arrives in any order.
pub const SETTLING: Duration = Duration::from_secs(60);

/// After so many failures of the same kind in a row (four minutes, by [`next_try`]) a person's eye is asked for. Tools that wait give up on `Stalled`,
/// so a platform that restarts must not lead to it.
pub const FAILURES_TO_STALL: u32 = 8;

/// How long after a create that failed it is looked whether it left a service all the same, before another one is asked for or the object is let go.
/// That a task which failed can leave something, and how far the lists lag behind the tasks, is not documented (U-8): an assumption.
pub const LEFT_OVER: Duration = Duration::from_secs(20);

/// How often an object that needs a person is looked at again.
pub const SLOW_RETRY: Duration = Duration::from_secs(3600);

/// How long an object that is ready waits for a platform that can't be read: the end of the outage wakes it before that.
pub const HELD: Duration = Duration::from_secs(1800);

/// How far ahead of this process's clock an intent may have been recorded by another one. One that is further ahead is nobody's word.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Whether nobody whose clock was right can have recorded that time yet.
pub fn is_ahead(at: Time, now: Time) -> bool {
    at > now + CLOCK_SKEW
}

/// How long after an accepted deletion the same deletion is asked for again, if the service is still there.
pub const DELETE_AGAIN: Duration = Duration::from_secs(300);

/// The same where no list shows the service: that it is not found is the only proof that it is gone.
pub const DELETE_UNSEEN_AGAIN: Duration = Duration::from_secs(60);

/// How far apart two passes over an object may be for its operation to count as watched all the time: twice the longest pause between two looks.
pub const WATCHED: Duration = Duration::from_secs(120);

/// When a task that was started at `started` is looked at next: after a second or half of its age, whichever is more, at most 30 s.
/// Tasks take seconds on an idle platform and many minutes on a loaded one (platform-facts-2.md 2); a share of the age serves both.
pub fn next_poll(now: Time, started: Time) -> Time {
    now + half_age(now, started, Duration::from_secs(1), Duration::from_secs(30))
}

/// When an effect that must show in a list is looked for next.
pub fn next_look(now: Time, since: Time) -> Time {
    now + half_age(now, since, Duration::from_secs(2), Duration::from_secs(60))
}

/// When a request that was not executed is tried again: 1 s, doubled at each failure, at most 5 min, or what the platform asked for.
pub fn next_try(now: Time, failures: u32, retry_after: Option<Duration>) -> Time {
    let doubled = Duration::from_secs(1u64 << failures.min(9)).min(Duration::from_secs(300));
    now + retry_after
        .unwrap_or(doubled)
        .max(doubled.min(Duration::from_secs(1)))
}

/// When an object is looked at again that somebody else had written meanwhile: at once, and ever later while that goes on, at most 5 min. A store that never
/// comes to agree with the API server must not keep it busy.
pub fn after_conflict(now: Time, conflicts: u32) -> Time {
    now + Duration::from_millis(50u64 << conflicts.saturating_sub(1).min(13)).min(Duration::from_secs(300))
}

fn half_age(now: Time, since: Time, least: Duration, most: Duration) -> Duration {
    (now.since(since) / 2).clamp(least, most)
}

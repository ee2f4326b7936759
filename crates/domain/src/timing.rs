//! All waiting times, in one place.

use crate::time::{Duration, Time};

/// How old a list of services or leads may be to answer the checks before a first create. No request of ours
/// can fall in between, since its intent would be on the object. The create itself needs a list of its own
/// pass.
pub const CREATE_LOOK: Duration = Duration::from_secs(10);

/// How old an intent may be when its request leaves. The grace after a lost answer counts from the intent, so
/// a delayed request (throttled, platform down) gets a new intent. Otherwise its grace could be over before
/// the request left.
pub const INTENT_FRESH: Duration = Duration::from_secs(30);

/// How long an object with a missing reference is `Reconciling` before it is `Stalled`: objects applied
/// together arrive in any order.
pub const SETTLING: Duration = Duration::from_secs(60);

/// After this many failures of one kind in a row (four minutes, by [`next_try`]) the object asks for a
/// person. Tools that wait give up on `Stalled`, so a restarting platform must not lead to it.
pub const FAILURES_TO_STALL: u32 = 8;

/// How long to look for a service left by a failed create, before another one is requested or the object is
/// released. Whether a failed task can leave something, and how far the lists lag behind the tasks, is not
/// documented (U-8): this is an assumption.
pub const LEFT_OVER: Duration = Duration::from_secs(20);

/// How often an object that needs a person is reconciled.
pub const SLOW_RETRY: Duration = Duration::from_secs(3600);

/// How long a ready object waits for a platform that can't be read. The end of the outage enqueues it sooner.
pub const HELD: Duration = Duration::from_secs(1800);

/// How far in the future, by this process's clock, another process may have recorded an intent. An intent
/// further ahead is not trusted.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Whether a time is so far ahead that no correct clock can have recorded it yet.
pub fn is_ahead(at: Time, now: Time) -> bool {
    at > now + CLOCK_SKEW
}

/// When to repeat an accepted deletion if the service is still there.
pub const DELETE_AGAIN: Duration = Duration::from_secs(300);

/// When to repeat a deletion if no list shows the service. Then only "not found" proves that it is gone.
pub const DELETE_UNSEEN_AGAIN: Duration = Duration::from_secs(60);

/// The longest gap between two passes over an object for its operation to count as watched: twice the longest
/// pause between two looks.
pub const WATCHED: Duration = Duration::from_secs(120);

/// A create that ends within this time writes nothing between its task and its end.
pub const QUICK: Duration = Duration::from_secs(5);

/// How many passes in a row may write nothing though there is something to say.
pub const MOST_HELD: u32 = 3;

/// When to poll a task that began at `started`: after one second or half its age, whichever is more, but at
/// most 30 s. Tasks take seconds on an idle platform and many minutes on a busy one (platform-facts-2.md 2),
/// and a fraction of the age fits both.
pub fn next_poll(now: Time, started: Time) -> Time {
    now + half_age(now, started, Duration::from_secs(1), Duration::from_secs(30))
}

/// When to look again for an effect that must appear in a list.
pub fn next_look(now: Time, since: Time) -> Time {
    now + half_age(now, since, Duration::from_secs(2), Duration::from_secs(60))
}

/// When to retry a request that was not executed: after 1 s, doubled at each failure, at most 5 min, or after
/// the time the platform asked for.
pub fn next_try(now: Time, failures: u32, retry_after: Option<Duration>) -> Time {
    let doubled = Duration::from_secs(1u64 << failures.min(9)).min(Duration::from_secs(300));
    now + retry_after
        .unwrap_or(doubled)
        .max(doubled.min(Duration::from_secs(1)))
}

/// When to retry an object after a write conflict: at once, then with growing delays of at most 5 min. A
/// cache that never catches up with the API server must not keep the operator busy.
pub fn after_conflict(now: Time, conflicts: u32) -> Time {
    now + Duration::from_millis(50u64 << conflicts.saturating_sub(1).min(13)).min(Duration::from_secs(300))
}

fn half_age(now: Time, since: Time, least: Duration, most: Duration) -> Duration {
    (now.since(since) / 2).clamp(least, most)
}

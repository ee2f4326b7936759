//! The one place that reads clocks.
//!
//! [`now`] is the time of day, kept steady. What is measured with it (a grace, a scheduled requeue, a
//! back-off) takes the time it should, even when somebody sets the machine's clock.
//!
//! If the node's clock is more than a minute away from the API server's, the API server's time counts, from
//! the `Date` of its responses. Creation and deletion times are the API server's, and all replicas have the
//! same one. A process takes over that time when it starts to lead. If the API server's own clock is set
//! while the process leads, it does not jump, since a jump would end each grace. Instead it starts nothing
//! new, lets running work finish, and makes room for a process that starts with the right time (see `app`).
//!
//! [`since_start`] is for what must not depend on the time of day at all.

use parking_lot::{Mutex, MutexGuard};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oc_domain::time::Time;

/// How slowly the steady time follows the wall clock after a jump: one second per minute. A grace of 15
/// minutes, after which a lost create may be requested again, loses at most 15 seconds, whatever the clock
/// does. A clock that was 5 minutes wrong is right again after 5 hours.
const SLEW: u32 = 60;

/// A time of day that never jumps and never goes back: it advances with a monotonic clock and creeps towards
/// the wall clock. A plain value; callers pass both clocks in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steady {
    /// The monotonic clock at the last reading.
    at: Duration,
    /// The time shown then, in nanoseconds since 1970: readings in quick succession must not lose what
    /// rounding drops.
    shown: i128,
}

impl Steady {
    /// Starts with the wall clock's time.
    pub fn new(monotonic: Duration, wall: Time) -> Self {
        Self {
            at: monotonic,
            shown: nanoseconds(wall),
        }
    }

    /// Returns the time for these two clock readings.
    pub fn read(&mut self, monotonic: Duration, wall: Time) -> Time {
        let passed = monotonic.saturating_sub(self.at);
        let most = (passed / SLEW).as_nanos().cast_signed();
        self.at = self.at.max(monotonic);
        let steady = self.shown + passed.as_nanos().cast_signed();
        self.shown = steady + (nanoseconds(wall) - steady).clamp(-most, most);
        Time(i64::try_from(self.shown.div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

/// How far the node's clock may be from the API server's, and the shown time from the right time.
pub const APART: Duration = Duration::from_secs(60);

/// A response that took longer than this says too little about the time.
const PROMPT: Duration = Duration::from_secs(5);

/// The steady time, and the API server's time. A plain value; callers pass all clocks in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptTime {
    steady: Steady,
    /// The API server's time at zero of the monotonic clock.
    server: Option<Time>,
}

impl KeptTime {
    /// Starts with the wall clock's time: the API server has not responded yet.
    pub fn new(monotonic: Duration, wall: Time) -> Self {
        Self {
            steady: Steady::new(monotonic, wall),
            server: None,
        }
    }

    /// Takes in the date of an API server response, which is precise to the second. `asked` and `now` are the
    /// monotonic times of the request and the response.
    pub fn heard(&mut self, date: Time, asked: Duration, now: Duration) {
        let took = now.saturating_sub(asked);
        if took <= PROMPT {
            let middle = asked + took / 2;
            let half = 500;
            self.server = Some(Time(date.0.saturating_add(half).saturating_sub(millis(middle))));
        }
    }

    /// The right time of day: the wall clock's, unless the API server's is more than [`APART`] away.
    fn right(&self, monotonic: Duration, wall: Time) -> Time {
        let server = self
            .server
            .map(|server| Time(server.0.saturating_add(millis(monotonic))));
        server
            .filter(|server| apart(*server, wall) > APART)
            .unwrap_or(wall)
    }

    /// Returns the time for these two clock readings.
    pub fn read(&mut self, monotonic: Duration, wall: Time) -> Time {
        let right = self.right(monotonic, wall);
        self.steady.read(monotonic, right)
    }

    /// Jumps to the right time. Only for a process that has not written or measured anything with the shown
    /// time. Returns how far the wall clock is from the right time.
    pub fn begin(&mut self, monotonic: Duration, wall: Time) -> Duration {
        let right = self.right(monotonic, wall);
        self.steady = Steady::new(monotonic, right);
        apart(right, wall)
    }

    /// Returns how far the shown time is from the right time.
    pub fn wrong_by(&mut self, monotonic: Duration, wall: Time) -> Duration {
        let right = self.right(monotonic, wall);
        apart(self.steady.read(monotonic, right), right)
    }
}

fn apart(one: Time, other: Time) -> Duration {
    Duration::from_millis(one.0.abs_diff(other.0))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn nanoseconds(time: Time) -> i128 {
    i128::from(time.0) * 1_000_000
}

static START: LazyLock<Instant> = LazyLock::new(instant);
static STARTED: LazyLock<Time> = LazyLock::new(|| {
    Time(
        wall()
            .0
            .saturating_sub(i64::try_from(since_start().as_millis()).unwrap_or(0)),
    )
});
static KEPT: LazyLock<Mutex<KeptTime>> = LazyLock::new(|| Mutex::new(KeptTime::new(since_start(), wall())));
/// Whether nothing new is started, because the shown time is wrong.
static HELD: AtomicBool = AtomicBool::new(false);

#[allow(clippy::disallowed_methods, reason = "this is the one home of the clock")]
fn instant() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "this is the one home of the clock")]
fn wall() -> Time {
    Time(jiff::Timestamp::now().as_millisecond())
}

/// Returns the time of day.
pub fn now() -> Time {
    // Read under the lock, so that of two readings the later one is never smaller.
    kept().read(since_start(), wall())
}

fn kept() -> MutexGuard<'static, KeptTime> {
    KEPT.lock()
}

/// Takes in the date of an API server response; `asked` is the time of the request.
pub fn heard(date: Time, asked: Duration) {
    kept().heard(date, asked, since_start());
}

/// Takes over the right time when this process starts to lead; see [`KeptTime::begin`].
pub fn begin() -> Duration {
    kept().begin(since_start(), wall())
}

/// Returns how far the shown time is from the right time; see [`KeptTime::wrong_by`].
pub fn wrong_by() -> Duration {
    kept().wrong_by(since_start(), wall())
}

/// Sets whether changes are held back because the time they would carry is wrong.
pub fn hold(held: bool) {
    HELD.store(held, Ordering::Relaxed);
}

/// Whether changes are held back.
pub fn is_held() -> bool {
    HELD.load(Ordering::Relaxed)
}

/// Returns how long this process has run, by the clock that never jumps (`CLOCK_MONOTONIC`). It advances
/// while a signal has stopped the process.
pub fn since_start() -> Duration {
    instant().duration_since(*START)
}

/// Returns the moment that waits are measured by: the clock of the timers, which tests can advance.
pub fn moment() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Returns when this process started, by the wall clock.
pub fn started() -> Time {
    *STARTED
}

/// Converts a domain time to the cluster's form.
pub fn timestamp(time: Time) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX)
}

/// Converts a cluster time to the domain's form.
pub fn time(timestamp: jiff::Timestamp) -> Time {
    Time(timestamp.as_millisecond())
}

/// Sleeps until a time; returns at once if it has passed.
pub async fn sleep_until(until: Time) {
    tokio::time::sleep(until.since(now())).await;
}

/// Sleeps until this process has run for this long.
pub async fn sleep_until_moment(moment: Duration) {
    tokio::time::sleep(moment.saturating_sub(since_start())).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOON: Time = Time(1_780_000_000_000);

    #[test]
    fn a_clock_that_does_not_jump_is_shown_as_it_is() {
        let mut steady = Steady::new(MINUTE, NOON);
        for minutes in 1..100 {
            assert_eq!(
                steady.read(MINUTE * (minutes + 1), NOON + MINUTE * minutes),
                NOON + MINUTE * minutes
            );
        }
    }

    #[test]
    fn a_jump_of_an_hour_shortens_a_grace_by_seconds_and_is_made_up_for_in_the_end() {
        let hour = MINUTE * 60;
        let mut steady = Steady::new(Duration::ZERO, NOON);
        let (mut shown, mut minutes) = (NOON, 0u32);
        while shown.since(NOON) < MINUTE * 15 {
            minutes += 1;
            shown = steady.read(MINUTE * minutes, NOON + hour + MINUTE * minutes);
        }
        assert_eq!(
            minutes, 15,
            "the grace is over in the 15th minute, as it should be: {shown:?}"
        );
        let later = steady.read(hour * 61, NOON + hour + hour * 61);
        assert_eq!(
            later,
            NOON + hour + hour * 61,
            "two days and a half later it is right"
        );
    }

    #[test]
    fn a_jump_is_followed_although_it_is_read_every_microsecond() {
        let mut steady = Steady::new(Duration::ZERO, NOON);
        let shown = (1..=600_000)
            .map(|micros| steady.read(Duration::from_micros(micros), NOON + MINUTE))
            .last();
        assert_eq!(
            shown,
            Some(NOON + Duration::from_millis(609)),
            "600 ms have passed, and 10 ms of the jump but for what is less than a nanosecond"
        );
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_node_whose_clock_is_a_day_wrong_begins_with_the_right_time_and_keeps_it_when_its_clock_is_set() {
        for wrong in [Time(NOON.0 - 86_400_000), NOON + DAY] {
            let mut kept = KeptTime::new(Duration::ZERO, wrong);
            kept.heard(NOON, Duration::ZERO, Duration::from_millis(20));
            let told = kept.begin(MINUTE, wrong + MINUTE);
            assert!(told > DAY - MINUTE && told < DAY + MINUTE, "{told:?}");
            let near = |shown: Time, minutes: u32| {
                assert!(
                    apart(shown, NOON + MINUTE * minutes) <= Duration::from_secs(1),
                    "{minutes}: {shown:?}"
                )
            };
            near(kept.read(MINUTE * 2, wrong + MINUTE * 2), 2);
            // The node's clock is corrected, and then wrong again.
            near(kept.read(MINUTE * 3, NOON + MINUTE * 3), 3);
            near(kept.read(MINUTE * 4, wrong + MINUTE * 4), 4);
            assert!(kept.wrong_by(MINUTE * 4, wrong + MINUTE * 4) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn a_clock_of_the_api_server_that_is_set_is_told_and_not_followed_by_a_jump() {
        let mut kept = KeptTime::new(Duration::ZERO, NOON);
        kept.heard(NOON, Duration::ZERO, Duration::ZERO);
        assert_eq!(kept.begin(Duration::ZERO, NOON), Duration::ZERO);
        kept.heard(NOON + DAY, MINUTE, MINUTE);
        let before = kept.read(MINUTE, NOON + MINUTE);
        assert!(before <= NOON + MINUTE + Duration::from_secs(2), "{before:?}");
        assert!(kept.wrong_by(MINUTE, NOON + MINUTE) > DAY - MINUTE * 2);
        // The next leader starts with it, whatever its node says.
        kept.begin(MINUTE, NOON + MINUTE);
        assert!(kept.wrong_by(MINUTE, NOON + MINUTE) <= Duration::from_secs(1));
    }

    #[test]
    fn an_answer_that_took_long_says_nothing_of_the_time() {
        let mut kept = KeptTime::new(Duration::ZERO, NOON);
        kept.heard(NOON + DAY, Duration::ZERO, PROMPT + MINUTE);
        assert_eq!(kept.begin(MINUTE, NOON + MINUTE), Duration::ZERO);
    }

    proptest! {
        /// If the API server's clock is right, the node's clock may show anything.
        #[test]
        fn what_is_shown_is_the_api_servers_time_whatever_the_node_says(
            steps in vec((0u64..200_000, -400_000_000i64..400_000_000), 1..60),
            first in -400_000_000i64..400_000_000,
        ) {
            let mut kept = KeptTime::new(Duration::ZERO, Time(NOON.0 + first));
            kept.heard(NOON, Duration::ZERO, Duration::ZERO);
            kept.begin(Duration::ZERO, Time(NOON.0 + first));
            let (mut monotonic, mut before) = (Duration::ZERO, Time(i64::MIN));
            for (passed, wall) in steps {
                monotonic += Duration::from_millis(passed);
                let truth = NOON + monotonic;
                kept.heard(Time(truth.0 / 1000 * 1000), monotonic, monotonic);
                let shown = kept.read(monotonic, Time(truth.0 + wall));
                prop_assert!(shown >= before, "it went back");
                prop_assert!(apart(shown, truth) <= APART + Duration::from_secs(1), "{shown:?} at {truth:?}");
                before = shown;
            }
        }

        #[test]
        fn whatever_the_wall_clock_does_time_passes_as_it_should(steps in vec((0u64..200_000, -4_000_000i64..4_000_000), 1..60)) {
            let mut steady = Steady::new(Duration::ZERO, NOON);
            let (mut monotonic, mut before) = (Duration::ZERO, NOON);
            for (passed, wall) in steps {
                let passed = Duration::from_millis(passed);
                monotonic += passed;
                let shown = steady.read(monotonic, Time(NOON.0 + wall));
                let rounded = Duration::from_millis(1);
                prop_assert!(shown >= before, "it went back");
                prop_assert!(shown.since(before) <= passed + passed / SLEW + rounded, "{:?} in {passed:?}", shown.since(before));
                prop_assert!(shown.since(before) + rounded >= passed - passed / SLEW, "{:?} in {passed:?}", shown.since(before));
                before = shown;
            }
        }
    }
}

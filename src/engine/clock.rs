//! The one place that reads clocks.
//!
//! [`now`] is the time of day, kept steady: what is measured with it (a grace, an appointment, a back-off) lasts as long as it should when somebody
//! sets the machine's clock. [`since_start`] is for what must not depend on the time of day at all.

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use oc_domain::time::Time;

/// How much slower than real time the steady time follows the wall clock when that jumps: one second in a minute. A grace of 15 minutes, after which a
/// lost create may be asked for again, loses at most 15 seconds whatever the clock does; a clock that was 5 minutes wrong is right again after 5 hours.
const SLEW: u32 = 60;

/// A time of day that never jumps and never goes back: it advances with a monotonic clock, and creeps towards the wall clock. A value; it is told both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steady {
    /// The monotonic clock at the last reading.
    at: Duration,
    /// What was shown then, in nanoseconds since 1970: readings that follow each other quickly must not lose what they round off.
    shown: i128,
}

impl Steady {
    /// Begins with the wall clock as it is.
    pub fn new(monotonic: Duration, wall: Time) -> Self {
        Self { at: monotonic, shown: nanoseconds(wall) }
    }

    /// The time, when the two clocks show this.
    pub fn read(&mut self, monotonic: Duration, wall: Time) -> Time {
        let passed = monotonic.saturating_sub(self.at);
        let most = (passed / SLEW).as_nanos().cast_signed();
        self.at = self.at.max(monotonic);
        let steady = self.shown + passed.as_nanos().cast_signed();
        self.shown = steady + (nanoseconds(wall) - steady).clamp(-most, most);
        Time(i64::try_from(self.shown.div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

fn nanoseconds(time: Time) -> i128 {
    i128::from(time.0) * 1_000_000
}

static START: LazyLock<Instant> = LazyLock::new(instant);
static STARTED: LazyLock<Time> = LazyLock::new(|| Time(wall().0.saturating_sub(i64::try_from(since_start().as_millis()).unwrap_or(0))));
static STEADY: LazyLock<Mutex<Steady>> = LazyLock::new(|| Mutex::new(Steady::new(since_start(), wall())));

#[allow(clippy::disallowed_methods, reason = "this is the one home of the clock")]
fn instant() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "this is the one home of the clock")]
fn wall() -> Time {
    Time(jiff::Timestamp::now().as_millisecond())
}

/// What time it is.
pub fn now() -> Time {
    let mut steady = STEADY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Read under the lock: of two readings the later one is never the smaller.
    steady.read(since_start(), wall())
}

/// How long this process has run, by the clock that never jumps (`CLOCK_MONOTONIC`). It goes on while the process is stopped by a signal.
pub fn since_start() -> Duration {
    instant().duration_since(*START)
}

/// When this process began, by the wall clock.
pub fn started() -> Time {
    *STARTED
}

/// A domain time as the cluster writes it.
pub fn timestamp(time: Time) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX)
}

/// A cluster time as the domain has it.
pub fn time(timestamp: jiff::Timestamp) -> Time {
    Time(timestamp.as_millisecond())
}

/// Sleeps until a time; returns at once when it has passed.
pub async fn sleep_until(until: Time) {
    tokio::time::sleep(until.since(now())).await;
}

/// Sleeps until this process has run so long.
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
            assert_eq!(steady.read(MINUTE * (minutes + 1), NOON + MINUTE * minutes), NOON + MINUTE * minutes);
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
        assert_eq!(minutes, 15, "the grace is over in the 15th minute, as it should be: {shown:?}");
        let later = steady.read(hour * 61, NOON + hour + hour * 61);
        assert_eq!(later, NOON + hour + hour * 61, "two days and a half later it is right");
    }

    #[test]
    fn a_jump_is_followed_although_it_is_read_every_microsecond() {
        let mut steady = Steady::new(Duration::ZERO, NOON);
        let shown = (1..=600_000).map(|micros| steady.read(Duration::from_micros(micros), NOON + MINUTE)).last();
        assert_eq!(shown, Some(NOON + Duration::from_millis(609)), "600 ms have passed, and 10 ms of the jump but for what is less than a nanosecond");
    }

    proptest! {
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

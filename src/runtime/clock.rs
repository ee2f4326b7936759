//! The one place that reads clocks.
//!
//! [`now`] is the time of day, kept steady: what is measured with it (a grace, an appointment, a back-off) lasts as long as it should when somebody
//! sets the machine's clock. Which time of day it is says the API server, in the `Date` of its answers, as soon as the node's clock is more than a minute
//! away from that: creation and deletion times are the API server's, and all replicas have the same one. A process begins to lead with that time. When the
//! API server's own clock is set while it leads, it does not follow in a jump, which would end each grace: it begins nothing new, lets what is under way
//! end, and makes room for a process that begins with the time that is right (see `run`). [`since_start`] is for what must not depend on the time of day
//! at all.

use parking_lot::{Mutex, MutexGuard};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
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
        Self {
            at: monotonic,
            shown: nanoseconds(wall),
        }
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

/// How far the node's clock may be from the API server's, and what is shown from what should be.
pub const APART: Duration = Duration::from_secs(60);

/// An answer that took longer than this says too little of the time.
const PROMPT: Duration = Duration::from_secs(5);

/// The steady time, and what the API server says of the time. A value; it is told all clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptTime {
    steady: Steady,
    /// The API server's time when the monotonic clock showed nothing.
    server: Option<Time>,
}

impl KeptTime {
    /// Begins with the wall clock as it is: the API server has not answered yet.
    pub fn new(monotonic: Duration, wall: Time) -> Self {
        Self {
            steady: Steady::new(monotonic, wall),
            server: None,
        }
    }

    /// An answer of the API server bore this date, to the second; it was asked for then, and came now, by the monotonic clock.
    pub fn heard(&mut self, date: Time, asked: Duration, now: Duration) {
        let took = now.saturating_sub(asked);
        if took <= PROMPT {
            let middle = asked + took / 2;
            let half = 500;
            self.server = Some(Time(date.0.saturating_add(half).saturating_sub(millis(middle))));
        }
    }

    /// The time of day that counts: the wall clock's, unless the API server's is another one.
    fn right(&self, monotonic: Duration, wall: Time) -> Time {
        let server = self
            .server
            .map(|server| Time(server.0.saturating_add(millis(monotonic))));
        server
            .filter(|server| apart(*server, wall) > APART)
            .unwrap_or(wall)
    }

    /// The time, when the two clocks show this.
    pub fn read(&mut self, monotonic: Duration, wall: Time) -> Time {
        let right = self.right(monotonic, wall);
        self.steady.read(monotonic, right)
    }

    /// Shows what is right from now on, by a jump. Only for a process that has not written or measured anything by it. Returns how far the wall clock is
    /// from that.
    pub fn begin(&mut self, monotonic: Duration, wall: Time) -> Duration {
        let right = self.right(monotonic, wall);
        self.steady = Steady::new(monotonic, right);
        apart(right, wall)
    }

    /// How far what is shown is from what is right.
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
/// Whether nothing new is begun, since the time that is shown is wrong.
static HELD: AtomicBool = AtomicBool::new(false);

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
    // Read under the lock: of two readings the later one is never the smaller.
    kept().read(since_start(), wall())
}

fn kept() -> MutexGuard<'static, KeptTime> {
    KEPT.lock()
}

/// An answer of the API server bore this date; it was asked for at this moment.
pub fn heard(date: Time, asked: Duration) {
    kept().heard(date, asked, since_start());
}

/// This process begins to lead: see [`KeptTime::begin`].
pub fn begin() -> Duration {
    kept().begin(since_start(), wall())
}

/// See [`KeptTime::wrong_by`].
pub fn wrong_by() -> Duration {
    kept().wrong_by(since_start(), wall())
}

/// Whether changes may be begun, or the time that they would bear is wrong.
pub fn hold(held: bool) {
    HELD.store(held, Ordering::Relaxed);
}

/// Whether nothing new is begun.
pub fn is_held() -> bool {
    HELD.load(Ordering::Relaxed)
}

/// How long this process has run, by the clock that never jumps (`CLOCK_MONOTONIC`). It goes on while the process is stopped by a signal.
pub fn since_start() -> Duration {
    instant().duration_since(*START)
}

/// A moment by which waits are paced: by the clock of the timers, which tests can wind on.
pub fn moment() -> tokio::time::Instant {
    tokio::time::Instant::now()
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
            // The node's clock is put in step, and then wrong again.
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
        // The next one that leads begins with it, whatever its node says.
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
        /// Where the API server keeps the time, the node's clock may do what it wants.
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

//! A point in time as a plain number. Decisions receive the time; they never read a clock.

use std::ops::{Add, Sub};
pub use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The time from `earlier` to this; zero if this is not later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time without its milliseconds, as Kubernetes writes times.
    pub fn whole_second(self) -> Time {
        Time(self.0 - self.0.rem_euclid(1000))
    }

    /// This time rounded up to a whole second.
    pub fn next_whole_second(self) -> Time {
        Time(self.0 + (-self.0).rem_euclid(1000))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

//! The one place that reads the clock.

use crate::platform::time::Millis;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock with the time of day that never goes back.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    offset: u64,
}

impl Clock {
    /// Starts from the machine's time of day.
    #[allow(
        clippy::disallowed_methods,
        reason = "the simulator is told the time from here alone"
    )]
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            offset: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Returns milliseconds since 1970.
    pub fn now(&self) -> Millis {
        self.offset + u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

//! Signs of life of work that runs for as long as the program does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::clock;

/// The time of the last sign of life, by the clock that never jumps.
#[derive(Debug)]
pub struct Heartbeat(AtomicU64);

impl Default for Heartbeat {
    /// Counts its creation as the first sign of life.
    fn default() -> Self {
        let heartbeat = Self(AtomicU64::new(0));
        heartbeat.beat();
        heartbeat
    }
}

impl Heartbeat {
    /// Records a sign of life.
    pub fn beat(&self) {
        let now = u64::try_from(clock::since_start().as_millis()).unwrap_or(u64::MAX);
        self.0.store(now, Ordering::Relaxed);
    }

    /// Returns the time since the last sign of life.
    pub fn idle_for(&self) -> Duration {
        clock::since_start().saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

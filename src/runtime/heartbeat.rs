//! Signs of life of something that goes on for as long as the program does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::clock;

/// When something was last seen to move, by the clock that never jumps.
#[derive(Debug)]
pub struct Heartbeat(AtomicU64);

impl Default for Heartbeat {
    /// It begins to live now.
    fn default() -> Self {
        let heartbeat = Self(AtomicU64::new(0));
        heartbeat.beat();
        heartbeat
    }
}

impl Heartbeat {
    /// It moves.
    pub fn beat(&self) {
        let now = u64::try_from(clock::since_start().as_millis()).unwrap_or(u64::MAX);
        self.0.store(now, Ordering::Relaxed);
    }

    /// For how long it has not moved.
    pub fn idle_for(&self) -> Duration {
        clock::since_start().saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

//! Waiting for one's turn at a rate.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;

/// A rate at which those who wait take turns in the order in which they came.
///
/// The limiter alone keeps no order: of all who sleep until the next turn, the one that wakes first takes it, which
/// is mostly the one that came last. At twice the load, some waited six times their fair share (law L7).
pub struct Rate {
    limiter: DefaultDirectRateLimiter,
    /// Only the first in line sleeps. The line is in the order of coming.
    line: Mutex<()>,
}

impl Rate {
    /// A rate of evenly spread turns: none is saved up for later.
    pub fn steady(per_second: NonZeroU32) -> Self {
        Self::with_burst(per_second, NonZeroU32::MIN)
    }

    /// A rate of which so many turns may be saved up.
    pub fn with_burst(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst)),
            line: Mutex::new(()),
        }
    }

    /// Waits for the next turn. The limiter's own wait needs a thread for its timer; this one uses the runtime's.
    pub async fn wait(&self) {
        let _first = self.line.lock().await;
        while let Err(not_yet) = self.limiter.check() {
            tokio::time::sleep(not_yet.wait_time_from(DefaultClock::default().now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_came_first_has_the_first_turn() {
        let rate = Arc::new(Rate::steady(NonZeroU32::new(200).unwrap()));
        let served = Arc::new(parking_lot::Mutex::new(Vec::new()));
        // Each is in line before the next one comes, however slow the machine is.
        let mut line = Vec::new();
        for number in 0..40 {
            let (rate, served) = (Arc::clone(&rate), Arc::clone(&served));
            let mut waits = Box::pin(async move {
                rate.wait().await;
                served.lock().push(number);
            });
            let waiting = futures::poll!(&mut waits).is_pending();
            // Some give up, and hold up nobody.
            if waiting && number % 10 != 3 {
                line.push((number, waits));
            }
        }
        let mut expected = served.lock().clone();
        expected.extend(line.iter().map(|(number, _)| *number));
        let all: tokio::task::JoinSet<()> = line.into_iter().map(|(_, waits)| waits).collect();
        all.join_all().await;
        assert_eq!(*served.lock(), expected);
        assert!(expected.len() >= 36 && expected.is_sorted());
    }
}

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
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_came_first_has_the_first_turn() {
        let rate = Arc::new(Rate::steady(NonZeroU32::new(200).unwrap()));
        let served = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let mut all = tokio::task::JoinSet::new();
        for number in 0..40 {
            let (rate, served) = (Arc::clone(&rate), Arc::clone(&served));
            all.spawn(async move {
                // Some give up, and hold up nobody.
                if number % 10 == 3 {
                    let _ = tokio::time::timeout(Duration::from_millis(1), rate.wait()).await;
                } else {
                    rate.wait().await;
                    served.lock().push(number);
                }
            });
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        all.join_all().await;
        let expected: Vec<u32> = (0..40).filter(|number| number % 10 != 3).collect();
        assert_eq!(*served.lock(), expected);
    }
}

//! Waiting for one's turn at a rate.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// A rate of evenly spread turns: none is saved up for later.
pub fn steady(per_second: NonZeroU32) -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(per_second).allow_burst(NonZeroU32::MIN))
}

/// Waits for the next turn. The limiter's own wait needs a thread for its timer; this one uses the runtime's.
pub async fn wait(rate: &DefaultDirectRateLimiter) {
    while let Err(not_yet) = rate.check() {
        tokio::time::sleep(not_yet.wait_time_from(DefaultClock::default().now())).await;
    }
}

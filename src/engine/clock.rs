//! The one place that reads the clock.

use oc_domain::time::Time;

/// What time it is.
#[allow(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> Time {
    Time(jiff::Timestamp::now().as_millisecond())
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

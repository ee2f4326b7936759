//! The line in which channel changes wait for their turn.
//!
//! The platform allows 300 channel assignments a minute, counted over all its users (platform-facts.md 1.4).
//! That removals count too is an assumption. A thousand of them must neither exceed that nor hold up anything
//! else: a change whose turn has not come leaves its pass and comes back, few at once are in flight, and they
//! do not count for the other calls' limit. Turns come in batches, because each of these passes reads the list of leads first: those that
//! come together share one read.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::names::TenantId;
use oc_domain::time::Time;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::platform::circuit::MOST_REST;
use crate::runtime::clock;

/// Changes that can be made at once after a pause. Together with a minute's [`RATE`] they make 300.
const BURST: NonZeroU32 = NonZeroU32::new(45).unwrap();

/// Changes a minute, at most.
const RATE: NonZeroU32 = NonZeroU32::new(255).unwrap();

/// How far the batches are apart, in milliseconds.
const EACH: i64 = 10_000;

/// Batches a minute.
const BATCHES: u32 = 6;

/// How many channel changes are in flight.
const PLACES: usize = 2;

/// How long the line is closed if the platform throttles it and does not say for how long.
const REST: Duration = Duration::from_secs(60);

/// The channel changes of one place.
pub struct ChannelLine {
    rate: DefaultDirectRateLimiter,
    turns: Mutex<Turns>,
    /// The places of this line among the calls in flight.
    pub places: Arc<Semaphore>,
}

/// Changes a minute, on a platform that takes so many other calls a second: half as many as those, and no more
/// than [`RATE`]. Whoever allows few calls is not surprised by many.
fn rate(per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(per_second.saturating_mul(30)).map_or(NonZeroU32::MIN, |half| half.min(RATE))
}

fn quota(rate: NonZeroU32) -> Quota {
    Quota::per_minute(rate).allow_burst(BURST.min(rate))
}

impl ChannelLine {
    /// Creates a line in which nobody waits.
    pub fn new(per_second: u32) -> Self {
        let rate = rate(per_second);
        Self {
            rate: RateLimiter::direct(quota(rate)),
            turns: Mutex::new(Turns::new(rate)),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Takes the turn of a tenant's lead.
    ///
    /// # Errors
    /// If its turn has not come, or the platform throttles these calls. `retry_after` says when to come back.
    pub fn enter(&self, tenant: &TenantId) -> Result<(), Trouble> {
        self.turns.lock().enter(now(), tenant, || {
            self.rate
                .check()
                .map_err(|not_yet| not_yet.wait_time_from(DefaultClock::default().now()))
        })
    }

    /// Returns what to report of a change that got no place in time.
    pub fn late(&self, tenant: &TenantId) -> Trouble {
        let now = now();
        in_line(self.turns.lock().next(now, tenant).since(now))
    }

    /// Closes the line, because the platform throttled one of its calls.
    pub fn close(&self, trouble: &Trouble) {
        self.turns.lock().close(now(), trouble);
    }
}

/// The time since this process started: a wall clock that is set does not move the turns.
fn now() -> Time {
    Time(0) + clock::since_start()
}

fn in_line(wait: Duration) -> Trouble {
    let message = "The change of the lead's channel waits for its turn: the platform allows 300 a minute. The operator makes it then.";
    Trouble {
        retry_after: Some(wait),
        ..Trouble::new(Reason::Progressing, message)
    }
}

/// Whose turn comes when.
#[derive(Debug)]
struct Turns {
    /// Changes in a batch: no more than the rate allows in the time between two.
    size: u32,
    closed: Option<(Time, Trouble)>,
    /// The last batch that has turns, and how many.
    batch: Option<(Time, u32)>,
    promised: HashMap<TenantId, Time>,
}

impl Turns {
    fn new(rate: NonZeroU32) -> Self {
        Self {
            size: (rate.get() / BATCHES).max(1),
            closed: None,
            batch: None,
            promised: HashMap::new(),
        }
    }

    /// As [`ChannelLine::enter`]. `check` takes a turn at the rate, or says how long there is none.
    fn enter(
        &mut self,
        now: Time,
        tenant: &TenantId,
        check: impl FnOnce() -> Result<(), Duration>,
    ) -> Result<(), Trouble> {
        if let Some((until, trouble)) = &self.closed {
            if now < *until {
                return Err(Trouble {
                    retry_after: Some(until.since(now)),
                    ..trouble.clone()
                });
            }
            self.closed = None;
        }
        let before_us = self.batch.is_some_and(|(batch, _)| batch > now);
        match self.promised.get(tenant) {
            Some(at) if *at > now => return Err(in_line(at.since(now))),
            None if before_us => return Err(in_line(self.next(now, tenant).since(now))),
            _ => {}
        }
        match check() {
            Ok(()) => {
                self.promised.remove(tenant);
                Ok(())
            }
            Err(wait) => Err(in_line(self.next(now + wait, tenant).since(now))),
        }
    }

    /// Promises the next free turn, no sooner than `earliest`.
    fn next(&mut self, earliest: Time, tenant: &TenantId) -> Time {
        let first = Time((earliest.0 / EACH + 1) * EACH);
        let (at, taken) = match self.batch {
            Some((batch, taken)) if batch >= first && taken < self.size => (batch, taken + 1),
            Some((batch, _)) if batch >= first => (Time(batch.0 + EACH), 1),
            _ => (first, 1),
        };
        if self.batch.is_none_or(|(batch, _)| batch < at) {
            // Those who did not come back in time no longer want it, or ask again.
            let least = Time(earliest.0 - 6 * EACH);
            self.promised.retain(|_, promised| *promised > least);
        }
        self.batch = Some((at, taken));
        self.promised.insert(*tenant, at);
        at
    }

    fn close(&mut self, now: Time, trouble: &Trouble) {
        let until = now + trouble.retry_after.unwrap_or(REST).min(MOST_REST);
        if self.closed.as_ref().is_none_or(|(closed, _)| *closed < until) {
            self.closed = Some((until, trouble.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::parse(&format!("22222222-2222-4222-8222-{number:012}")).unwrap()
    }

    /// Lets leads come at the times when they first want a turn, and again whenever they are told to. Returns
    /// when each got its turn, and how often it came.
    fn play(wanted: &[u64]) -> (Vec<Time>, Vec<usize>) {
        let clock = FakeRelativeClock::default();
        let rate = RateLimiter::direct_with_clock(quota(RATE), clock.clone());
        let (mut turns, mut last) = (Turns::new(RATE), Time(0));
        let mut coming: BTreeMap<(Time, usize), usize> = BTreeMap::new();
        for (lead, first) in wanted.iter().enumerate() {
            coming.insert((Time(i64::try_from(*first).unwrap()), lead), lead);
        }
        let (mut got, mut came) = (vec![Time(0); wanted.len()], vec![0; wanted.len()]);
        while let Some(((now, _), lead)) = coming.pop_first() {
            clock.advance(now.since(last));
            last = now;
            came[lead] += 1;
            let check = || {
                rate.check()
                    .map_err(|not_yet| not_yet.wait_time_from(clock.now()))
            };
            match turns.enter(now, &tenant(lead), check) {
                Ok(()) => got[lead] = now,
                Err(trouble) => {
                    assert_eq!(trouble.reason, Reason::Progressing);
                    let again = now + trouble.retry_after.unwrap();
                    assert!(again > now, "at once again");
                    coming.insert((again, lead), lead);
                }
            }
        }
        (got, came)
    }

    /// The most turns in any 60 seconds.
    fn most_a_minute(got: &[Time]) -> usize {
        let mut got = got.to_vec();
        got.sort_unstable();
        let within = |from: &Time| {
            got.iter()
                .filter(|at| **at >= *from && at.0 < from.0 + 60_000)
                .count()
        };
        got.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_thousand_at_once_take_four_minutes_and_each_comes_back_once_or_twice() {
        let (got, came) = play(&[0; 1_000]);
        assert!(most_a_minute(&got) <= 300, "{} a minute", most_a_minute(&got));
        let last = got.iter().max().unwrap().0;
        assert!((220_000..=260_000).contains(&last), "the last after {last} ms");
        assert!(came.iter().all(|times| *times <= 3), "{:?}", came.iter().max());
        assert_eq!(
            got.iter().filter(|at| at.0 == 0).count(),
            45,
            "the first go at once"
        );
        let times: std::collections::BTreeSet<_> = got.iter().map(|at| at.0).collect();
        assert!(times.len() <= 26, "in {} batches", times.len());
    }

    proptest! {
        #[test]
        fn never_more_than_300_a_minute_and_everyone_gets_a_turn(wanted in proptest::collection::vec(0u64..120_000, 1..700)) {
            let (got, came) = play(&wanted);
            prop_assert!(most_a_minute(&got) <= 300);
            prop_assert!(came.iter().all(|times| *times <= 6), "{:?}", came.iter().max());
            prop_assert!(got.iter().zip(&wanted).all(|(at, first)| at.0 >= i64::try_from(*first).unwrap()));
        }
    }

    #[test]
    fn who_allows_few_calls_gets_few_changes() {
        let of = |per_second| (rate(per_second).get(), Turns::new(rate(per_second)).size);
        assert_eq!(
            [0, 1, 2, 10, 1000].map(of),
            [(1, 1), (30, 5), (60, 10), (255, 42), (255, 42)]
        );
    }

    #[test]
    fn one_that_comes_before_its_turn_keeps_it() {
        let mut turns = Turns::new(RATE);
        let first = turns.next(Time(0), &tenant(1));
        for early in [0, 1, 9_999] {
            let told = turns
                .enter(Time(early), &tenant(1), || panic!("it is not its turn"))
                .unwrap_err();
            assert_eq!(Time(early) + told.retry_after.unwrap(), first);
        }
        assert!(turns.enter(first, &tenant(1), || Ok(())).is_ok());
        assert!(turns.promised.is_empty());
    }

    #[test]
    fn a_throttled_line_is_closed_for_as_long_as_the_platform_asks() {
        let mut turns = Turns::new(RATE);
        let asked = |seconds| Trouble {
            retry_after: seconds,
            ..Trouble::new(Reason::Throttled, "Too many requests.")
        };
        turns.close(Time(0), &asked(Some(Duration::from_secs(30))));
        turns.close(Time(0), &asked(Some(Duration::from_secs(5))));
        let told = turns.enter(Time(10_000), &tenant(1), || Ok(())).unwrap_err();
        assert_eq!(
            (told.reason, told.retry_after),
            (Reason::Throttled, Some(Duration::from_secs(20)))
        );
        assert!(turns.enter(Time(30_000), &tenant(1), || Ok(())).is_ok());
        turns.close(Time(40_000), &asked(None));
        assert!(turns.enter(Time(99_999), &tenant(1), || Ok(())).is_err());
        turns.close(Time(100_000), &asked(Some(Duration::from_secs(86_400))));
        assert!(
            turns
                .enter(Time(100_000) + MOST_REST, &tenant(1), || Ok(()))
                .is_ok(),
            "not for a day"
        );
    }
}

//! What a platform may be asked at once: a rate, a number in flight, and a circuit, shared by all kinds of objects.
//!
//! A platform that refuses the credential, throttles or is down is left alone as a whole: one probe at a time finds out when it is back.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use live_platform::{Error, ErrorKind};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::time::Time;
use tokio::sync::Semaphore;

use super::clock;
use super::lease::Leadership;

/// How many calls in a row may fail for want of a platform before it is left alone.
const FAILURES_TO_OPEN: u32 = 3;

/// How long a call waits for room in the budget. Then it was surely not made, and its object is tried again: an intent must not grow old in a line.
const MOST_WAIT: Duration = Duration::from_secs(20);

/// `spec.requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls per second.
    pub per_second: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Calls under way at the same time.
    pub in_flight: u32,
}

/// What whoever made the budget is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The platform is being left alone from now on.
    Opened(Reason),
    /// It is back after having been left alone.
    Back,
    /// A call has waited so long for its turn, whether it came or not.
    Waited(Duration),
}

/// How the budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// How many calls a second are let pass.
    pub per_second: u32,
    /// Whether the platform is being left alone.
    pub open: bool,
}

/// Whether the platform is being left alone, and until when. A value; it is told the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    until: Time,
    trouble: Trouble,
    probing: bool,
}

impl Circuit {
    /// Asks to make a call. Returns whether it is the probe: when the time of rest is over one caller is let through, to find out.
    ///
    /// # Errors
    /// The trouble for which the platform is left alone.
    pub fn enter(&mut self, now: Time) -> Result<bool, Trouble> {
        match self.open.as_mut() {
            None => Ok(false),
            Some(open) if now >= open.until && !open.probing => {
                open.probing = true;
                Ok(true)
            }
            Some(open) => {
                let wait = open.until.since(now).max(Duration::from_millis(500));
                Err(Trouble { retry_after: Some(wait), ..open.trouble.clone() })
            }
        }
    }

    /// Reports how a call went. Returns whether the platform is back after having been left alone.
    pub fn report(&mut self, now: Time, trouble: Option<&Trouble>) -> bool {
        let Some(trouble) = trouble else {
            // A call that was under way when the platform asked for rest, or refused the credential, and still ends well is no reason to go on.
            let asked = |open: &mut Open| now < open.until && open.trouble.reason != Reason::PlatformUnavailable;
            if self.open.as_mut().is_some_and(asked) {
                return false;
            }
            // One call that goes through again is no proof for all the others: the count is forgotten with the next.
            let back = self.open.take().is_some();
            self.failures = if back { self.failures } else { 0 };
            return back;
        };
        // What was under way when it began fails along: many calls at once are one failure, else one second of outage would cost half a minute.
        if let Some(open) = self.open.as_mut().filter(|open| now < open.until) {
            open.until = open.until.max(trouble.retry_after.map_or(now, |pause| now + pause));
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let at_once = matches!(trouble.reason, Reason::AuthenticationFailed | Reason::Throttled);
        if at_once || self.failures >= FAILURES_TO_OPEN || self.open.is_some() {
            // A refused credential waits for a person, and a directory may lock out who comes too often.
            let most = if trouble.reason == Reason::AuthenticationFailed { 8 } else { 5 };
            let doubled = Duration::from_secs(1 << self.failures.min(most));
            let pause = trouble.retry_after.unwrap_or(doubled);
            self.open = Some(Open { until: now + pause, trouble: trouble.clone(), probing: false });
        }
        false
    }

    /// The probe was not made after all, or not to its end: another one may be.
    pub fn abandon(&mut self) {
        if let Some(open) = self.open.as_mut() {
            open.probing = false;
        }
    }

    /// Somebody says that the credential was put in order: the probe need not wait for its time.
    pub fn probe_now(&mut self, now: Time) {
        if let Some(open) = self.open.as_mut().filter(|open| open.trouble.reason == Reason::AuthenticationFailed) {
            open.until = open.until.min(now);
        }
    }

    /// Why the platform is being left alone.
    pub fn why_open(&self) -> Option<&Trouble> {
        self.open.as_ref().map(|open| &open.trouble)
    }
}

/// What a platform's error means for objects.
pub fn trouble_of(error: &Error) -> Trouble {
    let reason = match error.kind {
        ErrorKind::Authentication | ErrorKind::Forbidden => Reason::AuthenticationFailed,
        ErrorKind::Throttled => Reason::Throttled,
        ErrorKind::Refused { .. } | ErrorKind::NotFound { .. } => Reason::PlatformRefused,
        ErrorKind::Settings | ErrorKind::Unavailable | ErrorKind::BadAnswer | ErrorKind::Bug => Reason::PlatformUnavailable,
    };
    Trouble { reason, message: error.message().to_owned(), retry_after: error.retry_after }
}

/// Whether the error says something about the platform as a whole.
fn platform_wide(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Authentication | ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::BadAnswer)
}

/// Why a call has no result.
#[derive(Debug)]
pub enum Failed {
    /// It was not made: the platform is being left alone.
    LeftAlone(Trouble),
    /// It may have been made: this process lost the lease while the call was under way.
    Cut(Trouble),
    /// It was made.
    Call(Error),
}

impl Failed {
    /// What it means for objects.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::LeftAlone(trouble) | Self::Cut(trouble) => trouble.clone(),
            Self::Call(error) => trouble_of(error),
        }
    }
}

/// The budget of one platform.
pub struct Budget {
    rate: DefaultDirectRateLimiter,
    in_flight: Semaphore,
    circuit: Mutex<Circuit>,
    limits: Limits,
    waiting: AtomicUsize,
    under_way: AtomicUsize,
    tell: Box<dyn Fn(News) + Send + Sync>,
}

/// A call that stands in line, perhaps as the probe. One that is dropped stands there no more.
struct Waiting<'a> {
    budget: &'a Budget,
    probe: bool,
}

impl Waiting<'_> {
    /// Its turn has come.
    fn comes(mut self) -> bool {
        std::mem::take(&mut self.probe)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.probe {
            self.budget.circuit().abandon();
        }
    }
}

/// The turn of one call. It is given back when it is dropped, whether the call was made or not.
pub struct Turn {
    budget: Arc<Budget>,
    /// Whether it is the probe, of which nothing has been heard yet.
    probe: bool,
}

impl Turn {
    /// Makes a call that changes something, if this process leads **then**: the turn may have been waited for.
    ///
    /// # Errors
    /// When the call fails, and when this process does not lead.
    pub async fn change<T>(self, leadership: &Leadership, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        match leadership.guard(call).await {
            Ok(answer) => self.report(answer, platform_wide),
            Err(stopped) if stopped.begun => Err(Failed::Cut(stopped.trouble)),
            Err(stopped) => Err(Failed::LeftAlone(stopped.trouble)),
        }
    }

    fn report<T>(mut self, answer: Result<T, Error>, wide: fn(&Error) -> bool) -> Result<T, Failed> {
        self.probe = false;
        self.budget.went(answer.as_ref().err().filter(|error| wide(error)).map(trouble_of).as_ref());
        answer.map_err(Failed::Call)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.probe {
            self.budget.circuit().abandon();
        }
        self.budget.under_way.fetch_sub(1, Ordering::Relaxed);
        self.budget.in_flight.add_permits(1);
    }
}

impl Budget {
    /// A full budget.
    pub fn new(limits: Limits, tell: impl Fn(News) + Send + Sync + 'static) -> Arc<Self> {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.per_second)).allow_burst(at_least_one(limits.burst));
        Arc::new(Self {
            rate: RateLimiter::direct(quota),
            in_flight: Semaphore::new(limits.in_flight.max(1) as usize),
            circuit: Mutex::new(Circuit::default()),
            limits,
            waiting: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            tell: Box::new(tell),
        })
    }

    fn circuit(&self) -> std::sync::MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes a call that reads, when there is room for it.
    ///
    /// # Errors
    /// When the platform is being left alone, or the call fails.
    pub async fn spend<T>(self: &Arc<Self>, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let turn = self.turn().await?;
        turn.report(call.await, platform_wide)
    }

    /// The same for a list: an identity that may not even read is refused for every object alike.
    ///
    /// # Errors
    /// As [`Budget::spend`].
    pub async fn spend_list<T>(self: &Arc<Self>, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let turn = self.turn().await?;
        turn.report(call.await, |error| platform_wide(error) || error.kind == ErrorKind::Forbidden)
    }

    /// Waits until there is room for one call.
    ///
    /// # Errors
    /// [`Failed::LeftAlone`] when the platform is being left alone, or there is no room for long.
    pub async fn turn(self: &Arc<Self>) -> Result<Turn, Failed> {
        let probe = self.circuit().enter(clock::now()).map_err(Failed::LeftAlone)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let (since, waiting) = (clock::since_start(), Waiting { budget: self, probe });
        let room = async {
            let permit = self.in_flight.acquire().await;
            self.wait_for_rate().await;
            permit
        };
        let answer = tokio::time::timeout(MOST_WAIT, room).await;
        (self.tell)(News::Waited(clock::since_start().saturating_sub(since)));
        // The semaphore is never closed.
        let Ok(Ok(permit)) = answer else {
            let message = "The platform has more to do than spec.requests of the LivePlatform lets pass; tried again.";
            return Err(Failed::LeftAlone(Trouble::new(Reason::Throttled, message)));
        };
        // The turn gives it back.
        permit.forget();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Ok(Turn { budget: Arc::clone(self), probe: waiting.comes() })
    }

    fn went(&self, trouble: Option<&Trouble>) {
        let (back, opened) = {
            let mut circuit = self.circuit();
            let closed = circuit.why_open().is_none();
            let back = circuit.report(clock::now(), trouble);
            (back, circuit.why_open().filter(|_| closed).map(|trouble| trouble.reason))
        };
        if back {
            (self.tell)(News::Back);
        }
        if let Some(reason) = opened {
            (self.tell)(News::Opened(reason));
        }
    }

    async fn wait_for_rate(&self) {
        while let Err(not_yet) = self.rate.check() {
            let now = governor::clock::Clock::now(&governor::clock::DefaultClock::default());
            tokio::time::sleep(not_yet.wait_time_from(now)).await;
        }
    }

    /// How it is used now.
    pub fn used(&self) -> Use {
        let count = |calls: &AtomicUsize| calls.load(Ordering::Relaxed);
        let (waiting, in_flight) = (count(&self.waiting), count(&self.under_way));
        Use { waiting, in_flight, per_second: self.limits.per_second, open: self.left_alone().is_some() }
    }

    /// Why the platform is being left alone, if it is.
    pub fn left_alone(&self) -> Option<Trouble> {
        self.circuit().why_open().cloned()
    }

    /// Lets the next caller through as a probe when the platform is left alone for its credential's sake.
    pub fn probe_now(&self) {
        self.circuit().probe_now(clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(reason: Reason) -> Trouble {
        Trouble::new(reason, "x")
    }

    #[test]
    fn a_refused_credential_opens_at_once_and_one_probe_is_let_through() {
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&trouble(Reason::AuthenticationFailed)));
        assert_eq!(circuit.enter(Time(100)).map_err(|trouble| trouble.reason), Err(Reason::AuthenticationFailed));
        assert!(circuit.enter(Time(60_000)).is_ok(), "the probe");
        assert!(circuit.enter(Time(60_000)).is_err(), "one probe, not two");
        assert!(circuit.report(Time(60_100), None), "the platform is back");
        assert!(circuit.enter(Time(60_100)).is_ok());
        assert!(!circuit.report(Time(60_200), None), "it was not away");
    }

    #[test]
    fn a_failing_platform_is_left_alone_after_three_failures_and_a_success_starts_the_count_anew() {
        let mut circuit = Circuit::default();
        for _ in 0..2 {
            circuit.report(Time(0), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(1)).is_ok());
        circuit.report(Time(1), None);
        for _ in 0..2 {
            circuit.report(Time(2), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(3)).is_ok());
        circuit.report(Time(3), Some(&trouble(Reason::PlatformUnavailable)));
        assert!(circuit.enter(Time(4)).is_err());
    }

    #[test]
    fn retry_after_is_obeyed_to_the_second() {
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&Trouble { retry_after: Some(Duration::from_secs(90)), ..trouble(Reason::Throttled) }));
        let left = circuit.enter(Time(30_000)).map_err(|trouble| trouble.retry_after);
        assert_eq!(left, Err(Some(Duration::from_secs(60))));
        assert!(circuit.enter(Time(89_999)).is_err());
        assert!(circuit.enter(Time(90_000)).is_ok());
    }

    #[tokio::test]
    async fn a_change_that_waited_in_line_is_not_made_by_one_that_leads_no_more() {
        let budget = Budget::new(Limits { per_second: 1000, burst: 1000, in_flight: 1 }, |_| {});
        let leadership = Leadership::elected();
        let asked = std::cell::Cell::new(false);
        let (free, taken) = tokio::sync::oneshot::channel::<()>();
        let first = budget.spend(async { Ok(taken.await.is_ok()) });
        let second = async {
            let call = async {
                asked.set(true);
                Ok(())
            };
            budget.turn().await?.change(&leadership, call).await
        };
        let go_on = async {
            tokio::task::yield_now().await;
            free.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(first, second, go_on);
        assert!(first.unwrap(), "a read needs no lease");
        assert!(matches!(second, Err(Failed::LeftAlone(trouble)) if trouble.reason == Reason::Progressing) && !asked.get());
        assert!(budget.turn().await.unwrap().change(&Leadership::alone(), async { Ok(()) }).await.is_ok(), "the turn was given back");
    }

    /// A turn that is not used, a call that is broken off, and one that still stands in line: none of them leaves the platform without a probe.
    #[tokio::test]
    async fn a_turn_is_given_back_by_whoever_does_not_use_it() {
        let budget = Budget::new(Limits { per_second: 1000, burst: 1000, in_flight: 1 }, |_| {});
        let open = || {
            let refused = Trouble { retry_after: Some(Duration::ZERO), ..trouble(Reason::Throttled) };
            budget.circuit().report(clock::now(), Some(&refused));
        };
        open();
        let unused = budget.turn().await.unwrap();
        assert!(unused.probe && budget.used().in_flight == 1);
        assert!(budget.turn().await.is_err(), "one probe, not two");
        drop(unused);
        assert_eq!(budget.used(), Use { waiting: 0, in_flight: 0, per_second: 1000, open: true });
        let broken_off = budget.spend(std::future::pending::<Result<(), Error>>());
        assert!(tokio::time::timeout(Duration::from_millis(10), broken_off).await.is_err());
        let turn = budget.turn().await.unwrap();
        assert!(turn.probe && turn.report(Ok(()), platform_wide).is_ok() && !budget.used().open, "found out by the third");
        let ordinary = budget.turn().await.unwrap();
        open();
        let in_line = budget.turn();
        assert!(tokio::time::timeout(Duration::from_millis(10), in_line).await.is_err(), "no room");
        assert_eq!(budget.used(), Use { waiting: 0, in_flight: 1, per_second: 1000, open: true });
        assert!(!ordinary.probe);
        let (probe, ()) = tokio::join!(budget.turn(), async {
            tokio::task::yield_now().await;
            drop(ordinary);
        });
        assert!(probe.is_ok_and(|turn| turn.probe), "the one before gave up, and who goes without having been the probe says nothing of it");
    }

    #[tokio::test]
    async fn it_tells_who_waits_what_is_under_way_and_when_the_circuit_opens_and_closes() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let budget = Budget::new(Limits { per_second: 1000, burst: 1000, in_flight: 1 }, move |news| hears.lock().unwrap().push(news));
        let (free, taken) = tokio::sync::oneshot::channel::<()>();
        let first = budget.spend(async { Ok(taken.await.is_ok()) });
        let second = budget.spend(async { Ok(()) });
        let look = async {
            tokio::task::yield_now().await;
            let used = budget.used();
            free.send(()).unwrap();
            used
        };
        let (_, _, used) = tokio::join!(first, second, look);
        assert_eq!(used, Use { waiting: 1, in_flight: 1, per_second: 1000, open: false });
        assert_eq!(budget.used(), Use { waiting: 0, in_flight: 0, per_second: 1000, open: false });
        budget.went(Some(&trouble(Reason::Throttled)));
        budget.went(Some(&trouble(Reason::Throttled)));
        assert!(budget.used().open);
        let news: Vec<News> = told.lock().unwrap().iter().filter(|news| !matches!(news, News::Waited(_))).copied().collect();
        assert_eq!((news, told.lock().unwrap().len()), (vec![News::Opened(Reason::Throttled)], 3), "and twice how long a call had waited");
    }

    #[test]
    fn a_refused_credential_is_probed_ever_more_rarely_unless_somebody_asks() {
        let mut circuit = Circuit::default();
        let mut now = Time(0);
        let mut probes = 0;
        while now < Time(3_600_000) {
            if circuit.enter(now).is_ok() {
                probes += 1;
                circuit.report(now, Some(&trouble(Reason::AuthenticationFailed)));
            }
            now = now + Duration::from_millis(500);
        }
        assert!((10..25).contains(&probes), "{probes} probes in an hour");
        assert!(circuit.enter(now).is_err());
        circuit.probe_now(now);
        assert!(circuit.enter(now).is_ok() && circuit.enter(now).is_err(), "one, at once");
        let mut throttled = Circuit::default();
        throttled.report(now, Some(&trouble(Reason::Throttled)));
        throttled.probe_now(now);
        assert!(throttled.enter(now).is_err(), "a platform that asked for rest gets it");
    }

    #[test]
    fn one_success_between_refusals_does_not_start_the_pauses_anew() {
        let mut circuit = Circuit::default();
        for probe in 0..5 {
            circuit.report(Time(probe * 100_000 - 500_000), Some(&trouble(Reason::AuthenticationFailed)));
        }
        assert!(circuit.enter(Time(60_000)).is_ok());
        assert!(circuit.report(Time(60_000), None), "another call goes through");
        circuit.report(Time(60_001), Some(&trouble(Reason::AuthenticationFailed)));
        assert!(circuit.enter(Time(120_000)).is_err(), "64 s, not 2");
        assert!(circuit.enter(Time(125_000)).is_ok());
    }

    #[test]
    fn calls_that_were_under_way_when_it_began_are_one_failure_and_no_reason_to_go_on() {
        let mut circuit = Circuit::default();
        for _ in 0..11 {
            circuit.report(Time(0), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(7_999)).is_err());
        assert!(circuit.enter(Time(8_000)).is_ok(), "three failures, and not eleven");
        let mut circuit = Circuit::default();
        let asks = |seconds| Trouble { retry_after: Some(Duration::from_secs(seconds)), ..trouble(Reason::Throttled) };
        circuit.report(Time(0), Some(&asks(6)));
        assert!(!circuit.report(Time(50), None), "it was on its way before");
        assert!(circuit.enter(Time(5_999)).is_err());
        circuit.report(Time(100), Some(&asks(8)));
        assert!(circuit.enter(Time(8_099)).is_err(), "the longer of two");
        assert!(circuit.enter(Time(8_100)).is_ok());
    }

    #[test]
    fn a_probe_that_was_not_made_leaves_room_for_another() {
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&trouble(Reason::Throttled)));
        assert!(circuit.enter(Time(60_000)).is_ok());
        circuit.abandon();
        assert!(circuit.enter(Time(60_000)).is_ok());
    }

    /// Each of a thousand objects tries again when it was told to; the platform sees a probe now and then, whatever their number. The hour passes in
    /// the clock that the circuit is told.
    #[test]
    fn an_hour_of_outage_costs_a_probe_each_half_minute_however_many_objects_wait() {
        let calls = |objects: u32| {
            let (mut circuit, mut calls) = (Circuit::default(), 0);
            let mut agenda: std::collections::BTreeSet<(Time, u32)> = (0..objects).map(|object| (Time(i64::from(object)), object)).collect();
            let mut failures = vec![0; objects as usize];
            while let Some((now, object)) = agenda.pop_first().filter(|(now, _)| *now < Time(3_600_000)) {
                let told = circuit.enter(now).err().unwrap_or_else(|| {
                    calls += 1;
                    circuit.report(now, Some(&trouble(Reason::PlatformUnavailable)));
                    trouble(Reason::PlatformUnavailable)
                });
                let tried = &mut failures[object as usize];
                *tried += 1;
                agenda.insert((oc_domain::timing::next_try(now, *tried, told.retry_after), object));
            }
            assert!(circuit.enter(Time(4_000_000)).is_ok() && circuit.report(Time(4_000_100), None), "one probe finds it back, and says so to all");
            calls
        };
        for objects in [10, 1000] {
            let calls = calls(objects);
            assert!((100..=120).contains(&calls), "{calls} calls for {objects} objects: after the first few one each 32 s");
        }
    }
}

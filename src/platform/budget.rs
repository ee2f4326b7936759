//! What a platform may be asked at once: a rate, a number in flight, and a circuit, shared by all kinds of objects.
//!
//! A platform that refuses the credential, throttles or is down is left alone as a whole: one probe at a time finds out when it is back.

use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use live_platform::{Error, ErrorKind};
use oc_domain::conditions::{Reason, Trouble};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::platform::circuit::{Circuit, MOST_REST};
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;

/// How long a call waits for room in the budget. Then it was surely not made, and its object is tried again: an intent must not grow old in a line.
const MOST_WAIT: Duration = Duration::from_secs(20);

/// For each call that may be under way, how many changes may have their intents recorded ahead of their turn. That many a crash can leave recorded and not
/// asked for, which then wait for the grace.
const PLACES: usize = 2;

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
pub enum BudgetEvent {
    /// The platform is being left alone from now on.
    Opened(Reason),
    /// It is back after having been left alone.
    Back,
    /// A call has waited so long for its turn, whether it came or not.
    Waited(Duration),
}

/// How the budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetStats {
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// How many calls a second are let pass.
    pub per_second: u32,
    /// Whether the platform is being left alone.
    pub open: bool,
}

/// What a platform's error means for objects.
pub fn trouble_of(error: &Error) -> Trouble {
    let reason = match error.kind {
        ErrorKind::Authentication | ErrorKind::Forbidden => Reason::AuthenticationFailed,
        ErrorKind::Throttled => Reason::Throttled,
        ErrorKind::Refused { .. } | ErrorKind::NotFound { .. } => Reason::PlatformRefused,
        ErrorKind::Settings | ErrorKind::Unavailable | ErrorKind::BadAnswer | ErrorKind::Bug => {
            Reason::PlatformUnavailable
        }
    };
    Trouble {
        reason,
        message: error.message().to_owned(),
        retry_after: error.retry_after.map(|rest| rest.min(MOST_REST)),
    }
}

/// Whether the error says something about the platform as a whole.
fn platform_wide(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Authentication | ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::BadAnswer
    )
}

/// Why a call has no result.
#[derive(Debug)]
pub enum CallError {
    /// It was not made: the platform is being left alone.
    LeftAlone(Trouble),
    /// It may have been made: this process lost the lease while the call was under way.
    Cut(Trouble),
    /// It was made.
    Call(Error),
}

impl CallError {
    /// What it means for objects.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::LeftAlone(trouble) | Self::Cut(trouble) => trouble.clone(),
            Self::Call(error) => trouble_of(error),
        }
    }
}

/// The room that a platform has for calls. All who speak to one platform share it, by whatever credential.
pub struct Room {
    rate: DefaultDirectRateLimiter,
    in_flight: Arc<Semaphore>,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Room {
    /// An empty room.
    pub fn new(limits: Limits) -> Arc<Self> {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(at_least_one(limits.per_second)).allow_burst(at_least_one(limits.burst));
        let in_flight = limits.in_flight.max(1) as usize;
        Arc::new(Self {
            rate: RateLimiter::direct(quota),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            places: Arc::new(Semaphore::new(PLACES * in_flight)),
            limits,
        })
    }

    /// How large it is.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// The budget of one connection to a platform: the platform's room, and a circuit of its own, since a credential that is refused says nothing of another.
pub struct Budget {
    room: Arc<Room>,
    circuit: Mutex<Circuit>,
    waiting: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    tell: Box<dyn Fn(BudgetEvent) + Send + Sync>,
}

/// Counts a call for as long as it is there: one that is dropped counts no more.
struct GaugeGuard(Arc<AtomicUsize>);

impl GaugeGuard {
    fn among(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that the circuit has let through. If it is the probe and is dropped before anything was heard of it, another one may be.
struct Admission {
    budget: Arc<Budget>,
    unheard_probe: bool,
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.unheard_probe {
            self.budget.circuit().abandon();
        }
    }
}

/// A place at the head of the line, for a change whose intent is being recorded: its time has come by the rate, and few are before it. It counts as no call,
/// so that an API server that is slow to record takes nothing from those that read. It is given back when it is dropped.
pub struct Reservation {
    entered: Admission,
    _permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Waits for the calls that are under way.
    ///
    /// # Errors
    /// As [`Budget::turn`].
    pub async fn turn(self) -> Result<Permit, CallError> {
        let budget = &self.entered.budget;
        let permit = budget
            .in_line(Arc::clone(&budget.room.in_flight).acquire_owned())
            .await?;
        Ok(Permit::of(self.entered, permit))
    }
}

/// The turn of one call. It is given back when it is dropped, whether the call was made or not.
pub struct Permit {
    entered: Admission,
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl Permit {
    fn of(entered: Admission, permit: OwnedSemaphorePermit) -> Self {
        let counted = GaugeGuard::among(&entered.budget.under_way);
        Self {
            entered,
            _permit: permit,
            _counted: counted,
        }
    }

    /// Makes a call that changes something, if this process leads **then**: the turn may have been waited for.
    ///
    /// # Errors
    /// When the call fails, and when this process does not lead.
    pub async fn change<T>(
        self,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        match leadership.guard(call).await {
            Ok(answer) => self.report(answer, platform_wide),
            Err(stopped) if stopped.begun => Err(CallError::Cut(stopped.trouble)),
            Err(stopped) => Err(CallError::LeftAlone(stopped.trouble)),
        }
    }

    fn report<T>(mut self, answer: Result<T, Error>, wide: fn(&Error) -> bool) -> Result<T, CallError> {
        self.entered.unheard_probe = false;
        self.entered.budget.record_result(
            answer
                .as_ref()
                .err()
                .filter(|error| wide(error))
                .map(trouble_of)
                .as_ref(),
        );
        answer.map_err(CallError::Call)
    }
}

impl Budget {
    /// A full budget, with a room of its own.
    #[cfg(test)]
    pub fn new(limits: Limits, tell: impl Fn(BudgetEvent) + Send + Sync + 'static) -> Arc<Self> {
        Self::sharing(Room::new(limits), tell)
    }

    /// A budget for calls that need room among others.
    pub fn sharing(room: Arc<Room>, tell: impl Fn(BudgetEvent) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            room,
            circuit: Mutex::new(Circuit::default()),
            waiting: Arc::default(),
            under_way: Arc::default(),
            tell: Box::new(tell),
        })
    }

    fn circuit(&self) -> parking_lot::MutexGuard<'_, Circuit> {
        self.circuit.lock()
    }

    /// Makes a call that reads, when there is room for it.
    ///
    /// # Errors
    /// When the platform is being left alone, or the call fails.
    pub async fn call<T>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let turn = self.turn().await?;
        turn.report(call.await, platform_wide)
    }

    /// The same for a list: an identity that may not even read is refused for every object alike.
    ///
    /// # Errors
    /// As [`Budget::call`].
    pub async fn call_list<T>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let turn = self.turn().await?;
        turn.report(call.await, |error| {
            platform_wide(error) || error.kind == ErrorKind::Forbidden
        })
    }

    /// Makes a call that changes something, when there is room for it and if this process leads then.
    ///
    /// # Errors
    /// As [`Budget::turn`] and [`Permit::change`].
    pub async fn change<T>(
        self: &Arc<Self>,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        self.change_at(None, leadership, call).await
    }

    /// The same from the place that was waited for, if there is one.
    ///
    /// # Errors
    /// As [`Budget::change`].
    pub async fn change_at<T>(
        self: &Arc<Self>,
        place: Option<Reservation>,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let turn = match place {
            Some(place) => place.turn().await?,
            None => self.turn().await?,
        };
        turn.change(leadership, call).await
    }

    /// Waits until there is room for one call.
    ///
    /// # Errors
    /// [`CallError::LeftAlone`] when the platform is being left alone, or there is no room for long.
    pub async fn turn(self: &Arc<Self>) -> Result<Permit, CallError> {
        let entered = self.enter()?;
        let permit = self.in_line(self.paced(&self.room.in_flight)).await?;
        Ok(Permit::of(entered, permit))
    }

    /// Waits until a change can be asked for soon, before its intent is recorded.
    ///
    /// # Errors
    /// As [`Budget::turn`].
    pub async fn reserve(self: &Arc<Self>) -> Result<Reservation, CallError> {
        let entered = self.enter()?;
        let permit = self.in_line(self.paced(&self.room.places)).await?;
        Ok(Reservation {
            entered,
            _permit: permit,
        })
    }

    fn enter(self: &Arc<Self>) -> Result<Admission, CallError> {
        let unheard_probe = self.circuit().enter(clock::now()).map_err(CallError::LeftAlone)?;
        Ok(Admission {
            budget: Arc::clone(self),
            unheard_probe,
        })
    }

    async fn paced(&self, room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AcquireError> {
        let permit = Arc::clone(room).acquire_owned().await;
        self.wait_for_rate().await;
        permit
    }

    async fn in_line(
        &self,
        room: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
    ) -> Result<OwnedSemaphorePermit, CallError> {
        let (since, waits) = (clock::since_start(), GaugeGuard::among(&self.waiting));
        let answer = tokio::time::timeout(MOST_WAIT, room).await;
        drop(waits);
        (self.tell)(BudgetEvent::Waited(clock::since_start().saturating_sub(since)));
        // The semaphores are never closed.
        let Ok(Ok(permit)) = answer else {
            let message =
                "The platform has more to do than spec.requests of the LivePlatform lets pass; tried again.";
            return Err(CallError::LeftAlone(Trouble::new(Reason::Throttled, message)));
        };
        Ok(permit)
    }

    fn record_result(&self, trouble: Option<&Trouble>) {
        let (back, opened) = {
            let mut circuit = self.circuit();
            let closed = circuit.why_open().is_none();
            let back = circuit.report(clock::now(), trouble);
            (
                back,
                circuit
                    .why_open()
                    .filter(|_| closed)
                    .map(|trouble| trouble.reason),
            )
        };
        if back {
            (self.tell)(BudgetEvent::Back);
        }
        if let Some(reason) = opened {
            (self.tell)(BudgetEvent::Opened(reason));
        }
    }

    async fn wait_for_rate(&self) {
        while let Err(not_yet) = self.room.rate.check() {
            let now = governor::clock::Clock::now(&governor::clock::DefaultClock::default());
            tokio::time::sleep(not_yet.wait_time_from(now)).await;
        }
    }

    /// How it is used now.
    pub fn used(&self) -> BudgetStats {
        let count = |calls: &AtomicUsize| calls.load(Ordering::Relaxed);
        let (waiting, in_flight) = (count(&self.waiting), count(&self.under_way));
        BudgetStats {
            waiting,
            in_flight,
            per_second: self.room.limits.per_second,
            open: self.open_reason().is_some(),
        }
    }

    /// Why the platform is being left alone, if it is.
    pub fn open_reason(&self) -> Option<Trouble> {
        self.circuit().why_open().cloned()
    }

    /// Lets the next caller through as a probe when the platform is left alone.
    pub fn probe_now(&self) {
        self.circuit().probe_now(clock::now());
    }
}

#[cfg(test)]
mod tests;

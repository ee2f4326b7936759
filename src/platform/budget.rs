//! The calls that a platform accepts at once: a rate, a number in flight, and a circuit, shared by all kinds
//! of objects.
//!
//! If a platform rejects the credential, throttles or is down, all calls to it stop. One probe at a time
//! finds out when it is back.

use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use live_platform::{Error, ErrorKind};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::names::TenantId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::platform::channel_line::ChannelLine;
use crate::platform::circuit::{Circuit, MOST_REST};
use crate::runtime::clock;
use crate::runtime::leadership::{Leadership, Stopped};
use crate::runtime::rate::Rate;

/// How long a call waits for room in the budget. After that it was certainly not made, and its object is
/// retried: an intent must not age in a queue.
const MOST_WAIT: Duration = Duration::from_secs(20);

/// How many changes may hold a reservation, per in-flight slot. A crash can leave at most that many intents
/// (`PLACES` times `in_flight`) recorded but not requested; each then has to wait out its grace period.
const PLACES: usize = 2;

/// The limits of `spec.requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls per second.
    pub per_second: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Calls in flight at the same time.
    pub in_flight: u32,
}

/// What the budget reports to its creator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetEvent {
    /// The circuit has opened: calls stop from now on.
    Opened(Reason),
    /// The circuit has closed again.
    Back,
    /// A call has waited this long for its turn, whether it got one or not.
    Waited(Duration),
}

/// The current use of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetStats {
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls allowed per second.
    pub per_second: u32,
    /// Whether the circuit is open.
    pub open: bool,
}

/// Returns what an error of the platform means for objects.
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
        message: error.message().to_owned().into(),
        retry_after: error.retry_after.map(|rest| rest.min(MOST_REST)),
    }
}

/// Whether the error concerns the platform as a whole.
fn platform_wide(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Authentication | ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::BadAnswer
    )
}

/// Why a call has no result.
#[derive(Debug)]
pub enum CallError {
    /// The call was not made: the circuit is open, no room became free in time, or this process does not
    /// lead.
    LeftAlone(Trouble),
    /// The call may have been made: this process lost the lease while it was in flight.
    Cut(Trouble),
    /// The call was made and failed.
    Call(Error),
}

impl CallError {
    /// Returns what the error means for objects.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::LeftAlone(trouble) | Self::Cut(trouble) => trouble.clone(),
            Self::Call(error) => trouble_of(error),
        }
    }
}

impl From<Stopped> for CallError {
    fn from(stopped: Stopped) -> Self {
        if stopped.begun {
            Self::Cut(stopped.trouble)
        } else {
            Self::LeftAlone(stopped.trouble)
        }
    }
}

/// The capacity of a platform for calls. Everything that calls one platform shares it, whatever the
/// credential.
pub struct Room {
    rate: Rate,
    in_flight: Arc<Semaphore>,
    places: Arc<Semaphore>,
    channels: ChannelLine,
    limits: Limits,
}

impl Room {
    /// Creates a room with no calls in it.
    pub fn new(limits: Limits) -> Arc<Self> {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let in_flight = limits.in_flight.max(1) as usize;
        Arc::new(Self {
            rate: Rate::with_burst(at_least_one(limits.per_second), at_least_one(limits.burst)),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            places: Arc::new(Semaphore::new(PLACES * in_flight)),
            channels: ChannelLine::new(limits.per_second),
            limits,
        })
    }

    /// Returns the limits of the room.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// The budget of one connection to a platform. It shares the platform's room but has its own circuit, since a
/// rejected credential says nothing about another one.
pub struct Budget {
    room: Arc<Room>,
    circuit: Mutex<Circuit>,
    waiting: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    tell: Box<dyn Fn(BudgetEvent) + Send + Sync>,
}

/// Counts a call until it is dropped.
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

/// A call that the circuit has admitted. If it is the probe and is dropped before its result is known,
/// another call may become the probe.
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

/// A reserved place in the queue for a change whose intent is being recorded. The rate limit has admitted it,
/// and few are ahead of it. It does not count as a call in flight, so that a slow API server takes no
/// capacity from reads. Dropping it frees the place.
pub struct Reservation {
    entered: Admission,
    _permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// Waits for a free in-flight slot.
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

/// Permission to make one call. Dropping it frees the slot, whether the call was made or not.
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

    /// Makes a call that changes something, provided that this process leads **at that moment**: it may have
    /// waited for its turn.
    ///
    /// # Errors
    /// If the call fails, or this process does not lead.
    pub async fn change<T>(
        self,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        match leadership.guard(call).await {
            Ok(answer) => self.report(answer, platform_wide),
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// Makes a change of a lead's channel, as [`Permit::change`]. If the platform throttles it, that is about
    /// these calls alone.
    async fn change_channel<T>(
        self,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let budget = Arc::clone(&self.entered.budget);
        match leadership.guard(call).await {
            // A throttled probe has found out nothing about the other calls. Dropped, it leaves that to another.
            Ok(Err(error)) if error.kind == ErrorKind::Throttled => {
                budget.room.channels.close(&trouble_of(&error));
                Err(CallError::Call(error))
            }
            Ok(answer) => self.report(answer, platform_wide),
            Err(stopped) => Err(stopped.into()),
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
    /// Creates an unused budget with its own room.
    #[cfg(test)]
    pub fn new(limits: Limits, tell: impl Fn(BudgetEvent) + Send + Sync + 'static) -> Arc<Self> {
        Self::sharing(Room::new(limits), tell)
    }

    /// Creates a budget that shares a room with others.
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

    /// Makes a call that reads, once there is room for it.
    ///
    /// # Errors
    /// If the circuit is open, or the call fails.
    pub async fn call<T>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let turn = self.turn().await?;
        turn.report(call.await, platform_wide)
    }

    /// Makes a call that reads a list. Unlike in [`Budget::call`], [`ErrorKind::Forbidden`] counts against
    /// the platform as a whole: an identity that may not even read is rejected for every object.
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

    /// Makes a call that changes something, once there is room for it and provided that this process leads
    /// then.
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

    /// Makes a change as [`Budget::change`] does, from a reserved place if there is one.
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

    /// Takes the turn of a tenant's lead in the line for channel changes.
    ///
    /// # Errors
    /// If its turn has not come, the platform throttles these calls, or the circuit is open.
    pub fn enter_channel_line(&self, tenant: &TenantId) -> Result<(), Trouble> {
        self.open_reason().map_or(Ok(()), Err)?;
        self.room.channels.enter(tenant)
    }

    /// Changes the channel of a tenant's lead, whose turn it is. Such calls have a limit of their own, and few
    /// are in flight, so that the others are made as soon as without them.
    ///
    /// # Errors
    /// As [`Budget::change`].
    pub async fn change_channel<T>(
        self: &Arc<Self>,
        tenant: &TenantId,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CallError> {
        let line = &self.room.channels;
        let place = tokio::time::timeout(MOST_WAIT, line.places.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_place)) = place else {
            return Err(CallError::LeftAlone(line.late(tenant)));
        };
        let entered = self.enter()?;
        let in_flight = Arc::clone(&self.room.in_flight).acquire_owned();
        let permit = Permit::of(entered, self.in_line(in_flight).await?);
        permit.change_channel(leadership, call).await
    }

    /// Waits until there is room for one call.
    ///
    /// # Errors
    /// [`CallError::LeftAlone`] if the circuit is open, or there is no room for too long.
    pub async fn turn(self: &Arc<Self>) -> Result<Permit, CallError> {
        let entered = self.enter()?;
        let permit = self.in_line(self.paced(&self.room.in_flight)).await?;
        Ok(Permit::of(entered, permit))
    }

    /// Waits until a change can be requested soon, before its intent is recorded.
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
        self.room.rate.wait().await;
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
            let message = format!(
                "A call to the platform waited {} s for its turn and was not sent: the operator has more calls to make than spec.requests of the LivePlatform allows. It tries again. If this persists, raise spec.requests.perSecond and spec.requests.inFlight, provided that the platform can take more.",
                MOST_WAIT.as_secs()
            );
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

    /// Returns the current use of the budget.
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

    /// Returns why the circuit is open, if it is.
    pub fn open_reason(&self) -> Option<Trouble> {
        self.circuit().why_open().cloned()
    }

    /// If the circuit is open, lets the next call through as a probe.
    pub fn probe_now(&self) {
        self.circuit().probe_now(clock::now());
    }
}

#[cfg(test)]
mod tests;

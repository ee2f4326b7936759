//! Whether this process may change anything: the result of the election, checked right before each change is
//! sent.
//!
//! The answer depends on a clock and on the start of the last renewal, not on a task that would have to run
//! first. A process that was stopped for longer than its lease may change nothing from its first instruction
//! on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use oc_domain::conditions::{Reason, Trouble};

use crate::runtime::clock;

/// Whether this process may change anything. Cheap to check and cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<AtomicU64>>);

/// A call was stopped because this process no longer leads.
#[derive(Debug)]
pub struct Stopped {
    /// Whether the call had started, so that it may have been made.
    pub begun: bool,
    /// Why the call was stopped.
    pub trouble: Trouble,
}

impl Leadership {
    /// For a process without an election: it is the only one.
    pub fn without_election() -> Self {
        Self(None)
    }

    /// For a process that takes part in an election and is not elected yet.
    pub fn elected() -> Self {
        Self(Some(Arc::default()))
    }

    /// Sets until when this process may change something, measured from its start; `None` if it may not.
    pub(crate) fn set(&self, until: Option<Duration>) {
        if let Some(moment) = &self.0 {
            let millis = until.map_or(0, |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
            moment.store(millis, Ordering::SeqCst);
        }
    }

    /// Checks whether a change may be made now.
    ///
    /// # Errors
    /// If this process does not lead.
    pub fn may_change(&self) -> Result<(), Trouble> {
        match &self.0 {
            Some(until) if clock::since_start() >= Duration::from_millis(until.load(Ordering::SeqCst)) => {
                Err(Trouble::new(
                    Reason::Progressing,
                    "This replica does not lead; the leader continues.",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Makes a call for as long as this process leads. Leadership is checked before each step of the call,
    /// not only at its start: before its request is sent, a call may wait for a token, and in that time the
    /// process may be stopped.
    ///
    /// # Errors
    /// If this process does not lead, or no longer leads.
    pub async fn guard<T>(&self, call: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut call = pin!(call);
        let mut begun = false;
        std::future::poll_fn(|context| {
            if let Err(trouble) = self.may_change() {
                return Poll::Ready(Err(Stopped { begun, trouble }));
            }
            begun = true;
            call.as_mut().poll(context).map(Ok)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn elected_for(span: Duration) -> Leadership {
        let leadership = Leadership::elected();
        leadership.set(Some(clock::since_start() + span));
        leadership
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn nobody_may_change_before_being_elected_nor_after_the_end() {
        let leadership = Leadership::elected();
        let clone = leadership.clone();
        assert_eq!(
            clone.may_change().map_err(|trouble| trouble.reason),
            Err(Reason::Progressing)
        );
        leadership.set(Some(clock::since_start() + LONG));
        assert!(clone.may_change().is_ok(), "all clones are told");
        leadership.set(Some(clock::since_start()));
        assert!(clone.may_change().is_err(), "the end is not included");
        assert!(Leadership::without_election().may_change().is_ok());
    }

    #[tokio::test]
    async fn time_alone_ends_it_and_no_task_needs_to_run() {
        let leadership = elected_for(Duration::from_millis(20));
        assert!(leadership.may_change().is_ok());
        while clock::since_start()
            < Duration::from_millis(leadership.0.as_ref().unwrap().load(Ordering::SeqCst))
        {
            std::hint::spin_loop();
        }
        assert!(leadership.may_change().is_err());
    }

    #[tokio::test]
    async fn a_call_is_not_begun_by_one_that_does_not_lead() {
        let mut called = false;
        let stopped = Leadership::elected()
            .guard(async { called = true })
            .await
            .unwrap_err();
        assert!(!stopped.begun && !called);
    }

    #[tokio::test]
    async fn a_call_that_waits_goes_no_further_when_the_lease_ends_meanwhile() {
        let leadership = elected_for(LONG);
        let (go, wait) = oneshot::channel::<()>();
        let sent = std::cell::Cell::new(false);
        let call = async {
            wait.await.unwrap();
            sent.set(true);
        };
        let lose = async {
            tokio::task::yield_now().await;
            leadership.set(None);
            go.send(()).unwrap();
        };
        let (stopped, ()) = tokio::join!(leadership.guard(call), lose);
        assert!(
            stopped.unwrap_err().begun,
            "it may have been sent, as far as can be known here"
        );
        assert!(!sent.get(), "and yet it was not");
    }
}

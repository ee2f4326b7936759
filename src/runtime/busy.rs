//! How long a future works, without what it waits for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::clock;

/// A future that measures the time in which it is polled.
pub struct Busy<F> {
    future: Pin<Box<F>>,
    busy: Duration,
}

impl<F: Future> Busy<F> {
    /// Measures a future.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            busy: Duration::ZERO,
        }
    }

    /// How long it has worked until now.
    pub fn time(&self) -> Duration {
        self.busy
    }
}

impl<F: Future> Future for Busy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let begun = clock::since_start();
        let polled = self.future.as_mut().poll(context);
        self.busy += clock::since_start().saturating_sub(begun);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_waits_for_is_not_work() {
        let (work, wait) = (Duration::from_millis(30), Duration::from_millis(300));
        let works = || {
            let begun = clock::since_start();
            while clock::since_start() < begun + work {
                std::hint::spin_loop();
            }
        };
        let mut busy = Busy::new(async {
            works();
            tokio::time::sleep(wait).await;
            works();
            7
        });
        assert_eq!((&mut busy).await, 7);
        assert!(busy.time() >= work * 2 && busy.time() < wait, "{:?}", busy.time());
    }
}

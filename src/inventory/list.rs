//! One list: read when somebody needs a newer one, once for all who wait.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use oc_domain::conditions::Trouble;
use oc_domain::time::Time;
use tokio::sync::Mutex;

use crate::engine::clock;

/// A list is not begun again sooner than this after it was begun, so that those who ask in a stream share lists instead of each having its own.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// A list that takes long is begun again only after a multiple of the time it took: a platform is not kept busy with lists.
const PAUSE_PER_DURATION: u32 = 3;

/// But whoever needs a newer one does not wait longer than this after a list has ended.
const MOST_PAUSE: Duration = Duration::from_secs(60);

struct State<T> {
    list: Option<(Time, Arc<T>)>,
    failure: Option<(Time, Trouble)>,
}

/// When the last read was begun, and how long it took.
#[derive(Default)]
struct Pace {
    begun: Time,
    took: Duration,
}

/// The newest list, and how to come by a newer one.
pub struct Kept<T> {
    state: RwLock<State<T>>,
    reading: Mutex<Pace>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { state: RwLock::new(State { list: None, failure: None }), reading: Mutex::new(Pace::default()) }
    }
}

impl<T> Kept<T> {
    fn answer(&self, not_before: Time) -> Option<Result<(Time, Arc<T>), Trouble>> {
        let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((at, list)) = state.list.as_ref().filter(|(at, _)| *at >= not_before) {
            return Some(Ok((*at, Arc::clone(list))));
        }
        // Who waited while a read failed shares its failure; otherwise each of a thousand waiting passes would try for itself.
        state.failure.as_ref().filter(|(at, _)| *at >= not_before && not_before > Time(0)).map(|(_, trouble)| Err(trouble.clone()))
    }

    /// The newest list, whatever its age.
    pub fn known(&self) -> Option<Arc<T>> {
        self.newest().map(|(_, list)| list)
    }

    /// The same, and when its read was begun.
    pub fn newest(&self) -> Option<(Time, Arc<T>)> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner).list.clone()
    }

    /// A list that was begun at or after `not_before`.
    pub async fn since(
        &self,
        not_before: Time,
        read: impl Future<Output = Result<T, Trouble>>,
        tell: impl FnOnce(Option<&T>, &T),
    ) -> Result<(Time, Arc<T>), Trouble> {
        if let Some(answer) = self.answer(not_before) {
            return answer;
        }
        let mut pace = self.reading.lock().await;
        if let Some(answer) = self.answer(not_before) {
            return answer;
        }
        clock::sleep_until(pace.begun + pause(pace.took)).await;
        let begun = clock::now();
        let result = read.await;
        *pace = Pace { begun, took: clock::now().since(begun) };
        match result {
            Ok(list) => {
                let list = Arc::new(list);
                let before = {
                    let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                    state.failure = None;
                    state.list.replace((begun, Arc::clone(&list)))
                };
                tell(before.as_ref().map(|(_, list)| list.as_ref()), &list);
                Ok((begun, list))
            }
            Err(trouble) => {
                let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                state.failure = Some((begun, trouble.clone()));
                Err(trouble)
            }
        }
    }
}

/// How long after the begin of a list that took so long the next one is begun.
fn pause(took: Duration) -> Duration {
    LEAST_PAUSE.max((took * PAUSE_PER_DURATION).min(took + MOST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::conditions::Reason;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn ask(kept: &Kept<usize>, reads: &AtomicUsize, not_before: Time, fail: bool) -> Result<usize, Trouble> {
        let read = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let number = reads.fetch_add(1, Ordering::SeqCst) + 1;
            if fail { Err(Trouble::new(Reason::PlatformUnavailable, "down")) } else { Ok(number) }
        };
        kept.since(not_before, read, |_, _| ()).await.map(|(at, list)| {
            assert!(at >= not_before, "begun at {at:?}, wanted since {not_before:?}");
            *list
        })
    }

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_share_one_list_and_an_old_one_does_for_who_takes_it() {
        let (kept, reads) = (Kept::default(), AtomicUsize::new(0));
        let now = clock::now();
        let all = futures::future::join_all((0..100).map(|_| ask(&kept, &reads, now, false))).await;
        assert!(all.iter().all(|answer| *answer == Ok(1)), "{all:?}");
        assert_eq!(ask(&kept, &reads, now, false).await, Ok(1), "still new enough");
        assert_eq!(ask(&kept, &reads, clock::now(), false).await, Ok(2), "a newer one is wanted");
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_asks_while_a_read_is_under_way_gets_one_that_was_begun_later() {
        let (kept, reads) = (Kept::default(), AtomicUsize::new(0));
        let first = ask(&kept, &reads, clock::now(), false);
        let second = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ask(&kept, &reads, clock::now(), false).await
        };
        assert_eq!(futures::future::join(first, second).await, (Ok(1), Ok(2)));
    }

    #[test]
    fn a_slow_list_leaves_the_platform_alone_for_a_while_but_not_for_long() {
        let seconds = Duration::from_secs;
        for (took, after) in [(0, Duration::from_millis(500)), (1, seconds(3)), (30, seconds(90)), (250, seconds(310))] {
            assert_eq!(pause(seconds(took)), after, "{took} s");
        }
    }

    #[tokio::test]
    async fn a_crowd_shares_one_failure() {
        let (kept, reads) = (Kept::default(), AtomicUsize::new(0));
        let now = clock::now();
        let all = futures::future::join_all((0..50).map(|_| ask(&kept, &reads, now, true))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }
}

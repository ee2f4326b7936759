//! One list: read when somebody needs a newer one, once for all callers that wait.
//!
//! Every wait here has a bound. A failed read fails for all callers that wait for it, and for a while for
//! those that come later. A caller that waits for the end of the platform's pause holds no lock in that time.

use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::time::Time;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::Instant;

use crate::runtime::busy::Busy;
use crate::runtime::clock;

/// The minimum time between the starts of two reads, so that a stream of callers shares lists instead of each
/// reading its own.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// The same on a platform that takes many calls. Each create waits for a list that began after it, so this
/// pause, and how many passes run at once, limit how many services are created in a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// How many calls a platform must take in the time between two lists for them to come sooner.
const CALLS_BETWEEN: u32 = 5;

/// A slow list is read again only after a multiple of the time it took, so that lists do not keep a platform
/// busy.
const PAUSE_PER_DURATION: u32 = 3;

/// Our own work on the entries grows with their number, and the pause with it: each of the two lists takes half a
/// hundredth of a core, however many services are being created.
const PAUSE_PER_WORK: u32 = 200;

/// The longest pause for the sake of our own work: shorter than the time for which a list answers the checks before a
/// create. It ends early when the callers that wait for the list leave no room for others.
const MOST_PAUSE_FOR_WORK: Duration = Duration::from_secs(6);

/// But a caller that needs a newer list waits at most this long after the last one ended.
const MOST_PAUSE: Duration = Duration::from_secs(60);

/// After a failed read nobody tries again for as long as it took, but at most this long. Whether calls are
/// held back for longer is up to the circuit.
const MOST_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A list that takes longer than this has failed. A wait lasts at most two reads and a pause, which must be
/// less than the time after which `/livez` considers a pass hung.
const LONGEST_READ: Duration = Duration::from_secs(900);

struct ListState<T> {
    list: Option<(Time, Arc<T>)>,
    failure: Option<ListFailure>,
}

struct ListFailure {
    /// When the read started.
    begun: Time,
    trouble: Trouble,
    /// Until then the failure is the answer for every caller.
    until: Instant,
}

/// When the next read may start.
struct ListPause {
    /// Until then whoever answers is left alone.
    least: Instant,
    /// Until then the next read waits for more callers to share it.
    end: Instant,
}

/// Says whether so many callers wait that others get no turn.
pub type IsCrowded = Arc<dyn Fn() -> bool + Send + Sync>;

/// The newest list, and the means to get a newer one.
pub struct SharedList<T> {
    least_pause: Duration,
    is_crowded: IsCrowded,
    state: RwLock<ListState<T>>,
    /// Held by the reader.
    reading: Mutex<Option<ListPause>>,
    /// Wakes those who wait for the end of the pause, when it ends early.
    ends_early: Notify,
}

impl<T> SharedList<T> {
    /// Creates a list that has not been read yet, of a platform that takes so many calls a second.
    pub fn new(per_second: u32, is_crowded: IsCrowded) -> Self {
        Self {
            least_pause: least_pause(per_second),
            is_crowded,
            state: RwLock::new(ListState {
                list: None,
                failure: None,
            }),
            reading: Mutex::new(None),
            ends_early: Notify::new(),
        }
    }

    fn answer(&self, not_before: Time) -> Option<Result<(Time, Arc<T>), Trouble>> {
        let state = self.state.read();
        if let Some((at, list)) = state.list.as_ref().filter(|(at, _)| *at >= not_before) {
            return Some(Ok((*at, Arc::clone(list))));
        }
        // Callers that waited during a failed read share its failure, and so do those that come right after
        // it. Otherwise each of a thousand waiting passes would try for itself; with a platform that hangs,
        // each would wait for all before it.
        let failure = state.failure.as_ref()?;
        let context =
            (failure.begun >= not_before && not_before > Time(0)) || clock::moment() < failure.until;
        context.then(|| Err(failure.trouble.clone()))
    }

    /// Returns the newest list, whatever its age.
    pub fn known(&self) -> Option<Arc<T>> {
        self.newest().map(|(_, list)| list)
    }

    /// Returns the newest list, with the start time of its read.
    pub fn newest(&self) -> Option<(Time, Arc<T>)> {
        self.state.read().list.clone()
    }

    /// Forgets a recent failure, so that the next caller tries again: the platform is back, or somebody
    /// requested a reconciliation.
    pub fn forget_failure(&self) {
        self.state.write().failure = None;
    }

    /// Returns a list from a read that started at or after `not_before`.
    pub async fn since<F: Future<Output = Result<Arc<T>, Trouble>>>(
        &self,
        not_before: Time,
        read: impl FnOnce() -> F,
        tell: impl FnOnce(Option<&T>, &T),
    ) -> Result<(Time, Arc<T>), Trouble> {
        let mut next = match self.turn(not_before).await {
            Ok(answer) => return answer,
            Err(turn) => turn,
        };
        let (begun, from) = (clock::now(), clock::moment());
        // Of hundreds that wait, one reads.
        let mut read = Busy::new(read());
        let result = tokio::time::timeout(LONGEST_READ, &mut read)
            .await
            .unwrap_or_else(|_| Err(too_long()));
        let took = clock::moment().duration_since(from);
        match result {
            Ok(list) => {
                let least = self.least_pause.max(pause_for_platform(took));
                *next = Some(ListPause {
                    least: from + least,
                    end: from + least.max(pause_for_work(read.time())),
                });
                let before = {
                    let mut state = self.state.write();
                    state.failure = None;
                    state.list.replace((begun, Arc::clone(&list)))
                };
                tell(before.as_ref().map(|(_, list)| list.as_ref()), &list);
                Ok((begun, list))
            }
            Err(trouble) => {
                let until = (from + took + took.min(MOST_PAUSE_AFTER_FAILURE)).max(from + LEAST_PAUSE);
                *next = Some(ListPause {
                    least: until,
                    end: until,
                });
                let mut state = self.state.write();
                state.failure = Some(ListFailure {
                    begun,
                    trouble: trouble.clone(),
                    until,
                });
                Err(trouble)
            }
        }
    }

    /// Waits for the answer, or for the turn to read.
    async fn turn(
        &self,
        not_before: Time,
    ) -> Result<Result<(Time, Arc<T>), Trouble>, MutexGuard<'_, Option<ListPause>>> {
        loop {
            if let Some(answer) = self.answer(not_before) {
                return Ok(answer);
            }
            let mut next = self.reading.lock().await;
            if let Some(answer) = self.answer(not_before) {
                return Ok(answer);
            }
            let Some(pause) = next.as_mut() else {
                return Err(next);
            };
            if pause.least < pause.end && (self.is_crowded)() {
                pause.end = pause.least;
                self.ends_early.notify_waiters();
            }
            let end = pause.end;
            if end <= clock::moment() {
                return Err(next);
            }
            let ends_early = self.ends_early.notified();
            drop(next);
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = ends_early => {}
            }
        }
    }
}

fn too_long() -> Trouble {
    let minutes = LONGEST_READ.as_secs() / 60;
    Trouble::new(
        Reason::PlatformUnavailable,
        format!("The platform's list did not end within {minutes} minutes. The operator tries again."),
    )
}

/// Returns the minimum time between the starts of two reads: at most a fifth of the calls are lists of one page,
/// as far as [`LEAST_PAUSE`] allows.
fn least_pause(per_second: u32) -> Duration {
    let calls = Duration::from_secs(CALLS_BETWEEN.into()) / per_second.max(1);
    calls.clamp(SHORTEST_PAUSE, LEAST_PAUSE)
}

/// Returns how long after the start of a list that took so long the platform is left alone.
fn pause_for_platform(took: Duration) -> Duration {
    (took * PAUSE_PER_DURATION).min(took + MOST_PAUSE)
}

/// Returns how long after the start of a list the next one waits for the sake of our own work.
fn pause_for_work(work: Duration) -> Duration {
    (work * PAUSE_PER_WORK).min(MOST_PAUSE_FOR_WORK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    fn list() -> SharedList<usize> {
        SharedList::new(10, Arc::new(|| false))
    }

    async fn ask(
        kept: &SharedList<usize>,
        reads: &AtomicUsize,
        not_before: Time,
        fail: bool,
    ) -> Result<usize, Trouble> {
        let read = async || {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let number = reads.fetch_add(1, Ordering::SeqCst) + 1;
            if fail {
                Err(Trouble::new(Reason::PlatformUnavailable, "down"))
            } else {
                Ok(Arc::new(number))
            }
        };
        kept.since(not_before, read, |_, _| ()).await.map(|(at, list)| {
            assert!(at >= not_before, "begun at {at:?}, wanted since {not_before:?}");
            *list
        })
    }

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_share_one_list_and_an_old_one_does_for_who_takes_it() {
        let (kept, reads) = (list(), AtomicUsize::new(0));
        let now = clock::now();
        let all = futures::future::join_all((0..100).map(|_| ask(&kept, &reads, now, false))).await;
        assert!(all.iter().all(|answer| *answer == Ok(1)), "{all:?}");
        assert_eq!(ask(&kept, &reads, now, false).await, Ok(1), "still new enough");
        assert_eq!(
            ask(&kept, &reads, clock::now(), false).await,
            Ok(2),
            "a newer one is wanted"
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_asks_while_a_read_is_under_way_gets_one_that_was_begun_later() {
        let (kept, reads) = (list(), AtomicUsize::new(0));
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
        for (took, after) in [
            (0, Duration::from_millis(500)),
            (1, seconds(3)),
            (30, seconds(90)),
            (250, seconds(310)),
        ] {
            let pause = pause_for_platform(seconds(took)).max(LEAST_PAUSE);
            assert_eq!(pause, after, "{took} s");
        }
        for (work, after) in [(1, 200), (6, 1200), (24, 4800), (60, 6000)] {
            let [work, after] = [work, after].map(Duration::from_millis);
            assert_eq!(pause_for_work(work), after, "{work:?}");
        }
        let least = [0, 1, 10, 15, 20, 1000].map(|per_second| least_pause(per_second).as_millis());
        assert_eq!(least, [500, 500, 500, 333, 250, 250]);
    }

    #[tokio::test]
    async fn a_pause_for_our_own_work_ends_as_soon_as_those_who_wait_are_a_crowd() {
        let (crowd, reads) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let seen = Arc::clone(&crowd);
        let kept = SharedList::new(10, Arc::new(move || seen.load(Ordering::SeqCst)));
        let ask = || {
            let read = async || {
                let begun = clock::since_start();
                while clock::since_start() < begun + MOST_PAUSE_FOR_WORK / PAUSE_PER_WORK {
                    std::hint::spin_loop();
                }
                Ok(Arc::new(reads.fetch_add(1, Ordering::SeqCst) + 1))
            };
            kept.since(clock::now(), read, |_, _| ())
        };
        assert!(ask().await.is_ok());
        let (mut first, begun) = (std::pin::pin!(ask()), clock::moment());
        let waits = tokio::time::timeout(LEAST_PAUSE * 2, &mut first).await;
        assert!(waits.is_err(), "it waits for others to share the list");
        crowd.store(true, Ordering::SeqCst);
        let (first, second) = futures::future::join(first, ask()).await;
        assert!(first.is_ok() && second.is_ok());
        assert!(
            clock::moment() < begun + MOST_PAUSE_FOR_WORK,
            "the pause ended early"
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2, "one list for both");
    }

    #[tokio::test]
    async fn a_crowd_shares_one_failure() {
        let (kept, reads) = (list(), AtomicUsize::new(0));
        let now = clock::now();
        let all = futures::future::join_all((0..50).map(|_| ask(&kept, &reads, now, true))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    /// A platform that hangs, after a restart: there is no list yet, and 128 passes arrive, most of which
    /// would accept any list. Here it hangs for 200 ms, not for half a minute.
    #[tokio::test]
    async fn a_crowd_before_a_platform_that_hangs_shares_one_failure_whatever_list_would_do() {
        const HANG: Duration = Duration::from_millis(200);
        let (kept, reads) = (&list(), &AtomicUsize::new(0));
        let pass = |not_before| {
            let read = async || {
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(HANG).await;
                Err(Trouble::new(Reason::PlatformUnavailable, "no answer"))
            };
            async move { kept.since(not_before, read, |_, _| ()).await.is_err() }
        };
        let (now, begun) = (clock::now(), clock::moment());
        let any = |number: usize| {
            if number.is_multiple_of(4) {
                now
            } else {
                Time(i64::MIN)
            }
        };
        let all = futures::future::join_all((0..128).map(|number| pass(any(number)))).await;
        let took = clock::moment().duration_since(begun);
        assert!(all.iter().all(|failed| *failed));
        assert_eq!(
            reads.load(Ordering::SeqCst),
            1,
            "each of them waits for all before it: {took:?}"
        );
        assert!(took < HANG * 4, "{took:?}");
        // Callers that come right after share the failure; then one of them tries again.
        assert!(pass(clock::now()).await && reads.load(Ordering::SeqCst) == 1);
        tokio::time::sleep(LEAST_PAUSE).await;
        assert!(pass(Time(i64::MIN)).await && reads.load(Ordering::SeqCst) == 2);
        kept.forget_failure();
        assert!(
            pass(clock::now()).await && reads.load(Ordering::SeqCst) == 3,
            "the platform is said to be back, so it is asked"
        );
    }

    /// While a caller that needs a newer list waits, it keeps nobody else waiting.
    #[tokio::test]
    async fn nobody_sleeps_under_the_lock() {
        let kept = list();
        kept.since(Time(1), async || Ok(Arc::new(1)), |_, _| ())
            .await
            .unwrap();
        let waits = kept.since(
            clock::now() + Duration::from_secs(3600),
            async || Ok(Arc::new(2)),
            |_, _| (),
        );
        assert!(
            tokio::time::timeout(Duration::from_millis(20), waits)
                .await
                .is_err(),
            "the platform is not kept busy with lists"
        );
        let waits = kept.since(
            clock::now() + Duration::from_secs(3600),
            async || Ok(Arc::new(2)),
            |_, _| (),
        );
        let look = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            kept.reading.try_lock().is_ok()
        };
        let (free, _) = tokio::join!(look, tokio::time::timeout(Duration::from_millis(50), waits));
        assert!(free, "it holds the lock while it waits");
    }

    /// A reader that gives up, as when its connection is replaced, passes the turn on.
    #[tokio::test]
    async fn who_gives_up_leaves_the_turn_to_the_next() {
        let kept = list();
        let hangs = kept.since(Time(1), std::future::pending, |_, _| ());
        assert!(
            tokio::time::timeout(Duration::from_millis(10), hangs)
                .await
                .is_err()
        );
        assert!(
            kept.since(Time(1), async || Ok(Arc::new(7)), |_, _| ())
                .await
                .is_ok()
        );
    }
}

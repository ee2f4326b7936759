//! Performs one pass over one object: each step that `oc_domain::driver` names, against everything that a pass can touch.
//!
//! It knows no kind and chooses nothing.

use oc_domain::conditions::Trouble;
use oc_domain::driver::Pass;
use oc_domain::pass::Facts;
use oc_domain::record::{Intent, Record};
use oc_domain::step::{Answer, Change, Decision, Mark, Query, Step, Wake};
use oc_domain::time::Time;

/// An own object could not be written.
#[derive(Debug)]
pub enum WriteFailed {
    /// It is not there any more.
    Gone,
    /// It was changed meanwhile: the pass starts again with the newer one.
    Changed,
    /// The API server did not take it; tried again.
    Refused(String),
}

/// Everything that a pass can touch.
pub trait World: Send + Sync {
    /// What time it is.
    fn now(&self) -> Time;
    /// Reads one thing, and puts it into `facts`. Reading never fails: what can't be read is a fact as well.
    fn look(&self, query: &Query, not_before: Time, record: &Record, facts: &mut Facts) -> impl Future<Output = ()> + Send;
    /// Waits for a place at the head of the platform's line, which the next change of this pass then has.
    ///
    /// # Errors
    /// Why there is none.
    fn place(&self) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Writes a mark to the object's metadata, under the condition that the object is as this pass read it.
    fn keep(&self, mark: &Mark, record: &Record) -> impl Future<Output = Result<Option<Intent>, WriteFailed>> + Send;
    /// Asks one change of the platform.
    fn ask(&self, change: &Change, record: &Record) -> impl Future<Output = Answer> + Send;
    /// Writes status, when it differs.
    fn say(&self, decision: &Decision, facts: &Facts) -> impl Future<Output = Result<(), WriteFailed>> + Send;
}

/// How a pass ended.
#[derive(Debug)]
pub enum Ended {
    /// It waits until then.
    Until(Time, Wake),
    /// The object was let go, and the API server has taken it.
    Released,
    /// The object is gone: somebody else has seen to that.
    Gone,
    /// It could not be written; to be tried again.
    Unwritten(WriteFailed),
}

/// Runs a pass. Returns it, the last decision, and how it ended.
pub async fn run<W: World>(world: &W, mut pass: Pass, decide: impl Fn(Time, &Record, &Facts) -> Decision + Send + Sync) -> (Pass, Decision, Ended) {
    let mut has_place = false;
    loop {
        let decision = pass.next(world.now(), &decide);
        if let Some(bug) = &pass.bug {
            tracing::error!(bug, "a decision was refused; this is a bug");
        }
        let ended = match decision.step.clone() {
            Step::Look(query, not_before) => {
                world.look(&query, not_before, &decision.record, &mut pass.facts).await;
                pass.looked(decision);
                continue;
            }
            // First the place, then the intent, with the time that it is then: an intent whose request stands in line looks, after a crash, like one whose
            // answer was lost, and costs its customer the grace.
            Step::Keep(Mark::Begin { .. }) if !has_place => {
                match world.place().await {
                    Ok(()) => has_place = true,
                    Err(trouble) => pass.held_back(trouble),
                }
                continue;
            }
            Step::Keep(mark) => match world.keep(&mark, &decision.record).await {
                Ok(_) if mark == Mark::Release => Ended::Released,
                Ok(intent) => {
                    pass.kept(&mark, decision, intent);
                    continue;
                }
                Err(WriteFailed::Gone) => Ended::Gone,
                Err(failed) => Ended::Unwritten(failed),
            },
            Step::Ask(change) => {
                let answer = world.ask(&change, &decision.record).await;
                pass.answered(change, decision, answer);
                continue;
            }
            Step::Wait(until, wake) => said(world, &decision, &pass.facts, until, wake).await,
            Step::Rest(until) | Step::Stop(until) => said(world, &decision, &pass.facts, until, Wake::Inventory).await,
        };
        return (pass, decision, ended);
    }
}

async fn said<W: World>(world: &W, decision: &Decision, facts: &Facts, until: Time, wake: Wake) -> Ended {
    if decision.hold {
        return Ended::Until(until, wake);
    }
    match world.say(decision, facts).await {
        Ok(()) => Ended::Until(until, wake),
        Err(WriteFailed::Gone) => Ended::Gone,
        Err(failed) => Ended::Unwritten(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::conditions::{Reason, Verdict};
    use oc_domain::driver::Memo;
    use oc_domain::names::TenantId;
    use oc_domain::policy::Connection;
    use oc_domain::record::{OperationId, OperationKind, Sent};
    use std::sync::Mutex;

    /// A world that writes down what is done to it.
    struct Told {
        done: Mutex<Vec<&'static str>>,
        room: bool,
    }

    impl Told {
        fn does(&self, what: &'static str) {
            self.done.lock().unwrap().push(what);
        }
    }

    impl World for Told {
        fn now(&self) -> Time {
            Time(i64::try_from(self.done.lock().unwrap().len()).unwrap() * 1000)
        }

        async fn look(&self, _: &Query, _: Time, _: &Record, _: &mut Facts) {
            self.does("look");
        }

        async fn place(&self) -> Result<(), Trouble> {
            self.does("place");
            self.room.then_some(()).ok_or_else(|| Trouble::new(Reason::Throttled, "There is no room."))
        }

        async fn keep(&self, mark: &Mark, _: &Record) -> Result<Option<Intent>, WriteFailed> {
            let Mark::Begin { kind, start } = *mark else { return Ok(None) };
            assert_eq!(start, self.now(), "the time after the place was waited for");
            self.does("keep");
            Ok(Some(Intent { kind, id: OperationId("op".into()), start, sent: Sent::No }))
        }

        async fn ask(&self, _: &Change, _: &Record) -> Answer {
            self.does("ask");
            Answer::Done
        }

        async fn say(&self, _: &Decision, _: &Facts) -> Result<(), WriteFailed> {
            self.does("say");
            Ok(())
        }
    }

    /// Records an intent, asks, and rests.
    fn decide(now: Time, record: &Record, facts: &Facts) -> Decision {
        let tenant = TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap();
        let step = match (&record.intent, &facts.answer) {
            (_, Some(_)) => Step::Rest(now),
            (Some(_), None) => Step::Ask(Change::CreateService(tenant)),
            (None, None) => Step::Keep(Mark::Begin { kind: OperationKind::Create, start: now }),
        };
        Decision { step, why: "", verdict: Verdict::ready("x"), record: record.clone(), plan: Vec::new(), hold: false }
    }

    async fn done(room: bool) -> (Vec<&'static str>, Option<Answer>) {
        let facts = Facts::unread(Time(0), Connection::Unusable(Trouble::new(Reason::PlatformNotFound, "x")));
        let world = Told { done: Mutex::default(), room };
        let (pass, _, ended) = run(&world, Pass::begin(Record::default(), facts, &Memo::default()), decide).await;
        assert!(matches!(ended, Ended::Until(..)) && pass.bug.is_none(), "{ended:?}, {:?}", pass.bug);
        (world.done.into_inner().unwrap(), pass.facts.answer)
    }

    #[tokio::test]
    async fn a_place_is_waited_for_before_an_intent_is_written() {
        assert_eq!(done(true).await, (vec!["place", "keep", "ask", "say"], Some(Answer::Done)));
        let (steps, answer) = done(false).await;
        assert_eq!(steps, ["place", "say"]);
        assert!(matches!(answer, Some(Answer::NotSent(trouble)) if trouble.reason == Reason::Throttled));
    }
}

//! Performs one pass over one object: each step that `oc_domain::driver` names, against everything that a pass can touch.
//!
//! It knows no kind and chooses nothing.

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

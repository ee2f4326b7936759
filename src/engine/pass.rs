//! The driver: one pass over one object. It performs what is decided, feeds the answer back, and writes status once.
//!
//! It knows no kind and chooses nothing. [`World`] is everything it can touch, so that the same driver runs against a real cluster and platform
//! and against a simulated one.

use oc_domain::pass::Facts;
use oc_domain::record::{Intent, OperationKind, Record, Sent};
use oc_domain::step::{Answer, Change, Decision, Mark, Query, Step, Wake};
use oc_domain::time::Time;

/// A pass that takes more steps than this is going in circles: a bug, reported as such.
const MOST_STEPS: usize = 24;

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
    /// The object is gone, or was let go.
    Gone,
    /// It could not be written; to be tried again.
    Unwritten(WriteFailed),
}

/// What a pass leaves behind.
#[derive(Debug)]
pub struct Pass {
    /// How it ended.
    pub ended: Ended,
    /// The last decision.
    pub decision: Decision,
    /// The change that was asked for, and what became of it.
    pub asked: Option<(Change, Answer)>,
    /// How many reads it took.
    pub looks: usize,
}

/// Runs a pass.
pub async fn run<W: World>(world: &W, mut record: Record, mut facts: Facts, decide: impl Fn(Time, &Record, &Facts) -> Decision + Send + Sync) -> Pass {
    let mut asked = None;
    let mut looks = 0;
    for step in 0.. {
        let mut decision = decide(world.now(), &record, &facts);
        if step >= MOST_STEPS {
            tracing::error!(why = decision.why, step = ?decision.step, "a pass went in circles; this is a bug");
            decision.step = Step::Wait(world.now() + oc_domain::timing::SETTLING, Wake::Clock);
        }
        let ended = match &decision.step {
            Step::Look(query, not_before) => {
                looks += 1;
                world.look(query, *not_before, &decision.record, &mut facts).await;
                record = decision.record;
                continue;
            }
            Step::Keep(mark) => match world.keep(mark, &decision.record).await {
                Ok(_) if *mark == Mark::Release => Ended::Gone,
                Ok(intent) => {
                    record = kept(mark, decision.record, intent);
                    continue;
                }
                Err(WriteFailed::Gone) => Ended::Gone,
                Err(failed) => Ended::Unwritten(failed),
            },
            Step::Ask(change) if asked.is_none() => {
                let answer = world.ask(change, &decision.record).await;
                facts.answer = Some(answer.clone());
                asked = Some((change.clone(), answer));
                record = decision.record;
                continue;
            }
            Step::Ask(_) => {
                tracing::error!(why = decision.why, "a pass asked for two changes; this is a bug");
                Ended::Until(world.now() + oc_domain::timing::SETTLING, Wake::Clock)
            }
            Step::Wait(until, wake) => said(world, &decision, &facts, *until, *wake).await,
            Step::Rest(until) | Step::Stop(until) => said(world, &decision, &facts, *until, Wake::Inventory).await,
        };
        return Pass { ended, decision, asked, looks };
    }
    unreachable!("the loop returns")
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

/// What the record holds after a mark was written.
fn kept(mark: &Mark, mut record: Record, intent: Option<Intent>) -> Record {
    record.finalizer = true;
    match mark {
        Mark::Begin { kind, .. } => {
            record.guid_annotated |= record.guid.is_some() && *kind == OperationKind::Delete;
            record.intent = intent.map(|intent| Intent { sent: Sent::No, ..intent });
        }
        Mark::Adopt(guid) => {
            record.guid = Some(guid.clone());
            record.guid_annotated = true;
            record.intent = None;
        }
        Mark::Hold | Mark::Release => {}
    }
    record
}

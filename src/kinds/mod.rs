//! The three kinds: what wakes an object of each, which query or change is which call, and what they share.

mod connect;
mod discovery;
mod index;
mod lead;
mod platform;
mod service;
mod shared;
pub(crate) mod wakes;
mod world;

pub use shared::{Key, Kind, Shared};

use std::sync::Arc;

use oc_domain::record::OperationId;
use oc_domain::step::Wake;
use oc_domain::time::Time;
use oc_domain::timing;

use crate::engine::clock;
use crate::engine::pass::{Ended, Pass, WriteFailed};
use crate::engine::queue::Lane;

/// What a pass leaves in memory for the next one over the same object. Losing it is safe.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// How often in a row a request was not executed, or the object could not be written.
    failures: u32,
    /// The intent whose request was surely never executed.
    unsent: Option<OperationId>,
    /// For a platform whose credential fails: what there is to do other than to look for another Secret, and when.
    held: Option<Held>,
}

/// A platform object that waits for another credential: until this time, unless the object itself is changed.
#[derive(Clone, Debug)]
struct Held {
    version: Option<String>,
    until: Time,
}

/// When an object is looked at next.
enum Next {
    /// At this time.
    At(Time, Lane),
    /// When something wakes it.
    Woken,
}

/// Runs one pass over one object and makes the next appointment.
pub async fn reconcile(shared: Arc<Shared>, key: Key) {
    let next = match key.kind {
        Kind::LivePlatform => platform::reconcile(&shared, &key).await,
        Kind::Lead => lead::reconcile(&shared, &key).await,
        Kind::OcEssentialService => service::reconcile(&shared, &key).await,
    };
    if let Next::At(at, lane) = next {
        shared.queue.add_at(at, key.clone(), shared.group(&key), lane);
    }
    shared.queue.done(&key);
}

/// What follows from how a pass over a service or a lead ended: the memo, a line in the log, and the next appointment.
fn after(shared: &Shared, key: &Key, pass: &Pass) -> Next {
    use oc_domain::conditions::Reason;
    use oc_domain::step::Answer;
    let failed = matches!(pass.ended, Ended::Unwritten(WriteFailed::Refused(_)))
        || matches!(pass.asked, Some((_, Answer::NotSent(_))))
        || matches!(pass.decision.verdict.reason, Reason::PlatformUnavailable | Reason::Throttled | Reason::AuthenticationFailed);
    let memo = shared.with_memo(key, |memo| {
        memo.failures = if failed { memo.failures.saturating_add(1) } else { 0 };
        memo.unsent = unsent(pass);
        memo.clone()
    });
    log(key, pass, &memo);
    match &pass.ended {
        Ended::Gone => {
            shared.forget(key);
            Next::Woken
        }
        Ended::Until(at, wake) => Next::At(*at, if *wake == Wake::Clock { Lane::Effect } else { Lane::Observe }),
        Ended::Unwritten(WriteFailed::Changed) => Next::At(clock::now() + std::time::Duration::from_millis(50), Lane::Effect),
        Ended::Unwritten(_) => Next::At(timing::next_try(clock::now(), memo.failures, None), Lane::Effect),
    }
}

/// The intent whose request has surely not been executed: the platform was left alone, or the pass ended between the intent and the request. Without
/// this an outage that comes in just there would look like a lost answer, and cost the whole grace.
fn unsent(pass: &Pass) -> Option<OperationId> {
    let intent = pass.decision.record.open_intent()?;
    let not_sent = match &pass.asked {
        Some((_, answer)) => matches!(answer, oc_domain::step::Answer::NotSent(_)),
        None => intent.sent == oc_domain::record::Sent::No,
    };
    not_sent.then(|| intent.id.clone())
}

/// A pass that asked for a change is worth a line; one that only looked is not, unless somebody looks closely.
fn log(key: &Key, pass: &Pass, memo: &Memo) {
    let (kind, namespace, name) = (key.kind.as_str(), key.namespace.as_str(), key.name.as_str());
    let (why, reason, looks) = (pass.decision.why, pass.decision.verdict.reason, pass.looks);
    if let Ended::Unwritten(failed) = &pass.ended {
        tracing::warn!(kind, namespace, name, ?failed, failures = memo.failures, "the object could not be written and is tried again");
        return;
    }
    match &pass.asked {
        Some((change, answer)) => tracing::info!(kind, namespace, name, ?change, ?answer, why, %reason, looks, "asked the platform for a change"),
        None => tracing::debug!(kind, namespace, name, step = ?pass.decision.step, why, %reason, looks, "looked"),
    }
}

//! The three kinds: what wakes an object of each, which query or change is which call, and what they share.

mod absences;
mod audit;
pub mod census;
mod claims;
mod competition;
mod connect;
mod deletions;
mod discovery;
mod held;
mod history;
mod index;
mod lead;
pub mod meter;
mod namespaces;
mod pace;
mod platform;
mod reach;
mod reading;
mod secrets;
mod service;
mod shared;
mod tally;
mod unreadable;
pub(crate) mod wakes;
mod world;

pub use shared::{Key, Kind, Shared};

use std::sync::Arc;

use oc_domain::driver::{self, Memo, Pass};
use oc_domain::step::{Decision, Wake};
use oc_domain::time::Time;
use oc_domain::timing;

use self::meter::PassOutcome;
use crate::engine::clock;
use crate::engine::pass::{Ended, WriteFailed};
use crate::engine::queue::Lane;
use crate::object::store::Store;

/// When an object is looked at next.
enum Next {
    /// At this time.
    At(Time, Lane),
    /// When something wakes it.
    Woken,
}

/// The span of a pass, for traces: `outcome` is the reason that it came to, `why` the decision's.
pub fn span(key: &Key, lane: Lane) -> tracing::Span {
    let (kind, namespace, name) = (key.kind.as_str(), key.namespace.as_str(), key.name.as_str());
    let empty = tracing::field::Empty;
    tracing::trace_span!(target: "operatorconnect::trace", "pass", otel.name = kind, kind, namespace, name, lane = ?lane, outcome = empty, why = empty)
}

/// Says in the span of a pass what it came to.
fn outcome(reason: impl std::fmt::Display, why: &str) {
    let span = tracing::Span::current();
    if !span.is_disabled() {
        span.record("outcome", tracing::field::display(reason)).record("why", why);
    }
}

/// Runs one pass over one object and makes the next appointment.
pub async fn reconcile(shared: Arc<Shared>, key: Key) {
    let begun = clock::since_start();
    shared.looks(&key);
    let (next, outcome) = match (shared.wrong(&key), key.kind) {
        (Some(wrong), _) => unreadable::tell(&shared, &key, &wrong).await,
        (None, kind) => decided(&shared, &key, kind).await,
    };
    shared.looked(&key, outcome, clock::since_start().saturating_sub(begun));
    if let Next::At(at, lane) = next {
        shared.queue.add_at(at, key.clone(), shared.group(&key), lane);
    }
    shared.queue.done(&key);
}

async fn decided(shared: &Arc<Shared>, key: &Key, kind: Kind) -> (Next, PassOutcome) {
    match kind {
        Kind::LivePlatform => platform::reconcile(shared, key).await,
        Kind::Lead => lead::reconcile(shared, key).await,
        Kind::OcEssentialService => service::reconcile(shared, key).await,
    }
}

/// What follows from how a pass over a service or a lead ended: the memo, a line in the log, and the next appointment.
fn after(shared: &Shared, key: &Key, uid: Option<&str>, passed: &(Pass, Decision, Ended)) -> (Next, PassOutcome) {
    let (pass, decision, ended) = passed;
    // A 404 that nothing else confirms may be a gateway's: what the store still has is looked at again.
    let still_there = matches!(ended, Ended::Gone) && !anew(shared, key, uid) && exists(shared, key);
    let how = match ended {
        Ended::Unwritten(WriteFailed::Changed) => driver::Ended::Conflict,
        Ended::Unwritten(_) => driver::Ended::Unwritten,
        Ended::Gone if still_there => driver::Ended::Unwritten,
        _ => driver::Ended::Well,
    };
    let memo = shared.with_memo(key, uid, |memo| {
        memo.after(pass, decision, how);
        memo.clone()
    });
    outcome(decision.verdict.reason, decision.why);
    log(key, pass, decision, ended, &memo);
    let again = || Next::At(timing::next_try(clock::now(), memo.failures, None), Lane::Effect);
    let next = match ended {
        Ended::Gone if still_there => again(),
        Ended::Released | Ended::Gone => forgotten(shared, key, uid),
        // A list that became whole while this pass went on woke everybody who was known to wait for it.
        Ended::Until(..) if memo.waits_for_whole_lists && whole_meanwhile(shared, key, pass) => Next::At(clock::now(), Lane::Effect),
        Ended::Until(at, wake) => Next::At(*at, if *wake == Wake::Clock { Lane::Effect } else { Lane::Observe }),
        Ended::Unwritten(WriteFailed::Changed) => Next::At(timing::after_conflict(clock::now(), memo.conflicts), Lane::Effect),
        Ended::Unwritten(_) => again(),
    };
    (next, PassOutcome::of_pass(passed))
}

/// Whether the lists that are known are whole, and newer than what the pass read.
fn whole_meanwhile(shared: &Shared, key: &Key, pass: &Pass) -> bool {
    let platform = shared.index().entry(key).map(|entry| entry.platform.clone());
    let inventory = platform.and_then(|platform| shared.connected(&platform)?.inventory.ok());
    let read = pass.facts.lists_read();
    inventory.zip(read).is_some_and(|(inventory, read)| inventory.whole_since(read))
}

/// The object with this uid is gone. Whoever has taken its name meanwhile was woken while this pass ran, and that may be forgotten with it: so it is looked for
/// afterwards.
fn forgotten(shared: &Shared, key: &Key, uid: Option<&str>) -> Next {
    shared.forget(key);
    if anew(shared, key, uid) { Next::At(clock::now(), Lane::Changed) } else { Next::Woken }
}

/// Whether an object of this name is known.
fn exists(shared: &Shared, key: &Key) -> bool {
    match key.kind {
        Kind::LivePlatform => shared.platforms.get(&key.namespace, &key.name).is_some(),
        Kind::Lead => shared.leads.get(&key.namespace, &key.name).is_some(),
        Kind::OcEssentialService => shared.services.get(&key.namespace, &key.name).is_some(),
    }
}

/// Whether another object has the name of the one with this uid.
fn anew(shared: &Shared, key: &Key, uid: Option<&str>) -> bool {
    fn another<K: kube::Resource>(store: &Store<K>, key: &Key, uid: Option<&str>) -> bool {
        store.get(&key.namespace, &key.name).is_some_and(|object| object.meta().uid.as_deref() != uid)
    }
    match key.kind {
        Kind::LivePlatform => another(&shared.platforms, key, uid),
        Kind::Lead => another(&shared.leads, key, uid),
        Kind::OcEssentialService => another(&shared.services, key, uid),
    }
}

/// A pass is worth a line only to somebody who looks closely: what it asked for has its audit line.
fn log(key: &Key, pass: &Pass, decision: &Decision, ended: &Ended, memo: &Memo) {
    let (kind, namespace, name) = (key.kind.as_str(), key.namespace.as_str(), key.name.as_str());
    let (why, reason, looks) = (decision.why, decision.verdict.reason, pass.looks);
    if let Ended::Unwritten(failed) = ended {
        tracing::warn!(kind, namespace, name, ?failed, failures = memo.failures, "the object could not be written and is tried again");
        return;
    }
    match &pass.asked {
        Some((change, answer)) => tracing::debug!(kind, namespace, name, ?change, ?answer, why, %reason, looks, "asked"),
        None => tracing::debug!(kind, namespace, name, step = ?decision.step, why, %reason, looks, "looked"),
    }
}

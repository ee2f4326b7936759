//! What follows from a pass: when its object is reconciled next, and what is remembered of the pass.

use oc_domain::decision::{Decision, Wake};
use oc_domain::memory::PassMemory;
use oc_domain::pass::{self, Pass};
use oc_domain::time::Time;
use oc_domain::timing;

use crate::cluster::key::ObjectKey;
use crate::cluster::stores::{KnownResource, for_kind};
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::runtime::clock;
use crate::runtime::driver::{PassResult, WriteError};
use crate::runtime::workqueue::Priority;

/// When an object is reconciled next.
pub enum Action {
    /// At this time, with this priority.
    RequeueAt(Time, Priority),
    /// When a change enqueues it.
    AwaitChange,
}

/// Records the outcome of a pass in its span.
pub fn outcome(reason: impl std::fmt::Display, why: &str) {
    let span = tracing::Span::current();
    if !span.is_disabled() {
        span.record("outcome", tracing::field::display(reason))
            .record("why", why);
    }
}

/// What follows from the end of a pass over a service or a lead: its memory, a log line, and the next
/// requeue.
pub fn after(
    context: &Context,
    key: &ObjectKey,
    uid: Option<&str>,
    passed: &(Pass, Decision, PassResult),
) -> (Action, PassOutcome) {
    let (pass, decision, ended) = passed;
    // A 404 that nothing else confirms may come from a gateway: requeue an object that the store still has.
    let still_there = matches!(ended, PassResult::Gone) && !anew(context, key, uid) && exists(context, key);
    let how = match ended {
        PassResult::Unwritten(WriteError::Conflict) => pass::PassEnd::Conflict,
        PassResult::Unwritten(_) => pass::PassEnd::Unwritten,
        PassResult::Gone if still_there => pass::PassEnd::Unwritten,
        _ => pass::PassEnd::Well,
    };
    let memory = context.memory.with_pass(key, uid, |memory| {
        pass.remember(memory, decision, how);
        memory.clone()
    });
    outcome(decision.verdict.reason, decision.why);
    log(key, pass, decision, ended, &memory);
    let again = || {
        Action::RequeueAt(
            timing::next_try(clock::now(), memory.failures, None),
            Priority::Effect,
        )
    };
    let next = match ended {
        PassResult::Gone if still_there => again(),
        PassResult::Released | PassResult::Gone => forgotten(context, key, uid),
        // A list that became complete during this pass enqueued only the objects then known to wait for it.
        PassResult::Until(..) if memory.waits_for_whole_lists && whole_meanwhile(context, key, pass) => {
            Action::RequeueAt(clock::now(), Priority::Effect)
        }
        PassResult::Until(at, wake) => Action::RequeueAt(
            *at,
            if *wake == Wake::Clock {
                Priority::Effect
            } else {
                Priority::Observe
            },
        ),
        PassResult::Unwritten(WriteError::Conflict) => Action::RequeueAt(
            timing::after_conflict(clock::now(), memory.conflicts),
            Priority::Effect,
        ),
        PassResult::Unwritten(_) => again(),
    };
    (next, PassOutcome::of_pass(passed))
}

/// Whether the known lists are complete, and newer than those that the pass read.
fn whole_meanwhile(context: &Context, key: &ObjectKey, pass: &Pass) -> bool {
    let platform = context.cache.index.platform_of(key);
    let inventory = platform.and_then(|platform| {
        context
            .connections
            .of(&platform)?
            .inventory
            .as_ref()
            .ok()
            .cloned()
    });
    let read = pass.facts.lists_read();
    inventory
        .zip(read)
        .is_some_and(|(inventory, read)| inventory.whole_since(read))
}

/// Drops the state of a deleted object. If a new object of that name was enqueued during this pass, `forget`
/// dropped that too: look for it and requeue.
pub fn forgotten(context: &Context, key: &ObjectKey, uid: Option<&str>) -> Action {
    context.forget(key);
    if anew(context, key, uid) {
        Action::RequeueAt(clock::now(), Priority::Changed)
    } else {
        Action::AwaitChange
    }
}

/// Whether an object of this name is known.
fn exists(context: &Context, key: &ObjectKey) -> bool {
    for_kind!(key.kind(), K => K::stored(&context.cache).contains(key))
}

/// Whether another object now has the name of the one with this uid.
pub fn anew(context: &Context, key: &ObjectKey, uid: Option<&str>) -> bool {
    for_kind!(key.kind(), K => K::stored(&context.cache)
        .of(key)
        .is_some_and(|object| object.metadata.uid.as_deref() != uid))
}

/// Logs a pass at debug level: the audit line already covers what the pass requested. A failed write is a
/// warning.
fn log(key: &ObjectKey, pass: &Pass, decision: &Decision, ended: &PassResult, memory: &PassMemory) {
    let (kind, namespace, name) = (key.kind().as_str(), key.namespace(), key.name());
    let (why, reason, looks) = (decision.why, decision.verdict.reason, pass.looks);
    if let PassResult::Unwritten(failed) = ended {
        tracing::warn!(
            kind,
            namespace,
            name,
            ?failed,
            failures = memory.failures,
            "could not write the object; retrying"
        );
        return;
    }
    match &pass.asked {
        Some((change, answer)) => {
            tracing::debug!(kind, namespace, name, ?change, ?answer, why, %reason, looks, "requested a change")
        }
        None => {
            tracing::debug!(kind, namespace, name, step = ?decision.step, why, %reason, looks, "reconciled")
        }
    }
}

//! The three kinds: what wakes an object of each, which query or change is which call, and what they share.

mod absences;
mod action;
mod address;
mod audit;
mod cache;
pub mod census;
mod claims;
mod competition;
mod connect;
mod connected;
mod deletions;
mod discovery;
pub(crate) mod handlers;
mod has_status;
mod held;
mod history;
mod index;
mod key;
mod lead;
pub mod meter;
mod namespaces;
mod pace;
mod platform;
mod reach;
mod reading;
mod recorded;
mod records;
mod secrets;
mod service;
mod shared;
mod tally;
mod unreadable;
mod world;

pub use key::{Key, Kind};
pub use shared::Shared;

use std::sync::Arc;

use self::action::Action;
use self::meter::PassOutcome;
use crate::engine::clock;
use crate::engine::queue::Lane;

/// The span of a pass, for traces: `outcome` is the reason that it came to, `why` the decision's.
pub fn span(key: &Key, lane: Lane) -> tracing::Span {
    let (kind, namespace, name) = (key.kind.as_str(), key.namespace.as_str(), key.name.as_str());
    let empty = tracing::field::Empty;
    tracing::trace_span!(target: "operatorconnect::trace", "pass", otel.name = kind, kind, namespace, name, lane = ?lane, outcome = empty, why = empty)
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
    if let Action::RequeueAt(at, lane) = next {
        shared.queue.add_at(at, key.clone(), shared.group(&key), lane);
    }
    shared.queue.done(&key);
}

async fn decided(shared: &Arc<Shared>, key: &Key, kind: Kind) -> (Action, PassOutcome) {
    match kind {
        Kind::LivePlatform => platform::reconcile(shared, key).await,
        Kind::Lead => lead::reconcile(shared, key).await,
        Kind::OcEssentialService => service::reconcile(shared, key).await,
    }
}

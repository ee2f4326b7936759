//! The controllers of all kinds: what enqueues an object of each, how a query or a change becomes a
//! call, and what they share.

mod absences;
mod action;
mod audit;
mod beside;
mod competition;
mod context;
mod customer;
mod deletions;
mod events;
mod handlers;
mod lead;
mod lead_policy;
mod live_platform;
mod memory;
pub mod metrics;
mod object;
mod observe;
mod pace;
mod recorded;
mod service;
pub mod snapshot;
mod tallies;
mod tenant_locks;
mod texts;
mod unreadable;

pub use context::{Config, Context};

pub use self::lead_policy::run::run as onboard;
pub use self::live_platform::discovery::run as discover;
pub use crate::cluster::key::{Kind, ObjectKey};
pub(crate) use object::ReconciledResource;

use std::sync::Arc;
use std::time::Duration;

use self::action::Action;
use self::metrics::PassOutcome;
use crate::cluster::stores::for_kind;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;

/// An object whose next pass is further away than this is at rest.
const RESTS: Duration = Duration::from_secs(5);

/// The trace span of a pass. `outcome` is the reason it ended with; `why` comes from the decision.
pub fn span(key: &ObjectKey, priority: Priority) -> tracing::Span {
    let (kind, namespace, name) = (key.kind().as_str(), key.namespace(), key.name());
    let empty = tracing::field::Empty;
    tracing::trace_span!(target: "operatorconnect::trace", "pass", otel.name = kind, kind, namespace, name, priority = ?priority, outcome = empty, why = empty)
}

/// Runs one pass over one object and schedules the next.
pub async fn reconcile(context: Arc<Context>, key: ObjectKey) {
    let begun = clock::since_start();
    context.pass_begins(&key);
    let (next, outcome) = match (context.cache.wrong(&key), key.kind()) {
        (Some(wrong), _) => unreadable::tell(&context, &key, &wrong).await,
        (None, kind) => decided(&context, &key, kind).await,
    };
    context.pass_ended(&key, outcome, clock::since_start().saturating_sub(begun));
    if let Action::RequeueAt(at, priority) = next {
        if at > clock::now() + RESTS {
            context.cache.rests(&key);
        }
        context
            .queue
            .add_at(at, key.clone(), context.group(&key), priority);
    }
    context.queue.done(&key);
}

async fn decided(context: &Arc<Context>, key: &ObjectKey, kind: Kind) -> (Action, PassOutcome) {
    // Boxed: else a pass over a service takes the space of one over a platform, and hundreds may wait.
    for_kind!(kind, K => Box::pin(K::reconcile(context, key)).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::leadership::Leadership;
    use kube::{Client, Config as KubeConfig};

    /// Each pass that waits for an API server or a platform takes its future's space.
    #[tokio::test]
    async fn a_pass_takes_little_space() {
        let client = Client::try_from(KubeConfig::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let context = &Context::bare(client, Leadership::without_election(), Arc::new(()));
        let key = &ObjectKey::service("n", "contoso");
        let task = size_of_val(&reconcile(Arc::clone(context), key.clone()));
        let of = |kind| for_kind!(kind, K => size_of_val(&K::reconcile(context, key)));
        let passes = Kind::ALL.map(of);
        let small = task <= 2 << 10 && passes.iter().all(|pass| *pass <= 7_500);
        assert!(
            small,
            "{task} bytes for each task, and {passes:?} for {:?}",
            Kind::ALL
        );
    }
}

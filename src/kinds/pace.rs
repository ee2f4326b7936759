//! How slow a platform is: only one that was seen to be faster than `spec.createGrace` is asked again after it.

use oc_domain::policy::{Connection, Policy};
use oc_domain::record::{Intent, OperationId, OperationKind, Record, Sent};
use oc_domain::time::Duration;

use super::shared::Shared;
use crate::engine::clock;

/// How long before the end of `createGrace` the pace is looked at: longer than the time between two looks for the effect.
const SOON: Duration = Duration::from_secs(120);

/// The connection, with the pace of the platform's creates, for an object that has to know it: one that looks for the effect of a create whose
/// answer was lost.
pub fn with_pace(shared: &Shared, connection: Connection, platform: &str, record: &Record) -> Connection {
    let Connection::Usable(mut policy) = connection else { return connection };
    // Before `createGrace` is nearly over the pace decides nothing.
    let soon = clock::now() + SOON;
    let nearly_over = |intent: &&Intent| soon >= intent.start + policy.create_grace;
    let lost = |intent: &&Intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe;
    if let Some(lost) = record.open_intent().filter(lost).filter(nearly_over) {
        policy.slowest_create = slowest_create(shared, platform, &lost.id, policy.task_deadline);
    }
    Connection::Usable(policy)
}

/// How long the effect of a create of another object is looked for, of which only an annotation tells: no status tells how long that one takes.
pub fn longest(shared: &Shared, policy: &Policy, platform: &str) -> Duration {
    Policy { slowest_create: slowest_create(shared, platform, &OperationId(String::new()), policy.task_deadline), ..policy.clone() }.grace()
}

fn slowest_create(shared: &Shared, platform: &str, own: &OperationId, deadline: Duration) -> Option<Duration> {
    shared.tallies.slowest_create(platform, clock::now(), own, deadline)
}

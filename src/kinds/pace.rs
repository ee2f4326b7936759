//! How slow a platform is: only one that was seen to be faster than `spec.createGrace` is asked again after it.

use oc_domain::conditions::Reason;
use oc_domain::policy::Connection;
use oc_domain::record::{Operation, OperationKind, Outcome, Record, Sent};
use oc_domain::time::{Duration, Time};

use super::shared::{Kind, Shared};
use crate::engine::clock;
use crate::object::record;

/// The connection, with the pace of the platform's creates, for an object that has to know it: one that looks for the effect of a create whose
/// answer was lost. For all others it would be a walk over every service for nothing.
pub fn with_pace(shared: &Shared, connection: Connection, platform: &str, record: &Record) -> Connection {
    let Connection::Usable(mut policy) = connection else { return connection };
    let lost = record.open_intent().is_some_and(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe);
    if lost {
        policy.slowest_create = slowest_create(shared, platform, clock::now());
    }
    Connection::Usable(policy)
}

fn slowest_create(shared: &Shared, platform: &str, now: Time) -> Option<Duration> {
    let keys = shared.index().on(platform);
    keys.iter()
        .filter(|key| key.kind == Kind::OcEssentialService)
        .filter_map(|key| shared.services.get(&key.namespace, &key.name))
        .filter_map(|object| record::of_service(&object).operation)
        .filter_map(|operation| took(&operation, now))
        .max()
}

/// How long a create took, as far as its status tells: from the intent until the service was read back; of a task that runs, until now.
fn took(operation: &Operation, now: Time) -> Option<Duration> {
    let create = operation.kind == OperationKind::Create && operation.reason != Some(Reason::PlatformRefused);
    match (create, operation.outcome, &operation.task) {
        (true, Some(Outcome::Succeeded), _) => Some(operation.completed?.since(operation.started)),
        (true, None, Some(_)) => Some(now.since(operation.started)),
        _ => None,
    }
}

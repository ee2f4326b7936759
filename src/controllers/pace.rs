//! How slow a platform is: only one that was seen to be faster than `spec.createGrace` is asked again after it.

use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{OperationId, Record};
use oc_domain::time::Duration;

use crate::controllers::context::Context;
use crate::runtime::clock;

/// The connection, with the pace of the platform's creates, for an object that has to know it.
pub fn with_pace(
    context: &Context,
    connection: PlatformAccess,
    platform: &str,
    record: &Record,
) -> PlatformAccess {
    match connection {
        PlatformAccess::Usable(policy) => {
            PlatformAccess::Usable(policy.with_pace(clock::now(), record, slowest_create(context, platform)))
        }
        other => other,
    }
}

/// How long the effect of a create of another object is looked for.
pub fn longest(context: &Context, policy: &Policy, platform: &str) -> Duration {
    policy.longest_grace(slowest_create(context, platform))
}

fn slowest_create(
    context: &Context,
    platform: &str,
) -> impl FnOnce(&OperationId, Duration) -> Option<Duration> {
    |own, deadline| {
        context
            .tallies
            .slowest_create(platform, clock::now(), own, deadline)
    }
}

//! How slow a platform's creates are. Only a platform that proved faster than `spec.createGrace` gets a
//! second request after that grace.

use oc_domain::policy::{PlatformAccess, Policy};
use oc_domain::record::{OperationId, Record};
use oc_domain::time::Duration;

use crate::controllers::context::Context;
use crate::runtime::clock;

/// The platform access, with the pace of the platform's creates for an object that needs it.
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

/// How long the operator waits for the effect of another object's create.
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

//! Deletions and their breaker: which objects wait for a deletion on a platform, and which are held back.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use oc_domain::breaker::{Asking, DeletionLedger, Limit};
use oc_domain::facts::Facts;
use oc_domain::policy::PlatformAccess;

use crate::cluster::key::ObjectKey;
use crate::cluster::record;
use crate::cluster::stores::{KnownResource, for_kind};
use crate::controllers::context::Context;
use crate::controllers::recorded::Counted;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;
use oc_api::LivePlatform;

/// An object as the breaker counts it; `None` while it is not being deleted.
fn asking<K: Resource>(object: &K) -> Option<Asking> {
    let deleted = object.meta().deletion_timestamp.as_ref()?;
    Some(Asking {
        deleted: clock::time(deleted.0),
        uid: object.meta().uid.clone().unwrap_or_default(),
    })
}

/// The objects on a platform that are being deleted and take something on the platform with them. Includes
/// those whose deletion was already requested; they keep their grant for as long as they exist.
pub fn wanted(context: &Context, platform: &str) -> Vec<Asking> {
    let of = |key: &ObjectKey| {
        for_kind!(key.kind(), K => {
            let object = K::stored(&context.cache).of(key)?;
            asking(&*object).filter(|_| object.deletes())
        })
    };
    let keys = context.tallies.deleting(platform);
    keys.iter().filter_map(of).collect()
}

/// The lowest `spec.deletions.perHour` of all platform objects that point to the same place.
pub fn per_hour(context: &Context, object: &LivePlatform) -> u32 {
    let siblings = context.cache.index.siblings(&object.name_any());
    let others = siblings
        .iter()
        .filter_map(|name| context.cache.platforms.get("", name))
        .map(|other| other.spec.deletions.per_hour);
    others.fold(object.spec.deletions.per_hour, u32::min)
}

/// Decides for one platform object at a time. `decide` takes the limit of the place and what the sibling
/// objects have granted of it, and returns the decision with its ledger. The siblings see the new grants at
/// once, even if writing them fails.
pub fn counting<D>(
    context: &Context,
    object: &LivePlatform,
    decide: impl FnOnce(Limit) -> (D, DeletionLedger),
) -> D {
    let name = object.name_any();
    let per_hour = per_hour(context, object);
    let siblings = context.cache.index.siblings(&name);
    let mut decided = context.memory.ledgers();
    let mut limit = Limit::from(per_hour);
    for sibling in siblings.iter().filter(|sibling| **sibling != name) {
        let written = context
            .cache
            .platforms
            .get("", sibling)
            .map(|object| record::ledger(&object));
        let newest = decided.get(sibling).or(written.as_ref());
        limit.held_elsewhere |= context.cache.platforms.get("", sibling).is_some()
            && newest.is_some_and(|ledger| ledger.held > 0);
        let granted: BTreeMap<_, _> = written
            .iter()
            .chain(decided.get(sibling))
            .flat_map(|ledger| ledger.granted.clone())
            .collect();
        limit.elsewhere.extend(granted.into_values());
    }
    let (decision, ledger) = decide(limit);
    decided.insert(name, ledger);
    decision
}

/// Whether an object waits for a deletion that is not granted yet.
pub fn uncounted(context: &Context, object: &LivePlatform) -> bool {
    let (ledger, per_hour) = (record::ledger(object), per_hour(context, object));
    wanted(context, &object.name_any())
        .iter()
        .any(|asking| ledger.holds(asking, per_hour).is_some())
}

/// The platform access, with the breaker's verdict on an object that is being deleted. While the breaker
/// blocks it, enqueues the platform object to count.
pub fn with_breaker<K: Resource>(
    context: &Context,
    connection: PlatformAccess,
    platform: &str,
    object: &K,
) -> PlatformAccess {
    let PlatformAccess::Usable(mut policy) = connection else {
        return connection;
    };
    let counted = asking(object).zip(context.cache.reading(platform));
    if let Some((asking, reading)) = counted {
        policy.deletions_blocked = reading
            .deletions
            .holds(&asking, per_hour(context, &reading.object));
        if policy.deletions_blocked.is_some() {
            context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
        }
    }
    PlatformAccess::Usable(policy)
}

/// Whether the breaker blocked this pass. The breaker may need what the pass wrote to count the object, so
/// the platform object is enqueued once more.
pub fn waits(facts: &Facts) -> bool {
    matches!(&facts.connection, PlatformAccess::Usable(policy) if policy.deletions_blocked.is_some())
}

/// Called after the breaker has counted: enqueues the objects being deleted.
pub fn counted(context: &Context, platform: &LivePlatform) {
    let name = platform.metadata.name.clone().unwrap_or_default();
    context.enqueue_all(context.tallies.deleting(&name), Priority::Effect);
}

/// Called when an object is gone. While deletions are held, the platform object counts again: the last one
/// that waited may have been set to Retain.
pub fn gone(context: &Context, platform: &str) {
    if context
        .cache
        .reading(platform)
        .is_some_and(|reading| reading.deletions.held > 0)
    {
        context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
    }
}

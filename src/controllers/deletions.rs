//! Deletions and their breaker: who wants something deleted on a platform, and who may not yet.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use oc_domain::breaker::{Asking, DeletionLedger, Limit};
use oc_domain::facts::Facts;
use oc_domain::policy::PlatformAccess;

use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::record;
use crate::controllers::context::Context;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;
use oc_api::{DeletionPolicy, LivePlatform};

/// An object as the breaker counts it; `None` while it is not being deleted.
fn asking<K: Resource>(object: &K) -> Option<Asking> {
    let deleted = object.meta().deletion_timestamp.as_ref()?;
    Some(Asking {
        deleted: clock::time(deleted.0),
        uid: object.meta().uid.clone().unwrap_or_default(),
    })
}

/// The objects on a platform that are being deleted and take something on the platform with them. Those that have asked for it already are among them, and
/// keep their grant for as long as they are there: an intent to delete in the annotation is no proof of one, since whoever may write the object may write it.
pub fn wanted(context: &Context, platform: &str) -> Vec<Asking> {
    let counts = |finalizer: bool, policy: DeletionPolicy, suspended: bool| {
        finalizer && policy == DeletionPolicy::Delete && !suspended
    };
    let of = |key: &ObjectKey| match key.kind {
        Kind::LivePlatform => None,
        Kind::Lead => {
            let lead = context.cache.leads.get(&key.namespace, &key.name)?;
            let asking = asking(&*lead)?;
            let counted = counts(record::has_finalizer(&*lead), lead.spec.deletion_policy, false);
            counted.then_some(asking)
        }
        Kind::OcEssentialService => {
            let service = context.cache.services.get(&key.namespace, &key.name)?;
            // Of thousands few are being deleted, and the rest of the questions is dearer.
            let asking = asking(&*service)?;
            let spec = &service.spec;
            let applied =
                spec.mode == oc_api::service::Mode::Apply && record::of_service(&service).guid.is_some();
            let counted = counts(
                record::has_finalizer(&*service),
                spec.deletion_policy,
                spec.suspend,
            );
            (applied && counted).then_some(asking)
        }
    };
    let keys = context.cache.index.on(platform);
    keys.iter().filter_map(of).collect()
}

/// The least `spec.deletions.perHour` of all platform objects that point to where this one does.
pub fn per_hour(context: &Context, object: &LivePlatform) -> u32 {
    let siblings = context.cache.index.siblings(&object.name_any());
    let others = siblings
        .iter()
        .filter_map(|name| context.cache.platforms.get("", name))
        .map(|other| other.spec.deletions.per_hour);
    others.fold(object.spec.deletions.per_hour, u32::min)
}

/// Decides for a platform object while no other one does: `decide` is given what the place lets through and what of that the others have granted, and returns
/// the decision with the ledger in it. What is granted so is known to the others at once, whether it can be written or not.
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

/// Whether somebody wants a deletion that is not let through yet.
pub fn uncounted(context: &Context, object: &LivePlatform) -> bool {
    let (ledger, per_hour) = (record::ledger(object), per_hour(context, object));
    wanted(context, &object.name_any())
        .iter()
        .any(|asking| ledger.holds(asking, per_hour).is_some())
}

/// The connection, with what the breaker says to an object that is being deleted. The first time that it has to say something the platform object
/// is woken, to count.
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

/// Whether this pass met the breaker. What it has written may be what the breaker has to know to count the object: it is woken once more.
pub fn waits(facts: &Facts) -> bool {
    matches!(&facts.connection, PlatformAccess::Usable(policy) if policy.deletions_blocked.is_some())
}

/// The breaker has counted: the objects that wait for it are looked at.
pub fn counted(context: &Context, platform: &LivePlatform) {
    let name = platform.metadata.name.clone().unwrap_or_default();
    let deleting = |key: &ObjectKey| match key.kind {
        Kind::LivePlatform => false,
        Kind::Lead => context
            .cache
            .leads
            .get(&key.namespace, &key.name)
            .is_some_and(|lead| asking(&*lead).is_some()),
        Kind::OcEssentialService => context
            .cache
            .services
            .get(&key.namespace, &key.name)
            .is_some_and(|service| asking(&*service).is_some()),
    };
    let keys = context.cache.index.on(&name);
    context.enqueue_all(keys.into_iter().filter(deleting), Priority::Effect);
}

/// An object is gone. While deletions are held the platform object counts again: the last one that waited may have been set to Retain.
pub fn gone(context: &Context, platform: &str) {
    if context
        .cache
        .reading(platform)
        .is_some_and(|reading| reading.deletions.held > 0)
    {
        context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
    }
}

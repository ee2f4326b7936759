//! Who is woken by what. A change wakes the objects that it concerns, in the priority of its urgency, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use oc_domain::conditions::Reason;

use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::record;
use crate::cluster::store::{StoreEvent, concerns_us, place};
use crate::cluster::{address, cache};
use crate::controllers::context::Shared;
use crate::controllers::{absences, deletions};
use crate::platform::index::InventoryDiff;
use crate::runtime::workqueue::Priority;
use oc_api::{Lead, LivePlatform, OcEssentialService};

/// The watch of services has learnt something.
pub fn service(shared: &Shared, learnt: StoreEvent<OcEssentialService>) {
    match learnt {
        StoreEvent::Added(object) => enter_service(shared, &object, true),
        StoreEvent::Updated(before, object) => {
            let (namespace, name) = place(&*object);
            let restated = before.status != object.status && restated(shared, &ObjectKey::service(&namespace, &name));
            enter_service(shared, &object, restated || concerns_us(&*before, &*object));
            let competed = before.spec != object.spec || before.metadata.deletion_timestamp != object.metadata.deletion_timestamp;
            // One that can't ask any more (suspended, only observing, going) lets another one have its turn.
            if competed {
                wake_neighbours(shared, &shared.cache.entry_of_service(&object));
            }
            // Who has something comes first: one that has not any more, or can't be believed any more to have asked, lets another one have its turn; and one
            // that has it now is what the others wait for.
            let had = before.status != object.status && has_or_asked(&before);
            let has = before.status != object.status && has_or_asked(&object);
            if had != has || had && gave_way(&before, &object) {
                wake_neighbours(shared, &shared.cache.entry_of_service(&object));
            }
        }
        StoreEvent::Deleted(object) => {
            let (namespace, name) = place(&*object);
            gone(shared, &ObjectKey::service(&namespace, &name));
        }
        StoreEvent::Synced => {}
    }
}

/// The watch of leads has learnt something.
pub fn lead(shared: &Shared, learnt: StoreEvent<Lead>) {
    match learnt {
        StoreEvent::Added(object) => enter_lead(shared, &object, true),
        StoreEvent::Updated(before, object) => {
            let (namespace, name) = place(&*object);
            let restated = before.status != object.status && restated(shared, &ObjectKey::lead(&namespace, &name));
            enter_lead(shared, &object, restated || concerns_us(&*before, &*object));
            if before.spec != object.spec || before.metadata.deletion_timestamp != object.metadata.deletion_timestamp {
                wake_neighbours(shared, &cache::entry_of_lead(&object));
            }
        }
        StoreEvent::Deleted(object) => {
            let at = place(&*object);
            gone(shared, &ObjectKey::lead(&at.0, &at.1));
            wake_services_of(shared, &at);
        }
        StoreEvent::Synced => {}
    }
}

/// The watch of platforms has learnt something.
pub fn platform(shared: &Shared, learnt: StoreEvent<LivePlatform>) {
    match learnt {
        StoreEvent::Added(object) => {
            settle(shared, &object);
            shared.enqueue(&ObjectKey::platform(&place(&*object).1), Priority::Changed);
        }
        StoreEvent::Updated(before, object) => {
            if concerns_us(&*before, &*object) {
                let name = place(&*object).1;
                settle(shared, &object);
                shared.enqueue(&ObjectKey::platform(&name), Priority::Changed);
                // A pass that waits for a platform that hangs would keep its place until that has an answer.
                if address::identity(&before) != address::identity(&object) || before.spec.requests != object.spec.requests {
                    shared.give_up(&name);
                }
                // Its policy has changed for all that is on it, and for those that share its place.
                if before.spec != object.spec {
                    wake_place(shared, &name);
                }
            }
        }
        StoreEvent::Deleted(object) => {
            let name = place(&*object).1;
            shared.connect(&name, None);
            shared.back_off(&name, None);
            shared.forget(&ObjectKey::platform(&name));
            wake_place(shared, &name);
        }
        StoreEvent::Synced => {}
    }
}

/// Enters where a platform object points to. When that is another place than before, those that it leaves and those that it joins have other neighbours.
fn settle(shared: &Shared, object: &LivePlatform) {
    let name = place(object).1;
    let Some(at) = address::place(object) else { return };
    let left = shared.cache.index().siblings(&name);
    if !shared.cache.index().settle(&name, at) {
        return;
    }
    let joined = shared.cache.index().siblings(&name);
    for sibling in left.union(&joined).filter(|sibling| **sibling != name) {
        shared.enqueue(&ObjectKey::platform(sibling), Priority::Effect);
        platform_is_back(shared, sibling);
    }
}

/// Everything that shares a platform's place is looked at, and the other platform objects of that place.
fn wake_place(shared: &Shared, platform: &str) {
    let (siblings, keys) = {
        let index = shared.cache.index();
        (index.siblings(platform), index.at(platform))
    };
    shared.enqueue_all(siblings.iter().filter(|sibling| *sibling != platform).map(|sibling| ObjectKey::platform(sibling)), Priority::Effect);
    shared.enqueue_all(keys, Priority::Effect);
}

/// Whether a status that the watch brings was written by somebody else: a restore, a person, another replica. What this process writes it knows from
/// the answer, unless the watch was quicker, and then the pass that wrote it is still under way.
fn restated(shared: &Shared, key: &ObjectKey) -> bool {
    !shared.queue.is_running(key)
}

/// Whether it says Conflict now, and did not before.
fn gave_way(before: &OcEssentialService, now: &OcEssentialService) -> bool {
    let conflict = |object: &OcEssentialService| {
        let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Ready" && Reason::parse(&condition.reason) == Some(Reason::Conflict))
    };
    conflict(now) && !conflict(before)
}

fn has_or_asked(object: &OcEssentialService) -> bool {
    record::of_service(object).has_or_asked()
}

fn enter_service(shared: &Shared, object: &Arc<OcEssentialService>, concerns_us: bool) {
    let at = place(&**object);
    let key = ObjectKey::service(&at.0, &at.1);
    let entry = shared.cache.entry_of_service(object);
    let tenant = entry.tenant.clone().map(|tenant| (entry.platform.clone(), tenant));
    let moved = shared.cache.index().enter(&key, entry);
    shared.tallies.enter(&shared.cache, &key);
    if concerns_us {
        shared.enqueue(&key, Priority::Changed);
        wake_leads_of(shared, tenant);
    }
    if let Some(before) = moved {
        wake_neighbours(shared, &before);
    }
}

fn enter_lead(shared: &Shared, object: &Arc<Lead>, concerns_us: bool) {
    let at = place(&**object);
    let key = ObjectKey::lead(&at.0, &at.1);
    shared.cache.index().enter(&key, cache::entry_of_lead(object));
    shared.tallies.enter(&shared.cache, &key);
    if concerns_us {
        shared.enqueue(&key, Priority::Changed);
        wake_services_of(shared, &at);
    }
}

/// A service's tenant and platform come from its lead: both are entered anew when the lead changes.
fn wake_services_of(shared: &Shared, lead: &(String, String)) {
    let keys = shared.cache.index().of_lead(lead);
    for key in keys {
        if let Some(object) = shared.cache.services.get(&key.namespace, &key.name) {
            let entry = shared.cache.entry_of_service(&object);
            shared.cache.index().enter(&key, entry);
            shared.tallies.enter(&shared.cache, &key);
        }
        shared.enqueue(&key, Priority::Effect);
    }
}

/// A lead's status names the service object for its tenant.
fn wake_leads_of(shared: &Shared, tenant: Option<(String, oc_domain::names::TenantId)>) {
    let Some((platform, tenant)) = tenant else { return };
    let keys = shared.cache.index().of_tenant(&platform, &tenant);
    shared.enqueue_all(keys.into_iter().filter(|key| key.kind == Kind::Lead), Priority::Effect);
}

fn wake_neighbours(shared: &Shared, entry: &crate::cluster::index::Entry) {
    let keys = shared.cache.index().neighbours(entry);
    shared.enqueue_all(keys, Priority::Effect);
}

fn gone(shared: &Shared, key: &ObjectKey) {
    shared.forget(key);
    let entry = shared.cache.index().leave(key);
    shared.tallies.enter(&shared.cache, key);
    if let Some(entry) = entry {
        wake_neighbours(shared, &entry);
        deletions::gone(shared, &entry.platform);
        absences::changed(shared, &entry.platform);
    }
}

/// A list has brought something new: the objects of those tenants and short names are looked at. When it is whole again, so are those that waited for that,
/// and nobody else: a list whose holes come and go must not have all that is at rest looked at each time.
pub fn inventory_changed(shared: &Shared, platform: &str, changed: &InventoryDiff) {
    if changed.is_empty() {
        return;
    }
    absences::changed(shared, platform);
    let keys: BTreeSet<ObjectKey> = {
        let index = shared.cache.index();
        let by_tenant = changed.tenants.iter().flat_map(|tenant| index.of_tenant(platform, tenant));
        let waiting = index.on(platform).into_iter().filter(|key| changed.whole_again && shared.waits_for_whole_lists(key));
        by_tenant.chain(changed.names.iter().flat_map(|name| index.named(platform, name))).chain(waiting).collect()
    };
    shared.enqueue_all(keys, Priority::Effect);
}

/// A platform can be used again, or in another way: everything on it is looked at.
pub fn platform_is_back(shared: &Shared, platform: &str) {
    let keys = shared.cache.index().on(platform);
    shared.enqueue_all(keys, Priority::Effect);
}

/// A job has run: the services that wait for it are looked at.
pub fn job_ran(shared: &Shared, platform: &str) {
    let waiting = |key: &ObjectKey| {
        let object = shared.cache.services.get(&key.namespace, &key.name);
        object.and_then(|object| object.status.clone()).and_then(|status| status.sync).is_some_and(|sync| sync.state != oc_api::SyncState::Synced)
    };
    let keys: Vec<ObjectKey> = shared.cache.index().on(platform).into_iter().filter(|key| key.kind == Kind::OcEssentialService).collect();
    shared.enqueue_all(keys.into_iter().filter(waiting), Priority::Effect);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::leadership::Leadership;
    use kube::{Client, Config};

    async fn woken(shared: &Shared) -> BTreeSet<ObjectKey> {
        let mut keys = BTreeSet::new();
        while let Ok((key, _, _)) = tokio::time::timeout(std::time::Duration::from_millis(50), shared.queue.next()).await {
            shared.queue.done(&key);
            keys.insert(key);
        }
        keys
    }

    #[tokio::test]
    async fn a_list_that_is_whole_again_wakes_who_waited_for_it_and_nobody_at_rest() {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let shared = Shared::bare(client, Leadership::alone(), Arc::new(()));
        let tenant = |number: u8| oc_domain::names::TenantId::parse(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap();
        let key = |number: u8| ObjectKey::service("n", &format!("customer-{number}"));
        for number in 1..=4 {
            let entry = |platform: &str| crate::cluster::index::Entry { platform: platform.into(), tenant: Some(tenant(number)), short_name: None, lead: None };
            shared.cache.index().enter(&key(number), entry(if number == 4 { "other" } else { "default" }));
        }
        for number in [2, 4] {
            shared.with_memory(&key(number), None, |memory| memory.waits_for_whole_lists = true);
        }
        inventory_changed(&shared, "default", &InventoryDiff::default());
        assert!(woken(&shared).await.is_empty());
        inventory_changed(&shared, "default", &InventoryDiff { whole_again: true, ..InventoryDiff::default() });
        assert_eq!(woken(&shared).await, BTreeSet::from([key(2)]), "one at rest, one of another platform");
        inventory_changed(&shared, "default", &InventoryDiff { tenants: [tenant(3)].into(), ..InventoryDiff::default() });
        assert_eq!(woken(&shared).await, BTreeSet::from([key(3)]));
    }
}

//! Event handlers. A change enqueues the objects that it concerns, with a priority that matches its urgency,
//! and no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use oc_domain::conditions::Reason;

use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::store::{StoreEvent, is_relevant_change};
use crate::cluster::{address, cache};
use crate::controllers::context::Context;
use crate::controllers::lead_policy::wake;
use crate::controllers::{absences, deletions};
use crate::platform::index::InventoryDiff;
use crate::runtime::workqueue::Priority;
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};

/// Handles an event of the services' watch.
pub fn service(context: &Context, learnt: StoreEvent<OcEssentialService>) {
    if let Some(object) = about(&learnt) {
        wake::service_changed(context, object);
    }
    match learnt {
        StoreEvent::Added(object) => enter_service(context, &context.cache.key_of(&*object), &object, true),
        StoreEvent::Updated(before, object) => {
            let key = context.cache.key_of(&*object);
            let restated = before.status != object.status && status_changed_externally(context, &key);
            let had = before.status != object.status && may_own_service(context, &key, &before);
            enter_service(
                context,
                &key,
                &object,
                restated || is_relevant_change(&*before, &*object),
            );
            let competed = before.spec != object.spec
                || before.metadata.deletion_timestamp != object.metadata.deletion_timestamp;
            // A service that can no longer make a request (suspended, observing only, being deleted) gives
            // its turn to a competitor.
            if competed {
                wake_neighbours(context, &context.cache.entry_of_service(&object));
            }
            // The owner outranks its competitors. Requeue them when it stops being the owner or can no longer
            // have a create outstanding, and when it becomes the owner, which is what they wait for.
            let has = before.status != object.status && may_own_service(context, &key, &object);
            if had != has || had && gave_way(&before, &object) {
                wake_neighbours(context, &context.cache.entry_of_service(&object));
            }
        }
        StoreEvent::Deleted(object) => gone(context, &context.cache.key_of(&*object)),
        StoreEvent::Synced => {}
    }
}

/// Handles an event of the leads' watch.
pub fn lead(context: &Context, learnt: StoreEvent<Lead>) {
    if let Some(object) = about(&learnt) {
        wake::changed(context, object.metadata.namespace.as_deref().unwrap_or_default());
    }
    match learnt {
        StoreEvent::Added(object) => enter_lead(context, &object, true),
        StoreEvent::Updated(before, object) => {
            let restated = before.status != object.status
                && status_changed_externally(context, &context.cache.key_of(&*object));
            enter_lead(
                context,
                &object,
                restated || is_relevant_change(&*before, &*object),
            );
            if before.spec != object.spec
                || before.metadata.deletion_timestamp != object.metadata.deletion_timestamp
            {
                wake_neighbours(context, &cache::entry_of_lead(&object));
            }
        }
        StoreEvent::Deleted(object) => {
            let key = context.cache.key_of(&*object);
            gone(context, &key);
            wake_services_of(context, &key);
        }
        StoreEvent::Synced => {}
    }
}

/// Handles an event of the policies' watch. The run that follows enqueues the policy when it has something new
/// to report.
pub fn policy(context: &Context, learnt: StoreEvent<LeadPolicy>) {
    match learnt {
        StoreEvent::Added(object) => {
            let key = context.cache.key_of(&*object);
            context.policies.enter(&key);
            context.enqueue(&key, Priority::Changed);
            wake::changed(context, key.namespace());
        }
        StoreEvent::Updated(before, object) => {
            let key = context.cache.key_of(&*object);
            let restated = before.status != object.status && status_changed_externally(context, &key);
            if restated || is_relevant_change(&*before, &*object) {
                context.enqueue(&key, Priority::Changed);
                // A younger policy gets the leads that an older one no longer wants.
                wake::changed(context, key.namespace());
            }
        }
        StoreEvent::Deleted(object) => {
            let key = context.cache.key_of(&*object);
            context.policies.leave(&key);
            context.forget(&key);
            wake::wake(context, &key);
            wake::changed(context, key.namespace());
        }
        StoreEvent::Synced => {}
    }
}

/// The newest version of the object that an event is about.
fn about<K>(learnt: &StoreEvent<K>) -> Option<&Arc<K>> {
    match learnt {
        StoreEvent::Added(object) | StoreEvent::Updated(_, object) | StoreEvent::Deleted(object) => {
            Some(object)
        }
        StoreEvent::Synced => None,
    }
}

/// Handles an event of the platforms' watch.
pub fn platform(context: &Context, learnt: StoreEvent<LivePlatform>) {
    match learnt {
        StoreEvent::Added(object) => {
            settle(context, &object);
            context.enqueue(&context.cache.key_of(&*object), Priority::Changed);
        }
        StoreEvent::Updated(before, object) => {
            if is_relevant_change(&*before, &*object) {
                let key = context.cache.key_of(&*object);
                let name = key.name();
                settle(context, &object);
                context.enqueue(&key, Priority::Changed);
                // A pass that waits for a hung platform would otherwise keep its slot until the platform
                // answers.
                if address::identity(&before) != address::identity(&object)
                    || before.spec.requests != object.spec.requests
                {
                    context.connections.give_up(name);
                }
                // The policy has changed for every object on the platform, and for those that share its
                // place.
                if before.spec != object.spec {
                    wake_place(context, name);
                }
            }
        }
        StoreEvent::Deleted(object) => {
            let key = context.cache.key_of(&*object);
            context.connections.set(key.name(), None);
            context.connections.back_off(key.name(), None);
            context.forget(&key);
            wake_place(context, key.name());
        }
        StoreEvent::Synced => {}
    }
}

/// Records where a platform object points. When the place changes, the siblings it leaves and those it joins
/// have new neighbours.
fn settle(context: &Context, object: &LivePlatform) {
    let name = object.name_any();
    let Some(at) = address::place(object) else { return };
    let left = context.cache.index.siblings(&name);
    if !context.cache.index.settle(&name, at) {
        return;
    }
    let joined = context.cache.index.siblings(&name);
    for sibling in left.union(&joined).filter(|sibling| **sibling != name) {
        context.enqueue(&ObjectKey::platform(sibling), Priority::Effect);
        platform_is_back(context, sibling);
    }
    // An intent may name the place that this platform now has.
    for key in context.cache.index.assumed() {
        reenter(context, &key);
        context.enqueue(&key, Priority::Effect);
    }
}

/// Enqueues everything that shares a platform's place, including the other platform objects of that place.
fn wake_place(context: &Context, platform: &str) {
    let (siblings, keys) = (
        context.cache.index.siblings(platform),
        context.cache.index.at(platform),
    );
    context.enqueue_all(
        siblings
            .iter()
            .filter(|sibling| *sibling != platform)
            .map(|sibling| ObjectKey::platform(sibling)),
        Priority::Effect,
    );
    context.enqueue_all(keys, Priority::Effect);
}

/// Whether someone else wrote the status that the watch delivers: a restore, a person, another replica. The
/// store already has this process's own writes from the responses, unless the watch was faster; then the pass
/// that wrote is still running.
fn status_changed_externally(context: &Context, key: &ObjectKey) -> bool {
    !context.queue.is_running(key)
}

/// Whether the object reports Conflict now and did not before.
fn gave_way(before: &OcEssentialService, now: &OcEssentialService) -> bool {
    let conflict = |object: &OcEssentialService| {
        let conditions = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        conditions.iter().any(|condition| {
            condition.type_ == "Ready" && Reason::parse(&condition.reason) == Some(Reason::Conflict)
        })
    };
    conflict(now) && !conflict(before)
}

fn may_own_service(context: &Context, key: &ObjectKey, object: &OcEssentialService) -> bool {
    context.cache.record_of_service(key, object).may_own_service()
}

fn enter_service(
    context: &Context,
    key: &ObjectKey,
    object: &Arc<OcEssentialService>,
    is_relevant_change: bool,
) {
    let entry = context.cache.entry_of_service(object);
    let tenant = entry.tenant.map(|tenant| (Arc::clone(&entry.platform), tenant));
    let moved = index(context, key, entry);
    if is_relevant_change {
        context.enqueue(key, Priority::Changed);
        wake_leads_of(context, tenant);
    }
    if let Some(before) = moved {
        wake_neighbours(context, &before);
    }
}

fn enter_lead(context: &Context, object: &Arc<Lead>, is_relevant_change: bool) {
    let key = context.cache.key_of(&**object);
    index(context, &key, cache::entry_of_lead(object));
    if is_relevant_change {
        context.enqueue(&key, Priority::Changed);
        wake_services_of(context, &key);
    }
}

/// Enqueues the services of a lead. Their tenant and platform come from the lead, so their index entries are
/// updated first.
fn wake_services_of(context: &Context, lead: &ObjectKey) {
    let keys = context
        .cache
        .index
        .of_lead(&(lead.namespace().to_owned(), lead.name().to_owned()));
    for key in keys {
        reenter(context, &key);
        context.enqueue(&key, Priority::Effect);
    }
}

/// Updates the index entry of a service after something else has changed what it stands for.
fn reenter(context: &Context, key: &ObjectKey) {
    if let Some(object) = context.cache.services.of(key) {
        index(context, key, context.cache.entry_of_service(&object));
    }
}

/// Enters an object into the index, and then into the tallies, which take its platform from there. Returns the
/// previous entry if it was different.
fn index(context: &Context, key: &ObjectKey, entry: Entry) -> Option<Entry> {
    let before = context.cache.index.enter(key, entry);
    context.tallies.enter(&context.cache, key);
    before
}

/// Enqueues the leads of a tenant: a lead's status names the service object of its tenant.
fn wake_leads_of(context: &Context, tenant: Option<(Arc<str>, oc_domain::names::TenantId)>) {
    let Some((platform, tenant)) = tenant else { return };
    let keys = context.cache.index.of_tenant(&platform, &tenant);
    context.enqueue_all(
        keys.into_iter().filter(|key| key.kind() == Kind::Lead),
        Priority::Effect,
    );
}

fn wake_neighbours(context: &Context, entry: &Entry) {
    let keys = context.cache.index.neighbours(entry);
    context.enqueue_all(keys, Priority::Effect);
}

fn gone(context: &Context, key: &ObjectKey) {
    context.forget(key);
    let entry = context.cache.index.leave(key);
    context.tallies.enter(&context.cache, key);
    if let Some(entry) = entry {
        wake_neighbours(context, &entry);
        deletions::gone(context, &entry.platform);
        absences::changed(context, &entry.platform);
    }
}

/// Called when a list brings changes: enqueues the objects of the tenants and short names concerned. When the
/// list is complete again, enqueues only the objects that waited for that: a list with intermittent gaps must
/// not requeue every idle object each time.
pub fn inventory_changed(context: &Context, platform: &str, changed: &InventoryDiff) {
    if changed.is_empty() {
        return;
    }
    wake::platform_changed(context, platform);
    absences::changed(context, platform);
    let index = &context.cache.index;
    let by_tenant = changed
        .tenants
        .iter()
        .flat_map(|tenant| index.of_tenant(platform, tenant));
    let by_name = changed.names.iter().flat_map(|name| index.named(platform, name));
    let on_it = if changed.whole_again {
        index.on(platform)
    } else {
        Vec::new()
    };
    let waiting = on_it
        .into_iter()
        .filter(|key| context.memory.waits_for_whole_lists(key));
    let keys: BTreeSet<ObjectKey> = by_tenant.chain(by_name).chain(waiting).collect();
    context.enqueue_all(keys, Priority::Effect);
}

/// Called when a platform becomes usable again, or in another way: enqueues everything on it.
pub fn platform_is_back(context: &Context, platform: &str) {
    wake::platform_changed(context, platform);
    let keys = context.cache.index.on(platform);
    context.enqueue_all(keys, Priority::Effect);
}

/// Called when a job has run: enqueues the services that wait for it.
pub fn job_ran(context: &Context, platform: &str) {
    context.enqueue_all(context.tallies.unsynced(platform), Priority::Effect);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::leadership::Leadership;
    use kube::{Client, Config};

    async fn woken(context: &Context) -> BTreeSet<ObjectKey> {
        let mut keys = BTreeSet::new();
        while let Ok((key, _, _)) =
            tokio::time::timeout(std::time::Duration::from_millis(50), context.queue.next()).await
        {
            context.queue.done(&key);
            keys.insert(key);
        }
        keys
    }

    #[tokio::test]
    async fn a_list_that_is_whole_again_wakes_who_waited_for_it_and_nobody_at_rest() {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let context = Context::bare(client, Leadership::without_election(), Arc::new(()));
        let tenant = |number: u8| {
            oc_domain::names::TenantId::parse(&format!("{number:08x}-0000-4000-8000-000000000000")).unwrap()
        };
        let key = |number: u8| ObjectKey::service("n", &format!("customer-{number}"));
        for number in 1..=4 {
            let entry = |platform: &str| Entry {
                platform: platform.into(),
                assumed: false,
                tenant: Some(tenant(number)),
                short_name: None,
                lead: None,
            };
            context
                .cache
                .index
                .enter(&key(number), entry(if number == 4 { "other" } else { "default" }));
        }
        for number in [2, 4] {
            context
                .memory
                .with_pass(&key(number), None, |memory| memory.waits_for_whole_lists = true);
        }
        inventory_changed(&context, "default", &InventoryDiff::default());
        assert!(woken(&context).await.is_empty());
        inventory_changed(
            &context,
            "default",
            &InventoryDiff {
                whole_again: true,
                ..InventoryDiff::default()
            },
        );
        assert_eq!(
            woken(&context).await,
            BTreeSet::from([key(2)]),
            "one at rest, one of another platform"
        );
        inventory_changed(
            &context,
            "default",
            &InventoryDiff {
                tenants: [tenant(3)].into(),
                ..InventoryDiff::default()
            },
        );
        assert_eq!(woken(&context).await, BTreeSet::from([key(3)]));
    }

    /// A service whose lead is missing, with an intent for a place.
    fn service_asked_at(place: &str) -> OcEssentialService {
        let intent = serde_json::json!({
            "kind": "Create", "id": "one", "start": "2026-01-02T03:04:05Z", "platform": place,
            "tenant": "00000001-0000-4000-8000-000000000000",
        });
        let object = serde_json::json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService",
            "metadata": {
                "name": "contoso", "namespace": "n", "uid": "1", "resourceVersion": "1",
                "finalizers": [crate::cluster::record::FINALIZER],
                "annotations": {crate::cluster::record::OPERATION: intent.to_string()},
            },
            "spec": {"leadRef": {"name": "contoso"}, "shortName": "contoso", "fullName": "Contoso Ltd"},
        });
        serde_json::from_value(object).unwrap()
    }

    #[tokio::test]
    async fn a_platform_that_appears_at_the_place_of_an_intent_gets_the_service() {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let context = Context::bare(client, Leadership::without_election(), Arc::new(()));
        let key = ObjectKey::service("n", "contoso");
        let stored = context
            .cache
            .services
            .put(service_asked_at("https://live.example.com:443/tenantui"))
            .unwrap();
        service(&context, stored);
        let entry = context.cache.index.entry(&key).unwrap();
        assert!(entry.assumed && entry.tenant.is_some(), "{entry:?}");
        woken(&context).await;
        let named = |name: &str, url: &str| {
            let entra = serde_json::json!({"tenantId": "x", "clientId": "x", "scope": "x"});
            let spec = serde_json::json!({"url": url, "authentication": {"entra": entra}});
            let mut object = LivePlatform::new(name, serde_json::from_value(spec).unwrap());
            (object.metadata.uid, object.metadata.resource_version) = (Some(name.into()), Some("1".into()));
            platform(&context, context.cache.platforms.put(object).unwrap());
        };
        named("default", "https://elsewhere.example.com/tenantui");
        assert!(context.cache.index.entry(&key).unwrap().assumed);
        named("emea", "https://live.example.com/tenantui");
        let entry = context.cache.index.entry(&key).unwrap();
        assert_eq!((&*entry.platform, entry.assumed), ("emea", false));
        assert!(woken(&context).await.contains(&key));
    }
}

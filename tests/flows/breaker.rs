//! The breaker: a mistake that would delete many services stops at the hourly limit, and a person decides.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::Patch;
use oc_api::Condition;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const APPROVE: &str = "operatorconnect.dev/approve-deletions";
const OPERATION: &str = "operatorconnect.dev/operation";
const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

fn condition<K: Own>(object: &K, kind: &str) -> Option<Condition> {
    object.told().1.into_iter().find(|condition| condition.type_ == kind)
}

fn held(platform: &LivePlatform) -> Option<String> {
    condition(platform, "DeletionsHeld")
        .filter(|condition| condition.status == "True" && condition.reason == "DeletionRateExceeded")
        .map(|held| held.message.to_string())
}

/// The remaining objects, once there are `left`; each of them is held and says what to do.
async fn held_services(scene: &Scene, left: usize) -> Result<Vec<String>> {
    let api = <OcEssentialService as Own>::api(scene);
    let mut all = Vec::new();
    for _ in 0..300 {
        all = api.list(&Default::default()).await?.items;
        all.retain(|object| object.metadata.deletion_timestamp.is_some());
        if all.len() == left && all.iter().all(|object| ready_is(object, "False", "DeletionRateExceeded")) {
            for object in &all {
                ensure!(condition(object, "Stalled").is_some(), "a person must act: {:?}", object.told());
                ensure!(message(object).contains(APPROVE) && message(object).contains("Retain"), "{}", message(object));
            }
            return Ok(all.into_iter().filter_map(|object| object.metadata.name).collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("not {left} that are held, but {:?}", all.iter().map(|object| (&object.metadata.name, object.told())).collect::<Vec<_>>())
}

pub async fn deletions_beyond_the_hours_number_wait_for_a_person(scene: Scene) -> Result<()> {
    scene.connect(json!({"deletions": {"perHour": 2}})).await?;
    let names = scene.services(&[1, 2, 3, 4, 5, 6], json!({"deletionPolicy": "Delete"})).await?;
    scene.services(&[7], json!({})).await?;
    for name in &names[..5] {
        scene.delete::<OcEssentialService>(name).await?;
    }
    let waiting = held_services(&scene, 3).await?;
    ensure!(scene.calls("services.delete").await? == 2, "two, not one more");
    // The platform itself goes on: it is Ready, and reports what is held.
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_some_and(|told| told.starts_with("3 deletions are held"))).await?;
    ensure!(ready_is(&platform, "True", "Succeeded") && held(&platform).is_some_and(|told| told.contains(APPROVE)), "{:?}", platform.told());
    // An object that keeps its resource on the platform is never held, and a reconcile request lets nothing through.
    scene.delete::<OcEssentialService>("customer-7").await?;
    scene.gone::<OcEssentialService>("customer-7").await?;
    for name in &waiting {
        scene.annotate::<OcEssentialService>(name, RECONCILE, "now").await?;
        let handled = |object: &OcEssentialService| object.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("now"));
        scene.until(name, handled).await?;
    }
    held_services(&scene, 3).await?;
    ensure!(scene.calls("services.delete").await? == 2);
    // A person approves.
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "meant, says Ada").await?;
    for name in &waiting {
        scene.gone::<OcEssentialService>(name).await?;
    }
    ensure!(scene.calls("services.delete").await? == 5);
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_none()).await?;
    let counted = platform.status.and_then(|status| status.deletions).context("what was counted")?;
    ensure!(counted.held == 0 && counted.granted.len() == 2 && counted.last_handled_approval.as_deref() == Some("meant, says Ada"), "{counted:?}");
    // The approval covered only those. A later one counts again, and the hour has had its two.
    scene.delete::<OcEssentialService>("customer-6").await?;
    held_services(&scene, 1).await?;
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_some_and(|told| told.starts_with("1 deletion is held"))).await?;
    ensure!(scene.calls("services.delete").await? == 5);
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "that one too").await?;
    scene.gone::<OcEssentialService>("customer-6").await?;
    ensure!(scene.calls("services.delete").await? == 6);
    Ok(())
}

pub async fn a_held_object_goes_at_once_when_nothing_is_to_be_deleted_for_it(scene: Scene) -> Result<()> {
    // A long observe interval, so that what happens is not due to the next observation.
    scene.connect(json!({"deletions": {"perHour": 1}, "observeInterval": "1h"})).await?;
    let names = scene.services(&[1, 2, 3], json!({"deletionPolicy": "Delete"})).await?;
    for name in &names {
        scene.delete::<OcEssentialService>(name).await?;
    }
    let waiting = held_services(&scene, 2).await?;
    let [first, second] = waiting.as_slice() else { anyhow::bail!("two wait") };
    scene.change::<OcEssentialService>(first, json!({"deletionPolicy": "Retain"})).await?;
    scene.gone::<OcEssentialService>(first).await?;
    // The other one has nothing left to wait for: someone deletes its service on the platform.
    let object = <OcEssentialService as Own>::api(&scene).get(second).await?;
    let guid = object.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
    scene.annotate::<OcEssentialService>(second, RECONCILE, "now").await?;
    scene.gone::<OcEssentialService>(second).await?;
    ensure!(scene.calls("services.delete").await? == 1, "neither was deleted by the operator");
    // When nothing waits any more, nothing is held, and the status says so.
    scene.until(&scene.platform, |platform: &LivePlatform| condition(platform, "DeletionsHeld").is_none()).await?;
    Ok(())
}

pub async fn leads_count_as_services_do(scene: Scene) -> Result<()> {
    scene.connect(json!({"deletions": {"perHour": 1}})).await?;
    scene.services(&[1], json!({"deletionPolicy": "Delete"})).await?;
    for (name, tenant) in [("first", 2), ("second", 3)] {
        scene.lead(name, tenant, json!({"consentless": {"companyName": format!("{name} Ltd")}, "deletionPolicy": "Delete"})).await?;
        scene.ready::<Lead>(name, "True", "Succeeded").await?;
    }
    scene.delete::<Lead>("first").await?;
    scene.gone::<Lead>("first").await?;
    // The hour's one deletion was a lead; now a service and a lead wait.
    scene.delete::<OcEssentialService>("customer-1").await?;
    scene.delete::<Lead>("second").await?;
    held_services(&scene, 1).await?;
    let lead: Lead = scene.ready("second", "False", "DeletionRateExceeded").await?;
    ensure!(condition(&lead, "Stalled").is_some() && message(&lead).contains(APPROVE), "{:?}", lead.told());
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_some_and(|told| told.starts_with("2 deletions are held"))).await?;
    ensure!(scene.calls("services.delete").await? == 0 && scene.calls("leads.delete").await? == 1);
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "yes").await?;
    scene.gone::<OcEssentialService>("customer-1").await?;
    scene.gone::<Lead>("second").await?;
    ensure!(scene.calls("services.delete").await? == 1 && scene.calls("leads.delete").await? == 2);
    Ok(())
}

/// Anyone who may edit an object may write the annotation that records its deletion. It gets nothing past the breaker.
pub async fn an_intent_that_somebody_wrote_passes_no_breaker(scene: Scene) -> Result<()> {
    scene.connect(json!({"deletions": {"perHour": 0}})).await?;
    scene.services(&[1], json!({"deletionPolicy": "Delete"})).await?;
    scene.lead("second", 2, json!({"consentless": {"companyName": "Second Ltd"}, "deletionPolicy": "Delete"})).await?;
    scene.ready::<Lead>("second", "True", "Succeeded").await?;
    let recorded = json!({"kind": "Delete", "id": "x", "start": "2020-01-01T00:00:00Z"}).to_string();
    scene.annotate::<OcEssentialService>("customer-1", OPERATION, &recorded).await?;
    scene.annotate::<Lead>("second", OPERATION, &recorded).await?;
    scene.delete::<OcEssentialService>("customer-1").await?;
    scene.delete::<Lead>("second").await?;
    held_services(&scene, 1).await?;
    scene.ready::<Lead>("second", "False", "DeletionRateExceeded").await?;
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_some_and(|told| told.starts_with("2 deletions are held"))).await?;
    ensure!(scene.calls("services.delete").await? == 0 && scene.calls("leads.delete").await? == 0, "nobody has approved them");
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "both").await?;
    scene.gone::<OcEssentialService>("customer-1").await?;
    scene.gone::<Lead>("second").await?;
    ensure!(scene.calls("services.delete").await? == 1 && scene.calls("leads.delete").await? == 1);
    Ok(())
}

/// The count is written with the resourceVersion that was read. If someone else writes the platform object at the same time, the operator soon counts again
/// from the new state, and no grant is lost or given twice.
pub async fn the_count_survives_others_who_write_the_platform_object(scene: Scene) -> Result<()> {
    scene.connect(json!({"deletions": {"perHour": 2}, "observeInterval": "1h"})).await?;
    let names = scene.services(&[1, 2, 3, 4, 5], json!({"deletionPolicy": "Delete"})).await?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    // Labels enqueue nothing, so they do not hide a late count by requeuing the object.
    let busy = tokio::spawn({
        let (api, name) = (<LivePlatform as Own>::api(&scene), scene.platform.clone());
        async move {
            let mut count = 0;
            while stopped.try_recv().is_err() {
                count += 1;
                let label = json!({"metadata": {"labels": {"somebody-else": count.to_string()}}});
                api.patch(&name, &Default::default(), &Patch::Merge(label)).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        }
    });
    for name in &names {
        scene.delete::<OcEssentialService>(name).await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    held_services(&scene, 3).await?;
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_some_and(|told| told.starts_with("3 deletions are held"))).await?;
    ensure!(!busy.is_finished(), "it was counted while somebody else wrote");
    ensure!(stop.send(()).is_ok(), "nobody was busy");
    busy.await??;
    let counted = platform.status.and_then(|status| status.deletions).context("what was counted")?;
    ensure!(counted.granted.len() == 2 && counted.held == 3, "{counted:?}");
    ensure!(scene.calls("services.delete").await? == 2);
    Ok(())
}

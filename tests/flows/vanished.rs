//! The breaker for vanished services: when many objects miss theirs at once, or at another address, that proves nothing until a person confirms it.

use anyhow::{Context, Result, ensure};
use oc_api::Condition;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const APPROVE: &str = "operatorconnect.dev/approve-absences";
const RECONCILE: &str = "operatorconnect.dev/reconcile-requested-at";

fn condition<K: Own>(object: &K, kind: &str) -> Option<Condition> {
    object.told().1.into_iter().find(|condition| condition.type_ == kind)
}

fn held(platform: &LivePlatform) -> Option<String> {
    condition(platform, "AbsencesHeld").filter(|condition| condition.status == "True").map(|held| held.message.to_string())
}

async fn guid(scene: &Scene, name: &str) -> Result<String> {
    let object = <OcEssentialService as Own>::api(scene).get(name).await?;
    object.status.and_then(|status| status.ump_customer_guid).map(String::from).context("a guid")
}

async fn look(scene: &Scene, value: &str) -> Result<()> {
    scene.annotate::<LivePlatform>(&scene.platform, RECONCILE, value).await?;
    let handled = |platform: &LivePlatform| platform.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(value));
    scene.until(&scene.platform, handled).await.map(drop)
}

/// A complete, well-formed, empty list for some seconds: nothing is created again, nothing is released, nothing is called deleted.
pub async fn a_list_that_is_empty_for_a_while_is_not_believed(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    let names = scene.services(&[1, 2, 3], json!({"recreate": true, "deletionPolicy": "Delete"})).await?;
    scene.fault(json!({"kind": "emptyList", "endpoint": "services.list", "forever": true})).await?;
    scene.delete::<OcEssentialService>(&names[2]).await?;
    look(&scene, "while it is empty").await?;
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_some()).await?;
    ensure!(ready_is(&platform, "True", "Succeeded"), "the platform answers: {:?}", platform.told());
    // Nobody has approved anything, and two more looks change nothing.
    for value in ["once", "twice"] {
        look(&scene, value).await?;
    }
    for name in &names {
        let object = <OcEssentialService as Own>::api(&scene).get(name).await?;
        let status = object.status.clone().unwrap_or_default();
        ensure!(status.license_type.is_some() && !ready_is(&object, "False", "DeletedExternally"), "{name}: {:?}", object.told());
    }
    ensure!(scene.calls("services.create").await? == 3, "none was made again");
    scene.simulate("DELETE", "faults", json!(null)).await?;
    look(&scene, "they are back").await?;
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_none()).await?;
    let _ = platform;
    scene.gone::<OcEssentialService>(&names[2]).await?;
    ensure!(scene.calls("services.delete").await? == 1, "it was deleted, not let go");
    for name in &names[..2] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    ensure!(scene.calls("services.create").await? == 3);
    Ok(())
}

/// When many stay missing, the operator waits for a person: an annotation from before does not count, nor one within the first minute.
pub async fn services_that_are_really_gone_wait_for_a_persons_word(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "from Git").await?;
    let names = scene.services(&[1, 2], json!({})).await?;
    for name in &names {
        let guid = guid(&scene, name).await?;
        scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
    }
    look(&scene, "gone").await?;
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_some_and(|told| told.contains('2'))).await?;
    // A person approves early: it counts once a list read a minute later agrees.
    scene.annotate::<LivePlatform>(&scene.platform, APPROVE, "closed, says Ada").await?;
    look(&scene, "too early").await?;
    let early: OcEssentialService = <OcEssentialService as Own>::api(&scene).get(&names[0]).await?;
    ensure!(!ready_is(&early, "False", "DeletedExternally"), "{:?}", early.told());
    tokio::time::sleep(std::time::Duration::from_secs(35)).await;
    for name in &names {
        let object: OcEssentialService = scene.until(name, |object| ready_is(object, "False", "DeletedExternally")).await?;
        ensure!(object.status.is_some_and(|status| status.license_type.is_none()));
    }
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_none()).await?;
    ensure!(scene.calls("services.create").await? == 2);
    Ok(())
}

/// The address changes to that of another platform, while one object is being deleted, one is to be created again and a third only observes.
pub async fn another_address_proves_nothing_of_what_is_at_the_former_one(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    let names = scene.services(&[1], json!({"deletionPolicy": "Delete"})).await?;
    let options = live_platform_simulator::Options { client_id: "44444444-4444-4444-8444-444444444444".into(), ..Default::default() };
    let other = live_platform_simulator::Simulator::start(options).await;
    let former = scene.platform_spec(&scene.simulator);
    let mut spec = scene.platform_spec(&other);
    spec["authentication"]["entra"]["tokenUrl"] = json!(other.token_url());
    scene.change::<LivePlatform>(&scene.platform, spec).await?;
    scene.delete::<OcEssentialService>(&names[0]).await?;
    look(&scene, "elsewhere").await?;
    let platform: LivePlatform = scene.until(&scene.platform, |platform| held(platform).is_some()).await?;
    ensure!(held(&platform).is_some_and(|told| told.contains("spec.url")), "{:?}", platform.told());
    for value in ["once", "twice"] {
        look(&scene, value).await?;
    }
    let object: OcEssentialService = <OcEssentialService as Own>::api(&scene).get(&names[0]).await.context("it was let go")?;
    ensure!(!message(&object).contains("Releasing this object"), "{:?}", object.told());
    ensure!(scene.calls("services.delete").await? == 0);
    // The former address again: what exists there is found, and deleted.
    scene.change::<LivePlatform>(&scene.platform, former).await?;
    scene.gone::<OcEssentialService>(&names[0]).await?;
    ensure!(scene.calls("services.delete").await? == 1);
    scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_none()).await?;
    Ok(())
}

/// One vanished service is believed after a second look; the next one within the hour waits.
pub async fn one_service_after_another_is_not_believed_without_end(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    let names = scene.services(&[1, 2, 3], json!({})).await?;
    for (at, name) in names.iter().take(2).enumerate() {
        let guid = guid(&scene, name).await?;
        scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
        look(&scene, name).await?;
        match at {
            0 => drop(scene.ready::<OcEssentialService>(name, "False", "DeletedExternally").await?),
            _ => drop(scene.until(&scene.platform, |platform: &LivePlatform| held(platform).is_some()).await?),
        }
    }
    // By then its own check against a list that lacks the service is over.
    scene.annotate::<OcEssentialService>(&names[1], RECONCILE, "now").await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let second: OcEssentialService = <OcEssentialService as Own>::api(&scene).get(&names[1]).await?;
    ensure!(!ready_is(&second, "False", "DeletedExternally"), "{:?}", second.told());
    Ok(())
}

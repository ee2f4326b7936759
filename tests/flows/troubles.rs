//! Faults of a platform, and what is refused before it is requested.

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService, Outcome};
use serde_json::json;

use super::stage::{Scene, message};

pub async fn a_lost_answer_makes_no_second_service(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    // The call is executed, and the connection closes without an answer.
    scene.simulate("POST", "faults", json!({"kind": "dropAfterExecution", "endpoint": "services.create", "times": 3})).await?;
    scene.connect(json!({})).await?;
    for tenant in 1..=3 {
        scene.service(&format!("customer-{tenant}"), tenant, json!({})).await?;
    }
    for tenant in 1..=3 {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    ensure!(scene.calls("services.create").await? == 3, "each was asked for once");
    Ok(())
}

pub async fn a_failed_task_is_told_and_tried_again_with_a_changed_spec(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("POST", "faults", json!({"kind": "taskFailed", "message": "IAM account could not be made"})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "TaskFailed").await?;
    ensure!(message(&service).contains("IAM account could not be made"), "the platform's own words: {}", message(&service));
    let operation = service.status.and_then(|status| status.operation).context("an operation")?;
    ensure!(operation.outcome == Some(Outcome::Failed) && operation.task_id.is_some(), "{operation:?}");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    ensure!(scene.calls("services.create").await? == 1, "not repeated by itself");
    scene.change::<OcEssentialService>("contoso", json!({"fullName": "Contoso, corrected"})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 2);
    Ok(())
}

pub async fn a_throttling_platform_is_obeyed(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.simulate("POST", "faults", json!({"kind": "tooManyRequests", "retryAfter": 4, "times": 1, "endpoint": "services.create"})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "Throttled").await?;
    ensure!(!message(&service).is_empty());
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    let log = scene.log().await?;
    let at = log.iter().position(|(_, status, _)| *status == 429).context("it throttled")?;
    let throttled = log[at].2;
    // A call in flight at that moment may still be answered.
    let pressed: Vec<_> = log[at + 1..].iter().filter(|(_, _, when)| (throttled + 300..throttled + 3900).contains(when)).collect();
    ensure!(pressed.is_empty(), "calls in the 4 s for which it asked to be left alone: {pressed:?}");
    Ok(())
}

/// Otherwise a retry-after of a day would be a day without the platform that nobody could end.
pub async fn a_look_ends_the_rest_that_the_platform_asked_for(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.fault(json!({"kind": "tooManyRequests", "retryAfter": 86_400, "times": 1, "endpoint": "services.create"})).await?;
    scene.service("contoso", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "False", "Throttled").await?;
    let calls = scene.all_calls().await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ensure!(scene.all_calls().await? == calls, "it is left alone");
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "now").await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    Ok(())
}

/// Unreadable entries of a list stop only what they could concern. As soon as they are readable it goes on, not an hour later.
pub async fn a_list_that_is_whole_again_wakes_who_waited_for_it(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    // An empty list has no entry that could be unreadable.
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "Somebody"})).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(3), "companyName": "There already"})).await?;
    scene.fault(json!({"kind": "wrongTypes", "endpoint": "services.list", "forever": true})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "PlatformRefused").await?;
    ensure!(message(&service).contains("list of services has entries that can't be read"), "{}", message(&service));
    scene.simulate("DELETE", "faults", json!(null)).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    // The same for leads: a list with gaps does not prove that one is absent.
    for endpoint in ["leads.list", "leads.get"] {
        scene.fault(json!({"kind": "wrongTypes", "endpoint": endpoint, "forever": true})).await?;
    }
    scene.lead("wingtip", 3, json!({"consentless": {"companyName": "Wingtip"}})).await?;
    let lead: Lead = scene.ready("wingtip", "False", "PlatformUnavailable").await?;
    ensure!(message(&lead).contains("leads that can't be read"), "{}", message(&lead));
    scene.simulate("DELETE", "faults", json!(null)).await?;
    scene.ready::<Lead>("wingtip", "True", "Succeeded").await?;
    ensure!(scene.calls("leads.create").await? == 0, "it was there all the time");
    Ok(())
}

pub async fn a_broken_answer_is_told_and_survived(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    // An empty list has no entry whose type could be wrong.
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "Somebody"})).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for kind in ["htmlOk", "emptyOk", "truncated", "wrongTypes", "invalidUtf8", "deepNesting"] {
        scene.simulate("POST", "faults", json!({"kind": kind, "endpoint": "services.list", "forever": true})).await?;
        scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", kind).await?;
        let platform: LivePlatform = scene
            .until(&scene.platform, |platform: &LivePlatform| {
                !super::stage::ready_is(platform, "True", "Succeeded") || message(platform).contains("can't be read")
            })
            .await?;
        ensure!(!message(&platform).contains('<'), "{kind}: a web page in a status: {}", message(&platform));
        scene.simulate("DELETE", "faults", json!(null)).await?;
        scene
            .until(&scene.platform, |platform: &LivePlatform| {
                super::stage::ready_is(platform, "True", "Succeeded") && !message(platform).contains("can't be read")
            })
            .await?;
    }
    scene.service("contoso", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    Ok(())
}

pub async fn a_wrong_channel_is_refused_before_anything_is_asked(scene: Scene) -> Result<()> {
    for (id, name) in [(1574, "North"), (1575, "South")] {
        scene.simulate("POST", "channels", json!({"id": id, "name": name})).await?;
    }
    scene.simulate("POST", "lc-customers", json!({"id": 4711, "name": "South customer", "channelId": 1575})).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(1), "channelId": 1574})).await?;
    scene.connect(json!({})).await?;
    scene.service("wingtip", 1, json!({"lcCustomerId": 4711})).await?;
    let service: OcEssentialService = scene.ready("wingtip", "False", "ChannelMismatch").await?;
    ensure!(message(&service).contains("4711") && message(&service).contains("1574"), "{}", message(&service));
    scene.service("unknown", 1, json!({"lcCustomerId": 9999})).await?;
    scene.delete::<OcEssentialService>("wingtip").await?;
    let service: OcEssentialService = scene.ready("unknown", "False", "InvalidSpec").await?;
    ensure!(message(&service).contains("lcCustomerId") && message(&service).contains("9999"), "{}", message(&service));
    ensure!(scene.changes().await? == 0);
    Ok(())
}

pub async fn a_service_that_shows_late_is_waited_for(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.simulate("PATCH", "settings", json!({"serviceVisibilityDelay": 4000})).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "Verifying").await?;
    ensure!(service.status.is_some_and(|status| status.license_type.is_none()), "no license before it was read back");
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 1);
    Ok(())
}

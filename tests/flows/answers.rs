//! Malformed answers on each call that the operator makes: reported in clear words, survived, and never followed by a second service.

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

/// What can be wrong with an answer.
const KINDS: [&str; 8] = ["htmlOk", "emptyOk", "truncated", "brokenJson", "deepNesting", "wrongTypes", "invalidUtf8", "hugeBody"];

/// A fault in a single text, repaired before the answer is read.
const REPAIRED: &str = "invalidUtf8";

/// A name that Kubernetes accepts.
fn named(kind: &str) -> String {
    kind.to_lowercase()
}

/// Messages are for people: they say what is wrong with the answer, and contain nothing of a web page.
fn clear<K: Own>(object: &K) -> bool {
    let text = message(object);
    !text.contains(['<', '\u{fffd}']) && ["cannot be used", "web page", "broke", "exceeds the limit", "can't be read"].iter().any(|words| text.contains(words))
}

/// Requests a reconcile of an object.
async fn ask<K: Own>(scene: &Scene, name: &str, mark: &str) -> Result<()> {
    scene.annotate::<K>(name, "operatorconnect.dev/reconcile-requested-at", mark).await
}

async fn mend(scene: &Scene) -> Result<()> {
    scene.simulate("DELETE", "faults", Value::Null).await.map(drop)
}

pub async fn of_the_token_endpoint(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for kind in KINDS {
        scene.fault(json!({"kind": kind, "endpoint": "token", "forever": true})).await?;
        // Another version of the Secret means another connection, without a token.
        scene.credential_of(&format!("{}-{kind}", super::stage::SECRET)).await?;
        scene.credential().await?;
        ask::<LivePlatform>(&scene, &scene.platform, kind).await?;
        let platform: LivePlatform = scene.until(&scene.platform, |platform: &LivePlatform| !ready_is(platform, "True", "Succeeded")).await?;
        let told = message(&platform);
        ensure!(told.contains("token") && !told.contains('<'), "{kind}: {told}");
        mend(&scene).await?;
        ask::<LivePlatform>(&scene, &scene.platform, &format!("{kind} is over")).await?;
        scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    }
    Ok(())
}

pub async fn of_the_lists(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    // An empty list has no entry whose type could be wrong.
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(2), "shortName": "Somebody"})).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for endpoint in ["services.list", "leads.list"] {
        for kind in KINDS {
            scene.fault(json!({"kind": kind, "endpoint": endpoint, "forever": true})).await?;
            let mark = format!("{endpoint} {kind}");
            ask::<LivePlatform>(&scene, &scene.platform, &mark).await?;
            let handled = |platform: &LivePlatform| platform.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(&mark));
            // One bad byte costs at most its own entry.
            let told = |platform: &LivePlatform| if kind == REPAIRED { handled(platform) } else { clear(platform) };
            let platform: LivePlatform = scene.until(&scene.platform, told).await?;
            let read = matches!(kind, "wrongTypes" | "deepNesting" | REPAIRED);
            ensure!(ready_is(&platform, "True", "Succeeded") == read, "{endpoint} {kind}: {}", message(&platform));
            mend(&scene).await?;
            ask::<LivePlatform>(&scene, &scene.platform, &format!("{endpoint} {kind} is over")).await?;
            scene.until(&scene.platform, |platform: &LivePlatform| ready_is(platform, "True", "Succeeded") && !clear(platform)).await?;
        }
    }
    Ok(())
}

pub async fn of_a_create(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=KINDS.len() as u32).collect();
    scene.consented(&all).await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 3000})).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for (kind, tenant) in KINDS.iter().zip(&all) {
        // The request is executed anyway, also behind the web page.
        scene.fault(json!({"kind": kind, "endpoint": "services.create", "tenantId": scene.tenant(*tenant), "executed": true})).await?;
        scene.service(&named(kind), *tenant, json!({})).await?;
    }
    // Each reports that its answer is unknown; or, if the answer was taken for a task, that the platform does not know that task; or that the platform is left
    // alone.
    let told = |service: &OcEssentialService| message(service).contains("Checking whether") || clear(service);
    let names: Vec<String> = KINDS.iter().map(|kind| named(kind)).collect();
    for told in futures::future::join_all(names.iter().map(|name| scene.until::<OcEssentialService>(name, told))).await {
        ensure!(!message(&told?).contains('<'));
    }
    for kind in KINDS {
        scene.ready::<OcEssentialService>(&named(kind), "True", "Succeeded").await?;
    }
    ensure!(scene.calls("services.create").await? == KINDS.len() as u64, "each was asked for once");
    Ok(())
}

pub async fn of_a_task(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=KINDS.len() as u32).collect();
    scene.consented(&all).await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 1000})).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for (kind, tenant) in KINDS.iter().zip(&all) {
        scene.fault(json!({"kind": kind, "endpoint": "tasks.get", "tenantId": scene.tenant(*tenant), "forever": true})).await?;
        scene.service(&named(kind), *tenant, json!({})).await?;
    }
    for kind in KINDS {
        // A status that is a number is an unknown one, so the task counts as running.
        let converting = |service: &OcEssentialService| kind == "wrongTypes" && ready_is(service, "False", "Converting");
        let told = |service: &OcEssentialService| clear(service) || converting(service) || (kind == REPAIRED && ready_is(service, "True", "Succeeded"));
        scene.until(&named(kind), told).await?;
    }
    mend(&scene).await?;
    for kind in KINDS {
        scene.ready::<OcEssentialService>(&named(kind), "True", "Succeeded").await?;
    }
    ensure!(scene.calls("services.create").await? == KINDS.len() as u64, "each was asked for once");
    Ok(())
}

pub async fn of_a_deletion(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=KINDS.len() as u32).collect();
    scene.consented(&all).await?;
    scene.connect(json!({})).await?;
    for (kind, tenant) in KINDS.iter().zip(&all) {
        scene.service(&named(kind), *tenant, json!({"deletionPolicy": "Delete"})).await?;
    }
    for kind in KINDS {
        scene.ready::<OcEssentialService>(&named(kind), "True", "Succeeded").await?;
    }
    for (kind, tenant) in KINDS.iter().zip(&all) {
        // The call is about a service, whose tenant is known by its guid.
        scene.fault(json!({"kind": kind, "endpoint": "services.delete", "tenantId": scene.tenant(*tenant), "executed": true})).await?;
        scene.delete::<OcEssentialService>(&named(kind)).await?;
    }
    for kind in KINDS {
        scene.gone::<OcEssentialService>(&named(kind)).await?;
    }
    let faults = scene.simulate("GET", "faults", Value::Null).await?;
    ensure!(faults == json!([]), "each fault has happened: {faults}");
    ensure!(scene.calls("services.delete").await? == KINDS.len() as u64, "each was asked for once");
    Ok(())
}

pub async fn of_an_lc_customer(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=KINDS.len() as u32).collect();
    let last = KINDS.len() as u32 + 1;
    scene.consented(&all).await?;
    scene.consented(&[last]).await?;
    scene.simulate("POST", "lc-customers", json!({"id": 4711, "name": "A customer"})).await?;
    scene.connect(json!({})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    for (made, (kind, tenant)) in KINDS.iter().zip(&all).enumerate() {
        scene.fault(json!({"kind": kind, "endpoint": "lcCustomers.get", "forever": true})).await?;
        scene.service(&named(kind), *tenant, json!({"lcCustomerId": 4711})).await?;
        let told = |service: &OcEssentialService| clear(service) || (*kind == REPAIRED && ready_is(service, "True", "Succeeded"));
        scene.until::<OcEssentialService>(&named(kind), told).await.with_context(|| format!("{kind} tells nothing"))?;
        let creates = scene.calls("services.create").await?;
        ensure!(creates == made as u64 + u64::from(*kind == REPAIRED), "{kind}: nothing is asked for before the customer was read");
        mend(&scene).await?;
        scene.ready::<OcEssentialService>(&named(kind), "True", "Succeeded").await?;
    }
    // A call that has answered exists, whatever a gateway says of it now.
    scene.fault(json!({"kind": "serverError", "status": 404, "endpoint": "lcCustomers.get", "forever": true})).await?;
    scene.service("gateway", last, json!({"lcCustomerId": 4711})).await?;
    scene.until::<OcEssentialService>("gateway", |service| message(service).contains("answered the call for LC customers before")).await?;
    ensure!(scene.calls("services.create").await? == u64::from(last) - 1, "nothing is asked for before the customer was read");
    mend(&scene).await?;
    scene.ready::<OcEssentialService>("gateway", "True", "Succeeded").await.map(drop)
}

pub async fn of_the_changes_to_a_lead(scene: Scene) -> Result<()> {
    let all: Vec<u32> = (1..=KINDS.len() as u32).collect();
    scene.simulate("POST", "channels", json!({"id": 1574, "name": "North"})).await?;
    scene.connect(json!({})).await?;
    for (kind, tenant) in KINDS.iter().zip(&all) {
        for endpoint in ["leads.create", "channels.assign", "leads.delete"] {
            scene.fault(json!({"kind": kind, "endpoint": endpoint, "tenantId": scene.tenant(*tenant), "executed": true})).await?;
        }
        let consentless = json!({"consentless": {"companyName": format!("Direct {kind}")}, "channelId": 1574, "deletionPolicy": "Delete"});
        scene.lead(&named(kind), *tenant, consentless).await?;
    }
    for kind in KINDS {
        let lead: Lead = scene.ready(&named(kind), "True", "Succeeded").await?;
        ensure!(lead.status.and_then(|status| status.channel_id) == Some(1574), "{kind}");
    }
    ensure!(scene.calls("leads.create").await? == KINDS.len() as u64, "each was asked for once");
    for kind in KINDS {
        scene.delete::<Lead>(&named(kind)).await?;
    }
    for kind in KINDS {
        scene.gone::<Lead>(&named(kind)).await?;
    }
    let faults = scene.simulate("GET", "faults", Value::Null).await?;
    ensure!(faults == json!([]), "each fault has happened: {faults}");
    Ok(())
}

//! Measures what the operator costs while its platform is away.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{ListParams, PostParams};
use oc_api::OcEssentialService;
use serde_json::json;
use tokio::time::Instant;

use super::figures::written;
use super::{AT_ONCE, Ground, NAMESPACE, calls, fast, object, tenant, usage, with_ready, writes};
use crate::progress::{note, result, step};
use crate::{build, trial};
use control_plane::audit;

/// How long the operator has to get used to the outage before it is measured.
const SETTLES: Duration = Duration::from_secs(30);

/// Makes nine tenths of the services Ready, adds a tenth whose requests may have been made, takes the platform
/// away, and prints what the operator needs for so many seconds.
///
/// # Errors
/// When something can't be started, or the services do not come so far.
pub async fn run(count: u32, seconds: u64, grace: Option<&str>, programs: &build::Programs) -> Result<()> {
    let ready = count - count / 10;
    step(&format!(
        "{} services, of which {} wait for lost answers, on a platform that goes away",
        written(count),
        written(count - ready)
    ));
    let mut platform = fast("10m");
    if let Some(grace) = grace {
        platform["createGrace"] = grace.into();
    }
    let (ground, mut operator) = with_ready(ready, count, platform, programs).await?;
    note(&format!("{} services are Ready", written(ready)));
    restore(&ground, ready..count).await?;
    all_wait(&ground, count - ready).await?;
    fail(&ground).await?;
    note(&format!(
        "the platform is away: {} s to settle, and {seconds} s",
        SETTLES.as_secs()
    ));
    tokio::time::sleep(SETTLES).await;
    operator.check()?;
    let (before, mark) = (usage::of(operator.id())?, audit::end(&ground.audit_log()?)?);
    calls(ground.port, true).await?;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, took) = (usage::of(operator.id())?, begun.elapsed());
    result(&format!(
        "\n| {} services in an outage | |\n|---|---|",
        written(count)
    ));
    let cpu = after.cpu - before.cpu;
    result(&format!(
        "| CPU in {seconds} s | {} ms: {:.2} % of a core |",
        cpu.as_millis(),
        cpu.as_secs_f64() / took.as_secs_f64() * 100.0
    ));
    result(&format!(
        "| memory | {:.1} MiB own, {:.1} MiB resident |",
        after.own, after.resident
    ));
    result(&format!(
        "| writes to the API server | {} |",
        writes(&ground, mark)?.len()
    ));
    for (endpoint, times) in calls(ground.port, true).await? {
        result(&format!("| platform: {endpoint} | {times} |"));
    }
    operator.check()
}

/// Applies services as a backup has them that was made in the middle of their creates: whether their requests
/// were executed is not known.
#[allow(
    clippy::disallowed_methods,
    reason = "the clock of the operator that made the backup"
)]
async fn restore(ground: &Ground, services: std::ops::Range<u32>) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), NAMESPACE);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    stream::iter(services)
        .map(|number| {
            let (api, now) = (api.clone(), now.clone());
            async move {
                let mut service = object(number, NAMESPACE)?;
                let intent =
                    json!({"kind": "Create", "id": format!("lost-{number}"), "start": now, "tenant": tenant(number)});
                let annotation = ("operatorconnect.dev/operation".to_owned(), intent.to_string());
                service.metadata.annotations = Some([annotation].into());
                service.metadata.finalizers = Some(vec!["operatorconnect.dev/external".to_owned()]);
                api.create(&PostParams::default(), &service).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// Waits until so many services say that they look for the effect of a request.
async fn all_wait(ground: &Ground, count: u32) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), NAMESPACE);
    let until = Instant::now() + Duration::from_secs(300);
    let waits = |service: &OcEssentialService| {
        let status = service.status.as_ref();
        status.is_some_and(|status| status.observed_generation.is_some() && status.license_type.is_none())
    };
    loop {
        let services = api.list(&ListParams::default().match_any()).await?.items;
        let waiting = services.iter().filter(|service| waits(service)).count();
        if waiting >= count as usize {
            note(&format!("{waiting} services wait for lost answers"));
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "only {waiting} of {count} services wait for lost answers"
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// From now on, each connection to the platform breaks before a call is executed.
async fn fail(ground: &Ground) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/simulator/faults", ground.port);
    let fault = json!({"kind": "dropBeforeExecution", "forever": true});
    trial::http()?
        .post(url)
        .json(&fault)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

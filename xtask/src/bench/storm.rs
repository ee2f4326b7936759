//! Measures how soon a new service gets its first look while all others want one too.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::figures::{percentile, written};
use super::{Ground, NAMESPACE, fast, object, usage, with_ready};
use crate::build;
use crate::progress::{note, result, step};

/// How many services come new.
const NEW: u32 = 100;
/// How often one of them comes.
const EVERY: Duration = Duration::from_millis(100);
/// How often the platform's settings change, and all services want a look.
const STORM: Duration = Duration::from_secs(1);

/// Creates services one after the other, first while the others rest and then while all of them want a look
/// each second, and prints how long each waits for its first look.
///
/// # Errors
/// When something can't be started, or a service gets no look.
pub async fn run(count: u32, programs: &build::Programs) -> Result<()> {
    step(&format!(
        "{NEW} new services beside {} others, at rest and in a storm",
        written(count)
    ));
    let (ground, mut operator) = with_ready(count, count + 2 * NEW, fast("10m"), programs).await?;
    note("all others are Ready");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let at_rest = first_looks(&ground, count..count + NEW).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (before, begun) = (usage::of(operator.id())?, Instant::now());
    let storm = async {
        for burst in 0_u32.. {
            change(&ground, 900 + burst % 2).await?;
            tokio::time::sleep(STORM).await;
        }
        anyhow::Ok(())
    };
    let in_storm = tokio::select! {
        looks = first_looks(&ground, count + NEW..count + 2 * NEW) => looks?,
        ended = storm => { ended?; Vec::new() }
    };
    let (after, took) = (usage::of(operator.id())?, begun.elapsed());
    operator.check()?;
    result(&format!(
        "\n| first look of a new service beside {} others | half within | 99 of 100 within |\n|---|---|---|",
        written(count)
    ));
    for (name, looks) in [("at rest", &at_rest), ("in a storm", &in_storm)] {
        result(&format!(
            "| {name} | {} ms | {} ms |",
            percentile(looks, 50)?.as_millis(),
            percentile(looks, 99)?.as_millis()
        ));
    }
    result(&format!(
        "| CPU in the storm | {:.0} % of a core | |",
        (after.cpu - before.cpu).as_secs_f64() / took.as_secs_f64() * 100.0
    ));
    Ok(())
}

/// Changes the platform's settings, so that every service on it is looked at.
async fn change(ground: &Ground, burst: u32) -> Result<()> {
    let api = Api::<LivePlatform>::all(ground.client.clone());
    let patch = json!({"spec": {"requests": {"burst": burst}}});
    api.patch("default", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

/// Creates services, and returns how long after its creation each got the operator's finalizer, the shortest first.
async fn first_looks(ground: &Ground, services: std::ops::Range<u32>) -> Result<Vec<Duration>> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), NAMESPACE);
    let mut seen = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    // The watch begins with all others.
    for _ in 0..services.start {
        timeout(Duration::from_secs(120), seen.next())
            .await
            .context("the others are not there")?;
    }
    let (mut made, mut looks) = (HashMap::new(), Vec::new());
    let mut new = services.clone();
    let mut next = tokio::time::interval(EVERY);
    while looks.len() < services.len() {
        tokio::select! {
            _ = next.tick(), if !new.is_empty() => {
                let number = new.next().context("a number")?;
                let service = object(number, NAMESPACE)?;
                made.insert(service.name_any(), Instant::now());
                api.create(&PostParams::default(), &service).await?;
            }
            object = timeout(Duration::from_secs(120), seen.next()) => {
                let object = object.context("a service gets no look")?.context("the watch has ended")?;
                // After an error the watch begins again by itself.
                let Ok(object) = object else { continue };
                if !object.finalizers().is_empty() && let Some(at) = made.remove(&object.name_any()) {
                    looks.push(at.elapsed());
                }
            }
        }
    }
    looks.sort();
    Ok(looks)
}

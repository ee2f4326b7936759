//! Measures whether services wait for each other fairly at twice the load that can be served (law L7).

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::json;
use tokio::time::{Instant, interval, timeout};

use super::figures::{percentile, written};
use super::{Content, Ground, NAMESPACE, ground, is_ready, object};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// How many calls a second the platform takes.
const CALLS: u32 = 40;
/// How many services are applied at once, to find out how many a second can be served.
const PROBE: u32 = 200;
/// How long nothing may happen before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Applies services at twice the rate at which they can become Ready, and prints how long they wait, compared with
/// their fair share: the time that all take that were there before.
///
/// # Errors
/// When something can't be started, or a service does not become Ready.
pub async fn run(count: u32, programs: &build::Programs) -> Result<()> {
    step(&format!(
        "{} services, applied at twice the rate that a platform with {CALLS} calls a second allows",
        written(count)
    ));
    let platform =
        json!({"observeInterval": "10m", "requests": {"perSecond": CALLS, "burst": CALLS, "inFlight": 16}});
    let content = Content::of_leads(PROBE + count, 500);
    let ground = ground("bench", programs, &content, platform).await?;
    let mut operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    let begun = Instant::now();
    lives(&ground, 0..PROBE, Duration::ZERO).await?;
    let served = f64::from(PROBE) / begun.elapsed().as_secs_f64();
    note(&format!(
        "{served:.1} a second can be served; now {:.1} a second come",
        served * 2.0
    ));
    let every = Duration::from_secs_f64(0.5 / served);
    let lives = lives(&ground, PROBE..PROBE + count, every).await?;
    operator.check()?;
    let waits = Waits::of(&lives)?;
    result(&format!(
        "\n| {} services at twice the load that can be served | |\n|---|---|",
        written(count)
    ));
    result(&format!("| Ready a second | {:.1} |", waits.served));
    result(&format!(
        "| longest wait until Ready | {:.1} s |",
        waits.longest.as_secs_f64()
    ));
    result(&format!(
        "| wait, divided by the fair share | half at most {:.2}, 99 of 100 at most {:.2}, all at most {:.2} |",
        percentile(&waits.shares, 50)?,
        percentile(&waits.shares, 99)?,
        percentile(&waits.shares, 100)?
    ));
    Ok(())
}

/// When a service was applied, and when it was Ready.
#[derive(Clone, Copy)]
struct Life {
    applied: Instant,
    ready: Instant,
}

/// Applies services one after the other, and waits until they are Ready.
async fn lives(ground: &Ground, services: Range<u32>, every: Duration) -> Result<Vec<Life>> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), NAMESPACE);
    let mut seen = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    let (mut applied, mut lives) = (HashMap::new(), Vec::new());
    let mut new = services.clone();
    let mut next = interval(every.max(Duration::from_millis(1)));
    while lives.len() < services.len() {
        tokio::select! {
            _ = next.tick(), if !new.is_empty() => {
                let service = object(new.next().context("a number")?, NAMESPACE)?;
                applied.insert(service.name_any(), Instant::now());
                api.create(&PostParams::default(), &service).await?;
            }
            object = timeout(PATIENCE, seen.next()) => {
                let object = object.context("no service becomes Ready any more")?.context("the watch has ended")?;
                // After an error the watch begins again by itself.
                let Ok(object) = object else { continue };
                if is_ready(&object) && let Some(applied) = applied.remove(&object.name_any()) {
                    lives.push(Life { applied, ready: Instant::now() });
                }
            }
        }
    }
    Ok(lives)
}

/// How long services waited.
struct Waits {
    served: f64,
    longest: Duration,
    /// The waits divided by the fair shares, in order.
    shares: Vec<f64>,
}

impl Waits {
    fn of(lives: &[Life]) -> Result<Self> {
        let wait = |life: &Life| life.ready - life.applied;
        let first = lives.iter().map(|life| life.applied).min().context("a service")?;
        let last = lives.iter().map(|life| life.ready).max().context("a service")?;
        let served = lives.len() as f64 / (last - first).as_secs_f64();
        // What one takes for which nobody waits.
        let alone = lives.iter().map(wait).min().context("a service")?.as_secs_f64();
        let mut shares: Vec<f64> = lives
            .iter()
            .map(|life| {
                let before = |other: &&Life| other.applied <= life.applied && other.ready > life.applied;
                let before = lives.iter().filter(before).count();
                wait(life).as_secs_f64() / (alone + before as f64 / served)
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        ensure!(served.is_finite(), "all were Ready at once");
        Ok(Self {
            served,
            longest: lives.iter().map(wait).max().unwrap_or_default(),
            shares,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_compared_with_those_who_were_there_before() {
        let begun = Instant::now();
        let life = |applied: u64, ready: u64| Life {
            applied: begun + Duration::from_secs(applied),
            ready: begun + Duration::from_secs(ready),
        };
        // One a second is served; the third is passed over by the fourth.
        let waits = Waits::of(&[life(0, 1), life(0, 2), life(1, 4), life(2, 3)]).unwrap();
        assert_eq!((waits.served, waits.longest), (1.0, Duration::from_secs(3)));
        // 1 of 1 + 2, 2 of 1 + 2, 3 of 1 + 2, and 1 of 1 + 2.
        let thirds: Vec<f64> = waits.shares.iter().map(|share| (share * 3.0).round()).collect();
        assert_eq!(thirds, [1.0, 1.0, 2.0, 3.0]);
        assert_eq!(percentile(&waits.shares, 100).unwrap(), 1.0);
        assert_eq!(percentile(&waits.shares, 50).unwrap(), waits.shares[1]);
    }
}

//! Measures how long an object waits for its pass at twice the load that can be served (law L7).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use oc_api::LivePlatform;
use serde_json::json;
use tokio::time::{Instant, interval};

use super::figures::written;
use super::{Ground, fast, ground, make_ready};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// How often all services want a look, to find out how many looks are possible.
const TOO_OFTEN: Duration = Duration::from_millis(20);
/// For how long this is found out.
const PROBE: Duration = Duration::from_secs(15);
/// For how long the waits are measured.
const MEASURED: Duration = Duration::from_secs(60);
/// How often the wait of the oldest is read.
const READ: Duration = Duration::from_millis(100);

/// Makes services Ready, finds out how many looks at them a second are possible, asks for twice as many, and prints
/// how long the oldest waited.
///
/// # Errors
/// When something can't be started, or the operator ends.
pub async fn run(count: u32, programs: &build::Programs) -> Result<()> {
    step(&format!(
        "{} services that all want more looks than are possible",
        written(count)
    ));
    let ground = ground("bench", programs, count, 500, fast("10m")).await?;
    let (mut operator, metrics) =
        trial::operator_and_metrics(&programs.operator, &ground.release, "info", &ground.log)?;
    make_ready(&ground, count).await?;
    note("all are Ready");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let possible = tokio::select! {
        looks = looks(&metrics, PROBE) => looks?.each_second,
        ended = storm(&ground, TOO_OFTEN) => return ended,
    };
    ensure!(possible > 0.0, "no look in {} s", PROBE.as_secs());
    let share = f64::from(count) / possible;
    note(&format!(
        "{possible:.0} looks a second are possible; now all want one every {:.0} ms",
        share * 500.0
    ));
    let twice = tokio::select! {
        looks = looks(&metrics, MEASURED) => looks?,
        ended = storm(&ground, Duration::from_secs_f64(share / 2.0)) => return ended,
    };
    operator.check()?;
    result(&format!(
        "\n| {} services at twice the load that can be served | |\n|---|---|",
        written(count)
    ));
    result(&format!(
        "| looks a second | {:.0}; possible {possible:.0} |",
        twice.each_second
    ));
    // The share that each has of what was served in this time.
    let share = f64::from(count) / twice.each_second;
    result(&format!(
        "| fair share of an object | one look in {:.0} ms |",
        share * 1000.0
    ));
    result(&format!(
        "| longest wait for a look | {:.0} ms: {:.2} of the fair share |",
        twice.longest * 1000.0,
        twice.longest / share
    ));
    Ok(())
}

/// The passes over services in some seconds.
struct Looks {
    each_second: f64,
    /// The longest that one has waited, in seconds.
    longest: f64,
}

async fn looks(metrics: &str, time: Duration) -> Result<Looks> {
    let http = trial::http()?;
    let read = || async { anyhow::Ok(http.get(metrics).send().await?.text().await?) };
    let passes = |text: &str| -> f64 { samples(text, "operatorconnect_reconcile_total").sum() };
    // The load has to be there first.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (begun, before) = (Instant::now(), passes(&read().await?));
    let (mut next, mut longest) = (interval(READ), 0.0_f64);
    loop {
        next.tick().await;
        let text = read().await?;
        longest = samples(&text, "operatorconnect_workqueue_oldest_seconds").fold(longest, f64::max);
        if begun.elapsed() > time {
            let each_second = (passes(&text) - before) / begun.elapsed().as_secs_f64();
            return Ok(Looks { each_second, longest });
        }
    }
}

/// The values of a metric of services, or of one without a kind.
fn samples<'a>(text: &'a str, metric: &'a str) -> impl Iterator<Item = f64> + 'a {
    let lines = text.lines().filter_map(move |line| line.strip_prefix(metric));
    lines
        .filter(|rest| {
            rest.starts_with(['{', ' '])
                && (!rest.contains("kind=") || rest.contains("kind=\"OcEssentialService\""))
        })
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
}

/// Changes the platform's settings so often, and with that has all services looked at.
async fn storm(ground: &Ground, every: Duration) -> Result<()> {
    let api = Api::<LivePlatform>::all(ground.client.clone());
    let mut next = interval(every);
    for burst in 0_u32.. {
        next.tick().await;
        let patch = json!({"spec": {"requests": {"burst": 900 + burst % 2}}});
        api.patch("default", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .context("can't change the platform")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_services_are_read() {
        let text = "# TYPE a counter\na{kind=\"Lead\",outcome=\"ready\"} 7\na{kind=\"OcEssentialService\",outcome=\"ready\"} 2\n\
                    a{kind=\"OcEssentialService\",outcome=\"asked\"} 1\na_b 9\nb{priority=\"changed\"} 0.5\nb{priority=\"observe\"} 2.5\n";
        assert_eq!(samples(text, "a").sum::<f64>(), 3.0);
        assert_eq!(samples(text, "b").fold(0.0, f64::max), 2.5);
        assert_eq!(samples(text, "c").count(), 0);
    }
}

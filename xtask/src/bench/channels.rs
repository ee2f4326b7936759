//! Measures whether a mass assignment of channels holds up the creation of services.

use std::time::Duration;

use anyhow::{Result, ensure};
use control_plane::Running;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use oc_api::Lead;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{AT_ONCE, Content, Ground, NAMESPACE, all_ready, apply, calls, ground, tenant};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// How many services are created beside the assignments.
const SERVICES: u32 = 100;
/// The channel of all leads.
const CHANNEL: u32 = 1574;
/// The platform's limit of assignments a minute.
const LIMIT: usize = 300;

/// Creates services alone and beside so many leads that want a channel, with the default budget of calls, and
/// prints how long both take.
///
/// # Errors
/// When something can't be started, or does not become Ready; and when the platform's limit was exceeded.
pub async fn run(count: u32, programs: &build::Programs) -> Result<()> {
    step(&format!(
        "Creating {SERVICES} services on a platform with {count} other leads, with the default budget of calls"
    ));
    let (.., alone) = created(count, false, programs).await?;
    step(&format!("The same while the {count} leads want a channel"));
    let (ground, _operator, beside) = created(count, true, programs).await?;
    let waiting = count as usize - assigned(&ground).await?.len();
    let begun = Instant::now();
    while assigned(&ground).await?.len() < count as usize {
        ensure!(
            begun.elapsed() < Duration::from_secs(60 + u64::from(count)),
            "not all leads got their channel"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let at = assigned(&ground).await?;
    let most = at
        .iter()
        .map(|from| at.iter().filter(|at| (*from..from + 60_000).contains(at)).count())
        .max()
        .unwrap_or(0);
    let took = (at.iter().max().unwrap_or(&0) - at.iter().min().unwrap_or(&0)) as f64 / 1000.0;
    result(&format!(
        "\n| {count} channels and {SERVICES} services | |\n|---|---|"
    ));
    result(&format!(
        "| {SERVICES} services alone, all Ready after | {:.1} s |",
        alone.as_secs_f64()
    ));
    result(&format!(
        "| beside the channels, all Ready after | {:.1} s; ratio {:.2} |",
        beside.as_secs_f64(),
        beside.as_secs_f64() / alone.as_secs_f64()
    ));
    result(&format!(
        "| leads that waited for their channel then | {waiting} |"
    ));
    result(&format!("| all channels assigned within | {took:.0} s |"));
    result(&format!(
        "| assignments, and the most in any minute | {}, {most} |",
        at.len()
    ));
    ensure!(
        most <= LIMIT,
        "more assignments in a minute than the platform allows"
    );
    Ok(())
}

/// Applies the services, and at the same time objects for the other leads that want a channel, if they are
/// wanted. Returns how long it takes until all services are Ready.
async fn created(
    leads: u32,
    wanted_too: bool,
    programs: &build::Programs,
) -> Result<(Ground, Running, Duration)> {
    let platform = json!({"observeInterval": "10m"});
    let content = Content::of_leads(SERVICES + leads, 2000);
    let ground = ground("bench", programs, &content, platform).await?;
    let url = format!("http://127.0.0.1:{}/simulator/channels", ground.port);
    let channel = json!({"id": CHANNEL, "name": "North"});
    trial::http()?
        .post(url)
        .json(&channel)
        .send()
        .await?
        .error_for_status()?;
    let mut operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    calls(ground.port, true).await?;
    let begun = Instant::now();
    let ready = async {
        apply(&ground.client, 0..SERVICES).await?;
        all_ready(&ground.client, SERVICES, Duration::from_secs(600)).await?;
        anyhow::Ok(begun.elapsed())
    };
    let with_channel = if wanted_too { leads } else { 0 };
    let (took, ()) = tokio::try_join!(ready, wanted(&ground, SERVICES..SERVICES + with_channel))?;
    operator.check()?;
    for (endpoint, times) in calls(ground.port, true).await? {
        note(&format!("{endpoint}: {times} calls"));
    }
    note(&format!(
        "all {SERVICES} services are Ready after {:.1} s",
        took.as_secs_f64()
    ));
    Ok((ground, operator, took))
}

async fn wanted(ground: &Ground, leads: std::ops::Range<u32>) -> Result<()> {
    let api = Api::<Lead>::namespaced(ground.client.clone(), NAMESPACE);
    let made = stream::iter(leads).map(|number| {
        let api = &api;
        async move {
            let lead = serde_json::from_value(json!({
                "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead",
                "metadata": {"name": format!("customer-{number}"), "namespace": NAMESPACE},
                "spec": {"msTenantId": tenant(number), "channelId": CHANNEL},
            }))?;
            api.create(&PostParams::default(), &lead).await?;
            anyhow::Ok(())
        }
    });
    made.buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// When the platform executed each assignment, in milliseconds.
async fn assigned(ground: &Ground) -> Result<Vec<u64>> {
    let url = format!("http://127.0.0.1:{}/simulator/log", ground.port);
    let log: Vec<Value> = trial::http()?.get(url).send().await?.json().await?;
    let executed = log
        .iter()
        .filter(|call| call["endpoint"] == "channels.assign" && call["status"] == 200);
    Ok(executed
        .filter_map(|call| call["milliseconds"].as_u64())
        .collect())
}

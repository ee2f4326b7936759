//! Measures a policy that makes services of a part of the leads, while the operator is killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use control_plane::{Running, audit, manifests};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oc_api::{Lead, OcEssentialService};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Ground, NAMESPACE, is_ready, per_object, writes};
use crate::progress::{note, result, step};
use crate::{build, trial};

/// The policy's limit of services that are not Ready yet.
const IN_PROGRESS: usize = 5;
/// How often the operator is killed.
const KILLS: u64 = 10;

/// Creates a policy for the leads from Belgium, kills the operator ten times while it is followed, and prints
/// how long that takes and what the simulator has counted. The operator runs at the start and at the end.
///
/// # Errors
/// If not every such lead becomes a Ready service, one of them gets a second object or a second service, or
/// more are in progress at once than the policy allows.
pub async fn run(ground: &Ground, task: u64, programs: &build::Programs, operator: Running) -> Result<()> {
    let wanted = belgian(ground).await?;
    let count = u32::try_from(wanted.len())?;
    step(&format!(
        "A policy makes services of {count} leads, at most {IN_PROGRESS} at once; the operator is killed {KILLS} times"
    ));
    let policy = json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy",
        "metadata": {"name": "belgium", "namespace": NAMESPACE},
        "spec": {
            "platform": "default",
            "matchConditions": [{"name": "from-belgium", "expression": "'BE' in lead.status.countries"}],
            "template": {"spec": {"mode": "Apply"}},
            "limits": {"inProgress": IN_PROGRESS, "perDay": 10_000},
        },
    });
    let mark = audit::end(&ground.audit_log()?)?;
    let begun = Instant::now();
    manifests::apply_all(&ground.client, &policy.to_string()).await?;
    let most_life = Duration::from_millis(15) * count;
    let (mut operator, made_at_kills) = killed(ground, programs, operator, most_life).await?;
    all_ready(ground, count).await?;
    let took = begun.elapsed();
    operator.check()?;
    // What is left to write is written now, and nothing else may come.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let objects: BTreeSet<String> = services(ground)
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    ensure!(objects == wanted, "not one service object for each lead");
    let most = judge(ground, wanted.len(), task).await?;
    result(&format!("\n| a policy and {count} leads | |\n|---|---|"));
    result(&format!(
        "| all services Ready after | {:.1} s |",
        took.as_secs_f64()
    ));
    result(&format!(
        "| kills, and services that existed then | {KILLS}: {made_at_kills:?} |"
    ));
    result(&format!(
        "| services of the simulator, for as many tenants | {} |",
        wanted.len()
    ));
    result(&format!(
        "| most in progress at once, as the simulator saw it | {most}; the limit is {IN_PROGRESS} |"
    ));
    for ((verb, resource), times) in audit::count(&writes(ground, mark)?, "oc-essentials-operator") {
        per_object(&format!("API server: {verb} {resource}"), times as u64, count);
    }
    Ok(())
}

/// The names of the leads from Belgium.
async fn belgian(ground: &Ground) -> Result<BTreeSet<String>> {
    let api = Api::<Lead>::namespaced(ground.client.clone(), NAMESPACE);
    let leads = api.list(&ListParams::default().match_any()).await?.items;
    let countries = |lead: &Lead| {
        lead.status
            .as_ref()
            .map(|status| status.countries.clone())
            .unwrap_or_default()
    };
    let from_belgium = leads
        .iter()
        .filter(|lead| countries(lead).iter().any(|country| country == "BE"));
    Ok(from_belgium.map(ResourceExt::name_any).collect())
}

/// Kills the operator at uneven moments, each time with services under way. It lives at most so long between
/// two of them. Returns the last one, and how many service objects existed at each kill.
async fn killed(
    ground: &Ground,
    programs: &build::Programs,
    mut operator: Running,
    most_life: Duration,
) -> Result<(Running, Vec<usize>)> {
    let mut made = Vec::new();
    for number in 1..=KILLS {
        let life = Duration::from_millis(4_000 + number * 7_919 % 9_000).min(most_life);
        tokio::time::sleep(life).await;
        ensure!(operator.kill(), "the operator ended by itself");
        let objects = services(ground).await?;
        ensure!(
            objects.iter().any(|object| !is_ready(object)),
            "a kill with nothing under way proves nothing"
        );
        made.push(objects.len());
        operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    }
    Ok((operator, made))
}

async fn services(ground: &Ground) -> Result<Vec<OcEssentialService>> {
    let api = Api::<OcEssentialService>::namespaced(ground.client.clone(), NAMESPACE);
    Ok(api.list(&ListParams::default().match_any()).await?.items)
}

async fn all_ready(ground: &Ground, count: u32) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(180) + Duration::from_millis(400) * count;
    let mut told = Instant::now();
    loop {
        let objects = services(ground).await?;
        let ready = objects.iter().filter(|object| is_ready(object)).count();
        if ready == count as usize {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "only {ready} of {count} services are Ready"
        );
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            note(&format!("{ready} of {count} services are Ready"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Checks what the simulator has. Returns the most services that were in progress at one time: from the
/// request, which comes before the task's end by the duration of a task, until they are listed.
async fn judge(ground: &Ground, count: usize, task: u64) -> Result<usize> {
    let url = |path: &str| format!("http://127.0.0.1:{}/simulator/{path}", ground.port);
    let get =
        async |path: &str| -> Result<Value> { Ok(trial::http()?.get(url(path)).send().await?.json().await?) };
    let seen = get("services").await?;
    let creations: BTreeMap<String, u64> = serde_json::from_value(seen["creationsByTenant"].clone())?;
    ensure!(
        creations.len() == count && creations.values().all(|times| *times == 1),
        "not one service for each tenant"
    );
    let doubled = &get("calls").await?["tenantsWithTwoServices"];
    ensure!(doubled == &json!([]), "tenants with two services: {doubled}");
    let spans: Vec<(u64, u64)> = seen["services"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|service| {
            let created = service["createdAt"].as_u64()?;
            Some((created - task, service["listedFrom"].as_u64()?.max(created)))
        })
        .collect();
    ensure!(spans.len() == count, "{} services at the simulator", spans.len());
    let at = |time: u64| {
        spans
            .iter()
            .filter(|(from, to)| (*from..*to).contains(&time))
            .count()
    };
    let most = spans.iter().map(|(from, _)| at(*from)).max().unwrap_or_default();
    ensure!(most <= IN_PROGRESS, "{most} services were in progress at once");
    Ok(most)
}

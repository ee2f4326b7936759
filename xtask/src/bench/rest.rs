//! Measures what a program costs when all services are Ready: at rest, and after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use control_plane::{Running, audit};
use kube::Api;
use kube::api::{Patch, PatchParams};
use oc_api::LivePlatform;
use serde_json::{Value, json};

use super::contender::Contender;
use super::usage::{self, Usage};
use super::{Ground, calls, writes};
use crate::progress::{note, result};
use crate::trial;

/// How long after the last service is Ready the program counts as idle: longer than the observeInterval, after which the
/// LivePlatform tells of the last of them.
const SETTLED: Duration = Duration::from_secs(40);
/// How long its requests are counted after a restart, and how many objects it reads in each second beyond that.
const RESTARTED: Duration = Duration::from_secs(10);
const READ_PER_SECOND: u32 = 2_500;

/// Has the platform listed more often than while services are created.
///
/// # Errors
/// When the API server refuses.
pub async fn observe_often(ground: &Ground) -> Result<()> {
    let spec = json!({"spec": {"observeInterval": super::INTERVAL_AT_REST}});
    Api::<LivePlatform>::all(ground.client.clone())
        .patch("default", &PatchParams::default(), &Patch::Merge(spec))
        .await?;
    Ok(())
}

/// Leaves the program idle, measures it for some seconds, and prints the result. Returns what it had used at
/// the begin.
///
/// # Errors
/// When the program ends.
pub async fn idle(ground: &Ground, running: &mut Running, seconds: u64) -> Result<Usage> {
    note(&format!(
        "at rest: {} s to settle, and {seconds} s with observeInterval {}",
        SETTLED.as_secs(),
        super::INTERVAL_AT_REST
    ));
    tokio::time::sleep(SETTLED).await;
    running.check()?;
    let begin = usage::of(running.id())?;
    calls(ground.port, true).await?;
    let mark = audit::end(&ground.audit_log()?)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    running.check()?;
    let spent = usage::of(running.id())?.cpu - begin.cpu;
    let called = calls(ground.port, true).await?;
    memory("at rest", &begin);
    result(&format!(
        "| at rest for {seconds} s: CPU | {} ms |",
        spent.as_millis()
    ));
    result(&format!(
        "| at rest: CPU per list of the services | {} |",
        per_list(spent, &called)
    ));
    requests("at rest", writes(ground, mark)?.len(), &called);
    Ok(begin)
}

/// Kills the program, starts it again, and prints what that costs in the first seconds.
///
/// # Errors
/// When it has ended by itself, or can't be started again.
pub async fn restart(ground: &Ground, mut running: Running, contender: &Contender, count: u32) -> Result<()> {
    ensure!(running.kill(), "it ended by itself");
    let mark = audit::end(&ground.audit_log()?)?;
    calls(ground.port, true).await?;
    let mut running = contender.start(ground)?;
    let time = RESTARTED + Duration::from_secs((count / READ_PER_SECOND).into());
    tokio::time::sleep(time).await;
    running.check()?;
    let when = format!("{} s after a restart", time.as_secs());
    memory(&when, &usage::of(running.id())?);
    requests(
        &when,
        writes(ground, mark)?.len(),
        &calls(ground.port, false).await?,
    );
    Ok(())
}

/// Checks that each tenant has one service on the platform.
///
/// # Errors
/// When one has none or two.
pub async fn one_each(ground: &Ground, count: u32) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/simulator/state", ground.port);
    let state: Value = trial::http()?.get(&url).send().await?.json().await?;
    let twice = &state["tenantsWithTwoServices"];
    result(&format!(
        "| services on the platform | {} |\n| tenants with two services | {twice} |",
        state["services"]
    ));
    ensure!(
        state["services"] == count && twice == &json!([]),
        "not one service for each tenant"
    );
    Ok(())
}

fn memory(when: &str, used: &Usage) {
    result(&format!(
        "| {when}: memory | {:.1} MiB own, {:.1} MiB resident |",
        used.own, used.resident
    ));
}

fn requests(when: &str, writes: usize, called: &BTreeMap<String, u64>) {
    result(&format!("| {when}: writes to the API server | {writes} |"));
    for (endpoint, times) in called {
        result(&format!("| {when}: platform: {endpoint} | {times} |"));
    }
}

/// The CPU time for each list of the services. One round of the operator is one such list and one of the
/// leads, whose pages are a call each.
fn per_list(spent: Duration, called: &BTreeMap<String, u64>) -> String {
    let lists: u64 = ["services.list", "services.listV2"]
        .iter()
        .filter_map(|endpoint| called.get(*endpoint))
        .sum();
    if lists == 0 {
        return "no list in this time".to_owned();
    }
    format!(
        "{:.0} ms; lists: {lists}",
        spent.as_secs_f64() * 1000.0 / lists as f64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_one_list_of_the_services() {
        let spent = Duration::from_millis(90);
        let called = |counts: &[(&str, u64)]| {
            let counts = counts
                .iter()
                .map(|(endpoint, times)| ((*endpoint).to_owned(), *times));
            per_list(spent, &counts.collect())
        };
        assert_eq!(
            called(&[
                ("leads.list", 30),
                ("services.list", 2),
                ("services.listV2", 1),
                ("token", 5)
            ]),
            "30 ms; lists: 3"
        );
        assert_eq!(called(&[("leads.list", 3)]), "no list in this time");
    }
}

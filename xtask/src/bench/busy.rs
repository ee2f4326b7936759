//! Measures one program on a fresh API server: while it makes many services Ready, at rest, and after a restart.

use std::time::Duration;

use anyhow::Result;
use control_plane::audit;
use tokio::time::Instant;

use super::contender::Contender;
use super::figures::{Figures, written};
use super::usage::{self, Usage};
use super::{INTERVAL, Settings, all_ready, alone, apply, calls, fast, ground, per_object, rest, writes};
use crate::build;
use crate::progress::{note, result, step};

/// Measures a program with so many services, and prints the results.
///
/// # Errors
/// When something can't be started, or the services do not become Ready.
pub async fn run(
    contender: &Contender,
    count: u32,
    settings: &Settings,
    programs: &build::Programs,
) -> Result<Figures> {
    step(&format!(
        "{}: applying {} services as fast as the API server accepts them (5 ms a call, tasks of {} ms)",
        contender.name(),
        written(count),
        settings.task
    ));
    let mut platform = fast(INTERVAL);
    if let Some(grace) = &settings.grace {
        platform["createGrace"] = grace.as_str().into();
    }
    let ground = ground(contender.folder(), programs, count, settings.task, platform).await?;
    let server = ground.cluster.process_ids();
    let (before, server_alone) = alone::run(&ground.client, &server, count).await?;
    note(&format!(
        "the API server alone, a create, three patches and an event for each object: {:.1} s",
        before.as_secs_f64()
    ));
    let mut running = contender.start(&ground)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.check()?;
    let idle = usage::of(running.id())?;
    calls(ground.port, true).await?;
    let mark = audit::end(&ground.audit_log()?)?;
    let (begun, serves) = (Instant::now(), usage::cpu_of(&server)?);
    apply(&ground.client, 0..count).await?;
    let applied = begun.elapsed();
    // A program that makes one service after the other may take longer than the operator.
    let patience = Duration::from_secs(600) + Duration::from_millis(500) * count;
    all_ready(&ground.client, count, patience).await?;
    let ready = begun.elapsed();
    running.check()?;
    let used = usage::of(running.id())?;
    let server_ready = usage::cpu_of(&server)? - serves;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let busy = Busy {
        count,
        task: settings.task,
        before,
        applied,
        ready,
        idle,
        used,
        server_alone,
        server_ready,
    };
    busy.print(contender.name());
    for ((verb, resource), times) in audit::count(&writes(&ground, mark)?, "oc-essentials-operator") {
        per_object(&format!("API server: {verb} {resource}"), times as u64, count);
    }
    for (endpoint, times) in calls(ground.port, false).await? {
        per_object(&format!("platform: {endpoint}"), times, count);
    }
    let rested = rest::idle(&ground, &mut running, settings.rest_seconds).await?;
    rest::restart(&ground, running, contender).await?;
    rest::one_each(&ground, count).await?;
    Ok(busy.figures(&rested))
}

/// The results until all services are Ready.
struct Busy {
    count: u32,
    task: u64,
    /// How long the API server alone takes for the writes of [`alone::run`].
    before: Duration,
    applied: Duration,
    ready: Duration,
    idle: Usage,
    used: Usage,
    /// The CPU time of the API server and its etcd for these writes.
    server_alone: Duration,
    /// Their CPU time until all services are Ready.
    server_ready: Duration,
}

impl Busy {
    /// A time for each service, in milliseconds.
    fn each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1000.0 / f64::from(self.count)
    }

    fn print(&self, name: &str) {
        let (before, ready) = (self.before.as_secs_f64(), self.ready.as_secs_f64());
        let (idle, used) = (&self.idle, &self.used);
        result(&format!(
            "\n| {name}, {} services | |\n|---|---|",
            written(self.count)
        ));
        result(&format!(
            "| all applied after | {:.1} s |",
            self.applied.as_secs_f64()
        ));
        result(&format!("| all Ready after | {ready:.1} s |"));
        result(&format!(
            "| the API server alone, five writes per object | {before:.1} s; ratio {:.2} |",
            ready / before
        ));
        result(&format!(
            "| without the task | ratio {:.2} |",
            (ready - self.task as f64 / 1000.0) / before
        ));
        result(&format!(
            "| CPU per object | {:.2} ms |",
            self.each(used.cpu - idle.cpu)
        ));
        result(&format!(
            "| CPU of the API server per object | {:.1} ms; alone {:.1} ms; ratio {:.2} |",
            self.each(self.server_ready),
            self.each(self.server_alone),
            self.server_ready.as_secs_f64() / self.server_alone.as_secs_f64()
        ));
        result(&format!(
            "| own memory, without the program's files | {:.1} MiB at the end, {:.1} MiB before |",
            used.own, idle.own
        ));
        result(&format!(
            "| resident memory | {:.1} MiB at the end, {:.1} MiB peak, {:.1} MiB before |",
            used.resident, used.peak, idle.resident
        ));
    }

    /// The line of the last table. The memory of a service is what is left of it at rest.
    fn figures(&self, rested: &Usage) -> Figures {
        Figures {
            services: self.count,
            ready: self.ready.as_secs_f64(),
            ratio: self.ready.as_secs_f64() / self.before.as_secs_f64(),
            cpu: self.each(self.used.cpu - self.idle.cpu),
            memory: (rested.own - self.idle.own) * 1024.0 / f64::from(self.count),
            resident: rested.peak,
            server: self.each(self.server_ready),
        }
    }
}

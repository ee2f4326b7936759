//! Measures one program on a fresh API server: while it makes many services Ready, at rest, and after a restart.

use std::time::Duration;

use anyhow::Result;
use control_plane::audit;
use tokio::time::Instant;

use super::contender::Contender;
use super::figures::{Figures, written};
use super::floor::{Cost, Floor};
use super::usage::{self, Usage};
use super::{Content, INTERVAL, Settings, all_ready, apply, calls, fast, ground, per_object, rest, writes};
use crate::build;
use crate::progress::{result, step};

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
    let content = Content {
        leads: count + settings.listed,
        services: settings.listed,
        task: settings.task,
    };
    let ground = ground(contender.folder(), programs, &content, platform).await?;
    let server = ground.cluster.process_ids();
    let slimmest = Floor::Slimmest.run(&ground.client, &server, count).await?;
    let own_writes = Floor::OwnWrites.run(&ground.client, &server, count).await?;
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
        slimmest,
        own_writes,
        applied,
        ready,
        idle,
        used,
        server_ready,
    };
    busy.print(contender.name());
    for ((verb, resource), times) in audit::count(&writes(&ground, mark)?, "oc-essentials-operator") {
        per_object(&format!("API server: {verb} {resource}"), times as u64, count);
    }
    for (endpoint, times) in calls(ground.port, false).await? {
        per_object(&format!("platform: {endpoint}"), times, count);
    }
    rest::observe_often(&ground).await?;
    let rested = rest::idle(&ground, &mut running, settings.rest_seconds).await?;
    rest::restart(&ground, running, contender, count).await?;
    rest::one_each(&ground, count + settings.listed).await?;
    Ok(busy.figures(&rested))
}

/// The results until all services are Ready.
struct Busy {
    count: u32,
    task: u64,
    /// What the API server alone takes for the writes of the slimmest operator.
    slimmest: Cost,
    /// What it takes for the writes of this one.
    own_writes: Cost,
    applied: Duration,
    ready: Duration,
    idle: Usage,
    used: Usage,
    /// The CPU time of the API server and its etcd until all services are Ready.
    server_ready: Duration,
}

impl Busy {
    /// A time for each service, in milliseconds.
    fn each(&self, time: Duration) -> f64 {
        millis(time) / f64::from(self.count)
    }

    /// The time until all are Ready, without so much of it, divided by what the API server alone takes.
    fn ratio(&self, floor: &Cost, without: Duration) -> f64 {
        self.each(self.ready.saturating_sub(without)) / millis(floor.time)
    }

    fn print(&self, name: &str) {
        let (idle, used) = (&self.idle, &self.used);
        result(&format!(
            "\n| {name}, {} services | |\n|---|---|",
            written(self.count)
        ));
        result(&format!(
            "| all applied after | {:.1} s |\n| all Ready after | {:.1} s |",
            self.applied.as_secs_f64(),
            self.ready.as_secs_f64()
        ));
        let task = Duration::from_millis(self.task);
        for (of, floor) in [
            ("its own writes", &self.own_writes),
            ("the slimmest operator", &self.slimmest),
        ] {
            result(&format!(
                "| the API server alone, with {of} | {:.1} s; ratio {:.2}, without the task {:.2} |",
                floor.time.as_secs_f64() * f64::from(self.count),
                self.ratio(floor, Duration::ZERO),
                self.ratio(floor, task)
            ));
            let server = self.each(self.server_ready);
            result(&format!(
                "| CPU of the API server per object | {server:.1} ms; with {of} {:.1} ms; ratio {:.2} |",
                millis(floor.cpu),
                server / millis(floor.cpu)
            ));
        }
        result(&format!(
            "| CPU per object | {:.2} ms |",
            self.each(used.cpu - idle.cpu)
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
        let server = self.each(self.server_ready);
        Figures {
            services: self.count,
            ready: self.ready.as_secs_f64(),
            ratio: self.ratio(&self.own_writes, Duration::ZERO),
            slimmest: self.ratio(&self.slimmest, Duration::ZERO),
            cpu: self.each(self.used.cpu - self.idle.cpu),
            busy: self.used.own - self.idle.own,
            memory: (rested.own - self.idle.own) * 1024.0 / f64::from(self.count),
            resident: rested.peak,
            server,
            server_slimmest: server / millis(self.slimmest.cpu),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

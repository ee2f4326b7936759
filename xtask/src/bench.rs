//! Measures what the operator costs, compared with what the API server alone takes for the same writes in the
//! same minute.

mod channels;
mod discovery;
mod policy;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use control_plane::{ControlPlane, audit, manifests};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::progress::{note, result, step};
use crate::{build, trial};

/// What is measured. With OPERATORCONNECT_IMAGE_ROOT, it measures the operator of the image that `cargo xtask
/// image --unpack` left there.
#[derive(Args)]
pub struct Settings {
    /// How many services to apply, as fast as the API server accepts them
    #[arg(long, default_value_t = 1000)]
    services: u32,
    /// How many services to watch while idle
    #[arg(long, default_value_t = 100)]
    resting: u32,
    /// How many seconds to stay idle, with observeInterval 5s
    #[arg(long, default_value_t = 120)]
    rest_seconds: u64,
    /// How long a task takes on the simulated platform, in milliseconds
    #[arg(long, default_value_t = 2000)]
    task: u64,
    /// Measure instead the discovery of this many leads, and a policy that makes services of a tenth of them
    /// while the operator is killed ten times
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["services", "resting", "rest_seconds", "task"])]
    leads: Option<u32>,
    /// Measure instead whether assigning this many channels holds up the creation of services
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["services", "resting", "rest_seconds", "task", "leads"])]
    channels: Option<u32>,
}

/// How many requests the measurement itself has in flight.
const AT_ONCE: usize = 64;
/// How many events it writes at the same time.
const TOLD_AT_ONCE: usize = 4;
/// The namespace of the services.
pub const NAMESPACE: &str = "customers";

/// Runs the measurement.
///
/// # Errors
/// When something can't be built or started, or the objects do not become Ready.
pub fn run(settings: &Settings) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(settings))
}

async fn measure(settings: &Settings) -> Result<bool> {
    step("Building the operator and the simulated platform in release mode");
    let mut programs = build::programs(true)?;
    if let Some(operator) = control_plane::operator_of_image()? {
        note(&format!(
            "using the operator of the image: {}",
            operator.display()
        ));
        programs.operator = operator;
    }
    if let Some(leads) = settings.leads {
        discovery::run(leads, &programs).await?;
        return Ok(true);
    }
    if let Some(channels) = settings.channels {
        channels::run(channels, &programs).await?;
        return Ok(true);
    }
    busy(settings, &programs).await?;
    rest(settings, &programs).await?;
    Ok(true)
}

/// The environment of a measurement.
pub struct Ground {
    /// The control plane with the API server.
    pub cluster: ControlPlane,
    /// A client with an administrator's rights.
    pub client: Client,
    /// The operator's release.
    pub release: control_plane::Release,
    /// The simulator's port.
    pub port: u16,
    _simulator: control_plane::Running,
    /// The file of the operator's log.
    pub log: std::path::PathBuf,
}

/// Sets up an API server and a simulated platform with a lead for each service, in a folder of this name. Every
/// tenth lead is from Belgium.
///
/// # Errors
/// When something can't be started.
pub async fn ground(
    name: &str,
    programs: &build::Programs,
    services: u32,
    task: u64,
    platform: Value,
) -> Result<Ground> {
    let folder = build::target().join(name);
    std::fs::create_dir_all(&folder)?;
    let cluster = ControlPlane::start(control_plane::Options {
        keep: Some(folder.clone()),
        progress: note,
    })
    .await?;
    let client = cluster.client();
    let release = trial::install(&cluster).await?;
    let port = control_plane::free_port(0)?;
    let leads: Vec<Value> = (0..services)
        .map(|number| {
            let country = if number % 10 == 0 { "BE" } else { "DE" };
            json!({"tenantId": tenant(number), "companyName": format!("Customer {number}"), "countries": [country]})
        })
        .collect();
    let seed = folder.join("seed.json");
    std::fs::write(
        &seed,
        json!({"leads": leads, "settings": {"latency": 5, "taskDuration": task}}).to_string(),
    )?;
    let simulator = trial::simulator(
        &programs.simulator,
        port,
        Some(&seed),
        &folder.join("simulator.log"),
    )
    .await?;
    let log = folder.join("operator.log");
    let _absent = std::fs::remove_file(&log);
    for text in [
        include_str!("../../examples/00-namespaces.yaml").to_owned(),
        trial::platform(port, platform)?,
    ] {
        manifests::apply_all(&client, &text).await?;
    }
    Ok(Ground {
        cluster,
        client,
        release,
        port,
        _simulator: simulator,
        log,
    })
}

fn tenant(number: u32) -> String {
    format!("bbbbbbbb-0000-4000-8000-{number:012x}")
}

/// A platform that takes as many calls as the operator can make.
fn fast(interval: &str) -> Value {
    json!({"observeInterval": interval, "requests": {"perSecond": 1000, "burst": 1000, "inFlight": 16}})
}

fn object(number: u32, namespace: &str) -> Result<OcEssentialService> {
    let name = format!("customer-{number}");
    Ok(serde_json::from_value(json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": namespace},
        "spec": {"msTenantId": tenant(number), "shortName": format!("C{number}_x"), "fullName": format!("Customer {number}")},
    }))?)
}

/// Applies services as fast as the API server takes them.
///
/// # Errors
/// When a create fails.
pub async fn apply(client: &Client, services: std::ops::Range<u32>) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(client.clone(), NAMESPACE);
    stream::iter(services)
        .map(|number| {
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &object(number, NAMESPACE)?)
                    .await
                    .map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Waits until this many services are Ready.
///
/// # Errors
/// When they are not Ready within `patience`.
pub async fn all_ready(client: &Client, services: u32, patience: Duration) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(client.clone(), NAMESPACE);
    let until = Instant::now() + patience;
    loop {
        let objects = api.list(&ListParams::default().match_any()).await?.items;
        let ready = objects.iter().filter(|object| is_ready(object)).count();
        if ready == services as usize {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "only {ready} of {services} are Ready after {} s",
            patience.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a service is Ready.
pub fn is_ready(object: &OcEssentialService) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// The namespace for the same writes without an operator.
const ALONE: &str = "alone";

/// Makes the same writes without an operator: for each object its create, its mark, its status twice, and
/// an event.
async fn alone(client: &Client, services: u32) -> Result<Duration> {
    manifests::apply_all(
        client,
        &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {ALONE}\n"),
    )
    .await?;
    let begun = Instant::now();
    let lives = async {
        stream::iter(0..services)
            .map(|number| life(client, number))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    };
    let told = async {
        stream::iter(0..services)
            .map(|number| tell(client, number))
            .buffer_unordered(TOLD_AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    };
    tokio::try_join!(lives, told)?;
    let took = begun.elapsed();
    // The operator must not see them, so they are removed before it starts.
    let api = Api::<OcEssentialService>::namespaced(client.clone(), ALONE);
    for object in api.list(&ListParams::default()).await? {
        let free = json!({"metadata": {"finalizers": null}});
        api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(free))
            .await?;
    }
    api.delete_collection(&Default::default(), &ListParams::default())
        .await?;
    Ok(took)
}

async fn life(client: &Client, number: u32) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(client.clone(), ALONE);
    let made = api
        .create(&PostParams::default(), &object(number, ALONE)?)
        .await?;
    let name = made.name_any();
    let mark = json!({"metadata": {"resourceVersion": made.resource_version(), "finalizers": ["operatorconnect.dev/external"], "annotations": {"operatorconnect.dev/operation": "{}"}}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(mark))
        .await?;
    for reason in ["Converting", "Succeeded"] {
        let status = json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        api.patch_status(&name, &PatchParams::apply("alone").force(), &Patch::Apply(status))
            .await?;
    }
    Ok(())
}

async fn tell(client: &Client, number: u32) -> Result<()> {
    let event: Event = serde_json::from_value(json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": format!("alone.{number}"), "namespace": ALONE},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "operatorconnect.dev/alone", "reportingInstance": "alone",
        "action": "Convert", "reason": "ConversionRequested", "type": "Normal", "note": "Asked the platform to convert the lead to an OC Essential service.",
        "regarding": {"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "namespace": ALONE, "name": format!("customer-{number}")},
    }))?;
    Api::<Event>::namespaced(client.clone(), ALONE)
        .create(&PostParams::default(), &event)
        .await?;
    Ok(())
}

async fn busy(settings: &Settings, programs: &build::Programs) -> Result<()> {
    let count = settings.services;
    step(&format!(
        "Applying {count} services as fast as the API server accepts them (5 ms a call, tasks of {} ms)",
        settings.task
    ));
    let ground = ground("bench", programs, count, settings.task, fast("10m")).await?;
    let server = ground.cluster.process_ids();
    let unused = cpu_of(&server)?;
    let before = alone(&ground.client, count).await?;
    let cpu_alone = cpu_of(&server)? - unused;
    note(&format!(
        "the API server alone, one create, three writes and one event for each object: {:.1} s",
        before.as_secs_f64()
    ));
    let mut operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = usage(operator.id())?;
    calls(ground.port, true).await?;
    let log = ground.cluster.audit_log().context("an audit log")?;
    let mark = audit::end(&log)?;
    let (begun, serves) = (Instant::now(), cpu_of(&server)?);
    apply(&ground.client, 0..count).await?;
    let applied = begun.elapsed();
    all_ready(&ground.client, count, Duration::from_secs(600)).await?;
    let ready = begun.elapsed();
    operator.check()?;
    let used = usage(operator.id())?;
    let server = ServerCpu {
        alone: cpu_alone,
        with_operator: cpu_of(&server)? - serves,
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    let requests = audit::since(&log, mark)?;
    let writes: Vec<_> = requests.into_iter().filter(audit::Request::writes).collect();
    let counts = audit::count(&writes, "oc-essentials-operator");
    Busy {
        count,
        task: settings.task,
        before,
        applied,
        ready,
        idle,
        used,
        server,
    }
    .print();
    for ((verb, resource), times) in counts {
        per_object(&format!("API server: {verb} {resource}"), times as u64, count);
    }
    for (endpoint, times) in calls(ground.port, false).await? {
        per_object(&format!("platform: {endpoint}"), times, count);
    }
    Ok(())
}

fn per_object(what: &str, times: u64, count: u32) {
    let each = times as f64 / f64::from(count);
    result(&format!("| {what} per object | {each:.3} |"));
}

/// The results of the measurement with many services.
struct Busy {
    count: u32,
    task: u64,
    /// How long the API server alone takes for the same writes.
    before: Duration,
    applied: Duration,
    ready: Duration,
    idle: Usage,
    used: Usage,
    server: ServerCpu,
}

/// What the API server and its etcd spend.
struct ServerCpu {
    /// On the same writes without an operator.
    alone: Duration,
    with_operator: Duration,
}

impl Busy {
    fn print(&self) {
        let (before, ready) = (self.before.as_secs_f64(), self.ready.as_secs_f64());
        let (idle, used) = (&self.idle, &self.used);
        result(&format!("\n| {} services | |\n|---|---|", self.count));
        result(&format!(
            "| all applied after | {:.1} s |",
            self.applied.as_secs_f64()
        ));
        result(&format!("| all Ready after | {ready:.1} s |"));
        result(&format!(
            "| the API server alone, same writes | {before:.1} s; ratio {:.2} |",
            ready / before
        ));
        result(&format!(
            "| without the task | ratio {:.2} |",
            (ready - self.task as f64 / 1000.0) / before
        ));
        result(&format!(
            "| CPU per object | {:.2} ms |",
            (used.cpu - idle.cpu).as_secs_f64() * 1000.0 / f64::from(self.count)
        ));
        let each = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / f64::from(self.count);
        result(&format!(
            "| CPU of the API server per object | {:.1} ms; alone {:.1} ms; ratio {:.2} |",
            each(self.server.with_operator),
            each(self.server.alone),
            self.server.with_operator.as_secs_f64() / self.server.alone.as_secs_f64()
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
}

async fn rest(settings: &Settings, programs: &build::Programs) -> Result<()> {
    let count = settings.resting;
    step(&format!(
        "Leaving {count} services idle for {} s, with observeInterval 5s",
        settings.rest_seconds
    ));
    let ground = ground("bench", programs, count, 500, fast("5s")).await?;
    let operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    apply(&ground.client, 0..count).await?;
    all_ready(&ground.client, count, Duration::from_secs(120)).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let log = ground.cluster.audit_log().context("an audit log")?;
    let writes = |since| -> Result<usize> {
        Ok(audit::since(&log, since)?
            .iter()
            .filter(|request| request.user.ends_with("oc-essentials-operator") && request.writes())
            .count())
    };
    calls(ground.port, true).await?;
    let mark = audit::end(&log)?;
    tokio::time::sleep(Duration::from_secs(settings.rest_seconds)).await;
    result(&format!(
        "\n| {count} idle services, {} s | |\n|---|---|",
        settings.rest_seconds
    ));
    result(&format!("| writes to the API server | {} |", writes(mark)?));
    for (endpoint, times) in calls(ground.port, true).await? {
        result(&format!("| platform: {endpoint} | {times} |"));
    }
    drop(operator);
    let mark = audit::end(&log)?;
    let _operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    result(&format!("| writes after a restart | {} |", writes(mark)?));
    for (endpoint, times) in calls(ground.port, false).await? {
        result(&format!(
            "| platform, in the 4 s after a restart: {endpoint} | {times} |"
        ));
    }
    Ok(())
}

async fn calls(port: u16, reset: bool) -> Result<BTreeMap<String, u64>> {
    let url = format!("http://127.0.0.1:{port}/simulator/calls");
    let http = trial::http()?;
    let answer: Value = http.get(&url).send().await?.json().await?;
    if reset {
        http.delete(&url).send().await?;
    }
    Ok(serde_json::from_value(answer["byEndpoint"].clone())?)
}

/// The resources that a process has used.
struct Usage {
    cpu: Duration,
    /// In MiB.
    resident: f64,
    /// In MiB.
    peak: f64,
    /// What is not backed by a file, in MiB.
    own: f64,
}

/// The CPU time of several processes.
fn cpu_of(processes: &[u32]) -> Result<Duration> {
    processes.iter().map(|id| Ok(usage(*id)?.cpu)).sum()
}

fn usage(id: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))
        .with_context(|| format!("process {id} is not running"))?;
    // The second field is the name in parentheses. After it, user and system time are the 12th and 13th
    // fields, in hundredths of a second.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|kib| kib.parse::<f64>().ok())
            .unwrap_or_default()
            / 1024.0
    };
    Ok(Usage {
        cpu: Duration::from_millis(ticks * 10),
        resident: mebibytes("VmRSS:"),
        peak: mebibytes("VmHWM:"),
        own: mebibytes("RssAnon:"),
    })
}

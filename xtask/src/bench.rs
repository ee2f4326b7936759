//! Measures what the operator costs, compared with what the API server alone takes in the same minute for the
//! writes that a service needs at least.

mod busy;
mod channels;
mod contender;
mod discovery;
mod fairness;
mod figures;
mod floor;
mod heap;
mod outage;
mod picture;
mod policy;
mod rest;
mod storm;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use control_plane::{ControlPlane, audit, manifests};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::progress::{note, result, step};
use crate::{build, trial};
use contender::Contender;
use figures::Figures;

/// What is measured. With OPERATORCONNECT_IMAGE_ROOT, it measures the operator of the image that `cargo xtask
/// image --unpack` left there.
#[derive(Args)]
pub struct Settings {
    /// How many services to apply, as fast as the API server accepts them; of several numbers, each is
    /// measured on a fresh API server
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',', default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..))]
    services: Vec<u32>,
    /// How many times to measure each, to print the median of each figure
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// For how many seconds to measure the services at rest, with observeInterval 30s
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    rest_seconds: u64,
    /// How long a task takes on the simulated platform, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    task: u64,
    /// How many leads and services the platform lists besides, for which there is no object: what the lists alone
    /// cost
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    listed: u32,
    /// createGrace of the LivePlatform, such as 1m [default: the default of its schema]
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// Measure this program too, each time after the operator and on a fresh API server: a command, or
    /// controller-runtime for the operator in bench/controller-runtime
    ///
    /// controller-runtime is an operator in Go on sigs.k8s.io/controller-runtime, which does only the main job.
    /// It is built first.
    ///
    /// A command takes the operator's place: it converts the leads of the same OcEssentialService objects, in the
    /// namespace customers, and sets their condition Ready to True. It is started by `sh`, with two variables
    /// in its environment:
    ///
    /// KUBECONFIG: a file with a token of the operator's service account, whose rights are those of the
    /// chart: it may list, watch and patch the objects, and patch their status, but not update them.
    ///
    /// PLATFORM_URL: the address of the simulated platform, as in spec.url of the LivePlatform `default`.
    /// That object says where to get a token for it, and with which Secret.
    ///
    /// Only this one process is measured, not its children. It is killed and started again once.
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
    /// Write a picture (SVG) of CPU and memory per service for each number of services into this file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Run the operator under heaptrack, which slows it down, and print where its memory is
    #[arg(long)]
    heap: bool,
    /// Measure instead the discovery of this many leads, and a policy that makes services of a tenth of them
    /// while the operator is killed ten times
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["services", "runs", "rest_seconds", "task", "listed", "grace", "against", "picture"])]
    leads: Option<u32>,
    /// Measure instead whether assigning this many channels holds up the creation of services
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["services", "runs", "rest_seconds", "task", "listed", "grace", "against", "picture", "leads"])]
    channels: Option<u32>,
    /// Measure instead an outage of the platform with this many services, a tenth of which wait for lost answers,
    /// for --rest-seconds
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(10..),
        conflicts_with_all = ["services", "runs", "task", "listed", "against", "picture", "leads", "channels"])]
    outage: Option<u32>,
    /// Measure instead how soon a new service gets its first look beside this many others, at rest and while all of
    /// them want one each second
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["services", "runs", "rest_seconds", "task", "listed", "grace", "against", "picture", "leads", "channels", "outage"])]
    storm: Option<u32>,
    /// Measure instead how fairly this many services wait for each other while twice as many come as can be
    /// served
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["services", "runs", "rest_seconds", "task", "listed", "grace", "against", "picture", "leads", "channels", "outage", "storm"])]
    fairness: Option<u32>,
}

/// How many requests the measurement itself has in flight.
const AT_ONCE: usize = 64;
/// The observeInterval of the LivePlatform while the services are created: the default.
const INTERVAL: &str = "10m";
/// That while they are at rest, so that a list or two come in the time that is measured.
const INTERVAL_AT_REST: &str = "30s";
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
    ensure!(
        settings.picture.is_none() || settings.services.len() > 1,
        "--picture needs at least two numbers in --services"
    );
    step("Building the operator and the simulated platform in release mode");
    let mut programs = build::programs(true)?;
    if let Some(operator) = control_plane::operator_of_image()? {
        // heaptrack can't be loaded into a static program.
        ensure!(
            !settings.heap,
            "--heap needs the program of this build: unset OPERATORCONNECT_IMAGE_ROOT"
        );
        note(&format!(
            "using the operator of the image: {}",
            operator.display()
        ));
        programs.operator = operator;
    }
    let heap = settings.heap.then(heap::Heap::new).transpose()?;
    if let Some(heap) = &heap {
        programs.operator = heap.wrap(&programs.operator)?;
    }
    let done = match other_than_sizes(settings, &programs).await {
        Some(done) => done.map(|()| true),
        None => sizes(settings, &programs).await,
    }?;
    heap.map_or(Ok(()), |heap| heap.print())?;
    Ok(done)
}

/// What is measured instead of services that become Ready; `None` if nothing else is wanted.
async fn other_than_sizes(settings: &Settings, programs: &build::Programs) -> Option<Result<()>> {
    if let Some(leads) = settings.leads {
        return Some(discovery::run(leads, programs).await);
    }
    if let Some(channels) = settings.channels {
        return Some(channels::run(channels, programs).await);
    }
    if let Some(services) = settings.outage {
        let (grace, seconds) = (settings.grace.as_deref(), settings.rest_seconds);
        return Some(outage::run(services, seconds, grace, programs).await);
    }
    if let Some(services) = settings.storm {
        return Some(storm::run(services, programs).await);
    }
    let services = settings.fairness?;
    Some(fairness::run(services, programs).await)
}

/// Measures each number of services. Returns whether the program of `--against` got through all of them.
async fn sizes(settings: &Settings, programs: &build::Programs) -> Result<bool> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let operator = Contender::Ours(programs.operator.clone());
    let other = settings.against.as_deref().map(Contender::against).transpose()?;
    let mut failed = false;
    for count in &settings.services {
        ours.push(runs(&operator, *count, settings, programs).await?);
        let Some(other) = other.as_ref().filter(|_| !failed) else {
            continue;
        };
        match runs(other, *count, settings, programs).await {
            Ok(figures) => theirs.push(figures),
            // The figures of the operator are wanted all the same.
            Err(error) => {
                note(&format!(
                    "{} is not measured any further: {error:#}",
                    other.name()
                ));
                failed = true;
            }
        }
    }
    if settings.services.len() > 1 || settings.runs > 1 || other.is_some() {
        figures::print(operator.name(), &ours);
    }
    if let Some(other) = &other {
        figures::print(other.name(), &theirs);
    }
    if let Some(file) = &settings.picture {
        std::fs::write(file, picture::draw(&ours))
            .with_context(|| format!("can't write {}", file.display()))?;
        note(&format!("the picture is in {}", file.display()));
    }
    Ok(!failed)
}

/// Measures a program several times with so many services, and returns the median of each figure.
async fn runs(
    contender: &Contender,
    count: u32,
    settings: &Settings,
    programs: &build::Programs,
) -> Result<Figures> {
    let mut all = Vec::new();
    for _ in 0..settings.runs {
        all.push(busy::run(contender, count, settings, programs).await?);
    }
    if settings.runs > 1 {
        figures::print(&format!("{}, one line for each run", contender.name()), &all);
    }
    Ok(Figures::median(&all))
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
    pub log: PathBuf,
}

impl Ground {
    /// The file of the API server's audit log.
    ///
    /// # Errors
    /// When it keeps none.
    pub fn audit_log(&self) -> Result<PathBuf> {
        self.cluster.audit_log().context("an audit log")
    }
}

/// What the simulated platform has when a measurement begins.
pub struct Content {
    /// How many leads. Every tenth is from Belgium.
    pub leads: u32,
    /// How many of them, the last ones, have a service.
    pub services: u32,
    /// How long a task takes, in milliseconds.
    pub task: u64,
}

impl Content {
    /// So many leads without a service.
    pub fn of_leads(leads: u32, task: u64) -> Self {
        Self {
            leads,
            services: 0,
            task,
        }
    }

    fn seed(&self) -> Value {
        let lead = |number: u32| {
            let country = if number.is_multiple_of(10) { "BE" } else { "DE" };
            json!({"tenantId": tenant(number), "companyName": full_name(number), "countries": [country]})
        };
        let service = |number: u32| json!({"tenantId": tenant(number), "shortName": short_name(number), "fullName": full_name(number)});
        let leads: Vec<Value> = (0..self.leads).map(lead).collect();
        let services: Vec<Value> = (self.leads - self.services..self.leads).map(service).collect();
        let settings = json!({"latency": 5, "taskDuration": self.task, "secondCreate": "allowed"});
        json!({"leads": leads, "services": services, "settings": settings})
    }
}

/// Sets up an API server and a simulated platform, in a folder of this name.
///
/// # Errors
/// When something can't be started.
pub async fn ground(
    name: &str,
    programs: &build::Programs,
    content: &Content,
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
    let seed = folder.join("seed.json");
    std::fs::write(&seed, content.seed().to_string())?;
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

fn short_name(number: u32) -> String {
    format!("C{number}_x")
}

fn full_name(number: u32) -> String {
    format!("Customer {number}")
}

/// A platform that takes as many calls as the operator can make.
fn fast(interval: &str) -> Value {
    json!({"observeInterval": interval, "requests": {"perSecond": 1000, "burst": 1000, "inFlight": 16}})
}

fn object(number: u32, namespace: &str) -> Result<OcEssentialService> {
    let name = format!("customer-{number}");
    Ok(serde_json::from_value(json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name, "namespace": namespace},
        "spec": {"msTenantId": tenant(number), "shortName": short_name(number), "fullName": full_name(number)},
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
    // A watch: lists of thousands of objects, one after the other, would be part of what is measured.
    let mut seen = watcher(api, watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut ready = BTreeSet::new();
    while ready.len() < services as usize {
        let Ok(next) = timeout_at(until, seen.next()).await else {
            bail!(
                "only {} of {services} are Ready after {} s",
                ready.len(),
                patience.as_secs()
            );
        };
        // After an error the watch begins again by itself.
        let Ok(object) = next.context("the watch has ended")? else {
            continue;
        };
        if is_ready(&object) {
            ready.insert(object.name_any());
        } else {
            ready.remove(&object.name_any());
        }
    }
    Ok(())
}

/// Starts the operator on a platform with so many leads and tasks of half a second, and has it make services of the
/// first of them.
///
/// # Errors
/// When something can't be started, or the services do not become Ready.
async fn with_ready(
    services: u32,
    leads: u32,
    platform: Value,
    programs: &build::Programs,
) -> Result<(Ground, control_plane::Running)> {
    let ground = ground("bench", programs, &Content::of_leads(leads, 500), platform).await?;
    let operator = trial::operator(&programs.operator, &ground.release, "info", &ground.log)?;
    apply(&ground.client, 0..services).await?;
    let patience = Duration::from_secs(600) + Duration::from_millis(100) * services;
    all_ready(&ground.client, services, patience).await?;
    Ok((ground, operator))
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

fn per_object(what: &str, times: u64, count: u32) {
    let each = times as f64 / f64::from(count);
    result(&format!("| {what} per object | {each:.3} |"));
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

/// What the operator, or a program in its place, has written to the API server since its audit log ended at
/// `mark`.
fn writes(ground: &Ground, mark: u64) -> Result<Vec<audit::Request>> {
    let ours =
        |request: &audit::Request| request.user.ends_with("oc-essentials-operator") && request.writes();
    Ok(audit::since(&ground.audit_log()?, mark)?
        .into_iter()
        .filter(ours)
        .collect())
}

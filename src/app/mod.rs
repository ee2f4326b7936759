//! Assembles the operator, holds every task in one set, and ends when one of them ends.

mod clients;
mod connections;
mod identity;
mod watches;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use oc_domain::election::Timing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::Instrument;

use self::clients::Clients;
use crate::cli::{LeaseSettings, Settings};
use crate::cluster::election::{self, ElectionHandle};
use crate::cluster::events::Recorder;
use crate::cluster::key::Kind;
use crate::cluster::scope::Scope;
use crate::controllers;
use crate::controllers::metrics::MetricsSink;
use crate::controllers::{Config, Context};
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use crate::telemetry::health::{Bounds, Health, StartStage};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::server;

/// How long writing the last events may take. Kept short, so as not to delay the replica that takes over the
/// lease.
const TO_TELL: Duration = Duration::from_millis(500);

/// Prints the CRDs.
///
/// # Errors
/// When standard output is closed.
pub fn print_crds() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for kind in Kind::ALL {
        writeln!(out, "---\n{}", kind.definition().trim_end()).context("standard output is closed")?;
    }
    Ok(())
}

/// Runs the controller until it is asked to stop.
///
/// # Errors
/// When the API server refuses, the CRDs are missing, or a task ends that should not.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    // One thread is enough for a hundred thousand objects (a pass takes less than a millisecond of CPU). Each
    // further one costs memory, and a wake-up of another thread for almost everything that passes hand on.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let result = runtime.block_on(controller(settings));
    // A pending name lookup must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Where a pod finds the name of its namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The settings of the lease, if leader election is on.
fn lease(settings: &LeaseSettings) -> anyhow::Result<Option<election::ElectionSettings>> {
    if !settings.leader_elect {
        return Ok(None);
    }
    let seconds = Duration::from_secs;
    let timing = Timing::new(
        seconds(settings.lease_duration),
        seconds(settings.lease_renew_deadline),
        seconds(settings.lease_retry),
    )
    .map_err(|wrong| anyhow::anyhow!("--lease-duration, --lease-renew-deadline, --lease-retry: {wrong}"))?;
    let namespace = settings
        .lease_namespace
        .clone()
        .or_else(|| line_of(POD_NAMESPACE));
    let namespace = namespace.context(
        "--leader-elect: not running in a pod, so the lease has no default namespace; use --lease-namespace",
    )?;
    let identity = format!(
        "{}_{}",
        replica(settings),
        identity::life(settings.pod_uid.as_deref())
    );
    Ok(Some(election::ElectionSettings {
        namespace,
        name: settings.lease_name.clone(),
        identity,
        timing,
    }))
}

/// The name of this replica.
fn replica(settings: &LeaseSettings) -> String {
    settings
        .lease_identity
        .clone()
        .or_else(|| line_of("/proc/sys/kernel/hostname"))
        .unwrap_or_else(|| "replica".into())
}

fn line_of(file: &str) -> Option<String> {
    std::fs::read_to_string(file)
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// Everything that exists before the first request to the API server.
struct App {
    clients: Clients,
    context: Arc<Context>,
    health: Arc<Health>,
    /// They serve as long as this is held.
    _servers: JoinSet<()>,
}

impl App {
    /// Assembles the parts and starts the servers, so that a process that waits for the API server can
    /// already report why.
    async fn new(settings: &Settings, leadership: &Leadership) -> anyhow::Result<Self> {
        let for_metrics =
            server::bind("--metrics-address", "metrics", settings.serve.metrics_address).await?;
        let for_health = server::bind("--health-address", "health", settings.serve.health_address).await?;
        let metrics = for_metrics.as_ref().map(|_| Arc::<Metrics>::default());
        let calls = metrics
            .as_ref()
            .map(|metrics| metrics.api_calls())
            .unwrap_or_default();
        let clients = Clients::new(settings, leadership, &calls).await?;
        let client = clients.client.clone();
        let events = Recorder::new(client.clone(), &replica(&settings.lease));
        let sink: Arc<dyn MetricsSink> = metrics
            .clone()
            .map_or_else(|| Arc::new(()) as _, |metrics| metrics as _);
        let config = Config {
            federated_token_file: settings.federated_token_file.clone(),
            scope: Scope::of(&settings.watch_namespaces),
        };
        let context = Context::new(client, leadership.clone(), config, events, sink);
        let bounds = Bounds {
            watch: Duration::from_secs(settings.serve.watch_silence),
            ..Bounds::default()
        };
        let health = Arc::new(Health::new(Arc::clone(&context), bounds));
        let mut servers = JoinSet::new();
        if let (Some(listener), Some(metrics)) = (for_metrics, metrics) {
            servers.spawn(server::metrics(listener, metrics, Arc::clone(&context)));
        }
        if let Some(listener) = for_health {
            servers.spawn(server::health(listener, Arc::clone(&health)));
        }
        Ok(Self {
            clients,
            context,
            health,
            _servers: servers,
        })
    }

    /// Joins the election, if there is one.
    fn stand(&self, lease: Option<election::ElectionSettings>, leadership: Leadership) -> ElectionHandle {
        let step = lease
            .as_ref()
            .map(|lease| lease.timing.duration() + 2 * lease.timing.retry());
        let election_handle = lease.map_or_else(ElectionHandle::without_election, |lease| {
            let eyes = Arc::clone(&self.context);
            ElectionHandle::start(self.clients.for_lease.clone(), lease, leadership, move || {
                eyes.watches.sees()
            })
        });
        self.health.is(StartStage::Waiting);
        self.health.election(election_handle.heartbeat().zip(step));
        election_handle
    }
}

async fn controller(settings: Settings) -> anyhow::Result<()> {
    // First of all: the first process of a container gets no signal for which it has no handler.
    let mut stop = Shutdown::new()?;
    let lease = lease(&settings.lease)?;
    let leadership = if lease.is_some() {
        Leadership::elected()
    } else {
        Leadership::without_election()
    };
    let start = async {
        let begun = App::new(&settings, &leadership).await?;
        begun
            .clients
            .preflight(&begun.context.config.scope, lease.as_ref())
            .await?;
        anyhow::Ok(begun)
    };
    // Held to the end of this function: the servers end last.
    let begun = tokio::select! { begun = start => begun?, () = stop.asked() => return Ok(()) };
    let (context, health) = (&begun.context, &begun.health);
    health.is(StartStage::Starting);
    tracing::info!(namespaces = %context.config.scope, "watching leads and services");
    let mut tasks = JoinSet::new();
    let first = watches::begin(context, &begun.clients.client, &mut tasks);
    tokio::select! {
        () = complete(first) => tracing::info!("all watches are complete; starting"),
        () = stop.asked() => return Ok(()),
        ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
    }
    let elected = lease.is_some();
    // Only now: a replica that does not see the objects must not keep another from leading.
    let mut election_handle = begun.stand(lease, leadership);
    // While another replica leads, the watches keep running, so that one catch-up list is enough when this
    // replica takes over. Until then, whatever they enqueue waits.
    tokio::select! {
        leads = election_handle.leads() => leads.map_err(anyhow::Error::msg)?,
        () = stop.asked() => return release(context, health, election_handle).await,
        ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
    }
    begin_the_time();
    if elected {
        tokio::select! {
            () = watches::catch_up(context, &begun.clients.client) => {}
            why = election_handle.lost() => anyhow::bail!(lost(&why, 0)),
            () = stop.asked() => return release(context, health, election_handle).await,
            ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
        }
    }
    health.is(StartStage::Working);
    let most = Duration::from_secs(settings.shutdown_seconds);
    let end = run_leader_loop(context, health, &mut election_handle, &mut tasks, &mut stop, most).await?;
    release(context, health, election_handle).await?;
    if let LeaderEnd::OfTime = end {
        let apart = clock::APART.as_secs();
        anyhow::bail!(
            "the clock was changed by more than {apart} s; this process exits, to restart with the right time"
        );
    }
    Ok(())
}

/// Waits until all watches have their first list. Nothing is decided before: half of the objects would make
/// the other half look missing.
async fn complete(first: Vec<watches::FirstList>) {
    for mut list in first {
        list.known().await;
    }
}

/// Sets the shown time to the right time, once, before any time is written.
fn begin_the_time() {
    let apart = clock::begin();
    if apart > clock::APART {
        let seconds = apart.as_secs();
        tracing::error!(
            seconds,
            "the clock of this node differs from the API server's, whose time is used; synchronize the clocks"
        );
    }
}

/// Shuts down in order.
async fn release(context: &Context, health: &Health, election_handle: ElectionHandle) -> anyhow::Result<()> {
    health.is(StartStage::Stopping);
    health.election(None);
    // While this replica still leads: nobody else may write.
    context.events.finish(TO_TELL).await;
    // Last, because until here this replica may have had something to finish.
    election_handle.release().await;
    Ok(())
}

/// The signals that ask the process to stop.
struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
}

impl Shutdown {
    fn new() -> anyhow::Result<Self> {
        let heard = |kind| signal(kind).context("can't listen for signals");
        Ok(Self {
            terminate: heard(SignalKind::terminate())?,
            interrupt: heard(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Why a leader stops in an orderly way.
enum LeaderEnd {
    /// It was asked to stop.
    Asked,
    /// It has written times by a clock that is wrong.
    OfTime,
}

/// How often the clock is checked.
const TIME_LOOK: Duration = Duration::from_secs(2);

/// How long nothing new must have started before the process ends because of its clock.
const TO_SETTLE: Duration = Duration::from_secs(10);

/// Whether the process should end because its clock is wrong and nothing depends on the old time any more.
/// Spans stay correct while the process lives, but a successor would take an intent of a minute ago for one
/// of yesterday. So it waits for what is in progress, at most for the longest grace and deadline.
fn out_of_time(context: &Context, since: &mut Option<Duration>) -> bool {
    let now = clock::since_start();
    let wrong = clock::wrong_by();
    if wrong <= clock::APART {
        *since = None;
        clock::hold(false);
        return false;
    }
    let begun = *since.get_or_insert_with(|| {
        let seconds = wrong.as_secs();
        tracing::error!(seconds, "the API server's clock was changed; starting nothing new, and restarting when the work in progress has ended");
        now
    });
    clock::hold(true);
    let held = now.saturating_sub(begun);
    // By then, an intent that was about to be written when the hold began has been written.
    held > TO_SETTLE && (!context.tallies.has_something_open() || held > context.cache.longest_wait())
}

/// Runs passes as long as this process leads, until it is asked to stop and has finished what it started.
async fn run_leader_loop(
    context: &Arc<Context>,
    health: &Health,
    election_handle: &mut ElectionHandle,
    tasks: &mut JoinSet<()>,
    stop: &mut Shutdown,
    to_finish: Duration,
) -> anyhow::Result<LeaderEnd> {
    let (mut passes, mut beside) = (JoinSet::new(), JoinSet::new());
    beside.spawn(controllers::discover(Arc::clone(context)));
    beside.spawn(controllers::onboard(Arc::clone(context)));
    let mut look = tokio::time::interval(TIME_LOOK);
    let mut wrong_since = None;
    let end = loop {
        tokio::select! {
            _ = look.tick() => if out_of_time(context, &mut wrong_since) { break LeaderEnd::OfTime },
            (key, priority, waited) = context.queue.next() => {
                context.metrics.dequeued(priority, waited);
                let span = controllers::span(&key, priority);
                passes.spawn(controllers::reconcile(Arc::clone(context), key).instrument(span));
            }
            Some(ended) = passes.join_next(), if !passes.is_empty() => {
                // The object of a pass that panicked would never run again.
                ended.context("a pass panicked; this is a bug")?;
            }
            ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
            ended = beside.join_next() => anyhow::bail!("discovery, or what runs policies, ended: {ended:?}"),
            why = election_handle.lost() => anyhow::bail!(lost(&why, passes.len())),
            () = stop.asked() => break LeaderEnd::Asked,
        }
    };
    health.is(StartStage::Stopping);
    // The next start goes on with the leads that have no object yet, and with what policies have begun.
    beside.shutdown().await;
    tracing::info!(
        under_way = passes.len(),
        "stopping: no new pass starts, and those in progress may finish"
    );
    let finish = async { while passes.join_next().await.is_some() {} };
    tokio::select! {
        ended = tokio::time::timeout(to_finish, finish) => {
            if ended.is_err() {
                tracing::warn!("not every pass finished in time; the next start looks up what was requested");
            }
        }
        why = election_handle.lost() => anyhow::bail!(lost(&why, passes.len())),
    }
    passes.shutdown().await;
    Ok(end)
}

/// The error for a lost lease. Kubernetes restarts the process, which then waits for the lease with no stale
/// state.
fn lost(why: &str, under_way: usize) -> String {
    tracing::error!(
        why,
        under_way,
        "this replica no longer leads; it exits at once and ends its passes"
    );
    format!("{why}; this replica no longer leads and exits, to restart and wait for the lease")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_wanted_only_when_asked_for_and_no_two_processes_have_one_name() {
        use clap::Parser;
        let parsed = |arguments: &[&str]| {
            let cli = crate::cli::Cli::parse_from([&["oc-essentials-operator", "run"], arguments].concat());
            let crate::cli::Command::Run(settings) = cli.command else {
                panic!("not run")
            };
            lease(&settings.lease)
        };
        assert!(parsed(&[]).unwrap().is_none());
        let asked = [
            "--leader-elect",
            "--lease-namespace",
            "system",
            "--lease-identity",
            "pod",
            "--pod-uid",
            "a-uid-of-this-test",
        ];
        let (one, other) = (parsed(&asked).unwrap().unwrap(), parsed(&asked).unwrap().unwrap());
        assert_eq!(
            (one.namespace.as_str(), one.name.as_str()),
            ("system", "oc-essentials-operator")
        );
        assert!(one.identity.starts_with("pod_") && one.identity != other.identity);
        assert_eq!(
            (
                one.timing.duration().as_secs(),
                one.timing.deadline().as_secs(),
                one.timing.retry().as_secs()
            ),
            (35, 30, 5)
        );
    }
}

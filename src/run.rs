//! Puts everything together, holds every task in one set, and ends when one of them ends.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::{Api, Client, Config};
use oc_domain::lease::Timing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::filter::FilterLayer;
use tower::limit::ConcurrencyLimitLayer;
use tracing::Instrument;

use crate::api::{Lead, LivePlatform, OcEssentialService};
use crate::cli::{LeaseSettings, Settings};
use crate::engine::lease::{self, Leadership, Seat};
use crate::kinds::meter::Meter;
use crate::kinds::{self, Kind, Shared};
use crate::object::events::Recorder;
use crate::object::scope::{self, Scope};
use crate::object::store::{self, Learnt};
use crate::object::watched;
use crate::ops::health::{Bounds, Health, Stage};
use crate::ops::metrics::{ApiCalls, Metrics};
use crate::ops::server;

/// How many requests to the API server are under way at once. Each has a connection of its own (kube speaks HTTP/1.1), and a connection costs memory
/// on both sides; more of them make the API server no faster. A watch counts only until it begins to answer.
const REQUESTS_AT_ONCE: usize = 24;

/// How long events may still be written at the end: a replica that waits for the lease need not wait for long.
const TO_TELL: Duration = Duration::from_millis(500);

/// The CRDs, as they are in the repository.
const CRDS: [&str; 3] = [
    include_str!("../crds/operatorconnect.dev_liveplatforms.yaml"),
    include_str!("../crds/operatorconnect.dev_leads.yaml"),
    include_str!("../crds/operatorconnect.dev_ocessentialservices.yaml"),
];

/// Prints the CRDs.
///
/// # Errors
/// When standard output is closed.
pub fn print_crds() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for crd in CRDS {
        writeln!(out, "---\n{}", crd.trim_end()).context("standard output is closed")?;
    }
    Ok(())
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// When the API server can't be reached, the CRDs are missing, or a task ends that should not.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    // One worker is enough for thousands of objects (a pass takes a few milliseconds of CPU), and each more costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("the runtime can't be started")?;
    let result = runtime.block_on(controller(settings));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// Where a pod finds the name of its namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Which lease to hold, when one is to be held.
fn lease(settings: &LeaseSettings) -> anyhow::Result<Option<lease::Settings>> {
    if !settings.leader_elect {
        return Ok(None);
    }
    let seconds = Duration::from_secs;
    let timing = Timing::new(seconds(settings.lease_duration), seconds(settings.lease_renew_deadline), seconds(settings.lease_retry))
        .map_err(|wrong| anyhow::anyhow!("--lease-duration, --lease-renew-deadline, --lease-retry: {wrong}"))?;
    let namespace = settings.lease_namespace.clone().or_else(|| line_of(POD_NAMESPACE));
    let namespace = namespace.context("--leader-elect: this is no pod, so that the lease has no namespace by itself; give --lease-namespace")?;
    let name = replica(settings);
    // A container that is started again has the name of the one before: only a random part makes sure that a lease is taken for ours only when it is.
    let identity = format!("{name}_{}", uuid::Uuid::new_v4());
    Ok(Some(lease::Settings { namespace, name: settings.lease_name.clone(), identity, timing }))
}

/// What this replica calls itself.
fn replica(settings: &LeaseSettings) -> String {
    settings.lease_identity.clone().or_else(|| line_of("/proc/sys/kernel/hostname")).unwrap_or_else(|| "replica".into())
}

fn line_of(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The clients: one for the watches and passes, and one for the lease, whose renewal must not wait behind their requests.
async fn clients(settings: &Settings, leadership: &Leadership, calls: &ApiCalls) -> anyhow::Result<(Client, Client)> {
    let mut config = match &settings.kubeconfig {
        Some(file) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(file).with_context(|| format!("--kubeconfig {} can't be read", file.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.with_context(|| format!("--kubeconfig {} can't be used", file.display()))?
        }
        None => {
            Config::infer().await.context("no cluster: neither a kubeconfig nor a pod's service account was found; give --kubeconfig FILE or set KUBECONFIG")?
        }
    };
    // kube's own retry would repeat a write up to 15 times and hold a pass for minutes; the queue retries.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    // A connection whose other end is gone is noticed before a watch is taken for dead: it is an outage, which a restart does not mend. A watch that
    // lives is never silent for so long: there are bookmarks, and it lasts less than five minutes.
    config.read_timeout = Some(Duration::from_secs(300));
    let address = config.cluster_url.clone();
    let unusable = "the API server's address or credentials can't be used";
    let for_lease = ClientBuilder::try_from(config.clone()).context(unusable)?.with_layer(calls).build();
    let client = fenced(config, leadership.clone(), calls).context(unusable)?;
    let version =
        client.apiserver_version().await.with_context(|| format!("the API server {address} can't be reached; is it running, and is the kubeconfig right?"))?;
    tracing::info!(version = version.git_version, "reached the API server");
    Ok((client, for_lease))
}

/// A client that limits its requests and, of a replica that does not lead or does so no more, lets only reads pass. That is asked when a request leaves,
/// after it has waited for its turn.
fn fenced(config: Config, leadership: Leadership, calls: &ApiCalls) -> Result<Client, kube::Error> {
    let writes_of_the_leader = FilterLayer::new(move |request: http::Request<kube::client::Body>| {
        if request.method() != http::Method::GET {
            leadership.may_change().map_err(|trouble| trouble.message)?;
        }
        Ok::<_, String>(request)
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(calls).with_layer(&writes_of_the_leader).with_layer(&ConcurrencyLimitLayer::new(REQUESTS_AT_ONCE)).build())
}

/// Whether a kind is there and may be listed, in one namespace or (without one) everywhere.
async fn check<K>(api: Api<K>, plural: &str, namespace: Option<&str>) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let inside = namespace.map(|namespace| format!(" in the namespace {namespace} (--watch-namespaces)")).unwrap_or_default();
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            anyhow::bail!(
                "the custom resource definition {plural}.{} is missing; install it: oc-essentials-operator crds | kubectl apply --server-side -f -",
                crate::api::GROUP
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            anyhow::bail!("no right to list {plural}.{}{inside}; install the rights that the chart gives: {}", crate::api::GROUP, status.message)
        }
        Err(error) => Err(error).with_context(|| format!("{plural}.{} can't be listed{inside}", crate::api::GROUP)),
    }
}

/// Whether all that is to be watched can be listed.
async fn check_all(client: &Client, scope: &Scope) -> anyhow::Result<()> {
    check::<LivePlatform>(Api::all(client.clone()), "liveplatforms", None).await?;
    for part in scope.parts() {
        let part = part.as_deref();
        check::<Lead>(scope::api(client.clone(), part), "leads", part).await?;
        check::<OcEssentialService>(scope::api(client.clone(), part), "ocessentialservices", part).await?;
    }
    Ok(())
}

async fn controller(settings: Settings) -> anyhow::Result<()> {
    let lease = lease(&settings.lease)?;
    let leadership = if lease.is_some() { Leadership::elected() } else { Leadership::alone() };
    let for_metrics = server::bind("--metrics-address", "metrics", settings.serve.metrics_address).await?;
    let for_health = server::bind("--health-address", "health", settings.serve.health_address).await?;
    let metrics = for_metrics.as_ref().map(|_| Arc::<Metrics>::default());
    let calls = metrics.as_ref().map(|metrics| metrics.api_calls()).unwrap_or_default();
    let (client, for_lease) = clients(&settings, &leadership, &calls).await?;
    let scope = Scope::of(&settings.watch_namespaces);
    check_all(&client, &scope).await?;
    if let Some(lease) = &lease {
        check_lease(&for_lease, lease).await?;
    }

    tracing::info!(namespaces = %scope, "watching leads and services");
    let events = Recorder::new(client.clone(), &replica(&settings.lease));
    let meter: Arc<dyn Meter> = metrics.clone().map_or_else(|| Arc::new(()) as _, |metrics| metrics as _);
    let shared = Shared::new(client.clone(), leadership.clone(), settings.federated_token_file.clone(), scope, events.clone(), meter);
    let bounds = Bounds { watch: Duration::from_secs(settings.serve.watch_silence), ..Bounds::default() };
    let health = Arc::new(Health::new(Arc::clone(&shared), bounds));
    // They end with this function, after all else.
    let mut servers = JoinSet::new();
    if let (Some(listener), Some(metrics)) = (for_metrics, metrics) {
        servers.spawn(server::metrics(listener, metrics, Arc::clone(&shared)));
    }
    if let Some(listener) = for_health {
        servers.spawn(server::health(listener, Arc::clone(&health)));
    }
    let mut tasks = JoinSet::new();
    let watched = watches(&shared, &client, &mut tasks);
    let mut stop = Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    // Nothing is decided before all three kinds are known: half of the objects would make the other half look missing.
    let complete = async {
        for mut known in watched {
            known.wait_for(|known| *known).await.ok();
        }
    };
    tokio::select! {
        () = complete => tracing::info!("all watches are complete; beginning"),
        () = stop.asked() => return Ok(()),
        ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
    }
    // Only now: one that does not see the objects must not keep another from leading.
    let step = lease.as_ref().map(|lease| lease.timing.duration() + 2 * lease.timing.retry());
    let mut seat = lease.map_or_else(Seat::alone, |lease| Seat::stand(for_lease, lease, leadership));
    health.is(Stage::Waiting);
    health.election(seat.pulse().zip(step));
    // While another leads the watches go on, so that nothing is to be read when that one ends; what they wake waits in the queue.
    tokio::select! {
        leads = seat.leads() => {
            leads.map_err(anyhow::Error::msg)?;
            health.is(Stage::Working);
            lead(&shared, &health, &mut seat, &mut tasks, &mut stop, Duration::from_secs(settings.shutdown_seconds)).await?;
        }
        () = stop.asked() => {}
        ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
    }
    health.is(Stage::Stopping);
    health.election(None);
    // While this replica leads: nobody else may write.
    events.finish(TO_TELL).await;
    // The last thing: until here this replica may have had something to finish.
    seat.release().await;
    Ok(())
}

/// What asks the program to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn asked(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Works for as long as this process leads, until it is asked to stop and has finished what it had begun.
async fn lead(shared: &Arc<Shared>, health: &Health, seat: &mut Seat, tasks: &mut JoinSet<()>, stop: &mut Stop, to_finish: Duration) -> anyhow::Result<()> {
    let mut passes = JoinSet::new();
    loop {
        tokio::select! {
            (key, lane, waited) = shared.queue.next() => {
                shared.meter.taken(lane, waited);
                let span = kinds::span(&key, lane);
                passes.spawn(kinds::reconcile(Arc::clone(shared), key).instrument(span));
            }
            Some(ended) = passes.join_next(), if !passes.is_empty() => {
                // The object of a pass that panicked would never run again.
                ended.context("a pass ended by a panic; this is a bug")?;
            }
            ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
            why = seat.lost() => anyhow::bail!(lost(&why, passes.len())),
            () = stop.asked() => break,
        }
    }
    health.is(Stage::Stopping);
    tracing::info!(under_way = passes.len(), "stopping: no new pass is begun, and those under way may finish");
    let finish = async { while passes.join_next().await.is_some() {} };
    tokio::select! {
        ended = tokio::time::timeout(to_finish, finish) => {
            if ended.is_err() {
                tracing::warn!("not every pass finished in time; what was asked for is looked up at the next start");
            }
        }
        why = seat.lost() => anyhow::bail!(lost(&why, passes.len())),
    }
    passes.shutdown().await;
    Ok(())
}

/// What is said when the lease was lost. Whoever started this process starts it again, and it waits for its turn with nothing left over from before.
fn lost(why: &str, under_way: usize) -> String {
    tracing::error!(why, under_way, "this replica leads no more; it ends at once, and its passes with it");
    format!("{why}; this replica leads no more and ends, to be started again as one that waits")
}

/// Whether the lease can be read: a right that is missing shall be told at the start, not when it is this replica's turn.
async fn check_lease(client: &Client, lease: &lease::Settings) -> anyhow::Result<()> {
    match Api::<Lease>::namespaced(client.clone(), &lease.namespace).get_opt(&lease.name).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            anyhow::bail!("no right to get leases in the namespace {}; install the rights that the chart gives there: {}", lease.namespace, status.message)
        }
        Err(error) => Err(error).with_context(|| format!("the lease {}/{} can't be read", lease.namespace, lease.name)),
    }
}

/// Starts the watches: one of each kind, or for leads and services one of each namespace. The receivers say when each has its first list.
fn watches(shared: &Arc<Shared>, client: &Client, tasks: &mut JoinSet<()>) -> Vec<watch::Receiver<bool>> {
    let mut complete = Vec::new();
    macro_rules! follow {
        ($kind:ident, $of:expr, $api:expr, $store:ident, $wake:path) => {{
            let (tell, known) = watch::channel(false);
            complete.push(known);
            let (shared, watched, of): (_, _, Option<String>) = (Arc::clone(shared), shared.begin_watch(Kind::$kind), $of);
            let api = $api(watched::listening(client, &watched), of.as_deref());
            tasks.spawn(async move {
                let store = Arc::clone(&shared.$store);
                store::follow(api, of.as_deref(), store, watched, move |learnt| {
                    if matches!(learnt, Learnt::Complete) {
                        tell.send_replace(true);
                    }
                    $wake(&shared, learnt);
                })
                .await;
            });
        }};
    }
    follow!(LivePlatform, None, |client, _| Api::<LivePlatform>::all(client), platforms, kinds::wakes::platform);
    for part in shared.scope.parts() {
        follow!(Lead, part.clone(), scope::api::<Lead>, leads, kinds::wakes::lead);
        follow!(OcEssentialService, part, scope::api::<OcEssentialService>, services, kinds::wakes::service);
    }
    complete
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a read and of a write, where no server listens.
    async fn read_and_write(leadership: Leadership) -> [bool; 2] {
        let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        let leads = Api::<Lead>::namespaced(fenced(config, leadership, &ApiCalls::default()).unwrap(), "a");
        let patch = kube::api::Patch::Merge(serde_json::json!({}));
        let errors = [leads.get("a").await.unwrap_err(), leads.patch("a", &Default::default(), &patch).await.unwrap_err()];
        errors.map(|error| error.to_string().contains("does not lead"))
    }

    #[tokio::test]
    async fn one_that_does_not_lead_reads_and_writes_nothing() {
        assert_eq!(read_and_write(Leadership::elected()).await, [false, true], "the read was sent, the write refused");
        assert_eq!(read_and_write(Leadership::alone()).await, [false, false]);
    }

    #[test]
    fn a_lease_is_wanted_only_when_asked_for_and_no_two_processes_have_one_name() {
        use clap::Parser;
        let parsed = |arguments: &[&str]| {
            let cli = crate::cli::Cli::parse_from([&["oc-essentials-operator", "run"], arguments].concat());
            let crate::cli::Command::Run(settings) = cli.command else { panic!("not run") };
            lease(&settings.lease)
        };
        assert!(parsed(&[]).unwrap().is_none());
        let asked = ["--leader-elect", "--lease-namespace", "system", "--lease-identity", "pod"];
        let (one, other) = (parsed(&asked).unwrap().unwrap(), parsed(&asked).unwrap().unwrap());
        assert_eq!((one.namespace.as_str(), one.name.as_str()), ("system", "oc-essentials-operator"));
        assert!(one.identity.starts_with("pod_") && one.identity != other.identity);
        assert_eq!((one.timing.duration().as_secs(), one.timing.deadline().as_secs(), one.timing.retry().as_secs()), (35, 30, 5));
    }
}

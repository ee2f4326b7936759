//! Puts everything together, holds every task in one set, and ends when one of them ends.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::{Api, Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::limit::ConcurrencyLimitLayer;

use crate::api::{Lead, LivePlatform, OcEssentialService};
use crate::cli::Settings;
use crate::kinds::{self, Shared};
use crate::object::store::{self, Learnt};

/// How many requests to the API server are under way at once. Each has a connection of its own (kube speaks HTTP/1.1), and a connection costs memory
/// on both sides; more of them make the API server no faster. A watch counts only until it begins to answer.
const REQUESTS_AT_ONCE: usize = 24;

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
    runtime.block_on(controller(settings))
}

async fn client(settings: &Settings) -> anyhow::Result<Client> {
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
    let address = config.cluster_url.clone();
    let builder = ClientBuilder::try_from(config).context("the API server's address or credentials can't be used")?;
    let client = builder.with_layer(&ConcurrencyLimitLayer::new(REQUESTS_AT_ONCE)).build();
    let version =
        client.apiserver_version().await.with_context(|| format!("the API server {address} can't be reached; is it running, and is the kubeconfig right?"))?;
    tracing::info!(version = version.git_version, "reached the API server");
    Ok(client)
}

async fn check<K>(client: &Client, plural: &str) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    match Api::<K>::all(client.clone()).list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            anyhow::bail!(
                "the custom resource definition {plural}.{} is missing; install it: oc-essentials-operator crds | kubectl apply --server-side -f -",
                crate::api::GROUP
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            anyhow::bail!("no right to list {plural}.{}; install the rights that the chart gives: {}", crate::api::GROUP, status.message)
        }
        Err(error) => Err(error).with_context(|| format!("{plural}.{} can't be listed", crate::api::GROUP)),
    }
}

async fn controller(settings: Settings) -> anyhow::Result<()> {
    let client = client(&settings).await?;
    check::<LivePlatform>(&client, "liveplatforms").await?;
    check::<Lead>(&client, "leads").await?;
    check::<OcEssentialService>(&client, "ocessentialservices").await?;

    let shared = Shared::new(client.clone(), settings.federated_token_file.clone());
    let mut tasks = JoinSet::new();
    let (platforms, leads, services) = watches(&shared, &client, &mut tasks);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Nothing is decided before all three kinds are known: half of the objects would make the other half look missing.
    let complete = async {
        for mut known in [platforms, leads, services] {
            known.wait_for(|known| *known).await.ok();
        }
    };
    tokio::select! {
        () = complete => tracing::info!("all watches are complete; beginning"),
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
    }
    let mut passes = JoinSet::new();
    loop {
        tokio::select! {
            (key, _lane, _waited) = shared.queue.next() => {
                passes.spawn(kinds::reconcile(Arc::clone(&shared), key));
            }
            Some(ended) = passes.join_next(), if !passes.is_empty() => {
                // The object of a pass that panicked would never run again.
                ended.context("a pass ended by a panic; this is a bug")?;
            }
            ended = tasks.join_next() => anyhow::bail!("a watch ended: {ended:?}"),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(under_way = passes.len(), "stopping: no new pass is begun, and those under way may finish");
    let finish = async { while passes.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(settings.shutdown_seconds), finish).await.is_err() {
        tracing::warn!("not every pass finished in time; what was asked for is looked up at the next start");
    }
    Ok(())
}

/// Starts the three watches. The receivers say when each has its first list.
fn watches(shared: &Arc<Shared>, client: &Client, tasks: &mut JoinSet<()>) -> (watch::Receiver<bool>, watch::Receiver<bool>, watch::Receiver<bool>) {
    macro_rules! follow {
        ($kind:ty, $store:ident, $wake:path) => {{
            let (tell, known) = watch::channel(false);
            let shared = Arc::clone(shared);
            let api = Api::<$kind>::all(client.clone());
            tasks.spawn(async move {
                let store = Arc::clone(&shared.$store);
                store::follow(api, store, move |learnt| {
                    if matches!(learnt, Learnt::Complete) {
                        tell.send_replace(true);
                    }
                    $wake(&shared, learnt);
                })
                .await;
            });
            known
        }};
    }
    (
        follow!(LivePlatform, platforms, kinds::wakes::platform),
        follow!(Lead, leads, kinds::wakes::lead),
        follow!(OcEssentialService, services, kinds::wakes::service),
    )
}

//! What one service costs, in counts that do not depend on the speed of the machine: the operator's allocations, its writes to the API server, and its calls to
//! the platform. A change may raise a figure by a tenth; to raise it further, change the figure and say why.
//!
//! Started with `run`, this program is the operator, with an allocator that counts.

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "../shared/stage.rs"]
mod stage;

#[path = "../shared/gallery.rs"]
mod gallery;
#[path = "../shared/simulated.rs"]
mod simulated;
#[path = "../shared/trials.rs"]
mod trials;

mod counted;

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use control_plane::{ControlPlane, Options, audit};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::ListParams;
use oc_api::{LivePlatform, OcEssentialService};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::time::Instant;

use counted::Counted;
use stage::{Scene, measured, ready_is};
use trials::Trials;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many services are provisioned first; then four times as many.
const FEW: u32 = 100;

/// The recorded allocations for a service, and their bytes. Packing is part of them: the second batch is larger than the number of objects that stay as they are.
const ALLOCATIONS: u64 = 572;
const BYTES: u64 = 292_000;

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("run") {
        return counted::operator(ALLOCATOR);
    }
    let mut trials = Trials::<()>::new(|| Box::pin(async { Ok(()) }))?;
    trials.case("what_a_service_costs", |_| what_a_service_costs());
    Ok(trials.play(1))
}

/// The operator provisions services one batch after the other. Nothing else has objects.
async fn what_a_service_costs() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let release = cluster.install(&control_plane::reads_anywhere()).await?;
    let log = cluster.audit_log().context("an audit log")?;
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("counts");
    let mut pod = release.pod(&std::env::current_exe()?, "operator-0")?;
    pod.command.env("OPERATORCONNECT_LEADER_ELECT", "false").env(counted::FILE, &counts);
    let said = folder.path().join("operator.log");
    let _operator = pod.start(&said)?;
    let scene = Scene::set(cluster.client(), 0, said).await?;
    scene.connect(json!({"requests": {"perSecond": 1000, "burst": 1000, "inFlight": 64}})).await?;
    // A service that comes before the connection has one more status.
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.consented(&(0..FEW * 5).collect::<Vec<_>>()).await?;
    let mut spent = Vec::new();
    for batch in [0..FEW, FEW..FEW * 5] {
        let (before, mark) = (Counted::read(&counts).await?, audit::end(&log)?);
        let changes = scene.changes().await?;
        let size = u64::from(batch.end - batch.start);
        let begun = Instant::now();
        provision(&scene, batch.clone()).await?;
        let cost = Counted::read(&counts).await?.since(&before);
        measured(&format!("{size} services: {} allocations and {} bytes for each", cost.allocations / size, cost.bytes / size));
        ensure!(scene.changes().await? - changes == size, "one create for each");
        writes(&log, mark, size, begun.elapsed())?;
        spent.push(cost);
    }
    let [few, many] = spent[..] else { unreachable!("two batches") };
    ensure!(
        many.allocations * 10 <= few.allocations * 42 && many.bytes * 10 <= few.bytes * 42,
        "four times as many cost over 4.2 times as much: {few:?}, {many:?}"
    );
    let (allocations, bytes) = (many.allocations / u64::from(FEW * 4), many.bytes / u64::from(FEW * 4));
    ensure!(allocations * 10 <= ALLOCATIONS * 11, "{allocations} allocations for a service; recorded are {ALLOCATIONS}");
    ensure!(bytes * 10 <= BYTES * 11, "{bytes} bytes for a service; recorded are {BYTES}");
    Ok(())
}

/// Each service gets its mark, and its status twice (its task, and its end). The first 50 get one event, then two a second do (docs/events.md).
fn writes(log: &Path, mark: u64, size: u64, time: Duration) -> Result<()> {
    let mut requests = audit::since(log, mark)?;
    requests.retain(audit::Request::writes);
    let counts = audit::count(&requests, "oc-essentials-operator");
    measured(&format!("writes for {size} services: {counts:?}"));
    let written = |verb: &str, resource: &str| counts.get(&(verb.to_owned(), resource.to_owned())).copied().unwrap_or_default() as u64;
    let (marks, statuses, events) = (written("patch", "ocessentialservices"), written("patch", "ocessentialservices/status"), written("create", "events"));
    let some = 50 + 2 * (time.as_secs() + 1);
    ensure!(marks == size && statuses * 10 <= size * 22 && events <= some, "{marks} marks, {statuses} statuses, {events} events");
    Ok(())
}

async fn provision(scene: &Scene, batch: std::ops::Range<u32>) -> Result<()> {
    stream::iter(batch.clone())
        .map(|number| async move { scene.service(&format!("customer-{number}"), number, Value::Object(Default::default())).await })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    let api = Api::<OcEssentialService>::namespaced(scene.client.clone(), &scene.namespace);
    let all = batch.end as usize;
    simulated::until(120, || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let objects = api.list(&ListParams::default().match_any()).await?.items;
        Ok((objects.iter().filter(|object| ready_is(*object, "True", "Succeeded")).count() == all).then_some(()))
    })
    .await?;
    // The last events are written a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

//! Kills at random moments, while hundreds of customers come and go on a faulty platform.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::ListParams;
use oc_api::OcEssentialService;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::evidence;
use super::verdict::{Seen, Wanted, Wrong, judge};
use super::world::{World, is_ready};

/// Services that are created while the faults are on.
const COMING: usize = 200;

/// Existing services with `deletionPolicy: Delete` that are deleted while the faults are on.
const GOING: usize = 50;

/// Services that a person created in the portal.
const OTHERS: usize = 20;

/// How often the operator is killed.
const KILLS: usize = 10;

/// How long the operator lives between two kills, in milliseconds.
const LIVES: std::ops::Range<u64> = 700..3_500;

/// Everything on the platform takes less than this: what is in progress when the last operator dies is done by then.
const PLATFORM_SETTLES: Duration = Duration::from_secs(3);

/// The time limit after the faults. The grace of lost requests is over by then, see [`World::outage`]; the other case waits for that grace in real time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pseudo-random moments, the same for the same seed.
struct Moments(u64);

impl Moments {
    /// The next number of a range (splitmix64).
    fn next(&mut self, range: &std::ops::Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (mixed ^ (mixed >> 31)) % (range.end - range.start)
    }
}

/// The seed from `KILLS_SEED`, otherwise a new one.
#[allow(clippy::disallowed_methods, reason = "the product's ban; a test is repeated by its seed")]
fn seed() -> Result<u64> {
    match std::env::var("KILLS_SEED") {
        Ok(text) => text.parse().context("KILLS_SEED must be a number"),
        Err(_) => Ok(uuid::Uuid::new_v4().as_u64_pair().0 >> 32),
    }
}

/// What the kills hit.
#[derive(Default)]
struct Met {
    kills: usize,
    /// Objects in progress at each kill.
    under_way: Vec<usize>,
    /// Creates recorded but never requested, at each kill: each of them waits for the whole grace.
    recorded: Vec<usize>,
    aged: usize,
}

/// The case.
pub async fn random_kills_under_load(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    let seed = seed()?;
    evidence::say(&format!("random_kills_under_load: KILLS_SEED={seed}"));
    play(cluster, seed, began).await.with_context(|| format!("KILLS_SEED={seed} repeats the moments"))
}

async fn play(cluster: &Cluster, seed: u64, began: Instant) -> Result<()> {
    let settings = json!({"taskDuration": 500, "serviceVisibilityDelay": 500, "deletionDelay": 500, "visibleAfterLeadsJob": true, "seed": seed});
    let world = World::make(cluster, "load", settings).await?;
    let wanted = before(&world).await?;
    world.simulate("POST", "faults", faults()).await?;
    let mut met = Met::default();
    tokio::try_join!(change(&world), kills(&world, Moments(seed), &mut met))?;
    let called = world.simulate("GET", "calls", Value::Null).await?;
    let left = async || unfinished(&world).await;
    let done = world.until("all is done", PATIENCE, async || Ok(left().await? == 0)).await;
    // A service whose object is gone may linger, and nothing may arrive late.
    tokio::time::sleep(PLATFORM_SETTLES).await;
    let seen = world.seen().await?;
    let wrong = judge(&seen, &wanted);
    tell(seed, &met, &seen, &wrong, &called, began)?;
    ensure!(wrong.is_nothing(), "{wrong:?} {}", done.err().map(|error| format!("{error:#}")).unwrap_or_default());
    done?;
    ensure!(met.kills == KILLS && met.under_way.iter().all(|count| *count > 0), "a kill with nothing under way proves nothing: {:?}", met.under_way);
    let status = |status: &str| called["byStatus"][status].as_u64().unwrap_or_default();
    ensure!(status("dropped") > 0 && status("503") > 0, "the faults did not happen: {}", called["byStatus"]);
    world.log_is_clean()?;
    world.operator.check()?;
    world.operator.forget();
    Ok(())
}

/// The state before the faults: leads, a person's services, and the services to be deleted, Ready.
async fn before(world: &World) -> Result<Wanted> {
    let leads: Vec<Value> =
        (0..COMING + GOING + OTHERS).map(|number| json!({"tenantId": World::tenant(number), "companyName": format!("Company {number}")})).collect();
    world.simulate("POST", "leads", json!(leads)).await?;
    for number in COMING + GOING..COMING + GOING + OTHERS {
        world.simulate("POST", "services", json!({"tenantId": World::tenant(number), "shortName": format!("Other_{number}")})).await?;
    }
    let others = world.seen().await?.services;
    // Slow enough that the changes last as long as the kills.
    world.begin(&world.direct(), json!({"requests": {"perSecond": 60, "burst": 60, "inFlight": 8}})).await?;
    let going: Vec<usize> = (COMING..COMING + GOING).collect();
    apply(world, &going, Duration::ZERO).await?;
    world.until("the services that will go are Ready", PATIENCE, async || Ok(ready(world).await? == GOING)).await?;
    let tenants = |numbers: std::ops::Range<usize>| numbers.map(World::tenant).collect::<BTreeSet<_>>();
    Ok(Wanted { served: tenants(0..COMING), gone: tenants(COMING..COMING + GOING), others })
}

/// One change in ten gets no answer, and half of those are not executed. One call in twenty fails with a 5xx; of such creates, half are executed.
fn faults() -> Value {
    let lost = |kind: &str, endpoint: &str| json!({"kind": kind, "endpoint": endpoint, "probability": 0.05, "forever": true});
    json!([
        lost("dropBeforeExecution", "services.create"),
        lost("dropAfterExecution", "services.create"),
        lost("dropBeforeExecution", "services.delete"),
        lost("dropAfterExecution", "services.delete"),
        {"kind": "serverError", "endpoint": "services.create", "probability": 0.025, "executed": true, "forever": true},
        {"kind": "serverError", "endpoint": "services.create", "probability": 0.025, "executed": false, "forever": true},
        {"kind": "serverError", "probability": 0.05, "forever": true},
    ])
}

fn name(number: usize) -> String {
    format!("customer-{number}")
}

async fn apply(world: &World, numbers: &[usize], apart: Duration) -> Result<()> {
    futures::stream::iter(numbers)
        .map(async |number| {
            tokio::time::sleep(apart).await;
            world.service(&name(*number), json!({"platform": world.name, "msTenantId": World::tenant(*number), "deletionPolicy": "Delete"})).await
        })
        .buffer_unordered(8)
        .try_collect()
        .await
}

/// Creates and deletes services, spread over the time that most of the kills take.
async fn change(world: &World) -> Result<()> {
    let coming: Vec<usize> = (0..COMING).collect();
    let come = apply(world, &coming, Duration::from_millis(500));
    let go = async {
        for number in COMING..COMING + GOING {
            world.delete(&name(number)).await?;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(come, go)?;
    Ok(())
}

/// The kills, each followed by a start. The last comes when the faults are over, and is a longer outage.
async fn kills(world: &World, mut moments: Moments, met: &mut Met) -> Result<()> {
    for number in 1..=KILLS {
        tokio::time::sleep(Duration::from_millis(moments.next(&LIVES))).await;
        let under_way = unfinished(world).await?;
        ensure!(world.operator.kill(), "the operator ended by itself; see {}", world.operator.log().display());
        met.kills += 1;
        met.under_way.push(under_way);
        met.recorded.push(world.recorded_and_not_asked().await?);
        if number == KILLS {
            world.simulate("DELETE", "faults", Value::Null).await?;
            tokio::time::sleep(PLATFORM_SETTLES).await;
            met.aged = world.outage(&["Create", "Delete"]).await?;
        }
        world.operator.start()?;
    }
    Ok(())
}

async fn ready(world: &World) -> Result<usize> {
    let list = world.api::<OcEssentialService>().list(&ListParams::default()).await?;
    Ok(list.iter().filter(|object| is_ready(*object)).count())
}

/// How many objects are unfinished: missing or not Ready, or not gone.
async fn unfinished(world: &World) -> Result<usize> {
    let list = world.api::<OcEssentialService>().list(&ListParams::default()).await?;
    let coming: BTreeSet<String> = (0..COMING).map(name).collect();
    let done = list.iter().filter(|object| coming.contains(&object.name_any()) && is_ready(*object)).count();
    let going = list.iter().filter(|object| !coming.contains(&object.name_any())).count();
    Ok(COMING - done + going)
}

fn tell(seed: u64, met: &Met, seen: &Seen, wrong: &Wrong, called: &Value, began: Instant) -> Result<()> {
    evidence::write(
        "random_kills_under_load",
        &json!({
            "seed": seed,
            "kills": met.kills,
            "underWayAtKills": met.under_way,
            "recordedNotAskedAtKills": met.recorded,
            "services": COMING + GOING,
            "deletions": seen.deletions,
            "createsExecuted": seen.created(),
            "secondServices": wrong.second.len(),
            "wronglyDeleted": wrong.deleted.len(),
            "unfinished": wrong.unfinished.len(),
            "answersLost": called["byStatus"]["dropped"],
            "serverErrors": called["byStatus"]["503"],
            "takenUpAfterTheOutage": met.aged,
            "seconds": began.elapsed().as_secs(),
        }),
    )
}

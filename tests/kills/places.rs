//! A customer's whole life, with the operator killed on either side of each of its effects.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use oc_api::OcEssentialService;
use serde_json::json;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::evidence;
use super::gate::{Moment, Place};
use super::verdict::{Seen, Wanted, Wrong, judge};
use super::world::{World, is_ready};

/// How many lives run side by side, each in its own world. Most of a life is waiting.
const AT_ONCE: usize = 16;

/// How many tenants have services created by a person before a life begins.
const OTHERS: usize = 3;

/// Longer than the grace of a create whose request never left, and what comes after it.
const PATIENCE: Duration = Duration::from_secs(150);

/// The result of one life.
struct Life {
    places: Vec<Place>,
    killed: bool,
    seen: Seen,
    wrong: Wrong,
    aged: usize,
    stale: bool,
    failure: Option<String>,
}

/// The case.
pub async fn every_place_between_two_effects(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    let undisturbed = live(cluster, "life-0", None).await.context("the undisturbed life")?;
    ensure!(undisturbed.failure.is_none() && undisturbed.wrong.is_nothing(), "the undisturbed life: {:?} {:?}", undisturbed.failure, undisturbed.wrong);
    ensure!(undisturbed.seen.created() == 1 && undisturbed.seen.deletions == 1, "the undisturbed life: {:?}", undisturbed.seen);
    let places = undisturbed.places;
    for needed in ["(intent to create)", "POST /tenantui/api/v3/customer", "(intent to delete)", "DELETE /tenantui/api/v2/customer", "(let go)", "/jobs/leads/"]
    {
        ensure!(places.iter().any(|place| place.effect.contains(needed)), "no {needed} among the effects of a life: {places:?}");
    }
    let kills: Vec<(String, Place, Moment)> = places
        .iter()
        .enumerate()
        .flat_map(|(index, place)| {
            [("b", Moment::Before), ("a", Moment::After), ("l", Moment::Late)]
                .map(|(side, moment)| (format!("life-{}{side}", index + 1), place.clone(), moment))
        })
        .collect();
    let lives: Vec<(String, Life)> = futures::stream::iter(&kills)
        .map(async |(name, place, moment)| {
            let life = live(cluster, name, Some((place.clone(), *moment))).await;
            anyhow::Ok((format!("{name}, killed {moment:?} {place}"), life.with_context(|| format!("{name}, killed {moment:?} {place}"))?))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    conclude(&places, &lives, began)
}

fn conclude(places: &[Place], lives: &[(String, Life)], began: Instant) -> Result<()> {
    let of = |part: fn(&Life) -> usize| lives.iter().map(|(_, life)| part(life)).sum::<usize>();
    let unreached: Vec<&str> = lives.iter().filter(|(_, life)| !life.killed).map(|(name, _)| name.as_str()).collect();
    evidence::write(
        "every_place_between_two_effects",
        &json!({
            "places": places.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "kills": of(|life| usize::from(life.killed)),
            "placesNotReached": unreached,
            "lives": lives.len() + 1,
            "services": of(|life| life.seen.created()),
            "deletions": of(|life| life.seen.deletions as usize),
            "createsExecuted": of(|life| life.seen.created()),
            "secondServices": of(|life| life.wrong.second.len()),
            "wronglyDeleted": of(|life| life.wrong.deleted.len()),
            "takenUpAfterAnOutage": of(|life| life.aged),
            "staleAfterALateWrite": of(|life| usize::from(life.stale)),
            "seconds": began.elapsed().as_secs(),
        }),
    )?;
    let bad = lives.iter().filter(|(_, life)| life.failure.is_some() || !life.wrong.is_nothing());
    let bad: Vec<String> = bad.map(|(name, life)| format!("{name}: {:?} {}", life.wrong, life.failure.as_deref().unwrap_or_default())).collect();
    ensure!(bad.is_empty(), "{} of {} lives went wrong:\n{}", bad.len(), lives.len(), bad.join("\n"));
    let stale: Vec<&str> = lives.iter().filter(|(_, life)| life.stale).map(|(name, _)| name.as_str()).collect();
    ensure!(stale.is_empty(), "what a dead operator had to say stood in place of what is so: {stale:?}");
    // Two status writes can become one when their causes coincide; nothing else may be missing. A write that changes no condition names no reason.
    let unexpected: Vec<&&str> = unreached.iter().filter(|name| !name.contains("/status")).collect();
    ensure!(unexpected.is_empty() && unreached.len() * 10 <= lives.len(), "places that were not reached: {unreached:?}");
    Ok(())
}

/// One life: a lead and a service are applied, the service becomes Ready, its object is deleted, it is gone, and everything shows that.
async fn live(cluster: &Cluster, name: &str, aim: Option<(Place, Moment)>) -> Result<Life> {
    // A new service shows a while after its task has ended, and a deleted one a while after its deletion, so the next operator sees old state. The delay is
    // longer than a start takes; otherwise an operator that forgot its request would see the result in time.
    let settings = json!({"taskDuration": 200, "serviceVisibilityDelay": 3000, "deletionDelay": 500, "visibleAfterLeadsJob": true});
    let world = World::make(cluster, name, settings).await?;
    let tenants: Vec<String> = (0..=OTHERS).map(World::tenant).collect();
    for (number, tenant) in tenants.iter().enumerate() {
        world.simulate("POST", "leads", json!({"tenantId": tenant, "companyName": format!("Company {number}")})).await?;
        if number > 0 {
            world.simulate("POST", "services", json!({"tenantId": tenant, "shortName": format!("Other_{number}")})).await?;
        }
    }
    let others = world.seen().await?.services;
    let wanted = Wanted { served: BTreeSet::new(), gone: [tenants[0].clone()].into(), others };
    world.begin(&world.gated(), json!({"requests": {"perSecond": 200, "burst": 200, "inFlight": 8}})).await?;
    // An operator that is away for five minutes would miss what comes seconds late.
    let long = aim.as_ref().is_some_and(|(_, moment)| *moment != Moment::Late);
    world.gate.open(aim);
    let mut aged = 0;
    let lived = tokio::select! {
        lived = whole_life(&world, name, &tenants[0]) => lived,
        error = reviving(&world, long, &mut aged) => Err(error),
    };
    let clean = world.log_is_clean().and(world.operator.check());
    // A life that did not reach its end is judged as well: what it left behind shows why.
    let seen = world.seen().await?;
    let wrong = judge(&seen, &wanted);
    let failure = lived.as_ref().err().or(clean.as_ref().err()).map(|error| format!("{error:#}"));
    if failure.is_none() && wrong.is_nothing() {
        world.operator.forget();
    }
    Ok(Life { places: world.gate.places(), killed: world.gate.has_struck(), stale: lived.unwrap_or_default(), failure, wrong, seen, aged })
}

/// Returns whether what a late request wrote was present at the height of the life.
async fn whole_life(world: &World, name: &str, tenant: &str) -> Result<bool> {
    world.lead(name, tenant).await?;
    let settings = json!({"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com"});
    world.service(name, json!({"leadRef": {"name": name}, "deletionPolicy": "Delete", "advancedSettings": settings})).await?;
    let services = world.api::<OcEssentialService>();
    world.until("the service is Ready", PATIENCE, async || Ok(is_ready(&services.get(name).await?))).await?;
    world.until("the lead shows it", PATIENCE, async || Ok(world.lead_shows(name).await?.is_some())).await?;
    world.gate.at_its_height();
    let late = async || Ok(!world.gate.waits_for_late());
    world.until("the late request is executed", PATIENCE, late).await?;
    // The words of a dead operator must not be present now.
    let stale = !is_ready(&services.get(name).await?) || world.lead_shows(name).await?.is_none();
    world.delete(name).await?;
    world.until("the service is gone", PATIENCE, async || Ok(services.get_opt(name).await?.is_none())).await?;
    world.until("the lead shows none", PATIENCE, async || Ok(world.lead_shows(name).await?.is_none())).await?;
    world.until("the late request is executed", PATIENCE, late).await?;
    world.until("the platform object counts it no more", PATIENCE, async || Ok(world.counted().await? == u32::try_from(OTHERS).ok())).await?;
    Ok(stale)
}

/// Starts the operator again once it was killed; returns only when that fails.
async fn reviving(world: &World, long: bool, aged: &mut usize) -> anyhow::Error {
    world.gate.struck().await;
    let started = async {
        if long {
            *aged = world.outage(&["Delete"]).await?;
        }
        world.operator.start()
    };
    match started.await {
        Ok(()) => std::future::pending().await,
        Err(error) => error.context("the operator could not be started again"),
    }
}

//! A policy makes services of leads, with the operator killed on either side of each write between the mark on the lead and the service on the platform.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use oc_api::{Lead, OcEssentialService};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::evidence;
use super::gate::{Moment, Place};
use super::verdict::{Wanted, judge};
use super::world::{World, is_ready};

/// Leads that the policy selects.
const LEADS: usize = 72;
/// Leads that it does not select.
const OTHERS: usize = 8;
/// Its limit.
const IN_PROGRESS: usize = 6;
/// How long the platform takes to create a service, in milliseconds.
const TASK: u64 = 1000;
/// Which occurrence of an effect in a life is hit: the first could be special.
const NTH: usize = 2;
/// Longer than the grace of a create whose request never left.
const PATIENCE: Duration = Duration::from_secs(150);
const MARK: &str = "operatorconnect.dev/onboarded-by";

/// The kills, in order, each in a life of its own.
const KILLS: [(&str, Moment); 13] = [
    // Its request never left, so that the service waits for the grace, while the others go on.
    ("PATCH ocessentialservices (intent to create)", Moment::After),
    ("POST /tenantui/api/v3/customer", Moment::After),
    ("PATCH leads (onboarding begun)", Moment::Before),
    ("PATCH leads (onboarding begun)", Moment::After),
    ("PATCH leads (onboarding begun)", Moment::Late),
    ("POST ocessentialservices", Moment::Before),
    ("POST ocessentialservices", Moment::After),
    ("POST ocessentialservices", Moment::Late),
    ("PATCH leads (onboarding made)", Moment::Before),
    ("PATCH leads (onboarding made)", Moment::After),
    ("PATCH leads (onboarding made)", Moment::Late),
    ("PATCH ocessentialservices (let go)", Moment::Before),
    ("PATCH ocessentialservices (let go)", Moment::After),
];
/// After this kill a person deletes the object that was just created, before the next operator is there to record that it was.
const DELETED_AFTER: (&str, Moment) = ("POST ocessentialservices", Moment::After);

/// The case.
pub async fn a_policy_makes_one_service_of_each_lead(cluster: &Cluster) -> Result<()> {
    let began = Instant::now();
    let settings = json!({"taskDuration": TASK, "serviceVisibilityDelay": 500, "visibleAfterLeadsJob": true});
    let world = World::make(cluster, "onboarding", settings).await?;
    let leads: Vec<Value> = (0..LEADS + OTHERS)
        .map(|number| {
            let country = if number < LEADS { "BE" } else { "DE" };
            json!({"tenantId": World::tenant(number), "companyName": format!("Company {number}"), "countries": [country]})
        })
        .collect();
    world.simulate("POST", "leads", json!(leads)).await?;
    let requests = json!({"perSecond": 200, "burst": 200, "inFlight": 8});
    world.begin(&world.gated(), json!({"requests": requests, "leadDiscovery": {"namespace": world.name}})).await?;
    let discovered = async || Ok(world.api::<Lead>().list(&ListParams::default()).await?.items.len() == LEADS + OTHERS);
    world.until("all leads are discovered", PATIENCE, discovered).await?;
    policy(&world).await?;
    let mut deleted = None;
    for (effect, moment) in KILLS {
        killed_at(&world, effect, moment).await.with_context(|| format!("killed {moment:?} {effect}"))?;
        if (effect, moment) == DELETED_AFTER {
            deleted = Some(delete_the_newest(&world).await?);
        }
        world.operator.start()?;
    }
    let deleted = deleted.context("no object was deleted")?;
    world.until("all services are Ready", PATIENCE, async || Ok(ready(&world).await? == LEADS - 1)).await?;
    let before = objects(&world).await?;
    world.gate.at_its_height();
    world.until("the late requests are executed", PATIENCE, async || Ok(!world.gate.waits_for_late())).await?;
    let settled = async || Ok(ready(&world).await? == LEADS - 1 && all_released(&world).await?);
    world.until("all is as it was", PATIENCE, settled).await?;
    ensure!(objects(&world).await? == before, "a late request changed what there is: {before:?}");
    conclude(&world, &deleted, began).await
}

async fn policy(world: &World) -> Result<()> {
    let spec = json!({
        "platform": world.name,
        "matchConditions": [{"name": "from-belgium", "expression": "'BE' in lead.status.countries"}],
        "template": {"spec": {"mode": "Apply"}},
        "limits": {"inProgress": IN_PROGRESS, "perDay": 1000},
    });
    let metadata = json!({"name": "belgium", "namespace": world.name});
    world.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy", "metadata": metadata, "spec": spec})).await
}

/// Waits until the operator was killed at this effect.
async fn killed_at(world: &World, effect: &str, moment: Moment) -> Result<()> {
    world.gate.open(Some((Place { effect: effect.to_owned(), nth: NTH }, moment)));
    tokio::time::timeout(PATIENCE, world.gate.struck()).await.context("the operator never came there")?;
    ensure!(ready(world).await? < LEADS - 1, "a kill when all is done proves nothing");
    Ok(())
}

/// Deletes the service object of a lead whose mark does not say yet that it was created. Returns its name and its tenant.
async fn delete_the_newest(world: &World) -> Result<(String, String)> {
    let leads = world.api::<Lead>().list(&ListParams::default()).await?;
    let begun = |lead: &&Lead| lead.annotations().get(MARK).is_some_and(|mark| mark.ends_with("/begun"));
    let objects: BTreeSet<String> = services(world).await?.iter().map(ResourceExt::name_any).collect();
    let lead = leads.iter().filter(begun).find(|lead| objects.contains(&lead.name_any())).context("no object was just created")?;
    world.delete(&lead.name_any()).await?;
    Ok((lead.name_any(), lead.spec.ms_tenant_id.clone()))
}

async fn services(world: &World) -> Result<Vec<OcEssentialService>> {
    Ok(world.api::<OcEssentialService>().list(&ListParams::default()).await?.items)
}

/// The name and the uid of each service object.
async fn objects(world: &World) -> Result<BTreeSet<(String, Option<String>)>> {
    Ok(services(world).await?.iter().map(|object| (object.name_any(), object.uid())).collect())
}

async fn ready(world: &World) -> Result<usize> {
    Ok(services(world).await?.iter().filter(|object| is_ready(*object)).count())
}

/// Whether no service object waits for the mark of its lead.
async fn all_released(world: &World) -> Result<bool> {
    let waits = |object: &OcEssentialService| object.finalizers().iter().any(|name| name == "operatorconnect.dev/onboarding");
    Ok(!services(world).await?.iter().any(waits))
}

/// One object a lead, one service a tenant, and never more in progress than the policy allows, as the platform saw it.
async fn conclude(world: &World, (deleted, its_tenant): &(String, String), began: Instant) -> Result<()> {
    let mut names = BTreeSet::new();
    for lead in world.api::<Lead>().list(&ListParams::default()).await? {
        let selected = lead.status.as_ref().is_some_and(|status| status.countries.iter().any(|country| country == "BE"));
        let mark = lead.annotations().get(MARK).map(String::as_str).unwrap_or_default();
        ensure!(selected == (mark.starts_with("belgium/") && !mark.ends_with("/begun")), "the mark of {}: {mark}", lead.name_any());
        if selected {
            names.insert(lead.name_any());
        }
    }
    ensure!(names.len() == LEADS && names.remove(deleted), "{} leads, and {deleted}", names.len());
    let objects = services(world).await?;
    ensure!(objects.iter().map(ResourceExt::name_any).collect::<BTreeSet<_>>() == names, "not one object for each lead; {deleted} was deleted: {names:?}");
    let seen = world.seen().await?;
    let wanted = Wanted { served: (0..LEADS).map(World::tenant).filter(|tenant| tenant != its_tenant).collect(), ..Wanted::default() };
    let wrong = judge(&seen, &wanted);
    ensure!(wrong.is_nothing(), "{wrong:?}");
    let most = most_at_once(&world.simulate("GET", "services", Value::Null).await?)?;
    ensure!((2..=IN_PROGRESS).contains(&most), "{most} were in progress at once; the limit is {IN_PROGRESS}");
    world.log_is_clean()?;
    world.operator.check()?;
    evidence::write(
        "a_policy_makes_one_service_of_each_lead",
        &json!({"kills": KILLS.len(), "selected": LEADS, "objects": objects.len(), "createsExecuted": seen.created(), "secondServices": wrong.second.len(), "mostInProgress": most, "inProgress": IN_PROGRESS, "seconds": began.elapsed().as_secs()}),
    )?;
    world.operator.forget();
    Ok(())
}

/// The most services that were being created at one time: requested (their task ends when they are created), and not listed yet.
fn most_at_once(services: &Value) -> Result<usize> {
    let services = services["services"].as_array().context("the simulator's services")?;
    let spans: Option<Vec<(u64, u64)>> =
        services.iter().map(|service| Some((service["createdAt"].as_u64()? - TASK, service["listedFrom"].as_u64()?))).collect();
    let spans = spans.context("the times of the simulator's services")?;
    let at = |time: u64| spans.iter().filter(|(from, to)| (*from..*to).contains(&time)).count();
    Ok(spans.iter().map(|(from, _)| at(*from)).max().unwrap_or_default())
}

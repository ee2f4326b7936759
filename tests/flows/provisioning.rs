//! From a lead to a service that is Ready.

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, LivePlatform, OcEssentialService, SyncState};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

pub async fn tenant_id_service_becomes_ready(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("contoso", 1, json!({"msTenantId": null, "platform": null, "leadRef": {"name": "contoso"}})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let status = service.status.context("a status")?;
    ensure!(status.license_type.as_deref() == Some("OC Essential"), "license {:?}", status.license_type);
    ensure!(status.ms_tenant_id == Some(scene.tenant(1).into()) && status.platform.as_deref() == Some(scene.platform.as_str()));
    let there = scene.simulate("GET", "services", Value::Null).await?;
    let guid = status.ump_customer_guid.context("a guid")?;
    ensure!(there.to_string().contains(guid.as_str()), "the guid in status is the platform's own: {guid} in {there}");
    let sync = status.sync.context("sync")?;
    ensure!(sync.state == SyncState::Synced && sync.jobs.iter().all(|job| job.name == "peering.sync-leads-job"), "{sync:?}");
    // S9: on the lead too.
    let lead: Lead =
        scene.until("contoso", |lead: &Lead| lead.status.as_ref().is_some_and(|status| status.license_type.as_deref() == Some("OC Essential"))).await?;
    let status = lead.status.context("a status")?;
    ensure!(status.ump_customer_guid.as_deref() == Some(guid.as_str()));
    ensure!(status.service_ref.is_some_and(|service| service.name == "contoso" && service.namespace == scene.namespace));
    ensure!(scene.calls("services.create").await? == 1 && scene.changes().await? == 1, "one create, and no other change");
    Ok(())
}

pub async fn service_without_lead_object_becomes_ready(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("fabrikam", 1, json!({})).await?;
    scene.ready::<OcEssentialService>("fabrikam", "True", "Succeeded").await?;
    Ok(())
}

/// The operator's lists were read before the lead was created, and the next read is far away.
pub async fn a_lead_that_was_made_just_before_its_object_is_found(scene: Scene) -> Result<()> {
    scene.connect(json!({"observeInterval": "10m"})).await?;
    scene.ready::<LivePlatform>(&scene.platform, "True", "Succeeded").await?;
    scene.consented(&[1, 2]).await?;
    scene.lead("contoso", 1, json!({})).await?;
    scene.service("fabrikam", 2, json!({})).await?;
    // Sooner than the minute after which a young object is reconciled again.
    scene.ready::<Lead>("contoso", "True", "Succeeded").await?;
    scene.ready::<OcEssentialService>("fabrikam", "True", "Succeeded").await?;
    Ok(())
}

pub async fn ip_group_service_sends_its_variables_and_never_tells_them(scene: Scene) -> Result<()> {
    let password = "pbx-password-of-nobody";
    scene.consented(&[1]).await?;
    scene.connect(scene.http_jobs()).await?;
    let settings = json!({
        "proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com",
        "variables": {"CustomVar.Site": "Utrecht"}, "variablesFrom": {"secretRef": {"name": "pbx"}},
    });
    scene.service("northwind", 1, json!({"advancedSettings": settings})).await?;
    // The Secret is missing: nothing can have been requested from the platform, and the object says what to do.
    let service: OcEssentialService = scene.ready("northwind", "False", "InvalidSpec").await?;
    ensure!(message(&service).contains("variablesFrom") && message(&service).contains("pbx"), "{}", message(&service));
    ensure!(scene.calls("services.create").await? == 0);
    scene
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pbx", "namespace": scene.namespace}, "stringData": {"CustomVar.PbxPassword": password}}))
        .await?;
    scene.annotate::<OcEssentialService>("northwind", "operatorconnect.dev/reconcile-requested-at", "now").await?;
    let service: OcEssentialService = scene.ready("northwind", "True", "Succeeded").await?;
    ensure!(!serde_json::to_string(&service)?.contains(password), "the object tells the password");
    ensure!(!scene.log_holds(password)?, "the log tells the password");
    let jobs = service.status.and_then(|status| status.sync).context("sync")?.jobs;
    ensure!(jobs.len() == 2 && jobs.iter().all(|job| job.state == SyncState::Synced), "both jobs: {jobs:?}");
    let there = scene.simulate("GET", "services", Value::Null).await?.to_string();
    ensure!(
        there.contains("CustomVar.PbxPassword") && there.contains("CustomVar.Site") && there.contains("gw.example.com"),
        "the platform has the parameters: {there}"
    );
    Ok(())
}

pub async fn one_job_run_serves_all_that_wait(scene: Scene) -> Result<()> {
    let tenants: Vec<u32> = (1..=8).collect();
    scene.consented(&tenants).await?;
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.connect(json!({})).await?;
    for tenant in &tenants {
        scene.service(&format!("customer-{tenant}"), *tenant, json!({})).await?;
    }
    // The job may run only once all of them wait; otherwise the machine's speed decides how many arrive while it runs.
    for tenant in &tenants {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "False", "AwaitingLeadsJob").await?;
    }
    // Their waiting counts from the next whole second.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    scene.change::<LivePlatform>(&scene.platform, scene.http_jobs()).await?;
    for tenant in &tenants {
        scene.ready::<OcEssentialService>(&format!("customer-{tenant}"), "True", "Succeeded").await?;
    }
    let jobs = scene.simulate("GET", "jobs", Value::Null).await?;
    let runs = runs(&jobs, "peering.sync-leads-job")?;
    ensure!(runs == 1, "{runs} runs for {} services: {jobs}", tenants.len());
    let platform: LivePlatform = scene.ready(&scene.platform, "True", "Succeeded").await?;
    let shown = platform.status.context("a status")?.sync_jobs;
    ensure!(shown.iter().any(|job| job.name == "peering.sync-leads-job" && job.state == SyncState::Synced && job.completed_time.is_some()), "{shown:?}");
    Ok(())
}

fn runs(jobs: &Value, name: &str) -> Result<u64> {
    let all = jobs.as_array().or_else(|| jobs["jobs"].as_array()).context("a list of jobs")?;
    let job = all.iter().find(|job| job["name"] == name).with_context(|| format!("{name} in {jobs}"))?;
    job["runs"].as_u64().with_context(|| format!("a count of runs in {job}"))
}

const TRUNKS_RAN: &str = "operatorconnect.dev/trunks-job-ran-at";

/// A service that lacks only the trunks job.
async fn waits_for_the_trunks_job(scene: &Scene) -> Result<OcEssentialService> {
    scene.consented(&[1]).await?;
    scene.simulate("PATCH", "settings", json!({"visibleAfterLeadsJob": true})).await?;
    scene.connect(json!({})).await?;
    scene.service("northwind", 1, json!({"advancedSettings": {"proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com"}})).await?;
    let service: OcEssentialService = scene.ready("northwind", "False", "AwaitingLeadsJob").await?;
    ensure!(message(&service).contains("peering.sync-leads-job"), "{}", message(&service));
    ensure!(service.status.as_ref().and_then(|status| status.license_type.as_deref()) == Some("OC Essential"), "read back, though not synchronized");
    scene.simulate("POST", "jobs/leads/run", Value::Null).await?;
    // The leads job is noticed by its effect, at the next observation.
    scene.ready::<OcEssentialService>("northwind", "False", "AwaitingTrunksJob").await
}

pub async fn jobs_by_hand_are_asked_for_and_noticed(scene: Scene) -> Result<()> {
    let service = waits_for_the_trunks_job(&scene).await?;
    ensure!(message(&service).contains("peering.sync-trunks-job") && message(&service).contains("trunks-job-ran-at"), "{}", message(&service));
    // A run from before the service existed does not count.
    scene.annotate::<LivePlatform>(&scene.platform, TRUNKS_RAN, "2020-01-01T00:00:00Z").await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    scene.ready::<OcEssentialService>("northwind", "False", "AwaitingTrunksJob").await?;
    let due = service.status.and_then(|status| status.sync).and_then(|sync| sync.jobs.into_iter().find_map(|job| job.due_time)).context("a due time")?;
    scene.annotate::<LivePlatform>(&scene.platform, TRUNKS_RAN, &(due.0 + std::time::Duration::from_secs(1)).to_string()).await?;
    scene.ready::<OcEssentialService>("northwind", "True", "Succeeded").await?;
    ensure!(scene.calls("services.create").await? == 1);
    Ok(())
}

/// Someone in another time zone writes a time in the future, or a tool writes another format. Neither makes anything Synced, not even when that time has come,
/// and the LivePlatform says why.
#[allow(clippy::disallowed_methods, reason = "a person's clock, which the operator does not read")]
pub async fn a_time_of_a_job_that_can_not_be_is_told_and_never_counts(scene: Scene) -> Result<()> {
    waits_for_the_trunks_job(&scene).await?;
    let synced = |platform: &LivePlatform| platform.told().1.into_iter().find(|told| told.type_ == "Synced").map(|told| told.message).unwrap_or_default();
    let ahead = jiff::Timestamp::now() + std::time::Duration::from_secs(8);
    for (value, says) in [("Sat Nov 28 12:32:44 UTC 2026", "is not a time"), (ahead.to_string().as_str(), "was in the future by the operator's clock")] {
        scene.annotate::<LivePlatform>(&scene.platform, TRUNKS_RAN, value).await?;
        scene.until(&scene.platform, |platform: &LivePlatform| synced(platform).contains(says)).await?;
    }
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    scene.annotate::<LivePlatform>(&scene.platform, "operatorconnect.dev/reconcile-requested-at", "it has come").await?;
    let handled = |platform: &LivePlatform| platform.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("it has come"));
    let platform: LivePlatform = scene.until(&scene.platform, handled).await?;
    ensure!(synced(&platform).contains("was in the future"), "{:?}", platform.told());
    let jobs = platform.status.map(|status| status.sync_jobs).unwrap_or_default();
    ensure!(jobs.iter().all(|job| job.name != "peering.sync-trunks-job" || job.completed_time.is_none()), "nobody has run it: {jobs:?}");
    scene.ready::<OcEssentialService>("northwind", "False", "AwaitingTrunksJob").await?;
    scene.annotate::<LivePlatform>(&scene.platform, TRUNKS_RAN, &jiff::Timestamp::now().to_string()).await?;
    scene.ready::<OcEssentialService>("northwind", "True", "Succeeded").await?;
    Ok(())
}

pub async fn plan_and_observe_change_nothing(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.service("planned", 1, json!({"mode": "Plan"})).await?;
    scene.service("observed", 2, json!({"mode": "Observe"})).await?;
    let planned: OcEssentialService = scene.ready("planned", "False", "PlanReady").await?;
    let plan = planned.status.as_ref().context("a status")?.plan.clone();
    ensure!(plan.iter().any(|item| item.action == "Create" && item.field.as_deref() == Some("shortName") && item.to.as_deref() == Some("planned")), "{plan:?}");
    scene.ready::<OcEssentialService>("observed", "False", "Observing").await?;
    ensure!(scene.changes().await? == 0, "nothing was changed");
    ensure!(planned.metadata.finalizers.is_none(), "a plan takes no hold of the object");
    scene.change::<OcEssentialService>("planned", json!({"mode": "Apply"})).await?;
    let applied: OcEssentialService = scene.ready("planned", "True", "Succeeded").await?;
    ensure!(applied.status.is_some_and(|status| status.plan.is_empty()), "the plan is gone when it is done");
    ensure!(ready_is(&scene.until::<OcEssentialService>("observed", |_| true).await?, "False", "Observing"));
    Ok(())
}

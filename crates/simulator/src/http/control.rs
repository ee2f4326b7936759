//! The control API under `/simulator/`: what tests and demos do without the vendor's API.

use super::Shared;
use super::wire;
use crate::platform::Platform;
use crate::platform::faults::{Fault, FaultKind};
use crate::platform::jobs::JobName;
use crate::platform::leads::{LeadChange, LeadInput};
use crate::platform::seed::NumbersInput;
use crate::platform::services::{Service, ServiceChange, ServiceInput};
use crate::platform::settings::JobAnswer;
use crate::platform::tasks::TaskState;
use crate::platform::topology::{ChannelInput, LcCustomerInput};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

type Answer = Result<Json<Value>, Problem>;

/// The error of a control call.
#[derive(Debug)]
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

fn bad(message: impl ToString) -> Problem {
    Problem(StatusCode::BAD_REQUEST, message.to_string())
}

fn conflict(message: String) -> Problem {
    Problem(StatusCode::CONFLICT, message)
}

fn missing(what: &str, key: &str) -> Problem {
    Problem(StatusCode::NOT_FOUND, format!("no {what} {key}"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(bad)
}

fn read_many<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Problem> {
    match read(body)? {
        Value::Array(items) => items
            .into_iter()
            .map(|item| serde_json::from_value(item).map_err(bad))
            .collect(),
        item => Ok(vec![serde_json::from_value(item).map_err(bad)?]),
    }
}

/// The routes of the control API.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/simulator/healthz", get(async || "ok"))
        .route("/simulator/state", get(state))
        .route("/simulator/reset", post(reset))
        .route("/simulator/leads", post(add_leads).get(leads))
        .route(
            "/simulator/leads/{tenant}",
            patch(change_lead).delete(forget_lead),
        )
        .route("/simulator/services", post(add_service).get(services))
        .route(
            "/simulator/services/{guid}",
            patch(change_service).delete(vanish_service),
        )
        .route("/simulator/channels", post(add_channel))
        .route("/simulator/lc-customers", post(add_lc_customer))
        .route("/simulator/numbers", post(add_numbers))
        .route("/simulator/numbers/{tenant}", delete(clear_numbers))
        .route("/simulator/jobs", get(jobs))
        .route("/simulator/jobs/{name}/run", post(run_job))
        .route("/simulator/jobs/{name}/schedule", put(schedule_job))
        .route("/simulator/settings", get(settings).patch(change_settings))
        .route(
            "/simulator/faults",
            post(add_fault).get(faults).delete(clear_faults),
        )
        .route("/simulator/calls", get(calls).delete(reset_calls))
        .route("/simulator/log", get(log))
}

type Here = State<Arc<Shared>>;

fn with<T>(shared: &Shared, act: impl FnOnce(&mut Platform, u64) -> T) -> T {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    inner.platform.advance(now);
    act(&mut inner.platform, now)
}

async fn state(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, now| {
        json!({
            "now": now,
            "leads": platform.leads.count(),
            "services": platform.services.count(),
            "tasks": {
                "inProgress": platform.tasks.count(TaskState::InProgress),
                "completedSuccess": platform.tasks.count(TaskState::CompletedSuccess),
                "failed": platform.tasks.count(TaskState::Failed),
            },
            "channels": platform.topology.channels.len(),
            "lcCustomers": platform.topology.customers.len(),
            "numbers": platform.numbers.total(),
            "faults": platform.faults.active().len(),
            "jobs": platform.jobs.all(),
            "calls": platform.record.counters.total,
            "tenantsWithTwoServices": platform.history.with_two_services(),
        })
    }))
}

async fn reset(State(shared): Here) -> Json<Value> {
    let mut inner = shared.lock();
    let id_seed = inner.platform.ids.draw();
    inner.platform = Platform::new(shared.settings.clone(), id_seed);
    Json(json!({"reset": true}))
}

fn shown(platform: &Platform, ids: &[String], operator: &str) -> Value {
    let leads = ids.iter().filter_map(|id| platform.leads.any_with_id(id));
    leads
        .map(|lead| json!(wire::lead(platform, lead, operator)))
        .collect()
}

async fn add_leads(State(shared): Here, body: Bytes) -> Answer {
    let inputs: Vec<LeadInput> = read_many(&body)?;
    with(&shared, |platform, now| {
        let ids: Result<Vec<String>, String> = inputs
            .into_iter()
            .map(|input| platform.seed_lead(now, input))
            .collect();
        Ok(Json(shown(
            platform,
            &ids.map_err(conflict)?,
            &shared.credentials.directory,
        )))
    })
}

async fn leads(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| {
        let leads = platform.leads.local();
        leads
            .map(|lead| json!(wire::lead(platform, lead, &shared.credentials.directory)))
            .collect()
    }))
}

async fn change_lead(State(shared): Here, Path(tenant): Path<String>, body: Bytes) -> Answer {
    let change: LeadChange = read(&body)?;
    with(&shared, |platform, now| {
        if platform.change_lead(now, &tenant, &change) == 0 {
            return Err(missing("lead of tenant", &tenant));
        }
        let ids: Vec<String> = platform.leads.of(&tenant).map(|lead| lead.id.clone()).collect();
        Ok(Json(shown(platform, &ids, &shared.credentials.directory)))
    })
}

async fn forget_lead(State(shared): Here, Path(tenant): Path<String>) -> Answer {
    match with(&shared, |platform, _| platform.forget_lead(&tenant)) {
        0 => Err(missing("lead of tenant", &tenant)),
        removed => Ok(Json(json!({"removed": removed}))),
    }
}

fn internals(service: &Service) -> Value {
    let mut shown = json!(service.kept);
    let more = json!({
        "umpCustomerGuid": service.guid, "tenantId": service.tenant, "shortName": service.short_name,
        "fullName": service.full_name, "licenseType": service.license, "licensedUsersCount": service.licensed_users,
        "topologyId": service.topology_id, "lcCustomerId": service.customer,
        "siteLocationId": service.site.id, "siteLocationName": service.site.name, "sbcId": service.site.sbc, "scripts": service.site.scripts,
        "createdAt": service.created_at, "listedFrom": service.listed_from, "deletedAt": service.until,
        "byApi": service.by_api, "leadsSynced": service.leads_synced, "trunksSynced": service.trunks_synced,
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

async fn services(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| {
        let list: Vec<Value> = platform.services.all().map(internals).collect();
        let creations = platform.history.creations();
        let history: BTreeMap<&str, _> = creations
            .keys()
            .map(|tenant| (*tenant, platform.history.of(tenant)))
            .collect();
        json!({"services": list, "creationsByTenant": creations, "history": history})
    }))
}

async fn add_service(State(shared): Here, body: Bytes) -> Answer {
    let input: ServiceInput = read(&body)?;
    with(&shared, |platform, now| {
        let guid = platform.seed_service(now, input).map_err(conflict)?;
        Ok(Json(platform.services.get(&guid).map(internals).into()))
    })
}

async fn change_service(State(shared): Here, Path(guid): Path<String>, body: Bytes) -> Answer {
    let change: ServiceChange = read(&body)?;
    with(&shared, |platform, _| {
        if !platform.change_service(&guid, change) {
            return Err(missing("service", &guid));
        }
        Ok(Json(platform.services.get(&guid).map(internals).into()))
    })
}

async fn vanish_service(State(shared): Here, Path(guid): Path<String>) -> Answer {
    if with(&shared, |platform, now| platform.vanish_service(now, &guid)) {
        return Ok(Json(json!({"removed": 1})));
    }
    Err(missing("service", &guid))
}

async fn add_channel(State(shared): Here, body: Bytes) -> Answer {
    let input: ChannelInput = read(&body)?;
    Ok(Json(with(&shared, |platform, now| {
        let id = platform.topology.put_channel(input, None, now);
        platform
            .topology
            .channels
            .get(&id)
            .map(|channel| wire::channel(platform, channel))
            .into()
    })))
}

async fn add_lc_customer(State(shared): Here, body: Bytes) -> Answer {
    let input: LcCustomerInput = read(&body)?;
    Ok(Json(with(&shared, |platform, now| {
        let id = platform.topology.put_customer(input, now);
        platform
            .topology
            .customers
            .get(&id)
            .map(|customer| wire::lc_customer(platform, customer))
            .into()
    })))
}

async fn add_numbers(State(shared): Here, body: Bytes) -> Answer {
    let input: NumbersInput = read(&body)?;
    Ok(Json(with(&shared, |platform, _| {
        platform.add_numbers(&input);
        json!({"tenantId": input.tenant_id, "count": platform.numbers.count(&input.tenant_id)})
    })))
}

async fn clear_numbers(State(shared): Here, Path(tenant): Path<String>) -> Json<Value> {
    Json(json!({"removed": with(&shared, |platform, _| platform.numbers.clear(&tenant))}))
}

fn job_name(name: &str) -> Result<JobName, Problem> {
    JobName::parse(name).ok_or_else(|| missing("job", name))
}

async fn jobs(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| json!(platform.jobs.all())))
}

async fn run_job(State(shared): Here, Path(name): Path<String>) -> Answer {
    let name = job_name(&name)?;
    let at_once = with(&shared, |platform, now| {
        (platform.settings.job_answer == JobAnswer::AtOnce).then(|| platform.start_job(now, name).is_ok())
    });
    if let Some(started) = at_once {
        let message = if started {
            "Synchronization started"
        } else {
            "A synchronization is already in progress"
        };
        return Ok(Json(json!({"success": true, "message": message})));
    }
    let runs = loop {
        let started = with(&shared, |platform, now| {
            (platform.start_job(now, name), now, platform.jobs.get(name).runs)
        });
        match started {
            (Ok(_), _, runs) => break runs,
            // A run that began before this call may have missed what the caller wants to see.
            (Err(ends), now, _) => {
                tokio::time::sleep(Duration::from_millis(ends.saturating_sub(now).max(1))).await
            }
        }
    };
    loop {
        let (job, now) = with(&shared, |platform, now| (platform.jobs.get(name).clone(), now));
        if job.runs > runs {
            return Ok(Json(json!(job)));
        }
        let ends = job.ends().unwrap_or(now);
        tokio::time::sleep(Duration::from_millis(ends.saturating_sub(now).max(1))).await;
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Schedule {
    every_milliseconds: Option<u64>,
}

async fn schedule_job(State(shared): Here, Path(name): Path<String>, body: Bytes) -> Answer {
    let (name, schedule) = (job_name(&name)?, read::<Schedule>(&body)?);
    let every = schedule.every_milliseconds;
    Ok(Json(with(&shared, |platform, now| {
        json!(platform.schedule_job(now, name, every))
    })))
}

async fn settings(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| json!(platform.settings)))
}

async fn change_settings(State(shared): Here, body: Bytes) -> Answer {
    let change: Value = read(&body)?;
    with(&shared, |platform, _| {
        let settings = platform.settings.merged(&change).map_err(bad)?;
        platform.set(settings);
        Ok(Json(json!(platform.settings)))
    })
}

async fn add_fault(State(shared): Here, body: Bytes) -> Answer {
    let faults: Vec<Fault> = read_many(&body)?;
    Ok(Json(with(&shared, |platform, _| {
        faults.into_iter().for_each(|fault| platform.faults.add(fault));
        json!(platform.faults.active())
    })))
}

async fn faults(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| json!(platform.faults.active())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    kind: Option<FaultKind>,
}

async fn clear_faults(State(shared): Here, Query(Which { kind }): Query<Which>) -> Json<Value> {
    Json(json!({"cleared": with(&shared, |platform, _| platform.faults.clear(kind))}))
}

async fn calls(State(shared): Here) -> Json<Value> {
    Json(with(&shared, |platform, _| {
        let mut counters = json!(platform.record.counters);
        counters["tenantsWithTwoServices"] = json!(platform.history.with_two_services());
        counters
    }))
}

async fn reset_calls(State(shared): Here) -> Json<Value> {
    with(&shared, |platform, _| {
        platform.record.counters = Default::default()
    });
    Json(json!({"reset": true}))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn log(State(shared): Here, Query(Since { since }): Query<Since>) -> Json<Value> {
    Json(with(&shared, |platform, _| json!(platform.record.since(since))))
}

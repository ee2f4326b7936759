//! The path of each call: it is counted, checked, perhaps hit by a fault, executed, logged and answered.

use super::Shared;
use super::bind::{Fields, Query, without_secrets};
use super::listener::Cut;
use super::reply::{self, JSON, Reply, TEXT};
use super::route::{self, Route};
use super::shape;
use super::token::{self, refused};
use super::vendor::{self, Call};
use crate::platform::Platform;
use crate::platform::counters::LoggedCall;
use crate::platform::endpoint::Endpoint;
use crate::platform::faults::{Fault, FaultKind};
use crate::platform::leads::folded;
use crate::platform::reflect;
use crate::platform::refusal::Refusal;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Response, Uri, header};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Request {
    method: Method,
    path: String,
    shown: String,
    query: Query,
    bearer: Option<String>,
    body: Bytes,
}

#[derive(Debug)]
struct Plan {
    route: Route,
    tenant: Option<String>,
    authorised: bool,
    delay: Option<Fault>,
    fault: Option<Fault>,
    before: u64,
}

/// Serves the vendor's API and the token endpoint.
pub async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let query = uri.query().unwrap_or_default();
    let request = Request {
        method,
        path: uri.path().to_owned(),
        shown: without_secrets(uri.path(), query),
        query: Query::parse(query),
        bearer: bearer(&headers),
        body,
    };
    // The platform finishes a call even when its client hangs up; a handler of this library would not.
    let running = tokio::spawn(run(shared, request, cut));
    match running.await {
        Ok(Some(response)) => response,
        // Ends when the client hangs up.
        Ok(None) => std::future::pending().await,
        Err(_) => shape::plain(Reply::empty(500)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

/// Runs a call. Returns `None` when it is never answered.
async fn run(shared: Arc<Shared>, request: Request, cut: Cut) -> Option<Response<Body>> {
    let plan = plan(&shared, &request);
    pause(plan.before).await;
    let mut reply = outcome(&shared, &request, &plan);
    if let Some(delay) = plan.delay.as_ref().filter(|delay| delay.executed == Some(true)) {
        pause(delay.delay.unwrap_or(0)).await;
    }
    let kind = plan.fault.as_ref().map(|fault| fault.kind);
    if kind == Some(FaultKind::EmptyOk) {
        reply.status = 200;
    }
    log(&shared, &request, &plan, kind, reply.status);
    match &plan.fault {
        Some(fault) if fault.kind == FaultKind::Hang => None,
        Some(fault) => {
            after(&shared, fault, &cut);
            Some(shape::damaged(reply, fault, &cut))
        }
        None => Some(shape::plain(reply)),
    }
}

/// Applies what a fault does after the answer is made.
fn after(shared: &Shared, fault: &Fault, cut: &Cut) {
    let tenant = fault.entry.as_deref().unwrap_or_default();
    match fault.kind {
        FaultKind::LeadLeaves => drop(shared.lock().platform.forget_lead(tenant)),
        FaultKind::LeadMoves => shared.lock().platform.leads.move_last(tenant),
        FaultKind::CloseAfterAnswer => cut.later(Duration::from_millis(fault.delay.unwrap_or(0).max(1))),
        _ => {}
    }
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

fn plan(shared: &Shared, request: &Request) -> Plan {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let inner = &mut *inner;
    let platform = &mut inner.platform;
    platform.advance(now);
    let filtered = request.query.filled("mstenantid").is_some();
    let route = route::find(
        request.method.as_str(),
        &request.path,
        platform.settings.doubled_prefix,
        filtered,
    );
    platform.record.arrives(route.endpoint, request.method.as_str());
    let tenant = tenant_of(platform, request, &route);
    let microsoft = route.endpoint.is_microsoft();
    let authorised = microsoft || inner.tokens.accepts(request.bearer.as_deref(), now);
    let mut befall = |wanted: fn(FaultKind) -> bool| {
        // A call that is refused anyway does not use up a fault.
        let Platform { faults, chance, .. } = platform;
        if authorised {
            faults.befall(chance, route.endpoint, tenant.as_deref(), wanted)
        } else {
            None
        }
    };
    let delay = befall(|kind| kind == FaultKind::Delay);
    let fault = befall(|kind| kind != FaultKind::Delay && kind.concerns_call());
    let early = delay.as_ref().filter(|delay| delay.executed != Some(true));
    let waits = [early, fault.as_ref()]
        .into_iter()
        .flatten()
        .map(Fault::wait)
        .sum::<u64>();
    let latency = if microsoft {
        0
    } else {
        inner.platform.settings.latency
    };
    Plan {
        route,
        tenant,
        authorised,
        delay,
        fault,
        before: latency + waits,
    }
}

/// Returns the Microsoft tenant of a call, if it can be determined.
fn tenant_of(platform: &Platform, request: &Request, route: &Route) -> Option<String> {
    if let Some(tenant) = request.query.filled("mstenantid") {
        return Some(folded(tenant));
    }
    if !route.key.is_empty() {
        let of_task = || {
            platform
                .tasks
                .get(&route.key)
                .and_then(|task| task.tenant.as_deref())
        };
        let of_service = platform
            .services
            .get(&route.key)
            .map(|service| service.tenant.as_str());
        return of_service.or_else(of_task).map(folded);
    }
    if request.method == Method::GET || route.endpoint.is_microsoft() {
        return None;
    }
    let body = Fields::parse(&request.body).ok()?;
    ["mstenantid", "leadmstenantid", "tenantid"]
        .iter()
        .find_map(|name| body.filled(name))
        .map(|tenant| folded(&tenant))
}

fn outcome(shared: &Shared, request: &Request, plan: &Plan) -> Reply {
    if !plan.authorised {
        return Reply::unauthorized();
    }
    let Some(fault) = &plan.fault else {
        return execute(shared, request, plan);
    };
    let executed = fault.executes().then(|| execute(shared, request, plan));
    let message = fault
        .message
        .as_ref()
        .map(|message| reflect::filled(message, &sent(request)));
    let text = |default: &str| message.clone().unwrap_or_else(|| default.to_owned());
    match fault.kind {
        FaultKind::TokenRefused => refused(
            401,
            "invalid_client",
            &text("AADSTS7000215: Invalid client secret provided."),
        ),
        FaultKind::Unauthorized => {
            shared.lock().tokens.revoke(request.bearer.as_deref());
            Reply::unauthorized()
        }
        FaultKind::TooManyRequests => Reply::too_many(retry_after(fault)),
        FaultKind::ServerError => {
            let status = fault.status.unwrap_or(503);
            let whole = message.map_or_else(
                || Reply::empty(status),
                |body| Reply::with(status, TEXT, body.into_bytes()),
            );
            Reply {
                headers: Reply::too_many(retry_after(fault)).headers,
                ..whole
            }
        }
        FaultKind::Refused => {
            let field = fault.field.as_deref().unwrap_or("ScriptParameters");
            let refusal = Refusal::field(field, text("The value is not valid."));
            reply::refusal(&refusal, &request.path, false, &mut shared.lock().platform.ids)
        }
        FaultKind::Answer => {
            let content_type = fault.content_type.clone().unwrap_or_else(|| JSON.to_owned());
            Reply::with(fault.status.unwrap_or(200), content_type, text("").into_bytes())
        }
        FaultKind::HtmlOk => Reply::with(
            fault.status.unwrap_or(200),
            "text/html; charset=utf-8",
            text(shape::PAGE).into_bytes(),
        ),
        FaultKind::TaskNotFound => {
            let default = format!("Task with {} not found", plan.route.key);
            Reply::json(404, &text(&default))
        }
        _ => executed.unwrap_or_else(|| Reply::empty(200)),
    }
}

/// Returns what a request held that an answer may repeat: script parameters, the bearer token, the client
/// secret.
fn sent(request: &Request) -> BTreeMap<String, String> {
    let mut sent = Fields::parse(&request.body)
        .map(|body| body.pairs("scriptparameters"))
        .unwrap_or_default();
    sent.extend(request.bearer.clone().map(|token| ("bearer".to_owned(), token)));
    let form = Query::parse(&String::from_utf8_lossy(&request.body));
    sent.extend(
        form.get("client_secret")
            .map(|secret| ("clientSecret".to_owned(), secret.to_owned())),
    );
    sent
}

fn retry_after(fault: &Fault) -> Option<String> {
    let value = fault.retry_after.as_ref().filter(|value| !value.is_null())?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn execute(shared: &Shared, request: &Request, plan: &Plan) -> Reply {
    let now = shared.clock.now();
    let mut inner = shared.lock();
    let inner = &mut *inner;
    inner.platform.advance(now);
    if let Some(status) = plan.route.missing {
        return Reply::empty(status);
    }
    if plan.route.endpoint == Endpoint::Token {
        let form = Query::parse(&String::from_utf8_lossy(&request.body));
        let (lifetime, directory) = (inner.platform.settings.token_lifetime, &plan.route.key);
        let chance = &mut inner.platform.ids;
        return shared
            .credentials
            .answer(&mut inner.tokens, chance, now, lifetime, directory, &form);
    }
    if plan.route.endpoint == Endpoint::OpenIdConfiguration {
        return token::open_id_configuration(&inner.platform.settings.missing_tenants, &plan.route.key);
    }
    let call = Call {
        endpoint: plan.route.endpoint,
        key: &plan.route.key,
        path: &request.path,
        query: &request.query,
        body: &request.body,
        operator: &shared.credentials.directory,
    };
    vendor::execute(&mut inner.platform, now, &call)
}

fn log(shared: &Shared, request: &Request, plan: &Plan, kind: Option<FaultKind>, status: u16) {
    let dropped = matches!(
        kind,
        Some(FaultKind::DropBeforeExecution | FaultKind::DropAfterExecution | FaultKind::Hang)
    );
    let status = if dropped { 0 } else { status };
    let endpoint = plan.route.endpoint.name();
    let fault = kind.map(tracing::field::debug);
    tracing::info!(method = %request.method, path = request.shown, endpoint, status, fault, "call");
    let call = LoggedCall {
        sequence: 0,
        milliseconds: shared.clock.now(),
        method: request.method.to_string(),
        path: request.shown.clone(),
        endpoint,
        status,
        tenant_id: plan.tenant.clone(),
    };
    shared.lock().platform.record.answered(call);
}

//! The two small servers: `/metrics` on one address, `/livez` and `/readyz` on another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cli::Listen;
use crate::controllers::Context;
use crate::controllers::snapshot::Snapshot;
use crate::telemetry::health::{Health, Report};
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

/// Binds an address before anything else happens, so that a failure is reported at the start.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(flag: &str, what: &str, listen: Option<Listen>) -> anyhow::Result<Option<TcpListener>> {
    let Some(listen) = listen else { return Ok(None) };
    let taken = match listen {
        Listen::At(address) => TcpListener::bind(address).await,
        Listen::Everywhere(port) => {
            // IPv6 first, whose socket accepts IPv4 as well; IPv4 alone on a machine without IPv6.
            let all = [
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ]
            .map(|all| SocketAddr::new(all, port));
            TcpListener::bind(&all[..]).await
        }
    };
    let listener = taken.with_context(|| {
        format!("can't listen on {flag} {listen}; is it in use, or not an address of this machine?")
    })?;
    tracing::info!(address = %listener.local_addr()?, "serving {what}");
    Ok(Some(listener))
}

/// Serves metrics as long as it is polled.
pub async fn metrics(listener: TcpListener, metrics: Arc<Metrics>, context: Arc<Context>) {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .with_state((metrics, context));
    serve(listener, router).await;
}

/// Serves health as long as it is polled.
pub async fn health(listener: TcpListener, health: Arc<Health>) {
    let router = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(health);
    serve(listener, router).await;
}

async fn serve(listener: TcpListener, router: Router) {
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "a server ended");
    }
}

async fn scrape(State((metrics, context)): State<(Arc<Metrics>, Arc<Context>)>) -> Response {
    match metrics.text(Snapshot::of(&context)) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn live(State(health): State<Arc<Health>>, RawQuery(query): RawQuery) -> Response {
    answer("livez", &health.live(), query.as_deref())
}

async fn ready(State(health): State<Arc<Health>>, RawQuery(query): RawQuery) -> Response {
    answer("readyz", &health.ready(), query.as_deref())
}

fn answer(name: &str, report: &Report, query: Option<&str>) -> Response {
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "verbose" || part.starts_with("verbose="))
    });
    let status = if report.is_good() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, report.text(name, verbose)).into_response()
}

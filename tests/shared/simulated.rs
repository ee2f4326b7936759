//! The simulated platform: the object that connects to it, and the simulator's own calls, through which a test plays Microsoft, the platform's staff, or bad
//! luck.
#![allow(dead_code, reason = "each target uses its part")]

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use live_platform_simulator::Simulator;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The spec of a `LivePlatform` for the simulator; the Secret `credential` is in this namespace.
pub fn platform_spec(simulator: &Simulator, namespace: &str) -> Value {
    json!({
        "url": simulator.base_url(),
        "authentication": {"entra": {
            "tenantId": "33333333-3333-4333-8333-333333333333", "clientId": "44444444-4444-4444-8444-444444444444",
            "scope": "api://simulator/.default", "tokenUrl": simulator.token_url(),
            "clientSecretRef": {"namespace": namespace, "name": "credential", "key": "key"},
        }},
        "observeInterval": "5s",
        "requests": {"perSecond": 200, "burst": 200, "inFlight": 8},
    })
}

/// Makes one of the simulator's own calls, without a body when `body` is null.
pub async fn call(http: &reqwest::Client, simulator: &Simulator, method: &str, path: &str, body: Value) -> Result<Value> {
    let mut request = http.request(method.parse()?, format!("{}/simulator/{path}", simulator.url()));
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{method} /simulator/{path}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The number of calls to a platform endpoint.
pub async fn calls(http: &reqwest::Client, simulator: &Simulator, endpoint: &str) -> Result<u64> {
    Ok(call(http, simulator, "GET", "calls", Value::Null).await?["byEndpoint"][endpoint].as_u64().unwrap_or_default())
}

/// The number of changes requested from the platform.
pub async fn changes(http: &reqwest::Client, simulator: &Simulator) -> Result<u64> {
    call(http, simulator, "GET", "calls", Value::Null).await?["changes"].as_u64().context("the simulator counts changes")
}

/// Polls until there is a result, for at most this many seconds.
pub async fn until<T, F: Future<Output = Result<Option<T>>>>(seconds: u64, ask: impl Fn() -> F) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "it is not so after {seconds} s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

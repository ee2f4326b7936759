//! The simulator's own calls, by which a test is Microsoft, the platform's staff, or bad luck.

use anyhow::{Result, ensure};
use live_platform_simulator::Simulator;
use serde_json::Value;

/// Makes one of them; without a body when that is null.
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

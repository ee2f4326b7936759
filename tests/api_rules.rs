//! The custom resources against a real API server: each rule is tested by one mutation of a valid object and the message that a person gets.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall say where")]

#[path = "api_rules/cluster.rs"]
mod cluster;
#[path = "api_rules/definitions.rs"]
mod definitions;
#[path = "api_rules/lead.rs"]
mod lead;
#[path = "api_rules/lead_policy.rs"]
mod lead_policy;
#[path = "api_rules/live_platform.rs"]
mod live_platform;
#[path = "api_rules/reading.rs"]
mod reading;
#[path = "api_rules/service.rs"]
mod service;

use control_plane::{ControlPlane, Options};

/// The rules of all kinds, in the order of their definitions.
fn suites() -> Vec<cluster::Suite> {
    vec![live_platform::suite(), lead::suite(), service::suite(), lead_policy::suite()]
}

/// All tests that need the API server, on one API server; every failure is listed.
#[tokio::test(flavor = "multi_thread")]
async fn rules() {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let client = control_plane.client();
    cluster::install(&client).await;
    let mut failures = Vec::new();
    for suite in suites() {
        failures.extend(cluster::check(&client, &suite).await);
    }
    failures.extend(reading::check(&client).await);
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

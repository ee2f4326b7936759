//! What the operator reports about itself, on a real API server: metrics that match the catalogue exactly, and health that is seen to fail. The operator is a
//! separate process under the chart's rights, and reaches the API server through a proxy that can fall silent.
//!
//! Run one case by name: `cargo xtask test -- --test health frozen`.

mod cases;
mod openmetrics;
mod proxy;
#[path = "../shared/simulated.rs"]
mod simulated;
mod stage;
#[macro_use]
#[path = "../shared/trials.rs"]
mod trials;

use std::process::ExitCode;

use anyhow::Result;
use cases::*;
use stage::{Case, Stage};
use trials::Trials;

const CASES: &[(&str, Case)] = &cases![
    what_can_not_be_listened_on_is_told_at_the_start,
    what_the_environment_has_for_others_hinders_nothing,
    what_is_served_is_the_catalogue,
    a_status_that_is_not_taken_is_counted,
    a_frozen_watch_fails_liveness,
    an_api_server_that_is_away_shows_in_readiness_alone,
    a_platform_that_is_away_is_no_reason_to_restart,
    an_api_server_that_comes_back_is_waited_for_at_the_start,
    a_node_whose_clock_is_wrong_takes_the_time_of_the_api_server,
    a_replica_that_waits_is_ready,
    one_that_is_to_end_is_not_ready_and_lives,
];

fn main() -> Result<ExitCode> {
    let mut trials = Trials::new(|| Box::pin(Stage::set()))?;
    for &(name, case) in CASES {
        trials.case(name, move |stage| async move { stage.play(name, case).await });
    }
    // An operator works on all objects of the cluster, and the cases share one proxy.
    Ok(trials.play(1))
}

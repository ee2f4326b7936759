//! Several replicas of the operator on a real API server: one leads, and another takes over when that one ends, is killed, or is stopped for long. The replicas
//! are separate processes under the chart's rights. Cases run one after the other, each with a new lease.
//!
//! Run one by name: `cargo xtask test -- --test leader stopped`.

mod cases;
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
    what_makes_no_sense_is_refused_at_the_start,
    one_leads_and_the_other_asks_nothing,
    a_leader_that_ends_hands_over_at_once,
    a_call_under_way_is_finished_before_the_lease_is_given_back,
    a_killed_leader_is_followed_when_its_lease_is_over,
    a_container_that_is_started_again_goes_on_with_its_lease,
    a_deposed_leader_ends,
    a_stopped_leader_starts_nothing_when_it_goes_on,
];

fn main() -> Result<ExitCode> {
    let mut trials = Trials::new(|| Box::pin(Stage::set()))?;
    for &(name, case) in CASES {
        trials.case(name, move |stage| async move { stage.play(name, case).await });
    }
    // A replica works on all objects of the cluster: those of another case would get in the way, and the cases measure time.
    Ok(trials.play(1))
}

//! What the operator says of itself, on a real API server: metrics that are just the catalogue, and health that is seen to fail. It is a process of its
//! own, under the rights that the chart gives, and reaches the API server through a proxy that can fall silent.
//!
//! Run one by its name: `cargo xtask test --test health frozen`.

mod cases;
mod openmetrics;
mod proxy;
mod stage;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Case, Stage};

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        [$((stringify!($case), (|scene| Box::pin(cases::$case(scene))) as Case)),+]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // An operator works on all objects of the cluster, and the proxy is one.
    arguments.test_threads = Some(1);
    let cases = cases![
        what_can_not_be_listened_on_is_told_at_the_start,
        what_is_served_is_the_catalogue,
        a_status_that_is_not_taken_is_counted,
        a_frozen_watch_fails_liveness,
        an_api_server_that_is_away_shows_in_readiness_alone,
        a_platform_that_is_away_is_no_reason_to_restart,
        a_replica_that_waits_is_ready,
        one_that_is_to_end_is_not_ready_and_lives,
    ];
    if arguments.list {
        let trials = cases.into_iter().map(|(name, _)| Trial::test(name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(_) => return ExitCode::FAILURE,
    };
    let stage = match runtime.block_on(Stage::set()) {
        Ok(stage) => Arc::new(stage),
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a test says why it can't begin")]
            {
                eprintln!("the stage could not be set: {error:#}");
            }
            return ExitCode::FAILURE;
        }
    };
    let trials = cases
        .into_iter()
        .map(|(name, case)| {
            let (runtime, stage) = (Arc::clone(&runtime), Arc::clone(&stage));
            Trial::test(name, move || runtime.block_on(stage.play(name, case)).map_err(|error| Failed::from(format!("{error:#}"))))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

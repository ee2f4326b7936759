//! Several replicas of the operator on a real API server: one leads, and another takes over when that one ends, is killed, or is stopped for long.
//! The replicas are processes of their own, under the rights that the chart gives. Cases are played one after the other, each with a lease of its own.
//!
//! Run one by its name: `cargo xtask test --test leader stopped`.

mod cases;
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
    // A replica works on all objects of the cluster: those of another case would be in its way, and its measurements are of time.
    arguments.test_threads = Some(1);
    let cases = cases![
        what_makes_no_sense_is_refused_at_the_start,
        one_leads_and_the_other_asks_nothing,
        a_leader_that_ends_hands_over_at_once,
        a_call_under_way_is_finished_before_the_lease_is_given_back,
        a_killed_leader_is_followed_when_its_lease_is_over,
        a_deposed_leader_ends,
        a_stopped_leader_starts_nothing_when_it_goes_on,
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

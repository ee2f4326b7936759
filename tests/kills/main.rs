//! The operator is killed, by SIGKILL, at every place where that could hurt, and at places that nobody chose. What must hold then is told by the
//! simulated platform: one service for each tenant that should have one, never two, and nobody else's touched.
//!
//! The operator is a process, on a real API server, under the rights that the chart gives. Run one by its name:
//! `cargo xtask test --test kills random`; `KILLS_SEED` repeats the moments of a run.

mod cluster;
mod evidence;
mod gate;
mod load;
mod operator;
mod places;
mod proxy;
mod verdict;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use cluster::Cluster;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// What the cases share: the API server is started by the first case that needs it.
struct Shared {
    runtime: Runtime,
    cluster: OnceCell<Cluster>,
}

fn check(name: &str, check: fn() -> Result<()>) -> Trial {
    Trial::test(name, move || check().map_err(|error| Failed::from(format!("{error:#}"))))
}

fn case(shared: &Arc<Shared>, name: &str, case: impl AsyncFn(&Cluster) -> Result<()> + Send + 'static) -> Trial {
    let shared = Arc::clone(shared);
    Trial::test(name, move || {
        let played = shared.runtime.block_on(async { case(shared.cluster.get_or_try_init(Cluster::start).await.context("no API server")?).await });
        played.map_err(|error| Failed::from(format!("{error:#}")))
    })
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Both cases keep the machine busy, and count seconds.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else { return ExitCode::FAILURE };
    let shared = Arc::new(Shared { runtime, cluster: OnceCell::new() });
    let trials = vec![
        check("verdict::what_is_as_wanted_passes", verdict::checks::what_is_as_wanted_passes),
        check("verdict::a_double_is_seen", verdict::checks::a_double_is_seen),
        check("verdict::a_wrong_deletion_is_seen", verdict::checks::a_wrong_deletion_is_seen),
        check("verdict::what_is_unfinished_is_seen", verdict::checks::what_is_unfinished_is_seen),
        check("gate::effects_are_told_from_what_is_none", gate::checks::effects_are_told_from_what_is_none),
        check("proxy::an_operator_sees_its_own_namespace_alone", proxy::checks::an_operator_sees_its_own_namespace_alone),
        case(&shared, "every_place_between_two_effects", places::every_place_between_two_effects),
        case(&shared, "random_kills_under_load", load::random_kills_under_load),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

//! Cases that need the cluster or the operator for themselves: they measure its memory, end it, or take its kinds away. One after the other.

#[path = "../flows/kstatus.rs"]
mod kstatus;
#[allow(dead_code, reason = "shared with the flows, which use the rest")]
#[path = "../flows/stage.rs"]
mod stage;

mod memory;
mod restart;
mod uninstall;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Scene, Stage};

/// The names, in the order in which they are played: the last takes the kinds away.
const NAMES: [&str; 4] = [
    "memory::a_huge_answer_costs_little",
    "restart::nothing_is_told_again",
    "restart::without_a_connection_that_was_ever_good",
    "uninstall::without_its_kinds_nothing_is_deleted",
];

async fn play(stage: Arc<Stage>, name: &'static str) -> anyhow::Result<()> {
    let again = Arc::clone(&stage);
    let boxed = move |scene: Scene| -> std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> {
        match name {
            "memory::a_huge_answer_costs_little" => Box::pin(memory::a_huge_answer_costs_little(scene)),
            "restart::nothing_is_told_again" => Box::pin(restart::nothing_is_told_again(scene, again)),
            "restart::without_a_connection_that_was_ever_good" => Box::pin(restart::without_a_connection_that_was_ever_good(scene, again)),
            _ => Box::pin(uninstall::without_its_kinds_nothing_is_deleted(scene, again)),
        }
    };
    stage.play(name, boxed).await
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = NAMES.into_iter().map(|name| Trial::test(name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(_) => return ExitCode::FAILURE,
    };
    let stage = match runtime.block_on(Stage::set()) {
        Ok(stage) => Arc::new(stage),
        Err(error) => {
            stage::measured(&format!("nothing: the stage could not be set: {error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let trials = NAMES
        .into_iter()
        .map(|name| {
            let (runtime, stage) = (Arc::clone(&runtime), Arc::clone(&stage));
            Trial::test(name, move || runtime.block_on(play(stage, name)).map_err(|error| Failed::from(format!("{error:#}"))))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

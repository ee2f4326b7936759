//! Cases that need the cluster or the operator for themselves, because they measure its memory, end it, or remove its kinds. They run one after the other.

#[path = "../shared/gallery.rs"]
mod gallery;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "../shared/stage.rs"]
mod stage;

#[path = "../shared/simulated.rs"]
mod simulated;
#[path = "../shared/trials.rs"]
mod trials;

mod memory;
mod restart;
mod uninstall;
mod unreadable;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use stage::{Scene, Stage};
use trials::Trials;

fn main() -> Result<ExitCode> {
    let mut trials = Trials::<Stage>::new(|| Box::pin(Stage::set()))?;
    // In this order: the last removes the kinds.
    trials.case("memory::a_huge_answer_costs_little", |stage| async move { stage.play("memory", memory::a_huge_answer_costs_little).await });
    trials.case("restart::nothing_is_told_again", |stage| async move {
        let again = Arc::clone(&stage);
        stage.play("told", |scene: Scene| restart::nothing_is_told_again(scene, again)).await
    });
    trials.case("restart::without_a_connection_that_was_ever_good", |stage| async move {
        let again = Arc::clone(&stage);
        stage.play("restart", |scene: Scene| restart::without_a_connection_that_was_ever_good(scene, again)).await
    });
    trials.case("restart::discovery_goes_on_where_it_was", |stage| async move {
        let again = Arc::clone(&stage);
        stage.play("discovery", |scene: Scene| restart::discovery_goes_on_where_it_was(scene, again)).await
    });
    trials.case("unreadable::an_object_of_a_newer_definition_costs_nobody_else_anything", |stage| async move {
        let again = Arc::clone(&stage);
        stage.play("unreadable", |scene: Scene| unreadable::an_object_of_a_newer_definition_costs_nobody_else_anything(scene, again)).await
    });
    trials.case("uninstall::without_its_kinds_nothing_is_deleted", |stage| async move {
        let again = Arc::clone(&stage);
        stage.play("uninstall", |scene: Scene| uninstall::without_its_kinds_nothing_is_deleted(scene, again)).await
    });
    Ok(trials.play(1))
}

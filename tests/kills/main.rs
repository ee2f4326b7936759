//! The operator is killed with SIGKILL at every place where that could hurt, and at random places. The simulated platform shows what must hold then: one
//! service for each tenant that should have one, never two, and nobody else's service touched.
//!
//! The operator is a process on a real API server, under the chart's rights. Run one case by name: `cargo xtask test -- --test kills random`; `KILLS_SEED` repeats
//! the moments of a run.

mod cluster;
mod evidence;
mod gate;
mod load;
mod onboarding;
mod operator;
mod places;
mod proxy;
#[path = "../shared/simulated.rs"]
mod simulated;
#[path = "../shared/trials.rs"]
mod trials;
mod verdict;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use cluster::Cluster;
use trials::Trials;

fn main() -> Result<ExitCode> {
    let mut trials = Trials::new(|| Box::pin(Cluster::start()))?;
    trials.check("verdict::what_is_as_wanted_passes", verdict::checks::what_is_as_wanted_passes);
    trials.check("verdict::a_double_is_seen", verdict::checks::a_double_is_seen);
    trials.check("verdict::a_wrong_deletion_is_seen", verdict::checks::a_wrong_deletion_is_seen);
    trials.check("verdict::what_is_unfinished_is_seen", verdict::checks::what_is_unfinished_is_seen);
    trials.check("gate::effects_are_told_from_what_is_none", gate::checks::effects_are_told_from_what_is_none);
    trials.check("proxy::an_operator_sees_its_own_namespace_alone", proxy::checks::an_operator_sees_its_own_namespace_alone);
    trials.case("every_place_between_two_effects", |cluster| async move { places::every_place_between_two_effects(&cluster).await });
    trials.case("random_kills_under_load", |cluster| async move { load::random_kills_under_load(&cluster).await });
    trials.case("a_policy_makes_one_service_of_each_lead", |cluster| async move { onboarding::a_policy_makes_one_service_of_each_lead(&cluster).await });
    // The cases keep the machine busy, and count seconds.
    Ok(trials.play(1))
}

//! The chart on a real API server: installed by the real Helm, upgraded, and removed again, while the operator works under the chart's own arguments,
//! environment and service account.
//!
//! The operator is that of the built image when `OPERATORCONNECT_IMAGE_ROOT` names the folder into which the image was unpacked, as `cargo xtask image
//! --unpack` does; otherwise the one built with the tests. Each case says which.
//!
//! Each case has its own API server. Run one by name: `cargo xtask test -- --test cluster upgrade`.

#[path = "../shared/gallery.rs"]
mod gallery;
mod ground;
mod install;
mod policies;
mod removal;
mod rights;
mod scope;
#[path = "../shared/simulated.rs"]
mod simulated;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "../shared/stage.rs"]
mod stage;
#[path = "../shared/trials.rs"]
mod trials;
mod upgrade;

use std::process::ExitCode;

use anyhow::Result;
use trials::Trials;

macro_rules! cases {
    ($trials:ident: $($module:ident :: $case:ident),+ $(,)?) => {
        $($trials.case(concat!(stringify!($module), "::", stringify!($case)), |_| $module::$case());)+
    };
}

fn main() -> Result<ExitCode> {
    let mut trials = Trials::new(|| Box::pin(async { Ok(()) }))?;
    cases![trials:
        install::helm_3_installs_and_a_service_becomes_ready,
        install::helm_4_installs_and_a_service_becomes_ready,
        rights::each_is_used_and_none_is_missing,
        scope::with_roles_in_one_namespace_the_others_are_left_alone,
        scope::a_namespace_that_goes_stops_nobody_and_lets_its_objects_go,
        upgrade::of_a_running_release_writes_nothing_and_asks_the_platform_nothing,
        removal::leaves_what_is_paid_for_and_takes_away_the_rest_when_told,
        policies::refuse_whoever_has_no_right_and_hinder_nobody_else,
    ];
    Ok(trials.play(1))
}

//! The `oc-essentials-operator` binary; see `--help`.

use std::process::ExitCode;

use oc_essentials_operator::cli::{Cli, Command};
use oc_essentials_operator::{app, telemetry};

// The image's binary uses musl, whose own allocator takes one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::read().command {
        Command::Run(settings) => {
            telemetry::start::start(&settings.log, &settings.traces).and_then(|traces| {
                let result = app::run(*settings);
                traces.finish();
                result
            })
        }
        Command::Crds => app::print_crds(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(
                clippy::print_stderr,
                reason = "this is what a person sees when nothing else works"
            )]
            {
                eprintln!("oc-essentials-operator: {}", telemetry::one_line(&error));
            }
            ExitCode::FAILURE
        }
    }
}

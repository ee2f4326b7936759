//! `cargo xtask …`: what people type and what CI runs.

mod bench;
mod build;
mod chart;
mod crds;
mod demo;
mod evidence;
mod image;
mod kustomize;
mod outage;
mod progress;
mod reference;
mod simulate;
mod testing;
mod trial;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the operator at work: start an API server, a simulated platform and the operator, and apply
    /// examples/ until the objects are Ready
    Demo(demo::Settings),
    /// Run all tests: tables, stories and orders of the simulation, wire fixtures, schema rules, flows and
    /// kills on a real API server
    Test(testing::Settings),
    /// Measure time to Ready, calls, writes, memory and CPU for many services, then at rest and after a
    /// restart
    Bench(bench::Settings),
    /// Measure an outage of the platform with many services: calls and writes while it lasts, and the order
    /// in which they recover
    Outage(outage::Settings),
    /// Run stories of crashes and faults against the operator's own decisions and driver until one breaks a
    /// law; each seed is one story
    Simulate(simulate::Settings),
    /// Write the results of the last test run into docs/evidence.md
    Evidence,
    /// Build the images of the operator and of the simulated platform with docker, podman or buildah, and
    /// check their contents
    Image(image::Settings),
    /// Check the Helm chart: its README and its copy of crds/, lint, its own tests, the Kubernetes schemas and
    /// kube-score
    Chart(chart::Settings),
    /// Write crds/ and the chart's copy of it from the types in crates/api
    Crds {
        /// Write nothing; fail if one of them is out of date
        #[arg(long)]
        check: bool,
    },
    /// Write deploy/base from the chart
    Kustomize {
        /// Write nothing; fail if deploy/base is out of date
        #[arg(long)]
        check: bool,
    },
    /// Write docs/reference/ from the code: fields, flags and environment, metrics
    Reference {
        /// Write nothing; fail if docs/reference/ is out of date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(settings) => demo::run(settings),
        Command::Test(settings) => testing::run(&settings),
        Command::Bench(settings) => bench::run(&settings),
        Command::Outage(settings) => outage::run(&settings),
        Command::Simulate(settings) => simulate::run(&settings),
        Command::Image(settings) => image::run(&settings),
        Command::Evidence => evidence::write(),
        Command::Chart(settings) => chart::run(&settings),
        Command::Crds { check } => crds::run(check).map(|()| true),
        Command::Kustomize { check } => kustomize::run(check).map(|()| true),
        Command::Reference { check } => reference::run(check).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress::fail(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

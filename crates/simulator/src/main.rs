//! The simulator as a program.

use clap::{Parser, ValueEnum};
use live_platform_simulator::{Options, Settings, Simulator};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  Try the operator without a Live Platform, with tasks that take ten seconds:
    live-platform-simulator --task-duration 10000

  Start with the leads, channels and settings in a file:
    live-platform-simulator --seed demo.json
    with {\"leads\":[{\"tenantId\":\"22222222-2222-4222-8222-222222222222\",\"companyName\":\"Example BV\"}]}

  Execute the next create but lose its answer, then list the calls:
    curl -X POST localhost:8090/simulator/faults -d '{\"kind\":\"dropAfterExecution\",\"endpoint\":\"services.create\"}'
    curl localhost:8090/simulator/calls

The vendor's API is under /tenantui, the control API (no token) under /simulator: leads, services, channels,
lc-customers, numbers, jobs, settings, faults, calls, log, state, reset, healthz.";

/// A stand-in for the Operator Connect REST API of an AudioCodes Live Platform
///
/// It serves leads, services, tasks, channels, LC customers and the Entra token endpoint from memory. While it
/// runs, you can inject faults, and choose how it behaves where the vendor's pages leave that open.
#[derive(Debug, Parser)]
#[command(name = "live-platform-simulator", version, after_help = EXAMPLES)]
struct Cli {
    /// Address to listen on
    #[arg(
        long,
        env = "SIMULATOR_LISTEN",
        default_value = "127.0.0.1:8090",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Client id that may request tokens
    #[arg(
        long,
        env = "SIMULATOR_CLIENT_ID",
        default_value = "44444444-4444-4444-8444-444444444444",
        value_name = "ID"
    )]
    client_id: String,
    /// Client secret of the client id
    #[arg(
        long,
        env = "SIMULATOR_CLIENT_SECRET",
        default_value = "simulator-secret",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    client_secret: String,
    /// Directory (tenant id) of the service provider
    #[arg(
        long,
        env = "SIMULATOR_DIRECTORY",
        default_value = "33333333-3333-4333-8333-333333333333",
        value_name = "GUID"
    )]
    directory: String,
    /// How long a task takes, in milliseconds
    #[arg(
        long,
        env = "SIMULATOR_TASK_DURATION",
        default_value_t = 2_000,
        value_name = "MS"
    )]
    task_duration: u64,
    /// Additional latency of each API call, in milliseconds
    #[arg(long, env = "SIMULATOR_LATENCY", default_value_t = 0, value_name = "MS")]
    latency: u64,
    /// JSON file with the initial state: {leads, channels, lcCustomers, services, numbers, settings}
    #[arg(long, env = "SIMULATOR_SEED", value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Log format
    #[arg(long, env = "SIMULATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Log level or filter, such as `info` (each call) or `warn`
    #[arg(long, env = "SIMULATOR_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[allow(
    clippy::print_stderr,
    reason = "a program's last word goes to its user, whatever the log level"
)]
#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live-platform-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&cli.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let simulator = Simulator::try_start(Options {
        address: cli.listen,
        client_id: cli.client_id,
        client_secret: cli.client_secret,
        directory: cli.directory,
        seed_file: cli.seed,
        settings: Settings {
            task_duration: cli.task_duration,
            latency: cli.latency,
            ..Settings::default()
        },
    })
    .await?;
    introduce(&simulator);
    stop_signal().await?;
    Ok(())
}

#[allow(clippy::print_stdout, reason = "what to connect to is this program's output")]
fn introduce(simulator: &Simulator) {
    let options = simulator.options();
    println!("Live Platform simulator on {}", simulator.url());
    println!("  base URL       {}", simulator.base_url());
    println!("  token URL      {}", simulator.token_url());
    println!("  directory      {}", options.directory);
    println!("  client id      {}", options.client_id);
    println!("  client secret  the value of --client-secret (default: simulator-secret)");
    println!("  scope          any that ends with /.default, such as api://simulator/.default");
    println!("  control API    {}/simulator/state", simulator.url());
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

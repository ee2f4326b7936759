//! What can be said to the program. Every flag is an environment variable too.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Turns Microsoft Operator Connect leads into OC Essential services on an AudioCodes Live Platform.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller, in a cluster or with a kubeconfig, until SIGTERM or SIGINT
    Run(Box<Settings>),
    /// Print the custom resource definitions, for: oc-essentials-operator crds | kubectl apply --server-side -f -
    Crds,
}

/// How the controller runs.
#[derive(Debug, Args)]
pub struct Settings {
    /// Kubeconfig of the cluster; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, env = "OPERATORCONNECT_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Namespaces whose leads and services are watched, separated by commas; default: all
    ///
    /// In all others nothing is read or written, and no right is needed. Every object for one platform must be in sight of one operator: what another one makes
    /// is to this one as if it had been made by hand.
    #[arg(long, env = "OPERATORCONNECT_WATCH_NAMESPACES", value_name = "NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// The pod's projected service account token, for a LivePlatform with workloadIdentity
    #[arg(long, env = "AZURE_FEDERATED_TOKEN_FILE", value_name = "FILE")]
    pub federated_token_file: Option<PathBuf>,

    /// Seconds that passes under way get to finish after SIGTERM, before the program ends
    #[arg(long, env = "OPERATORCONNECT_SHUTDOWN_SECONDS", value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub shutdown_seconds: u64,

    /// What others may ask this program.
    #[command(flatten)]
    pub serve: ServeSettings,

    /// Which of several replicas leads.
    #[command(flatten)]
    pub lease: LeaseSettings,

    /// How logs are written.
    #[command(flatten)]
    pub log: LogSettings,

    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// Where traces go.
#[derive(Debug, Args)]
pub struct TraceSettings {
    /// A collector for traces by OTLP over http/protobuf, such as http://collector:4318; default: none
    ///
    /// Each pass over an object is a span, and below it each call of the platform and each write to the API server. Names of objects are in it; nothing of it is
    /// sent to the platform.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = collector)]
    pub otlp_endpoint: Option<String>,

    /// Which part of all passes is traced, from 0 to 1
    #[arg(long, env = "OPERATORCONNECT_TRACE_RATIO", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub trace_ratio: f64,
}

/// What others may ask this program.
#[derive(Debug, Args)]
pub struct ServeSettings {
    /// Address to serve /metrics on, such as :8080 (all addresses) or 127.0.0.1:8080; default: it is not served
    #[arg(long, env = "OPERATORCONNECT_METRICS_ADDRESS", value_name = "ADDRESS", value_parser = Listen::parse)]
    pub metrics_address: Option<Listen>,

    /// Address to serve /livez and /readyz on, such as :8081 (all addresses) or 127.0.0.1:8081; default: they are not served
    #[arg(long, env = "OPERATORCONNECT_HEALTH_ADDRESS", value_name = "ADDRESS", value_parser = Listen::parse)]
    pub health_address: Option<Listen>,

    /// For tests: seconds after which a watch that is not heard of is taken for dead
    #[arg(
        long,
        env = "OPERATORCONNECT_WATCH_SILENCE",
        value_name = "SECONDS",
        default_value_t = 600,
        hide = true
    )]
    pub watch_silence: u64,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At this address.
    At(SocketAddr),
    /// At this port of all addresses, by IPv6 and IPv4.
    Everywhere(u16),
}

impl Listen {
    fn parse(text: &str) -> Result<Self, String> {
        let everywhere = text
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .map(Self::Everywhere);
        let address = || text.parse().ok().map(Self::At);
        everywhere.or_else(address).ok_or_else(|| {
            "give :PORT, such as :8080, or ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080".to_owned()
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

/// Which of several replicas leads.
#[derive(Debug, Args)]
pub struct LeaseSettings {
    /// Act only while holding a lease, so that several replicas can run; without it this must be the only one
    #[arg(long, env = "OPERATORCONNECT_LEADER_ELECT", value_parser = FalseyValueParser::new())]
    pub leader_elect: bool,

    /// Namespace of the lease; default: the pod's own
    #[arg(long, env = "OPERATORCONNECT_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// Name of the lease
    #[arg(
        long,
        env = "OPERATORCONNECT_LEASE_NAME",
        value_name = "NAME",
        default_value = "oc-essentials-operator"
    )]
    pub lease_name: String,

    /// What this replica calls itself in the lease, before a part that no other process has; default: the host's name
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub lease_identity: Option<String>,

    /// The pod's UID: a container that is started again in the same pod goes on with its lease at once; without one it waits for its end
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,

    /// Seconds after the last sign of life of the leader until another replica takes over
    #[arg(long, env = "OPERATORCONNECT_LEASE_DURATION", value_name = "SECONDS", default_value_t = 35, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_duration: u64,

    /// Seconds after its last renewal until the leader stops acting; less than the duration
    #[arg(long, env = "OPERATORCONNECT_LEASE_RENEW_DEADLINE", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_renew_deadline: u64,

    /// Seconds between two renewals, or two tries; less than the deadline
    #[arg(long, env = "OPERATORCONNECT_LEASE_RETRY", value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_retry: u64,
}

/// How logs are written.
#[derive(Debug, Args)]
pub struct LogSettings {
    /// Form of a log line
    #[arg(long, env = "OPERATORCONNECT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info (each change asked of a platform), debug (each pass), or a filter such as info,kube=debug
    #[arg(long, env = "OPERATORCONNECT_LOG_LEVEL", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub log_level: String,
}

/// The forms of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

impl Cli {
    /// What the command line and the environment say. A variable that is set to nothing is one that is not set.
    #[allow(
        clippy::disallowed_methods,
        reason = "whether a setting of this file is empty"
    )]
    pub fn read() -> Self {
        let command = without(Self::command(), |name| {
            std::env::var_os(name).is_some_and(|value| value.is_empty())
        });
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Whether a proxy's address is what the environment has for all programs, for the platform among others.
#[allow(
    clippy::disallowed_methods,
    reason = "no setting of ours, but of whatever makes connections"
)]
pub fn is_proxy_of_environment(proxy: &http::Uri) -> bool {
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    names.iter().any(|name| {
        std::env::var(name).is_ok_and(|value| value.parse::<http::Uri>().is_ok_and(|value| value == *proxy))
    })
}

/// The command, with the variables forgotten that are empty.
fn without(mut command: clap::Command, empty: impl Fn(&OsStr) -> bool) -> clap::Command {
    let forget = |arg: clap::Arg| {
        if arg.get_env().is_some_and(&empty) {
            arg.env(Resettable::Reset)
        } else {
            arg
        }
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| sub.mut_args(forget));
    }
    command
}

/// Empty is what an environment variable is that is set to nothing.
/// The variable is one that others inject, for all programs of a pod: `collector:4318` is meant as gRPC clients take it, and is no reason not to start.
fn collector(text: &str) -> Result<String, String> {
    let url = if text.is_empty() || text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let host = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .unwrap_or_default();
    if url.is_empty()
        || !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(char::is_whitespace)
    {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(
        "give the URL of a collector, such as http://collector:4318; the path /v1/traces is added to it"
            .to_owned(),
    )
}

fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "give a number from 0 to 1, such as 0.1".to_owned())
}

/// A name as the API server takes it; empty is what an environment variable is that is set to nothing.
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 63 && name.chars().all(allowed) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(name.to_owned());
    }
    Err("a namespace has at most 63 lower case letters, digits and hyphens, and no hyphen at its ends; separate several by commas".to_owned())
}

fn filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; give error, warn, info, debug or trace")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_set_to_nothing_is_forgotten() {
        let variables = |command: clap::Command| -> Vec<String> {
            let run = command.find_subcommand("run").unwrap().clone();
            run.get_arguments()
                .filter_map(|arg| arg.get_env())
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        let all = variables(Cli::command());
        assert!(
            all.len() > 15 && all.iter().any(|name| name == "AZURE_FEDERATED_TOKEN_FILE"),
            "{all:?}"
        );
        let left = variables(without(Cli::command(), |name| {
            name == "AZURE_FEDERATED_TOKEN_FILE"
        }));
        assert_eq!(
            left,
            all.iter()
                .filter(|name| *name != "AZURE_FEDERATED_TOKEN_FILE")
                .cloned()
                .collect::<Vec<_>>()
        );
        assert!(variables(without(Cli::command(), |_| true)).is_empty());
    }

    #[test]
    fn a_collector_may_be_named_without_a_scheme() {
        let taken = [
            "",
            "http://c:4318/",
            "https://c.example/otlp",
            "collector:4317",
            "c.observe.svc",
        ]
        .map(|text| collector(text).unwrap());
        assert_eq!(
            taken,
            [
                "",
                "http://c:4318",
                "https://c.example/otlp",
                "http://collector:4317",
                "http://c.observe.svc"
            ]
        );
        for wrong in ["http://", "grpc://c:4317", "https:///x", ":4317", "a collector"] {
            assert!(
                collector(wrong).is_err_and(|message| message.contains("http://collector:4318")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_address_is_a_port_of_all_or_one_in_full() {
        assert_eq!(Listen::parse(":8080"), Ok(Listen::Everywhere(8080)));
        assert_eq!(
            Listen::parse("127.0.0.1:0"),
            Ok(Listen::At(([127, 0, 0, 1], 0).into()))
        );
        for wrong in [
            "",
            "8080",
            ":",
            ":99999",
            "localhost:8080",
            "::1:8080x",
            "http://a:1",
        ] {
            assert!(
                Listen::parse(wrong).is_err_and(|message| message.contains("give :PORT")),
                "{wrong}"
            );
        }
        assert_eq!(
            ["[::1]:9", ":9"].map(|text| Listen::parse(text).unwrap().to_string()),
            ["[::1]:9", ":9"]
        );
    }
}

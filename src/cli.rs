//! The command line. Every flag is also an environment variable.

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
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller, in a cluster or with a kubeconfig, until SIGTERM or SIGINT
    Run(Box<Settings>),
    /// Print the custom resource definitions; apply them with: oc-essentials-operator crds | kubectl apply
    /// --server-side -f -
    Crds,
}

/// The settings of the controller.
#[derive(Debug, Args)]
pub struct Settings {
    /// Path of the kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, env = "OPERATORCONNECT_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Namespaces whose leads and services are watched, separated by commas; default: all
    ///
    /// In other namespaces the operator reads and writes nothing and needs no permissions. One operator must
    /// see every object that uses a platform. To it, whatever another operator creates there looks as if it
    /// had been made by hand.
    #[arg(long, env = "OPERATORCONNECT_WATCH_NAMESPACES", value_name = "NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// File with the pod's projected service account token, for a LivePlatform with workloadIdentity
    #[arg(long, env = "AZURE_FEDERATED_TOKEN_FILE", value_name = "FILE")]
    pub federated_token_file: Option<PathBuf>,

    /// Seconds that running passes get to finish after SIGTERM before the program exits
    #[arg(long, env = "OPERATORCONNECT_SHUTDOWN_SECONDS", value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub shutdown_seconds: u64,

    /// Endpoints for metrics and health checks.
    #[command(flatten)]
    pub serve: ServeSettings,

    /// Leader election among replicas.
    #[command(flatten)]
    pub lease: LeaseSettings,

    /// Log output.
    #[command(flatten)]
    pub log: LogSettings,

    /// Tracing.
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// Tracing.
#[derive(Debug, Args)]
pub struct TraceSettings {
    /// URL of an OTLP collector (http/protobuf) for traces, such as http://collector:4318; default: no traces
    ///
    /// Each pass over an object is a span. Each platform call and each write to the API server is a span
    /// below it. Traces contain object names. No trace data is sent to the platform.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = collector)]
    pub otlp_endpoint: Option<String>,

    /// Fraction of passes to trace, from 0 to 1
    #[arg(long, env = "OPERATORCONNECT_TRACE_RATIO", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub trace_ratio: f64,
}

/// Endpoints for metrics and health checks.
#[derive(Debug, Args)]
pub struct ServeSettings {
    /// Address to serve /metrics on, such as :8080 (all addresses) or 127.0.0.1:8080; default: not served
    #[arg(long, env = "OPERATORCONNECT_METRICS_ADDRESS", value_name = "ADDRESS", value_parser = Listen::parse)]
    pub metrics_address: Option<Listen>,

    /// Address to serve /livez and /readyz on, such as :8081 (all addresses) or 127.0.0.1:8081; default: not
    /// served
    #[arg(long, env = "OPERATORCONNECT_HEALTH_ADDRESS", value_name = "ADDRESS", value_parser = Listen::parse)]
    pub health_address: Option<Listen>,

    /// For tests: seconds of silence after which a watch is considered dead
    #[arg(
        long,
        env = "OPERATORCONNECT_WATCH_SILENCE",
        value_name = "SECONDS",
        default_value_t = 600,
        hide = true
    )]
    pub watch_silence: u64,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// This address and port.
    At(SocketAddr),
    /// This port on all addresses, IPv6 and IPv4.
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
            "use :PORT, such as :8080, or ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080".to_owned()
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

/// Leader election among replicas.
#[derive(Debug, Args)]
pub struct LeaseSettings {
    /// Act only while holding a lease, so that several replicas can run; without it, run a single replica
    #[arg(long, env = "OPERATORCONNECT_LEADER_ELECT", value_parser = FalseyValueParser::new())]
    pub leader_elect: bool,

    /// Namespace of the lease; default: the pod's namespace
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

    /// Name of this replica in the lease, before a unique suffix; default: the host name
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub lease_identity: Option<String>,

    /// UID of the pod: a container restarted in the same pod resumes its lease at once; without it, it waits
    /// for the lease to expire
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,

    /// Seconds without a sign of life from the leader until another replica takes over
    #[arg(long, env = "OPERATORCONNECT_LEASE_DURATION", value_name = "SECONDS", default_value_t = 35, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_duration: u64,

    /// Seconds after its last renewal until the leader stops acting; less than the lease duration
    #[arg(long, env = "OPERATORCONNECT_LEASE_RENEW_DEADLINE", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_renew_deadline: u64,

    /// Seconds between two renewals, or two attempts; less than the renew deadline
    #[arg(long, env = "OPERATORCONNECT_LEASE_RETRY", value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_retry: u64,
}

/// Log output.
#[derive(Debug, Args)]
pub struct LogSettings {
    /// Format of a log line
    #[arg(long, env = "OPERATORCONNECT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Log level: error, warn, info (each change requested from a platform), debug (each pass), or a filter
    /// such as info,kube=debug
    #[arg(long, env = "OPERATORCONNECT_LOG_LEVEL", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub log_level: String,
}

/// The log formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line
    Json,
    /// Text for people
    Text,
}

impl Cli {
    /// Parses the command line and the environment. An environment variable set to the empty string counts as
    /// unset.
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

/// Whether a proxy address comes from the environment variables that all programs use, and so applies to the
/// platform too.
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

/// Returns the command without the environment variables that `empty` reports as empty.
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

/// Parses the URL of a collector. Empty is allowed: an environment variable may be set to the empty string.
/// Others inject this variable for all programs of a pod. `collector:4318` is the form that gRPC clients
/// accept, so it must not prevent the start.
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
        "use the URL of a collector, such as http://collector:4318; the operator appends the path /v1/traces"
            .to_owned(),
    )
}

fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "use a number from 0 to 1, such as 0.1".to_owned())
}

/// Parses a namespace name as the API server accepts it. Empty is allowed: an environment variable may be set
/// to the empty string.
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 63 && name.chars().all(allowed) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(name.to_owned());
    }
    Err("a namespace has at most 63 lower case letters, digits and hyphens, and no hyphen at either end; separate several with commas".to_owned())
}

fn filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; use error, warn, info, debug or trace")),
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
                Listen::parse(wrong).is_err_and(|message| message.contains("use :PORT")),
                "{wrong}"
            );
        }
        assert_eq!(
            ["[::1]:9", ":9"].map(|text| Listen::parse(text).unwrap().to_string()),
            ["[::1]:9", ":9"]
        );
    }
}

//! Logs: one line an event, JSON or text, on standard error. And traces, when they are asked for: see [`super::traces`].

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::traces::Traces;
use crate::cli::{LogFormat, LogSettings, TraceSettings};

/// Starts logging, and tracing. A second call does nothing. What it returns is finished at the end.
///
/// # Errors
/// When the collector of traces can't be used.
pub fn start(settings: &LogSettings, traces: &TraceSettings) -> anyhow::Result<Traces> {
    let filter = EnvFilter::new(&settings.log_level);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
    };
    let traces = Traces::start(traces)?;
    // A failure means that a subscriber is set already, as in a test.
    let _already_set = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.layer()).try_init();
    Ok(traces)
}

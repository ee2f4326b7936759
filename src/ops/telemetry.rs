//! Logs: one line an event, JSON or text, on standard error.

use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, LogSettings};

/// Starts logging. A second call does nothing.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::new(&settings.log_level);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A failure means that a subscriber is set already, as in a test.
    let _already_set = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => lines.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}

//! Logs: one line per event, as JSON or text, on standard error. And traces, if configured: see
//! [`crate::telemetry::traces`].

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::cli::{LogFormat, LogSettings, TraceSettings};
use crate::telemetry::traces::Traces;

/// Starts logging and tracing. A second call does nothing. Finish the returned traces at the end.
///
/// # Errors
/// When the trace collector cannot be used.
pub fn start(settings: &LogSettings, traces: &TraceSettings) -> anyhow::Result<Traces> {
    let filter = filter(&settings.log_level);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Json => fmt::layer()
            .with_writer(std::io::stderr)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
    };
    let traces = Traces::start(traces)?;
    // A failure means that a subscriber is set already, as in a test.
    let _already_set = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.layer())
        .try_init();
    Ok(traces)
}

/// The log filter. kube logs each failed request as an error, at each try; the caller reports it as well,
/// with its purpose and the number of tries. So kube's own lines appear only at a level more verbose than
/// `info`, or when the filter names kube.
fn filter(level: &str) -> EnvFilter {
    let filter = EnvFilter::new(level);
    let asks_for_more = level.contains("kube")
        || filter
            .max_level_hint()
            .is_none_or(|most| most > LevelFilter::INFO);
    match "kube_client::client::builder=off".parse() {
        Ok(off) if !asks_for_more => filter.add_directive(off),
        _ => filter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_is_silent_about_requests_unless_it_is_asked() {
        for (level, silent) in [
            ("error", true),
            ("info", true),
            ("debug", false),
            ("info,kube=debug", false),
            ("warn,kube_client=error", false),
        ] {
            assert_eq!(
                filter(level)
                    .to_string()
                    .contains("kube_client::client::builder=off"),
                silent,
                "{level}"
            );
        }
    }
}

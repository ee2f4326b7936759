//! What the operator reports about itself: health, metrics, logs and traces.

pub mod health;
pub mod metrics;
pub mod server;
pub mod start;
pub mod traces;

/// An error and its causes on one line. kube's errors already print their own causes, so repeated text is
/// left out.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line = if line.is_empty() {
                cause
            } else {
                format!("{line}: {cause}")
            };
        }
    }
    line
}

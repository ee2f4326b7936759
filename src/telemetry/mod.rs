//! What the program says of itself.

pub mod health;
pub mod metrics;
pub mod server;
pub mod start;
pub mod traces;

/// An error and its causes, in one line. kube's errors print their own causes already: what is said is not said again.
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

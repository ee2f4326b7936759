//! What is fuzzed. The entries themselves lie beside the tests that run them in CI, and are the same.

/// The parsers of the platform's answers.
#[path = "../../crates/live-platform/tests/fuzz/entries.rs"]
pub mod wire;

/// The rules of names.
#[path = "../../crates/domain/tests/fuzz/entries.rs"]
pub mod names;

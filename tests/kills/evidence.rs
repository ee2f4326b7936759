//! Measurements, for people: one line on the screen, and `target/evidence/kills.json`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Writes the counts of one case beside those of the others, and prints them.
pub fn write(case: &str, counts: &Value) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().context("the target folder")?.join("evidence");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("kills.json");
    let before = std::fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut all: Map<String, Value> = before.unwrap_or_default();
    all.insert(case.to_owned(), counts.clone());
    std::fs::write(&file, serde_json::to_string_pretty(&all)? + "\n")?;
    let shown = |value: &Value| value.as_array().map_or_else(|| value.to_string(), |list| list.len().to_string());
    let words: Vec<String> = counts.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", shown(value))).collect();
    say(&format!("{case}: {}", words.join(", ")));
    Ok(())
}

/// Prints one line for people.
#[allow(clippy::print_stdout, reason = "what a test measured is for people")]
pub fn say(line: &str) {
    println!("{line}");
}

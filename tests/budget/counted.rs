//! The operator with an allocator that counts, and its counts.

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use oc_essentials_operator::cli::{Cli, Command};
use oc_essentials_operator::{app, telemetry};
use stats_alloc::StatsAlloc;

/// The environment variable that names the file for the counts.
pub const FILE: &str = "BUDGET_COUNTS";

/// How often the counts are written.
const PAUSE: Duration = Duration::from_millis(100);

/// What a process has allocated since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// The number of allocations, those that grow included.
    pub allocations: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Counted {
    /// Reads the counts of this moment.
    pub async fn read(file: &Path) -> Result<Self> {
        tokio::time::sleep(PAUSE * 3).await;
        let text = std::fs::read_to_string(file).with_context(|| format!("the operator writes its counts to {}", file.display()))?;
        let (allocations, bytes) = text.trim().split_once(' ').context("two counts")?;
        Ok(Self { allocations: allocations.parse()?, bytes: bytes.parse()? })
    }

    /// The difference.
    pub fn since(self, before: &Self) -> Self {
        Self { allocations: self.allocations - before.allocations, bytes: self.bytes - before.bytes }
    }
}

/// Runs the operator, and writes its counts to the file for them.
#[allow(clippy::disallowed_methods, reason = "a setting of this program, not of the operator, and a thread of its own")]
pub fn operator(allocator: &'static StatsAlloc<System>) -> Result<ExitCode> {
    let file = std::path::PathBuf::from(std::env::var_os(FILE).context("the file for the counts")?);
    let next = file.with_extension("next");
    std::thread::spawn(move || {
        loop {
            let counted = allocator.stats();
            let text = format!("{} {}\n", counted.allocations + counted.reallocations, counted.bytes_allocated);
            // Renamed, so that no reader finds half of it.
            if std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &file)).is_err() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    });
    let Command::Run(settings) = Cli::read().command else {
        return Ok(ExitCode::FAILURE);
    };
    let traces = telemetry::start::start(&settings.log, &settings.traces)?;
    app::run(*settings)?;
    traces.finish();
    Ok(ExitCode::SUCCESS)
}

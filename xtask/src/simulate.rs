//! Plays more stories than a test run, and prints a single one.
#![allow(clippy::disallowed_methods, reason = "a person who waits is told how long")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use oc_simulation::onboarding;
use oc_simulation::search::{Report, search, shrink, tell};
use oc_simulation::tape;
use oc_simulation::world::Rules;

use crate::progress;

/// Which stories to run.
#[derive(Args)]
pub struct Settings {
    /// How many stories to run; each seed is one
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print the story of this seed from beginning to end, and run no other
    #[arg(long, value_name = "SEED")]
    tell: Option<u64>,
    /// Run the stories of LeadPolicy objects, not those of leads and services
    #[arg(long)]
    policies: bool,
}

/// Plays stories until one breaks a law. That one is shrunk and printed.
///
/// # Errors
/// When the counts can't be written.
pub fn run(settings: &Settings) -> Result<bool> {
    if settings.policies {
        return Ok(policies(settings));
    }
    let rules = Rules::default();
    if let Some(seed) = settings.tell {
        let story = tell(&tape::tape(seed), &rules);
        progress::result(&story.join("\n"));
        return Ok(!story.iter().any(|line| line.contains("BROKEN")));
    }
    progress::step(&format!(
        "Running {} stories from seed {}",
        settings.seeds, settings.from
    ));
    let (begun, last) = (Instant::now(), AtomicU64::new(0));
    let report = search(
        settings.from..settings.from.saturating_add(settings.seeds),
        rules,
        &|played| {
            let seconds = begun.elapsed().as_secs();
            if seconds >= last.load(Ordering::Relaxed) + 10 {
                last.store(seconds, Ordering::Relaxed);
                progress::note(&format!("{played} stories, {seconds} s"));
            }
        },
    );
    progress::result(&told(&report, begun.elapsed().as_secs_f64()));
    let Some(broken) = &report.broken else {
        return Ok(true);
    };
    progress::step(&format!(
        "Seed {} breaks {:?}; shrinking its story",
        broken.seed, broken.laws
    ));
    let short = shrink(broken, &rules);
    progress::result(&tell(&short.tape, &rules).join("\n"));
    progress::fail(&format!(
        "seed {} breaks {:?}. To print the whole story: cargo xtask simulate --tell {}",
        broken.seed, short.laws, broken.seed
    ));
    Ok(false)
}

/// Plays stories of policies until one breaks a law, and prints that one.
fn policies(settings: &Settings) -> bool {
    let rules = onboarding::Rules::default();
    if let Some(seed) = settings.tell {
        let story = onboarding::tell(&tape::tape(seed), &rules);
        progress::result(&story);
        return !story.contains("BROKEN");
    }
    let (from, begun) = (settings.from, Instant::now());
    progress::step(&format!(
        "Running {} stories of policies from seed {from}",
        settings.seeds
    ));
    let seeds = from..from.saturating_add(settings.seeds);
    let (counts, broken) = onboarding::search(seeds, &rules, "");
    progress::result(&format!(
        "{} objects created, {} crashes, {} lost answers, {} conflicting writes in {:.0} s",
        counts.created,
        counts.crashes,
        counts.lost,
        counts.conflicts,
        begun.elapsed().as_secs_f64()
    ));
    let Some((seed, laws)) = broken else {
        return true;
    };
    progress::result(&onboarding::tell(&tape::tape(seed), &rules));
    progress::fail(&format!("seed {seed} breaks {laws:?}"));
    false
}

fn told(report: &Report, seconds: f64) -> String {
    format!(
        "{} stories in {seconds:.0} s: {} crashes, {} lost answers, {} creates, {} deletions, {} conflicting writes, {} intents held back, {} elections; laws broken: {}",
        report.stories,
        report.crashes,
        report.lost,
        report.creates,
        report.deletions,
        report.conflicts,
        report.held_back,
        report.elections,
        report.broken.as_ref().map_or(0, |broken| broken.laws.len())
    )
}

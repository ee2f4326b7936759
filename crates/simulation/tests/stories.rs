//! Many stories by the real rules, of which none may break a law, and by each wrong variant, which must break
//! one.

mod evidence;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use oc_simulation::search::{Report, search, shrink, tell};
use oc_simulation::variants::{self, Variant};
use oc_simulation::world::Rules;

/// How many stories each test run plays. `STORIES` in the environment sets another number, `cargo xtask
/// simulate` any.
const STORIES: u64 = 100_000;

/// How many stories may pass before a wrong variant must be caught.
const PATIENCE: u64 = 200_000;

fn stories() -> u64 {
    option_env!("STORIES").and_then(|text| text.parse().ok()).unwrap_or(STORIES)
}

fn told(report: &Report, rules: &Rules) -> String {
    let Some(broken) = &report.broken else { return String::new() };
    let short = shrink(broken, rules);
    format!("seed {} breaks {:?}; made short:\n{}", broken.seed, short.laws, tell(&short.tape, rules).join("\n"))
}

#[test]
fn the_laws_hold_in_every_story() {
    let report = search(0..stories(), Rules::default(), &|_| ());
    assert!(report.broken.is_none(), "{}", told(&report, &Rules::default()));
    // The stories must reach everything: otherwise the laws could hold because nothing ever happens.
    let enough = |what: &str, times: u64| assert!(times * 100 > report.stories, "{what}: only {times} in {} stories", report.stories);
    for (what, times) in [
        ("crashes", report.crashes),
        ("lost answers", report.lost),
        ("creates", report.creates),
        ("deletions", report.deletions),
        ("conflicts", report.conflicts),
        ("intents held back", report.held_back),
        ("elections", report.elections),
    ] {
        enough(what, times);
    }
    evidence::write("simulation", &report.json());
}

/// Returns how many stories it takes until one breaks the law meant for this variant, or what is broken
/// instead.
fn caught(variant: &Variant) -> Result<u64, String> {
    let mut from = 0;
    // The laws it breaks beside the one meant for it.
    let mut other = Vec::new();
    loop {
        let report = search(from..PATIENCE, variant.rules, &|_| ());
        let Some(broken) = report.broken else {
            return Err(format!("an operator that {} never breaks {:?}; it breaks {other:?}", variant.what, variant.law));
        };
        if broken.laws.iter().any(|law| law.contains(variant.law)) {
            return Ok(broken.seed + 1);
        }
        if other.len() < 3 {
            other.push(broken.laws);
        }
        from = broken.seed + 1;
    }
}

#[test]
fn each_wrong_variant_is_caught() {
    let variants = variants::all();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(variant) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = caught(variant);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let slowest = results.iter().flatten().max().copied().unwrap_or_default();
    let missed: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(results.len(), variants.len());
    assert!(missed.is_empty(), "{missed:#?}");
    // All were caught, so one number of each is enough: of the operators and of the worlds.
    let worlds = variants.iter().filter(|variant| variant.of_the_world).count();
    let operators = variants.len() - worlds;
    let report = format!(
        "{{\"variants\": {operators}, \"caught\": {operators}, \"worlds\": {worlds}, \"worldsCaught\": {worlds}, \"storiesUntilTheLastWasCaught\": {slowest}}}\n"
    );
    evidence::write("teeth", &report);
}

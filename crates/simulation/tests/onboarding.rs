//! Many stories of the rules that onboard, of which none may break law L10, and each wrong operator, which must break it.

use oc_simulation::onboarding::variants::{self, Variant};
use oc_simulation::onboarding::{Rules, search, tell};
use oc_simulation::tape;

/// How many stories a test run plays. `cargo xtask simulate` plays more.
const STORIES: u64 = 20_000;

/// How many stories may pass before a wrong operator must be caught.
const PATIENCE: u64 = 60_000;

#[test]
fn no_rule_creates_a_second_object_or_more_than_its_limits() {
    let rules = Rules::default();
    let (counts, broken) = search(0..STORIES, &rules, "");
    if let Some((seed, laws)) = broken {
        panic!("seed {seed} breaks {laws:?}:\n{}", tell(&tape::tape(seed), &rules));
    }
    // The stories must reach everything: otherwise the law could hold because nothing ever happens.
    for (what, times) in [
        ("objects", counts.created),
        ("crashes", counts.crashes),
        ("lost answers", counts.lost),
        ("conflicts", counts.conflicts),
        ("objects found where one was to be created", counts.existed),
        ("objects deleted before the Lead said that they were created", counts.caught),
        ("applied plans", counts.adjusted),
    ] {
        assert!(u64::from(times) * 200 > STORIES, "{what}: only {times} in {STORIES} stories");
    }
}

#[test]
fn each_wrong_rule_is_caught() {
    let missed: Vec<&str> = variants::all().iter().filter(|variant| !is_caught(variant)).map(|variant| variant.what).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

fn is_caught(variant: &Variant) -> bool {
    let (_, broken) = search(0..PATIENCE, &variant.rules, variant.law);
    broken.is_some()
}

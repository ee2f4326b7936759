//! Plays many stories in parallel, and shrinks a failing one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::story;
use crate::tape;
use crate::world::{Counts, Rules, Trail};

/// The result of many stories.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many were played.
    pub stories: u64,
    /// Crashes in all of them.
    pub crashes: u64,
    /// Answers that were lost.
    pub lost: u64,
    /// Creates that were executed.
    pub creates: u64,
    /// Deletions that were executed.
    pub deletions: u64,
    /// Writes that were refused because somebody else had written.
    pub conflicts: u64,
    /// Intents that were not written because there was no room for their request.
    pub held_back: u64,
    /// Times that the lease changed hands.
    pub elections: u64,
    /// The first story that broke a law: its seed, the laws, and its tape.
    pub broken: Option<Broken>,
}

/// A story that broke a law.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The seed of the story.
    pub seed: u64,
    /// The laws that were broken.
    pub laws: Vec<String>,
    /// The tape of the story.
    pub tape: Vec<u8>,
}

impl Report {
    fn add(&mut self, counts: &Counts) {
        self.stories += 1;
        self.crashes += u64::from(counts.crashes);
        self.lost += u64::from(counts.lost);
        self.creates += u64::from(counts.creates);
        self.deletions += u64::from(counts.deletions);
        self.conflicts += u64::from(counts.conflicts);
        self.held_back += u64::from(counts.held_back);
        self.elections += u64::from(counts.elections);
    }
}

/// Plays the stories of `seeds` on all processors until one breaks a law. `progress` is called after every
/// thousandth.
pub fn search(seeds: std::ops::Range<u64>, rules: Rules, progress: &(dyn Fn(u64) + Sync)) -> Report {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let whole = Mutex::new(Report::default());
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut own = Report::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    if seed % 1000 == 999 {
                        progress(seed + 1 - seeds.start);
                    }
                    let tape = tape::tape(seed);
                    let world = story::play(&tape, &rules, &mut Trail::default());
                    own.add(&world.counts);
                    if !world.broken.is_empty() {
                        stop.store(true, Ordering::Relaxed);
                        own.broken = Some(Broken {
                            seed,
                            laws: world.broken,
                            tape,
                        });
                    }
                }
                merge(
                    &mut whole.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
                    own,
                );
            });
        }
    });
    whole
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn merge(whole: &mut Report, own: Report) {
    whole.stories += own.stories;
    whole.crashes += own.crashes;
    whole.lost += own.lost;
    whole.creates += own.creates;
    whole.deletions += own.deletions;
    whole.conflicts += own.conflicts;
    whole.held_back += own.held_back;
    whole.elections += own.elections;
    let first = |broken: &Option<Broken>| broken.as_ref().map_or(u64::MAX, |broken| broken.seed);
    if first(&own.broken) < first(&whole.broken) {
        whole.broken = own.broken;
    }
}

/// Makes a failing tape shorter and calmer, as long as it still breaks one of the same laws.
pub fn shrink(broken: &Broken, rules: &Rules) -> Broken {
    let fails = |tape: &[u8]| {
        let world = story::play(tape, rules, &mut Trail::default());
        let same = world.broken.iter().any(|law| broken.laws.contains(law));
        same.then_some(world.broken)
    };
    let mut best = broken.clone();
    let mut piece = best.tape.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < best.tape.len() {
            let end = (at + piece).min(best.tape.len());
            let without: Vec<u8> = best.tape[..at].iter().chain(&best.tape[end..]).copied().collect();
            let mut calmer = best.tape.clone();
            calmer[at..end].fill(0);
            if let Some(laws) = fails(&without) {
                (best.tape, best.laws) = (without, laws);
            } else if calmer != best.tape
                && let Some(laws) = fails(&calmer)
            {
                (best.tape, best.laws) = (calmer, laws);
                at = end;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    best
}

/// Returns the events of a story, from beginning to end.
pub fn tell(tape: &[u8], rules: &Rules) -> Vec<String> {
    let mut trail = Trail(Some(Vec::new()));
    story::play(tape, rules, &mut trail);
    trail.0.unwrap_or_default()
}

impl Report {
    /// Returns the counts as JSON, for `cargo xtask evidence`.
    pub fn json(&self) -> String {
        let broken = u8::from(self.broken.is_some());
        format!(
            "{{\"stories\": {}, \"crashes\": {}, \"lostAnswers\": {}, \"creates\": {}, \"deletions\": {}, \"conflicts\": {}, \"heldBack\": {}, \"elections\": {}, \"violations\": {broken}}}\n",
            self.stories,
            self.crashes,
            self.lost,
            self.creates,
            self.deletions,
            self.conflicts,
            self.held_back,
            self.elections
        )
    }
}

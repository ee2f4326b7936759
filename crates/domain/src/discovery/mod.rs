//! `spec.leadDiscovery`: which leads become objects, the name of each, and when to retry one that could not be
//! created.

mod name;
mod rules;

use std::collections::BTreeMap;

pub use self::name::{Name, Used, name, platform_label};
pub use self::rules::Rules;

use crate::names::TenantId;
use crate::time::{Duration, Time};
use crate::timing;

/// After this many refusals in a row without a success, the rest waits for the next run. If something refuses
/// them all (a quota), it is not asked for each lead.
const IN_A_ROW: u32 = 3;

/// For how long an object that was just created counts as there before the watch has delivered it.
const SEEN_BY_THEN: Duration = Duration::from_secs(30);

/// Why one lead has no object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DiscoveryFailure {
    failures: u32,
    again: Time,
    said: String,
}

/// Why no objects are created at all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pause {
    runs: u32,
    until: Time,
    said: Option<String>,
}

/// An object that was created and that the watch has not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unseen {
    name: String,
    until: Time,
}

/// What is remembered between two runs, for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    failed: BTreeMap<TenantId, DiscoveryFailure>,
    unseen: BTreeMap<TenantId, Unseen>,
    in_a_row: u32,
    pause: Option<Pause>,
}

/// What to report about failed attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// No object can be created: the API server's sentence.
    None(String),
    /// This many objects can't be created; the sentence for the first.
    Some(usize, String),
}

impl Attempts {
    /// Begins a run. Forgets leads that have an object by now, or are no longer wanted.
    pub fn begin(&mut self, now: Time, missing: impl Fn(&TenantId) -> bool) {
        self.failed.retain(|tenant, _| missing(tenant));
        self.unseen
            .retain(|tenant, unseen| now < unseen.until && missing(tenant));
        self.in_a_row = 0;
        if self.failed.is_empty() && self.pause.as_ref().is_some_and(|pause| pause.said.is_none()) {
            self.pause = None;
        }
    }

    /// Whether any object may be tried now.
    pub fn may_run(&self, now: Time) -> bool {
        self.pause.as_ref().is_none_or(|pause| now >= pause.until)
    }

    /// Whether to try this lead now, and in which order. The leads with the fewest failures come first, so
    /// that none waits forever behind others.
    pub fn turn(&self, now: Time, tenant: &TenantId) -> Option<u32> {
        if self.unseen.contains_key(tenant) {
            return None;
        }
        match self.failed.get(tenant) {
            None => Some(0),
            Some(failure) => (now >= failure.again).then_some(failure.failures),
        }
    }

    /// Whether an object that was just created for another tenant has this name.
    pub fn has_just_used(&self, name: &str, tenant: &TenantId) -> bool {
        self.unseen
            .iter()
            .any(|(of, unseen)| of != tenant && unseen.name == name)
    }

    /// Records that an object was created under this name.
    pub fn made(&mut self, now: Time, tenant: &TenantId, name: &str) {
        self.failed.remove(tenant);
        let (name, until) = (name.to_owned(), now + SEEN_BY_THEN);
        self.unseen.insert(*tenant, Unseen { name, until });
        self.in_a_row = 0;
        self.pause = None;
    }

    /// Records that an object was refused, in these words. Returns whether to try others in this run.
    pub fn refused(&mut self, now: Time, tenant: &TenantId, said: &str) -> bool {
        let failures = self
            .failed
            .get(tenant)
            .map_or(0, |failure| failure.failures)
            .saturating_add(1);
        let again = timing::next_try(now, failures.saturating_add(2), None);
        self.failed.insert(
            *tenant,
            DiscoveryFailure {
                failures,
                again,
                said: said.to_owned(),
            },
        );
        self.in_a_row += 1;
        if self.in_a_row < IN_A_ROW {
            return true;
        }
        self.stop(now, None);
        false
    }

    /// Records that no object can be created, for a reason that concerns no lead in particular. `said` is for
    /// a person, unless the reason passes on its own.
    pub fn blocked(&mut self, now: Time, said: Option<&str>) {
        self.stop(now, said);
    }

    fn stop(&mut self, now: Time, said: Option<&str>) {
        let runs = self
            .pause
            .as_ref()
            .map_or(0, |pause| pause.runs)
            .saturating_add(1);
        self.pause = Some(Pause {
            runs,
            until: timing::next_try(now, runs, None),
            said: said.map(str::to_owned),
        });
    }

    /// Returns what to report.
    pub fn told(&self) -> Option<Told> {
        let first = self.failed.values().next().map(|failure| failure.said.clone());
        match (&self.pause, first) {
            (Some(Pause { said: Some(said), .. }), _) => Some(Told::None(said.clone())),
            // A single aborted run may have started with leads that are always refused, so it takes two.
            (Some(pause), Some(first)) if pause.runs > 1 => Some(Told::None(first)),
            (_, Some(first)) => Some(Told::Some(self.failed.len(), first)),
            (_, None) => None,
        }
    }

    /// When there is something to retry.
    pub fn next(&self) -> Option<Time> {
        let failed = self.failed.values().map(|failure| failure.again);
        let unseen = self.unseen.values().map(|unseen| unseen.until);
        let soonest = failed.chain(unseen).min();
        match (&self.pause, soonest) {
            (Some(pause), Some(soonest)) => Some(pause.until.max(soonest)),
            (Some(pause), None) => Some(pause.until),
            (None, soonest) => soonest,
        }
    }
}

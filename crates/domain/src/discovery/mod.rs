//! `spec.leadDiscovery`: which leads become objects, the name of each, and when to retry one that could not be
//! created.

mod rules;

use std::collections::BTreeMap;

pub use self::rules::Rules;

use crate::names::TenantId;
use crate::time::Time;
use crate::timing;

/// After this many refusals in a row without a success, the rest waits for the next run. If something refuses
/// them all (a quota), it is not asked for each lead.
const IN_A_ROW: u32 = 3;

/// The length available for the platform's name. An object's name has at most 253 characters, and `lead-`,
/// the tenant and a hyphen need their share.
const PLATFORM_NAME: usize = 253 - 42;

/// What an object's name is already used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The object is for this lead.
    ForThis,
    /// The object is for something else: another tenant, or the same tenant on another platform.
    ForAnother,
}

/// The name under which a lead becomes an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The lead has an object already.
    There,
    /// The lead gets this name.
    Free(String),
    /// The candidate names are used for something else; this is the last one.
    Taken(String),
}

/// Chooses the name by the tenant, and adds the platform's name if another object has the plain one.
pub fn name(platform: &str, tenant: &TenantId, used: impl Fn(&str) -> Option<Used>) -> Name {
    let cut: String = platform.chars().take(PLATFORM_NAME).collect();
    let plain = format!("lead-{tenant}");
    let full = format!("{plain}-{}", cut.trim_end_matches(['-', '.']));
    for name in [&plain, &full] {
        match used(name) {
            None => return Name::Free(name.clone()),
            Some(Used::ForThis) => return Name::There,
            Some(Used::ForAnother) => {}
        }
    }
    Name::Taken(full)
}

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

/// What is remembered between two runs, for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    failed: BTreeMap<TenantId, DiscoveryFailure>,
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
    pub fn begin(&mut self, missing: impl Fn(&TenantId) -> bool) {
        self.failed.retain(|tenant, _| missing(tenant));
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
        match self.failed.get(tenant) {
            None => Some(0),
            Some(failure) => (now >= failure.again).then_some(failure.failures),
        }
    }

    /// Records that an object was created.
    pub fn made(&mut self, tenant: &TenantId) {
        self.failed.remove(tenant);
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
        let soonest = self.failed.values().map(|failure| failure.again).min();
        match (&self.pause, soonest) {
            (Some(pause), Some(soonest)) => Some(pause.until.max(soonest)),
            (Some(pause), None) => Some(pause.until),
            (None, soonest) => soonest,
        }
    }
}

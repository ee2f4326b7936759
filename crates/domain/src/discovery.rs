//! `spec.leadDiscovery`: under which name a lead that was found becomes an object, and when one that could not be made is tried again.

use std::collections::BTreeMap;

use crate::names::TenantId;
use crate::time::Time;
use crate::timing;

/// After so many refusals in a row, with nothing made between them, the rest is left for the next run: what refuses them all (a quota) is not asked for
/// each lead.
const IN_A_ROW: u32 = 3;

/// Room for the platform's name in an object's name of at most 253 characters, beside `lead-`, the tenant and a hyphen.
const PLATFORM_NAME: usize = 253 - 42;

/// What an object's name is used for already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The object stands for this very lead.
    ForThis,
    /// For something else: another tenant, or the same on another platform.
    ForAnother,
}

/// Under which name a lead becomes an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// There is one already.
    There,
    /// Under this one.
    Free(String),
    /// Its names are in use for something else; this is the last of them.
    Taken(String),
}

/// Chooses the name: by the tenant, and with the platform's name where another object has that already.
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

/// Why the object of one lead is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DiscoveryFailure {
    failures: u32,
    again: Time,
    said: String,
}

/// Why none is made at all.
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

/// What there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// No object can be made: the API server's sentence.
    None(String),
    /// So many can't be made; the sentence for the first.
    Some(usize, String),
}

impl Attempts {
    /// A run begins: leads that have an object meanwhile, or are not wanted any more, are forgotten.
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

    /// Whether the object of this lead is tried now, and in which order: those that have failed least come first, so that none waits for ever on others.
    pub fn turn(&self, now: Time, tenant: &TenantId) -> Option<u32> {
        match self.failed.get(tenant) {
            None => Some(0),
            Some(failure) => (now >= failure.again).then_some(failure.failures),
        }
    }

    /// One was made.
    pub fn made(&mut self, tenant: &TenantId) {
        self.failed.remove(tenant);
        self.in_a_row = 0;
        self.pause = None;
    }

    /// One was refused, in these words. Returns whether others are tried in this run.
    pub fn refused(&mut self, now: Time, tenant: &TenantId, said: &str) -> bool {
        let failures = self
            .failed
            .get(tenant)
            .map_or(0, |failure| failure.failures)
            .saturating_add(1);
        let again = timing::next_try(now, failures.saturating_add(2), None);
        self.failed.insert(
            tenant.clone(),
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

    /// None can be made, for a reason that has nothing to do with any lead; `said` is for a person, unless it passes by itself.
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

    /// What there is to say.
    pub fn told(&self) -> Option<Told> {
        let first = self.failed.values().next().map(|failure| failure.said.clone());
        match (&self.pause, first) {
            (Some(Pause { said: Some(said), .. }), _) => Some(Told::None(said.clone())),
            // One run that was cut short may have begun with those that nobody takes.
            (Some(pause), Some(first)) if pause.runs > 1 => Some(Told::None(first)),
            (_, Some(first)) => Some(Told::Some(self.failed.len(), first)),
            (_, None) => None,
        }
    }

    /// When there is something to try again.
    pub fn next(&self) -> Option<Time> {
        let soonest = self.failed.values().map(|failure| failure.again).min();
        match (&self.pause, soonest) {
            (Some(pause), Some(soonest)) => Some(pause.until.max(soonest)),
            (Some(pause), None) => Some(pause.until),
            (None, soonest) => soonest,
        }
    }
}

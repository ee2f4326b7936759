//! `spec.leadDiscovery`: which leads become objects, the name of each, and when to retry one that could not be
//! created.

mod name;
mod refusal;
mod report;
mod rules;

use std::collections::BTreeMap;

pub use self::name::{Name, Used, name, platform_label};
pub use self::refusal::ClusterRefusal;
pub use self::report::{DiscoveryReport, Hindrance};
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
    since: Time,
    failures: u32,
    again: Time,
    refusal: ClusterRefusal,
    said: String,
}

/// Why no objects are created at all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pause {
    runs: u32,
    until: Time,
    /// What concerns all objects, and the lead it was noticed with.
    for_all: Option<(ClusterRefusal, TenantId, String)>,
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
    asked: String,
}

impl Attempts {
    /// Notes what the next run is for: a version of the spec, and a person's request. When either is new, the
    /// run does not wait because of what failed before.
    pub fn ask(&mut self, what: &str) {
        if self.asked != what {
            what.clone_into(&mut self.asked);
            (self.failed, self.pause) = (BTreeMap::new(), None);
        }
    }

    /// Begins a run. Forgets leads that have an object by now, or are no longer wanted.
    pub fn begin(&mut self, now: Time, missing: impl Fn(&TenantId) -> bool) {
        self.failed.retain(|tenant, _| missing(tenant));
        self.unseen
            .retain(|tenant, unseen| now < unseen.until && missing(tenant));
        self.in_a_row = 0;
        if self.failed.is_empty() && self.pause.as_ref().is_some_and(|pause| pause.for_all.is_none()) {
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
        let (name, until) = (name.to_owned(), now + SEEN_BY_THEN);
        self.unseen.insert(*tenant, Unseen { name, until });
        self.succeeded(tenant);
    }

    /// Records that an object was created, where the caller remembers what the watch has not delivered yet.
    pub(crate) fn succeeded(&mut self, tenant: &TenantId) {
        self.failed.remove(tenant);
        self.in_a_row = 0;
        self.pause = None;
    }

    /// Why this lead has no object, if one was refused, and in which words.
    pub(crate) fn refusal_of(&self, tenant: &TenantId) -> Option<(ClusterRefusal, &str)> {
        let failure = self.failed.get(tenant)?;
        Some((failure.refusal, &failure.said))
    }

    /// Why no object is created at all, if the cluster refuses them all, and in which words.
    pub(crate) fn refusal_of_all(&self) -> Option<(ClusterRefusal, &str)> {
        let (refusal, _, said) = self.pause.as_ref()?.for_all.as_ref()?;
        Some((*refusal, said))
    }

    /// Whether no refusal is remembered.
    pub(crate) fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.pause.is_none()
    }

    /// Records that an object was refused, in these words. Returns whether to try others in this run.
    pub fn refused(&mut self, now: Time, tenant: &TenantId, refusal: ClusterRefusal, said: &str) -> bool {
        if refusal.concerns_all() {
            self.stop(now, Some((refusal, *tenant, said.to_owned())));
            return false;
        }
        let before = self.failed.get(tenant);
        let failures = before.map_or(0, |failure| failure.failures).saturating_add(1);
        let failure = DiscoveryFailure {
            since: before.map_or(now, |failure| failure.since),
            failures,
            again: timing::next_try(now, failures.saturating_add(2), None),
            refusal,
            said: said.to_owned(),
        };
        self.failed.insert(*tenant, failure);
        self.in_a_row += 1;
        if self.in_a_row < IN_A_ROW {
            return true;
        }
        self.stop(now, None);
        false
    }

    /// Records that the API server does not answer. That passes without a person, and until then nothing can
    /// be reported either.
    pub fn unanswered(&mut self, now: Time) {
        self.stop(now, None);
    }

    fn stop(&mut self, now: Time, for_all: Option<(ClusterRefusal, TenantId, String)>) {
        let runs = self
            .pause
            .as_ref()
            .map_or(0, |pause| pause.runs)
            .saturating_add(1);
        self.pause = Some(Pause {
            runs,
            until: timing::next_try(now, runs, None),
            for_all,
        });
    }

    /// Returns what to report. `matched` leads are wanted, `missing` of them have no object that the watch has
    /// delivered, and `made` of the others have one that the operator has created.
    pub fn report(&self, matched: usize, missing: usize, made: usize) -> DiscoveryReport {
        let unseen = self.unseen.len();
        let missing = missing.saturating_sub(unseen);
        let mut report = DiscoveryReport {
            matched,
            present: matched.saturating_sub(missing),
            made: made + unseen,
            failed: self.failed.len(),
            hindrances: self.hindrances(),
        };
        // A single aborted run may have started with leads that are always refused, so it takes two.
        let all = self
            .pause
            .as_ref()
            .is_some_and(|pause| pause.for_all.is_some() || pause.runs > 1);
        if let (true, Some(first)) = (all, report.hindrances.first_mut()) {
            first.count += missing.saturating_sub(report.failed);
            report.failed = missing;
        }
        report
    }

    /// What was refused, by kind, each with the lead that it happened to first.
    fn hindrances(&self) -> Vec<Hindrance> {
        if let Some((refusal, first, said)) = self.pause.as_ref().and_then(|pause| pause.for_all.clone()) {
            return vec![Hindrance {
                refusal,
                count: self.failed.len(),
                first,
                said,
            }];
        }
        let mut kinds: BTreeMap<ClusterRefusal, (usize, Time, Hindrance)> = BTreeMap::new();
        for (tenant, failure) in &self.failed {
            let this = || Hindrance {
                refusal: failure.refusal,
                count: 0,
                first: *tenant,
                said: failure.said.clone(),
            };
            let (count, since, first) = kinds
                .entry(failure.refusal)
                .or_insert_with(|| (0, failure.since, this()));
            *count += 1;
            if failure.since < *since {
                (*since, *first) = (failure.since, this());
            }
        }
        kinds
            .into_values()
            .map(|(count, _, first)| Hindrance { count, ..first })
            .collect()
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

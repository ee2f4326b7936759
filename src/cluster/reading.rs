//! The data parsed from a `LivePlatform`: once for each version, not again in each pass of each of its
//! objects.

use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use oc_domain::absence::{self, Account};
use oc_domain::breaker;
use oc_domain::platform::PlatformRecord;
use oc_domain::policy::{JobTrigger, Policy};
use oc_domain::record::Job;

use crate::cluster::address;
use crate::cluster::has_status::{HasStatus, stalled_for};
use crate::cluster::record::{self, job, ledger};
use oc_api::LivePlatform;
use oc_api::live_platform::SyncTrigger;

/// One version of a platform object, and the data parsed from it.
pub struct Reading {
    /// This version of the object.
    pub object: Arc<LivePlatform>,
    /// The settings of the platform.
    pub policy: Policy,
    /// The platform the object points to, and the application used there.
    pub account: Account,
    /// The deletions that the object remembers.
    pub deletions: breaker::DeletionLedger,
    /// The absences that the object remembers.
    pub absences: absence::AbsenceLedger,
}

impl Reading {
    fn new(object: Arc<LivePlatform>) -> Self {
        Self {
            policy: policy(&object),
            account: address::account(&object),
            deletions: ledger(&object),
            absences: record::absences(&object),
            object,
        }
    }
}

/// The newest reading of each platform object, by name.
#[derive(Default)]
pub struct Readings(RwLock<HashMap<String, Arc<Reading>>>);

impl Readings {
    /// Returns the reading of this version, which is the one in the store.
    pub fn of(&self, name: &str, object: Arc<LivePlatform>) -> Arc<Reading> {
        let known = self.0.read().get(name).cloned();
        if let Some(reading) = known.filter(|reading| Arc::ptr_eq(&reading.object, &object)) {
            return reading;
        }
        let reading = Arc::new(Reading::new(object));
        self.0.write().insert(name.to_owned(), Arc::clone(&reading));
        reading
    }

    /// Drops the reading of a deleted platform object.
    pub fn forget(&self, name: &str) {
        self.0.write().remove(name);
    }
}

/// Returns the settings of a platform object.
fn policy(platform: &LivePlatform) -> Policy {
    let spec = &platform.spec;
    let record = record(platform);
    Policy {
        place: address::place(platform).map(|place| place.as_str().into()),
        short_name_rule: spec.short_name_rule.into(),
        tenant_lookup: spec.tenant_lookup.is_some(),
        observe_interval: spec.observe_interval.span(),
        create_grace: spec.create_grace.span(),
        task_deadline: spec.task_deadline.span(),
        trigger: trigger(platform),
        leads_job: record.runs(Job::Leads),
        trunks_job: record.runs(Job::Trunks),
        slowest_create: None,
        deletions_blocked: None,
    }
}

/// Returns what a platform object remembers.
pub fn record(object: &LivePlatform) -> PlatformRecord {
    let jobs = object
        .status
        .as_ref()
        .map(|status| status.sync_jobs.as_slice())
        .unwrap_or_default();
    let status = object.status.as_ref().map(|status| status as &dyn HasStatus);
    let stalled_for = stalled_for(status, object.meta().generation.unwrap_or_default());
    PlatformRecord {
        jobs: Job::ALL.map(|which| job(jobs, which.name())),
        ledger: ledger(object),
        absences: record::absences(object),
        refused: refused(object),
        stalled_for,
    }
}

/// Returns how synchronization jobs are started.
pub fn trigger(platform: &LivePlatform) -> JobTrigger {
    match platform.spec.sync_jobs.trigger {
        SyncTrigger::Manual => JobTrigger::Manual,
        SyncTrigger::Http => JobTrigger::Http,
    }
}

/// Returns the rejected job times.
fn refused(object: &LivePlatform) -> [Option<String>; 2] {
    let refused = object
        .status
        .as_ref()
        .map(|status| status.refused_job_times.as_slice())
        .unwrap_or_default();
    Job::ALL.map(|which| {
        refused
            .iter()
            .find(|one| one.name == which.name())
            .map(|one| one.value.clone())
    })
}

//! What is read out of each version of a `LivePlatform` once, and not again in each pass of each of its objects.

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

/// One version of a platform object, and what it says.
pub struct Reading {
    /// The version.
    pub object: Arc<LivePlatform>,
    /// Its settings.
    pub policy: Policy,
    /// Which platform it means, and as whom it speaks to it.
    pub account: Account,
    /// What it remembers of deletions.
    pub deletions: breaker::DeletionLedger,
    /// What it remembers of what is missing.
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

/// The newest reading of each platform object, by its name.
#[derive(Default)]
pub struct Readings(RwLock<HashMap<String, Arc<Reading>>>);

impl Readings {
    /// The reading of this version, which is the one in the store.
    pub fn of(&self, name: &str, object: Arc<LivePlatform>) -> Arc<Reading> {
        let known = self.0.read().get(name).cloned();
        if let Some(reading) = known.filter(|reading| Arc::ptr_eq(&reading.object, &object)) {
            return reading;
        }
        let reading = Arc::new(Reading::new(object));
        self.0.write().insert(name.to_owned(), Arc::clone(&reading));
        reading
    }

    /// Forgets a platform object that is gone.
    pub fn forget(&self, name: &str) {
        self.0.write().remove(name);
    }
}

/// The settings of a platform object.
fn policy(platform: &LivePlatform) -> Policy {
    let spec = &platform.spec;
    let record = record(platform);
    Policy {
        place: address::place(platform).map(|place| place.as_str().to_owned()),
        short_name_rule: spec.short_name_rule.into(),
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

/// What a platform object remembers.
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

/// How jobs are started.
pub fn trigger(platform: &LivePlatform) -> JobTrigger {
    match platform.spec.sync_jobs.trigger {
        SyncTrigger::Manual => JobTrigger::Manual,
        SyncTrigger::Http => JobTrigger::Http,
    }
}

/// The times of jobs that are not taken.
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

//! What is read out of each version of a `LivePlatform` once, and not again in each pass of each of its objects.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use oc_domain::absence::{self, Account};
use oc_domain::breaker;
use oc_domain::policy::Policy;
use oc_domain::record::Job;

use super::{absences, connect, platform, shared};
use crate::api::LivePlatform;
use crate::object::record;

/// One version of a platform object, and what it says.
pub struct Reading {
    /// The version.
    pub object: Arc<LivePlatform>,
    /// Its settings.
    pub policy: Policy,
    /// Which platform it means, and as whom it speaks to it.
    pub account: Account,
    /// What it remembers of deletions.
    pub deletions: breaker::Ledger,
    /// What it remembers of what is missing.
    pub absences: absence::Ledger,
}

impl Reading {
    fn new(object: Arc<LivePlatform>) -> Self {
        Self { policy: policy(&object), account: absences::account(&object), deletions: record::ledger(&object), absences: record::absences(&object), object }
    }
}

/// The newest reading of each platform object, by its name.
#[derive(Default)]
pub struct Readings(RwLock<HashMap<String, Arc<Reading>>>);

impl Readings {
    /// The reading of this version, which is the one in the store.
    pub fn of(&self, name: &str, object: Arc<LivePlatform>) -> Arc<Reading> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(reading) = known.filter(|reading| Arc::ptr_eq(&reading.object, &object)) {
            return reading;
        }
        let reading = Arc::new(Reading::new(object));
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&reading));
        reading
    }

    /// Forgets a platform object that is gone.
    pub fn forget(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The settings of a platform object.
fn policy(platform: &LivePlatform) -> Policy {
    let spec = &platform.spec;
    let record = platform::record(platform);
    Policy {
        place: connect::place(platform).map(|place| place.as_str().to_owned()),
        short_name_rule: spec.short_name_rule.into(),
        observe_interval: spec.observe_interval.span(),
        create_grace: spec.create_grace.span(),
        task_deadline: spec.task_deadline.span(),
        trigger: shared::trigger(platform),
        leads_job: record.runs(Job::Leads),
        trunks_job: record.runs(Job::Trunks),
        slowest_create: None,
        deletions_blocked: None,
    }
}

//! The platform as a state machine: no HTTP and no clock. Each call is told what time it is.

pub mod chance;
pub mod counters;
pub mod create;
pub mod endpoint;
pub mod faults;
pub mod jobs;
pub mod leads;
pub mod names;
pub mod numbers;
pub mod reflect;
pub mod refusal;
pub mod seed;
pub mod services;
pub mod settings;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod time;
pub mod topology;

use chance::Chance;
use counters::{History, Record};
use faults::Faults;
use jobs::Jobs;
use leads::Leads;
use numbers::Numbers;
use services::Services;
use settings::Settings;
use std::collections::HashMap;
use tasks::Tasks;
use time::Millis;
use topology::Topology;

/// One Live Platform, with one service provider on it.
#[derive(Debug)]
pub struct Platform {
    /// The switches.
    pub settings: Settings,
    /// Leads.
    pub leads: Leads,
    /// Services.
    pub services: Services,
    /// Tasks.
    pub tasks: Tasks,
    /// Channels and LC customers.
    pub topology: Topology,
    /// Synchronization jobs.
    pub jobs: Jobs,
    /// Phone numbers.
    pub numbers: Numbers,
    /// Faults that were asked for.
    pub faults: Faults,
    /// What was asked of the platform.
    pub record: Record,
    /// Which services each tenant had, and when.
    pub history: History,
    /// Decides faults of a probability below 1.
    pub chance: Chance,
    /// Makes ids. Apart from `chance`, so that two platforms of one seed do not share guids.
    pub ids: Chance,
    reserved_tenants: HashMap<String, String>,
    reserved_names: HashMap<String, String>,
    lingering: usize,
}

impl Platform {
    /// An empty one.
    pub fn new(settings: Settings, id_seed: u64) -> Self {
        Self {
            chance: Chance::new(settings.seed),
            settings,
            leads: Leads::default(),
            services: Services::default(),
            tasks: Tasks::default(),
            topology: Topology::default(),
            jobs: Jobs::default(),
            numbers: Numbers::default(),
            faults: Faults::default(),
            record: Record::default(),
            history: History::default(),
            ids: Chance::new(id_seed),
            reserved_tenants: HashMap::new(),
            reserved_names: HashMap::new(),
            lingering: 0,
        }
    }

    /// Lets everything happen that was due until now.
    pub fn advance(&mut self, now: Millis) {
        self.finish_tasks(now);
        self.advance_jobs(now);
        self.remove_overdue_services(now);
    }

    /// Changes the settings; a new seed starts the generator anew.
    pub fn set(&mut self, settings: Settings) {
        if settings.seed != self.settings.seed {
            self.chance = Chance::new(settings.seed);
        }
        self.settings = settings;
    }
}

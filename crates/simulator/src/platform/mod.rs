//! The platform as a state machine without HTTP and without a clock. Each call is given the time.

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
    /// The settings in force.
    pub settings: Settings,
    /// The leads.
    pub leads: Leads,
    /// The services.
    pub services: Services,
    /// The tasks.
    pub tasks: Tasks,
    /// The channels and LC customers.
    pub topology: Topology,
    /// The synchronization jobs.
    pub jobs: Jobs,
    /// The phone numbers.
    pub numbers: Numbers,
    /// The faults that were requested.
    pub faults: Faults,
    /// The counters and the log of calls.
    pub record: Record,
    /// The services that each tenant had, and when.
    pub history: History,
    /// Decides faults with a probability below 1.
    pub chance: Chance,
    /// Generates ids. Separate from `chance`, so that two platforms with one seed do not share guids.
    pub ids: Chance,
    reserved_tenants: HashMap<String, String>,
    reserved_names: HashMap<String, String>,
    lingering: usize,
}

impl Platform {
    /// An empty platform.
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

    /// Plays everything that is due by now.
    pub fn advance(&mut self, now: Millis) {
        self.finish_tasks(now);
        self.advance_jobs(now);
        self.remove_overdue_services(now);
    }

    /// Changes the settings. A new seed restarts the generator.
    pub fn set(&mut self, settings: Settings) {
        if settings.seed != self.settings.seed {
            self.chance = Chance::new(settings.seed);
        }
        self.settings = settings;
    }
}

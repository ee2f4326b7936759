//! The initial content of a platform.

use super::Platform;
use super::leads::LeadInput;
use super::services::ServiceInput;
use super::time::Millis;
use super::topology::{ChannelInput, LcCustomerInput};
use serde::Deserialize;
use serde_json::Value;

/// Numbers for a tenant.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumbersInput {
    /// The Microsoft tenant.
    pub tenant_id: String,
    /// How many numbers to add.
    pub count: u64,
}

/// The content of a seed file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Seed {
    /// The leads to add.
    pub leads: Vec<LeadInput>,
    /// The channels to add.
    pub channels: Vec<ChannelInput>,
    /// The LC customers to add.
    pub lc_customers: Vec<LcCustomerInput>,
    /// The services to add.
    pub services: Vec<ServiceInput>,
    /// The numbers to add.
    pub numbers: Vec<NumbersInput>,
    /// The settings to change.
    pub settings: Option<Value>,
}

impl Platform {
    /// Adds the content of a seed.
    pub fn plant(&mut self, now: Millis, seed: Seed) -> Result<(), String> {
        if let Some(settings) = &seed.settings {
            let settings = self.settings.merged(settings)?;
            self.set(settings);
        }
        for channel in seed.channels {
            self.topology.put_channel(channel, None, now);
        }
        for customer in seed.lc_customers {
            self.topology.put_customer(customer, now);
        }
        for lead in seed.leads {
            self.seed_lead(now, lead)?;
        }
        for service in seed.services {
            self.seed_service(now, service)?;
        }
        for numbers in seed.numbers {
            self.add_numbers(&numbers);
        }
        Ok(())
    }

    /// Gives a tenant numbers.
    pub fn add_numbers(&mut self, input: &NumbersInput) {
        let ids = &mut self.ids;
        self.numbers.add(&input.tenant_id, input.count, || ids.guid());
    }
}

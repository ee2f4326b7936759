//! Which leads get an object.

use std::collections::BTreeSet;

use crate::model::{Lead, MicrosoftStatus};
use crate::names::{ChannelId, TenantId};

/// The rules of `spec.leadDiscovery`. A lead gets an object if all of them want it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Leads that the customer consented to.
    pub consented: bool,
    /// Leads that the service provider entered.
    pub consentless: bool,
    /// Leads that consented to one of these countries, in any case; `None`: whatever the countries.
    pub countries: Option<Vec<String>>,
    /// Leads that are assigned to one of these channels; `None`: whatever the channel.
    pub channels: Option<Vec<ChannelId>>,
    /// Leads in one of these statuses; `None`: all that are not Removed. Removed leads stay in the platform's
    /// list forever (U-19), so objects for them would be noise.
    pub statuses: Option<Vec<MicrosoftStatus>>,
    /// Tenants whose leads get no object.
    pub excluded: BTreeSet<TenantId>,
}

impl Rules {
    /// Whether the rules want an object for this lead.
    pub fn want(&self, lead: &Lead) -> bool {
        let origin = if lead.consentless {
            self.consentless
        } else {
            self.consented
        };
        let status = match &self.statuses {
            Some(wanted) => wanted.contains(&lead.status),
            None => lead.status != MicrosoftStatus::Removed,
        };
        let country = self.countries.as_ref().is_none_or(|wanted| {
            lead.countries
                .iter()
                .any(|has| wanted.iter().any(|country| country.eq_ignore_ascii_case(has)))
        });
        let channel = self
            .channels
            .as_ref()
            .is_none_or(|wanted| lead.channel.is_some_and(|has| wanted.contains(&has)));
        origin && status && country && channel && !self.excluded.contains(&lead.tenant)
    }
}

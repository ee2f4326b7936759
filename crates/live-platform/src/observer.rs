//! The hook for metrics and budgets.

use std::time::Duration;

/// Observes each HTTP exchange, including retries and token requests. Methods must not block.
pub trait Observer: Send + Sync {
    /// Called when an exchange ends. `elapsed` runs from the first byte sent (or the attempt to connect) to
    /// the last byte read.
    fn call_finished(&self, endpoint: Endpoint, outcome: CallOutcome, elapsed: Duration);
}

/// Every call this client can make. A closed list, so that it can be a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// POST to the token URL.
    Token,
    /// GET `/api/v2/oc/lead`, a page of all.
    Leads,
    /// GET `/api/v2/oc/lead?msTenantID=`.
    LeadsOfTenant,
    /// POST `/api/v2/oc/lead`.
    CreateLead,
    /// DELETE `/api/v2/oc/lead`.
    DeleteLead,
    /// GET `/api/v3/customer`.
    Services,
    /// POST `/api/v3/customer`.
    CreateService,
    /// DELETE `/api/v2/customer/{guid}`.
    DeleteService,
    /// GET `/api/v2/task/{id}`.
    Task,
    /// PUT `/api/v3/ovoc/channel/action/assign`.
    AssignChannel,
    /// PUT `/api/v3/ovoc/channel/action/remove/`.
    UnassignChannel,
    /// GET of one LC customer (inferred).
    LcCustomer,
    /// GET `/api/ovoc/v1/topology/channels/{id}`.
    Channel,
    /// GET `/api/v2/oc/numbers`.
    Numbers,
    /// GET of a tenant's public OpenID configuration, at Microsoft.
    OpenIdConfiguration,
    /// The installation's own call that starts a synchronization job.
    Job,
}

impl Endpoint {
    /// Every endpoint, each once.
    pub const ALL: [Endpoint; 16] = [
        Self::Token,
        Self::Leads,
        Self::LeadsOfTenant,
        Self::CreateLead,
        Self::DeleteLead,
        Self::Services,
        Self::CreateService,
        Self::DeleteService,
        Self::Task,
        Self::AssignChannel,
        Self::UnassignChannel,
        Self::LcCustomer,
        Self::Channel,
        Self::Numbers,
        Self::OpenIdConfiguration,
        Self::Job,
    ];

    /// The value for a metric label: lower case and underscores.
    pub fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Leads => "leads",
            Self::LeadsOfTenant => "leads_of_tenant",
            Self::CreateLead => "create_lead",
            Self::DeleteLead => "delete_lead",
            Self::Services => "services",
            Self::CreateService => "create_service",
            Self::DeleteService => "delete_service",
            Self::Task => "task",
            Self::AssignChannel => "assign_channel",
            Self::UnassignChannel => "unassign_channel",
            Self::LcCustomer => "lc_customer",
            Self::Channel => "channel",
            Self::Numbers => "numbers",
            Self::OpenIdConfiguration => "openid_configuration",
            Self::Job => "job",
        }
    }

    /// What the call does, as the subject of a sentence.
    pub(crate) fn doing(self) -> &'static str {
        match self {
            Self::Token => "getting a token",
            Self::Leads => "listing the leads",
            Self::LeadsOfTenant => "reading the tenant's leads",
            Self::CreateLead => "creating the lead",
            Self::DeleteLead => "deleting the lead",
            Self::Services => "listing the services",
            Self::CreateService => "creating the service",
            Self::DeleteService => "deleting the service",
            Self::Task => "reading the task",
            Self::AssignChannel => "assigning the channel",
            Self::UnassignChannel => "unassigning the channel",
            Self::LcCustomer => "reading the LC customer",
            Self::Channel => "reading the channel",
            Self::Numbers => "reading the tenant's numbers",
            Self::OpenIdConfiguration => "looking up the tenant",
            Self::Job => "starting the synchronization job",
        }
    }
}

/// How one exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// An answer with this status was read in full (for an error: as much of its text as is kept).
    Answered(u16),
    /// No connection: name, address, TLS, proxy.
    NotConnected,
    /// The deadline passed.
    TimedOut,
    /// The connection broke before the answer was whole.
    Lost,
    /// The answer exceeded its limit. The rest was not read.
    TooLarge,
}

impl CallOutcome {
    /// All values that [`CallOutcome::label`] returns.
    pub const LABELS: [&'static str; 10] = [
        "2xx",
        "3xx",
        "4xx",
        "401",
        "429",
        "5xx",
        "not_connected",
        "timed_out",
        "lost",
        "too_large",
    ];

    /// The value for a metric label, one of [`CallOutcome::LABELS`].
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered(429) => "429",
            Self::Answered(401) => "401",
            Self::Answered(200..=299) => "2xx",
            Self::Answered(300..=399) => "3xx",
            Self::Answered(400..=499) => "4xx",
            Self::Answered(_) => "5xx",
            Self::NotConnected => "not_connected",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::TooLarge => "too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_label_of_the_list_and_every_label_an_outcome() {
        let answered = (100..=599).map(CallOutcome::Answered);
        let all = answered.chain([
            CallOutcome::NotConnected,
            CallOutcome::TimedOut,
            CallOutcome::Lost,
            CallOutcome::TooLarge,
        ]);
        let labels: std::collections::BTreeSet<&str> = all.map(CallOutcome::label).collect();
        assert_eq!(labels, CallOutcome::LABELS.into());
    }
}

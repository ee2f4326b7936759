//! What was read from the platform, reduced to what a decision needs. The client makes these; nothing here knows the wire.

use crate::names::{ChannelId, CustomerGuid, LcCustomerId, LeadId, TaskId, TenantId};
use crate::time::Time;

/// Microsoft's status of a lead (platform-facts.md 2.2; N-1: Microsoft knows only the first three).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MicrosoftStatus {
    /// The only status from which a license can be applied or a channel assigned.
    Active,
    /// Suspended, by Microsoft or by the customer (platform-facts-3.md 5).
    Suspended,
    /// Removed, by Microsoft or by the customer. Such a lead stays in the list (U-19), and can become Active again when the customer consents anew
    /// (N-18): it is no reason to forget anything.
    Removed,
    /// Not yet activated (a label of the portal; JSON spelling unknown, U-14).
    NotActive,
    /// Any other text: not eligible (U-14).
    Other(String),
}

impl MicrosoftStatus {
    /// Reads the platform's text without regard to case and blanks (U-14).
    pub fn parse(text: &str) -> Self {
        let folded: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .flat_map(char::to_lowercase)
            .collect();
        match folded.as_str() {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            "removed" => Self::Removed,
            "notactive" => Self::NotActive,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// The portal's word for it.
    pub fn label(&self) -> &str {
        match self {
            Self::Active => "Active",
            Self::Suspended => "Suspended",
            Self::Removed => "Removed",
            Self::NotActive => "Not Active",
            Self::Other(text) => text,
        }
    }
}

/// How a person can be reached. Personal data: kept only where the platform object says `contactDetails: Include` (law L8).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Contact {
    /// The person's name.
    pub full_name: Option<String>,
    /// The person's mail address.
    pub email: Option<String>,
    /// The person's telephone number.
    pub phone_number: Option<String>,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contact(withheld)")
    }
}

/// One lead, as the platform lists it (platform-facts.md 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lead {
    /// `id`.
    pub id: LeadId,
    /// `tenantId`.
    pub tenant: TenantId,
    /// `status`.
    pub status: MicrosoftStatus,
    /// `isDirectLead`: made by the operator, without the customer's consent.
    pub consentless: bool,
    /// `umpCustomerGuid`: the service that this lead became; absent without license (C-5).
    pub service: Option<CustomerGuid>,
    /// `ovocChannelId`, else `channelId`: the channel that the lead is attached to.
    pub channel: Option<ChannelId>,
    /// `contactDetails.companyName`.
    pub company_name: Option<String>,
    /// `contactDetails.companySize`, opaque (U-13).
    pub company_size: Option<String>,
    /// `consentedCountries`, as given: not all are ISO codes (platform-facts-2.md 3).
    pub countries: Vec<String>,
    /// `consentedOn`.
    pub consented: Option<Time>,
    /// `lastModifiedOn`.
    pub last_modified: Option<Time>,
    /// The rest of `contactDetails`.
    pub contact: Contact,
}

/// The license of a service (platform-facts.md 4; C-19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LicenseType {
    /// 0, Direct Routing.
    HostedEssentials,
    /// 1, Direct Routing.
    HostedEssentialsPlus,
    /// 2, Direct Routing.
    HostedPro,
    /// 3.
    OcEssential,
    /// 4.
    OcEssentialPlus,
    /// 5.
    OcPro,
    /// A number that no page names.
    Other(i64),
}

impl LicenseType {
    /// Reads the platform's number.
    pub fn from_number(number: i64) -> Self {
        match number {
            0 => Self::HostedEssentials,
            1 => Self::HostedEssentialsPlus,
            2 => Self::HostedPro,
            3 => Self::OcEssential,
            4 => Self::OcEssentialPlus,
            5 => Self::OcPro,
            other => Self::Other(other),
        }
    }

    /// Whether it is one of Operator Connect's: 3 to 5.
    pub fn operator_connect(self) -> bool {
        matches!(self, Self::OcEssential | Self::OcEssentialPlus | Self::OcPro)
    }

    /// Whether it is one of Direct Routing's: 0 to 2. What a number means that no page names is not known.
    pub fn direct_routing(self) -> bool {
        matches!(
            self,
            Self::HostedEssentials | Self::HostedEssentialsPlus | Self::HostedPro
        )
    }

    /// The portal's words.
    pub fn label(self) -> String {
        match self {
            Self::HostedEssentials => "Hosted Essentials".into(),
            Self::HostedEssentialsPlus => "Hosted Essentials Plus".into(),
            Self::HostedPro => "Hosted Pro".into(),
            Self::OcEssential => "OC Essential".into(),
            Self::OcEssentialPlus => "OC Essential Plus".into(),
            Self::OcPro => "OC Pro".into(),
            Self::Other(number) => format!("License {number}"),
        }
    }
}

/// One service, as the platform's V3 list gives it (platform-facts.md 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// `UmpCustomerGuid`.
    pub guid: CustomerGuid,
    /// `MsTenantId`; null on many Direct Routing services, but not on all (platform-facts-3.md 2).
    pub tenant: Option<TenantId>,
    /// `CustomerShortName`, as the platform has it: it may break our rules.
    pub short_name: String,
    /// `CustomerFullName`.
    pub full_name: Option<String>,
    /// `LicenseType`.
    pub license: Option<LicenseType>,
}

impl Service {
    /// Whether it is a Direct Routing service. A tenant can have one beside its Operator Connect service (C-31). One without a license, or with a
    /// license that no page names, is not taken for one: it could be the service that was just asked for.
    pub fn direct_routing(&self) -> bool {
        self.license.is_some_and(LicenseType::direct_routing)
    }
}

/// One LC customer (platform-facts.md 6.2; the read itself is inferred, platform-facts-2.md 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LcCustomer {
    /// `id`.
    pub id: LcCustomerId,
    /// `name`.
    pub name: Option<String>,
    /// `channelId`: the channel that it belongs to; absent or 0 when it belongs to none.
    pub channel: Option<ChannelId>,
}

/// What the platform says of one LC customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LcCustomerAnswer {
    /// It is this one.
    Found(LcCustomer),
    /// There is none of that id.
    NotFound,
    /// This release has no way to read it.
    NoSuchCall,
}

/// How far a task is (C-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Any word that names no end.
    Running,
    /// `CompletedSuccess`.
    Succeeded,
    /// Begins with `fail` or `cancel`.
    Failed,
    /// A last word that is not known (`CompletedWithErrors`, `Aborted`): the task has ended, and what came of it is for the lists to say.
    Ended,
}

/// One task (platform-facts.md 5). A task that succeeded can still hold error messages (E6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// `id`, the one that was asked for.
    pub id: TaskId,
    /// `status`, judged.
    pub state: TaskState,
    /// `status`, as given.
    pub status: String,
    /// All texts of `executionMessages`, each behind its level, bounded.
    pub messages: Vec<String>,
    /// `outputData.umpCustomerGuid` in any case; empty after a V2 create (C-8).
    pub service: Option<CustomerGuid>,
}

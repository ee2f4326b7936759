//! What was read from the platform, reduced to what decisions need. The client builds these values; nothing
//! here knows the wire format.

use std::borrow::Cow;
use std::sync::Arc;

use crate::names::{ChannelId, CustomerGuid, LcCustomerId, LeadId, TaskId, TenantId};
use crate::time::Time;

/// Microsoft's status of a lead (platform-facts.md 2.2; N-1: Microsoft knows only the first three).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MicrosoftStatus {
    /// Active: the only status in which a license can be applied or a channel assigned.
    Active,
    /// Suspended, by Microsoft or by the customer (platform-facts-3.md 5).
    Suspended,
    /// Removed, by Microsoft or by the customer. Such a lead stays in the list (U-19) and can become Active
    /// again when the customer consents again (N-18), so nothing about it may be forgotten.
    Removed,
    /// Not yet activated (a label of the portal; JSON spelling unknown, U-14).
    NotActive,
    /// Any other text; not eligible (U-14).
    Other(Box<str>),
}

impl MicrosoftStatus {
    /// Parses the platform's text, ignoring case and whitespace (U-14).
    pub fn parse(text: &str) -> Self {
        let folded = || {
            let chars = text.chars().filter(|c| !c.is_whitespace());
            chars.flat_map(char::to_lowercase)
        };
        let known = [
            ("active", Self::Active),
            ("suspended", Self::Suspended),
            ("removed", Self::Removed),
            ("notactive", Self::NotActive),
        ];
        let status = known.into_iter().find(|(word, _)| folded().eq(word.chars()));
        status.map_or_else(|| Self::Other(text.into()), |(_, status)| status)
    }

    /// The portal's word for the status.
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

/// A person's contact details. Personal data: kept only if the platform object says `contactDetails: Include`
/// (law L8).
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
    /// `isDirectLead`: created by the operator, without the customer's consent.
    pub consentless: bool,
    /// `umpCustomerGuid`: the service that this lead became; absent without a license (C-5).
    pub service: Option<CustomerGuid>,
    /// `ovocChannelId`, else `channelId`: the channel that the lead is assigned to.
    pub channel: Option<ChannelId>,
    /// `contactDetails.companyName`.
    pub company_name: Option<Box<str>>,
    /// `contactDetails.companySize`, opaque (U-13).
    pub company_size: Option<Box<str>>,
    /// `consentedCountries`, as given: not all are ISO codes (platform-facts-2.md 3).
    pub countries: Box<[String]>,
    /// `consentedOn`.
    pub consented: Option<Time>,
    /// `lastModifiedOn`.
    pub last_modified: Option<Time>,
    /// The rest of `contactDetails`; `None` if it was not asked for.
    pub contact: Option<Box<Contact>>,
}

/// The License Type of a service (platform-facts.md 4; C-19).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LicenseType {
    /// Number 0, Direct Routing.
    HostedEssentials,
    /// Number 1, Direct Routing.
    HostedEssentialsPlus,
    /// Number 2, Direct Routing.
    HostedPro,
    /// Number 3, Operator Connect.
    OcEssential,
    /// Number 4, Operator Connect.
    OcEssentialPlus,
    /// Number 5, Operator Connect.
    OcPro,
    /// A number that is not documented.
    Other(i64),
}

impl LicenseType {
    /// Converts the platform's number.
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

    /// Whether it is an Operator Connect license: 3 to 5.
    pub fn operator_connect(self) -> bool {
        matches!(self, Self::OcEssential | Self::OcEssentialPlus | Self::OcPro)
    }

    /// Whether it is a Direct Routing license: 0 to 2. The meaning of undocumented numbers is unknown.
    pub fn direct_routing(self) -> bool {
        matches!(
            self,
            Self::HostedEssentials | Self::HostedEssentialsPlus | Self::HostedPro
        )
    }

    /// The portal's name of the license.
    pub fn label(self) -> Cow<'static, str> {
        match self {
            Self::HostedEssentials => "Hosted Essentials".into(),
            Self::HostedEssentialsPlus => "Hosted Essentials Plus".into(),
            Self::HostedPro => "Hosted Pro".into(),
            Self::OcEssential => "OC Essential".into(),
            Self::OcEssentialPlus => "OC Essential Plus".into(),
            Self::OcPro => "OC Pro".into(),
            Self::Other(number) => format!("License {number}").into(),
        }
    }
}

/// One service, as in the platform's V3 list (platform-facts.md 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// `UmpCustomerGuid`.
    pub guid: CustomerGuid,
    /// `MsTenantId`; null on many Direct Routing services, but not on all (platform-facts-3.md 2).
    pub tenant: Option<TenantId>,
    /// `CustomerShortName`, as the platform has it; it may break our rules.
    pub short_name: Box<str>,
    /// `CustomerFullName`.
    pub full_name: Option<Box<str>>,
    /// `LicenseType`.
    pub license: Option<LicenseType>,
}

impl Service {
    /// Whether it is a Direct Routing service. A tenant can have one beside its Operator Connect service
    /// (C-31). A service without a license, or with an undocumented one, does not count: it may be the one
    /// that was just requested.
    pub fn direct_routing(&self) -> bool {
        self.license.is_some_and(LicenseType::direct_routing)
    }

    /// How a message names the service: by guid, short name and license.
    pub fn described(&self) -> String {
        let license = self
            .license
            .map_or(Cow::Borrowed("no license"), LicenseType::label);
        format!("{} ({:?}, {license})", self.guid, self.short_name)
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

/// The platform's answer about one LC customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LcCustomerAnswer {
    /// The LC customer exists.
    Found(LcCustomer),
    /// No LC customer has that id.
    NotFound,
    /// This release has no call to read it.
    NoSuchCall,
}

/// The platform's answer about one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelAnswer {
    /// The channel exists.
    Found,
    /// No channel has that id.
    NotFound,
    /// This release has no call to read it, or the identity may not.
    Untold,
}

/// The state of a task (C-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Any status that does not name an end.
    Running,
    /// `CompletedSuccess`.
    Succeeded,
    /// Begins with `fail` or `cancel`.
    Failed,
    /// An unknown final status (`CompletedWithErrors`, `Aborted`). The task has ended, and the lists decide
    /// about its result.
    Ended,
}

/// One task (platform-facts.md 5). A successful task can still have error messages (E6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// `id`, the one that was requested.
    pub id: TaskId,
    /// `status`, interpreted.
    pub state: TaskState,
    /// `status`, as the platform wrote it.
    pub status: String,
    /// All texts of `executionMessages`, each prefixed with its level, bounded.
    pub messages: Arc<[String]>,
    /// `outputData.umpCustomerGuid`, in any case; empty after a V2 create (C-8).
    pub service: Option<CustomerGuid>,
}

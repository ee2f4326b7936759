//! From what a service object says to what it is to become.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{ChannelId, CustomerGuid, LcCustomerId, ShortName, TenantId};

use super::{Adoption, Deletion, DesiredService, Mode, ServiceTarget};

/// What a service object says, with its references followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// The tenant: of the spec, or of the lead to which it refers. `Err` says what keeps it from being known.
    pub tenant: Result<TenantId, Trouble>,
    /// `spec.shortName`, as written.
    pub short_name: String,
    /// `spec.fullName`.
    pub full_name: String,
    /// `spec.lcCustomerId`.
    pub lc_customer: Option<LcCustomerId>,
    /// `spec.channelId`.
    pub channel: Option<ChannelId>,
    /// Whether `spec.advancedSettings` is there.
    pub ip_group: bool,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.adoption`.
    pub adoption: Adoption,
    /// `spec.recreate`.
    pub recreate: bool,
    /// `spec.besideDirectRouting`.
    pub beside_direct_routing: bool,
    /// `spec.deletionPolicy`.
    pub deletion_policy: DeletionPolicy,
    /// Whether `spec.deletionGuard` is `Numbers`.
    pub guard_numbers: bool,
    /// A reference that is not there, while the tenant is known all the same.
    pub missing: Option<Trouble>,
}

/// Another service object with the same tenant or short name, as far as it says which service is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Whether it is being deleted: then what it has is to go.
    pub deleting: bool,
    /// Its service, by its status.
    pub guid: Option<CustomerGuid>,
}

/// The policy by which an object goes that is being deleted. Plan and Observe change nothing on the platform, not even in going.
pub fn going(deleting: bool, mode: Mode, policy: DeletionPolicy) -> Option<DeletionPolicy> {
    deleting.then_some(if mode == Mode::Apply { policy } else { DeletionPolicy::Retain })
}

impl ServiceSpec {
    /// What the object is to become. `rival` is another object that comes before it, as people read it; the neighbours are asked for one that is going alone.
    pub fn wish(self, rival: Option<String>, neighbours: impl FnOnce() -> Vec<Neighbour>) -> ServiceTarget {
        if let Some(policy) = going(self.deleting, self.mode, self.deletion_policy) {
            return ServiceTarget::Absent(Deletion {
                policy,
                tenant: self.tenant.ok(),
                short_name: Some(self.short_name),
                suspended: self.suspended,
                guard_numbers: self.guard_numbers,
                of_others: neighbours().into_iter().filter(|other| !other.deleting).filter_map(|other| other.guid).collect(),
            });
        }
        if self.suspended {
            return ServiceTarget::Suspended;
        }
        let tenant = match self.tenant {
            Ok(tenant) => tenant,
            Err(unclear) => return ServiceTarget::Invalid(self.missing.unwrap_or(unclear)),
        };
        ServiceTarget::Present(Box::new(DesiredService {
            tenant,
            short_name: ShortName::as_written(&self.short_name),
            full_name: self.full_name,
            lc_customer: self.lc_customer,
            channel: self.channel,
            ip_group: self.ip_group,
            mode: self.mode,
            adoption: self.adoption,
            recreate: self.recreate,
            beside_direct_routing: self.beside_direct_routing,
            missing: self.missing,
            rival,
        }))
    }
}

//! From what a service object says to what it is to become.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{CustomerGuid, TenantId};
use crate::requests::ServiceParameters;

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
    /// How the service shall be.
    pub parameters: ServiceParameters,
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
    deleting.then_some(if mode == Mode::Apply {
        policy
    } else {
        DeletionPolicy::Retain
    })
}

impl ServiceSpec {
    /// What the object is to become. `rival` is another object that comes before it, as people read it; the neighbours are asked for one that is going alone.
    pub fn target(self, rival: Option<String>, neighbours: impl FnOnce() -> Vec<Neighbour>) -> ServiceTarget {
        if let Some(policy) = going(self.deleting, self.mode, self.deletion_policy) {
            return ServiceTarget::Absent(Deletion {
                policy,
                tenant: self.tenant.ok(),
                short_name: Some(self.parameters.short_name.as_str().to_owned()),
                suspended: self.suspended,
                guard_numbers: self.guard_numbers,
                owned_by_others: neighbours()
                    .into_iter()
                    .filter(|other| !other.deleting)
                    .filter_map(|other| other.guid)
                    .collect(),
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
            parameters: self.parameters,
            mode: self.mode,
            adoption: self.adoption,
            recreate: self.recreate,
            beside_direct_routing: self.beside_direct_routing,
            missing: self.missing,
            rival,
        }))
    }
}

//! Derives the target of a service object from its spec.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{CustomerGuid, TenantId};
use crate::requests::ServiceParameters;

use super::{Adoption, Deletion, DesiredService, Mode, ServiceTarget};

/// The parts of a service object that decide its target, with its references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// The object is being deleted.
    pub deleting: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// The tenant, from the spec or from the referenced lead. `Err` says why it is unknown.
    pub tenant: Result<TenantId, Trouble>,
    /// The parameters of the service.
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
    /// A missing reference that does not hide the tenant.
    pub missing: Option<Trouble>,
}

/// Another service object with the same tenant or short name, and the service that it owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The neighbour is being deleted, and its service with it.
    pub deleting: bool,
    /// The guid of its service, from its status.
    pub guid: Option<CustomerGuid>,
}

/// The deletion policy of an object that is being deleted. Plan and Observe never change the platform, not
/// even on deletion.
pub fn going(deleting: bool, mode: Mode, policy: DeletionPolicy) -> Option<DeletionPolicy> {
    deleting.then_some(if mode == Mode::Apply {
        policy
    } else {
        DeletionPolicy::Retain
    })
}

impl ServiceSpec {
    /// Returns the target of this object. `rival` describes an object that outranks it, for the message.
    /// `neighbours` is called only for an object that is being deleted.
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

//! The target state of a service object.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{CustomerGuid, TenantId};
use crate::requests::{NewService, ServiceParameters};

/// `spec.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Make the changes that are needed.
    #[default]
    Apply,
    /// Report the changes, without making them.
    Plan,
    /// Observe only.
    Observe,
}

/// `spec.adoption`: how to treat an existing service of the tenant that this object did not make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Adoption {
    /// Take it over when short name and full name match.
    #[default]
    IfMatching,
    /// Leave it alone.
    Never,
    /// Take it over.
    Always,
}

/// The desired state of a service, parsed from the spec, with its references resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredService {
    /// The customer's tenant.
    pub tenant: TenantId,
    /// The parameters of the service.
    pub parameters: ServiceParameters,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.adoption`.
    pub adoption: Adoption,
    /// `spec.recreate`.
    pub recreate: bool,
    /// `spec.besideDirectRouting`: whether to request a service although the tenant has a Direct Routing
    /// service.
    pub beside_direct_routing: bool,
    /// A missing reference. It blocks a create, but an existing service is still observed.
    pub missing: Option<Trouble>,
    /// Another object that has the same tenant or short name and outranks this one: it has its service, or
    /// may have requested it, or is older. The text names its kind, namespace and name, and says which of the
    /// two they share.
    pub rival: Option<String>,
}

impl DesiredService {
    /// Returns the service to request when none exists.
    pub fn new_service(&self) -> NewService {
        NewService {
            tenant: self.tenant,
            parameters: self.parameters.clone(),
        }
    }
}

/// What a deletion needs. A valid spec, a lead or a reference is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deletion {
    /// `spec.deletionPolicy`.
    pub policy: DeletionPolicy,
    /// The tenant, from status or the spec, if either has one.
    pub tenant: Option<TenantId>,
    /// `spec.shortName`, as written: a service of the tenant with another name was not made by this object.
    pub short_name: Option<String>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Whether to keep a service whose tenant has telephone numbers (`spec.deletionGuard`).
    pub guard_numbers: bool,
    /// The services in the status of other objects for the same tenant or short name. This object must not
    /// delete them.
    pub owned_by_others: Vec<CustomerGuid>,
}

/// The target state of a service object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceTarget {
    /// The service is as its spec says.
    Present(Box<DesiredService>),
    /// Nothing changes: `spec.suspend`.
    Suspended,
    /// The target is unknown: the spec is invalid, or its lead can't be found.
    Invalid(Trouble),
    /// The object is being deleted.
    Absent(Deletion),
}

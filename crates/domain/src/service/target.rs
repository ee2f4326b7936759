//! What a service object is to become.

use crate::conditions::Trouble;
use crate::facts::DeletionPolicy;
use crate::names::{CustomerGuid, TenantId};
use crate::requests::{NewService, ServiceParameters};

/// `spec.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Do what is needed.
    #[default]
    Apply,
    /// Say what would be done.
    Plan,
    /// Only look.
    Observe,
}

/// `spec.adoption`: what to do with a service that exists for the tenant and was not made by this object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Adoption {
    /// Take it over when short name and full name agree.
    #[default]
    IfMatching,
    /// Leave it alone.
    Never,
    /// Take it over.
    Always,
}

/// What the object's spec asks for, parsed, its references followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredService {
    /// The customer's tenant.
    pub tenant: TenantId,
    /// How the service shall be.
    pub parameters: ServiceParameters,
    /// `spec.mode`.
    pub mode: Mode,
    /// `spec.adoption`.
    pub adoption: Adoption,
    /// `spec.recreate`.
    pub recreate: bool,
    /// `spec.besideDirectRouting`: whether a service is asked for though the tenant has a Direct Routing service.
    pub beside_direct_routing: bool,
    /// What keeps a create from being asked for, though not what exists from being watched: a reference that is not there.
    pub missing: Option<Trouble>,
    /// An object of ours that has the same tenant or short name and comes first: it has its service or may have asked for it, or is older. Its kind,
    /// namespace and name, and which of the two.
    pub rival: Option<String>,
}

impl DesiredService {
    /// What is asked for when there is none.
    pub fn new_service(&self) -> NewService {
        NewService {
            tenant: self.tenant.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

/// What an object that is being deleted needs: no valid spec, no lead, no reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deletion {
    /// `spec.deletionPolicy`.
    pub policy: DeletionPolicy,
    /// The tenant, from status or the spec, if either has one.
    pub tenant: Option<TenantId>,
    /// `spec.shortName`, as written: what appears for the tenant under another name was not made by this object.
    pub short_name: Option<String>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Whether a service whose tenant has telephone numbers is to be left alone (`spec.deletionGuard`).
    pub guard_numbers: bool,
    /// The services that other objects for the same tenant or short name have, by their status: not this object's to delete.
    pub owned_by_others: Vec<CustomerGuid>,
}

/// What the object is to become.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceTarget {
    /// As its spec says.
    Present(Box<DesiredService>),
    /// As it is: `spec.suspend`.
    Suspended,
    /// It can't be told: the spec breaks a rule, or its lead can't be found.
    Invalid(Trouble),
    /// To go.
    Absent(Deletion),
}

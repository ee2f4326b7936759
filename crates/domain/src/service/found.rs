//! Finds out whose service the list shows for a tenant.

use crate::conditions::{Reason, Trouble};
use crate::model::{LicenseType, Service};
use crate::names::same_folded;
use crate::record::{OperationKind, Outcome, Record};

use crate::facts::ServicesView;
use crate::time::Time;
use crate::timing;

use super::{Adoption, DesiredService};

/// The result of looking for this object's service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Found<'a> {
    /// The service is this object's: its guid is recorded, or it has this object's short name and this
    /// object's intent explains it.
    Ours(&'a Service),
    /// A service exists, and nothing shows that this object made it.
    Foreign(&'a Service),
    /// The tenant has several services that are not Direct Routing, none of them recorded as ours. Holds
    /// their guids.
    Two(String),
    /// The service was read back before and is no longer in the list.
    NoLonger,
    /// No service exists.
    Nothing,
}

/// Looks for the service of this object. `seen` is when the pass began, and `place` is the platform that was
/// read. A Direct Routing service of the tenant is ignored, unless it is the recorded one.
pub fn find<'a>(
    seen: Time,
    place: Option<&str>,
    record: &Record,
    desired: &DesiredService,
    view: &'a ServicesView,
) -> Found<'a> {
    if let Some(service) = record.guid.as_ref().and_then(|guid| view.with_guid(guid)) {
        let same_tenant = service.tenant.as_ref() == Some(&desired.tenant);
        return if same_tenant {
            Found::Ours(service)
        } else {
            Found::Foreign(service)
        };
    }
    let mut counted = view.of_operator_connect();
    match (counted.next(), counted.next()) {
        (None, _) if record.verified() => Found::NoLonger,
        (None, _) => Found::Nothing,
        (Some(service), None) if made_here(seen, place, record, desired, service) => Found::Ours(service),
        (Some(service), None) => Found::Foreign(service),
        (Some(_), Some(_)) => Found::Two(
            view.of_operator_connect()
                .map(|service| service.guid.to_string())
                .collect::<Vec<_>>()
                .join(", "),
        ),
    }
}

/// Whether this object's own create explains the service: the object has the intent, tenant and short name
/// match, and the create was requested from this platform.
///
/// A refused create explains nothing: whatever exists was made by somebody else. A failed create explains
/// only what appears soon after. Later, somebody may have created a service in the portal, and
/// `spec.adoption` decides.
fn made_here(
    seen: Time,
    place: Option<&str>,
    record: &Record,
    desired: &DesiredService,
    service: &Service,
) -> bool {
    let Some(intent) = record
        .intent
        .as_ref()
        .filter(|intent| intent.kind == OperationKind::Create)
    else {
        return false;
    };
    if intent.is_elsewhere(place, Some(&desired.tenant)) {
        return false;
    }
    let own = record.operation.as_ref().filter(|op| op.id == intent.id);
    let refused = own.is_some_and(|op| match op.ended() {
        Some(Outcome::Refused) => true,
        Some(Outcome::Failed) => op.completed.is_some_and(|at| seen >= at + timing::LEFT_OVER),
        _ => false,
    });
    // Status is written after the request, so a guid recorded beside an open create belongs to the previous
    // service (spec.recreate).
    let unknown = record.guid.is_none() || record.open_intent().is_some();
    unknown && !refused && same_folded(&service.short_name, desired.parameters.short_name.as_str())
}

/// Whether `spec.adoption` lets this object take the service over.
///
/// # Errors
/// Why it may not, and what a person can do.
pub fn adoptable(record: &Record, desired: &DesiredService, service: &Service) -> Result<(), Trouble> {
    let refuse = |reason, message: String| Err(Trouble::new(reason, message));
    let there = format!("The tenant already has the service {}", service.described());
    if service.tenant.as_ref() != Some(&desired.tenant) {
        return refuse(
            Reason::Conflict,
            format!(
                "The service {} belongs to another tenant. Correct the annotation operatorconnect.dev/ump-customer-guid.",
                service.guid
            ),
        );
    }
    if let Some(guid) = record.guid.as_ref().filter(|guid| **guid != service.guid) {
        return refuse(
            Reason::Conflict,
            format!(
                "{there}, but this object's own was {guid}. To let spec.adoption decide, remove the annotation operatorconnect.dev/ump-customer-guid."
            ),
        );
    }
    if !service.license.is_some_and(LicenseType::operator_connect) {
        return refuse(
            Reason::AlreadyLicensed,
            format!(
                "{there}. That is not a known Operator Connect license, so the operator leaves the service unchanged and creates none beside it. Ask the team that runs the Live Platform what it is."
            ),
        );
    }
    let same_short = same_folded(&service.short_name, desired.parameters.short_name.as_str());
    let same_full = service
        .full_name
        .as_deref()
        .is_none_or(|name| name.trim() == desired.parameters.full_name.trim());
    match desired.adoption {
        Adoption::Always => Ok(()),
        Adoption::IfMatching if same_short && same_full => Ok(()),
        Adoption::IfMatching => refuse(
            Reason::Conflict,
            format!(
                "{there}, but its names differ from those in the spec. Use its names, or set spec.adoption to Always to take it over unchanged."
            ),
        ),
        Adoption::Never => refuse(
            Reason::Conflict,
            format!(
                "{there}, and spec.adoption is Never. To take it over, set spec.adoption to IfMatching or Always."
            ),
        ),
    }
}

//! Which of a tenant's leads counts, and whether it may become a service. The objects of both kinds follow the
//! same rules.

use std::borrow::Cow;
use std::sync::Arc;

use crate::conditions::{ConditionStatus, Reason, Trouble};
use crate::facts::ServicesView;
use crate::model::{Lead, LicenseType, MicrosoftStatus, Service};

/// What `LeadEligible` says of a lead that may become a service.
pub(crate) const ELIGIBLE: &str = "The lead is Active and has no license.";

/// Picks the lead that counts. Of two leads for one tenant that is the consented one (platform-facts.md 12.1,
/// step 2), whatever its status: a customer who withdrew consent does not get a service behind his back.
pub fn lead_that_counts(leads: &[Arc<Lead>]) -> Option<&Lead> {
    let rank = |lead: &&Lead| (lead.consentless, lead.status != MicrosoftStatus::Active, lead.id);
    leads.iter().map(Arc::as_ref).min_by_key(rank)
}

/// The leads of the tenant beside the one that counts, by id, each once.
pub fn other_leads(leads: &[Arc<Lead>]) -> Vec<&Lead> {
    let counts = lead_that_counts(leads).map(|lead| lead.id);
    let mut others: Vec<&Lead> = leads
        .iter()
        .map(Arc::as_ref)
        .filter(|lead| Some(lead.id) != counts)
        .collect();
    others.sort_by_key(|lead| lead.id);
    others.dedup_by_key(|lead| lead.id);
    others
}

/// The trouble with the lead that counts if Microsoft's status of it is not Active.
pub(crate) fn not_active(leads: &[Arc<Lead>], counts: &Lead) -> Option<Trouble> {
    if counts.status == MicrosoftStatus::Active {
        return None;
    }
    let message = format!(
        "Microsoft's status of the lead is {}, and only an Active lead can become a service. The customer must resolve this in Teams admin center.{}",
        counts.status.label(),
        active_beside(leads, counts)
    );
    Some(Trouble::new(Reason::LeadNotActive, message))
}

/// The trouble with a lead that has become a service.
pub(crate) fn licensed(lead: &Lead, services: &ServicesView) -> Option<Trouble> {
    let guid = lead.service.as_ref()?;
    let what = match services.with_guid(guid) {
        Some(service) if service.direct_routing() => {
            "a Direct Routing service, and only a lead without a service can be converted"
        }
        _ => "which the list of services does not show",
    };
    let message =
        format!("The lead already has the service {guid}, {what}. Ask the team that runs the Live Platform.");
    Some(Trouble::new(Reason::AlreadyLicensed, message))
}

/// Whether a lead of the tenant may become a service: the one that counts is Active, it has no license, and the
/// tenant has no service other than a Direct Routing one.
pub fn may_become_service(leads: &[Arc<Lead>], services: &ServicesView) -> bool {
    lead_that_counts(leads)
        .is_some_and(|lead| lead.status == MicrosoftStatus::Active && lead.service.is_none())
        && services.of_operator_connect().next().is_none()
}

/// What `LeadEligible` says on a lead object: the rules that need no spec of a service. `served` means that the
/// cluster has a service object for the tenant. `None` if the tenant has no lead.
pub(crate) fn of_lead(
    leads: &[Arc<Lead>],
    services: &ServicesView,
    served: bool,
) -> Option<(ConditionStatus, Reason, Cow<'static, str>)> {
    let lead = lead_that_counts(leads)?;
    if may_become_service(leads, services) {
        let message = match services.direct_routing() {
            Some(other) => format!(
                "{ELIGIBLE} The tenant has the Direct Routing service {}: a service beside it is requested only with spec.besideDirectRouting on the OcEssentialService.",
                other.described()
            )
            .into(),
            None => ELIGIBLE.into(),
        };
        return Some((ConditionStatus::True, Reason::Succeeded, message));
    }
    let existing = existing(services, served);
    if let Some(trouble) = not_active(leads, lead) {
        // A service that nobody has imported can be imported whatever the status of the lead.
        let message = match existing.filter(|_| !served) {
            Some(existing) => format!("{} {existing}", trouble.message).into(),
            None => trouble.message,
        };
        return Some((ConditionStatus::False, trouble.reason, message));
    }
    let licensed = || licensed(lead, services).map(|trouble| trouble.message);
    let message = existing.map(Cow::Owned).or_else(licensed)?;
    Some((ConditionStatus::False, Reason::AlreadyLicensed, message))
}

/// What to know about the services that the tenant has, other than Direct Routing ones. `None` if it has none.
fn existing(services: &ServicesView, served: bool) -> Option<String> {
    let mut all: Vec<&Service> = services.of_operator_connect().collect();
    all.sort_by_key(|service| service.guid);
    let list = |tell: fn(&Service) -> String| {
        let told: Vec<String> = all.iter().map(|service| tell(service)).collect();
        told.join(", ")
    };
    Some(match all.as_slice() {
        [] => return None,
        // The guids alone: the rest of a service changes, and its own object says that.
        _ if served => format!(
            "The tenant already has a service: {}. status.serviceRef names the OcEssentialService of the tenant, which says whether anybody must act.",
            list(|service| service.guid.to_string())
        ),
        [service] => format!(
            "The tenant already has the service {}, and no OcEssentialService stands for it. {}",
            service.described(),
            import(service)
        ),
        _ => format!(
            "The tenant already has several services, and no OcEssentialService stands for them: {}. To import the one in use, create an OcEssentialService with its names, and set the annotation operatorconnect.dev/ump-customer-guid there to its guid.",
            list(Service::described)
        ),
    })
}

/// How to get an object for a service that has none.
fn import(service: &Service) -> String {
    if !service.license.is_some_and(LicenseType::operator_connect) {
        return "That is not a known Operator Connect license. Ask the team that runs the Live Platform what it is.".to_owned();
    }
    let full_name = service.full_name.as_ref().map_or_else(
        || "spec.fullName as the portal shows it".to_owned(),
        |name| format!("spec.fullName {name:?}"),
    );
    format!(
        "To import it, create an OcEssentialService for this Lead (spec.leadRef) with the names of the service: spec.shortName {:?}, {full_name}. This changes nothing on the platform.",
        service.short_name
    )
}

/// The note for a consented lead that is not Active, when the tenant also has an Active consentless lead.
fn active_beside(leads: &[Arc<Lead>], counts: &Lead) -> &'static str {
    let other = leads
        .iter()
        .any(|lead| lead.consentless && lead.status == MicrosoftStatus::Active);
    if other && !counts.consentless {
        " The tenant also has an Active consentless lead. It is not used while the customer's own lead exists."
    } else {
        ""
    }
}

//! What the platform's refusal of a change means for the object.

use crate::conditions::{Reason, Trouble};
use crate::decision::Change;

/// The fields of a request that the platform finds fault with, each with the platform's words (E1 of
/// platform-facts.md 10).
pub type FieldFaults = [(String, Vec<String>)];

/// Returns what to report of a change that the platform refused. `said` is the refusal in the platform's
/// words.
pub fn of_change(change: &Change, faults: &FieldFaults, said: Trouble) -> Trouble {
    let (reason, advice) = match change {
        Change::CreateService(_) => (of_service(faults), ""),
        Change::CreateLead(_) => of_lead(faults),
        Change::DeleteService(_)
        | Change::DeleteLead(_)
        | Change::AssignChannel(..)
        | Change::UnassignChannel(_) => (Reason::PlatformRefused, ""),
    };
    let stop = if advice.is_empty() || said.message.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    Trouble {
        reason,
        message: format!("{}{stop}{advice}", said.message).into(),
        ..said
    }
}

/// Only a refusal may show that a short name is taken: a provider sees only its own services
/// (platform-facts-2.md 5).
fn of_service(faults: &FieldFaults) -> Reason {
    match about(faults, "shortname") {
        Some(texts) if taken(texts) => Reason::ShortNameTaken,
        Some(_) => Reason::InvalidSpec,
        None => Reason::PlatformRefused,
    }
}

/// Both fields may be at fault at the same time (platform-facts.md 2.3). As long as the tenant has a lead,
/// another company name does not help.
fn of_lead(faults: &FieldFaults) -> (Reason, &'static str) {
    match (about(faults, "tenantid"), about(faults, "companyname")) {
        (Some(texts), _) if taken(texts) => (
            Reason::PlatformRefused,
            " The platform has a lead for spec.msTenantId that its list does not show. This object follows it as soon as the list shows it; if that does not happen, ask the team that runs the Live Platform.",
        ),
        (Some(_), _) => (Reason::InvalidSpec, " Correct spec.msTenantId."),
        (None, Some(texts)) if taken(texts) => (
            Reason::InvalidSpec,
            " Set spec.consentless.companyName to a name that no other lead has.",
        ),
        (None, Some(_)) => (Reason::InvalidSpec, " Correct spec.consentless.companyName."),
        (None, None) => (Reason::PlatformRefused, ""),
    }
}

/// The platform's words about a field, in whatever case and with whatever prefix it writes the name.
fn about<'a>(faults: &'a FieldFaults, field: &str) -> Option<&'a [String]> {
    let found = faults
        .iter()
        .find(|(name, _)| name.to_lowercase().contains(field));
    found.map(|(_, texts)| texts.as_slice())
}

fn taken(texts: &[String]) -> bool {
    texts.iter().any(|text| {
        ["taken", "already", "exist", "in use", "unique"]
            .iter()
            .any(|word| text.to_lowercase().contains(word))
    })
}

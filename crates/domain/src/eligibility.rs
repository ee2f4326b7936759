//! Which of a tenant's leads counts. Services and leads follow the same rule.

use std::sync::Arc;

use crate::conditions::{Reason, Trouble};
use crate::model::{Lead, MicrosoftStatus};

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

//! `spec.leadDiscovery`: leads that are found on the platform appear as `Lead` objects.
//!
//! Only made, never removed: an object may carry what people have written into it since. One that is deleted is made again while the lead is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::{Lead as Fact, MicrosoftStatus};
use oc_domain::service::lead_that_counts;

use super::history;
use super::shared::{Kind, Shared};
use crate::api::live_platform::LeadDiscovery;
use crate::api::{Lead, LeadOrigin, LeadSpec, LivePlatform};
use crate::inventory::Inventory;
use crate::object::write;

/// Makes the objects that are missing.
pub async fn discover(shared: &Arc<Shared>, platform: &LivePlatform, inventory: &Inventory) {
    let (Some(rules), Some(known)) = (&platform.spec.lead_discovery, inventory.known_leads()) else { return };
    if out_of_sight(shared, platform).is_some() {
        return;
    }
    let name = platform.name_any();
    for lead in known.tenants().filter_map(lead_that_counts).filter(|lead| wanted(rules, lead)) {
        let there = shared.index().of_tenant(&name, &lead.tenant).iter().any(|key| key.kind == Kind::Lead);
        if there {
            continue;
        }
        match write::create(&shared.client, &object(rules, &name, lead)).await {
            Ok(made) => {
                history::discovered(shared, &made, &name);
                tracing::info!(kind = "Lead", namespace = rules.namespace, tenant = %lead.tenant, "made an object for a lead that was found on the platform")
            }
            Err(write::WriteFailed::Changed) => {}
            Err(failed) => {
                tracing::warn!(namespace = rules.namespace, tenant = %lead.tenant, ?failed, "an object for a lead could not be made; tried again at the next observation");
                return;
            }
        }
    }
}

/// What is said when the objects would be in a namespace that this operator does not look into: it would see none of them, and make them again and again.
pub fn out_of_sight(shared: &Shared, platform: &LivePlatform) -> Option<Trouble> {
    let namespace = &platform.spec.lead_discovery.as_ref()?.namespace;
    let message = || {
        let watched = &shared.scope;
        format!(
            "spec.leadDiscovery.namespace: the operator does not watch the namespace {namespace} (--watch-namespaces: {watched}), so no lead objects are made there. Name one that it watches, or have it watch this one; everything else goes on."
        )
    };
    (!shared.scope.holds(namespace)).then(|| Trouble::new(Reason::InvalidSpec, message()))
}

/// Removed leads stay in the platform's list for ever (U-19); an object for them would be noise.
fn wanted(rules: &LeadDiscovery, lead: &Fact) -> bool {
    let origin = if lead.consentless { LeadOrigin::Consentless } else { LeadOrigin::Consented };
    let country = rules.countries.as_ref().is_none_or(|wanted| lead.countries.iter().any(|has| wanted.iter().any(|country| country.eq_ignore_ascii_case(has))));
    lead.status != MicrosoftStatus::Removed && rules.origins.contains(&origin) && country
}

fn object(rules: &LeadDiscovery, platform: &str, lead: &Fact) -> Lead {
    let spec = LeadSpec {
        platform: platform.to_owned(),
        ms_tenant_id: lead.tenant.to_string(),
        consentless: None,
        channel_id: None,
        deletion_policy: crate::api::DeletionPolicy::Retain,
        suspend: false,
    };
    let mut object = Lead::new(&format!("lead-{}", lead.tenant), spec);
    object.metadata.namespace = Some(rules.namespace.clone());
    object.metadata.labels = Some(rules.labels.clone()).filter(|labels: &BTreeMap<String, String>| !labels.is_empty());
    object
}

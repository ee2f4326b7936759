//! What vanishes, and its breaker: what the lists lack of what objects have recorded, and what an object may conclude from it.

use std::sync::Arc;

use oc_domain::absence::{Account, Belief, Counted};
use oc_domain::names::{CustomerGuid, TenantId};

use super::connect;
use super::shared::{Key, Kind, Shared};
use crate::api::{self, Lead, LivePlatform, OcEssentialService};
use crate::engine::clock;
use crate::engine::queue::Lane;
use crate::inventory::{Inventory, LeadIndex, ServiceIndex};
use crate::object::record;

/// Which platform an object of ours means, and as whom it speaks to it. Another credential of the same application is no other account.
pub fn account(object: &LivePlatform) -> Account {
    let entra = &object.spec.authentication.entra;
    let url = connect::place(object).map_or_else(|| object.spec.url.clone(), |place| place.as_str().to_owned());
    Account { url, identity: format!("{}/{}", entra.tenant_id, entra.client_id).to_lowercase() }
}

/// What an object of a platform has there, as far as a list can show it.
enum Recorded {
    /// Its service, or its lead, of this id was read back, and does not show.
    Missing(String),
    /// It shows.
    Shown,
    /// What it has asked for does not show, which is as it should be where it was asked: a create may be under way, it has taken a service over just now, or
    /// it has had removed what it had. At another account it proves nothing.
    Asked,
    /// Nothing, or it can't be told.
    Nothing,
}

/// Whether the object has what it has there removed by itself.
fn removes(deleting: bool, operation: Option<&api::Operation>) -> bool {
    let asked = |operation: &api::Operation| matches!(operation.outcome, None | Some(api::Outcome::Succeeded));
    deleting && operation.is_some_and(|operation| operation.kind == api::OperationKind::Delete && asked(operation))
}

fn of_service(object: &OcEssentialService, services: Option<&ServiceIndex>) -> Recorded {
    let Some(services) = services else { return Recorded::Nothing };
    let read_back = object.status.as_ref().filter(|status| status.license_type.is_some());
    let guid = read_back.and_then(|status| CustomerGuid::parse(status.ump_customer_guid.as_deref()?).ok());
    match guid {
        Some(guid) if removes(object.metadata.deletion_timestamp.is_some(), read_back.and_then(|status| status.operation.as_ref())) => {
            if services.has(&guid) {
                Recorded::Nothing
            } else {
                Recorded::Asked
            }
        }
        Some(guid) if services.has(&guid) => Recorded::Shown,
        Some(guid) => Recorded::Missing(guid.to_string()),
        None => {
            let record = record::of_service(object);
            let shown = record.guid.as_ref().is_some_and(|guid| services.has(guid));
            if !shown && (record.may_come_to_have() || record.is_unseen()) { Recorded::Asked } else { Recorded::Nothing }
        }
    }
}

/// The guid of the service that an object has recorded, in the one spelling that is counted.
pub fn recorded_guid(object: &OcEssentialService) -> Option<String> {
    let guid = object.status.as_ref()?.ump_customer_guid.as_deref()?;
    CustomerGuid::parse(guid).ok().map(|guid| guid.to_string())
}

fn of_lead(object: &Lead, leads: Option<&LeadIndex>) -> Recorded {
    let (Some(leads), Some(status)) = (leads, &object.status) else { return Recorded::Nothing };
    let tenant = TenantId::parse(&object.spec.ms_tenant_id).ok();
    match tenant.filter(|_| status.lead_id.is_some()) {
        Some(tenant) if removes(object.metadata.deletion_timestamp.is_some(), status.operation.as_ref()) => {
            if leads.has(&tenant) {
                Recorded::Nothing
            } else {
                Recorded::Asked
            }
        }
        Some(tenant) if leads.has(&tenant) => Recorded::Shown,
        Some(_) => Recorded::Missing(status.lead_id.clone().unwrap_or_default()),
        None if record::of_lead(object).may_come_to_have() => Recorded::Asked,
        None => Recorded::Nothing,
    }
}

/// What the lists lack of what the objects of a platform have recorded: a walk over all of them.
fn count(shared: &Shared, platform: &str, services: Option<&ServiceIndex>, leads: Option<&LeadIndex>) -> Counted {
    let mut counted = Counted::default();
    let keys = shared.index().on(platform);
    for key in keys {
        let recorded = match key.kind {
            Kind::LivePlatform => continue,
            Kind::Lead => match shared.leads.get(&key.namespace, &key.name) {
                Some(object) => of_lead(&object, leads),
                None => continue,
            },
            Kind::OcEssentialService => match shared.services.get(&key.namespace, &key.name) {
                Some(object) => of_service(&object, services),
                None => continue,
            },
        };
        counted.recorded += usize::from(matches!(recorded, Recorded::Missing(_) | Recorded::Shown));
        counted.asked += usize::from(matches!(recorded, Recorded::Asked));
        if let Recorded::Missing(id) = recorded {
            counted.missing.insert(id);
        }
    }
    counted
}

/// The same anew, for the platform object's own pass.
pub fn recounted(shared: &Shared, platform: &str, inventory: &Inventory) -> Counted {
    Counted::clone(&inventory.counted(true, |services, leads| count(shared, platform, services, leads)))
}

/// What an object may conclude from what the newest lists do not show, which has recorded a service or a lead of this id. The platform object is woken to
/// count, when it has to.
pub fn of_object(shared: &Arc<Shared>, platform: &str, inventory: &Inventory, id: Option<&str>) -> Belief {
    let Some(reading) = shared.reading(platform) else { return Belief::Doubted };
    let counted = inventory.counted(false, |services, leads| count(shared, platform, services, leads));
    let belief = reading.absences.belief(clock::now(), &reading.account, &counted, id.unwrap_or_default());
    if belief == Belief::Doubted {
        shared.wake(&Key::platform(platform), Lane::Effect);
    }
    belief
}

/// A list has brought something new, or an object has taken in that something is gone: while anything is held or accepted the platform object counts again.
pub fn changed(shared: &Shared, platform: &str) {
    if shared.reading(platform).is_some_and(|reading| reading.absences.held > 0 || reading.absences.accepted > 0) {
        shared.wake(&Key::platform(platform), Lane::Effect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(url: &str, client: &str) -> LivePlatform {
        let entra = serde_json::json!({"tenantId": "33333333-3333-4333-8333-333333333333", "clientId": client, "scope": "x", "workloadIdentity": {}});
        LivePlatform::new("p", serde_json::from_value(serde_json::json!({"url": url, "authentication": {"entra": entra}})).unwrap())
    }

    #[test]
    fn the_same_platform_written_otherwise_is_no_other_account() {
        let client = "44444444-4444-4444-8444-44444444444a";
        let here = account(&platform("https://live.example.com/tenantui", client));
        for url in ["https://live.example.com/tenantui/", "https://LIVE.example.com:443/tenantui"] {
            assert_eq!(account(&platform(url, &client.to_uppercase())), here, "{url}");
        }
        for (url, client) in [
            ("https://live.example.com/other", client),
            ("https://live.example.com:8443/tenantui", client),
            ("https://stage.example.com/tenantui", client),
            ("https://live.example.com/tenantui", "55555555-5555-4555-8555-555555555555"),
        ] {
            assert_ne!(account(&platform(url, client)), here, "{url} {client}");
        }
    }

    /// A list of what the platform has: nothing.
    fn nothing<T>() -> live_platform::Listed<T> {
        live_platform::Listed { items: Vec::new(), unreadable: 0, why: None, pages: 1 }
    }

    /// A deletion that was asked for explains what does not show where it was asked, and nothing at another account.
    #[test]
    fn what_has_its_own_removed_misses_nothing_here_and_proves_nothing_elsewhere() {
        let object = |deleting: bool, operation: &str| {
            let deleted = deleting.then_some("2026-01-01T00:00:00Z");
            serde_json::json!({
                "apiVersion": "operatorconnect.dev/v1alpha1", "metadata": {"name": "contoso", "namespace": "n", "deletionTimestamp": deleted},
                "spec": {"platform": "p", "msTenantId": "22222222-2222-4222-8222-222222222222", "shortName": "Contoso", "fullName": "Contoso"},
                "status": {
                    "leadId": "44444444-4444-4444-8444-444444444444", "licenseType": "OC Essential", "umpCustomerGuid": "55555555-5555-4555-8555-555555555555",
                    "operation": {"kind": operation, "id": "1", "startedTime": "2026-01-01T00:00:00Z"},
                },
            })
        };
        let (services, leads) = (ServiceIndex::new(nothing()), LeadIndex::new(nothing()));
        for (deleting, operation, missing) in [(true, "Delete", false), (true, "Create", true), (false, "Delete", true)] {
            let (mut service, mut lead) = (object(deleting, operation), object(deleting, operation));
            (service["kind"], lead["kind"]) = ("OcEssentialService".into(), "Lead".into());
            let of_both =
                [of_service(&serde_json::from_value(service).unwrap(), Some(&services)), of_lead(&serde_json::from_value(lead).unwrap(), Some(&leads))];
            for recorded in of_both {
                let as_expected = if missing { matches!(recorded, Recorded::Missing(_)) } else { matches!(recorded, Recorded::Asked) };
                assert!(as_expected, "{deleting} {operation}");
            }
        }
    }
}

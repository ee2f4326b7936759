//! What the simulated platform must look like in the end, whatever was killed. Judged only from the platform's own state, never from what the operator reports.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A service of the simulator, as far as a wrong change could be visible in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub ump_customer_guid: String,
    pub tenant_id: String,
    pub short_name: String,
    pub full_name: String,
    pub license_type: u8,
    /// A deletion was accepted; the list still shows it.
    pub deleted_at: Option<u64>,
}

/// The simulator's own figures.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub services: Vec<Service>,
    /// How many services the API ever created for each tenant.
    pub creations: BTreeMap<String, usize>,
    /// Tenants for which the API created a service while they had one.
    pub doubled: Vec<String>,
    /// Deletions that the API executed.
    pub deletions: u64,
}

impl Seen {
    /// From the answers of `GET /simulator/services` and `GET /simulator/calls`.
    pub fn read(services: &Value, calls: &Value) -> Result<Self> {
        Ok(Self {
            services: Vec::deserialize(&services["services"]).context("the simulator's services")?,
            creations: BTreeMap::deserialize(&services["creationsByTenant"]).context("the simulator's creations")?,
            doubled: Vec::deserialize(&calls["tenantsWithTwoServices"]).context("the simulator's doubles")?,
            deletions: calls["deletesExecuted"].as_u64().context("the simulator's deletions")?,
        })
    }

    /// The number of executed creates, over all tenants.
    pub fn created(&self) -> usize {
        self.creations.values().sum()
    }

    fn of(&self, tenant: &str) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.tenant_id == tenant)
    }
}

/// The expected end state.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Tenants for which one service was created, which exists.
    pub served: BTreeSet<String>,
    /// Tenants for which one service was created, which is gone.
    pub gone: BTreeSet<String>,
    /// Services of someone else.
    pub others: Vec<Service>,
}

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wrong {
    /// A tenant got a second service, or a service a second time.
    pub second: Vec<String>,
    /// A service that should exist, or should be unchanged, is missing or changed.
    pub deleted: Vec<String>,
    /// A service was never created, or one is left over.
    pub unfinished: Vec<String>,
}

impl Wrong {
    /// Whether nothing is wrong.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares the two states.
pub fn judge(seen: &Seen, wanted: &Wanted) -> Wrong {
    let mut wrong = Wrong::default();
    wrong.second.extend(seen.doubled.iter().map(|tenant| format!("{tenant} had two services at once")));
    for tenant in wanted.served.iter().chain(&wanted.gone) {
        let (made, there) = (seen.creations.get(tenant).copied().unwrap_or_default(), seen.of(tenant).count());
        let being_deleted = seen.of(tenant).filter(|service| service.deleted_at.is_some()).count();
        let served = wanted.served.contains(tenant);
        match (made, there) {
            (0, _) => wrong.unfinished.push(format!("{tenant}: no service was made")),
            (1, 0) if served => wrong.deleted.push(format!("{tenant}: its service is not there")),
            (1, 1) if served && being_deleted > 0 => wrong.deleted.push(format!("{tenant}: its service is being deleted")),
            (1, 0) => {}
            (1, 1) if served => {}
            (1, _) => wrong.unfinished.push(format!("{tenant}: {there} services are there")),
            (_, _) if seen.doubled.contains(tenant) => {}
            (made, _) => wrong.second.push(format!("{tenant}: {made} creates were executed")),
        }
    }
    for other in &wanted.others {
        match seen.services.iter().find(|service| service.ump_customer_guid == other.ump_customer_guid) {
            Some(now) if now == other => {}
            now => wrong.deleted.push(format!("somebody else's {other:?} is now {now:?}")),
        }
    }
    for service in &seen.services {
        let of_others = wanted.others.iter().any(|other| other.ump_customer_guid == service.ump_customer_guid);
        if !of_others && !wanted.served.contains(&service.tenant_id) && !wanted.gone.contains(&service.tenant_id) {
            wrong.unfinished.push(format!("{service:?} is nobody's"));
        }
    }
    wrong
}

/// Checks the judge: each of these states has one fault, and the first has none.
pub mod checks {
    use anyhow::{Result, ensure};
    use serde_json::{Value, json};

    use super::{Seen, Wanted, Wrong, judge};

    fn service(tenant: &str, guid: &str) -> Value {
        json!({"umpCustomerGuid": guid, "tenantId": tenant, "shortName": tenant, "fullName": tenant, "licenseType": 3, "deletedAt": null, "byApi": true})
    }

    fn good() -> (Value, Value) {
        let services = json!({
            "services": [service("served", "guid-1"), service("other", "guid-2")],
            "creationsByTenant": {"served": 1, "gone": 1, "other": 0},
        });
        (services, json!({"tenantsWithTwoServices": [], "deletesExecuted": 1}))
    }

    fn verdict(change: impl Fn(&mut Value, &mut Value)) -> Result<Wrong> {
        let (services, calls) = good();
        let others: Vec<_> = Seen::read(&services, &calls)?.services.into_iter().filter(|service| service.tenant_id == "other").collect();
        let wanted = Wanted { served: ["served".to_owned()].into(), gone: ["gone".to_owned()].into(), others };
        let (mut services, mut calls) = good();
        change(&mut services, &mut calls);
        Ok(judge(&Seen::read(&services, &calls)?, &wanted))
    }

    fn without(services: &mut Value, guid: &str) {
        if let Some(list) = services["services"].as_array_mut() {
            list.retain(|service| service["umpCustomerGuid"] != guid);
        }
    }

    fn with(services: &mut Value, service: Value) {
        if let Some(list) = services["services"].as_array_mut() {
            list.push(service);
        }
    }

    pub fn what_is_as_wanted_passes() -> Result<()> {
        let wrong = verdict(|_, _| {})?;
        ensure!(wrong.is_nothing(), "{wrong:?}");
        Ok(())
    }

    pub fn a_double_is_seen() -> Result<()> {
        let at_once = verdict(|_, calls| calls["tenantsWithTwoServices"] = json!(["served"]))?;
        ensure!(at_once.second.len() == 1, "two at once: {at_once:?}");
        let again = verdict(|services, _| services["creationsByTenant"]["gone"] = json!(2))?;
        ensure!(again.second.len() == 1, "made, deleted and made again: {again:?}");
        let there = verdict(|services, _| with(services, service("served", "guid-3")))?;
        ensure!(there.unfinished.len() == 1, "one too many, whoever made it: {there:?}");
        Ok(())
    }

    pub fn a_wrong_deletion_is_seen() -> Result<()> {
        for guid in ["guid-1", "guid-2"] {
            let wrong = verdict(|services, _| without(services, guid))?;
            ensure!(wrong.deleted.len() == 1, "{guid}: {wrong:?}");
        }
        for (place, change) in [(0, json!({"deletedAt": 5})), (1, json!({"deletedAt": 5})), (1, json!({"fullName": "Other"})), (1, json!({"licenseType": 4}))] {
            let wrong = verdict(|services, _| {
                for (key, value) in change.as_object().into_iter().flatten() {
                    services["services"][place][key] = value.clone();
                }
            })?;
            ensure!(wrong.deleted.len() == 1, "{change}: {wrong:?}");
        }
        Ok(())
    }

    pub fn what_is_unfinished_is_seen() -> Result<()> {
        let never = verdict(|services, _| {
            without(services, "guid-1");
            services["creationsByTenant"]["served"] = json!(0);
        })?;
        ensure!(never.unfinished.len() == 1 && never.deleted.is_empty(), "never made: {never:?}");
        let left = verdict(|services, _| with(services, service("gone", "guid-4")))?;
        ensure!(left.unfinished.len() == 1, "left over: {left:?}");
        let stray = verdict(|services, _| with(services, service("nobody", "guid-5")))?;
        ensure!(stray.unfinished.len() == 1, "for a tenant that nobody named: {stray:?}");
        Ok(())
    }
}

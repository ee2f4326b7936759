//! The status of a `LivePlatform`.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::platform::{PlatformDecision, index};
use oc_domain::record::Job;
use oc_domain::time::Time;

use crate::cluster::record::{LC_CUSTOMERS, NUMBERS, requested};
use crate::cluster::status;
use crate::controllers::context::Context;
use crate::controllers::live_platform::steps::Driven;
use crate::controllers::{deletions, handlers, object};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use oc_api::condition::ConditionType;
use oc_api::live_platform::{Capability, Circuit, LeadCounts, RefusedJobTime, ServiceCounts};
use oc_api::{LivePlatform, LivePlatformStatus};

/// Writes the status if it changed, and enqueues the objects that wait for the change.
///
/// # Errors
/// As [`object::PassObject::patch_status`].
pub(super) async fn patch_status(
    context: &Context,
    object: &Arc<LivePlatform>,
    driven: &Driven,
    inventory: Option<&Arc<Inventory>>,
) -> Result<(), WriteError> {
    let before = object.status.clone().unwrap_or_default();
    let now = clock::now();
    let status = LivePlatformStatus {
        lead_discovery: driven.lead_discovery.clone(),
        ..compose(object, &before, &driven.decision, inventory, now)
    };
    if status == before {
        return Ok(());
    }
    let ran = status.sync_jobs != before.sync_jobs;
    let counted = status.deletions != before.deletions;
    let believed = status.absences != before.absences || held_absences(&status) != held_absences(&before);
    let written = object::PassObject::new(context, Arc::clone(object));
    written.patch_status(&status, false).await?;
    let (object, name) = (written.get(), object.name_any());
    if counted {
        deletions::counted(context, &object);
    }
    if ran {
        handlers::job_ran(context, &name);
    }
    if believed {
        handlers::platform_is_back(context, &name);
    }
    Ok(())
}

fn held_absences(status: &LivePlatformStatus) -> Option<&str> {
    let held = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == ConditionType::AbsencesHeld.as_str());
    held.map(|condition| condition.message.as_str())
}

fn refused_times(refused: &[Option<String>; 2]) -> Vec<RefusedJobTime> {
    let told = |which: Job| {
        Some(RefusedJobTime {
            name: which.name().to_owned(),
            value: refused[index(which)].clone()?,
        })
    };
    Job::ALL.into_iter().filter_map(told).collect()
}

fn compose(
    object: &LivePlatform,
    before: &LivePlatformStatus,
    decision: &PlatformDecision,
    inventory: Option<&Arc<Inventory>>,
    now: Time,
) -> LivePlatformStatus {
    let generation = object.meta().generation.unwrap_or_default();
    let counts = inventory.map(|inventory| inventory.counts()).unwrap_or_default();
    let trouble = inventory.and_then(|inventory| inventory.budget().open_reason());
    let [total, active, suspended, removed] = counts.leads;
    let [services, essential] = counts.services;
    let known = inventory.is_some() && decision.answers();
    LivePlatformStatus {
        observed_generation: Some(generation),
        leads: if known {
            Some(LeadCounts {
                total,
                active,
                suspended,
                removed,
            })
        } else {
            before.leads.clone()
        },
        services: if known {
            Some(ServiceCounts {
                total: services,
                oc_essential: essential,
                other: services - essential,
            })
        } else {
            before.services.clone()
        },
        circuit: Some(Circuit {
            state: if trouble.is_some() {
                oc_api::CircuitState::Open
            } else {
                oc_api::CircuitState::Closed
            },
            reason: trouble.map(|trouble| trouble.reason.to_string()),
        }),
        lead_discovery: None,
        sync_jobs: Job::ALL
            .iter()
            .map(|which| status::job(*which, &decision.record.jobs[index(*which)]))
            .collect(),
        deletions: status::deletions(&decision.record.ledger),
        absences: status::absences(&decision.record.absences),
        refused_job_times: refused_times(&decision.record.refused),
        capabilities: capabilities(before, inventory),
        last_handled_reconcile_at: requested(object),
        conditions: status::conditions(&before.conditions, &decision.verdict, generation, now),
    }
}

fn capabilities(before: &LivePlatformStatus, inventory: Option<&Arc<Inventory>>) -> Vec<Capability> {
    let Some(inventory) = inventory else {
        return before.capabilities.clone();
    };
    let told = before
        .capabilities
        .iter()
        .find(|told| told.name == LC_CUSTOMERS)
        .cloned();
    let known = |name: &str, has: bool| {
        let state = if has {
            oc_api::CapabilityState::Available
        } else {
            oc_api::CapabilityState::Unavailable
        };
        Capability {
            name: name.to_owned(),
            state,
        }
    };
    let lc_customers = inventory
        .reads_lc_customers()
        .map(|has| known(LC_CUSTOMERS, has))
        .or(told);
    // The inventory started from what the status says about this platform.
    let numbers = inventory.tells_numbers().map(|has| known(NUMBERS, has));
    lc_customers.into_iter().chain(numbers).collect()
}

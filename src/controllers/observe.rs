//! What the passes over all kinds have in common: the facts at their beginning, and the meaning of a call's
//! result.

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use live_platform::{Deleted, ErrorKind};
use oc_domain::conditions::Trouble;
use oc_domain::decision::ChangeResult;
use oc_domain::facts::{DeletionPolicy, Fact, Facts, LeadsRead, LeadsView, ObjectState};
use oc_domain::memory::PassMemory;
use oc_domain::names::TenantId;
use oc_domain::policy::PlatformAccess;
use oc_domain::refusal::FieldFaults;
use oc_domain::time::Time;

use crate::cluster::has_status::{HasStatus, stalled_for};
use crate::cluster::key::ObjectKey;
use crate::controllers::context::Context;
use crate::platform::session::PlatformSession;

use crate::cluster::record;
use crate::cluster::store::{Storable, Store};
use crate::platform::budget::CallError;
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::driver::WriteError;

/// The facts at the beginning of a pass: nothing of the platform has been read yet.
pub fn facts<K: Resource>(
    object: &K,
    status: Option<&dyn HasStatus>,
    connection: PlatformAccess,
    memory: &PassMemory,
) -> Facts {
    let generation = object.meta().generation.unwrap_or_default();
    let seen = ObjectState {
        created: object
            .creation_timestamp()
            .map(|time| clock::time(time.0))
            .unwrap_or_default(),
        generation,
        observed: status.and_then(HasStatus::observed),
        ready: status.is_some_and(|status| {
            status
                .conditions()
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        }),
        look_requested: record::requested(object).as_ref() != status.and_then(HasStatus::handled),
        stalled_for: stalled_for(status, generation),
    };
    Facts::begin(clock::now(), seen, connection, memory)
}

/// The order among objects that compete: the older one wins.
pub fn age<K: Resource>(object: &K) -> impl Ord + use<'_, K> {
    let meta = object.meta();
    (
        meta.creation_timestamp.as_ref().map(|time| time.0),
        meta.namespace.as_deref(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// The oldest of these objects that the store knows.
pub fn oldest<K: Storable>(keys: impl Iterator<Item = ObjectKey>, store: &Store<K>) -> Option<Arc<K>> {
    keys.filter_map(|key| store.of(&key))
        .min_by(|one, other| age(&**one).cmp(&age(&**other)))
}

/// Turns an answer into a fact.
pub fn fact<T>(answer: Result<(Time, T), Trouble>) -> Fact<T> {
    match answer {
        Ok((at, value)) => Fact::Known { value, at },
        Err(trouble) => Fact::Unreadable(trouble),
    }
}

/// The leads of a tenant, read by a separate call.
pub async fn leads_of(
    inventory: Result<Arc<Inventory>, Trouble>,
    tenant: Option<&TenantId>,
) -> Fact<LeadsView> {
    match (inventory, tenant) {
        (Ok(inventory), Some(tenant)) => fact(inventory.leads_of(tenant).await),
        (Err(trouble), _) => Fact::Unreadable(trouble),
        // Without a tenant there is no lead; that needs no proof.
        (Ok(_), None) => fact(Ok((
            clock::now(),
            LeadsView {
                complete: true,
                read: LeadsRead::OfTenant,
                ..LeadsView::default()
            },
        ))),
    }
}

/// `spec.deletionPolicy` as the domain's type.
pub fn policy(policy: oc_api::DeletionPolicy) -> DeletionPolicy {
    match policy {
        oc_api::DeletionPolicy::Retain => DeletionPolicy::Retain,
        oc_api::DeletionPolicy::Delete => DeletionPolicy::Delete,
    }
}

/// Refuses to record what was read from a platform that the platform object no longer names; the pass runs
/// again.
///
/// # Errors
/// [`WriteError::Conflict`] in that case.
pub fn same_connection(
    context: &Context,
    platform: &str,
    session: &PlatformSession,
) -> Result<(), WriteError> {
    match session.inventory() {
        Ok(inventory) => context
            .connections
            .still_by(platform, &inventory)
            .map_err(|_| WriteError::Conflict),
        Err(_) => Ok(()),
    }
}

/// The meaning of a deletion's answer.
pub fn deleted(deleted: Deleted) -> ChangeResult {
    match deleted {
        Deleted::Accepted => ChangeResult::Done,
        Deleted::NotFound => ChangeResult::NotFound,
    }
}

/// The result of a change. `refused` says what a refusal means.
pub fn answer<T>(
    result: Result<T, CallError>,
    done: impl FnOnce(T) -> ChangeResult,
    refused: impl FnOnce(&FieldFaults, Trouble) -> Trouble,
) -> ChangeResult {
    match result {
        Ok(value) => done(value),
        Err(CallError::LeftAlone(trouble)) => ChangeResult::NotSent(trouble),
        Err(CallError::Cut(trouble)) => ChangeResult::Unknown(trouble),
        Err(failed @ CallError::Call(_)) => {
            let trouble = failed.trouble();
            let CallError::Call(error) = failed else {
                return ChangeResult::NotSent(trouble);
            };
            if error.may_have_happened() {
                return ChangeResult::Unknown(trouble);
            }
            match &error.kind {
                ErrorKind::Refused { fields, .. } => ChangeResult::Rejected(refused(fields, trouble)),
                ErrorKind::NotFound { .. } => ChangeResult::Rejected(trouble),
                _ => ChangeResult::NotSent(trouble),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oc_domain::conditions::Reason;

    use super::*;
    use crate::cluster::has_status::status_with;

    fn object(generation: i64) -> oc_api::Lead {
        let spec =
            serde_json::from_value(serde_json::json!({"msTenantId": "22222222-2222-4222-8222-222222222222"}))
                .unwrap();
        let mut object = oc_api::Lead::new("contoso", spec);
        object.metadata.generation = Some(generation);
        object
    }

    #[test]
    fn a_changed_spec_begins_to_count_anew() {
        let memory = PassMemory {
            failures: 9,
            generation: Some(3),
            ..PassMemory::default()
        };
        let status = status_with(3, "Stalled", "True", "Throttled");
        let facts = |generation| {
            let connection = PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "x"));
            facts(&object(generation), Some(&status), connection, &memory)
        };
        let (same, changed) = (facts(3), facts(4));
        assert_eq!(
            (same.failures, same.stalled_for, same.retry_now),
            (9, Some(Reason::Throttled), false)
        );
        assert_eq!(
            (changed.failures, changed.stalled_for, changed.retry_now),
            (0, None, true)
        );
    }
}

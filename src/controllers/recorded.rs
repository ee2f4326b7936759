//! What objects have recorded as theirs on their platforms, and whether the lists show it.

use oc_domain::conditions::Reason;
use oc_domain::names::{CustomerGuid, TenantId};
use oc_domain::policy::CreatePace;
use oc_domain::record::{Job, OperationId, Record};
use oc_domain::time::Time;

use crate::cluster::cache::Cache;
use crate::cluster::has_status::HasStatus;
use crate::cluster::key::ObjectKey;
use crate::cluster::record;
use crate::cluster::stores::KnownResource;
use crate::platform::inventory::Lists;
use oc_api::{DeletionPolicy, Lead, LeadPolicy, LivePlatform, OcEssentialService, SyncState};

/// What an object has on its platform, as far as a list can show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its service or lead with this id was read back once, and is not in the list.
    Missing(Box<str>),
    /// It is in the list.
    Shown,
    /// What it has requested is not in the list. That is expected on the account where it was requested: a
    /// create may be in progress, the object may have just adopted a service, or its own service or lead was
    /// removed. On another account it proves nothing.
    Asked,
    /// Nothing, or unknown.
    Nothing,
}

/// What an object has recorded as its own on its platform, whatever the lists show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Has {
    /// A service that was read back once.
    Service(CustomerGuid, Removes),
    /// A lead with this id that was read back once.
    Lead(TenantId, Box<str>, Removes),
    /// A service that it may have requested, or that no list has shown yet, with its guid if the object
    /// records one.
    AskedService(Option<CustomerGuid>),
    /// A lead that it may have requested.
    AskedLead,
    /// Nothing.
    Nothing,
}

/// Whether the object's own deletion is removing the resource.
type Removes = bool;

fn removes(deleting: bool, operation: Option<&oc_api::Operation>) -> Removes {
    let asked =
        |operation: &oc_api::Operation| matches!(operation.outcome, None | Some(oc_api::Outcome::Succeeded));
    deleting
        && operation
            .is_some_and(|operation| operation.kind == oc_api::OperationKind::Delete && asked(operation))
}

/// What a list shows or lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListedThing {
    /// The service with this id.
    Service(CustomerGuid),
    /// The leads of this tenant.
    Leads(TenantId),
}

impl Has {
    /// What in a list decides what [`Has::shown_by`] returns, besides whether there is a list.
    pub fn decided_by(&self) -> Option<ListedThing> {
        match self {
            Self::Service(guid, _) | Self::AskedService(Some(guid)) => Some(ListedThing::Service(*guid)),
            Self::Lead(tenant, ..) => Some(ListedThing::Leads(*tenant)),
            Self::AskedService(None) | Self::AskedLead | Self::Nothing => None,
        }
    }

    /// What a service object with this record has.
    pub fn of_service(object: &OcEssentialService, record: &Record) -> Self {
        let read_back = object
            .status
            .as_ref()
            .filter(|status| status.license_type.is_some());
        let guid =
            read_back.and_then(|status| CustomerGuid::parse(status.ump_customer_guid.as_deref()?).ok());
        match guid {
            Some(guid) => {
                let removes = removes(
                    object.metadata.deletion_timestamp.is_some(),
                    read_back.and_then(|status| status.operation.as_ref()),
                );
                Self::Service(guid, removes)
            }
            None if record.may_come_to_have() || record.is_unseen() => Self::AskedService(record.guid),
            None => Self::Nothing,
        }
    }

    /// What a lead object with this record has.
    pub fn of_lead(object: &Lead, record: &Record) -> Self {
        let Some(status) = &object.status else {
            return Self::Nothing;
        };
        let tenant = TenantId::parse(&object.spec.ms_tenant_id).ok();
        match tenant.zip(status.lead_id.clone()) {
            Some((tenant, id)) => Self::Lead(
                tenant,
                id.into(),
                removes(
                    object.metadata.deletion_timestamp.is_some(),
                    status.operation.as_ref(),
                ),
            ),
            None if record.may_come_to_have() => Self::AskedLead,
            None => Self::Nothing,
        }
    }

    /// Compares it with the known lists. A list that was never read proves nothing.
    pub fn shown_by(&self, lists: &Lists) -> Recorded {
        let read_back = |shown: bool, removes: bool, id: &dyn ToString| match (shown, removes) {
            (true, false) => Recorded::Shown,
            (false, false) => Recorded::Missing(id.to_string().into()),
            (true, true) => Recorded::Nothing,
            (false, true) => Recorded::Asked,
        };
        match (self, &lists.services, &lists.leads) {
            (Self::Service(guid, removes), Some(services), _) => {
                read_back(services.has(guid), *removes, guid)
            }
            (Self::Lead(tenant, id, removes), _, Some(leads)) => read_back(leads.has(tenant), *removes, id),
            (Self::AskedService(Some(guid)), Some(services), _) if services.has(guid) => Recorded::Nothing,
            (Self::AskedService(_), Some(_), _) | (Self::AskedLead, _, Some(_)) => Recorded::Asked,
            _ => Recorded::Nothing,
        }
    }
}

/// What the tallies note of one version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// What the object has on its platform.
    pub has: Has,
    /// How long its create takes, with the id of that operation.
    pub pace: Option<(CreatePace, OperationId)>,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Whether a run of a job concerns it: its status shows jobs, and not all of them as done.
    pub unsynced: bool,
    /// What its status says of `Ready`.
    pub ready: ReadySaid,
    /// What is outstanding. Boxed: at rest, nothing is.
    outstanding: Option<Box<OutstandingWork>>,
}

/// What is outstanding for an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutstandingWork {
    /// Since when a change may have been requested whose outcome is unknown.
    pub intent: Option<Time>,
    /// Since when an operation runs, and whether the platform has a task for it.
    pub running: Option<(Time, bool)>,
    /// Since when it waits for each job, in the order of [`Job::ALL`].
    pub due: [Option<Time>; 2],
    /// Whether its status shows each job as due or requested, in the order of [`Job::ALL`].
    pub jobs: [bool; 2],
}

impl OutstandingWork {
    const NONE: Self = Self {
        intent: None,
        running: None,
        due: [None; 2],
        jobs: [false; 2],
    };

    fn kept(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }
}

impl Noted {
    /// What is outstanding for the object.
    pub fn outstanding(&self) -> &OutstandingWork {
        self.outstanding.as_deref().unwrap_or(&OutstandingWork::NONE)
    }
}

/// The value and the reason of `Ready`: `None` without the condition, and for a reason that is none of ours. Text
/// that someone else has written into a status never gets further.
pub type ReadySaid = Option<(&'static str, Option<Reason>)>;

/// Returns what a status says of `Ready`.
pub fn ready_said(status: Option<&impl HasStatus>) -> ReadySaid {
    let conditions = status.map(HasStatus::conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let value = ["True", "False"].into_iter().find(|value| *value == ready.status);
    Some((value.unwrap_or("Unknown"), Reason::parse(&ready.reason)))
}

/// Since when an operation runs, and whether the platform has a task for it.
fn running(record: &Record) -> Option<(Time, bool)> {
    let operation = record.running()?;
    Some((operation.started, operation.task.is_some()))
}

/// A kind whose objects may have something on a platform. The defaults are for a kind that never has.
pub trait Counted: KnownResource {
    /// What the tallies note of the object.
    fn noted(&self, _: &Cache, _: &ObjectKey) -> Option<Noted> {
        None
    }

    /// Whether the deletion of the object deletes something on the platform. An intent to delete in the
    /// annotation proves nothing, since anyone who may write the object may write it.
    fn deletes(&self) -> bool {
        false
    }
}

impl Counted for LivePlatform {}

impl Counted for LeadPolicy {}

impl Counted for Lead {
    fn noted(&self, cache: &Cache, key: &ObjectKey) -> Option<Noted> {
        let record = cache.record_of_lead(key, self);
        Some(Noted {
            has: Has::of_lead(self, &record),
            pace: None,
            deleting: self.metadata.deletion_timestamp.is_some(),
            unsynced: false,
            ready: ready_said(self.status.as_ref()),
            outstanding: OutstandingWork {
                intent: record.open_intent().map(|intent| intent.start),
                running: running(&record),
                ..OutstandingWork::NONE
            }
            .kept(),
        })
    }

    fn deletes(&self) -> bool {
        let spec = &self.spec;
        record::has_finalizer(self) && spec.deletion_policy == DeletionPolicy::Delete && !spec.suspend
    }
}

impl Counted for OcEssentialService {
    fn noted(&self, cache: &Cache, key: &ObjectKey) -> Option<Noted> {
        let record = cache.record_of_service(key, self);
        let pace = record
            .operation
            .as_ref()
            .and_then(|operation| Some((CreatePace::of(operation)?, operation.id.clone())));
        let sync = self.status.as_ref().and_then(|status| status.sync.as_ref());
        let waits = |state: SyncState| matches!(state, SyncState::Due | SyncState::Requested);
        let waits_for = |job: Job| {
            let mut jobs = sync.iter().flat_map(|sync| &sync.jobs);
            jobs.any(|status| status.name == job.name() && waits(status.state))
        };
        Some(Noted {
            has: Has::of_service(self, &record),
            pace,
            deleting: self.metadata.deletion_timestamp.is_some(),
            unsynced: sync.is_some_and(|sync| sync.state != SyncState::Synced),
            ready: ready_said(self.status.as_ref()),
            outstanding: OutstandingWork {
                intent: record.open_intent().map(|intent| intent.start),
                running: running(&record),
                due: Job::ALL.map(|job| record.job(job).waits_since()),
                jobs: Job::ALL.map(waits_for),
            }
            .kept(),
        })
    }

    fn deletes(&self) -> bool {
        let spec = &self.spec;
        record::has_finalizer(self)
            && spec.deletion_policy == DeletionPolicy::Delete
            && !spec.suspend
            && spec.mode == oc_api::service::Mode::Apply
            && record::of_service(self).guid.is_some()
    }
}

/// The guid of the service that an object has recorded, in the spelling used for counting.
pub fn recorded_guid(object: &OcEssentialService) -> Option<String> {
    let guid = object.status.as_ref()?.ump_customer_guid.as_deref()?;
    CustomerGuid::parse(guid).ok().map(|guid| guid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::cluster::record;
    use crate::platform::index::{LeadIndex, ListIndex, ServiceIndex};

    /// An empty list from the platform.
    fn nothing<T>() -> live_platform::Listed<T> {
        live_platform::Listed {
            items: Vec::new(),
            unreadable: 0,
            why: None,
            pages: 1,
        }
    }

    /// A requested deletion explains a missing entry on the account where it was requested, and nothing on
    /// another account.
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
        let lists = Lists {
            services: Some(Arc::new(ServiceIndex::new(nothing()))),
            leads: Some(Arc::new(LeadIndex::new(nothing()))),
        };
        for (deleting, operation, missing) in [
            (true, "Delete", false),
            (true, "Create", true),
            (false, "Delete", true),
        ] {
            let (mut service, mut lead) = (object(deleting, operation), object(deleting, operation));
            (service["kind"], lead["kind"]) = ("OcEssentialService".into(), "Lead".into());
            let (service, lead): (OcEssentialService, Lead) = (
                serde_json::from_value(service).unwrap(),
                serde_json::from_value(lead).unwrap(),
            );
            let of_both = [
                Has::of_service(&service, &record::of_service(&service)),
                Has::of_lead(&lead, &record::of_lead(&lead)),
            ];
            for recorded in of_both.map(|has| has.shown_by(&lists)) {
                let as_expected = if missing {
                    matches!(recorded, Recorded::Missing(_))
                } else {
                    matches!(recorded, Recorded::Asked)
                };
                assert!(as_expected, "{deleting} {operation}");
            }
        }
    }
}

//! The objects as the watches have brought them, and which of them has to do with what.

use std::sync::Arc;

use kube::ResourceExt;
use oc_domain::names::TenantId;
use oc_domain::record::Record;

use crate::cluster::index::{Entry, Index};
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::reading::{Reading, Readings};
use crate::cluster::record;
use crate::cluster::records::Records;
use crate::cluster::store::Store;
use oc_api::{Lead, LivePlatform, OcEssentialService};

/// See the module.
#[derive(Default)]
pub struct Cache {
    /// All `LivePlatform` objects.
    pub platforms: Arc<Store<LivePlatform>>,
    /// All `Lead` objects.
    pub leads: Arc<Store<Lead>>,
    /// All `OcEssentialService` objects.
    pub services: Arc<Store<OcEssentialService>>,
    /// Which of them has to do with what.
    pub index: Index,
    /// What the objects remember that compete for something.
    pub records: Records,
    readings: Readings,
}

impl Cache {
    /// Whether anything was asked of a platform, or may have been, whose end is not known.
    pub fn has_something_open(&self) -> bool {
        let open = |record: &Record| record.open_intent().is_some() || record.running().is_some();
        let mut found = false;
        self.services
            .for_each(|object| found |= open(&record::of_service(object)));
        self.leads
            .for_each(|object| found |= open(&record::of_lead(object)));
        found
    }

    /// The longest span for which any platform lets something be open.
    pub fn longest_wait(&self) -> std::time::Duration {
        let mut longest = std::time::Duration::ZERO;
        self.platforms.for_each(|platform| {
            longest = longest
                .max(platform.spec.create_grace.span())
                .max(platform.spec.task_deadline.span())
        });
        longest
    }

    /// What of an object can't be read by this version of the program.
    pub fn wrong(&self, key: &ObjectKey) -> Option<Arc<str>> {
        match key.kind {
            Kind::LivePlatform => self.platforms.wrong("", &key.name),
            Kind::Lead => self.leads.wrong(&key.namespace, &key.name),
            Kind::OcEssentialService => self.services.wrong(&key.namespace, &key.name),
        }
    }

    /// How many objects of a kind can't be read.
    pub fn unreadable(&self, kind: Kind) -> usize {
        match kind {
            Kind::LivePlatform => self.platforms.unreadable(),
            Kind::Lead => self.leads.unreadable(),
            Kind::OcEssentialService => self.services.unreadable(),
        }
    }

    /// What the newest version of a platform object says.
    pub fn reading(&self, platform: &str) -> Option<Arc<Reading>> {
        Some(self.readings.of(platform, self.platforms.get("", platform)?))
    }

    /// Forgets what was read of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.records.forget(key);
        if key.kind == Kind::LivePlatform {
            self.readings.forget(&key.name);
        }
    }

    /// What a service object has to do with. The tenant and the platform of one that refers to a lead are the lead's, and stay known when the lead object
    /// goes. Once something may have been asked for they stay as they were: a lead that is made anew under the same name, for another tenant, moves neither
    /// what is paid for nor what is deleted. Until status tells of it, the intent tells for which tenant it was.
    pub fn entry_of_service(&self, object: &OcEssentialService) -> Entry {
        let namespace = object.namespace().unwrap_or_default();
        let lead = object
            .spec
            .lead_ref
            .as_ref()
            .map(|lead| (namespace.clone(), lead.name.clone()));
        let lead_object = lead
            .as_ref()
            .and_then(|(namespace, name)| self.leads.get(namespace, name));
        let recorded = object
            .status
            .as_ref()
            .and_then(|status| Some((status.platform.clone()?, status.ms_tenant_id.clone()?)));
        let of_lead = lead_object.map(|lead| (lead.spec.platform.clone(), lead.spec.ms_tenant_id.clone()));
        let asked = |status: &oc_api::OcEssentialServiceStatus| {
            status.operation.is_some() || status.ump_customer_guid.is_some()
        };
        let pinned = record::has_finalizer(object) && object.status.as_ref().is_some_and(asked);
        let followed = if pinned {
            recorded.or(of_lead)
        } else {
            of_lead.or(recorded)
        };
        let asked = || record::asked_for(object).map(|tenant| tenant.to_string());
        let followed = followed
            .filter(|_| lead.is_some())
            .map(|(platform, tenant)| (platform, if pinned { tenant } else { asked().unwrap_or(tenant) }));
        let own = || {
            object
                .spec
                .platform
                .clone()
                .unwrap_or_else(|| oc_api::DEFAULT_PLATFORM.into())
        };
        let (platform, tenant) = match followed {
            Some((platform, tenant)) => (platform, Some(tenant)),
            None => (
                own(),
                object
                    .spec
                    .ms_tenant_id
                    .clone()
                    .or_else(|| asked().filter(|_| lead.is_some())),
            ),
        };
        Entry {
            platform,
            tenant: tenant.and_then(|tenant| TenantId::parse(&tenant).ok()),
            short_name: Some(object.spec.short_name.clone()),
            lead,
        }
    }
}

/// What a lead object has to do with.
pub fn entry_of_lead(object: &Lead) -> Entry {
    Entry {
        platform: object.spec.platform.clone(),
        tenant: TenantId::parse(&object.spec.ms_tenant_id).ok(),
        short_name: None,
        lead: None,
    }
}

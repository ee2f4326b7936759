//! The objects as received from the watches, and how they relate to each other.

use std::sync::{Arc, LazyLock};

use kube::ResourceExt;
use oc_domain::names::TenantId;
use oc_domain::record::Record;
use smol_str::{SmolStr, ToSmolStr};

use crate::cluster::index::{Entry, Index};
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::reading::{Reading, Readings};
use crate::cluster::record;
use crate::cluster::records::Records;
use crate::cluster::store::ObjectName;
use crate::cluster::stores::{KnownResource, Stores, for_kind};
use oc_api::{Lead, OcEssentialService};

/// The platform of most services. One text for all of them.
static DEFAULT_PLATFORM: LazyLock<Arc<str>> = LazyLock::new(|| oc_api::DEFAULT_PLATFORM.into());

/// The stores of all kinds, which are its fields as well, with the index and the parsed data derived from them.
#[derive(Default)]
pub struct Cache {
    stores: Stores,
    /// How the objects relate to each other.
    pub index: Index,
    records: Records,
    readings: Readings,
}

impl std::ops::Deref for Cache {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.stores
    }
}

impl Cache {
    /// The longest time for which any platform lets an intent or a task stay open.
    pub fn longest_wait(&self) -> std::time::Duration {
        let mut longest = std::time::Duration::ZERO;
        self.platforms.for_each(|platform| {
            longest = longest
                .max(platform.spec.create_grace.span())
                .max(platform.spec.task_deadline.span())
        });
        longest
    }

    /// Returns what this version of a service remembers.
    pub fn record_of_service(&self, key: &ObjectKey, object: &OcEssentialService) -> Arc<Record> {
        self.records.of(key, object, record::of_service)
    }

    /// Returns what this version of a lead remembers.
    pub fn record_of_lead(&self, key: &ObjectKey, object: &Lead) -> Arc<Record> {
        self.records.of(key, object, record::of_lead)
    }

    /// Returns which fields of an object this version can't read, and why.
    pub fn wrong(&self, key: &ObjectKey) -> Option<Arc<str>> {
        for_kind!(key.kind(), K => K::stored(self).wrong(key))
    }

    /// Takes note that nobody will look at an object for a while.
    pub fn rests(&self, key: &ObjectKey) {
        for_kind!(key.kind(), K => K::stored(self).rests(key));
    }

    /// The number of objects of a kind that can't be read.
    pub fn unreadable(&self, kind: Kind) -> usize {
        for_kind!(kind, K => K::stored(self).unreadable())
    }

    /// Parses the newest version of a platform object.
    pub fn reading(&self, platform: &str) -> Option<Arc<Reading>> {
        Some(self.readings.of(platform, self.platforms.get("", platform)?))
    }

    /// Drops the parsed data of a deleted object.
    pub fn forget(&self, key: &ObjectKey) {
        self.records.forget(key);
        if key.kind() == Kind::LivePlatform {
            self.readings.forget(key.name());
        }
    }

    /// Returns the index entry of a service.
    ///
    /// If the service refers to a lead, its tenant and platform are the lead's, and stay known when the lead
    /// object is deleted. Once something may have been requested, they no longer change. A lead that is
    /// created again under the same name for another tenant must affect neither what is paid for nor what is
    /// deleted. Until status names the tenant, the intent does.
    pub fn entry_of_service(&self, object: &OcEssentialService) -> Entry {
        let lead_ref = object.spec.lead_ref.as_ref();
        let lead = lead_ref.map(|lead| (object.namespace().unwrap_or_default(), lead.name.clone()));
        let (platform, tenant, assumed) = match &lead {
            Some(lead) => {
                let (platform, tenant, assumed) = self.through_lead(object, lead);
                (platform.into(), tenant, assumed)
            }
            None => {
                let platform = object.spec.platform.as_deref();
                let platform = platform.map_or_else(|| Arc::clone(&DEFAULT_PLATFORM), Arc::from);
                (platform, object.spec.ms_tenant_id.clone(), false)
            }
        };
        Entry {
            platform,
            assumed,
            tenant: tenant.and_then(|tenant| TenantId::parse(&tenant).ok()),
            short_name: Some((*object.spec.short_name).into()),
            lead: lead.map(Box::new),
        }
    }

    /// The platform and tenant of a service that refers to a lead, and whether the platform is only assumed.
    ///
    /// The watches are not ordered, so a service can arrive before its lead. Then status names the platform,
    /// or the intent its place. If neither does, the platform is not known.
    fn through_lead(
        &self,
        object: &OcEssentialService,
        (namespace, name): &ObjectName,
    ) -> (SmolStr, Option<SmolStr>, bool) {
        let lead = self.leads.get(namespace, name);
        let of_lead = lead.map(|lead| {
            let (platform, tenant) = (&lead.spec.platform, &lead.spec.ms_tenant_id);
            (platform.to_smolstr(), tenant.to_smolstr())
        });
        let status = object.status.as_ref();
        let recorded_tenant = status.and_then(|status| status.ms_tenant_id.clone());
        let recorded_platform = status
            .and_then(|status| status.platform.clone())
            .or_else(|| self.platform_asked(object))
            .or_else(|| of_lead.as_ref().map(|(platform, _)| platform.clone()));
        let recorded = recorded_platform.clone().zip(recorded_tenant.clone());
        let asked = |status: &oc_api::OcEssentialServiceStatus| {
            status.operation.is_some() || status.ump_customer_guid.is_some()
        };
        let pinned = record::has_finalizer(object) && status.is_some_and(asked);
        let followed = if pinned {
            recorded.or(of_lead)
        } else {
            of_lead.or(recorded)
        };
        let asked = || record::asked_for(object).map(|tenant| tenant.to_smolstr());
        match followed {
            Some((platform, tenant)) if pinned => (platform, Some(tenant), false),
            Some((platform, tenant)) => (platform, Some(asked().unwrap_or(tenant)), false),
            None => {
                let assumed = recorded_platform.is_none();
                let platform = recorded_platform.unwrap_or_else(|| oc_api::DEFAULT_PLATFORM.into());
                (platform, asked().or(recorded_tenant), assumed)
            }
        }
    }

    /// The `LivePlatform` at the place that the object's intent names.
    fn platform_asked(&self, object: &OcEssentialService) -> Option<SmolStr> {
        self.index
            .first_at(&record::place_asked(object)?)
            .map(SmolStr::from)
    }
}

/// Returns the index entry of a lead.
pub fn entry_of_lead(object: &Lead) -> Entry {
    Entry {
        platform: object.spec.platform.as_str().into(),
        assumed: false,
        tenant: TenantId::parse(&object.spec.ms_tenant_id).ok(),
        short_name: None,
        lead: None,
    }
}

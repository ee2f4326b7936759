//! What the runs for policies know of the leads and the services of a namespace, by the version that they have
//! looked at: of thousands, few have changed since the last run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::conditions::Reason;
use oc_domain::lead_policy::{ONBOARDED_BY, ONBOARDING_FINALIZER, Progress};
use oc_domain::names::TenantId;
use oc_domain::time::Time;
use parking_lot::Mutex;

use crate::cluster::key::{QualifiedName, name_in};
use crate::cluster::record::LEAD_POLICY_LABEL;
use crate::cluster::store::{Storable, Store};
use crate::runtime::clock;
use oc_api::service::Mode;
use oc_api::{Lead, OcEssentialService};

/// How many leads are looked at before other work has its turn.
pub const AT_A_TIME: usize = 256;

/// What is known of a lead.
#[derive(Debug, PartialEq)]
pub struct LeadNote {
    /// Its uid.
    pub uid: Option<Box<str>>,
    /// When it was created.
    pub created: Time,
    /// Its tenant, if that can be read.
    pub tenant: Option<TenantId>,
    /// Its `LivePlatform`.
    pub platform: Box<str>,
    /// What its annotation says of the policy that has made its service.
    pub mark: Option<Box<str>>,
}

impl LeadNote {
    /// VersionNotes what is known of a lead.
    pub fn of(lead: &Lead) -> Self {
        Self {
            uid: lead.metadata.uid.as_deref().map(Box::from),
            created: created(lead),
            tenant: TenantId::parse(&lead.spec.ms_tenant_id).ok(),
            platform: lead.spec.platform.as_str().into(),
            mark: lead
                .annotations()
                .get(ONBOARDED_BY)
                .map(|text| text.as_str().into()),
        }
    }

    /// Whether a lead is the same object, with the same mark.
    pub fn is_of(&self, lead: &Lead) -> bool {
        lead.metadata.uid.as_deref() == self.uid.as_deref()
            && lead.annotations().get(ONBOARDED_BY).map(String::as_str) == self.mark.as_deref()
    }
}

/// What is known of a service.
#[derive(Debug, PartialEq)]
pub struct ServiceNote {
    /// The policy that has created it.
    pub policy: Option<Box<str>>,
    /// When it was created.
    pub created: Time,
    /// How far it has come.
    pub progress: Progress,
    /// Whether its lead does not say yet that it was created.
    pub held: bool,
    /// Whether it is a plan that nobody has changed.
    pub untouched_plan: bool,
}

impl ServiceNote {
    /// VersionNotes what is known of a service.
    pub fn of(object: &OcEssentialService) -> Self {
        let generation = object.metadata.generation.unwrap_or_default();
        let deleting = object.metadata.deletion_timestamp.is_some();
        let conditions = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let ready = conditions.iter().find(|condition| {
            condition.type_ == "Ready" && condition.observed_generation == Some(generation)
        });
        Self {
            policy: object
                .labels()
                .get(LEAD_POLICY_LABEL)
                .map(|name| name.as_str().into()),
            created: created(object),
            progress: Progress::of(
                deleting,
                ready.is_some_and(|ready| ready.status == "True"),
                ready.and_then(|ready| Reason::parse(&ready.reason)),
            ),
            held: object
                .finalizers()
                .iter()
                .any(|name| name == ONBOARDING_FINALIZER),
            untouched_plan: object.spec.mode == Mode::Plan && generation == 1 && !deleting,
        }
    }
}

fn created<K: Resource>(object: &K) -> Time {
    let created = object.creation_timestamp();
    created.map(|time| clock::time(time.0)).unwrap_or_default()
}

/// One version of an object, and what is known of it.
pub struct NotedVersion<T> {
    /// The object.
    pub place: QualifiedName,
    /// The stamp that the store gave to the version.
    pub stamp: u64,
    /// What is known of it.
    pub note: Arc<T>,
}

impl<T> NotedVersion<T> {
    /// Returns the name of the object.
    pub fn name(&self) -> &str {
        name_in(&self.place)
    }

    /// Returns the object, if it still has this version.
    pub fn object<K: Storable>(&self, store: &Store<K>) -> Option<Arc<K>> {
        let (stamp, object) = store.look(&self.place)?;
        (stamp == self.stamp).then_some(object)
    }
}

/// The notes of one namespace, each with the stamp of its version.
type OfNamespace<T> = HashMap<QualifiedName, (u64, Arc<T>)>;

/// The notes of one kind, by namespace.
pub struct VersionNotes<T>(Mutex<HashMap<String, OfNamespace<T>>>);

impl<T> Default for VersionNotes<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> VersionNotes<T> {
    /// Returns what is known of the objects of a namespace. Those that have changed since the last time are looked
    /// at.
    pub async fn of<K: Storable>(
        &self,
        store: &Store<K>,
        namespace: &str,
        note: impl Fn(&K) -> T,
    ) -> Vec<NotedVersion<T>> {
        let stamps = store.stamps(namespace);
        let mut all = Vec::with_capacity(stamps.len());
        for (count, (place, stamp)) in stamps.into_iter().enumerate() {
            if count % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let known = self.known(namespace, &place, stamp);
            let noted = match known {
                Some(note) => Some((stamp, note)),
                None => store.look(&place).map(|(stamp, object)| {
                    let note = Arc::new(note(&object));
                    self.keep(namespace, &place, stamp, &note);
                    (stamp, note)
                }),
            };
            all.extend(noted.map(|(stamp, note)| NotedVersion { place, stamp, note }));
        }
        self.keep_only(namespace, &all);
        all
    }

    /// Drops what is known of the objects of a namespace.
    pub fn forget(&self, namespace: &str) {
        self.0.lock().remove(namespace);
    }

    fn known(&self, namespace: &str, place: &str, stamp: u64) -> Option<Arc<T>> {
        let notes = self.0.lock();
        let (of, note) = notes.get(namespace)?.get(place)?;
        (*of == stamp).then(|| Arc::clone(note))
    }

    fn keep(&self, namespace: &str, place: &QualifiedName, stamp: u64, note: &Arc<T>) {
        let mut notes = self.0.lock();
        let of = notes.entry(namespace.to_owned()).or_default();
        of.insert(Arc::clone(place), (stamp, Arc::clone(note)));
    }

    fn keep_only(&self, namespace: &str, all: &[NotedVersion<T>]) {
        let mut notes = self.0.lock();
        let Some(of) = notes.get_mut(namespace).filter(|of| of.len() > all.len()) else {
            return;
        };
        let known: HashSet<&str> = all.iter().map(|noted| &*noted.place).collect();
        of.retain(|place, _| known.contains(&**place));
    }
}

//! A local copy of one kind, fed by a watch and by the answers to our own writes: of two versions the newer one stays.
//!
//! Not kube's reflector: that knows of our own writes only when the watch brings them, and a pass must never start from an object that is older
//! than its own last write.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::watched::Watched;

/// Namespace and name; the namespace is empty for cluster-scoped objects.
pub type Place = (String, String);

/// Where an object is.
pub fn place<K: Resource>(object: &K) -> Place {
    (object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}

/// What the store has learnt.
pub enum Learnt<K> {
    /// An object that was not there before.
    New(Arc<K>),
    /// Another version of an object: before, and now.
    Changed(Arc<K>, Arc<K>),
    /// It is gone: the last version.
    Gone(Arc<K>),
    /// The first list is complete.
    Complete,
}

/// The local copy of one kind.
pub struct Store<K> {
    objects: RwLock<HashMap<Place, Arc<K>>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self { objects: RwLock::new(HashMap::new()) }
    }
}

/// `managedFields` and the last-applied annotation are four fifths of an object (measured), and nothing here reads them.
pub fn pruned<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = object.meta_mut().annotations.as_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
}

impl<K: Resource> Store<K> {
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Place, Arc<K>>> {
        self.objects.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Place, Arc<K>>> {
        self.objects.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The newest known version of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Looks at all objects, one after the other.
    pub fn each(&self, look: impl FnMut(&Arc<K>)) {
        self.read().values().for_each(look);
    }

    /// Takes in what the API server answered to a write. It comes by another way than the watch, and perhaps after the news that the object is gone: one
    /// that is not known any more stays so.
    pub fn answered(&self, object: K) -> Option<Learnt<K>> {
        let known = self.read().get(&place(&object)).is_some_and(|known| known.meta().uid == object.meta().uid);
        known.then(|| self.put(object)).flatten()
    }

    /// Takes in a version of an object, unless a newer one is known. One that nothing holds any more is gone: that is for the watch to tell.
    pub fn put(&self, object: K) -> Option<Learnt<K>> {
        if object.meta().deletion_timestamp.is_some() && object.finalizers().is_empty() {
            return None;
        }
        let object = Arc::new(pruned(object));
        let mut objects = self.write();
        match objects.get(&place(&*object)).cloned() {
            Some(known) if known.meta().uid == object.meta().uid && version(&*known) >= version(&*object) => None,
            before => {
                objects.insert(place(&*object), Arc::clone(&object));
                Some(match before {
                    Some(before) if before.meta().uid == object.meta().uid => Learnt::Changed(before, object),
                    _ => Learnt::New(object),
                })
            }
        }
    }

    /// Forgets an object.
    pub fn remove(&self, place: &Place) -> Option<Learnt<K>> {
        self.write().remove(place).map(Learnt::Gone)
    }

    /// Removes what a list has not brought that was of this namespace, or of all.
    fn remove_all_but(&self, seen: &HashSet<Place>, of: Option<&str>) -> Vec<Learnt<K>> {
        let mut objects = self.write();
        let listed = |place: &Place| of.is_none_or(|namespace| namespace == place.0);
        let gone: Vec<Place> = objects.keys().filter(|place| listed(place) && !seen.contains(*place)).cloned().collect();
        gone.iter().filter_map(|place| objects.remove(place)).map(Learnt::Gone).collect()
    }
}

/// What a watch brings, taken into a store; and of a list that is coming in, what it has brought so far.
struct Listing<'a, K> {
    store: &'a Store<K>,
    /// The namespace of which it is the list; without one, of all.
    of: Option<&'a str>,
    seen: Option<HashSet<Place>>,
}

impl<K: Resource> Listing<'_, K> {
    /// Takes in what the watch brings next, a failure included, and says whether a list is complete with it.
    fn take(&mut self, event: watcher::Result<watcher::Event<K>>, tell: impl Fn(Learnt<K>)) -> watcher::Result<bool> {
        match event? {
            watcher::Event::Init => self.seen = Some(HashSet::new()),
            watcher::Event::InitApply(object) => {
                if let Some(seen) = self.seen.as_mut() {
                    seen.insert(place(&object));
                }
                self.store.put(object).into_iter().for_each(tell);
            }
            watcher::Event::InitDone => {
                // Only now is absence known: a list that is still coming in, or was broken off, says nothing of what it has not brought.
                if let Some(seen) = self.seen.take() {
                    self.store.remove_all_but(&seen, self.of).into_iter().for_each(tell);
                }
                return Ok(true);
            }
            watcher::Event::Apply(object) => self.store.put(object).into_iter().for_each(tell),
            watcher::Event::Delete(object) => self.store.remove(&place(&object)).into_iter().for_each(tell),
        }
        Ok(false)
    }
}

/// Keeps a store up to date for as long as it is polled, by all objects of the interface: those of this namespace, or of all. Each watch has its own
/// back-off, so that one that fails delays no other.
pub async fn follow<K>(api: Api<K>, of: Option<&str>, store: Arc<Store<K>>, watched: Arc<Watched>, tell: impl Fn(Learnt<K>))
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Default,
{
    let config = watcher::Config::default().page_size(100);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut listing = Listing { store: &*store, of, seen: None };
    while let Some(event) = events.next().await {
        match listing.take(event, &tell) {
            Ok(false) => {}
            Ok(true) => {
                watched.complete();
                tell(Learnt::Complete);
            }
            Err(error) => {
                let kind = K::kind(&K::DynamicType::default()).into_owned();
                watched.failed();
                tracing::warn!(kind, %error, "the watch failed and is tried again");
            }
        }
    }
}

/// Whether a person or another tool changed what we must look at: not our own status, nor the annotations that we write.
pub fn concerns_us<K: Resource>(before: &K, now: &K) -> bool {
    let theirs = |object: &K| {
        let annotations: Vec<_> = object
            .annotations()
            .iter()
            .filter(|(name, _)| !super::record::OWN_ANNOTATIONS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        (object.meta().generation, object.meta().deletion_timestamp.clone(), annotations, object.finalizers().to_vec())
    };
    theirs(before) != theirs(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(name: &str, version: &str, uid: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.namespace = Some("n".into());
        object.metadata.resource_version = Some(version.into());
        object.metadata.uid = Some(uid.into());
        object
    }

    fn stored(store: &Store<ConfigMap>, name: &str) -> Option<String> {
        store.get("n", name).and_then(|object| object.metadata.resource_version.clone())
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = Store::default();
        assert!(matches!(store.put(object("a", "9", "u")), Some(Learnt::New(_))));
        assert!(store.put(object("a", "8", "u")).is_none(), "the watch brings what our own write has overtaken");
        assert!(store.put(object("a", "9", "u")).is_none(), "the same again is no news");
        assert!(matches!(store.put(object("a", "10", "u")), Some(Learnt::Changed(_, _))), "versions are numbers, not texts");
        assert_eq!(stored(&store, "a").as_deref(), Some("10"));
    }

    #[test]
    fn the_answer_to_a_write_brings_nothing_back() {
        let store = Store::default();
        assert!(store.answered(object("a", "5", "u")).is_none() && stored(&store, "a").is_none(), "it was gone before the answer came");
        store.put(object("a", "5", "u"));
        assert!(store.answered(object("a", "6", "another")).is_none(), "another one of that name is there now");
        assert!(matches!(store.answered(object("a", "7", "u")), Some(Learnt::Changed(_, _))));
        let mut released = object("a", "8", "u");
        released.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert!(store.put(released.clone()).is_none() && stored(&store, "a").as_deref() == Some("7"), "the watch tells that it is gone");
        store.remove(&("n".to_owned(), "a".to_owned()));
        assert!(store.put(released).is_none() && stored(&store, "a").is_none());
    }

    #[test]
    fn an_object_made_anew_under_the_same_name_is_a_new_one() {
        let store = Store::default();
        store.put(object("a", "20", "first"));
        assert!(matches!(store.put(object("a", "5", "second")), Some(Learnt::New(_))));
    }

    #[test]
    fn absence_counts_only_when_the_list_is_complete() {
        let store = Store::default();
        let known = || ["a", "b"].map(|name| stored(&store, name).is_some());
        let take = |listing: &mut Listing<'_, ConfigMap>, event| {
            let told = std::cell::RefCell::new(Vec::new());
            let complete = listing.take(event, |learnt| told.borrow_mut().push(learnt));
            (complete.ok(), told.into_inner())
        };
        store.put(object("a", "1", "a"));
        let mut listing = Listing { store: &store, of: Some("n"), seen: None };
        // Two lists that are broken off: the one by an error, the other by the next one's begin.
        for broken in [Err(watcher::Error::NoResourceVersion), Ok(watcher::Event::Init)] {
            take(&mut listing, Ok(watcher::Event::Init));
            take(&mut listing, Ok(watcher::Event::InitApply(object("b", "1", "b"))));
            let failed = broken.is_err();
            let (complete, told) = take(&mut listing, broken);
            assert!(complete == (!failed).then_some(false) && told.is_empty() && known() == [true, true], "half a list says nothing of what is not in it");
        }
        let mut elsewhere = Listing { store: &store, of: Some("other"), seen: Some(HashSet::new()) };
        let (complete, told) = take(&mut elsewhere, Ok(watcher::Event::InitDone));
        assert!(complete == Some(true) && told.is_empty() && known() == [true, true], "the list of another namespace says nothing of this one");
        take(&mut listing, Ok(watcher::Event::Init));
        take(&mut listing, Ok(watcher::Event::InitApply(object("b", "1", "b"))));
        let (complete, told) = take(&mut listing, Ok(watcher::Event::InitDone));
        assert!(complete == Some(true) && known() == [false, true]);
        assert!(matches!(told.as_slice(), [Learnt::Gone(object)] if object.metadata.name.as_deref() == Some("a")));
    }

    #[test]
    fn our_own_annotation_wakes_nobody_and_theirs_does() {
        let mut before = object("a", "1", "u");
        before.metadata.generation = Some(1);
        let annotated = |name: &str| {
            let mut object = before.clone();
            object.metadata.annotations = Some([(name.to_owned(), "x".to_owned())].into());
            object
        };
        assert!(!concerns_us(&before, &annotated(crate::object::record::OPERATION)));
        assert!(concerns_us(&before, &annotated(crate::object::record::RECONCILE)));
        let mut changed = before.clone();
        changed.metadata.generation = Some(2);
        assert!(concerns_us(&before, &changed));
    }
}

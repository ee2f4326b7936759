//! A local copy of one kind, fed by a watch and by the responses to our own writes. Of two versions the newer
//! one stays.
//!
//! This is not kube's reflector. That one learns of our own writes only when the watch delivers them, and a
//! pass must never start from an object older than its own last write.

use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::{Resource, ResourceExt};

use crate::cluster::key::{ObjectKey, QualifiedName, qualified_name, with_qualified};

/// Namespace and name; the namespace is empty for cluster-scoped objects.
pub type ObjectName = (String, String);

/// Returns the namespace and name of an object.
pub fn place<K: Resource>(object: &K) -> ObjectName {
    (
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default(),
    )
}

/// What changed in the store.
pub enum StoreEvent<K> {
    /// A new object.
    Added(Arc<K>),
    /// A new version of an object: before and after.
    Updated(Arc<K>, Arc<K>),
    /// A deleted object: its last version.
    Deleted(Arc<K>),
    /// A list is complete.
    Synced,
}

/// What the store knows of one object.
struct StoredObject<K> {
    object: Arc<K>,
    /// The fields that can't be read, and why.
    wrong: Option<Arc<str>>,
}

/// The local copy of one kind.
pub struct Store<K> {
    objects: RwLock<HashMap<QualifiedName, StoredObject<K>>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: RwLock::new(HashMap::new()),
        }
    }
}

/// Removes `managedFields` and the last-applied annotation. They are four fifths of an object (measured), and
/// nothing here reads them.
pub fn strip_managed_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = object.meta_mut().annotations.as_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}

/// Looks something up by the qualified name of an object.
fn at<T>(object: &impl Resource, look: impl FnOnce(&str) -> T) -> T {
    let meta = object.meta();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    with_qualified(namespace, meta.name.as_deref().unwrap_or_default(), look)
}

fn version<K: Resource>(object: &K) -> u64 {
    number(object.meta().resource_version.as_deref())
}

fn number(version: Option<&str>) -> u64 {
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(u64::MAX)
}

/// Which of two versions of an object stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The newer one.
    Versions,
    /// The incoming one. The API server's store has gone back, as after a restore of etcd, and version
    /// numbers mean nothing any more.
    Nothing,
}

impl<K: Resource> Store<K> {
    fn write(&self) -> parking_lot::RwLockWriteGuard<'_, HashMap<QualifiedName, StoredObject<K>>> {
        self.objects.write()
    }

    fn read(&self) -> parking_lot::RwLockReadGuard<'_, HashMap<QualifiedName, StoredObject<K>>> {
        self.objects.read()
    }

    /// Returns the newest known version of the object that a key of this kind identifies.
    pub fn of(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.read()
            .get(key.qualified_name())
            .map(|known| Arc::clone(&known.object))
    }

    /// Returns the newest known version of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        with_qualified(namespace, name, |place| {
            self.read().get(place).map(|known| Arc::clone(&known.object))
        })
    }

    /// Whether [`Store::put`] would not take in this version of an object, because it or a newer one is
    /// known. The watch delivers each of our own writes after its response.
    pub fn knows(&self, namespace: &str, name: &str, version: Option<&str>) -> bool {
        with_qualified(namespace, name, |place| {
            let objects = self.read();
            let known = objects.get(place);
            known.is_some_and(|known| self::version(&*known.object) >= number(version))
        })
    }

    /// Returns the fields of an object that this version of the program can't read, and why. Nothing is
    /// decided for such an object.
    pub fn wrong(&self, key: &ObjectKey) -> Option<Arc<str>> {
        self.read()
            .get(key.qualified_name())
            .and_then(|known| known.wrong.clone())
    }

    /// The number of objects that can't be read completely.
    pub fn unreadable(&self) -> usize {
        self.read().values().filter(|known| known.wrong.is_some()).count()
    }

    /// Calls `look` for each object.
    pub fn for_each(&self, mut look: impl FnMut(&Arc<K>)) {
        self.read().values().for_each(|known| look(&known.object));
    }

    /// Takes in the response to a write. It does not come through the watch, and may arrive after the
    /// deletion of the object: an object that is no longer known stays unknown.
    pub fn apply_response(&self, object: Arc<K>) -> Option<StoreEvent<K>> {
        let same = |known: &StoredObject<K>| known.object.meta().uid == object.meta().uid;
        let known = at(&*object, |place| self.read().get(place).is_some_and(same));
        known
            .then(|| self.put_shared(object, None, Against::Versions))
            .flatten()
    }

    /// Takes in a readable version of an object, unless a newer one is known.
    pub fn put(&self, object: K) -> Option<StoreEvent<K>> {
        self.put_read(object, None, Against::Versions)
    }

    /// Takes in a version of an object, and which of its fields can't be read. A deleted object without
    /// finalizers is gone; the watch reports that.
    pub fn put_read(&self, object: K, wrong: Option<&str>, against: Against) -> Option<StoreEvent<K>> {
        self.put_shared(Arc::new(strip_managed_fields(object)), wrong, against)
    }

    fn put_shared(&self, object: Arc<K>, wrong: Option<&str>, against: Against) -> Option<StoreEvent<K>> {
        if object.meta().deletion_timestamp.is_some() && object.finalizers().is_empty() {
            return None;
        }
        let mut objects = self.write();
        let known = at(&*object, |place| objects.get_mut(place));
        // This also holds for another uid: a watch that lags may deliver the predecessor after a response
        // delivered its successor.
        let newer = |known: &Arc<K>| version(&**known) >= version(&*object);
        let stored = StoredObject {
            object: Arc::clone(&object),
            wrong: wrong.map(Arc::from),
        };
        let before = match known {
            Some(known) if against == Against::Versions && newer(&known.object) => return None,
            Some(known) => Some(std::mem::replace(known, stored).object),
            None => {
                objects.insert(qualified_name(&*object), stored);
                None
            }
        };
        Some(match before {
            Some(before) if before.meta().uid == object.meta().uid => StoreEvent::Updated(before, object),
            _ => StoreEvent::Added(object),
        })
    }

    /// Removes a deleted object, unless another object has its name by now.
    pub fn remove(&self, gone: &impl Resource) -> Option<StoreEvent<K>> {
        let mut objects = self.write();
        let place = qualified_name(gone);
        let same = objects
            .get(&place)
            .is_some_and(|known| known.object.meta().uid == gone.meta().uid);
        if same {
            objects
                .remove(&place)
                .map(|known| StoreEvent::Deleted(known.object))
        } else {
            None
        }
    }

    /// Removes the objects of this namespace, or of all, that a list did not contain.
    pub fn remove_all_but(&self, seen: &HashSet<QualifiedName>, of: Option<&str>) -> Vec<StoreEvent<K>> {
        let mut objects = self.write();
        let in_it = |object: &K| of.is_none_or(|of| object.meta().namespace.as_deref() == Some(of));
        objects
            .extract_if(|place, known| in_it(&known.object) && !seen.contains(place))
            .map(|(_, known)| StoreEvent::Deleted(known.object))
            .collect()
    }
}

/// Whether a person or another tool changed something that matters to us: neither our own status nor the
/// annotations that we write.
pub fn is_relevant_change<K: Resource>(before: &K, now: &K) -> bool {
    fn theirs<K: Resource>(object: &K) -> impl Iterator<Item = (&String, &String)> {
        let own = |name: &str| crate::cluster::record::OWN_ANNOTATIONS.contains(&name);
        object.annotations().iter().filter(move |(name, _)| !own(name))
    }
    before.meta().generation != now.meta().generation
        || before.meta().deletion_timestamp != now.meta().deletion_timestamp
        || before.finalizers() != now.finalizers()
        || theirs(before).ne(theirs(now))
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
        store
            .get("n", name)
            .and_then(|object| object.metadata.resource_version.clone())
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = Store::default();
        assert!(matches!(
            store.put(object("a", "9", "u")),
            Some(StoreEvent::Added(_))
        ));
        assert!(
            store.put(object("a", "8", "u")).is_none(),
            "the watch brings what our own write has overtaken"
        );
        assert!(
            store.put(object("a", "9", "u")).is_none(),
            "the same again is no news"
        );
        for (name, version, known) in [
            ("a", "8", true),
            ("a", "9", true),
            ("a", "10", false),
            ("b", "8", false),
        ] {
            assert_eq!(store.knows("n", name, Some(version)), known, "{name} {version}");
        }
        assert!(!store.knows("n", "a", None) && !store.knows("m", "a", Some("8")));
        assert!(
            matches!(store.put(object("a", "10", "u")), Some(StoreEvent::Updated(_, _))),
            "versions are numbers, not texts"
        );
        assert_eq!(stored(&store, "a").as_deref(), Some("10"));
    }

    #[test]
    fn the_answer_to_a_write_brings_nothing_back() {
        let store = Store::default();
        assert!(
            store.apply_response(Arc::new(object("a", "5", "u"))).is_none() && stored(&store, "a").is_none(),
            "it was gone before the answer came"
        );
        store.put(object("a", "5", "u"));
        assert!(
            store
                .apply_response(Arc::new(object("a", "6", "another")))
                .is_none(),
            "another one of that name is there now"
        );
        assert!(matches!(
            store.apply_response(Arc::new(object("a", "7", "u"))),
            Some(StoreEvent::Updated(_, _))
        ));
        let mut released = object("a", "8", "u");
        released.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        assert!(
            store.put(released.clone()).is_none() && stored(&store, "a").as_deref() == Some("7"),
            "the watch tells that it is gone"
        );
        store.remove(&released);
        assert!(store.put(released).is_none() && stored(&store, "a").is_none());
    }

    #[test]
    fn an_object_made_anew_under_the_same_name_is_a_new_one_and_its_predecessor_takes_nothing_away() {
        let store = Store::default();
        store.put(object("a", "5", "first"));
        assert!(
            matches!(store.put(object("a", "20", "second")), Some(StoreEvent::Added(_))),
            "an answer has brought it before the watch"
        );
        assert!(
            store.put(object("a", "8", "first")).is_none() && stored(&store, "a").as_deref() == Some("20")
        );
        assert!(
            store.remove(&object("a", "9", "first")).is_none()
                && stored(&store, "a").as_deref() == Some("20"),
            "now the watch tells that the first is gone"
        );
        assert!(matches!(
            store.remove(&object("a", "21", "second")),
            Some(StoreEvent::Deleted(_))
        ));
    }

    #[test]
    fn the_list_of_another_namespace_says_nothing_of_this_one() {
        let store = Store::default();
        store.put(object("a", "1", "a"));
        assert!(
            store.remove_all_but(&HashSet::new(), Some("other")).is_empty() && stored(&store, "a").is_some()
        );
        assert!(
            matches!(
                store.remove_all_but(&HashSet::new(), Some("n")).as_slice(),
                [StoreEvent::Deleted(_)]
            ) && stored(&store, "a").is_none()
        );
    }

    #[test]
    fn what_can_not_be_read_is_remembered_until_it_can() {
        let store = Store::default();
        let put = |version: &str, wrong| {
            store
                .put_read(object("a", version, "u"), wrong, Against::Versions)
                .is_some()
        };
        assert!(put("1", Some("spec.mode")) && store.unreadable() == 1);
        assert_eq!(
            store.wrong(&ObjectKey::lead("n", "a")).as_deref(),
            Some("spec.mode")
        );
        assert!(
            !put("1", None)
                && put("2", None)
                && store.wrong(&ObjectKey::lead("n", "a")).is_none()
                && store.unreadable() == 0
        );
    }

    #[test]
    fn after_the_store_has_gone_back_what_comes_counts() {
        let store = Store::default();
        store.put(object("a", "500", "u"));
        let put = |against| store.put_read(object("a", "300", "u"), None, against).is_some();
        assert!(!put(Against::Versions) && put(Against::Nothing));
        assert_eq!(stored(&store, "a").as_deref(), Some("300"));
        assert!(
            put(Against::Nothing),
            "numbers are given anew, so that the same one may be another version"
        );
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
        assert!(!is_relevant_change(
            &before,
            &annotated(crate::cluster::record::OPERATION)
        ));
        assert!(is_relevant_change(
            &before,
            &annotated(crate::cluster::record::RECONCILE)
        ));
        let mut changed = before.clone();
        changed.metadata.generation = Some(2);
        assert!(is_relevant_change(&before, &changed));
    }
}

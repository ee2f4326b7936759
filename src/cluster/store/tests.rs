//! Which versions a store keeps, and that packing changes nothing.

use super::*;
use k8s_openapi::api::core::v1::ConfigMap;
use proptest::prelude::*;

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
    assert!(store.put(object("a", "8", "first")).is_none() && stored(&store, "a").as_deref() == Some("20"));
    assert!(
        store.remove(&object("a", "9", "first")).is_none() && stored(&store, "a").as_deref() == Some("20"),
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
        store
            .remove_all_but(&HashSet::default(), Some("other"))
            .is_empty()
            && stored(&store, "a").is_some()
    );
    assert!(
        matches!(
            store.remove_all_but(&HashSet::default(), Some("n")).as_slice(),
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
    assert!(put("3", Some("spec.mode")) && store.unreadable() == 1);
    store.remove(&object("a", "4", "u"));
    assert_eq!(store.unreadable(), 0, "it was deleted");
    assert!(put("5", Some("spec.mode")) && store.unreadable() == 1);
    store.remove_all_but(&HashSet::default(), Some("another"));
    assert_eq!(store.unreadable(), 1, "it is in another namespace");
    store.remove_all_but(&HashSet::default(), Some("n"));
    assert_eq!(store.unreadable(), 0, "a list lacks it");
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

impl<K> Store<K> {
    fn unpacked(&self) -> usize {
        let table = self.table.read();
        table
            .objects
            .values()
            .filter(|known| known.object.is_some())
            .count()
    }
}

/// Something that happens to a store, to the object of this number.
#[derive(Clone, Debug)]
enum Event {
    Comes { name: u8, version: u8, uid: u8 },
    Answers { name: u8, version: u8, uid: u8 },
    Goes { name: u8, uid: u8 },
    Listed { seen: Vec<u8> },
    LookedAt { name: u8 },
    Rests { name: u8 },
    SecondsPass,
}

fn event() -> impl Strategy<Value = Event> {
    let (name, version, uid) = (|| 0u8..12, || 0u8..9, || 0u8..2);
    prop_oneof![
        6 => (name(), version(), uid()).prop_map(|(name, version, uid)| Event::Comes { name, version, uid }),
        2 => (name(), version(), uid()).prop_map(|(name, version, uid)| Event::Answers { name, version, uid }),
        2 => (name(), uid()).prop_map(|(name, uid)| Event::Goes { name, uid }),
        1 => proptest::collection::vec(name(), 0..12).prop_map(|seen| Event::Listed { seen }),
        4 => name().prop_map(|name| Event::LookedAt { name }),
        2 => name().prop_map(|name| Event::Rests { name }),
        2 => Just(Event::SecondsPass),
    ]
}

/// What a store event says, as text: events have no equality.
fn told(event: Option<StoreEvent<ConfigMap>>) -> String {
    match event {
        None => "nothing".into(),
        Some(StoreEvent::Added(object)) => format!("added {object:?}"),
        Some(StoreEvent::Updated(before, object)) => format!("updated {before:?} {object:?}"),
        Some(StoreEvent::Deleted(object)) => format!("deleted {object:?}"),
        Some(StoreEvent::Synced) => "synced".into(),
    }
}

fn happens(store: &Store<ConfigMap>, event: &Event) -> Vec<String> {
    let object = |name: u8, version: u8, uid: u8| {
        object(&name.to_string(), &version.to_string(), &format!("uid-{uid}"))
    };
    match event {
        Event::Comes { name, version, uid } => vec![told(store.put(object(*name, *version, *uid)))],
        Event::Answers { name, version, uid } => {
            vec![told(
                store.apply_response(Arc::new(object(*name, *version, *uid))),
            )]
        }
        Event::Goes { name, uid } => vec![told(store.remove(&object(*name, 0, *uid)))],
        Event::Listed { seen } => {
            let seen = seen
                .iter()
                .map(|name| qualified_name(&object(*name, 0, 0)))
                .collect();
            let gone = store.remove_all_but(&seen, None).into_iter();
            let mut gone: Vec<_> = gone.map(|event| told(Some(event))).collect();
            gone.sort();
            gone
        }
        Event::LookedAt { name } => vec![format!("{:?}", store.get("n", &name.to_string()))],
        Event::Rests { name } => {
            store.rests(&ObjectKey::service("n", &name.to_string()));
            Vec::new()
        }
        Event::SecondsPass => {
            store.pack_unused();
            Vec::new()
        }
    }
}

proptest! {
    #[test]
    fn a_store_that_packs_says_what_one_says_that_does_not(events in proptest::collection::vec(event(), 1..80)) {
        let (packs, keeps) = (Store::new(2), Store::new(usize::MAX));
        for event in &events {
            prop_assert_eq!(happens(&packs, event), happens(&keeps, event));
            prop_assert!(packs.unpacked() <= 2);
        }
        let all = |store: &Store<ConfigMap>| {
            let mut all: Vec<_> = store.stamps("n").iter().map(|(place, stamp)| {
                let (looked, object) = store.look(place).unwrap();
                assert_eq!(looked, *stamp);
                format!("{object:?}")
            }).collect();
            all.sort();
            all
        };
        prop_assert_eq!(all(&packs), all(&keeps));
    }
}

#[test]
fn those_that_are_looked_at_stay_unpacked() {
    let store = Store::new(4);
    for number in 0..100 {
        store.put(object(&format!("object-{number}"), "1", "u"));
        assert!(store.get("n", "object-0").is_some());
    }
    assert_eq!(store.unpacked(), 4);
    let is_unpacked = |name: &str| store.table.read().objects[name].object.is_some();
    assert!(is_unpacked("n/object-0") && is_unpacked("n/object-99") && !is_unpacked("n/object-50"));
    let place = qualified_name(&object("object-50", "1", "u"));
    assert!(
        store.look(&place).is_some() && !is_unpacked("n/object-50"),
        "one look at many"
    );
    assert!(store.get("n", "object-50").is_some() && is_unpacked("n/object-50"));
}

#[test]
fn with_more_objects_more_can_be_unpacked() {
    let store = Store::new(1);
    let unpacked_of = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            store.put(object(&format!("object-{number}"), "1", "u"));
        }
        store.unpacked()
    };
    assert_eq!((unpacked_of(0..100), unpacked_of(100..6400)), (3, 200));
    assert_eq!(unpacked_of(6400..70_000), 2048, "and no more");
}

#[test]
fn what_nobody_looks_at_is_packed_the_second_time() {
    let store = Store::default();
    for number in 0..200 {
        store.put(object(&format!("object-{number}"), "1", "u"));
    }
    store.pack_unused();
    assert_eq!(store.unpacked(), 200, "each has just come");
    assert!(store.get("n", "object-7").is_some());
    store.pack_unused();
    assert_eq!(store.unpacked(), 1);
    store.pack_unused();
    assert_eq!((store.unpacked(), store.table.read().unpacked.len()), (0, 0));
    assert_eq!(stored(&store, "object-7").as_deref(), Some("1"));
    assert_eq!(store.unpacked(), 1);
}

#[test]
fn what_rests_leaves_its_room_to_what_is_at_work() {
    let store = Store::default();
    let put = |number: usize| store.put(object(&format!("object-{number}"), "1", "u"));
    let rests = |number: usize| store.rests(&ObjectKey::service("n", &format!("object-{number}")));
    (0..100).for_each(|number| drop(put(number)));
    (0..100).for_each(rests);
    assert_eq!(store.unpacked(), 64, "a few need not be packed");
    rests(7);
    (100..600).for_each(|number| drop(put(number)));
    let at_work = (100..548).filter(|number| {
        let name = format!("n/object-{number}");
        store.table.read().objects[&*name].object.is_some()
    });
    assert!(at_work.count() > 350 && store.unpacked() == 512);
    rests(599);
    assert_eq!(store.unpacked(), 511);
    assert_eq!(stored(&store, "object-599").as_deref(), Some("1"));
}

#[test]
fn each_version_has_a_stamp_of_its_own() {
    let store = Store::default();
    let stamp = |name: &str| store.look(&qualified_name(&object(name, "1", "u"))).unwrap().0;
    store.put(object("a", "5", "u"));
    store.put(object("b", "5", "u"));
    let first = stamp("a");
    assert_ne!(first, stamp("b"));
    store.put(object("a", "5", "u"));
    assert_eq!(stamp("a"), first, "the same again is no version");
    store.put(object("a", "6", "u"));
    assert_ne!(stamp("a"), first);
    store.put_read(object("a", "5", "u"), None, Against::Nothing);
    assert_ne!(
        stamp("a"),
        first,
        "numbers of versions are given anew after a restore of etcd"
    );
    store.put(object("other", "5", "u"));
    assert_eq!((store.stamps("n").len(), store.stamps("m").len()), (3, 0));
}

//! A control plane, from its start to its end, and what tests rely on in it.
#![allow(clippy::unwrap_used, reason = "a test that can't go on shall say where")]

use std::path::Path;
use std::time::Duration;

use control_plane::{ControlPlane, Options, audit, manifests};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};

const ACCOUNT: &str = "system:serviceaccount:rights:narrow";

/// An account that may do little, in one namespace.
const NARROW: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: rights}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: narrow, namespace: rights}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: narrow, namespace: rights}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list, create]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: narrow, namespace: rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: narrow}
subjects: [{kind: ServiceAccount, name: narrow, namespace: rights}]
";

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("not refused by the API server: {other:?}"),
    }
}

fn alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_held_deleted_namespaces_go_and_nothing_is_left_behind() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let (processes, folder) = (cluster.process_ids(), cluster.folder().to_owned());
    assert!(folder.exists() && processes.iter().all(|process| alive(*process)));

    rights(&cluster).await;
    a_deleted_namespace_goes(&cluster.client()).await;
    an_owned_object_follows_its_owner(&cluster.client()).await;

    drop(cluster);
    assert!(!folder.exists());
    assert!(processes.into_iter().all(|process| !alive(process)));
}

async fn rights(cluster: &ControlPlane) {
    manifests::apply_all(&cluster.client(), NARROW).await.unwrap();
    let kubeconfig = cluster.account_kubeconfig("rights", "narrow").await.unwrap();
    let narrow = control_plane::client_of(&kubeconfig).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(narrow.clone(), "rights");
    let secrets = Api::<Secret>::namespaced(narrow.clone(), "rights");
    let since = cluster.audit_log().map(|log| audit::end(&log).unwrap());

    maps.create(&PostParams::default(), &config_map("mine")).await.unwrap();
    maps.get("mine").await.unwrap();
    assert_eq!(code(maps.delete("mine", &DeleteParams::default()).await), 403);
    assert_eq!(code(secrets.list(&ListParams::default()).await), 403);
    let elsewhere = Api::<ConfigMap>::namespaced(narrow.clone(), "default");
    assert_eq!(code(elsewhere.list(&ListParams::default()).await), 403);
    assert_eq!(code(Api::<Namespace>::all(narrow).list(&ListParams::default()).await), 403);
    if let (Some(log), Some(since)) = (cluster.audit_log(), since) {
        the_audit_log_has_it(&log, since).await;
    }
}

async fn the_audit_log_has_it(log: &Path, since: u64) {
    let expected: Vec<_> = [
        ("create", "configmaps", 201),
        ("get", "configmaps", 200),
        ("delete", "configmaps", 403),
        ("list", "secrets", 403),
        ("list", "configmaps", 403),
        ("list", "namespaces", 403),
    ]
    .map(|(verb, resource, code)| (verb.to_owned(), resource.to_owned(), code))
    .into();
    let mut found = Vec::new();
    // The last line is written while its answer is on the way.
    for _ in 0..100 {
        let requests = audit::since(log, since).unwrap();
        found = requests.into_iter().filter(|entry| entry.user == ACCOUNT).map(|entry| (entry.verb, entry.resource, entry.code)).collect();
        if found.len() >= expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(found, expected);
    let counts = audit::count(&audit::since(log, since).unwrap(), ACCOUNT);
    assert_eq!(counts.get(&("get".to_owned(), "configmaps".to_owned())), Some(&1));
}

async fn a_deleted_namespace_goes(client: &Client) {
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespace = Namespace { metadata: ObjectMeta { name: Some("short-lived".into()), ..ObjectMeta::default() }, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "short-lived");
    maps.create(&PostParams::default(), &config_map("inside")).await.unwrap();
    namespaces.delete("short-lived", &DeleteParams::default()).await.unwrap();
    assert!(gone(&namespaces, "short-lived").await, "the namespace is still there");
    assert!(maps.get_opt("inside").await.unwrap().is_none());
}

async fn an_owned_object_follows_its_owner(client: &Client) {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let owner = maps.create(&PostParams::default(), &config_map("owner")).await.unwrap();
    let mut owned = config_map("owned");
    owned.metadata.owner_references = Some(vec![kube::Resource::owner_ref(&owner, &()).unwrap()]);
    maps.create(&PostParams::default(), &owned).await.unwrap();
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    assert!(gone(&maps, "owned").await, "the owned object is still there");
}

async fn gone<K>(api: &Api<K>, name: &str) -> bool
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    for _ in 0..300 {
        if api.get_opt(name).await.unwrap().is_none() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_know_nothing_of_each_other_and_a_stopped_one_keeps_its_folder_when_told_to() {
    let keep = tempfile::tempdir().unwrap();
    let kept = Options { keep: Some(keep.path().to_owned()), ..Options::default() };
    let (one, other) = tokio::join!(ControlPlane::start(kept), ControlPlane::start(Options::default()));
    let (one, other) = (one.unwrap(), other.unwrap());
    Api::<ConfigMap>::namespaced(one.client(), "default").create(&PostParams::default(), &config_map("here")).await.unwrap();
    assert!(Api::<ConfigMap>::namespaced(other.client(), "default").get_opt("here").await.unwrap().is_none());

    let processes = one.process_ids();
    one.stop().await;
    assert!(keep.path().join("control-plane.log").exists());
    assert!(processes.into_iter().all(|process| !alive(process)));
    // The other is not disturbed by that.
    other.client().apiserver_version().await.unwrap();
}

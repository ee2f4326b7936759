//! What the real Kustomize builds from the project's folders, and whether a real API server accepts it.

#![allow(clippy::unwrap_used, reason = "what can't be had fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use control_plane::{ControlPlane, Options, manifests};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The manifests of a folder.
fn build(folder: &str) -> String {
    let kustomize = control_plane::tool(root(), "kustomize", |_| {}).unwrap();
    let output = Command::new(kustomize).arg("build").arg(root().join(folder)).output().unwrap();
    assert!(output.status.success(), "kustomize build {folder}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The number of objects of each kind.
fn kinds(text: &str) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for object in manifests::parse(text).unwrap() {
        *kinds.entry(object.types.unwrap().kind).or_default() += 1;
    }
    kinds
}

async fn deployment(client: &Client) -> Deployment {
    Api::namespaced(client.clone(), "oc-essentials-system").get("oc-essentials-operator").await.unwrap()
}

async fn apply(client: &Client, text: &str) {
    manifests::apply_all(client, text).await.unwrap();
    for crd in oc_api::crds::generate() {
        manifests::established(client, &crd.metadata.name.unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn base_overlay_and_fleet_are_taken_by_the_api_server() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let client = cluster.client();

    let base = build("deploy/base");
    let kinds = kinds(&base);
    assert_eq!((kinds["CustomResourceDefinition"], kinds["Namespace"], kinds["Deployment"]), (oc_api::crds::generate().len(), 1, 1), "{kinds:?}");
    assert!(!base.contains("Helm") && !base.contains("helm.sh"), "nothing says that Helm made it");
    apply(&client, &base).await;
    let first = deployment(&client).await;
    let container = &first.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some(format!("oc-essentials-operator:{}", env!("CARGO_PKG_VERSION")).as_str()));

    // Applying the same again changes nothing; the overlay changes what it says.
    apply(&client, &base).await;
    assert_eq!(deployment(&client).await.metadata.generation, first.metadata.generation);
    apply(&client, &build("deploy/overlays/example")).await;
    let spec = deployment(&client).await.spec.unwrap();
    let pod = spec.template.spec.unwrap();
    assert_eq!((spec.replicas, pod.containers[0].image.as_deref()), (Some(2), Some("registry.example.com/oc-essentials-operator:0.1.0")));
    assert!(pod.node_selector.is_some());

    // What Flux and Argo CD apply in the examples: the schemas accept it.
    for file in ["namespaces.yaml", "platform.yaml"] {
        let text = std::fs::read_to_string(root().join("examples/fleet/platform").join(file)).unwrap();
        manifests::apply_all(&client, &text).await.unwrap();
    }
    let customers = manifests::apply_all(&client, &build("examples/fleet/customers")).await.unwrap();
    assert_eq!(customers.len(), 2);
}

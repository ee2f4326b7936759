//! What the API server takes for the writes of a service without an operator, to compare with.

use std::time::Duration;

use anyhow::Result;
use control_plane::manifests;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{AT_ONCE, object, usage};

/// The namespace for the writes without an operator.
const ALONE: &str = "alone";
/// With more objects than this, the time for each is that of so many.
const MOST: u32 = 10_000;
/// A definition without rules, for [`Floor::Slimmest`].
const BARE: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: bares.bench.example
spec:
  group: bench.example
  scope: Namespaced
  names: {plural: bares, singular: bare, kind: Bare}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

/// Whose writes are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Those of the operator: the same patches of the same size. Of the events, the few that it writes are left out.
    OwnWrites,
    /// Those of the slimmest operator that can be thought of: three small patches of an object whose definition has
    /// no rules.
    Slimmest,
}

/// What the writes for one object take.
#[derive(Clone, Copy)]
pub struct Cost {
    /// The time for all objects, divided by their number.
    pub time: Duration,
    /// The CPU time of the API server and its etcd.
    pub cpu: Duration,
}

impl Floor {
    /// Makes the writes for each object, and removes the objects. Two watches see what happens, as that of an operator
    /// and that of who waits for it.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn run(self, client: &Client, server: &[u32], services: u32) -> Result<Cost> {
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {ALONE}\n");
        manifests::apply_all(client, &format!("{namespace}---{BARE}")).await?;
        manifests::established(client, "bares.bench.example").await?;
        let (objects, services) = (self.objects(client), services.min(MOST));
        let mut watches = JoinSet::new();
        for _ in 0..2 {
            watches.spawn(watcher(objects.clone(), watcher::Config::default()).for_each(|_| async {}));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (begun, unused) = (Instant::now(), usage::cpu_of(server)?);
        stream::iter(0..services)
            .map(|number| self.life(&objects, number))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        let (time, cpu) = (begun.elapsed(), usage::cpu_of(server)? - unused);
        drop(watches);
        remove(&objects).await?;
        Ok(Cost {
            time: time / services,
            cpu: cpu / services,
        })
    }

    fn objects(self, client: &Client) -> Api<DynamicObject> {
        let (group, version, kind, plural) = match self {
            Self::OwnWrites => (
                "operatorconnect.dev",
                "v1alpha1",
                "OcEssentialService",
                "ocessentialservices",
            ),
            Self::Slimmest => ("bench.example", "v1", "Bare", "bares"),
        };
        let kind = GroupVersionKind::gvk(group, version, kind);
        Api::namespaced_with(
            client.clone(),
            ALONE,
            &ApiResource::from_gvk_with_plural(&kind, plural),
        )
    }

    async fn life(self, api: &Api<DynamicObject>, number: u32) -> Result<()> {
        let mut new = serde_json::to_value(object(number, ALONE)?)?;
        if self == Self::Slimmest {
            new["apiVersion"] = "bench.example/v1".into();
            new["kind"] = "Bare".into();
        }
        let mut seen = api
            .create(&PostParams::default(), &serde_json::from_value(new)?)
            .await?;
        let (name, plain) = (seen.name_any(), PatchParams::default());
        let [mark, begin, end] = match self {
            Self::OwnWrites => own_writes(number),
            Self::Slimmest => [
                json!({"metadata": {"annotations": {"bench.example/operation": "create"}}}),
                json!({"status": {"task": "wst_1"}}),
                json!({"status": {"ready": "True"}}),
            ],
        };
        let based_on = |mut patch: Value, seen: &DynamicObject| {
            if self == Self::OwnWrites {
                patch["metadata"]["resourceVersion"] = json!(seen.resource_version());
            }
            Patch::Merge(patch)
        };
        seen = api.patch(&name, &plain, &based_on(mark, &seen)).await?;
        for status in [begin, end] {
            seen = api.patch_status(&name, &plain, &based_on(status, &seen)).await?;
        }
        Ok(())
    }
}

/// The mark and the two statuses that the operator writes for a service.
fn own_writes(number: u32) -> [Value; 3] {
    let (tenant, id, time) = (
        super::tenant(number),
        "939c0ce7-57bf-48b3-aa40-3c0bf863849d",
        "2026-01-01T00:00:00Z",
    );
    let condition = |name: &str, status: &str, reason: &str, message: &str| json!({"type": name, "status": status, "reason": reason, "message": message, "observedGeneration": 1, "lastTransitionTime": time});
    let intent = json!({"kind": "Create", "id": id, "start": time, "tenant": tenant, "platform": "http://127.0.0.1:38957/tenantui"});
    let converting = "The platform is converting the lead to an OC Essential service.";
    [
        json!({"metadata": {"finalizers": ["operatorconnect.dev/external"], "annotations": {"operatorconnect.dev/operation": intent.to_string()}}}),
        json!({"status": {
            "observedGeneration": 1, "platform": "default", "msTenantId": tenant,
            "conditions": [condition("Ready", "False", "Converting", converting), condition("Reconciling", "True", "Converting", converting)],
            "operation": {"generation": 1, "id": id, "kind": "Create", "startedTime": time, "taskId": "wst_73accdb6-a7ff-4f29-84f1-f85b3f705bb6"},
        }}),
        json!({"status": {
            "conditions": [
                condition("Ready", "True", "Succeeded", "The platform shows the OC Essential service."),
                condition("Synced", "True", "Succeeded", "The platform shows what it should."),
                condition("LeadEligible", "True", "Succeeded", "The lead is Active."),
            ],
            "fullName": format!("Customer {number}"), "shortName": format!("C{number}_x"), "licenseType": "OC Essential",
            "umpCustomerGuid": "9099cacb-d718-452c-9eef-5885d8f425f8",
            "operation": {
                "completedTime": time, "taskEndedTime": time, "durationSeconds": 2, "messages": ["Information: Site created in Ovoc"],
                "outcome": "Succeeded", "outcomeOf": id, "taskStatus": "CompletedSuccess",
            },
            "sync": {"state": "Synced", "jobs": [{"name": "peering.sync-leads-job", "state": "Synced", "completedTime": time, "dueTime": time}]},
        }}),
    ]
}

/// Removes the objects: the operator must not see them.
async fn remove(api: &Api<DynamicObject>) -> Result<()> {
    let names: Vec<String> = api
        .list(&ListParams::default())
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    stream::iter(names)
        .map(|name| async move {
            let free = json!({"metadata": {"finalizers": null}});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(free))
                .await?;
            api.delete(&name, &DeleteParams::default()).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

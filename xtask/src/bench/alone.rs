//! The writes that a service needs at least, made without an operator, to compare with.

use std::time::Duration;

use anyhow::Result;
use control_plane::manifests;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use oc_api::OcEssentialService;
use serde_json::json;
use tokio::time::Instant;

use super::{AT_ONCE, object, usage};

/// How many events are written at the same time.
const TOLD_AT_ONCE: usize = 4;
/// The namespace for the writes without an operator.
const ALONE: &str = "alone";

/// Makes the writes for each object: its create, its mark, its status twice, and an event. The operator writes
/// the status once more when the task still runs at the first look. Returns how long that takes, and the CPU
/// time of the API server's processes.
///
/// # Errors
/// When a write fails.
pub async fn run(client: &Client, server: &[u32], services: u32) -> Result<(Duration, Duration)> {
    manifests::apply_all(
        client,
        &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {ALONE}\n"),
    )
    .await?;
    let (begun, unused) = (Instant::now(), usage::cpu_of(server)?);
    let lives = async {
        stream::iter(0..services)
            .map(|number| life(client, number))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    };
    let told = async {
        stream::iter(0..services)
            .map(|number| tell(client, number))
            .buffer_unordered(TOLD_AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    };
    tokio::try_join!(lives, told)?;
    let cost = (begun.elapsed(), usage::cpu_of(server)? - unused);
    // The operator must not see them, so they are removed before it starts.
    stream::iter(0..services)
        .map(|number| remove(client, number))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok(cost)
}

async fn life(client: &Client, number: u32) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(client.clone(), ALONE);
    let made = api
        .create(&PostParams::default(), &object(number, ALONE)?)
        .await?;
    let name = made.name_any();
    let mark = json!({"metadata": {"resourceVersion": made.resource_version(), "finalizers": ["operatorconnect.dev/external"], "annotations": {"operatorconnect.dev/operation": "{}"}}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(mark))
        .await?;
    for reason in ["Converting", "Succeeded"] {
        let status = json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        api.patch_status(&name, &PatchParams::apply("alone").force(), &Patch::Apply(status))
            .await?;
    }
    Ok(())
}

async fn tell(client: &Client, number: u32) -> Result<()> {
    let event: Event = serde_json::from_value(json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": format!("alone.{number}"), "namespace": ALONE},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "operatorconnect.dev/alone", "reportingInstance": "alone",
        "action": "Convert", "reason": "ConversionRequested", "type": "Normal", "note": "Asked the platform to convert the lead to an OC Essential service.",
        "regarding": {"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "namespace": ALONE, "name": format!("customer-{number}")},
    }))?;
    Api::<Event>::namespaced(client.clone(), ALONE)
        .create(&PostParams::default(), &event)
        .await?;
    Ok(())
}

async fn remove(client: &Client, number: u32) -> Result<()> {
    let api = Api::<OcEssentialService>::namespaced(client.clone(), ALONE);
    let name = object(number, ALONE)?.name_any();
    let free = json!({"metadata": {"finalizers": null}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(free))
        .await?;
    api.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

//! States that no other case reaches: suspended objects, and refusals that only the platform can give.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oc_api::{Lead, OcEssentialService};
use serde_json::json;

use super::stage::{Scene, message, ready_is};

pub async fn suspended_objects_are_left_alone(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2, 3]).await?;
    scene.connect(json!({})).await?;
    // An existing service stays as it is; a new one is not started; the same goes for a lead.
    scene.service("settled", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready::<OcEssentialService>("settled", "True", "Succeeded").await?;
    scene.change::<OcEssentialService>("settled", json!({"suspend": true})).await?;
    scene.service("fresh", 2, json!({"suspend": true})).await?;
    scene.lead("fresh", 3, json!({"suspend": true})).await?;
    scene.ready::<OcEssentialService>("settled", "False", "Suspended").await?;
    scene.ready::<OcEssentialService>("fresh", "False", "Suspended").await?;
    scene.ready::<Lead>("fresh", "False", "Suspended").await?;
    let changes = scene.changes().await?;
    ensure!(changes == 1, "the create of the one that is there, and nothing of those that are new: {changes}");
    // Its service is not deleted while it is suspended, and the object waits.
    scene.delete::<OcEssentialService>("settled").await?;
    let waits = |service: &OcEssentialService| ready_is(service, "False", "Suspended") && message(service).contains("does not delete");
    scene.until::<OcEssentialService>("settled", waits).await?;
    ensure!(scene.changes().await? == changes, "nothing is asked for");
    scene.change::<OcEssentialService>("settled", json!({"suspend": false})).await?;
    scene.gone::<OcEssentialService>("settled").await?;
    ensure!(scene.calls("services.delete").await? == 1, "and then it is");
    ensure!(scene.calls("services.create").await? == 1, "what is new is not begun");
    Ok(())
}

pub async fn a_license_of_another_kind_and_a_refusal_are_told(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "licensed", "fullName": "licensed Ltd", "licenseType": 1})).await?;
    scene.fault(json!({"kind": "serverError", "status": 422, "endpoint": "services.create", "forever": true})).await?;
    scene.connect(json!({})).await?;
    scene.service("licensed", 1, json!({})).await?;
    scene.service("refused", 2, json!({})).await?;
    let licensed: OcEssentialService = scene.ready("licensed", "False", "AlreadyLicensed").await?;
    ensure!(licensed.status.context("a status")?.license_type.is_none(), "no license is claimed");
    scene.ready::<OcEssentialService>("refused", "False", "PlatformRefused").await?;
    // An annotation of someone else causes a reconcile. A reconcile request or a changed spec would repeat the request.
    for note in ["one", "two"] {
        let passes = scene.passes("refused", "reconciled")?.len();
        scene.annotate::<OcEssentialService>("refused", "example.com/note", note).await?;
        for _ in 0..150 {
            if scene.passes("refused", "reconciled")?.len() > passes {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        ensure!(scene.passes("refused", "reconciled")?.len() > passes, "{note}: nobody looked");
    }
    ensure!(scene.calls("services.create").await? == 1, "asked for once");
    Ok(())
}

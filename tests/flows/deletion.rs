//! Deletion of objects.

use anyhow::{Context, Result, ensure};
use oc_api::OcEssentialService;
use serde_json::{Value, json};

use super::stage::{Scene, message};

pub async fn retain_lets_go_and_keeps_the_service(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 0);
    ensure!(scene.simulate("GET", "services", Value::Null).await?["services"].to_string().contains(guid.as_str()), "the paid service is still there");
    // The same object, created again, takes over its own service.
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(service.status.and_then(|status| status.ump_customer_guid) == Some(guid));
    ensure!(scene.calls("services.create").await? == 1, "made once");
    Ok(())
}

pub async fn delete_deletes_and_looks_until_it_is_gone(scene: Scene) -> Result<()> {
    scene.consented(&[1, 2]).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({"deletionPolicy": "Delete"})).await?;
    scene.service("other", 2, json!({})).await?;
    let own: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let own = own.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    let other: OcEssentialService = scene.ready("other", "True", "Succeeded").await?;
    // The platform's list shows it for a while after the deletion was accepted (N-11).
    scene.simulate("PATCH", "settings", json!({"deletionDelay": 3000})).await?;
    scene.delete::<OcEssentialService>("contoso").await?;
    scene.ready::<OcEssentialService>("contoso", "False", "Deleting").await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1, "asked for once");
    let left = scene.simulate("GET", "services", Value::Null).await?;
    let guid = other.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    ensure!(left["services"].to_string().contains(guid.as_str()), "the other service is still there");
    ensure!(!left["services"].to_string().contains(own.as_str()), "its own is gone");
    scene.ready::<OcEssentialService>("other", "True", "Succeeded").await?;
    Ok(())
}

pub async fn a_service_deleted_behind_our_back_is_told_and_made_again_only_when_asked(scene: Scene) -> Result<()> {
    scene.consented(&[1]).await?;
    scene.connect(json!({})).await?;
    scene.service("contoso", 1, json!({})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    let guid = service.status.and_then(|status| status.ump_customer_guid).context("a guid")?;
    scene.simulate("DELETE", &format!("services/{guid}"), Value::Null).await?;
    let service: OcEssentialService = scene.ready("contoso", "False", "DeletedExternally").await?;
    ensure!(message(&service).contains("recreate"), "{}", message(&service));
    ensure!(service.status.is_some_and(|status| status.license_type.is_none()), "no license is claimed");
    // It stays that way, also when it is reconciled again.
    scene.annotate::<OcEssentialService>("contoso", "operatorconnect.dev/reconcile-requested-at", "again").await?;
    scene
        .until("contoso", |service: &OcEssentialService| {
            service.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("again"))
        })
        .await?;
    scene.ready::<OcEssentialService>("contoso", "False", "DeletedExternally").await?;
    ensure!(scene.calls("services.create").await? == 1);
    scene.change::<OcEssentialService>("contoso", json!({"recreate": true})).await?;
    let service: OcEssentialService = scene.ready("contoso", "True", "Succeeded").await?;
    ensure!(service.status.and_then(|status| status.ump_customer_guid).is_some_and(|new| new != guid), "another service");
    ensure!(scene.calls("services.create").await? == 2);
    Ok(())
}

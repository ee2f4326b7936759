//! From a `LivePlatform` object to a connection: the Secret or the projected token, the CA bundle, the client, the budget and the inventory.

use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};
use live_platform::{Client, Credential, Settings};
use oc_domain::conditions::{Reason, Trouble};

use super::shared::{Connected, Shared};
use super::wakes;
use crate::api::LivePlatform;
use crate::engine::budget::{Budget, Limits};
use crate::inventory::Inventory;

/// The connection that a platform object asks for. The one that exists is kept when nothing it was made from has changed.
pub async fn connection(shared: &Arc<Shared>, object: &LivePlatform) -> Connected {
    let name = object.name_any();
    match ingredients(shared, object).await {
        Ok((settings, credential, fingerprint)) => {
            if let Some(before) = shared.connected(&name).filter(|before| before.fingerprint == fingerprint && before.inventory.is_ok()) {
                return before;
            }
            Connected { inventory: make(shared, object, settings, credential), fingerprint }
        }
        Err(trouble) => Connected { fingerprint: String::new(), inventory: Err(trouble) },
    }
}

fn make(shared: &Arc<Shared>, object: &LivePlatform, settings: Settings, credential: Credential) -> Result<Arc<Inventory>, Trouble> {
    let unusable = |error: live_platform::Error| Trouble::new(Reason::PlatformUnavailable, format!("The connection can't be made: {}", error.message()));
    let client = Client::new(settings, credential, None).map_err(unusable)?;
    let requests = &object.spec.requests;
    let limits = Limits { per_second: requests.per_second, burst: requests.burst, in_flight: requests.in_flight };
    let platform = object.name_any();
    let (for_budget, for_inventory): (Weak<Shared>, Weak<Shared>) = (Arc::downgrade(shared), Arc::downgrade(shared));
    let name = platform.clone();
    let budget = Budget::new(limits, move || {
        if let Some(shared) = for_budget.upgrade() {
            wakes::platform_is_back(&shared, &name);
        }
    });
    Ok(Arc::new(Inventory::new(client, budget, move |changed| {
        if let Some(shared) = for_inventory.upgrade() {
            wakes::inventory_changed(&shared, &platform, &changed);
        }
    })))
}

async fn ingredients(shared: &Shared, object: &LivePlatform) -> Result<(Settings, Credential, String), Trouble> {
    let spec = &object.spec;
    let entra = &spec.authentication.entra;
    let url = |text: &str, field: &str| {
        reqwest::Url::parse(text)
            .map_err(|_| Trouble::new(Reason::InvalidSpec, format!("{field} is no URL; give one such as https://live.example.com/tenantui")))
    };
    let base_url = url(&spec.url, "spec.url")?;
    let default_token_url = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", entra.tenant_id);
    let token_url = url(entra.token_url.as_deref().unwrap_or(&default_token_url), "spec.authentication.entra.tokenUrl")?;
    let mut settings = Settings::new(base_url, token_url, entra.client_id.clone(), entra.scope.clone());
    let (credential, version) = credential(shared, object).await?;
    let ca_version = match &spec.ca_bundle_ref {
        None => String::new(),
        Some(reference) => {
            let bad = |what: &str| {
                Trouble::new(Reason::AuthenticationFailed, format!("spec.caBundleRef: ConfigMap {}/{} {what}", reference.namespace, reference.name))
            };
            let read = Api::<ConfigMap>::namespaced(shared.client.clone(), &reference.namespace).get_opt(&reference.name).await;
            let map = read.map_err(|_| bad("can't be read; grant the operator get on it."))?.ok_or_else(|| bad("is not there; make it."))?;
            let bundle = map.data.as_ref().and_then(|data| data.get(&reference.key)).ok_or_else(|| bad(&format!("has no key {}.", reference.key)))?;
            settings.ca_bundle_pem = Some(bundle.clone().into_bytes());
            map.resource_version().unwrap_or_default()
        }
    };
    let fingerprint = format!("{}|{:?}|{:?}|{version}|{ca_version}", spec.url, spec.authentication, spec.requests);
    Ok((settings, credential, fingerprint))
}

async fn credential(shared: &Shared, object: &LivePlatform) -> Result<(Credential, String), Trouble> {
    let entra = &object.spec.authentication.entra;
    let trouble = |message: String| Trouble::new(Reason::AuthenticationFailed, message);
    let Some(reference) = &entra.client_secret_ref else {
        let file = shared.federated_token_file.clone().ok_or_else(|| {
            trouble("spec.authentication.entra.workloadIdentity: this operator has no projected token. Start it with --federated-token-file (the chart's workloadIdentity), or use clientSecretRef.".into())
        })?;
        return Ok((Credential::FederatedToken { file: file.clone() }, format!("file {}", file.display())));
    };
    let (namespace, name) = (&reference.namespace, &reference.name);
    let read = Api::<Secret>::namespaced(shared.client.clone(), namespace).get_opt(name).await;
    let secret = read
        .map_err(|_| trouble(format!("Secret {namespace}/{name} can't be read; grant the operator get on it.")))?
        .ok_or_else(|| trouble(format!("Secret {namespace}/{name} is not there; make it, with the client secret under the key {}.", reference.key)))?;
    let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
    let value = value.ok_or_else(|| trouble(format!("Secret {namespace}/{name} has no key {}.", reference.key)))?;
    let text = std::str::from_utf8(&value.0).map_err(|_| trouble(format!("Secret {namespace}/{name}: the value of {} is no text.", reference.key)))?;
    let version = format!("{}/{}", secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
    Ok((Credential::ClientSecret { secret: text.trim_end_matches(['\r', '\n']).to_owned().into(), version: version.clone() }, version))
}

//! From a `LivePlatform` object to a connection: the Secret or the projected token, the CA bundle, the client, the budget and the inventory.
//!
//! The operator may `get` the Secrets that it is told of, and neither list nor watch any, so a changed Secret is found by reading it. It is read
//! when there is a reason to: at each observation, when the spec has changed or somebody asks for a look, and while something fails. While the
//! credential is what fails it is read every [`CREDENTIAL_LOOK`]: that costs the platform nothing, which hears of it only when the Secret is another one.

use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::GetParams;
use kube::{Api, ResourceExt};
use live_platform::{Client, Credential, Settings};
use oc_domain::capability::Known;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::time::{Duration, Time};

use super::meter::Calls;
use super::shared::{Connected, Shared};
use super::wakes;
use crate::api::LivePlatform;
use crate::engine::budget::{Budget, Limits, News};
use crate::engine::clock;
use crate::inventory::Inventory;
use crate::object::record::{NUMBERS, capability, requested};

/// How soon a Secret that does not do is read again. A person who has just changed it is looking at the screen.
pub const CREDENTIAL_LOOK: Duration = Duration::from_millis(500);

/// The connection that a platform object asks for. The one that exists is kept when nothing it was made from has changed; `failing` says that the
/// last pass met with trouble, so that what it is made from is read again.
pub async fn connection(shared: &Arc<Shared>, object: &LivePlatform, failing: bool) -> Connected {
    let name = object.name_any();
    let before = shared.connected(&name);
    let now = clock::now();
    if let Some(before) = before.as_ref().filter(|before| !failing && !due(before, object, now)) {
        return before.clone();
    }
    let refused = before.as_ref().is_some_and(Connected::refused);
    let last_good = before.as_ref().and_then(|before| before.last_good.clone()).filter(|good| good.place == place(object));
    let connected = |fingerprint, inventory| Connected { fingerprint, spec: spec(object), read: now, inventory, last_good: last_good.clone() };
    let numbers = numbers(object, before.as_ref());
    match (ingredients(shared, object, refused).await, before) {
        (Ok((settings, credential, fingerprint)), before) => {
            let known = before.and_then(|before| Some((before.fingerprint, before.inventory.ok()?)));
            let known = known.or(last_good.clone().map(|good| (good.fingerprint, good.inventory)));
            let inventory = match known.filter(|(known, _)| *known == fingerprint) {
                Some((_, inventory)) => Ok(inventory),
                None => make(shared, object, settings, credential, numbers),
            };
            connected(fingerprint, inventory)
        }
        // An API server that is away says nothing about the Secret: what works is worked with on.
        (Err(Unread::Now(_)), Some(before)) if before.inventory.is_ok() && before.spec == spec(object) => before,
        (Err(Unread::Now(trouble) | Unread::Lasting(trouble)), _) => connected(String::new(), Err(trouble)),
    }
}

/// Whether it is time to read the Secret and the CA bundle again.
fn due(before: &Connected, object: &LivePlatform, now: Time) -> bool {
    let asked = requested(object) != object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
    asked || before.inventory.is_err() || before.refused() || before.spec != spec(object) || now >= before.read + object.spec.observe_interval.span() * 3 / 4
}

/// What of the spec a connection is made from.
pub fn spec(object: &LivePlatform) -> String {
    format!("{}|{:?}", place(object), object.spec.requests)
}

/// What is known of the call for telephone numbers: what the connection before has learnt, else what status tells. Of another platform both say nothing.
fn numbers(object: &LivePlatform, before: Option<&Connected>) -> Known {
    let Some(before) = before else { return Known::told(capability(object, NUMBERS)) };
    let learnt = before.inventory.as_ref().ok().or(before.last_good.as_ref().map(|good| &good.inventory)).and_then(|inventory| inventory.tells_numbers());
    Known::told(learnt.or(capability(object, NUMBERS)).filter(|_| before.spec.starts_with(&place(object))))
}

/// Which platform is meant, and as whom it is spoken to.
pub fn place(object: &LivePlatform) -> String {
    let spec = &object.spec;
    format!("{}|{:?}|{:?}", spec.url, spec.authentication, spec.ca_bundle_ref)
}

/// Why there is nothing to make a connection from.
enum Unread {
    /// The API server did not answer: it will.
    Now(Trouble),
    /// As long as nobody does something.
    Lasting(Trouble),
}

impl From<Trouble> for Unread {
    fn from(trouble: Trouble) -> Self {
        Self::Lasting(trouble)
    }
}

fn make(shared: &Arc<Shared>, object: &LivePlatform, settings: Settings, credential: Credential, numbers: Known) -> Result<Arc<Inventory>, Trouble> {
    let unusable = |error: live_platform::Error| Trouble::new(Reason::PlatformUnavailable, format!("The connection can't be made: {}", error.message()));
    let calls = Arc::new(Calls { meter: Arc::clone(&shared.meter), platform: object.name_any() });
    let client = Client::new(settings, credential, Some(calls)).map_err(unusable)?;
    let requests = &object.spec.requests;
    let limits = Limits { per_second: requests.per_second, burst: requests.burst, in_flight: requests.in_flight };
    let platform = object.name_any();
    let (for_budget, for_inventory): (Weak<Shared>, Weak<Shared>) = (Arc::downgrade(shared), Arc::downgrade(shared));
    let name = platform.clone();
    let budget = Budget::new(limits, move |news| {
        let Some(shared) = for_budget.upgrade() else { return };
        shared.meter.budget(&name, news);
        if news == News::Back {
            // What failed before that is nobody's answer any more.
            if let Some(inventory) = shared.connected(&name).and_then(|connected| connected.inventory.ok()) {
                inventory.forget_failures();
            }
            wakes::platform_is_back(&shared, &name);
        }
    });
    Ok(Arc::new(Inventory::new(client, budget, numbers, move |changed| {
        if let Some(shared) = for_inventory.upgrade() {
            wakes::inventory_changed(&shared, &platform, &changed);
        }
    })))
}

/// Reads what the spec refers to. `cached` takes the API server's own cache for it, which is good enough for a look that is repeated twice a second.
async fn ingredients(shared: &Shared, object: &LivePlatform, cached: bool) -> Result<(Settings, Credential, String), Unread> {
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
    let (credential, version) = credential(shared, object, cached).await?;
    let ca_version = match &spec.ca_bundle_ref {
        None => String::new(),
        Some(reference) => {
            let name = format!("spec.caBundleRef: ConfigMap {}/{}", reference.namespace, reference.name);
            let bad = |what: &str| Trouble::new(Reason::AuthenticationFailed, format!("{name} {what}"));
            let map = read::<ConfigMap>(shared, &reference.namespace, &reference.name, cached, &name).await?.ok_or_else(|| bad("is not there; make it."))?;
            let bundle = map.data.as_ref().and_then(|data| data.get(&reference.key)).ok_or_else(|| bad(&format!("has no key {}.", reference.key)))?;
            settings.ca_bundle_pem = Some(bundle.clone().into_bytes());
            map.resource_version().unwrap_or_default()
        }
    };
    let fingerprint = format!("{}|{:?}|{:?}|{version}|{ca_version}", spec.url, spec.authentication, spec.requests);
    Ok((settings, credential, fingerprint))
}

/// Reads one object by its name; `what` is how a message calls it.
async fn read<K>(shared: &Shared, namespace: &str, name: &str, cached: bool, what: &str) -> Result<Option<K>, Unread>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = if cached { GetParams::any() } else { GetParams::default() };
    match Api::<K>::namespaced(shared.client.clone(), namespace).get_with(name, &params).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Err(Trouble::new(Reason::AuthenticationFailed, format!("{what} can't be read; grant the operator get on it.")).into())
        }
        Err(_) => {
            let message = format!("{what} can't be read: the API server does not give it; tried again.");
            Err(Unread::Now(Trouble::new(Reason::PlatformUnavailable, message)))
        }
    }
}

async fn credential(shared: &Shared, object: &LivePlatform, cached: bool) -> Result<(Credential, String), Unread> {
    let entra = &object.spec.authentication.entra;
    let trouble = |message: String| Trouble::new(Reason::AuthenticationFailed, message);
    let Some(reference) = &entra.client_secret_ref else {
        let file = shared.federated_token_file.clone().ok_or_else(|| {
            trouble("spec.authentication.entra.workloadIdentity: this operator has no projected token. Start it with --federated-token-file (the chart's workloadIdentity), or use clientSecretRef.".into())
        })?;
        return Ok((Credential::FederatedToken { file: file.clone() }, format!("file {}", file.display())));
    };
    let name = format!("Secret {}/{}", reference.namespace, reference.name);
    let secret = read::<Secret>(shared, &reference.namespace, &reference.name, cached, &name)
        .await?
        .ok_or_else(|| trouble(format!("{name} is not there; make it, with the client secret under the key {}.", reference.key)))?;
    let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
    let value = value.ok_or_else(|| trouble(format!("{name} has no key {}.", reference.key)))?;
    let text = std::str::from_utf8(&value.0).map_err(|_| trouble(format!("{name}: the value of {} is no text.", reference.key)))?;
    let version = format!("{}/{}", secret.uid().unwrap_or_default(), secret.resource_version().unwrap_or_default());
    Ok((Credential::ClientSecret { secret: text.trim_end_matches(['\r', '\n']).to_owned().into(), version: version.clone() }, version))
}

//! From a `LivePlatform` object to a connection: the Secret or the projected token, the CA bundle, the
//! client, the budget and the inventory.
//!
//! The operator may `get` the Secrets that specs refer to, but may not list or watch any, so it finds a
//! changed Secret by reading it. It reads the Secret when there is a reason: at each observation, when the
//! spec has changed or a reconcile is requested, and while something fails. While the credential itself
//! fails, it reads every [`CREDENTIAL_LOOK`]. That costs the platform nothing: the operator calls it only
//! when the Secret is a different one.

use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use live_platform::{Client, ClientSettings, Credential};
use oc_domain::capability::KnownCapability;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::time::{Duration, Time};

use crate::cluster::address::{identity, place};
use crate::cluster::record::{NUMBERS, capability, requested};
use crate::cluster::secrets;
use crate::controllers::context::Context;
use crate::controllers::handlers;
use crate::controllers::metrics::Calls;
use crate::platform::budget::{Budget, BudgetEvent, Limits, Room};
use crate::platform::connections::{Connected, LastWorking, Trying};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use oc_api::LivePlatform;
use oc_api::live_platform::ContactDetails;

/// How soon a Secret that does not work is read again. A person who has just changed it is watching the
/// screen.
pub const CREDENTIAL_LOOK: Duration = Duration::from_millis(500);

/// The connection that a platform object asks for. Keeps the existing one when nothing it was made from has
/// changed. `failing` means that the last pass failed, so the Secret and the CA bundle are read again.
pub async fn connection(context: &Arc<Context>, object: &LivePlatform, failing: bool) -> Connected {
    let name = object.name_any();
    let before = context.connections.of(&name);
    let now = clock::now();
    if let Some(before) = before
        .as_ref()
        .filter(|before| !failing && !due(context, before, object, now))
    {
        return Connected::clone(before);
    }
    let refused = before.as_ref().is_some_and(|before| before.refused());
    let last_good = before
        .as_ref()
        .and_then(|before| before.last_good.clone())
        .filter(|good| good.identity == identity(object));
    let (place, numbers) = (place(object), numbers(object, before.as_deref()));
    let connected = |fingerprint, inventory, trying| Connected {
        fingerprint,
        spec: spec(context, object),
        place: place.clone(),
        read: now,
        inventory,
        last_good: last_good.clone(),
        trying,
    };
    let (settings, credential, fingerprint) = match (ingredients(context, object, refused).await, &before) {
        (Ok(ingredients), _) => ingredients,
        // An unreachable API server says nothing about the Secret: keep the connection that works.
        (Err(NoCredential::Now(_)), Some(before))
            if before.inventory.is_ok() && before.spec == spec(context, object) =>
        {
            return Connected::clone(before);
        }
        (Err(NoCredential::Now(trouble) | NoCredential::Lasting(trouble)), _) => {
            return connected(String::new(), Err(trouble), None);
        }
    };
    let same_spec = before
        .as_ref()
        .is_some_and(|before| before.inventory.is_ok() && before.spec == spec(context, object));
    let known = known(before.as_deref(), last_good.as_ref(), &fingerprint);
    let inventory = known.map_or_else(|| make(context, object, settings, credential, numbers), Ok);
    let proven = |good: &LastWorking| good.fingerprint == fingerprint;
    let stays = |good: &LastWorking| same_spec && !proven(good) && !refuses(&good.inventory);
    match (inventory, last_good.clone().filter(stays)) {
        // A changed credential is tried beside the previous one, as long as that one works.
        (Ok(inventory), Some(good)) => {
            let trying = Trying {
                fingerprint,
                inventory,
            };
            connected(good.fingerprint, Ok(good.inventory), Some(trying))
        }
        (inventory, _) => connected(fingerprint, inventory, None),
    }
}

/// The inventory made earlier from the same ingredients: the active one, the one being tried, or the last one
/// that worked.
fn known(
    before: Option<&Connected>,
    good: Option<&LastWorking>,
    fingerprint: &str,
) -> Option<Arc<Inventory>> {
    let tried = before
        .and_then(|before| before.trying.as_ref())
        .map(|trying| (&trying.fingerprint, &trying.inventory));
    let active = before.and_then(|before| Some((&before.fingerprint, before.inventory.as_ref().ok()?)));
    let good = good.map(|good| (&good.fingerprint, &good.inventory));
    let mut all = [active, tried, good].into_iter().flatten();
    all.find(|(known, _)| *known == fingerprint)
        .map(|(_, inventory)| Arc::clone(inventory))
}

/// Tries the credential that is not proven yet. Once a call with it succeeds, it becomes the active one.
/// Until then the previous one stays, and the trouble is returned with it.
pub async fn prove(connected: Connected, object: &LivePlatform) -> (Connected, Option<Trouble>) {
    let Some(trying) = connected.trying.clone() else {
        return (connected, None);
    };
    if requested(object)
        != object
            .status
            .as_ref()
            .and_then(|status| status.last_handled_reconcile_at.clone())
    {
        trying.inventory.budget().probe_now();
    }
    match trying.inventory.services(clock::now()).await {
        Ok(_) => (
            Connected {
                fingerprint: trying.fingerprint,
                inventory: Ok(trying.inventory),
                trying: None,
                ..connected
            },
            None,
        ),
        Err(trouble) => (connected, Some(trouble)),
    }
}

/// Whether the platform, or its directory, refuses the credential.
fn refuses(inventory: &Inventory) -> bool {
    inventory
        .budget()
        .open_reason()
        .is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
}

/// Whether it is time to read the Secret and the CA bundle again.
fn due(context: &Context, before: &Connected, object: &LivePlatform, now: Time) -> bool {
    let asked = requested(object)
        != object
            .status
            .as_ref()
            .and_then(|status| status.last_handled_reconcile_at.clone());
    let fails = before.inventory.is_err() || before.trying.is_some() || before.refused();
    asked
        || fails
        || before.spec != spec(context, object)
        || now >= before.read + object.spec.observe_interval.span() * 3 / 4
}

/// The part of the spec, and of the specs that point to the same place, that a connection is made from.
fn spec(context: &Context, object: &LivePlatform) -> String {
    let contact_details = object.spec.contact_details;
    format!(
        "{}|{:?}|{contact_details:?}",
        identity(object),
        limits(context, object)
    )
}

/// Whether the platform offers the call for telephone numbers: what the previous connection has learnt,
/// otherwise what the status says. Both are ignored if the URL, authentication or CA bundle reference has
/// changed since the previous connection, which may have been to another platform.
fn numbers(object: &LivePlatform, before: Option<&Connected>) -> KnownCapability {
    let Some(before) = before else {
        return KnownCapability::told(capability(object, NUMBERS));
    };
    let learnt = before
        .inventory
        .as_ref()
        .ok()
        .or(before.last_good.as_ref().map(|good| &good.inventory))
        .and_then(|inventory| inventory.tells_numbers());
    KnownCapability::told(
        learnt
            .or(capability(object, NUMBERS))
            .filter(|_| before.spec.starts_with(&identity(object))),
    )
}

/// The limits on requests to the platform. Objects of one place share one budget, and the lowest of each
/// limit applies: it was set for the platform, and it is the same platform.
fn limits(context: &Context, object: &LivePlatform) -> Limits {
    let siblings = context.cache.index.siblings(&object.name_any());
    let all = siblings
        .iter()
        .filter_map(|name| context.cache.platforms.get("", name))
        .map(|other| other.spec.requests.clone());
    let own = &object.spec.requests;
    let own = Limits {
        per_second: own.per_second,
        burst: own.burst,
        in_flight: own.in_flight,
    };
    all.fold(own, |least, other| Limits {
        per_second: least.per_second.min(other.per_second),
        burst: least.burst.min(other.burst),
        in_flight: least.in_flight.min(other.in_flight),
    })
}

/// Why no connection can be made.
enum NoCredential {
    /// The API server did not answer. This is temporary.
    Now(Trouble),
    /// The cause remains until somebody changes something.
    Lasting(Trouble),
}

impl From<Trouble> for NoCredential {
    fn from(trouble: Trouble) -> Self {
        Self::Lasting(trouble)
    }
}

fn make(
    context: &Arc<Context>,
    object: &LivePlatform,
    settings: ClientSettings,
    credential: Credential,
    numbers: KnownCapability,
) -> Result<Arc<Inventory>, Trouble> {
    let unusable = |error: live_platform::Error| {
        Trouble::new(
            Reason::PlatformUnavailable,
            format!("The operator can't set up the connection: {}.", error.message()),
        )
    };
    let platform = Arc::<str>::from(object.name_any());
    let calls = Arc::new(Calls {
        metrics: Arc::clone(&context.metrics),
        platform: Arc::clone(&platform),
    });
    let client = Client::new(settings, credential, Some(calls)).map_err(unusable)?;
    let limits = limits(context, object);
    let room = place(object).map_or_else(
        || Room::new(limits),
        |place| context.connections.room(&place, limits),
    );
    let (for_budget, for_inventory): (Weak<Context>, Weak<Context>) =
        (Arc::downgrade(context), Arc::downgrade(context));
    let name = Arc::clone(&platform);
    let budget = Budget::sharing(room, move |news| {
        let Some(context) = for_budget.upgrade() else {
            return;
        };
        context.metrics.budget(&name, news);
        if news == BudgetEvent::Back {
            // Failures from before the platform came back no longer count as answers.
            if let Some(inventory) = context
                .connections
                .of(&name)
                .and_then(|connected| connected.inventory.as_ref().ok().cloned())
            {
                inventory.forget_failures();
            }
            handlers::platform_is_back(&context, &name);
        }
    });
    let (for_lists, name) = (Arc::downgrade(context), Arc::clone(&platform));
    let is_crowded = move || {
        let context = for_lists.upgrade();
        context.is_some_and(|context| context.is_crowded(&name))
    };
    Ok(Arc::new(Inventory::new(
        client,
        budget,
        numbers,
        Arc::new(is_crowded),
        move |changed| {
            if let Some(context) = for_inventory.upgrade() {
                handlers::inventory_changed(&context, &platform, &changed);
            }
        },
    )))
}

/// Reads what the spec refers to. `cached` allows the API server's own cache, which is good enough for a read
/// that is repeated twice a second.
async fn ingredients(
    context: &Context,
    object: &LivePlatform,
    cached: bool,
) -> Result<(ClientSettings, Credential, String), NoCredential> {
    let spec = &object.spec;
    let entra = &spec.authentication.entra;
    let url = |text: &str, field: &str, example: &str| {
        reqwest::Url::parse(text).map_err(|_| {
            Trouble::new(
                Reason::InvalidSpec,
                format!("{field} is not a URL. Use a complete one (such as {example})."),
            )
        })
    };
    let base_url = url(&spec.url, "spec.url", "https://live.example.com/tenantui")?;
    let default_token_url = format!(
        "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
        entra.tenant_id
    );
    let token_url = url(
        entra.token_url.as_deref().unwrap_or(&default_token_url),
        "spec.authentication.entra.tokenUrl",
        &default_token_url,
    )?;
    let mut settings = ClientSettings::new(base_url, token_url, entra.client_id.clone(), entra.scope.clone());
    let limits = limits(context, object);
    settings.in_flight = limits.in_flight as usize;
    settings.contact_details = spec.contact_details == ContactDetails::Include;
    let (credential, version) = credential(context, object, cached).await?;
    let ca_version = match &spec.ca_bundle_ref {
        None => String::new(),
        Some(reference) => {
            let name = format!(
                "spec.caBundleRef: ConfigMap {}/{}",
                reference.namespace, reference.name
            );
            let bad = |what: &str| Trouble::new(Reason::AuthenticationFailed, format!("{name} {what}"));
            let map = read::<ConfigMap>(
                context,
                (&reference.namespace, &reference.name),
                cached,
                &name,
                secrets::Unread::Missing.says(),
            )
            .await?;
            let bundle = map
                .data
                .as_ref()
                .and_then(|data| data.get(&reference.key))
                .ok_or_else(|| bad(&format!("has no key {}.", reference.key)))?;
            settings.ca_bundle_pem = Some(bundle.clone().into_bytes());
            map.resource_version().unwrap_or_default()
        }
    };
    let fingerprint = format!(
        "{}|{:?}|{limits:?}|{:?}|{version}|{ca_version}",
        spec.url, spec.authentication, spec.contact_details
    );
    Ok((settings, credential, fingerprint))
}

/// Reads one object by name. `what` names it in a message; `missing` says what to do when it does not exist.
async fn read<K>(
    context: &Context,
    (namespace, name): (&str, &str),
    cached: bool,
    what: &str,
    missing: &str,
) -> Result<K, NoCredential>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    secrets::read::<K>(&context.client, namespace, name, cached)
        .await
        .map_err(|unread| {
            let says = if unread == secrets::Unread::Missing {
                missing
            } else {
                unread.says()
            };
            let message = format!("{what} {says}");
            match unread {
                secrets::Unread::Away => {
                    NoCredential::Now(Trouble::new(Reason::PlatformUnavailable, message))
                }
                secrets::Unread::Forbidden | secrets::Unread::Missing => {
                    Trouble::new(Reason::AuthenticationFailed, message).into()
                }
            }
        })
}

async fn credential(
    context: &Context,
    object: &LivePlatform,
    cached: bool,
) -> Result<(Credential, String), NoCredential> {
    let entra = &object.spec.authentication.entra;
    let trouble = |message: String| Trouble::new(Reason::AuthenticationFailed, message);
    let Some(reference) = &entra.client_secret_ref else {
        let file = context.config.federated_token_file.clone().ok_or_else(|| {
            trouble("spec.authentication.entra.workloadIdentity: this operator has no projected token. Start it with --federated-token-file (the chart's workloadIdentity), or use clientSecretRef.".into())
        })?;
        return Ok((
            Credential::FederatedToken { file: file.clone() },
            format!("file {}", file.display()),
        ));
    };
    let name = format!("Secret {}/{}", reference.namespace, reference.name);
    let missing = format!(
        "does not exist. Create it, with the client secret under the key {}.",
        reference.key
    );
    let secret = read::<Secret>(
        context,
        (&reference.namespace, &reference.name),
        cached,
        &name,
        &missing,
    )
    .await?;
    let value = secret.data.as_ref().and_then(|data| data.get(&reference.key));
    let value = value.ok_or_else(|| trouble(format!("{name} has no key {}.", reference.key)))?;
    let text = std::str::from_utf8(&value.0).map_err(|_| {
        trouble(format!(
            "{name}: the value of {} is not UTF-8 text.",
            reference.key
        ))
    })?;
    let version = format!(
        "{}/{}",
        secret.uid().unwrap_or_default(),
        secret.resource_version().unwrap_or_default()
    );
    Ok((
        Credential::ClientSecret(text.trim_end_matches(['\r', '\n']).to_owned().into()),
        version,
    ))
}

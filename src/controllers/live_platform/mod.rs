//! `LivePlatform`: the connection, the lists, the synchronization jobs, and the status of the object.

mod connection;
pub mod discovery;
mod status;
mod steps;

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::Step;
use oc_domain::memory::PassMemory;
use oc_domain::platform::PlatformDecision;
use oc_domain::time::{Duration, Time};
use oc_domain::timing;

use crate::cluster::address;
use crate::cluster::key::ObjectKey;
use crate::cluster::reading::{self};
use crate::cluster::store::StoreEvent;
use crate::controllers::action::{Action, forgotten, outcome};
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::object::ReconciledResource;
use crate::controllers::{deletions, events, handlers};
use crate::platform::connections::{Connected, CredentialBackoff, LastWorking};
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use crate::runtime::workqueue::Priority;
use oc_api::LivePlatform;

/// When to check again a platform that no watched namespace may use. A namespace's new label enqueues
/// nothing.
const OTHERS_LOOK: Duration = Duration::from_secs(20);

impl ReconciledResource for LivePlatform {
    fn learnt(context: &Context, learnt: StoreEvent<Self>) {
        handlers::platform(context, learnt);
    }

    async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
        reconcile(context, key).await
    }
}

async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
    let Some(object) = context.cache.platforms.of(key) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    if context.is_out_of_scope(&object).await {
        return (leave_to_others(context, key), PassOutcome::Waiting);
    }
    let uid = object.meta().uid.clone();
    let memory = context.memory.of_pass(key, uid.as_deref());
    let (connected, held) = connect(context, key, &object, memory.failures > 0).await;
    if let Some(at) = held {
        return (Action::RequeueAt(at, Priority::Effect), PassOutcome::Failed);
    }
    let (connected, unproven) = prove(context, key, &object, connected).await;
    // A changed spec starts with no failures.
    let failures = memory.failures_of(object.meta().generation.unwrap_or_default());
    let unproven = unproven.map(|trouble| oc_domain::platform::unproven(&trouble, failures));
    let tries = unproven.is_some();
    let driven = steps::drive(context, &object, &connected.inventory, unproven, failures).await;
    let decision = &driven.decision;
    let inventory = connected.inventory.as_ref().ok();
    let written = status::patch_status(context, &object, &driven, inventory).await;
    let before = reading::record(&object);
    events::of_platform(context, &object, &before, decision, &driven.ran, written.is_ok());
    let failed = fails(decision.verdict.reason);
    if inventory.is_some() && !failed {
        discovery::look(context, key, &object);
    }
    let failed = failed || tries || driven.refused || matches!(&written, Err(failed) if failed.lasts());
    let conflict = matches!(written, Err(WriteError::Conflict));
    let memory = count(context, key, &object, failed.then_some(failures), conflict);
    outcome(decision.verdict.reason, decision.why);
    log(key, decision);
    let outcome = match &written {
        Err(failed) => PassOutcome::unwritten(failed),
        Ok(()) => PassOutcome::of(&decision.verdict, false),
    };
    let next = sooner(next(decision, written, &memory), tries, &memory);
    let refused = tries && connected.refused() || decision.verdict.reason == Reason::AuthenticationFailed;
    remember(context, key, &object, connected, decision);
    (hold(context, key, refused, next), outcome)
}

/// Leaves a platform alone that no watched namespace may use: the operators of other namespaces reconcile it.
fn leave_to_others(context: &Context, key: &ObjectKey) -> Action {
    let watched = &context.config.scope;
    tracing::debug!(kind = "LivePlatform", name = key.name(), %watched, "no watched namespace may use this platform; leaving it to other operators");
    context.connections.set(key.name(), None);
    context.connections.back_off(key.name(), None);
    Action::RequeueAt(clock::now() + OTHERS_LOOK, Priority::Observe)
}

/// Makes the connection, or takes the existing one. The time, if any, ends the pass until then: the
/// credential fails and nothing has changed.
async fn connect(
    context: &Arc<Context>,
    key: &ObjectKey,
    object: &Arc<LivePlatform>,
    failed: bool,
) -> (Connected, Option<Time>) {
    let before = context.connections.of(key.name());
    let connected = connection::connection(context, object, failed).await;
    let other = before.as_ref().is_none_or(|before| connected.differs(before));
    let tries = before
        .as_ref()
        .is_some_and(|before| connected.tries_another(before));
    context.connections.set(key.name(), Some(connected.clone()));
    if other {
        handlers::platform_is_back(context, key.name());
    }
    // Trying another credential changes nothing for the objects, but it is work for this pass.
    let held = if other || tries {
        None
    } else {
        held(context, object, &connected)
    };
    (connected, held)
}

/// Whether a pass with this reason has failed, so that the next one backs off.
fn fails(reason: Reason) -> bool {
    use Reason::{AuthenticationFailed, PlatformRefused, PlatformUnavailable, Throttled};
    matches!(
        reason,
        PlatformUnavailable | PlatformRefused | Throttled | AuthenticationFailed
    )
}

/// Counts failures and conflicts. `failures` is the number before this pass, if this pass has failed.
fn count(
    context: &Context,
    key: &ObjectKey,
    object: &LivePlatform,
    failures: Option<u32>,
    conflict: bool,
) -> PassMemory {
    context
        .memory
        .with_pass(key, object.meta().uid.as_deref(), |memory| {
            memory.failures = failures.map_or(0, |failures| failures.saturating_add(1));
            memory.conflicts = if conflict {
                memory.conflicts.saturating_add(1)
            } else {
                0
            };
            memory.generation = Some(object.meta().generation.unwrap_or_default());
            memory.clone()
        })
}

fn log(key: &ObjectKey, decision: &PlatformDecision) {
    let (step, why, reason) = (&decision.step, decision.why, decision.verdict.reason);
    tracing::debug!(kind = "LivePlatform", name = key.name(), ?step, why, %reason, "reconciled");
}

/// The next pass comes sooner while another credential is tried.
fn sooner(next: Action, tries: bool, memory: &PassMemory) -> Action {
    match next {
        Action::RequeueAt(at, _) if tries => {
            let again = timing::next_try(clock::now(), memory.failures, None);
            Action::RequeueAt(at.min(again), Priority::Effect)
        }
        next => next,
    }
}

/// Tries a changed credential, if there is one.
async fn prove(
    context: &Arc<Context>,
    key: &ObjectKey,
    object: &LivePlatform,
    connected: Connected,
) -> (Connected, Option<Trouble>) {
    let tries = connected.trying.is_some();
    let (connected, unproven) = connection::prove(connected, object).await;
    if tries && unproven.is_none() {
        context.connections.set(key.name(), Some(connected.clone()));
        handlers::platform_is_back(context, key.name());
    }
    (connected, unproven)
}

/// Until when there is nothing to decide: the credential fails, and neither it nor the object has changed.
/// `None` when this pass must go on. The platform is called no sooner than the back-off allows. Deletions are
/// counted anyway: they can go on over the connection that last worked.
fn held(context: &Context, object: &LivePlatform, connected: &Connected) -> Option<Time> {
    let now = clock::now();
    if deletions::uncounted(context, object) {
        return None;
    }
    let held = context
        .connections
        .credential_backoff(&object.name_any())
        .filter(|held| {
            now < held.until && held.version == object.resource_version() && connected.refused()
        })?;
    Some(held.until.min(now + connection::CREDENTIAL_LOOK))
}

/// Requeues a platform with a failing credential after a short time, to look for a changed Secret.
fn hold(context: &Context, key: &ObjectKey, refused: bool, next: Action) -> Action {
    let until = match next {
        Action::RequeueAt(until, _) if refused => Some(until),
        _ => None,
    };
    // The version after the operator's own status write, which is no news.
    let version = context
        .cache
        .platforms
        .of(key)
        .and_then(|object| object.resource_version());
    context.connections.back_off(
        key.name(),
        until.map(|until| CredentialBackoff { version, until }),
    );
    match until {
        Some(until) => Action::RequeueAt(
            until.min(clock::now() + connection::CREDENTIAL_LOOK),
            Priority::Effect,
        ),
        None => next,
    }
}

/// Remembers the connection that has just read the platform as working.
fn remember(
    context: &Context,
    key: &ObjectKey,
    object: &LivePlatform,
    connected: Connected,
    decision: &PlatformDecision,
) {
    let Ok(inventory) = connected.inventory.clone() else {
        return;
    };
    let known = connected
        .last_good
        .as_ref()
        .is_some_and(|good| good.fingerprint == connected.fingerprint);
    if decision.answers() && !known {
        let last_good = Some(LastWorking {
            fingerprint: connected.fingerprint.clone(),
            identity: address::identity(object),
            inventory,
        });
        context.connections.set(
            key.name(),
            Some(Connected {
                last_good,
                ..connected
            }),
        );
    }
}

fn next(decision: &PlatformDecision, written: Result<(), WriteError>, memory: &PassMemory) -> Action {
    match (written, &decision.step) {
        (Err(WriteError::NotFound), _) => Action::AwaitChange,
        (Err(WriteError::Conflict), _) => Action::RequeueAt(
            timing::after_conflict(clock::now(), memory.conflicts),
            Priority::Effect,
        ),
        (Err(failed), _) => {
            tracing::warn!(?failed, "could not write the platform object; retrying");
            Action::RequeueAt(
                timing::next_try(clock::now(), memory.failures, None),
                Priority::Effect,
            )
        }
        (Ok(()), Step::Idle(until) | Step::Blocked(until) | Step::Wait(until, _)) => {
            Action::RequeueAt(*until, Priority::Effect)
        }
        (Ok(()), _) => Action::RequeueAt(clock::now() + timing::SETTLING, Priority::Effect),
    }
}

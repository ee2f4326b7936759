//! An object that this version of the operator cannot read: nothing is decided for it, and its status says
//! so.

use std::sync::Arc;

use oc_api::Condition;
use oc_domain::conditions::{Reason, Trouble, Verdict};
use oc_domain::timing;

use crate::cluster::has_status::HasStatus;
use crate::cluster::key::ObjectKey;
use crate::cluster::stores::{KnownResource, for_kind};
use crate::cluster::{patch, record, status};
use crate::controllers::action::{Action, outcome};
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use crate::runtime::workqueue::Priority;

/// Writes into the conditions of an object that it cannot be read, and which fields are wrong. Everything
/// else stays as it is, including the finalizer, because the object may have something on the platform.
pub(crate) async fn tell(context: &Arc<Context>, key: &ObjectKey, wrong: &str) -> (Action, PassOutcome) {
    let written = for_kind!(key.kind(), K => patch_status::<K>(context, key, wrong).await);
    outcome(Reason::InvalidSpec, "this version can't read it");
    let failures = context
        .memory
        .with_pass(key, uid(context, key).as_deref(), |memory| {
            memory.failures = if written.is_err() {
                memory.failures.saturating_add(1)
            } else {
                0
            };
            memory.failures
        });
    match written {
        Ok(()) => (Action::AwaitChange, PassOutcome::Stalled),
        Err(failed) => {
            tracing::warn!(
                kind = key.kind().as_str(),
                namespace = key.namespace(),
                name = key.name(),
                ?failed,
                "could not write into the status that this version can't read the object; retrying"
            );
            (
                Action::RequeueAt(timing::next_try(clock::now(), failures, None), Priority::Effect),
                PassOutcome::unwritten(&failed),
            )
        }
    }
}

fn uid(context: &Context, key: &ObjectKey) -> Option<String> {
    for_kind!(key.kind(), K => K::stored(&context.cache).of(key)?.metadata.uid.clone())
}

fn verdict(wrong: &str, going: bool, held: bool) -> Verdict {
    let stays = match (going, held) {
        (true, true) => " Until then its finalizer stays, because it may have something on the platform.",
        _ => " Until then the operator does nothing for this object, and what it has on the platform stays.",
    };
    let message = format!(
        "This version of the operator can't read {wrong}. Correct the field, or run a version that knows it.{stays}"
    );
    Verdict::trouble(&Trouble::new(Reason::InvalidSpec, message))
}

async fn patch_status<K: KnownResource>(
    context: &Context,
    key: &ObjectKey,
    wrong: &str,
) -> Result<(), WriteError> {
    let Some(object) = K::stored(&context.cache).of(key) else {
        return Ok(());
    };
    // If the status itself is unreadable, this would overwrite conditions that are not known here.
    if wrong.contains("status.conditions:") {
        return Ok(());
    }
    let before = object
        .status()
        .map(|status| status.conditions().to_vec())
        .unwrap_or_default();
    let generation = object.meta().generation.unwrap_or_default();
    let verdict = verdict(
        wrong,
        object.meta().deletion_timestamp.is_some(),
        record::has_finalizer(&*object),
    );
    let conditions = with_others(
        &before,
        status::conditions(&before, &verdict, generation, clock::now()),
    );
    if conditions == before {
        return Ok(());
    }
    patch::conditions(&context.client, &*object, &conditions, generation).await
}

/// The operator's conditions that apply now, and all conditions of others.
fn with_others(before: &[Condition], ours: Vec<Condition>) -> Vec<Condition> {
    const OURS: [&str; 3] = ["Ready", "Stalled", "Reconciling"];
    let others = before.iter().filter(|condition| {
        !OURS.contains(&condition.type_.as_str()) && ours.iter().all(|own| own.type_ != condition.type_)
    });
    ours.iter().chain(others).cloned().collect()
}

//! Sample objects from the flows, one for each state seen: `target/evidence/objects/*.json`, with the verdict of our own checker. `tests/gitops` shows them to
//! the real kstatus and to the health checks for Argo CD.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use super::stage::Own;

/// The states for which this process has kept an object.
static KEPT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn shown(conditions: &[Condition]) -> Vec<status_rules::Condition<'_>> {
    let shown = conditions.iter();
    shown.map(|of| status_rules::Condition { kind: &of.type_, truth: &of.status, reason: &of.reason, message: &of.message }).collect()
}

/// The rules that the status of an object breaks. Others may add their own conditions beside the operator's; only the rules on generations apply to those.
pub fn violations<K: Own>(object: &K) -> Vec<String> {
    let (observed, conditions) = object.told();
    let generation = object.meta().generation.unwrap_or_default();
    let ours: Vec<_> = shown(&conditions).into_iter().filter(|condition| status_rules::is_ours(condition.kind)).collect();
    [status_rules::violations(&ours), status_rules::generations(generation, observed, conditions.iter().map(|condition| condition.observed_generation))]
        .concat()
}

/// Keeps an object, unless one in the same state was kept before.
pub fn keep<K: Own>(object: &K) -> Result<()> {
    let state = state(object)?;
    if !KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(state.clone()) {
        return Ok(());
    }
    let (observed, conditions) = object.told();
    let generation = object.meta().generation.unwrap_or_default();
    let deleting = object.meta().deletion_timestamp.is_some();
    let mut plain = object.clone();
    plain.meta_mut().managed_fields = None;
    let kept = json!({
        "object": plain,
        "checker": {
            "status": status_rules::computed(deleting, generation, observed, &shown(&conditions)),
            "violations": violations(object),
        },
    });
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().context("the target folder")?.join("evidence/objects");
    std::fs::create_dir_all(&folder)?;
    // Two test programs may keep the same state: the rename keeps the file complete, whichever wrote last.
    let partial = folder.join(format!("{state}.{}", std::process::id()));
    std::fs::write(&partial, serde_json::to_string_pretty(&kept)? + "\n")?;
    std::fs::rename(partial, folder.join(format!("{state}.json")))?;
    Ok(())
}

/// What decides how a tool shows an object, as a file name.
fn state<K: Own>(object: &K) -> Result<String> {
    let (observed, conditions) = object.told();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let ready = ready.map_or_else(|| "none".to_owned(), |ready| format!("{}-{}", ready.status, ready.reason));
    let spec = serde_json::to_value(object)?["spec"].take();
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    let marks = [
        ("reconciling", is("Reconciling")),
        ("stalled", is("Stalled")),
        ("held", is("DeletionsHeld")),
        ("vanished", is("AbsencesHeld")),
        ("plan", spec["mode"] == "Plan"),
        ("observe", spec["mode"] == "Observe"),
        ("suspend", spec["suspend"] == Value::Bool(true)),
        ("deleting", object.meta().deletion_timestamp.is_some()),
        ("unseen", observed.is_none()),
        ("outdated", observed.is_some() && observed != object.meta().generation),
        // A wiped status has no conditions at all, or some of another generation.
        ("mixed", conditions.iter().any(|condition| observed.is_some() && condition.observed_generation != observed)),
    ];
    let marks: String = marks.iter().filter(|(_, is_so)| *is_so).map(|(mark, _)| format!("-{mark}")).collect();
    Ok(format!("{}-{ready}{marks}", K::kind(&())))
}

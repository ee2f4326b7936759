//! Sample objects from the flows, one for each state seen: `target/evidence/objects/*.json`, with the verdict of our own checker. `tests/gitops` shows them to
//! the real kstatus and to the health checks for Argo CD.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use oc_api::Condition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The states for which this process has kept an object.
static KEPT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What decides how a tool shows an object.
struct Sight {
    generation: i64,
    observed: Option<i64>,
    conditions: Vec<Condition>,
    deleting: bool,
}

impl Sight {
    fn of(object: &Value) -> Result<Self> {
        let (metadata, status) = (&object["metadata"], &object["status"]);
        let conditions = if status["conditions"].is_null() { Vec::new() } else { serde_json::from_value(status["conditions"].clone())? };
        Ok(Self {
            generation: metadata["generation"].as_i64().unwrap_or_default(),
            observed: status["observedGeneration"].as_i64(),
            conditions,
            deleting: !metadata["deletionTimestamp"].is_null(),
        })
    }

    fn violations(&self) -> Vec<String> {
        let ours: Vec<_> = shown(&self.conditions).into_iter().filter(|condition| status_rules::is_ours(condition.kind)).collect();
        let generations = self.conditions.iter().map(|condition| condition.observed_generation);
        [status_rules::violations(&ours), status_rules::generations(self.generation, self.observed, generations)].concat()
    }
}

fn shown(conditions: &[Condition]) -> Vec<status_rules::Condition<'_>> {
    let shown = conditions.iter();
    shown.map(|of| status_rules::Condition { kind: &of.type_, truth: &of.status, reason: &of.reason, message: &of.message }).collect()
}

/// The rules that the status of an object breaks. Others may add their own conditions beside the operator's; only the rules on generations apply to those.
pub fn violations(object: &impl Serialize) -> Result<Vec<String>> {
    Ok(Sight::of(&serde_json::to_value(object)?)?.violations())
}

/// Checks that an object is the same when it is written and read again: the operator packs objects that nobody looks at (`src/cluster/packed.rs`).
pub fn comes_back<K: Serialize + DeserializeOwned + PartialEq>(object: &K) -> Result<()> {
    let text = serde_json::to_string(object)?;
    ensure!(serde_json::from_str::<K>(&text)? == *object, "it is another after it was packed: {text}");
    Ok(())
}

/// Keeps an object, unless one in the same state was kept before.
pub fn keep(object: &impl Serialize) -> Result<()> {
    let mut plain = serde_json::to_value(object)?;
    let sight = Sight::of(&plain)?;
    let state = state(&plain, &sight);
    if !KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(state.clone()) {
        return Ok(());
    }
    if let Some(metadata) = plain["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let kept = json!({
        "object": plain,
        "checker": {
            "status": status_rules::computed(sight.deleting, sight.generation, sight.observed, &shown(&sight.conditions)),
            "violations": sight.violations(),
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

/// The state of an object, as a file name.
fn state(object: &Value, sight: &Sight) -> String {
    let Sight { generation, observed, conditions, deleting } = sight;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let ready = ready.map_or_else(|| "none".to_owned(), |ready| format!("{}-{}", ready.status, ready.reason));
    let spec = &object["spec"];
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    let marks = [
        ("reconciling", is("Reconciling")),
        ("stalled", is("Stalled")),
        ("held", is("DeletionsHeld")),
        ("vanished", is("AbsencesHeld")),
        (
            "undiscovered",
            conditions.iter().any(|condition| condition.type_ == "LeadsDiscovered" && !["Succeeded", "Progressing"].contains(&condition.reason.as_str())),
        ),
        ("plan", spec["mode"] == "Plan"),
        ("observe", spec["mode"] == "Observe"),
        ("suspend", spec["suspend"] == Value::Bool(true)),
        ("deleting", *deleting),
        ("unseen", observed.is_none()),
        ("outdated", observed.is_some_and(|observed| observed != *generation)),
        // A wiped status has no conditions at all, or some of another generation.
        ("mixed", conditions.iter().any(|condition| observed.is_some() && condition.observed_generation != *observed)),
    ];
    let marks: String = marks.iter().filter(|(_, is_so)| *is_so).map(|(mark, _)| format!("-{mark}")).collect();
    format!("{}-{ready}{marks}", object["kind"].as_str().unwrap_or_default())
}

//! The results of the last test run, as a table: printed after the tests, and written into docs/evidence.md
//! on demand.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{build, progress};

const BEGIN: &str = "<!-- cargo xtask evidence: begin -->";
const END: &str = "<!-- cargo xtask evidence: end -->";

/// The rows: a title, the file of counts, and a text. A name in braces is a number of the file.
const ROWS: [(&str, &str, &str); 8] = [
    (
        "Stories: many faults, in some orders",
        "simulation",
        "{stories} stories, {crashes} crashes, {lostAnswers} lost answers, {creates} creates, {deletions} deletions, {conflicts} conflicting writes, {heldBack} intents held back, {elections} elections; laws broken: {violations}",
    ),
    (
        "Every order of few faults (stateright)",
        "every-order",
        "{states} states in {models} models, longest path {longestPath} events; laws broken: {violations}",
    ),
    (
        "Wrong operators in the stories",
        "teeth",
        "{caught} of {variants} wrong operators caught, and {worldsCaught} of {worlds} worlds without one of their own checks; the last after {storiesUntilTheLastWasCaught} stories",
    ),
    (
        "Wrong operators in the orders",
        "every-order-teeth",
        "{caught} wrong operators caught, and {worldsCaught} worlds without one of their own checks",
    ),
    (
        "SIGKILL at every place between two effects",
        "kills",
        "{every_place_between_two_effects/kills} kills at {every_place_between_two_effects/places} places, {every_place_between_two_effects/lives} lives; second services: {every_place_between_two_effects/secondServices}, wrongly deleted: {every_place_between_two_effects/wronglyDeleted}",
    ),
    (
        "SIGKILL at random, 10 % lost answers, 5 % 5xx",
        "kills",
        "{random_kills_under_load/kills} kills, {random_kills_under_load/answersLost} answers lost, {random_kills_under_load/serverErrors} 5xx, {random_kills_under_load/createsExecuted} creates executed for {random_kills_under_load/services} requested services, {random_kills_under_load/deletions} deleted; second services: {random_kills_under_load/secondServices}, wrongly deleted: {random_kills_under_load/wronglyDeleted}",
    ),
    (
        "SIGKILL on both sides of each write of a LeadPolicy",
        "kills",
        "{a_policy_makes_one_service_of_each_lead/kills} kills while a policy makes services of {a_policy_makes_one_service_of_each_lead/selected} leads, {a_policy_makes_one_service_of_each_lead/createsExecuted} creates executed for {a_policy_makes_one_service_of_each_lead/objects} objects (one was deleted by a person); second services: {a_policy_makes_one_service_of_each_lead/secondServices}; most in progress at once: {a_policy_makes_one_service_of_each_lead/mostInProgress}, the limit is {a_policy_makes_one_service_of_each_lead/inProgress}",
    ),
    (
        "Objects of the flows, judged by Argo CD's Lua and by kstatus",
        "gitops",
        "{objects} states of objects, {reasons} of {allReasons} reasons; health other than documented: {wrongHealth}, kstatus other than our own checker: {wrongKstatus}",
    ),
];

/// Returns the table of the available results.
pub fn table() -> String {
    let mut lines = vec![
        "| What | Counts of the last `cargo xtask test` |".to_owned(),
        "|---|---|".to_owned(),
    ];
    for (what, file, text) in ROWS {
        let told = counts(file).map_or_else(|| "not run yet".to_owned(), |counts| filled(text, &counts));
        lines.push(format!("| {what} | {told} |"));
    }
    lines.join("\n")
}

fn counts(file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(build::target().join(format!("evidence/{file}.json"))).ok()?;
    serde_json::from_str(&text).ok()
}

fn filled(text: &str, counts: &Value) -> String {
    let mut told = String::new();
    for (at, part) in text.split(['{', '}']).enumerate() {
        if at % 2 == 0 {
            told.push_str(part);
        } else {
            let number = match counts.pointer(&format!("/{part}")) {
                None => "?".to_owned(),
                Some(Value::Array(list)) => list.len().to_string(),
                Some(number) => number.to_string(),
            };
            told.push_str(&number);
        }
    }
    told
}

/// Writes the table into docs/evidence.md.
///
/// # Errors
/// When the page has no place for the table, or can't be written.
pub fn write() -> Result<bool> {
    let path = build::root().join("docs/evidence.md");
    let text = std::fs::read_to_string(&path).context("can't read docs/evidence.md")?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("docs/evidence.md has no begin mark for the table")?;
    let (_, after) = rest
        .split_once(END)
        .context("docs/evidence.md has no end mark for the table")?;
    write_if_changed(&path, &format!("{before}{BEGIN}\n{}\n{END}{after}", table()))?;
    progress::result(&table());
    Ok(true)
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).context("can't write docs/evidence.md")?;
    }
    Ok(())
}

//! Reads task ids (C-7), tasks (platform-facts.md 5) and result envelopes (C-11).

use std::borrow::Cow;

use super::json::{self, Malformed, field, text};
use super::node::Node;
use crate::secrets::Secrets;
use crate::text::bounded;
use oc_domain::model::{Task, TaskState};
use oc_domain::names::{CustomerGuid, TaskId};

/// How many messages of a task are kept.
const MESSAGES: usize = 20;

/// Reads the answer of a create: a bare string, with or without quotes, or an object with `jobId`, `taskId`
/// or `id` (C-7, E3).
///
/// # Errors
/// When it holds no task id.
pub fn task_id(body: &[u8]) -> Result<TaskId, Malformed> {
    let id = |text: &str| TaskId::parse(text.trim()).ok();
    let id = match json::value(body) {
        Ok(Node::Text(text)) => id(&text),
        Ok(answer) => {
            let answer = sole(&answer);
            let text = ["jobId", "taskId", "id"]
                .iter()
                .find_map(|name| text(answer, name, 200));
            text.and_then(|text| id(&text))
        }
        Err(Malformed::NotJson) => std::str::from_utf8(body).ok().and_then(id),
        Err(other) => return Err(other),
    };
    id.ok_or(Malformed::Lacks("a task id"))
}

/// Reads a task. Only `status` is required (N-10). The id is the requested one (C-15). `secrets` are those of
/// the request that started the task.
///
/// # Errors
/// When it is not JSON or has no status.
pub fn task(body: &[u8], id: &TaskId, secrets: &Secrets) -> Result<Task, Malformed> {
    let answer = json::value(body)?;
    let answer = sole(&answer);
    let status = text(answer, "status", 60).ok_or(Malformed::Lacks("a status"))?;
    let state = state(&status);
    let mut messages = Vec::new();
    let all = field(answer, "executionMessages").and_then(Node::as_list);
    for item in all.into_iter().flatten().take(MESSAGES) {
        let Some(said) = text(item, "message", 4096).or_else(|| item.as_str().map(Cow::Borrowed)) else {
            continue;
        };
        let level = text(item, "level", 30).map(|level| match level.contains(char::is_control) {
            true => level.chars().filter(|c| !c.is_control()).collect(),
            false => level,
        });
        let level = level
            .filter(|level| !level.is_empty())
            .map_or(Cow::Borrowed("Information"), |level| secrets.word(&level).into());
        let said = format!("{level}: {}", secrets.shown(&said));
        messages.push(bounded(said, crate::text::TEXT).into_owned());
    }
    if matches!(state, TaskState::Failed | TaskState::Ended) && messages.is_empty() {
        let details = field(answer, "details").and_then(Node::as_list);
        messages.extend(
            details
                .into_iter()
                .flatten()
                .filter_map(Node::as_str)
                .take(MESSAGES)
                .map(|said| format!("Details: {}", bounded(secrets.shown(said), 280))),
        );
    }
    let output = field(answer, "outputData").unwrap_or(&Node::Null);
    let service = json::guid(output, "umpCustomerGuid").and_then(|guid| CustomerGuid::parse(&guid).ok());
    Ok(Task {
        id: id.clone(),
        state,
        status: bounded(secrets.word(&status), 60).into_owned(),
        messages: messages.into(),
        service,
    })
}

/// Beginnings of words that say that a task is over but not how it ended. Only `CompletedSuccess` was ever
/// seen; that it has two words suggests others with the same beginning (N-19, assumption).
const ENDS: [&str; 14] = [
    "complete",
    "succe",
    "finish",
    "done",
    "ended",
    "error",
    "abort",
    "reject",
    "denied",
    "timeout",
    "timedout",
    "expired",
    "terminated",
    "stopped",
];

/// Classifies a status, ignoring case, blanks and punctuation (C-6).
fn state(status: &str) -> TaskState {
    let folded: String = status
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    match folded.as_str() {
        "completedsuccess" => TaskState::Succeeded,
        other if other.starts_with("fail") || other.starts_with("cancel") => TaskState::Failed,
        other if ENDS.iter().any(|end| other.starts_with(end)) => TaskState::Ended,
        _ => TaskState::Running,
    }
}

/// Unwraps an array with one element.
fn sole<'v, 'a>(value: &'v Node<'a>) -> &'v Node<'a> {
    match value.as_list() {
        Some([only]) => only,
        _ => value,
    }
}

/// Beginnings of words in an answer's `status` that can only mean failure.
const FAILURES: [&str; 9] = [
    "fail",
    "error",
    "refus",
    "reject",
    "den",
    "invalid",
    "false",
    "forbid",
    "unauthori",
];

/// Whether the answer to a request that starts a task says beyond doubt that it failed. No such answer is
/// documented (assumption). Any other word, such as `Accepted` or `InProgress`, may belong to a task whose id
/// is missing, and that is a lost answer.
pub fn failed_surely(body: &[u8]) -> bool {
    let Ok(answer) = json::value(body) else {
        return false;
    };
    let answer = sole(&answer);
    let failure = |text: &str| {
        FAILURES
            .iter()
            .any(|bad| text.trim().to_lowercase().starts_with(bad))
    };
    match field(answer, "status") {
        Some(Node::Text(text)) if !text.trim().is_empty() => failure(text),
        Some(Node::Bool(false)) => true,
        Some(Node::Number(number)) if number.as_i64().is_some_and(|status| status >= 300) => true,
        _ => json::boolean(answer, "succeeded").or_else(|| json::boolean(answer, "success")) == Some(false),
    }
}

/// Reads whether a change answered with 200 succeeded (C-11, E7). `Err` holds the platform's words when it
/// says that it failed. An empty answer, `1`, and anything without such a field count as success.
pub fn envelope(body: &[u8], secrets: &Secrets) -> Result<(), String> {
    let Ok(answer) = json::value(body) else {
        return Ok(());
    };
    let answer = sole(&answer);
    let by_status = || match field(answer, "status") {
        Some(Node::Bool(yes)) => Some(*yes),
        // Some envelopes repeat the HTTP status.
        Some(Node::Number(number)) => number
            .as_i64()
            .filter(|status| *status >= 100)
            .map(|status| status < 300),
        Some(Node::Text(text)) => Some(
            ["success", "succeeded", "ok", "true", "queued"]
                .iter()
                .any(|good| text.trim().eq_ignore_ascii_case(good)),
        ),
        _ => None,
    };
    match json::boolean(answer, "succeeded")
        .or_else(|| json::boolean(answer, "success"))
        .or_else(by_status)
    {
        Some(false) => {
            let said = ["message", "data", "msg", "detail"]
                .iter()
                .find_map(|name| text(answer, name, 4096));
            Err(said.map(|said| secrets.shown(&said)).unwrap_or_default())
        }
        _ => Ok(()),
    }
}

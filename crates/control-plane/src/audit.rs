//! Reads the requests to the API server from its audit log.
//!
//! The log holds each request once: when it has ended, or, for a watch, when it has begun. Its line is
//! written while the answer is in transit, so the last one may be missing for a moment. The control plane's
//! own requests are not recorded.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// One request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The user, such as `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// The user agent of the program.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// The API group of the resource, such as `operatorconnect.dev`; empty for the core group, and for a
    /// request about no object.
    pub group: String,
    /// `leads`, or `leads/status`; empty for a request about no object, such as one of discovery.
    pub resource: String,
    /// The object's namespace, if there is one.
    pub namespace: String,
    /// The object's name, if there is one.
    pub name: String,
    /// The status of the answer.
    pub code: u64,
}

impl Request {
    /// Whether the request used its right: it was answered, or the API server looked and found nothing, or
    /// not what the request expected.
    pub fn used_its_right(&self) -> bool {
        (1..400).contains(&self.code) || matches!(self.code, 404 | 409)
    }

    /// Whether the request can have changed anything.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Returns the current end of the log.
///
/// # Errors
/// When the log can't be read.
pub fn end(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log)
        .with_context(|| format!("can't read {}", log.display()))?
        .len())
}

/// Returns the requests recorded since the log ended at `since`.
///
/// # Errors
/// When the log can't be read, or a line is not an event.
pub fn since(log: &Path, since: u64) -> Result<Vec<Request>> {
    let mut file = std::fs::File::open(log).with_context(|| format!("can't read {}", log.display()))?;
    file.seek(SeekFrom::Start(since))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // The last line may be half written, even in the middle of a character.
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let mut requests = Vec::new();
    for line in bytes[..whole]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let event: Value = serde_json::from_slice(line)
            .with_context(|| format!("{} has a line that is not an audit event", log.display()))?;
        if counts(&event) {
            requests.push(request(&event));
        }
    }
    Ok(requests)
}

/// Whether an event counts. A watch has two events, its start and its end (which may be minutes later): the
/// start counts. A refused watch has no start.
fn counts(event: &Value) -> bool {
    match event["stage"].as_str() {
        Some("ResponseComplete") => event["verb"] != "watch" || code(event) >= 400,
        Some("ResponseStarted" | "Panic") => true,
        _ => false,
    }
}

fn code(event: &Value) -> u64 {
    event["responseStatus"]["code"].as_u64().unwrap_or_default()
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let subresource = object["subresource"]
        .as_str()
        .map(|name| format!("/{name}"))
        .unwrap_or_default();
    Request {
        user: text(&event["user"]["username"]),
        user_agent: text(&event["userAgent"]),
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource: format!("{}{subresource}", text(&object["resource"])),
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: code(event),
    }
}

/// Counts the requests for each verb and resource by users whose name ends with `user`.
pub fn count(requests: &[Request], user: &str) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.user.ends_with(user)) {
        *counts
            .entry((request.verb.clone(), request.resource.clone()))
            .or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_counts_when_it_begins_and_a_half_written_line_later() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let line = |stage: &str, verb: &str, code: u16| {
            let object =
                r#"{"resource":"leads","apiGroup":"operatorconnect.dev","subresource":"status","name":"x"}"#;
            format!(
                r#"{{"stage":"{stage}","verb":"{verb}","user":{{"username":"u"}},"objectRef":{object},"responseStatus":{{"code":{code}}}}}"#
            ) + "\n"
        };
        let lines = [
            line("ResponseStarted", "watch", 200),
            line("ResponseComplete", "watch", 200),
            line("ResponseComplete", "watch", 403),
        ];
        let whole = lines.concat() + &line("ResponseComplete", "patch", 200);
        std::fs::write(&log, [whole.as_bytes(), b"{\"stage\":\"\xc3"].concat()).unwrap();
        let found = since(&log, 0).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|request| (request.verb.as_str(), request.code))
                .collect::<Vec<_>>(),
            [("watch", 200), ("watch", 403), ("patch", 200)]
        );
        assert!(
            found.iter().all(|request| request.group == "operatorconnect.dev"),
            "{found:?}"
        );
        assert_eq!(
            found.iter().map(Request::used_its_right).collect::<Vec<_>>(),
            [true, false, true]
        );
        let of = |code| {
            Request {
                code,
                ..found[0].clone()
            }
            .used_its_right()
        };
        assert!(
            of(404) && of(409) && !of(400) && !of(422) && !of(503) && !of(0),
            "what failed before its end is no use of a right"
        );
        assert_eq!(
            count(&found, "u")[&("patch".to_owned(), "leads/status".to_owned())],
            1
        );
    }
}

//! What was asked of the API server, as its audit log has it.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// `leads`, or `leads/status`.
    pub resource: String,
    /// The object's name, where there is one.
    pub name: String,
    /// The status of the answer.
    pub code: u64,
}

impl Request {
    /// Whether it can have changed anything.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Where the log ends now.
///
/// # Errors
/// When it can't be read.
pub fn end(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log).with_context(|| format!("{} can't be read", log.display()))?.len())
}

/// The requests that were recorded since the log ended at `since`.
///
/// # Errors
/// When it can't be read.
pub fn since(log: &Path, since: u64) -> Result<Vec<Request>> {
    let mut file = std::fs::File::open(log).with_context(|| format!("{} can't be read", log.display()))?;
    file.seek(SeekFrom::Start(since))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().filter_map(|line| serde_json::from_str(line).ok()).map(|event: Value| request(&event)).collect())
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    Request {
        user: text(&event["user"]["username"]),
        verb: text(&event["verb"]),
        resource: format!("{}{subresource}", text(&object["resource"])),
        name: text(&object["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

/// How often each verb was asked on each resource by a user whose name ends so.
pub fn count(requests: &[Request], user: &str) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.user.ends_with(user)) {
        *counts.entry((request.verb.clone(), request.resource.clone())).or_default() += 1;
    }
    counts
}

//! Builds answers, and writes refusals (platform-facts.md 10).

use crate::platform::chance::Chance;
use crate::platform::refusal::Refusal;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The `Content-Type` of JSON answers.
pub const JSON: &str = "application/json; charset=utf-8";
const PROBLEM: &str = "application/problem+json; charset=utf-8";
/// The `Content-Type` of bare texts.
pub const TEXT: &str = "text/plain; charset=utf-8";
const RULE: &str = "https://tools.ietf.org/html/rfc7231#section-6.5.1";

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, when there is a body.
    pub content_type: Option<std::borrow::Cow<'static, str>>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer with only a status.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Self::with(status, JSON, serde_json::to_vec(value).unwrap_or_default())
    }

    /// An answer with a body of this type.
    pub fn with(status: u16, content_type: impl Into<std::borrow::Cow<'static, str>>, body: Vec<u8>) -> Self {
        Self {
            content_type: Some(content_type.into()),
            body,
            ..Self::empty(status)
        }
    }

    /// 401 as we assume it (U-1).
    pub fn unauthorized() -> Self {
        Self {
            headers: vec![("www-authenticate", "Bearer".into())],
            ..Self::empty(401)
        }
    }

    /// 429 (U-2).
    pub fn too_many(retry_after: Option<String>) -> Self {
        Self {
            headers: retry_after
                .map(|value| ("retry-after", value))
                .into_iter()
                .collect(),
            ..Self::empty(429)
        }
    }
}

fn trace(chance: &mut Chance) -> String {
    format!("00-{}-{}-00", chance.hex(32), chance.hex(16))
}

/// Writes a refusal as the vendor does; `path` is the path of the call.
pub fn refusal(refusal: &Refusal, path: &str, old_assign: bool, chance: &mut Chance) -> Reply {
    match refusal {
        Refusal::Validation(fields) => {
            let mut errors = Map::new();
            for (field, message) in fields {
                let texts = errors.entry(field.clone()).or_insert_with(|| json!([]));
                if let Value::Array(texts) = texts {
                    texts.push(json!(message));
                }
            }
            let title = "One or more validation errors occurred.";
            let body = json!({"errors": errors, "type": RULE, "title": title, "status": 400, "traceId": trace(chance)});
            Reply {
                content_type: Some(PROBLEM.into()),
                ..Reply::json(400, &body)
            }
        }
        Refusal::Problem { status, code, detail } => {
            let title = if *status == 403 {
                "Forbidden"
            } else {
                "Bad Request"
            };
            let body = json!({"type": RULE, "title": title, "status": status, "detail": detail, "instance": path,
                "errorTicket": chance.guid(), "errorCode": code, "traceId": trace(chance)});
            Reply {
                content_type: Some(PROBLEM.into()),
                ..Reply::json(*status, &body)
            }
        }
        Refusal::Quoted(status, text) => Reply::json(*status, text),
        Refusal::Plain(status, text) => Reply::with(*status, TEXT, text.clone().into_bytes()),
        Refusal::Entity(status, description) => Reply::json(*status, &json!({"description": description})),
        Refusal::Unsuccessful(text) if old_assign => {
            Reply::json(200, &json!({"status": false, "data": text}))
        }
        Refusal::Unsuccessful(text) => Reply::json(
            200,
            &json!({"status": "Failed", "succeeded": false, "message": text}),
        ),
        Refusal::Bare(status) => Reply::empty(*status),
        Refusal::TooMany => Reply::too_many(Some("1".into())),
    }
}

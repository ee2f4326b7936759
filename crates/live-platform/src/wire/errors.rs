//! What a platform says when it refuses: the forms E1 to E4 of platform.md 10, and anything else.

use serde_json::Value;

use super::json::{self, field};
use crate::text::{bounded, shown};

/// How many fields, and how many texts of each, are kept.
const FIELDS: usize = 20;
const TEXTS: usize = 5;

/// A refusal, bounded and free of ids and times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// E1: which field has which faults, sorted by field.
    pub fields: Vec<(String, Vec<String>)>,
    /// The rest: E1's title is left out when there are fields. Empty when there is no readable text.
    pub text: String,
    /// In which form it came.
    pub form: Form,
}

/// Forms of a refusal that only the API itself gives, not a proxy or a server that has no such path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// E3: a JSON string.
    Bare,
    /// E4: an object with a text `description`, as the topology server gives it.
    Described,
    /// Anything else.
    #[default]
    Other,
}

/// Reads the body of an answer that is not a success. Never fails: what can't be read has no text.
pub fn fault(body: &[u8]) -> Fault {
    match json::value(body) {
        Ok(Value::String(text)) => Fault { text: shown(&text), form: Form::Bare, ..Fault::default() },
        Ok(Value::Array(all)) => Fault { text: joined(&all).join("; "), ..Fault::default() },
        Ok(answer @ Value::Object(_)) => problem(&answer),
        Ok(_) => Fault::default(),
        Err(json::Malformed::NotJson) => Fault { text: plain(body), ..Fault::default() },
        Err(_) => Fault::default(),
    }
}

fn problem(answer: &Value) -> Fault {
    let mut fields = Vec::new();
    let mut text = String::new();
    match field(answer, "errors") {
        Some(Value::Object(errors)) => {
            fields = errors.iter().take(FIELDS).map(|(name, texts)| (bounded(&shown(name), 60), texts_of(texts))).collect();
            // Whatever the order of serde_json's maps, which a feature of another crate can change.
            fields.sort();
        }
        Some(Value::Array(errors)) => text = joined(errors).join("; "),
        Some(Value::String(error)) => text = shown(error),
        _ => {}
    }
    let form = if field(answer, "description").is_some_and(Value::is_string) { Form::Described } else { Form::Other };
    if text.is_empty() {
        let names: &[&str] =
            if fields.is_empty() { &["detail", "description", "message", "msg", "error_description", "data", "error", "title"] } else { &["detail"] };
        text = names.iter().filter_map(|name| field(answer, name)).map(said).find(|text| !text.is_empty()).unwrap_or_default();
    }
    Fault { fields, text: bounded(&text, crate::text::TEXT), form }
}

/// A text, or the text in an object (`{"error":{"message":…}}`).
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Object(_) => {
            ["message", "detail", "description"].iter().find_map(|name| json::text(value, name, 4096)).map(|text| shown(&text)).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn joined(values: &[Value]) -> Vec<String> {
    values.iter().map(said).filter(|text| !text.is_empty()).take(TEXTS).collect()
}

fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => joined(all),
        other => joined(std::slice::from_ref(other)),
    }
}

/// The first line of a plain text: behind it stand stack traces.
fn plain(body: &[u8]) -> String {
    let head = body.get(..2048).unwrap_or(body);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut in the middle of a character is fine, binary is not.
        Err(error) if head.len() - error.valid_up_to() < 4 => std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        Err(_) => "",
    };
    let line = text.trim().lines().next().unwrap_or_default();
    let readable = !line.chars().any(|c| c.is_control() && c != '\t');
    if readable { shown(line) } else { String::new() }
}

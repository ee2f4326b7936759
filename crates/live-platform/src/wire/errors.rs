//! Reads the platform's refusals: the forms E1 to E4 of platform-facts.md 10, and anything else.

use super::json::{self, field};
use super::node::Node;
use crate::secrets::Secrets;
use crate::text::bounded;

/// How many fields are kept, and how many texts of each.
const FIELDS: usize = 20;
const TEXTS: usize = 5;

/// A refusal, bounded and without secrets, ids and times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The faults of each field (E1), sorted by field.
    pub fields: Vec<(String, Vec<String>)>,
    /// The remaining text. E1's title is left out when there are fields. Empty when there is no readable
    /// text.
    pub text: String,
    /// The form of the body.
    pub form: Form,
}

/// The forms of a refusal that only the API itself gives, not a proxy or a server without that path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// E3: a JSON string.
    Bare,
    /// E4: an object with a text `description`, as the topology server gives it.
    Described,
    /// Any other body.
    #[default]
    Other,
}

/// Reads the body of an answer that is not a success. Never fails: an unreadable body has no text.
pub fn fault(body: &[u8], secrets: &Secrets) -> Fault {
    let said = |text: &str| Fault {
        text: secrets.shown(text),
        ..Fault::default()
    };
    match json::value(body) {
        Ok(Node::Text(text)) => Fault {
            form: Form::Bare,
            ..said(&text)
        },
        Ok(Node::List(all)) => Fault {
            text: joined(&all, secrets).join("; "),
            ..Fault::default()
        },
        Ok(answer @ Node::Object(_)) => problem(&answer, secrets),
        Ok(_) => Fault::default(),
        Err(json::Malformed::NotJson) => Fault {
            text: plain(body, secrets),
            ..Fault::default()
        },
        Err(_) => Fault::default(),
    }
}

fn problem(answer: &Node<'_>, secrets: &Secrets) -> Fault {
    let mut fields = Vec::new();
    let mut text = String::new();
    match field(answer, "errors") {
        Some(Node::Object(errors)) => {
            fields = errors
                .iter()
                .take(FIELDS)
                .map(|(name, texts)| {
                    (
                        bounded(secrets.shown(name), 60).into_owned(),
                        texts_of(texts, secrets),
                    )
                })
                .collect();
            fields.sort();
        }
        Some(Node::List(errors)) => text = joined(errors, secrets).join("; "),
        Some(Node::Text(error)) => text = secrets.shown(error),
        _ => {}
    }
    let form = if field(answer, "description").is_some_and(|said| said.as_str().is_some()) {
        Form::Described
    } else {
        Form::Other
    };
    if text.is_empty() {
        let names: &[&str] = if fields.is_empty() {
            &[
                "detail",
                "description",
                "message",
                "msg",
                "error_description",
                "data",
                "error",
                "title",
            ]
        } else {
            &["detail"]
        };
        text = names
            .iter()
            .filter_map(|name| field(answer, name))
            .map(|value| said(value, secrets))
            .find(|text| !text.is_empty())
            .unwrap_or_default();
    }
    Fault {
        fields,
        text: bounded(text, crate::text::TEXT).into_owned(),
        form,
    }
}

/// Returns a text, or the text in an object (`{"error":{"message":…}}`).
fn said(value: &Node<'_>, secrets: &Secrets) -> String {
    match value {
        Node::Text(text) => secrets.shown(text),
        Node::Object(_) => {
            let inner = ["message", "detail", "description"]
                .iter()
                .find_map(|name| json::text(value, name, 4096));
            inner.map(|text| secrets.shown(&text)).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn joined(values: &[Node<'_>], secrets: &Secrets) -> Vec<String> {
    values
        .iter()
        .map(|value| said(value, secrets))
        .filter(|text| !text.is_empty())
        .take(TEXTS)
        .collect()
}

fn texts_of(value: &Node<'_>, secrets: &Secrets) -> Vec<String> {
    match value {
        Node::List(all) => joined(all, secrets),
        other => joined(std::slice::from_ref(other), secrets),
    }
}

/// Returns the first line of a plain text. Bytes that are not UTF-8 do not make the rest unreadable; the last
/// may be half a character.
fn plain(body: &[u8], secrets: &Secrets) -> String {
    let head = String::from_utf8_lossy(body.get(..2048).unwrap_or(body));
    secrets.first_line(head.trim_end_matches(char::REPLACEMENT_CHARACTER))
}

//! Binds queries, forms and bodies. Names are matched in any case (C-4), as in ASP.NET Core.

use crate::platform::refusal::Refusal;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes
            .get(index + 1..index + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[index], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A query string, or a form.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the encoded text.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name).to_lowercase(), decoded(value))
        };
        Self(pairs.map(split).collect())
    }

    /// Returns a value. The name must be in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns a value that is not blank.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }
}

/// Returns path and query for the log, without what may be secret.
pub fn without_secrets(path: &str, query: &str) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let hidden = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        let folded = name.to_lowercase();
        let secret = ["secret", "token", "password", "assertion"]
            .iter()
            .any(|word| folded.contains(word));
        if secret {
            format!("{name}=…")
        } else {
            pair.to_owned()
        }
    };
    let shown: Vec<String> = query.split('&').map(hidden).collect();
    format!("{path}?{}", shown.join("&"))
}

/// The fields of a JSON object.
#[derive(Clone, Debug, Default)]
pub struct Fields(HashMap<String, Value>);

impl Fields {
    /// Parses a request body.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::field("", "A non-empty request body is required."));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::of(fields)),
            Ok(_) => Err(Refusal::field("", "The request body must be a JSON object.")),
            Err(error) => Err(syntax_fault(body, &error)),
        }
    }

    fn of(fields: serde_json::Map<String, Value>) -> Self {
        Self(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect(),
        )
    }

    /// Returns a value that is not null. The name must be in lower case.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Returns a text. A number is read as text, as the vendor's parser does.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    /// Returns a text that is not empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// Returns a number, also from a text of digits (C-10). Anything else is a fault of the field shown as
    /// `label`.
    pub fn number(&self, name: &str, label: &str) -> Result<Option<u64>, Refusal> {
        let parsed = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        let fault = || Refusal::field(label, format!("The value of {label} is not a valid number."));
        parsed.map(Some).ok_or_else(fault)
    }

    /// Returns a nested object.
    pub fn object(&self, name: &str) -> Option<Self> {
        match self.get(name)? {
            Value::Object(fields) => Some(Self::of(fields.clone())),
            _ => None,
        }
    }

    /// Returns nested pairs of texts: from an object, or an array of objects (platform-facts.md 3.3).
    pub fn pairs(&self, name: &str) -> BTreeMap<String, String> {
        let objects: Vec<&serde_json::Map<String, Value>> = match self.get(name) {
            Some(Value::Object(object)) => vec![object],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).collect(),
            _ => Vec::new(),
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        objects
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }
}

/// The E1 fault of the vendor's parser (platform-facts.md 2.3): the last field before the fault, line and
/// position.
fn syntax_fault(body: &[u8], error: &serde_json::Error) -> Refusal {
    let (line, position) = (error.line(), error.column());
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let before: usize = lines
        .iter()
        .take(line.saturating_sub(1))
        .map(|line| line.len() + 1)
        .sum();
    let offset = (before + position).min(body.len());
    let text = String::from_utf8_lossy(&body[..offset]);
    let key = last_key(&text);
    let found = body
        .get(offset.saturating_sub(1))
        .map_or(String::new(), |byte| char::from(*byte).to_string());
    let message = format!(
        "After parsing a value an unexpected character was encountered: {found}. Path '{key}', line {line}, position {position}."
    );
    Refusal::field(key, message)
}

fn last_key(text: &str) -> String {
    let Some(colon) = text.rfind("\":") else {
        return String::new();
    };
    let start = text[..colon].rfind('"').map_or(0, |quote| quote + 1);
    text[start..colon].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_without_regard_to_case() {
        let query = Query::parse("PageNumber=2&msTenantID=a%2Db+c&&flag");
        assert_eq!(query.get("pagenumber"), Some("2"));
        assert_eq!(query.get("mstenantid"), Some("a-b c"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.filled("flag"), None);
    }

    #[test]
    fn the_log_hides_secrets() {
        assert_eq!(
            without_secrets("/a", "x=1&client_secret=abc&Access_Token=d"),
            "/a?x=1&client_secret=…&Access_Token=…"
        );
    }

    #[test]
    fn the_parser_speaks_like_the_vendors() {
        let body =
            b"{\n\"tenantId\": \"22222222-2222-4222-8222-222222222222\"\n \"companyName\": \"Example BV\"\n}";
        let Err(Refusal::Validation(faults)) = Fields::parse(body) else {
            panic!("no fault")
        };
        let text = "After parsing a value an unexpected character was encountered: \". Path 'tenantId', line 3, position 2.";
        assert_eq!(faults, [("tenantId".to_owned(), text.to_owned())]);
    }
}

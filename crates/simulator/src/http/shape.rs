//! Writes answers, also those damaged by a fault.

use super::listener::Cut;
use super::reply::Reply;
use crate::platform::faults::{Fault, FaultKind};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1_600;
const DEPTH: usize = 100_000;

/// The page that a firewall or a login sends in place of an answer (platform-facts-2.md N-9).
pub const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Request unsuccessful.</body></html>";

fn head(reply: &Reply) -> axum::http::response::Builder {
    let mut builder = Response::builder().status(StatusCode::from_u16(reply.status).unwrap_or_default());
    if let Some(content_type) = reply.content_type.as_deref() {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            builder = builder.header(HeaderName::from_static(name), value);
        }
    }
    builder
}

fn finished(built: Result<Response<Body>, axum::http::Error>) -> Response<Body> {
    built.unwrap_or_else(|_| Response::new(Body::from("the simulator could not build its answer")))
}

/// Writes an answer unchanged.
pub fn plain(reply: Reply) -> Response<Body> {
    finished(head(&reply).body(Body::from(reply.body)))
}

/// Writes an answer as a fault leaves it.
pub fn damaged(mut reply: Reply, fault: &Fault, cut: &Cut) -> Response<Body> {
    match fault.kind {
        FaultKind::DropBeforeExecution | FaultKind::DropAfterExecution => cut.now(),
        FaultKind::EmptyOk => reply = Reply::empty(200),
        FaultKind::Truncated => return truncated(reply, cut.clone()),
        FaultKind::BrokenJson => reply.body.truncate(reply.body.len() / 2),
        FaultKind::HugeBody => return huge(reply),
        FaultKind::DeepNesting => reply.body = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat().into_bytes(),
        FaultKind::WrongTypes => {
            let wrong = serde_json::from_slice(&reply.body).map_or(json!(7), wrong_types);
            reply.body = wrong.to_string().into_bytes();
        }
        FaultKind::InvalidUtf8 => {
            let at = reply
                .body
                .iter()
                .position(|byte| *byte == b'"')
                .map_or(0, |quote| quote + 1);
            reply.body.splice(at..at, [0xFF, 0xFE]);
        }
        FaultKind::EmptyList => reply.body = b"[]".to_vec(),
        FaultKind::RawValue => edit(&mut reply.body, fault, |entry| {
            replace(
                entry,
                fault.field.as_deref().unwrap_or_default(),
                fault.bytes().is_some(),
            )
        }),
        FaultKind::StrangeEntry => strange(&mut reply.body, fault),
        _ => {}
    }
    plain(reply)
}

/// A placeholder in JSON for other bytes.
const PLACE: &str = "\u{1}here\u{1}";

/// Returns the entries of a list, of a list in a list (C-13), or the single value.
fn entries(value: &mut Value) -> Vec<&mut Value> {
    if !value.is_array() {
        return vec![value];
    }
    let items = value.as_array_mut().into_iter().flatten();
    items
        .flat_map(|item| {
            if item.is_array() {
                entries(item)
            } else {
                vec![item]
            }
        })
        .collect()
}

fn is_meant(entry: &Value, fault: &Fault) -> bool {
    let wanted = fault.entry.as_deref().unwrap_or_default().to_lowercase();
    entry.to_string().to_lowercase().contains(&wanted)
}

/// Changes the entries that a fault selects, and puts its bytes in place of each placeholder.
fn edit(body: &mut Vec<u8>, fault: &Fault, change: impl Fn(&mut Value)) {
    let Ok(mut whole) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    entries(&mut whole)
        .into_iter()
        .filter(|entry| is_meant(entry, fault))
        .for_each(change);
    *body = placed(&whole, &fault.bytes().unwrap_or_default());
}

fn strange(body: &mut Vec<u8>, fault: &Fault) {
    let Ok(mut whole) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    if fault.entry.is_some() {
        entries(&mut whole)
            .into_iter()
            .filter(|entry| is_meant(entry, fault))
            .for_each(|entry| *entry = json!(PLACE));
    } else if let Value::Array(items) = &mut whole {
        match items.first_mut() {
            Some(Value::Array(inner)) => inner.push(json!(PLACE)),
            _ => items.push(json!(PLACE)),
        }
    }
    *body = placed(&whole, &fault.bytes().unwrap_or_else(|| b"{}".to_vec()));
}

/// Writes JSON with other bytes in place of each placeholder.
fn placed(whole: &Value, bytes: &[u8]) -> Vec<u8> {
    let (text, place) = (whole.to_string(), json!(PLACE).to_string());
    text.split(&place)
        .map(str::as_bytes)
        .collect::<Vec<_>>()
        .join(bytes)
}

/// Replaces the value of a field with a placeholder at any depth, or removes the field.
fn replace(value: &mut Value, field: &str, kept: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, field, kept)),
        Value::Object(fields) => {
            fields.retain(|name, _| kept || !name.eq_ignore_ascii_case(field));
            for (name, value) in fields {
                if name.eq_ignore_ascii_case(field) {
                    *value = json!(PLACE);
                } else {
                    replace(value, field, kept);
                }
            }
        }
        _ => {}
    }
}

fn truncated(reply: Reply, cut: Cut) -> Response<Body> {
    let builder = head(&reply).header(header::CONTENT_LENGTH, reply.body.len().max(1));
    let half = Bytes::from(reply.body[..reply.body.len() / 2].to_vec());
    let end = stream::once(async move {
        // What was written so far must be sent before the connection is cut.
        tokio::time::sleep(Duration::from_millis(20)).await;
        cut.now();
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    finished(builder.body(Body::from_stream(stream::iter([Ok(half)]).chain(end))))
}

fn huge(reply: Reply) -> Response<Body> {
    let blanks = Bytes::from_static(&[b' '; CHUNK]);
    let padding = stream::iter(std::iter::repeat_n(blanks, CHUNKS));
    let whole = padding
        .chain(stream::iter([Bytes::from(reply.body.clone())]))
        .map(Ok::<Bytes, io::Error>);
    finished(head(&reply).body(Body::from_stream(whole)))
}

fn wrong_types(value: Value) -> Value {
    match value {
        Value::Null => json!({"unexpected": true}),
        Value::Bool(flag) => json!(flag.to_string()),
        Value::Number(number) => json!([number.to_string()]),
        Value::String(text) => json!(text.len()),
        Value::Array(items) => items.into_iter().map(wrong_types).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, wrong_types(value)))
            .collect(),
    }
}

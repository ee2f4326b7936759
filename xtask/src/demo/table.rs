//! Prints the table of `kubectl get operatorconnect -A`. The API server itself draws it, so no kubectl is
//! needed.

use std::fmt::Write;

use anyhow::{Context, Result};
use kube::Client;
use serde::Deserialize;

/// The plural and the singular of each kind.
const KINDS: [(&str, &str); 4] = [
    ("liveplatforms", "liveplatform"),
    ("leads", "lead"),
    ("leadpolicies", "leadpolicy"),
    ("ocessentialservices", "ocessentialservice"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<serde_json::Value>,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}

/// Draws the tables of all kinds.
///
/// # Errors
/// When the API server does not answer.
pub async fn draw(client: &Client) -> Result<String> {
    let mut text = String::new();
    for (plural, kind) in KINDS {
        let table = read(client, plural).await?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&layout(kind, &table));
    }
    Ok(text.trim_end().to_owned())
}

async fn read(client: &Client, kind: &str) -> Result<Table> {
    let request = http_get(&format!("/apis/operatorconnect.dev/v1alpha1/{kind}"))?;
    client
        .request(request)
        .await
        .with_context(|| format!("can't list {kind}"))
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    http::Request::get(path)
        .header(http::header::ACCEPT, accept)
        .body(Vec::new())
        .context("can't build the request")
}

fn layout(kind: &str, table: &Table) -> String {
    let namespaced = table
        .rows
        .iter()
        .any(|row| row.object.metadata.namespace.is_some());
    let shown: Vec<usize> = table
        .column_definitions
        .iter()
        .enumerate()
        .filter(|(_, column)| column.priority == 0 && column.name != "Age")
        .map(|(at, _)| at)
        .collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut head: Vec<String> = shown
        .iter()
        .map(|at| table.column_definitions[*at].name.to_uppercase())
        .collect();
    if namespaced {
        head.insert(0, "NAMESPACE".into());
    }
    lines.push(head);
    for row in &table.rows {
        let mut cells: Vec<String> = shown.iter().map(|at| cell(row.cells.get(*at))).collect();
        // As kubectl does when it lists several kinds.
        if let Some(name) = cells.first_mut() {
            *name = format!("{kind}/{name}");
        }
        if namespaced {
            cells.insert(0, row.object.metadata.namespace.clone().unwrap_or_default());
        }
        lines.push(cells);
    }
    aligned(&lines)
}

fn cell(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            lines
                .iter()
                .filter_map(|line| line.get(at))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut drawn = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _drawn = write!(drawn, "{cell:<width$}   ");
        }
        text.push_str(drawn.trim_end());
        text.push('\n');
    }
    text
}

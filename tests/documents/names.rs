//! The names used in the documents exist: fields, chart values, metrics, environment variables, annotations, commands.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{documents, sources, spans};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Each document written by people, with its name: not the generated ones.
fn written() -> Vec<(String, String)> {
    let text = |path: std::path::PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    documents().into_iter().map(text).filter(|(_, text)| !text.starts_with("<!-- Generated")).collect()
}

/// The schemas of the operator's kinds.
fn schemas() -> Vec<Value> {
    let schema = |crd| serde_json::to_value(&crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    oc_api::crds::generate().into_iter().map(schema).collect()
}

/// Whether a path of names exists in a schema.
fn leads_somewhere(schema: &Value, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    match &schema["properties"][*name] {
        Value::Null => schema["additionalProperties"].is_object(),
        field => leads_somewhere(field, rest),
    }
}

/// A written path in parts: `status.plan[*]` is `status`, `plan`.
fn path(text: &str) -> Vec<&str> {
    text.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect()
}

/// Whether a text is a path: letters, dots and brackets.
fn is_path(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '[' | ']' | '*'))
}

/// The texts between backticks within lines, without code blocks.
fn named(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.lines().flat_map(spans)).collect()
}

/// The part before a value: `spec.mode: Plan` is about `spec.mode`.
fn subject(span: &str) -> &str {
    span.split(": ").next().unwrap_or(span)
}

#[test]
fn fields_that_are_named_are_there() {
    let schemas = schemas();
    let (mut seen, mut bad) = (0, Vec::new());
    for (file, text) in written() {
        let in_prose = named(&text).into_iter().map(subject).filter(|span| is_path(span) && (span.starts_with("spec.") || span.starts_with("status.")));
        // In commands: {.status.plan}, and @.spec.deletionPolicy.
        let in_commands = text
            .split(['{', '@', ':', ' ', ','])
            .filter_map(|part| part.strip_prefix('.'))
            .map(|part| part.split(['}', ' ', '=', ')', '"', '\'', '\n']).next().unwrap_or(part));
        let in_commands = in_commands.filter(|part| part.starts_with("spec.") || part.starts_with("status.")).filter(|part| is_path(part));
        for field in in_prose.chain(in_commands) {
            seen += 1;
            // The fields of a Lease and of a condition are not the operator's.
            let foreign = ["spec.holderIdentity", "spec.acquireTime", "spec.renewTime"].contains(&field);
            if !foreign && !schemas.iter().any(|schema| leads_somewhere(schema, &path(field))) {
                bad.push(format!("{file}: {field} is no field"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(seen > 100, "only {seen} fields were looked up");
    assert!(!schemas.iter().any(|schema| leads_somewhere(schema, &["spec", "colour"])), "a field that is not there is seen");
}

/// The operator's objects and chart values in YAML blocks.
fn blocks(text: &str) -> Vec<String> {
    let mut found: Vec<String> =
        text.split("```").skip(1).step_by(2).filter_map(|block| block.trim_start().strip_prefix("yaml\n")).map(str::to_owned).collect();
    // Those that are given to kubectl as they are.
    found.extend(text.split("<<'END'\n").skip(1).filter_map(|rest| rest.split("\nEND").next()).map(str::to_owned));
    // A block in a list is indented.
    let indent = |block: &str| block.lines().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let straight = |block: String| block.lines().map(|line| line.get(indent(&block)..).unwrap_or_default()).collect::<Vec<_>>().join("\n");
    found.into_iter().map(straight).collect()
}

/// The paths of an object's fields that a schema does not have.
fn strange(value: &Value, schema: &Value, at: &str, bad: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Null) => bad.push(format!("{at}.{name}")),
                    (Value::Null, more) => strange(value, more, &format!("{at}.{name}"), bad),
                    (field, _) => strange(value, field, &format!("{at}.{name}"), bad),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strange(item, &schema["items"], &format!("{at}[]"), bad)),
        _ => {}
    }
}

#[test]
fn objects_and_values_that_are_shown_can_be_applied() {
    let kinds = oc_api::crds::generate();
    let values: Value = serde_saphyr::from_str(&read("charts/oc-essentials-operator/values.yaml")).unwrap();
    let (mut objects, mut files, mut bad) = (0, 0, Vec::new());
    for (file, text) in written() {
        for block in blocks(&text) {
            for document in block.split("\n---\n") {
                let shown: Value = match serde_saphyr::from_str(document) {
                    Ok(shown) => shown,
                    Err(error) => {
                        bad.push(format!("{file}: {error}: {document}"));
                        continue;
                    }
                };
                let mut wrong = Vec::new();
                match kinds.iter().find(|crd| crd.spec.names.kind == shown["kind"].as_str().unwrap_or_default()) {
                    Some(crd) => {
                        objects += 1;
                        let schema = serde_json::to_value(crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
                        strange(&shown["spec"], &schema["properties"]["spec"], "spec", &mut wrong);
                    }
                    None if shown["kind"].is_null() && (shown["spec"].is_object() || shown["status"].is_object()) => {
                        // A fragment of some kind: one of them must have all its fields.
                        let misses = |schema: &Value| {
                            let mut wrong = Vec::new();
                            strange(&shown, schema, "", &mut wrong);
                            wrong
                        };
                        wrong = schemas().iter().map(misses).min_by_key(Vec::len).unwrap_or_default();
                    }
                    // A block whose top level has a name of the chart's values is a values file; otherwise it is something else.
                    None if shown["kind"].is_null() && shown.as_object().is_some_and(|top| top.keys().any(|key| values.get(key).is_some())) => {
                        files += 1;
                        wrong = fields(&shown).into_iter().filter(|path| !has_value(&values, &path.split('.').collect::<Vec<_>>())).collect();
                    }
                    None => {}
                }
                bad.extend(wrong.into_iter().map(|field| format!("{file}: {field} is not there")));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(objects >= 6 && files >= 4, "{objects} objects and {files} files of values were looked at");
}

/// The paths of all leaves.
fn fields(value: &Value) -> Vec<String> {
    let Value::Object(fields_of) = value else { return Vec::new() };
    let below = |(name, value): (&String, &Value)| match fields(value) {
        none if none.is_empty() => vec![name.clone()],
        some => some.into_iter().map(|path| format!("{name}.{path}")).collect(),
    };
    fields_of.iter().flat_map(below).collect()
}

/// Whether the chart's values have this path; an empty map there accepts anything.
fn has_value(values: &Value, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    if values.as_object().is_some_and(serde_json::Map::is_empty) {
        return true;
    }
    values.get(*name).is_some_and(|value| has_value(value, rest))
}

#[test]
fn values_of_the_chart_that_are_named_are_there() {
    let values: Value = serde_saphyr::from_str(&read("charts/oc-essentials-operator/values.yaml")).unwrap();
    let (mut seen, mut bad) = (0, Vec::new());
    for (file, text) in written() {
        for span in named(&text).into_iter().map(subject).filter(|span| is_path(span) && !span.ends_with(".md")) {
            let path = path(span);
            if values.get(path[0]).is_none() {
                continue;
            }
            seen += 1;
            let path: Vec<&str> = path.into_iter().filter(|part| *part != "*").collect();
            if !has_value(&values, &path) {
                bad.push(format!("{file}: {span} is no value of the chart"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(seen > 30, "only {seen} values were looked up");
}

/// All words of a text that begin with `begin` and continue with characters that `of` accepts. After a dot, they are part of another word.
fn words(text: &str, begin: &str, of: fn(char) -> bool) -> BTreeSet<String> {
    let parts: Vec<&str> = text.split(begin).collect();
    let begun = parts.windows(2).filter(|pair| !pair[0].ends_with('.')).map(|pair| pair[1]);
    let rest = begun.map(|rest| rest.chars().take_while(|c| of(*c)).collect::<String>());
    rest.filter(|rest| !rest.is_empty()).map(|rest| format!("{begin}{rest}")).collect()
}

/// All code in one text.
fn code() -> String {
    sources().into_iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn annotations_environment_and_commands_that_are_named_are_there() {
    let code = code();
    let commands = read("xtask/src/main.rs").to_lowercase();
    let mut bad = Vec::new();
    for (file, text) in written() {
        let annotations = words(&text, "operatorconnect.dev/", |c| c.is_ascii_lowercase() || c == '-').into_iter();
        let environment = words(&text, "OPERATORCONNECT_", |c| c.is_ascii_uppercase() || c == '_').into_iter();
        // An API version is no annotation, and `…_` stands for several names.
        let whole = annotations.chain(environment).filter(|name| !name.ends_with("/v") && !name.ends_with('_'));
        bad.extend(whole.filter(|name| !code.contains(&format!("\"{name}\""))).map(|name| format!("{file}: {name}")));
        let known = |command: &String| {
            let name = command.trim_start_matches("cargo xtask ");
            commands.lines().any(|line| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', ',', ' '])))
        };
        let xtask = words(&text, "cargo xtask ", |c| c.is_ascii_lowercase()).into_iter();
        bad.extend(xtask.filter(|command| !known(command)).map(|command| format!("{file}: {command}")));
    }
    assert!(bad.is_empty(), "these are not there: {bad:#?}");
}

#[test]
fn functions_and_tests_that_are_named_are_there() {
    let code = code();
    let (mut seen, mut bad) = (0, Vec::new());
    // The pages with facts about the platform use its names.
    for (file, text) in written().into_iter().filter(|(file, _)| !file.contains("platform-facts")) {
        let like_a_test = |span: &&str| span.matches('_').count() >= 3 && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        for name in named(&text).into_iter().filter(like_a_test).filter(|name| !name.starts_with("operatorconnect_")) {
            seen += 1;
            if !code.contains(&format!("fn {name}(")) {
                bad.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(bad.is_empty(), "no such test: {bad:#?}");
    assert!(seen > 30, "only {seen} were looked up");
}

#[test]
fn metrics_that_are_named_are_there() {
    let reference = read("docs/reference/metrics.md");
    let (mut seen, mut bad) = (0, Vec::new());
    for (file, text) in written() {
        for name in words(&text, "operatorconnect_", |c| c.is_ascii_lowercase() || c == '_') {
            // The samples of a histogram are listed under their family.
            seen += 1;
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            // `…_` stands for several names.
            if !name.ends_with('_') && !reference.contains(&format!("`{name}`")) && !reference.contains(&format!("`{family}`")) {
                bad.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(bad.is_empty(), "no such metric: {bad:#?}");
    assert!(seen > 5, "only {seen} metrics were looked up");
}

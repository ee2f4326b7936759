//! Writes JSON schemas of what the chart renders, for kubeconform. Schemas of Kubernetes' own kinds come from
//! the OpenAPI document in its Go module, the others from their definitions. Only Go downloads anything, and
//! it verifies checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The template by which kubeconform finds the file of a kind.
pub const FILE_NAME: &str = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json";

/// The module with the definitions of ServiceMonitor, PodMonitor and PrometheusRule.
const MONITORING: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

/// A kind, with the group and version as manifests write them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
}

impl Kind {
    /// Returns the file name that [`FILE_NAME`] gives. The core group has only a version.
    fn file(&self) -> String {
        let (group, version) = self
            .api_version
            .split_once('/')
            .unwrap_or((&self.api_version, &self.api_version));
        format!("{group}_{version}_{}.json", self.kind.to_lowercase())
    }
}

/// Writes the schemas of all kinds in these files, and returns their folder.
///
/// # Errors
/// When a kind has no schema, Go can't fetch a module, or a file can't be read or written.
pub fn write(root: &Path, folder: &Path, rendered: &[PathBuf]) -> Result<PathBuf> {
    let kinds = kinds(rendered)?;
    let mut schemas = of_kubernetes(root, &kinds)?;
    schemas.extend(of_definitions(&root.join("crds"))?);
    let monitoring = module(root, MONITORING)?.join("example/prometheus-operator-crd");
    schemas.extend(of_definitions(&monitoring)?);
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    for kind in &kinds {
        let schema = schemas.get(kind).with_context(|| {
            format!(
                "the chart renders {} {}, but there is no schema for it",
                kind.api_version, kind.kind
            )
        })?;
        let path = folder.join(kind.file());
        fs::write(&path, serde_json::to_vec(schema)?).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(folder.to_owned())
}

fn kinds(rendered: &[PathBuf]) -> Result<BTreeSet<Kind>> {
    let mut kinds = BTreeSet::new();
    for path in rendered {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let found: Vec<Kind> = serde_saphyr::from_multiple(&text).with_context(|| {
            format!(
                "{} contains a document without apiVersion or kind",
                path.display()
            )
        })?;
        kinds.extend(found);
    }
    Ok(kinds)
}

/// Returns the folder of a Go module. Without a version it is the one that the API server for the tests is
/// built from.
fn module(root: &Path, name: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Dir")]
        folder: PathBuf,
    }
    let output = Command::new("go")
        .args(["mod", "download", "-json", name])
        .current_dir(root.join("tests/control-plane"))
        .output();
    let output = output.context("can't run go; install Go from https://go.dev/dl and try again")?;
    if !output.status.success() {
        bail!(
            "go can't download {name}:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("go does not report the folder of {name}"))?;
    Ok(answer.folder)
}

/// Returns the schemas of the kinds that Kubernetes itself defines.
fn of_kubernetes(root: &Path, kinds: &BTreeSet<Kind>) -> Result<BTreeMap<Kind, Value>> {
    let path = module(root, "k8s.io/kubernetes")?.join("api/openapi-spec/swagger.json");
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let document: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let definitions = document["definitions"]
        .as_object()
        .with_context(|| format!("{} has no definitions", path.display()))?;
    let mut schemas = BTreeMap::new();
    for (name, definition) in definitions {
        for kind in named(definition) {
            if kinds.contains(&kind) {
                schemas.insert(kind, with_what_it_needs(definitions, name));
            }
        }
    }
    Ok(schemas)
}

/// Returns the kinds of a definition: most have none, some have several versions.
fn named(definition: &Value) -> impl Iterator<Item = Kind> {
    let entries = definition["x-kubernetes-group-version-kind"]
        .as_array()
        .into_iter()
        .flatten();
    entries.filter_map(|entry| {
        let [group, version, kind] = ["group", "version", "kind"].map(|key| entry[key].as_str());
        let (group, version) = (group?, version?);
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        Some(Kind {
            api_version,
            kind: kind?.to_owned(),
        })
    })
}

/// Returns a self-contained schema: the definition and all that it refers to.
fn with_what_it_needs(definitions: &Map<String, Value>, name: &str) -> Value {
    let mut needed = Map::new();
    let mut left = vec![name.to_owned()];
    while let Some(name) = left.pop() {
        let Some(definition) = definitions.get(&name).filter(|_| !needed.contains_key(&name)) else {
            continue;
        };
        references(definition, &mut left);
        let mut definition = definition.clone();
        if name.ends_with(".api.resource.Quantity") {
            // Both 1 and "1" are written.
            definition = json!({"type": ["string", "number"]});
        }
        close(&mut definition);
        needed.insert(name, definition);
    }
    json!({"$ref": format!("#/definitions/{name}"), "definitions": needed})
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            let name = object
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix("#/definitions/"));
            found.extend(name.map(str::to_owned));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Allows only named fields in an object, so that a misspelt one is found. Allows a number or a text where
/// either is valid.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object
                .get("format")
                .is_some_and(|format| format == "int-or-string")
            {
                object.insert("type".to_owned(), json!(["string", "integer"]));
                object.remove("format");
            }
            let open = object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
                || object.contains_key("additionalProperties");
            if !open && object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Returns the schemas of the custom resources that a folder defines.
fn of_definitions(folder: &Path) -> Result<BTreeMap<Kind, Value>> {
    let mut schemas = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let definition: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))?;
        let spec = &definition["spec"];
        let (group, kind) = (
            spec["group"].as_str().unwrap_or_default(),
            spec["names"]["kind"].as_str().unwrap_or_default(),
        );
        for version in spec["versions"].as_array().into_iter().flatten() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            close(&mut schema);
            // Every object has these, so definitions may leave them out.
            for (key, kind) in [
                ("apiVersion", "string"),
                ("kind", "string"),
                ("metadata", "object"),
            ] {
                schema["properties"][key] = json!({"type": kind});
            }
            let api_version = format!("{group}/{}", version["name"].as_str().unwrap_or_default());
            schemas.insert(
                Kind {
                    api_version,
                    kind: kind.to_owned(),
                },
                schema,
            );
        }
    }
    Ok(schemas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_stands_alone_and_is_closed() {
        let definitions = json!({
            "a": {"properties": {"b": {"$ref": "#/definitions/b"}, "port": {"type": "string", "format": "int-or-string"}}},
            "b": {"properties": {"a": {"$ref": "#/definitions/a"}}},
            "c": {"properties": {}},
        });
        let schema = with_what_it_needs(definitions.as_object().unwrap(), "a");
        assert_eq!(
            schema["definitions"]
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(schema["definitions"]["a"]["additionalProperties"], json!(false));
        assert_eq!(
            schema["definitions"]["a"]["properties"]["port"],
            json!({"type": ["string", "integer"]})
        );
    }

    #[test]
    fn the_file_of_a_kind_is_where_kubeconform_looks() {
        let kind = |api_version: &str, kind: &str| {
            Kind {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            }
            .file()
        };
        assert_eq!(kind("v1", "Service"), "v1_v1_service.json");
        assert_eq!(kind("apps/v1", "Deployment"), "apps_v1_deployment.json");
        assert_eq!(
            kind("operatorconnect.dev/v1alpha1", "Lead"),
            "operatorconnect.dev_v1alpha1_lead.json"
        );
    }
}

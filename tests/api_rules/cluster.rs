//! The definitions on an API server, and the table tests: a valid object, one mutation, the message.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

/// One mutation of a valid object. `None` removes the field.
pub struct Case {
    /// Whether the object exists already.
    pub update: bool,
    /// The field, as a JSON pointer.
    pub at: &'static str,
    /// Its new value.
    pub value: Option<Value>,
    /// The parts that the answer must contain, all of them; empty when the mutation must be accepted.
    pub expect: Vec<&'static str>,
}

/// A new object with one field wrong.
pub fn create(at: &'static str, value: impl Into<Option<Value>>, expect: &[&'static str]) -> Case {
    Case { update: false, at, value: value.into(), expect: expect.to_vec() }
}

/// A change of one field of an existing object.
pub fn update(at: &'static str, value: impl Into<Option<Value>>, expect: &[&'static str]) -> Case {
    Case { update: true, at, value: value.into(), expect: expect.to_vec() }
}

/// The cases of one valid object.
pub struct Table {
    /// The name of the valid object, for the list of failures.
    pub name: &'static str,
    /// The valid object. If it has a status, that is written after creation: what the operator has reported by then.
    pub object: Value,
    /// Its mutations.
    pub cases: Vec<Case>,
}

/// The tables of one kind.
pub struct Suite {
    /// The kind.
    pub resource: ApiResource,
    /// Whether its objects have a namespace.
    pub namespaced: bool,
    /// What users rely on: group, version, kind, scope, short names, categories.
    pub contract: Value,
    /// The tables.
    pub tables: Vec<Table>,
}

/// The text of each definition, and the definition.
pub fn files() -> Vec<(String, CustomResourceDefinition)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let read = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let crd = serde_saphyr::from_str(&text).unwrap();
        (text, crd)
    };
    files.into_iter().map(read).collect()
}

/// Installs the definitions of `crds/`, and waits until they are served.
pub async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, crd) in files() {
        let name = crd.name_any();
        api.patch(&name, &PatchParams::apply("api-rules").force(), &Patch::Apply(&crd)).await.unwrap();
        let resource = ApiResource {
            group: crd.spec.group.clone(),
            version: crd.spec.versions[0].name.clone(),
            api_version: format!("{}/{}", crd.spec.group, crd.spec.versions[0].name),
            kind: crd.spec.names.kind.clone(),
            plural: crd.spec.names.plural.clone(),
        };
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut last = None;
        for _ in 0..200 {
            let told = serde_json::to_value(api.get(&name).await.unwrap().status).unwrap();
            let established = told["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["type"] == "Established" && c["status"] == "True"));
            if established && objects.list(&ListParams::default()).await.is_ok() {
                last = None;
                break;
            }
            last = Some(told);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(last.is_none(), "{name} was not established: {last:?}");
    }
}

/// The objects of a kind.
pub fn api(client: &Client, resource: &ApiResource, namespaced: bool) -> Api<DynamicObject> {
    if namespaced { Api::namespaced_with(client.clone(), "default", resource) } else { Api::all_with(client.clone(), resource) }
}

/// Tries every case of a kind. Nothing stays on the API server except the valid objects of updates, and those only for the time of their cases.
pub async fn check(client: &Client, suite: &Suite) -> Vec<String> {
    let api = api(client, &suite.resource, suite.namespaced);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut failures = Vec::new();
    for table in &suite.tables {
        let valid: DynamicObject = serde_json::from_value(table.object.clone()).unwrap();
        let created = api.create(&PostParams::default(), &valid).await;
        let stored = match (created, table.object.get("status")) {
            (Ok(_), Some(status)) => {
                let status = Patch::Merge(json!({ "status": status }));
                api.patch_status(&valid.name_any(), &PatchParams::default(), &status).await
            }
            (created, _) => created,
        };
        let stored = match stored {
            Ok(stored) => serde_json::to_value(stored).unwrap(),
            Err(error) => {
                failures.push(format!("{} {}: the valid object was refused: {error}", suite.resource.kind, table.name));
                continue;
            }
        };
        for case in &table.cases {
            let base = if case.update { &stored } else { &table.object };
            let mut object: DynamicObject = serde_json::from_value(mutated(base, case)).unwrap();
            let answer = if case.update {
                api.replace(&valid.name_any(), &dry, &object).await
            } else {
                object.metadata.name = Some("other".into());
                api.create(&dry, &object).await
            };
            if let Some(failure) = judge(case, answer) {
                let shown = case.value.as_ref().map_or_else(|| "(absent)".into(), Value::to_string);
                let how = if case.update { "update" } else { "create" };
                failures.push(format!("{} {} {how} {} = {shown:.100}: {failure}", suite.resource.kind, table.name, case.at));
            }
        }
        api.delete(&valid.name_any(), &kube::api::DeleteParams::default()).await.unwrap();
    }
    failures
}

fn mutated(base: &Value, case: &Case) -> Value {
    let mut object = base.clone();
    let (parent, field) = case.at.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{} is not in the valid object", case.at));
    match (&case.value, parent) {
        (Some(value), Value::Object(fields)) => drop(fields.insert(field.into(), value.clone())),
        (None, Value::Object(fields)) => drop(fields.remove(field).unwrap_or_else(|| panic!("{} is not in the valid object", case.at))),
        _ => panic!("{} is not in an object", case.at),
    }
    object
}

/// The answer must contain every expected part and complain of nothing else: one field, and one rule unless more are expected.
fn judge(case: &Case, answer: kube::Result<DynamicObject>) -> Option<String> {
    let error = match answer {
        Ok(_) if case.expect.is_empty() => return None,
        Ok(_) => return Some(format!("was taken, but {:?} was expected", case.expect)),
        Err(error) => error,
    };
    let kube::Error::Api(status) = &error else { return Some(format!("no answer: {error}")) };
    let told = serde_json::to_value(status).unwrap_or_else(|_| json!({}));
    let causes: Vec<String> = told["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cause| format!("{}: {}", cause["field"].as_str().unwrap_or(""), cause["message"].as_str().unwrap_or("")))
        .filter(|cause| !cause.contains("some validation rules were not checked"))
        .collect();
    if case.expect.is_empty() {
        return Some(format!("was refused: {causes:?}"));
    }
    let all = causes.join("\n");
    let missing: Vec<_> = case.expect.iter().filter(|part| !all.contains(**part)).collect();
    if missing.is_empty() && causes.len() < case.expect.len().max(2) {
        None
    } else {
        Some(format!("lacks {missing:?} or says too much: {causes:?} {status:?}"))
    }
}

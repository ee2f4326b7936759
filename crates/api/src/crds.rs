//! The custom resource definitions as they are installed: the derived ones, plus the few things the derive
//! can't express.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::json;

use super::derived;

/// Returns the definitions of all kinds.
pub fn generate() -> Vec<CustomResourceDefinition> {
    derived().into_iter().map(finish).collect()
}

/// What the description of a field says that objects can be selected by. An older Kubernetes drops `selectableFields`
/// without a word, and refuses the selector.
const SELECTABLE: &str = " Selectable with `--field-selector`; needs Kubernetes 1.31.";

fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let selectable = version.selectable_fields.clone().unwrap_or_default();
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        schema.title = None;
        tidy(schema);
        for field in selectable {
            if let Some(text) = described(schema, &field.json_path) {
                text.push_str(SELECTABLE);
            }
        }
        if let Some(status) = schema
            .properties
            .as_mut()
            .and_then(|fields| fields.get_mut("status"))
        {
            status.default = Some(JSON(initial_status()));
            // Nothing is counted yet: a zero would claim that there is nothing to count.
            let fields = status
                .properties
                .iter_mut()
                .flat_map(|fields| fields.values_mut());
            fields.for_each(|field| field.default = None);
        }
    }
    crd
}

/// Returns the description of a field, given its path with dots.
fn described<'a>(schema: &'a mut JSONSchemaProps, path: &str) -> Option<&'a mut String> {
    let mut names = path.split('.').filter(|name| !name.is_empty());
    let field = names.try_fold(schema, |schema, name| schema.properties.as_mut()?.get_mut(name))?;
    field.description.as_mut()
}

/// The status of an object that no operator has seen yet. Without it, tools would take the object for a
/// healthy one.
fn initial_status() -> serde_json::Value {
    json!({ "conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Progressing",
        "message": "Waiting for the operator.",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }] })
}

/// Normalizes a schema. An absent field has one form, absence: a `null` would pass `has()` in a rule. Formats
/// are limited to those the API server knows. Line breaks of a doc comment do not reach the reader.
fn tidy(schema: &mut JSONSchemaProps) {
    if let Some(text) = &mut schema.description {
        *text = text.split('\n').collect::<Vec<_>>().join(" ");
    }
    schema.nullable = None;
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    if schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = Some("int64".into());
    }
    for field in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        tidy(field);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_that_selects_says_which_kubernetes_that_needs() {
        let mut told = Vec::new();
        for crd in generate() {
            for version in &crd.spec.versions {
                let schema = serde_json::to_value(&version.schema).unwrap();
                for field in version.selectable_fields.iter().flatten() {
                    let path = field.json_path.replace('.', "/properties/");
                    let text = schema.pointer(&format!("/openAPIV3Schema{path}/description"));
                    let text = text.and_then(serde_json::Value::as_str).unwrap_or_default();
                    assert!(text.ends_with(SELECTABLE), "{}: {text}", field.json_path);
                    told.push(field.json_path.clone());
                }
            }
        }
        assert_eq!(told.len(), 8, "{told:?}");
    }
}

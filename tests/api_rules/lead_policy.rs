//! The rules of `LeadPolicy`.

use kube::CustomResourceExt;
use oc_api::LeadPolicy;
use serde_json::{Map, Value, json};

use crate::cluster::{Suite, Table, create, update};

pub fn suite() -> Suite {
    Suite {
        resource: LeadPolicy::api_resource(),
        namespaced: true,
        contract: json!(["operatorconnect.dev", "v1alpha1", "LeadPolicy", "Namespaced", ["lpol"], ["operatorconnect"]]),
        tables: vec![least(), full(), template(), example()],
    }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy", "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}

/// The minimal policy.
pub fn least_object(name: &str) -> Value {
    object(name, json!({ "template": {} }))
}

/// The policy in `examples`.
fn example() -> Table {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies/benelux.yaml")).unwrap();
    let mut object: Value = serde_saphyr::from_str(&text).unwrap();
    object["metadata"]["namespace"] = json!("default");
    Table { name: "example", object, cases: vec![update("/spec/template/spec/mode", json!("Apply"), &[])] }
}

fn many(count: usize) -> Value {
    Value::Array((0..count).map(|n| json!({ "name": format!("c{n}"), "expression": "true" })).collect())
}

fn least() -> Table {
    Table {
        name: "least",
        object: least_object("least"),
        cases: vec![
            create("/spec/template", None, &["spec.template", "Required value"]),
            // The default that was filled in is a value like any other.
            update("/spec/platform", json!("other"), &["spec.platform", "platform is immutable"]),
            update("/spec/platform", None, &[]),
            update("/spec/suspend", json!(true), &[]),
            update("/spec/limits", json!({ "inProgress": 1 }), &[]),
            update("/spec/names", json!({ "onCollision": "Refuse" }), &[]),
            update("/spec/matchConditions", many(16), &[]),
            update("/spec/matchConditions", many(17), &["spec.matchConditions", "must have at most 16 items"]),
            update("/spec/matchConditions", json!([{ "name": "a", "expression": "true" }, { "name": "a", "expression": "false" }]), &["Duplicate value"]),
        ],
    }
}

fn full() -> Table {
    let expression = "/spec/matchConditions/0/expression";
    let mut cases = vec![
        create("/spec/platform", json!("Live_EU"), &["spec.platform", "must be an object name"]),
        create("/spec/suspend", json!("yes"), &["spec.suspend", "must be of type boolean"]),
        create("/spec/matchConditions/0/name", json!("From the Benelux"), &["name", "must be a name: lower-case letters"]),
        create("/spec/matchConditions/0/name", None, &["name", "Required value"]),
        create(expression, None, &["expression", "Required value"]),
        create(expression, json!(""), &["expression", "must not be empty"]),
        create(expression, json!("  "), &["expression", "must not consist only of blanks"]),
        create(expression, json!("x".repeat(1001)), &["expression", "may not be more than 1000"]),
        // What an expression means is the operator's to judge.
        create(expression, json!("no such thing ("), &[]),
        create("/spec/names/shortName", json!(""), &["spec.names.shortName", "must not be empty"]),
        create("/spec/names/fullName", json!(" "), &["spec.names.fullName", "must not consist only of blanks"]),
        create("/spec/names/onCollision", json!("Append"), &["spec.names.onCollision", r#"supported values: "Number", "Refuse""#]),
        create("/spec/limits/inProgress", json!(0), &["spec.limits.inProgress", "should be greater than or equal to 1"]),
        create("/spec/limits/inProgress", json!(1001), &["spec.limits.inProgress", "should be less than or equal to 1000"]),
        create("/spec/limits/perDay", json!(0), &["spec.limits.perDay", "should be greater than or equal to 1"]),
        create("/spec/limits/perDay", json!(10_001), &["spec.limits.perDay", "should be less than or equal to 10000"]),
        create("/spec/selector/matchLabels", json!({ "team": "a b" }), &["spec.selector.matchLabels", "must be a label value"]),
        create("/spec/selector/matchExpressions", json!([{ "key": "team", "operator": "In" }]), &["In and NotIn need values"]),
        create("/spec/selector/matchExpressions", json!([{ "key": "team", "operator": "NotIn", "values": ["sales"] }]), &[]),
    ];
    cases.extend(
        [("/spec/selector", None), ("/spec/names", None), ("/spec/limits", None), ("/spec/matchConditions", None)].map(|(at, none)| create(at, none, &[])),
    );
    Table {
        name: "full",
        object: object(
            "full",
            json!({
                "platform": "live.eu",
                "selector": { "matchLabels": { "team": "voice" } },
                "matchConditions": [{ "name": "from-the-benelux", "expression": r#"lead.status.countries.exists(c, c in ["NL", "BE", "LU"])"# }],
                "template": { "metadata": { "labels": { "team": "voice" }, "annotations": { "example.com/why": "policy" } }, "spec": { "mode": "Apply" } },
                "names": { "shortName": "lead.status.companyName", "fullName": "lead.status.companyName", "onCollision": "Number" },
                "limits": { "inProgress": 5, "perDay": 50 },
                "suspend": false,
            }),
        ),
        cases,
    }
}

/// The template: its spec has the rules of a service's own fields, and no field that is each service's own.
fn template() -> Table {
    let labels = "/spec/template/metadata/labels";
    let annotations = "/spec/template/metadata/annotations";
    let map = |count: usize| Value::Object((0..count).map(|n| (format!("example.com/k{n}"), json!("v"))).collect::<Map<_, _>>());
    let cases = vec![
        create(labels, json!({ "a b": "x" }), &["keys must be label names"]),
        create(labels, json!({ "operatorconnect.dev/lead-policy": "other" }), &["keys must not begin with operatorconnect.dev/"]),
        create(labels, json!({ "team": "a b" }), &["must be a label value"]),
        create(labels, map(33), &["must have at most 32 items"]),
        create(annotations, json!({ "a b": "x" }), &["keys must be annotation names"]),
        create(annotations, json!({ "operatorconnect.dev/operation": "{}" }), &["keys must not begin with operatorconnect.dev/"]),
        create(annotations, json!({ "example.com/long": "x".repeat(2001) }), &["may not be more than 2000"]),
        create(annotations, map(33), &["must have at most 32 items"]),
        create("/spec/template/spec/mode", json!("Go"), &["spec.template.spec.mode", r#"supported values: "Apply", "Plan", "Observe""#]),
        create("/spec/template/spec/lcCustomerId", json!(0), &["spec.template.spec.lcCustomerId", "should be greater than or equal to 1"]),
        create("/spec/template/spec/channelId", json!(0), &["spec.template.spec.channelId", "should be greater than or equal to 1"]),
        create("/spec/template/spec/deletionPolicy", json!("Orphan"), &["spec.template.spec.deletionPolicy", "supported values"]),
        create("/spec/template/spec/deletionGuard", json!("All"), &["spec.template.spec.deletionGuard", "supported values"]),
        create("/spec/template/spec/adoption", json!("Maybe"), &["spec.template.spec.adoption", "supported values"]),
        create(
            "/spec/template/spec/advancedSettings",
            json!({ "proxySet": "a" }),
            &["spec.template.spec.advancedSettings.onlinePstnGateway", "Required value"],
        ),
        create("/spec/template/spec/advancedSettings", json!({ "proxySet": "SIPTrunk", "onlinePstnGateway": "gw" }), &["must be a fully qualified host name"]),
        // A template can change as long as the policy exists: that concerns later services.
        update("/spec/template/spec/lcCustomerId", json!(4712), &[]),
        update("/spec/template/spec/mode", json!("Plan"), &[]),
        update("/spec/template/spec", None, &[]),
    ];
    let spec = json!({
        "lcCustomerId": 4711, "channelId": 1574, "mode": "Apply", "adoption": "Never", "deletionPolicy": "Delete", "deletionGuard": "None", "recreate": true,
        "besideDirectRouting": true, "suspend": true,
        "advancedSettings": { "proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com", "variablesFrom": { "secretRef": { "name": "sip" } } },
    });
    Table {
        name: "template",
        object: object(
            "template",
            json!({ "template": { "metadata": { "labels": { "team": "voice" }, "annotations": { "example.com/why": "policy" } }, "spec": spec } }),
        ),
        cases,
    }
}

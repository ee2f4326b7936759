//! The rules of `Lead`.

use kube::CustomResourceExt;
use oc_api::Lead;
use serde_json::{Value, json};

use crate::cluster::{Suite, Table, create, update};

pub fn suite() -> Suite {
    Suite {
        resource: Lead::api_resource(),
        namespaced: true,
        contract: json!(["operatorconnect.dev", "v1alpha1", "Lead", "Namespaced", null, ["operatorconnect"]]),
        tables: vec![least(), full()],
    }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}

/// The minimal lead.
pub fn least_object(name: &str) -> Value {
    object(name, json!({ "msTenantId": "22222222-2222-4222-8222-222222222222" }))
}

fn least() -> Table {
    Table {
        name: "least",
        object: least_object("least"),
        cases: vec![
            create("/spec/msTenantId", None, &["spec.msTenantId", "Required value"]),
            create("/spec/msTenantId", json!("ABCDEF22-2222-4222-8222-222222222222"), &["spec.msTenantId", "must be a lowercase GUID"]),
            create("/spec/msTenantId", json!("22222222222242228222222222222222"), &["spec.msTenantId", "must be a lowercase GUID"]),
            create("/spec/msTenantId", json!("{22222222-2222-4222-8222-222222222222}"), &["spec.msTenantId", "must be a lowercase GUID"]),
            create("/spec/msTenantId", json!(""), &["spec.msTenantId", "must be a lowercase GUID"]),
            create("/spec/deletionPolicy", json!("Delete"), &["spec.deletionPolicy", "Delete works only for consentless leads"]),
            create("/spec/consentless", json!({}), &["spec.consentless.companyName", "Required value"]),
            // The default that was filled in is a value like any other.
            update("/spec/platform", json!("other"), &["spec.platform", "platform is immutable"]),
            update("/spec/platform", None, &[]),
            update("/spec/channelId", json!(1574), &[]),
            update("/spec/consentless", json!({ "companyName": "Contoso Ltd" }), &[]),
        ],
    }
}

fn full() -> Table {
    Table {
        name: "full",
        object: object(
            "full",
            json!({
                "platform": "live.eu",
                "msTenantId": "22222222-2222-4222-8222-222222222222",
                "consentless": { "companyName": "Contoso Ltd" },
                "channelId": 1574,
                "deletionPolicy": "Delete",
                "suspend": true,
            }),
        ),
        cases: vec![
            create("/spec/platform", json!("Live_EU"), &["spec.platform", "must be an object name"]),
            create("/spec/platform", json!(""), &["spec.platform", "must be an object name"]),
            create("/spec/consentless/companyName", json!(""), &["spec.consentless.companyName", "must have 1 to 200 characters"]),
            create("/spec/consentless/companyName", json!("x".repeat(201)), &["spec.consentless.companyName", "must have 1 to 200 characters"]),
            create("/spec/consentless/companyName", json!(" \u{a0} "), &["spec.consentless.companyName", "must not consist only of blanks"]),
            create("/spec/consentless", None, &["spec.deletionPolicy", "Delete works only for consentless leads"]),
            create("/spec/channelId", json!(0), &["spec.channelId", "should be greater than or equal to 1"]),
            create("/spec/channelId", json!("1574"), &["spec.channelId", "must be of type integer"]),
            create("/spec/deletionPolicy", json!("Orphan"), &["spec.deletionPolicy", r#"supported values: "Retain", "Delete""#]),
            create("/spec/suspend", json!("yes"), &["spec.suspend", "must be of type boolean"]),
            update("/spec/msTenantId", json!("33333333-3333-4333-8333-333333333333"), &["spec.msTenantId", "msTenantId is immutable"]),
            update("/spec/platform", json!("live.us"), &["spec.platform", "platform is immutable"]),
            update("/spec/platform", None, &["spec.platform", "platform is immutable"]),
            update("/spec/consentless", None, &["spec.deletionPolicy", "Delete works only for consentless leads"]),
            update("/spec/channelId", None, &[]),
            update("/spec/suspend", json!(false), &[]),
        ],
    }
}

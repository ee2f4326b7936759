//! The rules of `OcEssentialService`.

use kube::CustomResourceExt;
use oc_essentials_operator::api::OcEssentialService;
use serde_json::{Map, Value, json};

use crate::cluster::{Case, Suite, Table, create, update};

pub fn suite() -> Suite {
    Suite { resource: OcEssentialService::api_resource(), namespaced: true, tables: vec![by_lead(), by_tenant(), short_names(), advanced()] }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}

/// The least that a service must say.
pub fn least_object(name: &str) -> Value {
    object(name, json!({ "leadRef": { "name": "contoso" }, "shortName": "Contoso_NL", "fullName": "Contoso Netherlands B.V." }))
}

const ONE_OF: &str = "set exactly one of leadRef and msTenantId";

fn by_lead() -> Table {
    Table {
        name: "by lead",
        object: least_object("by-lead"),
        cases: vec![
            create("/spec/leadRef", None, &["spec.leadRef", ONE_OF]),
            create("/spec/msTenantId", json!("22222222-2222-4222-8222-222222222222"), &["spec.leadRef", ONE_OF]),
            create("/spec/leadRef", json!({}), &["spec.leadRef.name", "Required value"]),
            create("/spec/leadRef/name", json!("Contoso"), &["spec.leadRef.name", "must be the name of an object"]),
            create("/spec/platform", json!("default"), &["spec.platform", "platform goes with msTenantId only"]),
            create("/spec/shortName", None, &["spec.shortName", "Required value"]),
            create("/spec/fullName", None, &["spec.fullName", "Required value"]),
            create("/spec/fullName", json!(""), &["spec.fullName", "must have 1 to 200 characters"]),
            create("/spec/fullName", json!("é".repeat(200)), &[]),
            create("/spec/fullName", json!("é".repeat(201)), &["spec.fullName", "must have 1 to 200 characters"]),
            create("/spec/fullName", json!("\t \u{2003}"), &["spec.fullName", "must not be only blanks"]),
            create("/spec/lcCustomerId", json!(0), &["spec.lcCustomerId", "should be greater than or equal to 1"]),
            create("/spec/channelId", json!(-1), &["spec.channelId", "should be greater than or equal to 1"]),
            create("/spec/mode", json!("DryRun"), &["spec.mode", r#"supported values: "Apply", "Plan", "Observe""#]),
            create("/spec/adoption", json!("Maybe"), &["spec.adoption", r#"supported values: "IfMatching", "Never", "Always""#]),
            create("/spec/deletionPolicy", json!("Orphan"), &["spec.deletionPolicy", r#"supported values: "Retain", "Delete""#]),
            create("/spec/deletionPolicy", json!("Delete"), &[]),
            create("/spec/deletionGuard", json!("Never"), &["spec.deletionGuard", r#"supported values: "Numbers", "None""#]),
            create("/spec/deletionGuard", json!("None"), &[]),
            update("/spec/deletionGuard", json!("None"), &[]),
            create("/spec/recreate", json!("true"), &["spec.recreate", "must be of type boolean"]),
            create("/spec/suspend", json!(1), &["spec.suspend", "must be of type boolean"]),
            update("/spec/leadRef", json!({ "name": "fabrikam" }), &["spec.leadRef", "leadRef is immutable"]),
            update("/spec/shortName", json!("Contoso_BE"), &["spec.shortName", "shortName is immutable"]),
            update("/spec/shortName", json!("contoso_nl"), &["spec.shortName", "shortName is immutable"]),
            update("/spec/fullName", json!("Contoso Nederland B.V."), &[]),
            update("/spec/mode", json!("Observe"), &[]),
        ],
    }
}

fn by_tenant() -> Table {
    Table {
        name: "by tenant",
        object: object(
            "by-tenant",
            json!({
                "msTenantId": "22222222-2222-4222-8222-222222222222",
                "platform": "live.eu",
                "shortName": "Contoso_NL",
                "fullName": "Contoso Netherlands B.V.",
                "lcCustomerId": 4711,
                "channelId": 1574,
                "mode": "Plan",
                "adoption": "Never",
                "deletionPolicy": "Delete",
                "deletionGuard": "None",
                "recreate": true,
                "suspend": true,
            }),
        ),
        cases: vec![
            create("/spec/msTenantId", json!("ABCDEF22-2222-4222-8222-222222222222"), &["spec.msTenantId", "must be a GUID in lower case"]),
            create("/spec/platform", json!("Live EU"), &["spec.platform", "must be the name of an object"]),
            create("/spec/platform", None, &[]),
            update("/spec/msTenantId", json!("33333333-3333-4333-8333-333333333333"), &["spec.msTenantId", "msTenantId is immutable"]),
            update("/spec/platform", json!("live.us"), &["spec.platform", "platform is immutable"]),
            update("/spec/platform", None, &["spec.platform", "platform is immutable (adding or removing it is a change too)"]),
            update("/spec/lcCustomerId", None, &[]),
        ],
    }
}

/// S3, rule by rule. Every forbidden character is tried.
fn short_names() -> Table {
    let at = "/spec/shortName";
    let case = |name: &str, rule: &'static str| create(at, json!(name), &["spec.shortName", rule]);
    let mut cases: Vec<Case> =
        ["abc", "SIPTest4", "auto_sys_plus_r", "24124", "Été-&+(1)", "audi", "console", "com10"].map(|name| create(at, json!(name), &[])).into();
    cases.extend(["", "ab", "1234567890123456", "ééééééééééééééé1"].map(|name| case(name, "must have 3 to 15 characters")));
    cases.push(create(at, json!("ééééééééééééééé"), &[]));
    cases.extend(['\\', '/', ':', '*', '?', '"', '<', '>', '|'].map(|c| case(&format!("ab{c}cd"), r#"must have none of \ / : * ? " < > |"#)));
    cases.extend(["a.bc", ".abc", "abc."].map(|name| case(name, "must not have a dot")));
    cases.extend(["a bc", " abc", "abc\t", "a\u{a0}bc", "a\u{2003}bc", "a\nbc"].map(|name| case(name, "must not have a blank")));
    cases.extend(["audit", "AUDIT", "myAuditor"].map(|name| case(name, "must not be or contain the word audit")));
    cases.extend(["con", "PRN", "Aux", "nul", "com1", "COM9", "lpt1", "Lpt9"].map(|name| case(name, "must not be a device name of Windows")));
    Table { name: "short names", object: least_object("short-names"), cases }
}

fn many(count: usize) -> Value {
    Value::Object((0..count).map(|n| (format!("CustomVar.Variable{n}"), json!("x"))).collect::<Map<_, _>>())
}

fn advanced() -> Table {
    let settings = json!({
        "proxySet": "SIPTrunk",
        "onlinePstnGateway": "gw.example.com",
        "siteLocation": { "name": "Amsterdam", "sbcId": 7, "onboardingScript": 1, "cleanupScript": 2, "uploadNumberScript": 3, "releaseNumberScript": 4 },
        "variables": { "CustomVar.Variable1": "a value" },
        "variablesFrom": { "secretRef": { "name": "contoso-sip" } },
    });
    let mut object = least_object("advanced");
    object["spec"]["advancedSettings"] = settings;
    let mut cases = site_location();
    cases.extend(variables());
    cases.extend(gateway());
    Table { name: "advanced", object, cases }
}

fn site_location() -> Vec<Case> {
    let name = "/spec/advancedSettings/siteLocation/name";
    let mut cases = vec![
        create(name, None, &["spec.advancedSettings.siteLocation.name", "Required value"]),
        create(name, json!(""), &["spec.advancedSettings.siteLocation.name", "must have 1 to 100 characters"]),
        create("/spec/advancedSettings/siteLocation/sbcId", None, &["spec.advancedSettings.siteLocation.sbcId", "Required value"]),
        create("/spec/advancedSettings/siteLocation/sbcId", json!(0), &["spec.advancedSettings.siteLocation.sbcId", "should be greater than or equal to 1"]),
        create(name, json!(" "), &["spec.advancedSettings.siteLocation.name", "must not be only blanks"]),
    ];
    for (at, field) in [
        ("/spec/advancedSettings/siteLocation/onboardingScript", "spec.advancedSettings.siteLocation.onboardingScript"),
        ("/spec/advancedSettings/siteLocation/cleanupScript", "spec.advancedSettings.siteLocation.cleanupScript"),
        ("/spec/advancedSettings/siteLocation/uploadNumberScript", "spec.advancedSettings.siteLocation.uploadNumberScript"),
        ("/spec/advancedSettings/siteLocation/releaseNumberScript", "spec.advancedSettings.siteLocation.releaseNumberScript"),
    ] {
        cases.push(create(at, json!(-1), &[field, "should be greater than or equal to 0"]));
        cases.push(create(at, None, &[]));
    }
    cases
}

fn gateway() -> Vec<Case> {
    let gateway = "/spec/advancedSettings/onlinePstnGateway";
    vec![
        create("/spec/advancedSettings/proxySet", None, &["spec.advancedSettings.proxySet", "Required value"]),
        create("/spec/advancedSettings/proxySet", json!(""), &["spec.advancedSettings.proxySet", "must have 1 to 100 characters"]),
        create("/spec/advancedSettings/proxySet", json!("x".repeat(101)), &["spec.advancedSettings.proxySet", "must have 1 to 100 characters"]),
        create("/spec/advancedSettings/proxySet", json!("  "), &["spec.advancedSettings.proxySet", "must not be only blanks"]),
        create(gateway, None, &["spec.advancedSettings.onlinePstnGateway", "Required value"]),
        create(gateway, json!("gw"), &["spec.advancedSettings.onlinePstnGateway", "must be a host name in full (FQDN)"]),
        create(gateway, json!("gw.example.com."), &["spec.advancedSettings.onlinePstnGateway", "must be a host name in full (FQDN)"]),
        create(gateway, json!("192.0.2.1"), &["spec.advancedSettings.onlinePstnGateway", "must be a host name in full (FQDN)"]),
        create(gateway, json!("https://gw.example.com"), &["spec.advancedSettings.onlinePstnGateway", "must be a host name in full (FQDN)"]),
        create(gateway, json!("-gw.example.com"), &["spec.advancedSettings.onlinePstnGateway", "must be a host name in full (FQDN)"]),
        create(gateway, json!("GW-1.sub.Example.com"), &[]),
    ]
}

fn variables() -> Vec<Case> {
    let variables = "/spec/advancedSettings/variables";
    vec![
        create(variables, many(50), &[]),
        create(variables, many(51), &["spec.advancedSettings.variables", "must have at most 50 items"]),
        create(
            variables,
            json!({ "a b": "x" }),
            &["spec.advancedSettings.variables", "names must have 1 to 100 letters, digits, dots, underscores and dashes"],
        ),
        create(variables, json!({ "": "x" }), &["spec.advancedSettings.variables", "names must have 1 to 100 letters, digits, dots, underscores and dashes"]),
        create(
            variables,
            json!({ "x".repeat(101): "x" }),
            &["spec.advancedSettings.variables", "names must have 1 to 100 letters, digits, dots, underscores and dashes"],
        ),
        create(variables, json!({ "ProxySet": "x" }), &["spec.advancedSettings.variables", "ProxySet has a field of its own"]),
        create(variables, json!({ "OnlinePstnGateway": "x" }), &["spec.advancedSettings.variables", "OnlinePstnGateway has a field of its own"]),
        create(variables, json!({ "a": "x".repeat(1001) }), &["spec.advancedSettings.variables.a", "may not be more than 1000"]),
        create("/spec/advancedSettings/variablesFrom", json!({}), &["spec.advancedSettings.variablesFrom.secretRef", "Required value"]),
        create(
            "/spec/advancedSettings/variablesFrom/secretRef/name",
            json!("Not_A_Name"),
            &["spec.advancedSettings.variablesFrom.secretRef.name", "must be the name of an object"],
        ),
    ]
}

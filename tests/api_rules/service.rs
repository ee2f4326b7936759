//! The rules of `OcEssentialService`.

use kube::CustomResourceExt;
use oc_api::OcEssentialService;
use serde_json::{Map, Value, json};

use crate::cluster::{Case, Suite, Table, create, update};

pub fn suite() -> Suite {
    Suite {
        resource: OcEssentialService::api_resource(),
        namespaced: true,
        contract: json!(["operatorconnect.dev", "v1alpha1", "OcEssentialService", "Namespaced", ["oces"], ["operatorconnect"]]),
        tables: [by_lead(), by_tenant(), short_names(), advanced()].into_iter().chain(kept()).collect(),
    }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}

/// The minimal service.
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
            create("/spec/leadRef/name", json!("Contoso"), &["spec.leadRef.name", "must be an object name"]),
            create("/spec/platform", json!("default"), &["spec.platform", "platform is allowed only with msTenantId"]),
            create("/spec/shortName", None, &["spec.shortName", "Required value"]),
            create("/spec/fullName", None, &["spec.fullName", "Required value"]),
            create("/spec/fullName", json!(""), &["spec.fullName", "must have 1 to 200 characters"]),
            create("/spec/fullName", json!("é".repeat(200)), &[]),
            create("/spec/fullName", json!("é".repeat(201)), &["spec.fullName", "must have 1 to 200 characters"]),
            create("/spec/fullName", json!("\t \u{2003}"), &["spec.fullName", "must not consist only of blanks"]),
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
            create("/spec/besideDirectRouting", json!("yes"), &["spec.besideDirectRouting", "must be of type boolean"]),
            create("/spec/besideDirectRouting", json!(true), &[]),
            update("/spec/besideDirectRouting", json!(true), &[]),
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
            create("/spec/msTenantId", json!("ABCDEF22-2222-4222-8222-222222222222"), &["spec.msTenantId", "must be a lowercase GUID"]),
            create("/spec/platform", json!("Live EU"), &["spec.platform", "must be an object name"]),
            create("/spec/platform", None, &[]),
            update("/spec/msTenantId", json!("33333333-3333-4333-8333-333333333333"), &["spec.msTenantId", "msTenantId is immutable"]),
            update("/spec/platform", json!("live.us"), &["spec.platform", "platform is immutable"]),
            update("/spec/platform", None, &["spec.platform", "platform is immutable and can be neither added nor removed"]),
            update("/spec/lcCustomerId", None, &[]),
        ],
    }
}

/// A service with everything that no call can change, and a status from the operator.
fn asked_for(name: &str, by_ip_group: bool, status: Value) -> Value {
    let mut object = least_object(name);
    let spec = json!({ "lcCustomerId": 4711, "channelId": 1574 });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    if by_ip_group {
        object["spec"]["advancedSettings"] = json!({ "proxySet": "SIPTrunk", "onlinePstnGateway": "gw.example.com" });
    }
    object["status"] = status;
    object
}

/// Fields that no call of the platform can change: free before the request, fixed while the service is being created and exists, free again when it does not.
fn kept() -> Vec<Table> {
    let settings = || json!({ "proxySet": "Other", "onlinePstnGateway": "gw.example.com" });
    let changes = |free: bool| {
        let words = |words: &'static [&'static str]| if free { &[][..] } else { words };
        vec![
            update("/spec/lcCustomerId", json!(4712), words(&["spec.lcCustomerId", "lcCustomerId is immutable once the service was requested"])),
            update("/spec/channelId", json!(1575), words(&["spec.channelId", "channelId is immutable once the service was requested"])),
            update("/spec/advancedSettings", settings(), words(&["spec.advancedSettings", "advancedSettings is immutable once"])),
            update("/spec/lcCustomerId", None, &[]),
            update("/spec/channelId", None, &[]),
            update("/spec/fullName", json!("Another"), &[]),
            update("/spec/shortName", json!("Another"), &["spec.shortName", "shortName is immutable"]),
        ]
    };
    let operation = |outcome: Option<&str>| {
        let mut operation = json!({ "kind": "Create", "id": "op-1" });
        if let Some(outcome) = outcome {
            operation["outcome"] = json!(outcome);
        }
        operation
    };
    // An outcome that another writer has left of an earlier operation.
    let of = |id: &str| {
        let mut operation = operation(Some("Failed"));
        operation["outcomeOf"] = json!(id);
        operation
    };
    let made = || json!({ "operation": operation(Some("Succeeded")), "umpCustomerGuid": "c0ffee00-0000-4000-8000-000000000001", "licenseType": "OC Essential", "shortName": "Renamed" });
    let job = |name: &str| json!({ "name": name, "state": "Synced" });
    let jobs = |names: &[&str]| json!({ "state": "Synced", "jobs": names.iter().map(|name| job(name)).collect::<Vec<_>>() });
    let leads = || json!({ "sync": jobs(&["peering.sync-leads-job"]) });
    let both = || json!({ "sync": jobs(&["peering.sync-leads-job", "peering.sync-trunks-job"]) });
    let with = |mut status: Value, more: Value| {
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        status
    };
    let table = |name: &'static str, by_ip_group: bool, status: Value, cases: Vec<Case>| Table {
        name,
        object: asked_for(&name.replace(' ', "-"), by_ip_group, status),
        cases,
    };
    let taken_out = || update("/spec/advancedSettings", None, &["spec.advancedSettings", "advancedSettings is immutable once"]);
    vec![
        table("not asked for", false, json!({}), changes(true)),
        table("being made", false, json!({ "operation": operation(None) }), changes(false)),
        table("being made by ip group", true, json!({ "operation": operation(None) }), vec![taken_out()]),
        table("made", false, with(made(), leads()), changes(false)),
        table("renamed", false, made(), vec![update("/spec/shortName", json!("Renamed"), &[])]),
        table("made by ip group", true, with(made(), both()), vec![taken_out()]),
        table("settings added too late", true, with(made(), leads()), vec![update("/spec/advancedSettings", None, &[])]),
        table("settings lost", false, with(made(), both()), vec![update("/spec/advancedSettings", settings(), &[])]),
        table("failed", false, json!({ "operation": operation(Some("Failed")) }), changes(true)),
        table("failed before it is made now", false, json!({ "operation": of("op-0") }), changes(false)),
        table("failed itself", false, json!({ "operation": of("op-1") }), changes(true)),
        table(
            "gone",
            false,
            with(json!({ "operation": operation(Some("Succeeded")), "umpCustomerGuid": "c0ffee00-0000-4000-8000-000000000001" }), leads()),
            changes(true),
        ),
        table("taken over", false, json!({ "umpCustomerGuid": "c0ffee00-0000-4000-8000-000000000001", "licenseType": "OC Essential" }), changes(true)),
    ]
}

/// S3, rule by rule. Every forbidden character is tried.
fn short_names() -> Table {
    let at = "/spec/shortName";
    let case = |name: &str, rule: &'static str| create(at, json!(name), &["spec.shortName", rule]);
    let mut cases: Vec<Case> =
        ["abc", "SIPTest4", "auto_sys_plus_r", "24124", "Été-&+(1)", "audi", "console", "com10"].map(|name| create(at, json!(name), &[])).into();
    cases.extend(["", "ab", "1234567890123456", "ééééééééééééééé1"].map(|name| case(name, "must have 3 to 15 characters")));
    cases.push(create(at, json!("ééééééééééééééé"), &[]));
    cases.extend(['\\', '/', ':', '*', '?', '"', '<', '>', '|'].map(|c| case(&format!("ab{c}cd"), r#"must not contain any of \ / : * ? " < > |"#)));
    cases.extend(["a.bc", ".abc", "abc."].map(|name| case(name, "must not contain a dot")));
    cases.extend(["a bc", " abc", "abc\t", "a\u{a0}bc", "a\u{2003}bc", "a\nbc"].map(|name| case(name, "must not contain a blank")));
    cases.extend(["audit", "AUDIT", "myAuditor"].map(|name| case(name, "must not be or contain the word audit")));
    cases.extend(["con", "PRN", "Aux", "nul", "com1", "COM9", "lpt1", "Lpt9"].map(|name| case(name, "must not be a Windows device name")));
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
        create(name, json!(" "), &["spec.advancedSettings.siteLocation.name", "must not consist only of blanks"]),
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
        create("/spec/advancedSettings/proxySet", json!("  "), &["spec.advancedSettings.proxySet", "must not consist only of blanks"]),
        create(gateway, None, &["spec.advancedSettings.onlinePstnGateway", "Required value"]),
        create(gateway, json!("gw"), &["spec.advancedSettings.onlinePstnGateway", "must be a fully qualified host name (FQDN)"]),
        create(gateway, json!("gw.example.com."), &["spec.advancedSettings.onlinePstnGateway", "must be a fully qualified host name (FQDN)"]),
        create(gateway, json!("192.0.2.1"), &["spec.advancedSettings.onlinePstnGateway", "must be a fully qualified host name (FQDN)"]),
        create(gateway, json!("https://gw.example.com"), &["spec.advancedSettings.onlinePstnGateway", "must be a fully qualified host name (FQDN)"]),
        create(gateway, json!("-gw.example.com"), &["spec.advancedSettings.onlinePstnGateway", "must be a fully qualified host name (FQDN)"]),
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
            &["spec.advancedSettings.variables", "names must consist of 1 to 100 letters, digits, dots, underscores and dashes"],
        ),
        create(
            variables,
            json!({ "": "x" }),
            &["spec.advancedSettings.variables", "names must consist of 1 to 100 letters, digits, dots, underscores and dashes"],
        ),
        create(
            variables,
            json!({ "x".repeat(101): "x" }),
            &["spec.advancedSettings.variables", "names must consist of 1 to 100 letters, digits, dots, underscores and dashes"],
        ),
        create(variables, json!({ "ProxySet": "x" }), &["spec.advancedSettings.variables", "ProxySet has its own field"]),
        create(variables, json!({ "OnlinePstnGateway": "x" }), &["spec.advancedSettings.variables", "OnlinePstnGateway has its own field"]),
        create(variables, json!({ "a": "x".repeat(1001) }), &["spec.advancedSettings.variables.a", "may not be more than 1000"]),
        create("/spec/advancedSettings/variablesFrom", json!({}), &["spec.advancedSettings.variablesFrom.secretRef", "Required value"]),
        create(
            "/spec/advancedSettings/variablesFrom/secretRef/name",
            json!("Not_A_Name"),
            &["spec.advancedSettings.variablesFrom.secretRef.name", "must be an object name"],
        ),
    ]
}

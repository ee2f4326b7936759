//! The rules of `LivePlatform`.

use kube::CustomResourceExt;
use oc_api::LivePlatform;
use serde_json::{Value, json};

use crate::cluster::{Case, Suite, Table, create, update};

pub fn suite() -> Suite {
    Suite {
        resource: LivePlatform::api_resource(),
        namespaced: false,
        contract: json!(["operatorconnect.dev", "v1alpha1", "LivePlatform", "Cluster", ["lp"], ["operatorconnect"]]),
        tables: vec![least(), full(), selector(), urls()],
    }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": { "name": name }, "spec": spec })
}

/// The minimal platform object.
pub fn least_object(name: &str) -> Value {
    object(
        name,
        json!({
            "url": "https://live.example.com/tenantui",
            "authentication": { "entra": {
                "tenantId": "8f14e45f-0000-4000-8000-000000000001",
                "clientId": "8F14E45F-0000-4000-8000-000000000002",
                "scope": "api://8f14e45f-0000-4000-8000-000000000003/.default",
                "workloadIdentity": {},
            } },
        }),
    )
}

fn full_object(name: &str) -> Value {
    object(
        name,
        json!({
            "url": "https://live.example.com/tenantui",
            "authentication": { "entra": {
                "tenantId": "8f14e45f-0000-4000-8000-000000000001",
                "clientId": "8f14e45f-0000-4000-8000-000000000002",
                "scope": "api://8f14e45f-0000-4000-8000-000000000003/.default",
                "tokenUrl": "https://login.microsoftonline.com/8f14e45f-0000-4000-8000-000000000001/oauth2/v2.0/token",
                "clientSecretRef": { "namespace": "operator", "name": "live-platform", "key": "client-secret" },
            } },
            "caBundleRef": { "namespace": "operator", "name": "ca", "key": "ca.crt" },
            "allowedNamespaces": { "from": "Selector", "selector": {
                "matchLabels": { "team": "voice" },
                "matchExpressions": [{ "key": "team", "operator": "In", "values": ["voice"] }],
            } },
            "observeInterval": "10m",
            "requests": { "perSecond": 10, "burst": 20, "inFlight": 4 },
            "leadDiscovery": { "namespace": "leads", "origins": ["Consented", "Consentless"], "countries": ["NL", "DE"], "labels": { "team": "voice" },
                "channels": [1574], "microsoftStatuses": ["Active"], "excludeTenants": ["22222222-2222-4222-8222-222222222222"] },
            "contactDetails": "Include",
            "shortNameRule": "Alphanumeric",
            "syncJobs": { "trigger": "Http", "http": { "leadsUrl": "https://jobs.example.com/leads?run=1", "trunksUrl": "http://jobs.oc.svc:8080/trunks", "method": "POST" } },
            "deletions": { "perHour": 10 },
            "createGrace": "15m",
            "taskDeadline": "2h",
        }),
    )
}

fn least() -> Table {
    Table {
        name: "least",
        object: least_object("least"),
        cases: vec![
            create("/spec/url", None, &["spec.url", "Required value"]),
            create("/spec/authentication", None, &["spec.authentication", "Required value"]),
            create("/spec/authentication", json!({}), &["spec.authentication.entra", "Required value"]),
            create("/spec/authentication/entra/tenantId", None, &["spec.authentication.entra.tenantId", "Required value"]),
            create("/spec/authentication/entra/clientId", None, &["spec.authentication.entra.clientId", "Required value"]),
            create("/spec/authentication/entra/scope", None, &["spec.authentication.entra.scope", "Required value"]),
            create(
                "/spec/authentication/entra/workloadIdentity",
                None,
                &["spec.authentication.entra", "set exactly one of clientSecretRef and workloadIdentity"],
            ),
            create(
                "/spec/authentication/entra/clientSecretRef",
                json!({ "namespace": "operator", "name": "live-platform", "key": "client-secret" }),
                &["spec.authentication.entra", "set exactly one of clientSecretRef and workloadIdentity"],
            ),
            create("/spec/leadDiscovery", json!({}), &["spec.leadDiscovery.namespace", "Required value"]),
            create("/spec/leadDiscovery", json!({ "namespace": "leads" }), &[]),
            create("/spec/allowedNamespaces", json!({ "from": "None" }), &[]),
            create(
                "/spec/allowedNamespaces",
                json!({ "from": "Selector" }),
                &["spec.allowedNamespaces.selector", "set selector if and only if from is Selector"],
            ),
            create("/spec/allowedNamespaces", json!({ "selector": {} }), &["spec.allowedNamespaces.selector", "set selector if and only if from is Selector"]),
            create("/spec/syncJobs", json!({ "trigger": "Http" }), &["spec.syncJobs.http", "set http if and only if trigger is Http"]),
            create(
                "/spec/syncJobs",
                json!({ "http": { "leadsUrl": "https://a.example.com", "trunksUrl": "https://a.example.com" } }),
                &["spec.syncJobs.http", "set http if and only if trigger is Http"],
            ),
            create("/spec/caBundleRef", json!({ "namespace": "operator", "name": "ca" }), &["spec.caBundleRef.key", "Required value"]),
            update("/spec/url", json!("https://other.example.com"), &[]),
            update("/spec/url", json!("ftp://other.example.com"), &["spec.url", "must be an https URL with a host"]),
        ],
    }
}

fn full() -> Table {
    let mut cases = numbers();
    cases.extend(texts());
    cases.extend(calls());
    cases.extend(words());
    cases.extend(intervals());
    Table { name: "full", object: full_object("full"), cases }
}

fn numbers() -> Vec<Case> {
    vec![
        create("/spec/requests/perSecond", json!(0), &["spec.requests.perSecond", "should be greater than or equal to 1"]),
        create("/spec/requests/perSecond", json!(1001), &["spec.requests.perSecond", "should be less than or equal to 1000"]),
        create("/spec/requests/perSecond", json!(1000), &[]),
        create("/spec/requests/burst", json!(0), &["spec.requests.burst", "should be greater than or equal to 1"]),
        create("/spec/requests/burst", json!(1001), &["spec.requests.burst", "should be less than or equal to 1000"]),
        create("/spec/requests/inFlight", json!(0), &["spec.requests.inFlight", "should be greater than or equal to 1"]),
        create("/spec/requests/inFlight", json!(65), &["spec.requests.inFlight", "should be less than or equal to 64"]),
        create("/spec/deletions/perHour", json!(0), &[]),
        create("/spec/deletions/perHour", json!(-1), &["spec.deletions.perHour", "should be greater than or equal to 0"]),
        create("/spec/deletions/perHour", json!(1_001), &["spec.deletions.perHour", "should be less than or equal to 1000"]),
    ]
}

/// That many tenant ids, all different.
fn tenants(count: u32) -> Value {
    (0..count).map(|number| format!("22222222-2222-4222-8222-{number:012}")).collect()
}

fn texts() -> Vec<Case> {
    vec![
        create("/spec/authentication/entra/tenantId", json!("contoso.onmicrosoft.com"), &["spec.authentication.entra.tenantId", "must be a GUID"]),
        create("/spec/authentication/entra/clientId", json!("8f14e45f"), &["spec.authentication.entra.clientId", "must be a GUID"]),
        create("/spec/authentication/entra/scope", json!(""), &["spec.authentication.entra.scope", "must be a single scope without blanks"]),
        create("/spec/authentication/entra/scope", json!("a b"), &["spec.authentication.entra.scope", "must be a single scope without blanks"]),
        create(
            "/spec/authentication/entra/clientSecretRef/name",
            json!("Live_Platform"),
            &["spec.authentication.entra.clientSecretRef.name", "must be an object name"],
        ),
        create(
            "/spec/authentication/entra/clientSecretRef/namespace",
            json!("a.b"),
            &["spec.authentication.entra.clientSecretRef.namespace", "must be a namespace name"],
        ),
        create(
            "/spec/authentication/entra/clientSecretRef/key",
            json!("a/b"),
            &["spec.authentication.entra.clientSecretRef.key", "must be a key that consists of letters, digits, -, _ and ."],
        ),
        create("/spec/caBundleRef/name", json!("-ca"), &["spec.caBundleRef.name", "must be an object name"]),
        create("/spec/caBundleRef/namespace", json!("Operator"), &["spec.caBundleRef.namespace", "must be a namespace name"]),
        create("/spec/caBundleRef/key", json!("ca crt"), &["spec.caBundleRef.key", "must be a key that consists of letters, digits, -, _ and ."]),
        create("/spec/leadDiscovery/namespace", json!("Leads"), &["spec.leadDiscovery.namespace", "must be a namespace name"]),
        create("/spec/leadDiscovery/origins", json!([]), &["spec.leadDiscovery.origins", "should have at least 1 items"]),
        create("/spec/leadDiscovery/origins", json!(["Consented", "Consented"]), &["spec.leadDiscovery.origins[1]", "Duplicate value"]),
        create("/spec/leadDiscovery/countries", json!([]), &["spec.leadDiscovery.countries", "should have at least 1 items"]),
        create("/spec/leadDiscovery/countries", json!(["nl"]), &["spec.leadDiscovery.countries[0]", "must be an ISO 3166 country code of two capital letters"]),
        create(
            "/spec/leadDiscovery/countries",
            json!(["NLD"]),
            &["spec.leadDiscovery.countries[0]", "must be an ISO 3166 country code of two capital letters"],
        ),
        create("/spec/leadDiscovery/countries", json!(["NL", "NL"]), &["spec.leadDiscovery.countries[1]", "Duplicate value"]),
        create("/spec/leadDiscovery/channels", json!([]), &["spec.leadDiscovery.channels", "should have at least 1 items"]),
        create("/spec/leadDiscovery/channels", json!([0]), &["spec.leadDiscovery.channels[0]", "should be greater than or equal to 1"]),
        create("/spec/leadDiscovery/channels", json!(["1574"]), &["spec.leadDiscovery.channels[0]", "must be of type integer"]),
        create("/spec/leadDiscovery/channels", json!([1, 1]), &["spec.leadDiscovery.channels[1]", "Duplicate value"]),
        create("/spec/leadDiscovery/microsoftStatuses", json!([]), &["spec.leadDiscovery.microsoftStatuses", "should have at least 1 items"]),
        create("/spec/leadDiscovery/microsoftStatuses", json!(["Active", "Active"]), &["spec.leadDiscovery.microsoftStatuses[1]", "Duplicate value"]),
        create("/spec/leadDiscovery/microsoftStatuses", json!(["Active", "Suspended", "NotActive", "Removed"]), &[]),
        create("/spec/leadDiscovery/excludeTenants", json!([]), &[]),
        create("/spec/leadDiscovery/excludeTenants", json!(["Contoso"]), &["spec.leadDiscovery.excludeTenants[0]", "must be a lowercase GUID"]),
        create("/spec/leadDiscovery/excludeTenants", tenants(1000), &[]),
        create("/spec/leadDiscovery/excludeTenants", tenants(1001), &["spec.leadDiscovery.excludeTenants", "must have at most 1000 items"]),
        create(
            "/spec/leadDiscovery/excludeTenants",
            json!(["22222222-2222-4222-8222-222222222222", "22222222-2222-4222-8222-222222222222"]),
            &["spec.leadDiscovery.excludeTenants[1]", "Duplicate value"],
        ),
        create("/spec/leadDiscovery/labels", json!({ "a b": "c" }), &["spec.leadDiscovery.labels", "keys must be label names"]),
        create("/spec/leadDiscovery/labels", json!({ "team": "not a value!" }), &["spec.leadDiscovery.labels", "must be a label value"]),
        create("/spec/leadDiscovery/labels", json!({ "example.com/team": "" }), &[]),
        create("/spec/syncJobs/http/leadsUrl", None, &["spec.syncJobs.http.leadsUrl", "Required value"]),
        create("/spec/syncJobs/http/trunksUrl", None, &["spec.syncJobs.http.trunksUrl", "Required value"]),
    ]
}

/// The addresses other than the platform's: the same rules, except that a query is allowed.
fn calls() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, field) in [
        ("/spec/authentication/entra/tokenUrl", "spec.authentication.entra.tokenUrl"),
        ("/spec/syncJobs/http/leadsUrl", "spec.syncJobs.http.leadsUrl"),
        ("/spec/syncJobs/http/trunksUrl", "spec.syncJobs.http.trunksUrl"),
    ] {
        cases.extend([
            create(at, json!("https://jobs.example.com/run?job=1"), &[]),
            create(at, json!("http://jobs.oc.svc:8080/run"), &[]),
            create(at, json!("jobs"), &[field, "must be an https URL with a host"]),
            create(at, json!("http://jobs.example.com/run"), &[field, "must be https: http is accepted only for a loopback host"]),
            create(at, json!("https://me@jobs.example.com/run"), &[field, "must not contain a user name or password"]),
            create(at, json!("https://jobs.example.com/run#now"), &[field, "must not contain a fragment"]),
        ]);
    }
    cases
}

fn words() -> Vec<Case> {
    vec![
        create("/spec/allowedNamespaces/from", json!("Same"), &["spec.allowedNamespaces.from", r#"supported values: "All", "Selector", "None""#]),
        create("/spec/leadDiscovery/origins", json!(["Other"]), &["spec.leadDiscovery.origins[0]", r#"supported values: "Consented", "Consentless""#]),
        create(
            "/spec/leadDiscovery/microsoftStatuses",
            json!(["Gone"]),
            &["spec.leadDiscovery.microsoftStatuses[0]", r#"supported values: "Active", "Suspended", "NotActive", "Removed""#],
        ),
        create("/spec/contactDetails", json!("Mask"), &["spec.contactDetails", r#"supported values: "Omit", "Include""#]),
        create("/spec/shortNameRule", json!("Any"), &["spec.shortNameRule", r#"supported values: "Portal", "Alphanumeric""#]),
        create("/spec/syncJobs/trigger", json!("Cron"), &["spec.syncJobs.trigger", r#"supported values: "Manual", "Http""#]),
        create("/spec/syncJobs/http/method", json!("GET"), &["spec.syncJobs.http.method", r#"supported values: "POST", "PUT""#]),
    ]
}

fn intervals() -> Vec<Case> {
    vec![
        create("/spec/observeInterval", json!("5s"), &[]),
        create("/spec/observeInterval", json!("24h"), &[]),
        create("/spec/observeInterval", json!("1h30m5s500ms"), &[]),
        create("/spec/observeInterval", json!("4999ms"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/observeInterval", json!("24h1s"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/observeInterval", json!("10"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/observeInterval", json!("1d"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/observeInterval", json!("-1h"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/observeInterval", json!("1.5h"), &["spec.observeInterval", "must be a duration from 5s to 24h"]),
        create("/spec/createGrace", json!("1m"), &[]),
        create("/spec/createGrace", json!("59s"), &["spec.createGrace", "must be a duration from 1m to 24h"]),
        create("/spec/createGrace", json!("25h"), &["spec.createGrace", "must be a duration from 1m to 24h"]),
        create("/spec/taskDeadline", json!("72h"), &[]),
        create("/spec/taskDeadline", json!("30s"), &["spec.taskDeadline", "must be a duration from 1m to 72h"]),
        create("/spec/taskDeadline", json!("73h"), &["spec.taskDeadline", "must be a duration from 1m to 72h"]),
    ]
}

fn selector() -> Table {
    let expressions = "/spec/allowedNamespaces/selector/matchExpressions";
    Table {
        name: "selector",
        object: full_object("selector"),
        cases: vec![
            create(expressions, json!([{ "key": "team", "operator": "Exists" }]), &[]),
            create(
                expressions,
                json!([{ "key": "team", "operator": "Is" }]),
                &["spec.allowedNamespaces.selector.matchExpressions[0].operator", r#"supported values: "In", "NotIn", "Exists", "DoesNotExist""#],
            ),
            create(
                expressions,
                json!([{ "key": "team", "operator": "In" }]),
                &["spec.allowedNamespaces.selector.matchExpressions[0]", "In and NotIn need values; Exists and DoesNotExist take none"],
            ),
            create(
                expressions,
                json!([{ "key": "team", "operator": "DoesNotExist", "values": ["a"] }]),
                &["spec.allowedNamespaces.selector.matchExpressions[0]", "In and NotIn need values; Exists and DoesNotExist take none"],
            ),
            create(
                expressions,
                json!([{ "key": "team", "operator": "In", "values": ["not a value"] }]),
                &["spec.allowedNamespaces.selector.matchExpressions[0].values[0]", "must be a label value"],
            ),
            create(
                expressions,
                json!([{ "key": "not a key", "operator": "Exists" }]),
                &["spec.allowedNamespaces.selector.matchExpressions[0].key", "must be a label name"],
            ),
            create(
                "/spec/allowedNamespaces/selector/matchLabels",
                json!({ "team": "not a value" }),
                &["spec.allowedNamespaces.selector.matchLabels", "must be a label value"],
            ),
        ],
    }
}

fn urls() -> Table {
    let at = "/spec/url";
    Table {
        name: "urls",
        object: least_object("urls"),
        cases: vec![
            create(at, json!("https://live.example.com:8443"), &[]),
            create(at, json!("http://localhost:8080/tenantui"), &[]),
            create(at, json!("http://127.0.0.1:8080/tenantui"), &[]),
            create(at, json!("http://[::1]:8080/tenantui"), &[]),
            create(at, json!("http://simulator.oc.svc/tenantui"), &[]),
            create(at, json!("http://simulator.oc.svc.cluster.local:8080/tenantui"), &[]),
            create(at, json!(""), &["spec.url", "must be an https URL with a host"]),
            create(at, json!("live.example.com/tenantui"), &["spec.url", "must be an https URL with a host"]),
            create(at, json!("https:///tenantui"), &["spec.url", "must be an https URL with a host"]),
            create(at, json!("http://live.example.com/tenantui"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("http://localhost.example.com/tenantui"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("http://evil.example.com/a.svc"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("http://127.0.0.1.example.com/"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("http://mysvc/"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("https://me:secret@live.example.com/tenantui"), &["spec.url", "must not contain a user name or password"]),
            create(at, json!("http://me@localhost/tenantui"), &["spec.url", "must not contain a user name or password"]),
            create(at, json!("http://localhost:80@live.example.com/"), &["spec.url", "must be https", "must not contain a user name or password"]),
            create(at, json!("HTTP://live.example.com/"), &["spec.url", "must be https: http is accepted only for a loopback host"]),
            create(at, json!("https://live.example.com/tenantui?a=b"), &["spec.url", "must not contain a query"]),
            create(at, json!("https://live.example.com/tenantui#top"), &["spec.url", "must not contain a fragment"]),
        ],
    }
}

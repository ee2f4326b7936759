//! What is read back: defaults, the first status, columns, and conditions of two writers.

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, Request};
use kube::{Client, CustomResourceExt};
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

use crate::cluster::api;

/// Runs all checks; returns the failures.
pub async fn check(client: &Client) -> Vec<String> {
    let mut failures = Vec::new();
    let platforms = api(client, &LivePlatform::api_resource(), false);
    let leads = api(client, &Lead::api_resource(), true);
    let services = api(client, &OcEssentialService::api_resource(), true);
    let policies = api(client, &LeadPolicy::api_resource(), true);
    let name = "reading";
    for (api, object, spec) in [
        (&platforms, crate::live_platform::least_object(name), platform_defaults()),
        (&leads, crate::lead::least_object(name), json!({ "platform": "default", "deletionPolicy": "Retain", "suspend": false })),
        (
            &services,
            crate::service::least_object(name),
            json!({ "mode": "Apply", "adoption": "IfMatching", "deletionPolicy": "Retain", "deletionGuard": "Numbers", "recreate": false, "besideDirectRouting": false, "suspend": false }),
        ),
        (&policies, crate::lead_policy::least_object(name), policy_defaults()),
    ] {
        failures.extend(defaults(api, &object, &spec).await);
    }
    failures.extend(discovery_defaults(&platforms).await);
    failures.extend(first_columns(client, name).await);
    failures.extend(two_writers(&leads, name).await);
    failures.extend(whole_statuses([&platforms, &leads, &services, &policies], name).await);
    failures.extend(one_operation([&platforms, &leads, &services, &policies], name).await);
    failures.extend(later_columns(client, name).await);
    failures.extend(selected(&leads, &services, name).await);
    for api in [platforms, leads, services, policies] {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    failures
}

/// What a field selector finds: an object with a status, and one that no operator has seen.
async fn selected(leads: &Api<DynamicObject>, services: &Api<DynamicObject>, name: &str) -> Vec<String> {
    let (mut lead, mut service) = (crate::lead::least_object("unseen"), crate::service::least_object("unseen"));
    lead["spec"] = json!({ "msTenantId": "33333333-3333-4333-8333-333333333333", "platform": "other" });
    service["spec"] = json!({ "msTenantId": "33333333-3333-4333-8333-333333333333", "shortName": "Unseen", "fullName": "Unseen" });
    for (api, object) in [(leads, lead), (services, service)] {
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let table: [(&Api<DynamicObject>, &str, &[&str]); 13] = [
        (leads, "status.microsoftStatus=Active", &[name]),
        (leads, "status.microsoftStatus=Active,status.licenseType=OC Essential", &[name]),
        (leads, "status.microsoftStatus=Active,status.licenseType=None", &[]),
        (leads, "status.microsoftStatus!=Active", &["unseen"]),
        (leads, "status.origin=Consented", &[name]),
        (leads, "spec.platform=other", &["unseen"]),
        (leads, "spec.platform=default", &[name]),
        (leads, "spec.msTenantId=33333333-3333-4333-8333-333333333333", &["unseen"]),
        (services, "spec.msTenantId=33333333-3333-4333-8333-333333333333", &["unseen"]),
        (services, "spec.shortName=Contoso_NL", &[name]),
        (services, "spec.shortName=contoso_nl", &[]),
        (services, "status.licenseType=OC Essential", &[name]),
        (services, "status.licenseType=", &["unseen"]),
    ];
    let mut failures = Vec::new();
    for (api, selector, expected) in table {
        let found = match api.list(&ListParams::default().fields(selector)).await {
            Ok(list) => list.items.iter().filter_map(|object| object.metadata.name.clone()).collect(),
            Err(refused) => vec![refused.to_string()],
        };
        same(selector, &json!(found), &json!(expected), &mut failures);
    }
    for api in [leads, services] {
        api.delete("unseen", &DeleteParams::default()).await.unwrap();
    }
    failures
}

/// A policy looks first: it plans, five at a time and fifty a day.
fn policy_defaults() -> Value {
    let service = json!({
        "mode": "Plan", "adoption": "IfMatching", "deletionPolicy": "Retain", "deletionGuard": "Numbers", "recreate": false, "besideDirectRouting": false, "suspend": false,
    });
    json!({
        "platform": "default",
        "template": { "spec": service },
        "names": { "shortName": "lead.status.companyName", "fullName": "lead.status.companyName", "onCollision": "Number" },
        "limits": { "inProgress": 5, "perDay": 50 },
        "suspend": false,
    })
}

fn platform_defaults() -> Value {
    json!({
        "allowedNamespaces": { "from": "All" },
        "observeInterval": "10m",
        "requests": { "perSecond": 10, "burst": 20, "inFlight": 4 },
        "contactDetails": "Omit",
        "shortNameRule": "Portal",
        "syncJobs": { "trigger": "Manual" },
        "deletions": { "perHour": 10 },
        "createGrace": "15m",
        "taskDeadline": "2h",
    })
}

/// The spec is what was given plus the defaults, nothing else; the status says that no operator has seen the object.
async fn defaults(api: &Api<DynamicObject>, object: &Value, filled: &Value) -> Vec<String> {
    let given: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let stored = serde_json::to_value(api.create(&PostParams::default(), &given).await.unwrap()).unwrap();
    let mut spec = object["spec"].clone();
    spec.as_object_mut().unwrap().extend(filled.as_object().unwrap().clone());
    let status = json!({ "conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Progressing",
        "message": "Waiting for the operator.",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }] });
    let mut failures = Vec::new();
    same(&format!("{} spec with defaults", object["kind"]), &stored["spec"], &spec, &mut failures);
    same(&format!("{} first status", object["kind"]), &stored["status"], &status, &mut failures);
    failures
}

fn same(what: &str, found: &Value, expected: &Value, failures: &mut Vec<String>) {
    if found != expected {
        failures.push(format!("{what}: found {found}, expected {expected}"));
    }
}

async fn discovery_defaults(api: &Api<DynamicObject>) -> Vec<String> {
    let mut object = crate::live_platform::least_object("discovery");
    object["spec"]["leadDiscovery"] = json!({ "namespace": "leads" });
    object["spec"]["syncJobs"] = json!({ "trigger": "Http", "http": { "leadsUrl": "https://a.example.com", "trunksUrl": "https://a.example.com" } });
    object["spec"]["requests"] = json!({});
    object["spec"]["deletions"] = json!({});
    object["spec"]["allowedNamespaces"] = json!({});
    let given: DynamicObject = serde_json::from_value(object).unwrap();
    let stored = api.create(&PostParams { dry_run: true, ..PostParams::default() }, &given).await.unwrap().data;
    let mut failures = Vec::new();
    same("discovery", &stored["spec"]["leadDiscovery"], &json!({ "namespace": "leads", "origins": ["Consented"] }), &mut failures);
    same("method", &stored["spec"]["syncJobs"]["http"]["method"], &json!("POST"), &mut failures);
    same("requests", &stored["spec"]["requests"], &json!({ "perSecond": 10, "burst": 20, "inFlight": 4 }), &mut failures);
    same("deletions", &stored["spec"]["deletions"], &json!({ "perHour": 10 }), &mut failures);
    same("namespaces", &stored["spec"]["allowedNamespaces"], &json!({ "from": "All" }), &mut failures);
    failures
}

/// A table as kubectl requests it: the columns (wide ones in brackets), and the cells of one object by column.
async fn table(client: &Client, resource: &ApiResource, namespaced: bool, name: &str) -> (String, Vec<String>) {
    let scope = if namespaced { "namespaces/default/" } else { "" };
    let path = format!("/apis/{}/{scope}{}", resource.api_version, resource.plural);
    let mut request = Request::new(path).list(&ListParams::default()).unwrap();
    request.headers_mut().insert("accept", "application/json;as=Table;v=v1;g=meta.k8s.io".parse().unwrap());
    let table: Value = serde_json::from_str(&client.request_text(request).await.unwrap()).unwrap();
    let columns: Vec<(String, bool)> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["name"].as_str().unwrap().to_uppercase(), column["priority"] == 1))
        .collect();
    let shown: Vec<String> = columns.iter().map(|(name, wide)| if *wide { format!("[{name}]") } else { name.clone() }).collect();
    let row = table["rows"].as_array().unwrap().iter().find(|row| row["object"]["metadata"]["name"] == name).unwrap();
    let cells = row["cells"].as_array().unwrap().iter().zip(&columns);
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let cells = cells.filter(|(_, (column, _))| column != "AGE" && column != "NAME").map(|(cell, _)| text(cell)).collect();
    (shown.join(" "), cells)
}

async fn expect(client: &Client, resource: &ApiResource, namespaced: bool, name: &str, columns: &str, cells: &[&str]) -> Vec<String> {
    let (shown, found) = table(client, resource, namespaced, name).await;
    let mut failures = Vec::new();
    same(&format!("{} columns", resource.kind), &json!(shown), &json!(columns), &mut failures);
    same(&format!("{} cells", resource.kind), &json!(found), &json!(cells), &mut failures);
    failures
}

const PLATFORM_COLUMNS: &str = "NAME URL READY REASON LEADS SERVICES AGE";
const LEAD_COLUMNS: &str = "NAME COMPANY TENANT MS STATUS LICENSE SYNCED READY REASON AGE [ELIGIBLE] [CHANNEL] [COUNTRIES] [SERVICE]";
const POLICY_COLUMNS: &str = "NAME MODE MATCHED MADE WAITING REFUSED READY REASON AGE [PLATFORM] [SERVICES READY] [LAST MADE] [MESSAGE]";
const SERVICE_COLUMNS: &str = "NAME TENANT SHORT NAME LICENSE SYNC READY REASON AGE [CUSTOMER GUID] [TASK] [FULL NAME] [MESSAGE]";

/// The columns of an object that no operator has seen.
async fn first_columns(client: &Client, name: &str) -> Vec<String> {
    let mut failures = expect(
        client,
        &LivePlatform::api_resource(),
        false,
        name,
        PLATFORM_COLUMNS,
        &["https://live.example.com/tenantui", "Unknown", "Progressing", "null", "null"],
    )
    .await;
    let tenant = "22222222-2222-4222-8222-222222222222";
    let cells = ["null", tenant, "null", "null", "null", "Unknown", "Progressing", "null", "null", "null", "null"];
    failures.extend(expect(client, &Lead::api_resource(), true, name, LEAD_COLUMNS, &cells).await);
    let cells = ["null", "Contoso_NL", "null", "null", "Unknown", "Progressing", "null", "null", "Contoso Netherlands B.V.", "Waiting for the operator."];
    failures.extend(expect(client, &OcEssentialService::api_resource(), true, name, SERVICE_COLUMNS, &cells).await);
    let cells = ["Plan", "null", "null", "null", "null", "Unknown", "Progressing", "default", "null", "null", "Waiting for the operator."];
    failures.extend(expect(client, &LeadPolicy::api_resource(), true, name, POLICY_COLUMNS, &cells).await);
    failures
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": "As it is.", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1 })
}

async fn apply(api: &Api<DynamicObject>, kind: &str, name: &str, manager: &str, status: Value) -> Value {
    let patch = json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "status": status });
    let stored = api.patch_status(name, &PatchParams::apply(manager), &Patch::Apply(patch)).await.unwrap();
    stored.data["status"].clone()
}

/// Each writer owns its own conditions: none removes another's, and one that its writer omits disappears.
async fn two_writers(api: &Api<DynamicObject>, name: &str) -> Vec<String> {
    let kinds = |status: &Value| -> Value {
        let mut kinds: Vec<String> =
            status["conditions"].as_array().unwrap().iter().map(|c| format!("{}={}", c["type"], c["status"]).replace('"', "")).collect();
        kinds.sort();
        json!(kinds)
    };
    let mut failures = Vec::new();
    let one = json!({ "conditions": [condition("Ready", "False", "Progressing"), condition("Reconciling", "True", "Progressing")] });
    let status = apply(api, "Lead", name, "one", one).await;
    same("one writer", &kinds(&status), &json!(["Ready=False", "Reconciling=True"]), &mut failures);
    let status = apply(api, "Lead", name, "two", json!({ "conditions": [condition("Backup", "True", "Done")] })).await;
    same("two writers", &kinds(&status), &json!(["Backup=True", "Ready=False", "Reconciling=True"]), &mut failures);
    let status = apply(api, "Lead", name, "one", json!({ "conditions": [condition("Ready", "True", "Succeeded")] })).await;
    same("first writer again", &kinds(&status), &json!(["Backup=True", "Ready=True"]), &mut failures);
    failures
}

/// Every field of each status, written and read back.
async fn whole_statuses(apis: [&Api<DynamicObject>; 4], name: &str) -> Vec<String> {
    let mut failures = Vec::new();
    let statuses = [("LivePlatform", platform_status()), ("Lead", lead_status()), ("OcEssentialService", service_status()), ("LeadPolicy", policy_status())];
    for (api, (kind, status)) in apis.into_iter().zip(statuses) {
        let stored = apply(api, kind, name, "one", status.clone()).await;
        let mut stored = stored;
        if kind == "Lead" {
            stored["conditions"].as_array_mut().unwrap().retain(|c| c["type"] != "Backup");
        }
        same(&format!("{kind} status"), &stored, &status, &mut failures);
        let typed = match kind {
            "LivePlatform" => serde_json::from_value(stored).map(|s: oc_api::LivePlatformStatus| serde_json::to_value(s).unwrap()),
            "LeadPolicy" => serde_json::from_value(stored).map(|s: oc_api::LeadPolicyStatus| serde_json::to_value(s).unwrap()),
            "Lead" => serde_json::from_value(stored).map(|s: oc_api::LeadStatus| serde_json::to_value(s).unwrap()),
            _ => serde_json::from_value(stored).map(|s: oc_api::OcEssentialServiceStatus| serde_json::to_value(s).unwrap()),
        };
        same(&format!("{kind} status as the operator knows it"), &typed.unwrap(), &status, &mut failures);
    }
    failures
}

/// An operation is one value: no writer adds to what another one wrote of it, as the outcome of an earlier one.
async fn one_operation(apis: [&Api<DynamicObject>; 4], name: &str) -> Vec<String> {
    let mut failures = Vec::new();
    let wholes = [
        (apis[0], "LivePlatform", "deletions", json!({ "held": 2 })),
        (apis[0], "LivePlatform", "absences", json!({ "held": 3 })),
        (apis[1], "Lead", "operation", json!({ "kind": "Create", "outcome": "Other" })),
        (apis[2], "OcEssentialService", "operation", json!({ "kind": "Create", "outcome": "Other" })),
        (apis[2], "OcEssentialService", "sync", json!({ "state": "Other" })),
    ];
    for (api, kind, field, part) in wholes {
        let patch = json!({ "apiVersion": "operatorconnect.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "status": { field: part } });
        let refused = api.patch_status(name, &PatchParams::apply("two"), &Patch::Apply(patch)).await;
        let told = refused.map_or_else(|error| error.to_string(), |_| "accepted".into());
        let names_it = told.contains(&format!(".status.{field}")) && !told.contains(&format!(".status.{field}."));
        same(&format!("{kind} {field}, in part, by another: {told}"), &json!(names_it), &json!(true), &mut failures);
    }
    failures
}

fn platform_status() -> Value {
    json!({
        "observedGeneration": 1,
        "leads": { "total": 3, "active": 1, "suspended": 1, "removed": 1 },
        "services": { "total": 2, "ocEssential": 1, "other": 1 },
        "circuit": { "state": "Open", "reason": "The platform did not answer." },
        "leadDiscovery": { "matched": 3, "present": 2, "made": 1, "failed": 1, "message": "One is refused." },
        "syncJobs": [{ "name": "peering.sync-leads-job", "state": "Requested", "dueTime": "2026-01-01T00:00:00Z", "requestedTime": "2026-01-01T00:00:00Z", "completedTime": "2026-01-01T00:00:00Z" }],
        "deletions": { "held": 1, "granted": [{ "uid": "one", "time": "2026-01-01T00:00:00Z" }], "approvedTime": "2026-01-01T00:00:00Z", "lastHandledApproval": "yes" },
        "absences": {
            "held": 2, "sinceTime": "2026-01-01T00:00:00Z", "accepted": 1, "believed": [{ "id": "two", "time": "2026-01-01T00:00:00Z" }],
            "known": { "url": "https://live.example.com:443/tenantui", "identity": "directory/application" }, "lastHandledApproval": "yes",
        },
        "refusedJobTimes": [{ "name": "peering.sync-trunks-job", "value": "2027-01-01T00:00:00Z" }],
        "capabilities": [{ "name": "lc-customers", "state": "Unavailable" }],
        "lastHandledReconcileAt": "now",
        "conditions": [condition("Ready", "True", "Succeeded")],
    })
}

fn lead_status() -> Value {
    json!({
        "observedGeneration": 1,
        "leadId": "44444444-4444-4444-8444-444444444444",
        "origin": "Consented",
        "microsoftStatus": "Active",
        "companyName": "Contoso Ltd",
        "companySize": "L250_U999",
        "countries": ["NL", "DE"],
        "consentedTime": "2026-01-01T00:00:00Z",
        "lastModifiedTime": "2026-01-01T00:00:00Z",
        "channelId": 1574,
        "assignedChannelId": 1574,
        "licenseType": "OC Essential",
        "umpCustomerGuid": "55555555-5555-4555-8555-555555555555",
        "serviceRef": { "namespace": "default", "name": "contoso" },
        "otherLeads": [{ "leadId": "66666666-6666-4666-8666-666666666666", "origin": "Consentless", "microsoftStatus": "Active" }],
        "contact": { "fullName": "A", "email": "B", "phoneNumber": "C" },
        "operation": { "kind": "Delete", "id": "one", "startedTime": "2026-01-01T00:00:00Z", "outcome": "Refused", "reason": "PlatformRefused" },
        "lastHandledReconcileAt": "now",
        "conditions": [condition("Ready", "True", "Succeeded"), condition("Synced", "True", "Succeeded"), condition("LeadEligible", "False", "AlreadyLicensed")],
    })
}

fn policy_status() -> Value {
    json!({
        "observedGeneration": 1,
        "matched": 9, "made": 5, "ready": 4, "waiting": 1, "refused": 2, "notEligible": 1,
        "lastMadeTime": "2026-01-01T00:00:00Z",
        "refusals": [{ "lead": "contoso", "reason": "ShortNameTaken", "message": "Taken." }],
        "lastHandledReconcileAt": "now",
        "conditions": [condition("Ready", "True", "Succeeded")],
    })
}

fn service_status() -> Value {
    json!({
        "observedGeneration": 1,
        "licenseType": "OC Essential",
        "umpCustomerGuid": "55555555-5555-4555-8555-555555555555",
        "msTenantId": "22222222-2222-4222-8222-222222222222",
        "platform": "default",
        "shortName": "Contoso_NL",
        "fullName": "Contoso Netherlands B.V.",
        "operation": {
            "kind": "Create", "id": "one", "startedTime": "2026-01-01T00:00:00Z", "taskId": "wst_1", "taskStatus": "CompletedSuccess",
            "outcome": "Succeeded", "completedTime": "2026-01-01T00:02:00Z", "messages": ["Information: Site created in Ovoc"],
        },
        "sync": { "state": "Due", "jobs": [
            { "name": "peering.sync-leads-job", "state": "Synced", "completedTime": "2026-01-01T00:03:00Z" },
            { "name": "peering.sync-trunks-job", "state": "Due", "dueTime": "2026-01-01T00:02:00Z" },
        ] },
        "plan": [{ "action": "Create", "field": "spec.shortName", "from": "", "to": "Contoso_NL" }],
        "lastHandledReconcileAt": "now",
        "conditions": [condition("Ready", "False", "AwaitingTrunksJob"), condition("Reconciling", "True", "AwaitingTrunksJob")],
    })
}

/// The columns of an object in use.
async fn later_columns(client: &Client, name: &str) -> Vec<String> {
    let cells = ["https://live.example.com/tenantui", "True", "Succeeded", "3", "2"];
    let mut failures = expect(client, &LivePlatform::api_resource(), false, name, PLATFORM_COLUMNS, &cells).await;
    let tenant = "22222222-2222-4222-8222-222222222222";
    let cells = ["Contoso Ltd", tenant, "Active", "OC Essential", "True", "True", "Succeeded", "False", "1574", r#"["NL","DE"]"#, "contoso"];
    failures.extend(expect(client, &Lead::api_resource(), true, name, LEAD_COLUMNS, &cells).await);
    let guid = "55555555-5555-4555-8555-555555555555";
    let cells = [tenant, "Contoso_NL", "OC Essential", "Due", "False", "AwaitingTrunksJob", guid, "wst_1", "Contoso Netherlands B.V.", "As it is."];
    failures.extend(expect(client, &OcEssentialService::api_resource(), true, name, SERVICE_COLUMNS, &cells).await);
    let (shown, found) = table(client, &LeadPolicy::api_resource(), true, name).await;
    same("LeadPolicy columns", &json!(shown), &json!(POLICY_COLUMNS), &mut failures);
    // The time since the last one grows.
    let found: Vec<&String> = found.iter().enumerate().filter(|(at, _)| *at != 9).map(|(_, cell)| cell).collect();
    same("LeadPolicy cells", &json!(found), &json!(["Plan", "9", "5", "1", "2", "True", "Succeeded", "default", "4", "As it is."]), &mut failures);
    failures
}

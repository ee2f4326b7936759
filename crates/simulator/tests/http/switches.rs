//! Each reading of what the pages leave open, over HTTP.

use crate::world::{OTHER, TENANT, tenant_create, validation, without_trace, world_with};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn c_1_the_doubled_prefix() {
    for (mode, single, double) in [("both", 200, 200), ("only", 404, 200), ("never", 200, 404)] {
        let world = world_with(json!({"doubledPrefix": mode})).await;
        world.lead(TENANT).await;
        let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
        let id = accepted.json()["jobId"].as_str().expect("a job id").to_owned();
        assert_eq!(world.get(&format!("/api/v2/task/{id}")).await.status, single, "{mode}");
        assert_eq!(world.get(&format!("/tenantui/api/v2/task/{id}/")).await.status, double, "{mode}");
    }
}

#[tokio::test]
async fn c_2_and_c_3_short_names() {
    let world = world_with(json!({"strictShortNames": true, "auditContains": true})).await;
    world.lead(TENANT).await;
    for (name, message) in
        [("a-b-c", "The short name may only contain letters, digits and underscores."), ("my_audit_1", "The short name contains a forbidden word.")]
    {
        let refused = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, name))).await;
        assert_eq!(without_trace(refused.json()), validation("CustomerShortName", message));
    }
    world.control("PATCH", "/settings", json!({"strictShortNames": false, "auditContains": false})).await;
    world.serve(TENANT, "my-audit-1").await;
}

#[tokio::test]
async fn c_4_aliases() {
    let world = world_with(json!({})).await;
    world.lead(TENANT).await;
    let body = json!({"ConfigurationName": "OcEssential_TENANT_TYPE", "ShortName": "Example_1",
        "CustomerFulName": "Example BV", "MSTENANTID": TENANT});
    let refused = world.call("POST", "/api/v3/customer", Some(body.clone())).await;
    let message = "The CustomerShortName field is required.";
    assert_eq!(without_trace(refused.json()), validation("CustomerShortName", message));
    world.control("PATCH", "/settings", json!({"lenientAliases": true})).await;
    assert_eq!(world.call("POST", "/api/v3/customer", Some(body)).await.status, 200);
}

#[tokio::test]
async fn c_5_c_14_c_21_what_a_lead_and_a_site_show() {
    let settings = json!({"isNotActiveWhenLicensed": true, "reuseLeadId": true, "siteLocationIdIsServiceGuid": true});
    let world = world_with(settings).await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let lead = &world.get("/api/v2/oc/lead").await.json()[0];
    assert_eq!((&lead["isNotActive"], &lead["id"]), (&json!(true), &json!(guid)));
    let service = world.get(&format!("/api/v2/customer/{guid}")).await.json();
    assert_eq!(service["SiteLocation"][0]["id"], json!(guid));
}

#[tokio::test]
async fn c_6_c_7_c_8_how_a_create_and_its_task_answer() {
    for (settings, pointer, status, output) in [
        (json!({"createAnswer": "jobId"}), "/jobId", "CompletedSuccess", Some("umpCustomerGuid")),
        (json!({"createAnswer": "taskId", "outputDataGuid": "pascalCase"}), "/taskId", "CompletedSuccess", Some("UmpCustomerGuid")),
        (json!({"createAnswer": "bare", "outputDataGuid": "absent", "taskStatusSpelling": "spaced"}), "", "Completed Success", None),
    ] {
        let world = world_with(settings).await;
        world.lead(TENANT).await;
        let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await.json();
        let id = accepted.pointer(pointer).and_then(Value::as_str).expect("an id").to_owned();
        let early = world.get(&format!("/api/v2/task/{id}")).await.json();
        assert_eq!(early["status"], if status.contains(' ') { "In Progress" } else { "InProgress" });
        let done = world.end_of(&id).await;
        assert_eq!(done["status"], status);
        let keys: Vec<&String> = done["outputData"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, output.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn c_13_a_nested_array() {
    let world = world_with(json!({"nestedLeadArray": true})).await;
    world.lead(TENANT).await;
    for path in ["/api/v2/oc/lead".to_owned(), format!("/api/v2/oc/lead?msTenantId={TENANT}")] {
        assert_eq!(world.get(&path).await.json()[0][0]["tenantId"], TENANT);
    }
}

#[tokio::test]
async fn u_3_and_u_4_faults_of_the_task() {
    let world = world_with(json!({"faultsFoundBy": "task", "secondCreate": "task"})).await;
    world.lead(TENANT).await;
    let mut ends = Vec::new();
    for body in [tenant_create(TENANT, "a.b"), tenant_create(TENANT, "Good_1"), tenant_create(TENANT, "Good_2"), tenant_create(OTHER, "Good_3")] {
        let accepted = world.call("POST", "/api/v3/customer", Some(body)).await;
        assert_eq!(accepted.status, 200);
        ends.push(accepted.json()["jobId"].as_str().expect("a job id").to_owned());
    }
    let bad = world.end_of(&ends[0]).await;
    assert_eq!((&bad["status"], &bad["outputData"]), (&json!("Failed"), &json!({})));
    let message = json!([{"level": "Error", "message": "The short name contains a forbidden character."}]);
    assert_eq!(bad["executionMessages"], message);
    assert_eq!(world.end_of(&ends[1]).await["status"], "CompletedSuccess");
    let second = world.end_of(&ends[2]).await;
    assert_eq!(second["executionMessages"][0]["message"], "This MsTenant already exists as an UMP customer!");
    assert_eq!(world.end_of(&ends[3]).await["executionMessages"][0]["message"], "Invalild lead");
    assert_eq!(world.get("/api/v3/customer").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_client_that_creates_twice_is_caught_when_it_may() {
    let world = world_with(json!({"secondCreate": "allowed"})).await;
    world.lead(TENANT).await;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
        ends.push(accepted.json()["jobId"].as_str().expect("a job id").to_owned());
    }
    for id in ends {
        assert_eq!(world.end_of(&id).await["status"], "CompletedSuccess");
    }
    assert_eq!(world.calls().await["tenantsWithTwoServices"], json!([TENANT]));
    let inside = world.control("GET", "/services", Value::Null).await;
    assert_eq!(inside["creationsByTenant"], json!({TENANT: 2}));
    for service in inside["services"].as_array().expect("an array") {
        let path = format!("/api/v2/customer/{}", service["umpCustomerGuid"].as_str().expect("a guid"));
        world.call("DELETE", &path, None).await;
    }
    world.control("DELETE", "/calls", Value::Null).await;
    assert_eq!(world.calls().await["tenantsWithTwoServices"], json!([TENANT]), "it stays on record");
}

#[tokio::test]
async fn u_8_late_on_the_lead() {
    let world = world_with(json!({"visibleAfterLeadsJob": true})).await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let path = format!("/api/v2/oc/lead?msTenantId={TENANT}");
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["UmpCustomerGuid"], json!(guid));
    assert_eq!(world.get(&path).await.json()[0]["umpCustomerGuid"], json!(null));
    world.control("POST", "/jobs/leads/run", Value::Null).await;
    assert_eq!(world.get(&path).await.json()[0]["umpCustomerGuid"], json!(guid));
}

#[tokio::test]
async fn u_8_late_in_the_list_and_n_11_late_to_go() {
    let world = world_with(json!({"serviceVisibilityDelay": 400, "deletionDelay": 400})).await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    assert_eq!(world.get("/api/v3/customer").await.text, "[]");
    assert_eq!(world.get("/api/v2/customer").await.text, "[]");
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["UmpCustomerGuid"], json!(guid));
    assert_eq!(world.call("DELETE", &format!("/api/v2/customer/{guid}"), None).await.text, "1");
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["UmpCustomerGuid"], json!(guid));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(world.get("/api/v3/customer").await.text, "[]");
}

#[tokio::test]
async fn fields_no_page_knows_and_a_required_site() {
    let world = world_with(json!({"extraFields": true, "requireSiteLocation": true})).await;
    world.lead(TENANT).await;
    let mut body = tenant_create(TENANT, "Example_1");
    let refused = world.call("POST", "/api/v3/customer", Some(body.clone())).await;
    assert_eq!(without_trace(refused.json()), validation("SiteLocation", "The SiteLocation field is required."));
    body["siteLocation"] = json!({"sbcId": 3});
    let accepted = world.call("POST", "/api/v3/customer", Some(body)).await;
    let done = world.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
    assert!(done.get("notInAnyPage").is_some());
    assert!(world.get("/api/v3/customer").await.json()[0].get("NotInAnyPage").is_some());
    assert!(world.get("/api/v2/oc/lead").await.json()[0].get("notInAnyPage").is_some());
}

#[tokio::test]
async fn n_2_microsofts_news_waits_for_the_leads_job() {
    let world = world_with(json!({"microsoftChangesAfterLeadsJob": true})).await;
    world.lead(TENANT).await;
    world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": "Removed"})).await;
    assert_eq!(world.get("/api/v2/oc/lead").await.json()[0]["status"], "Active");
    world.control("POST", "/jobs/peering.sync-leads-job/run", Value::Null).await;
    assert_eq!(world.get("/api/v2/oc/lead").await.json()[0]["status"], "Removed");
}

#[tokio::test]
async fn latency() {
    let world = world_with(json!({"latency": 150})).await;
    let before = world.control("GET", "/state", Value::Null).await["now"].as_u64().expect("a time");
    world.get("/api/v3/customer").await;
    let after = world.control("GET", "/state", Value::Null).await["now"].as_u64().expect("a time");
    assert!((150..2_000).contains(&(after - before)), "{}", after - before);
}

//! Each kind of fault, as a client meets it.

use crate::world::{OTHER, TENANT, World, tenant_create, world};
use serde_json::{Value, json};
use std::time::Duration;

async fn with_lead() -> World {
    let world = world().await;
    world.lead(TENANT).await;
    world
}

async fn create(world: &World) -> Result<crate::world::Answer, reqwest::Error> {
    world.attempt("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await
}

#[tokio::test]
async fn token_refused() {
    let world = world().await;
    world.fault(json!({"kind": "tokenRefused", "message": "AADSTS7000222: expired"})).await;
    assert_eq!(world.get("/api/v3/customer").await.status, 200, "only the token endpoint");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "44444444-4444-4444-8444-444444444444"),
        ("client_secret", "simulator-secret"),
        ("scope", "x/.default"),
    ];
    let refused = world.token_form(&form).await;
    refused.is(401, json!({"error": "invalid_client", "error_description": "AADSTS7000222: expired"}));
    assert_eq!(world.token_form(&form).await.status, 200);
}

#[tokio::test]
async fn unauthorized_voids_the_token() {
    let mut world = with_lead().await;
    world.fault(json!({"kind": "unauthorized", "endpoint": "services.create"})).await;
    let refused = create(&world).await.expect("an answer");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(world.get("/api/v3/customer").await.status, 401, "and stays void");
    world.renew().await;
    assert_eq!(world.get("/api/v3/customer").await.text, "[]", "nothing was done");
    assert_eq!(create(&world).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn too_many_requests_and_server_errors() {
    let world = with_lead().await;
    world.fault(json!({"kind": "tooManyRequests", "retryAfter": 7})).await;
    let limited = world.get("/api/v2/oc/lead").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    world.fault(json!({"kind": "tooManyRequests"})).await;
    assert_eq!(world.get("/api/v2/oc/lead").await.header("retry-after"), None);
    world.fault(json!({"kind": "serverError", "endpoint": "services.create"})).await;
    assert_eq!(world.get("/api/v2/oc/lead").await.status, 200);
    assert_eq!(create(&world).await.expect("an answer").status, 503);
    assert_eq!(world.calls().await["createsAccepted"], 0);
    world.fault(json!({"kind": "serverError", "status": 504, "executed": true, "endpoint": "services.create"})).await;
    assert_eq!(create(&world).await.expect("an answer").status, 504);
    assert_eq!(world.calls().await["createsAccepted"], 1, "a gateway gave up, the server did not");
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    let world = with_lead().await;
    world.fault(json!({"kind": "htmlOk"})).await;
    let page = world.get("/api/v3/customer").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text.starts_with("<!DOCTYPE html>"));
    world.fault(json!({"kind": "emptyOk", "endpoint": "services.create"})).await;
    let empty = create(&world).await.expect("an answer");
    assert_eq!((empty.status, empty.text.as_str()), (200, ""));
    assert_eq!(world.calls().await["createsAccepted"], 1, "it was executed");
}

#[tokio::test]
async fn damaged_bodies() {
    let world = with_lead().await;
    let whole = world.get("/api/v2/oc/lead").await.text;
    world.fault(json!({"kind": "brokenJson"})).await;
    let broken = world.get("/api/v2/oc/lead").await;
    assert_eq!(broken.text, whole[..whole.len() / 2]);
    world.fault(json!({"kind": "deepNesting"})).await;
    let deep = world.get("/api/v2/oc/lead").await;
    assert!(deep.text.starts_with("[[[[") && deep.text.len() == 200_000);
    world.fault(json!({"kind": "wrongTypes"})).await;
    let wrong = world.get("/api/v2/oc/lead").await.json();
    assert!(wrong[0]["status"].is_number() && wrong[0]["isDirectLead"].is_string());
    assert!(wrong[0]["umpCustomerGuid"].is_object());
    world.fault(json!({"kind": "invalidUtf8"})).await;
    let sent = world.request("GET", "/api/v2/oc/lead", None).send().await.expect("an answer");
    assert!(std::str::from_utf8(&sent.bytes().await.expect("a body")).is_err());
}

#[tokio::test]
async fn a_huge_body_is_valid_json_of_100_mib() {
    let world = with_lead().await;
    world.fault(json!({"kind": "hugeBody"})).await;
    let huge = world.get("/api/v2/oc/lead").await;
    assert!(huge.text.len() > 100 << 20);
    assert_eq!(huge.json()[0]["tenantId"], TENANT);
}

#[tokio::test]
async fn truncated_ends_in_the_middle_of_the_body() {
    let world = with_lead().await;
    world.fault(json!({"kind": "truncated"})).await;
    let begun = world.request("GET", "/api/v2/oc/lead", None).send().await.expect("a status line");
    assert_eq!(begun.status().as_u16(), 200);
    let length = begun.content_length().expect("a length");
    assert!(length > 100, "{length}");
    begun.bytes().await.expect_err("the body does not end");
    assert_eq!(world.get("/api/v2/oc/lead").await.status, 200);
}

#[tokio::test]
async fn dropped_before_execution() {
    let world = with_lead().await;
    world.fault(json!({"kind": "dropBeforeExecution", "endpoint": "services.create"})).await;
    let error = create(&world).await.expect_err("no answer");
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    let calls = world.calls().await;
    assert_eq!((&calls["createsAccepted"], &calls["byStatus"]["dropped"]), (&json!(0), &json!(1)));
    assert_eq!(calls["byEndpoint"]["services.create"], 1, "the client does not repeat it by itself");
    assert_eq!(create(&world).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn dropped_after_execution() {
    let world = with_lead().await;
    world.fault(json!({"kind": "dropAfterExecution", "endpoint": "services.create"})).await;
    let error = create(&world).await.expect_err("no answer");
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    let calls = world.calls().await;
    assert_eq!((&calls["createsAccepted"], &calls["byStatus"]["dropped"]), (&json!(1), &json!(1)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["MsTenantId"], TENANT);
}

#[tokio::test]
async fn a_dropped_connection_that_was_kept_alive() {
    let world = with_lead().await;
    let keeping = reqwest::Client::builder().build().expect("a client");
    let url = format!("{}/api/v3/customer", world.simulator.base_url());
    let get = || keeping.get(&url).bearer_auth(&world.token).send();
    get().await.expect("an answer").bytes().await.expect("a body");
    world.fault(json!({"kind": "dropBeforeExecution"})).await;
    get().await.expect_err("no answer");
    assert_eq!(world.calls().await["byEndpoint"]["services.list"], 2);
    get().await.expect("an answer");
}

#[tokio::test]
async fn a_call_goes_on_when_its_client_hangs_up() {
    let world = with_lead().await;
    world.fault(json!({"kind": "delay", "delay": 300, "endpoint": "services.create"})).await;
    let body = tenant_create(TENANT, "Example_1");
    let request = world.request("POST", "/api/v3/customer", Some(body)).timeout(Duration::from_millis(50));
    assert!(request.send().await.expect_err("too late").is_timeout());
    assert_eq!(world.calls().await["createsAccepted"], 0, "not yet");
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(world.calls().await["createsAccepted"], 1);
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["MsTenantId"], TENANT);
}

#[tokio::test]
async fn an_answer_can_be_late_though_the_call_was_executed() {
    let world = with_lead().await;
    world.fault(json!({"kind": "delay", "delay": 300, "executed": true, "endpoint": "services.create"})).await;
    let body = tenant_create(TENANT, "Example_1");
    let request = world.request("POST", "/api/v3/customer", Some(body)).timeout(Duration::from_millis(100));
    assert!(request.send().await.expect_err("too late").is_timeout());
    assert_eq!(world.calls().await["createsAccepted"], 1);
}

async fn end_with(fault: Value) -> (World, String, Value) {
    let world = with_lead().await;
    world.fault(fault).await;
    let accepted = create(&world).await.expect("an answer");
    let id = accepted.json()["jobId"].as_str().expect("a job id").to_owned();
    let end = world.end_of(&id).await;
    (world, id, end)
}

#[tokio::test]
async fn task_failed() {
    let (world, _, end) = end_with(json!({"kind": "taskFailed", "message": "SBC is offline"})).await;
    assert_eq!(end["status"], "Failed");
    assert_eq!(end["executionMessages"], json!([{"level": "Error", "message": "SBC is offline"}]), "E6");
    assert_eq!(world.get("/api/v3/customer").await.text, "[]");
    world.serve(TENANT, "Example_1").await;
}

#[tokio::test]
async fn completed_with_error() {
    let (world, _, end) = end_with(json!({"kind": "completedWithError", "message": "IAM step failed"})).await;
    assert_eq!(end["status"], "CompletedSuccess");
    assert_eq!(end["executionMessages"], json!([{"level": "Error", "message": "IAM step failed"}]), "E6");
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["MsTenantId"], TENANT);
}

#[tokio::test]
async fn missing_guid_and_task_not_found() {
    let (world, id, end) = end_with(json!({"kind": "missingGuid"})).await;
    assert_eq!((&end["status"], &end["outputData"]), (&json!("CompletedSuccess"), &json!({})));
    world.fault(json!({"kind": "taskNotFound"})).await;
    let missing = world.get(&format!("/api/v2/task/{id}")).await;
    assert_eq!((missing.status, missing.text), (404, format!("\"Task with {id} not found\"")));
    assert_eq!(world.get(&format!("/api/v2/task/{id}")).await.status, 200);
}

#[tokio::test]
async fn slow_task() {
    let world = with_lead().await;
    world.fault(json!({"kind": "slowTask", "delay": 400})).await;
    let accepted = create(&world).await.expect("an answer");
    let id = accepted.json()["jobId"].as_str().expect("a job id").to_owned();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.get(&format!("/api/v2/task/{id}")).await.json()["status"], "InProgress");
    assert_eq!(world.end_of(&id).await["status"], "CompletedSuccess");
}

#[tokio::test]
async fn faults_of_one_tenant_skipping_some_until_cleared() {
    let world = with_lead().await;
    world.lead(OTHER).await;
    world.fault(json!({"kind": "serverError", "tenantId": TENANT, "skip": 1, "forever": true})).await;
    let status = async |tenant: &str| world.get(&format!("/api/v2/oc/lead?msTenantId={tenant}")).await.status;
    assert_eq!(status(OTHER).await, 200);
    assert_eq!(status(TENANT).await, 200);
    for _ in 0..3 {
        assert_eq!(status(TENANT).await, 503);
        assert_eq!(status(OTHER).await, 200);
    }
    assert_eq!(create(&world).await.expect("an answer").status, 503, "by the tenant in the body");
    let active = world.control("GET", "/faults", Value::Null).await;
    assert_eq!((&active[0]["kind"], &active[0]["times"]), (&json!("serverError"), &json!(0)));
    assert_eq!(world.control("DELETE", "/faults", Value::Null).await, json!({"cleared": 1}));
    assert_eq!(status(TENANT).await, 200);
}

#[tokio::test]
async fn a_fault_of_a_service_is_found_by_the_guid_in_the_path() {
    let world = with_lead().await;
    let guid = world.serve(TENANT, "Example_1").await;
    world.fault(json!({"kind": "serverError", "tenantId": TENANT, "endpoint": "services.delete"})).await;
    assert_eq!(world.call("DELETE", &format!("/api/v2/customer/{guid}"), None).await.status, 503);
    assert_eq!(world.calls().await["deletesExecuted"], 0);
}

#[tokio::test]
async fn a_call_without_a_token_uses_up_no_fault() {
    let mut world = with_lead().await;
    world.fault(json!({"kind": "serverError"})).await;
    let good = std::mem::replace(&mut world.token, "simulated.made-up".into());
    assert_eq!(world.get("/api/v3/customer").await.status, 401);
    world.token = good;
    assert_eq!(world.get("/api/v3/customer").await.status, 503);
}

#[tokio::test]
async fn one_seed_gives_one_run() {
    let mut runs = Vec::new();
    for seed in [11, 11, 12] {
        let world = world().await;
        world.control("PATCH", "/settings", json!({"seed": seed})).await;
        world.fault(json!({"kind": "serverError", "probability": 0.5, "forever": true})).await;
        let mut run = Vec::new();
        for _ in 0..20 {
            run.push(world.get("/api/v3/customer").await.status);
        }
        assert!(run.contains(&200) && run.contains(&503));
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

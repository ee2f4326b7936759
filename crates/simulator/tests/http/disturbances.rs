//! Faults that come from beside: raw bytes, entries, lists and connections that go astray.

use crate::world::{OTHER, TENANT, World, client, tenant_create, world};
use serde_json::{Value, json};
use std::time::Duration;

const LEADS: &str = "/api/v2/oc/lead";
const SERVICES: &str = "/api/v3/customer";

async fn with_leads() -> World {
    let world = world().await;
    world.control("POST", "/leads", json!([{"tenantId": TENANT, "companyName": "One"}, {"tenantId": OTHER, "companyName": "Two"}])).await;
    world
}

async fn bytes(world: &World, path: &str) -> Vec<u8> {
    let sent = world.request("GET", path, None).send().await.expect("an answer");
    sent.bytes().await.expect("a body").to_vec()
}

#[tokio::test]
async fn numbers_that_cant_be_asked_for() {
    let world = with_leads().await;
    world.control("POST", "/numbers", json!({"tenantId": TENANT, "count": 250})).await;
    world.control("POST", "/numbers", json!({"tenantId": OTHER, "count": 1})).await;
    let numbers = async |tenant: &str| world.get(&format!("/api/v2/oc/numbers?msTenantId={tenant}")).await;
    for status in [404, 405, 410, 501] {
        world.fault(json!({"kind": "serverError", "status": status, "endpoint": "numbers.list"})).await;
        let answer = numbers(TENANT).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (status, "", None), "bare");
        world.fault(json!({"kind": "htmlOk", "status": status, "endpoint": "numbers.list"})).await;
        let answer = numbers(TENANT).await;
        assert_eq!((answer.status, answer.text.starts_with("<!DOCTYPE html>")), (status, true), "a proxy's page");
        assert_eq!(numbers(TENANT).await.json().as_array().map(Vec::len), Some(250), "once");
    }
    let own = json!({"kind": "answer", "status": 404, "message": "{\"description\":\"no such call\"}", "endpoint": "numbers.list", "tenantId": TENANT, "forever": true});
    world.fault(own).await;
    for _ in 0..3 {
        numbers(TENANT).await.is(404, json!({"description": "no such call"}));
        assert_eq!(numbers(OTHER).await.json().as_array().map(Vec::len), Some(1), "each tenant has its own");
    }
}

#[tokio::test]
async fn an_answer_of_any_kind() {
    let world = with_leads().await;
    world.fault(json!({"kind": "answer", "status": 418, "contentType": "text/x-tea", "message": "short and stout"})).await;
    let answer = world.get(LEADS).await;
    assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (418, "short and stout", Some("text/x-tea")));
    world.fault(json!({"kind": "answer"})).await;
    let answer = world.get(LEADS).await;
    assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (200, "", Some("application/json; charset=utf-8")));
}

#[tokio::test]
async fn raw_bytes_in_one_entry_of_a_list() {
    let world = with_leads().await;
    let whole = world.get(LEADS).await.text;
    for raw in ["\"Caf\\ud83d\"", "\"x \\udc00 y\"", "\"nul \\u0000\"", "\"a\tb\"", "NaN", "1e400", "7"] {
        world.fault(json!({"kind": "rawValue", "endpoint": "leads.list", "entry": TENANT, "field": "CompanyName", "raw": raw})).await;
        let text = world.get(LEADS).await.text;
        assert!(text.contains(&format!("\"companyName\":{raw}")), "{raw}: {text}");
        assert!(text.contains("\"companyName\":\"Two\""), "the other one stays");
    }
    assert_eq!(world.get(LEADS).await.text, whole, "and it is whole again");
    let latin = json!({"kind": "rawValue", "entry": TENANT, "field": "companyName", "rawHex": "22436166e922", "forever": true});
    world.fault(latin).await;
    let body = bytes(&world, LEADS).await;
    assert!(std::str::from_utf8(&body).is_err());
    assert!(body.windows(6).any(|part| part == b"\"Caf\xe9\""));
    world.control("DELETE", "/faults?kind=rawValue", Value::Null).await;
    assert_eq!(world.get(LEADS).await.text, whole);
}

#[tokio::test]
async fn raw_bytes_in_a_task_and_in_a_service() {
    let world = with_leads().await;
    world.serve(TENANT, "Example_1").await;
    world.fault(json!({"kind": "rawValue", "endpoint": "services.list", "field": "CustomerFullName", "raw": "\"\\ud83d\""})).await;
    assert!(world.get(SERVICES).await.text.contains("\"CustomerFullName\":\"\\ud83d\""));
    let accepted = world.call("POST", SERVICES, Some(tenant_create(OTHER, "Example_2"))).await.json();
    let path = format!("/api/v2/task/{}", accepted["jobId"].as_str().expect("a job id"));
    tokio::time::sleep(Duration::from_millis(80)).await;
    world.fault(json!({"kind": "rawValue", "endpoint": "tasks.get", "field": "message", "raw": "\"Site \\ud83d\""})).await;
    assert!(world.get(&path).await.text.contains("\"message\":\"Site \\ud83d\""));
}

#[tokio::test]
async fn entries_that_cant_be_read_for_a_while() {
    let world = with_leads().await;
    world.serve(TENANT, "Example_1").await;
    world.serve(OTHER, "Example_2").await;
    let whole = world.get(SERVICES).await.json();
    world.fault(json!({"kind": "strangeEntry", "endpoint": "services.list", "entry": TENANT, "raw": "null", "times": 2})).await;
    for _ in 0..2 {
        let list = world.get(SERVICES).await.json();
        assert_eq!(list, json!([null, whole[1]]));
    }
    world.fault(json!({"kind": "strangeEntry", "endpoint": "services.list"})).await;
    assert_eq!(world.get(SERVICES).await.json(), json!([whole[0], whole[1], {}]), "one more");
    world.fault(json!({"kind": "rawValue", "endpoint": "services.list", "entry": OTHER, "field": "umpCustomerGuid"})).await;
    let list = world.get(SERVICES).await.json();
    assert_eq!((&list[0], list[1].get("UmpCustomerGuid")), (&whole[0], None));
    assert_eq!(world.get(SERVICES).await.json(), whole);
    world.control("PATCH", "/settings", json!({"nestedLeadArray": true})).await;
    world.fault(json!({"kind": "strangeEntry", "endpoint": "leads.list", "entry": OTHER})).await;
    let list = world.get(LEADS).await.json();
    assert_eq!((&list[0][0]["tenantId"], &list[0][1]), (&json!(TENANT), &json!({})));
}

#[tokio::test]
async fn an_empty_list_between_two_whole_ones() {
    let world = with_leads().await;
    world.serve(TENANT, "Example_1").await;
    for (path, endpoint) in [(LEADS, "leads.list"), (SERVICES, "services.list")] {
        world.fault(json!({"kind": "emptyList", "endpoint": endpoint, "skip": 1})).await;
        let whole = world.get(path).await.text;
        assert_eq!(world.get(path).await.text, "[]");
        assert_eq!(world.get(path).await.text, whole);
    }
}

#[tokio::test]
async fn pages_that_move_while_they_are_read() {
    for (kind, missed) in [("leadLeaves", 2), ("leadMoves", 2)] {
        let world = world().await;
        let tenants: Vec<String> = (0..4).map(|number| format!("{number}2222222-2222-4222-8222-222222222222")).collect();
        for tenant in &tenants {
            world.lead(tenant).await;
        }
        world.fault(json!({"kind": kind, "endpoint": "leads.list", "entry": tenants[0]})).await;
        let page = async |number: usize| world.get(&format!("{LEADS}?PageNumber={number}&PageSize=2")).await.text;
        let seen = page(1).await + &page(2).await;
        for (number, tenant) in tenants.iter().enumerate() {
            assert_eq!(seen.contains(tenant.as_str()), number != missed, "{kind} {number}");
        }
        let later = world.get(LEADS).await.json();
        let order: Vec<&str> = later.as_array().expect("a list").iter().filter_map(|lead| lead["tenantId"].as_str()).collect();
        let [zero, one, two, three] = [0, 1, 2, 3].map(|number| tenants[number].as_str());
        assert_eq!(order, if kind == "leadMoves" { vec![one, two, three, zero] } else { vec![one, two, three] });
        assert_eq!(world.get(&format!("{LEADS}?msTenantId={two}")).await.json()[0]["tenantId"], *two, "by its tenant it is found");
    }
}

#[tokio::test]
async fn a_call_that_is_never_answered() {
    for executed in [false, true] {
        let world = with_leads().await;
        world.fault(json!({"kind": "hang", "endpoint": "services.create", "executed": executed})).await;
        let request = world.request("POST", SERVICES, Some(tenant_create(TENANT, "Example_1"))).timeout(Duration::from_millis(400));
        assert!(request.send().await.expect_err("no answer").is_timeout());
        let calls = world.calls().await;
        assert_eq!((&calls["createsAccepted"], &calls["byStatus"]["dropped"]), (&json!(u64::from(executed)), &json!(1)));
        assert_eq!(world.get(LEADS).await.status, 200, "only that endpoint");
    }
}

#[tokio::test]
async fn what_was_sent_comes_back_in_refusals() {
    let world = with_leads().await;
    let secret = "two  words\nand a line\n";
    let create = |tenant: &str, name: &str| {
        let mut body = tenant_create(tenant, name);
        body["scriptParameters"] = json!({"CarrierPassword": secret});
        body
    };
    world.fault(json!({"kind": "refused", "endpoint": "services.create", "message": "bad: {raw:CarrierPassword} {folded:CarrierPassword}"})).await;
    let refused = world.call("POST", SERVICES, Some(create(TENANT, "Example_1"))).await;
    let text = format!("bad: {secret} two words and a line");
    assert_eq!((refused.status, &refused.json()["errors"]), (400, &json!({"ScriptParameters": [text]})));
    world.fault(json!({"kind": "serverError", "status": 500, "endpoint": "services.create", "message": "{2:CarrierPassword} {raw:bearer}"})).await;
    let failed = world.call("POST", SERVICES, Some(create(TENANT, "Example_1"))).await;
    assert_eq!((failed.status, failed.text), (500, format!("and a line {}", world.token)));
    assert_eq!(world.calls().await["createsAccepted"], 0);
}

#[tokio::test]
async fn what_was_sent_comes_back_in_a_task() {
    for (kind, status) in [("taskFailed", "Failed"), ("completedWithError", "CompletedSuccess"), ("taskWord", "CompletedWithErrors")] {
        let world = with_leads().await;
        world.fault(json!({"kind": kind, "message": "script said {half:CarrierPassword}"})).await;
        let mut body = tenant_create(TENANT, "Example_1");
        body["scriptParameters"] = json!({"CarrierPassword": "abcdef"});
        let accepted = world.call("POST", SERVICES, Some(body)).await.json();
        let end = world.end_of(accepted["jobId"].as_str().expect("a job id")).await;
        assert_eq!((&end["status"], &end["executionMessages"]), (&json!(status), &json!([{"level": "Error", "message": "script said abc"}])));
    }
}

#[tokio::test]
async fn one_task_that_ends_with_a_word_of_its_own() {
    let world = with_leads().await;
    world.fault(json!({"kind": "taskWord", "word": "TimedOut", "executed": false, "tenantId": TENANT})).await;
    world.fault(json!({"kind": "taskWord", "word": "Aborted", "tenantId": OTHER})).await;
    for (tenant, name, word, there) in [(TENANT, "Example_1", "TimedOut", false), (OTHER, "Example_2", "Aborted", true)] {
        let accepted = world.call("POST", SERVICES, Some(tenant_create(tenant, name))).await.json();
        let end = world.end_of(accepted["jobId"].as_str().expect("a job id")).await;
        assert_eq!((&end["status"], end["outputData"].get("umpCustomerGuid").is_some()), (&json!(word), there));
        assert_eq!(world.get(SERVICES).await.text.contains(tenant), there);
    }
}

#[tokio::test]
async fn a_platform_that_wants_to_be_left_alone_for_a_day() {
    let world = with_leads().await;
    world.fault(json!({"kind": "tooManyRequests", "retryAfter": 86_400, "endpoint": "services.create"})).await;
    let limited = world.call("POST", SERVICES, Some(tenant_create(TENANT, "Example_1"))).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("86400")));
    assert_eq!(world.calls().await["createsAccepted"], 0);
}

#[tokio::test]
async fn a_connection_that_closes_after_its_answer_without_a_word() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = with_leads().await;
    world.fault(json!({"kind": "closeAfterAnswer", "delay": 400})).await;
    let mut stream = tokio::net::TcpStream::connect(world.simulator.address()).await.expect("a connection");
    let call = format!("GET /tenantui{LEADS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", world.token);
    stream.write_all(call.as_bytes()).await.expect("written");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(TENANT) {
        assert_ne!(stream.read_buf(&mut text).await.expect("an answer"), 0, "closed before its answer");
    }
    let mut rest = [0_u8; 4096];
    while let Ok(read) = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut rest)).await {
        assert_ne!(read.expect("in order"), 0, "closed too early");
    }
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut text)).await.expect("it closes").expect("in order");
    let text = String::from_utf8(text).expect("text").to_lowercase();
    assert!(text.starts_with("http/1.1 200") && text.contains(TENANT), "{text}");
    assert!(!text.contains("connection: close"), "{text}");
    let answer = client().get(format!("{}/simulator/healthz", world.simulator.url())).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "others are served");
}

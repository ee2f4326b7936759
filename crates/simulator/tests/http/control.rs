use crate::world::{OTHER, TENANT, client, tenant_create, world, world_with};
use live_platform_simulator::{Options, Simulator, StartError};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn leads_come_change_and_go() {
    let world = world().await;
    let made = world.control("POST", "/leads", json!([{"tenantId": TENANT, "status": "Suspended"}, {"tenantId": OTHER}])).await;
    assert_eq!((&made[0]["status"], &made[1]["tenantId"]), (&json!("Suspended"), &json!(OTHER)));
    assert_eq!(world.try_control("POST", "/leads", json!({"tenantId": TENANT})).await.status, 409);
    assert_eq!(world.try_control("POST", "/leads", json!({"tenantID": TENANT})).await.status, 400, "a slip of the pen");
    let changed = json!({"status": "Active", "channelId": 5, "companyName": "New BV"});
    let changed = world.control("PATCH", &format!("/leads/{TENANT}"), changed).await;
    assert_eq!((&changed[0]["status"], &changed[0]["ovocChannelId"]), (&json!("Active"), &json!(5)));
    let kept = world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": "Removed"})).await;
    assert_eq!(kept[0]["ovocChannelId"], 5, "absent is not null");
    // One of two leads changes.
    world.control("POST", "/leads", json!({"tenantId": TENANT, "consented": false})).await;
    let two = world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": "Suspended", "consented": false})).await;
    assert_eq!((&two[0]["status"], &two[1]["status"]), (&json!("Removed"), &json!("Suspended")));
    let two = world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": "Active", "consented": true})).await;
    assert_eq!((&two[0]["status"], &two[1]["status"]), (&json!("Active"), &json!("Suspended")));
    world.control("DELETE", &format!("/leads/{TENANT}"), Value::Null).await;
    assert_eq!(world.try_control("DELETE", &format!("/leads/{TENANT}"), Value::Null).await.status, 404);
    assert_eq!(world.get("/api/v2/oc/lead").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn services_of_the_portal() {
    let world = world().await;
    world.lead(TENANT).await;
    let made = world.control("POST", "/services", json!({"tenantId": TENANT, "shortName": "Portal", "licenseType": 5})).await;
    let guid = made["umpCustomerGuid"].as_str().expect("a guid").to_owned();
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["LicenseType"], 5);
    assert_eq!(world.get("/api/v2/oc/lead").await.json()[0]["umpCustomerGuid"], json!(guid));
    let path = format!("/services/{guid}");
    world.control("PATCH", &path, json!({"fullName": "Renamed", "licenseType": 4, "shortName": "Portal2"})).await;
    let service = &world.get("/api/v3/customer").await.json()[0];
    assert_eq!((&service["CustomerFullName"], &service["LicenseType"]), (&json!("Renamed"), &json!(4)));
    assert_eq!(service["CustomerShortName"], "Portal2");

    let second = json!({"tenantId": TENANT, "shortName": "Second"});
    assert_eq!(world.try_control("POST", "/services", second).await.status, 409);
    world.control("POST", "/services", json!({"tenantId": TENANT, "shortName": "Second", "force": true})).await;
    assert_eq!(world.get("/api/v3/customer").await.json().as_array().map(Vec::len), Some(2));
    assert_eq!(world.calls().await["tenantsWithTwoServices"], json!([]), "the API made none of them");
    world.control("DELETE", &path, Value::Null).await;
    assert_eq!(world.get(&format!("/api/v3/customer/{guid}")).await.status, 404);
    assert_eq!(world.calls().await["deletesExecuted"], 0);
}

#[tokio::test]
async fn jobs_run_count_and_can_be_scheduled() {
    let world = world_with(json!({"jobDuration": 120})).await;
    let ran = world.control("POST", "/jobs/trunks/run", Value::Null).await;
    assert_eq!((&ran["name"], &ran["state"], &ran["runs"]), (&json!("peering.sync-trunks-job"), &json!("Succeeded"), &json!(1)));
    let took = ran["lastFinished"].as_u64().expect("a time") - ran["lastStarted"].as_u64().expect("a time");
    assert_eq!(took, 120);
    let (one, two) = tokio::join!(world.control("POST", "/jobs/leads/run", Value::Null), world.control("POST", "/jobs/leads/run", Value::Null));
    assert_ne!(one["runs"], two["runs"], "each gets a run that began after it asked");
    assert_eq!(world.try_control("POST", "/jobs/nope/run", Value::Null).await.status, 404);
    world.control("PATCH", "/settings", json!({"jobDuration": 0})).await;
    world.control("PUT", "/jobs/leads/schedule", json!({"everyMilliseconds": 30})).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let jobs = world.control("GET", "/jobs", Value::Null).await;
    assert!(jobs[0]["runs"].as_u64().is_some_and(|runs| runs > 4), "{jobs}");
    assert_eq!(jobs[1]["runs"], 1);
}

#[tokio::test]
async fn settings_are_merged_and_checked() {
    let world = world().await;
    let before = world.control("GET", "/settings", Value::Null).await;
    assert_eq!((&before["taskDuration"], &before["tokenLifetime"]), (&json!(40), &json!(3599)));
    let after = world.control("PATCH", "/settings", json!({"taskDuration": 7, "paging": "zeroBased"})).await;
    assert_eq!((&after["taskDuration"], &after["latency"]), (&json!(7), &json!(0)));
    assert_eq!(world.try_control("PATCH", "/settings", json!({"taskDurations": 7})).await.status, 400);
    assert_eq!(world.try_control("PATCH", "/settings", json!({"paging": "backwards"})).await.status, 400);
    assert_eq!(world.try_control("POST", "/faults", json!({"kind": "htmlOk", "endpoint": "leads.lists"})).await.status, 400);
}

#[tokio::test]
async fn calls_and_log() {
    let world = world().await;
    world.lead(TENANT).await;
    world.control("DELETE", "/calls", Value::Null).await;
    world.get("/api/v2/oc/lead?PageSize=5").await;
    world.get(&format!("/api/v2/oc/lead?msTenantId={TENANT}&access_token=hush")).await;
    world.get("/api/v9/nothing").await;
    world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
    world.call("POST", "/api/v3/customer", Some(tenant_create(OTHER, "Example_2"))).await;
    assert_eq!(
        world.calls().await,
        json!({
            "total": 5, "changes": 2, "createsAccepted": 1, "deletesExecuted": 0, "secondCreatesRefused": 0,
            "byEndpoint": {"leads.list": 1, "leads.get": 1, "other": 1, "services.create": 2},
            "byStatus": {"200": 3, "404": 2}, "tenantsWithTwoServices": [],
        })
    );
    let log = world.control("GET", "/log", Value::Null).await;
    let log = log.as_array().expect("an array");
    assert_eq!(log.len(), 6, "the token's call comes first");
    assert_eq!((&log[0]["endpoint"], &log[0]["method"]), (&json!("token"), &json!("POST")));
    assert_eq!(log[1]["path"], "/tenantui/api/v2/oc/lead?PageSize=5");
    assert_eq!(log[2]["path"], format!("/tenantui/api/v2/oc/lead?msTenantId={TENANT}&access_token=…"));
    assert_eq!((&log[2]["tenantId"], &log[1].get("tenantId")), (&json!(TENANT), &None));
    assert_eq!((&log[5]["status"], &log[5]["tenantId"]), (&json!(404), &json!(OTHER)));
    let sequence = log[4]["sequence"].as_u64().expect("a number");
    let rest = world.control("GET", &format!("/log?since={sequence}"), Value::Null).await;
    assert_eq!(rest, json!([log[5]]));
}

#[tokio::test]
async fn reset_and_health() {
    let world = world_with(json!({"latency": 1})).await;
    world.lead(TENANT).await;
    world.serve(TENANT, "Example_1").await;
    world.fault(json!({"kind": "emptyOk", "forever": true})).await;
    let state = world.control("GET", "/state", Value::Null).await;
    assert_eq!((&state["leads"], &state["services"], &state["faults"]), (&json!(1), &json!(1), &json!(1)));
    world.control("POST", "/reset", Value::Null).await;
    let state = world.control("GET", "/state", Value::Null).await;
    assert_eq!((&state["leads"], &state["services"], &state["calls"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(world.control("GET", "/settings", Value::Null).await["latency"], 0, "as at the start");
    assert_eq!(world.get("/api/v3/customer").await.text, "[]", "tokens are Microsoft's, they stay good");
    let health = world.try_control("GET", "/healthz", Value::Null).await;
    assert_eq!((health.status, health.text.as_str()), (200, "ok"));
}

#[tokio::test]
async fn it_stops_when_dropped() {
    let world = world().await;
    let (url, client) = (world.simulator.url(), client());
    let health = || client.get(format!("{url}/simulator/healthz")).send();
    health().await.expect("an answer");
    drop(world.simulator);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(health().await.expect_err("nobody there").is_connect());
}

#[tokio::test]
async fn a_port_in_use_and_a_bad_seed_are_told() {
    let first = Simulator::start(Options::default()).await;
    let second = Simulator::try_start(Options { address: first.address(), ..Options::default() }).await;
    let error = second.expect_err("in use");
    assert!(matches!(error, StartError::Listen(..)));
    assert!(error.to_string().contains("port is in use"), "{error}");
    let path = std::env::temp_dir().join(format!("simulator-seed-{}.json", std::process::id()));
    let start = |text: &str| {
        std::fs::write(&path, text).expect("written");
        Simulator::try_start(Options { seed_file: Some(path.clone()), ..Options::default() })
    };
    assert!(matches!(start("{\"lead\": []}").await, Err(StartError::Seed(..))));
    let seed = json!({
        "settings": {"taskDuration": 5}, "channels": [{"id": 7, "name": "seven"}],
        "lcCustomers": [{"id": 70, "name": "c", "channelId": 7}], "leads": [{"tenantId": TENANT, "channelId": 7}],
        "services": [{"tenantId": OTHER, "shortName": "Portal"}], "numbers": [{"tenantId": OTHER, "count": 3}],
    });
    let seeded = start(&seed.to_string()).await.expect("a good seed");
    let state = client().get(format!("{}/simulator/state", seeded.url())).send().await.expect("an answer");
    let state: Value = state.json().await.expect("json");
    let counts = ["leads", "services", "channels", "lcCustomers", "numbers"].map(|name| state[name].clone());
    assert_eq!(counts, [json!(1), json!(1), json!(1), json!(1), json!(3)]);
    std::fs::remove_file(&path).expect("removed");
}

#[tokio::test]
async fn a_thousand_services_are_listed_quickly() {
    let world = world().await;
    for number in 0..1_000 {
        let service = json!({"tenantId": format!("t{number}"), "shortName": format!("s{number}")});
        world.control("POST", "/services", service).await;
    }
    let now = async || world.control("GET", "/state", Value::Null).await["now"].as_u64().expect("a time");
    let before = now().await;
    for _ in 0..20 {
        assert_eq!(world.get("/api/v3/customer").await.text.matches("UmpCustomerGuid").count(), 1_000);
    }
    let each = (now().await - before) / 20;
    assert!(each < 200, "{each} ms for a list in a debug build");
}

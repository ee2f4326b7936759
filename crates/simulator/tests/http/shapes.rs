//! Facts of the third sheet (`platform-facts-3.md`), over HTTP.

use crate::world::{TENANT, World, tenant_create, world_with};
use serde_json::{Value, json};
use std::time::Duration;

async fn first_lead(world: &World) -> Value {
    world.get("/api/v2/oc/lead").await.json()[0].clone()
}

#[tokio::test]
async fn a_sip_connection() {
    let world = world_with(json!({})).await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let site = world.get(&format!("/api/v3/customer/{guid}?allDetails=true")).await.json()["SiteLocation"][0].clone();
    assert_eq!((&site["sbcConfigurationType"], &site["sbcDeploymentState"]), (&json!("SipTrunk"), &json!("Deployed")), "C-33: a text here");
    let connection = world.get(&format!("/api/v2/sitelocation/{}", site["id"].as_str().expect("an id"))).await.json();
    assert_eq!(connection["tenantId"], TENANT, "the Microsoft tenant");
    assert_eq!((&connection["m365DeploymentState"], &connection["sbcDeploymentState"]), (&json!(null), &json!(3)));
    assert_eq!(connection["sbcInfo"]["sbcConfigurationType"], 0, "C-33: a number here");
    assert_eq!(connection["m365Info"]["m365Scripts"].as_object().map(serde_json::Map::len), Some(4));
}

#[tokio::test]
async fn n_18_a_removed_lead_comes_back_as_the_same_one() {
    let world = world_with(json!({})).await;
    world.lead(TENANT).await;
    let before = first_lead(&world).await;
    for status in ["Suspended", "Removed", "Active"] {
        world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": status})).await;
        let lead = first_lead(&world).await;
        assert_eq!((&lead["status"], &lead["id"]), (&json!(status), &before["id"]), "a removed one stays listed (U-19)");
    }
}

#[tokio::test]
async fn contacts_as_a_list() {
    let world = world_with(json!({})).await;
    let contact = json!({"fullName": "A Person", "email": "a@example.com", "phoneNumber": "+31000000000"});
    world.control("POST", "/leads", json!({"tenantId": TENANT, "companyName": "Example BV", "contact": contact, "contactsAsList": true})).await;
    let lead = first_lead(&world).await;
    assert_eq!(lead["contactDetails"], json!(null));
    let expected = json!([{"fullName": "A Person", "email": "a@example.com", "phoneNumber": "+31000000000",
        "companyName": "Example BV", "companySize": "L250_U999"}]);
    assert_eq!(lead["contacts"], expected);
}

#[tokio::test]
async fn u_23_a_service_is_listed_before_it_is_deployed() {
    let world = world_with(json!({"deployDuration": 300})).await;
    world.lead(TENANT).await;
    world.serve(TENANT, "Example_1").await;
    let status =
        async || world.get("/api/ovoc/v1/topology/services").await.json()["services"][0]["applicationsStatus"]["management"]["serviceDeployStatus"].clone();
    assert_eq!(status().await, "UNKNOWN");
    assert_eq!(world.get("/api/v3/customer").await.json()[0]["LicenseType"], 3);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(status().await, "DEPLOYED");
    world.control("PATCH", "/settings", json!({"deployFails": true})).await;
    assert_eq!(status().await, "FAILED");
}

#[tokio::test]
async fn u_8_listed_only_after_the_leads_job() {
    let world = world_with(json!({"listedAfterLeadsJob": true})).await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let listed = async || ["/api/v3/customer", "/api/v2/customer"].map(|path| world.get(path));
    for answer in listed().await {
        assert_eq!(answer.await.text, "[]", "though its task is done");
    }
    assert_eq!(world.get(&format!("/api/v3/customer/{guid}")).await.status, 200, "by its guid it is there");
    world.control("POST", "/jobs/leads/run", Value::Null).await;
    for answer in listed().await {
        assert!(answer.await.text.contains(&guid));
    }
}

#[tokio::test]
async fn n_22_a_job_that_is_only_started() {
    let world = world_with(json!({"jobDuration": 300, "jobAnswer": "atOnce"})).await;
    let run = async || world.control("POST", "/jobs/trunks/run", Value::Null).await;
    assert_eq!(run().await, json!({"success": true, "message": "Synchronization started"}));
    assert_eq!(run().await, json!({"success": true, "message": "A synchronization is already in progress"}));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(world.control("GET", "/jobs", Value::Null).await[1]["runs"], 1, "and the second request began none");
}

#[tokio::test]
async fn c_6_any_word_for_a_task() {
    let words = json!({"taskWordRunning": "Queued", "taskWordDone": "CompletedWithErrors", "taskWordFailed": "CompletedFailed", "taskDuration": 200});
    let world = world_with(words).await;
    world.lead(TENANT).await;
    let begin = async |name: &str| {
        let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, name))).await;
        format!("/api/v2/task/{}", accepted.json()["jobId"].as_str().expect("a job id"))
    };
    world.fault(json!({"kind": "taskFailed"})).await;
    let mut ends = Vec::new();
    for name in ["Example_1", "Example_2"] {
        let path = begin(name).await;
        assert_eq!(world.get(&path).await.json()["status"], "Queued");
        tokio::time::sleep(Duration::from_millis(250)).await;
        ends.push(world.get(&path).await.json());
    }
    assert_eq!((&ends[0]["status"], &ends[0]["outputData"]), (&json!("CompletedFailed"), &json!({})));
    assert_eq!(ends[1]["status"], "CompletedWithErrors");
    let listed = world.get("/api/v3/customer").await.json();
    assert_eq!(ends[1]["outputData"]["umpCustomerGuid"], listed[0]["UmpCustomerGuid"]);
    world.control("PATCH", "/settings", json!({"taskWordDone": null})).await;
    assert_eq!(world.control("GET", "/settings", Value::Null).await["taskWordDone"], json!(null));
}

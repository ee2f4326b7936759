//! Services of Direct Routing beside those of Operator Connect (platform-facts-3.md 2, C-31, U-25).

use crate::world::{OTHER, TENANT, World, tenant_create, validation, without_trace, world_with};
use serde_json::{Value, json};

async fn with_direct_routing(settings: Value) -> World {
    let world = world_with(settings).await;
    world.lead(TENANT).await;
    world.control("POST", "/services", json!({"tenantId": TENANT, "shortName": "Routed", "licenseType": 0})).await;
    world
}

#[tokio::test]
async fn a_tenant_may_have_one_of_each_kind() {
    let world = with_direct_routing(json!({})).await;
    let lead = world.get("/api/v2/oc/lead").await.json()[0].clone();
    assert_eq!((&lead["umpCustomerGuid"], &lead["isNotActive"]), (&json!(null), &json!(null)), "the lead has no license");
    let guid = world.serve(TENANT, "Example_1").await;
    let list = world.get("/api/v3/customer").await.json();
    let licenses: Vec<&Value> = list.as_array().expect("a list").iter().map(|service| &service["LicenseType"]).collect();
    assert_eq!(licenses, [&json!(0), &json!(3)]);
    assert_eq!((&list[0]["MsTenantId"], &list[1]["MsTenantId"]), (&json!(TENANT), &json!(TENANT)));
    assert_eq!(world.get("/api/v2/oc/lead").await.json()[0]["umpCustomerGuid"], json!(guid));
    let topology = world.get("/api/ovoc/v1/topology/services").await.json();
    assert_eq!((&topology["services"][0]["licenseType"], &topology["services"][0]["serviceSource"]), (&json!("HOSTED_ESSENTIALS"), &json!("LTC")));
    assert_eq!(world.calls().await["tenantsWithTwoServices"], json!([]), "they are counted apart");
    let again = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_2"))).await;
    assert_eq!(again.status, 400, "a second one of Operator Connect is another matter");
}

#[tokio::test]
async fn u_25_it_may_be_refused_at_once_or_by_the_task() {
    let message = "This MsTenant already exists as an UMP customer!";
    let world = with_direct_routing(json!({"besideDirectRouting": "request"})).await;
    let refused = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
    assert_eq!(without_trace(refused.json()), validation("MsTenantId", message));

    let world = with_direct_routing(json!({"besideDirectRouting": "task"})).await;
    let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
    let end = world.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
    assert_eq!((&end["status"], &end["executionMessages"][0]["message"]), (&json!("Failed"), &json!(message)));
    assert_eq!(world.get("/api/v3/customer").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn its_lead_may_show_it() {
    let world = with_direct_routing(json!({"leadShowsDirectRouting": true})).await;
    let listed = world.get("/api/v3/customer").await.json()[0]["UmpCustomerGuid"].clone();
    assert_eq!(world.get("/api/v2/oc/lead").await.json()[0]["umpCustomerGuid"], listed);
}

#[tokio::test]
async fn any_license_and_any_text_for_a_tenant() {
    let world = world_with(json!({})).await;
    let seeds = [json!({"shortName": "none_1", "licenseType": 0}), json!({"shortName": "none_2", "licenseType": 0})];
    let named = json!({"shortName": "named", "licenseType": 2, "tenantId": "contoso.example"});
    let strange = json!({"shortName": "strange", "licenseType": 9, "tenantId": OTHER});
    for service in seeds.into_iter().chain([named, strange]) {
        world.control("POST", "/services", service).await;
    }
    let list = world.get("/api/v3/customer").await.json();
    let shown = |name: &str| list.as_array().expect("a list").iter().map(|service| service[name].clone()).collect::<Vec<_>>();
    assert_eq!(shown("MsTenantId"), [json!(null), json!(null), json!("contoso.example"), json!(OTHER)]);
    assert_eq!(shown("LicenseType"), [0, 0, 2, 9].map(|license| json!(license)));
    let path = format!("/services/{}", list[2]["UmpCustomerGuid"].as_str().expect("a guid"));
    world.control("PATCH", &path, json!({"tenantId": TENANT})).await;
    assert!(world.get("/api/v3/customer").await.text.contains(TENANT), "mended in the portal");
}

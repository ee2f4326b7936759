use crate::world::{OTHER, TENANT, World, tenant_create, validation, without_trace, world, world_with};
use serde_json::{Value, json};

const ASSIGN: &str = "/api/v3/ovoc/channel/action/assign";

async fn with_channel() -> World {
    let world = world().await;
    world.control("POST", "/channels", json!({"id": 1574, "name": "Partner"})).await;
    world.lead(TENANT).await;
    world
}

async fn channel_of(world: &World, tenant: &str) -> Value {
    world.get(&format!("/api/v2/oc/lead?msTenantID={tenant}")).await.json()[0]["ovocChannelId"].clone()
}

#[tokio::test]
async fn assignment_takes_all_printed_forms() {
    let world = with_channel().await;
    let id = world.get("/api/v2/oc/lead").await.json()[0]["id"].clone();
    let guid = world.serve(TENANT, "Example_1").await;
    for body in [
        json!({"leadMsTenantId": TENANT, "channelId": 1574}),
        json!({"leadMsTenantId": TENANT, "ChannelId": "1574"}),
        json!({"leadId": id, "channelId": 1574}),
        json!({"umpCustomerGuid": guid, "channelId": 1574}),
        json!({"msTenantId": TENANT, "ovocChannelId": "1574"}),
    ] {
        world.control("PATCH", &format!("/leads/{TENANT}"), json!({"channelId": null})).await;
        assert_eq!(channel_of(&world, TENANT).await, json!(null));
        let expected = json!({"status": "success", "succeeded": true, "message": "Lead successfully assigned to the channel"});
        world.call("PUT", ASSIGN, Some(body)).await.is(200, expected);
        assert_eq!(channel_of(&world, TENANT).await, json!(1574));
    }
    let remove = format!("/api/v3/ovoc/channel/action/remove/?msTenantId={TENANT}");
    world.call("PUT", &remove, None).await.is(200, json!({"status": true, "data": "Removed channel 1574"}));
    assert_eq!(channel_of(&world, TENANT).await, json!(null));
    let again = world.call("PUT", &remove, None).await;
    assert_eq!(again.status, 400);
    let expected = json!({"type": "https://tools.ietf.org/html/rfc7231#section-6.5.1", "title": "Bad Request",
        "status": 400, "detail": "The lead is not assigned to a channel.",
        "instance": "/tenantui/api/v3/ovoc/channel/action/remove/", "errorCode": "NoChannel"});
    assert_eq!(without_trace(again.json()), expected, "E2");
}

#[tokio::test]
async fn an_old_answer_to_an_assignment() {
    let world = with_channel().await;
    world.control("PATCH", "/settings", json!({"oldAssignAnswer": true})).await;
    let body = json!({"leadMsTenantId": TENANT, "channelId": 1574});
    let expected = json!({"status": true, "data": "new lead ovocChannelId: 1574"});
    world.call("PUT", ASSIGN, Some(body.clone())).await.is(200, expected);
    world.control("PATCH", "/settings", json!({"topologyAvailable": false})).await;
    let unreachable = world.call("PUT", ASSIGN, Some(body)).await;
    unreachable.is(200, json!({"status": false, "data": "OVOC is not reachable"}));
}

#[tokio::test]
async fn refused_assignments() {
    let world = with_channel().await;
    let both = json!({"leadMsTenantId": TENANT, "leadId": "x", "channelId": 1574});
    let detail = "Exactly one of leadMsTenantId, leadId and umpCustomerGuid must be given.";
    assert_eq!(world.call("PUT", ASSIGN, Some(both.clone())).await.json()["detail"], detail);
    let nowhere = json!({"leadMsTenantId": TENANT, "channelId": 3700});
    world.call("PUT", ASSIGN, Some(nowhere)).await.is(404, json!({"description": "Entity with id 3700 not found"}));
    let nobody = world.call("PUT", ASSIGN, Some(json!({"leadMsTenantId": OTHER, "channelId": 1574}))).await;
    assert_eq!((nobody.status, nobody.text.as_str()), (404, "\"Invalild lead\""));

    let good = json!({"leadMsTenantId": TENANT, "channelId": 1574});
    world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": "Suspended"})).await;
    assert_eq!(world.call("PUT", ASSIGN, Some(good.clone())).await.json()["detail"], "The lead is not Active.");
    world.control("PATCH", "/settings", json!({"assignError": "validation"})).await;
    let refused = world.call("PUT", ASSIGN, Some(good.clone())).await;
    assert_eq!(without_trace(refused.json()), validation("LeadMsTenantId", "The lead is not Active."), "C-16");
    world.control("PATCH", "/settings", json!({"channelCaller": true})).await;
    assert_eq!(world.call("PUT", ASSIGN, Some(good.clone())).await.status, 403, "C-24");

    world.control("PATCH", "/settings", json!({"channelCaller": false, "topologyAvailable": false})).await;
    let expected = json!({"status": "Failed", "succeeded": false, "message": "OVOC is not reachable"});
    world.call("PUT", ASSIGN, Some(good)).await.is(200, expected);
    assert_eq!(channel_of(&world, TENANT).await, json!(null));
}

#[tokio::test]
async fn more_than_300_assignments_a_minute_are_429() {
    let world = with_channel().await;
    let keeping = reqwest::Client::builder().build().expect("a client");
    let url = format!("{}{ASSIGN}", world.simulator.base_url());
    let mut statuses = Vec::new();
    for _ in 0..301 {
        let body = json!({"leadMsTenantId": TENANT, "channelId": 1574});
        let answer = keeping.put(&url).bearer_auth(&world.token).json(&body).send().await.expect("an answer");
        let after = answer.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
        statuses.push((answer.status().as_u16(), after));
        answer.bytes().await.expect("a body");
    }
    assert!(statuses[..300].iter().all(|status| *status == (200, None)));
    assert_eq!(statuses[300], (429, Some("1".to_owned())));
}

#[tokio::test]
async fn channels() {
    let world = world().await;
    let body = json!({"name": "Partner", "tenantId": 1, "msTenantId": OTHER});
    let made = world.call("POST", "/api/ovoc/v1/topology/channels/", Some(body)).await;
    let id = made.json()["id"].as_u64().expect("an id");
    made.is(201, json!({"id": id, "url": format!("ovoc/v1/topology/channels/{id}")}));
    let one = world.get(&format!("/api/ovoc/v1/topology/channels/{id}")).await.json();
    assert_eq!((&one["id"], &one["maxCustomers"], &one["msTenantId"]), (&json!(id), &json!(0), &json!(OTHER)));
    assert_eq!(one["services"]["OC"]["enabled"], true);
    assert_eq!(one["url"], format!("/ovoc/v1/topology/channels/{id}"));
    let list = world.get("/api/ovoc/v1/topology/channels").await.json();
    assert_eq!(list, json!({"channels": [one]}));
    let missing = world.get("/api/ovoc/v1/topology/channels/3700").await;
    missing.is(404, json!({"description": "Entity with id 3700 not found"}));
}

#[tokio::test]
async fn lc_customers() {
    let world = world().await;
    world.control("POST", "/channels", json!({"id": 7, "name": "seven", "maxCustomers": 1})).await;
    world.control("POST", "/lc-customers", json!({"id": 70, "name": "Cust"})).await;
    world.control("POST", "/lc-customers", json!({"id": 71, "name": "Other"})).await;
    let path = "/api/ovoc/v1/topology/customers/70";
    let read = world.get(path).await.json();
    assert_eq!((&read["id"], &read["name"], &read["channelId"]), (&json!(70), &json!("Cust"), &json!(null)));
    assert_eq!(read["url"], "/ovoc/v1/topology/lcCustomers/70");
    world.call("PUT", path, None).await.is(200, read.clone());
    world.get("/api/ovoc/v1/topology/lcCustomers/70").await.is(200, read.clone());

    let found = "/api/ovoc/v1/topology/lcCustomers?detail=1&fields=id,name,channelId&filter=(name='Cust')";
    let expected = json!({"lcCustomers": [{"id": 70, "name": "Cust", "channelId": null}]});
    world.get(found).await.is(200, expected.clone());
    world.get(&found.replace('\'', "%27").replace('(', "%28")).await.is(200, expected);
    world.get("/api/ovoc/v1/topology/lcCustomers?fields=id&filter=(id=71)").await.is(200, json!({"lcCustomers": [{"id": 71}]}));
    let none = "/api/ovoc/v1/topology/lcCustomers?filter=(name='nobody')";
    world.get(none).await.is(200, json!({}));
    world.control("PATCH", "/settings", json!({"emptyTopologyList": "emptyArray"})).await;
    world.get(none).await.is(200, json!({"lcCustomers": []}));
    world.control("PATCH", "/settings", json!({"emptyTopologyList": "notFound"})).await;
    assert!(world.get(none).await.json()["description"].is_string());

    let moved = world.call("POST", path, Some(json!({"channelId": 7}))).await;
    moved.is(200, json!({"id": 70, "tenantId": 1, "name": "Cust", "channelId": 7}));
    let full = world.call("POST", "/api/ovoc/v1/topology/customers/71", Some(json!({"channelId": 7}))).await;
    assert_eq!(full.status, 400);
    let wrong = world.call("POST", path, Some(json!({"channelId": 3700}))).await;
    wrong.is(404, json!({"description": "Entity with id 3700 not found"}));
    world.call("PUT", "/api/ovoc/v1/topology/customers/9", None).await.is(404, json!({"description": "Entity with id 9 not found"}));
}

#[tokio::test]
async fn the_owner_of_a_service() {
    let world = world().await;
    for channel in [json!({"id": 7, "name": "seven"}), json!({"id": 8, "name": "eight", "maxCustomers": 1})] {
        world.control("POST", "/channels", channel).await;
    }
    world.control("POST", "/lc-customers", json!({"id": 70, "name": "in seven", "channelId": 7})).await;
    world.control("POST", "/lc-customers", json!({"id": 80, "name": "in eight", "channelId": 8})).await;
    world.control("POST", "/leads", json!({"tenantId": TENANT, "channelId": 7})).await;
    world.control("POST", "/leads", json!({"tenantId": OTHER, "channelId": 8})).await;
    let with = |tenant: &str, customer: Value| {
        let mut body = tenant_create(tenant, "Example_1");
        body["lcCustomerId"] = customer;
        body
    };
    let stranger = world.call("POST", "/api/v3/customer", Some(with(TENANT, json!(80)))).await;
    let message = "LC customer 80 does not belong to the channel of the lead.";
    assert_eq!(without_trace(stranger.json()), validation("LcCustomerId", message));
    let full = world.call("POST", "/api/v3/customer", Some(tenant_create(OTHER, "Example_1"))).await;
    let message = "Channel 8 has reached its maximum number of customers.";
    assert_eq!(without_trace(full.json()), validation("ChannelId", message));

    let accepted = world.call("POST", "/api/v3/customer", Some(with(TENANT, json!("70")))).await;
    let done = world.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
    let guid = &done["outputData"]["umpCustomerGuid"];
    let listed = world.get("/api/ovoc/v1/topology/services/").await.json();
    let service = &listed["services"][0];
    assert_eq!((&service["serviceId"], &service["lcCustomerId"]), (guid, &json!(70)));
    assert_eq!((&service["type"], &service["serviceSource"]), (&json!("SERVICE"), &json!("OC")));
    assert_eq!(service["applicationsStatus"]["management"]["serviceDeployStatus"], "DEPLOYED");
    let customer = world.get("/api/ovoc/v1/topology/customers/70").await.json();
    assert_eq!(customer["attachedServices"], json!([service["id"]]));
}

#[tokio::test]
async fn without_an_owner_one_of_the_same_name_is_made_and_the_lead_follows_the_channel() {
    let world = with_channel().await;
    let mut body = tenant_create(TENANT, "Example_1");
    body["channelId"] = json!("1574");
    let accepted = world.call("POST", "/api/v3/customer", Some(body)).await;
    world.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
    let found = "/api/ovoc/v1/topology/lcCustomers?filter=(name='Example_1')";
    let customer = world.get(found).await.json()["lcCustomers"][0].clone();
    assert_eq!((&customer["channelId"], &customer["msTenantId"]), (&json!(1574), &json!(TENANT)));
    assert_eq!(customer["fullName"], "Example BV");
    assert_eq!(channel_of(&world, TENANT).await, json!(1574));
}

#[tokio::test]
async fn the_topology_can_be_out_of_reach() {
    let world = world_with(json!({"topologyAvailable": false})).await;
    let paths = ["channels", "channels/7", "lcCustomers", "customers/7", "services"];
    for path in paths {
        assert_eq!(world.get(&format!("/api/ovoc/v1/topology/{path}")).await.status, 404, "{path}");
    }
    world.control("PATCH", "/settings", json!({"topologyStatus": 405})).await;
    assert_eq!(world.get("/api/ovoc/v1/topology/channels").await.status, 405);
}

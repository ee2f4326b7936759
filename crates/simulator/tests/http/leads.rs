use crate::world::{DIRECTORY, OTHER, TENANT, is_guid, validation, without_trace, world};
use serde_json::{Value, json};

fn date(text: &Value) -> bool {
    let text = text.as_str().expect("a date");
    // Like 2025-01-02T03:04:05.1234567Z.
    text.len() == 28 && text.ends_with('Z') && text.as_bytes()[19] == b'.'
}

#[tokio::test]
async fn a_consented_lead_as_platform_md_12_2_has_it() {
    let world = world().await;
    world
        .control(
            "POST",
            "/leads",
            json!({"tenantId": TENANT, "companyName": "Example BV", "countries": ["NL"],
        "contact": {"fullName": "A Person", "email": "a@example.com", "phoneNumber": "+31000000000"}}),
        )
        .await;
    let list = world.get(&format!("/api/v2/oc/lead?msTenantID={TENANT}")).await.json();
    let mut lead = list[0].clone();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert!(is_guid(lead["id"].as_str().expect("an id")));
    assert!(date(&lead["consentedOn"]) && date(&lead["lastModifiedOn"]));
    for field in ["id", "consentedOn", "lastModifiedOn"] {
        lead[field] = json!("-");
    }
    let expected = json!({
        "civicAddresses": null, "comments": null, "umpCustomerGuid": null, "isNotActive": null, "channelId": null,
        "ovocChannelId": null, "isDirectLead": false, "id": "-", "tenantId": TENANT, "tenantOrigin": null,
        "operatorId": DIRECTORY, "status": "Active", "consentedOn": "-", "lastModifiedOn": "-",
        "consentedCountries": ["NL"],
        "contactDetails": {"fullName": "A Person", "email": "a@example.com", "phoneNumber": "+31000000000",
            "companyName": "Example BV", "companySize": "L250_U999"},
        "contacts": [],
    });
    assert_eq!(lead, expected);
}

#[tokio::test]
async fn a_consentless_lead_is_active_without_size_and_market() {
    let world = world().await;
    let body = json!({"TenantId": TENANT, "CompanyName": "Direct BV"});
    let made = world.call("POST", "/api/v2/oc/lead/", Some(body)).await;
    assert_eq!((made.status, made.text.as_str()), (200, ""));
    let lead = &world.get(&format!("/api/v2/oc/lead?MSTENANTID={TENANT}")).await.json()[0];
    assert_eq!((&lead["isDirectLead"], &lead["status"]), (&json!(true), &json!("Active")));
    assert_eq!((&lead["operatorId"], &lead["consentedCountries"]), (&json!(null), &json!([])));
    assert_eq!(lead["contactDetails"]["companySize"], json!(null));
    assert_eq!(lead["contactDetails"]["companyName"], "Direct BV");
}

#[tokio::test]
async fn a_lead_that_is_there_is_refused_with_e1() {
    let world = world().await;
    let body = json!({"tenantId": TENANT, "companyName": "Direct BV"});
    assert_eq!(world.call("POST", "/api/v2/oc/lead", Some(body.clone())).await.status, 200);
    let both = world.call("POST", "/api/v2/oc/lead", Some(body)).await;
    assert_eq!(both.status, 400);
    assert_eq!(both.header("content-type"), Some("application/problem+json; charset=utf-8"));
    let expected = json!({
        "errors": {"TenantId": ["This MsTenant already exists as an UMP lead!"],
            "CompanyName": ["Company name is already used for an UMP lead."]},
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.", "status": 400,
    });
    assert_eq!(without_trace(both.json()), expected);

    world.lead(OTHER).await;
    let consented = json!({"tenantId": OTHER, "companyName": "Something else"});
    let consented = world.call("POST", "/api/v2/oc/lead", Some(consented)).await;
    assert_eq!(without_trace(consented.json()), validation("TenantId", "This MsTenant already exists as an UMP lead!"));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_in_the_parsers_words() {
    let world = world().await;
    let text = format!("{{\n\"tenantId\": \"{TENANT}\"\n \"companyName\": \"Example BV\"\n}}");
    let request = world.request("POST", "/api/v2/oc/lead", None).body(text);
    let body: Value = serde_json::from_str(&request.send().await.expect("sent").text().await.expect("text")).expect("json");
    let message = "After parsing a value an unexpected character was encountered: \". Path 'tenantId', line 3, position 2.";
    assert_eq!(without_trace(body), validation("tenantId", message));
}

#[tokio::test]
async fn deletion_of_a_lead() {
    let world = world().await;
    let path = format!("/api/v2/oc/lead?msTenantID={TENANT}");
    let missing = world.call("DELETE", &path, None).await;
    assert_eq!((missing.status, missing.text.as_str()), (404, "\"Invalild lead\""));

    world.lead(TENANT).await;
    let consented = world.call("DELETE", &path, None).await;
    assert_eq!((consented.status, consented.text.as_str()), (400, "Invalid lead"));

    let direct = json!({"tenantId": OTHER, "companyName": "Direct BV"});
    world.call("POST", "/api/v2/oc/lead", Some(direct)).await;
    let guid = world.serve(OTHER, "Direct_1").await;
    let path = format!("/api/v2/oc/lead?msTenantID={OTHER}");
    let served = world.call("DELETE", &path, None).await;
    assert_eq!((served.status, served.text.as_str()), (400, "Invalid lead"));
    world.call("DELETE", &format!("/api/v2/customer/{guid}"), None).await;
    let gone = world.call("DELETE", &path, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (200, "1"));
    assert_eq!(world.get(&path).await.text, "[]");
}

async fn page(world: &crate::world::World, query: &str) -> Vec<String> {
    let list = world.get(&format!("/api/v2/oc/lead?{query}")).await.json();
    let company = |lead: &Value| lead["contactDetails"]["companyName"].as_str().expect("a company").to_owned();
    list.as_array().expect("an array").iter().map(company).collect()
}

#[tokio::test]
async fn pages_begin_at_one_and_hold_ten() {
    let world = world().await;
    let leads: Vec<Value> =
        (0..25).map(|number| json!({"tenantId": format!("00000000-0000-4000-8000-{number:012}"), "companyName": format!("c{number}")})).collect();
    let made = world.control("POST", "/leads", json!(leads)).await;
    assert_eq!(made.as_array().map(Vec::len), Some(25));

    let first: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    assert_eq!(page(&world, "").await, first);
    assert_eq!(page(&world, "PageNumber=1").await, first);
    assert_eq!(page(&world, "pagenumber=0").await, first, "C-12: 0 is taken as 1");
    assert_eq!(page(&world, "PageNumber=3").await, ["c20", "c21", "c22", "c23", "c24"]);
    assert_eq!(page(&world, "PageNumber=4").await, Vec::<String>::new());
    assert_eq!(page(&world, "PageNumber=2&PAGESIZE=7").await[0], "c7");
    assert_eq!(page(&world, "PageSize=200").await.len(), 25);
    assert_eq!(page(&world, "PageNumber=2&PageSize=99999999").await.len(), 0);

    world.control("PATCH", "/settings", json!({"paging": "zeroBased"})).await;
    assert_eq!(page(&world, "PageNumber=0").await, first);
    assert_eq!(page(&world, "PageNumber=1").await[0], "c10");
    world.control("PATCH", "/settings", json!({"paging": "repeatsFirst"})).await;
    assert_eq!(page(&world, "PageNumber=1").await, first);
    assert_eq!(page(&world, "PageNumber=3").await, first);
}

#[tokio::test]
async fn twenty_thousand_is_the_most_a_page_holds() {
    let world = world().await;
    let leads: Vec<Value> = (0..20_001).map(|number| json!({"tenantId": format!("t{number}"), "companyName": "c"})).collect();
    world.control("POST", "/leads", json!(leads)).await;
    assert_eq!(page(&world, "PageSize=30000").await.len(), 20_000);
    assert_eq!(page(&world, "PageNumber=2&PageSize=30000").await.len(), 1);
}

#[tokio::test]
async fn a_lead_of_microsofts_alone_comes_with_check_online() {
    let world = world().await;
    world.control("POST", "/leads", json!({"tenantId": TENANT, "local": false})).await;
    let path = format!("/api/v2/oc/lead?msTenantId={TENANT}");
    assert_eq!(world.get(&path).await.text, "[]");
    assert_eq!(world.get(&format!("{path}&checkOnline=false")).await.text, "[]");
    assert_eq!(world.get(&format!("{path}&checkOnline=true")).await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(world.get(&path).await.json().as_array().map(Vec::len), Some(1));
}

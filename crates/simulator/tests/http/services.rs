use crate::world::{OTHER, TENANT, is_guid, tenant_create, validation, without_trace, world};
use serde_json::{Value, json};

#[tokio::test]
async fn v3_create_by_tenant_to_the_end() {
    let world = world().await;
    world.lead(TENANT).await;
    let accepted = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
    let id = accepted.json()["jobId"].as_str().expect("a job id").to_owned();
    accepted.is(200, json!({"jobId": id}));
    assert!(id.strip_prefix("wst_").is_some_and(is_guid), "{id}");

    world.get(&format!("/api/v2/task/{id}")).await.is(
        200,
        json!({"id": id, "status": "InProgress", "details": [],
        "executionMessages": [], "outputData": {}, "createTime": "0001-01-01T00:00:00"}),
    );
    assert_eq!(world.get("/api/v3/customer").await.text, "[]");
    let done = world.end_of(&id).await;
    let guid = done["outputData"]["umpCustomerGuid"].as_str().expect("a guid").to_owned();
    assert!(is_guid(&guid));
    assert_eq!(
        done,
        json!({"id": id, "status": "CompletedSuccess", "details": ["Converted"],
        "executionMessages": [{"level": "Information", "message": "Site created in Ovoc"}],
        "outputData": {"umpCustomerGuid": guid}, "createTime": "0001-01-01T00:00:00"})
    );

    let lead = &world.get(&format!("/api/v2/oc/lead?msTenantID={TENANT}")).await.json()[0];
    assert_eq!((&lead["umpCustomerGuid"], &lead["isNotActive"]), (&json!(guid), &json!(false)));
    assert_ne!(lead["id"], json!(guid), "C-14: a fresh guid");
}

#[tokio::test]
async fn services_as_platform_md_6_1_has_them() {
    let world = world().await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let brief = json!({"UmpCustomerGuid": guid, "CustomerShortName": "Example_1", "CustomerFullName": "Example BV",
        "LicenseType": 3, "LicensedUsersCount": null, "MsTenantId": TENANT, "ActiveUserCount": 0,
        "LiveHubActiveUsersCount": 0, "LiveHubSimpleUsersCount": 0});
    world.get("/api/v3/customer").await.is(200, json!([brief]));
    world.get("/api/v3/customer/?allDetails=false").await.is(200, json!([brief]));

    let detailed = world.get("/api/v3/customer?ALLDETAILS=true").await.json();
    let site = detailed[0]["SiteLocation"][0].clone();
    let id = site["id"].as_str().expect("an id");
    assert!(is_guid(id) && id != guid, "C-21: its own guid");
    assert_eq!(
        site,
        json!({"id": id, "name": "Example_1", "sbcId": 1, "sbcDeploymentState": "Deployed",
        "sbcConfigurationType": "SipTrunk"})
    );

    let mut one = brief.clone();
    for field in ["MsDefaultDomain", "ApplicationClientId", "ApplicationClientSecret", "ClientSecretExpirationDate"] {
        one[field] = Value::Null;
    }
    world.get(&format!("/api/v3/customer/{}", guid.to_uppercase())).await.is(200, one);

    let v2 = json!({"Id": guid, "ShortName": "Example_1", "FullName": "Example BV", "LicenseType": 3});
    world.get("/api/v2/customer").await.is(200, json!([v2]));
    let mut with_site = v2;
    with_site["SiteLocation"] = json!([{"id": id, "name": "Example_1", "sbcId": 1, "sbcDeploymentState": "Deployed"}]);
    world.get(&format!("/api/v2/customer/{guid}")).await.is(200, with_site);

    let location = world.get(&format!("/api/v2/sitelocation/{id}")).await.json();
    assert_eq!((&location["siteName"], &location["sbcDeploymentState"]), (&json!("Example_1"), &json!(3)));
    assert_eq!(location["sbcInfo"]["sbcId"], 1);
    assert_eq!(world.get("/api/v2/sitelocation/nope").await.status, 404);
    for version in ["v2", "v3"] {
        let missing = world.get(&format!("/api/{version}/customer/nope")).await;
        assert_eq!((missing.status, missing.text.as_str()), (404, "\"Customer with nope not found\""));
    }
}

#[tokio::test]
async fn v2_create_to_the_end() {
    let world = world().await;
    world.lead(TENANT).await;
    let path = format!("/api/v2/oc/lead?msTenantID={TENANT}");
    let body = json!({"statusChange": "OCEssential", "customerShortName": "Example_1", "customerFullName": "Ex'ample BV"});
    let accepted = world.call("PATCH", &path, Some(body)).await;
    assert_eq!(accepted.status, 200);
    let id = accepted.json().as_str().expect("a bare string").to_owned();
    assert!(id.strip_prefix("wst_").is_some_and(is_guid), "{id}");
    assert_eq!(
        world.end_of(&id).await,
        json!({"id": id, "status": "CompletedSuccess", "details": ["Converted"],
        "executionMessages": [{"level": "Information", "message": "Site created in Ovoc"}], "outputData": {}})
    );
    let list = world.get("/api/v3/customer").await.json();
    assert_eq!((&list[0]["MsTenantId"], &list[0]["CustomerFullName"]), (&json!(TENANT), &json!("Ex'ample BV")));
    assert_eq!(world.get(&path).await.json()[0]["umpCustomerGuid"], list[0]["UmpCustomerGuid"]);
}

#[tokio::test]
async fn v2_create_by_lead_id_and_its_refusals() {
    let world = world().await;
    let made = world.control("POST", "/leads", json!({"tenantId": TENANT})).await;
    let path = format!("/api/v2/oc/lead?leadId={}", made[0]["id"].as_str().expect("an id"));
    let body = |change: &str| json!({"statusChange": change, "customerShortName": "Example_1", "customerFullName": "x"});
    let wrong = world.call("PATCH", &path, Some(body("OCPro"))).await;
    assert_eq!(without_trace(wrong.json()), validation("StatusChange", "The value 'OCPro' is not valid."));
    assert_eq!(world.call("PATCH", &path, Some(body("OCEssential"))).await.status, 200);
    let unknown = format!("/api/v2/oc/lead?msTenantId={OTHER}");
    let unknown = world.call("PATCH", &unknown, Some(body("OCEssential"))).await;
    assert_eq!((unknown.status, unknown.text.as_str()), (404, "\"Invalild lead\""));
}

#[tokio::test]
async fn v3_create_by_ip_group() {
    let world = world().await;
    world.lead(TENANT).await;
    let create = |parameters: Value| {
        json!({"configurationName": "OcEssential_IPGROUP_TYPE", "customerShortName": "Example_1",
            "customerFullName": "Example BV", "msTenantId": TENANT, "ovocCustomerType": "IPGROUP_TYPE",
            "scriptParameters": parameters,
            "siteLocation": {"siteLocationName": "Amsterdam", "sbcId": 5, "sbcOnboardingScript": 12, "sbcCleanupScript": 13,
                "sbcOcUploadNumberScript": 5000, "sbcOcReleaseNumberScript": 5001}})
    };
    for (parameters, name) in [
        (json!({"OnlinePstnGateway": "gw.example.com"}), "ProxySet"),
        (json!({"ProxySet": "SIPTrunk"}), "OnlinePstnGateway"),
        (json!({"ProxySet": " ", "OnlinePstnGateway": "gw.example.com"}), "ProxySet"),
    ] {
        let refused = world.call("POST", "/api/v3/customer", Some(create(parameters))).await;
        let message = format!("The script parameter {name} is required.");
        assert_eq!(without_trace(refused.json()), validation("ScriptParameters", &message));
    }
    let full = json!({"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com", "CustomVar.Variable1": "v",
        "CarrierUserPassword": "hush"});
    let accepted = world.call("POST", "/api/v3/customer", Some(create(full))).await;
    let done = world.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
    assert_eq!(done["status"], "CompletedSuccess");

    let inside = world.control("GET", "/services", Value::Null).await["services"][0].clone();
    assert_eq!((&inside["ipGroup"], &inside["sbcId"]), (&json!(true), &json!(5)));
    assert_eq!(
        inside["scriptParameters"],
        json!({"ProxySet": "SIPTrunk", "OnlinePstnGateway": "gw.example.com",
        "CustomVar.Variable1": "v", "CarrierUserPassword": "*****"})
    );
    let site = inside["siteLocationId"].as_str().expect("an id");
    let location = world.get(&format!("/api/v2/sitelocation/{site}")).await;
    assert_eq!(location.json()["onlinePstnGateway"], "gw.example.com");
    assert_eq!(location.json()["siteName"], "Amsterdam");
    assert_eq!(location.json()["sbcInfo"]["sbcScripts"]["onboardingScript"], 12);
    assert!(!location.text.contains("hush"));
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_create() {
    let world = world().await;
    world.lead(TENANT).await;
    let good = tenant_create(TENANT, "Example_1");
    let without = |field: &str| {
        let mut body = good.clone();
        body.as_object_mut().expect("an object").remove(field);
        body
    };
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let cases = [
        (without("configurationName"), "ConfigurationName", "The ConfigurationName field is required."),
        (without("customerShortName"), "CustomerShortName", "The CustomerShortName field is required."),
        (without("customerFullName"), "CustomerFullName", "The CustomerFullName field is required."),
        (without("msTenantID"), "MsTenantId", "The MsTenantId field is required."),
        (with("configurationName", json!("Nope")), "ConfigurationName", "Configuration Nope does not exist."),
        (with("customerShortName", json!("a b")), "CustomerShortName", "The short name contains a forbidden character."),
        (with("channelId", json!("x")), "ChannelId", "The value of ChannelId is not a valid number."),
        (with("channelId", json!("77")), "ChannelId", "Channel 77 does not exist."),
        (with("lcCustomerId", json!(78)), "LcCustomerId", "LC customer 78 does not exist."),
        (with("ovocCustomerType", json!("IPGROUP_TYPE")), "OvocCustomerType", "The value 'IPGROUP_TYPE' does not fit OcEssential_TENANT_TYPE."),
    ];
    for (body, field, message) in cases {
        let refused = world.call("POST", "/api/v3/customer", Some(body)).await;
        assert_eq!(refused.status, 400, "{field}");
        assert_eq!(without_trace(refused.json()), validation(field, message));
    }
    let unknown = world.call("POST", "/api/v3/customer", Some(tenant_create(OTHER, "Example_1"))).await;
    assert_eq!((unknown.status, unknown.text.as_str()), (404, "\"Invalild lead\""));
    for status in ["NotActive", "Suspended", "Removed"] {
        world.control("PATCH", &format!("/leads/{TENANT}"), json!({"status": status})).await;
        let refused = world.call("POST", "/api/v3/customer", Some(good.clone())).await;
        assert_eq!(without_trace(refused.json()), validation("MsTenantId", "The lead is not Active."), "{status}");
    }
    assert_eq!(world.calls().await["createsAccepted"], 0);
}

#[tokio::test]
async fn a_second_create_is_refused_while_the_first_runs_and_after() {
    let world = world().await;
    world.lead(TENANT).await;
    let first = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_1"))).await;
    let expected = validation("MsTenantId", "This MsTenant already exists as an UMP customer!");
    let during = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_2"))).await;
    assert_eq!(without_trace(during.json()), expected);
    world.end_of(first.json()["jobId"].as_str().expect("a job id")).await;
    let after = world.call("POST", "/api/v3/customer", Some(tenant_create(TENANT, "Example_2"))).await;
    assert_eq!((after.status, without_trace(after.json())), (400, expected));
    world.lead(OTHER).await;
    let name = world.call("POST", "/api/v3/customer", Some(tenant_create(OTHER, "eXAMPLE_1"))).await;
    let taken = "Short name is already used for an UMP customer.";
    assert_eq!(without_trace(name.json()), validation("CustomerShortName", taken));
    let calls = world.calls().await;
    assert_eq!((&calls["createsAccepted"], &calls["secondCreatesRefused"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn deletion_of_a_service() {
    let world = world().await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let path = format!("/api/v2/customer/{guid}");
    let gone = world.call("DELETE", &path, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (200, "1"));
    let again = world.call("DELETE", &path, None).await;
    assert_eq!((again.status, again.text), (404, format!("\"Customer with {guid} not found\"")));
    assert_eq!(world.get("/api/v3/customer").await.text, "[]");
    let lead = &world.get(&format!("/api/v2/oc/lead?msTenantID={TENANT}")).await.json()[0];
    assert_eq!((&lead["umpCustomerGuid"], &lead["isNotActive"]), (&json!(null), &json!(null)), "U-6");
    assert_eq!(lead["status"], "Active");
    assert_ne!(world.serve(TENANT, "Example_1").await, guid);
    let calls = world.calls().await;
    assert_eq!((&calls["deletesExecuted"], &calls["createsAccepted"]), (&json!(1), &json!(2)));
    assert_eq!(calls["tenantsWithTwoServices"], json!([]));
}

#[tokio::test]
async fn an_upgrade_as_platform_md_4_has_it() {
    let world = world().await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let path = format!("/api/v2/customer/{guid}/action/upgrade");
    let wrong = world.call("POST", &path, Some(json!({"upgradeToLicense": 2, "licenseCount": 10}))).await;
    assert_eq!(wrong.status, 400);
    // C-18: both spellings.
    let accepted = world.call("POST", &path, Some(json!({"UpgradetoLicense": 5, "licenseCount": 10}))).await;
    let id = accepted.json().as_str().expect("a bare string").to_owned();
    assert!(id.strip_prefix("tsk_").is_some_and(|number| number.parse::<u64>().is_ok()), "{id}");
    assert_eq!(
        world.end_of(&id).await,
        json!({"id": id, "status": "CompletedSuccess", "details": [null],
        "executionMessages": [], "outputData": {}, "createTime": "0001-01-01T00:00:00", "completeTime": null,
        "cancellationRequested": null})
    );
    let service = &world.get("/api/v3/customer").await.json()[0];
    assert_eq!((&service["LicenseType"], &service["LicensedUsersCount"]), (&json!(5), &json!(10)));
}

#[tokio::test]
async fn an_unknown_task_is_a_404_in_form_e3() {
    let world = world().await;
    let missing = world.get("/api/v2/task/wst_nope").await;
    assert_eq!((missing.status, missing.text.as_str()), (404, "\"Task with wst_nope not found\""));
}

#[tokio::test]
async fn numbers_are_listed_and_can_forbid_deletion() {
    let world = world().await;
    world.lead(TENANT).await;
    let guid = world.serve(TENANT, "Example_1").await;
    let list = format!("/api/v2/oc/numbers?msTenantId={TENANT}");
    assert_eq!(world.get(&list).await.text, "[]");
    world.control("POST", "/numbers", json!({"tenantId": TENANT, "count": 2})).await;
    let numbers = world.get(&list).await.json();
    assert_eq!(numbers.as_array().map(Vec::len), Some(2));
    assert!(numbers[1]["telephoneNumber"].as_str().is_some_and(|number| number.starts_with('+')));
    world.control("PATCH", "/settings", json!({"refuseDeletionWithNumbers": true})).await;
    let path = format!("/api/v2/customer/{guid}");
    assert_eq!(world.call("DELETE", &path, None).await.status, 400);
    assert_eq!(world.calls().await["deletesExecuted"], 0);
    world.control("DELETE", &format!("/numbers/{TENANT}"), Value::Null).await;
    assert_eq!(world.call("DELETE", &path, None).await.status, 200);
}

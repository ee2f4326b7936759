//! Each method against the answers that the platform gives, or might give.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use live_platform::{Client, CreateService, Deleted, ErrorKind, MaybeAbsent, RequestSent, SecretsSent};
use oc_domain::model::{LcCustomer, TaskState};
use oc_domain::names::{CustomerGuid, ShortName, TaskId, TenantId};
use oc_domain::requests::{IpGroup, NewLead, NewService, ServiceParameters, SipConnection};
use secrecy::SecretString;
use support::*;

fn tenant() -> TenantId {
    TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap()
}

fn guid() -> CustomerGuid {
    CustomerGuid::parse("55555555-5555-4555-8555-555555555555").unwrap()
}

fn create(connection: SipConnection, variables: BTreeMap<String, SecretString>) -> CreateService {
    let short_name = ShortName::as_written("Example_1");
    let parameters = ServiceParameters { connection, ..ServiceParameters::new(short_name, "Example BV") };
    CreateService { service: NewService { tenant: tenant(), parameters }, variables }
}

fn lead_of(tenant: TenantId) -> NewLead {
    NewLead { tenant, company_name: "Contoso".into() }
}

fn lead(number: u32) -> String {
    format!(r#"{{"id":"11111111-1111-4111-8111-{number:012}","tenantId":"22222222-2222-4222-8222-{number:012}","status":"Active"}}"#)
}

fn lead_list(numbers: std::ops::Range<u32>) -> String {
    format!("[{}]", numbers.map(lead).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn leads_are_paged() {
    let server = Server::start(|seen, _| {
        let number: u32 = seen.query["PageNumber"].parse().unwrap();
        let size: u32 = seen.query["PageSize"].parse().unwrap();
        json(200, &lead_list(((number.max(1) - 1) * size).min(25)..(number.max(1) * size).min(25)))
    })
    .await;
    let mut settings = server.settings();
    settings.page_size = 12;
    let client = Client::new(settings, secret(), None).unwrap();
    for pages in [4, 3] {
        let listed = client.leads().await.unwrap();
        assert_eq!((listed.items.len(), listed.pages, listed.unreadable), (25, pages, 0));
    }
    let pages: Vec<String> = server.calls().iter().map(|call| call.query["PageNumber"].clone()).collect();
    assert_eq!(pages, ["1", "2", "3", "0", "1", "2", "3"], "page 0 is asked for once, to find out what the first page is");
    assert_eq!((server.calls()[0].method.as_str(), server.calls()[0].path.as_str()), ("GET", "/tenantui/api/v2/oc/lead"));
}

#[tokio::test]
async fn a_platform_that_stumbles_over_page_0_is_listed_all_the_same() {
    for (status, asked) in [(400, 3), (500, 4)] {
        let server = Server::start(move |seen, _| if seen.query["PageNumber"] == "0" { json(status, "") } else { json(200, &lead_list(0..5)) }).await;
        let client = server.client();
        for _ in 0..2 {
            assert_eq!(client.leads().await.unwrap().items.len(), 5);
        }
        assert_eq!(server.calls().len(), asked, "{status}");
    }
    let server = Server::start(|seen, _| if seen.query["PageNumber"] == "0" { json(503, "") } else { json(200, &lead_list(0..5)) }).await;
    assert_eq!(server.client().leads().await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_leads_of_a_tenant() {
    let mine = format!(r#"[[{},{},{{"id":"99999999-1111-4111-8111-111111111111","tenantId":"22222222-2222-4222-8222-222222222222"}}]]"#, lead(7), lead(7));
    let server = Server::start(move |_, before| match before {
        0 => json(200, &mine),
        1 => json(200, "[]"),
        2 => json(404, r#""Invalild lead""#),
        3 => answer(404, "text/plain", "default backend - 404"),
        4 => json(200, r#"{"leads":[]}"#),
        5 => json(404, r#"{"description":"Entity not found"}"#),
        6 => html(404),
        7 => json(200, &lead_list(1..4)),
        _ => json(200, r#"[{"id":"x","tenantId":"22222222-2222-4222-8222-222222222222"}]"#),
    })
    .await;
    let client = server.client();
    let listed = client.leads_of(&tenant()).await.unwrap();
    assert_eq!((listed.items.len(), listed.items[0].tenant), (1, tenant()));
    assert_eq!(server.calls()[0].query, BTreeMap::from([("msTenantID".into(), tenant().to_string())]));
    assert!(client.leads_of(&tenant()).await.unwrap().items.is_empty());
    assert!(client.leads_of(&tenant()).await.unwrap().items.is_empty());
    assert!(matches!(client.leads_of(&tenant()).await.unwrap_err().kind, ErrorKind::NotFound { .. }), "a proxy's 404 is no empty list");
    assert_eq!(client.leads_of(&tenant()).await.unwrap_err().kind, ErrorKind::BadAnswer);
    let none = client.leads_of(&tenant()).await.unwrap();
    assert_eq!((none.items.len(), none.unreadable), (0, 0), "the API's other form says the same");
    assert_eq!(client.leads_of(&tenant()).await.unwrap_err().kind, ErrorKind::BadAnswer);
    for (unreadable, why) in [(3, "is of another tenant, so the platform ignored the filter"), (1, "has no id that is a GUID")] {
        let listed = client.leads_of(&tenant()).await.unwrap();
        assert_eq!((listed.items.len(), listed.unreadable, listed.why), (0, unreadable, Some(why)), "no proof of absence");
    }
}

/// One lead's truncated emoji, one invalid number, one byte of Latin-1: the other entries are listed.
#[tokio::test]
async fn one_bad_entry_does_not_take_the_list_away() {
    let bad: [&[u8]; 6] = [br#""Caf\u00e9 \ud83d""#, b"\"Caf\xe9\"", b"\"a\tb\"", b"\"a\0b\"", b"NaN", b"1e400"];
    let server = Server::start(move |seen, before| {
        let head = if seen.path.ends_with("lead") {
            r#""tenantId":"22222222-2222-4222-8222-222222222222","contactDetails":"#
        } else {
            r#""CustomerShortName":"S","x":"#
        };
        let inner = if seen.path.ends_with("lead") { (&b"{\"companyName\":"[..], &b"}"[..]) } else { (&b""[..], &b""[..]) };
        let one = |number: u32| format!(r#"{{"id":"11111111-1111-4111-8111-{number:012}",{head}"#).into_bytes();
        let body = [b"[", &one(1)[..], inner.0, b"\"One\"", inner.1, b"},", &one(2), inner.0, bad[before % 6], inner.1, b"}]"].concat();
        answer(200, "application/json", body)
    })
    .await;
    let client = server.client();
    for _ in bad {
        let leads = client.leads_of(&tenant()).await.unwrap();
        assert_eq!((leads.items.len(), leads.unreadable, leads.items[0].company_name.as_deref()), (2, 0, Some("One")));
    }
    for _ in bad {
        let services = client.services().await.unwrap();
        assert_eq!((services.items.len(), services.unreadable), (2, 0));
    }
}

/// Of each list, two entries are the same as in the one before, and one is another.
#[tokio::test]
async fn an_entry_that_comes_again_is_not_parsed_again() {
    let lists = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |call, _| {
        let number = lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let entry = |name: &str, number: u32| {
            let id = format!("{number:08x}-1111-4111-8111-111111111111");
            match call.path.ends_with("customer") {
                true => serde_json::json!({"UmpCustomerGuid": id, "CustomerShortName": name}),
                false => serde_json::json!({"id": id, "tenantId": id, "status": name}),
            }
        };
        json(200, &serde_json::json!([entry("Active", 1), entry("Suspended", 2), entry("Removed", number + 3)]).to_string())
    })
    .await;
    let client = server.client();
    let same = |before: &[bool]| before.iter().filter(|same| **same).count();
    let services = [client.services().await.unwrap().items, client.services().await.unwrap().items];
    let kept: Vec<bool> = services[0].iter().zip(&services[1]).map(|(before, now)| Arc::ptr_eq(before, now)).collect();
    assert_eq!((services[1].len(), same(&kept)), (3, 2));
    assert_ne!(services[0][2].guid, services[1][2].guid);
    let leads = [client.leads().await.unwrap().items, client.leads().await.unwrap().items];
    let kept: Vec<bool> = leads[0].iter().zip(&leads[1]).map(|(before, now)| Arc::ptr_eq(before, now)).collect();
    assert_eq!(same(&kept), 2, "{leads:?}");
}

/// A list that is too long to be kept, with an odd entry at its end: it is asked for once more, and from then on read
/// when all of it is there. No part of it is counted twice.
#[tokio::test]
async fn a_long_list_with_an_odd_end_is_asked_for_again_once() {
    let entry = |number: u32| format!(r#"{{"UmpCustomerGuid":"{number:08x}-1111-4111-8111-111111111111","FullName":"{}"}}"#, "x".repeat(100));
    let list = move |numbers: std::ops::Range<u32>| numbers.map(entry).collect::<Vec<_>>().join(",");
    let server = Server::start(move |_, before| match before {
        0 => json(200, &format!("[{}]", list(0..1000))),
        1..4 => json(200, &format!("[{},null]", list(1..1001))),
        _ => json(200, &format!("[{}, {{", list(0..1000))),
    })
    .await;
    let client = server.client();
    for (unreadable, calls) in [(0, 1), (1, 3), (1, 4)] {
        let listed = client.services().await.unwrap();
        assert_eq!((listed.items.len(), listed.unreadable), (1000, unreadable));
        assert_eq!(server.calls().len(), calls);
    }
    let error = client.services().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadAnswer);
    is_clean(&error);
}

/// Each call is read in a few bytes at a time, as slow networks bring them, and the first time breaks off.
#[tokio::test]
async fn a_list_that_broke_off_is_read_anew() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let lists = AtomicUsize::new(0);
    let entry = |number: u32| format!(r#"{{"UmpCustomerGuid":"{number:08x}-1111-4111-8111-111111111111"}}"#);
    let server = Server::start(move |_, _| {
        let breaks_off = lists.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        let body = format!("[{}]", (0..100).map(entry).collect::<Vec<_>>().join(", "));
        let mut parts: Vec<std::io::Result<Vec<u8>>> = body.as_bytes().chunks(7).map(|bytes| Ok(bytes.to_vec())).collect();
        if breaks_off {
            parts.truncate(parts.len() / 2);
            parts.push(Err(std::io::Error::other("broken")));
        }
        answer(200, "application/json", axum::body::Body::from_stream(futures::stream::iter(parts)))
    })
    .await;
    let client = server.client();
    for calls in [2, 4] {
        let listed = client.services().await.unwrap();
        assert_eq!((listed.items.len(), listed.unreadable), (100, 0));
        assert_eq!(server.calls().len(), calls);
    }
}

#[tokio::test]
async fn a_create_as_printed() {
    let server = Server::start(|_, _| json(200, r#"{"jobId":"wst_1"}"#)).await;
    let client = server.client();
    assert_eq!(client.create_service(&create(SipConnection::Tenant, BTreeMap::new())).await.unwrap().as_str(), "wst_1");
    let calls = server.calls();
    assert_eq!((calls[0].path.as_str(), calls[0].headers["content-type"].as_str()), ("/tenantui/api/v3/customer", "application/json"));
    assert_eq!(calls[0].json()["msTenantID"], tenant().to_string());
}

#[allow(clippy::too_many_lines, reason = "a table, one row for each form of a refusal")]
#[tokio::test]
async fn refusals_of_a_create() {
    let group = IpGroup { proxy_set: "P".into(), online_pstn_gateway: "G".into(), site_location: None };
    let request = create(SipConnection::IpGroup(Box::new(group)), BTreeMap::from([("CarrierUserPassword".into(), "hunter2".into())]));
    type Case = (u16, &'static str, &'static str, bool, &'static str);
    let cases: [Case; 14] = [
        (
            400,
            "application/json",
            include_str!("fixtures/e1.json"),
            false,
            "the platform refused creating the service (400): CompanyName: Company name is already used for an UMP lead.; TenantId: This MsTenant already exists as an UMP lead!",
        ),
        (
            400,
            "application/problem+json",
            include_str!("fixtures/e2.json"),
            false,
            "the platform refused creating the service (400): Channel 1574 is not assigned",
        ),
        (400, "text/plain", "Invalid lead", false, "the platform refused creating the service (400): Invalid lead"),
        (
            400,
            "application/json",
            r#"{"errors":{"Password":["value 'hunter2' of a@example.com is bad"]}}"#,
            false,
            "the platform refused creating the service (400): Password: value '(withheld)' of (address withheld) is bad",
        ),
        (409, "application/json", "", false, "the platform refused creating the service (409) without a reason; check its logs and the values"),
        (404, "application/json", r#""Invalild lead""#, false, "creating the service failed: the platform does not find it (404): Invalild lead"),
        (
            404,
            "text/html",
            "<html>",
            false,
            "creating the service failed: the platform answered 404 with a web page; check the url (a platform's ends in /tenantui)",
        ),
        (403, "application/json", "", false, "creating the service is forbidden (403): the application needs a role that allows this"),
        (
            403,
            "text/html",
            "<html>",
            false,
            "creating the service failed: a firewall in front of the platform refused the call (403 with a web page); check that this cluster's address is allowed",
        ),
        (500, "text/html", "<html>", true, "creating the service failed: the platform is in trouble (500); the operator tries again later"),
        (
            200,
            "text/html",
            "<html>",
            true,
            "creating the service failed: the platform answered 200 with a web page instead of JSON; check the url (a platform's ends in /tenantui)",
        ),
        (
            200,
            "application/json",
            "",
            true,
            "creating the service failed: the answer of the platform cannot be used: it is empty; check the url (a platform's ends in /tenantui)",
        ),
        (
            200,
            "application/json",
            "{}",
            true,
            "creating the service failed: the answer of the platform cannot be used: it lacks a task id; this release answers in an unknown form",
        ),
        (200, "application/json", r#"{"succeeded":false,"message":"no hunter2"}"#, false, "the platform refused creating the service (200): no (withheld)"),
    ];
    let server = Server::start(move |_, before| answer(cases[before].0, cases[before].1, cases[before].2)).await;
    let client = server.client();
    for (status, _, body, maybe, want) in cases {
        let error = client.create_service(&request).await.unwrap_err();
        assert_eq!(error.to_string(), want);
        assert_eq!((error.status, error.sent, error.may_have_happened()), (Some(status), RequestSent::Answered, maybe), "{body}");
        is_clean(&error);
    }
    assert_eq!(server.calls().len(), cases.len(), "none is repeated");
}

#[tokio::test]
async fn tasks() {
    let server = Server::start(|_, before| match before {
        0 => json(200, include_str!("fixtures/task_v3.json")),
        1 => json(404, r#""Task not found""#),
        2 => html(404),
        3 => json(200, ""),
        4 => json(200, r#"{"status":"Comp"#),
        5 => json(200, "hello"),
        6 => answer(
            200,
            "application/json",
            b"{\"status\":\"In Progress\",\"executionMessages\":[{\"message\":\"Site Caf\\ud83d \xe9 created\",\"n\":NaN}]}".to_vec(),
        ),
        _ => json(200, &format!("{{\"status\":\"x\",\"outputData\":{}", "[".repeat(500_000))),
    })
    .await;
    let client = server.client();
    let id = TaskId::parse("wst_1").unwrap();
    let task = client.task(&id, SecretsSent::No).await.unwrap().unwrap();
    assert_eq!((task.state, task.service, task.id), (TaskState::Succeeded, Some(guid()), id.clone()));
    assert_eq!(server.calls()[0].path, "/tenantui/api/v2/task/wst_1");
    assert_eq!(client.task(&id, SecretsSent::No).await.unwrap(), None);
    for why in ["a web page", "it is empty", "it is cut off", "it is not JSON", "", "it is nested too deeply"] {
        if why.is_empty() {
            let task = client.task(&id, SecretsSent::No).await.unwrap().unwrap();
            assert_eq!((task.state, &*task.messages), (TaskState::Running, &["Information: Site Caf\u{fffd} \u{fffd} created".to_owned()][..]));
            continue;
        }
        let error = client.task(&id, SecretsSent::No).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.to_string().contains(why), "{error}");
        is_clean(&error);
    }
}

#[tokio::test]
async fn deletes() {
    let server = Server::start(|_, before| match before {
        0 => json(200, "1"),
        1 => json(404, r#""Customer with 55555555-5555-4555-8555-555555555555 not found""#),
        2 => html(404),
        3 => json(200, "1"),
        4 => json(404, r#""Invalild lead""#),
        _ => answer(400, "text/plain", "Invalid lead"),
    })
    .await;
    let client = server.client();
    assert_eq!(client.delete_service(&guid()).await.unwrap(), Deleted::Accepted);
    assert_eq!(client.delete_service(&guid()).await.unwrap(), Deleted::NotFound);
    assert_eq!(client.delete_service(&guid()).await.unwrap_err().kind, ErrorKind::BadAnswer, "a web page does not say that it is gone");
    assert_eq!(client.delete_lead(&tenant()).await.unwrap(), Deleted::Accepted);
    assert_eq!(client.delete_lead(&tenant()).await.unwrap(), Deleted::NotFound);
    let error = client.delete_lead(&tenant()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused { fields: vec![], text: "Invalid lead".into() });
    let calls = server.calls();
    assert_eq!((calls[0].method.as_str(), calls[0].path.as_str()), ("DELETE", "/tenantui/api/v2/customer/55555555-5555-4555-8555-555555555555"));
    assert_eq!((calls[3].path.as_str(), calls[3].query["msTenantID"].as_str()), ("/tenantui/api/v2/oc/lead", tenant().to_string().as_str()));
}

#[tokio::test]
async fn leads_and_channels_are_changed() {
    let server = Server::start(|_, before| match before {
        0 => json(200, ""),
        1 => json(400, include_str!("fixtures/e1.json")),
        2 => json(200, r#"{"status":"success","succeeded":true,"message":"Lead successfully assigned to the channel"}"#),
        3 => json(200, r#"{"status":"failed","succeeded":false,"message":"OVOC is not reachable"}"#),
        _ => json(200, r#"{"status":true,"data":"Removed channel 1574"}"#),
    })
    .await;
    let client = server.client();
    client.create_lead(&lead_of(tenant())).await.unwrap();
    let ErrorKind::Refused { fields, .. } = client.create_lead(&lead_of(tenant())).await.unwrap_err().kind else { panic!("not refused") };
    assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["CompanyName", "TenantId"]);
    client.assign_channel(&tenant(), 1574).await.unwrap();
    let error = client.assign_channel(&tenant(), 1574).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused { fields: vec![], text: "OVOC is not reachable".into() });
    client.unassign_channel(&tenant()).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls[0].json(), serde_json::json!({"tenantId": tenant().to_string(), "companyName": "Contoso"}));
    assert_eq!((calls[2].method.as_str(), calls[2].path.as_str()), ("PUT", "/tenantui/api/v3/ovoc/channel/action/assign"));
    assert_eq!(calls[2].json(), serde_json::json!({"leadMsTenantId": tenant().to_string(), "channelId": 1574}));
    assert_eq!(
        (calls[4].method.as_str(), calls[4].path.as_str(), calls[4].query["msTenantId"].as_str()),
        ("PUT", "/tenantui/api/v3/ovoc/channel/action/remove/", tenant().to_string().as_str())
    );
    assert_eq!(calls[4].headers["content-length"], "0");
}

#[tokio::test]
async fn what_is_only_inferred_may_be_missing() {
    let server = Server::start(|_, before| match before {
        0 => json(200, include_str!("fixtures/lc_customer.json")),
        1 => json(404, r#"{ "description" : "Entity with id 4711 not found" }"#),
        2 => json(405, ""),
        3 => json(404, ""),
        4 => json(200, r#"{"id":4711,"serviceId":"55555555-5555-4555-8555-555555555555"}"#),
        5 => html(404),
        6 => json(403, ""),
        _ => json(500, ""),
    })
    .await;
    let client = server.client();
    let found = LcCustomer { id: 4711, name: Some("Example_1".into()), channel: Some(1574) };
    let missing = [(); 4].map(|()| MaybeAbsent::Unavailable);
    for want in [MaybeAbsent::Available(Some(found)), MaybeAbsent::Available(None)].into_iter().chain(missing) {
        assert_eq!(client.lc_customer(4711).await.unwrap(), want);
    }
    assert_eq!(client.lc_customer(4711).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(client.lc_customer(4711).await.unwrap_err().kind, ErrorKind::Unavailable);
    let calls = server.calls();
    assert!(calls.iter().all(|call| call.method == "GET"), "never the documented PUT (N-6)");
    assert_eq!(calls[0].path, "/tenantui/api/ovoc/v1/topology/customers/4711");
}

#[tokio::test]
async fn a_channel_is_looked_up_by_its_id() {
    let server = Server::start(|_, before| match before {
        0 => json(200, r#"{"id":1574,"name":"North","maxCustomers":0}"#),
        1 => json(404, r#"{ "description" : "Entity with id 1574 not found" }"#),
        2 => json(404, ""),
        3 => json(200, r#"{"id":1575,"name":"Another"}"#),
        4 => json(200, r#"{"channels":[]}"#),
        5 => json(403, ""),
        _ => json(200, "<html>"),
    })
    .await;
    let client = server.client();
    let missing = [(); 3].map(|()| MaybeAbsent::Unavailable);
    for want in [MaybeAbsent::Available(true), MaybeAbsent::Available(false)].into_iter().chain(missing) {
        assert_eq!(client.channel(1574).await.unwrap(), want);
    }
    assert_eq!(client.channel(1574).await.unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(client.channel(1574).await.unwrap_err().kind, ErrorKind::BadAnswer);
    let calls = server.calls();
    assert!(calls.iter().all(|call| call.method == "GET" && call.path == "/tenantui/api/ovoc/v1/topology/channels/1574"));
}

#[tokio::test]
async fn a_tenant_is_looked_up_without_a_token() {
    let server = Server::start(|_, before| match before {
        0 => json(200, r#"{"issuer":"https://sts.windows.net/22222222-2222-4222-8222-222222222222/"}"#),
        1 => json(400, r#"{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant '22222222-2222-4222-8222-222222222222' not found."}"#),
        2 => json(404, r#"{"error":"invalid_tenant"}"#),
        3 => json(200, r#"{"issuer":"https://sts.windows.net/33333333-3333-4333-8333-333333333333/"}"#),
        4 => html(200),
        5 => json(400, r#"{"error":"invalid_request"}"#),
        _ => json(403, ""),
    })
    .await;
    let (client, cloud) = (server.client(), server.url.join("/cloud/").unwrap());
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(client.tenant_exists(&cloud, &tenant()).await.map_err(|error| error.to_string()));
    }
    assert_eq!(answers[..3], [Ok(true), Ok(false), Ok(false)]);
    for (answer, says) in answers[3..].iter().zip(["an issuer with the tenant's id", "a web page", "invalid_request", "(403)"]) {
        assert!(answer.as_ref().is_err_and(|text| text.contains(says)), "{says}: {answer:?}");
    }
    let calls = server.calls();
    assert!(calls.iter().all(|call| call.method == "GET" && !call.headers.contains_key("authorization")), "no token leaves for Microsoft");
    assert_eq!(calls[0].path, "/cloud/22222222-2222-4222-8222-222222222222/.well-known/openid-configuration");
    let plain = url::Url::parse("http://login.example.com").unwrap();
    assert_eq!(client.tenant_exists(&plain, &tenant()).await.unwrap_err().kind, ErrorKind::Settings);
}

#[tokio::test]
async fn numbers_are_counted() {
    let server = Server::start(|_, _| json(200, r#"[{"id":"1"},{"id":"2"}]"#)).await;
    assert_eq!(server.client().numbers_of(&tenant()).await.unwrap(), MaybeAbsent::Available(2));
    assert_eq!(
        (server.calls()[0].path.as_str(), server.calls()[0].query["msTenantId"].as_str()),
        ("/tenantui/api/v2/oc/numbers", tenant().to_string().as_str())
    );
}

/// Intermediaries between the client and the API do not decide whether a tenant has numbers: only the API's own 404 means "this release can't tell".
#[tokio::test]
async fn only_the_api_itself_says_that_it_cannot_count_numbers() {
    let own = [r#""Not found""#, r#"{"description":"No such resource"}"#];
    let server = Server::start(move |_, before| json(404, own[before])).await;
    let client = server.client();
    for body in own {
        assert_eq!(client.numbers_of(&tenant()).await.unwrap(), MaybeAbsent::Unavailable, "{body}");
    }
    let foreign = [
        (404, "text/html", "<html>"),
        (404, "text/plain", "default backend - 404"),
        (404, "application/json", ""),
        (404, "application/json", "{}"),
        (404, "application/json", r#"{"message":"no Route matched with those values"}"#),
        (405, "application/json", ""),
        (405, "application/json", r#""Method not allowed""#),
        (410, "application/json", r#""Gone""#),
        (501, "application/json", r#"{"description":"not implemented"}"#),
        (501, "text/html", "<html>"),
    ];
    let server = Server::start(move |_, before| answer(foreign[before].0, foreign[before].1, foreign[before].2)).await;
    let client = server.client();
    for (status, kind, body) in foreign {
        let error = client.numbers_of(&tenant()).await.unwrap_err();
        assert_eq!(error.status, Some(status), "{kind} {body}");
    }
}

#[tokio::test]
async fn a_list_must_be_a_list() {
    let server = Server::start(|_, before| match before {
        0 => json(200, r#"{"data":[]}"#),
        1 => json(200, "null"),
        2 => html(200),
        3 => answer(200, "application/json", "<html>"),
        4 => json(200, ""),
        5 => json(204, ""),
        6 => json(200, "[{}"),
        _ => json(200, r#"[{"UmpCustomerGuid":"x"},5]"#),
    })
    .await;
    let client = server.client();
    for _ in 0..7 {
        let error = client.services().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        is_clean(&error);
    }
    let listed = client.services().await.unwrap();
    assert_eq!((listed.items.len(), listed.unreadable, listed.why), (0, 2, Some("has no UmpCustomerGuid that is a GUID")));
}

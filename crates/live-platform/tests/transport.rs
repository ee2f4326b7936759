//! What happens on the wire: token, deadline, limit, redirects, retries.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use live_platform::{CallOutcome, Client, CreateService, Credential, Endpoint, ErrorKind, JobMethod, RequestSent, SecretsSent};
use oc_domain::names::{ShortName, TaskId, TenantId};
use oc_domain::requests::{NewLead, NewService, ServiceParameters};
use support::*;
use url::Url;

fn tenant() -> TenantId {
    TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap()
}

fn task() -> TaskId {
    TaskId::parse("wst_1").unwrap()
}

fn create() -> CreateService {
    let short_name = ShortName::as_written("Example_1");
    let parameters = ServiceParameters::new(short_name, "Example BV");
    CreateService { service: NewService { tenant: tenant(), parameters }, variables: BTreeMap::new() }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_goes_along() {
    let server = Server::start(|_, before| if before == 21 { json(401, "") } else { json(200, "[]") }).await;
    let client = server.client();
    client.services().await.unwrap();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.services().await.unwrap() }
            })
        })
        .collect();
    for one in crowd {
        one.await.unwrap();
    }
    assert_eq!(server.tokens(), 1);
    let request = &server.seen()[0];
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
    let want = [("grant_type", "client_credentials"), ("client_id", "the-client"), ("client_secret", SECRET), ("scope", "api://x/.default")];
    assert_eq!(form, want.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!((request.method.as_str(), request.headers["content-type"].as_str()), ("POST", "application/x-www-form-urlencoded"));
    let call = &server.calls()[0];
    assert_eq!((call.path.as_str(), call.headers["authorization"].clone()), ("/tenantui/api/v3/customer", format!("Bearer {TOKEN}1")));
    assert_eq!(call.headers["user-agent"], "oc-essentials-operator/0.1.0");
    client.services().await.unwrap();
    assert_eq!(server.tokens(), 2, "the one that is refused is replaced");
}

#[tokio::test]
async fn the_federated_token_is_read_for_each_token_request() {
    // The second and the fourth call get a 401 for their token.
    let server = Server::start(|_, before| if matches!(before, 1 | 3) { json(401, "") } else { json(200, "[]") }).await;
    let file = std::env::temp_dir().join(format!("live-platform-test-{}", std::process::id()));
    tokio::fs::write(&file, "first\n").await.unwrap();
    let client = Client::new(server.settings(), Credential::FederatedToken { file: file.clone() }, None).unwrap();
    client.services().await.unwrap();
    tokio::fs::write(&file, "second").await.unwrap();
    client.services().await.unwrap();
    let assertions: Vec<String> = server
        .seen()
        .iter()
        .filter(|seen| seen.path == "/token")
        .map(|seen| url::form_urlencoded::parse(seen.body.as_bytes()).find(|(name, _)| name == "client_assertion").unwrap().1.into_owned())
        .collect();
    assert_eq!(assertions, ["first", "second"]);
    assert!(!server.seen()[0].body.contains("client_secret"));
    tokio::fs::remove_file(&file).await.unwrap();
    let error = client.services().await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Authentication, RequestSent::No));
}

#[tokio::test]
async fn after_one_401_the_call_is_made_again_with_a_new_token() {
    let server = Server::start(|_, before| if before == 0 { json(401, "") } else { json(200, r#"{"jobId":"wst_1"}"#) }).await;
    assert_eq!(server.client().create_service(&create()).await.unwrap(), task());
    let sent: Vec<String> = server.calls().iter().map(|call| call.headers["authorization"].clone()).collect();
    assert_eq!(sent, [format!("Bearer {TOKEN}1"), format!("Bearer {TOKEN}2")]);
    assert_eq!(server.calls()[0].body, server.calls()[1].body);
}

#[tokio::test]
async fn a_second_401_is_the_end() {
    let server = Server::start(|_, _| json(401, "")).await;
    let error = server.client().create_service(&create()).await.unwrap_err();
    assert_eq!((&error.kind, error.sent, error.may_have_happened()), (&ErrorKind::Authentication, RequestSent::Answered, false));
    assert_eq!((server.calls().len(), server.tokens()), (2, 2));
    is_clean(&error);
}

#[tokio::test]
async fn a_crowd_that_is_refused_renews_once() {
    let server = Server::start(|seen, _| if seen.headers["authorization"].ends_with("-1") { json(401, "") } else { json(200, "[]") }).await;
    let client = server.client();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.services().await.unwrap() }
            })
        })
        .collect();
    for one in crowd {
        one.await.unwrap();
    }
    assert_eq!(server.tokens(), 2);
}

#[tokio::test]
async fn a_change_is_never_repeated_when_the_connection_breaks_but_a_read_is() {
    let server = Server::start(|_, _| json(200, "[]")).await;
    for what in [Nasty::Close, Nasty::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jobId\"".to_vec())] {
        let (url, count) = nasty(what.clone()).await;
        let client = Client::new(settings(&url, &server.url), secret(), None).unwrap();
        let error = client.create_service(&create()).await.unwrap_err();
        assert_eq!((&error.kind, error.sent, error.may_have_happened()), (&ErrorKind::Unavailable, RequestSent::Maybe, true));
        is_clean(&error);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        for change in [
            client.create_lead(&NewLead { tenant: tenant(), company_name: "Contoso".into() }).await,
            client.assign_channel(&tenant(), 1).await,
            client.unassign_channel(&tenant()).await,
            client.delete_lead(&tenant()).await.map(|_| ()),
        ] {
            assert_eq!(change.unwrap_err().sent, RequestSent::Maybe);
        }
        assert_eq!(client.run_job(&url.join("/job").unwrap(), JobMethod::Post).await.unwrap_err().sent, RequestSent::Maybe);
        assert_eq!(count.load(Ordering::SeqCst), 6);
        assert_eq!(client.services().await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(count.load(Ordering::SeqCst), 9, "a read is tried three times");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let server = Server::start(|_, _| json(200, "[]")).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
    };
    let notes = Arc::new(Notes::default());
    let client = Client::new(settings(&closed, &server.url), secret(), Some(notes.clone())).unwrap();
    let error = client.create_service(&create()).await.unwrap_err();
    assert_eq!((&error.kind, error.sent, error.may_have_happened()), (&ErrorKind::Unavailable, RequestSent::No, false));
    assert_eq!(error.to_string(), "creating the service failed: no answer from the platform: the connection was refused; check the url, and whether it is up");
    client.services().await.unwrap_err();
    let want = [
        (Endpoint::Token, CallOutcome::Answered(200)),
        (Endpoint::CreateService, CallOutcome::NotConnected),
        (Endpoint::Services, CallOutcome::NotConnected),
        (Endpoint::Services, CallOutcome::NotConnected),
        (Endpoint::Services, CallOutcome::NotConnected),
    ];
    assert_eq!(*notes.0.lock().unwrap(), want);
    // TLS to a server that does not speak it.
    let mut tls = server.url.clone();
    tls.set_scheme("https").unwrap();
    let client = Client::new(settings(&tls, &server.url), secret(), None).unwrap();
    let error = client.create_service(&create()).await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Unavailable, RequestSent::No), "{error}");
    // A name that does not exist.
    let nowhere = Url::parse("http://nowhere.invalid.svc").unwrap();
    let client = Client::new(settings(&nowhere, &server.url), secret(), None).unwrap();
    let error = client.create_service(&create()).await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Unavailable, RequestSent::No), "{error}");
}

#[tokio::test]
async fn a_call_ends_by_its_deadline() {
    let server = Server::start(|_, _| json(200, "[]")).await;
    for what in [Nasty::Silence, Nasty::Forever(200, b" ".to_vec(), Duration::from_millis(20))] {
        let (url, count) = nasty(what).await;
        let mut settings = settings(&url, &server.url);
        settings.deadline = Duration::from_millis(400);
        let client = Client::new(settings, secret(), None).unwrap();
        let start = tokio::time::Instant::now();
        let error = client.services().await.unwrap_err();
        assert_eq!((&error.kind, error.sent), (&ErrorKind::Unavailable, RequestSent::Maybe));
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(error.to_string(), "listing the services failed: the platform did not answer within 0.4 s; the operator tries again later");
        assert_eq!(count.load(Ordering::SeqCst), 1, "not after the deadline");
    }
    let (url, _) = nasty(Nasty::Silence).await;
    let mut settings = settings(&server.url, &url);
    settings.deadline = Duration::from_millis(300);
    let error = Client::new(settings, secret(), None).unwrap().services().await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Unavailable, RequestSent::No), "no token, so nothing sent");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit() {
    let server = Server::start(|_, _| json(200, "[]")).await;
    let (url, _) = nasty(Nasty::Forever(200, vec![b' '; 1 << 20], Duration::ZERO)).await;
    let notes = Arc::new(Notes::default());
    let client = Client::new(settings(&url, &server.url), secret(), Some(notes.clone())).unwrap();
    let error = client.services().await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::BadAnswer, RequestSent::Answered));
    assert!(error.to_string().contains("exceeds the limit of 33554432 bytes"), "{error}");
    let error = client.task(&task(), SecretsSent::No).await.unwrap_err();
    assert!(error.to_string().contains("exceeds the limit of 1048576 bytes"), "{error}");
    assert_eq!(notes.0.lock().unwrap().last(), Some(&(Endpoint::Task, CallOutcome::TooLarge)));
    // A server that only announces how much it will send.
    let (url, _) = nasty(Nasty::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 107374182400\r\n\r\n[".to_vec())).await;
    let client = Client::new(settings(&url, &server.url), secret(), None).unwrap();
    assert_eq!(client.services().await.unwrap_err().kind, ErrorKind::BadAnswer);
    // For an error with an endless body, the status is enough.
    let (url, _) = nasty(Nasty::Forever(500, vec![b'x'; 1 << 16], Duration::ZERO)).await;
    let error = Client::new(settings(&url, &server.url), secret(), None).unwrap().create_service(&create()).await.unwrap_err();
    assert_eq!((error.status, error.sent), (Some(500), RequestSent::Answered), "{error}");
    // A long refusal must not lose the status.
    let server = Server::start(|_, _| json(400, &"x".repeat(1 << 20))).await;
    assert!(matches!(server.client().create_service(&create()).await.unwrap_err().kind, ErrorKind::Refused { .. }));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_, _| json(200, "[]")).await;
    let target = elsewhere.url.join("/login").unwrap().to_string();
    let server = Server::start(move |_, before| {
        let status = [301, 302, 303, 307, 308][before % 5];
        let mut answer = json(status, "");
        answer.headers_mut().insert("location", target.parse().unwrap());
        answer
    })
    .await;
    let client = server.client();
    for _ in 0..5 {
        let error = client.services().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadAnswer);
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn retry_after_in_both_forms() {
    let server = Server::start(|_, before| {
        let date = |seconds: u64| httpdate(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds));
        let (status, value) = [(429, "7".to_owned()), (503, date(90)), (429, "soon".into()), (503, "99999999".into()), (429, date(0))][before].clone();
        let mut answer = json(status, "");
        answer.headers_mut().insert("retry-after", value.parse().unwrap());
        answer.headers_mut().insert("date", date(60).parse().unwrap());
        answer
    })
    .await;
    let client = server.client();
    let mut got = Vec::new();
    for _ in 0..5 {
        let error = client.services().await.unwrap_err();
        got.push((error.kind, error.retry_after.map(|span| span.as_secs())));
    }
    let (throttled, unavailable) = (ErrorKind::Throttled, ErrorKind::Unavailable);
    assert_eq!(got, [(throttled.clone(), Some(7)), (unavailable.clone(), Some(30)), (throttled.clone(), None), (unavailable, Some(900)), (throttled, Some(0))]);
    assert_eq!(server.calls().len(), 5, "never repeated by the client");
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, for times near 2023-11-14.
fn httpdate(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 1_699_920_000;
    format!("Tue, 14 Nov 2023 {:02}:{:02}:{:02} GMT", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[tokio::test]
async fn the_observer_sees_every_exchange() {
    let server = Server::start(|_, before| if before == 0 { json(401, "") } else { html(503) }).await;
    let notes = Arc::new(Notes::default());
    let client = Client::new(server.settings(), secret(), Some(notes.clone())).unwrap();
    client.task(&task(), SecretsSent::No).await.unwrap_err();
    let want = [(Endpoint::Token, 200), (Endpoint::Task, 401), (Endpoint::Token, 200), (Endpoint::Task, 503)];
    assert_eq!(*notes.0.lock().unwrap(), want.map(|(endpoint, status)| (endpoint, CallOutcome::Answered(status))));
}

#[tokio::test]
async fn what_the_token_endpoint_can_do_to_us() {
    let e5 = |id: usize| {
        format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided '{SECRET}'. Ensure it. Trace ID: {id} Timestamp: 2025-01-02 03:04:0{id}Z"}}"#
        )
    };
    for (status, kind, body, want) in [
        (401, "application/json", String::new(), ErrorKind::Authentication),
        (400, "application/json", r#"{"error":"invalid_request"}"#.to_owned(), ErrorKind::Authentication),
        (404, "text/html", "<html>".to_owned(), ErrorKind::Authentication),
        (400, "application/json", r#"{"error":"temporarily_unavailable"}"#.to_owned(), ErrorKind::Unavailable),
        (
            400,
            "application/json",
            r#"{"error":"invalid_grant","error_description":"AADSTS50196: The server terminated an operation because it encountered a loop."}"#.to_owned(),
            ErrorKind::Unavailable,
        ),
        (
            400,
            "application/json",
            r#"{"error":"invalid_request","error_description":"AADSTS90033: A transient error has occurred. Please try again."}"#.to_owned(),
            ErrorKind::Unavailable,
        ),
        (
            400,
            "application/json",
            r#"{"error":"invalid_request","error_description":"AADSTS90024: RequestBudgetExceededError"}"#.to_owned(),
            ErrorKind::Unavailable,
        ),
        (403, "text/html", "<html>".to_owned(), ErrorKind::Unavailable),
        (429, "application/json", String::new(), ErrorKind::Throttled),
        (500, "application/json", String::new(), ErrorKind::Unavailable),
        (302, "text/html", "<html>".to_owned(), ErrorKind::BadAnswer),
        (200, "text/html", "<html>".to_owned(), ErrorKind::BadAnswer),
        (200, "application/json", String::new(), ErrorKind::BadAnswer),
        (200, "application/json", "{".to_owned(), ErrorKind::BadAnswer),
        (200, "application/json", r#"{"access_token":"a\nb"}"#.to_owned(), ErrorKind::BadAnswer),
        (200, "application/json", r#"{"access_token":["a"]}"#.to_owned(), ErrorKind::BadAnswer),
        (200, "application/json", " ".repeat(2 << 20), ErrorKind::BadAnswer),
    ] {
        let server = Server::raw(move |_, _| answer(status, kind, body.clone())).await;
        let error = server.client().create_service(&create()).await.unwrap_err();
        assert_eq!((&error.kind, error.sent, error.may_have_happened()), (&want, RequestSent::No, false), "{status} {error}");
        assert_eq!(server.seen().len(), 1);
        is_clean(&error);
    }
    let server = Server::raw(move |_, before| json(401, &e5(before))).await;
    let client = server.client();
    let first = client.services().await.unwrap_err();
    assert_eq!(
        first.to_string(),
        "the token endpoint refused our credential (401): invalid_client, AADSTS7000215: Invalid client secret provided '(withheld)'.; store the secret's value (not its id) of the app registration LiveCloud-APIToken"
    );
    assert_eq!(first.to_string(), client.services().await.unwrap_err().to_string(), "the same from try to try");
    is_clean(&first);
}

/// The advice matches the directory's error code.
#[tokio::test]
async fn advice_fits_the_code() {
    for (code, want) in [
        ("AADSTS53003", "Conditional Access"),
        ("AADSTS700024", "check the node's clock"),
        ("AADSTS501051", "has no role of the platform's application"),
        ("AADSTS7000229", "no service principal in this directory"),
        ("AADSTS7000222", "create a new client secret"),
    ] {
        let server = Server::raw(move |_, _| json(400, &format!(r#"{{"error":"invalid_grant","error_description":"{code}: Something. Trace ID: 1"}}"#))).await;
        let error = server.client().services().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Authentication);
        assert!(error.to_string().contains(want), "{error}");
    }
    // A captive portal, or a proxy's page, in place of the directory.
    for (kind, body) in [("text/html", "<html>log in to the guest network"), ("text/plain", "log in to the guest network")] {
        let server = Server::raw(move |_, _| answer(200, kind, body)).await;
        let error = server.client().services().await.unwrap_err();
        assert!(error.to_string().contains("check the token url") && !error.to_string().contains("tenantui"), "{error}");
    }
}

/// Each change has its own connection, lists share one, and other reads another: a list leaves a long buffer behind.
#[tokio::test]
async fn a_change_never_goes_by_a_connection_that_was_used() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    // How many requests each connection has carried. The server closes none.
    let carried = Arc::new(std::sync::Mutex::new(Vec::<(usize, usize)>::new()));
    let counts = carried.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let at = {
                let mut counts = counts.lock().unwrap();
                counts.push((0, 0));
                counts.len() - 1
            };
            let counts = counts.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut buffer = vec![0; 65_536];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let read = buffer[..length].starts_with(b"GET");
                    let body = if read { "[]" } else { r#"{"jobId":"wst_1"}"# };
                    {
                        let mut counts = counts.lock().unwrap();
                        if read { counts[at].0 += 1 } else { counts[at].1 += 1 }
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let server = Server::start(|_, _| json(200, "[]")).await;
    let client = Client::new(settings(&url, &server.url), secret(), None).unwrap();
    for _ in 0..3 {
        client.services().await.unwrap();
        client.task(&TaskId::parse("wst_1").unwrap(), SecretsSent::No).await.unwrap_err();
        client.create_service(&create()).await.unwrap();
        client.delete_lead(&tenant()).await.unwrap();
    }
    let carried = carried.lock().unwrap().clone();
    assert!(carried.iter().all(|(reads, changes)| *changes == 0 || (*reads, *changes) == (0, 1)), "{carried:?}");
    assert_eq!((carried.len(), carried[0], carried[1]), (8, (3, 0), (3, 0)), "{carried:?}");
}

/// A job that already runs counts as requested: another vendor's answer of this kind (platform-facts-3.md 9).
#[tokio::test]
async fn a_job_that_runs_already_is_no_failure() {
    let server = Server::start(|_, before| match before {
        0 => json(200, r#"{"success": true, "message": "Synchronization already in progress"}"#),
        _ => json(200, r#"{"success": false, "message": "no such job"}"#),
    })
    .await;
    let url = server.url.join("/jobs/leads").unwrap();
    server.client().run_job(&url, JobMethod::Post).await.unwrap();
    let error = server.client().run_job(&url, JobMethod::Post).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused { fields: vec![], text: "no such job".into() });
}

#[tokio::test]
async fn a_job_gets_the_token_only_at_the_platforms_origin() {
    let server = Server::start(|_, _| json(202, "")).await;
    let elsewhere = Server::start(|_, before| if before == 0 { json(200, "ok") } else { json(401, "") }).await;
    let client = server.client();
    client.run_job(&server.url.join("/jobs/leads?x=1").unwrap(), JobMethod::Post).await.unwrap();
    assert!(server.calls()[0].headers.contains_key("authorization"));
    assert_eq!((server.calls()[0].method.as_str(), server.calls()[0].headers["content-length"].as_str()), ("POST", "0"));
    let url = elsewhere.url.join("/jobs/leads?key=hunter2").unwrap();
    client.run_job(&url, JobMethod::Post).await.unwrap();
    assert!(!elsewhere.calls()[0].headers.contains_key("authorization"));
    let error = client.run_job(&url, JobMethod::Put).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    is_clean(&error);
    assert_eq!(elsewhere.calls().len(), 2);
    let error = client.run_job(&Url::parse("http://jobs.example.com/?key=hunter2").unwrap(), JobMethod::Post).await.unwrap_err();
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Settings, RequestSent::No));
    is_clean(&error);
}

#[test]
fn settings_are_checked() {
    let url = Url::parse("https://live.example.com/tenantui").unwrap();
    let error = |pem: &str| {
        let mut settings = settings(&url, &url);
        settings.ca_bundle_pem = Some(pem.as_bytes().to_vec());
        Client::new(settings, secret(), None).err().map(|error| error.to_string())
    };
    let root = include_str!("fixtures/root.pem");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let indented: String = root.lines().map(|line| format!("    {line}\r\n")).collect();
    for good in [
        root.to_owned(),
        format!("\u{feff}{root}"),
        indented,
        format!("# ours\n{}{root}", root.trim_end()),
        format!("{root}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ] {
        assert_eq!(error(&good), None, "{good}");
    }
    for bad in [
        format!("{root}{junk}"),
        format!("{root}{}", junk.replace("AAAA", "??")),
        format!("{root}-----BEGIN CERTIFICATE-----\nMIIB"),
        root.trim_end().to_owned() + junk,
    ] {
        let error = error(&bad).unwrap();
        assert!(error.contains("certificate 2 of the CA bundle can't be read"), "{error}\n{bad}");
    }
    for pem in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut settings = settings(&url, &url);
        settings.ca_bundle_pem = Some(pem.to_vec());
        assert_eq!(Client::new(settings, secret(), None).unwrap_err().kind, ErrorKind::Settings);
    }
    assert!(Client::new(settings(&url, &url), secret(), None).is_ok());
    let plain = Url::parse("http://live.example.com/tenantui").unwrap();
    assert_eq!(Client::new(settings(&plain, &url), secret(), None).unwrap_err().kind, ErrorKind::Settings);
    assert_eq!(Client::new(settings(&url, &plain), secret(), None).unwrap_err().kind, ErrorKind::Settings);
}

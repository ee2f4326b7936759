//! The wire parsers, against the documented examples and against anything else.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use live_platform::Secrets;
use live_platform::wire::entries::KnownEntries;
use live_platform::wire::errors::{self, Fault, Form};
use live_platform::wire::json::Malformed;
use live_platform::wire::{leads, services, tasks, token, topology};
use oc_domain::model::{Contact, LcCustomer, Lead, LicenseType, MicrosoftStatus, Service, Task, TaskState};
use oc_domain::names::{CustomerGuid, LeadId, TaskId, TenantId};
use oc_domain::time::Time;
use proptest::prelude::*;

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).unwrap()
}

fn guid(text: &str) -> CustomerGuid {
    CustomerGuid::parse(text).unwrap()
}

fn task_id() -> TaskId {
    TaskId::parse("wst_44444444-4444-4444-8444-444444444444").unwrap()
}

fn fault(body: &[u8]) -> Fault {
    errors::fault(body, &Secrets::none())
}

fn task(body: &[u8]) -> Result<Task, Malformed> {
    tasks::task(body, &task_id(), &Secrets::none())
}

#[test]
fn leads_as_documented() {
    let page = leads::leads(include_bytes!("fixtures/leads.json"), true, &mut KnownEntries::default().begin()).unwrap();
    assert_eq!((page.elements, page.unreadable, page.why), (4, 1, Some("has no tenantId that is a GUID")));
    let at = Some(Time(1_735_787_045_123));
    assert_eq!(
        *page.items[0],
        Lead {
            id: LeadId::parse("11111111-1111-4111-8111-111111111111").unwrap(),
            tenant: tenant("22222222-2222-4222-8222-222222222222"),
            status: MicrosoftStatus::Active,
            consentless: false,
            service: None,
            channel: None,
            company_name: Some("Example BV".into()),
            company_size: Some("L250_U999".into()),
            countries: ["NL".into(), "UK".into()].into(),
            consented: at,
            last_modified: at,
            contact: Some(Box::new(Contact {
                full_name: Some("A Person".into()),
                email: Some("a@example.com".into()),
                phone_number: Some("+31000000000".into())
            })),
        }
    );
    let second = &page.items[1];
    assert_eq!(
        (second.tenant.to_string().as_str(), &second.status, second.consentless),
        ("bbbbbbbb-2222-4222-8222-222222222222", &MicrosoftStatus::Removed, true)
    );
    assert_eq!((second.channel, second.consented, second.service), (Some(1574), at, Some(guid("55555555-5555-4555-8555-555555555555"))));
    let third = &page.items[2];
    assert_eq!(
        (third.tenant.to_string().as_str(), &third.status, third.channel),
        ("dddddddd-2222-4222-8222-222222222222", &MicrosoftStatus::NotActive, Some(12))
    );
    assert!(!format!("{:?}", page.items[0]).contains("example.com"));
    let without = leads::leads(include_bytes!("fixtures/leads.json"), false, &mut KnownEntries::default().begin()).unwrap();
    assert!(without.items.iter().all(|lead| lead.contact.is_none()), "nobody asked for it");
    assert_eq!(*without.items[0], Lead { contact: None, ..Lead::clone(&page.items[0]) });
}

/// The newer form of Microsoft's record has a list of contacts, and no single one (platform-facts-3.md 5).
#[test]
fn the_first_contact_stands_in_for_the_single_one() {
    let lead = |contacts: &str| {
        let body = format!(r#"[{{"id":"11111111-1111-4111-8111-111111111111","tenantId":"22222222-2222-4222-8222-222222222222",{contacts}}}]"#);
        leads::leads(body.as_bytes(), true, &mut KnownEntries::default().begin()).unwrap().items.remove(0)
    };
    let two = r#""contacts":[null,{"fullName":"A Person","email":"a@example.com","telephoneNumber":"+31000000000","companySize":"L250_U999","companyName":"Example BV"},{"fullName":"B"}]"#;
    for contacts in [two.to_owned(), format!(r#""contactDetails":null,{two}"#)] {
        let lead = lead(&contacts);
        assert_eq!((lead.company_name.as_deref(), lead.company_size.as_deref()), (Some("Example BV"), Some("L250_U999")));
        let contact = lead.contact.as_ref().unwrap();
        assert_eq!((contact.full_name.as_deref(), contact.phone_number.as_deref()), (Some("A Person"), Some("+31000000000")));
        assert_eq!(contact.email.as_deref(), Some("a@example.com"));
    }
    assert_eq!(lead(&format!(r#""contactDetails":{{"companyName":"Old BV"}},{two}"#)).company_name.as_deref(), Some("Old BV"));
    assert_eq!(lead(r#""contactDetails":null,"contacts":null"#).company_name, None);
    assert_eq!(lead(r#""contacts":[]"#).company_name, None);
}

#[test]
fn one_nested_level_is_flattened() {
    assert_eq!(leads::leads(include_bytes!("fixtures/leads_nested.json"), true, &mut KnownEntries::default().begin()).unwrap().items.len(), 1);
}

#[test]
fn services_as_documented() {
    let page = services::services(include_bytes!("fixtures/services_v3.json"), &mut KnownEntries::default().begin()).unwrap();
    assert_eq!((page.elements, page.unreadable, page.why), (6, 2, Some("has no UmpCustomerGuid that is a GUID")));
    assert_eq!(
        page.items,
        [
            Service {
                guid: guid("55555555-5555-4555-8555-555555555555"),
                tenant: Some(tenant("22222222-2222-4222-8222-222222222222")),
                short_name: "Example_1".into(),
                full_name: Some("Example BV".into()),
                license: Some(LicenseType::OcEssential),
            },
            Service {
                guid: guid("66666666-5555-4555-8555-555555555555"),
                tenant: None,
                short_name: "BBSuperPro745".into(),
                full_name: None,
                license: Some(LicenseType::HostedPro)
            },
            Service {
                guid: guid("77777777-5555-4555-8555-555555555555"),
                tenant: None,
                short_name: Box::default(),
                full_name: None,
                license: Some(LicenseType::Other(17))
            },
        ]
        .map(std::sync::Arc::new)
    );
    let v2 = services::services(include_bytes!("fixtures/services_v2.json"), &mut KnownEntries::default().begin()).unwrap();
    assert_eq!((&*v2.items[0].short_name, v2.items[0].full_name.as_deref()), ("Example_1", Some("Example BV")));
}

#[test]
fn tasks_as_documented() {
    let v3 = task(include_bytes!("fixtures/task_v3.json")).unwrap();
    assert_eq!((v3.state, v3.status.as_str(), v3.service), (TaskState::Succeeded, "CompletedSuccess", Some(guid("55555555-5555-4555-8555-555555555555"))));
    assert_eq!(*v3.messages, ["Information: Site created in Ovoc"]);
    let v2 = task(include_bytes!("fixtures/task_v2.json")).unwrap();
    assert_eq!((v2.state, v2.service), (TaskState::Succeeded, None));
    let failed = task(include_bytes!("fixtures/task_failed.json")).unwrap();
    assert_eq!((failed.state, failed.service), (TaskState::Failed, None));
    assert_eq!(*failed.messages, ["Information: Started at (time)", "Error: Short name Example_1 is already used", "Information: no level"]);
    for (status, want) in [
        ("In Progress", TaskState::Running),
        ("Completed Success", TaskState::Succeeded),
        ("COMPLETEDSUCCESS", TaskState::Succeeded),
        ("FailedWithErrors", TaskState::Failed),
        ("Cancelled", TaskState::Failed),
        ("Queued", TaskState::Running),
        ("Completing", TaskState::Running),
        ("CompletedWithErrors", TaskState::Ended),
        ("completed_failed", TaskState::Ended),
        ("Completed", TaskState::Ended),
        ("Error", TaskState::Ended),
        ("ErrorInStep2", TaskState::Ended),
        ("Aborted", TaskState::Ended),
        ("rejected", TaskState::Ended),
        ("Timeout", TaskState::Ended),
        ("Timed Out", TaskState::Ended),
        ("TimedOut", TaskState::Ended),
        ("Succeeded", TaskState::Ended),
        ("Completed Success!", TaskState::Succeeded),
    ] {
        assert_eq!(task(format!(r#"{{"Status":"{status}"}}"#).as_bytes()).unwrap().state, want, "{status}");
    }
    let why = task(br#"{"status":"Failed","details":["SBC offline"]}"#).unwrap();
    assert_eq!(*why.messages, ["Details: SBC offline"]);
    assert_eq!(task(br#"{"id":"x"}"#), Err(Malformed::Lacks("a status")));
    assert_eq!(task(br#"{"status":{}}"#), Err(Malformed::Lacks("a status")));
}

#[test]
fn task_ids_in_all_forms() {
    for body in [
        r#""wst_44444444-4444-4444-8444-444444444444""#,
        "wst_44444444-4444-4444-8444-444444444444\r\n",
        r#"{"jobId":"wst_44444444-4444-4444-8444-444444444444"}"#,
        r#"{"TaskId":"wst_44444444-4444-4444-8444-444444444444"}"#,
        r#"[{"id":"wst_44444444-4444-4444-8444-444444444444","status":"InProgress"}]"#,
    ] {
        assert_eq!(tasks::task_id(body.as_bytes()), Ok(task_id()), "{body}");
    }
    for (body, want) in [
        (r#"{"jobId":null}"#, Malformed::Lacks("a task id")),
        (r#"{"jobId":"../../admin"}"#, Malformed::Lacks("a task id")),
        ("something went wrong", Malformed::Lacks("a task id")),
        ("", Malformed::Empty),
        ("<html>", Malformed::Page),
    ] {
        assert_eq!(tasks::task_id(body.as_bytes()), Err(want), "{body}");
    }
}

/// Only an unambiguous answer ends a create as refused; any other counts as a lost answer, and is looked up.
#[test]
fn which_answers_without_a_task_are_failures() {
    let sure = [r#"{"succeeded":false}"#, r#"{"status":false}"#, r#"{"status":409}"#, r#"{"status":"Failed"}"#, r#"[{"status":" error: x"}]"#];
    for body in sure {
        assert!(tasks::failed_surely(body.as_bytes()), "{body}");
    }
    let open = [
        "",
        "1",
        "null",
        "{}",
        r#"{"status":"Accepted"}"#,
        r#"{"status":"InProgress"}"#,
        r#"{"status":"Pending"}"#,
        r#"{"status":"Created"}"#,
        r#"{"status":202}"#,
        r#"{"status":true}"#,
        r#"{"status":""}"#,
        r#"{"succeeded":true}"#,
        r#"{"succeeded":false,"status":"InProgress"}"#,
        "<html>",
    ];
    for body in open {
        assert!(!tasks::failed_surely(body.as_bytes()), "{body}");
    }
}

#[test]
fn envelopes_of_changes() {
    for good in [
        "",
        "1",
        r#"{"status":"success","succeeded":true,"message":"Lead successfully assigned to the channel"}"#,
        r#"{"status":true,"data":"new lead ovocChannelId: 1574"}"#,
        r#"{"Status":"Success"}"#,
        r#"{"status":200}"#,
        r#"{"status":true,"msg":"queued","sbcCleanupTaskId":"tsk_3","o365CleanupTask":"tsk_0"}"#,
        "{}",
    ] {
        assert_eq!(tasks::envelope(good.as_bytes(), &Secrets::none()), Ok(()), "{good}");
    }
    let busy = r#"{"success": true, "message": "Synchronization is already in progress"}"#;
    assert_eq!(tasks::envelope(busy.as_bytes(), &Secrets::none()), Ok(()));
    for (bad, said) in [
        (r#"{"success":false,"message":"not now"}"#, "not now"),
        (r#"{"status":"failed","succeeded":false,"message":"OVOC is not reachable"}"#, "OVOC is not reachable"),
        (r#"{"status":false,"data":"no such channel"}"#, "no such channel"),
        (r#"{"status":"Failed"}"#, ""),
    ] {
        assert_eq!(tasks::envelope(bad.as_bytes(), &Secrets::none()), Err(said.to_owned()), "{bad}");
    }
}

#[test]
fn the_error_forms() {
    let e1 = fault(include_bytes!("fixtures/e1.json"));
    assert_eq!(
        e1.fields,
        [
            ("CompanyName".to_owned(), vec!["Company name is already used for an UMP lead.".to_owned()]),
            ("TenantId".to_owned(), vec!["This MsTenant already exists as an UMP lead!".to_owned()]),
        ]
    );
    assert_eq!(e1.text, "");
    assert_eq!(fault(include_bytes!("fixtures/e2.json")).text, "Channel 1574 is not assigned");
    let e3 = fault(br#""Invalild lead""#);
    assert_eq!((e3.text.as_str(), e3.form), ("Invalild lead", Form::Bare));
    let plain = fault(b"Invalid lead");
    assert_eq!((plain.text.as_str(), plain.form), ("Invalid lead", Form::Other));
    let e4 = fault(br#"{ "description" : "Entity with id 3700 not found" }"#);
    assert_eq!((e4.text.as_str(), e4.form), ("Entity with id 3700 not found", Form::Described));
    let e5 = token::refusal(include_bytes!("fixtures/e5.json"), &Secrets::none());
    assert_eq!(e5.description, "AADSTS700016: Application with identifier '99999999-9999-4999-8999-999999999999' was not found in the directory 'Contoso'.");
    assert_eq!(e5.error, "unauthorized_client");
    for (body, text) in [
        (&b"<html><body>Incapsula incident 123</body></html>"[..], ""),
        (b"", ""),
        (b"\xff\xfe\x00\x01", ""),
        (b"System.NullReferenceException: Object reference not set\r\n   at Ump.Web.X()", "System.NullReferenceException: Object reference not set"),
        (br#"{"error":{"code":"x","message":"no"}}"#, "no"),
        (b"Ung\xfcltiger Name", "Ung\u{fffd}ltiger Name"),
        (b"\"Ung\xfcltig \\ud83d\"", "Ung\u{fffd}ltig \u{fffd}"),
        (br#"{"errors":["a","b"]}"#, "a; b"),
        (br#"{"title":"Bad Request"}"#, "Bad Request"),
        (b"[1,2", ""),
    ] {
        assert_eq!(fault(body).text, text);
    }
    assert!(fault(format!("\"{}\"", "x".repeat(1 << 20)).as_bytes()).text.chars().count() <= 300);
}

#[test]
fn tokens() {
    let grant = token::grant(br#"{"token_type":"bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"abc"}"#).unwrap();
    assert_eq!(grant.lifetime.as_secs(), 3599);
    assert!(!format!("{grant:?}").contains("abc"));
    for (body, seconds) in [
        (r#"{"access_token":"a"}"#, 300),
        (r#"{"access_token":"a","expires_in":"60"}"#, 60),
        (r#"{"access_token":"a","expires_in":-1}"#, 10),
        (r#"{"access_token":"a","expires_in":1e12}"#, 86_400),
    ] {
        assert_eq!(token::grant(body.as_bytes()).unwrap().lifetime.as_secs(), seconds, "{body}");
    }
    for body in [r#"{"access_token":5}"#, "{}", r#"["a"]"#, "\"a\"", r#"{"access_token":"a","token_type":"mac"}"#, ""] {
        assert!(token::grant(body.as_bytes()).is_err(), "{body}");
    }
    let long = "x".repeat(20_000);
    assert_eq!(secrecy::ExposeSecret::expose_secret(&token::grant(format!(r#"{{"access_token":"{long}"}}"#).as_bytes()).unwrap().token).len(), 20_000);
}

#[test]
fn lc_customers() {
    let customer = topology::lc_customer(include_bytes!("fixtures/lc_customer.json")).unwrap();
    assert_eq!(customer, Some(LcCustomer { id: 4711, name: Some("Example_1".into()), channel: Some(1574) }));
    assert_eq!(topology::lc_customer(br#"{"id":4711,"serviceId":"x"}"#), Ok(None), "a service under the older name of that path");
    assert_eq!(topology::lc_customer(br#"{"id":1,"channelId":0}"#), Ok(Some(LcCustomer { id: 1, name: None, channel: None })));
    assert_eq!(topology::lc_customer(b"{}"), Err(Malformed::Lacks("an id")));
}

#[test]
fn numbers_are_counted() {
    assert_eq!(services::count_numbers(br#"[{"id":1},{"id":2}]"#), Ok(2));
    assert_eq!(services::count_numbers(b"[]"), Ok(0));
    assert_eq!(services::count_numbers(br#"{"currentPage":1,"totalRecords":7,"data":[{}]}"#), Ok(7));
    assert_eq!(services::count_numbers(br#"{"data":[{},{}]}"#), Ok(2));
    assert_eq!(services::count_numbers(b"5"), Err(Malformed::NotAList));
}

/// Feeds bytes to every parser; it must return.
fn all(body: &[u8]) {
    if let Ok(page) = leads::leads(body, true, &mut KnownEntries::default().begin()) {
        assert_eq!(page.elements, page.items.len() + page.unreadable);
    }
    let _ = services::services(body, &mut KnownEntries::default().begin());
    // What is known from another list changes nothing.
    let (known_leads, known_services) = (KnownEntries::default(), KnownEntries::default());
    let (mut of_leads, mut of_services) = (known_leads.begin(), known_services.begin());
    leads::leads(include_bytes!("fixtures/leads.json"), true, &mut of_leads).unwrap();
    services::services(include_bytes!("fixtures/services_v3.json"), &mut of_services).unwrap();
    of_leads.complete();
    of_services.complete();
    assert_eq!(leads::leads(body, true, &mut known_leads.begin()), leads::leads(body, true, &mut KnownEntries::default().begin()));
    assert_eq!(services::services(body, &mut known_services.begin()), services::services(body, &mut KnownEntries::default().begin()));
    let _ = services::count_numbers(body);
    let _ = tasks::task_id(body);
    let _ = tasks::envelope(body, &Secrets::none());
    let _ = topology::lc_customer(body);
    let _ = token::grant(body);
    let _ = token::refusal(body, &Secrets::none()).advice();
    let fault = fault(body);
    assert!(fault.text.chars().count() <= 300 && fault.fields.len() <= 20);
    if let Ok(task) = task(body) {
        assert!(task.messages.len() <= 20 && task.messages.iter().all(|text| text.chars().count() <= 300));
    }
}

/// JSON with the names that the parsers look for, and any values.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::from),
        Just("22222222-2222-4222-8222-222222222222".into()),
        Just("CompletedSuccess".into()),
    ];
    let names = prop::sample::select(vec![
        "id",
        "tenantId",
        "status",
        "contactDetails",
        "companyName",
        "consentedCountries",
        "consentedOn",
        "UmpCustomerGuid",
        "MsTenantId",
        "LicenseType",
        "executionMessages",
        "level",
        "message",
        "outputData",
        "errors",
        "detail",
        "description",
        "jobId",
        "succeeded",
        "data",
        "channelId",
        "access_token",
        "expires_in",
        "error_description",
        "totalRecords",
        "details",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let object = prop::collection::vec((names.clone(), inner.clone()), 0..8)
            .prop_map(|fields| serde_json::Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
        prop_oneof![prop::collection::vec(inner, 0..8).prop_map(serde_json::Value::Array), object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_survived(body: Vec<u8>) {
        all(&body);
    }

    #[test]
    fn any_json_is_survived(value in json()) {
        all(value.to_string().as_bytes());
    }

    #[test]
    fn any_cut_of_an_answer_is_survived(at in 0usize..1200, flip: u8) {
        for body in [&include_bytes!("fixtures/leads.json")[..], include_bytes!("fixtures/services_v3.json"), include_bytes!("fixtures/task_failed.json"), include_bytes!("fixtures/e1.json")] {
            let mut cut = body[..at.min(body.len())].to_vec();
            all(&cut);
            if let Some(last) = cut.last_mut() {
                *last ^= flip;
            }
            all(&[&cut[..], &body[at.min(body.len())..]].concat());
        }
    }

    #[test]
    fn any_date_is_survived(text: String) {
        let _ = live_platform::wire::time(&text);
        let _ = live_platform::wire::guid(&text);
    }
}

/// Found by the fuzzer: the text before each message comes from the platform as well.
#[test]
fn a_level_holds_no_control_character() {
    let body = br#"{"status":"Running","executionMessages":[{"level":"\u0000Information","message":"Started"},{"level":"\u0007","message":"On"}]}"#;
    let id = TaskId::parse("wst_1").unwrap();
    assert_eq!(*tasks::task(body, &id, &Secrets::none()).unwrap().messages, ["Information: Started", "Information: On"]);
}

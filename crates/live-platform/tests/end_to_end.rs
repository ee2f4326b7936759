//! The whole way against the simulator, which is independent of this client: list, create, follow the task, list, delete.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::collections::BTreeMap;
use std::time::Duration;

use live_platform::{Client, ClientSettings, CreateService, Credential, Deleted, ErrorKind, MaybeAbsent, SecretsSent};
use live_platform_simulator::{Options, Paging, Simulator};
use oc_domain::model::{LicenseType, MicrosoftStatus, Task, TaskState};
use oc_domain::names::{ShortName, TaskId, TenantId};
use oc_domain::requests::{IpGroup, NewLead, NewService, ServiceParameters, SipConnection, SiteLocation};
use url::Url;

const SEED: &str = r#"{
  "leads": [{"tenantId": "22222222-2222-4222-8222-222222222222", "companyName": "Example BV", "countries": ["NL"]},
            {"tenantId": "33333333-2222-4222-8222-222222222222", "status": "Suspended"},
            {"tenantId": "44444444-2222-4222-8222-222222222222", "consented": false}],
  "channels": [{"id": 1574, "name": "Channel"}],
  "lcCustomers": [{"id": 4711, "name": "Customer", "channelId": 1574}],
  "numbers": [{"tenantId": "22222222-2222-4222-8222-222222222222", "count": 3}]
}"#;

fn tenant(first: &str) -> TenantId {
    TenantId::parse(&format!("{first}-2222-4222-8222-222222222222")).unwrap()
}

fn client(simulator: &Simulator, secret: &str) -> Client {
    let mut settings = ClientSettings::new(
        Url::parse(&simulator.base_url()).unwrap(),
        Url::parse(&simulator.token_url()).unwrap(),
        simulator.options().client_id.clone(),
        "api://77777777-7777-4777-8777-777777777777/.default",
    );
    settings.page_size = 2;
    Client::new(settings, Credential::ClientSecret(secret.into()), None).unwrap()
}

async fn start(name: &str, change: impl FnOnce(&mut Options)) -> (Simulator, Client) {
    let seed = std::env::temp_dir().join(format!("live-platform-{name}-{}.json", std::process::id()));
    std::fs::write(&seed, SEED).unwrap();
    let mut options = Options { seed_file: Some(seed.clone()), ..Options::default() };
    options.settings.task_duration = 50;
    change(&mut options);
    let simulator = Simulator::start(options).await;
    std::fs::remove_file(seed).unwrap();
    let client = client(&simulator, &simulator.options().client_secret);
    (simulator, client)
}

fn request(connection: SipConnection) -> CreateService {
    let short_name = ShortName::as_written("Example_1");
    let parameters = ServiceParameters { connection, ..ServiceParameters::new(short_name, "Example BV") };
    CreateService { service: NewService { tenant: tenant("22222222"), parameters }, variables: BTreeMap::new() }
}

async fn follow(client: &Client, id: &TaskId) -> Task {
    for _ in 0..200 {
        let task = client.task(id, SecretsSent::No).await.unwrap().unwrap();
        if task.state != TaskState::Running {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the task does not end");
}

/// In at least one release the service has reused the lead's id (C-14): nothing may depend on it.
#[tokio::test]
async fn a_lead_becomes_a_service_and_the_service_goes() {
    for reuse in [false, true] {
        the_whole_way(reuse).await;
    }
}

async fn the_whole_way(reuse: bool) {
    let (_simulator, client) = start("way", |options| options.settings.reuse_lead_id = reuse).await;
    let leads = client.leads().await.unwrap();
    assert_eq!((leads.items.len(), leads.unreadable), (3, 0));
    let mine = client.leads_of(&tenant("22222222")).await.unwrap().items.remove(0);
    assert_eq!((&mine.status, mine.consentless, &mine.service, mine.company_name.as_deref()), (&MicrosoftStatus::Active, false, &None, Some("Example BV")));
    assert!(mine.consented.is_some());
    assert!(client.leads_of(&tenant("99999999")).await.unwrap().items.is_empty());
    assert!(client.services().await.unwrap().items.is_empty());

    client.assign_channel(&mine.tenant, 1574).await.unwrap();
    assert_eq!(client.leads_of(&mine.tenant).await.unwrap().items[0].channel, Some(1574));
    let MaybeAbsent::Available(Some(customer)) = client.lc_customer(4711).await.unwrap() else { panic!("no LC customer") };
    assert_eq!((customer.id, customer.channel), (4711, Some(1574)));
    assert_eq!(client.lc_customer(9999).await.unwrap(), MaybeAbsent::Available(None));
    assert_eq!((client.channel(1574).await.unwrap(), client.channel(9999).await.unwrap()), (MaybeAbsent::Available(true), MaybeAbsent::Available(false)));
    assert_eq!(client.numbers_of(&mine.tenant).await.unwrap(), MaybeAbsent::Available(3));

    let mut with_all = request(SipConnection::Tenant);
    (with_all.service.parameters.lc_customer, with_all.service.parameters.channel) = (Some(4711), Some(1574));
    let id = client.create_service(&with_all).await.unwrap();
    let task = follow(&client, &id).await;
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert!(!task.messages.iter().any(|message| message.to_lowercase().starts_with("error")), "{task:?}");
    let services = client.services().await.unwrap().items;
    assert_eq!((services.len(), Some(&services[0].guid), services[0].license), (1, task.service.as_ref(), Some(LicenseType::OcEssential)));
    assert_eq!((services[0].tenant.as_ref(), services[0].short_name.as_ref()), (Some(&mine.tenant), "Example_1"));
    assert_eq!(client.leads_of(&mine.tenant).await.unwrap().items[0].service, task.service);
    assert_eq!(services[0].guid.to_string() == mine.id.to_string(), reuse);

    let error = client.create_service(&request(SipConnection::Tenant)).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Refused { .. }) && !error.may_have_happened(), "{error}");
    assert_eq!(client.delete_service(&services[0].guid).await.unwrap(), Deleted::Accepted);
    for _ in 0..100 {
        if client.services().await.unwrap().items.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.delete_service(&services[0].guid).await.unwrap(), Deleted::NotFound);
    client.unassign_channel(&mine.tenant).await.unwrap();
}

#[tokio::test]
async fn an_ip_group() {
    let (_simulator, client) = start("group", |options| options.settings.require_site_location = true).await;
    let site_location = SiteLocation {
        name: Some("Site".into()),
        sbc_id: Some(1),
        onboarding_script: Some(2),
        cleanup_script: Some(3),
        upload_number_script: Some(5000),
        release_number_script: Some(5001),
    };
    let group = IpGroup { proxy_set: "SIPTrunk".into(), online_pstn_gateway: "gw.example.com".into(), site_location: Some(site_location) };
    let id = client.create_service(&request(SipConnection::IpGroup(Box::new(group)))).await.unwrap();
    assert_eq!(follow(&client, &id).await.state, TaskState::Succeeded);
}

#[tokio::test]
async fn leads_are_made_and_unmade() {
    let (_simulator, client) = start("leads", |_| {}).await;
    let made = tenant("55555555");
    client.create_lead(&NewLead { tenant: made, company_name: "Fabrikam".into() }).await.unwrap();
    assert!(client.leads_of(&made).await.unwrap().items[0].consentless);
    assert!(matches!(client.create_lead(&NewLead { tenant: made, company_name: "Fabrikam".into() }).await.unwrap_err().kind, ErrorKind::Refused { .. }));
    assert_eq!(client.delete_lead(&made).await.unwrap(), Deleted::Accepted);
    assert!(client.leads_of(&made).await.unwrap().items.is_empty());
    assert!(client.delete_lead(&tenant("22222222")).await.is_err(), "a consented lead cannot be deleted");
}

#[tokio::test]
async fn every_way_of_paging_gives_all_leads() {
    for paging in [Paging::OneBased, Paging::ZeroBased] {
        let (_simulator, client) = start("paging", |options| {
            options.settings.paging = paging;
            options.settings.nested_lead_array = true;
            options.settings.extra_fields = true;
        })
        .await;
        for _ in 0..2 {
            assert_eq!(client.leads().await.unwrap().items.len(), 3, "{paging:?}");
        }
        assert_eq!(client.leads_of(&tenant("22222222")).await.unwrap().items.len(), 1, "{paging:?}");
    }
    // A list that always returns its first page cannot be read to the end; but it must not block the client.
    let (_simulator, client) = start("paging", |options| options.settings.paging = Paging::RepeatsFirst).await;
    assert_eq!(client.leads().await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_is_told() {
    let (simulator, right) = start("secret", |_| {}).await;
    let error = client(&simulator, "wrong-secret").services().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(!error.to_string().contains("wrong-secret"), "{error}");
    right.services().await.unwrap();
}

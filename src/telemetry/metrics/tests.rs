//! What is served, and what it costs. The live run in `tests/health` shows that it is the whole catalogue.

use std::sync::Arc;

use kube::{Client, Config};
use serde_json::{Value, json};

use crate::controllers::{Context, ReconciledResource};
use crate::runtime::leadership::Leadership;
use crate::telemetry::metrics::*;
use oc_api::{Lead, OcEssentialService};

const TENANT: &str = "22222222-2222-4222-8222";

fn context(metrics: Arc<dyn MetricsSink>) -> Arc<Context> {
    let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
    config.default_retry = false;
    Context::bare(
        Client::try_from(config).unwrap(),
        Leadership::without_election(),
        metrics,
    )
}

fn platform(name: &str) -> Value {
    json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"url": "https://live.example.com/tenantui", "authentication": {"entra": {
            "tenantId": "33333333-3333-4333-8333-333333333333", "clientId": "44444444-4444-4444-8444-444444444444", "scope": "api://x/.default",
            "clientSecretRef": {"namespace": "a", "name": "b", "key": "c"},
        }}},
        "status": {"deletions": {"held": 3}, "absences": {"held": 2}, "leadDiscovery": {"failed": 4}, "conditions": [condition("True", "Succeeded")]},
    })
}

fn condition(status: &str, reason: &str) -> Value {
    json!({"type": "Ready", "status": status, "reason": reason, "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn service(number: usize, ready: Value) -> Value {
    json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService",
        "metadata": {"name": format!("customer-{number}"), "namespace": "customers", "resourceVersion": "1",
            "annotations": {"operatorconnect.dev/operation": r#"{"kind":"Create","id":"1","start":"2026-01-01T00:00:00Z"}"#}},
        "spec": {"platform": "default", "msTenantId": format!("{TENANT}-{number:012x}"), "shortName": format!("C{number}"), "fullName": "A customer"},
        "status": {
            "platform": "default", "conditions": [ready],
            "operation": {"kind": "Create", "id": "1", "startedTime": "2026-01-01T00:00:00Z", "taskId": "7"},
            "sync": {"state": "Due", "jobs": [{"name": "peering.sync-leads-job", "state": "Due"}]},
        },
    })
}

fn policy(number: usize, platform: &str) -> Value {
    json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy",
        "metadata": {"name": format!("policy-{number}"), "namespace": "customers", "resourceVersion": "1"},
        "spec": {"platform": platform, "template": {}},
        "status": {"matched": 11, "made": 6, "ready": 1, "waiting": 3, "refused": 2, "conditions": [condition("True", "Succeeded")]},
    })
}

fn lead(number: usize) -> Value {
    json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead",
        "metadata": {"name": format!("customer-{number}"), "namespace": "customers"},
        "spec": {"msTenantId": format!("{TENANT}-{number:012x}")},
    })
}

fn enter_lead(context: &Context, number: usize) {
    let learnt = context.cache.leads.put(read(lead(number)));
    learnt
        .into_iter()
        .for_each(|learnt| Lead::learnt(context, learnt));
}

fn enter_service(context: &Context, number: usize, ready: Value) {
    let learnt = context.cache.services.put(read(service(number, ready)));
    learnt
        .into_iter()
        .for_each(|learnt| OcEssentialService::learnt(context, learnt));
}

fn read<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn objects_are_counted_by_what_their_status_says_and_none_is_named() {
    let context = context(Arc::new(()));
    context.cache.platforms.put(read(platform("default")));
    enter_lead(&context, 1);
    for (number, platform) in ["default", "default", "other"].into_iter().enumerate() {
        context.cache.policies.put(read(policy(number, platform)));
    }
    for (number, ready) in [
        condition("True", "Succeeded"),
        condition("False", "TaskFailed"),
        condition("Maybe", "customer-9 said so"),
    ]
    .into_iter()
    .enumerate()
    {
        enter_service(&context, number, ready);
    }
    let text = Metrics::default().text(Snapshot::of(&context)).unwrap();
    for line in [
        r#"operatorconnect_objects{kind="Lead",ready="Unknown",reason="None"} 1.0"#,
        r#"operatorconnect_objects{kind="OcEssentialService",ready="True",reason="Succeeded"} 1.0"#,
        r#"operatorconnect_objects{kind="OcEssentialService",ready="False",reason="TaskFailed"} 1.0"#,
        r#"operatorconnect_objects{kind="OcEssentialService",ready="Unknown",reason="Other"} 1.0"#,
        r#"operatorconnect_open_intents{kind="OcEssentialService"} 3.0"#,
        r#"operatorconnect_open_tasks{kind="OcEssentialService"} 3.0"#,
        r#"operatorconnect_open_tasks{kind="Lead"} 0.0"#,
        r#"operatorconnect_sync_jobs_due{platform="default",sync_job="peering.sync-leads-job"} 3.0"#,
        r#"operatorconnect_sync_jobs_due{platform="default",sync_job="peering.sync-trunks-job"} 0.0"#,
        r#"operatorconnect_deletions_held{platform="default"} 3.0"#,
        r#"operatorconnect_absences_held{platform="default"} 2.0"#,
        r#"operatorconnect_undiscovered_leads{platform="default"} 4.0"#,
        r#"operatorconnect_onboarded_services{platform="default"} 12.0"#,
        r#"operatorconnect_waiting_leads{platform="default"} 6.0"#,
        r#"operatorconnect_refused_leads{platform="default"} 4.0"#,
        "operatorconnect_leader 1.0",
        "# UNIT operatorconnect_oldest_task_seconds seconds",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|served| served == line),
            "{line} is not in\n{text}"
        );
    }
    for named in ["customer", "policy-1", TENANT, "said so"] {
        assert!(!text.contains(named), "{named} is in\n{text}");
    }
}

#[tokio::test]
async fn the_series_of_a_platform_go_with_it() {
    let metrics = Arc::<Metrics>::default();
    let context = context(Arc::clone(&metrics) as _);
    context.cache.platforms.put(read(platform("here")));
    context.cache.platforms.put(read(platform("gone")));
    for name in ["here", "gone"] {
        for outcome in [
            CallOutcome::Answered(200),
            CallOutcome::Answered(429),
            CallOutcome::Lost,
        ] {
            metrics.call_finished(
                &name.into(),
                Endpoint::Services,
                outcome,
                Duration::from_millis(20),
            );
        }
        metrics.budget(&name.into(), BudgetEvent::Opened(Reason::Throttled));
        metrics.budget(&name.into(), BudgetEvent::Waited(Duration::ZERO));
    }
    let text = metrics.text(Snapshot::of(&context)).unwrap();
    assert!(
        text.contains(
            r#"operatorconnect_platform_circuit_opened_total{platform="gone",reason="Throttled"} 1"#
        ),
        "{text}"
    );
    let gone = context.cache.platforms.get("", "gone").unwrap();
    context.cache.platforms.remove(&*gone);
    let text = metrics.text(Snapshot::of(&context)).unwrap();
    assert!(
        text.contains(r#"platform="here""#) && !text.contains(r#"platform="gone""#),
        "{text}"
    );
    metrics.call_finished(&"gone".into(), Endpoint::Task, CallOutcome::Lost, Duration::ZERO);
    let text = metrics.text(Snapshot::of(&context)).unwrap();
    assert!(
        !text.contains(r#"platform="gone""#),
        "a call that was under way when it went makes no series for ever: {text}"
    );
}

/// The CPU time of this thread, so that other load on the machine does not count.
fn cpu() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(spent.split_whitespace().next().unwrap().parse().unwrap())
}

/// The number of series does not grow with the number of objects, and a scrape of a thousand costs little.
#[tokio::test]
async fn a_thousand_objects_cost_no_more_series_than_a_few() {
    let context = context(Arc::new(()));
    let metrics = Metrics::default();
    context.cache.platforms.put(read(platform("default")));
    let lines = |count: usize| {
        for number in 0..count {
            enter_lead(&context, number);
            enter_service(&context, number, condition("True", "Succeeded"));
        }
        let text = metrics.text(Snapshot::of(&context)).unwrap();
        (text.lines().count(), text.len())
    };
    let (few, _) = lines(3);
    let (many, bytes) = lines(1000);
    assert_eq!(few, many);
    let before = cpu();
    const SCRAPES: u32 = 20;
    for _ in 0..SCRAPES {
        metrics.text(Snapshot::of(&context)).unwrap();
    }
    let each = (cpu() - before) / SCRAPES;
    #[allow(clippy::print_stdout, reason = "a measurement, shown by --nocapture")]
    {
        println!(
            "a scrape of 1,000 leads and 1,000 services: {} µs of CPU, {bytes} bytes, {many} lines",
            each.as_micros()
        );
    }
    assert!(each < Duration::from_millis(500), "{each:?}");
}

//! The operator's start settings: the namespaces in which it works, and where its traces go. Each test has its own API server and platform, and the operator as
//! a process.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "shared/simulated.rs"]
mod simulated;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use control_plane::{ControlPlane, Options, Release, manifests};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use kube::{Api, ResourceExt};
use live_platform_simulator::Simulator;
use oc_api::{Lead, LivePlatform, OcEssentialService};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

/// The contact of each customer, which nobody may see.
const PERSON: [&str; 3] = ["Ada Lovelace", "ada@example.com", "+31201234567"];

struct Stage {
    cluster: ControlPlane,
    simulator: Simulator,
    http: reqwest::Client,
    release: Release,
}

/// The operator; killed when it is dropped.
struct Operator {
    child: Child,
    log: PathBuf,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Operator {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and waits until it has.
    fn end(&mut self) -> Result<()> {
        ensure!(Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.child.id())).status()?.success());
        ensure!(self.child.wait()?.success(), "{}", self.said());
        Ok(())
    }
}

impl Stage {
    /// Creates the namespaces, then installs the chart with these values.
    async fn set(namespaces: &[&str], values: Value) -> Result<Self> {
        let cluster = ControlPlane::start(Options::default()).await?;
        for namespace in namespaces {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            manifests::apply(&cluster.client(), &serde_json::from_value(namespace)?).await?;
        }
        let release = cluster.install(&values).await?;
        let simulator = Simulator::start(live_platform_simulator::Options::default()).await;
        let stage = Self { cluster, simulator, http: reqwest::Client::builder().no_proxy().build()?, release };
        stage.simulate("PATCH", "settings", json!({"taskDuration": 300, "latency": 1})).await?;
        let secret = json!({"key": "simulator-secret"});
        stage.apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credential", "namespace": "one"}, "stringData": secret})).await?;
        Ok(stage)
    }

    async fn apply(&self, manifest: Value) -> Result<()> {
        manifests::apply(&self.cluster.client(), &serde_json::from_value(manifest)?).await?;
        Ok(())
    }

    async fn platform(&self, discovery: Value) -> Result<()> {
        let mut spec = json!({
            "url": self.simulator.base_url(),
            "authentication": {"entra": {
                "tenantId": "33333333-3333-4333-8333-333333333333", "clientId": "44444444-4444-4444-8444-444444444444",
                "scope": "api://simulator/.default", "tokenUrl": self.simulator.token_url(),
                "clientSecretRef": {"namespace": "one", "name": "credential", "key": "key"},
            }},
            "observeInterval": "5s",
        });
        if !discovery.is_null() {
            spec["leadDiscovery"] = discovery;
        }
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LivePlatform", "metadata": {"name": "default"}, "spec": spec})).await
    }

    /// Creates a lead on the platform, and a service object for it.
    async fn customer(&self, namespace: &str, number: u32) -> Result<()> {
        let tenant = format!("{number:08x}-0000-4000-8000-000000000000");
        let contact = json!({"fullName": PERSON[0], "email": PERSON[1], "phoneNumber": PERSON[2]});
        self.simulate("POST", "leads", json!({"tenantId": tenant, "companyName": "Somebody", "contact": contact})).await?;
        let spec = json!({"msTenantId": tenant, "shortName": format!("Customer_{number}"), "fullName": "A customer"});
        let metadata = json!({"name": "customer", "namespace": namespace});
        self.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": metadata, "spec": spec})).await
    }

    async fn simulate(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        simulated::call(&self.http, &self.simulator, method, path, body).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oc-essentials-operator"));
        command
            .arg("run")
            .arg("--kubeconfig")
            .arg(self.release.kubeconfig())
            .args(["--log-level", "debug,hyper_util=info,tower=info,rustls=info,kube=info"])
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn operator(&self, name: &str, arguments: &[&str]) -> Result<Operator> {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{name}-{}.log", std::process::id()));
        let said = std::fs::File::create(&log)?;
        let child = self.command(arguments).stdout(said.try_clone()?).stderr(said).spawn()?;
        Ok(Operator { child, log })
    }

    async fn ready(&self, namespace: &str) -> Result<()> {
        let api = Api::<OcEssentialService>::namespaced(self.cluster.client(), namespace);
        until(|| async {
            let conditions = api.get("customer").await?.status.unwrap_or_default().conditions;
            Ok(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True").then_some(()))
        })
        .await
        .with_context(|| format!("the service in {namespace} is not Ready"))
    }

    async fn platform_says(&self, reason: &str) -> Result<String> {
        self.condition("Ready", reason).await
    }

    /// What the platform object says of discovery.
    async fn discovered(&self, reason: &str) -> Result<String> {
        self.condition("LeadsDiscovered", reason).await
    }

    async fn condition(&self, kind: &str, reason: &str) -> Result<String> {
        let api = Api::<LivePlatform>::all(self.cluster.client());
        until(|| async {
            let conditions = api.get("default").await?.status.unwrap_or_default().conditions;
            Ok(conditions.into_iter().find(|condition| condition.type_ == kind && condition.reason == reason).map(|condition| condition.message.to_string()))
        })
        .await
        .with_context(|| format!("the platform object does not say {kind} because of {reason}"))
    }
}

async fn until<T, F: Future<Output = Result<Option<T>>>>(ask: impl Fn() -> F) -> Result<T> {
    for _ in 0..300 {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("it is not so after 30 s")
}

/// Two of three namespaces, with roles in just these: nothing is read or written in the third, and there is no right to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_namespaces_only() -> Result<()> {
    let stage = Stage::set(&["one", "two", "three"], json!({"watchNamespaces": ["one", "two"], "rbac": {"secrets": {"anywhere": true}}})).await?;
    let refused = [
        // All of them refuse; a namespace that can be listed would be served.
        (&["--watch-namespaces", "three"][..], "no permission to list leads.operatorconnect.dev in the namespace three (--watch-namespaces)"),
        (&["--watch-namespaces", "one,Two"], "a namespace has at most 63 lower case letters"),
        (&[], "no permission to list leads.operatorconnect.dev; grant the operator the chart's permissions"),
    ];
    for (arguments, says) in refused {
        let ended = stage.command(arguments).output()?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains(says), "{arguments:?}: {} {said}", ended.status);
    }

    stage.platform(json!({"namespace": "three"})).await?;
    for (number, namespace) in [(1, "one"), (2, "two"), (3, "three")] {
        stage.customer(namespace, number).await?;
    }
    let mut operator = stage.operator("namespaces", &["--watch-namespaces", "one, two"])?;
    for namespace in ["one", "two"] {
        stage.ready(namespace).await.with_context(|| operator.said())?;
    }
    // Discovery would create objects that nobody sees.
    let told = stage.discovered("InvalidSpec").await?;
    for words in ["3 leads have no Lead object in the namespace three", "For tenant ", "--watch-namespaces: one, two"] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    let told = stage.platform_says("InvalidSpec").await?;
    ensure!(["spec.leadDiscovery.namespace", "three", "--watch-namespaces: one, two"].iter().all(|words| told.contains(words)), "{told}");
    stage.platform(json!({"namespace": "two"})).await?;
    stage.platform_says("Succeeded").await?;
    let leads = Api::<Lead>::namespaced(stage.cluster.client(), "two");
    until(|| async { Ok((leads.list(&Default::default()).await?.items.len() == 3).then_some(())) }).await.context("leads are discovered into two")?;
    ensure!(Api::<Lead>::namespaced(stage.cluster.client(), "three").list(&Default::default()).await?.items.is_empty());
    let third = Api::<OcEssentialService>::namespaced(stage.cluster.client(), "three").get("customer").await?;
    ensure!(third.status.unwrap_or_default().observed_generation.is_none() && third.metadata.finalizers.is_none(), "the third was touched");
    let calls = stage.simulate("GET", "calls", Value::Null).await?;
    ensure!(calls["byEndpoint"]["services.create"] == 2, "{calls}");
    let events = Api::<Event>::namespaced(stage.cluster.client(), "default").list(&Default::default()).await?.items;
    let of_platform = |event: &Event| event.regarding.as_ref().is_some_and(|about| about.kind.as_deref() == Some("LivePlatform"));
    ensure!(events.iter().any(of_platform), "{:?}", events.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    operator.end()?;
    let said = operator.said();
    ensure!(!said.to_lowercase().contains("forbidden"), "a right was missing: {said}");
    Ok(())
}

/// Without the permission to create leads in its namespace, discovery says so, and nothing else is affected. With the permission it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_says_that_a_permission_is_missing() -> Result<()> {
    let stage = Stage::set(&["one"], json!({"watchNamespaces": ["one"], "rbac": {"secrets": {"anywhere": true}}})).await?;
    let roles = Api::<Role>::namespaced(stage.cluster.client(), "one");
    let creates_leads = |rule: &PolicyRule| rule.verbs.contains(&"create".to_owned()) && rule.resources.iter().flatten().any(|kind| kind == "leads");
    let role = roles.list(&Default::default()).await?.into_iter().find(|role| role.rules.iter().flatten().any(creates_leads));
    let role = role.context("a role that may create leads")?;
    let rules = role.rules.clone().unwrap_or_default();
    let less: Vec<_> = rules.iter().filter(|rule| !creates_leads(rule)).collect();
    let patch = |rules: Value| kube::api::Patch::Merge(json!({"rules": rules}));
    roles.patch(&role.name_any(), &Default::default(), &patch(json!(less))).await?;
    stage.customer("one", 1).await?;
    stage.simulate("POST", "leads", json!({"tenantId": "77777777-2222-4222-8222-222222222222", "companyName": "Found"})).await?;
    stage.platform(json!({"namespace": "one"})).await?;
    let mut operator = stage.operator("permission", &["--watch-namespaces", "one"])?;
    let told = stage.discovered("ClusterRefused").await.with_context(|| operator.said())?;
    for words in ["2 leads have no Lead object in the namespace one.", "For tenant 00000001-0000-4000-8000-000000000000: ", r#"cannot create resource "leads""#]
    {
        ensure!(told.contains(words), "{words}: {told}");
    }
    stage.platform_says("Succeeded").await?;
    stage.ready("one").await.with_context(|| operator.said())?;
    roles.patch(&role.name_any(), &Default::default(), &patch(json!(rules))).await?;
    stage.discovered("Succeeded").await.with_context(|| operator.said())?;
    Api::<Lead>::namespaced(stage.cluster.client(), "one").get("found-77777777").await?;
    operator.end()
}

/// A trace collector, and what was sent to it.
async fn collector() -> Result<(String, Arc<Mutex<Vec<Bytes>>>)> {
    let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let take = Arc::clone(&received);
    let router = axum::Router::new().route(
        "/v1/traces",
        axum::routing::post(move |headers: http::HeaderMap, body: Bytes| {
            let protobuf = headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
            if protobuf {
                take.lock().unwrap().push(body);
            }
            async move { if protobuf { http::StatusCode::OK } else { http::StatusCode::UNSUPPORTED_MEDIA_TYPE } }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, received))
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()).and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text,
        _ => "",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pass_is_a_trace() -> Result<()> {
    let stage = Stage::set(&["one"], control_plane::reads_anywhere()).await?;
    for (flag, value, says) in [("--otlp-endpoint", "grpc://collector:4317", "such as http://collector:4318"), ("--trace-ratio", "2", "a number from 0 to 1")] {
        let ended = stage.command(&[flag, value]).output()?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains(says), "{flag} {value}: {said}");
    }
    let (address, received) = collector().await?;
    let mut operator = stage.operator("traces", &["--otlp-endpoint", &address])?;
    stage.platform(Value::Null).await?;
    stage.customer("one", 1).await?;
    let (metadata, spec) = (json!({"name": "customer", "namespace": "one"}), json!({"msTenantId": "00000001-0000-4000-8000-000000000000"}));
    stage.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": metadata, "spec": spec})).await?;
    stage.ready("one").await.with_context(|| operator.said())?;
    // Sent at the end at the latest.
    operator.end()?;

    let exports: Vec<ExportTraceServiceRequest> =
        received.lock().unwrap().iter().map(|body| ExportTraceServiceRequest::decode(body.clone())).collect::<Result<_, _>>()?;
    ensure!(!exports.is_empty(), "nothing was sent: {}", operator.said());
    let of = |export: &ExportTraceServiceRequest| export.resource_spans.clone();
    let resources = exports.iter().flat_map(of).filter_map(|spans| spans.resource).flat_map(|resource| resource.attributes).map(|attribute| attribute.key);
    ensure!(resources.into_iter().any(|key| key == "service.name"));
    let spans: Vec<Span> = exports.iter().flat_map(of).flat_map(|spans| spans.scope_spans).flat_map(|scope| scope.spans).collect();
    let children = |parent: &Span| {
        spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.trace_id == parent.trace_id).map(|span| span.name.as_str()).collect::<Vec<_>>()
    };
    let passes: Vec<&Span> = spans.iter().filter(|span| span.name == "OcEssentialService").collect();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let create = passes.iter().find(|pass| children(pass).contains(&"create_service")).with_context(|| format!("a pass that creates, in {names:?}"))?;
    ensure!(create.parent_span_id.is_empty() && attribute(create, "name") == "customer" && attribute(create, "namespace") == "one", "{create:?}");
    ensure!(attribute(create, "outcome") == "Converting" && !attribute(create, "priority").is_empty(), "{create:?}");
    ensure!(["write mark", "write status"].iter().all(|write| children(create).contains(write)), "{:?}", children(create));
    let call = spans.iter().find(|span| span.name == "create_service").context("the call")?;
    ensure!(attribute(call, "outcome").starts_with("Answered(2") && call.end_time_unix_nano > call.start_time_unix_nano, "{call:?}");
    ensure!(passes.iter().any(|pass| attribute(pass, "outcome") == "Succeeded") && names.contains(&"LivePlatform") && names.contains(&"token"), "{names:?}");
    ensure!(names.contains(&"Lead"), "a pass over the lead: {names:?}");
    let sent: Vec<String> = received.lock().unwrap().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    for value in PERSON {
        ensure!(sent.iter().all(|body| !body.contains(value)) && !operator.said().contains(value), "{value} was sent or logged");
    }
    let told = format!("{spans:?}");
    ensure!(!told.contains("simulator-secret") && !told.contains("requested a change"), "a span tells too much, or the log was sent");
    Ok(())
}

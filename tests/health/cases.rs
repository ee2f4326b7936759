//! The cases of health, metrics and time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oc_essentials_operator::telemetry::metrics::{CONTENT_TYPE, Type, catalogue};
use serde_json::json;
use tokio::time::Instant;

use super::openmetrics::{Family, Scrape};
use super::proxy::Mood;
use super::stage::{Scene, until};

pub async fn what_can_not_be_listened_on_is_told_at_the_start(scene: Scene) -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    for (arguments, says) in [
        (["--metrics-address", "8080"], "use :PORT, such as :8080, or ADDRESS:PORT"),
        (["--health-address", "health"], "use :PORT, such as :8080, or ADDRESS:PORT"),
        (["--metrics-address", "192.0.2.1:8080"], "can't listen on --metrics-address 192.0.2.1:8080; is it in use, or not an address of this machine?"),
        (["--health-address", &taken], "can't listen on"),
    ] {
        let ended = scene.command("unheard")?.args(arguments).output()?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains(says), "{arguments:?}: {} {said}", ended.status);
    }
    Ok(())
}

/// A proxy for the platform, and variables that something else sets to nothing.
pub async fn what_the_environment_has_for_others_hinders_nothing(scene: Scene) -> Result<()> {
    let environment = [
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("OPERATORCONNECT_METRICS_ADDRESS", ""),
        ("OPERATORCONNECT_TRACE_RATIO", ""),
        ("OPERATORCONNECT_LEASE_DURATION", ""),
        ("AZURE_FEDERATED_TOKEN_FILE", ""),
        ("KUBECONFIG", ""),
    ];
    let operator = scene.start_in("operator", &environment)?;
    operator.probes("/readyz", true, 20).await?;
    Ok(())
}

/// How the served families differ from the catalogue.
fn differences(scrape: &Scrape) -> Vec<String> {
    let mut wrong = Vec::new();
    // A counter's family has no `_total`; its samples have.
    let listed: BTreeMap<&str, _> = catalogue().iter().map(|metric| (metric.name.strip_suffix("_total").unwrap_or(metric.name), metric)).collect();
    let (names, served) = (listed.keys().copied().collect::<BTreeSet<_>>(), scrape.0.keys().map(String::as_str).collect::<BTreeSet<_>>());
    wrong.extend(names.difference(&served).map(|name| format!("{name} is in the catalogue and is not served")));
    wrong.extend(served.difference(&names).map(|name| format!("{name} is served and is not in the catalogue")));
    for (name, family) in &scrape.0 {
        let Some(metric) = listed.get(name.as_str()) else { continue };
        let Family { kind, unit, help, samples } = family;
        if (kind.as_str(), unit.as_deref()) != (metric.kind.as_str(), metric.unit()) || *help != format!("{}.", metric.help) {
            wrong.push(format!("{name}: {kind} {unit:?} {help}"));
        }
        if samples.is_empty() {
            wrong.push(format!("{name} has no series"));
        }
        for sample in samples {
            let mut labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
            let bucket = metric.kind == Type::Histogram && sample.name.ends_with("_bucket");
            if bucket != labels.remove("le") || labels != metric.labels.iter().copied().collect() {
                wrong.push(format!("{name}: {sample:?}"));
            }
        }
    }
    wrong
}

/// Checks the values for a platform that has two customers, each with a service.
fn values(scrape: &Scrape, platform: &str) -> Result<()> {
    let service = [("kind", "OcEssentialService")];
    let on = |more: &[(&'static str, &'static str)]| [&[("platform", platform)], more].concat();
    let exactly = [
        ("operatorconnect_platform_calls_total", on(&[("call", "create_service"), ("outcome", "2xx")]), 2.0),
        ("operatorconnect_platform_call_duration_seconds_count", on(&[("call", "create_service")]), 2.0),
        ("operatorconnect_time_to_first_look_seconds_count", service.to_vec(), 2.0),
        ("operatorconnect_inventory_entries", on(&[("list", "services")]), 2.0),
        ("operatorconnect_licenses", on(&[("license", "OC Essential")]), 2.0),
        ("operatorconnect_objects", vec![("kind", "OcEssentialService"), ("ready", "True"), ("reason", "Succeeded")], 2.0),
        ("operatorconnect_platform_calls_limit_per_second", on(&[]), 200.0),
        ("operatorconnect_platform_circuit_open", on(&[]), 0.0),
        ("operatorconnect_open_intents", service.to_vec(), 0.0),
        ("operatorconnect_leader", vec![], 1.0),
        ("operatorconnect_build_info", vec![("version", env!("CARGO_PKG_VERSION"))], 1.0),
    ];
    for (name, labels, value) in &exactly {
        let is = scrape.sum(name, labels);
        ensure!((is - value).abs() < f64::EPSILON, "{name} {labels:?} is {is}, not {value}");
    }
    for (name, labels) in [
        ("operatorconnect_reconcile_total", [("kind", "Lead"), ("outcome", "ready")].as_slice()),
        ("operatorconnect_reconcile_total", &[("kind", "OcEssentialService"), ("outcome", "asked")]),
        ("operatorconnect_workqueue_queue_duration_seconds_count", &[("priority", "changed")]),
        ("operatorconnect_apiserver_requests_total", &[("verb", "watch"), ("code", "200")]),
        ("operatorconnect_apiserver_requests_total", &[("verb", "patch"), ("code", "200")]),
        ("operatorconnect_platform_budget_wait_seconds_count", &[]),
        ("operatorconnect_inventory_age_seconds", &[("list", "leads")]),
        ("process_cpu_seconds_total", &[]),
        ("process_resident_memory_bytes", &[]),
    ] {
        ensure!(scrape.sum(name, labels) > 0.0, "{name} {labels:?} is 0");
    }
    Ok(())
}

pub async fn what_is_served_is_the_catalogue(scene: Scene) -> Result<()> {
    let operator = scene.start("operator", &[])?;
    operator.probes("/readyz", true, 20).await?;
    scene.platform().await?;
    for customer in 1..=2 {
        scene.customer(customer).await?;
    }
    for customer in 1..=2 {
        scene.ready(customer).await?;
    }
    let (platform, service) = (scene.platform_name(), [("kind", "OcEssentialService")]);
    let counted = || async {
        let scrape = operator.scrape().await?;
        Ok((scrape.sum("operatorconnect_time_to_ready_seconds_count", &service) == 2.0).then_some(scrape))
    };
    let scrape = until(20, counted).await.context("waiting for two services that were Ready")?;
    let wrong = differences(&scrape);
    ensure!(wrong.is_empty(), "{wrong:#?}");
    values(&scrape, &platform)?;
    let text = nothing_is_named(&scene, &operator).await?;
    measured(&format!("a scrape of two customers: {} bytes, {} lines", text.len(), text.lines().count()));
    scene.no_platform().await?;
    let forgotten = || async { Ok(operator.scrape().await?.values("platform").is_empty().then_some(())) };
    until(20, forgotten).await.context("waiting for the series of the platform to go with it")
}

/// Checks the content type, and that no names are in the text.
async fn nothing_is_named(scene: &Scene, operator: &super::stage::Operator) -> Result<String> {
    let answer = operator.get("metrics", "/metrics").await?;
    let kind = answer.headers().get("content-type").context("a type")?.to_str()?.to_owned();
    ensure!(kind == CONTENT_TYPE, "{kind}");
    let text = answer.text().await?;
    for name in [scene.name(1).as_str(), "customers", "-0000-4000-8000-", "A customer"] {
        ensure!(!text.contains(name), "{name} is in {text}");
    }
    Ok(text)
}

#[allow(clippy::print_stdout, reason = "a measurement, shown by --nocapture")]
fn measured(what: &str) {
    println!("{what}");
}

pub async fn a_status_that_is_not_taken_is_counted(scene: Scene) -> Result<()> {
    let operator = scene.start("operator", &[])?;
    operator.probes("/readyz", true, 20).await?;
    scene.platform().await?;
    scene.proxy.is(Mood::TakesNoStatus);
    scene.customer(1).await?;
    let lead = ("kind", "Lead");
    let counted = || async {
        let scrape = operator.scrape().await?;
        let failed = scrape.sum("operatorconnect_status_write_failures_total", &[lead]);
        let passes = scrape.sum("operatorconnect_reconcile_total", &[lead, ("outcome", "unwritten")]);
        let refused = scrape.sum("operatorconnect_apiserver_requests_total", &[("verb", "patch"), ("code", "503")]);
        Ok((failed >= 2.0 && passes >= 2.0 && refused >= 2.0).then_some(()))
    };
    until(20, counted).await.context("waiting for two tries that failed")?;
    let (well, text) = operator.probe("/livez").await?;
    ensure!(well, "what is tried again lives: {text}");
    scene.proxy.is(Mood::Well);
    scene.ready(1).await
}

/// How long a watch may be silent in these cases, in seconds.
const SILENCE: u64 = 8;

pub async fn a_frozen_watch_fails_liveness(scene: Scene) -> Result<()> {
    let operator = scene.start("operator", &["--watch-silence", &SILENCE.to_string()])?;
    scene.platform().await?;
    scene.customer(1).await?;
    scene.ready(1).await?;
    // Each kind has an event every second. With the real bound, bookmarks play that part.
    let keep = scene.clone();
    let happening = tokio::spawn(async move {
        for mark in 0.. {
            let _next = keep.touch(1, &format!("{mark}")).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(SILENCE + 4) {
        let (well, text) = operator.probe("/livez?verbose").await?;
        ensure!(well && text.contains("[+]watch-Lead ok"), "{text}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    scene.proxy.is(Mood::Frozen("leads"));
    let frozen = Instant::now();
    let text = operator.probes("/livez", false, SILENCE + 10).await?;
    measured(&format!("a frozen watch was told after {} ms, with a bound of {SILENCE} s", frozen.elapsed().as_millis()));
    ensure!(frozen.elapsed() > Duration::from_secs(SILENCE - 2), "it was told before it could be known: {text}");
    ensure!(text.contains("[-]watch-Lead failed: no sign of life"), "{text}");
    ensure!(["LivePlatform", "OcEssentialService", "LeadPolicy"].iter().all(|kind| text.contains(&format!("[+]watch-{kind} ok"))), "{text}");
    ensure!(!operator.probe("/readyz").await?.0, "and it is not ready");
    ensure!(operator.scrape().await?.sum("operatorconnect_watch_idle_seconds", &[("kind", "Lead")]) >= SILENCE as f64);
    scene.proxy.is(Mood::Well);
    operator.probes("/livez", true, 10).await?;
    happening.abort();
    Ok(())
}

pub async fn an_api_server_that_is_away_shows_in_readiness_alone(scene: Scene) -> Result<()> {
    let operator = scene.start("operator", &["--watch-silence", "60"])?;
    operator.probes("/readyz", true, 20).await?;
    scene.proxy.is(Mood::Down);
    let away = Instant::now();
    let text = operator.probes("/readyz", false, 20).await?;
    measured(&format!("an API server that is away was told after {} ms", away.elapsed().as_millis()));
    ensure!(text.contains("failed: its last attempt failed"), "{text}");
    while away.elapsed() < Duration::from_secs(15) {
        let (well, text) = operator.probe("/livez").await?;
        ensure!(well, "a restart does not help: {text}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let failures = operator.scrape().await?.sum("operatorconnect_watch_failures_total", &[]);
    ensure!(failures >= 3.0, "{failures} failures of three watches");
    scene.proxy.is(Mood::Well);
    let back = Instant::now();
    // A leader that sees nothing is no use: five seconds, plus what a busy machine needs.
    operator.probes("/readyz", true, 7).await.context("all is to be seen again soon")?;
    measured(&format!("that it is back was told after {} ms", back.elapsed().as_millis()));
    Ok(())
}

/// The node's clock is a day behind that of the API server. Then the API server's clock is set: it was the wrong one.
pub async fn a_node_whose_clock_is_wrong_takes_the_time_of_the_api_server(scene: Scene) -> Result<()> {
    const DAY: i64 = 86_400;
    scene.proxy.is(Mood::Dated(DAY));
    let mut operator = scene.start("operator", &[])?;
    operator.probes("/readyz", true, 20).await?;
    scene.platform().await?;
    scene.customer(1).await?;
    scene.ready(1).await?;
    let asked = scene.asked_for(1).await?;
    ensure!((asked - DAY).abs() < 120, "an intent that a process on another node would take for one of yesterday: {asked} s");
    scene.proxy.is(Mood::Well);
    let holds = || async { Ok(operator.said()?.contains("starting nothing new").then_some(())) };
    until(20, holds).await.context("waiting for the operator to see that the time was set")?;
    // Nothing is outstanding, so it ends soon; new work is not started.
    scene.customer(2).await?;
    let status = operator.ended().await?;
    let said = operator.said()?;
    ensure!(!status.success() && said.contains("the clock was changed by more than"), "{status}: {said}");
    let _again = scene.start("again", &[])?;
    scene.ready(2).await?;
    let asked = scene.asked_for(2).await?;
    ensure!(asked.abs() < 120, "{asked} s");
    Ok(())
}

pub async fn a_platform_that_is_away_is_no_reason_to_restart(scene: Scene) -> Result<()> {
    let operator = scene.start("operator", &[])?;
    scene.platform().await?;
    scene.customer(1).await?;
    scene.ready(1).await?;
    let platform = scene.platform_name();
    let shows = |open: f64, opened: f64| {
        let (operator, platform) = (&operator, platform.as_str());
        move || async move {
            let scrape = operator.scrape().await?;
            let is_open = scrape.sum("operatorconnect_platform_circuit_open", &[("platform", platform)]);
            let reason = [("platform", platform), ("reason", "PlatformUnavailable")];
            let has_opened = scrape.sum("operatorconnect_platform_circuit_opened_total", &reason);
            Ok(((is_open - open).abs() < f64::EPSILON && has_opened >= opened).then_some(scrape))
        }
    };
    until(10, shows(0.0, 0.0)).await.context("waiting for a circuit that is closed")?;
    scene.simulate("POST", "faults", json!({"kind": "serverError", "forever": true})).await?;
    let scrape = until(40, shows(1.0, 1.0)).await.context("waiting for the circuit to open")?;
    ensure!(scrape.sum("operatorconnect_platform_calls_total", &[("platform", &platform), ("outcome", "5xx")]) >= 3.0);
    ensure!(scrape.sum("operatorconnect_reconcile_total", &[("kind", "LivePlatform"), ("outcome", "failed")]) >= 1.0);
    for path in ["/livez", "/readyz"] {
        let (well, text) = operator.probe(path).await?;
        ensure!(well, "{path}: nothing here can be mended by a restart, and another platform may be well: {text}");
    }
    scene.simulate("DELETE", "faults", json!(null)).await?;
    until(60, shows(0.0, 1.0)).await.context("waiting for the circuit to close")?;
    Ok(())
}

/// Settings of an election that expires soon.
const SOON: [&str; 6] = ["--lease-duration", "8", "--lease-renew-deadline", "6", "--lease-retry", "1"];

pub async fn an_api_server_that_comes_back_is_waited_for_at_the_start(scene: Scene) -> Result<()> {
    let mut first = scene.start_elected("first", &SOON)?;
    first.leads(20).await?;
    scene.proxy.is(Mood::Down);
    let status = first.ended().await?;
    ensure!(!status.success() && first.said()?.contains("it could not be renewed within 6 s"), "{status}: {}", first.said()?);
    // As a supervisor would restart it; and twice, because one of them is asked to end.
    let (mut second, mut unwanted) = (scene.start_elected("second", &SOON)?, scene.start_elected("unwanted", &SOON)?);
    for operator in [&second, &unwanted] {
        let text = operator.probes("/readyz", false, 20).await?;
        ensure!(text.contains("[-]stage failed: the API server has not answered yet"), "{text}");
    }
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(5) {
        let (well, text) = second.probe("/livez").await?;
        ensure!(well, "a restart does not help: {text}");
        ensure!(!second.probe("/readyz").await?.0, "it is not ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let said = second.said()?;
    let told = said.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).count();
    ensure!(told == 1 && said.contains("the API server does not answer"), "a trouble is told once: {said}");
    unwanted.terminate()?;
    let status = unwanted.ended().await?;
    ensure!(status.success(), "{status}: {}", unwanted.said()?);
    scene.proxy.is(Mood::Well);
    let back = Instant::now();
    second.leads(30).await?;
    measured(&format!("the operator led {} ms after the API server was back", back.elapsed().as_millis()));
    second.probes("/readyz", true, 5).await?;
    scene.platform().await?;
    scene.customer(1).await?;
    scene.ready(1).await?;
    // Releases the lease for the cases that follow.
    second.terminate()?;
    second.ended().await?;
    Ok(())
}

pub async fn a_replica_that_waits_is_ready(scene: Scene) -> Result<()> {
    let first = scene.start_elected("first", &[])?;
    first.leads(20).await?;
    // It reads the lease more often than the lease is renewed, so that the watch cannot be what brings it.
    let second = scene.start_elected("second", &["--lease-retry", "1"])?;
    second.probes("/readyz", true, 20).await?;
    for (operator, leads) in [(&first, 1.0), (&second, 0.0)] {
        let (well, text) = operator.probe("/livez?verbose").await?;
        ensure!(well && text.contains("[+]lease ok"), "{text}");
        ensure!((operator.scrape().await?.sum("operatorconnect_leader", &[]) - leads).abs() < f64::EPSILON);
    }
    // Waiting longer than the election may pause would take long. The repeated reads of the lease show that the election goes on while it waits.
    let looks = || async { anyhow::Ok(second.scrape().await?.sum("operatorconnect_apiserver_requests_total", &[("verb", "get"), ("code", "200")])) };
    let before = looks().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = looks().await?;
    ensure!(after >= before + 2.0, "in 4 s it has looked {} times at a lease that it looks at each second", after - before);
    Ok(())
}

pub async fn one_that_is_to_end_is_not_ready_and_lives(scene: Scene) -> Result<()> {
    let mut operator = scene.start("operator", &[])?;
    operator.probes("/readyz", true, 20).await?;
    scene.platform().await?;
    let before = scene.calls("services.create").await?;
    scene.simulate("POST", "faults", json!({"kind": "delay", "endpoint": "services.create", "delay": 4000, "executed": true})).await?;
    scene.customer(1).await?;
    until(20, || async { Ok((scene.calls("services.create").await? > before).then_some(())) }).await.context("waiting for a create that takes long")?;
    operator.terminate()?;
    let text = operator.probes("/readyz", false, 3).await?;
    ensure!(text.contains("[-]stage failed: it is shutting down"), "{text}");
    let (well, text) = operator.probe("/livez").await?;
    ensure!(well, "what finishes its work must not be killed: {text}");
    ensure!(operator.scrape().await?.sum("operatorconnect_active_workers", &[]) >= 1.0, "metrics are served to the end");
    let status = operator.ended().await?;
    ensure!(status.success(), "{status}: {}", operator.said()?);
    Ok(())
}

//! The cases of the leader election.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::Instant;

use super::stage::{LEASE, Replica, Scene, until};

/// Part of the log line of a pass that called the platform, or could have.
const PASS: &str = "\"why\"";

#[allow(clippy::print_stdout, reason = "a measurement, shown by --nocapture")]
fn measured(what: &str, from: Instant, to: Instant) -> Duration {
    let span = to.saturating_duration_since(from);
    println!("{what}: {} ms", span.as_millis());
    span
}

pub async fn what_makes_no_sense_is_refused_at_the_start(scene: Scene) -> Result<()> {
    let wrong: [(&[&str], &str); 3] = [
        (&["--lease-duration", "3"], "lease duration (3s) must be longer than the renew deadline (3s)"),
        (&["--lease-retry", "3"], "must be longer than the retry interval (3s)"),
        (&["--lease-namespace", "elsewhere"], "no permission to get leases in the namespace elsewhere"),
    ];
    for (arguments, says) in wrong {
        let ended = scene.pod("wrong")?.command.args(arguments).output()?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(!ended.status.success() && said.contains(says), "{arguments:?}: {} {said}", ended.status);
    }
    let ended = scene.pod("wrong")?.command.env_remove("OPERATORCONNECT_LEASE_NAMESPACE").output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(!ended.status.success() && said.contains("use --lease-namespace"), "{} {said}", ended.status);
    Ok(())
}

pub async fn one_leads_and_the_other_asks_nothing(scene: Scene) -> Result<()> {
    let tokens = scene.calls("token").await?;
    let (first, second) = scene.pair().await?;
    for customer in 1..=3 {
        scene.customer(customer).await?;
    }
    for customer in 1..=3 {
        scene.ready(customer, 30).await?;
    }
    tokio::time::sleep(Duration::from_secs(LEASE[0] + 1)).await;
    ensure!(scene.holder().await? == "first", "the leader keeps the lease");
    ensure!(first.said()?.contains(PASS), "the one that leads says what it does; without that the next line proves nothing");
    ensure!(!second.said()?.contains(PASS), "the one that waits made a pass");
    ensure!(scene.calls("token").await? == tokens + 1, "one replica called the platform, and so asked for one token");
    Ok(())
}

pub async fn a_leader_that_ends_hands_over_at_once(scene: Scene) -> Result<()> {
    let (mut first, second) = scene.pair().await?;
    scene.customer(1).await?;
    scene.ready(1, 30).await?;
    let creates = scene.calls("services.create").await?;
    let asked = Instant::now();
    first.signal("TERM")?;
    let (status, ended) = first.ended().await?;
    ensure!(status.success(), "{status}");
    let held = scene.held_by("second").await?;
    scene.customer(2).await?;
    until(20, || async { Ok((scene.calls("services.create").await? > creates).then_some(())) }).await?;
    let created = Instant::now();
    let ready = scene.ready(2, 30).await?;
    measured("SIGTERM to the end of the leader", asked, ended);
    let handed_over = measured("end of the leader to the lease in the other's hands", ended, held);
    measured("end of the leader to a create of the other", ended, created);
    measured("end of the leader to a service of the other that is Ready", ended, ready);
    ensure!(handed_over < Duration::from_secs(5), "{handed_over:?}");
    ensure!(second.said()?.contains("requested a change from the platform"));
    Ok(())
}

pub async fn a_call_under_way_is_finished_before_the_lease_is_given_back(scene: Scene) -> Result<()> {
    let (mut first, second) = scene.pair().await?;
    let creates = scene.calls("services.create").await?;
    // Longer than the lease: it must be renewed while the call finishes.
    let delay = (LEASE[0] + 2) * 1000;
    scene.simulate("POST", "faults", json!({"kind": "delay", "endpoint": "services.create", "delay": delay, "executed": true})).await?;
    scene.customer(1).await?;
    until(20, || async { Ok((scene.calls("services.create").await? > creates).then_some(())) }).await?;
    first.signal("TERM")?;
    first.says("those in progress may finish").await?;
    tokio::time::sleep(Duration::from_secs(LEASE[0] + 1)).await;
    ensure!(scene.holder().await? == "first" && !second.said()?.contains("this replica leads"), "the lease is kept for as long as the call takes");
    let (status, ended) = first.ended().await?;
    ensure!(status.success(), "{status}: {}", first.said()?);
    // Only the first replica got the answer. The task in the status shows that it was written before the end.
    let operation = scene.object(1).await?.status.and_then(|status| status.operation);
    ensure!(operation.as_ref().is_some_and(|operation| operation.task_id.is_some()), "status tells of the task: {operation:?}");
    measured("end of a leader that finished its call to the lease in the other's hands", ended, scene.held_by("second").await?);
    scene.ready(1, 30).await?;
    ensure!(scene.calls("services.create").await? == creates + 1, "asked for once");
    Ok(())
}

pub async fn a_killed_leader_is_followed_when_its_lease_is_over(scene: Scene) -> Result<()> {
    let (first, second) = scene.pair().await?;
    let killed = Instant::now();
    first.signal("KILL")?;
    scene.customer(1).await?;
    let held = scene.held_by("second").await?;
    let ready = scene.ready(1, 30).await?;
    let span = measured("SIGKILL of the leader to the lease in the other's hands", killed, held);
    measured("SIGKILL of the leader to a service of the other that is Ready", killed, ready);
    let [duration, _, retry] = LEASE;
    ensure!(span >= Duration::from_secs(duration - retry - 1), "it was taken before it was over: {span:?}");
    ensure!(span <= Duration::from_secs(duration + 2 * retry + 2), "{span:?}");
    ensure!(second.said()?.contains("requested a change from the platform"));
    Ok(())
}

/// A kubelet restarts a container in the same pod, with the same UID: the lease is its own, and nobody waits for it to expire.
pub async fn a_container_that_is_started_again_goes_on_with_its_lease(scene: Scene) -> Result<()> {
    let uid = format!("restarted-{}", std::process::id());
    let mut first = scene.in_pod("first-life", &uid, &["--lease-duration", "60", "--lease-renew-deadline", "50"])?;
    first.says("this replica leads").await?;
    // As long as it lives, nobody else gets its name, whichever way it was given.
    let other = scene.in_pod("beside-it", &uid, &["--lease-duration", "60", "--lease-renew-deadline", "50"])?;
    other.says("another process of this pod is running").await?;
    other.says("another replica leads; waiting").await?;
    drop(other);
    scene.customer(1).await?;
    scene.ready(1, 30).await?;
    first.signal("KILL")?;
    first.ended().await?;
    let killed = Instant::now();
    let second = scene.in_pod("second-life", &uid, &["--lease-duration", "60", "--lease-renew-deadline", "50"])?;
    second.says("this replica leads").await?;
    let took = measured("a container that was started again led", killed, Instant::now());
    ensure!(took < Duration::from_secs(15), "it has waited for its own lease: {took:?}");
    scene.customer(2).await?;
    scene.ready(2, 30).await?;
    Ok(())
}

pub async fn a_deposed_leader_ends(scene: Scene) -> Result<()> {
    let mut first = scene.replica("first")?;
    first.says("this replica leads").await?;
    scene.depose("somebody").await?;
    let (status, _) = first.ended().await?;
    ensure!(!status.success(), "Kubernetes is to start it again: {status}");
    ensure!(first.said()?.contains("was lost to somebody"), "{}", first.said()?);
    Ok(())
}

/// When the leader is stopped, one create is in progress, two more have recorded intents and wait for its end, and the others wait in the queue.
async fn stopped_in_line(scene: &Scene, leader: &Replica, creates: u64) -> Result<()> {
    scene.platform(json!({"perSecond": 200, "burst": 200, "inFlight": 1})).await?;
    scene.platform_taken_in().await?;
    scene.simulate("POST", "faults", json!({"kind": "delay", "endpoint": "services.create", "delay": 2000, "executed": true})).await?;
    for customer in 1..=5 {
        scene.customer(customer).await?;
    }
    let in_line = || async {
        let mut recorded = 0;
        for customer in 1..=5 {
            recorded += u32::from(scene.has_intent(customer).await?);
        }
        Ok((recorded == 3 && scene.calls("services.create").await? == creates + 1).then_some(()))
    };
    until(20, in_line).await?;
    leader.signal("STOP")?;
    // The other replica is not slowed down.
    scene.platform(json!({})).await
}

pub async fn a_stopped_leader_starts_nothing_when_it_goes_on(scene: Scene) -> Result<()> {
    let (mut first, second) = scene.pair().await?;
    let creates = scene.calls("services.create").await?;
    stopped_in_line(&scene, &first, creates).await?;
    let stopped = Instant::now();
    scene.customer(6).await?;
    let held = scene.held_by("second").await?;
    measured("SIGSTOP of the leader to the lease in the other's hands", stopped, held);
    scene.ready(6, 30).await?;
    // What was certainly created is found; what may have been requested is looked for until its grace is over; what waited without an intent is created at
    // once.
    until(30, || async { Ok((scene.calls("services.create").await? >= creates + 4).then_some(())) }).await?;
    until(30, || async { Ok((scene.simulate("GET", "state", json!(null)).await?["tasks"]["inProgress"] == json!(0)).then_some(())) }).await?;
    let (changes, created) = (scene.changes().await?, scene.calls("services.create").await?);
    ensure!(created == creates + 4, "one by the first, and three by the second: {created} after {creates}");
    let said = first.said()?.len();
    first.signal("CONT")?;
    let (status, _) = first.ended().await?;
    measured("SIGSTOP of the leader to its end after SIGCONT", stopped, Instant::now());
    ensure!(!status.success(), "{status}");
    let since = first.said()?.split_off(said);
    ensure!(since.contains("no longer leads"), "{since}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(scene.changes().await? == changes, "the one that was stopped changed something: {since}");
    ensure!(scene.holder().await? == "second");
    // All of them in the end, and none twice.
    for customer in 1..=6 {
        scene.ready(customer, 100).await?;
    }
    ensure!(scene.calls("services.create").await? == creates + 6, "each was asked for once");
    ensure!(second.said()?.contains("requested a change from the platform"));
    Ok(())
}

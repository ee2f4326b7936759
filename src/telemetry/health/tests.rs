//! Each check fails when the part it looks at stops, and no other check does.

use kube::{Client, Config};
use oc_domain::election::Timing;

use crate::cluster::election::{self, ElectionHandle};
use crate::controllers::ObjectKey;
use crate::runtime::leadership::Leadership;
use crate::runtime::workqueue::Priority;
use crate::telemetry::health::*;

const SECOND: Duration = Duration::from_secs(1);

fn well() -> Signs {
    let watches = Kind::ALL.map(|kind| {
        (
            kind,
            WatchStatus {
                complete: true,
                ..WatchStatus::default()
            },
        )
    });
    Signs {
        stage: StartStage::Working,
        watches: watches.into(),
        lease: Some((SECOND, SECOND * 45)),
        ..Signs::default()
    }
}

fn refused(namespace: &str) -> (Kind, WatchStatus) {
    (
        Kind::Lead,
        WatchStatus {
            of: namespace.into(),
            refused: Some("forbidden".into()),
            failing: true,
            ..WatchStatus::default()
        },
    )
}

/// The names of the failed checks.
fn wrong(report: &Report) -> Vec<&str> {
    report
        .checks
        .iter()
        .filter(|(_, found)| found.is_err())
        .map(|(name, _)| name.as_str())
        .collect()
}

#[allow(clippy::too_many_lines, reason = "a table, one row for each case")]
#[test]
fn what_stands_still_is_told_by_its_name() {
    let bounds = Bounds::default();
    type Change = fn(&mut Signs);
    let table: [(Change, &[&str], &[&str]); 15] = [
        (|_| {}, &[], &[]),
        (
            |signs| signs.watches[1].1.silent = SECOND * 601,
            &["watch-Lead"],
            &["watch-Lead"],
        ),
        (|signs| signs.watches[1].1.silent = SECOND * 599, &[], &[]),
        (
            |signs| signs.watches[2].1.failing = true,
            &[],
            &["watch-OcEssentialService"],
        ),
        (
            |signs| signs.watches[0].1.complete = false,
            &[],
            &["watch-LivePlatform"],
        ),
        (|signs| signs.watches.extend([refused("b")]), &[], &[]),
        (
            |signs| signs.watches = vec![signs.watches[0].clone(), refused("b"), refused("c")],
            &[],
            &["watch-Lead.b", "watch-Lead.c"],
        ),
        (|signs| signs.queue.idle = SECOND * 121, &["queue"], &["queue"]),
        (
            |signs| (signs.stage, signs.queue.idle) = (StartStage::Waiting, SECOND * 9999),
            &[],
            &[],
        ),
        (
            |signs| (signs.stage, signs.queue.idle) = (StartStage::Stopping, SECOND * 9999),
            &[],
            &["stage"],
        ),
        (
            |signs| signs.queue.longest = SECOND * 3601,
            &["passes"],
            &["passes"],
        ),
        (
            |signs| signs.lease = Some((SECOND * 46, SECOND * 45)),
            &["lease"],
            &["lease"],
        ),
        (|signs| signs.lease = None, &[], &[]),
        (|signs| signs.stage = StartStage::Starting, &[], &["stage"]),
        (|signs| *signs = Signs::default(), &[], &["stage"]),
    ];
    for (number, (change, live, ready)) in table.into_iter().enumerate() {
        let mut signs = well();
        change(&mut signs);
        assert_eq!(
            (
                wrong(&signs.live(&bounds)).as_slice(),
                wrong(&signs.ready(&bounds)).as_slice()
            ),
            (live, ready),
            "row {number}"
        );
    }
}

#[test]
fn an_answer_is_a_word_or_each_check_and_what_fails_is_always_told() {
    let mut signs = well();
    let bounds = Bounds::default();
    assert_eq!(signs.live(&bounds).text("livez", false), "ok");
    let verbose = signs.live(&bounds).text("livez", true);
    assert!(
        verbose.starts_with("[+]watch-LivePlatform ok\n") && verbose.ends_with("livez check passed\n"),
        "{verbose}"
    );
    signs.watches.push(refused("b"));
    let noted = signs.ready(&bounds);
    assert_eq!(noted.text("readyz", false), "ok");
    assert!(
        noted
            .text("readyz", true)
            .contains("[!]watch-Lead.b is refused: forbidden; the other namespaces are served\n"),
        "{noted:?}"
    );
    signs.queue.idle = SECOND * 300;
    let failed = signs.live(&bounds).text("livez", false);
    assert!(
        failed.contains("[-]queue failed: no pass has taken a due object for 300 s; the limit is 120 s\n"),
        "{failed}"
    );
    assert!(failed.ends_with("livez check failed\n"), "{failed}");
}

fn nowhere() -> Client {
    let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to this: {what}");
}

/// The queue is served as `run` does it, and then no longer: its task is dropped, as a bug might do.
#[tokio::test]
async fn a_queue_that_nobody_serves_any_more_is_dead() {
    let context = Context::bare(nowhere(), Leadership::without_election(), Arc::new(()));
    let health = Health::new(
        Arc::clone(&context),
        Bounds {
            queue: Duration::from_millis(300),
            ..Bounds::default()
        },
    );
    health.is(StartStage::Working);
    let served = Arc::clone(&context);
    let serving = tokio::spawn(async move {
        loop {
            let (key, _, _) = served.queue.next().await;
            served.queue.done(&key);
        }
    });
    for _ in 0..5 {
        context.enqueue(&ObjectKey::lead("a", "b"), Priority::Changed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(health.live().is_good(), "{:?}", health.live());
    }
    serving.abort();
    context.enqueue(&ObjectKey::lead("a", "b"), Priority::Changed);
    until("the queue is dead", || wrong(&health.live()) == ["queue"]).await;
    health.is(StartStage::Stopping);
    assert!(
        health.live().is_good(),
        "one that is to end takes nothing more, and must not be killed for it"
    );
}

#[tokio::test]
async fn a_pass_that_never_ends_is_told() {
    let context = Context::bare(nowhere(), Leadership::without_election(), Arc::new(()));
    let health = Health::new(
        Arc::clone(&context),
        Bounds {
            pass: Duration::from_millis(100),
            ..Bounds::default()
        },
    );
    context.enqueue(&ObjectKey::lead("a", "b"), Priority::Changed);
    let (key, _, _) = context.queue.next().await;
    until("the pass is taken for one that never ends", || {
        wrong(&health.live()) == ["passes"]
    })
    .await;
    context.queue.done(&key);
    assert!(health.live().is_good());
}

/// The API server is away, so each try of the election fails; that is no reason for a restart. An election
/// that no longer tries is.
#[tokio::test]
async fn an_election_that_fails_lives_and_one_that_stands_still_is_dead() {
    let context = Context::bare(nowhere(), Leadership::elected(), Arc::new(()));
    let health = Health::new(Arc::clone(&context), Bounds::default());
    let timing = Timing::new(
        Duration::from_millis(900),
        Duration::from_millis(600),
        Duration::from_millis(50),
    )
    .unwrap();
    let settings = election::ElectionSettings {
        namespace: "a".into(),
        name: "b".into(),
        identity: "c".into(),
        timing,
    };
    let election_handle = ElectionHandle::start(nowhere(), settings, Leadership::elected(), || true);
    health.election(election_handle.heartbeat().zip(Some(Duration::from_millis(900))));
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(health.live().is_good(), "{:?}", health.live());
    }
    drop(election_handle);
    until("the election is dead", || wrong(&health.live()) == ["lease"]).await;
}

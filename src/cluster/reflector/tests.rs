//! A scripted API server, and what the store knows after each step.

use parking_lot::Mutex;
use std::collections::VecDeque;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::cluster::key::ObjectKey;
use crate::cluster::reflector::*;
use oc_api::Lead;

/// The next response.
#[derive(Clone)]
enum Say {
    /// A list of this version, with these objects.
    List(u32, Vec<Value>),
    /// A watch that delivers these events and ends; with `None` at its end it goes on forever.
    Watch(Vec<Option<String>>),
    /// A failure.
    Fail(u16),
}

struct Server {
    script: Mutex<VecDeque<Say>>,
    /// What was requested, and when.
    asked: Mutex<Vec<(String, Duration)>>,
}

fn lead(name: &str, version: u32, more: Value) -> Value {
    let mut spec = json!({"platform": "default", "msTenantId": "22222222-2222-4222-8222-222222222222"});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let metadata =
        json!({"name": name, "namespace": "n", "uid": name, "resourceVersion": version.to_string()});
    json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": metadata, "spec": spec})
}

/// As the API server writes it: the type comes first.
fn event(kind: &str, object: Value) -> Option<String> {
    Some(format!(r#"{{"type":"{kind}","object":{object}}}"#))
}

/// `Expired`, as the API server sends it in a watch.
fn too_old() -> Option<String> {
    event(
        "ERROR",
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old resource version", "code": 410}),
    )
}

fn status(code: u16) -> Response<Body> {
    let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Other", "message": "x", "code": code});
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

fn answer(say: Say) -> Response<Body> {
    match say {
        Say::Fail(code) => status(code),
        Say::List(version, items) => {
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version.to_string()}, "items": items});
            Response::new(Body::from(list.to_string()))
        }
        Say::Watch(events) => {
            let lines = futures::stream::unfold(VecDeque::from(events), |mut events| async move {
                match events.pop_front()? {
                    Some(event) => Some((
                        Ok::<_, std::io::Error>(bytes::Bytes::from(format!("{event}\n"))),
                        events,
                    )),
                    None => std::future::pending().await,
                }
            });
            Response::new(Body::from_stream(lines))
        }
    }
}

/// A hundred times as fast.
const FAST: BackOff = BackOff {
    first: Duration::from_micros(2500),
    longest: Duration::from_millis(50),
    short: Duration::from_millis(10),
};

/// On a busy machine everything takes longer.
const LAG: Duration = Duration::from_millis(40);

/// Follows a script to its end, and a little longer. Returns the requests and the store.
async fn follows(script: Vec<Say>) -> (Vec<(String, Duration)>, Arc<Store<Lead>>, Arc<WatchHealth>) {
    let server = Arc::new(Server {
        script: Mutex::new(script.into()),
        asked: Mutex::default(),
    });
    let begun = tokio::time::Instant::now();
    let answers = Arc::clone(&server);
    let client = Client::new(
        tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let what = if query.contains("watch=true") {
                let version = query
                    .split('&')
                    .find_map(|part| part.strip_prefix("resourceVersion="))
                    .unwrap_or_default();
                format!("watch {version}")
            } else if query.contains("limit=1&") || query.ends_with("limit=1") {
                "newest".to_owned()
            } else {
                "list".to_owned()
            };
            answers.asked.lock().push((what, begun.elapsed()));
            let say = answers.script.lock().pop_front();
            async move {
                match say {
                    Some(say) => Ok::<_, std::convert::Infallible>(answer(say)),
                    None => std::future::pending().await,
                }
            }
        }),
        "n",
    );
    let (store, watched) = (
        Arc::<Store<Lead>>::default(),
        Arc::new(WatchHealth::of(Some("n"))),
    );
    let client = crate::cluster::watch_health::instrumented(&client, &watched);
    let played = async {
        while !server.script.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    };
    tokio::select! { () = follow_at(FAST, client, Some("n"), &store, &watched, |_| {}) => {}, () = played => {} }
    let asked = server.asked.lock().clone();
    (asked, store, watched)
}

fn words(asked: &[(String, Duration)]) -> Vec<&str> {
    asked.iter().map(|(what, _)| what.as_str()).collect()
}

fn known(store: &Store<Lead>) -> Vec<String> {
    let mut names = Vec::new();
    store.for_each(|lead| {
        names.push(format!(
            "{}@{}",
            lead.metadata.name.clone().unwrap(),
            lead.metadata.resource_version.clone().unwrap()
        ))
    });
    names.sort();
    names
}

#[tokio::test]
async fn one_object_that_can_not_be_read_keeps_no_other_away() {
    let bad = |version| lead("bad", version, json!({"deletionPolicy": "Archive"}));
    let script = vec![
        Say::List(10, vec![lead("a", 3, json!({})), bad(4), lead("b", 5, json!({}))]),
        Say::Watch(vec![
            event("MODIFIED", bad(11)),
            event("ADDED", lead("c", 12, json!({}))),
            None,
        ]),
    ];
    let (asked, store, watched) = follows(script).await;
    assert_eq!(words(&asked), ["list", "watch 10"]);
    assert_eq!(known(&store), ["a@3", "b@5", "bad@11", "c@12"]);
    assert!(
        store
            .wrong(&ObjectKey::lead("n", "bad"))
            .is_some_and(|wrong| wrong.contains("spec.deletionPolicy: unknown variant `Archive`"))
    );
    assert!(store.wrong(&ObjectKey::lead("n", "a")).is_none() && watched.seen().is_well());
}

#[tokio::test]
async fn what_is_too_old_is_listed_anew_at_once() {
    let script = vec![
        Say::List(10, vec![lead("a", 3, json!({})), lead("b", 4, json!({}))]),
        Say::Watch(vec![too_old()]),
        Say::List(90, vec![lead("a", 80, json!({}))]),
        Say::Watch(vec![
            event("DELETED", lead("a", 91, json!({}))),
            event("ADDED", lead("c", 92, json!({}))),
            None,
        ]),
    ];
    let (asked, store, _) = follows(script).await;
    assert_eq!(words(&asked), ["list", "watch 10", "list", "watch 90"]);
    assert!(asked[3].1 < LAG, "{asked:?}");
    assert_eq!(known(&store), ["c@92"]);
    // The same with a status instead of an event.
    let (asked, ..) = follows(vec![
        Say::List(10, vec![]),
        Say::Fail(410),
        Say::List(90, vec![]),
        Say::Watch(vec![None]),
    ])
    .await;
    assert_eq!(
        (words(&asked), asked[3].1 < LAG),
        (vec!["list", "watch 10", "list", "watch 90"], true),
        "{asked:?}"
    );
    // An API server that says so of each version it has just returned is not asked without a pause.
    let (asked, ..) = follows(
        (0..8)
            .flat_map(|_| [Say::List(10, vec![]), Say::Watch(vec![too_old()])])
            .collect(),
    )
    .await;
    assert!(asked.last().unwrap().1 > Duration::from_millis(15), "{asked:?}");
}

#[tokio::test]
async fn after_a_long_outage_all_is_seen_within_five_seconds() {
    let mut script = vec![
        Say::List(10, vec![]),
        Say::Watch(vec![event("ADDED", lead("a", 11, json!({})))]),
    ];
    script.extend(vec![Say::Fail(503); 40]);
    script.extend([
        Say::List(50, vec![]),
        Say::Watch(vec![too_old()]),
        Say::List(60, vec![lead("b", 55, json!({}))]),
        Say::Watch(vec![None]),
    ]);
    let (asked, store, watched) = follows(script).await;
    let pauses: Vec<Duration> = asked
        .windows(2)
        .map(|two| two[1].1.saturating_sub(two[0].1))
        .collect();
    assert!(
        pauses.iter().all(|pause| *pause <= FAST.longest + LAG),
        "{pauses:?}"
    );
    assert!(
        asked[41].1 > Duration::from_millis(600),
        "it is not asked all the time either: {asked:?}"
    );
    assert!(
        pauses[42..].iter().all(|pause| *pause < LAG),
        "once it is back nothing waits: {pauses:?}"
    );
    assert_eq!(
        (known(&store), watched.seen().is_well()),
        (vec!["b@55".to_owned()], true)
    );
}

#[tokio::test]
async fn versions_that_go_back_are_noticed_and_what_a_list_brings_then_is_taken() {
    let script = vec![
        Say::List(500, vec![lead("a", 450, json!({})), lead("gone", 460, json!({}))]),
        Say::Watch(vec![event("MODIFIED", lead("a", 510, json!({})))]),
        Say::List(317, vec![]),
        Say::List(
            317,
            vec![
                lead("a", 300, json!({"suspend": true})),
                lead("back", 310, json!({})),
            ],
        ),
        Say::Watch(vec![event("MODIFIED", lead("a", 318, json!({}))), None]),
    ];
    let (asked, store, _) = follows(script).await;
    assert_eq!(
        words(&asked),
        ["list", "watch 500", "newest", "list", "watch 317"]
    );
    assert_eq!(known(&store), ["a@318", "back@310"]);
    // If they have not, the watch goes on.
    let script = vec![
        Say::List(500, vec![]),
        Say::Watch(vec![event("ADDED", lead("a", 510, json!({})))]),
        Say::List(600, vec![]),
        Say::Watch(vec![None]),
    ];
    assert_eq!(
        words(&follows(script).await.0),
        ["list", "watch 500", "newest", "watch 510"]
    );
}

#[tokio::test]
async fn a_namespace_that_is_refused_is_told_and_tried_again() {
    let (asked, store, watched) = follows(vec![Say::Fail(403); 5]).await;
    assert_eq!((words(&asked).len(), known(&store).len()), (6, 0));
    assert!(
        watched.seen().refused.is_some() && watched.seen().is_well(),
        "{:?}",
        watched.seen()
    );
    let mut script = vec![Say::Fail(403); 5];
    script.extend([
        Say::List(9, vec![lead("a", 3, json!({}))]),
        Say::Watch(vec![None]),
    ]);
    let (_, store, watched) = follows(script).await;
    assert_eq!(
        (known(&store), watched.seen().refused),
        (vec!["a@3".to_owned()], None)
    );
}

#[tokio::test]
async fn half_a_list_says_nothing_of_what_is_not_in_it() {
    let script = vec![
        Say::List(10, vec![lead("a", 3, json!({})), lead("b", 4, json!({}))]),
        Say::Watch(vec![too_old()]),
        Say::Fail(500),
        Say::List(20, vec![lead("b", 4, json!({}))]),
        Say::Watch(vec![None]),
    ];
    let (asked, store, _) = follows(script.clone()).await;
    assert_eq!(
        (words(&asked), known(&store)),
        (
            vec!["list", "watch 10", "list", "list", "watch 20"],
            vec!["b@4".to_owned()]
        )
    );
    let (_, store, _) = follows(script[..3].to_vec()).await;
    assert_eq!(known(&store), ["a@3", "b@4"]);
}

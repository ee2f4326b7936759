//! A reverse proxy in front of the API server that can fall silent for one kind, like a connection whose other end is gone, or break down.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// More than any request of the operator.
const MOST_BYTES: usize = 4 << 20;

/// The behaviour of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It forwards everything.
    Well,
    /// Lists and watches of this kind (its plural) deliver nothing more, and no connection is closed.
    Frozen(&'static str),
    /// It accepts no status.
    TakesNoStatus,
    /// Each answer carries a date that is this many seconds off.
    Dated(i64),
    /// Everything in progress breaks off, and everything new is refused.
    Down,
}

/// Serves until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Door {
    url: String,
    http: reqwest::Client,
    mood: watch::Receiver<Mood>,
}

impl Proxy {
    /// Starts a proxy on a free port, in front of `url`, which `http` trusts.
    pub async fn start(url: String, http: reqwest::Client) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (mood, felt) = watch::channel(Mood::Well);
        let router = Router::new().fallback(pass).with_state(Arc::new(Door { url, http, mood: felt }));
        // An error of the listener looks like an operator that reaches nothing.
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { address, mood, serving })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the behaviour from now on.
    pub fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

/// Returns when data may go on, or an error when it may not.
async fn may_pass(mut mood: watch::Receiver<Mood>, path: &str) -> Result<(), std::io::Error> {
    let held = |mood: &Mood| matches!(mood, Mood::Frozen(kind) if path.ends_with(&format!("/{kind}")));
    match mood.wait_for(|mood| !held(mood)).await.map(|mood| *mood == Mood::Down) {
        Ok(false) => Ok(()),
        _ => Err(std::io::Error::other("the proxy is down")),
    }
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let path = parts.uri.path().to_owned();
    let refused = *door.mood.borrow() == Mood::TakesNoStatus && path.ends_with("/status");
    if refused || may_pass(door.mood.clone(), &path).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    let sent = door.http.request(parts.method, format!("{}{asked}", door.url)).headers(kept(&parts.headers)).body(body).send().await;
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let (status, mut headers, mood) = (answer.status(), kept(answer.headers()), door.mood.clone());
    if let Mood::Dated(away) = *mood.borrow() {
        let date = super::stage::now() + jiff::SignedDuration::from_secs(away);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap_or_default();
        if let Ok(date) = date.parse() {
            headers.insert(header::DATE, date);
        }
    }
    let mut down = mood.clone();
    let broken = async move { down.wait_for(|mood| *mood == Mood::Down).await.is_ok() };
    let pieces = answer.bytes_stream().then(move |piece| {
        let (mood, path) = (mood.clone(), path.clone());
        async move {
            may_pass(mood, &path).await?;
            piece.map_err(std::io::Error::other)
        }
    });
    // A silent connection breaks off as well.
    let broken = futures::stream::once(async move {
        broken.await;
        Err::<Bytes, _>(std::io::Error::other("the proxy is down"))
    });
    let pieces = futures::stream::select(pieces.map(Some).chain(futures::stream::once(async { None })), broken.map(Some));
    // The stream ends with the answer, however long the proxy goes on.
    let until_the_end = pieces.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready);
    (status, headers, Body::from_stream(until_the_end)).into_response()
}

/// The headers to forward; those of the connection are created again.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let of_connection: [HeaderName; 4] = [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    headers.iter().filter(|(name, _)| !of_connection.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

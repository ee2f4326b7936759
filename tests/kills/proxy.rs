//! A reverse proxy between the operator and the API server or the platform. It forwards everything, asks the gate about requests with an effect, and shows an
//! operator only one namespace and one platform, so that several can work on one API server without seeing each other's objects.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::gate::{Gate, Moment, Passage, Side, effect};

/// More than any request of the operator.
const MOST_BYTES: usize = 4 << 20;

/// Where the requests go.
pub struct Upstream {
    pub side: Side,
    /// Without a slash at the end.
    pub url: String,
    /// Trusts the authority of that side.
    pub http: reqwest::Client,
    /// The name of the one namespace and of the one `LivePlatform` that are shown.
    pub shown: Option<String>,
}

/// Serves until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Door {
    upstream: Upstream,
    gate: Arc<Gate>,
}

impl Proxy {
    /// Starts a proxy on a free port.
    pub async fn start(upstream: Upstream, gate: Arc<Gate>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(pass).with_state(Arc::new(Door { upstream, gate }));
        // An error of the listener looks like an operator that reaches nothing.
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { address, serving })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The answer to a killed operator. Its connections close with it, and that ends this as well.
async fn silence() -> Response {
    std::future::pending().await
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MOST_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let effect = effect(door.upstream.side, parts.method.as_str(), parts.uri.path(), &body);
    let passage = effect.map_or(Passage::Free, |effect| door.gate.arrives(effect));
    if passage == Passage::Kill(Moment::Before) {
        door.gate.strike();
        return silence().await;
    }
    if passage == Passage::Kill(Moment::Late) {
        let late = Arc::clone(&door);
        tokio::spawn(async move {
            late.gate.late(late.upstream.side).await;
            // Refused or not: it was executed, and nobody waits for the answer.
            let _answer = late.forward(&parts, body).await;
            late.gate.arrived_late();
        });
        door.gate.strike();
        return silence().await;
    }
    let answer = match door.forward(&parts, body).await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    if passage == Passage::Kill(Moment::After) {
        // The whole answer is here, so the request was executed.
        let _answer = answer.bytes().await;
        door.gate.strike();
        return silence().await;
    }
    let (status, headers) = (answer.status(), kept(answer.headers()));
    (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
}

impl Door {
    async fn forward(&self, parts: &Parts, body: Bytes) -> reqwest::Result<reqwest::Response> {
        let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
        let target = match &self.upstream.shown {
            Some(name) => narrowed(asked, name),
            None => asked.to_owned(),
        };
        let url = format!("{}{target}", self.upstream.url);
        self.upstream.http.request(parts.method.clone(), url).headers(kept(&parts.headers)).body(body).send().await
    }
}

/// The headers to forward; those of the connection are created again.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let of_connection: [HeaderName; 4] = [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    headers.iter().filter(|(name, _)| !of_connection.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Narrows a list or watch over all namespaces to one namespace, and one over all platforms to one platform.
fn narrowed(asked: &str, name: &str) -> String {
    const OURS: &str = "/apis/operatorconnect.dev/v1alpha1/";
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let mark = if query.is_empty() { "" } else { "?" };
    match path.strip_prefix(OURS) {
        Some(kind @ ("leads" | "ocessentialservices" | "leadpolicies")) => format!("{OURS}namespaces/{name}/{kind}{mark}{query}"),
        Some(kind @ "liveplatforms") => {
            let more = if query.is_empty() { "" } else { "&" };
            format!("{OURS}{kind}?fieldSelector=metadata.name%3D{name}{more}{query}")
        }
        _ => asked.to_owned(),
    }
}

/// Checks that one operator does not see another's objects: otherwise two would work on the same ones, and a kill of one would prove nothing.
pub mod checks {
    use anyhow::{Result, ensure};

    use super::narrowed;

    pub fn an_operator_sees_its_own_namespace_alone() -> Result<()> {
        let base = "/apis/operatorconnect.dev/v1alpha1";
        for (asked, wanted) in [
            (format!("{base}/leads?watch=true"), format!("{base}/namespaces/x/leads?watch=true")),
            (format!("{base}/ocessentialservices"), format!("{base}/namespaces/x/ocessentialservices")),
            (format!("{base}/leadpolicies?limit=1"), format!("{base}/namespaces/x/leadpolicies?limit=1")),
            (format!("{base}/liveplatforms?limit=1"), format!("{base}/liveplatforms?fieldSelector=metadata.name%3Dx&limit=1")),
            (format!("{base}/liveplatforms/x/status"), format!("{base}/liveplatforms/x/status")),
            ("/version".to_owned(), "/version".to_owned()),
        ] {
            let told = narrowed(&asked, "x");
            ensure!(told == wanted, "{asked}: {told}, not {wanted}");
        }
        Ok(())
    }
}

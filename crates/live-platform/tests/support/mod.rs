//! Two small servers: one that answers by script, one that treats connections as no proper server does.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use live_platform::{CallOutcome, Client, ClientSettings, Credential, Endpoint, Error, Observer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

pub const SECRET: &str = "s3cr3t-of-the-client";
pub const TOKEN: &str = "t0ken-number-";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Script = dyn Fn(&Seen, usize) -> Response + Send + Sync;

/// A server with a token endpoint at `/token` (unless the script answers everything), and the API at `/tenantui`.
pub struct Server {
    pub url: Url,
    log: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// `script` answers the API; it gets the number of earlier API calls.
    pub async fn start(script: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static) -> Self {
        let tokens = AtomicUsize::new(0);
        let calls = AtomicUsize::new(0);
        Self::raw(move |seen, _| {
            if seen.path == "/token" {
                let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
                return answer(200, "application/json", format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{TOKEN}{number}"}}"#));
            }
            script(seen, calls.fetch_add(1, Ordering::SeqCst))
        })
        .await
    }

    /// `script` answers everything.
    pub async fn raw(script: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let kept = log.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (log, script) = (kept.clone(), script.clone());
            async move {
                let seen = read(request).await;
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(seen.clone());
                    log.len() - 1
                };
                script(&seen, before)
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, log, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The requests to the API.
    pub fn calls(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path != "/token").collect()
    }

    pub fn tokens(&self) -> usize {
        self.seen().iter().filter(|seen| seen.path == "/token").count()
    }

    pub fn settings(&self) -> ClientSettings {
        settings(&self.url, &self.url)
    }

    pub fn client(&self) -> Client {
        Client::new(self.settings(), secret(), None).unwrap()
    }
}

pub fn settings(api: &Url, token: &Url) -> ClientSettings {
    let mut settings = ClientSettings::new(api.join("/tenantui/").unwrap(), token.join("/token").unwrap(), "the-client", "api://x/.default");
    settings.deadline = Duration::from_secs(5);
    settings
}

pub fn secret() -> Credential {
    Credential::ClientSecret(SECRET.into())
}

pub fn answer(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body.into()).unwrap()
}

pub fn json(status: u16, body: &str) -> Response {
    answer(status, "application/json", body.to_owned())
}

pub fn html(status: u16) -> Response {
    answer(status, "text/html; charset=utf-8", "<html><body>Incapsula incident 4711, mail admin@example.com</body></html>")
}

async fn read(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let url = Url::parse(&format!("http://x{}", parts.uri)).unwrap();
    Seen {
        method: parts.method.to_string(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// What happens to a connection after its request was read.
#[derive(Clone)]
pub enum Nasty {
    /// It is closed.
    Close,
    /// Nothing ever arrives.
    Silence,
    /// These bytes arrive, then it is closed.
    Bytes(Vec<u8>),
    /// A head with this status, then this chunk of a chunked body over and over.
    Forever(u16, Vec<u8>, Duration),
}

/// A listener that reads a request on each connection, and then does this.
pub async fn nasty(what: Nasty) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(one(stream, what.clone()));
        }
    });
    (url, count)
}

async fn one(mut stream: TcpStream, what: Nasty) {
    let mut buffer = vec![0; 65_536];
    let _ = stream.read(&mut buffer).await;
    match what {
        Nasty::Close => {}
        Nasty::Silence => std::future::pending().await,
        Nasty::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Nasty::Forever(status, chunk, pause) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            while stream.write_all(&framed).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Remembers the calls reported to it.
#[derive(Default)]
pub struct Notes(pub Mutex<Vec<(Endpoint, CallOutcome)>>);

impl Observer for Notes {
    fn call_finished(&self, endpoint: Endpoint, outcome: CallOutcome, _: Duration) {
        self.0.lock().unwrap().push((endpoint, outcome));
    }
}

/// An error must not contain any of these, in any of its texts.
pub fn is_clean(error: &Error) {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    for bad in [SECRET, TOKEN, "example.com", "<html", "traceId", "Trace ID", "hunter2"] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
    assert!(error.to_string().chars().count() <= 1000 && !error.to_string().contains('\n'), "{error}");
}

//! Makes one call: token, deadline, size limit, retry by method, and the meaning of a failure.

mod failures;
mod http;
mod task_secrets;

use std::sync::Arc;
use std::time::Duration;

use oc_domain::model::{Lead, Service};
use oc_domain::names::TaskId;
use parking_lot::Mutex;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use url::Url;

use crate::error::{Error, ErrorKind, RequestSent};
use crate::observer::{CallOutcome, Endpoint, Observer};
use crate::paging::FirstPage;
use crate::secrets::Secrets;
use crate::settings::{ClientSettings, Credential};
use crate::token::{Fresh, Token, Tokens};
use crate::wire;
use crate::wire::entries::KnownEntries;
use crate::wire::errors::Form;
use crate::wire::in_order::InOrder;
use crate::wire::json::Malformed;

use failures::{broken, late, lost, refusal, token_refusal, too_large};
pub(crate) use failures::{declined, unreadable};
use http::Http;
pub(crate) use http::Purpose;
use task_secrets::TaskSecrets;

/// The size limit of an answer that is not a list.
const SMALL: usize = 1 << 20;
/// The size limit of an answer that is not a success. The rest is not read.
const FAULT: usize = 64 << 10;
/// How much of a body is kept that a sink takes. If that is all, and the sink can't read it, the call need not be made
/// again.
const KEPT: usize = 64 << 10;
/// How many times a GET is attempted when the connection fails.
const TRIES: u32 = 3;
/// The longest `Retry-After` that is honoured, in seconds. A value of a day, sent by mistake or by a
/// gateway's default, would stop all customers for that long.
const LONGEST_WAIT: u64 = 15 * 60;

/// One HTTP request to make.
pub(crate) struct HttpCall {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The JSON body; `None` sends an empty one.
    pub(crate) body: Option<Vec<u8>>,
    /// What it is for. A list has the larger limit; only a change is never sent again when the connection fails.
    pub(crate) purpose: Purpose,
    /// Whether to send the token.
    pub(crate) bearer: bool,
    /// Secrets that must not appear in an error.
    pub(crate) secrets: Secrets,
}

/// Takes the body of a successful answer while it comes.
pub(crate) trait BodySink: Send {
    /// An answer begins. What was taken of an earlier one is void.
    fn begin(&mut self);

    /// Takes the next bytes. Returns `false` if they can't be read while they come.
    fn take(&mut self, bytes: &[u8]) -> bool;
}

impl<T: Send + Sync> BodySink for InOrder<'_, '_, T> {
    fn begin(&mut self) {
        self.restart();
    }

    fn take(&mut self, bytes: &[u8]) -> bool {
        InOrder::take(self, bytes).is_ok()
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It is in the answer.
    Kept,
    /// The sink has all of it. In the answer it is only if it is short.
    Taken,
    /// The sink could not read on. The rest was not read.
    Odd,
}

/// A complete answer with any status.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    pub(crate) is: Body,
    page: bool,
    retry_after: Option<Duration>,
}

/// The answer to a call.
pub(crate) enum Reply {
    /// Status 2xx, and not a web page.
    Success(HttpResponse),
    /// Anything else, with the form of its body, which shows who refused.
    Refusal(Error, Form),
}

/// The state that all clones of a client share.
pub(crate) struct Transport {
    pub(crate) settings: ClientSettings,
    credential: Credential,
    http: Http,
    observer: Option<Arc<dyn Observer>>,
    tokens: Tokens,
    first_page: Mutex<FirstPage>,
    /// The newest list of leads.
    pub(crate) leads: KnownEntries<Lead>,
    /// The newest list of services.
    pub(crate) services: KnownEntries<Service>,
    task_secrets: Mutex<TaskSecrets>,
}

impl Transport {
    pub(crate) fn new(
        settings: ClientSettings,
        credential: Credential,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, Error> {
        settings.check()?;
        let http = Http::new(&settings)?;
        Ok(Self {
            settings,
            credential,
            http,
            observer,
            tokens: Tokens::default(),
            first_page: Mutex::default(),
            leads: KnownEntries::default(),
            services: KnownEntries::default(),
            task_secrets: Mutex::default(),
        })
    }

    /// The number the platform counts its pages from, as far as known.
    pub(crate) fn first_page(&self) -> FirstPage {
        *self.first_page.lock()
    }

    pub(crate) fn set_first_page(&self, first: FirstPage) {
        *self.first_page.lock() = first;
    }

    /// Remembers the secrets a task was started with.
    pub(crate) fn has_begun(&self, task: &TaskId, secrets: &Secrets) {
        self.task_secrets.lock().keep(task, secrets);
    }

    /// The secrets this client started a task with; `None` when there were none, or it does not know them.
    pub(crate) fn begun_with(&self, task: &TaskId) -> Option<Secrets> {
        self.task_secrets.lock().of(task)
    }

    /// Makes the call. An answer with status 2xx that is not a web page is a success, anything else an error.
    pub(crate) async fn ask(&self, call: &HttpCall) -> Result<HttpResponse, Error> {
        self.ask_into(call, None).await
    }

    /// Makes the call like [`Transport::ask`], and gives its body to a sink, if there is one.
    pub(crate) async fn ask_into(
        &self,
        call: &HttpCall,
        sink: Option<&mut dyn BodySink>,
    ) -> Result<HttpResponse, Error> {
        // Callers hand a call's future from one to the next, each with room for it. Boxed, it costs them a
        // pointer, and its space only while the call runs.
        let answer = Box::pin(self.perform(call, sink)).await?;
        if answer.status.is_success() && !answer.page {
            Ok(answer)
        } else {
            Err(refusal(call, &answer))
        }
    }

    /// Makes a call whose refusal can be an answer too: nothing has this id, or the call does not exist.
    pub(crate) async fn ask_raw(&self, call: &HttpCall) -> Result<Reply, Error> {
        let answer = Box::pin(self.perform(call, None)).await?;
        if answer.status.is_success() && !answer.page {
            return Ok(Reply::Success(answer));
        }
        let form = if answer.page {
            Form::Other
        } else {
            wire::errors::fault(&answer.body, &call.secrets).form
        };
        Ok(Reply::Refusal(refusal(call, &answer), form))
    }

    /// Makes the call with a token, and repeats it where that is allowed.
    async fn perform(
        &self,
        call: &HttpCall,
        mut sink: Option<&mut dyn BodySink>,
    ) -> Result<HttpResponse, Error> {
        let until = Instant::now() + self.settings.deadline;
        let mut tries = 1;
        let mut renewed = false;
        loop {
            let token = if call.bearer {
                Some(self.token(until).await?)
            } else {
                None
            };
            let sink = sink.as_mut().map(|sink| &mut **sink as &mut dyn BodySink);
            match self.exchange(call, token.as_ref(), until, sink).await {
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED && !renewed => match token {
                    Some(token) => {
                        self.tokens.refused(&token);
                        renewed = true;
                    }
                    None => return Ok(answer),
                },
                Err(Broken { again: true, error }) if call.purpose != Purpose::Change && tries < TRIES => {
                    let pause = Duration::from_millis(100 * u64::from(tries * tries));
                    if Instant::now() + pause >= until {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                    tries += 1;
                }
                other => return other.map_err(|broken| broken.error),
            }
        }
    }

    async fn token(&self, until: Instant) -> Result<Token, Error> {
        match timeout_at(until, self.tokens.get(|| self.grant())).await {
            Ok(result) => result,
            Err(_) => Err(late(Endpoint::Token, self.settings.deadline).never_sent()),
        }
    }

    /// Requests a token (platform-facts.md 1.1). Whatever goes wrong, the call itself was not sent.
    async fn grant(&self) -> Result<Fresh, Error> {
        let (name, secret) = match &self.credential {
            Credential::ClientSecret(secret) => ("client_secret", secret.clone()),
            Credential::FederatedToken { file } => ("client_assertion", assertion(file).await?),
        };
        let call = HttpCall {
            endpoint: Endpoint::Token,
            method: Method::POST,
            url: self.settings.token_url.clone(),
            body: Some(token_form(&self.settings, name, &secret)),
            purpose: Purpose::Change,
            bearer: false,
            secrets: Secrets::new([secret]),
        };
        let answer = self
            .exchange(&call, None, Instant::now() + self.settings.deadline, None)
            .await
            .map_err(|broken| broken.error.never_sent())?;
        if !answer.status.is_success() || answer.page {
            return Err(token_refusal(&call, &answer).never_sent());
        }
        let grant = wire::token::grant(&answer.body)
            .map_err(|why| unreadable(Endpoint::Token, answer.status, why).never_sent())?;
        let header = HeaderValue::from_str(&format!("Bearer {}", grant.token.expose_secret()));
        let mut header = header.map_err(|_| {
            unreadable(
                Endpoint::Token,
                answer.status,
                Malformed::Lacks("a token that fits a header"),
            )
            .never_sent()
        })?;
        header.set_sensitive(true);
        Ok(Fresh {
            header,
            lifetime: grant.lifetime,
        })
    }

    /// Makes one HTTP exchange and reports it to the observer.
    async fn exchange(
        &self,
        call: &HttpCall,
        token: Option<&Token>,
        until: Instant,
        sink: Option<&mut dyn BodySink>,
    ) -> Result<HttpResponse, Broken> {
        let start = Instant::now();
        let span = tracing::trace_span!(target: "operatorconnect::trace", "platform call", otel.name = call.endpoint.label(), otel.kind = "client", outcome = tracing::field::Empty);
        let result = match timeout_at(
            until,
            self.send_and_read(call, token, sink).instrument(span.clone()),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err((
                CallOutcome::TimedOut,
                Broken {
                    error: late(call.endpoint, self.settings.deadline),
                    again: false,
                },
            )),
        };
        let (outcome, result) = match result {
            Ok(answer) => (CallOutcome::Answered(answer.status.as_u16()), Ok(answer)),
            Err((outcome, broken)) => (outcome, Err(broken)),
        };
        let elapsed = start.elapsed();
        span.record("outcome", tracing::field::debug(&outcome));
        tracing::debug!(endpoint = call.endpoint.label(), outcome = ?outcome, millis = elapsed.as_millis(), "called the platform");
        if let Some(observer) = &self.observer {
            observer.call_finished(call.endpoint, outcome, elapsed);
        }
        result
    }

    async fn send_and_read(
        &self,
        call: &HttpCall,
        token: Option<&Token>,
        sink: Option<&mut dyn BodySink>,
    ) -> Result<HttpResponse, (CallOutcome, Broken)> {
        let mut response = self
            .request(call, token)
            .map_err(|error| (CallOutcome::NotConnected, Broken { error, again: false }))?
            .send()
            .await
            .map_err(|error| broken(call.endpoint, error, !self.http.roots.is_empty()))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let html = is_html(response.headers());
        let limit = if status.is_success() {
            self.limit(call)
        } else {
            FAULT
        };
        let sink = sink.filter(|_| status.is_success() && !html);
        let (body, is) = read_body(call.endpoint, &mut response, limit, sink).await?;
        let page = html || wire::is_page(&body);
        Ok(HttpResponse {
            status,
            body,
            is,
            page,
            retry_after,
        })
    }

    fn request(&self, call: &HttpCall, token: Option<&Token>) -> Result<reqwest::RequestBuilder, Error> {
        let http = self.http.to(&call.url, call.purpose)?;
        let mut request = http.request(call.method.clone(), call.url.clone());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.header.clone());
        }
        let kind = if call.endpoint == Endpoint::Token {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        Ok(match &call.body {
            Some(body) => request.header(CONTENT_TYPE, kind).body(body.clone()),
            // Some servers answer 411 to a PUT or POST that gives no length.
            None if call.method != Method::GET => request.header(CONTENT_LENGTH, "0"),
            None => request,
        })
    }

    fn limit(&self, call: &HttpCall) -> usize {
        if call.purpose == Purpose::List {
            self.settings.answer_limit
        } else {
            self.settings.answer_limit.min(SMALL)
        }
    }
}

/// An exchange without an answer, and whether it may be repeated if the method allows.
struct Broken {
    error: Error,
    again: bool,
}

/// Reads a body up to its limit, into the sink if there is one that can read it. For an answer that is not
/// a success, a body that is too long or cut off is not an error.
async fn read_body(
    endpoint: Endpoint,
    response: &mut reqwest::Response,
    limit: usize,
    mut sink: Option<&mut dyn BodySink>,
) -> Result<(Vec<u8>, Body), (CallOutcome, Broken)> {
    let status = response.status();
    // Room for all of it, if the server says how much that is.
    let length = response.content_length().unwrap_or_default();
    if status.is_success() && length > limit as u64 {
        return Err(too_large(endpoint, status, limit));
    }
    let room = usize::try_from(length).unwrap_or_default().min(limit);
    let (mut body, mut taken) = (Vec::new(), 0);
    if let Some(sink) = &mut sink {
        sink.begin();
    }
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) if status.is_success() => return Err(lost(endpoint, status, error)),
            // The status says enough.
            Err(_) => break,
        };
        if taken.max(body.len()) + chunk.len() > limit {
            if status.is_success() {
                return Err(too_large(endpoint, status, limit));
            }
            break;
        }
        if let Some(open) = &mut sink {
            if open.take(&chunk) {
                taken += chunk.len();
                if taken <= KEPT {
                    body.extend_from_slice(&chunk);
                } else {
                    body = Vec::new();
                }
                continue;
            }
            if taken > KEPT {
                return Ok((body, Body::Odd));
            }
            sink = None;
        }
        body.reserve(room.saturating_sub(body.len()));
        body.extend_from_slice(&chunk);
    }
    let is = if sink.is_some() && taken > 0 {
        Body::Taken
    } else {
        Body::Kept
    };
    Ok((body, is))
}

/// Encodes the form of the token request (platform-facts.md 1.1).
fn token_form(settings: &ClientSettings, name: &str, secret: &SecretString) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &settings.client_id)
        .append_pair("scope", &settings.scope);
    if name == "client_assertion" {
        form.append_pair(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        );
    }
    form.append_pair(name, secret.expose_secret());
    form.finish().into_bytes()
}

/// Reads the projected token of workload identity.
async fn assertion(file: &std::path::Path) -> Result<SecretString, Error> {
    use tokio::io::AsyncReadExt as _;
    let bad = |what: &str| {
        Error::new(
            ErrorKind::Authentication,
            RequestSent::No,
            format!("the federated token file {what}: check that the pod is set up for workload identity"),
        )
    };
    let file = tokio::fs::File::open(file)
        .await
        .map_err(|error| bad("cannot be read").with_source(error))?;
    let mut text = String::new();
    file.take(SMALL as u64)
        .read_to_string(&mut text)
        .await
        .map_err(|error| bad("cannot be read").with_source(error))?;
    let text = text.trim();
    if text.is_empty() {
        Err(bad("is empty"))
    } else {
        Ok(SecretString::from(text))
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
}

/// Reads `Retry-After`: seconds, or a date. A date is compared with the answer's own `Date`, so that this
/// machine's clock does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let now = headers.get(DATE)?.to_str().ok()?;
            let read = |text: &str| {
                jiff::fmt::rfc2822::parse(text)
                    .ok()
                    .map(|at| at.timestamp().as_second())
            };
            u64::try_from(read(text)?.saturating_sub(read(now)?)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

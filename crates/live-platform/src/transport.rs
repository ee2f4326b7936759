//! One call: token, deadline, size limit, retry by method, and what a failure means.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oc_domain::names::TaskId;
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
use crate::settings::{ClientSettings, Credential, is_local};
use crate::tls;
use crate::token::{Fresh, Token, Tokens};
use crate::wire;
use crate::wire::errors::Form;
use crate::wire::json::Malformed;

/// The limit of an answer that is not a list.
const SMALL: usize = 1 << 20;
/// The limit of an answer that is not a success; what is more is not read.
const FAULT: usize = 64 << 10;
/// How often a GET is tried when the connection fails.
const TRIES: u32 = 3;
/// The longest `Retry-After` that is believed, in seconds. One that asks for a day, by mistake or by a gateway's default, would park all customers for that long.
const LONGEST_WAIT: u64 = 15 * 60;

/// One request.
pub(crate) struct HttpCall {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// JSON; absent sends an empty body.
    pub(crate) body: Option<Vec<u8>>,
    /// Whether the answer is a list, with the larger limit.
    pub(crate) list: bool,
    /// Whether the token goes along.
    pub(crate) bearer: bool,
    /// Whether it may be sent again when the connection failed: only a GET of the API.
    pub(crate) repeat: bool,
    /// Texts that must not come back in an error.
    pub(crate) secrets: Secrets,
}

/// A whole answer, whatever its status.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    page: bool,
    retry_after: Option<Duration>,
}

/// What a call was answered.
pub(crate) enum Reply {
    /// Status 2xx, and no web page.
    Success(HttpResponse),
    /// All else, and the form of its body: who it is that says so.
    Refusal(Error, Form),
}

/// What all clones of a client share.
pub(crate) struct Transport {
    pub(crate) settings: ClientSettings,
    credential: Credential,
    http: Http,
    observer: Option<Arc<dyn Observer>>,
    tokens: Tokens,
    first_page: Mutex<FirstPage>,
    begun: Mutex<TaskSecrets>,
}

/// The secrets of the requests that began tasks, so that the task's own texts can be cleaned of them: those of the newest tasks, up to a bound.
#[derive(Default)]
struct TaskSecrets {
    tasks: VecDeque<(TaskId, Secrets)>,
    size: usize,
}

impl TaskSecrets {
    /// The most bytes, and tasks, for which secrets are kept.
    const SIZE: usize = 8 << 20;
    const TASKS: usize = 10_000;

    fn keep(&mut self, task: TaskId, secrets: Secrets) {
        self.size += secrets.size();
        self.tasks.push_back((task, secrets));
        while self.size > Self::SIZE || self.tasks.len() > Self::TASKS {
            let Some((_, gone)) = self.tasks.pop_front() else {
                return;
            };
            self.size -= gone.size();
        }
    }
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
            begun: Mutex::default(),
        })
    }

    /// From which number the platform counts its pages, as far as that is known.
    pub(crate) fn first_page(&self) -> FirstPage {
        *self.first_page.lock()
    }

    pub(crate) fn set_first_page(&self, first: FirstPage) {
        *self.first_page.lock() = first;
    }

    /// Remembers with which secrets a task was begun.
    pub(crate) fn has_begun(&self, task: &TaskId, secrets: &Secrets) {
        self.begun.lock().keep(task.clone(), secrets.clone());
    }

    /// The secrets with which this client has begun a task; `None` when it has not, or no longer knows.
    pub(crate) fn begun_with(&self, task: &TaskId) -> Option<Secrets> {
        let begun = self.begun.lock();
        begun
            .tasks
            .iter()
            .rev()
            .find(|(known, _)| known == task)
            .map(|(_, secrets)| secrets.clone())
    }

    /// Makes the call; an answer of status 2xx that is no web page is a success, all else an error.
    pub(crate) async fn ask(&self, call: &HttpCall) -> Result<HttpResponse, Error> {
        let answer = self.perform(call).await?;
        if answer.status.is_success() && !answer.page {
            Ok(answer)
        } else {
            Err(refusal(call, &answer))
        }
    }

    /// Makes a call of which a refusal can be an answer too: that there is nothing of this id, or no such call.
    pub(crate) async fn ask_raw(&self, call: &HttpCall) -> Result<Reply, Error> {
        let answer = self.perform(call).await?;
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

    /// Makes the call, with a token, and again where that is allowed.
    async fn perform(&self, call: &HttpCall) -> Result<HttpResponse, Error> {
        let until = Instant::now() + self.settings.deadline;
        let mut tries = 1;
        let mut renewed = false;
        loop {
            let token = if call.bearer {
                Some(self.token(until).await?)
            } else {
                None
            };
            match self.exchange(call, token.as_ref(), until).await {
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED && !renewed => match token {
                    Some(token) => {
                        self.tokens.refused(&token);
                        renewed = true;
                    }
                    None => return Ok(answer),
                },
                Err(Broken { again: true, error }) if call.repeat && tries < TRIES => {
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

    /// Asks the token endpoint (platform-facts.md 1.1). Whatever goes wrong, the call itself was not sent.
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
            list: false,
            bearer: false,
            repeat: false,
            secrets: Secrets::new([secret]),
        };
        let answer = self
            .exchange(&call, None, Instant::now() + self.settings.deadline)
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

    /// One HTTP exchange, observed.
    async fn exchange(
        &self,
        call: &HttpCall,
        token: Option<&Token>,
        until: Instant,
    ) -> Result<HttpResponse, Broken> {
        let start = Instant::now();
        let span = tracing::trace_span!(target: "operatorconnect::trace", "platform call", otel.name = call.endpoint.label(), otel.kind = "client", outcome = tracing::field::Empty);
        let result = match timeout_at(until, self.send_and_read(call, token).instrument(span.clone())).await {
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
    ) -> Result<HttpResponse, (CallOutcome, Broken)> {
        let http = self
            .http
            .to(&call.url, !call.repeat)
            .map_err(|error| (CallOutcome::NotConnected, Broken { error, again: false }))?;
        let mut request = http.request(call.method.clone(), call.url.clone());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.header.clone());
        }
        let kind = if call.endpoint == Endpoint::Token {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        request = match &call.body {
            Some(body) => request.header(CONTENT_TYPE, kind).body(body.clone()),
            // Some servers answer 411 to a PUT or POST that gives no length.
            None if call.method != Method::GET => request.header(CONTENT_LENGTH, "0"),
            None => request,
        };
        let mut response = request
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
        if status.is_success()
            && response
                .content_length()
                .is_some_and(|length| length > limit as u64)
        {
            return Err(too_large(call.endpoint, status, limit));
        }
        let mut body = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if status.is_success() => return Err(lost(call.endpoint, status, error)),
                // The status says enough.
                Err(_) => break,
            };
            if body.len() + chunk.len() > limit {
                if status.is_success() {
                    return Err(too_large(call.endpoint, status, limit));
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let page = html || wire::is_page(&body);
        Ok(HttpResponse {
            status,
            body,
            page,
            retry_after,
        })
    }

    fn limit(&self, call: &HttpCall) -> usize {
        if call.list {
            self.settings.answer_limit
        } else {
            self.settings.answer_limit.min(SMALL)
        }
    }
}

/// An exchange that gave no answer, and whether it may be tried again if the method allows.
struct Broken {
    error: Error,
    again: bool,
}

/// What calls are made by. Those to a local address never go by a proxy: they may be plain HTTP, of which a proxy would see the token and the secret. Changes go by a connection of
/// their own: one that lies open may be closed by the server at the moment in which it is used again, and nobody knows then whether the change was made (hyperium/hyper#2136). A token
/// request, too: it comes once an hour, when no connection is left.
struct Http {
    roots: Vec<reqwest::Certificate>,
    connect: Duration,
    /// Each is made when it is needed; those for the platform and the token endpoint at once.
    made: [OnceLock<reqwest::Client>; 4],
}

impl Http {
    fn new(settings: &ClientSettings) -> Result<Self, Error> {
        let roots = settings
            .ca_bundle_pem
            .as_deref()
            .map(tls::roots)
            .transpose()?
            .unwrap_or_default();
        let connect = Duration::from_secs(10).min(settings.deadline / 2);
        let http = Self {
            roots,
            connect,
            made: Default::default(),
        };
        for (url, change) in [
            (&settings.base_url, false),
            (&settings.base_url, true),
            (&settings.token_url, true),
        ] {
            http.to(url, change)?;
        }
        Ok(http)
    }

    fn to(&self, url: &Url, change: bool) -> Result<&reqwest::Client, Error> {
        let near = is_local(url);
        let [near_read, near_change, far_read, far_change] = &self.made;
        let place = match (near, change) {
            (true, false) => near_read,
            (true, true) => near_change,
            (false, false) => far_read,
            (false, true) => far_change,
        };
        match place.get() {
            Some(client) => Ok(client),
            None => {
                let client = self.make(near, change)?;
                Ok(place.get_or_init(|| client))
            }
        }
    }

    fn make(&self, near: bool, change: bool) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("oc-essentials-operator/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect);
        if near {
            builder = builder.no_proxy();
        }
        if change {
            builder = builder.pool_max_idle_per_host(0);
        }
        if !self.roots.is_empty() {
            builder = builder.tls_certs_merge(self.roots.clone());
        }
        builder.build().map_err(|error| tls::unusable(&self.roots, error))
    }
}

/// The form of the token request (platform-facts.md 1.1).
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

/// The projected token of workload identity.
async fn assertion(file: &std::path::Path) -> Result<SecretString, Error> {
    use tokio::io::AsyncReadExt as _;
    let bad = |what: &str| {
        Error::new(
            ErrorKind::Authentication,
            RequestSent::No,
            format!(
                "the file of the federated token {what}: check that the pod is set up for workload identity"
            ),
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

/// Seconds, or a date, which is read against the answer's own `Date`: the clock of this machine plays no part.
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

/// Who is at the other end, as the subject of a sentence.
fn who(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Token => "the token endpoint",
        Endpoint::Job => "the host of the synchronization job",
        _ => "the platform",
    }
}

/// What to look at when something else than that answers.
fn where_to_look(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Token => {
            "check the token url, and whether a proxy or a login page of your network answers in its place"
        }
        Endpoint::Job => "check the url of the job",
        _ => "check the url (a platform's ends in /tenantui)",
    }
}

fn late(endpoint: Endpoint, deadline: Duration) -> Error {
    let message = format!(
        "{} failed: {} did not answer within {} s; it is asked again later",
        endpoint.doing(),
        who(endpoint),
        deadline.as_secs_f32()
    );
    Error::new(ErrorKind::Unavailable, RequestSent::Maybe, message)
}

fn too_large(endpoint: Endpoint, status: StatusCode, limit: usize) -> (CallOutcome, Broken) {
    let message = format!(
        "{} failed: the answer of {} is over the limit of {limit} bytes; check the url",
        endpoint.doing(),
        who(endpoint)
    );
    let error = Error::new(ErrorKind::BadAnswer, RequestSent::Answered, message).with_status(status.as_u16());
    (CallOutcome::TooLarge, Broken { error, again: false })
}

fn lost(endpoint: Endpoint, status: StatusCode, error: reqwest::Error) -> (CallOutcome, Broken) {
    let message = format!(
        "{} failed: the connection to {} broke in the middle of its answer; it is asked again later",
        endpoint.doing(),
        who(endpoint)
    );
    let error = Error::new(ErrorKind::Unavailable, RequestSent::Maybe, message)
        .with_status(status.as_u16())
        .with_source(error.without_url());
    (CallOutcome::Lost, Broken { error, again: true })
}

/// No answer at all.
fn broken(endpoint: Endpoint, error: reqwest::Error, with_bundle: bool) -> (CallOutcome, Broken) {
    let error = error.without_url();
    let (kind, sent, outcome, again) = if error.is_builder() {
        (ErrorKind::Bug, RequestSent::No, CallOutcome::NotConnected, false)
    } else if error.is_connect() {
        (
            ErrorKind::Unavailable,
            RequestSent::No,
            CallOutcome::NotConnected,
            true,
        )
    } else if error.is_timeout() {
        (
            ErrorKind::Unavailable,
            RequestSent::Maybe,
            CallOutcome::TimedOut,
            false,
        )
    } else {
        (
            ErrorKind::Unavailable,
            RequestSent::Maybe,
            CallOutcome::Lost,
            true,
        )
    };
    let why = match (&kind, sent) {
        (ErrorKind::Bug, _) => "the request could not be built",
        (_, RequestSent::No) => tls::no_connection(&error, with_bundle),
        _ => "the connection broke before the answer; it is asked again later",
    };
    let message = format!(
        "{} failed: no answer from {}: {why}",
        endpoint.doing(),
        who(endpoint)
    );
    (
        outcome,
        Broken {
            error: Error::new(kind, sent, message).with_source(error),
            again,
        },
    )
}

/// An answer of status 2xx that is not what it should be.
pub(crate) fn unreadable(endpoint: Endpoint, status: StatusCode, why: Malformed) -> Error {
    let advice = match why {
        Malformed::Lacks(_) => "this release answers in a form that is not known",
        _ => where_to_look(endpoint),
    };
    let message = format!(
        "{} failed: the answer of {} cannot be used: {why}; {advice}",
        endpoint.doing(),
        who(endpoint)
    );
    Error::new(ErrorKind::BadAnswer, RequestSent::Answered, message)
        .with_status(status.as_u16())
        .with_source(why)
}

/// What an answer means that is not a success, by status and kind.
fn refusal(call: &HttpCall, answer: &HttpResponse) -> Error {
    let (doing, who, status) = (call.endpoint.doing(), who(call.endpoint), answer.status.as_u16());
    let fault = wire::errors::fault(if answer.page { &[] } else { &answer.body }, &call.secrets);
    let words = if fault.text.is_empty() {
        String::new()
    } else {
        format!(": {}", fault.text)
    };
    let (kind, message) = match status {
        200..=299 => (
            ErrorKind::BadAnswer,
            format!(
                "{doing} failed: {who} answered {status} with a web page instead of JSON; {}",
                where_to_look(call.endpoint)
            ),
        ),
        300..=399 => (
            ErrorKind::BadAnswer,
            format!(
                "{doing} failed: {who} answered with a redirect ({status}), which is not followed since the token would go along; check the url"
            ),
        ),
        401 if call.bearer => (
            ErrorKind::Authentication,
            format!(
                "{doing} failed: the platform refused the token (401), and a new one too; check that the scope names the platform's own application and that ours is known to the platform"
            ),
        ),
        401 => (
            ErrorKind::Forbidden,
            format!(
                "{doing} failed: {who} asks for a login (401), and the token goes to the platform's own address only; use a url there, or one that needs none"
            ),
        ),
        403 if answer.page => (
            ErrorKind::Unavailable,
            format!(
                "{doing} failed: a firewall in front of {who} refused the call (403 with a web page); check that this cluster's address is allowed"
            ),
        ),
        403 => (
            ErrorKind::Forbidden,
            format!("{doing} is forbidden (403): the application needs a role that may do this{words}"),
        ),
        404 | 410 if answer.page => (
            ErrorKind::BadAnswer,
            format!(
                "{doing} failed: {who} answered {status} with a web page; {}",
                where_to_look(call.endpoint)
            ),
        ),
        404 | 410 => (
            ErrorKind::NotFound {
                text: fault.text.clone(),
            },
            format!("{doing} failed: {who} does not find it ({status}){words}"),
        ),
        429 => (
            ErrorKind::Throttled,
            format!(
                "{doing} is put off: {who} asks for fewer requests (429); lower the request rate when this stays"
            ),
        ),
        407 | 408 | 425 | 500.. => (
            ErrorKind::Unavailable,
            format!("{doing} failed: {who} is in trouble ({status}); it is asked again later{words}"),
        ),
        _ => {
            let message = refused(doing, who, &fault, status);
            (
                ErrorKind::Refused {
                    fields: fault.fields,
                    text: fault.text,
                },
                message,
            )
        }
    };
    Error::new(kind, RequestSent::Answered, crate::text::bounded(&message, 1000))
        .with_status(status)
        .with_retry_after(answer.retry_after)
}

/// The sentence for a refusal, the fields first.
fn refused(doing: &str, who: &str, fault: &wire::errors::Fault, status: u16) -> String {
    let fields = fault.fields.iter().map(|(name, texts)| {
        if name.is_empty() {
            texts.join(", ")
        } else {
            format!("{name}: {}", texts.join(", "))
        }
    });
    let words: Vec<String> = fields
        .chain((!fault.text.is_empty()).then(|| fault.text.clone()))
        .collect();
    if words.is_empty() {
        format!(
            "{who} refused {doing} ({status}) without a reason; look at its own logs, and check the values"
        )
    } else {
        format!("{who} refused {doing} ({status}): {}", words.join("; "))
    }
}

/// A 200 that says that nothing was done (E7), in these words, which have passed the gate.
pub(crate) fn declined(call: &HttpCall, answer: &HttpResponse, said: String) -> Error {
    let fault = wire::errors::Fault {
        text: said,
        ..Default::default()
    };
    let message = refused(
        call.endpoint.doing(),
        who(call.endpoint),
        &fault,
        answer.status.as_u16(),
    );
    Error::new(
        ErrorKind::Refused {
            fields: Vec::new(),
            text: fault.text,
        },
        RequestSent::Answered,
        message,
    )
    .with_status(answer.status.as_u16())
}

/// What an answer of the token endpoint means (E5).
fn token_refusal(call: &HttpCall, answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let refusal = if answer.page {
        wire::token::Refusal::default()
    } else {
        wire::token::refusal(&answer.body, &call.secrets)
    };
    if refusal.passing() {
        let message = format!(
            "the token endpoint is in trouble ({status}{}); it is asked again later",
            refusal.said(", ")
        );
        return Error::new(ErrorKind::Unavailable, RequestSent::No, message)
            .with_status(status)
            .with_retry_after(answer.retry_after);
    }
    let ours = matches!(status, 400..=406 | 409..=424) && !(status == 403 && answer.page);
    if !ours {
        return self::refusal(call, answer);
    }
    let said = refusal.said(": ");
    let message = format!(
        "the token endpoint refused our credential ({status}){said}; {}",
        refusal.advice()
    );
    Error::new(
        ErrorKind::Authentication,
        RequestSent::No,
        crate::text::bounded(&message, 1000),
    )
    .with_status(status)
    .with_retry_after(answer.retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_address_is_called_without_a_proxy_whatever_the_other_one_is() {
        let url = |text: &str| Url::parse(text).unwrap();
        let settings = ClientSettings::new(
            url("http://platform.customers.svc"),
            url("https://login.microsoftonline.com/x/oauth2/v2.0/token"),
            "id",
            "scope",
        );
        let http = Http::new(&settings).unwrap();
        let is = |address: &Url, change, place: usize| {
            std::ptr::eq(http.to(address, change).unwrap(), http.made[place].get().unwrap())
        };
        assert!(
            is(&settings.base_url, false, 0)
                && is(&settings.base_url, true, 1)
                && is(&settings.token_url, true, 3)
        );
        assert!(is(&url("http://127.0.0.1:8080/run"), true, 1));
        assert!(http.made[2].get().is_none(), "no read goes beyond");
    }
}

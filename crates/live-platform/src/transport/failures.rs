//! Turns the failure of a call into an [`Error`] with its message.

use std::time::Duration;

use reqwest::StatusCode;

use super::{Broken, HttpCall, HttpResponse};
use crate::error::{Error, ErrorKind, RequestSent};
use crate::observer::{CallOutcome, Endpoint};
use crate::tls;
use crate::wire;
use crate::wire::json::Malformed;

/// The other end of a call, as the subject of a sentence.
fn who(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Token => "the token endpoint",
        Endpoint::Job => "the host of the synchronization job",
        Endpoint::OpenIdConfiguration => "Microsoft's directory",
        _ => "the platform",
    }
}

/// What to check when something else answers at this address.
fn where_to_look(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Token => {
            "check the token url, and whether a proxy or a login page of your network answers in its place"
        }
        Endpoint::Job => "check the url of the job",
        Endpoint::OpenIdConfiguration => {
            "check the url of the lookup, and whether a proxy of your network answers in its place"
        }
        _ => "check the url (a platform's ends in /tenantui)",
    }
}

/// What to do about a 429. The limit of channel assignments is documented (platform-facts.md 1.4).
fn how_to_ask_less(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::AssignChannel | Endpoint::UnassignChannel => {
            "it allows 300 of these a minute, counted over all its users"
        }
        _ => "lower the request rate if this persists",
    }
}

pub(super) fn late(endpoint: Endpoint, deadline: Duration) -> Error {
    let message = format!(
        "{} failed: {} did not answer within {} s; the operator tries again later",
        endpoint.doing(),
        who(endpoint),
        deadline.as_secs_f32()
    );
    Error::new(ErrorKind::Unavailable, RequestSent::Maybe, message)
}

pub(super) fn too_large(endpoint: Endpoint, status: StatusCode, limit: usize) -> (CallOutcome, Broken) {
    let message = format!(
        "{} failed: the answer of {} exceeds the limit of {limit} bytes; check the url",
        endpoint.doing(),
        who(endpoint)
    );
    let error = Error::new(ErrorKind::BadAnswer, RequestSent::Answered, message).with_status(status.as_u16());
    (CallOutcome::TooLarge, Broken { error, again: false })
}

pub(super) fn lost(endpoint: Endpoint, status: StatusCode, error: reqwest::Error) -> (CallOutcome, Broken) {
    let message = format!(
        "{} failed: the connection to {} broke in the middle of its answer; the operator tries again later",
        endpoint.doing(),
        who(endpoint)
    );
    let error = Error::new(ErrorKind::Unavailable, RequestSent::Maybe, message)
        .with_status(status.as_u16())
        .with_source(error.without_url());
    (CallOutcome::Lost, Broken { error, again: true })
}

/// The error for a call without any answer.
pub(super) fn broken(endpoint: Endpoint, error: reqwest::Error, with_bundle: bool) -> (CallOutcome, Broken) {
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
        _ => "the connection broke before the answer; the operator tries again later",
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

/// The error for an answer with status 2xx that cannot be used.
pub(crate) fn unreadable(endpoint: Endpoint, status: StatusCode, why: Malformed) -> Error {
    let advice = match why {
        Malformed::Lacks(_) => "this release answers in an unknown form",
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

/// The error for an answer that is not a success, by status and kind.
pub(super) fn refusal(call: &HttpCall, answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let fault = wire::errors::fault(if answer.page { &[] } else { &answer.body }, &call.secrets);
    let (kind, message) = meaning(call, answer, fault);
    Error::new(kind, RequestSent::Answered, crate::text::bounded(message, 1000))
        .with_status(status)
        .with_retry_after(answer.retry_after)
}

fn meaning(call: &HttpCall, answer: &HttpResponse, fault: wire::errors::Fault) -> (ErrorKind, String) {
    let (doing, who, status) = (call.endpoint.doing(), who(call.endpoint), answer.status.as_u16());
    let words = if fault.text.is_empty() {
        String::new()
    } else {
        format!(": {}", fault.text)
    };
    match status {
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
                "{doing} failed: {who} answered with a redirect ({status}), which the operator does not follow, because it would send the token along; check the url"
            ),
        ),
        401 => unauthorized(call),
        403 => forbidden(call.endpoint, answer.page, &words),
        404 | 410 if answer.page => (
            ErrorKind::BadAnswer,
            format!(
                "{doing} failed: {who} answered {status} with a web page; {}",
                where_to_look(call.endpoint)
            ),
        ),
        404 | 410 => (
            ErrorKind::NotFound { text: fault.text },
            format!("{doing} failed: {who} does not find it ({status}){words}"),
        ),
        429 => (
            ErrorKind::Throttled,
            format!(
                "{doing} is postponed: {who} asks for fewer requests (429); {}",
                how_to_ask_less(call.endpoint)
            ),
        ),
        407 | 408 | 425 | 500.. => (
            ErrorKind::Unavailable,
            format!("{doing} failed: {who} is in trouble ({status}); the operator tries again later{words}"),
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
    }
}

/// A 403 comes from a firewall when it has a web page, otherwise from the API.
fn forbidden(endpoint: Endpoint, page: bool, words: &str) -> (ErrorKind, String) {
    let (doing, who) = (endpoint.doing(), who(endpoint));
    if page {
        (
            ErrorKind::Unavailable,
            format!(
                "{doing} failed: a firewall in front of {who} refused the call (403 with a web page); check that this cluster's address is allowed"
            ),
        )
    } else {
        (
            ErrorKind::Forbidden,
            format!("{doing} is forbidden (403): the application needs a role that allows this{words}"),
        )
    }
}

/// A 401 of the platform means that it refused a new token too. Any other address never got a token.
fn unauthorized(call: &HttpCall) -> (ErrorKind, String) {
    let (doing, who) = (call.endpoint.doing(), who(call.endpoint));
    if call.bearer {
        (
            ErrorKind::Authentication,
            format!(
                "{doing} failed: the platform refused the token (401), and a new one too; check that the scope names the platform's own application and that the platform knows ours"
            ),
        )
    } else {
        (
            ErrorKind::Forbidden,
            format!(
                "{doing} failed: {who} requires a login (401), but the operator sends its token only to the platform's own address; use a url there, or one that needs no login"
            ),
        )
    }
}

/// The message for a refusal, with the fields first.
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
        format!("{who} refused {doing} ({status}) without a reason; check its logs and the values")
    } else {
        format!("{who} refused {doing} ({status}): {}", words.join("; "))
    }
}

/// The error for a 200 that says that nothing was done (E7). `said` has passed [`crate::Secrets`].
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

/// The error for an answer of the token endpoint that is not a success (E5).
pub(super) fn token_refusal(call: &HttpCall, answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let refusal = if answer.page {
        wire::token::Refusal::default()
    } else {
        wire::token::refusal(&answer.body, &call.secrets)
    };
    if refusal.passing() {
        let message = format!(
            "the token endpoint is in trouble ({status}{}); the operator tries again later",
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
        crate::text::bounded(message, 1000),
    )
    .with_status(status)
    .with_retry_after(answer.retry_after)
}

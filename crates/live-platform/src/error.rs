//! What can go wrong, classified by consequence. Texts are stable: they go into status conditions.

use std::sync::Arc;
use std::time::Duration;

/// Why a call failed, and what that means for the caller.
///
/// `Display` is one stable line that says what to do. It holds no secret, personal data, time or request id.
/// `source()` is the detail for a debug log and need not be stable.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind of failure, by consequence.
    pub kind: ErrorKind,
    /// Whether the request left this machine.
    pub sent: RequestSent,
    /// The status of the answer, if there was one. For errors of the token endpoint it is that endpoint's
    /// status.
    pub status: Option<u16>,
    /// How long the platform asks to wait (`Retry-After`), capped at 15 minutes.
    pub retry_after: Option<Duration>,
    message: String,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync + 'static>>,
}

/// The kind of a failure, by what the caller should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The settings given to [`crate::Client::new`] cannot be used. A person must change them.
    Settings,
    /// No token could be obtained, or the platform refused two of them (U-1). A person must look at the
    /// credential.
    Authentication,
    /// A 403 that does not come from a firewall: the identity lacks the permission (U-1). A person must look
    /// at its role.
    Forbidden,
    /// 429 (U-2). Wait [`Error::retry_after`], or back off.
    Throttled,
    /// 5xx, a web page on 403 (a firewall, N-9), no connection, a deadline. Back off.
    Unavailable,
    /// The platform understood the request and refused it (forms E1, E2, E3, E4, E7 of platform-facts.md 10).
    Refused {
        /// The faults of each field (E1), sorted by field. Bounded.
        fields: Vec<(String, Vec<String>)>,
        /// The platform's own words, bounded; empty when it gave none.
        text: String,
    },
    /// A 404 in a form that the API itself gives: the named thing does not exist.
    NotFound {
        /// The platform's own words, bounded; empty when it gave none.
        text: String,
    },
    /// An answer that cannot be right: a web page, a redirect, cut off, too large, of another shape.
    BadAnswer,
    /// This program built a request that makes no sense.
    Bug,
}

/// Whether a request left this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestSent {
    /// It did not: no name, no connection, no TLS, no token, or refused before. It may be repeated at once.
    No,
    /// It did, and an answer came: see [`Error::status`].
    Answered,
    /// It may have. No complete answer came.
    Maybe,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, sent: RequestSent, message: impl Into<String>) -> Self {
        Self {
            kind,
            sent,
            status: None,
            retry_after: None,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn with_retry_after(mut self, span: Option<Duration>) -> Self {
        self.retry_after = span;
        self
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn never_sent(mut self) -> Self {
        self.sent = RequestSent::No;
        self
    }

    /// Whether a change that failed in this way may have been made at the platform anyway: after a lost
    /// answer, a 5xx, a 408, or an answer with status 2xx or 3xx that makes no sense. Then look before
    /// requesting it again (platform-facts.md 12.1, step 10). `false` after a refusal (4xx), or when it was
    /// never sent.
    pub fn may_have_happened(&self) -> bool {
        match self.sent {
            RequestSent::No => false,
            RequestSent::Maybe => true,
            RequestSent::Answered => match self.status {
                Some(status) => {
                    (status < 400 && self.kind == ErrorKind::BadAnswer) || status == 408 || status >= 500
                }
                None => true,
            },
        }
    }

    /// The stable line, as `Display` gives it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

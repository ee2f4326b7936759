//! A careful client for the Operator Connect REST API of the AudioCodes Live Platform. It knows nothing of
//! Kubernetes.
//!
//! "platform-facts.md 6.1", "C-n", "U-n", "N-n" and "E1" to "E7" in the comments refer to the sections and
//! rows of `docs/design/platform-facts.md` and its two continuations. These record what the vendor's pages
//! say, where they contradict each other, and what is assumed where they are silent. Nothing here was ever
//! tried against a live system, so this client trusts as little as it can.
//!
//! # The layers
//!
//! | Module | Does | Knows |
//! |---|---|---|
//! | [`Client`] | one method for each call, answers as [`oc_domain::model`] | paths, which status means what |
//! | `requests` | the bodies that are sent | the spelling of fields (C-4) |
//! | `paging` | which page is next, and when to stop (C-12) | pure |
//! | `transport` | one call: token, deadline, size limit, retry, classes of failure | reqwest |
//! | `token` | one token for many callers, renewed before it expires | pure but for the clock |
//! | [`wire`] | bytes to facts, bytes to fault texts | pure, never panics, bounded memory |
//! | [`Secrets`] | the gate that every text of the platform passes before it is shown | pure |
//! | [`Error`] | what happened, by consequence; its text is stable and free of secrets | – |
//!
//! # Promises
//!
//! - A change (POST, PUT, DELETE) is sent at most once, with one exception: after a 401 it is sent once more
//!   with a new token, because a call that was answered 401 was not executed. [`Error::may_have_happened`]
//!   says whether a failed change may have been made.
//! - Each change uses a connection of its own, at the cost of one handshake. The server may close an idle
//!   connection at the moment it is reused.
//! - A GET is retried at most twice, and only when the connection failed: never after a status, never after
//!   the deadline.
//! - Each call ends by its deadline. Each answer is read up to its limit and no further, so the limit bounds
//!   memory, not the content of the answer.
//! - Redirects are never followed: the token would go along, and a login page would look like success.
//! - No error, log line or `Debug` text holds a secret, a token, a mail address, a telephone number or a raw
//!   web page, or anything that changes from one attempt to the next. The texts go into status conditions.
//! - The client never sleeps on a 429. It returns [`ErrorKind::Throttled`] with [`Error::retry_after`], and
//!   the caller's budget decides.

mod client;
mod error;
mod observer;
mod paging;
mod requests;
mod secrets;
mod settings;
mod text;
mod tls;
mod token;
mod transport;
pub mod wire;

pub use client::{Client, Deleted, JobMethod, MaybeAbsent, SecretsSent};
pub use error::{Error, ErrorKind, RequestSent};
pub use observer::{CallOutcome, Endpoint, Observer};
pub use paging::Listed;
pub use requests::CreateService;
pub use secrets::Secrets;
pub use settings::{ClientSettings, Credential};

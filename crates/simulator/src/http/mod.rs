//! The platform over HTTP.

pub mod bind;
pub mod clock;
pub mod control;
pub mod listener;
pub mod pipeline;
pub mod reply;
pub mod requests;
pub mod route;
pub mod shape;
pub mod token;
pub mod topology;
pub mod vendor;
pub mod wire;

use crate::platform::Platform;
use crate::platform::settings::Settings;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use clock::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use token::{Credentials, Tokens};

/// What changes.
#[derive(Debug)]
pub struct Inner {
    /// The state machine.
    pub platform: Platform,
    /// Tokens belong to Microsoft, not to the platform: a reset leaves them good.
    pub tokens: Tokens,
}

/// What all handlers share.
#[derive(Debug)]
pub struct Shared {
    inner: Mutex<Inner>,
    /// Tells the time.
    pub clock: Clock,
    /// Who may ask for tokens.
    pub credentials: Credentials,
    /// The settings to go back to.
    pub settings: Settings,
}

impl Shared {
    /// Around a platform.
    pub fn new(platform: Platform, clock: Clock, credentials: Credentials) -> Self {
        let settings = platform.settings.clone();
        Self {
            inner: Mutex::new(Inner {
                platform,
                tokens: Tokens::default(),
            }),
            clock,
            credentials,
            settings,
        }
    }

    /// The state; never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is served.
pub fn router(shared: Arc<Shared>) -> Router {
    control::routes()
        .fallback(pipeline::serve)
        .layer(DefaultBodyLimit::max(16 << 20))
        .with_state(shared)
}

//! Serves the platform over HTTP.

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

/// The mutable state.
#[derive(Debug)]
pub struct Inner {
    /// The state machine.
    pub platform: Platform,
    /// The issued tokens. They belong to Microsoft, not to the platform, so they survive a reset.
    pub tokens: Tokens,
}

/// The state that all handlers share.
#[derive(Debug)]
pub struct Shared {
    inner: Mutex<Inner>,
    /// The clock.
    pub clock: Clock,
    /// The credentials that may request tokens.
    pub credentials: Credentials,
    /// The settings that a reset restores.
    pub settings: Settings,
}

impl Shared {
    /// Wraps a platform.
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

    /// Locks the state. The guard must not be held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the routes of both APIs.
pub fn router(shared: Arc<Shared>) -> Router {
    control::routes()
        .fallback(pipeline::serve)
        .layer(DefaultBodyLimit::max(16 << 20))
        .with_state(shared)
}

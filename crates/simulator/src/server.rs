//! Starts and stops a simulator.

use crate::http::clock::Clock;
use crate::http::listener::{Cut, Listener};
use crate::http::token::Credentials;
use crate::http::{Shared, router};
use crate::platform::Platform;
use crate::platform::seed::Seed;
use crate::platform::settings::Settings;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How to start a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// The application that may request tokens.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
    /// The service provider's directory, also the `operatorId` of consented leads.
    pub directory: String,
    /// A JSON file `{leads, channels, lcCustomers, services, numbers, settings}` with the initial state.
    pub seed_file: Option<PathBuf>,
    /// The initial settings. Those of the seed file override them.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            client_id: "44444444-4444-4444-8444-444444444444".into(),
            client_secret: "simulator-secret".into(),
            directory: "33333333-3333-4333-8333-333333333333".into(),
            seed_file: None,
            settings: Settings::default(),
        }
    }
}

/// Why a simulator could not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The seed file cannot be used.
    Seed(PathBuf, String),
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    out,
                    "cannot listen on {address}: the port is in use; choose another one with --listen"
                )
            }
            Self::Listen(address, error) => write!(out, "cannot listen on {address}: {error}"),
            Self::Seed(path, error) => write!(out, "cannot use the seed file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for StartError {}

/// A running simulator. When dropped, it stops and cuts its connections.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    options: Options,
    stopped: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
}

impl Simulator {
    /// Starts a simulator.
    ///
    /// # Panics
    /// When it cannot start; [`Simulator::try_start`] returns the reason instead.
    pub async fn start(options: Options) -> Self {
        match Self::try_start(options).await {
            Ok(simulator) => simulator,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a simulator, or returns why it cannot start.
    pub async fn try_start(options: Options) -> Result<Self, StartError> {
        let clock = Clock::start();
        let id_seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let mut platform = Platform::new(options.settings.clone(), id_seed);
        if let Some(path) = &options.seed_file {
            let fault = |error: String| StartError::Seed(path.clone(), error);
            let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
            let seed: Seed = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
            platform.plant(clock.now(), seed).map_err(fault)?;
        }
        let listen = |error| StartError::Listen(options.address, error);
        let listener = TcpListener::bind(options.address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let credentials = Credentials {
            directory: options.directory.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
        };
        let shared = Arc::new(Shared::new(platform, clock, credentials));
        let (stop, stopping) = oneshot::channel::<()>();
        let stopped = Arc::new(AtomicBool::new(false));
        let service = router(shared).into_make_service_with_connect_info::<Cut>();
        let serve = axum::serve(Listener::new(listener, Arc::clone(&stopped)), service)
            .with_graceful_shutdown(async move {
                // An error means that the sender is gone, which also means stop.
                let _ = stopping.await;
            });
        tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        Ok(Self {
            address,
            options,
            stopped,
            stop: Some(stop),
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`. The control API is below it (`/simulator/…`).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The vendor's `baseUrl` (platform-facts.md 1.2).
    pub fn base_url(&self) -> String {
        format!("{}/tenantui", self.url())
    }

    /// The token endpoint (platform-facts.md 1.1).
    pub fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.url(), self.options.directory)
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

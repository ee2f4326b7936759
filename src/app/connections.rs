//! The connections to the API server.
//!
//! kube's own builder has no settings for them: its connections keep read buffers that grow with what a burst
//! of events or a list has brought, and stay for 90 s.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::util::BoxService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// How much is read at once. A response to a write has about 4 KiB; a list takes a few more reads.
const READ: usize = 8 << 10;

/// How long an idle connection stays open.
const IDLE: Duration = Duration::from_secs(15);

/// A body that kube can read.
pub(crate) trait ResponseBody:
    http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static
{
}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> ResponseBody for B {}

/// Makes the connections and the part of each request that the configuration decides, as kube's own builder
/// does without a proxy and without retries.
///
/// # Errors
/// When the credentials or certificates can't be used.
pub(crate) fn builder(
    config: &Config,
) -> Result<
    ClientBuilder<BoxService<Request<Body>, Response<impl ResponseBody + use<>>, BoxError>>,
    kube::Error,
> {
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_read_buf_exact_size(READ)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client)
        .boxed();
    Ok(ClientBuilder::new(service, config.default_namespace.clone()))
}

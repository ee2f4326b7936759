//! Traces over OTLP, if configured: a span for each pass, and below it each call to the platform and each
//! write to the API server.
//!
//! Only spans with the target [`TARGET`] are traced; log lines are not sent. Without a collector no layer
//! takes these spans, and each costs one comparison. A separate thread sends the collected spans every few
//! seconds; when the collector is unavailable, spans are lost and nothing waits for it. No trace context is
//! sent to the platform: there is no propagator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::cli::TraceSettings;

/// The target of the spans that make up a trace.
pub const TARGET: &str = "operatorconnect::trace";

/// The service name of the spans.
const SERVICE: &str = "oc-essentials-operator";

/// The timeout for sending a batch to the collector.
const TO_SEND: Duration = Duration::from_secs(10);

/// How long sending the remaining spans may take at the end.
const TO_FINISH: Duration = Duration::from_secs(2);

/// The traces of this process, if configured.
#[derive(Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts to collect spans if a collector is configured.
    pub(crate) fn start(settings: &TraceSettings) -> anyhow::Result<Self> {
        let Some(collector) = settings
            .otlp_endpoint
            .as_deref()
            .filter(|collector| !collector.is_empty())
        else {
            return Ok(Self(None));
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new()?)
            .with_endpoint(format!("{collector}/v1/traces"))
            .with_timeout(TO_SEND)
            .build()
            .context("can't use --otlp-endpoint")?;
        let resource = Resource::builder()
            .with_service_name(SERVICE)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.trace_ratio)));
        Ok(Self(Some(
            SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource)
                .with_sampler(sampler)
                .build(),
        )))
    }

    /// The layer that collects the spans.
    pub(crate) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let tracer = self.0.as_ref()?.tracer(SERVICE);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false);
        Some(
            spans
                .with_filter(filter_fn(|meta| meta.is_span() && meta.target() == TARGET))
                .boxed(),
        )
    }

    /// Sends the remaining spans.
    pub fn finish(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(TO_FINISH)
        {
            tracing::warn!(%error, "not every trace was sent before the exit");
        }
    }
}

/// Sends with the HTTP client that the rest of the program uses, on the exporter's thread. That thread has no
/// runtime, so the sender brings a small one.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    failing: AtomicBool,
}

impl Sender {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the runtime for traces")?;
        // Between two sends nothing drives a connection, so none is kept.
        let client = reqwest::Client::builder()
            .timeout(TO_SEND)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build();
        let client = client.context("can't set up the connection to the trace collector")?;
        Ok(Self {
            client,
            runtime,
            failing: AtomicBool::new(false),
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self
            .client
            .execute(request.try_into()?)
            .await
            .map_err(reqwest::Error::without_url)?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = self.runtime.block_on(self.send(request));
        let failed = !result.as_ref().is_ok_and(|answer| answer.status().is_success());
        if self.failing.swap(failed, Ordering::Relaxed) != failed {
            match (&result, failed) {
                (Ok(answer), true) => tracing::warn!(
                    status = answer.status().as_u16(),
                    "the trace collector rejects traces; spans are lost"
                ),
                (Err(error), true) => {
                    tracing::warn!(%error, "can't reach the trace collector; spans are lost")
                }
                _ => tracing::info!("the trace collector accepts traces again"),
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::Registry;

    #[test]
    fn without_a_collector_nothing_takes_spans() {
        let traces = Traces::start(&TraceSettings {
            otlp_endpoint: None,
            trace_ratio: 1.0,
        })
        .unwrap();
        assert!(traces.layer::<Registry>().is_none());
        traces.finish();
        let empty = Traces::start(&TraceSettings {
            otlp_endpoint: Some(String::new()),
            trace_ratio: 1.0,
        })
        .unwrap();
        assert!(
            empty.layer::<Registry>().is_none(),
            "a variable that is set to nothing"
        );
    }
}

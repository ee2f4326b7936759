//! Requests to the API server, counted by verb as they leave.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use smallvec::SmallVec;
use tower::{Layer, Service};

use crate::runtime::clock;
use crate::telemetry::metrics::catalogue;
use crate::telemetry::metrics::families::{Histograms, histograms, register};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCode {
    verb: &'static str,
    code: Code,
}

/// The status of the response; `None` when there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Code(Option<StatusCode>);

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let code = self.0.as_ref().map_or("none", StatusCode::as_str);
        EncodeLabelValue::encode(&code, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByVerb {
    verb: &'static str,
}

#[derive(Debug)]
struct Families {
    calls: Family<ByCode, Counter>,
    duration: Histograms<ByVerb>,
}

/// A client layer that counts requests; by default it counts nothing.
#[derive(Clone, Debug, Default)]
pub struct ApiCalls(Option<Arc<Families>>);

impl ApiCalls {
    pub(crate) fn counted(buckets: &'static [f64]) -> Self {
        Self(Some(Arc::new(Families {
            calls: Family::default(),
            duration: histograms(buckets),
        })))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        if let Some(families) = &self.0 {
            register(registry, &catalogue::API_CALLS, families.calls.clone());
            register(registry, &catalogue::API_DURATION, families.duration.clone());
        }
    }
}

impl<S> Layer<S> for ApiCalls {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> CountedService<S> {
        CountedService {
            inner,
            families: self.0.clone(),
        }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct CountedService<S> {
    inner: S,
    families: Option<Arc<Families>>,
}

impl<S, A, B> Service<Request<A>> for CountedService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CountedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let verb = verb(request.method(), request.uri());
        let call = self.families.clone().map(|families| CountedCall {
            families,
            verb,
            begun: clock::since_start(),
            code: None,
        });
        CountedFuture {
            answer: self.inner.call(request),
            call,
        }
    }
}

/// The response to a request that is counted.
#[derive(Debug)]
pub struct CountedFuture<F> {
    answer: F,
    call: Option<CountedCall>,
}

impl<F, B, E> Future for CountedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        if let Poll::Ready(answer) = &answer
            && let Some(mut call) = self.call.take()
        {
            call.code = answer.as_ref().ok().map(Response::status);
        }
        answer
    }
}

/// One request, counted when it ends, also when it is dropped: the caller may have a deadline.
#[derive(Debug)]
struct CountedCall {
    families: Arc<Families>,
    verb: &'static str,
    begun: Duration,
    code: Option<StatusCode>,
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.families
            .calls
            .get_or_create(&ByCode {
                verb: self.verb,
                code: Code(self.code),
            })
            .inc();
        self.families
            .duration
            .get_or_create(&ByVerb { verb: self.verb })
            .observe(clock::since_start().saturating_sub(self.begun).as_secs_f64());
    }
}

/// The verb, as in RBAC rules.
fn verb(method: &Method, uri: &Uri) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ if uri.query().is_some_and(|query| {
            query
                .split('&')
                .any(|part| part == "watch=true" || part == "watch=1")
        }) =>
        {
            "watch"
        }
        _ if is_collection(uri.path()) => "list",
        _ => "get",
    }
}

/// Whether the path is a collection: all objects of a kind, in one namespace or in all.
fn is_collection(path: &str) -> bool {
    let parts: SmallVec<[&str; 8]> = path.split('/').filter(|part| !part.is_empty()).collect();
    let below = match parts.as_slice() {
        ["api", _version, below @ ..] | ["apis", _, _version, below @ ..] => below,
        _ => return false,
    };
    match below {
        ["namespaces", _name, kind @ ..] => kind.len() == 1,
        kind => kind.len() == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_told_apart() {
        let own = "/apis/operatorconnect.dev/v1alpha1";
        for (method, path, expected) in [
            (Method::GET, format!("{own}/leads?limit=100"), "list"),
            (
                Method::GET,
                format!("{own}/leads?&watch=true&resourceVersion=4"),
                "watch",
            ),
            (Method::GET, format!("{own}/namespaces/a/leads"), "list"),
            (Method::GET, format!("{own}/namespaces/a/leads/b"), "get"),
            (Method::GET, format!("{own}/liveplatforms/b"), "get"),
            (Method::GET, "/api/v1/namespaces/a".into(), "get"),
            (Method::GET, "/api/v1/namespaces".into(), "list"),
            (Method::GET, "/api/v1/namespaces/a/secrets/b".into(), "get"),
            (Method::GET, "/version".into(), "get"),
            (
                Method::PATCH,
                format!("{own}/namespaces/a/leads/b/status"),
                "patch",
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".into(),
                "update",
            ),
            (
                Method::POST,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases".into(),
                "create",
            ),
            (Method::DELETE, format!("{own}/namespaces/a/leads/b"), "delete"),
        ] {
            assert_eq!(verb(&method, &path.parse().unwrap()), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_request_is_counted_however_it_ends() {
        let calls = ApiCalls::counted(&[1.0]);
        let mut service = calls.layer(tower::service_fn(|request: Request<()>| {
            Box::pin(async move {
                match request.uri().path() {
                    "/version" => Ok(Response::builder().status(429).body(()).unwrap()),
                    "/lost" => Err("lost"),
                    _ => std::future::pending().await,
                }
            })
        }));
        let mut ask = |path: &str| service.call(Request::get(path).body(()).unwrap());
        assert!(ask("/version").await.is_ok());
        assert!(ask("/lost").await.is_err());
        let given_up = tokio::time::timeout(Duration::from_millis(10), ask("/never")).await;
        assert!(given_up.is_err());
        // Not even started.
        drop(ask("/never"));
        let families = calls.0.unwrap();
        let count = |code: Option<StatusCode>| {
            families
                .calls
                .get_or_create(&ByCode {
                    verb: "get",
                    code: Code(code),
                })
                .get()
        };
        let throttled = Some(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!((count(throttled), count(None)), (1, 3));
    }
}

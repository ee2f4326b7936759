//! The clients, and the preflight checks: whether the API server answers, and which rights this process
//! lacks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use http::Uri;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, Config};
use tower::Service;
use tower::filter::FilterLayer;
use tower::layer::layer_fn;
use tower::limit::ConcurrencyLimitLayer;

use crate::app::connections;
use crate::cli;
use crate::cli::Settings;
use crate::cluster::election;
use crate::cluster::key::Kind;
use crate::cluster::managed::ManagedResource;
use crate::cluster::scope::Scope;
use crate::cluster::stores::for_kind;
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use crate::telemetry;
use crate::telemetry::metrics::ApiCalls;

/// How many requests to the API server run at once. Each has its own connection (kube speaks HTTP/1.1), and a
/// connection costs memory on both sides; more of them make the API server no faster. A watch counts only
/// until its response begins.
const REQUESTS_AT_ONCE: usize = 16;

/// How the first requests are retried. The process retries by itself because Kubernetes backs off for minutes
/// when it restarts a process that keeps ending; that would be late when the API server is back.
struct Tries {
    /// The timeout of one request.
    patience: Duration,
    /// The pause after the first failure; it doubles each time.
    pause: Duration,
    /// The longest pause.
    longest: Duration,
}

const TRIES: Tries = Tries {
    patience: Duration::from_secs(15),
    pause: Duration::from_secs(1),
    longest: Duration::from_secs(10),
};

/// A right is missing.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The clients of the API server.
pub(crate) struct Clients {
    /// For the watches and passes.
    pub(crate) client: Client,
    /// For the lease: its renewal must not wait behind the other requests.
    pub(crate) for_lease: Client,
    address: Uri,
}

impl Clients {
    /// Builds the clients; sends no request yet.
    pub(crate) async fn new(
        settings: &Settings,
        leadership: &Leadership,
        calls: &ApiCalls,
    ) -> anyhow::Result<Self> {
        let mut config = match &settings.kubeconfig {
            Some(file) => {
                let kubeconfig = kube::config::Kubeconfig::read_from(file).with_context(|| format!("can't read --kubeconfig {}", file.display()))?;
                Config::from_custom_kubeconfig(kubeconfig, &Default::default())
                    .await
                    .with_context(|| format!("can't use --kubeconfig {}", file.display()))?
            }
            None => Config::infer()
                .await
                .context("no cluster: found neither a kubeconfig nor a pod's service account; use --kubeconfig FILE or set KUBECONFIG")?,
        };
        own_way(&mut config)?;
        // kube's own retry would repeat a write up to 15 times and hold a pass for minutes; the queue
        // retries.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        // A connection whose other end is gone must be noticed before the watch counts as dead: it is an
        // outage, which a restart does not fix. A live watch is never silent for this long: it gets bookmarks
        // and ends within five minutes.
        config.read_timeout = Some(Duration::from_secs(300));
        let address = config.cluster_url.clone();
        let unusable = "can't use the API server's address or credentials";
        let for_lease = connections::builder(&config)
            .context(unusable)?
            .with_layer(&layer_fn(Timed))
            .with_layer(calls)
            .build();
        Ok(Self {
            client: fenced(&config, leadership.clone(), calls).context(unusable)?,
            for_lease,
            address,
        })
    }

    /// Waits until the API server answers, then checks that everything to be watched can be listed, and the
    /// lease read.
    ///
    /// # Errors
    /// When the API server reports that something is missing, or refuses.
    pub(crate) async fn preflight(
        &self,
        scope: &Scope,
        lease: Option<&election::ElectionSettings>,
    ) -> anyhow::Result<()> {
        let version = retry_until_reachable(&TRIES, &self.address, || self.client.apiserver_version())
            .await
            .with_context(|| {
                format!(
                    "can't use the API server {}; is it an API server, and is the kubeconfig right?",
                    self.address
                )
            })?;
        tracing::info!(version = version.git_version, "reached the API server");
        for kind in Kind::ALL {
            for_kind!(kind, K => if !K::NAMESPACED {
                self.check::<K>(None).await?;
            });
        }
        self.check_parts(scope).await?;
        match lease {
            Some(lease) => self.check_lease(lease).await,
            None => Ok(()),
        }
    }

    /// Whether leads and services can be listed. Of several namespaces, one that refuses must not keep the
    /// others from being served: it may be terminating, or its rights may come later. Its watch reports the
    /// refusal and keeps trying.
    async fn check_parts(&self, scope: &Scope) -> anyhow::Result<()> {
        let mut refused = None;
        let parts = scope.parts();
        for part in &parts {
            let part = part.as_deref();
            let checked = async {
                for kind in Kind::ALL {
                    for_kind!(kind, K => if K::NAMESPACED {
                        self.check::<K>(part).await?;
                    });
                }
                anyhow::Ok(())
            };
            match checked.await {
                Ok(()) => return Ok(()),
                Err(error) if error.downcast_ref::<Refused>().is_some() => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Whether a kind exists and may be listed, in one namespace or (without one) everywhere.
    async fn check<K: ManagedResource>(&self, namespace: Option<&str>) -> anyhow::Result<()> {
        let (api, plural) = (K::api_of_part(&self.client, namespace), K::plural(&()));
        let inside = namespace
            .map(|namespace| format!(" in the namespace {namespace} (--watch-namespaces)"))
            .unwrap_or_default();
        let one = ListParams::default().limit(1);
        match retry_until_reachable(&TRIES, &self.address, || api.list_metadata(&one)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                anyhow::bail!(
                    "the custom resource definition {plural}.{} is missing; install it: oc-essentials-operator crds | kubectl apply --server-side -f -",
                    oc_api::GROUP
                )
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let message = format!(
                    "no permission to list {plural}.{}{inside}; grant the operator the chart's permissions: {}",
                    oc_api::GROUP,
                    status.message
                );
                Err(Refused(message).into())
            }
            Err(error) => {
                Err(error).with_context(|| format!("can't list {plural}.{}{inside}", oc_api::GROUP))
            }
        }
    }

    /// Whether the lease can be read: a missing right must be reported at the start, not when this replica's
    /// turn comes.
    async fn check_lease(&self, lease: &election::ElectionSettings) -> anyhow::Result<()> {
        let api = Api::<Lease>::namespaced(self.for_lease.clone(), &lease.namespace);
        match retry_until_reachable(&TRIES, &self.address, || api.get_opt(&lease.name)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                anyhow::bail!(
                    "no permission to get leases in the namespace {}; grant the operator the chart's permissions there: {}",
                    lease.namespace,
                    status.message
                )
            }
            Err(error) => {
                Err(error).with_context(|| format!("can't read the lease {}/{}", lease.namespace, lease.name))
            }
        }
    }
}

/// A proxy from the environment is for the platform and Entra; the API server is reached without one.
fn own_way(config: &mut Config) -> anyhow::Result<()> {
    let Some(proxy) = config.proxy_url.take() else {
        return Ok(());
    };
    if cli::is_proxy_of_environment(&proxy) {
        tracing::info!(%proxy, "using the proxy from the environment for the platform, not for the API server");
        return Ok(());
    }
    anyhow::bail!(
        "the kubeconfig has a proxy-url, {proxy}, but the operator uses no proxy for the API server; remove it, and run the operator where it can reach the API server"
    )
}

/// Retries until the API server answers. Warns once about a problem, and again only when the problem changes.
async fn retry_until_reachable<T, F: Future<Output = kube::Result<T>>>(
    tries: &Tries,
    address: &Uri,
    ask: impl Fn() -> F,
) -> kube::Result<T> {
    let (mut pause, mut told) = (tries.pause, String::new());
    loop {
        let error = match tokio::time::timeout(tries.patience, ask()).await {
            Ok(Err(error)) if is_transient(&error) => telemetry::one_line(&error.into()),
            Ok(answer) => return answer,
            Err(_) => format!("no answer within {} s", tries.patience.as_secs()),
        };
        if error == told {
            tracing::debug!(%address, error, "the API server still does not answer");
        } else {
            tracing::warn!(
                %address,
                error,
                "the API server does not answer; retrying until it does: is it running, is this its address, and is the kubeconfig right?"
            );
        }
        told = error;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(tries.longest);
    }
}

/// Whether the error may pass without a change: nobody answered, or the API server is in trouble or
/// overloaded. A refusal stays a refusal.
fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        _ => false,
    }
}

/// A service that learns the API server's time from its responses.
struct Timed<S>(S);

impl<S, A, B> Service<http::Request<A>> for Timed<S>
where
    S: Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        let asked = clock::since_start();
        TimedFuture {
            answer: self.0.call(request),
            asked,
        }
    }
}

/// The response to a request, and the monotonic time of the request.
struct TimedFuture<F> {
    answer: F,
    asked: Duration,
}

impl<F, B, E> Future for TimedFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        if let Poll::Ready(Ok(answer)) = &answer {
            let date = answer.headers().get(http::header::DATE).and_then(|date| {
                jiff::fmt::rfc2822::DateTimeParser::new()
                    .parse_timestamp(date.as_bytes())
                    .ok()
            });
            if let Some(date) = date {
                clock::heard(clock::time(date), self.asked);
            }
        }
        answer
    }
}

/// A client that limits its requests and, unless this replica leads, lets only reads pass. Leadership is
/// checked when a request leaves, after it has waited for its turn.
fn fenced(config: &Config, leadership: Leadership, calls: &ApiCalls) -> Result<Client, kube::Error> {
    let writes_of_the_leader = FilterLayer::new(move |request: http::Request<kube::client::Body>| {
        if request.method() != http::Method::GET {
            leadership.may_change().map_err(|trouble| trouble.message)?;
        }
        Ok::<_, String>(request)
    });
    Ok(connections::builder(config)?
        .with_layer(&layer_fn(Timed))
        .with_layer(calls)
        .with_layer(&writes_of_the_leader)
        .with_layer(&ConcurrencyLimitLayer::new(REQUESTS_AT_ONCE))
        .build())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use oc_api::Lead;

    /// Whether a read and a write are fenced off; no server listens.
    async fn read_and_write(leadership: Leadership) -> [bool; 2] {
        let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        let leads = Api::<Lead>::namespaced(fenced(&config, leadership, &ApiCalls::default()).unwrap(), "a");
        let patch = kube::api::Patch::Merge(serde_json::json!({}));
        let errors = [
            leads.get("a").await.unwrap_err(),
            leads.patch("a", &Default::default(), &patch).await.unwrap_err(),
        ];
        errors.map(|error| error.to_string().contains("does not lead"))
    }

    #[tokio::test]
    async fn one_that_does_not_lead_writes_nothing() {
        assert_eq!(
            read_and_write(Leadership::elected()).await,
            [false, true],
            "the read was sent, the write refused"
        );
        assert_eq!(
            read_and_write(Leadership::without_election()).await,
            [false, false]
        );
    }

    fn answer(code: u16) -> kube::Error {
        kube::Error::Api(
            kube::core::Status::failure("it says so", "Reason")
                .with_code(code)
                .boxed(),
        )
    }

    /// Asks while these errors come one after the other (`None`: no answer at all), then gets an answer. A
    /// second is a millisecond here. Returns the result, the number of requests, and the time taken.
    async fn asked(troubles: Vec<Option<kube::Error>>) -> (kube::Result<()>, u32, Duration) {
        let tries = Tries {
            patience: TRIES.patience / 1000,
            pause: TRIES.pause / 1000,
            longest: TRIES.longest / 1000,
        };
        let (troubles, asked, begun) = (
            RefCell::new(troubles.into_iter()),
            RefCell::new(0),
            tokio::time::Instant::now(),
        );
        let ask = || async {
            *asked.borrow_mut() += 1;
            let trouble = troubles.borrow_mut().next();
            match trouble {
                Some(Some(error)) => Err(error),
                Some(None) => std::future::pending().await,
                None => Ok(()),
            }
        };
        let came = retry_until_reachable(&tries, &"http://127.0.0.1:1".parse().unwrap(), ask).await;
        let times = *asked.borrow();
        (came, times, begun.elapsed())
    }

    #[tokio::test]
    async fn who_does_not_answer_is_asked_again_and_who_refuses_is_not() {
        let nobody = || Some(kube::Error::Service("connection refused".into()));
        let (came, times, after) = asked(vec![
            nobody(),
            Some(answer(503)),
            Some(answer(429)),
            Some(answer(500)),
            nobody(),
            nobody(),
            None,
        ])
        .await;
        assert!(came.is_ok());
        let least = Duration::from_millis(1 + 2 + 4 + 8 + 10 + 10 + 15 + 10);
        assert!(times == 8 && after >= least, "{times} times in {after:?}");
        for code in [401, 403, 404] {
            let (came, times, _) = asked(vec![nobody(), Some(answer(code))]).await;
            assert!(matches!(came, Err(kube::Error::Api(status)) if status.code == code));
            assert_eq!(times, 2, "{code}");
        }
    }
}

//! The operator's metrics, in OpenMetrics text.
//!
//! [`catalogue()`] is the closed list. Events are counted as they happen ([`Metrics`] receives them); state
//! is counted when the metrics are scraped (`gauges`). The only object name used as a label is that of a
//! `LivePlatform`, of which an administrator creates a few. No label holds free text.

mod apiserver;
mod catalogue;
mod families;
mod gauges;
mod process;

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use live_platform::{CallOutcome, Endpoint};
use oc_domain::conditions::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::registry::Registry;

pub use apiserver::ApiCalls;
pub use catalogue::{Described, Type, catalogue};

use self::families::{Histograms, histograms, register};
use crate::controllers::Kind;
use crate::controllers::metrics::{MetricsSink, PassOutcome};
use crate::controllers::snapshot::Snapshot;
use crate::platform::budget::BudgetEvent;
use crate::runtime::workqueue::Priority;

/// The content type of the metrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets for calls and passes, in seconds.
const SHORT: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Buckets for waits that should be short, in seconds.
const WAITS: [f64; 10] = [0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0];
/// Buckets for what includes a platform's task and a job, in seconds.
const LONG: [f64; 12] = [
    1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0,
];

/// The reasons that open a platform's circuit.
const OPENED: [Reason; 3] = [
    Reason::PlatformUnavailable,
    Reason::Throttled,
    Reason::AuthenticationFailed,
];

macro_rules! labels {
    ($($name:ident { $($label:ident: $of:ty),+ })+) => {
        $(#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($label: $of),+ })+
    };
}

labels! {
    ByKind { kind: &'static str }
    ByOutcome { kind: &'static str, outcome: &'static str }
    ByPriority { priority: &'static str }
    ByPlatform { platform: Arc<str> }
    ByCall { platform: Arc<str>, call: &'static str }
    ByAnswer { platform: Arc<str>, call: &'static str, outcome: &'static str }
    ByReason { platform: Arc<str>, reason: String }
}

/// Creates a series, with nothing counted yet.
fn begin<L, M, C>(family: &Family<L, M, C>, labels: &L)
where
    L: Clone + std::hash::Hash + Eq,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(labels));
}

/// The counters and histograms.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<ByOutcome, Counter>,
    pass_duration: Histograms<ByKind>,
    queue_wait: Histograms<ByPriority>,
    first_look: Histograms<ByKind>,
    ready: Histograms<ByKind>,
    status_failures: Family<ByKind, Counter>,
    calls: Family<ByAnswer, Counter>,
    call_duration: Histograms<ByCall>,
    budget_wait: Histograms<ByPlatform>,
    circuit_opened: Family<ByReason, Counter>,
    api: ApiCalls,
    /// The platforms that have series.
    platforms: Mutex<BTreeSet<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            passes: Family::default(),
            pass_duration: histograms(&SHORT),
            queue_wait: histograms(&WAITS),
            first_look: histograms(&WAITS),
            ready: histograms(&LONG),
            status_failures: Family::default(),
            calls: Family::default(),
            call_duration: histograms(&SHORT),
            budget_wait: histograms(&WAITS),
            circuit_opened: Family::default(),
            api: ApiCalls::counted(&SHORT),
            platforms: Mutex::default(),
        };
        metrics.begin();
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        register(registry, &catalogue::PASSES, self.passes.clone());
        register(registry, &catalogue::PASS_DURATION, self.pass_duration.clone());
        register(registry, &catalogue::QUEUE_WAIT, self.queue_wait.clone());
        register(registry, &catalogue::FIRST_LOOK, self.first_look.clone());
        register(registry, &catalogue::READY, self.ready.clone());
        register(
            registry,
            &catalogue::STATUS_FAILURES,
            self.status_failures.clone(),
        );
        register(registry, &catalogue::CALLS, self.calls.clone());
        register(registry, &catalogue::CALL_DURATION, self.call_duration.clone());
        register(registry, &catalogue::BUDGET_WAIT, self.budget_wait.clone());
        register(registry, &catalogue::CIRCUIT_OPENED, self.circuit_opened.clone());
        self.api.register(registry);
    }

    /// Creates the series that are known in advance: a rate over a counter that does not exist yet misses its
    /// first increment.
    fn begin(&self) {
        for kind in Kind::ALL.map(Kind::as_str) {
            begin(&self.status_failures, &ByKind { kind });
            begin(&self.pass_duration, &ByKind { kind });
            begin(&self.first_look, &ByKind { kind });
            begin(&self.ready, &ByKind { kind });
            for outcome in PassOutcome::ALL.map(PassOutcome::label) {
                begin(&self.passes, &ByOutcome { kind, outcome });
            }
        }
        for priority in Priority::ALL.map(Priority::label) {
            begin(&self.queue_wait, &ByPriority { priority });
        }
    }

    /// The layer that counts the requests to the API server.
    pub fn api_calls(&self) -> ApiCalls {
        self.api.clone()
    }

    /// All metrics, as text. `now` is the current state; series of platforms that no longer exist are
    /// dropped.
    ///
    /// # Errors
    /// None: a `String` accepts every write.
    pub fn text(&self, now: Snapshot) -> Result<String, std::fmt::Error> {
        self.forget_all_but(&now);
        let mut standing = Registry::default();
        standing.register_collector(Box::new(gauges::Gauges(now)));
        standing.register_collector(Box::new(process::Process));
        let mut text = String::with_capacity(32 << 10);
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry)?;
        prometheus_client::encoding::text::encode(&mut text, &standing)?;
        Ok(text)
    }

    fn platforms(&self) -> parking_lot::MutexGuard<'_, BTreeSet<String>> {
        self.platforms.lock()
    }

    /// Creates the series of a platform when it first appears.
    fn meet(&self, platform: &str) {
        let mut platforms = self.platforms();
        if !platforms.contains(platform) {
            platforms.insert(platform.to_owned());
            let platform = || Arc::from(platform);
            begin(&self.budget_wait, &ByPlatform { platform: platform() });
            for reason in OPENED {
                begin(
                    &self.circuit_opened,
                    &ByReason {
                        platform: platform(),
                        reason: reason.to_string(),
                    },
                );
            }
        }
    }

    fn forget_all_but(&self, now: &Snapshot) {
        now.platforms.keys().for_each(|platform| self.meet(platform));
        let mut platforms = self.platforms();
        let gone: Vec<String> = platforms
            .iter()
            .filter(|name| !now.platforms.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            platforms.remove(&name);
            self.forget(&name);
        }
    }

    fn forget(&self, platform: &str) {
        let platform = || Arc::from(platform);
        self.budget_wait.remove(&ByPlatform { platform: platform() });
        for reason in Reason::ALL {
            self.circuit_opened.remove(&ByReason {
                platform: platform(),
                reason: reason.to_string(),
            });
        }
        for call in Endpoint::ALL.map(Endpoint::label) {
            self.call_duration.remove(&ByCall {
                platform: platform(),
                call,
            });
            for outcome in CallOutcome::LABELS {
                self.calls.remove(&ByAnswer {
                    platform: platform(),
                    call,
                    outcome,
                });
            }
        }
    }
}

impl MetricsSink for Metrics {
    fn dequeued(&self, priority: Priority, waited: Duration) {
        self.queue_wait
            .get_or_create(&ByPriority {
                priority: priority.label(),
            })
            .observe(waited.as_secs_f64());
    }

    fn reconciled(&self, kind: Kind, outcome: PassOutcome, took: Duration) {
        let kind = kind.as_str();
        self.passes
            .get_or_create(&ByOutcome {
                kind,
                outcome: outcome.label(),
            })
            .inc();
        self.pass_duration
            .get_or_create(&ByKind { kind })
            .observe(took.as_secs_f64());
    }

    fn first_look(&self, kind: Kind, after: Duration) {
        self.first_look
            .get_or_create(&ByKind { kind: kind.as_str() })
            .observe(after.as_secs_f64());
    }

    fn ready(&self, kind: Kind, after: Duration) {
        self.ready
            .get_or_create(&ByKind { kind: kind.as_str() })
            .observe(after.as_secs_f64());
    }

    fn status_unwritten(&self, kind: Kind) {
        self.status_failures
            .get_or_create(&ByKind { kind: kind.as_str() })
            .inc();
    }

    fn call_finished(&self, platform: &Arc<str>, endpoint: Endpoint, outcome: CallOutcome, took: Duration) {
        self.meet(platform);
        let (platform, call) = (Arc::clone(platform), endpoint.label());
        self.calls
            .get_or_create(&ByAnswer {
                platform: Arc::clone(&platform),
                call,
                outcome: outcome.label(),
            })
            .inc();
        self.call_duration
            .get_or_create(&ByCall { platform, call })
            .observe(took.as_secs_f64());
    }

    fn budget(&self, platform: &Arc<str>, news: BudgetEvent) {
        self.meet(platform);
        let platform = Arc::clone(platform);
        match news {
            BudgetEvent::Back => {}
            BudgetEvent::Opened(reason) => {
                self.circuit_opened
                    .get_or_create(&ByReason {
                        platform,
                        reason: reason.to_string(),
                    })
                    .inc();
            }
            BudgetEvent::Waited(waited) => self
                .budget_wait
                .get_or_create(&ByPlatform { platform })
                .observe(waited.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests;

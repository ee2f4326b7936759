//! How metrics are built and registered.

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::catalogue::Described;

/// Histograms that share the same buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A histogram for each set of labels, all with the same buckets.
pub(crate) type Histograms<L> = Family<L, Histogram, Buckets>;

/// Histograms with these buckets, in seconds.
pub(crate) fn histograms<L: Clone + std::hash::Hash + Eq>(buckets: &'static [f64]) -> Histograms<L> {
    Family::new_with_constructor(Buckets(buckets))
}

/// Registers a metric as the catalogue describes it.
pub(crate) fn register(
    registry: &mut Registry,
    described: &Described,
    metric: impl EncodeMetric + Send + Sync + std::fmt::Debug + 'static,
) {
    match described.typed_unit() {
        Some(unit) => registry.register_with_unit(described.stem(), described.help, unit, metric),
        None => registry.register(described.stem(), described.help, metric),
    }
}

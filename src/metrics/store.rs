//! What the shared store was asked, and how long it took to answer.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::Histograms;

/// From a Redis next door to the longest that anyone waits.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    db_system_name: &'static str,
    db_operation_name: &'static str,
    error_type: &'static str,
}

/// Measures what goes to the store that instances share. Without one, there is nothing to measure.
#[derive(Clone)]
pub struct StoreMetrics {
    durations: Histograms<Labels>,
    skipped: Counter,
    breaker_open: Gauge,
}

impl StoreMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            durations: Histograms::new_with_constructor(|| Histogram::new(BUCKETS)),
            skipped: Counter::default(),
            breaker_open: Gauge::default(),
        };
        let help = "How long the shared store took to answer; error_type is empty when it did";
        registry.register("db_client_operation_duration_seconds", help, metrics.durations.clone());
        let help =
            "Operations that the shared store was not asked, because it had failed too often or no time was left";
        registry.register("llm_gateway_store_skipped", help, metrics.skipped.clone());
        let help = "1 while the shared store is left alone because it keeps failing";
        registry.register("llm_gateway_store_breaker_open", help, metrics.breaker_open.clone());
        metrics
    }

    /// It was asked for `operation`, and answered or failed after so long. `error`: what it failed with. `None`: it answered.
    pub fn asked(&self, operation: &'static str, error: Option<&'static str>, took: Duration) {
        let error_type = error.unwrap_or_default();
        let labels = Labels { db_system_name: "redis", db_operation_name: operation, error_type };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// It was not asked.
    pub fn skipped(&self) {
        self.skipped.inc();
    }

    /// Whether it is left alone.
    pub fn set_open(&self, is_open: bool) {
        self.breaker_open.set(i64::from(is_open));
    }
}

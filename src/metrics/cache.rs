//! What became of requests in the cache.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// Counts what `GET /llm/cache/stats` counts, of this process alone.
#[derive(Clone, Default)]
pub struct CacheMetrics {
    requests: Family<Labels, Counter>,
}

impl CacheMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Generations and embeddings, by what became of them in the cache";
        registry.register("llm_gateway_cache_requests", help, metrics.requests.clone());
        metrics
    }

    /// One more has come to this `result`.
    pub fn count(&self, result: &'static str) {
        self.requests.get_or_create(&Labels { result }).inc();
    }
}

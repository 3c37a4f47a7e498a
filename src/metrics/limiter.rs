//! Who was admitted by the rate limit, and who said so.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    decision: &'static str,
    mode: &'static str,
}

/// Counts decisions.
#[derive(Clone, Default)]
pub struct LimiterMetrics {
    decisions: Family<Labels, Counter>,
}

impl LimiterMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help =
            "Decisions of the rate limit; mode local: this process decided alone because the shared store was away";
        registry.register("llm_gateway_rate_limit_decisions", help, metrics.decisions.clone());
        metrics
    }

    /// One was admitted or not, by this process alone if `local`.
    pub fn decided(&self, admitted: bool, local: bool) {
        let decision = if admitted { "admitted" } else { "refused" };
        let mode = if local { "local" } else { "store" };
        self.decisions.get_or_create(&Labels { decision, mode }).inc();
    }

    /// One passed uncounted, because nobody could say.
    pub fn unchecked(&self) {
        self.decisions.get_or_create(&Labels { decision: "unchecked", mode: "local" }).inc();
    }
}

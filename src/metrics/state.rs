//! How things stand at the moment when somebody asks.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// What is looked up rather than counted. Every field is set by who encodes.
#[derive(Clone, Default)]
pub struct StateMetrics {
    /// Requests that have a place.
    pub in_flight: Gauge,
    /// Places there are.
    pub in_flight_limit: Gauge,
    /// Calls under way, for whoever waits for them.
    pub flights: Gauge,
    /// Answers in this process's memory.
    pub cache_entries: Gauge,
    /// What they take there.
    pub cache_bytes: Gauge,
}

impl StateMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("llm_gateway_build_info", "1, with the version as its label", build);
        let Self { in_flight, in_flight_limit, flights, cache_entries, cache_bytes } = metrics.clone();
        let all = [
            ("llm_gateway_in_flight_requests", "Requests being answered that count for MAX_IN_FLIGHT", in_flight),
            ("llm_gateway_in_flight_limit", "MAX_IN_FLIGHT", in_flight_limit),
            ("llm_gateway_flights", "Calls under way, each for all who ask the same", flights),
            ("llm_gateway_cache_memory_entries", "Answers and vectors in this process's memory", cache_entries),
            ("llm_gateway_cache_memory_bytes", "Memory that they take, keys and keeping included", cache_bytes),
        ];
        for (name, help, gauge) in all {
            registry.register(name, help, gauge);
        }
        metrics
    }
}

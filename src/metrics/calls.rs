//! What providers were asked: every attempt, how long it took and how it failed.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::time::Instant;

use crate::generate::{ModelId, ProviderId, Target};

use super::Histograms;

/// As OpenTelemetry recommends for `gen_ai.client.operation.duration` and `gen_ai.client.operation.time_to_first_chunk`.
const BUCKETS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer.
    Chat,
    /// Vectors.
    Embeddings,
}

impl Operation {
    /// OpenTelemetry's word for it (`gen_ai.operation.name`).
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Embeddings => "embeddings",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "OpenTelemetry's names")]
struct Labels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: ProviderId,
    gen_ai_request_model: ModelId,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabels {
    #[prometheus(flatten)]
    call: Labels,
    error_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProviderLabels {
    gen_ai_provider_name: ProviderId,
}

/// Measures attempts.
#[derive(Clone)]
pub struct CallMetrics {
    durations: Histograms<EndLabels>,
    first_chunks: Histograms<Labels>,
    breakers_open: Family<ProviderLabels, Gauge>,
}

impl CallMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let histograms = || Histogram::new(BUCKETS);
        let metrics = Self {
            durations: Histograms::new_with_constructor(histograms),
            first_chunks: Histograms::new_with_constructor(histograms),
            breakers_open: Family::default(),
        };
        let help = "How long attempts at providers took to their end; error_type is empty when there was an answer";
        registry.register("gen_ai_client_operation_duration_seconds", help, metrics.durations.clone());
        let help = "How long attempts at providers took to the first piece of the answer";
        registry.register("gen_ai_client_operation_time_to_first_chunk_seconds", help, metrics.first_chunks.clone());
        let help = "1 while a provider is skipped because it keeps failing";
        registry.register("llm_gateway_provider_breaker_open", help, metrics.breakers_open.clone());
        metrics
    }

    /// An attempt at `target` begins, whose model is one of a bounded number.
    pub fn begin(&self, operation: Operation, target: Target) -> Call {
        let labels = Labels {
            gen_ai_operation_name: operation.as_str(),
            gen_ai_provider_name: target.provider,
            gen_ai_request_model: target.model,
        };
        Call { metrics: self.clone(), labels, begun: Instant::now() }
    }

    /// Whether `provider` is skipped.
    pub fn set_open(&self, provider: &ProviderId, is_open: bool) {
        let labels = ProviderLabels { gen_ai_provider_name: provider.clone() };
        self.breakers_open.get_or_create(&labels).set(i64::from(is_open));
    }
}

/// One attempt.
pub struct Call {
    metrics: CallMetrics,
    labels: Labels,
    begun: Instant,
}

impl Call {
    /// The first piece of the answer is there.
    pub fn has_begun(&self) {
        self.metrics.first_chunks.get_or_create(&self.labels).observe(self.begun.elapsed().as_secs_f64());
    }

    /// It is over. `error`: what it failed with. `None`: it did not.
    pub fn ended(&self, error: Option<&'static str>) {
        let labels = EndLabels { call: self.labels.clone(), error_type: error.unwrap_or_default() };
        self.metrics.durations.get_or_create(&labels).observe(self.begun.elapsed().as_secs_f64());
    }
}

//! Money and tokens: what was spent, and what was saved.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::generate::{MicroDollars, ModelId, ProviderId, Target, Usage};

use super::Histograms;

/// As OpenTelemetry recommends for `gen_ai.client.token.usage`.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "OpenTelemetry's names")]
struct TokenLabels {
    gen_ai_provider_name: ProviderId,
    gen_ai_request_model: ModelId,
    gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MoneyLabels {
    gen_ai_provider_name: ProviderId,
    gen_ai_request_model: ModelId,
    kind: &'static str,
}

type Dollars = Counter<f64, AtomicU64>;

/// Counts what is booked by this process.
#[derive(Clone)]
pub struct SpendingMetrics {
    tokens: Histograms<TokenLabels>,
    cost: Family<MoneyLabels, Dollars>,
    avoided: Family<MoneyLabels, Dollars>,
}

impl SpendingMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            tokens: Histograms::new_with_constructor(|| Histogram::new(TOKENS)),
            cost: Family::default(),
            avoided: Family::default(),
        };
        let help = "Tokens that calls took, by estimate where the provider does not count";
        registry.register("gen_ai_client_token_usage", help, metrics.tokens.clone());
        let help = "Dollars spent at providers, by what became of the answer";
        registry.register("llm_gateway_cost_dollars", help, metrics.cost.clone());
        let help = "Dollars that stored and shared answers would have cost";
        registry.register("llm_gateway_saved_dollars", help, metrics.avoided.clone());
        metrics
    }

    /// A call of `target`, whose model is one of a bounded number, took `usage` and `cost`.
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine quadrillion tokens")]
    pub fn spent(&self, kind: &'static str, target: Target, usage: &Usage, cost: MicroDollars) {
        // Who took none is no sample: an attempt in vain, and the answer of who makes vectors.
        let tokens = [("input", usage.input_tokens), ("output", usage.output_tokens)];
        for (gen_ai_token_type, tokens) in tokens.into_iter().filter(|(_, tokens)| *tokens > 0) {
            let (gen_ai_provider_name, gen_ai_request_model) = (target.provider.clone(), target.model.clone());
            let labels = TokenLabels { gen_ai_provider_name, gen_ai_request_model, gen_ai_token_type };
            self.tokens.get_or_create(&labels).observe(tokens as f64);
        }
        self.cost.get_or_create(&labels(kind, target)).inc_by(cost.dollars());
    }

    /// An answer of `target` need not be paid for, which would have been `cost`.
    pub fn avoided(&self, kind: &'static str, target: Target, cost: MicroDollars) {
        self.avoided.get_or_create(&labels(kind, target)).inc_by(cost.dollars());
    }
}

fn labels(kind: &'static str, target: Target) -> MoneyLabels {
    MoneyLabels { gen_ai_provider_name: target.provider, gen_ai_request_model: target.model, kind }
}

//! The span of one attempt at a provider.

use tracing::{Span, field::Empty};

use crate::generate::{FinishReason, Target, Usage};

use super::{TARGET, context, failed};

/// An attempt.
pub struct Attempt {
    span: Span,
}

impl Attempt {
    /// An attempt at `target` begins, the `number`th of its request, counted from 1.
    pub fn begin(operation: &'static str, target: &Target, number: u32) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "attempt",
            otel.name = %format_args!("{operation} {}", target.model),
            otel.kind = "client",
            otel.status_code = Empty,
            gen_ai.operation.name = operation,
            gen_ai.provider.name = target.provider.well_known_name(),
            gen_ai.request.model = target.model.as_str(),
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            llm_gateway.attempt = i64::from(number),
            server.address = Empty,
            server.port = Empty,
            error.type = Empty,
        );
        Self { span }
    }

    /// What it does happens in here.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// There is an answer, or there are vectors. What they took is told where the provider said so.
    pub fn succeeded(&self, reason: Option<FinishReason>, usage: Option<Usage>) {
        if let Some(Usage { input_tokens, output_tokens, .. }) = usage.filter(|usage| !usage.estimated) {
            self.span.record("gen_ai.usage.input_tokens", i64::try_from(input_tokens).ok());
            self.span.record("gen_ai.usage.output_tokens", i64::try_from(output_tokens).ok());
        }
        if let Some(reason) = reason {
            context::finished(&self.span, reason.as_str());
        }
    }

    /// It is over. `error`: what it failed with. `None`: it did not.
    pub fn ended(&self, error: Option<&'static str>) {
        if let Some(error) = error {
            failed(&self.span, error);
        }
        context::end(&self.span);
    }
}

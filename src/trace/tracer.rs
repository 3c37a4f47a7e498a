//! Makes spans of what `tracing` tells.

use opentelemetry::{
    Context,
    trace::{SpanBuilder, SpanKind, TraceContextExt as _, Tracer},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::REQUEST;

/// Begins a trace with every request, and with nothing else: what the service does for itself, such as to add up counts, would be a
/// trace of one span every few seconds.
pub(super) struct Requests(pub(super) SdkTracer);

impl Tracer for Requests {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        if builder.name == REQUEST {
            // Said here, because the log prints what stands at a request's span.
            return self.0.build_with_context(builder.with_kind(SpanKind::Server), parent);
        }
        if parent.span().span_context().is_valid() {
            return self.0.build_with_context(builder, parent);
        }
        self.0.build_with_context(builder, &parent.with_telemetry_suppressed())
    }
}

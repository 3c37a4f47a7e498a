//! The spans of what is asked of a store, and of the look into the cache around it.

use tracing::{Span, field::Empty};

use super::TARGET;

/// A call of the store that instances share, such as `cache.get`.
pub fn store(operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "store",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "redis",
        db.operation.name = operation,
        error.type = Empty,
    )
}

/// A look into the cache.
pub fn lookup() -> Span {
    tracing::info_span!(target: TARGET, "cache.lookup", llm_gateway.cache.result = Empty)
}

/// What the look came to: `hit`, `stale` or `miss`; `partial` where some of many were there.
pub fn looked_up(span: &Span, result: &'static str) {
    span.record("llm_gateway.cache.result", result);
}

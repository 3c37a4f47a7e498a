//! One attempt at a provider, as operators want to know of it: measured, and a span of its request.

use tracing::Span;

use crate::{
    generate::{ErrorKind, Finish, Target, Usage},
    metrics::{Call, CallMetrics, Operation},
    trace,
};

/// An attempt under way. Dropped before its end, it was cancelled.
pub(super) struct Attempt {
    call: Call,
    span: trace::Attempt,
}

impl Attempt {
    /// The `number`th attempt of its request, at `target`, whose model is `bounded` where the number of different ones must be.
    pub(super) fn begin(
        metrics: &CallMetrics,
        operation: Operation,
        target: &Target,
        bounded: Target,
        number: u32,
    ) -> Self {
        let span = trace::Attempt::begin(operation.as_str(), target, number);
        Self { call: metrics.begin(operation, bounded), span }
    }

    /// What it does happens in here.
    pub(super) fn span(&self) -> Span {
        self.span.span()
    }

    /// The first piece of the answer is there.
    pub(super) fn has_begun(&self) {
        self.call.has_begun();
    }

    /// There is an answer, that ended like this.
    pub(super) fn finished(self, finish: &Finish) {
        self.call.succeeded();
        self.span.succeeded(Some(finish.reason), finish.usage);
    }

    /// There are vectors, which took this.
    pub(super) fn embedded(self, usage: Usage) {
        self.call.succeeded();
        self.span.succeeded(None, Some(usage));
    }

    /// There is nothing.
    pub(super) fn failed(self, kind: ErrorKind) {
        self.call.failed(kind);
        self.span.failed(kind.as_str());
    }
}

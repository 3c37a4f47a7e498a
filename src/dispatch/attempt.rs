//! One attempt at a provider, as operators want to know of it: measured, and a span of its request.

use std::thread::panicking;

use tracing::Span;

use crate::{
    generate::{ErrorKind, Finish, Target, Usage},
    metrics::{Call, CallMetrics, Operation},
    trace,
};

/// What an attempt ended with that was given up because nobody wanted its answer any more.
const CANCELLED: &str = "cancelled";

/// An attempt, which lasts until this is dropped.
pub(super) struct Attempt {
    call: Call,
    span: trace::Attempt,
    /// How it ended. `None`: it is not over.
    end: Option<Result<(), ErrorKind>>,
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
        Self { call: metrics.begin(operation, bounded), span, end: None }
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
    pub(super) fn finished(mut self, finish: &Finish) {
        self.span.succeeded(Some(finish.reason), finish.usage);
        self.end = Some(Ok(()));
    }

    /// There are vectors, which took this.
    pub(super) fn embedded(mut self, usage: Usage) {
        self.span.succeeded(None, Some(usage));
        self.end = Some(Ok(()));
    }

    /// There is nothing.
    pub(super) fn failed(mut self, kind: ErrorKind) {
        self.end = Some(Err(kind));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let error = match self.end {
            Some(Ok(())) => None,
            Some(Err(kind)) => Some(kind.as_str()),
            None if panicking() => Some(ErrorKind::Internal.as_str()),
            None => Some(CANCELLED),
        };
        self.call.ended(error);
        self.span.ended(error);
    }
}

//! The spans of a request, named by OpenTelemetry's semantic conventions.
//!
//! They are `tracing`'s own, under a target that the log leaves out: who makes one names no exporter, the parent follows from where it
//! is made, and one that nobody listens to costs a look at a flag. Only a build with the feature `otel` has someone who listens;
//! `docs/tracing.md` lists what is told.
//!
//! No span holds a prompt, an answer, a key or an id of a session.

mod attempt;
mod calling;
#[cfg(feature = "otel")]
mod context;
#[cfg(not(feature = "otel"))]
#[path = "no_context.rs"]
mod context;
#[cfg(feature = "otel")]
mod export;
mod request;
mod store;
#[cfg(feature = "otel")]
mod tracer;

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Span;

pub use attempt::Attempt;
pub use calling::calling;
#[cfg(feature = "otel")]
pub use export::{BadExport, Export};
pub use request::{Ended, joined, request};
pub use store::{looked_up, lookup, store};

/// Where spans go that are no part of the log.
pub const TARGET: &str = "llm_gateway::span";

/// What the span of a request is called in the log, which shares it: its lines bear its id.
const REQUEST: &str = "request";

/// Whether anybody listens, as long as the process lives.
///
/// `tracing` can be asked too (`span_enabled!`); but then each filter of the log takes what comes next for that which was asked about
/// and may leave it out.
static IS_ON: AtomicBool = AtomicBool::new(false);

fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// It has failed like this.
pub fn failed(span: &Span, error: &'static str) {
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}

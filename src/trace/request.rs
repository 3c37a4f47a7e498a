//! The span of a request, which is the log's too.

use axum::http::HeaderMap;
use tracing::Span;

use super::{REQUEST, context, is_on};

/// A request that comes with `headers`, and what it is called in the log. Whoever sent it may have begun the trace.
///
/// At the gravest level, so that each line of the log bears the id, however few are wanted.
pub fn request(id: &str, path: &str, headers: &HeaderMap) -> Span {
    // Platforms and monitors ask every few seconds.
    if matches!(path, "/health" | "/health/ready" | "/metrics") {
        return tracing::error_span!(target: "llm_gateway::http", "probe", request_id = id);
    }
    let span = tracing::error_span!(target: "llm_gateway::http", REQUEST, request_id = id);
    if is_on() {
        context::continue_from(&span, headers);
    }
    span
}

/// The current request has no call of its own and waits for the one that is made in `other`.
pub fn joined(other: &Span) {
    if is_on() {
        context::link(other);
    }
}

/// How a request ended.
pub struct Ended<'a> {
    /// Its method, or `_OTHER`.
    pub method: &'static str,
    /// Its path, without a query. It is told only where its route holds no name: what else stands there is anybody's.
    pub path: &'a str,
    /// Its route. Empty: it matched none.
    pub route: &'a str,
    /// What it was answered. `None`: the client left before.
    pub status: Option<u16>,
    /// What became of it, if it asked for an answer of a model.
    pub ending: Option<&'static str>,
    /// Why there was no answer, or not to its end.
    pub error: Option<&'static str>,
}

impl Ended<'_> {
    /// Ends the request's `span` now, whoever else still works in it.
    pub fn tell(&self, span: &Span) {
        if is_on() {
            context::request_ended(span, self);
        }
    }
}

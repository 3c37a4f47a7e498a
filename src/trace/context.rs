//! What `tracing` has no words for: whose trace a span belongs to, when it ends, and what is no plain value.

use axum::http::HeaderMap;
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    propagation::TextMapPropagator as _,
    trace::{Status, TraceContextExt as _},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{Ended, is_on};

/// Makes `span` one of the trace that `traceparent` names. Malformed, it names none.
pub(super) fn continue_from(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    if context.has_active_span() {
        // It fails for a span that nobody listens to.
        drop(span.set_parent(context));
    }
}

/// Tells whoever is asked of what trace that is.
pub(super) fn pass_on(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut HeaderInjector(headers));
}

/// How a request ended, which it does now: what goes on behind its reply holds its span for longer.
pub(super) fn request_ended(span: &Span, ended: &Ended<'_>) {
    let Ended { method, path, route, status, ending, error } = *ended;
    let context = span.context();
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    let mut attributes = vec![KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
    let verb = if method == "_OTHER" { "HTTP" } else { method };
    if route.is_empty() {
        span.update_name(verb);
    } else {
        span.update_name(format!("{verb} {route}"));
        attributes.push(KeyValue::new("http.route", route.to_owned()));
    }
    if path == route {
        attributes.push(KeyValue::new("url.path", path.to_owned()));
    }
    attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    attributes.extend(ending.map(|ending| KeyValue::new("llm_gateway.ending", ending)));
    // What is the client's own fault, or wish, is no failure of this service.
    let is_ours = status.is_some_and(|status| !(400..500).contains(&status)) && ending != Some("refused");
    let error: Option<Value> = match (error, status) {
        (_, None) => Some("cancelled".into()),
        (Some(error), _) => Some(error.into()),
        (None, Some(status)) if status >= 500 => Some(status.to_string().into()),
        (None, Some(_)) => None,
    };
    if let Some(error) = error {
        attributes.push(KeyValue::new("error.type", error));
        if is_ours {
            span.set_status(Status::error(""));
        }
    }
    span.set_attributes(attributes);
    span.end();
}

/// The current span refers to `other`. (`tracing`'s own word for it locks both of them at once.)
pub(super) fn link(other: &Span) {
    Span::current().add_link(other.context().span().span_context().clone());
}

/// Why an answer ended. There could be several answers.
pub(super) fn finished(span: &Span, reason: &'static str) {
    if is_on() {
        let reasons = Value::Array(Array::String(vec![StringValue::from(reason)]));
        span.set_attribute("gen_ai.response.finish_reasons", reasons);
    }
}

/// Ends `span` now, and not when it was last worked in.
pub(super) fn end(span: &Span) {
    if is_on() {
        span.context().span().end();
    }
}

//! What is told of a call of a provider, and to the provider.

use axum::http::Request;
use tracing::Span;

use super::{context, is_on};

/// The attempt around this sends `request`: the attempt is told where to, and the provider in which trace.
pub fn calling<B>(request: &mut Request<B>) {
    if !is_on() {
        return;
    }
    let (span, address) = (Span::current(), request.uri());
    if let Some(host) = address.host() {
        let default_port = if address.scheme_str() == Some("http") { 80 } else { 443 };
        span.record("server.address", host);
        span.record("server.port", i64::from(address.port_u16().unwrap_or(default_port)));
    }
    context::pass_on(request.headers_mut());
}

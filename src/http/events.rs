//! Server-sent events, as both APIs send them.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response, Sse, sse},
};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

/// How long a stream is silent before it sends a comment, so that nothing between here and the client closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One line `data: {json}` and a blank one.
pub(super) fn event(data: &impl Serialize) -> sse::Event {
    sse::Event::default()
        .json_data(data)
        .unwrap_or_else(|_| unreachable!("numbers and texts are JSON, and JSON has no line breaks"))
}

/// A reply of `events` as they come, with `headers`.
pub(super) fn streamed(mut headers: HeaderMap, events: impl Stream<Item = sse::Event> + Send + 'static) -> Response {
    // Nothing in between is to gather them.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let keep_alive = sse::KeepAlive::new().interval(KEEP_ALIVE).text("ping");
    (headers, Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive)).into_response()
}

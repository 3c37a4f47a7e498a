//! Writing a reply: whole, or frame by frame, or until it breaks.

use std::{io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use tokio::time::sleep;

use super::Presence;

/// A step of a stream.
pub(super) enum Frame {
    Data(String),
    Pause(Duration),
    /// The connection breaks.
    Cut,
}

impl Frame {
    /// A server-sent event without a name.
    pub(super) fn data(data: &Value) -> Self {
        Self::Data(format!("data: {data}\n\n"))
    }

    /// One whose name is its type.
    pub(super) fn event(data: &Value) -> Self {
        Self::Data(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("an event has a type")))
    }
}

/// The frames as a body. Each comes in two pieces, which may divide a character.
pub(super) fn streamed(content_type: &'static str, frames: Vec<Frame>, mut presence: Presence) -> Response {
    let body = async_stream::stream! {
        for frame in frames {
            match frame {
                Frame::Data(data) => {
                    let data = Bytes::from(data);
                    yield Ok(data.slice(..data.len() / 2));
                    yield Ok(data.slice(data.len() / 2..));
                }
                Frame::Pause(pause) => sleep(pause).await,
                Frame::Cut => {
                    presence.ends();
                    // What was written is to be read before the reset discards it.
                    sleep(Duration::from_millis(50)).await;
                    yield Err(io::Error::other("as the script says"));
                    return;
                }
            }
        }
        presence.ends();
    };
    ([(CONTENT_TYPE, content_type)], Body::from_stream(body)).into_response()
}

pub(super) fn whole(body: &Value) -> Response {
    Json(body).into_response()
}

/// The first half of a body whose other half never comes.
pub(super) fn half(body: &Value, presence: Presence) -> Response {
    let mut text = body.to_string();
    let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.truncate(half);
    streamed("application/json", vec![Frame::Data(text), Frame::Cut], presence)
}

pub(super) fn failed(status: u16, headers: &[(&'static str, &'static str)], body: &Value) -> Response {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    (StatusCode::from_u16(status).unwrap(), headers, Json(body)).into_response()
}

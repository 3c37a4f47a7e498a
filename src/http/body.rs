//! Reads a request's body: JSON, in UTF-8, no longer than it may be.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    error::ApiError,
    generate::{ErrorKind, GenerateError},
};

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The whole body, unless `stopping` is cancelled first.
///
/// # Errors
/// 415 when it does not say that it is JSON, 413 when it is longer than `limit_bytes`, 408 when it does not come within
/// [`BODY_TIMEOUT`], 400 when it breaks off, 503 when the service stops before it is there.
pub(super) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    limit_bytes: usize,
    stopping: &CancellationToken,
) -> Result<Bytes, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) {
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
            .message("Send the body in UTF-8 with `Content-Type: application/json`."));
    }
    let too_large = || {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large")
            .message(format!("A body may have up to {} KB.", limit_bytes / 1024))
    };
    // A client that says how much it will send is told before it has sent it.
    let promised = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if promised.is_some_and(|length| length > limit_bytes) {
        return Err(too_large());
    }
    let reading = Limited::new(body, limit_bytes).collect();
    // A client that never sends what it promised must not keep its place for ever.
    let read = tokio::select! {
        read = timeout(BODY_TIMEOUT, reading) => read,
        () = stopping.cancelled() => return Err(GenerateError::from(ErrorKind::Stopping).into()),
    };
    let Ok(read) = read else {
        return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not come in time")
            .message(format!("A body has {} seconds to come.", BODY_TIMEOUT.as_secs())));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_length_limit(&*error) => Err(too_large()),
        Err(_) => Err(ApiError::new(StatusCode::BAD_REQUEST, "The body could not be read")
            .message("It broke off, or is not encoded as `Content-Encoding` says.")),
    }
}

fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut sources = std::iter::successors(Some(error), |error| error.source());
    sources.any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// `application/json` with any parameters but a foreign charset, or another JSON type (`application/…+json`).
fn is_json(content_type: &str) -> bool {
    if content_type == "application/json" {
        return true;
    }
    let lower = content_type.to_ascii_lowercase();
    let mut parts = lower.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_json_type =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let mut charsets = parts.filter_map(|parameter| parameter.strip_prefix("charset="));
    is_json_type && charsets.all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"))
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for json in ["application/json", "Application/JSON; charset=UTF-8", "application/ld+json", "application/json;"]
        {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"] {
            assert!(!is_json(other), "{other}");
        }
    }
}

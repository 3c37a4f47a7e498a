//! Reads a request's body: JSON, in UTF-8, no longer than it may be.

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::decompression::RequestDecompressionLayer;

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
    tokio::select! {
        // A client that never sends what it promised must not keep its place for ever.
        read = timeout(BODY_TIMEOUT, read_whole(headers, body, limit_bytes)) => match read {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(Unreadable::TooLong)) => Err(too_large()),
            Ok(Err(Unreadable::Broken)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "The body could not be read")
                .message("It broke off, or is not encoded as `Content-Encoding` says.")),
            Ok(Err(Unreadable::Encoding)) => {
                Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body's encoding is not known here")
                    .message("Send it as it is, or with `Content-Encoding: gzip` or `deflate`."))
            }
            Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not come in time")
                .message(format!("A body has {} seconds to come.", BODY_TIMEOUT.as_secs()))),
        },
        () = stopping.cancelled() => Err(GenerateError::from(ErrorKind::Stopping).into()),
    }
}

enum Unreadable {
    TooLong,
    Broken,
    Encoding,
}

/// The whole body as it was before it was compressed, which is how its length is judged.
async fn read_whole(headers: &HeaderMap, body: Body, limit_bytes: usize) -> Result<Bytes, Unreadable> {
    let body = if headers.contains_key(header::CONTENT_ENCODING) { decompressed(headers, body).await? } else { body };
    match Limited::new(body, limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_length_limit(&*error) => Err(Unreadable::TooLong),
        Err(_) => Err(Unreadable::Broken),
    }
}

/// The body without its `Content-Encoding`.
async fn decompressed(headers: &HeaderMap, body: Body) -> Result<Body, Unreadable> {
    let mut request = Request::new(body);
    request.headers_mut().clone_from(headers);
    // Names of encodings have no case, and one has an old name (RFC 9110, section 8.4.1).
    if let Some(encoding) = request.headers_mut().get_mut(header::CONTENT_ENCODING) {
        match encoding.as_bytes().to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => *encoding = HeaderValue::from_static("gzip"),
            b"deflate" => *encoding = HeaderValue::from_static("deflate"),
            b"identity" => *encoding = HeaderValue::from_static("identity"),
            _ => {}
        }
    }
    let body_of = |request: Request<_>| ready(Ok::<_, Infallible>(Response::new(Body::new(request.into_body()))));
    let Ok(response) = RequestDecompressionLayer::new().layer(service_fn(body_of)).oneshot(request).await;
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return Err(Unreadable::Encoding);
    }
    Ok(Body::new(response.into_body()))
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

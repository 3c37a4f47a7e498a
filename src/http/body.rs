//! Reads a request's body: JSON, in UTF-8, no longer than it may be, alone and with all others.

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::decompression::RequestDecompressionLayer;

use crate::{
    error::ApiError,
    generate::{ErrorKind, GenerateError},
};

use super::body_budget::{BodyBudget, Exhausted};

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// What a decompressor holds: its window and its state.
const DECOMPRESSOR_BYTES: usize = 64 << 10;

/// How bodies are read.
pub struct Bodies {
    /// The longest body in bytes, where no other limit is named.
    limit_bytes: usize,
    /// What they may hold together.
    budget: BodyBudget,
    /// Cancelled when nobody waits for them any more.
    stopping: CancellationToken,
}

impl Bodies {
    /// As a rule none longer than `limit_bytes`, none once `stopping` is cancelled.
    pub fn new(limit_bytes: usize, stopping: CancellationToken) -> Self {
        Self { limit_bytes, budget: BodyBudget::new(limit_bytes), stopping }
    }

    /// The whole body, of the usual length.
    ///
    /// # Errors
    /// As [`Self::read_json_up_to`].
    pub(super) async fn read_json(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
        self.read_json_up_to(self.limit_bytes, headers, body).await
    }

    /// The whole body.
    ///
    /// # Errors
    /// 415 when it does not say that it is JSON, 413 when it is longer than `limit_bytes`, 408 when it does not come within
    /// [`BODY_TIMEOUT`], 400 when it breaks off, 503 when all bodies on their way hold too much or the service stops before it
    /// is there.
    pub(super) async fn read_json_up_to(
        &self,
        limit_bytes: usize,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Bytes, ApiError> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(content_type) {
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
                .message("Send the body in UTF-8 with `Content-Type: application/json`."));
        }
        // A client that says how much it will send is told before it has sent it.
        let promised = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if promised.is_some_and(|length| length > limit_bytes) {
            return Err(refused(Unreadable::TooLong, limit_bytes));
        }
        tokio::select! {
            // A client that never sends what it promised must not be waited for.
            read = timeout(BODY_TIMEOUT, self.read(limit_bytes, headers, body)) => {
                read.unwrap_or(Err(Unreadable::Late)).map_err(|why| refused(why, limit_bytes))
            }
            () = self.stopping.cancelled() => Err(GenerateError::from(ErrorKind::Stopping).into()),
        }
    }

    /// The whole body as it was before it was compressed, which is how its length is judged.
    async fn read(&self, limit_bytes: usize, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Unreadable> {
        let mut share = self.budget.share();
        if headers.contains_key(header::CONTENT_ENCODING) {
            share.take(DECOMPRESSOR_BYTES)?;
            body = decompressed(headers, body).await?;
        }
        let mut body = Limited::new(body, limit_bytes);
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| if is_length_limit(&*error) { Unreadable::TooLong } else { Unreadable::Broken })?;
            let Ok(piece) = frame.into_data() else { continue };
            share.take(piece.len())?;
            if whole.is_empty() && body.is_end_stream() {
                return Ok(piece);
            }
            // Copied, because each piece may keep alive far more than it shows.
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}

/// Why there is no body.
#[derive(Clone, Copy)]
enum Unreadable {
    TooLong,
    Late,
    Broken,
    Encoding,
    Crowded,
}

impl From<Exhausted> for Unreadable {
    fn from(Exhausted: Exhausted) -> Self {
        Self::Crowded
    }
}

fn refused(why: Unreadable, limit_bytes: usize) -> ApiError {
    match why {
        Unreadable::TooLong => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large")
            .message(format!("A body may have up to {} KB.", limit_bytes / 1024)),
        Unreadable::Late => ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not come in time")
            .message(format!("A body has {} seconds to come.", BODY_TIMEOUT.as_secs())),
        Unreadable::Broken => ApiError::new(StatusCode::BAD_REQUEST, "The body could not be read")
            .message("It broke off, or is not encoded as `Content-Encoding` says."),
        Unreadable::Encoding => {
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body's encoding is not known here")
                .message("Send it as it is, or with `Content-Encoding: gzip` or `deflate`.")
        }
        Unreadable::Crowded => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The service is busy")
            .message("Too much is being sent to it. Try again in a moment.")
            .retry_after(Duration::from_secs(1)),
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

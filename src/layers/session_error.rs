//! What a client is told where a session could not be had.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    error::ApiError,
    sessions::{MAX_SESSION_BYTES, SessionError},
};

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unavailable(error) => {
                tracing::warn!(%error, "the session store does not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The session store does not answer")
                    .message("It is not known whether the session is live, or whether a change was done. Try again.")
                    .retry_after(Duration::from_secs(1))
            }
            SessionError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The session is too large")
                .message(format!("A session holds up to {} KB of JSON.", MAX_SESSION_BYTES / 1024)),
            SessionError::BadUser(_) => Self::new(StatusCode::BAD_REQUEST, "Not the id of a user")
                .message("It is text of 1 to 256 bytes without control characters, or a whole number."),
            SessionError::Guessing(wait) => Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many unknown sessions")
                .message(
                    "Sessions that do not exist were named too often from this address. Sign in again after a while.",
                )
                .retry_after(wait),
            SessionError::NoRandomness => Self::internal(),
        }
    }
}

//! Refuses with 503 what would be more than `MAX_IN_FLIGHT` requests at once.
//!
//! Wraps HTTP. The permit lives in the reply's body, so a stream counts until its end.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::Semaphore;

use crate::error::ApiError;

use super::Held;

/// Passes the request on if there is room for it.
pub async fn load_shed(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(permit) = room.try_acquire_owned() else {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The service is busy")
            .message("Too many requests are being answered. Try again in a moment.")
            .retry_after(Duration::from_secs(1));
        return error.into_response();
    };
    let response = next.run(request).await;
    response.map(|body| Held::body(body, permit))
}

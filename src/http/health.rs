//! `GET /health`: whether the process serves. It waits on nothing.

use axum::{http::header, response::IntoResponse};

/// 200 and `{"status":"ok"}`, exactly.
pub async fn health() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], r#"{"status":"ok"}"#)
}

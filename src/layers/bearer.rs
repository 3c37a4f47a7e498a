//! Bearer tokens (RFC 6750), as keys and as the administrator's.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::error::ApiError;

/// The token of `Authorization: Bearer <token>` (section 2.1).
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 401, with the challenge that section 3 wants.
pub(super) fn unauthorized(error: &'static str, advice: &'static str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, error).message(advice).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"llm-gateway\""));
    response
}

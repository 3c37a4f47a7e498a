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

/// Whose token is wanted: who has several knows by it which to send.
#[derive(Clone, Copy)]
pub(super) enum Realm {
    Clients,
    Administration,
}

/// 401, with the challenge that section 3 wants.
pub(super) fn unauthorized(realm: Realm, error: &'static str, advice: &'static str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, error).message(advice).into_response();
    let challenge = match realm {
        Realm::Clients => "Bearer realm=\"llm-gateway\"",
        Realm::Administration => "Bearer realm=\"llm-gateway administration\"",
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

//! Errors as clients of `OpenAI` know them: `{"error":{"message","type","param","code"}}`.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::error::ApiError;

/// Clients of `OpenAI` wait no longer than this for another attempt (`providers.md` 9.2).
const LONGEST_WAIT_SECONDS: u64 = 60;

/// An error in `OpenAI`'s form, its four members always there.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiError)]
pub(in crate::http) struct Said<'a> {
    #[schema(inline)]
    error: Members<'a>,
}

#[derive(Serialize, ToSchema)]
struct Members<'a> {
    #[schema(value_type = String)]
    message: Cow<'a, str>,
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    /// The field of the request that is at fault.
    #[schema(required)]
    param: Option<&'a str>,
    #[serde(serialize_with = "code_or_null")]
    #[schema(value_type = Option<String>, required, example = "model_not_found")]
    code: &'static str,
}

fn code_or_null<S: Serializer>(code: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    if code.is_empty() { serializer.serialize_none() } else { serializer.serialize_str(code) }
}

impl<'a> From<&'a ApiError> for Said<'a> {
    fn from(error: &'a ApiError) -> Self {
        let code = error.code.unwrap_or_else(|| default_code(error.status));
        let sentences = [Some(&error.error), error.message.as_ref(), error.hint.as_ref()].into_iter().flatten();
        let sentences: Vec<&str> = sentences.map(|sentence| sentence.trim_end_matches('.')).collect();
        let message = format!("{}.", sentences.join(". ")).into();
        Self { error: Members { message, kind: kind(error.status, code), param: error.param.as_deref(), code } }
    }
}

/// Whether clients should try again by themselves, where that is not what the status says to them.
pub(in crate::http) fn should_retry(error: &ApiError) -> Option<bool> {
    let is_too_long = error.retry_after.is_some_and(|seconds| seconds > LONGEST_WAIT_SECONDS);
    if is_too_long { Some(false) } else { error.should_retry }
}

/// The family of an error.
fn kind(status: StatusCode, code: &str) -> &'static str {
    match code {
        "insufficient_quota" => "insufficient_quota",
        "bad_upstream_response" | "stream_interrupted" => "upstream_error",
        _ if code.starts_with("upstream_") => "upstream_error",
        _ if status == StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        "not_cached" => "invalid_request_error",
        _ if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    }
}

/// What an error is called of which only the status is known. Empty: nothing.
fn default_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "invalid_api_key",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "unknown_url",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_exceeded",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded",
        StatusCode::INTERNAL_SERVER_ERROR => "internal_error",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;
    use crate::generate::{ErrorKind, GenerateError};

    #[test]
    fn all_four_members_are_always_there() {
        let error = ApiError::new(StatusCode::BAD_REQUEST, "Bad field").message("Mend it.").param("n");
        let expected =
            json!({"message": "Bad field. Mend it.", "type": "invalid_request_error", "param": "n", "code": null});
        assert_eq!(to_value(Said::from(&error)).unwrap(), json!({"error": expected}));
    }

    #[test]
    fn a_failure_of_a_provider_is_none_of_the_clients_key() {
        let said = |kind: ErrorKind| {
            let error = ApiError::from(GenerateError::from(kind));
            let said = to_value(Said::from(&error)).unwrap();
            (error.status.as_u16(), said["error"]["type"].clone(), said["error"]["code"].clone(), should_retry(&error))
        };
        let upstream = json!("upstream_error");
        assert_eq!(
            said(ErrorKind::Authentication),
            (502, upstream.clone(), json!("upstream_authentication"), Some(false))
        );
        assert_eq!(said(ErrorKind::Timeout), (504, upstream, json!("upstream_timeout"), Some(false)));
        assert_eq!(said(ErrorKind::RateLimited), (429, json!("rate_limit_error"), json!("rate_limit_exceeded"), None));
        let not_found = (404, json!("invalid_request_error"), json!("model_not_found"), None);
        assert_eq!(said(ErrorKind::ModelNotFound), not_found);
    }

    #[test]
    fn nobody_is_sent_into_a_wait_that_clients_do_not_keep() {
        let after = |seconds| {
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "x");
            should_retry(&error.retry_after(std::time::Duration::from_secs(seconds)))
        };
        assert_eq!([60, 61].map(after), [None, Some(false)]);
    }
}

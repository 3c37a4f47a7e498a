//! What comes back when something went wrong.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::Value;

use crate::{
    generate::ErrorKind,
    providers::{ProviderError, status},
};

/// What a vendor says went wrong: `{"error":{"message","type","param","code"}}`, or `{"code","error"}` with two texts, or
/// `{"code","message","param"}` as an event.
///
/// Read for its kind, and then forgotten: it may quote the key or name the account.
pub(in crate::providers) struct Fault {
    message: String,
    kind: String,
    code: String,
    /// Some say by a number what kind of reply it would have been.
    status: Option<u16>,
    param: Option<String>,
}

impl Fault {
    pub(in crate::providers) fn read(body: &[u8]) -> Self {
        Self::of(&serde_json::from_slice(body).unwrap_or_default())
    }

    pub(in crate::providers) fn of(body: &Value) -> Self {
        let status = |code: Option<&Value>| {
            let code = code.and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            code.filter(|code| (400..600).contains(code))
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        match body.get("error") {
            Some(Value::Object(error)) => Self {
                message: text(error.get("message")).to_lowercase(),
                kind: text(error.get("type")),
                code: text(error.get("code")),
                status: status(error.get("code")),
                param: error.get("param").and_then(Value::as_str).map(str::to_owned),
            },
            error => Self {
                message: text(error.or(body.get("message"))).to_lowercase(),
                kind: String::new(),
                code: text(body.get("code")).to_lowercase(),
                status: status(body.get("code")),
                param: body.get("param").and_then(Value::as_str).map(str::to_owned),
            },
        }
    }

    /// The error that it means together with the reply's status.
    pub(in crate::providers) fn error(&self, status: StatusCode) -> ProviderError {
        let said = if status.is_success() { self.status } else { None };
        ProviderError { param: self.param(), ..ProviderError::from(self.kind(said.unwrap_or(status.as_u16()))) }
    }

    /// The refused field, if that is what it looks like.
    fn param(&self) -> Option<Arc<str>> {
        let is_name =
            |text: &&str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.[]".contains(&b));
        self.param.as_deref().filter(is_name).map(Arc::from)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.message.contains(word) || self.code.contains(word) || self.kind.contains(word))
    }

    fn kind(&self, status: u16) -> ErrorKind {
        const SPENT: [&str; 5] = ["insufficient_quota", "credit", "spend_limit", "usage_limit", "spending limit"];
        // The words of most, of xAI, of llama.cpp (and the type that it gives it), and of vLLM.
        const TOO_LONG: [&str; 7] = [
            "context_length",
            "context length",
            "context window",
            "maximum prompt length",
            "context size",
            "exceed_context_size",
            "maximum model length",
        ];
        match status {
            200 | 403 | 429 if self.says(&SPENT) => ErrorKind::QuotaExhausted,
            200 | 400 | 422 if self.says(&TOO_LONG) => ErrorKind::ContextLengthExceeded,
            200 | 400 | 422 if self.says(&["content_policy", "content_filter", "invalid_prompt"]) => {
                ErrorKind::ContentFilter
            }
            200 | 400 | 422 if self.says(&["incorrect api key", "invalid_api_key"]) => ErrorKind::Authentication,
            // The key is valid, and restricted.
            401 if self.says(&["missing scopes", "insufficient permissions"]) => ErrorKind::Permission,
            // An error where an answer was promised: only its words tell.
            200 if self.says(&["rate_limit", "slow_down"]) => ErrorKind::RateLimited,
            200 if self.says(&["overloaded", "unavailable", "at capacity"]) => ErrorKind::Overloaded,
            200 if self.says(&["invalid_request", "invalid_image"]) => ErrorKind::InvalidRequest,
            status => status::kind(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_stream_a_number_says_what_the_status_would_have_been() {
        let kind = |status, body: &str| Fault::read(body.as_bytes()).error(status).kind;
        let limited = r#"{"error":{"code":429,"message":"Rate limit exceeded"}}"#;
        assert_eq!(kind(StatusCode::OK, limited), ErrorKind::RateLimited);
        assert_eq!(kind(StatusCode::OK, r#"{"code":503,"error":"Try again"}"#), ErrorKind::Overloaded);
        assert_eq!(kind(StatusCode::UNAUTHORIZED, limited), ErrorKind::Authentication, "the status itself says more");
        for no_status in [r#"{"error":{"code":7}}"#, r#"{"error":{"code":70000}}"#, r#"{"error":{"code":null}}"#] {
            assert_eq!(kind(StatusCode::OK, no_status), ErrorKind::ServerError, "{no_status}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_known_by_whoever_says_so() {
        for body in [
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"x","code":null}}"#,
            // xAI.
            r#"{"code":"x","error":"This model's maximum prompt length is 131072 but the request contains 140000 tokens."}"#,
            // llama.cpp, now and before it had a type for it.
            r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}"#,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"x"}}"#,
            // vLLM.
            r#"{"error":{"message":"The decoder prompt (length 9) is longer than the maximum model length of 8.","code":400}}"#,
        ] {
            let error = Fault::read(body.as_bytes()).error(StatusCode::BAD_REQUEST);
            assert_eq!(error.kind, ErrorKind::ContextLengthExceeded, "{body}");
        }
        let other = r#"{"error":{"message":"Unknown parameter: 'search_context_size'."}}"#;
        let error = Fault::read(other.as_bytes()).error(StatusCode::BAD_REQUEST);
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "no word of a length");
    }

    #[test]
    fn words_tell_what_the_status_does_not() {
        for (status, code, expected) in [
            (400, "content_policy_violation", ErrorKind::ContentFilter),
            (400, "content_filter", ErrorKind::ContentFilter),
            (400, "invalid_prompt", ErrorKind::ContentFilter),
            (400, "context_length_exceeded", ErrorKind::ContextLengthExceeded),
            (400, "invalid_api_key", ErrorKind::Authentication),
            (400, "unknown_parameter", ErrorKind::InvalidRequest),
            (429, "insufficient_quota", ErrorKind::QuotaExhausted),
            (429, "rate_limit_exceeded", ErrorKind::RateLimited),
            (200, "slow_down", ErrorKind::RateLimited),
            (200, "unavailable", ErrorKind::Overloaded),
            (200, "invalid_image_url", ErrorKind::InvalidRequest),
        ] {
            let body = format!(r#"{{"error":{{"message":"x","type":"x","code":"{code}"}}}}"#);
            let error = Fault::read(body.as_bytes()).error(StatusCode::from_u16(status).unwrap());
            assert_eq!(error.kind, expected, "{status} {code}");
        }
    }
}

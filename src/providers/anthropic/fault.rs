//! What comes back when something went wrong.

use hyper::StatusCode;
use serde_json::Value;

use crate::{
    generate::ErrorKind,
    providers::{ProviderError, status},
};

/// What Anthropic says went wrong: `{"type":"error","error":{"type","message","details":{"error_code"}}}`.
///
/// Read for its kind, and then forgotten: it may name the account.
pub(super) struct Fault {
    kind: String,
    code: String,
    message: String,
}

impl Fault {
    pub(super) fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            kind: text("/error/type"),
            code: text("/error/details/error_code"),
            message: text("/error/message").to_lowercase(),
        }
    }

    /// The error that it means together with the reply's status.
    pub(super) fn error(&self, status: StatusCode) -> ProviderError {
        let status = if status.is_success() { self.status() } else { status.as_u16() };
        self.kind(status).into()
    }

    /// The status that belongs to it, for an error where an answer was promised.
    fn status(&self) -> u16 {
        match self.kind.as_str() {
            "invalid_request_error" => 400,
            "authentication_error" => 401,
            "billing_error" => 402,
            "permission_error" => 403,
            "not_found_error" => 404,
            "conflict_error" => 409,
            "request_too_large" => 413,
            "rate_limit_error" => 429,
            "timeout_error" => 504,
            "overloaded_error" => 529,
            _ => 500,
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.message.contains(word))
    }

    fn kind(&self, status: u16) -> ErrorKind {
        match status {
            400..=499 if self.code.contains("spend_limit") => ErrorKind::QuotaExhausted,
            // Of these only the words tell.
            400 if self.says(&["prompt is too long", "context window"]) => ErrorKind::ContextLengthExceeded,
            400 if self.says(&["credit balance", "usage limits", "spend limit"]) => ErrorKind::QuotaExhausted,
            status => status::kind(status),
        }
    }
}

//! What comes back when something went wrong.

use std::time::Duration;

use serde_json::Value;

use crate::{
    generate::ErrorKind,
    providers::{ProviderError, status, upstream::MAX_RETRY_AFTER},
};

/// What Google says went wrong: `{"error":{"code","message","status","details"}}`, in an array or not.
///
/// Read for its kind, and then forgotten.
#[derive(Default)]
pub(super) struct Fault {
    code: Option<u16>,
    message: String,
    status: String,
    /// Whether a detail says that the key is no key.
    is_bad_key: bool,
    /// Whether a detail says that the quota of a day is used up.
    is_spent: bool,
    retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let body = body.as_array().and_then(|bodies| bodies.first()).unwrap_or(&body);
        let Some(error) = body.get("error") else { return Self::default() };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let message = text(error.get("message")).to_lowercase();
        let mut fault = Self { code, message, status: text(error.get("status")), ..Self::default() };
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            fault.is_bad_key |= text(detail.get("reason")) == "API_KEY_INVALID";
            let violations = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
            let mut quotas = violations.map(|violation| text(violation.get("quotaId")));
            fault.is_spent |= quotas.any(|quota| quota.contains("PerDay"));
            let delay = text(detail.get("retryDelay"));
            let seconds = delay.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
            fault.retry_after = seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .map(|wait| wait.min(MAX_RETRY_AFTER))
                .or(fault.retry_after);
        }
        fault
    }

    /// The error that it means together with the reply's status.
    pub(super) fn error(self, status: u16) -> ProviderError {
        ProviderError { retry_after: self.retry_after, ..ProviderError::from(self.kind(status)) }
    }

    /// The error that it means where an answer was promised.
    pub(super) fn instead(self) -> ProviderError {
        let status = self.code.unwrap_or(match self.status.as_str() {
            "INVALID_ARGUMENT" | "FAILED_PRECONDITION" => 400,
            "RESOURCE_EXHAUSTED" => 429,
            "UNAVAILABLE" => 503,
            "DEADLINE_EXCEEDED" => 504,
            _ => 500,
        });
        self.error(status)
    }

    fn kind(&self, status: u16) -> ErrorKind {
        match status {
            400 if self.is_bad_key => ErrorKind::Authentication,
            // The region, or an account that does not pay.
            400 if self.status == "FAILED_PRECONDITION" => ErrorKind::Permission,
            400 if self.message.contains("token count") && self.message.contains("exceed") => {
                ErrorKind::ContextLengthExceeded
            }
            429 if self.is_spent => ErrorKind::QuotaExhausted,
            status => status::kind(status),
        }
    }
}

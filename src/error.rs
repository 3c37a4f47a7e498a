//! The service's errors as clients see them: one table of status and words, one form.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{
    ToSchema,
    openapi::{Array, Ref},
};

use crate::generate::{ErrorKind, GenerateError, ModelId, ProviderId, Target};

/// What a client is told in place of an answer.
///
/// As a response it has no body yet: the edge writes that, with the request's id.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// The status.
    #[serde(skip)]
    pub status: StatusCode,
    /// A short sentence.
    pub error: Cow<'static, str>,
    /// What the client can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'static, str>>,
    /// What else helps to understand it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Cow<'static, str>>,
    /// What an operator can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Cow<'static, str>>,
    /// Who was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub provider: Option<ProviderId>,
    /// The model that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub model: Option<ModelId>,
    /// What could be asked for instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub available_models: Option<Vec<ModelId>>,
    /// Whole seconds until another attempt may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What it is called in `OpenAI`'s form. `None`: what its status says.
    #[serde(skip)]
    pub code: Option<&'static str>,
    /// The field of the request that is at fault, in `OpenAI`'s form. `None`: no single one.
    #[serde(skip)]
    pub param: Option<Cow<'static, str>>,
    /// Whether the same request may be worth another attempt of the client's. `None`: what its status says.
    #[serde(skip)]
    pub should_retry: Option<bool>,
    /// Which budgets stand in the way.
    #[serde(flatten)]
    #[schema(inline)]
    pub over_budget: Option<Box<OverBudget>>,
    /// What validation found, one entry a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = field_errors, required = false)]
    pub errors: Option<Box<RawValue>>,
}

/// Which budgets stand in the way.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverBudget {
    /// A sentence.
    #[schema(required = false)]
    pub reason: String,
    /// Their periods.
    #[schema(required = false, value_type = Vec<String>)]
    pub would_exceed: Vec<&'static str>,
    /// What operators are told of them, as JSON. `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = alerts, required = false)]
    pub alerts: Option<Box<RawValue>>,
}

/// What is wrong with a body: who checks it knows the form.
fn field_errors() -> Array {
    Array::new(Ref::from_schema_name("FieldError"))
}

/// What operators are told: the ledger knows the form.
fn alerts() -> Array {
    Array::new(Ref::from_schema_name("Alert"))
}

impl ApiError {
    /// An error of which there is no more to say.
    pub fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            error: error.into(),
            message: None,
            details: None,
            hint: None,
            provider: None,
            model: None,
            available_models: None,
            retry_after: None,
            code: None,
            param: None,
            should_retry: None,
            over_budget: None,
            errors: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The same error, to be tried again after `wait`: whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(whole_seconds(wait));
        self
    }

    /// The same error under the name that it has in `OpenAI`'s form.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same error, for which a field of the request is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// A failure of this service itself.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
            .message("This service failed on the request. The request id finds it in the log.")
    }
}

/// `wait` in whole seconds, rounded up, at least one: what `Retry-After` can say.
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<GenerateError> for ApiError {
    fn from(error: GenerateError) -> Self {
        let GenerateError { kind, target, retry_after, param, attempts } = error;
        let (status, text, message) = words(kind);
        let mut api = Self::new(status, text).message(message);
        api.details = param.as_ref().map(|param| format!("The provider names the field `{param}`.").into());
        api.param = param.map(|param| param.to_string().into());
        (api.code, api.should_retry) = (Some(code(kind)), should_retry(kind, attempts));
        if let ErrorKind::OverBudget(periods) = kind {
            let would_exceed = periods.words();
            let reason = format!("Would exceed budget limits: {}", would_exceed.join(", "));
            api.over_budget = Some(Box::new(OverBudget { reason, would_exceed, alerts: None }));
        }
        if let Some(Target { provider, model }) = target {
            (api.provider, api.model) = (Some(provider), Some(model));
        }
        let is_brief = matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Stopping);
        let default = is_brief.then_some(Duration::from_secs(5));
        match retry_after.or(default) {
            Some(wait) => api.retry_after(wait),
            None => api,
        }
    }
}

/// The name of each kind in `OpenAI`'s form (`providers.md` 9.2).
fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::ContextLengthExceeded => "context_length_exceeded",
        ErrorKind::ContentFilter => "content_filter",
        ErrorKind::PayloadTooLarge => "payload_too_large",
        ErrorKind::ModelNotFound => "model_not_found",
        ErrorKind::Authentication | ErrorKind::Permission => "upstream_authentication",
        ErrorKind::QuotaExhausted => "upstream_quota_exhausted",
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::Overloaded | ErrorKind::Skipped => "upstream_overloaded",
        ErrorKind::ServerError => "upstream_error",
        ErrorKind::Timeout => "upstream_timeout",
        ErrorKind::Connection => "upstream_unreachable",
        ErrorKind::BadResponse | ErrorKind::EmptyAnswer | ErrorKind::AnswerTooLong => "bad_upstream_response",
        ErrorKind::StreamInterrupted => "stream_interrupted",
        ErrorKind::NotCached => "not_cached",
        ErrorKind::OverBudget(_) => "insufficient_quota",
        ErrorKind::Stopping => "stopping",
        ErrorKind::Internal => "internal_error",
    }
}

/// Whether another attempt of the client's may be worth it, where its status says something else: not, when this service has made
/// `attempts` in vain (`providers.md` 9.2). Who is asked to come back before there was another one may do so.
fn should_retry(kind: ErrorKind, attempts: u32) -> Option<bool> {
    match kind {
        ErrorKind::RateLimited | ErrorKind::Overloaded if attempts > 1 => Some(false),
        ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::QuotaExhausted
        | ErrorKind::ServerError
        | ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::BadResponse
        | ErrorKind::EmptyAnswer
        | ErrorKind::AnswerTooLong
        | ErrorKind::StreamInterrupted
        | ErrorKind::NotCached
        | ErrorKind::OverBudget(_) => Some(false),
        ErrorKind::InvalidRequest
        | ErrorKind::ContextLengthExceeded
        | ErrorKind::ContentFilter
        | ErrorKind::PayloadTooLarge
        | ErrorKind::ModelNotFound
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Skipped
        | ErrorKind::Stopping
        | ErrorKind::Internal => None,
    }
}

/// Status, sentence and advice for each kind (`providers.md` 9.2). A vendor's own words are never among them.
#[expect(clippy::too_many_lines, reason = "a table, one row a kind")]
fn words(kind: ErrorKind) -> (StatusCode, &'static str, &'static str) {
    match kind {
        ErrorKind::InvalidRequest => (
            StatusCode::BAD_REQUEST,
            "The provider refused the request",
            "The provider does not take this request for this model. Change its settings or choose another model.",
        ),
        ErrorKind::ContextLengthExceeded => (
            StatusCode::BAD_REQUEST,
            "The prompt is too long for the model",
            "Shorten the prompt or choose a model with a larger context window.",
        ),
        ErrorKind::ContentFilter => (
            StatusCode::BAD_REQUEST,
            "The provider refused to answer",
            "The provider's content rules do not allow an answer to this prompt. Rephrase it.",
        ),
        ErrorKind::PayloadTooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "The request is too large for the provider",
            "Send less, or choose another provider.",
        ),
        ErrorKind::ModelNotFound => (
            StatusCode::NOT_FOUND,
            "The provider does not have this model",
            "The model may have been retired. Choose another one.",
        ),
        ErrorKind::Authentication => (
            StatusCode::BAD_GATEWAY,
            "The provider does not accept this service's key",
            "The operator of this service has to set a valid key for the provider.",
        ),
        ErrorKind::Permission => (
            StatusCode::BAD_GATEWAY,
            "The provider does not allow this to this service",
            "The operator of this service has to ask the provider for access, or choose another model.",
        ),
        ErrorKind::QuotaExhausted => (
            StatusCode::BAD_GATEWAY,
            "This service's account at the provider is exhausted",
            "The operator of this service has to top up the account or raise its limit.",
        ),
        ErrorKind::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "The provider limits this service's rate",
            "Try again later, or choose another provider.",
        ),
        ErrorKind::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The provider is overloaded",
            "Try again later, or choose another provider.",
        ),
        ErrorKind::Skipped => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The provider is failing",
            "It has failed so often in a row that it is not asked for a while. Try again later, or choose another one.",
        ),
        ErrorKind::ServerError => {
            (StatusCode::BAD_GATEWAY, "The provider failed", "Try again, or choose another provider.")
        }
        ErrorKind::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "The provider did not answer in time",
            "Try again, ask for a shorter answer, or choose a faster model.",
        ),
        ErrorKind::Connection => {
            (StatusCode::BAD_GATEWAY, "The provider cannot be reached", "Try again, or choose another provider.")
        }
        ErrorKind::BadResponse => (
            StatusCode::BAD_GATEWAY,
            "The provider's answer could not be understood",
            "Try again, or choose another provider.",
        ),
        ErrorKind::StreamInterrupted => (
            StatusCode::BAD_GATEWAY,
            "The answer broke off",
            "What has come so far is not the whole answer. Try again.",
        ),
        ErrorKind::EmptyAnswer => (
            StatusCode::BAD_GATEWAY,
            "The provider's answer is empty",
            "Try again with another prompt, a larger limit of tokens, or another model.",
        ),
        ErrorKind::AnswerTooLong => (
            StatusCode::BAD_GATEWAY,
            "The provider's answer is too long",
            "The answer exceeds what this service takes (MAX_ANSWER_KB). Ask for less.",
        ),
        ErrorKind::NotCached => (
            StatusCode::GATEWAY_TIMEOUT,
            "The answer is not in the cache",
            "`Cache-Control: only-if-cached` wants a stored answer or none. Leave it out to have the question answered.",
        ),
        ErrorKind::OverBudget(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            "Budget limit exceeded",
            "The answer might cost more than what is left. Allow fewer tokens, choose a cheaper model, or try again after \
             `Retry-After`, where that is said.",
        ),
        ErrorKind::Stopping => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is stopping",
            "It could not finish the answer before it had to stop. Try again.",
        ),
        ErrorKind::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            "This service failed on the request. The request id finds it in the log.",
        ),
    }
}

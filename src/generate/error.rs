//! What can go wrong with a generation, as a closed list.

use std::{sync::Arc, time::Duration};

use super::Target;

/// A generation that gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind:?}")]
pub struct GenerateError {
    /// What happened.
    pub kind: ErrorKind,
    /// Who was asked. `None` when it did not come to that.
    pub target: Option<Target>,
    /// When another attempt may succeed. `None`: nobody said.
    pub retry_after: Option<Duration>,
    /// The request's field that the provider refused, by the provider's name for it.
    pub param: Option<Arc<str>>,
    /// Calls that were made. 0: nobody was asked.
    pub attempts: u32,
}

/// The kinds of failure (`providers.md` 9.2, and the service's own below).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The provider does not take this request.
    InvalidRequest,
    /// The conversation is longer than the model reads.
    ContextLengthExceeded,
    /// The provider refused the prompt, or filtered the answer.
    ContentFilter,
    /// The request is larger than the provider takes.
    PayloadTooLarge,
    /// The provider does not have this model.
    ModelNotFound,
    /// The provider does not take our key.
    Authentication,
    /// Our key may not do this.
    Permission,
    /// Our account has nothing left.
    QuotaExhausted,
    /// The provider limits our rate.
    RateLimited,
    /// The provider has too much to do.
    Overloaded,
    /// The provider has failed so often that it is not asked for a while.
    Skipped,
    /// The provider failed.
    ServerError,
    /// The provider was too slow.
    Timeout,
    /// The provider could not be reached.
    Connection,
    /// The provider's answer made no sense.
    BadResponse,
    /// The answer broke off after it had begun.
    StreamInterrupted,
    /// The provider said that it was done and had said nothing.
    EmptyAnswer,
    /// The answer is longer than this service takes (`MAX_ANSWER_KB`).
    AnswerTooLong,
    /// The client wanted a stored answer or none, and there is none that it accepts.
    NotCached,
    /// It might cost more than what is left of a budget.
    OverBudget(Periods),
    /// This service is stopping.
    Stopping,
    /// This service failed.
    Internal,
}

/// The budgets that something might exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Periods {
    /// The day's.
    pub daily: bool,
    /// The week's.
    pub weekly: bool,
    /// The month's.
    pub monthly: bool,
}

impl Periods {
    /// Their words in replies.
    pub fn words(self) -> Vec<&'static str> {
        let Self { daily, weekly, monthly } = self;
        let words = [("daily", daily), ("weekly", weekly), ("monthly", monthly)];
        words.into_iter().filter_map(|(word, is_meant)| is_meant.then_some(word)).collect()
    }
}

impl ErrorKind {
    /// Its word in the log and in metrics (`error.type`).
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidRequest => "invalid_request",
            ErrorKind::ContextLengthExceeded => "context_length_exceeded",
            ErrorKind::ContentFilter => "content_filter",
            ErrorKind::PayloadTooLarge => "payload_too_large",
            ErrorKind::ModelNotFound => "model_not_found",
            ErrorKind::Authentication => "authentication",
            ErrorKind::Permission => "permission",
            ErrorKind::QuotaExhausted => "quota_exhausted",
            ErrorKind::RateLimited => "rate_limited",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::Skipped => "skipped",
            ErrorKind::ServerError => "server_error",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Connection => "connection",
            ErrorKind::BadResponse => "bad_response",
            ErrorKind::StreamInterrupted => "stream_interrupted",
            ErrorKind::EmptyAnswer => "empty_answer",
            ErrorKind::AnswerTooLong => "answer_too_long",
            ErrorKind::NotCached => "not_cached",
            ErrorKind::OverBudget(_) => "over_budget",
            ErrorKind::Stopping => "stopping",
            ErrorKind::Internal => "internal",
        }
    }

    /// What can be done about it, and what it says of the provider (`providers.md` 9.2).
    pub fn outlook(self) -> Outlook {
        let (retry, elsewhere, is_outage) = match self {
            ErrorKind::Overloaded | ErrorKind::ServerError => (Retry::Often, Elsewhere::AnyModel, true),
            ErrorKind::RateLimited => (Retry::Often, Elsewhere::AnyModel, false),
            ErrorKind::Timeout | ErrorKind::BadResponse => (Retry::Once, Elsewhere::AnyModel, true),
            ErrorKind::EmptyAnswer => (Retry::Once, Elsewhere::AnyModel, false),
            ErrorKind::Connection => (Retry::Often, Elsewhere::OtherProvider, true),
            ErrorKind::ModelNotFound => (Retry::Never, Elsewhere::AnyModel, false),
            ErrorKind::ContextLengthExceeded => (Retry::Never, Elsewhere::LargerModel, false),
            ErrorKind::Authentication | ErrorKind::Permission | ErrorKind::QuotaExhausted | ErrorKind::Skipped => {
                (Retry::Never, Elsewhere::OtherProvider, false)
            }
            ErrorKind::StreamInterrupted => (Retry::Never, Elsewhere::Nobody, true),
            ErrorKind::InvalidRequest
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::AnswerTooLong
            | ErrorKind::NotCached
            | ErrorKind::OverBudget(_)
            | ErrorKind::Stopping
            | ErrorKind::Internal => (Retry::Never, Elsewhere::Nobody, false),
        };
        Outlook { retry, elsewhere, is_outage }
    }

    /// Whether an older answer is better than none: not where the request itself is at fault, and would be answered in the same
    /// way on a better day.
    pub fn allows_stand_in(self) -> bool {
        match self {
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::QuotaExhausted
            | ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::Skipped
            | ErrorKind::ServerError
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::BadResponse
            | ErrorKind::StreamInterrupted
            | ErrorKind::EmptyAnswer
            | ErrorKind::Stopping
            | ErrorKind::Internal => true,
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLengthExceeded
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::ModelNotFound
            | ErrorKind::AnswerTooLong
            | ErrorKind::NotCached
            | ErrorKind::OverBudget(_) => false,
        }
    }
}

/// What a failure means for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Whether the same request may succeed at the same model in a moment.
    pub retry: Retry,
    /// Who else may do better.
    pub elsewhere: Elsewhere,
    /// Whether the provider is in trouble, rather than the request, the key, or the rate.
    pub is_outage: bool,
}

/// How many further attempts at the same model are worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// None.
    Never,
    /// One.
    Once,
    /// As many as are allowed.
    Often,
}

/// Who may do better where one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another model, of the same provider or another.
    AnyModel,
    /// A model that reads more.
    LargerModel,
    /// Another provider: at this one, every model fails.
    OtherProvider,
    /// Nobody.
    Nobody,
}

impl From<ErrorKind> for GenerateError {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, target: None, retry_after: None, param: None, attempts: 0 }
    }
}

impl GenerateError {
    /// The same error, said of `target`.
    #[must_use]
    pub fn at(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }
}

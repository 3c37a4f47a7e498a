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
    /// This service is stopping.
    Stopping,
    /// This service failed.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed at the same provider in a moment.
    pub fn is_transient(self) -> bool {
        match self {
            ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::ServerError
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::BadResponse => true,
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLengthExceeded
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::ModelNotFound
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::QuotaExhausted
            | ErrorKind::Skipped
            | ErrorKind::StreamInterrupted
            | ErrorKind::EmptyAnswer
            | ErrorKind::AnswerTooLong
            | ErrorKind::Stopping
            | ErrorKind::Internal => false,
        }
    }

    /// How many times the same model may be asked again, of the `most` that are allowed (`providers.md` 9.2).
    pub fn retries(self, most: u32) -> u32 {
        match self {
            ErrorKind::Timeout | ErrorKind::BadResponse => most.min(1),
            kind if kind.is_transient() => most,
            _ => 0,
        }
    }

    /// Who else may do better.
    pub fn elsewhere(self) -> Elsewhere {
        match self {
            ErrorKind::ModelNotFound
            | ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::ServerError
            | ErrorKind::Timeout
            | ErrorKind::BadResponse => Elsewhere::AnyModel,
            ErrorKind::ContextLengthExceeded => Elsewhere::LargerModel,
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::QuotaExhausted
            | ErrorKind::Skipped
            | ErrorKind::Connection => Elsewhere::OtherProvider,
            ErrorKind::InvalidRequest
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::StreamInterrupted
            | ErrorKind::EmptyAnswer
            | ErrorKind::AnswerTooLong
            | ErrorKind::Stopping
            | ErrorKind::Internal => Elsewhere::Nobody,
        }
    }

    /// Whether it says that the provider is in trouble, rather than the request, the key, or the rate.
    pub fn is_outage(self) -> bool {
        match self {
            ErrorKind::Overloaded
            | ErrorKind::ServerError
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::BadResponse
            | ErrorKind::StreamInterrupted => true,
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLengthExceeded
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::ModelNotFound
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::QuotaExhausted
            | ErrorKind::RateLimited
            | ErrorKind::Skipped
            | ErrorKind::EmptyAnswer
            | ErrorKind::AnswerTooLong
            | ErrorKind::Stopping
            | ErrorKind::Internal => false,
        }
    }
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
        Self { kind, target: None, retry_after: None, param: None }
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

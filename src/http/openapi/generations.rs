//! What can go wrong with a generation, in the words that clients are told.

use std::collections::BTreeMap;

use crate::{
    error::ApiError,
    generate::{ErrorKind, GenerateError, Periods},
};

use super::super::edge::Form;

/// All kinds, as they can end a generation.
const KINDS: [ErrorKind; 22] = [
    ErrorKind::InvalidRequest,
    ErrorKind::ContextLengthExceeded,
    ErrorKind::ContentFilter,
    ErrorKind::PayloadTooLarge,
    ErrorKind::ModelNotFound,
    ErrorKind::Authentication,
    ErrorKind::Permission,
    ErrorKind::QuotaExhausted,
    ErrorKind::RateLimited,
    ErrorKind::Overloaded,
    ErrorKind::Skipped,
    ErrorKind::ServerError,
    ErrorKind::Timeout,
    ErrorKind::Connection,
    ErrorKind::BadResponse,
    ErrorKind::StreamInterrupted,
    ErrorKind::EmptyAnswer,
    ErrorKind::AnswerTooLong,
    ErrorKind::NotCached,
    ErrorKind::OverBudget(Periods { daily: true, weekly: false, monthly: false }),
    ErrorKind::Stopping,
    ErrorKind::Internal,
];

/// Statuses, and why: a provider's failures and the service's own, and models that cannot be asked.
pub(super) fn refusals(path: &str) -> BTreeMap<u16, String> {
    let mut refusals = BTreeMap::<u16, Vec<String>>::new();
    for kind in KINDS {
        let ApiError { status, error, .. } = GenerateError::from(kind).into();
        refusals.entry(status.as_u16()).or_default().push(error.into_owned());
    }
    let unknown = match Form::of(path) {
        Form::Original => 422,
        Form::OpenAi => 404,
    };
    refusals
        .entry(unknown)
        .or_default()
        .push("The model cannot be asked, or its provider is not configured".to_owned());
    refusals.into_iter().map(|(status, why)| (status, format!("{}.", why.join("; ")))).collect()
}

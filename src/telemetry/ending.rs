//! What became of a generation, as an operator wants to know.

use crate::generate::ErrorKind;

/// Every generation comes to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A fresh stored answer.
    Hit,
    /// A stored answer that was no longer fresh.
    Stale,
    /// The answer of another's call.
    Joined,
    /// The answer of a call.
    Miss,
    /// The answer of a call, and nobody looked whether one was stored.
    Bypassed,
    /// One too many, for the client's limit, a budget or the provider's limit.
    Limited,
    /// The request is at fault.
    Refused,
    /// There was no answer, or not to its end.
    Failed,
    /// The client left before the end.
    Left,
}

/// As many as there are endings.
pub(super) const ENDINGS: usize = 9;

impl Ending {
    /// All of them, in their order.
    pub(super) const ALL: [Self; ENDINGS] = [
        Ending::Hit,
        Ending::Stale,
        Ending::Joined,
        Ending::Miss,
        Ending::Bypassed,
        Ending::Limited,
        Ending::Refused,
        Ending::Failed,
        Ending::Left,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Hit => "hit",
            Ending::Stale => "stale",
            Ending::Joined => "joined",
            Ending::Miss => "miss",
            Ending::Bypassed => "bypassed",
            Ending::Limited => "limited",
            Ending::Refused => "refused",
            Ending::Failed => "failed",
            Ending::Left => "left",
        }
    }

    /// Whether a stored answer was given.
    pub(super) fn is_stored(self) -> bool {
        match self {
            Ending::Hit | Ending::Stale => true,
            Ending::Joined
            | Ending::Miss
            | Ending::Bypassed
            | Ending::Limited
            | Ending::Refused
            | Ending::Failed
            | Ending::Left => false,
        }
    }

    /// Of a request that got no answer for this reason, whatever the status of its reply: a stream's head says nothing of its end.
    pub(super) fn of_failure(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::RateLimited | ErrorKind::OverBudget(_) => Ending::Limited,
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLengthExceeded
            | ErrorKind::ContentFilter
            | ErrorKind::PayloadTooLarge
            | ErrorKind::ModelNotFound
            // It asked for what is stored, or nothing.
            | ErrorKind::NotCached => Ending::Refused,
            ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::QuotaExhausted
            | ErrorKind::Overloaded
            | ErrorKind::Skipped
            | ErrorKind::ServerError
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::BadResponse
            | ErrorKind::StreamInterrupted
            | ErrorKind::EmptyAnswer
            | ErrorKind::AnswerTooLong
            | ErrorKind::Stopping
            | ErrorKind::Internal => Ending::Failed,
        }
    }

    /// Of a request that got no answer for a reason that its status tells.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        match status {
            429 => Some(Ending::Limited),
            // nginx's word for a client that left.
            499 => Some(Ending::Left),
            400..=498 => Some(Ending::Refused),
            500.. => Some(Ending::Failed),
            _ => None,
        }
    }
}

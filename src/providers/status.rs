//! What a status says by itself, the same for every vendor (`providers.md` 9.2).

use crate::generate::ErrorKind;

/// The kind of failure that `status` stands for where no word of the vendor says more.
pub(super) fn kind(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::QuotaExhausted,
        403 => ErrorKind::Permission,
        404 => ErrorKind::ModelNotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::PayloadTooLarge,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        503 | 529 => ErrorKind::Overloaded,
        _ => ErrorKind::ServerError,
    }
}

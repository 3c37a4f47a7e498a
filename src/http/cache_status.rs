//! `Cache-Status` (RFC 9211): what the cache had to do with an answer.

use std::borrow::Cow;

use crate::generate::{CacheResult, Freshness, Outcome, Receipt};

/// For who wanted a stored answer or none: nothing was forwarded, and nothing was hit.
pub(super) const NOT_CACHED: &str = "llm-gateway; detail=only-if-cached";

/// How the stored answer stood that was given. `None`: it was none.
pub(super) fn stored_answer(receipt: &Receipt, outcome: Outcome) -> Option<Freshness> {
    match (receipt.cache, outcome) {
        (CacheResult::Hit(freshness), _) | (_, Outcome::StandIn { freshness, .. }) => Some(freshness),
        (CacheResult::Miss | CacheResult::Stale | CacheResult::Request | CacheResult::Bypass, _) => None,
    }
}

/// The value of `Cache-Status`.
pub(super) fn cache_status(receipt: &Receipt, outcome: Outcome) -> Cow<'static, str> {
    let forwarded = match (receipt.cache, outcome) {
        // Nobody was called, so nothing was forwarded.
        (CacheResult::Hit(freshness), _) | (_, Outcome::StandIn { freshness, called: false }) => {
            let mut seconds = itoa::Buffer::new();
            return Cow::Owned(["llm-gateway; hit; ttl=", seconds.format(freshness.ttl_seconds())].concat());
        }
        (CacheResult::Miss, _) => "llm-gateway; fwd=miss",
        (CacheResult::Stale, _) => "llm-gateway; fwd=stale",
        (CacheResult::Request, _) => "llm-gateway; fwd=request",
        (CacheResult::Bypass, _) => "llm-gateway; fwd=bypass",
    };
    let and = match outcome {
        Outcome::StandIn { .. } => "; detail=stale-if-error",
        Outcome::Collapsed => "; collapsed",
        Outcome::Stored | Outcome::NotStored if receipt.joined.is_some() => "; collapsed",
        Outcome::Stored => "; stored",
        Outcome::NotStored => return Cow::Borrowed(forwarded),
    };
    Cow::Owned([forwarded, and].concat())
}

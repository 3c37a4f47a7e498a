//! What a stored answer is good for, by what the client and the operator want. Pure.

use crate::{
    config::CacheConfig,
    generate::{CacheResult, Freshness, Policy},
};

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The stored answer answers it.
    Answer {
        /// And a call is made to have a fresh one.
        refresh: bool,
    },
    /// A call has to answer it, because of this.
    Forward(CacheResult),
    /// The client wants no call.
    Refuse,
}

/// What to do with a request that wants `policy`, where `stored` is what the cache has, if anything.
pub(super) fn decide(policy: &Policy, stored: Option<Freshness>, config: &CacheConfig) -> Decision {
    let reason = match stored {
        Some(stored) => {
            // RFC 5861, section 3, says of the response what the operator says here of all of them.
            let may_refresh = !stored.is_fresh() && stored.stale_for() <= config.revalidate;
            if policy.accepts(stored) || (may_refresh && policy.is_silent()) {
                return Decision::Answer { refresh: may_refresh && !policy.only_if_cached };
            }
            // What was fresh, or what nobody had a look at, was refused by the client's words alone.
            if stored.is_fresh() || policy.no_cache { CacheResult::Request } else { CacheResult::Stale }
        }
        None if policy.no_cache => CacheResult::Request,
        None => CacheResult::Miss,
    };
    if policy.only_if_cached { Decision::Refuse } else { Decision::Forward(reason) }
}

//! How an answer came about: filled by the layers, each its own field, and read by the handlers.

use std::{sync::Arc, time::Duration};

/// What is known about an answer's origin when it is decided.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// What the cache said.
    pub cache: CacheResult,
    /// The cache's key. `None`: the answer has none.
    pub key: Option<Arc<str>>,
    /// How long the call had been under way that this request joined. `None`: it joined none.
    pub joined: Option<Duration>,
    /// How long the cache took to say so.
    pub lookup: Duration,
}

/// What the cache said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// The answer was there.
    Hit {
        /// Since it was stored.
        age: Duration,
        /// Until it is no longer fresh.
        ttl: Duration,
    },
    /// It was not there.
    Miss,
    /// Nobody looked.
    Bypass,
}

impl Receipt {
    /// The receipt of an answer that was not looked up.
    pub fn bypass() -> Self {
        Self { cache: CacheResult::Bypass, key: None, joined: None, lookup: Duration::ZERO }
    }

    /// Whether the answer came from the cache.
    pub fn is_hit(&self) -> bool {
        matches!(self.cache, CacheResult::Hit { .. })
    }
}

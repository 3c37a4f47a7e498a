//! How an answer came about: filled by the layers, each its own field, and read by the handlers.

use std::{sync::Arc, time::Duration};

use super::Freshness;

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
    /// The answer was there, and did.
    Hit(Freshness),
    /// It was not there.
    Miss,
    /// It was there, no longer fresh, and did not do.
    Stale,
    /// The client did not want what may have been there.
    Request,
    /// Nobody looked.
    Bypass,
}

/// What is known about an answer's origin when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cache keeps it.
    Stored,
    /// The cache does not keep it.
    NotStored,
    /// Another instance's call brought it.
    Collapsed,
    /// A stored answer stands in, because the call failed.
    StandIn {
        /// How that stands.
        freshness: Freshness,
        /// Whether it came to a call at all: not, when everyone who could be asked is skipped.
        called: bool,
    },
}

impl Receipt {
    /// The receipt of an answer that was not looked up.
    pub fn bypass() -> Self {
        Self { cache: CacheResult::Bypass, key: None, joined: None, lookup: Duration::ZERO }
    }

    /// Whether the answer came from the cache.
    pub fn is_hit(&self) -> bool {
        matches!(self.cache, CacheResult::Hit(_))
    }
}

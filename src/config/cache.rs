//! What is remembered, for how long and for whom, and who shares a call.

use std::time::Duration;

use super::{read::Reader, store::Backend};

/// The response cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheConfig {
    /// `CACHE_ENABLED`: off, it neither answers nor keeps.
    pub enabled: bool,
    /// `CACHE_TTL_SECONDS`: how long an answer is fresh.
    pub ttl: Duration,
    /// `CACHE_TTL_BY_PROMPT`: whether some kinds of question have a time of their own.
    pub ttl_by_prompt: bool,
    /// `CACHE_STALE_SECONDS`: how long past that an answer may stand in for a call that failed.
    pub stale: Duration,
    /// `CACHE_REVALIDATE_SECONDS`: how long past that an answer answers while it is refreshed.
    pub revalidate: Duration,
    /// `CACHE_SCOPE`.
    pub scope: CacheScope,
    /// `CACHE_MEMORY_MB` in bytes.
    pub memory_bytes: u64,
}

impl CacheConfig {
    /// How long past its time an answer may be of use.
    pub fn longest_stale(&self) -> Duration {
        self.stale.max(self.revalidate)
    }
}

/// Who may be given an answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheScope {
    /// Whoever asks the same.
    Shared,
    /// Whoever got it.
    Caller,
}

/// One call for many.
#[derive(Clone, Copy, Debug)]
pub struct FlightConfig {
    /// `COALESCE`: with whom requests share a call.
    pub coalesce: Coalesce,
    /// `ON_ABANDON`: whether a call that nobody waits for any more goes on for the cache.
    pub finish_abandoned: bool,
    /// `PROVIDER_TIMEOUT_SECONDS`: how long a call may have brought nothing and still be joined, or go on for nobody.
    pub patience: Duration,
}

/// With whom equal requests at the same time share a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// With nobody.
    Off,
    /// Within this process.
    Local,
    /// With other instances too.
    Shared,
}

pub(super) fn read_cache(read: &mut Reader) -> CacheConfig {
    CacheConfig {
        enabled: read.boolean("CACHE_ENABLED", true),
        ttl: read.seconds("CACHE_TTL_SECONDS", 3_600, 1..=31_536_000),
        ttl_by_prompt: read.boolean("CACHE_TTL_BY_PROMPT", false),
        stale: read.seconds("CACHE_STALE_SECONDS", 86_400, 0..=31_536_000),
        revalidate: read.seconds("CACHE_REVALIDATE_SECONDS", 0, 0..=31_536_000),
        scope: read.one_of(
            "CACHE_SCOPE",
            CacheScope::Shared,
            &[("shared", CacheScope::Shared), ("caller", CacheScope::Caller)],
        ),
        memory_bytes: read.number("CACHE_MEMORY_MB", 64, 1..=1_048_576_u64) * 1024 * 1024,
    }
}

pub(super) fn read_flight(read: &mut Reader, patience: Duration, backend: &Backend) -> FlightConfig {
    let widest = match backend {
        Backend::Memory => Coalesce::Local,
        Backend::Redis(_) | Backend::Upstash { .. } => Coalesce::Shared,
    };
    let words = [("auto", widest), ("shared", widest), ("local", Coalesce::Local), ("off", Coalesce::Off)];
    FlightConfig {
        coalesce: read.one_of("COALESCE", widest, &words),
        finish_abandoned: read.one_of("ON_ABANDON", true, &[("finish", true), ("cancel", false)]),
        patience,
    }
}

//! Stores within the process: real ones, bounded, gone when it ends.

mod cache;
mod counters;

pub use cache::MemoryCache;
pub use counters::MemoryCounters;

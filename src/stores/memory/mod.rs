//! Stores within the process: real ones, bounded, gone when it ends.

mod books;
mod cache;
mod counters;
mod sessions;
mod totals;

pub use books::MemoryBooks;
pub use cache::MemoryCache;
pub use counters::MemoryCounters;
pub use sessions::MemorySessions;
pub use totals::MemoryTotals;

//! The response cache: what was answered once is not paid for twice, and what is being answered is asked for once.

mod lookup;

mod decide;
mod refresh;
mod savings;

mod embeddings;
mod flight;

mod fanout;
mod flights;
mod lease;
mod pilot;

mod counts;
mod entry;
mod lifetime;
mod shelf;

use bytes::Bytes;

pub use counts::{CacheCounts, Tally};
pub use embeddings::{EmbedLookup, EmbedLookupLayer};
pub use flight::{FlightLayer, FlightService};
pub use flights::Flights;
pub use lease::Leases;
use lifetime::lifetime;
pub use lookup::{Lookup, LookupLayer};
pub use refresh::Refreshes;
pub use savings::Savings;
pub use shelf::{Explained, Shelf};

/// Until when the answer or the vector in `bytes` from elsewhere is fresh, in milliseconds since the Unix epoch. `None`: they are
/// neither.
pub fn fresh_until(bytes: &Bytes) -> Option<u64> {
    entry::fresh_until(bytes).or_else(|| embeddings::fresh_until(bytes))
}

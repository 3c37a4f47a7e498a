//! Vectors, each kept under its own input: of a batch, only what was never seen is asked for.

mod lookup;

mod fetch;

mod batch;
mod entry;

pub(super) use entry::fresh_until;
pub use lookup::{EmbedLookup, EmbedLookupLayer};

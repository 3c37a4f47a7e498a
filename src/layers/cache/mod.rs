//! The response cache: what was answered once is not paid for twice, and what is being answered is asked for once.

mod lookup;

mod flight;

mod entry;
mod fanout;
mod shelf;

pub use flight::{FlightLayer, FlightService, Flights};
pub use lookup::{CacheCounts, Lookup, LookupLayer};
pub use shelf::Shelf;

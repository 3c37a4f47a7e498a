//! The response cache: what was answered once is not paid for twice, and what is being answered is asked for once.

mod lookup;

mod flight;

mod counts;
mod entry;
mod fanout;
mod shelf;

pub use counts::CacheCounts;
pub use entry::is_sound;
pub use flight::{FlightLayer, FlightService, Flights};
pub use lookup::{Lookup, LookupLayer};
pub use shelf::Shelf;

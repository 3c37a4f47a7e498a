//! The response cache: what was answered once is not paid for twice, and what is being answered is asked for once.

mod lookup;

mod decide;
mod refresh;
mod savings;

mod flight;

mod fanout;
mod flights;
mod lease;

mod counts;
mod entry;
mod lifetime;
mod shelf;

pub use counts::{CacheCounts, Tally};
pub use entry::fresh_until;
pub use flight::{FlightLayer, FlightService};
pub use flights::Flights;
pub use lease::Leases;
use lifetime::lifetime;
pub use lookup::{Lookup, LookupLayer};
pub use refresh::Refreshes;
pub use savings::Savings;
pub use shelf::{Explained, Shelf};

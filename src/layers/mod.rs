//! What stands between a handler and the dispatch, and what stands before a handler.
//!
//! A layer that needs only the head of a request wraps HTTP; one that needs the meaning wraps the typed request.

pub mod admin;
pub mod authenticate;
pub mod load_shed;
pub mod rate_limit;

pub mod cache;
pub mod meter;

mod bearer;
mod held;
mod named_session;
mod session_error;
mod took;

pub use held::Held;
pub use named_session::{NamedSession, SESSION_COOKIE};
pub use took::StoreTook;

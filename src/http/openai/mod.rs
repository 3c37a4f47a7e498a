//! The API that every client already speaks: `OpenAI`'s, with all providers behind it.

mod error;

pub(super) use error::{Said, should_retry};

//! The API that every client already speaks: `OpenAI`'s, with all providers behind it.

mod chat;
mod models;

mod body;
mod chat_request;
mod dropped;
mod error;
mod messages;
mod reply;
mod resolve;
mod tools;

pub use chat::chat_completions;
pub use models::{model, models};

pub(super) use error::{Said, should_retry};

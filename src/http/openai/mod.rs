//! The API that every client already speaks: `OpenAI`'s, with all providers behind it.

pub(super) mod chat;
pub(super) mod models;

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
pub(super) use reply::ChatCompletionChunk;

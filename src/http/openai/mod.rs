//! The API that every client already speaks: `OpenAI`'s, with all providers behind it.

pub(super) mod chat;
pub(super) mod embeddings;
pub(super) mod models;

mod body;
mod chat_request;
mod dropped;
mod embed_request;
mod error;
mod messages;
mod reply;
mod resolve;
mod tools;

pub use chat::chat_completions;
pub use embeddings::embeddings;
pub use models::{model, models};

pub(super) use error::{Said, should_retry};
pub(super) use reply::ChatCompletionChunk;

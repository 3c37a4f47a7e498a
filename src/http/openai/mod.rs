//! The API that every client already speaks: `OpenAI`'s, with all providers behind it.

mod chat;
mod embeddings;
mod models;

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

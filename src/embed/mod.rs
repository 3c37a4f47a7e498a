//! What an embedding is, in nobody's words: no HTTP, no vendor, no store.

mod request;

mod answer;
mod fingerprint;

pub use answer::{EmbedStep, EmbedStream, Embedded, Embeddings, Vector, shares};
pub use fingerprint::Fingerprints;
pub use request::{EmbedRequest, Input, tokens_of};

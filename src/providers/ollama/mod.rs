//! The wire format of Ollama's own chat (`providers.md` 8).

mod request;

mod reply;

use hyper::StatusCode;

use crate::generate::{GenerateRequest, Params};

use super::{Delta, Dialect, EmbedForm, OllamaEmbed, ProviderError, WireRequest, openai_chat::Fault};

use reply::ChatLines;

/// Ollama's own chat. Unlike its compatible endpoint it says when it is done.
pub struct Ollama;

impl Dialect for Ollama {
    type Decoder = ChatLines;

    fn request(&self, request: &GenerateRequest, _: &Params) -> Result<WireRequest, ProviderError> {
        Ok(WireRequest { path: "/api/chat".into(), headers: Vec::new(), body: request::body(request)? })
    }

    fn decoder(&self) -> ChatLines {
        ChatLines::default()
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status)
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        Some(&OllamaEmbed)
    }
}

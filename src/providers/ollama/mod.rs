//! The wire format of Ollama's own chat (`providers.md` 8), and its list of models.

mod request;

mod reply;

use async_trait::async_trait;
use hyper::StatusCode;
use secrecy::SecretString;

use crate::{
    client::HttpClient,
    embed::{EmbedRequest, Embedded, Input},
    generate::{GenerateRequest, ModelId, Params},
};

use super::{
    Batch, Delta, DeltaStream, Dialect, EmbedForm, OllamaEmbed, Provider, ProviderError, Upstream, WireRequest,
    list::{OLLAMA_PATH, ollama_names},
    openai_chat::Fault,
};

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

/// A server with its list of models.
pub struct OllamaServer(Upstream<Ollama>);

impl OllamaServer {
    /// The server at `base_url`, which has no trailing slash.
    pub fn new(client: HttpClient, base_url: &str, api_key: Option<SecretString>) -> Self {
        Self(Upstream::new(Ollama, client, base_url, api_key))
    }
}

#[async_trait]
impl Provider for OllamaServer {
    async fn open(&self, request: &GenerateRequest, params: &Params) -> Result<DeltaStream, ProviderError> {
        self.0.open(request, params).await
    }

    fn embeds(&self) -> Option<Batch> {
        self.0.embeds()
    }

    async fn embed(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
        self.0.embed(request, inputs).await
    }

    fn is_mock(&self) -> bool {
        false
    }

    async fn installed(&self) -> Option<Vec<ModelId>> {
        self.0.get(OLLAMA_PATH).await.ok().and_then(|body| ollama_names(&body))
    }
}

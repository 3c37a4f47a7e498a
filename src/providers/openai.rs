//! `OpenAI` itself: chat completions, and responses where a model takes tools nowhere else.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{
    client::HttpClient,
    embed::{EmbedRequest, Embedded, Input},
    generate::{GenerateRequest, Params},
};

use super::{Batch, ChatVendor, DeltaStream, OpenAiChat, OpenAiResponses, Provider, ProviderError, Upstream};

/// One vendor with two wire formats.
pub struct OpenAi {
    chat: Upstream<OpenAiChat>,
    responses: Upstream<OpenAiResponses>,
}

impl OpenAi {
    /// `OpenAI` at `base_url`, which has no trailing slash.
    pub fn new(client: HttpClient, base_url: &str, api_key: Option<SecretString>) -> Self {
        let chat = Upstream::new(OpenAiChat::new(ChatVendor::OpenAi), client.clone(), base_url, api_key.clone());
        Self { chat, responses: Upstream::new(OpenAiResponses, client, base_url, api_key) }
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn open(&self, request: &GenerateRequest, params: &Params) -> Result<DeltaStream, ProviderError> {
        let has_tools = !request.tools.definitions.is_empty();
        if has_tools && params.needs_responses(request.sampling.effort) {
            self.responses.open(request, params).await
        } else {
            self.chat.open(request, params).await
        }
    }

    fn embeds(&self) -> Option<Batch> {
        self.chat.embeds()
    }

    async fn embed(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
        self.chat.embed(request, inputs).await
    }
}

//! `OpenAI` itself: chat completions, and responses where a model takes tools nowhere else.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{
    client::HttpClient,
    embed::{EmbedRequest, Embedded, Input},
    generate::{Effort, GenerateRequest, ModelId, Params, TakesTools},
};

use super::{Batch, DeltaStream, OpenAiChat, OpenAiResponses, Provider, ProviderError, Upstream};

/// One vendor with two wire formats.
pub struct OpenAi {
    chat: Upstream<OpenAiChat>,
    responses: Upstream<OpenAiResponses>,
}

impl OpenAi {
    /// `OpenAI` at `base_url`, which has no trailing slash.
    pub fn new(client: HttpClient, base_url: &str, api_key: Option<SecretString>) -> Self {
        let chat = Upstream::new(OpenAiChat::new(true), client.clone(), base_url, api_key.clone());
        Self { chat, responses: Upstream::new(OpenAiResponses, client, base_url, api_key) }
    }
}

/// Whether a model that takes `params` takes the tools of `request` only on responses (`providers.md` 1.3).
fn needs_responses(request: &GenerateRequest, params: &Params) -> bool {
    !request.tools.definitions.is_empty()
        && match params.tools_on_default_api {
            TakesTools::ResponsesOnly => true,
            TakesTools::OnlyWithEffortNone => request.sampling.effort != Some(Effort::None),
            TakesTools::Yes | TakesTools::No => false,
        }
}

#[async_trait]
impl Provider for OpenAi {
    async fn open(&self, request: &GenerateRequest, params: &Params) -> Result<DeltaStream, ProviderError> {
        if needs_responses(request, params) {
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

    fn is_mock(&self) -> bool {
        false
    }

    async fn installed(&self) -> Option<Vec<ModelId>> {
        None
    }
}

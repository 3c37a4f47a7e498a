//! Who answers: one trait, one HTTP exchange, one file or folder for each wire format.

mod anthropic;
mod arguments;
mod body;
mod counts;
mod data_url;
mod demo;
mod embed;
mod example;
mod frames;
mod gemini;
mod instructions;
mod list;
mod ollama;
mod openai;
mod openai_chat;
mod openai_responses;
mod openai_sampling;
mod openai_schema;
mod openai_usage;
mod status;
mod tool_calls;
mod upstream;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{
    client::HttpClient,
    config::{EndpointConfig, ProvidersConfig, Wire},
    embed::{EmbedRequest, Embedded, Input},
    generate::{DEMO, ErrorKind, Finish, GenerateRequest, Params, ProviderId, Retry, ToolPiece, Usage},
};

pub use anthropic::Anthropic;
pub use demo::DEMO_SCRIPTS;
pub use embed::{Batch, EmbedForm, EmbedReply, GeminiEmbed, OllamaEmbed, OpenAiEmbed};
pub use frames::Framing;
pub use gemini::Gemini;
pub use list::{Listed, NoList, Unreachable, list};
pub use ollama::Ollama;
pub use openai::OpenAi;
pub use openai_chat::{ChatVendor, OpenAiChat};
pub use openai_responses::OpenAiResponses;
pub use upstream::{Decoder, Dialect, Upstream, WireRequest, deltas};

use demo::Demo;

/// Someone who answers.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Asks once, for a model that takes `params`. Waits until the answer has begun; what is dropped is cancelled at once.
    ///
    /// # Errors
    /// [`ProviderError`], here or in the stream, which ends with it.
    async fn open(&self, request: &GenerateRequest, params: &Params) -> Result<DeltaStream, ProviderError>;

    /// What one call for vectors takes. `None`: it makes none.
    fn embeds(&self) -> Option<Batch>;

    /// Asks once for the vectors of `inputs`, which are some of `request`'s, no more than [`Provider::embeds`] says. What is dropped is
    /// cancelled at once.
    ///
    /// # Errors
    /// [`ProviderError`]; before anyone is asked, [`ErrorKind::InvalidRequest`] where it makes none, or none of such inputs.
    async fn embed(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError>;
}

/// A piece of what a provider says. A stream of them is good only when it ends with [`Delta::Finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Text, not empty: valid UTF-8, cut between characters.
    Text(Bytes),
    /// A piece of a call of a tool.
    Tool(ToolPiece),
    /// Nothing of the answer, but the provider is not silent: it thinks, or says that it is there.
    Alive,
    /// The provider said that it was done.
    Finish(Finish),
}

/// What a provider says, piece by piece.
pub type DeltaStream = BoxStream<'static, Result<Delta, ProviderError>>;

/// A provider that gave no answer, or only part of one. Holds none of the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}")]
pub struct ProviderError {
    /// What happened, for the client.
    pub kind: ErrorKind,
    /// What the provider itself said, where the answer broke off for that.
    pub cause: Option<ErrorKind>,
    /// How long it asks us to wait.
    pub retry_after: Option<Duration>,
    /// Whether it says itself that another attempt is worth it. `None`: it does not say.
    pub should_retry: Option<bool>,
    /// The field that it refused.
    pub param: Option<Arc<str>>,
    /// Whether the answer had begun: another attempt at the same model might be paid twice.
    pub began: bool,
    /// Whether it had said that an answer comes, with a status of success, before the connection broke.
    pub answered: bool,
    /// What it took all the same, where it said so.
    pub usage: Option<Usage>,
    /// What an operator should know besides, for the log.
    pub detail: Option<String>,
}

impl From<ErrorKind> for ProviderError {
    fn from(kind: ErrorKind) -> Self {
        let (cause, retry_after, should_retry, param, usage, detail) = Default::default();
        Self { kind, cause, retry_after, should_retry, param, began: false, answered: false, usage, detail }
    }
}

impl ProviderError {
    /// A request that holds what the vendor's format cannot say, in this field, by `OpenAI`'s name for it.
    fn unsayable(param: impl Into<Arc<str>>) -> Self {
        Self { param: Some(param.into()), ..ErrorKind::InvalidRequest.into() }
    }

    /// The same of a field of the message at this place.
    fn in_message(at: usize, field: fmt::Arguments<'_>) -> Self {
        Self::unsayable(format!("messages[{at}].{field}"))
    }

    /// The same error, of an answer that had begun: once there was text, all that a client can know is that it broke off.
    #[must_use]
    pub fn after(mut self, had_text: bool) -> Self {
        self.began = true;
        if had_text && self.kind != ErrorKind::StreamInterrupted {
            self.cause = Some(self.kind);
            self.kind = ErrorKind::StreamInterrupted;
        }
        self
    }

    /// The same error, of an answer of which the vendor counted this: it is paid for all the same.
    #[must_use]
    fn with_usage(mut self, usage: Option<Usage>) -> Self {
        self.usage = self.usage.or(usage);
        self
    }

    /// Whether it may have been paid for: it had begun, or broke off with nobody knowing how far it had come.
    pub fn may_have_cost(&self) -> bool {
        let broke_off = matches!(
            self.cause.unwrap_or(self.kind),
            ErrorKind::Timeout | ErrorKind::BadResponse | ErrorKind::StreamInterrupted | ErrorKind::EmptyAnswer
        );
        self.began || self.answered || broke_off
    }

    /// Whether the same request may succeed in a moment.
    pub fn is_retryable(&self) -> bool {
        !self.began && self.should_retry.unwrap_or_else(|| self.kind.outlook().retry != Retry::Never)
    }
}

/// Everyone who can be asked, by name.
#[derive(Clone, Default)]
pub struct Providers(Arc<HashMap<ProviderId, Arc<dyn Provider>>>);

impl Providers {
    /// The providers of the configuration, asked by `client`.
    pub fn new(config: &ProvidersConfig, client: &HttpClient) -> Self {
        let mut providers = Self::default();
        if config.demo {
            providers.add(ProviderId::from(DEMO), Arc::new(Demo));
        }
        for EndpointConfig { name, wire, base_url, api_key, .. } in &config.endpoints {
            let (client, api_key) = (client.clone(), api_key.clone());
            let provider: Arc<dyn Provider> = match wire {
                Wire::OpenAi => Arc::new(OpenAi::new(client, base_url, api_key)),
                Wire::Xai => Arc::new(Upstream::new(OpenAiChat::new(ChatVendor::Xai), client, base_url, api_key)),
                Wire::Compatible => {
                    Arc::new(Upstream::new(OpenAiChat::new(ChatVendor::Compatible), client, base_url, api_key))
                }
                Wire::Anthropic => Arc::new(Upstream::new(Anthropic, client, base_url, api_key)),
                Wire::Gemini => Arc::new(Upstream::new(Gemini, client, base_url, api_key)),
                Wire::Ollama => Arc::new(Upstream::new(Ollama, client, base_url, api_key)),
            };
            providers.add(name.as_str().into(), provider);
        }
        providers
    }

    /// Adds a provider, in place of one of the same name.
    pub fn add(&mut self, id: ProviderId, provider: Arc<dyn Provider>) {
        Arc::make_mut(&mut self.0).insert(id, provider);
    }

    /// The names of all.
    pub fn ids(&self) -> impl Iterator<Item = &ProviderId> {
        self.0.keys()
    }

    /// The provider of this name.
    pub fn get(&self, id: &ProviderId) -> Option<&Arc<dyn Provider>> {
        self.0.get(id)
    }
}

//! The wire format of `OpenAI`'s responses: where its models call tools while they reason (`providers.md` 4).

mod items;
mod request;

mod reply;

use hyper::StatusCode;

use crate::generate::{GenerateRequest, Params};

use super::{Delta, Dialect, EmbedForm, OpenAiEmbed, ProviderError, WireRequest, openai_chat::Fault};

use reply::ResponsesDecoder;

/// Responses, of which the vendor keeps nothing.
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    type Decoder = ResponsesDecoder;

    fn request(&self, request: &GenerateRequest, _: &Params) -> Result<WireRequest, ProviderError> {
        Ok(WireRequest { path: "/responses".into(), headers: Vec::new(), body: request::body(request) })
    }

    fn decoder(&self) -> ResponsesDecoder {
        ResponsesDecoder::default()
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status)
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        Some(&OpenAiEmbed { is_vendor: true })
    }
}

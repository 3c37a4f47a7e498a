//! The wire format of Anthropic's messages (`providers.md` 5).

mod request;
mod schema;
mod turns;

mod fault;
mod reply;

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};

use crate::generate::{GenerateRequest, Params};

use super::{Delta, Dialect, EmbedForm, ProviderError, WireRequest};

use fault::Fault;
use reply::MessagesDecoder;

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Messages, in the newest version that takes the request.
pub struct Anthropic;

impl Dialect for Anthropic {
    type Decoder = MessagesDecoder;

    fn key(&self, key: &str) -> (HeaderName, String) {
        (HeaderName::from_static("x-api-key"), key.to_owned())
    }

    fn request(&self, request: &GenerateRequest, params: &Params) -> Result<WireRequest, ProviderError> {
        // The newer version refuses these, whatever the model.
        let is_sampled = request.sampling.temperature.is_some() || request.sampling.top_p.is_some();
        let version = HeaderValue::from_static(if is_sampled { "2023-06-01" } else { "2026-10-21" });
        let body = request::body(request, params)?;
        Ok(WireRequest { path: "/v1/messages".into(), headers: vec![(VERSION, version)], body })
    }

    fn decoder(&self) -> MessagesDecoder {
        MessagesDecoder::default()
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status)
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        None
    }
}

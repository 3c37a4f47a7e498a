//! The wire format of OpenAI's chat completions, which xAI and many others speak too (`providers.md` 3, 7, 8).

mod request;

mod fault;
mod reply;

use hyper::StatusCode;

use crate::generate::{GenerateRequest, Params};

use super::{Delta, Dialect, EmbedForm, OpenAiEmbed, ProviderError, WireRequest};

pub(super) use fault::Fault;
use reply::ChatDecoder;

/// Chat completions, as a vendor of the catalogue or a compatible server speaks them.
pub struct OpenAiChat {
    /// Vendors name the limit `max_completion_tokens` and end a stream by the book: usage, then `[DONE]`. Compatible
    /// servers want the older `max_tokens`, and some leave out both endings.
    is_vendor: bool,
}

impl OpenAiChat {
    /// The dialect of a vendor, or of a compatible server.
    pub fn new(is_vendor: bool) -> Self {
        Self { is_vendor }
    }
}

impl Dialect for OpenAiChat {
    type Decoder = ChatDecoder;

    fn request(&self, request: &GenerateRequest, _: &Params) -> Result<WireRequest, ProviderError> {
        let body = request::body(request, self.is_vendor);
        Ok(WireRequest { path: "/chat/completions".into(), headers: Vec::new(), body })
    }

    fn decoder(&self) -> ChatDecoder {
        ChatDecoder::new(!self.is_vendor)
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status)
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        Some(if self.is_vendor { &OpenAiEmbed { is_vendor: true } } else { &OpenAiEmbed { is_vendor: false } })
    }
}

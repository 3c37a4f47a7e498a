//! The wire format of OpenAI's chat completions, which xAI and many others speak too (`providers.md` 3, 7, 8).

mod messages;
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
    vendor: ChatVendor,
}

/// Whose chat completions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatVendor {
    /// It names the limit `max_completion_tokens` and the end user `safety_identifier`, and ends a stream by the book: usage, then
    /// `[DONE]`.
    OpenAi,
    /// The same, but that it calls the end user `user`.
    Xai,
    /// A server that wants the older `max_tokens`; some leave out both endings of a stream.
    Compatible,
}

impl OpenAiChat {
    /// The dialect of `vendor`.
    pub fn new(vendor: ChatVendor) -> Self {
        Self { vendor }
    }
}

impl Dialect for OpenAiChat {
    type Decoder = ChatDecoder;

    fn request(&self, request: &GenerateRequest, _: &Params) -> Result<WireRequest, ProviderError> {
        let body = request::body(request, self.vendor);
        Ok(WireRequest { path: "/chat/completions".into(), headers: Vec::new(), body })
    }

    fn decoder(&self) -> ChatDecoder {
        ChatDecoder::new(self.vendor == ChatVendor::Compatible)
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status)
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        Some(match self.vendor {
            ChatVendor::OpenAi => &OpenAiEmbed { is_vendor: true },
            ChatVendor::Xai | ChatVendor::Compatible => &OpenAiEmbed { is_vendor: false },
        })
    }
}

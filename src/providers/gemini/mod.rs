//! The wire format of Google's `generateContent` (`providers.md` 6).

mod request;
mod turns;

mod fault;
mod reply;

use hyper::{StatusCode, header::HeaderName};

use crate::generate::{Delivery, ErrorKind, GenerateRequest, ModelId, Params};

use super::{Delta, Dialect, EmbedForm, GeminiEmbed, ProviderError, WireRequest};

use fault::Fault;
use reply::ContentDecoder;

/// `generateContent`, in the version that the vendor's own client asks for.
pub struct Gemini;

impl Dialect for Gemini {
    type Decoder = ContentDecoder;

    fn key(&self, key: &str) -> (HeaderName, String) {
        (HeaderName::from_static("x-goog-api-key"), key.to_owned())
    }

    fn request(&self, request: &GenerateRequest, params: &Params) -> Result<WireRequest, ProviderError> {
        let resource = resource(&request.target.model)?;
        let method = match request.delivery {
            Delivery::Whole => "generateContent",
            Delivery::Stream => "streamGenerateContent?alt=sse",
        };
        let body = request::body(request, params)?;
        Ok(WireRequest { path: format!("/v1/{resource}:{method}").into(), headers: Vec::new(), body })
    }

    fn decoder(&self) -> ContentDecoder {
        ContentDecoder::default()
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        reply::whole(body)
    }

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        Fault::read(body).error(status.as_u16())
    }

    fn embeds(&self) -> Option<&'static dyn EmbedForm> {
        Some(&GeminiEmbed)
    }
}

/// The name of `model` as a part of a path.
///
/// # Errors
/// [`ErrorKind::ModelNotFound`] when it holds what would lead elsewhere.
pub(super) fn resource(model: &ModelId) -> Result<String, ProviderError> {
    if model.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        Ok(format!("models/{model}"))
    } else {
        Err(ErrorKind::ModelNotFound.into())
    }
}

//! `batchEmbedContents` of Google's.

use serde::{Deserialize, Serialize};

use crate::{
    embed::{EmbedRequest, Input},
    providers::{ProviderError, WireRequest, body::json_body, gemini::resource},
};

use super::{Batch, EmbedForm, EmbedReply, no_sense, texts};

/// «BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch» is what it says of more.
const MOST_INPUTS: usize = 100;

/// The form, which knows texts alone and counts nothing.
pub struct GeminiEmbed;

#[derive(Serialize)]
struct Asked<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    embeddings: Vec<Values>,
    /// Newer models say what they counted.
    usage_metadata: Option<Counted>,
}

#[derive(Deserialize)]
struct Values {
    values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    prompt_token_count: Option<u64>,
}

impl EmbedForm for GeminiEmbed {
    fn batch(&self) -> Batch {
        Batch { inputs: MOST_INPUTS, tokens: u64::MAX }
    }

    fn request(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<WireRequest, ProviderError> {
        let resource = resource(&request.target.model)?;
        let one = |text| One {
            model: &resource,
            content: Content { parts: [Part { text }] },
            output_dimensionality: request.dimensions,
        };
        let body = json_body(&Asked { requests: texts(inputs)?.into_iter().map(one).collect() });
        Ok(WireRequest { path: format!("/v1/{resource}:batchEmbedContents").into(), headers: Vec::new(), body })
    }

    fn reply(&self, body: &[u8], _: usize) -> Result<EmbedReply, ProviderError> {
        let Answered { embeddings, usage_metadata } = serde_json::from_slice(body).map_err(no_sense)?;
        let vectors = embeddings.into_iter().map(|embedding| embedding.values).collect();
        Ok(EmbedReply { vectors, input_tokens: usage_metadata.and_then(|counted| counted.prompt_token_count) })
    }
}

//! `POST /api/embed` of Ollama's own.

use serde::{Deserialize, Serialize};

use crate::{
    embed::{EmbedRequest, Input},
    providers::{ProviderError, WireRequest, body::json_body},
};

use super::{Batch, EmbedForm, EmbedReply, no_sense, texts};

/// It states no limit; so many vectors are read at once without trouble.
const MOST_INPUTS: usize = 256;

/// The form, which knows texts alone.
pub struct OllamaEmbed;

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    /// Otherwise it would quietly leave out what is too long, and the vector of a part would be kept as the whole's.
    truncate: bool,
}

#[derive(Deserialize)]
struct Answered {
    embeddings: Vec<Vec<f32>>,
    prompt_eval_count: Option<u64>,
}

impl EmbedForm for OllamaEmbed {
    fn batch(&self) -> Batch {
        Batch { inputs: MOST_INPUTS, tokens: u64::MAX }
    }

    fn request(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<WireRequest, ProviderError> {
        let (model, dimensions) = (request.target.model.as_str(), request.dimensions);
        let body = json_body(&Asked { model, input: texts(inputs)?, dimensions, truncate: false });
        Ok(WireRequest { path: "/api/embed".into(), headers: Vec::new(), body })
    }

    fn reply(&self, body: &[u8], _: usize) -> Result<EmbedReply, ProviderError> {
        let Answered { embeddings, prompt_eval_count } = serde_json::from_slice(body).map_err(no_sense)?;
        Ok(EmbedReply { vectors: embeddings, input_tokens: prompt_eval_count })
    }
}

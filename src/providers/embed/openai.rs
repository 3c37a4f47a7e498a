//! `POST /embeddings` of `OpenAI` and of whoever is compatible.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    embed::{EmbedRequest, Input},
    generate::ErrorKind,
    providers::{ProviderError, WireRequest, body::json_body},
};

use super::{Batch, EmbedForm, EmbedReply, counted, no_sense};

/// Of the most that `OpenAI` takes at once, half: 2,048 of its longest vectors are more than is read of one body.
const VENDOR_INPUTS: usize = 1_024;
/// `OpenAI` takes no more tokens at once than that (its official clients for Python and JavaScript split by it).
const VENDOR_TOKENS: u64 = 300_000;
/// Numbers in words take five times the room.
const COMPATIBLE_INPUTS: usize = 256;

/// The form, as its vendor or as a compatible server speaks it.
pub struct OpenAiEmbed {
    /// The vendor is asked for base64, which is shorter and exact; not every compatible server knows it. Either is taken from both.
    pub is_vendor: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    input: Inputs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    encoding_format: &'static str,
}

/// Texts, or tokens: the form has no word for a mixture.
#[derive(Serialize)]
#[serde(untagged)]
enum Inputs<'a> {
    Texts(Vec<&'a str>),
    Tokens(Vec<&'a [u32]>),
}

#[derive(Deserialize)]
struct Answered {
    data: Vec<Item>,
    usage: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Wire,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Base64(String),
    Floats(Vec<f32>),
}

impl EmbedForm for OpenAiEmbed {
    fn batch(&self) -> Batch {
        let inputs = if self.is_vendor { VENDOR_INPUTS } else { COMPATIBLE_INPUTS };
        Batch { inputs, tokens: VENDOR_TOKENS }
    }

    fn request(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<WireRequest, ProviderError> {
        let (mut texts, mut tokens) = (Vec::new(), Vec::new());
        for input in inputs {
            match input {
                Input::Text(text) => texts.push(text.as_str()),
                Input::Tokens(these) => tokens.push(these.as_slice()),
            }
        }
        let input = match (texts.is_empty(), tokens.is_empty()) {
            (false, true) => Inputs::Texts(texts),
            (true, false) => Inputs::Tokens(tokens),
            _ => return Err(ProviderError::unsayable("input")),
        };
        let encoding_format = if self.is_vendor { "base64" } else { "float" };
        let asked =
            Asked { model: request.target.model.as_str(), input, dimensions: request.dimensions, encoding_format };
        Ok(WireRequest { path: "/embeddings".into(), headers: Vec::new(), body: json_body(&asked) })
    }

    fn reply(&self, body: &[u8], count: usize) -> Result<EmbedReply, ProviderError> {
        let Answered { data, usage } = serde_json::from_slice(body).map_err(no_sense)?;
        let input_tokens = usage.and_then(|usage| usage.get("prompt_tokens").or(usage.get("total_tokens"))?.as_u64());
        let vectors = in_order(data, count).ok_or(ErrorKind::BadResponse);
        let vectors = vectors.map_err(|error| ProviderError::from(error).with_usage(counted(input_tokens)))?;
        Ok(EmbedReply { vectors, input_tokens })
    }
}

/// One vector for each of so many inputs. `None`: one is missing, there twice, or makes no sense.
fn in_order(data: Vec<Item>, count: usize) -> Option<Vec<Vec<f32>>> {
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    for (at, Item { index, embedding }) in data.into_iter().enumerate() {
        let vector = match embedding {
            Wire::Floats(vector) => vector,
            Wire::Base64(text) => floats(&text)?,
        };
        // Some servers leave the index out, and keep the order.
        if vectors.get_mut(index.unwrap_or(at))?.replace(vector).is_some() {
            return None;
        }
    }
    vectors.into_iter().collect()
}

/// Little-endian numbers of four bytes each.
fn floats(text: &str) -> Option<Vec<f32>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: OpenAiEmbed = OpenAiEmbed { is_vendor: true };

    #[test]
    fn vectors_are_put_in_order_in_either_encoding() {
        let base64 = BASE64_STANDARD.encode([1.5_f32, -0.25].map(f32::to_le_bytes).concat());
        let body = format!(
            r#"{{"object":"list","data":[{{"index":1,"embedding":"{base64}"}},{{"index":0,"embedding":[3,4e-1]}}],
                "usage":{{"prompt_tokens":5,"total_tokens":5}}}}"#
        );
        let reply = FORM.reply(body.as_bytes(), 2).unwrap();
        assert_eq!(reply, EmbedReply { vectors: vec![vec![3.0, 0.4], vec![1.5, -0.25]], input_tokens: Some(5) });
        let bare = FORM.reply(br#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#, 2).unwrap();
        assert_eq!(bare, EmbedReply { vectors: vec![vec![1.0], vec![2.0]], input_tokens: None });
    }

    #[test]
    fn what_is_missing_or_there_twice_is_no_answer() {
        for body in [
            r#"{"data":[]}"#,
            r#"{"data":[{"index":0,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AAAA"}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":null}]}"#,
            r#"{"error":"no"}"#,
            "<html>",
        ] {
            assert_eq!(FORM.reply(body.as_bytes(), 2).unwrap_err().kind, ErrorKind::BadResponse, "{body}");
        }
        let error = FORM.reply(br#"{"data":[],"usage":{"prompt_tokens":5}}"#, 2).unwrap_err();
        assert_eq!(error.usage.map(|usage| usage.input_tokens), Some(5), "it is paid for all the same");
    }
}

//! From the body of `POST /v1/embeddings` to what the client wants, or to the first thing that is wrong with it.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    embed::Input,
    error::ApiError,
    http::check::{body_text, object, parse, text},
};

use super::{body::refuse, dropped::Dropped};

/// The most inputs of one request, as at `OpenAI`.
const MOST_INPUTS: usize = 2_048;
/// Longer vectors than any model makes.
const MOST_DIMENSIONS: u32 = 65_536;

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As JSON numbers.
    Float,
    /// Four bytes each, the least significant first, in base64.
    Base64,
}

/// What [`EmbedAsk::read`] reads.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is read by hand")]
pub(super) struct EmbeddingsRequest {
    /// Such as `text-embedding-3-small`, alone or behind its provider.
    model: String,
    input: WireInput,
    encoding_format: Option<WireEncoding>,
    /// The length of the vectors. Absent: the model's own.
    #[schema(minimum = 1, maximum = 65536)]
    dimensions: Option<u32>,
    /// Taken, and of no effect.
    user: Option<String>,
}

/// One text, several, the tokens of one, or those of several: 1 to 2,048, none of them empty.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what is read by hand")]
enum WireInput {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what is read by hand")]
enum WireEncoding {
    Float,
    Base64,
}

/// A body that was found good.
pub(super) struct EmbedAsk {
    /// Not blank.
    pub(super) model: String,
    /// 1 to 2,048, none of them empty.
    pub(super) inputs: Vec<Input>,
    pub(super) encoding: Encoding,
    /// At least 1. `None` leaves it to the model.
    pub(super) dimensions: Option<u32>,
    /// The fields that nobody here knows.
    pub(super) dropped: Dropped,
}

impl EmbedAsk {
    /// Reads `body`; `null` counts as absent.
    ///
    /// # Errors
    /// 400, with what is wrong first.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let body = body_text(body);
        let mut fields: BTreeMap<Cow<'_, str>, &RawValue> = object(&body)?;
        fields.retain(|_, raw| raw.get() != "null");
        let mut take = |name: &str| fields.remove(name);
        let model = take("model").and_then(text).filter(|model| !model.trim().is_empty());
        let model =
            model.ok_or_else(|| refuse("model", "`model` must name a model, such as `text-embedding-3-small`"))?;
        let inputs = take("input").ok_or_else(|| refuse("input", "`input` is missing"))?;
        let inputs = self::inputs(inputs)?;
        let encoding = match take("encoding_format").map(text) {
            None => Encoding::Float,
            Some(Some(word)) if word == "float" => Encoding::Float,
            Some(Some(word)) if word == "base64" => Encoding::Base64,
            Some(_) => return Err(refuse("encoding_format", "`encoding_format` must be `float` or `base64`")),
        };
        let dimensions = take("dimensions").map(|raw| {
            let number: Option<u32> = parse(raw);
            number.filter(|number| (1..=MOST_DIMENSIONS).contains(number))
        });
        if dimensions == Some(None) {
            return Err(refuse("dimensions", "`dimensions` must be a whole number from 1 to 65536"));
        }
        // Who the client's own user is changes nothing.
        if take("user").is_some_and(|raw| text(raw).is_none()) {
            return Err(refuse("user", "`user` must be a string"));
        }
        let mut dropped = Dropped::default();
        for name in fields.keys() {
            dropped.add_unknown(name);
        }
        Ok(Self { model, inputs, encoding, dimensions: dimensions.flatten(), dropped })
    }
}

/// What is to be turned into vectors: a string, several, the tokens of one, or those of several.
fn inputs(raw: &RawValue) -> Result<Vec<Input>, ApiError> {
    let is_list = raw.get().starts_with('[');
    let first = raw.get().bytes().skip(1).find(|byte| !byte.is_ascii_whitespace());
    let inputs = match first {
        _ if !is_list => vec![one(raw).ok_or_else(wrong_input)?],
        Some(b'0'..=b'9') => vec![tokens(raw)?],
        Some(b'[') => read_all(raw, tokens)?,
        Some(b'"') => read_all(raw, |raw| one(raw).ok_or_else(wrong_input))?,
        Some(b']') => return Err(refuse("input", "`input` must not be an empty array")),
        Some(_) | None => return Err(wrong_input()),
    };
    let is_empty = |input: &Input| match input {
        Input::Text(text) => text.is_empty(),
        Input::Tokens(tokens) => tokens.is_empty(),
    };
    if inputs.iter().any(is_empty) {
        return Err(refuse("input", "`input` must hold no empty string and no empty array"));
    }
    Ok(inputs)
}

fn one(raw: &RawValue) -> Option<Input> {
    text(raw).map(Input::Text)
}

fn tokens(raw: &RawValue) -> Result<Input, ApiError> {
    let wrong = || refuse("input", "`input` as tokens must hold whole numbers from 0 to 4294967295, and nothing else");
    parse(raw).map(Input::Tokens).ok_or_else(wrong)
}

fn read_all(raw: &RawValue, read: impl Fn(&RawValue) -> Result<Input, ApiError>) -> Result<Vec<Input>, ApiError> {
    let elements: Vec<&RawValue> = parse(raw).ok_or_else(wrong_input)?;
    if elements.len() > MOST_INPUTS {
        return Err(refuse(
            "input",
            format!("`input` must hold no more than {MOST_INPUTS} entries, not {}.", elements.len()),
        ));
    }
    elements.into_iter().map(read).collect()
}

fn wrong_input() -> ApiError {
    refuse(
        "input",
        "`input` must be a string, an array of strings, an array of integers, or an array of arrays of integers.",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn read(body: &str) -> EmbedAsk {
        EmbedAsk::read(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {}", error.error))
    }

    fn texts(texts: &[&str]) -> Vec<Input> {
        texts.iter().map(|text| Input::Text((*text).to_owned())).collect()
    }

    #[test]
    fn every_form_of_input_is_read() {
        for (input, expected) in [
            (r#""hello""#, texts(&["hello"])),
            (r#"["a" , "b"]"#, texts(&["a", "b"])),
            (r#""cut \ud83d""#, texts(&["cut \u{fffd}\u{fffd}\u{fffd}"])),
            ("[ 1, 2 ]", vec![Input::Tokens(vec![1, 2])]),
            ("[[1,2],\n[3]]", vec![Input::Tokens(vec![1, 2]), Input::Tokens(vec![3])]),
        ] {
            let ask = read(&format!(r#"{{"model":"m","input":{input}}}"#));
            assert!(ask.inputs == expected, "{input}");
        }
        let many = format!(r#"{{"model":"m","input":{:?}}}"#, vec!["x"; MOST_INPUTS]);
        assert_eq!(read(&many).inputs.len(), MOST_INPUTS);
    }

    #[test]
    fn what_is_not_asked_for_is_left_to_the_model_and_what_nobody_knows_is_named() {
        let ask = read(
            r#"{"model":"m","input":"x","encoding_format":"base64","dimensions":256,"user":"ann","input_type":"query",
                "extra_body":{"a":1},"na\u006de":2,"bad\r\nname":3,"": 4,"truncate":null}"#,
        );
        assert_eq!((ask.encoding, ask.dimensions), (Encoding::Base64, Some(256)));
        assert_eq!(ask.dropped.to_string(), "extra_body,input_type,name,...");
        let plain = read(r#"{"model":"m","input":"x","dimensions":null}"#);
        assert_eq!(
            (plain.encoding, plain.dimensions, plain.dropped.to_string()),
            (Encoding::Float, None, String::new())
        );
    }

    #[test]
    fn each_fault_has_its_sentence() {
        let long = format!(r#""model":"m","input":{:?}"#, vec!["x"; MOST_INPUTS + 1]);
        for (fields, names) in [
            (r#""input":"x""#, "`model`"),
            (r#""model":" ","input":"x""#, "`model`"),
            (r#""model":7,"input":"x""#, "`model`"),
            (r#""model":"m""#, "is missing"),
            (r#""model":"m","input":null"#, "is missing"),
            (r#""model":"m","input":"""#, "no empty string"),
            (r#""model":"m","input":["a",""]"#, "no empty string"),
            (r#""model":"m","input":[[1],[]]"#, "no empty array"),
            (r#""model":"m","input":[]"#, "empty array"),
            (r#""model":"m","input":{}"#, "must be a string"),
            (r#""model":"m","input":true"#, "must be a string"),
            (r#""model":"m","input":[null]"#, "must be a string"),
            (r#""model":"m","input":["a",1]"#, "must be a string"),
            (r#""model":"m","input":[1,"a"]"#, "tokens"),
            (r#""model":"m","input":[1.5]"#, "tokens"),
            (r#""model":"m","input":[4294967296]"#, "tokens"),
            (r#""model":"m","input":[[1],"a"]"#, "tokens"),
            (r#""model":"m","input":[-1]"#, "must be a string"),
            (&long, "2048"),
            (r#""model":"m","input":"x","encoding_format":"int8""#, "`encoding_format`"),
            (r#""model":"m","input":"x","dimensions":0"#, "`dimensions`"),
            (r#""model":"m","input":"x","dimensions":"256""#, "`dimensions`"),
            (r#""model":"m","input":"x","dimensions":1e9"#, "`dimensions`"),
            (r#""model":"m","input":"x","user":7"#, "`user`"),
        ] {
            let Err(error) = EmbedAsk::read(format!("{{{fields}}}").as_bytes()) else { panic!("{fields} was taken") };
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            assert!(error.error.contains(names), "{fields}: {}", error.error);
        }
        assert!(EmbedAsk::read(b"[]").is_err() && EmbedAsk::read(b"{").is_err());
    }
}

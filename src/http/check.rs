//! What is wrong with a body, field by field, as the original told it.

use std::{borrow::Cow, fmt};

use axum::http::StatusCode;
use serde::{Deserialize, Deserializer as _, Serialize, de::Visitor};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::error::ApiError;

/// How many things are named that are wrong: a body that repeats one must not make a reply that is longer than itself.
const MAX_ERRORS: usize = 20;
/// The longest value that is repeated.
const MAX_VALUE_BYTES: usize = 200;

/// One entry of the `errors` array, as the original wrote them.
#[derive(Serialize, ToSchema)]
pub(super) struct FieldError<'a> {
    #[serde(rename = "type")]
    #[schema(example = "field")]
    kind: &'static str,
    /// `None`: it is absent, or too long to be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<&'a RawValue>,
    msg: &'static str,
    /// The field, such as `prompt` or `capabilities[1]`.
    path: String,
    #[schema(example = "body")]
    location: &'static str,
}

/// Reads an object.
///
/// # Errors
/// 400, with what is wrong with the JSON.
pub(super) fn object<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ApiError> {
    let is_object = body.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(b'{');
    match serde_json::from_str(body) {
        Ok(fields) if is_object => Ok(fields),
        Ok(_) => Err(malformed("The body is JSON, but not an object.")),
        Err(error) if error.is_data() && !is_object => Err(malformed("The body is JSON, but not an object.")),
        // Says where and what, and quotes nothing of the body.
        Err(error) => Err(malformed(format!("The body is not valid JSON: {error}."))),
    }
}

/// The text of a body. Node's parser takes a mark in front, and replaces what is not UTF-8.
pub(super) fn body_text(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Asked first because it goes by words, and what is replaced is found byte by byte.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

fn malformed(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "Malformed JSON").message(message)
}

/// Collects what is wrong, in the order of the fields.
#[derive(Default)]
pub(super) struct Check<'a>(Vec<FieldError<'a>>);

impl<'a> Check<'a> {
    /// `value` is wrong.
    pub(super) fn refuse(&mut self, path: impl Into<String>, value: Option<&'a RawValue>, msg: &'static str) {
        if self.0.len() == MAX_ERRORS {
            return;
        }
        // Whoever reads it may be stricter than who wrote it, about half a surrogate pair or the size of a number.
        let is_readable =
            |raw: &&RawValue| raw.get().len() <= MAX_VALUE_BYTES && parse::<serde_json::Value>(raw).is_some();
        let value = value.filter(is_readable);
        self.0.push(FieldError { kind: "field", value, msg, path: path.into(), location: "body" });
    }

    /// The field as `read` reads it; where it cannot, that is wrong. `None`: it is absent, or wrong.
    pub(super) fn field<T>(
        &mut self,
        path: &'static str,
        value: Option<&'a RawValue>,
        msg: &'static str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        let field = read(value?);
        if field.is_none() {
            self.refuse(path, value, msg);
        }
        field
    }

    /// A string.
    pub(super) fn text(
        &mut self,
        path: &'static str,
        value: Option<&'a RawValue>,
        msg: &'static str,
    ) -> Option<String> {
        self.field(path, value, msg, text)
    }

    /// One of some words.
    pub(super) fn word<T>(
        &mut self,
        path: &'static str,
        value: Option<&'a RawValue>,
        msg: &'static str,
        read: fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.field(path, value, msg, |raw| read(&text(raw)?))
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// 400, if anything is.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        let Some(last) = self.0.last() else { return Ok(()) };
        let mut error = ApiError::new(StatusCode::BAD_REQUEST, "Invalid request").message(last.msg);
        error.errors = to_raw_value(&self.0).ok();
        Err(error)
    }
}

/// What a field holds. `None`: something else.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A string. Half of a surrogate pair, which JavaScript leaves when it cuts a string, becomes U+FFFD.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    struct Lossy;
    impl Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    parse(raw).or_else(|| serde_json::Deserializer::from_str(raw.get()).deserialize_bytes(Lossy).ok())
}

/// A name as it is repeated to who sent it.
pub(super) fn short(name: &str) -> String {
    const LONGEST: usize = 100;
    name.chars().take(LONGEST).collect()
}

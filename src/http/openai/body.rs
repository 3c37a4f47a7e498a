//! Reads a body of this API: whatever is wrong with it is told by the field that it is wrong with.

use std::{borrow::Cow, fmt, marker::PhantomData};

use axum::http::StatusCode;
use serde::{
    Deserialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Deserializer;
use serde_path_to_error::Track;
use utoipa::ToSchema;

use crate::{error::ApiError, http::check::body_text};

use super::dropped::Dropped;

/// How much is said of what is wrong: a body that is wrong must not make a reply that is as long.
const LONGEST_REASON_CHARS: usize = 200;

/// What a body says.
pub(super) struct Body<T> {
    pub(super) fields: T,
    /// The fields that nobody here knows.
    pub(super) dropped: Dropped,
}

impl<T: DeserializeOwned> Body<T> {
    /// Reads `body`.
    ///
    /// # Errors
    /// 400, with what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let body = body_text(body);
        let text = whole_letters(&body);
        let (mut dropped, mut track) = (Dropped::default(), Track::new());
        let mut json = Deserializer::from_str(&text);
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        let fields = serde_ignored::deserialize(tracked, |path| dropped.add_unknown(&path.to_string()));
        let fields = fields.and_then(|Object(fields)| json.end().map(|()| fields)).map_err(|error| {
            let reason: String = error.to_string().chars().take(LONGEST_REASON_CHARS).collect();
            match track.path().to_string() {
                _ if !error.is_data() => refuse(None, format!("The body is not valid JSON: {reason}")),
                root if root == "." => refuse(None, format!("The body is wrong: {reason}")),
                path => refuse(path.clone(), format!("`{path}`: {reason}")),
            }
        })?;
        Ok(Self { fields, dropped })
    }
}

/// An object, and nothing else that could pass for one: by itself `serde` takes a list of its fields' values too.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfFields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfFields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(OfFields(PhantomData))
    }
}

/// A list of objects, or none.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects: Option<Vec<Object<T>>> = Option::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(object)| object).collect()))
}

/// The same JSON with U+FFFD for each half of a surrogate pair, which JavaScript leaves when it cuts a string.
fn whole_letters(json: &str) -> Cow<'_, str> {
    /// What an escape stands for, and what follows it.
    fn unit(text: &str) -> Option<(u16, &str)> {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        Some((u16::from_str_radix(digits, 16).ok()?, text.get(6..)?))
    }
    let is_half = |unit: u16| (0xD800..0xE000).contains(&unit);
    if !json.contains("\\u") {
        return json.into();
    }
    let (mut whole, mut rest, mut is_changed) = (String::with_capacity(json.len()), json, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let length = match (unit(escape), unit(escape).and_then(|(_, after)| unit(after))) {
            (Some((0xD800..0xDC00, _)), Some((0xDC00..0xE000, _))) => 12,
            (Some((half, _)), _) if is_half(half) => {
                (is_changed, rest) = (true, escape.get(6..).unwrap_or_default());
                whole.push_str("\\ufffd");
                continue;
            }
            (Some(_), _) => 6,
            // What is escaped otherwise is one letter.
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        whole.push_str(escape);
        rest = after;
    }
    whole.push_str(rest);
    if is_changed { whole.into() } else { json.into() }
}

/// A value alone, or several.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// 400: a field holds what it must not, or lacks what it needs.
pub(super) fn refuse(param: impl Into<Param>, error: impl Into<Cow<'static, str>>) -> ApiError {
    let error = ApiError::new(StatusCode::BAD_REQUEST, error).code("invalid_value");
    match param.into().0 {
        Some(param) => error.param(param),
        None => error,
    }
}

/// 400: a field asks for what is not to be had here.
pub(super) fn unsupported(param: impl Into<Param>, error: impl Into<Cow<'static, str>>) -> ApiError {
    refuse(param, error).code("unsupported_value")
}

/// The field that is at fault, if it is a single one.
pub(super) struct Param(Option<Cow<'static, str>>);

impl From<&'static str> for Param {
    fn from(name: &'static str) -> Self {
        Self(Some(name.into()))
    }
}

impl From<String> for Param {
    fn from(name: String) -> Self {
        Self(Some(name.into()))
    }
}

impl From<Option<&'static str>> for Param {
    fn from(name: Option<&'static str>) -> Self {
        Self(name.map(Cow::Borrowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_letter_is_a_letter_that_stands_for_none() {
        for (json, expected) in [
            (r#""plain \n ü""#, r#""plain \n ü""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\ude00 \ud83d\ud83d\ude00""#, r#""\ufffd \ufffd\ud83d\ude00""#),
            (r#""\\ud83d \u00fc""#, r#""\\ud83d \u00fc""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\"\\", "\"\\"),
            (r#""\ü""#, r#""\ü""#),
        ] {
            assert_eq!(whole_letters(json), expected);
        }
    }

    #[test]
    fn only_an_object_is_one() {
        #[derive(Debug, Deserialize)]
        struct Fields {
            #[serde(rename = "a")]
            _a: Option<u32>,
        }
        assert!(Body::<Fields>::read(b"\xef\xbb\xbf{\"a\":1}").is_ok());
        for body in ["[1]", "[]", "null", "1", "\"a\""] {
            let Err(error) = Body::<Fields>::read(body.as_bytes()) else { panic!("{body} was taken") };
            assert!(error.error.contains("expected an object"), "{}", error.error);
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
        let Err(error) = Body::<Fields>::read(long.as_bytes()) else { panic!("a text is no number") };
        assert!(error.error.len() < 400 && error.param.as_deref() == Some("a"));
    }
}
